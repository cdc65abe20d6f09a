"""What a receiver has behind the archive: what of it is replayed, and what is refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import received_wal
from ansible.module_utils import wal_chain as wal
from ansible.module_utils.received_wal import ReceivedError
from ansible.module_utils.wal_records import crc_of

SIZE, PAGE = wal.SEGMENT_BYTES, 8192
LAST = "000000010000000000000005"
PLAN = {
    "segments_behind_gap": 0,
    "last_segment": LAST,
    "system_id": "7",
    "target_lsn": "0/5000028",
    "commits": ["old"],
}


def segment(number: int, *records: bytes, rest: bytes = b"", system: int = 7) -> bytes:
    """A segment with records on its first page; `rest` ends one that began before it."""
    data = bytearray(SIZE)
    struct.pack_into("<HHIQI", data, 0, 0xD110, 2, 1, number * SIZE, len(rest))
    struct.pack_into("<QII", data, 24, system, SIZE, PAGE)
    at = 40
    for part in (rest, *records):
        data[at : at + len(part)] = part
        at += len(part) + -len(part) % 8
    return bytes(data)


def record(body: bytes) -> bytes:
    """A record with its CRC."""
    head = struct.pack("<IIQBB2x", 24 + len(body), 812, 0, 0, 1)
    return head + struct.pack("<I", crc_of(body + head)) + body


COMMIT = record(b"\xff\x08" + struct.pack("<q", 5))


def extended(folder: Path, archived: bytes = b"", **changes: Any) -> dict[str, Any]:
    return received_wal.extended({**PLAN, **changes}, str(folder), lambda: archived)


def test_whole_segments_and_the_partial_one_go_on_behind_the_archive(tmp_path: Path) -> None:
    (tmp_path / LAST).write_bytes(b"archived as well, and not looked at")
    (tmp_path / "000000010000000000000006").write_bytes(segment(6, COMMIT))
    (tmp_path / "000000010000000000000007.partial").write_bytes(segment(7, COMMIT, COMMIT))
    found = extended(tmp_path)
    assert found["target_lsn"] == "0/7000050"
    assert found["last_segment"] == "000000010000000000000007"
    assert [one["file"][-9:] for one in found["received"]] == ["000000006", "7.partial"]
    assert [one["lsn"] for one in found["commits"]] == ["0/7000028", "0/7000050"]


def test_a_record_that_was_cut_off_is_not_the_target(tmp_path: Path) -> None:
    torn = bytearray(COMMIT)
    torn[-1] ^= 1
    (tmp_path / "000000010000000000000006.partial").write_bytes(segment(6, COMMIT, bytes(torn)))
    assert extended(tmp_path)["target_lsn"] == "0/6000028"


def test_a_record_that_ends_in_the_partial_one_counts(tmp_path: Path) -> None:
    split = 24
    before = bytearray(segment(5))
    # One record goes on over all pages; on the last one another ends, and the commit begins.
    for begin in range(0, SIZE, PAGE):
        rest = SIZE if begin < SIZE - PAGE else 0
        struct.pack_into("<HHIQI", before, begin, 0xD110, 0 if begin else 2, 1, 5 * SIZE + begin, rest)
    before[SIZE - PAGE + 24 :] = record(bytes(PAGE - 24 - 24 - split)) + COMMIT[:split]
    name = "000000010000000000000006.partial"
    (tmp_path / name).write_bytes(segment(6, rest=COMMIT[split:]))
    found = extended(tmp_path, bytes(before))
    assert wal.parse_lsn(found["target_lsn"]) == 6 * SIZE - split
    assert found["received"][0]["segment"] == name[:24]


def test_a_partial_one_to_which_nothing_came_is_not_needed(tmp_path: Path) -> None:
    (tmp_path / "000000010000000000000006.partial").write_bytes(bytes(SIZE))
    assert extended(tmp_path) == {**PLAN, "received": []}
    assert extended(tmp_path / "nothing") == {**PLAN, "received": []}


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("000000010000000000000007", segment(7, COMMIT), "000000010000000000000006 is missing before"),
        ("000000020000000000000006", segment(6, COMMIT), "000000010000000000000006 is missing before"),
        ("000000010000000000000006", segment(6, COMMIT, system=8), "it is of the system 8"),
        ("000000010000000000000006", segment(9, COMMIT), "it holds another segment"),
        ("000000010000000000000006", segment(6, COMMIT)[:PAGE], "8192 bytes instead of"),
        ("000000010000000000000006", bytes(SIZE), "does not begin as WAL does"),
    ],
)
def test_what_cannot_be_replayed_is_said(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ReceivedError, match=why):
        extended(tmp_path)


def test_nothing_is_replayed_over_a_gap_of_the_archive(tmp_path: Path) -> None:
    (tmp_path / "000000010000000000000006").write_bytes(segment(6, COMMIT))
    with pytest.raises(ReceivedError, match="gap"):
        extended(tmp_path, segments_behind_gap=2)
