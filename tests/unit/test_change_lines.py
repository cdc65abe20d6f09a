"""What a run tells of its changes on a terminal: all of them in a rehearsal, their number after the work."""

from __future__ import annotations

import factories
import pytest

from maintenance.commands.common import change_lines
from maintenance.record import Change

TASK = "change | Keep a restore point, arm it, change what differs"


@pytest.mark.parametrize(
    ("mode", "whole", "lines"),
    [
        ("check", True, ["planned   db1  /etc/a", "planned   db1  two lines", "planned   gate1  /etc/c"]),
        ("apply", False, ["changed   db1  2", "changed   gate1  1"]),
    ],
)
def test_changes_are_told(mode: str, whole: bool, lines: list[str]) -> None:
    named = [("db1", "/etc/a"), ("db1", "two\nlines"), ("gate1", "/etc/c"), ("gate1", "")]
    changes = [
        Change(host=host, task=TASK, subject=subject, before_sha256=None, after_sha256=None)
        for host, subject in named
    ]
    assert change_lines(factories.record(mode=mode, changes=changes), whole=whole) == lines
