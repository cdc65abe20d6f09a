"""Assess, harden while the hospital works, assess again, harden once more, undo: and all is as it was."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.calls import Done, call
from lab.hardening import HOSTS, comes_in, state_of
from lab.plan import REPOSITORY, Lab
from maintenance.record import Record

# Sessions are opened and closed all the time here; that an open one refuses is a test of its own.
NOBODY_ASKS = ("--set", "harden_sessions=none")
REASON = ("--reason", "the yearly assessment found gaps")


@dataclass
class Cycle:
    """What each run said, the states around them, and how the hospital fared."""

    assessed: Done
    hardened: Done
    again: Done
    undone: Done
    before: dict[str, list[str]]
    after: dict[str, list[str]]
    back: dict[str, list[str]]
    driven: dict[str, Any]


@pytest.fixture(scope="session")
def cycle(
    lab: Lab, run: Callable[..., Done], root: Callable[[str, str], str], tmp_path_factory: Any
) -> Cycle:
    """One round, with the reference system booking sessions through all of it."""
    before = {host: state_of(root, host) for host in HOSTS}
    assessed = run("check_baseline")
    driver = start_driver(lab, tmp_path_factory.mktemp("driver") / "acknowledged")
    hardened = run("harden", *REASON, *NOBODY_ASKS)
    after = {host: state_of(root, host) for host in HOSTS}
    again = run("harden", *REASON, *NOBODY_ASKS)
    undone = run("undo_hardening", *REASON, *NOBODY_ASKS)
    driver.send_signal(signal.SIGTERM)
    driven = json.loads(driver.communicate(timeout=60)[0])
    back = {host: state_of(root, host) for host in HOSTS}
    return Cycle(assessed, hardened, again, undone, before, after, back, driven)


def start_driver(lab: Lab, acknowledged: Path) -> subprocess.Popen[str]:
    """The hospital at work, through the gateway."""
    command = [sys.executable, str(REPOSITORY / "lab" / "dialysis" / "drive.py")]
    command += ["--url", f"https://{lab.address('gate1')}", "--ca", str(lab.keys / "dialysis" / "gate1.pem")]
    return subprocess.Popen(
        [*command, "--acknowledged", str(acknowledged)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )


def failing(record: Record, host: str) -> set[str]:
    """Ids of the checks that fail on a host."""
    return {finding.id for finding in record.evidence[host] if finding.verdict in ("fail", "partial")}


def test_every_run_succeeds_and_leaves_its_record(cycle: Cycle, ledger: Path) -> None:
    for done in (cycle.assessed, cycle.hardened, cycle.again, cycle.undone):
        assert done.code == 0, done.err + done.out
        assert done.told["outcome"] == "succeeded"
    assert call("verify", ledger).code == 0


def test_the_assessment_holds_all_items_and_its_documents(cycle: Cycle) -> None:
    assessment = cycle.assessed.record.assessment
    assert assessment is not None
    assert len(assessment.items) == 211
    assert {Path(path).suffix for path in cycle.assessed.told["documents"]} == {".docx", ".xlsx"}
    assert cycle.assessed.record.changes == []


@pytest.mark.parametrize("host", HOSTS)
def test_hardening_mends_what_it_can_and_breaks_nothing(cycle: Cycle, host: str) -> None:
    before, after = failing(cycle.assessed.record, host), failing(cycle.hardened.record, host)
    assert len(before - after) >= 15
    # The three administrators' roles are there now, and nobody has been given them: that is the hospital's to do.
    assert after - before <= {"PG-AC-03C", "LNX-AC-21B"}


@pytest.mark.parametrize("host", HOSTS)
def test_a_second_run_has_nothing_to_do(cycle: Cycle, host: str) -> None:
    (result,) = [one for one in cycle.again.record.hosts if one.name == host]
    assert (result.changed, result.failed, result.unreachable) == (0, 0, 0)
    assert [change for change in cycle.again.record.changes if change.host == host] == []


@pytest.mark.parametrize("host", HOSTS)
def test_an_undo_leaves_exactly_what_was(cycle: Cycle, host: str) -> None:
    assert len(cycle.before[host]) > 500
    assert set(cycle.after[host]) ^ set(cycle.before[host]) != set()
    assert set(cycle.back[host]) ^ set(cycle.before[host]) == set()


def test_what_was_taken_back_is_not_taken_back_again(cycle: Cycle, run: Callable[..., Done]) -> None:
    assert cycle.undone.code == 0
    done = run("undo_hardening", "--limit", "gate1", *REASON, *NOBODY_ASKS)
    assert done.code == 1
    assert "there is nothing to undo" in done.record.outcome_reason


def test_no_request_failed_meanwhile(cycle: Cycle) -> None:
    assert cycle.driven["failures_total"] == 0, cycle.driven
    assert cycle.driven["booked"] > 10


def test_one_host_goes_first(cycle: Cycle) -> None:
    steps = [step for step in cycle.hardened.record.steps if "confirm | Come in anew" in step.task]
    canary = min(steps, key=lambda step: step.started)
    changes = [step for step in cycle.hardened.record.steps if "change | Keep a restore point" in step.task]
    others = [step for step in changes if step.host != canary.host]
    assert others
    assert all(step.started > canary.started for step in others)


def test_the_engineer_still_comes_in(cycle: Cycle, lab: Lab) -> None:
    assert cycle.undone.code == 0
    assert all(comes_in(lab, host) for host in HOSTS)


RUNNING = """
cd /; runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1 dialysis <<'END'
update dialysis.sessions set state = '{}', started_at = {} where session_id =
  (select max(session_id) from dialysis.sessions where state = '{}' and ended_at is null)
END
"""


def test_an_open_session_refuses_the_change(
    cycle: Cycle, run: Callable[..., Done], root: Callable[[str, str], str]
) -> None:
    assert cycle.undone.code == 0
    root("db1", RUNNING.format("running", "now()", "booked"))
    try:
        done = run("harden", *REASON)
        assert done.code == 1
        assert "1 dialysis sessions are open" in done.record.outcome_reason
        assert done.record.changes == []
        planned = run("harden", "--check")
        assert planned.code == 0, planned.err
        assert planned.record.changes != []
    finally:
        root("db1", RUNNING.format("booked", "null", "running"))


def test_what_somebody_changed_since_is_not_overwritten(
    cycle: Cycle, run: Callable[..., Done], root: Callable[[str, str], str]
) -> None:
    assert cycle.undone.code == 0
    only = ("--limit", "app1", *REASON)
    assert run("harden", "--limit", "db1", *REASON, "--set", "harden_controls=accounts").code == 0
    assert run("harden", *only, "--set", "harden_controls=sshd").code == 0
    drop_in = "/etc/ssh/sshd_config.d/00-maintenance.conf"
    root("app1", f"echo '# by another' >> {drop_in}")
    # The guard asks the database of a host whose homes have been closed by the first hardening.
    refused = run("undo_hardening", *only)
    assert refused.code == 1
    assert f"changed by somebody since: {drop_in}" in refused.record.outcome_reason
    assert "by another" in root("app1", f"cat {drop_in}")
    assert run("undo_hardening", *only, "--set", "harden_force=true").code == 0
    assert root("app1", f"test -e {drop_in} && echo there || echo gone") == "gone\n"
    assert run("undo_hardening", "--limit", "db1", *REASON).code == 0
