"""A run that is killed (-9) at any moment: the ledger still verifies, and the next run says what is known of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from conftest import Done, call, inspect

from lab.plan import REPOSITORY
from maintenance.private_folder import PREFIX

# What the run says of itself when it is killed, from before its open to the making of its documents.
MOMENTS = [
    "opening the record",
    "snapshots | Read the state of the host",
    "snapshots | Read the state of the database",
    "judge | Judge the state by the rules",
    "building the record",
    "writing the report",
]


def start_and_kill(site: str, ledger: Path, moment: str) -> None:
    """Kill the run as soon as it says that."""
    command = [str(REPOSITORY / "runner.py"), "run", "inspect", "--site", site, "--ledger", str(ledger)]
    command += ["--limit", "gate1", "--lang", "en"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = []
        for line in process.stderr:
            said.append(line)
            if moment in line:
                process.kill()
                break
        assert process.wait() == -9, said


@pytest.fixture(scope="module")
def earlier(site: str, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A run that nobody killed."""
    return inspect(site, tmp_path_factory.mktemp("earlier") / "ledger", "--limit", "gate1")


@pytest.fixture(scope="module", params=MOMENTS)
def killed(
    request: pytest.FixtureRequest, site: str, earlier: Done, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The ledger of that run, after one that was killed."""
    ledger = tmp_path_factory.mktemp("killed") / "ledger"
    shutil.copytree(earlier.entry.parent, ledger)
    start_and_kill(site, ledger, request.param)
    return ledger


@pytest.fixture(scope="module")
def journal(killed: Path) -> bytes:
    """What the killed run had written down; whole lines only."""
    (file,) = killed.glob(".run-*")
    lines = file.read_bytes()
    return lines[: lines.rfind(b"\n") + 1]


@pytest.fixture(scope="module")
def following(killed: Path, journal: bytes, site: str) -> Done:
    """The run after it."""
    return inspect(site, killed, "--limit", "gate1")


def test_the_ledger_of_a_killed_run_verifies(killed: Path) -> None:
    done = call("verify", killed, "--json")
    assert (done.code, done.told["faults"]) == (0, []), done.out


def test_the_next_run_closes_it_as_abandoned_with_what_its_journal_holds(
    killed: Path, journal: bytes, earlier: Done, following: Done
) -> None:
    assert following.code == 0, following.err
    runs = {path.name.partition("-open-")[2] for path in killed.glob("*-open-*")}
    dead = runs - {earlier.record.run, following.record.run}
    abandoned = sorted(killed.glob("*-abandoned-*"))
    if not dead:  # it died before it had opened anything: nothing was done, nothing is to be said
        assert (abandoned, journal) == ([], b"")
    else:
        (entry,) = abandoned
        assert {entry.name.partition("-abandoned-")[2]} == dead
        assert (entry / "events.jsonl").read_bytes() == journal
        facts = json.loads((entry / "abandoned.json").read_text())
        assert facts["events"] == journal.count(b"\n")
    assert not list(killed.glob(".run-*"))
    assert not list(killed.glob(".tmp-*"))
    assert call("verify", killed).code == 0


def test_nothing_that_it_held_in_clear_is_left(following: Done) -> None:
    assert following.code == 0
    assert not list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))
