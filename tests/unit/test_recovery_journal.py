"""The journal of a rebuild: what a second run goes on from, and what the record says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import failback_report
from ansible.module_utils import recovery_journal as journals

from maintenance.record import Finding, Metric

FACTS: dict[str, Any] = {
    "system_id": "7",
    "timeline": 1,
    "last_segment": "000000010000000000000009",
    "replayed_lsn": "0/9FFFF50",
    "commits": [{"transaction": 812, "lsn": "0/9FFFE00", "at": "2026-11-23T02:00:00Z"}],
    "segments_behind_gap": 0,
    "new_system_id": "7",
    "new_timeline": 2,
    "new_backup": "20261123-101500F",
    "parity_left": [],
    "questions": ["sessions"],
    "answers": ["1958"],
}


def whole() -> dict[str, Any]:
    journal = journals.begun(None, "db1", "standby1", "dialysis", 100.0)
    for number, phase in enumerate(journals.PHASES):
        journal = journals.marked(journal, phase, FACTS, 110.0 + 10 * number)
    return journal


def test_a_journal_outlives_its_writer(tmp_path: Path) -> None:
    assert journals.read(str(tmp_path)) is None
    journals.write(whole(), str(tmp_path))
    assert journals.read(str(tmp_path)) == whole()
    assert oct((tmp_path / "journal.json").stat().st_mode & 0o077) in ("0o0", "0o44")


def test_the_same_rebuild_is_gone_on_with_and_another_is_refused() -> None:
    journal = whole()
    assert journals.begun(journal, "db1", "standby1", "dialysis", 999.0) == journal
    with pytest.raises(journals.JournalError, match="no bare machine for db2"):
        journals.begun(journal, "db2", "standby1", "dialysis", 999.0)


def test_the_first_end_of_a_phase_is_what_counts() -> None:
    journal = journals.marked(whole(), "fenced", {}, 5000.0)
    assert journal["marks"]["fenced"] == 110.0


def test_an_unknown_phase_is_refused() -> None:
    with pytest.raises(journals.JournalError, match="no phase"):
        journals.marked(whole(), "lunch", {}, 1.0)


def test_a_damaged_journal_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "journal.json").write_text("{")
    with pytest.raises(journals.JournalError, match="cannot be read"):
        journals.read(str(tmp_path))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_report_is_what_a_record_takes(language: str) -> None:
    told = journals.report(whole(), language)
    findings = {one.id: one for one in map(Finding.model_validate, told["evidence"])}
    numbers = {one.name: one.value for one in map(Metric.model_validate, told["metrics"])}
    assert numbers["rebuild_rto_seconds"] == 60.0
    assert numbers["rebuild_restored_seconds"] == 10.0
    assert numbers["rebuild_backed_up_seconds"] == 20.0  # since the promotion: beside the application
    assert findings["REB-RTO-01"].verdict == "pass"
    assert findings["REB-RPO-01"].verdict == "partial"
    assert "812" in findings["REB-RPO-01"].actual
    assert "0/9FFFF50" in findings["REB-RPO-01"].actual
    assert findings["REB-SYS-01"].verdict == "pass"
    assert findings["REB-ASK-01"].actual == "sessions: 1958"


@pytest.mark.parametrize(
    ("fact", "value", "finding", "verdict"),
    [
        ("segments_behind_gap", 3, "REB-RPO-01", "fail"),
        ("new_system_id", "8", "REB-SYS-01", "fail"),
        ("new_timeline", 1, "REB-SYS-01", "fail"),
        ("new_backup", "", "REB-BAK-01", "fail"),
        ("parity_left", ["timer x is not enabled"], "REB-PAR-01", "partial"),
        ("received_given_up", ["00000001000000000000000A.partial"], "REB-RPO-01", "fail"),
        ("received", [{"file": "00000001000000000000000A.partial"}], "REB-RPO-01", "partial"),
        ("reindexed", ["dialysis: 2.36 -> 2.41"], "REB-COL-01", "pass"),
    ],
)
def test_what_is_wrong_is_said(fact: str, value: Any, finding: str, verdict: str) -> None:
    journal = journals.marked(whole(), "", {fact: value}, 1.0)
    found = {one["id"]: one["verdict"] for one in journals.report(journal, "en")["evidence"]}
    assert found[finding] == verdict


RETURNED: dict[str, Any] = {
    "system_id": "7",
    "timeline": 2,
    "data_directory": "/var/lib/postgresql/15/main",
    "shutdown_lsn": "0/A000028",
    "replayed_lsn": "0/A0000A0",
    "questions": ["sessions"],
    "answers_before": ["1958"],
    "answers": ["1958"],
    "stopped_at": 1000.0,
    "serving_at": 1007.5,
    "new_system_id": "7",
    "new_timeline": 3,
    "new_backup": "20261124-101500F",
    "old_data": "/var/lib/postgresql/15/main.given-up-100",
}


def returned(**facts: Any) -> dict[str, Any]:
    """A journal of a return, with facts in the place of the usual ones."""
    journal = journals.begun(None, "db1", "standby1", "dialysis", 100.0)
    for number, phase in enumerate(journals.FAILBACK_PHASES):
        journal = journals.marked(journal, phase, {**RETURNED, **facts}, 110.0 + 10 * number)
    return journal


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_return_tells_that_nothing_was_lost_and_how_long_nobody_could_write(language: str) -> None:
    told = failback_report.report(returned(), language)
    verdicts = {one["id"]: one["verdict"] for one in told["evidence"]}
    assert verdicts == {
        "FBK-RPO-01": "pass",
        "FBK-SYS-01": "pass",
        "FBK-OUT-01": "pass",
        "FBK-ASK-01": "pass",
        "FBK-BAK-01": "pass",
        "FBK-LEFT-01": "manual",
    }
    assert all(Finding.model_validate(one) for one in told["evidence"])
    numbers = {one["name"]: one["value"] for one in told["metrics"] if Metric.model_validate(one)}
    assert numbers["failback_outage_seconds"] == 7.5
    assert "main.given-up-100" in told["evidence"][-1]["actual"]


@pytest.mark.parametrize(
    ("facts", "id_", "verdict"),
    [
        ({"new_timeline": 4}, "FBK-SYS-01", "fail"),
        ({"new_system_id": "8"}, "FBK-SYS-01", "fail"),
        ({"answers": ["1957"]}, "FBK-ASK-01", "fail"),
        ({"answers": []}, "FBK-ASK-01", "fail"),
        ({"new_backup": ""}, "FBK-BAK-01", "fail"),
    ],
)
def test_a_return_that_went_wrong_says_so(facts: dict[str, Any], id_: str, verdict: str) -> None:
    told = failback_report.report(returned(**facts), "en")
    assert {one["id"]: one["verdict"] for one in told["evidence"]}[id_] == verdict


def test_a_return_without_its_last_record_claims_nothing() -> None:
    journal = returned()
    del journal["facts"]["replayed_lsn"]
    told = failback_report.report(journal, "en")
    assert {one["id"]: one["verdict"] for one in told["evidence"]}["FBK-RPO-01"] == "unknown"


def test_a_journal_whose_story_is_over_is_put_by(tmp_path: Path) -> None:
    journals.write(whole(), str(tmp_path))
    kept = journals.put_by(whole(), str(tmp_path))
    assert Path(kept).name == "journal-100.json"
    assert journals.read(str(tmp_path)) is None
