"""What is followed over time: problems from inspection to inspection, and capacities into the future."""

from __future__ import annotations

import math
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
    size,
)
from maintenance.documents.words import Words
from maintenance.forecast import HORIZON_DAYS, MINIMUM_POINTS, MINIMUM_SPAN_DAYS
from maintenance.local_time import day, minute, parse
from maintenance.record import Forecast, OpenIssue, Record

ALONE = 4  # places that a problem has a row for each; with more they share one
_ISSUES = 150
_FORECASTS = 40
_YEARS = HORIZON_DAYS // 365


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


# -- capacities


def by_urgency(forecasts: Sequence[Forecast]) -> list[Forecast]:
    """What is full first comes first; then what is fullest."""
    return sorted(
        forecasts,
        key=lambda one: (
            one.reaches.get("80") or "9999",
            -(one.value / one.limit if one.limit else 0),
            one.host,
            one.metric,
            one.subject,
        ),
    )


def charted(forecasts: Sequence[Forecast]) -> list[Forecast]:
    """Those that have a line to draw and a limit to reach, and whole databases."""
    return [
        one
        for one in by_urgency(forecasts)
        if one.slope_per_day is not None and (one.limit or one.metric == "database_size_bytes")
    ]


def method(forecasts: Sequence[Forecast], words: Words) -> str:
    """How the forecast is made, in words that a reader can check."""
    if not forecasts:
        return words(
            "not_involved",
            reason=words("no_capacity"),
        )
    return words("method", points=MINIMUM_POINTS, days=MINIMUM_SPAN_DAYS, years=_YEARS)


def forecast_rows(forecasts: Sequence[Forecast], words: Words) -> Table:
    """One row for each capacity of which something can be said; the others are counted."""
    silent = [one for one in forecasts if one.slope_per_day is None and not any(one.reaches.values())]
    rows: list[Row] = []
    for one in by_urgency([one for one in forecasts if one not in silent]):
        row: Row = {
            "where": _where(one, words),
            "now": _amount(one.value, one.unit)
            + (f"\n/ {_amount(one.limit, one.unit)}" if one.limit else ""),
            "growth": _growth(one, words),
            "basis": _basis(one, words),
        }
        for share in ("80", "90", "100"):
            row[f"d{share}"], row[f"c{share}"] = _date(one, share, words)
        rows.append(row)
    note = (
        words("forecast_silent", n=len(silent), points=MINIMUM_POINTS, days=MINIMUM_SPAN_DAYS)
        if silent
        else ""
    )
    return cut(rows, words, note, limit=_FORECASTS)


def expansion(forecasts: Sequence[Forecast], words: Words) -> Table:
    """What has to be added, how much, by when, why."""
    if not forecasts:
        return Table(note=words("not_involved", reason=words("no_capacity")))
    rows: list[Row] = [
        {
            "where": _where(one, words).replace("\n", " "),
            "add": _amount(_rounded_up(one.add), one.unit),
            "by": one.add_by or words("within_a_year"),
            "why": words(
                "expansion_why",
                now=_amount(one.value, one.unit),
                limit=_amount(one.limit or 0, one.unit),
                growth=_growth(one, words),
            ),
        }
        for one in by_urgency(forecasts)
        if one.add
    ]
    without = sum(one.state == "too_few_points" for one in forecasts)
    note = words("expansion_unknown", n=without)
    if not rows and not without:
        note = words("expansion_none")
    return cut(rows, words, note if without or not rows else "", limit=_FORECASTS)


def _where(one: Forecast, words: Words) -> str:
    kind = words(clean(one.metric, 60))
    return f"{clean(one.host, 80)} {clean(one.subject, 120)}\n{kind}"


def _growth(one: Forecast, words: Words) -> str:
    if one.slope_per_day is None:
        return "—"
    text = _signed(one.slope_per_day, one.unit)
    if one.slope_low is not None and one.slope_high is not None:
        text += f" [{_signed(one.slope_low, one.unit)}, {_signed(one.slope_high, one.unit)}]"
    if one.state == "shrinking_or_flat":
        text += words("flat")
    return text


def _basis(one: Forecast, words: Words) -> str:
    if one.state == "too_few_points":
        return words("too_few", n=len(one.points))
    days = (parse(one.points[-1][0]) - parse(one.points[0][0])).days
    return words("points", n=len(one.points), days=days)


def _date(one: Forecast, share: str, words: Words) -> tuple[str, str]:
    date = one.reaches.get(share)
    if one.limit is None:
        return words("no_limit"), NONE
    if date is not None:
        reached = one.value >= one.limit * int(share) / 100
        return (words("reached_already"), RED) if reached else (date, YELLOW if share == "80" else NONE)
    if one.state == "too_few_points":
        return "—", NONE
    return words("not_in_years", years=_YEARS), NONE


def _amount(value: float, unit: str) -> str:
    return size(value) if "byte" in unit else f"{value:,.0f}"


def _signed(value: float, unit: str) -> str:
    return ("+" if value >= 0 else "−") + (
        _amount(abs(value), unit) if "byte" in unit else f"{abs(value):,.1f}"
    )


def _rounded_up(value: float) -> float:
    """Up to two digits: a forecast is not exact to the byte."""
    if value <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / unit) * unit
