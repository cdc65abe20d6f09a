"""Problems followed from inspection to inspection. From the record alone."""

from __future__ import annotations

from collections.abc import Sequence

from maintenance.documents.clean import clean
from maintenance.documents.table import (
    GREEN,
    GREY,
    NONE,
    RED,
    SEVERITY_COLOUR,
    YELLOW,
    Row,
    Table,
    cut,
    host_list,
    number_rows,
)
from maintenance.documents.words import Words
from maintenance.local_time import day, minute
from maintenance.record import OpenIssue, Record

ALONE = 4  # places that a problem has a row for each; with more they share one
_ISSUES = 150


def overdue(issue: OpenIssue, today: str) -> bool:
    """Whether its date has passed and it is not closed."""
    return issue.state != "closed" and issue.due < today


def counts(record: Record) -> dict[str, int] | None:
    """How the previous inspection's problems stand; None where there was none before."""
    comparison = record.comparison
    if comparison is None or comparison.previous_run is None:
        return None
    today = day(record.finished)
    states = [issue.state for issue in comparison.issues]
    return {
        "before": len(states) - states.count("new"),
        "closed": states.count("closed"),
        "open": states.count("open"),
        "unknown": states.count("unknown"),
        "new": states.count("new"),
        "overdue": sum(overdue(issue, today) for issue in comparison.issues if issue.state != "new"),
    }


def compared(record: Record, words: Words) -> str:
    """The comparison in one sentence."""
    counted = counts(record)
    if counted is None or record.comparison is None or record.comparison.previous_finished is None:
        return words("compared_first")
    before, run = minute(record.comparison.previous_finished), clean(record.comparison.previous_run, 120)
    return words("compared", finished=before, run=run, n=counted["before"])


def issues(record: Record, words: Words) -> Table:
    """The previous inspection's problems and what became of them; new ones are in the chapter after."""
    counted = counts(record)
    if counted is None or record.comparison is None:
        return Table(sentence=compared(record, words))
    today = day(record.finished)
    before = [issue for issue in record.comparison.issues if issue.state != "new"]
    sentence = compared(record, words)
    if not before:
        return Table(
            sentence=sentence,
            note=words("compared_none"),
        )
    rows: list[Row] = [
        {
            "where": host_list([_place(issue) for issue in group], words),
            "title": f"{clean(group[0].title, 160)}\n{words('rule', id=clean(group[0].id, 60))}",
            "level": words(group[0].severity),
            "colour": NONE if group[0].state == "closed" else SEVERITY_COLOUR[group[0].severity],
            "owner": words(clean(group[0].owner, 60)) or words("not_provided"),
            "first": day(group[0].first_seen),
            "due": clean(group[0].due, 20),
            "state": _state(group[0], today, words),
            "state_colour": _state_colour(group[0], today),
            "advice": clean(group[0].advice, 300) or "—",
        }
        for group in _grouped(before)
    ]
    table = cut(number_rows(rows), words, limit=_ISSUES)
    table.sentence = sentence + words("compared_rule")
    return table


def _grouped(issues: Sequence[OpenIssue]) -> list[list[OpenIssue]]:
    """Problems one by one, except those of one rule, date and state at many places: they stand together."""
    groups: dict[tuple[str, ...], list[OpenIssue]] = {}
    for issue in issues:
        key = (issue.id, issue.state, issue.severity, issue.owner, issue.due, day(issue.first_seen))
        groups.setdefault(key, []).append(issue)
    return [
        part
        for group in groups.values()
        for part in ([group] if len(group) > ALONE else [[one] for one in group])
    ]


def _place(issue: OpenIssue) -> str:
    host = clean(issue.host, 80)
    return host if issue.subject in ("", issue.host) else f"{host} {clean(issue.subject, 120)}"


def _state(issue: OpenIssue, today: str, words: Words) -> str:
    if issue.state == "unknown":
        return words("not_looked_at_overdue" if overdue(issue, today) else "not_looked_at")
    return words("overdue" if overdue(issue, today) else issue.state)


def _state_colour(issue: OpenIssue, today: str) -> str:
    if issue.state == "closed":
        return GREEN
    return RED if overdue(issue, today) else GREY if issue.state == "unknown" else YELLOW
