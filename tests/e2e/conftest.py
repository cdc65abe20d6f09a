"""The command as a user calls it: a real process, a real inspection of this machine, a ledger of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Done:
    """A finished call."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """The one clear line of an error: no traceback, nothing else."""
        assert "Traceback" not in self.err
        lines = [line for line in self.err.splitlines() if line.startswith("runner.py: ")]
        assert len(lines) == 1, self.err
        return lines[0]


def call(
    *arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None, user: str | None = None
) -> Done:
    """./runner.py with these arguments."""
    command = [str(REPOSITORY / "runner.py"), *map(str, arguments)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        cwd=cwd or "/",
        user=user,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def runner() -> Callable[..., Done]:
    return call


@pytest.fixture(scope="session")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with one inspection of this machine; the path of its close."""
    ledger = tmp_path_factory.mktemp("inspected") / "ledger"
    done = call("run", "inspect", "--site", "self", "--ledger", ledger, "--json")
    assert done.code == 0, done.err
    return Path(done.json["entry"])
