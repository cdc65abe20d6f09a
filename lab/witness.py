"""The hospital's witness in the lab: installed on backup1 by its own runbook, and pinned for the site.

`python -m lab.witness` after `python -m lab up`. A new lab has a new witness, which knows nothing of a ledger that
an earlier lab left: such a ledger is moved aside, as it belongs to a hospital that is gone.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml

from lab.plan import REPOSITORY, Lab
from lab.remote import ssh_command
from lab.shell import LabError

HOST = "backup1"
ACCOUNT = "maintenance-witness"
KEY = "/etc/maintenance-witness/witness_key.pub"


def install(lab: Lab, site: str) -> Path:
    """Install or refresh the witness of a site on this lab; return the file that pins it."""
    pinned = REPOSITORY / "inventories" / site / "witness.yml"
    if not _remote(lab, "test", "-e", KEY):
        pinned.unlink(missing_ok=True)
        _move_aside(REPOSITORY / "var" / "records" / site)
    runner = [str(REPOSITORY / "runner.py"), "run", "configure_witness", "--site", site, "--limit", HOST]
    done = subprocess.run(
        [*runner, "--reason", "the rehearsal hospital's witness", "--offline", "it is made now"]
    )
    if done.returncode:
        raise LabError(
            "the witness could not be installed (messages above); mend it and run: python -m lab.witness"
        )
    key = _read(lab, KEY)
    settings = {
        "host": lab.address(HOST),
        "user": ACCOUNT,
        "identity": str(REPOSITORY / "var" / "keys" / f"{site}_ed25519"),
        "known_hosts": str(lab.known_hosts),
        "principal": f"witness@{site}",
        "public_key": " ".join(key.split()[:2]),
    }
    pinned.write_text("---\n# Made by python -m lab.witness.\n" + yaml.safe_dump(settings, sort_keys=False))
    return pinned


def _remote(lab: Lab, *command: str) -> bool:
    line = [*ssh_command(lab, HOST), "sudo", *command]
    return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def _read(lab: Lab, path: str) -> str:
    line = [*ssh_command(lab, HOST), "sudo", "cat", path]
    return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout


def _move_aside(ledger: Path) -> None:
    if ledger.is_dir():
        aside = ledger.with_name(f"{ledger.name}-until-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        ledger.rename(aside)
        print(f"lab: the ledger of the lab that is gone is now {aside}")


def main(arguments: list[str]) -> int:
    """Install it for the site `lab`, or the named one."""
    try:
        print(f"lab: the witness is pinned in {install(Lab.from_environment(), *(arguments or ['lab']))}")
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
