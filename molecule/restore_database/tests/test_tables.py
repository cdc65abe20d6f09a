"""Tables of a moment before a disaster come back beside the live ones: every row of that moment, and no other."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from moments import PSQL, asked, next_second, reason

from lab.calls import Done, environment
from lab.plan import REPOSITORY
from lab.scenario import Root, kill_tree, wait_until
from maintenance.record import Finding

PATIENT = "Plum Blossom 4711"
# With everything that must not come along, and what must.
MAKE = f"""{PSQL} <<'END'
create table public.drill_ward (ward int primary key);
insert into public.drill_ward values (1);
create function public.drill_touch() returns trigger language plpgsql as
  'begin new.note := upper(new.note); return new; end';
create table public.drill_stay (
  id bigint generated always as identity primary key, ward int references public.drill_ward, note text default 'x',
  twice text generated always as (note || note) stored, at timestamptz not null default clock_timestamp(),
  check (ward > 0));
create index on public.drill_stay (lower(note));
create trigger touch before insert on public.drill_stay for each row execute function public.drill_touch();
alter table public.drill_stay enable row level security;
create table public."Drill Part" (day date, value int, primary key (day, value)) partition by range (day);
create table public.drill_part_1 partition of public."Drill Part" for values from ('2026-01-01') to ('2027-01-01');
insert into public."Drill Part" select date '2026-03-01' + n, n from generate_series(1, 200) n;
insert into public.drill_stay (ward, note) select 1, '{PATIENT} ' || n from generate_series(1, 500) n;
END
"""  # noqa: S608
LIVE = (
    "select count(*), coalesce(md5(string_agg(t::text, ',' order by t::text)), '') from public.drill_stay t"
)
SIDE = "restored_before"
NAMED = ("--set", f"restore_schema={SIDE}", "--reason", "rows were deleted")
FOLDER = "/var/lib/maintenance/drill"
SCHEMAS = "select count(*) from pg_namespace where nspname like 'restored%'"
# Every trace of the copy: its files, its server, its work, its units.
TRACES = f"""
find {FOLDER} -mindepth 1 2>/dev/null || true
ls /var/run/postgresql/.s.PGSQL.5499 /var/lib/maintenance/drill.json 2>/dev/null || true
systemctl list-units --no-legend --plain 'maintenance-drill*' | awk '$4 == "running"'
grep -rls '{PATIENT}' /var/lib/maintenance /tmp /var/tmp || true
"""


@dataclass
class Disaster:
    """When it was, what there was, and what the runbook did."""

    instant: str
    rows: str
    left: str
    planned: Done
    after_plan: str
    done: Done


@pytest.fixture(scope="module")
def disaster(root: Root, run: Callable[..., Done]) -> Iterator[Disaster]:
    """Rows are made, an instant later they are gone; the runbook brings them beside."""
    root("db1", MAKE)
    rows = asked(root, LIVE)
    # A target is as exact as a second: what comes before it and after it lies in other ones.
    at = next_second(root)
    next_second(root)
    asked(root, "delete from public.drill_stay where id > 3")
    asked(root, "insert into public.drill_stay (ward, note) values (1, 'after')")
    left = asked(root, LIVE)
    when = ("--set", f"target_time={at}", "--set", "tables=dialysis.public.drill_stay", *NAMED)
    planned = run("restore_database", "--check", *when)
    after_plan = asked(root, SCHEMAS) + root("db1", f"ls {FOLDER} 2>/dev/null || true")
    yield Disaster(at, rows, left, planned, after_plan, run("restore_database", *when))


def findings(done: Done) -> dict[str, Finding]:
    return {one.id: one for host in done.record.evidence.values() for one in host}


def test_every_row_of_that_moment_is_beside_the_live_ones(disaster: Disaster, root: Root) -> None:
    assert disaster.done.code == 0, disaster.done.err + disaster.done.out
    assert asked(root, LIVE.replace("public", SIDE)) == disaster.rows
    assert asked(root, LIVE) == disaster.left, "the live table is as the disaster has left it"
    found = findings(disaster.done)
    assert {one.verdict for one in found.values()} == {"pass"}
    assert "500" in found["RST-ROW-01"].actual
    for kind in ("foreign key 1", "check 1", "trigger 1", "identity 1", "default 2", "row security 1"):
        assert kind in found["RST-LFT-01"].actual
    assert disaster.instant[:19] in asked(root, f"select obj_description('{SIDE}'::regnamespace)")


def test_a_rehearsal_changes_nothing(disaster: Disaster) -> None:
    assert disaster.planned.code == 0, disaster.planned.err
    assert disaster.after_plan.split() == ["0"]


def test_nothing_of_the_copy_or_of_a_patient_is_left(disaster: Disaster, root: Root, ledger: Path) -> None:
    assert disaster.done.code == 0
    assert root("db1", TRACES) == ""
    assert findings(disaster.done)["DRL-WIP-01"].verdict == "pass"
    # Its site says `pdf: false`.
    assert {Path(path).suffix for path in disaster.done.told["documents"]} == {".docx"}
    told = [path for path in ledger.rglob("*") if path.is_file() and PATIENT.encode() in path.read_bytes()]
    assert told == []


def test_nothing_that_is_there_is_overwritten(
    disaster: Disaster, run: Callable[..., Done], root: Root
) -> None:
    before = asked(root, LIVE.replace("public", SIDE))
    given = ("--set", f"target_time={disaster.instant}", "--set", "tables=dialysis.public.drill_stay")
    again = run("restore_database", *given, *NAMED)
    assert again.code == 1
    assert f"database dialysis has a schema {SIDE} already" in reason(again)
    assert asked(root, LIVE.replace("public", SIDE)) == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("target_time=2026-01-01T00:00:00Z", "the target is before it"),
        ("tables=nowhere.public.drill_stay", "production has no database nowhere"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_changed(
    disaster: Disaster, run: Callable[..., Done], root: Root, given: str, said: str
) -> None:
    sound = ("--set", f"target_time={disaster.instant}", "--set", "tables=dialysis.public.drill_stay")
    done = run(
        "restore_database", *sound, "--set", given, "--set", "restore_schema=restored_no", "--reason", "x"
    )
    assert done.code == 1
    assert said in reason(done)
    assert asked(root, SCHEMAS) == "1"
    assert root("db1", TRACES) == ""


def test_a_killed_controller_is_followed_by_a_run_that_clears_up_and_brings_partitions(
    disaster: Disaster, options: tuple[str, ...], run: Callable[..., Done], root: Root
) -> None:
    given = ("--set", f"target_time={disaster.instant}", "--set", "tables=dialysis.public.Drill Part")
    given += ("--set", "restore_schema=restored_parts", "--reason", "rows were deleted")
    process = subprocess.Popen(
        [str(REPOSITORY / "runner.py"), "run", "restore_database", *options, *given],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )
    restoring = f"test -e {FOLDER}/data/PG_VERSION && echo yes || echo no"
    try:
        wait_until(
            "the restore", 120, lambda: root("db1", restoring) == "yes\n" or process.poll() is not None
        )
    finally:
        kill_tree(process.pid)
        process.wait()
    # What dies in bringing the rows leaves nothing, as they come in one transaction; or a schema that says so.
    asked(root, "create schema restored_parts")
    asked(root, "comment on schema restored_parts is 'brought by restore_database, not proven yet'")
    done = run("restore_database", *given)
    assert done.code == 0, reason(done)
    assert asked(root, 'select count(*), sum(value) from restored_parts.\\"Drill Part\\"') == "200|20100"
    assert root("db1", TRACES) == ""


def test_a_table_that_was_not_there_at_that_time_is_named(
    disaster: Disaster, run: Callable[..., Done], root: Root
) -> None:
    asked(root, "create table public.drill_later (n int)")
    given = ("--set", f"target_time={disaster.instant}", "--set", "tables=dialysis.public.drill_later")
    done = run("restore_database", *given, "--set", "restore_schema=restored_later", "--reason", "x")
    assert done.code == 1
    assert "at that time database dialysis had no table public.drill_later" in reason(done)
    assert asked(root, "select count(*) from pg_namespace where nspname = 'restored_later'") == "0"
    assert root("db1", TRACES) == ""
