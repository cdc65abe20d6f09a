"""Audit rules that are fixed until the next start, on a machine with a kernel of its own (`make test-long`)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from test_machine import ONLY, machine

from lab.calls import Done, call

__all__ = ["machine"]


def test_an_undo_says_that_fixed_rules_stay_until_the_next_start(
    machine: str, root: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    ledger = tmp_path_factory.mktemp("fixed") / "ledger"

    def run(book: str, *more: object) -> Done:
        return call("run", book, "--site", machine, "--ledger", ledger, "--json", "--lang", "en", *more)

    named = ("--set", "harden_controls=LNX-AU-04B,LNX-AU-24,LNX-AU-25,LNX-IP-16C,LNX-IP-16F")
    hardened = run("harden", *ONLY, *named)
    assert hardened.code == 0, hardened.record.outcome_reason
    # Asked of the machine itself: an emulated one may be too slow for the assessment, which then says unknown.
    assert "enabled 2" in root("vm1", "auditctl -s").splitlines()
    assert "-w /etc/shadow -p wa -k identity" in root("vm1", "auditctl -l")
    assert (
        root("vm1", "systemctl show auditd.service --property=RefuseManualStop") == "RefuseManualStop=yes\n"
    )
    assert "noexec" in root("vm1", "findmnt -no OPTIONS /dev/shm")
    # /tmp is a file system of its own from the next start on, and told so.
    assert "tmpfs /tmp tmpfs" in root("vm1", "cat /etc/fstab")
    assert root("vm1", "findmnt -no TARGET /tmp || true") == ""
    assert {one.kind for one in hardened.record.left if one.check == ""} == {"next_start"}
    undone = run("undo_hardening", *ONLY)
    assert undone.code == 0, undone.record.outcome_reason
    assert {(one.host, one.kind) for one in undone.record.left} == {("vm1", "next_start")}
    assert any(
        "the audit rules stay fixed (-e 2) until the next start" in one.reason for one in undone.record.left
    )
    assert "enabled 2" in root("vm1", "auditctl -s").splitlines()
