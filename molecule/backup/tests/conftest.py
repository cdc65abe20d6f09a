"""Two hosts, a database that has no backup yet, and the runbooks as an engineer calls them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from lab.calls import Done
from lab.plan import REPOSITORY
from lab.scenario import Root, lab, ledger, options, root, run, site, start_playbook
from maintenance.record import Finding

__all__ = ["lab", "ledger", "options", "root", "run", "site"]

REASON = ("--reason", "the database has no backup")
REPOSITORY_PATH = "/var/lib/pgbackrest"
# One backup, made a minute ago, is all that a healthy site can have on its first day.
YOUNG = ("--set", 'backup_check_site_limits={"full_backups": 1, "window_days": 0, "used_percent": 100}')
ZERO = ("--set", "backup_rpo=zero", "--set", "database_backup_receiver_grace=2")
PGBACKREST = "cd /; runuser -u pgbackrest -- pgbackrest --stanza=dialysis"
PSQL = "cd /; runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1"


@dataclass
class First:
    """How a database got its backup: planned, refused by a device that is too small, done, done again."""

    planned: Done
    before: str
    after_plan: str
    refused: Done
    full: Done
    done: Done
    again: Done
    checked: Done


@pytest.fixture(scope="session")
def first(run: Callable[..., Done], root: Root) -> First:
    """The whole way, once."""
    state = "find /etc /var/lib/pgbackrest /var/lib/postgresql -maxdepth 2 -printf '%p %m %u %s\\n' | sort; getent passwd"
    # A device that holds the archive, and not the backup.
    root("backup1", f"mount -t tmpfs -o size=3m,mode=0750 tmpfs {REPOSITORY_PATH}")
    before = root("backup1", state)
    planned = run("configure_backup", "--check", "--set", "database_backup_room=0")
    after_plan = root("backup1", state)
    refused = run("configure_backup", "--check")
    full = run("configure_backup", *REASON, "--set", "database_backup_room=0")
    root("backup1", f"mount -o remount,size=500m {REPOSITORY_PATH}")
    done = run("configure_backup", *REASON, *ZERO)
    again = run("configure_backup", *REASON, *ZERO)
    checked = run("check_backup", *YOUNG, *ZERO[:2])
    return First(planned, before, after_plan, refused, full, done, again, checked)


def findings(done: Done) -> dict[str, Finding]:
    """What does not pass, by rule and subject."""
    assert done.code == 0, done.err + done.out
    found = [finding for host in done.record.evidence.values() for finding in host]
    assert len(found) >= 18
    return {f"{one.id} {one.subject}": one for one in found if one.verdict != "pass"}


def start_job(site: str, name: str, argv: list[str], **more: Any) -> subprocess.Popen[str]:
    """A detached job by a playbook of its own, begun; its process is a leader of its own group."""
    play = REPOSITORY / "molecule" / "backup" / "drills" / "job.yml"
    given = {"drill_name": name, "drill_argv": argv, **more}
    return start_playbook(play, REPOSITORY / "inventories" / site, given, start_new_session=True)
