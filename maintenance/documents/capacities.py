"""Capacities followed into the future. From the record's forecasts alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from maintenance.documents.clean import clean
from maintenance.documents.table import NONE, RED, YELLOW, Row, Table, cut, size
from maintenance.documents.words import Words
from maintenance.forecast import HORIZON_DAYS, MINIMUM_POINTS, MINIMUM_SPAN_DAYS
from maintenance.local_time import parse
from maintenance.record import Forecast

_FORECASTS = 40
_YEARS = HORIZON_DAYS // 365


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
