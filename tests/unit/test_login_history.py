"""What the module login_history makes of sshd's lines: from the journal, from log files, plain, rotated and packed."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import login_lines

REPOSITORY = Path(__file__).parents[2]
KEY = "SHA256:bN5FbS0l0/K9PeXF5FmPzdAEn5YPa/xvbirYuXqA1EQ"
CA = "SHA256:vIHNMTl5orXOD+2K+wCMeQ+wR+MuzNG/RjobCN5eitY"
SINCE = "2026-11-22T00:00:00Z"
START = login_lines.seconds(SINCE)


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "login_history", REPOSITORY / "library" / "login_history.py"
    )
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def logins(*messages: tuple[int, str, str]) -> list[dict[str, Any]]:
    found = login_lines.Logins(100)
    for message in messages:
        found.take(*message)
    return found.found


@pytest.mark.parametrize(
    "message, expected",
    [
        (
            f"Accepted publickey for engineer from 192.0.2.1 port 5022 ssh2: ED25519 {KEY}",
            {
                "user": "engineer",
                "source": "192.0.2.1",
                "method": "publickey",
                "key": KEY,
                "key_type": "ED25519",
            },
        ),
        (
            f"Accepted publickey for zhang from 2001:db8::7 port 22 ssh2: ED25519-CERT {KEY} ID zhang (serial 3) "
            f"CA ED25519 {CA}",
            {"source": "2001:db8::7", "key": KEY, "authority": CA, "certificate": "zhang (serial 3)"},
        ),
        (
            f"Accepted publickey for zhang from 192.0.2.1 port 22 ssh2: RSA-CERT ID z (serial 0) CA RSA {CA}",
            {"key": "", "authority": CA, "certificate": "z (serial 0)"},
        ),
        (
            "Accepted password for root from 192.0.2.1 port 22 ssh2",
            {"user": "root", "method": "password", "key": ""},
        ),
        (
            "Accepted keyboard-interactive/pam for li from 192.0.2.1 port 22 ssh2",
            {"method": "keyboard-interactive/pam"},
        ),
        (
            "Accepted publickey for HOSPITAL\\Wang Li from 192.0.2.1 port 22 ssh2: RSA 0a:1b:2c:3d:4e:5f:60:71:82:93:a4:"
            "b5:c6:d7:e8:f9",
            {"user": "HOSPITAL\\Wang Li", "key": "0a:1b:2c:3d:4e:5f:60:71:82:93:a4:b5:c6:d7:e8:f9"},
        ),
    ],
)
def test_accepted_logins_of_every_method_are_read(message: str, expected: dict[str, str]) -> None:
    (login,) = logins((START, "1", message))
    assert {name: login[name] for name in expected} == expected
    assert login["time"] == SINCE


@pytest.mark.parametrize(
    "message",
    [
        "Failed password for root from 192.0.2.1 port 22 ssh2",
        "Invalid user Accepted publickey for root from 192.0.2.1 port 22 from 192.0.2.1 port 22",
        "Disconnected from authenticating user root 192.0.2.1 port 22 [preauth]",
    ],
)
def test_who_did_not_get_in_is_no_login(message: str) -> None:
    assert logins((START, "1", message)) == []


@pytest.mark.parametrize(
    "end",
    [
        ("9", "Disconnected from user engineer 192.0.2.1 port 5022"),
        ("9", "Received disconnect from 192.0.2.1 port 5022:11: disconnected by user"),
        ("1", "pam_unix(sshd:session): session closed for user engineer"),
    ],
)
def test_the_end_of_a_session_is_known_by_its_port_or_its_process(end: tuple[str, str]) -> None:
    first = "Accepted publickey for engineer from 192.0.2.1 port 5022 ssh2: ED25519 " + KEY
    second = first.replace("5022", "5023")
    one, two = logins((START, "1", first), (START + 1, "2", second), (START + 60, *end))
    assert (one["ended"], two["ended"]) == ("2026-11-22T00:01:00Z", None)


def test_with_two_factors_the_key_of_the_first_is_kept() -> None:
    partial = f"Partial publickey for li from 192.0.2.1 port 22 ssh2: ED25519 {KEY}"
    second = "Accepted keyboard-interactive/pam for li from 192.0.2.1 port 22 ssh2"
    (login,) = logins((START, "7", partial), (START, "7", second))
    assert (login["method"], login["key"]) == ("keyboard-interactive/pam", KEY)


def test_the_newest_logins_are_kept_and_the_others_counted() -> None:
    found = login_lines.Logins(2)
    for number in range(5):
        found.take(
            START + number, str(number), f"Accepted password for u{number} from 192.0.2.1 port {number} ssh2"
        )
    assert ([login["user"] for login in found.found], found.dropped) == (["u3", "u4"], 3)


@pytest.fixture
def shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("shanghai")
@pytest.mark.parametrize(
    "line, latest, expected",
    [
        ("2026-11-22T13:00:01.123456+08:00 db1 x", "2026-11-23T00:00:00Z", "2026-11-22T05:00:01Z"),
        ("2026-11-22T13:00:01Z db1 x", "2026-11-23T00:00:00Z", "2026-11-22T13:00:01Z"),
        ("Nov 22 13:00:01 db1 x", "2026-11-23T00:00:00Z", "2026-11-22T05:00:01Z"),
        ("Dec 31 23:59:59 db1 x", "2027-01-02T00:00:00Z", "2026-12-31T15:59:59Z"),
        ("Jan  1 00:00:01 db1 x", "2027-01-02T00:00:00Z", "2026-12-31T16:00:01Z"),
    ],
)
def test_times_of_log_files_get_their_zone_and_their_year(line: str, latest: str, expected: str) -> None:
    stamped = login_lines.stamp(line, login_lines.seconds(latest))
    assert stamped is not None
    assert (login_lines.instant(stamped[0]), stamped[1]) == (expected, "db1 x")


@pytest.mark.parametrize("line", ["", "no time at all", "Xyz 22 13:00:01 db1 x", "2026-11-22 13:00:01 db1 x"])
def test_a_line_without_a_time_is_none(line: str) -> None:
    assert login_lines.stamp(line, START) is None


# -- the whole module, on files and on a journal of its own

Read = Callable[..., dict[str, Any]]


def journal(*entries: dict[str, Any]) -> Callable[[list[str]], Iterator[dict[str, Any]]]:
    """A journal; asked without a match it gives everything."""

    def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
        wanted = [word.partition("=")[2] for word in arguments if word.startswith("SYSLOG_IDENTIFIER=")]
        yield from (item for item in entries if not wanted or item.get("SYSLOG_IDENTIFIER") in wanted)

    return run


def entry(at: str, message: str = "x", uid: str = "0", identifier: str = "sshd") -> dict[str, Any]:
    stamp = str(login_lines.seconds(at) * 1000000)
    told = {"__REALTIME_TIMESTAMP": stamp, "MESSAGE": message, "_UID": uid, "_PID": "7"}
    return {**told, "SYSLOG_IDENTIFIER": identifier}


@pytest.fixture
def read(module: ModuleType, tmp_path: Path) -> Read:
    def call(*entries: dict[str, Any], maximum: int = 100) -> dict[str, Any]:
        parameters = {
            "since": SINCE,
            "maximum": maximum,
            "seconds": 60,
            "files": [str(tmp_path / "auth.log")],
        }
        found: dict[str, Any] = module.read_logins(parameters, journal(*entries))
        return found

    return call


def line(at: str, user: str, port: int) -> str:
    return f"{at} db1 sshd[7]: Accepted password for {user} from 192.0.2.1 port {port} ssh2\n"


def accepted(at: str, user: str, port: int, **changed: str) -> dict[str, Any]:
    return entry(at, f"Accepted password for {user} from 192.0.2.1 port {port} ssh2", **changed)


def test_a_journal_that_reaches_back_far_enough_is_enough(read: Read, tmp_path: Path) -> None:
    (tmp_path / "auth.log").write_text(line("2026-11-22T01:00:00Z", "file", 1))
    found = read(entry("2026-11-01T00:00:00Z", identifier="kernel"), accepted("2026-11-22T02:00:00Z", "a", 1))
    assert ([login["user"] for login in found["logins"]], found["complete"]) == (["a"], True)
    assert (found["sources"], found["reaches_back_to"]) == (["journal"], "2026-11-01T00:00:00Z")


def test_sshd_session_of_newer_servers_is_read_and_a_forged_line_of_an_account_is_not(read: Read) -> None:
    found = read(
        entry("2026-11-01T00:00:00Z"),
        accepted("2026-11-22T02:00:00Z", "newer", 1, identifier="sshd-session"),
        accepted("2026-11-22T02:00:00Z", "forged", 2, uid="1000"),
        accepted("2026-11-22T02:00:00Z", "other", 3, identifier="cron"),
    )
    assert [login["user"] for login in found["logins"]] == ["newer"]


def test_where_the_journal_is_too_young_rotated_files_go_on_and_nothing_counts_twice(
    read: Read, tmp_path: Path
) -> None:
    (tmp_path / "auth.log").write_text(line("2026-11-22T06:00:00.4+00:00", "both", 2))
    (tmp_path / "auth.log.1").write_text(line("2026-11-22T03:00:00Z", "first", 1))
    with gzip.open(tmp_path / "auth.log.2.gz", "wt") as packed:
        packed.write("2026-11-21T20:00:00Z db1 cron[1]: x\n" + line("2026-11-22T00:30:00Z", "packed", 3))
    for age, name in enumerate(("auth.log", "auth.log.1", "auth.log.2.gz")):
        os.utime(tmp_path / name, (START + 86400 - age * 3600,) * 2)
    found = read(accepted("2026-11-22T06:00:01Z", "both", 2))
    assert [login["user"] for login in found["logins"]] == ["packed", "first", "both"]
    assert (found["reaches_back_to"], found["complete"]) == ("2026-11-21T20:00:00Z", True)


def test_a_log_that_begins_later_is_not_complete(read: Read, tmp_path: Path) -> None:
    (tmp_path / "auth.log").write_text(line("2026-11-22T06:00:00Z", "a", 1))
    found = read()
    assert (found["complete"], found["reaches_back_to"]) == (False, "2026-11-22T06:00:00Z")
    assert found["problems"] == []


def test_without_any_log_the_problem_is_said(read: Read) -> None:
    found = read()
    assert (found["logins"], found["complete"], found["reaches_back_to"]) == ([], False, None)
    assert found["problems"] == ["no log of logins was found"]


def test_a_file_that_cannot_be_unpacked_is_a_problem(read: Read, tmp_path: Path) -> None:
    (tmp_path / "auth.log").write_text(line("2026-11-22T06:00:00Z", "a", 1))
    (tmp_path / "auth.log.2.gz").write_bytes(b"\x1f\x8b broken")
    found = read()
    assert "auth.log.2.gz cannot be read" in found["problems"][0]
    assert not found["complete"]


def test_logins_beyond_the_maximum_make_it_incomplete(read: Read) -> None:
    many = [accepted(f"2026-11-22T0{hour}:00:00Z", f"u{hour}", hour) for hour in range(1, 6)]
    found = read(entry("2026-11-01T00:00:00Z"), *many, maximum=2)
    assert [login["user"] for login in found["logins"]] == ["u4", "u5"]
    assert (found["problems"], found["complete"]) == (["3 older logins were left out"], False)
    assert found["reaches_back_to"] == "2026-11-22T04:00:00Z"


def test_the_real_journalctl_or_its_absence_is_read_without_an_error(
    module: ModuleType, tmp_path: Path
) -> None:
    parameters = {"since": SINCE, "maximum": 10, "seconds": 20, "files": [str(tmp_path / "none")]}
    found = module.read_logins(parameters)
    json.dumps(found)
    assert found["schema"] == "login-history/1"
