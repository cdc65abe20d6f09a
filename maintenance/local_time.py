"""The hospital's calendar. Records are in UTC, people are not; all sites share a zone without summer time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

ZONE = timezone(timedelta(hours=8), "UTC+8")


def parse(instant: str) -> datetime:
    """An RFC 3339 instant on the hospital's clock."""
    return datetime.fromisoformat(instant).astimezone(ZONE)


def day(instant: str) -> str:
    """The hospital's date at an instant, YYYY-MM-DD."""
    return parse(instant).strftime("%Y-%m-%d")


def minute(instant: str) -> str:
    """Date and time to the minute, with the zone."""
    return parse(instant).strftime("%Y-%m-%d %H:%M (UTC+8)")
