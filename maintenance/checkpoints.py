"""The daily checkpoint: a signed entry that says where the ledger stood, also on a day on which nothing ran.

With one each day, a gap tells that somebody stopped writing, and the hospital's witness holds a head of every day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from maintenance import local_time
from maintenance.record import Clock
from maintenance.register import Item

SCHEMA = "maintenance-checkpoint/1"
_LISTED = 200  # entries by name; the chain itself holds all


def last(items: Iterable[Item]) -> Item | None:
    """The newest checkpoint."""
    return next((item for item in reversed(list(items)) if item.kind == "checkpoint"), None)


def made_today(items: Iterable[Item], now: str) -> Item | None:
    """The checkpoint of the hospital's day, if there is one."""
    newest = last(items)
    return newest if newest and local_time.day(newest.time) == local_time.day(now) else None


def compose(
    site: str, items: Sequence[Item], now: str, *, open_cases: int | None, clock: Clock
) -> dict[str, Any]:
    """checkpoint.json: the head before it, and what was written since the checkpoint before."""
    head, before = items[-1], last(items)
    since = [item for item in items if before is None or item.seq > before.seq]
    runs = [item.manifest.run for item in since if item.kind == "open"]
    kinds = Counter(item.kind for item in since)
    began = before.time if before else items[0].time
    return {
        "schema": SCHEMA,
        "site": site,
        "time": now,
        "head": {"seq": head.seq, "entry": head.entry.folder, "manifest_sha256": head.sha256},
        "entries": len(items),
        "since": began,
        "written_since": dict(sorted(kinds.items())),
        "runs_since": runs[-_LISTED:],
        "open_cases": open_cases,
        "clock": clock.model_dump(),
        "text": f"{len(runs)} runs since {began}" if runs else f"nothing ran since {began}",
    }


def missing_days(items: Iterable[Item], now: str) -> list[str]:
    """Days from the first checkpoint until yesterday, on the hospital's calendar, that have none."""
    days = {local_time.day(item.time) for item in items if item.kind == "checkpoint"}
    if not days:
        return []
    day, today = date.fromisoformat(min(days)), date.fromisoformat(local_time.day(now))
    missing = []
    while day < today:
        if day.isoformat() not in days:
            missing.append(day.isoformat())
        day += timedelta(days=1)
    return missing
