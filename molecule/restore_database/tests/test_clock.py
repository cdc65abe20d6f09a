"""Production's clock is an hour off: an instant that a person has read elsewhere would be another one in its log."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lab.calls import Done
from lab.scenario import Root

PSQL = "cd /; runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1"
# The hosts of the lab share the machine's clock: the server is asked by the function that stands before its own.
SHIFT = """
create schema clock_fault;
create function clock_fault.clock_timestamp() returns timestamptz language sql as
  $$select pg_catalog.clock_timestamp() + interval '{hours} hours'$$;
alter role postgres in database postgres set search_path = clock_fault, pg_catalog;
"""
MEND = "alter role postgres in database postgres reset search_path; drop schema if exists clock_fault cascade"
LEFT = "ls /var/lib/maintenance/drill /var/lib/maintenance/drill.json 2>/dev/null || true"
ASKED = (
    "--set",
    "target_time=2026-11-01T00:00:00Z",
    "--set",
    "tables=nowhere.public.sessions",
    "--reason",
    "x",
)


Moved = Callable[[int], None]


@pytest.fixture
def moved(root: Root) -> Iterator[Moved]:
    """Moves the server's clock by hours; afterwards it goes right."""

    def move(hours: int) -> None:
        root("db1", f"{PSQL} <<'END'\n{SHIFT.format(hours=hours)}\nEND")

    yield move
    root("db1", f"{PSQL} -c '{MEND}'")


@pytest.mark.parametrize(("hours", "said"), [(1, " s ahead of"), (-1, " s behind")])
def test_an_instant_is_not_looked_up_by_a_clock_that_is_wrong(
    moved: Moved, run: Callable[..., Done], root: Root, hours: int, said: str
) -> None:
    moved(hours)
    done = run("restore_database", *ASKED)
    assert done.code == 1
    assert "target_time: db1's clock is 3" in str(done.record.outcome_reason)
    assert f"{said} this machine's" in str(done.record.outcome_reason)
    assert done.record.changes == []
    assert root("db1", LEFT) == ""


def test_a_person_may_write_the_instant_as_the_wrong_clock_had_it(
    moved: Moved, run: Callable[..., Done]
) -> None:
    moved(1)
    done = run("restore_database", *ASKED, "--set", "drill_clock_seconds=7200")
    assert "production has no database nowhere" in str(done.record.outcome_reason)
