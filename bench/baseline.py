"""MLPS level 3 on one lab host: the assessment against the inspection, hardening against dev-sec's roles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bench.hosts import PLAYBOOK, write_inventory
from bench.measure import Line, alternate, command, cost
from lab.plan import REPOSITORY, Lab

HOST = "app1"
# As measured with their defaults on such a host (os_hardening and ssh_hardening, first and second run), where the
# collection itself is not given: it is in no package registry.
DEVSEC_FIRST, DEVSEC_SECOND = 71.8, 60.1


def play(inventory: Path, path: Path, *arguments: str, collections: str = "") -> None:
    """One playbook with plain ansible-playbook."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")}
    if collections:
        environment["ANSIBLE_COLLECTIONS_PATH"] = collections
    command([PLAYBOOK, "-i", str(inventory), str(path), *arguments], env=environment, cwd=REPOSITORY)


def baseline(lab: Lab, folder: Path) -> Iterator[Line]:
    """Assess, harden twice, take back; BENCH_DEVSEC names a folder with ansible_collections/devsec/hardening."""
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
    other_first, other_second, against = DEVSEC_FIRST, DEVSEC_SECOND, "dev-sec os + ssh, measured earlier"
    if given:
        theirs = folder / "devsec.yml"
        theirs.write_text(
            "- hosts: all\n  vars: {os_auditd_enabled: false, sysctl_overwrite: {}, sysctl_config: {}}\n"
            "  roles: [devsec.hardening.os_hardening, devsec.hardening.ssh_hardening]\n"
        )
        other_first = cost(lambda: play(one, theirs, collections=given)).wall
        other_second = cost(lambda: play(one, theirs, collections=given)).wall
        against = "dev-sec os + ssh hardening"
    yield Line("hardening of a fresh host", first, other_first, against, 1 / 3)
    yield Line("a second run with nothing to do", second, other_second, against, 1 / 15)
