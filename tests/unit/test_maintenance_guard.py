"""The guard: windows over midnight, and what is not known refuses."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import time
from pathlib import Path

import pytest

PATH = Path(__file__).parent.parent.parent / "library" / "maintenance_guard.py"
SPEC = importlib.util.spec_from_file_location("maintenance_guard", PATH)
assert SPEC is not None and SPEC.loader is not None
guard = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(guard)


@pytest.mark.parametrize(
    ("window", "minute", "reason"),
    [
        ("any", 0, ""),
        ("22:00-05:00", 22 * 60, ""),
        ("22:00-05:00", 4 * 60 + 59, ""),
        ("22:00-05:00", 5 * 60, "it is 05:00, outside of 22:00-05:00"),
        ("22:00-05:00", 12 * 60, "it is 12:00"),
        ("12:00-13:00, 22:00-23:00", 22 * 60 + 30, ""),
        ("12:00-13:00", 13 * 60, "outside"),
        ("", 0, "no window is configured"),
        ("at night", 0, "'at night' is no window"),
        ("12:00-99:00", 13 * 60, "is no window"),
        ("12:60-13:00", 12 * 60 + 59, "is no window"),
        ("20:00-24:00", 23 * 60 + 59, ""),
        ("١٢:00-١٣:00", 12 * 60, "is no window"),
    ],
)
def test_windows(window: str, minute: int, reason: str) -> None:
    said = guard.outside(window, minute)
    assert reason in said
    assert bool(said) == bool(reason)


def test_a_site_that_does_not_say_how_to_ask_is_refused() -> None:
    for asked in ({}, {"database": "dialysis"}, None, "ask me"):
        count, reason = guard.open_sessions(asked)
        assert count is None
        assert "harden_sessions" in reason


def test_a_hospital_may_decide_that_nobody_asks() -> None:
    assert guard.open_sessions("none") == (None, "")


def answers(monkeypatch: pytest.MonkeyPatch, *given: str) -> None:
    """What the commands say, one after the other."""
    left = list(given)

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, left.pop(0), "")

    monkeypatch.setattr(guard, "run", run)


@pytest.mark.parametrize(
    "answer", ["", "f", "f\n", "f\nno number", "f\n3\n4", "f\n-1", "f\n2.5", "f\n٠", "0", "0\n0\n"]
)
def test_an_answer_that_is_no_number_refuses(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, answer)
    count, reason = guard.open_sessions({"database": "x", "query": "y"})
    assert count is None
    assert "not answered with a number" in reason


def test_a_standby_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "t\n0\n")
    count, reason = guard.open_sessions({"database": "x", "query": "y"})
    assert count is None
    assert "put to a standby" in reason


def test_open_sessions_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "f\n3\n")
    assert guard.open_sessions({"database": "x", "query": "y"}) == (3, "3 dialysis sessions are open")


BACKUPS = '[{"db": [{"id": 1, "system-id": 7}], "backup": [%s]}]'


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("[]", "no backup"),
        ("{", "no list"),
        (BACKUPS % '{"error": true, "timestamp": {"stop": 1}}', "no backup of this database without errors"),
        (BACKUPS % '{"database": {"id": 1}, "timestamp": {}}', "no list"),
        (BACKUPS % '{"timestamp": {"stop": 1}}', "no list"),
        # Of another database, or of this one before it was made anew.
        (
            BACKUPS.replace("7", "8") % '{"database": {"id": 1}, "timestamp": {"stop": 1}}',
            "no backup of this",
        ),
        (BACKUPS % '{"database": {"id": 2}, "timestamp": {"stop": 1}}', "no backup of this database"),
        (BACKUPS % '{"database": {"id": 1}, "timestamp": {"stop": 99999999999}}', "in the future"),
    ],
)
def test_no_sound_backup_of_this_database_refuses(
    answer: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, "7\n", answer)
    age, said = guard.backup_age("5432")
    assert age is None
    assert reason in said


def test_the_age_is_that_of_the_newest_backup(monkeypatch: pytest.MonkeyPatch) -> None:
    one = '{"database": {"id": 1}, "timestamp": {"stop": 3600}}'
    answers(monkeypatch, "7\n", BACKUPS % f"{one}, {one.replace('3600', '1')}")
    monkeypatch.setattr(guard.time, "time", lambda: 3 * 3600.0)
    assert guard.backup_age("5432") == (2.0, "")


@pytest.mark.parametrize("zone", ["Asia/Nowhere", "../../etc/passwd", "/etc/passwd"])
def test_a_zone_that_the_host_does_not_know_refuses(zone: str) -> None:
    assert "does not know the time zone" in guard.outside_now("22:00-05:00", zone)


def test_a_window_is_meant_in_the_hospitals_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/UTC")
    monkeypatch.setattr(
        guard.time, "localtime", functools.partial(time.localtime, 1_795_420_800)
    )  # 08:00 UTC
    try:
        assert guard.outside_now("15:00-17:00", "Asia/Shanghai") == ""
        assert guard.outside_now("07:00-09:00", "Asia/Shanghai") == "it is 16:00, outside of 07:00-09:00"
    finally:
        monkeypatch.undo()
        time.tzset()
