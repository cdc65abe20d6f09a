"""What brings the service back when a switch is not confirmed: never two servers, and never none without need."""

from __future__ import annotations

import importlib.util
import json
import socket
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lab.plan import REPOSITORY

TOLD: dict[str, Any] = {
    "home": "db1",
    "timeline": 2,
    "units": ["postgresql@15-main.service"],
    "lease_seconds": 45,
}


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """roles/failback/files/failback_guard.py, with a folder of its own and a systemctl that only notes its calls."""
    path = REPOSITORY / "roles" / "failback" / "files" / "failback_guard.py"
    spec = importlib.util.spec_from_file_location("failback_guard", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    monkeypatch.setattr(module, "PROMOTING", tmp_path / "promoting")
    monkeypatch.setattr(module, "GIVEN", tmp_path / "given")
    monkeypatch.setattr(module, "run", lambda *command: calls.append(command))
    monkeypatch.setattr(module.time, "sleep", lambda seconds: calls.append(("sleep", f"{seconds:.0f}")))
    module.calls = calls  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    ("promoting", "answer", "step"),
    [(False, None, "start"), (True, None, ""), (True, 2, "start"), (True, 3, "stay")],
)
def test_it_starts_only_what_can_be_the_only_one(
    program: ModuleType, promoting: bool, answer: int | None, step: str
) -> None:
    assert program.decide(promoting, TOLD, answer) == step


@pytest.mark.parametrize(
    ("since", "now", "left"),
    [
        (1000.0, 1000.0, 105.0),
        (1000.0, 1100.0, 5.0),
        (1000.0, 1200.0, 0.0),
        (1000.0, 20.0, 85.0),
        (0.0, 3.0, 102.0),
    ],
)
def test_a_promotion_that_may_be_under_way_is_waited_for(
    program: ModuleType, since: float, now: float, left: float
) -> None:
    assert program.patience(since, now, 105.0) == left


def test_before_the_promotion_the_server_starts_at_once_and_nothing_waits_any_more(
    program: ModuleType, tmp_path: Path
) -> None:
    told = {**TOLD, "data_directory": str(tmp_path)}
    (tmp_path / "guard.json").write_text(json.dumps(told))
    assert program.main(["database"]) == 0
    assert program.calls == [
        ("systemctl", "unmask", *TOLD["units"]),
        ("systemctl", "start", *TOLD["units"]),
        ("systemctl", "disable", "--now", program.TIMER),
    ]


def test_a_promoted_machine_keeps_this_one_stopped_and_masked(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {**TOLD, "data_directory": str(tmp_path)}
    monkeypatch.setattr(program, "last_record", lambda _told: ("shut down", "0/A000028"))
    assert program.promoting(told, "0/A000028") == 0
    assert (tmp_path / "standby.signal").exists()
    assert ("systemctl", "mask", *TOLD["units"]) in program.calls
    program.calls.clear()
    answers = [None, None, 3]
    monkeypatch.setattr(program, "asked", lambda _told: answers.pop(0))
    program.database(told)
    assert program.calls == [
        ("sleep", "105"),
        ("sleep", "5"),
        ("sleep", "5"),
        ("systemctl", "disable", "--now", program.TIMER),
    ]
    assert (tmp_path / "standby.signal").exists()
    assert not (tmp_path / "promoting").exists()


def test_what_was_confirmed_while_it_waited_is_never_started(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {**TOLD, "data_directory": str(tmp_path)}
    monkeypatch.setattr(program, "last_record", lambda _told: ("shut down", "0/A000028"))
    assert program.promoting(told, "0/A000028") == 0
    program.calls.clear()
    # The confirmation comes in the middle of the wait; afterwards the account that it would ask with is gone.
    monkeypatch.setattr(program.time, "sleep", lambda _seconds: program.confirmed(told))
    monkeypatch.setattr(program, "asked", lambda _told: None)
    program.database(told)
    assert "start" not in {command[1] for command in program.calls}
    assert ("systemctl", "stop", program.SERVICE) in program.calls
    assert (tmp_path / "standby.signal").exists()


def test_what_was_given_away_stays_so_whoever_asks_again(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {**TOLD, "data_directory": str(tmp_path)}
    monkeypatch.setattr(program, "last_record", lambda _told: ("shut down", "0/A000028"))
    assert program.promoting(told, "0/A000028") == 0
    monkeypatch.setattr(program, "asked", lambda _told: 3)
    program.database(told)
    program.calls.clear()
    program.database(told)
    assert "start" not in {command[1] for command in program.calls}
    # The next loss and return of this server is another story, on a later timeline.
    program.database({**told, "timeline": 4})
    assert ("systemctl", "start", *TOLD["units"]) in program.calls


def test_a_machine_that_was_not_promoted_lets_this_one_start_as_a_primary(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {**TOLD, "data_directory": str(tmp_path)}
    monkeypatch.setattr(program, "last_record", lambda _told: ("shut down", "0/A000028"))
    assert program.promoting(told, "0/A000028") == 0
    monkeypatch.setattr(program, "asked", lambda _told: 2)
    program.database(told)
    assert ("systemctl", "start", *TOLD["units"]) in program.calls
    assert not (tmp_path / "standby.signal").exists()


@pytest.fixture
def port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("place", ["present", "home"])
def test_the_application_follows_the_server_that_answers(
    program: ModuleType, tmp_path: Path, port: int, place: str
) -> None:
    path = tmp_path / "app.conf"
    path.write_text("[database]\nhost = standby1\npassword = kept\n")
    path.chmod(0o640)
    addresses = {"present": "127.0.0.1", "home": "127.0.0.2"}
    lines = {"present": "host = standby1", "home": "host = db1"}
    told = {
        **addresses,
        "port": port,
        "path": str(path),
        "regexp": "^host = .*$",
        "lines": lines,
        "units": ["web.service"],
    }
    with socket.create_server((addresses[place], port)):
        program.application(told, 0)
    assert path.read_text() == f"[database]\n{lines[place]}\npassword = kept\n"
    assert oct(path.stat().st_mode)[-3:] == "640"
    started = {"present": "start", "home": "restart"}[place]
    assert program.calls[0] == ("systemctl", started, "web.service")


def test_the_application_comes_back_to_a_present_server_that_was_only_late(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "app.conf"
    path.write_text("host = standby1\n")
    lines = {"present": "host = standby1", "home": "host = db1"}
    told = {"present": "standby1", "home": "db1", "port": 5432, "path": str(path), "regexp": "^host = .*$"}
    told |= {"lines": lines, "units": ["web.service"]}
    looks = iter([False, False, False, True, True])
    monkeypatch.setattr(program, "answers", lambda _host, _port: next(looks))
    program.application(told, 180)
    assert path.read_text() == "host = standby1\n"
    waited = ("sleep", "5")
    restarted = ("systemctl", "restart", "web.service")
    assert program.calls[:-1] == [waited, restarted, waited, restarted]


@pytest.mark.parametrize(
    "state",
    [
        ("in production", "0/A000028"),
        ("shut down", "0/B000028"),
        ("", ""),
        ("shut down in recovery", "0/A000028"),
    ],
)
def test_nothing_is_promoted_when_the_server_ran_since_it_was_compared(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: tuple[str, str]
) -> None:
    monkeypatch.setattr(program, "last_record", lambda _told: state)
    assert program.promoting({**TOLD, "data_directory": str(tmp_path)}, "0/A000028") == 1
    assert not program.calls
    assert not (tmp_path / "promoting").exists()


def test_nothing_is_promoted_while_the_server_is_being_brought_back(
    program: ModuleType, tmp_path: Path
) -> None:
    with program.alone(wait=True):
        assert program.promoting({**TOLD, "data_directory": str(tmp_path)}, "0/A000028") == 1
