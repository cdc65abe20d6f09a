"""Every page of a PostgreSQL cluster against its checksum, read from the disk while the server runs or stands.

pg_checksums wants the server stopped, and a base backup passes over whatever is newer than its own beginning. Here every
page counts. One that is being written just then is read again; damage stays what it is, however often it is read.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import struct
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

PAGE = 8192
SEGMENT_PAGES = 131072  # 1 GB, then the next file of the relation
SHOWN = 50  # pages that are named; all are counted
_SLICE_PAGES = 4096
_AGAIN = 5
_AGAIN_SECONDS = 0.1
# Temporary relations (t3_16384) belong to a session that is gone after a restore.
_RELATION = re.compile(r"(\d+)(?:_(?:fsm|vm|init))?(?:\.(\d+))?\Z")
_NEW = bytes(PAGE)

# The page as 32 columns of 64 words, each summed by FNV-1a with one shift more, as PostgreSQL's storage/checksum_impl.h
# has it. A number of many digits holds 16 columns, 64 bits apart, so that one multiplication serves them all.
_OFFSETS = struct.unpack(
    ">32I",
    bytes.fromhex(
        "5b1f36e9b852596002ab50aa1de66d2a79ff467a9bb9f8a3217e7cd283e13d2cf8d4474fe39eb97042c6ae16993216fa"
        "7b093b5d98daff3cf718902a0b1c9cdbe58f764b187636bc5d7b3bb1e73de7de92bec979cca6c0b2304a097985aa43d4"
        "783125bb6ca8eaa2e407eac64b5cfc3e9fbf8c7615ca20bef2ca9fd3959bd756"
    ),
)
_PRIME = 16777619
_ROW = 128
_WORDS = sum(0xFFFFFFFF << (64 * lane) for lane in range(16))
_SHIFTED = sum(0x7FFF << (64 * lane) for lane in range(16))
_EVEN = sum(start << (64 * lane) for lane, start in enumerate(_OFFSETS[0::2]))
_ODD = sum(start << (64 * lane) for lane, start in enumerate(_OFFSETS[1::2]))


class Slice(NamedTuple):
    """Some pages of one file."""

    path: str  # below the data directory, as pg_relation_filepath has it
    first: int  # of this file
    pages: int


def checksum(page: bytes, block: int) -> int:
    """What a page's checksum must be, at this place of its relation."""
    page = page[:8] + b"\0\0" + page[10:]
    even, odd = _EVEN, _ODD
    number = int.from_bytes
    for at in range(0, PAGE, _ROW):
        row = number(page[at : at + _ROW], "little")
        even ^= row & _WORDS
        odd ^= (row >> 32) & _WORDS
        even = ((even * _PRIME) & _WORDS) ^ ((even >> 17) & _SHIFTED)
        odd = ((odd * _PRIME) & _WORDS) ^ ((odd >> 17) & _SHIFTED)
    for _round in (1, 2):
        even = ((even * _PRIME) & _WORDS) ^ ((even >> 17) & _SHIFTED)
        odd = ((odd * _PRIME) & _WORDS) ^ ((odd >> 17) & _SHIFTED)
    whole = even ^ odd
    for shift in (512, 256, 128, 64):
        whole ^= whole >> shift
    return (((whole & 0xFFFFFFFF) ^ block) % 65535) + 1


def sound(page: bytes, block: int) -> bool:
    """Whether a page is as it was written. One that was never used is all zeros."""
    if page[14:16] == b"\0\0":  # pd_upper
        return page == _NEW
    return checksum(page, block) == int.from_bytes(page[8:10], "little")


def slices(directory: str) -> Iterator[Slice]:
    """All pages of all relations, those of tablespaces too."""
    for top in ("base", "global", "pg_tblspc"):
        for folder, _folders, names in os.walk(os.path.join(directory, top), followlinks=True):
            for name in sorted(names):
                if not _RELATION.match(name):
                    continue
                path = os.path.join(folder, name)
                try:
                    size = os.path.getsize(path)
                except FileNotFoundError:
                    continue  # dropped meanwhile
                short = os.path.relpath(path, directory)
                for first in range(0, -(-size // PAGE), _SLICE_PAGES):
                    yield Slice(short, first, min(_SLICE_PAGES, -(-size // PAGE) - first))


def look(directory: str, one: Slice, running: bool) -> Tuple[int, List[Tuple[str, int]]]:
    """How many pages were read, and those that are damaged: file and block of the relation."""
    matched = _RELATION.match(os.path.basename(one.path))
    start = int(matched.group(2) or 0) * SEGMENT_PAGES if matched else 0
    read, bad = 0, []
    try:
        file = open(os.path.join(directory, one.path), "rb", buffering=0)  # noqa: SIM115  (closed below)
    except FileNotFoundError:
        return 0, []
    with file:
        content = os.pread(file.fileno(), one.pages * PAGE, one.first * PAGE)
        for number in range(-(-len(content) // PAGE)):
            page = content[number * PAGE : (number + 1) * PAGE]
            read += 1
            block = start + one.first + number
            if len(page) == PAGE and sound(page, block):
                continue
            if not running or not settled(file.fileno(), one.first + number, block):
                bad.append((one.path, block))
    return read, bad


def settled(descriptor: int, place: int, block: int) -> bool:
    """Whether a page was only being written, or was taken from the end of its relation, as it was read."""
    for _attempt in range(_AGAIN):
        time.sleep(_AGAIN_SECONDS)
        page = os.pread(descriptor, PAGE, place * PAGE)
        if not page or (len(page) == PAGE and sound(page, block)):
            return True
    return False


def check(directory: str, running: bool, jobs: int, seconds: float) -> Dict[str, Any]:
    """Pages read and damaged, of the whole cluster. Raises TimeoutError: what was not read is not sound."""
    started = time.monotonic()
    work = list(slices(directory))
    children = [_child(directory, work[number::jobs], running) for number in range(jobs)]
    answers: List[Dict[str, Any]] = []
    try:
        for _pid, pipe in children:
            answers.append(_answer(pipe, started + seconds))
    finally:
        for pid, pipe in children:
            os.close(pipe)
            os.kill(pid, signal.SIGKILL)  # not waited for yet, so the number is its own
            os.waitpid(pid, 0)
    damaged = sorted({tuple(one) for answer in answers for one in answer["bad"]})
    return {
        "pages": sum(answer["read"] for answer in answers),
        "damaged": [{"file": path, "block": block} for path, block in damaged[:SHOWN]],
        "damaged_count": sum(answer["count"] for answer in answers),
        "seconds": round(time.monotonic() - started, 2),
    }


def _child(directory: str, work: Sequence[Slice], running: bool) -> Tuple[int, int]:
    """A process that looks at these pages and writes what it found; its number and the pipe to read from."""
    parent = os.getpid()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        answer: Dict[str, Any] = {"read": 0, "count": 0, "bad": []}
        for one in work:
            if os.getppid() != parent:
                break  # nobody waits any more
            read, bad = look(directory, one, running)
            answer["read"] += read
            answer["count"] += len(bad)
            answer["bad"] += bad[: SHOWN - len(answer["bad"])]
        answer["whole"] = True
    except OSError as error:
        answer = {"error": str(error)}
    with os.fdopen(writing, "w") as pipe:
        json.dump(answer, pipe)
    os._exit(0)


def _answer(pipe: int, end: float) -> Dict[str, Any]:
    """What a process found; raises where it did not come to its end."""
    text = b""
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise TimeoutError("the time is over before every page was read")
        part = os.read(pipe, 65536)
        if not part:
            break
        text += part
    answer: Dict[str, Any] = json.loads(text) if text else {"error": "a process that read pages has died"}
    if "error" in answer:
        raise OSError(answer["error"])
    return answer
