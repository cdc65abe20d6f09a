"""The hospital's calendar. Records are in UTC, people are not; all sites share a zone without summer time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

ZONE = timezone(timedelta(hours=8), "UTC+8")

_GIVEN = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def parse(instant: str) -> datetime:
    """An RFC 3339 instant on the hospital's clock."""
    return datetime.fromisoformat(instant).astimezone(ZONE)


def day(instant: str) -> str:
    """The hospital's date at an instant, YYYY-MM-DD."""
    return parse(instant).strftime("%Y-%m-%d")


def minute(instant: str) -> str:
    """Date and time to the minute, with the zone."""
    return parse(instant).strftime("%Y-%m-%d %H:%M (UTC+8)")


def read(text: str) -> str:
    """What a user typed, local `2026-11-23 14:05` or RFC 3339, as RFC 3339 UTC in whole seconds; raises ValueError."""
    if not _GIVEN.fullmatch(text.strip()):
        raise ValueError("not a time such as '2026-11-23 14:05' (local) or 2026-11-23T06:05:00Z")
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZONE)
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        raise ValueError("no time of the calendar") from None
