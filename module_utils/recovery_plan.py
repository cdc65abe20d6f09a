"""What a recovery to the end of an archive starts from and where it ends: one backup, one timeline, one last segment.

Nothing is left to `latest`: a drill that once archived here, or a segment that is missing, would lose rows in silence.
Where more than one answer is possible the plan is refused, and says what there is to choose from.
"""

from __future__ import annotations

import datetime
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ansible.module_utils import wal_chain as wal
from ansible.module_utils import wal_records
from ansible.module_utils.pgbackrest_files import Manifest, expand
from ansible.module_utils.pgbackrest_reading import instant
from ansible.module_utils.pgbackrest_repository import (
    Archive,
    Reading,
    described,
    look_at,
    misplaced,
    read_archive,
    read_backups,
    read_files,
    read_repository,
)

# How many segments without a commit are looked through, as those that a quiet night closes every minute.
_BACK = 64
# How far the clocks of database and backup host may differ, in seconds.
_CLOCKS = 3600
# More commits than a segment has room for.
_ALL = 1 << 30


class PlanError(Exception):
    """Why there is no plan; one line."""


class Choice(NamedTuple):
    """From this backup along this timeline to the end of this segment."""

    label: str
    timeline: int
    first: wal.Segment
    last: wal.Segment
    behind_gap: int  # segments that are there and cannot be used, because one before them is missing


def timeline_of(
    manifests: Mapping[str, Manifest],
    present: Iterable[int],
    histories: Mapping[int, Sequence[Tuple[int, int]]],
    wanted: int,
    size: int = wal.SEGMENT_BYTES,
) -> int:
    """The timeline that production was on: as a person says, or that of the newest backup where no other is possible."""
    there = set(present)
    if wanted:
        if wanted not in there:
            raise PlanError(f"the archive has no timeline {wanted}; it has: {numbers(there)}")
        return wanted
    if not manifests:
        raise PlanError("the repository has no backup that can be read")
    newest = max(manifests.values(), key=lambda told: told.stopped)
    own = wal.parse_name(newest.stop_segment or newest.start_segment, size).timeline
    strangers = there - {own} - {ancestor for ancestor, _position in histories.get(own, ())}
    if strangers:
        raise PlanError(
            f"the newest backup is of timeline {own}, and the archive also has timeline {numbers(strangers)}: either the"
            " server was promoted after that backup, or a drill or a copy archived here. Find out which one patients were"
            " treated with, and say so: --set rebuild_timeline=N"
        )
    return own


def choose(
    manifests: Mapping[str, Manifest],
    have: Mapping[int, Set[int]],
    histories: Mapping[int, Sequence[Tuple[int, int]]],
    timeline: int,
    *,
    until_gap: bool = False,
    size: int = wal.SEGMENT_BYTES,
) -> Choice:
    """The newest backup that comes to the end of the archive; one with a gap behind it only where that is allowed."""
    way = wal.way_to(timeline, histories, size)
    reasons: List[str] = []
    stopped: Optional[Choice] = None
    gap = ""
    for label, told in sorted(manifests.items(), key=lambda item: item[1].stopped, reverse=True):
        start = wal.parse_name(told.start_segment, size)
        stop = wal.parse_name(told.stop_segment or told.start_segment, size)
        try:
            far = wal.reach(start, have, way)
        except wal.WalError as error:
            reasons.append(f"{label}: {error}")
            continue
        if far.last is None or far.last.number < stop.number:
            reasons.append(f"{label}: the WAL of the backup itself is not complete")
            continue
        end = max(
            [number for leg in way for number in have.get(leg.timeline, ()) if leg.last is None]
            or [far.last.number]
        )
        found = Choice(label, timeline, start, far.last, max(0, end - far.last.number) if far.gaps else 0)
        if not far.gaps:
            return found
        if stopped is None:
            stopped, gap = found, ", ".join(described(one, size) for one in far.gaps[:3])
    if stopped is None:
        raise PlanError("no backup can be used: " + ("; ".join(reasons[:3]) or "there is none"))
    if not until_gap:
        raise PlanError(
            f"WAL is missing or damaged: {gap}. Recovery would end with {wal.name_of(stopped.last, size)}, though"
            " newer WAL is there: look for the segment on the failed server's disk; where it is lost for good:"
            " --set rebuild_until_gap=true"
        )
    return stopped


def numbers(values: Iterable[int]) -> str:
    """Numbers as a person writes them."""
    return ", ".join(map(str, sorted(values))) or "none"


def plan(
    reading: Reading, wanted_timeline: int, *, until_gap: bool, target: Optional[float] = None
) -> Dict[str, Any]:
    """Read, prove what will be used, and choose; what turns out to be damaged is not chosen again.

    With a target, in seconds since 1970, only a backup that had ended by then can be meant, and segments are needed up to
    the first commit behind it: without one a recovery cannot tell that it has come so far.
    """
    repository = read_repository(reading)
    read_backups(reading)
    archive = read_archive(reading)
    if repository["former_system_ids"]:
        others = ", ".join(repository["former_system_ids"])
        raise PlanError(
            f"the repository has held another database as well (system {others}): restore it by hand"
        )
    usable = {
        label: told
        for label, told in reading.manifests.items()
        if told.system_id == repository["system_id"] and not any(file.page_errors for file in told.files)
    }
    if target is not None and usable:
        first = min(told.stopped for told in usable.values())
        if first > target:
            raise PlanError(
                f"the first backup that can be used ended at {instant(first)}, and the target is before it"
            )
        usable = {label: told for label, told in usable.items() if told.stopped <= target}
    faults = [f"{label}: {why}" for label, why in reading.broken.items()]
    faults += [
        f"{label}: it holds damaged pages"
        for label, told in reading.manifests.items()
        if any(file.page_errors for file in told.files)
    ]
    have = segments(archive, faults)
    timeline = timeline_of(usable, {*have, *archive.histories}, archive.histories, wanted_timeline)
    proven: Set[Tuple[int, int]] = set()
    made: Set[str] = set()
    while True:
        try:
            choice = choose(usable, have, archive.histories, timeline, until_gap=until_gap)
        except PlanError as error:
            raise PlanError(f"{error}{' (' + '; '.join(faults[:3]) + ')' if faults else ''}") from None
        damaged = damaged_files(reading, choice.label, usable[choice.label])
        if damaged:
            faults.append(damaged)
            del usable[choice.label]
            continue
        if not damaged_wal(reading, archive, have, choice, proven, faults, made):
            break
    told = usable[choice.label]
    names = [wal.name_of(one) for one in replayed(have, archive, choice)]
    if target is not None:
        names = names[: place_of(reading, archive, names, target) + 1]
    end, commits = end_of_archive(reading, archive, choice)
    return {
        "system_id": repository["system_id"],
        "database_version": repository["database_version"],
        "label": choice.label,
        "kind": told.kind,
        "backup_stopped": told.stopped,
        "timeline": timeline,
        "first_segment": wal.name_of(choice.first),
        "last_segment": wal.name_of(choice.last),
        "needed_segment": names[-1],
        "last_archived": archive.segments[wal.name_of(choice.last)][0][2],
        "segments": choice.last.number - choice.first.number + 1,
        "needed_segments": len(names),
        "target_lsn": end,
        "commits": [one._asdict() for one in commits],
        "segments_behind_gap": choice.behind_gap,
        "bytes": sum(file.size for file in told.files),
        "tablespaces": tablespaces(told, made),
        "databases": sorted(told.databases),
        "faults": faults[:20],
    }


def seconds_of(text: str, now: float) -> float:
    """A target as a person writes it, in seconds since 1970. Without its zone it could be meant in two."""
    try:
        told = datetime.datetime.fromisoformat(re.sub(r"\s*[Zz]\Z", "+00:00", text.strip()))
    except ValueError:
        told = None
    if told is None or told.tzinfo is None:
        raise PlanError(f"target_time: '{text}' is no instant with a zone, as '2026-11-23 02:10:00+08:00'")
    if told.timestamp() > now:
        raise PlanError(
            f"target_time: {instant(told.timestamp())} is in the future; it is {instant(now)} here"
        )
    return told.timestamp()


def place_of(reading: Reading, archive: Archive, names: Sequence[str], target: float) -> int:
    """Which of the segments has the first commit behind the target."""
    behind = instant(target + 1)  # a commit in the target's own second may be on either side
    for number, name in enumerate(names):
        file, path, written = archive.segments[name][0]
        if written < target - _CLOCKS:
            continue  # closed before, whatever the clocks of both hosts say
        commits = wal_records.end_of(b"".join(expand(reading.contents(path), file.compress))).commits
        if commits and commits[-1].at >= behind:
            return number
    raise PlanError(
        f"target_time: nothing that was committed after {instant(target)} is archived, so a recovery cannot come so far;"
        " the newest point needs no target_time"
    )


def listed(reading: Reading, found: Mapping[str, Any]) -> List[str]:
    """The names of all files of the archive that a recovery by this plan reads."""
    archive = read_archive(reading)
    way = wal.way_to(int(found["timeline"]), archive.histories)
    first, last = (wal.parse_name(str(found[key])) for key in ("first_segment", "needed_segment"))
    names = [
        name
        for name in sorted(archive.segments)
        for one in [wal.parse_name(name)]
        for leg in way
        if leg.timeline == one.timeline
        and max(leg.first, first.number) <= one.number <= (last.number if leg.last is None else leg.last)
        and first.timeline <= one.timeline <= last.timeline
    ]
    return [
        f"{one:08X}.history" for one in sorted(archive.histories) if one <= int(found["timeline"])
    ] + names


def commits_around(
    reading: Reading, name: str
) -> Tuple[Optional[wal_records.Commit], Optional[wal_records.Commit]]:
    """The last commit up to the end of this segment, and the first one behind it; None where none is near."""
    read_repository(reading)
    archive = read_archive(reading)
    if name not in archive.segments:
        return None, None
    one = wal.parse_name(name)

    def commits(number: int) -> Optional[List[wal_records.Commit]]:
        found = archive.segments.get(wal.name_of(wal.Segment(one.timeline, number)))
        if not found:
            return None
        file, path, _time = found[0]
        return wal_records.end_of(b"".join(expand(reading.contents(path), file.compress)), _ALL).commits

    ends: List[Optional[wal_records.Commit]] = []
    for numbers_, place in (
        (range(one.number, max(-1, one.number - _BACK), -1), -1),
        (range(one.number + 1, one.number + _BACK), 0),
    ):
        some: Optional[List[wal_records.Commit]] = []
        for number in numbers_:
            some = commits(number)
            if some or some is None:
                break
        ends.append(some[place] if some else None)
    return ends[0], ends[1]


def await_segment(reading: Reading, name: str, seconds: float) -> None:
    """Wait until the archive has a segment."""
    end = time.monotonic() + seconds
    read_repository(reading)
    while name not in read_archive(reading).segments:
        if time.monotonic() > end:
            raise PlanError(f"{name} did not arrive in the archive within {seconds:g} s")
        time.sleep(0.5)


def end_of_archive(
    reading: Reading, archive: Archive, choice: Choice
) -> Tuple[str, List[wal_records.Commit]]:
    """Where the last whole record begins, and the last commits; both may lie some segments before the last one."""
    target = ""
    for number in range(choice.last.number, max(choice.first.number, choice.last.number - _BACK) - 1, -1):
        name = wal.name_of(wal.Segment(choice.last.timeline, number))
        if name not in archive.segments:
            break  # of the timeline before
        file, path, _time = archive.segments[name][0]
        end = wal_records.end_of(b"".join(expand(reading.contents(path), file.compress)))
        target = target or end.lsn
        if target and end.commits:
            return target, end.commits
    if not target:
        raise PlanError(f"{wal.name_of(choice.last)} holds no whole record")
    return target, []


def segments(archive: Archive, faults: List[str]) -> Dict[int, Set[int]]:
    """The segments that there are once; two contents under one name come from two servers: which one is right?"""
    have: Dict[int, Set[int]] = {}
    for name, same in archive.segments.items():
        one = wal.parse_name(name)
        have.setdefault(one.timeline, set())
        if len({found[0].checksum for found in same}) > 1:
            faults.append(f"{name}: two servers have archived it")
        else:
            have[one.timeline].add(one.number)
    return have


def damaged_files(reading: Reading, label: str, told: Manifest) -> str:
    """What is wrong with a backup's files, of all their bytes; '' for nothing."""
    every = reading.manifests
    reading.manifests = {label: told}
    # An incremental backup's files are compressed as the backup that holds them says.
    reading.manifests.update(
        {one: every[one] for one in {file.backup for file in told.files} if one in every}
    )
    rows = {row["label"]: row for row in read_files(reading)["rows"]}
    reading.manifests = every
    row = rows[label]
    return f"{label}: {'; '.join(row['examples'][:2])}" if row["damaged"] or row["missing"] else ""


def tablespaces(told: Manifest, made: Iterable[str]) -> List[Dict[str, Any]]:
    """Folders outside of the data directory that a recovery needs, and how much the backup has for each."""
    found = {
        path: sum(file.size for file in told.files if file.name.startswith(link + "/"))
        for link, path in told.tablespaces
    }
    return [{"path": path, "bytes": found.get(path, 0)} for path in sorted({*found, *made})]


def replayed(have: Mapping[int, Set[int]], archive: Archive, choice: Choice) -> List[wal.Segment]:
    """The segments that a recovery reads, in their order."""
    return [
        wal.Segment(leg.timeline, number)
        for leg in wal.way_to(choice.timeline, archive.histories)
        for number in sorted(have.get(leg.timeline, ()))
        if max(leg.first, choice.first.number)
        <= number
        <= (choice.last.number if leg.last is None else leg.last)
        and leg.timeline >= choice.first.timeline
    ]


def damaged_wal(
    reading: Reading,
    archive: Archive,
    have: Dict[int, Set[int]],
    choice: Choice,
    proven: Set[Tuple[int, int]],
    faults: List[str],
    made: Set[str],
) -> bool:
    """Read every segment that would be replayed; whether any was damaged, and is not counted as there any more.

    Collects the folders of tablespaces that are made on the way.
    """
    needed = [one for one in replayed(have, archive, choice) if (one.timeline, one.number) not in proven]
    with ThreadPoolExecutor(reading.options.processes) as pool:
        answers = list(
            pool.map(
                lambda one: look_at(
                    reading,
                    archive.segments[wal.name_of(one)][0],
                    lambda data: made.update(wal_records.tablespaces(data)),
                ),
                needed,
            )
        )
    own = str(reading.info["db"][-1]["system-id"])
    worse = False
    for segment, (fault, header) in zip(needed, answers):  # noqa: B905  (Python 3.8)
        if not fault and header and header.system_id != own:
            fault = f"it is of the system {header.system_id}"
        if not fault and header and header.segment_bytes != wal.SEGMENT_BYTES:
            raise PlanError(
                f"wal_segment_size is {header.segment_bytes}, and this knows only that of 16 MB: restore by hand"
            )
        fault = fault or misplaced(wal.name_of(segment), header, wal.SEGMENT_BYTES)
        if fault:
            worse = True
            have[segment.timeline].discard(segment.number)
            faults.append(f"{wal.name_of(segment)}: {fault}")
        else:
            proven.add((segment.timeline, segment.number))
    return worse
