"""Extra variables of a call: those of every role that a run enters, and no others."""

from __future__ import annotations

import re

import pytest

from maintenance import runbook, variables
from maintenance.errors import CallError


def test_a_runbook_takes_the_variables_of_roles_that_its_roles_bring_in():
    book = runbook.load("check_baseline")
    declared = variables.declared_variables(book)
    assert {"baseline_waivers", "inspection_scan_seconds", "inspection_postgresql"} <= declared.keys()
    given = variables.read(["baseline_score_2021=true", "inspection_scan_seconds=1.5"], [], book)
    assert given == {"baseline_score_2021": True, "inspection_scan_seconds": 1.5}


def test_a_runbook_takes_no_variable_of_another_runbook():
    with pytest.raises(CallError, match="inspect has no variable 'baseline_score_2021'"):
        variables.read(["baseline_score_2021=true"], [], runbook.load("inspect"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "harden_controls=LNX-AC-99Z",
            "'LNX-AC-99Z' is neither a check with a remedy nor a topic; topics: accounts,",
        ),
        ("harden_skip=sshd,shsd", "'shsd' is neither"),
        ("harden_confirm_seconds=1", "1 is not from 5 to 86400 seconds"),
    ],
)
def test_a_value_that_means_nothing_is_told_before_a_host_is_reached(given, said):
    with pytest.raises(CallError, match=re.escape(said)):
        variables.read([given], [], runbook.load("harden"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("target_time=yesterday", "is no instant with its zone"),
        ("target_time=2026-11-23 02:10:00", "is no instant with its zone"),
        ("target_time=2999-01-01T00:00:00Z", "is in the future"),
    ],
)
def test_an_instant_that_cannot_be_gone_back_to_is_told_before_a_host_is_reached(given, said):
    with pytest.raises(CallError, match=re.escape(said)):
        variables.read([given], [], runbook.load("drill_restore"))
    assert variables.read(["target_time=2026-11-22 02:10:00+08:00"], [], runbook.load("drill_restore"))


@pytest.mark.parametrize("given", ["failed=db1;reboot", "standby=", "failed=../db1"])
def test_what_is_no_name_of_a_host_is_told_before_a_host_is_reached(given):
    with pytest.raises(CallError, match=r"--set (failed|standby): .* is no name of a host"):
        variables.read([given], [], runbook.load("rebuild_database"))


def test_topics_checks_and_wildcards_are_taken():
    given = variables.read(["harden_controls=sshd, LNX-AU-*,LNX-AU-21D"], [], runbook.load("harden"))
    assert given["harden_controls"] == "sshd, LNX-AU-*,LNX-AU-21D"
