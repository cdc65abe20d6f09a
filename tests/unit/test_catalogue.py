"""The catalogue: all 211 items, once each, in both languages, and only what the project really has."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from maintenance import catalogue, runbook
from maintenance.catalogue import FOLDER, Wanted
from maintenance.errors import MaintenanceError
from maintenance.logbook import KINDS

CATALOGUE = catalogue.load()
ITEMS = {item.unit: item for item in CATALOGUE.items}
RULES = [
    rule
    for path in sorted(FOLDER.glob("*_checks.yml"))
    for rule in yaml.safe_load(path.read_text(encoding="utf-8")).get("rules") or []
]
PREFIXES = {1: "PES1", 2: "CNS1", 3: "ABS1", 4: "CES1", 5: "SMC1"}
PREFIXES |= {6: "PSS1", 7: "ORS1", 8: "HRS1", 9: "CMS1", 10: "MMS1"}


def test_every_item_of_every_chapter_is_there_once():
    counts = Counter(item.chapter for item in CATALOGUE.items)
    assert [counts[chapter] for chapter in range(1, 11)] == [22, 8, 20, 34, 12, 7, 14, 12, 34, 48]
    assert len(ITEMS) == len({item.clause for item in CATALOGUE.items}) == len(CATALOGUE.items) == 211


@pytest.mark.parametrize("chapter, prefix", PREFIXES.items())
def test_units_are_numbered_in_the_order_of_their_clauses(chapter, prefix):
    units = [item.unit for item in CATALOGUE.items if item.chapter == chapter]
    numbers = [number for number in range(1, len(units) + 2) if (prefix, number) != ("CES1", 16)]
    assert units == [f"L3-{prefix}-{number:02d}" for number in numbers[: len(units)]]


def test_titles_are_in_both_languages_and_all_different():
    for language in ("zh", "en"):
        titles = [item.title.in_(language) for item in CATALOGUE.items]
        assert all(len(title) < 80 for title in titles)
        assert all(item.wanted.in_(language).strip() for item in CATALOGUE.items)
        doubled = [title for title, count in Counter(titles).items() if count > 1]
        assert doubled == []
    assert not any(re.search("[一-鿿]", item.title.en + item.wanted.en) for item in CATALOGUE.items)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["id"])
def test_a_check_belongs_to_an_item_and_names_its_clause(rule):
    assert rule["clause"] == ITEMS[rule["unit"]].clause
    assert ITEMS[rule["unit"]].kind in ("automatic", "partly", "evidence"), "a program judges some of it"
    assert not rule.get("danger") or rule["danger"] in CATALOGUE.dangers, "its danger has no title"


def test_what_an_item_wants_of_the_ledger_can_be_there():
    contract = (runbook.REPOSITORY / "inventories/example_hospital/contract.yml").read_text(encoding="utf-8")
    books = {*runbook.names(), *re.findall(r"\w+", " ".join(re.findall(r"runbooks: \[(.*?)\]", contract)))}
    books |= {"undo_hardening", "*"}
    for item in CATALOGUE.items:
        for wanted in item.evidence:
            assert set(wanted.run) <= books, item.unit
            assert not wanted.entry or wanted.entry in KINDS, item.unit


def test_an_item_that_the_ledger_shows_says_by_what():
    assert all(item.evidence for item in CATALOGUE.items if item.kind == "evidence")
    assert not any(item.evidence for item in CATALOGUE.items if item.kind == "not_applicable")


@pytest.mark.parametrize("wanted", [{}, {"run": ["inspect"], "order": True}, {"entry": ""}])
def test_a_piece_of_evidence_is_one_thing(wanted):
    with pytest.raises(ValueError, match="is one of run, entry"):
        Wanted.model_validate(wanted | {"days": 1})


def test_a_catalogue_that_cannot_be_used_is_named(tmp_path: Path):
    (tmp_path / "catalogue.yml").write_text("schema: baseline-catalogue/1\nitems: [{unit: X}]\n")
    with pytest.raises(MaintenanceError, match=r"catalogue\.yml cannot be used"):
        catalogue.load(tmp_path)
    with pytest.raises(MaintenanceError, match="cannot be used"):
        catalogue.load(tmp_path / "nowhere")


def test_what_is_known_of_a_check_comes_from_its_file_and_from_the_remedies(tmp_path: Path):
    (tmp_path / "a_checks.yml").write_text(
        "rules:\n"
        "  - {id: LNX-A-01, unit: L3-CES1-01, risk: R1, danger: A-18}\n"
        "  - {id: LNX-A-02, unit: L3-CES1-02, risk: R3, reboot: true}\n"
    )
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "a.yml").write_text("topic: a\nremedies:\n  - {checks: [LNX-X-01, '*-A-02']}\n")
    found = catalogue.checks(tmp_path, tmp_path / "topics")
    assert [(one.id, one.risk, one.danger, one.fixable, one.reboot) for one in found] == [
        ("LNX-A-01", "R1", "A-18", False, False),
        ("LNX-A-02", "R3", "", True, True),
    ]
    assert not any(one.fixable for one in catalogue.checks(tmp_path, tmp_path / "none"))


IDS = [rule["id"] for rule in RULES]
UNITS = {rule["unit"] for rule in RULES}


@pytest.mark.parametrize(
    "item", [item for item in CATALOGUE.items if item.checks], ids=lambda item: item.unit
)
def test_checks_that_tell_of_another_item_too_exist(item):
    for name in item.checks:
        assert any(re.fullmatch(f"{name}[A-Z]?", known) for known in IDS), name


@pytest.mark.parametrize("kind", ["automatic", "partly"])
def test_what_a_program_judges_has_a_check(kind):
    without = [
        item.unit
        for item in CATALOGUE.items
        if item.kind == kind and item.unit not in UNITS and (kind == "automatic" or not item.checks)
    ]
    assert without == []
