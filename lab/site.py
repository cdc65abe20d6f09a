"""A lab of another name as a site of runner.py: inventories/test_NAME, which git ignores.

Used by molecule and by tests: `python -m lab.site up HOST,HOST` and `python -m lab.site down`. With `--without-backups`
the hospital has no backup yet.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import yaml

from lab import builder
from lab.plan import REPOSITORY, Lab, check_hosts, inventory
from lab.shell import LabError


def folder(lab: Lab) -> Path:
    """Where the site is."""
    return REPOSITORY / "inventories" / f"test_{lab.name}"


def describe(lab: Lab, hosts: list[str], *, pdf: bool = True) -> Path:
    """Write the site: the hosts with their connections, and the variables of inventories/lab."""
    site = folder(lab)
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(REPOSITORY / "inventories" / "lab" / "group_vars", site / "group_vars")
    (site / "hosts.yml").write_text(
        yaml.safe_dump(inventory(lab, hosts), explicit_start=True, sort_keys=False)
    )
    text = (REPOSITORY / "inventories" / "lab" / "site.yml").read_text()
    text = text.replace("site: lab\n", f"site: {site.name}\n" + ("" if pdf else "pdf: false\n"))
    (site / "site.yml").write_text(text.replace("../../var/lab/", f"../../var/{lab.keys.name}/"))
    return site


def main(arguments: list[str]) -> int:
    """Start the hosts and describe them, or stop and forget them."""
    lab = Lab.from_environment()
    if arguments[:1] == ["up"]:
        named = [argument for argument in arguments[1:] if not argument.startswith("--without-")]
        hosts = check_hosts(named[0].split(",") if named else [])
        states = builder.up(lab, hosts, backups="--without-backups" not in arguments)
        print(describe(lab, hosts, pdf="--without-pdf" not in arguments))
        return 0 if set(states.values()) == {"running"} else 1
    builder.down(lab)
    shutil.rmtree(folder(lab), ignore_errors=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as problem:
        sys.exit(f"lab: {problem}")
