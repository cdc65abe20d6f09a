"""Long work and everything that may happen to it: nothing is lost, nothing runs twice, nothing is called a success."""

from __future__ import annotations

import os
import signal

import pytest
from conftest import PGBACKREST, First, Root, start_job

from lab import builder
from lab.plan import Lab
from lab.scenario import wait_until

FULL = ["pgbackrest", "--stanza=dialysis", "--type=full", "--log-level-console=detail", "backup"]
NAMES = "import json, sys; print(*[one['label'] for one in json.load(sys.stdin)[0]['backup']])"
LABELS = f'{PGBACKREST} info --output=json | python3 -c "{NAMES}"'
KILL = """python3 - <<'END'
import subprocess, time
end, text = time.monotonic() + 60, ""
while {phase!r} not in text:
    if time.monotonic() > end:
        raise SystemExit("the phase never came: " + text[-500:])
    try:
        text = open("/var/lib/maintenance/jobs/{name}/output").read()
    except OSError:
        pass
    time.sleep(0.01)
subprocess.run(["pkill", "-9", "-u", "pgbackrest", "-x", "pgbackrest"])
END
"""
PHASES = ["backup start archive", "backup file", "execute non-exclusive backup stop"]


@pytest.mark.parametrize("phase", PHASES)
def test_a_killed_pgbackrest_is_told_and_its_repetition_is_whole(
    first: First, site: str, root: Root, phase: str
) -> None:
    assert first.done.code == 0
    # A name of its own, because what an earlier one printed is still there.
    name = f"drill-kill-{PHASES.index(phase)}"
    job = start_job(site, name, FULL, drill_user="pgbackrest", drill_again=True)
    # On the host, because a phase may be shorter than a question by ssh.
    root("backup1", KILL.format(phase=phase, name=name))
    said, _ = job.communicate(timeout=120)
    assert job.returncode != 0, said
    assert "ended with code 137" in said or "was interrupted" in said
    again = start_job(site, name, FULL, drill_user="pgbackrest", drill_again=True)
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said


def test_a_killed_controller_leaves_the_work_and_the_next_one_collects_it(
    first: First, site: str, root: Root
) -> None:
    assert first.done.code == 0
    before = set(root("backup1", LABELS).split())
    job = start_job(site, "drill-controller", FULL, drill_user="pgbackrest")
    wait_until("the unit runs", 60, lambda: active(root, "drill-controller"))
    os.killpg(job.pid, signal.SIGKILL)
    job.communicate(timeout=30)
    again = start_job(site, "drill-controller", FULL, drill_user="pgbackrest")
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert len(set(root("backup1", LABELS).split()) - before) == 1


def test_two_controllers_share_one_job(first: First, site: str, root: Root) -> None:
    assert first.done.code == 0
    count = ["sh", "-c", "echo x >> /var/tmp/drill-twice; sleep 3"]
    jobs = [start_job(site, "drill-twice", count) for _ in range(2)]
    for job in jobs:
        said, _ = job.communicate(timeout=120)
        assert job.returncode == 0, said
    assert root("backup1", "cat /var/tmp/drill-twice; rm /var/tmp/drill-twice") == "x\n"


def test_a_cut_link_neither_ends_the_work_nor_loses_its_result(
    first: First, lab: Lab, site: str, root: Root
) -> None:
    assert first.done.code == 0
    job = start_job(site, "drill-link", ["sh", "-c", "sleep 12; echo brought home"])
    wait_until("the unit runs", 60, lambda: active(root, "drill-link"))
    # By the host itself, as it will be out of reach: every session of the engineer ends, and nobody gets in for 5 s.
    cut = (
        "nft add table inet cut; nft add chain inet cut input '{ type filter hook input priority -10; }'; "
        "nft add rule inet cut input tcp dport 22 drop; pkill -KILL -u engineer; sleep 5; nft delete table inet cut"
    )
    root("backup1", f'systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms bash -c "{cut}"')
    said, _ = job.communicate(timeout=120)
    assert job.returncode == 0, said
    assert "the link is cut; the work goes on there" in said


def test_a_power_failure_is_an_interruption_and_no_success(
    first: First, lab: Lab, site: str, root: Root
) -> None:
    assert first.done.code == 0
    job = start_job(site, "drill-power", ["sleep", "600"])
    wait_until("the unit runs", 60, lambda: active(root, "drill-power"))
    os.killpg(job.pid, signal.SIGKILL)
    job.communicate(timeout=30)
    builder.cut_power(lab, "backup1")
    builder.boot(lab, "backup1")
    again = start_job(site, "drill-power", ["sleep", "600"])
    said, _ = again.communicate(timeout=120)
    assert again.returncode != 0
    assert "was interrupted (the host was restarted meanwhile)" in said


def active(root: Root, name: str) -> bool:
    """Whether the job's unit runs."""
    return root("backup1", f"systemctl is-active maintenance-{name} || true").strip() == "active"
