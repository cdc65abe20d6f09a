"""How far a detached job is: read where the caller says, and turned into a rate and a remaining time. No Ansible here."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

WINDOW_SECONDS = (
    60.0  # a rate is that of the last minute: the first files of a database are no measure of the others
)
_MAXIMUM_ENTRIES = 200000
# "backup file db1:/…/16384 (16KB, 45.21%) checksum …", "restore file … (1GB, 99.9%)": the share is of the whole.
_PGBACKREST = re.compile(r"\([0-9.]+(?:B|KB|MB|GB|TB|PB), ([0-9.]+)%\)")


class Sample(NamedTuple):
    """How far the job was at an instant: bytes where they are known, else only the share."""

    at: float
    percent: Optional[float]
    done_bytes: Optional[int]
    total_bytes: Optional[int]


def read(source: Mapping[str, Any], output: str, at: float) -> Optional[Sample]:
    """What the source says now; None where it says nothing (yet)."""
    total = int(source.get("total_bytes") or 0) or None
    kind = source.get("kind")
    if kind == "pgbackrest":
        percent = pgbackrest_percent(output)
        if percent is None:
            return None
        return Sample(at, percent, round(total * percent / 100) if total else None, total)
    if kind == "folder":
        done = folder_bytes(str(source["path"]))
        return Sample(at, share(done, total), done, total)
    if kind == "file":
        return from_file(str(source["path"]), at)
    return None


def pgbackrest_percent(output: str) -> Optional[float]:
    """The share that the last file of a backup or restore brought it to, from pgBackRest's messages (level detail)."""
    found = _PGBACKREST.findall(output)
    return min(float(found[-1]), 100.0) if found else None


def folder_bytes(path: str) -> int:
    """Bytes of all files below a folder; files come and go meanwhile."""
    size = count = 0
    for folder, _folders, names in os.walk(path):
        for name in names:
            count += 1
            if count > _MAXIMUM_ENTRIES:
                return size
            try:
                size += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue
    return size


def from_file(path: str, at: float) -> Optional[Sample]:
    """The program's own account: a file of one JSON object with done_bytes and total_bytes, or percent."""
    try:
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
        done, total = told.get("done_bytes"), told.get("total_bytes")
        if done is not None:
            return Sample(at, share(int(done), int(total or 0) or None), int(done), int(total or 0) or None)
        return Sample(at, min(float(told["percent"]), 100.0), None, None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # it is just being written, or not there yet


def share(done: int, total: Optional[int]) -> Optional[float]:
    """Percent of the whole, where the whole is known."""
    return min(100.0, 100.0 * done / total) if total else None


def pace(samples: Sequence[Sample]) -> Dict[str, Optional[float]]:
    """Rate (bytes a second) and remaining seconds, from the samples of the last minute."""
    known = [sample for sample in samples if sample.at >= samples[-1].at - WINDOW_SECONDS] if samples else []
    answer: Dict[str, Optional[float]] = {"rate": None, "remaining": None}
    if len(known) < 2 or known[-1].at <= known[0].at:
        return answer
    first, last = known[0], known[-1]
    seconds = last.at - first.at
    if first.done_bytes is not None and last.done_bytes is not None:
        answer["rate"] = max(0.0, (last.done_bytes - first.done_bytes) / seconds)
    if first.percent is not None and last.percent is not None and last.percent > first.percent:
        answer["remaining"] = (100.0 - last.percent) * seconds / (last.percent - first.percent)
    return answer


def line(name: str, elapsed: float, samples: Sequence[Sample]) -> str:
    """One line for the engineer's terminal."""
    parts: List[str] = []
    if samples:
        last, speed = samples[-1], pace(samples)
        if last.percent is not None:
            parts.append(f"{last.percent:.1f} %")
        if last.done_bytes is not None:
            whole = f" of {size(last.total_bytes)}" if last.total_bytes else ""
            parts.append(f"{size(last.done_bytes)}{whole}")
        if speed["rate"] is not None:
            parts.append(f"{size(speed['rate'])}/s")
        if speed["remaining"] is not None:
            parts.append(f"{clock(speed['remaining'])} left")
    return f"{name}: " + ", ".join([*parts, f"running for {clock(elapsed)}"])


def size(number: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def clock(seconds: float) -> str:
    """Seconds as minutes:seconds, or hours:minutes:seconds."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
