"""What the scenarios of molecule share: the lab's hosts and their site, runbooks as an engineer calls them, waiting.

A scenario's conftest.py takes the fixtures that it needs from here by name.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab import remote, shell
from lab.calls import Done, call, environment
from lab.plan import REPOSITORY, Lab
from lab.site import folder as site_folder

Root = Callable[[str, str], str]


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
    """The ledger of the site's runs, one after the other."""
    return tmp_path_factory.mktemp("site") / "ledger"


@pytest.fixture(scope="session")
def options(site: str, ledger: Path) -> tuple[str, ...]:
    """How runner.py is called for this site: into one ledger, one JSON object as its answer."""
    return ("--site", site, "--ledger", str(ledger), "--json", "--lang", "en", "--quiet")


@pytest.fixture(scope="session")
def run(options: tuple[str, ...]) -> Callable[..., Done]:
    """A runbook of the site."""
    return lambda runbook, *more: call("run", runbook, *options, *more)


def engine() -> dict[str, str]:
    """The environment of Ansible itself, for what is no runbook: our configuration, and nothing of a record."""
    return {
        **environment(),
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.minimal",
    }


def start_playbook(
    playbook: Path, inventory: Path, given: Mapping[str, Any], **more: Any
) -> subprocess.Popen[str]:
    """A playbook that is no runbook, begun; what it prints is to be read from its process."""
    command = ["ansible-playbook", "--inventory", str(inventory), "--extra-vars", json.dumps(given)]
    return subprocess.Popen(
        [*command, str(playbook)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=REPOSITORY,
        env=engine(),
        **more,
    )


def kill_tree(pid: int) -> None:
    """A process and all that it has started, as if its power had gone: workers of Ansible have sessions of their own."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    family = [pid]
    for member in family:
        family += children.get(member, [])
    for member in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)


def wait_until(what: str, seconds: float, true: Callable[[], bool]) -> None:
    """Wait for a fact; fail with its name when it does not come."""
    if not shell.wait_until(true, seconds, 0.2):
        pytest.fail(f"{what}: not within {seconds:g} s")
