"""An inspection reads and changes nothing."""

from __future__ import annotations

import pytest
from conftest import HOSTS, Inspected
from testinfra.host import Host


@pytest.mark.parametrize("host", HOSTS)
def test_files_packages_and_units_are_the_same_before_and_after(healthy: Inspected, host: str) -> None:
    assert len(healthy.before[host]) > 1000
    assert set(healthy.before[host]) ^ set(healthy.after[host]) == set()


def test_every_row_of_the_application_is_the_same_before_and_after(healthy: Inspected) -> None:
    rows = healthy.before["database"]
    assert len(rows) > 10
    assert any("patient" in row and "|0|" not in row for row in rows)
    assert healthy.after["database"] == rows


def test_the_record_says_that_nothing_was_changed(healthy: Inspected) -> None:
    assert healthy.record.changes == []
    assert {step.result for step in healthy.record.steps} <= {"ok", "skipped"}


@pytest.mark.parametrize("host", HOSTS)
def test_no_process_of_the_inspection_is_left_behind(
    healthy: Inspected, machines: dict[str, Host], host: str
) -> None:
    left = [process.args for process in machines[host].process.filter(user="root", comm="python3")]
    assert [args for args in left if "-I -S -B" in args or "ansible" in args] == []


@pytest.mark.parametrize(
    ("host", "unit"),
    [
        ("db1", "postgresql@15-main"),
        ("app1", "dialysis-web"),
        ("gate1", "nginx"),
        ("backup1", "dialysis-backup.timer"),
    ],
)
def test_the_hospitals_services_still_run(
    healthy: Inspected, machines: dict[str, Host], host: str, unit: str
) -> None:
    assert machines[host].service(unit).is_running
