"""Extra variables of a call: those of every role that a run enters, and no others."""

from __future__ import annotations

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
