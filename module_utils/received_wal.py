"""WAL that only a synchronous receiver has: what of it goes on where the archive ends, and its last whole record.

What a hospital with `backup_rpo: zero` was told to be committed when its server was lost is in here and nowhere else.
pg_receivewal closes a segment before it begins the next, so there is one `.partial`, and it is the last.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any, Callable, Dict, List, NamedTuple

from ansible.module_utils import wal_chain as wal
from ansible.module_utils import wal_records
from ansible.module_utils.pgbackrest_files import header

_NAME = re.compile(r"([0-9A-F]{24})(\.partial)?\Z")


class ReceivedError(Exception):
    """Why it cannot be replayed; one line."""


class Found(NamedTuple):
    """What goes on behind the archive."""

    names: List[str]  # files, in their order
    end: wal_records.End  # '' where there is no whole record in them


def newer(folder: str, last: str) -> List[str]:
    """Files of the receiver's folder that are behind the archive's last segment, in their order."""
    try:
        there = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(name for name in there if _NAME.match(name) and name[:24] > last)


def behind(folder: str, last: str, system_id: str, archived: Callable[[], bytes]) -> Found:
    """Prove what there is behind the archive's last segment, whose bytes `archived` gives."""
    names = newer(folder, last)
    segment = wal.parse_name(last)
    before = b""
    contents = b""
    kept: List[str] = []
    for number, name in enumerate(names):
        wanted = wal.name_of(wal.Segment(segment.timeline, segment.number + 1 + number))
        if name[:24] != wanted:
            raise ReceivedError(f"{wanted} is missing before {name}")
        if name.endswith(".partial") and number < len(names) - 1:
            raise ReceivedError(f"{name} is not the last of them")
        with open(os.path.join(folder, name), "rb") as file:
            data = file.read(wal.SEGMENT_BYTES + 1)
        if name.endswith(".partial") and not data.strip(b"\0"):
            continue  # begun, and nothing has come
        fault = fault_of(data, wanted, system_id)
        if fault:
            raise ReceivedError(f"{name}: {fault}")
        before, contents = contents, data
        kept.append(name)
    if not kept:
        return Found([], wal_records.End("", 0, []))
    end = wal_records.end_of(contents, prove=True)
    if not end.lsn:
        # No record begins in it: one that began in the segment before may end here.
        end = wal_records.end_of((before or archived()) + contents, prove=True)
    return Found(kept, end)


def fault_of(data: bytes, name: str, system_id: str) -> str:
    """What is wrong with a received segment, or ''."""
    told = header(data)
    if told is None:
        return "it does not begin as WAL does"
    if told.system_id != system_id:
        return f"it is of the system {told.system_id}"
    if told.segment_bytes != wal.SEGMENT_BYTES or len(data) != wal.SEGMENT_BYTES:
        return f"{len(data)} bytes instead of {wal.SEGMENT_BYTES}"
    if told.position // wal.SEGMENT_BYTES != wal.parse_name(name).number:
        return "it holds another segment"
    return ""


def extended(plan: Dict[str, Any], folder: str, archived: Callable[[], bytes]) -> Dict[str, Any]:
    """A plan that goes on behind the archive: a later target, and which files it needs besides."""
    if plan["segments_behind_gap"]:
        raise ReceivedError("the archive has a gap before it")
    found = behind(folder, plan["last_segment"], plan["system_id"], archived)
    if not found.names or not found.end.lsn or _place(found.end.lsn) <= _place(plan["target_lsn"]):
        return {**plan, "received": []}
    return {
        **plan,
        "target_lsn": found.end.lsn,
        "commits": [one._asdict() for one in found.end.commits] or plan["commits"],
        "last_segment": found.names[-1][:24],
        "received": [
            {"file": name, "segment": name[:24], "sha256": digest(os.path.join(folder, name))}
            for name in found.names
        ],
    }


def _place(lsn: str) -> int:
    return int(wal.parse_lsn(lsn))


def digest(path: str) -> str:
    """What the copy on the new server must have."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
