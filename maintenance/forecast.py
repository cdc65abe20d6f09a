"""Where a capacity will be: a robust line through the signed records of one ledger. Pure.

Method `theil-sen/1`. One point a day (the day's last). The slope is the median of the slopes of all pairs
of points, so that a single outlier cannot move it far. Its 95 % interval is the rank interval of Sen (1968):
no random numbers. Dates are counted from the value measured now, which the hospital can check, not from the
line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from maintenance.local_time import parse
from maintenance.record import Forecast, Metric

METHOD = "theil-sen/1"
MINIMUM_POINTS = 3
MINIMUM_SPAN_DAYS = 14
WINDOW_DAYS = 3 * 365  # what grew before that says little about next year
MAXIMUM_POINTS = 200  # the newest days of the window: all pairs are compared
HORIZON_DAYS = 10 * 365  # a date beyond it is no forecast
KEEP_PERCENT = 80  # the use that an extension must hold …
KEEP_DAYS = 365  # … for this long
THRESHOLDS = (80, 90, 100)

# Metrics that fill up, by their names in roles/inspection/vars/*_rules.yml. Memory comes and goes.
CAPACITY_SUFFIXES = ("_used_bytes", "_size_bytes", "_inodes_used", "sequence_value")
NO_CAPACITY_PREFIXES = ("memory_", "swap_", "cache_", "buffers_", "temporary_")

History = Sequence[tuple[str, Mapping[str, Sequence[Metric]]]]
Point = tuple[datetime, float]


def is_capacity(metric: Metric) -> bool:
    """Whether the metric is one that fills up."""
    return metric.name.endswith(CAPACITY_SUFFIXES) and not metric.name.startswith(NO_CAPACITY_PREFIXES)


def forecasts(history: History) -> list[Forecast]:
    """One for every capacity of the present inspection, the last of `history` (oldest first)."""
    if not history:
        return []
    made = []
    present_instant, present = history[-1]
    series = _series(history)
    for host in sorted(present):
        latest = {(metric.name, metric.subject): metric for metric in present[host] if _usable(metric)}
        for (name, subject), metric in sorted(latest.items()):
            made.append(forecast_one(host, metric, series[host, name, subject], present_instant))
    return made


def forecast_one(
    host: str, metric: Metric, readings: Iterable[tuple[str, float]], present_instant: str
) -> Forecast:
    """The forecast of one capacity from its readings (instant, value) in the order of their records."""
    now = parse(present_instant)
    points, left_out = _points(readings, now)
    limit = metric.limit if metric.limit is not None and metric.limit > 0 else None
    method = f"{METHOD}; points={len(points)}; days={_span_days(points):.0f}"
    if left_out:
        method += f"; left_out={left_out}"
    known: dict[str, float | None] = {}
    if len(points) < MINIMUM_POINTS or _span_days(points) < MINIMUM_SPAN_DAYS:
        state = "too_few_points"
        growth = None
    else:
        slope, low, high = theil_sen(points)
        state = "ok" if slope > 0 else "shrinking_or_flat"
        growth = max(slope, 0.0)
        known = {"slope_per_day": slope, "slope_low": low, "slope_high": high}
    reaches = (
        {str(share): _date_of(share, metric.value, limit, growth, now) for share in THRESHOLDS}
        if limit
        else {}
    )
    add = add_by = None
    if limit is not None and growth is not None:
        add = max(0.0, (metric.value + growth * KEEP_DAYS) / (KEEP_PERCENT / 100) - limit)
        add_by = reaches[str(KEEP_PERCENT)] if add > 0 else None
    return Forecast.model_validate(
        {
            "host": host,
            "metric": metric.name,
            "subject": metric.subject,
            "unit": metric.unit,
            "points": [(_instant(when), value) for when, value in points],
            "value": metric.value,
            "limit": limit,
            "state": state,
            "reaches": reaches,
            "add": add,
            "add_by": add_by,
            "method": method,
            **known,
        }
    )


def theil_sen(points: Sequence[Point]) -> tuple[float, float, float]:
    """The median slope per day and its 95 % rank interval, of at least two points of different days."""
    import numpy  # only here: the command starts without it

    days = numpy.array([(when - points[0][0]).total_seconds() / 86400 for when, _ in points])
    values = numpy.array([value for _, value in points])
    first, second = numpy.triu_indices(len(points), 1)
    slopes = numpy.sort((values[second] - values[first]) / (days[second] - days[first]))
    count, pairs = len(points), len(slopes)
    reach = 1.96 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)  # of Kendall's S without ties
    low = slopes[max(0, math.floor((pairs - reach) / 2))]
    high = slopes[min(pairs - 1, math.ceil((pairs + reach) / 2))]
    return float(numpy.median(slopes)), float(low), float(high)


def _usable(metric: Metric) -> bool:
    return is_capacity(metric) and math.isfinite(metric.value) and metric.value >= 0


def _series(history: History) -> dict[tuple[str, str, str], list[tuple[str, float]]]:
    found: dict[tuple[str, str, str], list[tuple[str, float]]] = {}
    for instant, hosts in history:
        for host, metrics in hosts.items():
            for metric in metrics:
                if _usable(metric):
                    found.setdefault((host, metric.name, metric.subject), []).append((instant, metric.value))
    return found


def _points(readings: Iterable[tuple[str, float]], now: datetime) -> tuple[list[Point], int]:
    """One point a day within the window, oldest first, and how many readings a wrong clock or their age cost.

    A reading that is later than the present one was taken under a wrong clock: it cannot be dated, so it is
    left out. Of several readings of one day the last counts; pairs within a day would only measure noise.
    """
    by_day: dict[str, Point] = {}
    left_out = 0
    for instant, value in readings:
        when = parse(instant)
        if when > now or (now - when).days > WINDOW_DAYS:
            left_out += 1
            continue
        day = when.strftime("%Y-%m-%d")
        if day not in by_day or by_day[day][0] <= when:
            by_day[day] = (when, value)
    return sorted(by_day.values())[-MAXIMUM_POINTS:], left_out


def _span_days(points: Sequence[Point]) -> float:
    return (points[-1][0] - points[0][0]).total_seconds() / 86400 if points else 0.0


def _date_of(
    share: int, value: float, limit: float | None, growth: float | None, now: datetime
) -> str | None:
    """The day on which `share` % of the limit is reached: today if it already is, None beyond the horizon."""
    if limit is None:
        return None
    missing = limit * share / 100 - value
    if missing <= 0:
        return now.strftime("%Y-%m-%d")
    if not growth or missing / growth > HORIZON_DAYS:
        return None
    return (now + timedelta(days=missing / growth)).strftime("%Y-%m-%d")


def _instant(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
