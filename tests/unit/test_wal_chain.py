"""WAL without a hole, along the right timelines, from nobody else."""

from __future__ import annotations

import pytest
from ansible.module_utils import wal_chain as wal

SIZE = wal.SEGMENT_BYTES
HISTORIES = {2: [(1, 10 * SIZE + 100)], 3: [(1, 10 * SIZE + 100), (2, 20 * SIZE)]}


def test_names_count_on_over_the_end_of_a_log() -> None:
    assert wal.parse_name("0000000200000001000000FF") == (2, 511)
    assert wal.name_of(wal.Segment(2, 512)) == "000000020000000200000000"
    assert (
        wal.name_of(wal.parse_name("000000010000000A00000003", 1 << 30), 1 << 30)
        == "000000010000000A00000003"
    )


@pytest.mark.parametrize(
    "name", ["0000000100000000000001", "000000010000000000000100", "00000001000000000000001G", ""]
)
def test_what_is_no_name_of_a_segment_is_refused(name: str) -> None:
    with pytest.raises(wal.WalError):
        wal.parse_name(name)


def test_a_history_is_read_and_nonsense_is_not() -> None:
    text = "1\t0/A000064\tno recovery target specified\n\n2\t0/14000000\tbefore 2026-11-23\n"
    assert wal.parse_history(text) == [(1, 0xA000064), (2, 0x14000000)]
    for wrong in ("one\t0/1\tx", "1", "1\tnowhere\tx"):
        with pytest.raises(wal.WalError):
            wal.parse_history(wrong)


def test_the_way_to_a_timeline_goes_over_its_ancestors() -> None:
    assert wal.way_to(3, HISTORIES) == [(1, 0, 9), (2, 10, 19), (3, 20, None)]
    assert wal.way_to(1, {}) == [(1, 0, None)]
    with pytest.raises(wal.WalError, match="history of timeline 4"):
        wal.way_to(4, HISTORIES)


def test_an_unbroken_archive_reaches_its_newest_segment() -> None:
    far = wal.reach(wal.Segment(1, 3), {1: set(range(1, 8))}, wal.way_to(1, {}))
    assert far == (wal.Segment(1, 7), [])


def test_a_hole_in_the_middle_ends_what_can_be_restored_and_is_named() -> None:
    far = wal.reach(wal.Segment(1, 3), {1: {3, 4, 6, 9}}, wal.way_to(1, {}))
    assert far.last == wal.Segment(1, 4)
    assert far.gaps == [(1, 5, 5), (1, 7, 8)]


def test_a_backup_whose_first_segment_is_gone_reaches_nothing() -> None:
    assert wal.reach(wal.Segment(1, 3), {1: {4, 5}}, wal.way_to(1, {})) == (None, [(1, 3, 3)])
    assert wal.reach(wal.Segment(1, 3), {1: {1, 2}}, wal.way_to(1, {})) == (None, [(1, 3, 3)])
    assert wal.reach(wal.Segment(1, 3), {}, wal.way_to(1, {})) == (None, [(1, 3, 3)])


def test_a_recovery_goes_over_two_promotions() -> None:
    have = {1: set(range(5, 15)), 2: set(range(10, 20)), 3: {20, 21}}
    assert wal.reach(wal.Segment(1, 5), have, wal.way_to(3, HISTORIES)) == (wal.Segment(3, 21), [])
    del have[3]
    assert wal.reach(wal.Segment(1, 5), have, wal.way_to(3, HISTORIES)).last == wal.Segment(2, 19)
    have[2].discard(10)  # the segment of the switch itself
    assert wal.reach(wal.Segment(1, 5), have, wal.way_to(3, HISTORIES)).gaps == [(2, 10, 10)]


def test_a_backup_of_another_timeline_does_not_lead_here() -> None:
    with pytest.raises(wal.WalError, match="timeline 4 does not lead to timeline 3"):
        wal.reach(wal.Segment(4, 5), {4: {5}}, wal.way_to(3, HISTORIES))


def test_an_absurd_segment_costs_no_hour() -> None:
    far = wal.reach(wal.Segment(1, 3), {1: {3, (1 << 40)}}, wal.way_to(1, {}))
    assert far.gaps == [(1, 4, (1 << 40) - 1)]


def arrived(*segments: tuple[int, int, float]) -> list[tuple[wal.Segment, float]]:
    return [(wal.Segment(timeline, number), time) for timeline, number, time in segments]


def test_a_drill_that_was_promoted_and_archives_here_is_seen() -> None:
    found = wal.strangers(arrived((1, 9, 1.0), (2, 10, 2.0)), {2: HISTORIES[2]}, {2: 2.0}, production=1)
    assert found == [{"kind": "ahead", "timeline": 2, "count": 1}]


def test_an_old_primary_that_still_archives_is_seen() -> None:
    segments = arrived((1, 9, 1.0), (1, 11, 5.0), (2, 10, 3.0), (2, 11, 4.0))
    found = wal.strangers(segments, {2: HISTORIES[2]}, {2: 2.0}, production=2)
    assert found == [{"kind": "behind", "timeline": 1, "count": 1}]


def test_what_a_recovery_to_an_earlier_time_left_behind_is_sound() -> None:
    segments = arrived((1, 9, 1.0), (1, 11, 1.5), (2, 10, 3.0))
    assert wal.strangers(segments, {2: HISTORIES[2]}, {2: 2.0}, production=2) == []


def test_a_timeline_that_production_does_not_come_from_is_seen() -> None:
    histories = {2: HISTORIES[2], 3: [(1, 12 * SIZE)]}
    found = wal.strangers(arrived((2, 10, 1.0), (3, 12, 2.0)), histories, {2: 1.0, 3: 2.0}, production=3)
    assert found == [{"kind": "aside", "timeline": 2, "count": 1}]


def test_without_productions_timeline_nobody_is_called_a_stranger() -> None:
    assert wal.strangers(arrived((2, 10, 1.0)), {}, {}, production=None) == []
