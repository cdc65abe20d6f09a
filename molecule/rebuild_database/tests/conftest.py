"""A hospital at work that loses its database server in mid-write, and the runbook as an engineer calls it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import builder
from lab.calls import Done, call, environment
from lab.plan import REPOSITORY, Lab
from lab.scenario import Root, kill_tree, lab, ledger, options, root, site, wait_until

__all__ = ["lab", "ledger", "options", "root", "site"]

PSQL = "cd /; runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1"
PGBACKREST = "cd /; runuser -u pgbackrest -- pgbackrest --stanza=dialysis"
REBUILD = ("rebuild_database", "--set", "failed=db1", "--set", "standby=standby1")
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
class Lost:
    """How the database server was lost and rebuilt."""

    refused: Done
    untouched: str
    missing: str
    gap: Done
    acknowledged: dict[str, str]
    interrupted: list[list[str]]  # the marks of the journal after each interruption
    done: Done


@pytest.fixture(scope="session")
def lost(
    lab: Lab,
    run: Callable[..., Done],
    root: Root,
    options: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Lost:
    """Back up, write, refuse while it lives, cut its power; rebuild, and be interrupted again and again."""
    assert run("configure_backup").code == 0
    writer = Writer(lab, tmp_path_factory.mktemp("writer"))
    try:
        writer.wait_for(20)
        state = "find /etc /var/lib/postgresql -printf '%p %m %u %s\\n' | sort; nft list tables"
        before = root("standby1", state)
        refused = run(*REBUILD)
        untouched = "yes" if root("standby1", state) == before else "no"
        writer.wait_for(len(writer.acknowledged()) + 20)
        middle = archived_segment(root)
        writer.wait_for(len(writer.acknowledged()) + 40)
        archived_segment(root)
        # What comes now is acknowledged and not archived: it is what an archive alone loses.
        writer.wait_for(len(writer.acknowledged()) + 20)
        builder.cut_power(lab, "db1")
    finally:
        writer.stop()
    place = root("backup1", f"find /var/lib/pgbackrest/archive -name '{middle}-*'").strip()
    root("backup1", f"mv {place} /root/")
    gap = run(*REBUILD)
    root("backup1", f"mv /root/{middle}-* {place}")
    interrupted = [kill_controller_after("planned", root, options)]
    interrupted.append(kill_controller_after("restored", root, options))
    builder.cut_power(lab, "standby1")
    builder.boot(lab, "standby1")
    interrupted.append(kill_controller_after("promoted", root, options))
    return Lost(refused, untouched, middle, gap, writer.acknowledged(), interrupted, run(*REBUILD))


def archived_segment(root: Root) -> str:
    """A segment of what was written until now, in the archive."""
    segment = root("db1", f'{PSQL} -c "select pg_walfile_name(pg_switch_wal())"').strip()
    arrived = f"find /var/lib/pgbackrest/archive -name '{segment}-*' | grep -q . && echo yes || echo no"
    wait_until("the segment", 60, lambda: root("backup1", arrived) == "yes\n")
    return segment


def kill_controller_after(mark: str, root: Root, options: tuple[str, ...]) -> list[str]:
    """Begin a rebuild and kill its controller, with all that it has started here; the marks that its journal has."""
    command = [str(REPOSITORY / "runner.py"), "run", *REBUILD, *options, "--reason", "db1 lost its power"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )

    def marks() -> list[str]:
        text = root("standby1", f"cat {JOURNAL} 2>/dev/null || true")
        return list(json.loads(text)["marks"]) if text else []

    try:
        wait_until(mark, 300, lambda: mark in marks() or process.poll() is not None)
    finally:
        kill_tree(process.pid)
        process.wait()
    return marks()
