"""What an assessment takes from a ledger: nothing where its chain does not hold."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from factories import FINISHED, finding, record
from ledger_builder import Ledger, make_key

from maintenance import assessment_run
from maintenance.execution import Result
from maintenance.record import Assessment, to_bytes

SITE: Any = SimpleNamespace(revoked=None, settings=SimpleNamespace(revoked_since=""))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger with one inspection of all hosts."""
    made = Ledger.create(tmp_path / "ledger", make_key(tmp_path, "engineer"))
    made.add("open", "one-inspect", {"open.json": "{}\n"})
    made.add("close", "one-inspect", {"record.json": to_bytes(record())})
    return made


def assessed(
    ledger: Ledger, stated: dict[str, str] | None = None, **changed: Any
) -> tuple[Assessment, list[str]]:
    result = Result(evidence={"db1": [finding(id="LNX-IA-01")]}, not_applicable=stated or {})
    given = {"previous": None, "extra_vars": {}, "hosts": {"db1": []}, "finished": FINISHED, "language": "en"}
    return assessment_run.of_run(result, site=SITE, ledger=ledger.root, **(given | changed))


def verdict(told: Assessment, unit: str) -> str:
    return next(item.verdict for item in told.items if item.unit == unit)


def test_an_inspection_in_a_ledger_that_holds_is_evidence(ledger: Ledger) -> None:
    told, notes = assessed(ledger)
    assert notes == []
    assert verdict(told, "L3-ORS1-12") == "pass"


def test_a_ledger_that_does_not_hold_shows_nothing_and_says_so(ledger: Ledger) -> None:
    (ledger.entries[1] / "open.json").write_text('{"case": "x"}\n')
    told, notes = assessed(ledger)
    assert notes == [
        "the ledger does not verify (000002-open-one-inspect); no entry of it counts as evidence"
    ]
    assert verdict(told, "L3-ORS1-12") == "manual"


def test_the_score_and_the_verdicts_before_are_there_where_they_were_asked_for(ledger: Ledger) -> None:
    first, _ = assessed(ledger)
    assert (first.score_2021_low, first.previous) == (None, {})
    before = record(assessment=first)
    second, _ = assessed(ledger, previous=before, extra_vars={"baseline_score_2021": True})
    assert second.score_2021_high is not None
    assert second.previous == {item.unit: item.verdict for item in first.items}
    inspection, _ = assessed(ledger, previous=record())
    assert inspection.previous == {}


def test_a_unit_that_does_not_exist_is_named(ledger: Ledger) -> None:
    told, notes = assessed(ledger, {"L3-CES1-16": "there is none", "L3-ABS1-15": "no mail"})
    assert notes == ["baseline_not_applicable: no item has the unit L3-CES1-16"]
    assert verdict(told, "L3-ABS1-15") == "not_applicable"
