"""runner.py as an engineer calls it, for the scenarios of molecule."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.plan import REPOSITORY
from maintenance import record as model
from maintenance.record import Record


@dataclass
class Done:
    """A finished call of runner.py."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        answer: dict[str, Any] = json.loads(self.out)
        return answer

    @property
    def entry(self) -> Path:
        """The folder of the entry that the run left."""
        return Path(self.told["entry"])

    @property
    def record(self) -> Record:
        """The record in it."""
        return model.from_bytes((self.entry / "record.json").read_bytes())


def environment() -> dict[str, str]:
    """An engineer's shell: nothing of Molecule, nothing that Ansible would take from it."""
    strange = ("ANSIBLE_", "MOLECULE_", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    return {**kept, "NO_COLOR": "1"}


def call(*arguments: object) -> Done:
    """./runner.py with these arguments."""
    done = subprocess.run(
        [str(REPOSITORY / "runner.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)
