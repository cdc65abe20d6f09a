"""One assessment of this machine through runner.py: all items, honestly, and nothing that does not belong there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from maintenance import record as model
from maintenance import verification
from maintenance.record import Assessment, Record

Runner = Callable[..., "object"]
WAIVERS = """\
baseline_waivers:
  - {rule: LNX-IA-01, hosts: [localhost], reason: expired one, approved_by: IT, until: "2020-01-01"}
  - {rule: LNX-IA-01, hosts: ["*"], subject: no-such-name, reason: in force, approved_by: IT, until: "2099-12-31"}
baseline_mitigations: {A-18: the console stands in a locked room}
"""


def record_of(entry: Path) -> Record:
    return model.from_bytes((entry / "record.json").read_bytes())


def assessment_of(entry: Path) -> Assessment:
    found = record_of(entry).assessment
    assert found is not None
    return found


@pytest.fixture(scope="module")
def assessed(runner: Runner, inspected: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The close of an assessment in a ledger that holds an inspection."""
    folder = tmp_path_factory.mktemp("assessed")
    ledger = folder / "ledger"
    shutil.copytree(inspected.parent, ledger)
    (folder / "waivers.yml").write_text(WAIVERS)
    done = runner(
        *("run", "check_baseline", "--site", "self", "--ledger", ledger, "--json", "--lang", "en"),
        *("--vars", folder / "waivers.yml", "--set", "baseline_score_2021=true"),
    )
    assert done.code == 0, done.err
    return Path(done.json["entry"])


def test_the_record_holds_all_211_items_and_what_was_judged(assessed: Path) -> None:
    made = record_of(assessed)
    assessment = assessment_of(assessed)
    assert made.outcome == "succeeded"
    assert len(assessment.items) == len({item.unit for item in assessment.items}) == 211
    judged = {finding.id for finding in made.evidence["localhost"]}
    assert {check.id for check in assessment.checks} == judged
    assert all(set(item.checks) <= judged for item in assessment.items)
    assert {finding.area for finding in made.evidence["localhost"]} <= {
        item.unit for item in assessment.items
    }
    assert made.comparison is not None
    assert made.comparison.previous_run is None, "an inspection is no earlier assessment"
    assert made.forecasts == []


def test_it_leaves_the_report_as_word_pdf_and_workbook(assessed: Path) -> None:
    assert sorted(path.suffix for path in (assessed / "documents").iterdir()) == [".docx", ".pdf", ".xlsx"]


def test_no_item_is_better_than_its_findings(assessed: Path) -> None:
    verdicts: dict[str, set[str]] = {}
    for finding in record_of(assessed).evidence["localhost"]:
        verdicts.setdefault(finding.area, set()).add(finding.verdict)
    for item in assessment_of(assessed).items:
        seen = verdicts.get(item.unit, set())
        if item.verdict == "pass" and item.kind in ("automatic", "partly"):
            assert seen <= {"pass", "not_applicable"}, item.unit
        if item.kind in ("manual", "not_applicable") and not item.checks:
            assert item.verdict == item.kind, item.unit


def test_the_ratio_is_an_open_interval_and_calls_itself_a_self_assessment(assessed: Path) -> None:
    told = assessment_of(assessed)
    assert 0 <= told.ratio_low < told.ratio_high <= 100
    assert told.ratio_method.startswith("Self-assessment")
    assert told.score_2021_low is not None
    assert told.score_2021_high is not None
    assert told.score_2021_low < told.score_2021_high


def test_the_signed_inspection_of_the_ledger_shows_the_routine_inspection(
    assessed: Path, inspected: Path
) -> None:
    item = next(item for item in assessment_of(assessed).items if item.unit == "L3-ORS1-12")
    assert item.verdict == "pass"
    assert [one.entry for one in item.evidence] == [inspected.name]


def test_waivers_are_listed_with_their_end_and_mitigations_change_no_verdict(assessed: Path) -> None:
    told = assessment_of(assessed)
    assert [(one.reason, one.expired) for one in told.waivers] == [("expired one", True), ("in force", False)]
    for danger in told.dangers:
        assert danger.mitigation == ("the console stands in a locked room" if danger.code == "A-18" else "")


def test_a_broken_ledger_is_no_evidence(runner: Runner, assessed: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    shutil.copytree(assessed.parent, ledger)
    (ledger / "note.txt").write_text("this does not belong here")
    done = runner("run", "check_baseline", "--site", "self", "--ledger", ledger, "--json")
    assert done.code == 3
    assert "does not verify" in done.line


def test_the_next_assessment_stands_beside_this_one(runner: Runner, assessed: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    shutil.copytree(assessed.parent, ledger)
    done = runner("run", "check_baseline", "--site", "self", "--ledger", ledger, "--json")
    assert done.code == 0, done.err
    made = record_of(Path(done.json["entry"]))
    assert made.assessment is not None
    assert made.assessment.previous == {item.unit: item.verdict for item in assessment_of(assessed).items}
    assert made.comparison is not None
    assert made.comparison.previous_run == record_of(assessed).run
    assert made.assessment.score_2021_low is None
    assert made.assessment.waivers == []
    assert made.language == "zh"
    assert verification.verify(ledger).sound


def test_no_secret_of_this_machine_is_in_the_entry(assessed: Path) -> None:
    shadow = Path("/etc/shadow").read_text(encoding="utf-8").splitlines()
    hashes = {line.split(":")[1].strip("!*") for line in shadow} - {""}
    keys = {
        line
        for path in Path("/etc/ssh").glob("ssh_host_*_key")
        for line in path.read_text(encoding="utf-8").splitlines()[1:-1]
    }
    secrets = {secret.encode() for secret in hashes | keys if len(secret) > 8}
    for path in assessed.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert not any(secret in data for secret in secrets), path.name
        assert b"PRIVATE KEY" not in data


def test_the_command_says_what_it_cannot_do(runner: Runner) -> None:
    done = runner("run", "check_baseline", "--site", "self", "--set", "baseline_score_2021=maybe")
    assert done.code == 2
    assert "baseline_score_2021" in done.line
