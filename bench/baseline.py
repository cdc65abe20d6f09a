"""MLPS level 3 on one lab host: the assessment against the inspection, hardening against dev-sec's roles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bench.hosts import PLAYBOOK, write_inventory
from bench.measure import Line, alternate, command, cost
from lab.plan import REPOSITORY, Lab

HOST = "app1"
# Without what would load packages from a network, or rules into a kernel that is not the host's own.
DEVSEC = """
- hosts: all
  vars:
    os_auditd_enabled: false
    os_auth_pam_passwdqc_enable: false
    os_modprobe_enabled: false
    os_sysctl_enabled: false
  pre_tasks:
    - ansible.builtin.command: ssh-keygen -A
  roles: [devsec.hardening.os_hardening, devsec.hardening.ssh_hardening]
"""


def play(inventory: Path, path: Path, *arguments: str, collections: str = "") -> None:
    """One playbook with plain ansible-playbook."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")}
    if collections:
        environment["ANSIBLE_COLLECTIONS_PATH"] = collections
    command([PLAYBOOK, "-i", str(inventory), str(path), *arguments], env=environment, cwd=REPOSITORY)


def baseline(lab: Lab, folder: Path) -> Iterator[Line]:
    """Assess, harden twice, take back; then dev-sec's roles twice on the same host.

    BENCH_DEVSEC names a folder whose ansible_collections/ holds devsec.hardening and the collections that it needs: it
    is in no package registry, so it cannot be fetched here.
    """
    values = {"harden_window": "any", "harden_sessions": "none", "harden_backup_hours": 0}
    one = write_inventory(lab, folder / "baseline.yml", {HOST: HOST}, **values)
    books = {
        name: REPOSITORY / "playbooks" / f"{name}.yml" for name in ("inspect", "check_baseline", "harden")
    }
    costs = alternate(
        5, assess=lambda: play(one, books["check_baseline"]), inspect=lambda: play(one, books["inspect"])
    )
    assess, inspect = costs["assess"].wall, costs["inspect"].wall
    yield Line("assessment of one host, all checks", assess, inspect, "the inspection", 1.2)
    first = cost(lambda: play(one, books["harden"])).wall
    second = cost(lambda: play(one, books["harden"])).wall
    play(one, REPOSITORY / "playbooks" / "undo_hardening.yml")
    given = os.environ.get("BENCH_DEVSEC", "")
    if not given:  # a ratio is of one run, or none
        print(
            f"hardening: {first:.1f} s, again {second:.1f} s; BENCH_DEVSEC is not set, so nothing to compare with"
        )
        return
    theirs = folder / "devsec.yml"
    theirs.write_text(DEVSEC)
    other_first = cost(lambda: play(one, theirs, collections=given)).wall
    other_second = cost(lambda: play(one, theirs, collections=given)).wall
    yield Line("hardening of a fresh host", first, other_first, "dev-sec os + ssh hardening", 1 / 3)
    yield Line("a second run with nothing to do", second, other_second, "dev-sec os + ssh hardening", 1 / 15)
