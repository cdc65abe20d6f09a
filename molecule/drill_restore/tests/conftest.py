"""A database that is written to all the time, its repository, and drills: sound ones, and each fault in its turn."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from lab.calls import Done, environment
from lab.plan import REPOSITORY
from lab.scenario import Root, kill_tree, lab, ledger, options, root, run, site, wait_until
from maintenance.record import Finding

__all__ = ["lab", "ledger", "options", "root", "run", "site"]

DRILL = ("drill_restore", "--reason", "twice a year")
FOLDER = "/var/lib/maintenance/drill"
LEASE = "/var/lib/maintenance/drill.json"
# A patient's name in two halves: a command line that held it whole would leave it in the log of sudo.
NAME = ("演练病人", "赵钱孙")
PSQL = "cd /; runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1 -d dialysis"
PGBACKREST = "cd /; runuser -u pgbackrest -- pgbackrest --stanza=dialysis"
MARKS = '[{"name": "marks", "database": "dialysis", "query": "SELECT count(*) FROM drill_marks"}]'
ASKED = (*DRILL, "--set", f"drill_questions={MARKS}")
TABLES = "create table drill_beat (n bigserial primary key, name text); create table drill_marks (n int)"
BEAT = "insert into drill_beat (name) values ('{}' || '{}');".format(*NAME)  # noqa: S608  (all of it stands here)
WRITE = f"""cd /
{PSQL} -c "{TABLES}"
echo "{BEAT}" > /var/tmp/beat.sql
systemd-run -q --unit drill-writers --uid postgres pgbench -n -c 4 -R 200 -T 1200 -f /var/tmp/beat.sql dialysis
"""
MARK = "insert into drill_marks values (1)"
ARCHIVE = f'{PSQL} -c "select pg_walfile_name(pg_switch_wal())"'
# Every file that was there, as the archive and the backups have them.
HELD = "cd /var/lib/pgbackrest && find archive backup -type f -printf '%p %s %T@\\n' | sort"
# All that a copy may have left behind: files below every place that is written to, processes, units, sockets.
LEFT = f"""
half={NAME[0]}
grep -rlF "$half"'{NAME[1]}' /var /tmp /srv /run /dev/shm /root /home /etc --exclude-dir=journal 2>/dev/null || true
ls -d {FOLDER} {LEASE} /run/postgresql/.s.PGSQL.5499 2>/dev/null || true
systemctl list-units --all --plain --no-legend 'maintenance-drill*'
pgrep -ax postgres || true
"""


@dataclass
class Drilled:
    """Production at work, and the drills that must succeed."""

    before: str
    newest: Done
    after: str
    left: str
    instant: str  # between the first mark and the second
    past: Done


@pytest.fixture(scope="session")
def drilled(root: Root, run: Callable[..., Done]) -> Iterator[Drilled]:
    """A backup, writers, two marks with an instant between, a drill to the newest point and one to that instant."""
    assert run("configure_backup", "--reason", "the database has no backup").code == 0
    root("db1", WRITE)
    root("db1", f"{PSQL} -c '{MARK}'")
    # The target is a whole second, so that it lies between the two for certain.
    instant = root("db1", "sleep 1.1; date --iso-8601=seconds; sleep 1.1").strip()
    root("db1", f"{PSQL} -c '{MARK}'")
    before = root("backup1", HELD)
    newest = run(*ASKED)
    after = root("backup1", HELD)
    left = root("backup1", LEFT)
    past = run(*ASKED, "--set", f"target_time={instant}")
    yield Drilled(before, newest, after, left, instant, past)
    root("db1", "systemctl stop drill-writers || true")


@pytest.fixture(scope="session")
def archived(root: Root) -> Callable[[], str]:
    """Close the present segment and see it in the archive; its name."""

    def close() -> str:
        segment = root("db1", ARCHIVE).strip()
        there = f"find /var/lib/pgbackrest/archive -name '{segment}-*' | grep -q . && echo yes || echo no"
        wait_until(segment, 60, lambda: root("backup1", there) == "yes\n")
        return segment

    return close


@dataclass
class Killed:
    """Another drill beside it, and what it left."""

    beside: Done
    left: str


@pytest.fixture(scope="session")
def killed(drilled: Drilled, root: Root, run: Callable[..., Done], options: tuple[str, ...]) -> Killed:
    """A drill whose controller was killed with all that it had started, as its copy was there."""
    assert drilled.newest.code == 0, drilled.newest.out
    process = subprocess.Popen(
        [str(REPOSITORY / "runner.py"), "run", *ASKED, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )
    copied = f"test -e {FOLDER}/data/PG_VERSION && echo yes || echo no"
    try:
        wait_until("files of a copy", 120, lambda: root("backup1", copied) == "yes\n")
        beside = run(*DRILL)
    finally:
        kill_tree(process.pid)
        process.wait()
    return Killed(beside, root("backup1", LEFT))


def findings(done: Done) -> dict[str, Finding]:
    """The findings of a run by their names."""
    return {one.id: one for found in done.record.evidence.values() for one in found}
