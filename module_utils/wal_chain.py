"""Which WAL there must be: arithmetic of segments, timelines and their histories. Pure, and the same for every archive.

A segment is a timeline and a number; the numbers go on from a timeline to the one that left it. What is asked: beginning
at a backup, along the timelines that lead to the wanted one, is every segment there, and up to where?
"""

from __future__ import annotations

import re
from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

SEGMENT_BYTES = 16 << 20
_NAME = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})\Z")


class WalError(Exception):
    """What is no WAL, no history, no position; one line."""


class Segment(NamedTuple):
    """One file of WAL."""

    timeline: int
    number: int


class Leg(NamedTuple):
    """The part of a way that lies on one timeline: segments first to last (None: as far as there are any)."""

    timeline: int
    first: int
    last: Optional[int]


class Gap(NamedTuple):
    """Segments first to last of a timeline that are not there."""

    timeline: int
    first: int
    last: int


class Reach(NamedTuple):
    """How far a recovery that starts somewhere comes without a gap, and what is missing on the way."""

    last: Optional[Segment]
    gaps: List[Gap]


def per_log(segment_bytes: int) -> int:
    """How many segments share the middle part of a name."""
    if segment_bytes < 1 << 20 or segment_bytes > 1 << 30 or segment_bytes & (segment_bytes - 1):
        raise WalError(f"{segment_bytes} is no size of a WAL segment")
    return (1 << 32) // segment_bytes


def parse_name(name: str, segment_bytes: int = SEGMENT_BYTES) -> Segment:
    """The segment of a file's name."""
    match = _NAME.match(name)
    if not match:
        raise WalError(f"'{name}' is no name of a WAL segment")
    timeline, log, low = (int(part, 16) for part in match.groups())
    if low >= per_log(segment_bytes):
        raise WalError(f"'{name}' is no name of a segment of {segment_bytes} bytes")
    return Segment(timeline, log * per_log(segment_bytes) + low)


def name_of(segment: Segment, segment_bytes: int = SEGMENT_BYTES) -> str:
    """The name of a segment's file."""
    log, low = divmod(segment.number, per_log(segment_bytes))
    return f"{segment.timeline:08X}{log:08X}{low:08X}"


def parse_lsn(text: str) -> int:
    """A position as a number of bytes."""
    match = re.match(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})\Z", text)
    if not match:
        raise WalError(f"'{text}' is no position in the WAL")
    return int(match.group(1), 16) << 32 | int(match.group(2), 16)


def parse_history(text: str) -> List[Tuple[int, int]]:
    """A history file: for each ancestor, oldest first, the position where it was left."""
    found = []
    for line in text.splitlines():
        parts = line.split("#", 1)[0].split()
        if not parts:
            continue
        if len(parts) < 2 or not parts[0].isdecimal():
            raise WalError(f"a history file has the line '{line[:80]}'")
        found.append((int(parts[0]), parse_lsn(parts[1])))
    return found


def way_to(
    timeline: int, histories: Mapping[int, Sequence[Tuple[int, int]]], segment_bytes: int = SEGMENT_BYTES
) -> List[Leg]:
    """The legs that lead to a timeline, oldest first. The segment of a switch belongs to the new timeline."""
    if timeline > 1 and timeline not in histories:
        raise WalError(f"the history of timeline {timeline} is not there: nobody can tell where it came from")
    legs: List[Leg] = []
    first = 0
    for ancestor, position in histories.get(timeline, ()):
        switch = position // segment_bytes
        legs.append(Leg(ancestor, first, switch - 1))
        first = switch
    legs.append(Leg(timeline, first, None))
    return legs


def reach(start: Segment, have: Mapping[int, Set[int]], way: Sequence[Leg]) -> Reach:
    """How far a recovery comes that starts at this segment and follows the way."""
    timelines = [leg.timeline for leg in way]
    if start.timeline not in timelines:
        raise WalError(f"timeline {start.timeline} does not lead to timeline {timelines[-1]}")
    gaps: List[Gap] = []
    last: Optional[Segment] = None
    broken = False
    for leg in way[timelines.index(start.timeline) :]:
        there = have.get(leg.timeline, set())
        first = max(leg.first, start.number)
        # Of the last timeline the newest segment is the end; one that has none yet ends where the one before does.
        end = leg.last if leg.last is not None else max(there, default=first - 1)
        missing = gaps_between(first, end, there, leg.timeline)
        if not broken:
            stop = missing[0].first - 1 if missing else end
            if stop >= first:
                last = Segment(leg.timeline, stop)
            broken = bool(missing)
        gaps += missing
    if last is None and not gaps:
        gaps.append(Gap(start.timeline, start.number, start.number))
    return Reach(last, gaps)


def gaps_between(first: int, last: int, there: Set[int], timeline: int) -> List[Gap]:
    """The runs of missing numbers."""
    gaps: List[Gap] = []
    # By what is there and not by what should be: an archive with an absurd segment must not cost an hour.
    expected = first
    for number in sorted(number for number in there if first <= number <= last):
        if number > expected:
            gaps.append(Gap(timeline, expected, number - 1))
        expected = number + 1
    if expected <= last:
        gaps.append(Gap(timeline, expected, last))
    return gaps


def strangers(
    segments: Iterable[Tuple[Segment, float]],
    histories: Mapping[int, Sequence[Tuple[int, int]]],
    history_times: Mapping[int, float],
    production: Optional[int],
    segment_bytes: int = SEGMENT_BYTES,
) -> List[Dict[str, object]]:
    """Signs that somebody else writes into this archive.

    `ahead`: a timeline that is newer than production's own: a drill or a copy was promoted and archives here.
    `aside`: an older timeline that production does not come from.
    `behind`: segments of an ancestor from behind the point where it was left, archived after it had been left: the old
    primary still runs. Those that were there before are what a recovery to an earlier time left behind, and are sound.
    """
    found: List[Dict[str, object]] = []
    arrived = list(segments)
    if production is None:
        return found
    present = {segment.timeline for segment, _time in arrived} | set(histories)
    ancestors = list(histories.get(production, ()))
    own = [timeline for timeline, _position in ancestors] + [production]
    for timeline in sorted(present - set(own)):
        count = sum(1 for segment, _time in arrived if segment.timeline == timeline)
        kind = "ahead" if timeline > production else "aside"
        found.append({"kind": kind, "timeline": timeline, "count": count})
    for (timeline, position), child in zip(ancestors, own[1:]):  # noqa: B905  (Python 3.8)
        left = history_times.get(child)
        late = [
            segment
            for segment, time in arrived
            if segment.timeline == timeline
            and segment.number > position // segment_bytes
            and left is not None
            and time > left
        ]
        if late:
            found.append({"kind": "behind", "timeline": timeline, "count": len(late)})
    return found
