"""This inspection beside the previous one: which problems are closed, still open, new, or unknown. Pure.

A problem is a finding that asks for action: verdict `fail` or `partial`, of any severity (advice has its
own, longer term). It is recognised again by host, rule and subject, and keeps the day it was first seen and
its due date until it is closed. What could not be looked at is never closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from maintenance.local_time import parse
from maintenance.record import Comparison, Finding, OpenIssue, Record

DUE_DAYS: Mapping[str, int] = {"critical": 7, "warning": 30, "advice": 90}

_ACT = ("fail", "partial")
_JUDGED = ("pass", "partial", "fail", "waived", "not_applicable")
_ORDER = {"critical": 0, "warning": 1, "advice": 2}
_STATES = {"open": 0, "unknown": 1, "new": 2, "closed": 3}
_Key = tuple[str, str, str]


def compare(
    evidence: Mapping[str, Sequence[Finding]],
    previous: Record | None,
    *,
    finished: str,
    due_days: Mapping[str, int] = DUE_DAYS,
) -> Comparison:
    """Follow the previous inspection's problems into this one's evidence.

    A host without evidence was not looked at (not reached, or not in this run): its problems become unknown.
    """
    before = {_key_of(issue): issue for issue in (_open_issues(previous, due_days) if previous else [])}
    failing = {
        (host, finding.id, finding.subject): finding
        for host, findings in evidence.items()
        for finding in findings
        if finding.verdict in _ACT
    }
    issues = [
        _followed(issue, failing.get(key), evidence.get(issue.host, ())) for key, issue in before.items()
    ]
    issues += [
        _new(key[0], finding, finished, due_days) for key, finding in failing.items() if key not in before
    ]
    return Comparison(
        previous_run=previous.run if previous else None,
        previous_finished=previous.finished if previous else None,
        issues=sorted(
            issues, key=lambda one: (_STATES[one.state], _ORDER[one.severity], one.due, _key_of(one))
        ),
    )


def _key_of(issue: OpenIssue) -> _Key:
    return issue.host, issue.id, issue.subject


def _open_issues(previous: Record, due_days: Mapping[str, int]) -> list[OpenIssue]:
    """What the previous inspection left to be done; its first comparison is made here if it had none."""
    comparison = previous.comparison or compare(
        previous.evidence, None, finished=previous.finished, due_days=due_days
    )
    return [issue for issue in comparison.issues if issue.state != "closed"]


def _new(host: str, finding: Finding, finished: str, due_days: Mapping[str, int]) -> OpenIssue:
    due = parse(finished) + timedelta(days=due_days[finding.severity])
    return OpenIssue(
        host=host,
        id=finding.id,
        subject=finding.subject,
        title=finding.title,
        severity=finding.severity,
        owner=finding.owner,
        first_seen=finished,
        due=due.strftime("%Y-%m-%d"),
        state="new",
        advice=finding.advice,
        expected=finding.expected,
        actual=finding.actual,
    )


def _followed(issue: OpenIssue, failing: Finding | None, findings: Sequence[Finding]) -> OpenIssue:
    """The issue as it stands now; present words and severity where it still fails, never a new due date.

    What was measured stays that of the first time: the report of a remediation sets it beside what is now.
    """
    if failing:
        return issue.model_copy(
            update={
                "state": "open",
                "title": failing.title,
                "severity": failing.severity,
                "owner": failing.owner,
                "advice": failing.advice,
                # A record of before these were kept has neither.
                "expected": issue.expected or failing.expected,
                "actual": issue.actual or failing.actual,
            }
        )
    return issue.model_copy(update={"state": "closed" if _settled(issue, findings) else "unknown"})


def _settled(issue: OpenIssue, findings: Sequence[Finding]) -> bool:
    """Whether the rule was really judged again and the subject is no longer among what fails.

    Passing subjects are folded into one finding with another subject, so a subject that is absent beside a
    judged finding of its rule passes now or is gone. That holds only where every subject has a name: the judge
    says `#3` of an item that it could not name and `> 1000` of a list that was cut. A waiver settles: nobody
    has to act; when it ends, the problem is new.
    """
    of_rule = [finding for finding in findings if finding.id == issue.id]
    exact = [finding for finding in of_rule if finding.subject == issue.subject]
    if exact:
        return any(finding.verdict in _JUDGED for finding in exact)
    nameless = any(
        finding.verdict == "unknown" and finding.subject.startswith(("#", ">")) for finding in of_rule
    )
    return not nameless and any(finding.verdict in _JUDGED for finding in of_rule)
