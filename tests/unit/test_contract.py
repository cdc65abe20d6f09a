"""The contract file: complete, strict, and in one line where it is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from maintenance import contract
from maintenance.errors import CallError
from maintenance.site import Settings, Site

EXAMPLE = Path(__file__).parents[2] / "inventories" / "example_hospital" / "contract.yml"
CLAUSES = [
    *(f"3.1.{number}" for number in range(1, 6)),
    *(f"3.2.{number}" for number in range(1, 6)),
    *(f"3.2.6.{number}" for number in range(1, 7)),
    *(f"3.2.{number}" for number in range(7, 11)),
    *(f"4.1.{number}" for number in range(1, 7)),
    *("4.2.1", "4.2.2", "4.3.1", "4.3.2", "4.3.3", "4.5.1"),
]


def test_the_example_holds_every_duty_and_limit() -> None:
    made = contract.read(EXAMPLE)
    assert [duty.id for duty in made.duties] == CLAUSES
    assert {kind: (limit.clause, limit.hours) for kind, limit in made.sla.items()} == {
        "phone": ("4.3.1", 1),
        "remote": ("4.3.2", 12),
        "onsite": ("4.3.3", 24),
    }
    assert {duty.id: duty.owed.count for duty in made.duties if duty.owed.count > 1} == {
        "3.2.2": 2,
        "3.2.7": 3,
    }
    for duty in made.duties:
        assert set(duty.title) == {"zh", "en"}


def test_every_runbook_that_there_is_answers_a_clause_that_the_example_has() -> None:
    for path in sorted((EXAMPLE.parents[2] / "playbooks").glob("*.yml")):
        header = yaml.safe_load(path.read_text())[0]["vars"]["runbook"]
        assert set(header["clauses"]) <= set(CLAUSES), path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("until: 2026-11-30", "until: 2025-11-30", "period: Value error, until must be after from"),
        ("hours: 12}", "hours: 0}", "sla.remote.hours"),
        ("id: 3.1.2", "id: 3.1.1", "the clause 3.1.1 stands twice"),
        ("kind: holidays", "kind: sometimes", "duties.17.owed.kind"),
        ("soon_days: 30", "soon_day: 30", "soon_day: Extra inputs"),
        ("quarters: contract", "quarters: [", "is not YAML"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_file(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "contract.yml"
    path.write_text(EXAMPLE.read_text().replace(old, new))
    with pytest.raises(CallError, match=f"{re.escape(str(path))}.*{re.escape(said)}"):
        contract.read(path)


def test_a_site_without_a_contract_has_none_and_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert contract.load(Site(tmp_path, Settings(site="trial"))) is None
    with pytest.raises(CallError, match=r"contract\.yml cannot be read: No such file"):
        contract.load(Site(tmp_path, Settings(site="trial", contract_file="contract.yml")))
