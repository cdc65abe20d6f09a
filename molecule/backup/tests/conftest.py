"""Two hosts, a database that has no backup yet, and the runbooks as an engineer calls them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import remote
from lab.calls import Done, call, environment
from lab.plan import REPOSITORY, Lab
from lab.site import folder as site_folder
from maintenance.record import Finding

Root = Callable[[str, str], str]
REASON = ("--reason", "the database has no backup")
REPOSITORY_PATH = "/var/lib/pgbackrest"
# One backup, made a minute ago, is all that a healthy site can have on its first day.
YOUNG = ("--set", 'backup_check_site_limits={"full_backups": 1, "window_days": 0, "used_percent": 100}')
ZERO = ("--set", "backup_rpo=zero", "--set", "database_backup_receiver_grace=2")
PGBACKREST = "cd /; runuser -u pgbackrest -- pgbackrest --stanza=dialysis"
PSQL = "cd /; runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1"


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab.from_environment()


@pytest.fixture(scope="session")
def site(lab: Lab) -> str:
    return site_folder(lab).name


@pytest.fixture(scope="session")
def root(lab: Lab) -> Root:
    """A bash script as root on a host; fails the test if it fails."""
    return lambda host, script: remote.as_root(lab, host, script)


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site") / "ledger"


@pytest.fixture(scope="session")
def run(site: str, ledger: Path) -> Callable[..., Done]:
    """A runbook of the site, into one ledger."""

    def one(runbook: str, *arguments: object) -> Done:
        options = ("--site", site, "--ledger", ledger, "--json", "--lang", "en", "--quiet")
        return call("run", runbook, *options, *arguments)

    return one


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
    given = {"drill_name": name, "drill_argv": argv, **more}
    command = ["ansible-playbook", "--inventory", str(REPOSITORY / "inventories" / site)]
    command += [
        "--extra-vars",
        json.dumps(given),
        str(REPOSITORY / "molecule" / "backup" / "drills" / "job.yml"),
    ]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=REPOSITORY,
        start_new_session=True,
        env={
            **environment(),
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.minimal",
        },
    )


def wait_until(what: str, seconds: float, true: Callable[[], bool]) -> None:
    """Wait for a fact; fail with its name when it does not come."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            pytest.fail(f"{what}: not within {seconds:g} s")
        time.sleep(0.2)
