"""The records of a WAL segment: where the last whole one begins, and the last commits. Pure.

A recovery with the last record's position as its explicit target either reaches it or fails; it never ends early in
silence. The layout is that of PostgreSQL 9.5 to 17. Archived segments come here with their checksums proven; a record's
own CRC is computed only where that is asked for, of what a receiver was writing when its server was lost.
"""

from __future__ import annotations

import datetime
import re
import struct
from typing import List, NamedTuple, Optional, Tuple

_PAGE = struct.Struct(
    "<HHIQI"
)  # magic, info, timeline, position, bytes of a record that began on an earlier page
_RECORD = struct.Struct("<IIQBB2xI")  # length, transaction, position before, info, resource manager, CRC
_SHORT, _LONG = 24, 40
_IS_LONG = 2
_TRANSACTIONS = 1  # resource manager
_COMMITS = (0x00, 0x30)  # commit, commit of a prepared transaction
# CREATE TABLESPACE: manager 5 and its first kind, CRC, the mark of a record's own data, its length, number, path.
_TABLESPACE = re.compile(rb"\x05\x00\x00.{4}\xff(.).{4}(/[^\x00]{1,250})\x00", re.DOTALL)
_EPOCH = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)


class Commit(NamedTuple):
    """A committed transaction."""

    transaction: int
    lsn: str
    at: str


class End(NamedTuple):
    """Where the whole records end."""

    lsn: str  # where the last one begins; '' where none begins and ends here
    records: int
    commits: List[Commit]


def position(number: int) -> str:
    """A position as PostgreSQL writes it."""
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


class _Segment:
    """The bytes of a segment, or of some that follow each other, without the headers of their pages."""

    def __init__(self, data: bytes) -> None:
        _magic, info, _timeline, self.start, _rest = _PAGE.unpack_from(data)
        if not info & _IS_LONG:
            raise ValueError("it does not begin as a segment does")
        self.data = data
        self.size, self.page = struct.unpack_from("<II", data, 32)

    def skip_header(self, at: int) -> int:
        """The first place at or after this one that is not a page's header."""
        if at % self.page == 0 and at < len(self.data):
            return at + (_LONG if at % self.size == 0 else _SHORT)
        return at

    def take(self, at: int, length: int) -> Optional[Tuple[bytes, int]]:
        """So many bytes of a record, over pages, and the place behind them; None where they are not all here."""
        parts = []
        while length:
            at = self.skip_header(at)
            if at >= len(self.data):
                return None
            if not self.belongs(at):
                return None
            size = min(length, self.page - at % self.page)
            parts.append(self.data[at : at + size])
            at += size
            length -= size
        return b"".join(parts), at

    def belongs(self, at: int) -> bool:
        """Whether the page was written in this round: a reused file has old pages behind the end."""
        begin = at - at % self.page
        told = _PAGE.unpack_from(self.data, begin)
        return bool(told[0]) and told[3] == self.start + begin

    def first(self) -> Optional[int]:
        """Where the first record begins that begins here."""
        begin = 0
        while begin < len(self.data):
            rest = _PAGE.unpack_from(self.data, begin)[4]
            header = _LONG if begin == 0 else _SHORT
            if rest <= self.page - header:
                at = begin + header + rest
                return at + -at % 8
            begin += self.page
        return None


def end_of(data: bytes, keep: int = 5, *, prove: bool = False) -> End:
    """Walk the records of a whole segment, or of some in a row; with `prove` up to the first damaged one."""
    segment = _Segment(data)
    at = segment.first()
    last, count = "", 0
    commits: List[Commit] = []
    while at is not None and at < len(data):
        at = segment.skip_header(at)
        length = struct.unpack_from("<I", data, at)[0] if at + 4 <= len(data) else 0
        whole = segment.take(at, length) if length >= _RECORD.size else None
        if whole is None:
            break
        record, behind = whole
        if prove and struct.unpack_from("<I", record, 20)[0] != crc_of(record[24:] + record[:20]):
            break
        last = position(segment.start + at)
        count += 1
        _length, transaction, _before, info, manager, _crc = _RECORD.unpack_from(record)
        if manager == _TRANSACTIONS and info & 0x70 in _COMMITS:
            when = commit_time(record)
            if when:
                commits.append(Commit(transaction, last, when))
                del commits[:-keep]
        at = behind + -behind % 8
    return End(last, count, commits)


def crc_of(data: bytes) -> int:
    """CRC-32C, as PostgreSQL keeps it of each record."""
    table = _TABLE
    value = 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


def _table() -> List[int]:
    found = []
    for value in range(256):
        for _bit in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        found.append(value)
    return found


_TABLE = _table()


def tablespaces(data: bytes) -> List[str]:
    """Folders of the tablespaces that are made in a segment: a replay ends where such a folder is missing.

    Searched and not walked, since this is asked of every segment of a day; what fits by chance makes an empty folder.
    """
    segment = _Segment(data)
    parts = [
        data[at + (_LONG if at == 0 else _SHORT) : at + segment.page]
        for at in range(0, len(data), segment.page)
        if segment.belongs(at)
    ]
    text = b"".join(parts)
    found = []
    for match in _TABLESPACE.finditer(text):
        begin = match.start() - 17
        length = match.group(1)[0]
        if begin < 0 or length != 5 + len(match.group(2)):
            continue
        if (
            struct.unpack_from("<I", text, begin)[0] == _RECORD.size + 2 + length
            and not text[begin + 16] & 0xF0
        ):
            found.append(match.group(2).decode(errors="replace"))
    return found


def commit_time(record: bytes) -> str:
    """The instant of a commit, which is what the record's own data begins with."""
    at = _RECORD.size
    while at < len(record):
        kind = record[at]
        if kind == 253:  # an origin, of replication
            at += 3
        elif kind == 252:  # the transaction above
            at += 5
        elif kind in (254, 255):
            at += 5 if kind == 254 else 2
            microseconds = struct.unpack_from("<q", record, at)[0]
            moment = _EPOCH + datetime.timedelta(microseconds=microseconds)
            return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
        else:
            break
    return ""
