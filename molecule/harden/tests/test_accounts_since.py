"""People are added between a hardening and its undo: they stay, and the rest is as it was."""

from __future__ import annotations

from collections.abc import Callable

from lab.calls import Done
from lab.hardening import state_of

HOST = "app1"
ONLY = (
    "--limit",
    HOST,
    "--reason",
    "accounts",
    "--set",
    "harden_sessions=none",
    "--set",
    "harden_backup_hours=0",
)


def test_an_undo_keeps_who_was_added_since(run: Callable[..., Done], root: Callable[[str, str], str]) -> None:
    root(HOST, "useradd drill && echo 'drill:Right-1-and-long' | chpasswd")
    try:
        before = state_of(root, HOST)
        done = run("harden", *ONLY, "--set", "harden_controls=LNX-AC-21A,LNX-IA-16A")
        assert done.code == 0, done.record.outcome_reason
        assert "90" in root(HOST, "getent shadow drill").split(":")
        root(HOST, "useradd newcomer")
        shown = root(HOST, "getent passwd newcomer; getent shadow newcomer; getent group newcomer")
        undone = run("undo_hardening", *ONLY)
        assert undone.code == 0, undone.record.outcome_reason
        assert root(HOST, "getent passwd newcomer; getent shadow newcomer; getent group newcomer") == shown
        assert "sysadmin" not in root(HOST, "cat /etc/group /etc/gshadow")
        root(HOST, "userdel newcomer")
        # The tools' own copies (passwd- and so on) tell of the newcomer.
        left = [line for line in set(before) ^ set(state_of(root, HOST)) if "- " not in f"{line} "]
        assert left == []
    finally:
        root(HOST, "userdel drill")
