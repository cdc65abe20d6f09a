"""Which backup, timeline and end a rebuild uses, and when it refuses to choose."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.pgbackrest_files import File, Manifest
from ansible.module_utils.recovery_plan import PlanError, choose, seconds_of, tablespaces, timeline_of

MIB16 = 16 << 20


def backup(label: str, timeline: int, first: int, last: int, stopped: int) -> dict[str, Manifest]:
    def name(number: int) -> str:
        return f"{timeline:08X}00000000{number:08X}"

    return {label: Manifest(label, "full", "7", "zst", name(first), name(last), stopped - 1, stopped, {}, [])}


ONE = backup("A", 1, 2, 3, 100)
TWO = ONE | backup("B", 1, 6, 6, 200)
HISTORY = {2: [(1, 9 * MIB16 + 40)]}


def test_the_newest_backup_and_the_last_segment_are_chosen() -> None:
    found = choose(TWO, {1: set(range(2, 10))}, {}, 1)
    assert (found.label, found.last.number, found.behind_gap) == ("B", 9, 0)


def test_a_gap_before_the_newest_backup_does_no_harm() -> None:
    assert choose(TWO, {1: {2, 3, 6, 7, 8}}, {}, 1).label == "B"


def test_an_older_backup_never_hides_a_gap() -> None:
    with pytest.raises(PlanError, match=r"000000010000000000000008.*rebuild_until_gap"):
        choose(TWO, {1: {2, 3, 4, 5, 6, 7, 9, 10}}, {}, 1)


def test_a_gap_that_a_person_accepts_is_counted() -> None:
    found = choose(TWO, {1: {6, 7, 9, 10}}, {}, 1, until_gap=True)
    assert (found.last.number, found.behind_gap) == (7, 3)


def test_a_backup_without_its_own_wal_is_passed_over() -> None:
    found = choose(TWO, {1: {2, 3, 4, 5}}, {}, 1)
    assert (found.label, found.last.number) == ("A", 5)


def test_no_usable_backup_is_said() -> None:
    with pytest.raises(PlanError, match="B: the WAL of the backup itself is not complete"):
        choose(TWO, {1: {2, 7}}, {}, 1)


def test_the_way_leads_over_a_promotion() -> None:
    found = choose(TWO, {1: {6, 7, 8}, 2: {9, 10}}, HISTORY, 2)
    assert (found.label, found.last.timeline, found.last.number) == ("B", 2, 10)


@pytest.mark.parametrize(
    ("present", "histories"),
    [
        ({1, 2}, HISTORY),  # a drill that was promoted, or production itself
        ({1, 2}, {}),
        ({1}, {}),
    ],
)
def test_a_second_timeline_is_a_question_for_a_person(present: set[int], histories: dict[int, Any]) -> None:
    if present == {1}:
        assert timeline_of(TWO, present, histories, 0) == 1
        return
    with pytest.raises(PlanError, match="rebuild_timeline=N"):
        timeline_of(TWO, present, histories, 0)
    assert timeline_of(TWO, present, histories, 2) == 2


def test_the_ancestors_of_production_are_no_strangers() -> None:
    newest = TWO | backup("C", 2, 10, 10, 300)
    assert timeline_of(newest, {1, 2}, HISTORY, 0) == 2


def test_a_timeline_that_is_not_there_is_refused() -> None:
    with pytest.raises(PlanError, match="has no timeline 4; it has: 1"):
        timeline_of(TWO, {1}, {}, 4)


def test_a_repository_without_a_backup_is_refused() -> None:
    with pytest.raises(PlanError, match="no backup"):
        timeline_of({}, {1}, {}, 0)


def test_a_target_is_an_instant_with_its_zone() -> None:
    assert (
        seconds_of("2026-11-23 02:10:00+08:00", 2e9) == seconds_of("2026-11-22T18:10:00Z", 2e9) == 1795371000
    )


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-23 02:10:00", "2026-13-01 00:00:00+08:00", "02:10+08:00"]
)
def test_a_target_that_could_be_meant_twice_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match="no instant with a zone"):
        seconds_of(text, 2e9)


def test_a_target_in_the_future_is_refused_with_the_time_of_this_host() -> None:
    with pytest.raises(PlanError, match=r"in the future; it is 2026-11-22T18:09:59Z here"):
        seconds_of("2026-11-22T18:10:00Z", 1795370999)


def test_tablespaces_of_the_backup_and_of_the_wal_are_told_once_with_their_size() -> None:
    def file(name: str, size: int) -> File:
        return File(name, "A", size, "", "", None, None, 0, False)

    files = [
        file("pg_data/base/1", 9),
        file("pg_tblspc/16400/PG_15/5/1", 3),
        file("pg_tblspc/16400/PG_15/5/2", 4),
    ]
    told = ONE["A"]._replace(files=files, tablespaces=(("pg_tblspc/16400", "/srv/ward"),))
    assert tablespaces(told, {"/srv/new", "/srv/ward"}) == [
        {"path": "/srv/new", "bytes": 0},
        {"path": "/srv/ward", "bytes": 7},
    ]
