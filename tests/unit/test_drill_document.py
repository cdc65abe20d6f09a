"""《恢复演练报告》: it says no more than the record, and a drill that did not prove everything has not passed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from docx import Document
from factories import finding as make_finding
from factories import record as make_record

from maintenance.documents import drill
from maintenance.documents.inspection import EntryFacts
from maintenance.documents.make_drill_templates import make
from maintenance.documents.make_templates import LANGUAGES
from maintenance.documents.table import GREEN, RED, YELLOW
from maintenance.record import Finding, Metric, Record

ENTRY = EntryFacts(7, "a" * 64, "b" * 64)
IDS = (
    *("DRL-TGT-01", "DRL-SRC-01", "DRL-RTO-01", "DRL-RPO-01", "PRF-PAG-01", "PRF-AMC-01", "DRL-ROW-01"),
    *("DRL-ASK-01", "DRL-COL-01", "DRL-PRD-01", "DRL-REP-01", "DRL-LOD-01", "DRL-WIP-01"),
)
HOSTILE = "<w:p/>{{ 7*7 }}{% if %}"


def finding(id_: str, verdict: str = "pass") -> Finding:
    return make_finding(
        id=id_,
        clause="3.2.2",
        area="backup",
        title=f"title of {id_}",
        actual=f"{id_} {HOSTILE}",
        verdict=verdict,
    )


def record(language: str = "zh", verdicts: dict[str, str] | None = None, **more: Any) -> Record:
    found = [finding(id_, (verdicts or {}).get(id_, "pass")) for id_ in IDS]
    numbers = {"drill_found_seconds": 3.25, "drill_rto_seconds": 31.0, "drill_rpo_seconds": 4.0}
    metrics = [
        Metric(name=name, subject="backup1", value=value, unit="seconds", limit=None)
        for name, value in numbers.items()
    ]
    told = {
        "language": language,
        "evidence": {"backup1": found},
        "metrics": {"backup1": metrics},
        "outcome": "succeeded",
        "outcome_reason": "",
        **more,
    }
    return make_record().model_copy(update=told)


def text_of(path: Path) -> str:
    document = Document(str(path))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return "\n".join([*(paragraph.text for paragraph in document.paragraphs), *cells])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_report_says_what_was_proven_measured_and_wiped(language: str, tmp_path: Path) -> None:
    (path,) = drill.render(record(language), tmp_path, entry=ENTRY)
    text = text_of(path)
    for id_ in IDS:
        assert id_ in text or id_ == "DRL-RTO-01"  # that one is told phase by phase
    assert "{{ 7*7 }}" in text  # as it was, and neither run nor lost
    assert "3.2" in text
    assert "31" in text
    assert "a" * 64 in text
    assert ("签字" in text) if language == "zh" else ("Signatures" in text)


@pytest.mark.parametrize(
    ("change", "colour"),
    [
        ({}, GREEN),
        ({"verdicts": {"DRL-ROW-01": "unknown"}}, YELLOW),
        ({"verdicts": {"DRL-COL-01": "partial"}}, YELLOW),
        ({"verdicts": {"PRF-PAG-01": "fail"}}, RED),
        ({"outcome": "failed", "outcome_reason": "no room"}, RED),
        ({"outcome": "unreachable"}, RED),
    ],
)
def test_the_conclusion_is_no_better_than_the_worst_proof(change: dict[str, Any], colour: str) -> None:
    assert drill.build_context(record(**change), ENTRY)["summary"]["colour"] == colour


def test_a_proof_that_is_not_in_the_record_has_not_been_made() -> None:
    whole = record()
    left = [one for one in whole.evidence["backup1"] if one.id != "PRF-AMC-01"]
    context = drill.build_context(whole.model_copy(update={"evidence": {"backup1": left}}), ENTRY)
    assert context["summary"]["colour"] == RED
    assert "PRF-AMC-01" in context["summary"]["conclusion"]
    assert [row["result"] for row in context["proofs"].rows if row["id"] == "PRF-AMC-01"] == ["未证明"]


def test_a_wiping_alone_makes_no_report(tmp_path: Path) -> None:
    only = record().model_copy(update={"evidence": {"backup1": [finding("DRL-WIP-01")]}})
    assert drill.render(only, tmp_path, entry=ENTRY) == []


def test_the_templates_are_those_that_the_program_makes(tmp_path: Path) -> None:
    for language in LANGUAGES:
        made = text_of(make(language, tmp_path))
        assert made == text_of(drill.TEMPLATES / f"drill.{language}.docx")
