"""The guard: windows over midnight, and what is not known refuses."""

from __future__ import annotations

import importlib.util
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


@pytest.mark.parametrize("answer", ["", "no number", "3\n4", "-1", "2.5"])
def test_an_answer_that_is_no_number_refuses(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = guard.run(["true"])
    done.stdout = answer
    monkeypatch.setattr(guard, "run", lambda _command: done)
    count, reason = guard.open_sessions({"database": "x", "query": "y"})
    assert count is None
    assert "not answered with a number" in reason


def test_open_sessions_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    done = guard.run(["true"])
    done.stdout = "3\n"
    monkeypatch.setattr(guard, "run", lambda _command: done)
    assert guard.open_sessions({"database": "x", "query": "y"}) == (3, "3 dialysis sessions are open")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("[]", "no backup"),
        ("{", "no list"),
        ('[{"backup": [{"error": true, "timestamp": {"stop": 1}}]}]', "no backup without errors"),
        ('[{"backup": [{"timestamp": {}}]}]', "no list"),
    ],
)
def test_no_sound_backup_refuses(answer: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = guard.run(["true"])
    done.stdout = answer
    monkeypatch.setattr(guard, "run", lambda _command: done)
    age, said = guard.backup_age()
    assert age is None
    assert reason in said
