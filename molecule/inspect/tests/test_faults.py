"""A healthy hospital, the same with every fault of the lab planted, and again when they are taken back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import HOSTS, Inspected, inspect

from lab import faults
from lab.calls import environment
from lab.plan import REPOSITORY, Lab
from lab.shell import wait_until

# Fault, host it is planted on, host and rule that find it, what the finding is about.
PLANTED = [
    ("long_transaction", "db1", "db1", "PG-TX-01", "long_transaction"),
    ("full_disk", "app1", "app1", "HOST-FS-02", "/srv/full"),
    ("failed_unit", "app1", "app1", "HOST-SVC-01", "nightly-report.service"),
    ("stopped_timer", "app1", "app1", "HOST-JOB-02", "logrotate.timer"),
    ("bloated_table", "db1", "db1", "PG-VAC-02", "public.lab_bloated"),
    ("expiring_certificate", "gate1", "gate1", "HOST-SEC-31", "8443"),
    ("clock_off", "app1", "app1", "HOST-TIME-01", "app1"),
    ("missing_backup", "backup1", "db1", "PG-BAK-01", "dialysis"),
    ("wrong_sshd_option", "gate1", "gate1", "HOST-SEC-01", "gate1"),
]
OLD_TRANSACTIONS = """
cd /
runuser -u postgres -- psql -X -Atqc "select count(*) from pg_stat_activity
  where application_name = 'long_transaction' and xact_start < now() - interval '30 seconds'"
"""
TABLE = pytest.mark.parametrize(
    ("host", "rule", "subject"), [row[2:] for row in PLANTED], ids=[row[0] for row in PLANTED]
)


@pytest.fixture(scope="session")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site's thresholds, with a transaction's idle time short enough not to wait for ten minutes."""
    file = tmp_path_factory.mktemp("vars") / "limits.yml"
    file.write_text("inspection_site_limits: {postgresql_idle_transaction_seconds: 1}\n")
    return file


@pytest.fixture(scope="session")
def faulty(
    healthy: Inspected,
    site: str,
    ledger: Path,
    lab: Lab,
    impatient: Path,
    root: Callable[[str, str], str],
) -> Inspected:
    """An inspection with every fault planted; they are taken back at its end."""
    assert sorted(row[0] for row in PLANTED) == sorted(faults.FAULTS)
    try:
        for name, host, *_ in PLANTED:
            faults.plant(lab, name, host)
        # A snapshot takes no notice of what began within the last half minute.
        assert wait_until(lambda: root("db1", OLD_TRANSACTIONS).strip() == "1", 60)
        done = inspect(site, ledger, "--vars", impatient)
    finally:
        for name, host, *_ in PLANTED:
            faults.take_back(lab, name, host)
    assert done.code == 0, done.err
    return Inspected(done)


@pytest.fixture(scope="session")
def mended(
    faulty: Inspected,
    site: str,
    ledger: Path,
    lab: Lab,
    impatient: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Inspected:
    """The inspection after that, while the wards book sessions through gate1."""
    acknowledged = tmp_path_factory.mktemp("driver") / "acknowledged"
    command = [sys.executable, REPOSITORY / "lab" / "dialysis" / "drive.py"]
    command += ["--url", f"https://{lab.address('gate1')}", "--ca", lab.keys / "dialysis" / "gate1.pem"]
    command += ["--acknowledged", acknowledged]
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True) as driver:
        try:
            assert wait_until(lambda: acknowledged.exists() and acknowledged.stat().st_size > 0, 20)
            booked = len(acknowledged.read_text().splitlines())
            done = inspect(site, ledger, "--vars", impatient)
            booked = len(acknowledged.read_text().splitlines()) - booked
        finally:
            driver.terminate()
            summary, _ = driver.communicate(timeout=60)
    assert done.code == 0, done.err
    return Inspected(done, before=booked, after=json.loads(summary))


@pytest.mark.parametrize("host", HOSTS)
def test_a_healthy_host_has_no_finding_above_advice(healthy: Inspected, host: str) -> None:
    assert healthy.record.outcome == "succeeded"
    found = healthy.record.evidence[host]
    assert [item for item in found if item.verdict in ("fail", "partial") and item.severity != "advice"] == []
    assert sum(item.verdict == "pass" for item in found) > 80


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_of_a_healthy_host_is_unknown_but_the_updates_that_only_a_network_could_tell(
    healthy: Inspected, host: str
) -> None:
    unknown = {item.id for item in healthy.record.evidence[host] if item.verdict == "unknown"}
    assert unknown <= {"HOST-SEC-12", "HOST-SEC-13"}


@TABLE
def test_the_planted_fault_is_found_by_its_rule_on_its_host(
    healthy: Inspected, faulty: Inspected, host: str, rule: str, subject: str
) -> None:
    assert not [item for item in healthy.findings(host, rule) if item.verdict == "fail"]
    failed = [item for item in faulty.findings(host, rule) if item.verdict == "fail"]
    assert [item for item in failed if subject in item.subject], failed
    assert all(item.advice for item in failed)


@TABLE
def test_the_mended_fault_is_closed_by_the_next_inspection(
    mended: Inspected, faulty: Inspected, host: str, rule: str, subject: str
) -> None:
    comparison = mended.record.comparison
    assert comparison is not None
    assert comparison.previous_run == faulty.record.run
    states = {
        issue.state
        for issue in comparison.issues
        if (issue.host, issue.id) == (host, rule) and subject in issue.subject
    }
    assert states == {"closed"}


def test_no_fault_is_found_where_none_was_planted(healthy: Inspected, faulty: Inspected) -> None:
    """What else fails beside a fault is a consequence of it; backup1, whose fault shows at db1, has none."""

    def serious(one: Inspected, host: str) -> set[tuple[str, str]]:
        found = one.record.evidence[host]
        return {
            (item.id, item.subject) for item in found if item.verdict == "fail" and item.severity != "advice"
        }

    assert serious(faulty, "backup1") == serious(healthy, "backup1") == set()


def test_no_request_of_the_wards_fails_while_the_inspection_runs(mended: Inspected) -> None:
    booked, summary = mended.before, mended.after
    assert booked > 5, "nobody worked while it ran"
    assert summary["failures"] == {}
    assert (summary["failures_total"], summary["refused"], summary["abandoned"]) == (0, 0, 0)


@pytest.fixture
def by_hand(site: str) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Plain ansible-playbook, as an engineer in a hurry calls it."""
    yield lambda *words: subprocess.run(
        ["ansible-playbook", "-i", f"inventories/{site}", "playbooks/inspect.yml", *words],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_plain_ansible_playbook_inspects_too_and_warns_that_it_leaves_no_record(
    by_hand: Callable[..., subprocess.CompletedProcess[str]], ledger: Path, healthy: Inspected
) -> None:
    entries = sorted(ledger.iterdir())
    done = by_hand("--limit", "gate1")
    assert done.returncode == 0, done.stdout
    assert "no record" in done.stdout + done.stderr or "no maintenance record" in done.stdout + done.stderr
    assert sorted(ledger.iterdir()) == entries
