"""What of a ledger counts as evidence: what succeeded, was whole, was approved, has ended, and is not too old."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maintenance.assessment_evidence import Shown, find, gather
from maintenance.catalogue import Wanted
from maintenance.ledger import Entry
from maintenance.manifest import Manifest
from maintenance.register import Item

NOW = "2026-11-22T13:00:00Z"
SIGNED = "2026-11-20T13:00:00Z"


def entry(kind: str, facts: dict[str, Any], *, seq: int = 7, name: str = "x", time: str = SIGNED) -> Item:
    """An entry of a ledger with these facts."""
    head = Manifest(
        site="lab", seq=seq, kind=kind, run=name, signer="engineer", time=time, previous=None, files={}
    )
    item = Item(Entry(seq, kind, name, Path(f"{seq:06d}-{kind}-{name}")), head, "ab" * 32)
    item.__dict__["_facts"] = facts
    return item


def run(**changed: Any) -> Item:
    """The close of an inspection that succeeded."""
    book = {"name": "inspect", "title": {"zh": "巡检", "en": "Inspect"}, "changes": "nothing"}
    facts = {
        "runbook": book | changed.pop("runbook", {}),
        "mode": "apply",
        "outcome": "succeeded",
        "finished": "2026-11-20T12:00:00Z",
        "hosts_expected": ["app1", "db1"],
        "hosts_processed": ["app1", "db1"],
        "command": "ansible-playbook -i inventories/lab playbooks/inspect.yml",
        "order": None,
    }
    return entry("close", facts | changed)


CHANGE = {"name": "harden", "title": {"zh": "加固", "en": "Harden"}, "changes": "reversible"}
ORDER = {"id": "GD-2026-007", "sha256": "ab" * 32, "window": "a/b"}


def told(*items: Item) -> list[tuple[str, str, str]]:
    return [(one.kind, one.name, one.what) for one in gather(items, "en", NOW)]


def test_a_run_that_succeeded_on_all_hosts_counts():
    assert told(run()) == [("run", "inspect", "Inspect")]
    assert gather([run()], "zh", NOW)[0].what == "巡检"


@pytest.mark.parametrize(
    "changed",
    [
        {"outcome": "failed"},
        {"outcome": "incomplete"},
        {"outcome": "refused"},
        {"outcome": "cancelled"},
        {"mode": "check"},
        {"hosts_processed": ["db1"]},
        {"hosts_processed": [], "hosts_expected": []},
        {"command": "ansible-playbook playbooks/inspect.yml --limit db1"},
        {"runbook": {"name": "harden", "changes": "reversible"}, "mode": "check"},
    ],
)
def test_a_run_that_failed_or_was_not_whole_is_no_evidence(changed):
    assert told(run(**changed)) == []


def test_a_change_under_an_order_of_the_hospital_counts_twice():
    assert told(run(runbook=CHANGE, order=ORDER)) == [
        ("order", "harden", "Harden under the order GD-2026-007"),
        ("run", "harden", "Harden"),
    ]


def test_an_emergency_is_no_approved_change_and_none_that_nobody_knew_of():
    assert told(run(runbook=CHANGE, order={"emergency": "head of IT, by telephone"})) == [
        ("run", "harden", "Harden")
    ]


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_a_change_without_an_order_is_held_against_all_orders(outcome):
    items = [run(runbook=CHANGE, order=ORDER), run(runbook=CHANGE, outcome=outcome)]
    shown = gather(items, "en", NOW)
    assert "unapproved" in {one.kind for one in shown}
    assert find(Wanted(order=True, days=400), shown, NOW) is None
    assert find(Wanted(order=True, days=400), gather(items[:1], "en", NOW), NOW) is not None


def test_a_change_that_died_without_an_order_is_held_against_them_too():
    opened = {"runbook": "harden", "mode": "apply", "changes": "reversible", "order": None}
    items = [entry("open", opened), entry("abandoned", {}, seq=8)]
    assert [kind for kind, _, _ in told(*items)] == ["unapproved"]
    assert told(entry("open", opened | {"order": ORDER}), items[1]) == []
    assert told(entry("open", opened | {"mode": "check"}), items[1]) == []


def logged(what: str, **facts: Any) -> Item:
    return entry("entry", {"what": what, "at": "2026-11-19T01:00:00Z", "fields": {}} | facts)


def test_what_was_logged_counts_with_its_topic():
    assert told(logged("training", fields={"topic": "口令\u202e管理"})) == [
        ("entry", "training", "training: 口令\ufffd管理")
    ]
    assert told(logged("agreement")) == [("entry", "agreement", "confidentiality agreement")]
    assert told(logged("pack")) == [("pack", "", "pack of material")]
    assert told(logged("allowed_signers changed")) == []


@pytest.mark.parametrize("verdict, count", [("accepted", 1), ("accepted_with_remarks", 1), ("rejected", 0)])
def test_an_acceptance_counts_and_a_rejection_does_not(verdict, count):
    assert len(told(entry("receipt", {"verdict": verdict}))) == count


@pytest.mark.parametrize(
    "counts, host, shown",
    [
        (
            {"explained": 4, "unexplained": 0},
            {"read": True, "gap": ""},
            [("logins", "", "logins compared: all 4 explained")],
        ),
        ({"explained": 4, "unexplained": 1}, {"read": True, "gap": ""}, []),
        ({"explained": 4, "unexplained": 0}, {"read": False, "gap": ""}, []),
        ({"explained": 4, "unexplained": 0}, {"read": True, "gap": "log was rotated"}, []),
        ({"explained": 4, "unexplained": 0}, None, []),
    ],
)
def test_logins_count_where_all_were_read_and_explained(counts, host, shown):
    hosts = {"db1": host} if host else {}
    assert told(logged("comparison", comparison={"counts": counts, "hosts": hosts})) == shown


OPERATOR = {"principal": "e", "key_fingerprint": "SHA256:x", "self_issued": False, "machine": "m"}


def of_case(event: str, seq: int, **facts: Any) -> Item:
    base = {
        "schema": "maintenance-entry/1",
        "what": "case",
        "event": event,
        "case": "C-1",
        "site": "lab",
        "at": f"2026-11-0{seq}T01:00:00Z",
        "until": None,
        "clauses": [],
        "text": "",
        "fields": {"title": "no reports"},
        "attachments": [],
        "operator": OPERATOR,
        "recorded": f"2026-11-0{seq}T01:00:00Z",
    }
    return entry("entry", base | facts, seq=seq, name=f"case-{seq}", time=f"2026-11-0{seq}T01:00:00Z")


def test_an_open_case_is_no_evidence():
    assert told(of_case("open", 1), of_case("restore", 2, fields={})) == []


FAULT = {
    **dict.fromkeys(("description", "process", "cause", "root_cause", "data_impact"), "words"),
    "measures": [{"kind": "permanent", "text": "rotation"}],
    "tests": [{"name": "upload", "expected": "data", "actual": "data", "tester": "Wang", "passed": True}],
}


def test_a_closed_case_is_evidence_by_its_last_entry():
    end = of_case("close", 3, fields={}, fault=FAULT, limits={}, site_facts={})
    (one,) = gather([of_case("open", 1), of_case("restore", 2, fields={}), end], "en", NOW)
    assert (one.kind, one.what) == ("case", "fault C-1 closed: no reports")
    assert (one.at, one.entry) == ("2026-11-03T01:00:00Z", "000003-entry-case-3")
    assert find(Wanted(case=True, days=30), [one], NOW) is not None


def test_a_case_that_cannot_be_read_shows_nothing_and_costs_nothing():
    assert told(of_case("open", 1, site=7), run()) == [("run", "inspect", "Inspect")]


def at(moment: str, kind: str = "run", name: str = "inspect") -> Shown:
    return Shown(kind, name, moment, f"e-{moment}", "words")


@pytest.mark.parametrize(
    "moment, days, found",
    [
        ("2026-11-22T12:00:00Z", 1, True),
        ("2026-08-14T13:00:00Z", 100, True),
        ("2026-08-14T12:59:59Z", 100, False),
        ("2026-11-22T13:00:01Z", 100, False),
    ],
)
def test_an_entry_counts_for_its_days_only(moment, days, found):
    assert bool(find(Wanted(run=("inspect",), days=days), [at(moment)], NOW)) is found


def test_the_newest_of_what_is_wanted_is_named():
    entries = [
        at("2026-11-01T00:00:00Z"),
        at("2026-11-02T00:00:00Z"),
        at("2026-11-03T00:00:00Z", name="patch"),
    ]
    named = find(Wanted(run=("inspect", "harden"), days=100), entries, NOW)
    assert named is not None
    assert named.at == "2026-11-02T00:00:00Z"
    any_run = find(Wanted(run=("*",), days=100), entries, NOW)
    assert any_run is not None
    assert any_run.at == "2026-11-03T00:00:00Z"
    assert find(Wanted(entry="training", days=100), [at(NOW, "entry", "onsite")], NOW) is None


def test_nothing_happened_later_than_it_was_signed():
    (one,) = gather([logged("training", at="2026-11-22T00:00:00Z")], "en", NOW)
    assert one.at == SIGNED
