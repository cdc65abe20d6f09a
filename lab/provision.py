"""After the boot: make the hosts the hospital that they stand for, with Ansible."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab.plan import REPOSITORY, Lab
from lab.shell import LabError

# The reference system first, then the backups of what it has put into the database; each with the hosts
# that it cannot do without.
BACKUPS = "lab/provision_backup.yml"
PLAYBOOKS = {
    "lab/dialysis/provision.yml": set(),
    BACKUPS: {"db1", "backup1"},
}


def provision(lab: Lab, inventory: Path, hosts: list[str], *, backups: bool = True) -> None:
    """Run each playbook that is there on the running hosts; every one of them may be run again.

    backups: false for a hospital that has none yet, which is what the runbook configure_backup begins with.
    """
    for playbook, needed in PLAYBOOKS.items():
        if playbook == BACKUPS and not backups:
            continue
        if (REPOSITORY / playbook).is_file() and needed <= set(hosts):
            play(lab, playbook, inventory, hosts)


def play(lab: Lab, playbook: str, inventory: Path, hosts: list[str]) -> None:
    """Run one playbook; its own output is the progress."""
    print(f"lab: {playbook} on {', '.join(hosts)}", flush=True)
    program = Path(sys.executable).with_name("ansible-playbook")
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        # Building the lab is no maintenance: it needs no warning that it leaves no record.
        "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.minimal",
        "LAB_NAME": lab.name,
    }
    done = subprocess.run(
        [str(program), "--inventory", str(inventory), str(REPOSITORY / playbook)],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"{playbook} failed (messages above); the hosts are left up; mend it and say up again")
