"""The rule for a receiver that is away: commits go on after a grace, and wait again when it has caught up."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from lab.plan import REPOSITORY


@pytest.fixture(scope="module")
def program() -> ModuleType:
    """roles/database_backup/files/sync_guard.py."""
    path = REPOSITORY / "roles" / "database_backup" / "files" / "sync_guard.py"
    spec = importlib.util.spec_from_file_location("sync_guard", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def decisions(program: ModuleType, seen: list[tuple[str, int | None]]) -> list[str]:
    """What it decides, looking each second, with a grace of three."""
    guard = program.Guard("backup_receiver", 3.0)
    return [guard.decide(demanded, behind, float(now)) for now, (demanded, behind) in enumerate(seen)]


def test_a_receiver_that_is_there_changes_nothing(program: ModuleType) -> None:
    assert decisions(program, [("backup_receiver", 0)] * 9) == [""] * 9


def test_one_that_stays_away_is_no_more_waited_for(program: ModuleType) -> None:
    away = [("backup_receiver", None)] * 4
    assert decisions(program, [("backup_receiver", 0), *away]) == ["", "", "", "", "release"]


def test_one_that_comes_back_in_time_is_still_waited_for(program: ModuleType) -> None:
    seen = [("backup_receiver", None)] * 3 + [("backup_receiver", 0)] + [("backup_receiver", None)] * 3
    assert decisions(program, seen) == [""] * 7


def test_it_is_waited_for_again_when_it_has_caught_up_for_a_while(program: ModuleType) -> None:
    seen = [("", None), ("", 1 << 30), ("", 0), ("", 0), ("", None), *[("", 0)] * 4]
    assert decisions(program, seen) == [""] * 8 + ["demand"]


def test_what_somebody_else_demands_is_left_alone(program: ModuleType) -> None:
    assert decisions(program, [("standby1", None)] * 9) == [""] * 9
