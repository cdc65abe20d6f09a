"""The figures of the daily report from the rows of a day. Pure, so that a figure can be explained and tested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Summary:
    """The head of the report. Shares are None, never 0 %, when there is nothing to divide by."""

    total: int
    booked: int
    running: int
    closed: int
    weighed_percent: float | None
    ktv_adequate_percent: float | None
    average_uf_ml: float | None


def summarize(rows: Iterable[Mapping[str, Any]]) -> Summary:
    """Count the sessions of a day; completeness and adequacy are shares of the closed ones."""
    rows = list(rows)
    states = [row["state"] for row in rows]
    closed = [row for row in rows if row["state"] == "closed"]
    weighed = [row for row in closed if row["pre_weight"] is not None and row["post_weight"] is not None]
    ktv = [row["ktv"] for row in closed if row["ktv"] is not None]
    volumes = [row["uf_volume_ml"] for row in closed if row["uf_volume_ml"] is not None]
    return Summary(
        total=len(rows),
        booked=states.count("booked"),
        running=states.count("running"),
        closed=len(closed),
        weighed_percent=percent(len(weighed), len(closed)),
        # Kt/V of at least 1.2 is the adequacy that the national quality indicators count.
        ktv_adequate_percent=percent(sum(1 for value in ktv if value >= 1.2), len(ktv)),
        average_uf_ml=round(sum(volumes) / len(volumes), 1) if volumes else None,
    )


def percent(part: int, whole: int) -> float | None:
    """A share with one decimal."""
    return round(100 * part / whole, 1) if whole else None


def masked(name: str) -> str:
    """A patient's name as a page on a ward screen may show it: 王小明 becomes 王*明, 王明 becomes 王*."""
    return name[0] + "*" * max(1, len(name) - 2) + (name[-1] if len(name) > 2 else "")
