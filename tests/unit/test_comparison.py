"""The comparison: nothing is closed that was not looked at, and a due date never moves."""

from __future__ import annotations

import pytest
from factories import FINISHED, finding, record

from maintenance.comparison import DUE_DAYS, compare
from maintenance.record import Comparison, Record

LATER = "2027-02-20T09:00:00Z"
FAILING = finding(subject="/var", verdict="fail", actual="91 %", advice="扩容")


def previous(*findings, host="db1") -> Record:
    bare = record(evidence={host: list(findings)})
    return bare.model_copy(update={"comparison": compare(bare.evidence, None, finished=FINISHED)})


def states(comparison: Comparison) -> dict[tuple[str, str], str]:
    return {(issue.host, issue.subject): issue.state for issue in comparison.issues}


@pytest.mark.parametrize(
    "severity, due", [("critical", "2026-11-29"), ("warning", "2026-12-22"), ("advice", "2027-02-20")]
)
def test_a_new_problem_is_due_by_its_severity(severity, due):
    made = compare({"db1": [finding(verdict="partial", severity=severity)]}, None, finished=FINISHED)
    (issue,) = made.issues
    assert (issue.state, issue.first_seen, issue.due) == ("new", FINISHED, due)
    assert (made.previous_run, made.previous_finished) == (None, None)
    assert set(DUE_DAYS) == {"critical", "warning", "advice"}


@pytest.mark.parametrize("verdict", ["pass", "waived", "manual", "not_applicable", "unknown"])
def test_what_asks_for_no_action_is_no_problem(verdict):
    assert compare({"db1": [finding(verdict=verdict)]}, None, finished=FINISHED).issues == []


def test_a_problem_that_stays_keeps_its_first_day_and_its_due_date_and_takes_the_present_words():
    now = finding(subject="/var", verdict="partial", severity="critical", title="新标题", advice="立即扩容")
    made = compare({"db1": [now]}, previous(FAILING), finished=LATER)
    (issue,) = made.issues
    assert (issue.state, issue.first_seen, issue.due) == ("open", FINISHED, "2026-12-22")
    assert (issue.title, issue.severity, issue.advice) == ("新标题", "critical", "立即扩容")
    assert issue.actual == "91 %", "what was measured first, for the report of what was mended"
    assert (made.previous_run, made.previous_finished) == ("20261122T131501Z-inspect", FINISHED)


@pytest.mark.parametrize(
    "now, state",
    [
        ([finding(subject="/var")], "closed"),
        ([finding(subject="3")], "closed"),  # passing subjects are folded
        ([finding(subject="/home", verdict="fail"), finding(subject="2")], "closed"),
        ([finding(subject="/data", verdict="unknown"), finding(subject="2")], "closed"),
        ([finding(subject="/var", verdict="waived")], "closed"),
        ([finding(subject="/var", verdict="not_applicable")], "closed"),
        ([finding(subject="/var", verdict="unknown"), finding(subject="2")], "unknown"),
        ([finding(subject="db1", verdict="unknown", actual="df 超时")], "unknown"),
        ([finding(subject="/var", verdict="manual")], "unknown"),
        ([finding(subject="#2", verdict="unknown"), finding(subject="2")], "unknown"),  # it may be that one
        (
            [finding(subject="> 1000", verdict="unknown"), finding(subject="2")],
            "unknown",
        ),  # or beyond the cut
        ([finding(id="HOST-FS-02", subject="/var")], "unknown"),  # its rule was not judged
        ([], "unknown"),
    ],
)
def test_a_problem_is_closed_only_by_a_judgement(now, state):
    made = compare({"db1": now}, previous(FAILING), finished=LATER)
    assert states(made)["db1", "/var"] == state


def test_a_host_that_was_not_reached_closes_nothing():
    made = compare({"app1": [finding(subject="3")]}, previous(FAILING), finished=LATER)
    assert states(made) == {("db1", "/var"): "unknown"}


def test_an_unknown_problem_is_followed_until_it_is_seen_again():
    first = previous(FAILING)
    blind = first.model_copy(
        update={"comparison": compare({}, first, finished=LATER), "finished": LATER, "evidence": {}}
    )
    assert blind.comparison is not None
    assert states(blind.comparison) == {("db1", "/var"): "unknown"}
    seen = compare({"db1": [FAILING]}, blind, finished="2027-05-20T09:00:00Z")
    assert (seen.issues[0].state, seen.issues[0].first_seen, seen.issues[0].due) == (
        "open",
        FINISHED,
        "2026-12-22",
    )
    mended = compare({"db1": [finding()]}, blind, finished="2027-05-20T09:00:00Z")
    assert states(mended) == {("db1", "/var"): "closed"}


def test_a_closed_problem_is_not_carried_on_and_comes_back_as_new():
    first = previous(FAILING)
    closed = first.model_copy(
        update={"comparison": compare({"db1": [finding()]}, first, finished=LATER), "finished": LATER}
    )
    assert compare({"db1": [finding()]}, closed, finished="2027-05-20T09:00:00Z").issues == []
    again = compare({"db1": [FAILING]}, closed, finished="2027-05-20T09:00:00Z")
    assert (again.issues[0].state, again.issues[0].first_seen) == ("new", "2027-05-20T09:00:00Z")


def test_a_previous_record_without_a_comparison_counts_by_its_evidence():
    made = compare({"db1": [FAILING]}, record(evidence={"db1": [FAILING]}), finished=LATER)
    assert (made.issues[0].state, made.issues[0].first_seen) == ("open", FINISHED)


def test_what_is_still_open_comes_first_and_the_gravest_first():
    before = previous(FAILING, finding(id="X-1", subject="a", verdict="fail", severity="critical"))
    now = [
        FAILING,
        finding(id="X-1", subject="a", verdict="fail", severity="critical"),
        finding(id="Y", verdict="fail"),
    ]
    made = compare({"db1": now}, before, finished=LATER)
    assert [(issue.id, issue.state) for issue in made.issues] == [
        ("X-1", "open"),
        ("HOST-FS-01", "open"),
        ("Y", "new"),
    ]
