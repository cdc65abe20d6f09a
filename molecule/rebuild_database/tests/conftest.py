"""A hospital at work that loses its database server in mid-write, and the runbook as an engineer calls it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from lab import builder
from lab.calls import Done, call, environment
from lab.plan import REPOSITORY, Lab
from lab.scenario import Root, kill_tree, lab, ledger, options, root, site, wait_until

Result = TypeVar("Result")
__all__ = ["lab", "ledger", "options", "root", "site"]

PSQL = "cd /; runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1"
PGBACKREST = "cd /; runuser -u pgbackrest -- pgbackrest --stanza=dialysis"
REBUILD = ("rebuild_database", "--set", "failed=db1", "--set", "standby=standby1")
# A tablespace with one table, as a hospital has for the images of old years.
TABLESPACE = f"""
install -d -o postgres -g postgres -m 700 /srv/{{name}}
{PSQL} -c "create tablespace {{name}} location '/srv/{{name}}'" \\
  -c "create table in_{{name}} tablespace {{name}} as select n from generate_series(1, 500) n"
"""  # noqa: S608  (nothing from outside stands in it)
IN_TABLESPACES = f"""
for name in ward archive; do
  {PSQL} -c "table in_$name" | wc -l
  stat -c '%U %a' /srv/$name
  {PSQL} -c "drop table in_$name" -c "drop tablespace $name"
done
"""
NOT_ARCHIVED = "select failed_count > 0 from pg_stat_archiver"
QUIET = "create table quiet as select n from generate_series(1, 500) n"
# As a machine with another release of the C library would find it, for PostgreSQL's own eyes.
OTHER_VERSION = "update pg_database set datcollversion = '2.28' where datname = 'dialysis'"
CUT_LINK = """
nft -f - <<'END'
table inet cut {
  chain input { type filter hook input priority -300; tcp sport 22 drop; }
}
END
"""
JOURNAL = "/var/lib/maintenance/rebuild/journal.json"


@pytest.fixture(scope="session")
def run(options: tuple[str, ...]) -> Callable[..., Done]:
    """A runbook of the site, with the reason that an engineer gives."""
    return lambda runbook, *more: call("run", runbook, *options, "--reason", "db1 lost its power", *more)


class Writer:
    """The reference system's own driver, and the list of what was acknowledged to it."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.list = folder / "acknowledged"
        certificate = lab.keys / "dialysis" / "gate1.pem"
        command = [sys.executable, str(REPOSITORY / "lab" / "dialysis" / "drive.py")]
        command += ["--url", f"https://{lab.address('gate1')}", "--ca", str(certificate)]
        command += ["--acknowledged", str(self.list), "--rate", "20"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())

    def acknowledged(self) -> dict[str, str]:
        """Reference and instant of each."""
        lines = self.list.read_text().splitlines() if self.list.exists() else []
        return {reference: at for _session, reference, at in (line.split("\t") for line in lines)}

    def wait_for(self, count: int) -> None:
        wait_until(f"{count} acknowledged bookings", 120, lambda: len(self.acknowledged()) >= count)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=90)


@dataclass
class Cut:
    """A database server that lost its power, and nothing is rebuilt yet."""

    refused: Done
    untouched: str
    segments: list[str]  # in the archive, one from the middle and the last one
    acknowledged: dict[str, str]


@pytest.fixture(scope="session")
def cut(lab: Lab, run: Callable[..., Done], root: Root, tmp_path_factory: pytest.TempPathFactory) -> Cut:
    """Back up, write, refuse while it lives, cut its power."""
    root("db1", TABLESPACE.format(name="ward"))
    root("db1", f'{PSQL} -c "{OTHER_VERSION}" -c "{QUIET}"')
    assert run("configure_backup", "--set", "backup_rpo=zero").code == 0
    writer = Writer(lab, tmp_path_factory.mktemp("writer"))
    try:
        writer.wait_for(20)
        state = "find /etc /var/lib/postgresql -printf '%p %m %u %s\\n' | sort; nft list tables"
        before = root("standby1", state)
        refused = run(*REBUILD)
        untouched = "yes" if root("standby1", state) == before else "no"
        writer.wait_for(len(writer.acknowledged()) + 20)
        middle = archived_segment(root)
        root("db1", TABLESPACE.format(name="archive"))
        writer.wait_for(len(writer.acknowledged()) + 40)
        last = archived_segment(root)
        # What comes now is acknowledged and not archived: an archive alone loses it, the synchronous receiver has it, as
        # a whole segment and as the beginning of another.
        root("db1", f"{PSQL} -c \"alter system set archive_command = 'false'\" -c 'select pg_reload_conf()'")
        writer.wait_for(len(writer.acknowledged()) + 20)
        root("db1", f"{PSQL} -c 'select pg_switch_wal()'")
        wait_until("archiving fails", 60, lambda: root("db1", f'{PSQL} -c "{NOT_ARCHIVED}"') == "t\n")
        writer.wait_for(len(writer.acknowledged()) + 20)
        builder.cut_power(lab, "db1")
    finally:
        writer.stop()
    return Cut(refused, untouched, [middle, last], writer.acknowledged())


@dataclass
class Lost:
    """How the lost database server was rebuilt."""

    acknowledged: dict[str, str]
    killed: Done  # its pgBackRest was killed in mid-restore
    unsorted: Done  # its restore went on after the link was cut; the C library sorts by another version
    interrupted: list[list[str]]  # the marks of the journal after each interruption
    spaces: str  # what was in the tablespaces
    damaged: Done
    done: Done


@pytest.fixture(scope="session")
def lost(cut: Cut, lab: Lab, run: Callable[..., Done], root: Root, options: tuple[str, ...]) -> Lost:
    """Rebuild, and be interrupted again and again."""
    interrupted = [kill_controller_after("planned", root, options)]
    killed = while_it_restores(root, "kill -9 $pid", lambda: run(*REBUILD))
    # The link is cut under the restore and comes back before TCP gives up.
    mended = f"{CUT_LINK}sleep 4; nft delete table inet cut"
    unsorted = while_it_restores(root, mended, lambda: run(*REBUILD))
    interrupted.append(marks(root))
    builder.cut_power(lab, "standby1")
    builder.boot(lab, "standby1")
    interrupted.append(kill_controller_after("promoted", root, options, "--set", "rebuild_reindex=true"))
    # They end here, before the next backup: a way back to the old machine knows none.
    spaces = root("standby1", IN_TABLESPACES)
    with flipped(root, *page_of(root)):
        damaged = run(*REBUILD)
    return Lost(cut.acknowledged, killed, unsorted, interrupted, spaces, damaged, run(*REBUILD))


def while_it_restores(root: Root, script: str, act: Callable[[], Result]) -> Result:
    """Act, and run a script on the standby as soon as pgBackRest restores there; $pid is its number."""
    wait = "for i in $(seq 3000); do pid=$(pgrep -o -u postgres -f 'pgbackrest .*restore$') && break; sleep 0.02; done"
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(root, "standby1", f'{wait}; [ -n "$pid" ]; {script}')
        result = act()
        beside.result()
    return result


def page_of(root: Root) -> tuple[str, str]:
    """A page of the new server that nothing reads but the proof, with host and file."""
    root("standby1", f"{PSQL} -c checkpoint")
    place = root("standby1", f"{PSQL} -c \"select pg_relation_filepath('quiet')\"").strip()
    return "standby1", f"/var/lib/postgresql/15/main/{place}"


@contextmanager
def flipped(root: Root, host: str, path: str) -> Iterator[None]:
    """Another bit in the middle of a file, for the length of a `with` block."""
    flip = (
        "import sys; f = open(sys.argv[1], 'r+b'); at = f.seek(0, 2) // 2; f.seek(at); b = f.read(1)[0];"
        " f.seek(at); f.write(bytes([b ^ 16]))"
    )
    root(host, f'python3 -c "{flip}" {path}')
    try:
        yield
    finally:
        root(host, f'python3 -c "{flip}" {path}')


def archived_segment(root: Root) -> str:
    """A segment of what was written until now, in the archive."""
    segment = root("db1", f'{PSQL} -c "select pg_walfile_name(pg_switch_wal())"').strip()
    arrived = f"find /var/lib/pgbackrest/archive -name '{segment}-*' | grep -q . && echo yes || echo no"
    wait_until("the segment", 60, lambda: root("backup1", arrived) == "yes\n")
    return segment


def marks(root: Root) -> list[str]:
    """What the journal says is done."""
    text = root("standby1", f"cat {JOURNAL} 2>/dev/null || true")
    return list(json.loads(text)["marks"]) if text else []


def kill_controller_after(mark: str, root: Root, options: tuple[str, ...], *more: str) -> list[str]:
    """Begin a rebuild and kill its controller, with all that it has started here; the marks that its journal has."""
    command = [
        str(REPOSITORY / "runner.py"),
        "run",
        *REBUILD,
        *options,
        "--reason",
        "db1 lost its power",
        *more,
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )
    try:
        wait_until(mark, 300, lambda: mark in marks(root) or process.poll() is not None)
    finally:
        kill_tree(process.pid)
        process.wait()
    return marks(root)
