"""Before and after: this assessment beside the one before it, item by item and check by check. From the record alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from maintenance.documents.assessed import COLOUR, ITEM_VERDICTS, View
from maintenance.documents.clean import clean
from maintenance.documents.table import GREEN, GREY, NONE, RED, YELLOW, Row, Table
from maintenance.local_time import minute
from maintenance.record import AssessmentItem, OpenIssue

_RANK = {"fail": 0, "partial": 1, "pass": 2}
_CHANGES = ("better", "cleared", "worse", "settled", "lost", "other_change")
CHANGE_COLOUR = {
    "better": GREEN,
    "cleared": GREEN,
    "worse": RED,
    "settled": NONE,
    "lost": GREY,
    "other_change": YELLOW,
}
_STATES = ("closed", "open", "new", "unknown")
_NAMED = 6  # checks that a cell names


def change_of(before: str, after: str) -> str:
    """What became of an item, as a word of `_CHANGES`, or '' where nothing did."""
    if before == after:
        return ""
    if before in _RANK and after in _RANK:
        return "better" if _RANK[after] > _RANK[before] else "worse"
    if before in ("fail", "partial") and after == "manual":
        return "cleared"  # no deviation is left, and people have to judge the rest
    if after in _RANK and before in ("manual", "unknown"):
        return "settled"
    return "lost" if before in _RANK and after in ("manual", "unknown") else "other_change"


def changes(view: View) -> dict[str, Any]:
    """The chapter: counts of both, what changed of each item, and the problems that are followed."""
    words, previous = view.words, view.assessment.previous
    if not previous:
        return {"there": False, "sentence": words("first_time"), "counts": Table(), "units": Table()}
    found = changed(view)
    kinds = Counter(kind for _, _, kind in found)
    numbers = {kind.removesuffix("_change"): kinds[kind] for kind in _CHANGES}
    same = sum(previous.get(item.unit) == item.verdict for item in view.assessment.items)
    comparison = view.record.comparison
    if comparison and comparison.previous_run and comparison.previous_finished:
        sentence = words(
            "compared_with",
            run=clean(comparison.previous_run, 120),
            finished=minute(comparison.previous_finished),
            same=same,
            **numbers,
        )
    else:
        sentence = words("compared_unnamed", same=same, **numbers)
    return {
        "there": True,
        "sentence": sentence,
        "counts": Table(_counts(view)),
        "units": Table(
            [_row(view, *one) for one in found],
            "" if found else words("unchanged"),
            followed_sentence(view),
        ),
    }


def changed(view: View) -> list[tuple[AssessmentItem, str, str]]:
    """Items whose verdict is another than before, with that verdict and the kind of change; worse ones first."""
    previous = view.assessment.previous
    found = [
        (item, before, change_of(before, item.verdict))
        for item in view.assessment.items
        if (before := previous.get(item.unit)) is not None and before != item.verdict
    ]
    order = {
        kind: number
        for number, kind in enumerate(("worse", "lost", "other_change", "settled", "cleared", "better"))
    }
    return sorted(found, key=lambda one: order[one[2]])


def _counts(view: View) -> list[Row]:
    """A row for each verdict: before, after, difference."""
    before = Counter(view.assessment.previous.values())
    after: Counter[str] = Counter(item.verdict for item in view.assessment.items)
    return [
        {
            "verdict": view.words(verdict),
            "colour": COLOUR[verdict],
            "before": before[verdict],
            "after": after[verdict],
            "difference": f"{after[verdict] - before[verdict]:+d}"
            if after[verdict] != before[verdict]
            else "0",
        }
        for verdict in ITEM_VERDICTS
    ]


def _row(view: View, item: AssessmentItem, before: str, kind: str) -> Row:
    words = view.words
    return {
        "unit": f"{clean(item.unit, 20)}\n{clean(item.clause, 20)}",
        "title": clean(item.title, 160),
        "before": words(before) if before in COLOUR else clean(before, 20),
        "before_colour": COLOUR.get(before, NONE),
        "after": words(item.verdict),
        "after_colour": COLOUR[item.verdict],
        "change": words(kind),
        "colour": CHANGE_COLOUR[kind],
        "detail": detail(view, item) or "—",
    }


def detail(view: View, item: AssessmentItem, shown: int = _NAMED) -> str:
    """What became of an item's checks."""
    by_state: dict[str, dict[str, list[str]]] = {}
    for issue in _issues(view, item.checks):
        hosts = by_state.setdefault(issue.state, {}).setdefault(clean(issue.id, 40), [])
        if issue.host not in hosts:
            hosts.append(issue.host)
    lines = []
    for state in _STATES:
        found = by_state.get(state, {})
        named = [f"{check} ({_hosts(hosts, view)})" for check, hosts in found.items()]
        if named:
            more = f" … ({len(named)})" if len(named) > shown else ""
            checks = view.words("list").join(named[:shown]) + more
            lines.append(view.words(f"change_{state}", checks=checks))
    return "\n".join(lines)


def _hosts(hosts: Sequence[str], view: View) -> str:
    """One or two by name, of more the count."""
    if len(hosts) <= 2:
        return ", ".join(clean(host, 80) for host in hosts)
    return view.words("hosts_count", n=len(hosts))


def _issues(view: View, checks: Sequence[str]) -> list[OpenIssue]:
    comparison, wanted = view.record.comparison, set(checks)
    return [issue for issue in comparison.issues if issue.id in wanted] if comparison else []


def followed_sentence(view: View) -> str:
    """How many problems of checks were closed, and how many were not."""
    comparison = view.record.comparison
    if comparison is None or comparison.previous_run is None or not comparison.issues:
        return ""
    counts: Counter[str] = Counter(issue.state for issue in comparison.issues)
    numbers = {state: counts[state] for state in _STATES}
    return view.words("issues_sentence", n=len(comparison.issues), **numbers)
