"""Contract cover: what counts, what does not, and when something is due."""

from __future__ import annotations

import itertools
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_builder import Ledger, make_key

from maintenance import cases, contract, cover, register
from maintenance.contract import Contract
from maintenance.cover import Cover, Row
from maintenance.documents import status_page

EXAMPLE = Path(__file__).parents[2] / "inventories" / "example_hospital" / "contract.yml"
AGREED = contract.read(EXAMPLE)
END = "2026-11-29T10:00:00Z"


class Book:
    """A ledger whose entries are made at given days, read through the real register."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger.create(folder / "ledger", make_key(folder, "engineer"))

    def run(self, day: str, name: str = "inspect", **changed: Any) -> None:
        """The close of a run."""
        facts = {
            "runbook": {"name": name, "title": {"zh": "巡检"}, "clauses": ["3.2.1"], "changes": "nothing"},
            "mode": "apply",
            "outcome": "succeeded",
            "hosts_expected": ["db1"],
            "hosts_processed": ["db1"],
            "command": "ansible-playbook -i inventories/lab playbooks/inspect.yml",
            "finished": f"{day}T08:00:00Z",
            **changed,
        }
        self._add("close", f"{day}-{name}", day, {"record.json": json.dumps(facts)})

    def log(self, day: str, what: str, clause: str, until: str = "", **fields: str) -> None:
        """A log entry."""
        facts = {"what": what, "at": f"{day}T00:00:00Z", "clauses": [clause], "fields": fields, "text": ""}
        facts["until"] = f"{until or day}T12:00:00Z"
        self._add("entry", f"{what}-{len(self.ledger.entries)}", day, {"entry.json": json.dumps(facts)})

    def _add(self, kind: str, name: str, day: str, files: dict[str, str | bytes]) -> None:
        on = date.fromisoformat(day)
        self.ledger.now = self.ledger.now.replace(year=on.year, month=on.month, day=on.day)
        self.ledger.add(kind, name, files)

    def cover(self, now: str = END, agreed: Contract = AGREED) -> Cover:
        items = list(register.read(self.ledger.root))
        limits: cases.Limits = {str(kind): limit for kind, limit in agreed.sla.items()}
        return cover.build(agreed, items, cases.read(items, limits, now), now, site="lab", language="zh")

    def row(self, clause: str, now: str = END, agreed: Contract = AGREED) -> Row:
        return next(row for row in self.cover(now, agreed).rows if row.id == clause)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def test_four_inspections_keep_the_quarters(book: Book) -> None:
    for day in ("2025-12-20", "2026-03-01", "2026-08-31", "2026-11-01"):
        book.run(day)
    row = book.row("3.2.1")
    assert row.state == "kept"
    assert [part.state for part in row.parts] == ["kept"] * 4
    assert [part.due for part in row.parts] == ["2026-02-28", "2026-05-31", "2026-08-31", "2026-11-30"]


def test_a_quarter_without_one_is_overdue_once_it_is_over(book: Book) -> None:
    book.run("2025-12-20")
    book.run("2026-07-01")
    row = book.row("3.2.1")
    assert [part.state for part in row.parts] == ["kept", "overdue", "kept", "due_soon"]
    assert (row.state, row.due) == ("overdue", "2026-05-31")
    assert [part.state for part in book.row("3.2.1", "2026-03-15T00:00:00Z").parts] == [
        "kept",
        "open",
        "not_asked",
        "not_asked",
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"outcome": "failed"},
        {"outcome": "incomplete"},
        {"outcome": "cancelled"},
        {"outcome": "refused"},
        {"mode": "check"},
        {"hosts_processed": []},
        {"hosts_expected": ["app1", "db1"]},
        {"command": "ansible-playbook -i inventories/lab playbooks/inspect.yml --limit db1"},
        {"runbook": {"name": "other", "clauses": ["3.2.1"]}},
    ],
)
def test_what_did_not_succeed_does_not_count(book: Book, changed: dict[str, Any]) -> None:
    book.run("2025-12-20", **changed)
    assert book.row("3.2.1", "2026-01-10T00:00:00Z").parts[0].state == "open"


def test_the_last_hour_of_a_quarter_is_the_hospitals(book: Book) -> None:
    """2026-02-28 23:30 in Beijing is 15:30 UTC of that day; 16:30 UTC is the next quarter there."""
    book.run("2026-02-28", finished="2026-02-28T15:30:00Z")
    assert book.row("3.2.1").parts[0].state == "kept"
    book.run("2026-02-28", finished="2026-02-28T16:30:00Z")
    assert book.row("3.2.1").parts[1].state == "kept"


def test_three_customisations_of_which_a_large_one_does_not_count(book: Book) -> None:
    for days in ("2", "4.5", "9"):
        book.log("2026-04-01", "customisation", "3.2.7", person_days=days)
    row = book.row("3.2.7", "2026-05-01T00:00:00Z")
    assert [part.state for part in row.parts] == ["kept", "kept", "open"]
    assert book.row("3.2.7", "2026-12-01T00:00:00Z").state == "overdue"
    book.log("2026-09-01", "customisation", "3.2.7", person_days="1")
    assert book.row("3.2.7").state == "kept"


def test_behind_an_even_pace_is_due_soon_and_not_overdue(book: Book) -> None:
    assert [part.state for part in book.row("3.2.2", "2026-07-01T00:00:00Z").parts] == ["due_soon", "open"]


def test_every_day_of_a_holiday_is_covered(book: Book) -> None:
    book.log("2026-02-15", "duty", "3.2.8", until="2026-02-19")
    assert parts(book, "2026-03-01T00:00:00Z")["春节"] == "overdue"
    book.log("2026-02-20", "duty", "3.2.8", until="2026-02-23")
    assert parts(book, "2026-03-01T00:00:00Z")["春节"] == "overdue", "no inspection stood before it"
    book.run("2026-02-10")
    assert parts(book, "2026-03-01T00:00:00Z")["春节"] == "kept"
    assert parts(book, "2026-03-01T00:00:00Z")["元旦"] == "overdue"
    assert parts(book, "2026-03-20T00:00:00Z")["清明"] == "due_soon"
    assert parts(book, "2026-03-01T00:00:00Z")["国庆节"] == "not_asked"


def parts(book: Book, now: str) -> dict[str, str]:
    return {part.label.split()[0]: part.state for part in book.row("3.2.8", now).parts}


def test_days_off_that_are_not_decreed_are_unknown_and_never_kept(book: Book) -> None:
    period = contract.Period.model_validate({"from": "2040-01-01", "until": "2040-12-31"})
    later = AGREED.model_copy(update={"period": period})
    row = book.row("3.2.8", "2040-06-01T00:00:00Z", later)
    assert (row.state, [part.state for part in row.parts]) == ("unknown", ["unknown"])


def test_a_change_without_an_order_is_listed(book: Book) -> None:
    changing = {
        "name": "configure_witness",
        "title": {"zh": "配置见证端"},
        "clauses": [],
        "changes": "reversible",
    }
    book.run("2026-04-01", "configure_witness", runbook=changing, order={"id": "x", "sha256": "y"})
    assert book.row("4.1.3").state == "kept"
    book.run("2026-04-02", "configure_witness", runbook=changing, order={"emergency": "主任"})
    book.run("2026-04-03", "configure_witness", runbook=changing)
    made = book.cover()
    assert [one.title for one in made.without_order] == ["配置见证端"]
    assert len(made.emergencies) == 1
    digests = [item.sha256 for item in register.read(book.ledger.root)]
    accepted = {"verdict": "accepted", "entries": [{"manifest_sha256": digests[2]}]}
    book._add("receipt", "period", "2026-04-05", {"acceptance.json": json.dumps(accepted)})
    assert book.cover().emergencies == ()
    assert book.row("4.1.3").state == "overdue"


def test_a_run_by_hand_is_listed_and_what_lies_outside_of_the_period_is_not(book: Book) -> None:
    changing = {"name": "x", "title": {"zh": "x"}, "clauses": [], "changes": "reversible"}
    book.run("2025-11-30", "x", runbook=changing)
    book.log("2025-12-02", "training", "4.2.1")
    book._add("unrecorded", "by-hand", "2025-12-02", {"unrecorded.json": '{"playbook": "inspect"}\n'})
    made = book.cover()
    assert [one.title for one in made.unrecorded] == ["inspect"]
    assert made.without_order == ()
    assert "绕过本程序" in status_page.render(made, "zh")


def test_what_is_owed_together_is_kept_together(book: Book) -> None:
    """Drills need checks, and a quarter's visit needs the inspection and the users' wishes."""
    for day in ("2026-02-01", "2026-06-01"):
        book.run(day, "drill_restore")
    assert [part.state for part in book.row("3.2.2").parts] == ["due_soon", "due_soon"]
    book.run("2026-02-02", "check_backup")
    assert [part.state for part in book.row("3.2.2").parts] == ["kept", "due_soon"]
    book.log("2025-12-10", "requirement", "4.1.1")
    book.log("2025-12-10", "onsite", "4.1.1")
    assert book.row("4.1.1").parts[0].state == "overdue"
    book.run("2025-12-10")
    assert book.row("4.1.1").parts[0].state == "kept"


def test_only_the_kinds_that_a_duty_names_count(book: Book) -> None:
    book.log("2026-11-10", "satisfaction", "4.5.1")
    assert book.row("4.5.1").state == "due_soon"
    book.log("2026-04-10", "phone", "4.1.2")
    assert book.row("4.1.2").state == "kept", "where a duty names nothing every kind does"


def test_a_killed_change_needed_an_order_too(book: Book) -> None:
    opened = {"runbook": "patch", "mode": "apply", "changes": "reversible", "order": None}
    book._add("open", "r1", "2026-04-01", {"open.json": json.dumps(opened)})
    book._add("abandoned", "r1", "2026-04-02", {"abandoned.json": "{}\n"})
    assert [one.title for one in book.cover().without_order] == ["patch"]
    assert book.row("4.1.3").state == "overdue"


def test_an_agreement_is_not_overdue_before_the_contract_begins(book: Book) -> None:
    assert book.row("4.1.5", "2025-11-01T00:00:00Z").state == "not_asked"
    assert book.row("4.1.5", "2025-12-05T00:00:00Z").state == "due_soon"
    assert book.row("4.1.5", "2026-02-01T00:00:00Z").state == "overdue"
    book.log("2025-11-20", "agreement", "4.1.5")
    assert book.row("4.1.5").state == "kept"


def test_a_time_that_cannot_be_read_is_that_of_the_signature(book: Book) -> None:
    book.run("2025-12-20", finished="soon")
    assert book.row("3.2.1").parts[0].evidence[0].day == "2025-12-20"


def test_titles_in_one_language_do_for_both_pages(book: Book) -> None:
    duties = [duty.model_copy(update={"title": {"zh": "只有中文"}}) for duty in AGREED.duties]
    made = book.cover(agreed=AGREED.model_copy(update={"duties": duties}))
    assert "3.2.1" in status_page.render(made, "en")


def test_what_came_later_than_the_day_asked_for_does_not_count(book: Book) -> None:
    book.run("2025-12-20")
    assert book.row("3.2.1", "2025-12-10T00:00:00Z").parts[0].state == "open"


def test_nothing_is_kept_by_an_empty_ledger(book: Book) -> None:
    made = book.cover()
    assert "kept" not in made.counts()
    assert {row.id: row.state for row in made.rows}["3.1.1"] == "not_asked"
    assert all(response.percent is None for response in made.responses)
    json.dumps(made.as_json())


@given(
    st.dates(date(2015, 1, 1), date(2035, 1, 1)),
    st.integers(30, 800),
    st.sampled_from(["contract", "calendar"]),
)
def test_quarters_cover_the_period_without_gap_or_overlap(first: date, days: int, kind: str) -> None:
    last = first + timedelta(days=days)
    period = contract.Period.model_validate({"from": first, "until": last})
    found = cover.quarters(AGREED.model_copy(update={"period": period, "quarters": kind}))
    assert (found[0][0], found[-1][1]) == (first, last)
    for one, two in itertools.pairwise(found):
        assert one[1] + timedelta(days=1) == two[0]
    assert all(88 <= (end - begin).days <= 92 for begin, end in found[1:-1])


HOSTILE = "<script>alert(1)</script>{{ 7*7 }}"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_page_holds_everything_and_nothing_of_a_ledger_becomes_markup(book: Book, language: Any) -> None:
    book.run("2025-12-20")
    book.log("2026-04-01", "training", "4.2.1", topic=HOSTILE)
    changing = {"name": "x", "title": {"zh": HOSTILE, "en": HOSTILE}, "clauses": [], "changes": "reversible"}
    book.run("2026-04-03", "x", runbook=changing)
    page = status_page.render(book.cover(), language)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    for row in book.cover().rows:
        assert f">{row.id}<" in page


def test_the_timeline_stays_within_its_ends(book: Book) -> None:
    book.run("2025-12-01")
    made = book.cover("2030-01-01T00:00:00Z")
    assert status_page.position(made.at, made) == 1000
    for lane in status_page.lanes(made):
        for mark in (*lane.spans, *lane.dots):
            assert 0 <= mark.x <= 1000
