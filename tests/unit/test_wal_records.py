"""The end of a WAL segment, on segments made here byte by byte."""

from __future__ import annotations

import struct

import pytest
from ansible.module_utils.wal_records import crc_of, end_of, tablespaces

PAGE, SEGMENT = 8192, 1 << 20
START = 5 * SEGMENT


class Writer:
    """Writes records as PostgreSQL lays them out."""

    def __init__(self, rest: int = 0) -> None:
        self.data = bytearray(SEGMENT)
        self.at = 0
        self.begins: list[int] = []
        self.header(rest)
        self.raw(bytes(rest))
        self.at += -self.at % 8

    def header(self, rest: int) -> None:
        info = 2 if self.at == 0 else 0
        struct.pack_into("<HHIQI", self.data, self.at, 0xD110, info, 1, START + self.at, rest)
        if self.at == 0:
            struct.pack_into("<QII", self.data, 24, 7, SEGMENT, PAGE)
        self.at += 40 if info else 24

    def raw(self, data: bytes) -> None:
        while data:
            if self.at % PAGE == 0:
                self.header(len(data))
            size = min(len(data), PAGE - self.at % PAGE)
            self.data[self.at : self.at + size] = data[:size]
            self.at += size
            data = data[size:]

    def record(self, manager: int, info: int, body: bytes, transaction: int = 0) -> int:
        self.at += -self.at % 8
        if self.at % PAGE == 0:
            self.header(0)
        self.begins.append(self.at)
        self.raw(struct.pack("<IIQBB2xI", 24 + len(body), transaction, 0, info, manager, 0) + body)
        return self.begins[-1]

    def sealed(self, body: bytes) -> int:
        """A record with its CRC, whole on its page."""
        place = self.record(10, 0, body)
        record = self.data[place : place + 24 + len(body)]
        struct.pack_into("<I", self.data, place + 20, crc_of(bytes(record[24:] + record[:20])))
        return place

    def commit(self, transaction: int, microseconds: int) -> int:
        return self.record(1, 0x80, b"\xff\x08" + struct.pack("<q", microseconds), transaction)


def lsn(at: int) -> str:
    return f"{(START + at) >> 32:X}/{(START + at) & 0xFFFFFFFF:X}"


def test_the_last_record_and_the_last_commits_are_found_over_many_pages() -> None:
    writer = Writer(rest=100)
    for number in range(400):
        writer.record(10, 0, bytes(90))
        place = writer.commit(700 + number, number * 1_000_000)
    last = writer.record(0, 0x40, b"")
    end = end_of(bytes(writer.data))
    assert (end.lsn, end.records) == (lsn(last), 801)
    assert end.commits[-1] == (1099, lsn(place), "2000-01-01T00:06:39.000000Z")
    assert [one.transaction for one in end.commits] == [1095, 1096, 1097, 1098, 1099]


def test_a_record_that_goes_on_in_the_next_segment_is_not_whole() -> None:
    writer = Writer()
    whole = writer.record(10, 0, bytes(50))
    struct.pack_into("<I", writer.data, writer.at + -writer.at % 8, 2 * SEGMENT)
    assert end_of(bytes(writer.data)).lsn == lsn(whole)


def test_what_an_earlier_use_of_the_file_left_behind_is_no_record() -> None:
    writer = Writer()
    last = 0
    while writer.at < PAGE * 3 - 200:
        last = writer.record(10, 0, bytes(96))
    old = PAGE * 3
    struct.pack_into("<HHIQI", writer.data, old, 0xD110, 0, 1, START - SEGMENT + old, 0)
    struct.pack_into("<I", writer.data, writer.at + -writer.at % 8, 400)
    assert end_of(bytes(writer.data)).lsn == lsn(last)


def test_a_record_longer_than_all_that_is_left_gives_none() -> None:
    writer = Writer()
    struct.pack_into("<I", writer.data, 40, 3 * SEGMENT)
    assert end_of(bytes(writer.data)) == ("", 0, [])


def test_a_commit_of_a_replicated_or_long_transaction_has_its_time() -> None:
    writer = Writer()
    body = b"\xfd\x00\x00\xfe" + struct.pack("<I", 300) + struct.pack("<q", 5) + bytes(292)
    writer.record(1, 0x00, body, 42)
    writer.record(1, 0x20, b"\xff\x08" + struct.pack("<q", 9), 43)  # an abort
    end = end_of(bytes(writer.data))
    assert [(one.transaction, one.at) for one in end.commits] == [(42, "2000-01-01T00:00:00.000005Z")]


def test_what_does_not_begin_as_a_segment_is_refused() -> None:
    with pytest.raises(ValueError, match="does not begin"):
        end_of(bytes(SEGMENT))


def test_tablespaces_that_are_made_are_found_over_the_edge_of_a_page() -> None:
    writer = Writer()
    made = [f"/srv/ward{number}" for number in range(300)]
    for path in made:
        body = struct.pack("<I", 16400) + path.encode() + b"\0"
        writer.record(5, 0x00, b"\xff" + bytes([len(body)]) + body)
        writer.record(5, 0x10, b"\xff\x04" + struct.pack("<I", 16400))  # dropped
        writer.record(10, 0, b"\x05\x00\x00" + bytes(4) + b"\xff\x0c" + bytes(4) + b"/no/such\0")
    assert writer.at > 3 * PAGE
    assert tablespaces(bytes(writer.data)) == made


def test_crc_is_that_of_the_standard() -> None:
    assert crc_of(b"123456789") == 0xE3069283


def test_what_was_cut_off_while_it_was_written_is_no_record() -> None:
    writer = Writer()
    whole = writer.sealed(b"whole")
    torn = writer.sealed(b"torn" + bytes(20))
    writer.data[torn + 26] ^= 1
    assert end_of(bytes(writer.data), prove=True).lsn == lsn(whole)
    assert end_of(bytes(writer.data)).lsn == lsn(torn)


def test_a_record_over_the_edge_of_two_segments_is_whole_in_both() -> None:
    first = Writer()
    while first.at < SEGMENT - 64:
        first.record(10, 0, bytes(16))
    begin = first.at + -first.at % 8
    body = bytes(80)
    record = struct.pack("<IIQBB2xI", 24 + len(body), 0, 0, 0, 10, 0) + body
    first.data[begin:] = record[: SEGMENT - begin]
    rest = len(record) - (SEGMENT - begin)
    second = Writer()
    struct.pack_into("<Q", second.data, 8, START + SEGMENT)
    struct.pack_into("<I", second.data, 16, rest)
    assert end_of(bytes(first.data)).lsn != lsn(begin)
    assert end_of(bytes(first.data + second.data)).lsn == lsn(begin)
