"""Faults: their clocks, what may follow what, and how they are read out of a ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_builder import Ledger, make_key

from maintenance import case_rules, cases, logbook, register
from maintenance.case_events import EVENTS, CaseEntry, Check, Closing, EventName, Fault, Measure, SignedLimit
from maintenance.cases import Case, Clock, Event, Joined
from maintenance.errors import CallError, VerificationError
from maintenance.record import Operator, to_bytes

START = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
LIMITS = {
    "phone": SignedLimit(clause="4.3.1", hours=1),
    "remote": SignedLimit(clause="4.3.2", hours=12),
    "onsite": SignedLimit(clause="4.3.3", hours=24),
}
FAULT = Fault(
    description="it stopped",
    process="restarted",
    cause="disk full",
    root_cause="no rotation",
    data_impact="none",
    measures=[Measure(kind="permanent", text="rotation")],
    tests=[Check(name="upload", expected="data", actual="data", tester="Wang", passed=True)],
)
TALK = {"appeared": "07:50", "frequency": "always", "operation": "start"}
OPENED = {"title": "no upload", "reporter": "Wang", "department": "dialysis"}
OPERATOR = Operator(principal="engineer@v", key_fingerprint="SHA256:x", self_issued=False, machine="m")


def time(minutes: float) -> str:
    """The instant so many minutes after START."""
    return (START + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def told(*events: tuple[float, str, dict[str, str]], recorded: float | None = None) -> list[Event]:
    """Events at minutes, in the order in which they were signed."""
    return [
        Event(
            seq=seq,
            folder=f"{seq:06d}-entry-x",
            sha256="0" * 64,
            name=name,
            at=time(minute),
            until=None,
            recorded=time(minute if recorded is None else recorded),
            text="",
            fields=fields,
            attachments=(),
            by="engineer@v",
        )
        for seq, (minute, name, fields) in enumerate(events, 2)
    ]


def case_of(*events: tuple[float, str, dict[str, str]], now: float = 100, **more: Any) -> Case:
    """A case with these events behind its opening at minute 0."""
    listed = told((0, "open", OPENED | more.pop("known", {})), *events)
    return cases.assemble("C1", listed, more.pop("runs", []), LIMITS, time(now), **more)


def clock(case: Case, kind: str) -> Clock:
    """The clock of a kind; the case has one."""
    found = case.clock(kind)
    assert found is not None
    return found


RUN = Joined(
    run="r",
    seq=9,
    title={},
    runbook="recover",
    repairs=True,
    started=time(2),
    finished=time(3),
    outcome="succeeded",
    reason="",
    operator="",
    hosts=(),
    changed=0,
    steps=(),
)
ONSITE = ("decide", {"channel": "onsite", "reason": "x"})
REMOTE = ("decide", {"channel": "remote", "reason": "x"})


@pytest.mark.parametrize(
    ("minute", "state"), [(0, "met"), (59, "met"), (60, "met"), (60 + 1 / 60, "missed"), (500, "missed")]
)
def test_the_phone_clock_runs_from_the_call_to_the_first_feedback(minute: float, state: str) -> None:
    made = clock(
        case_of((minute, "respond", {"channel": "phone"}), (700, "respond", {"channel": "phone"})), "phone"
    )
    assert (made.state, made.clause, made.limit_hours) == (state, "4.3.1", 1)
    assert made.used_seconds == round(minute * 60)
    assert made.due is None


@pytest.mark.parametrize(("now", "state"), [(10, "running"), (60, "running"), (61, "overdue")])
def test_a_clock_that_nothing_stopped_runs_until_it_is_overdue(now: float, state: str) -> None:
    made = clock(case_of(now=now), "phone")
    assert (made.state, made.stopped, made.due) == (state, None, time(60))


def test_a_clock_that_was_never_started_was_not_needed() -> None:
    made = case_of((5, "respond", {"channel": "phone"}), now=99999)
    assert [(item.kind, item.state, item.started) for item in made.clocks] == [
        ("phone", "met", time(0)),
        ("remote", "not_needed", None),
        ("onsite", "not_needed", None),
    ]


def test_another_contract_has_other_numbers_and_a_kind_it_does_not_limit_has_no_clock() -> None:
    listed = told((0, "open", OPENED), (90, "respond", {"channel": "phone"}))
    made = cases.assemble("C1", listed, [], {"phone": SignedLimit(clause="9.9", hours=2)}, time(100))
    assert [(item.clause, item.state) for item in made.clocks] == [("9.9", "met")]
    assert cases.assemble("C1", listed, [], {}, time(100)).clocks == ()


@pytest.mark.parametrize(
    ("event", "fields", "stops"),
    [
        ("respond", {"channel": "remote"}, {"phone", "remote"}),
        ("respond", {"channel": "phone"}, {"phone"}),
        ("arrive", {}, {"phone", "remote", "onsite"}),
        ("log phone", {}, {"phone"}),
        ("log remote", {}, {"phone", "remote"}),
        ("log onsite", {}, {"phone", "remote", "onsite"}),
        ("restore", {}, {"phone", "remote", "onsite"}),
        ("log training", {}, set()),
        ("note", {}, set()),
    ],
)
def test_what_stops_which_clock(event: str, fields: dict[str, str], stops: set[str]) -> None:
    made = case_of((1, *REMOTE), (2, *ONSITE), (30, event, fields))
    assert {item.kind for item in made.clocks if item.stopped} == stops


def test_remote_work_has_answered_when_it_ends() -> None:
    listed = told(
        (0, "open", OPENED), (1, *REMOTE), (10, "log remote", {}), (50, "respond", {"channel": "phone"})
    )
    listed[2] = replace(listed[2], until=time(55))
    made = cases.assemble("C1", listed, [], LIMITS, time(60))
    assert [(item.kind, item.stopped) for item in made.clocks if item.stopped] == [
        ("phone", time(50)),
        ("remote", time(55)),
    ]


def test_nobody_has_to_come_once_the_service_is_back_in_time() -> None:
    assert clock(case_of((1, *ONSITE), (600, "restore", {})), "onsite").state == "not_needed"
    assert clock(case_of((1, *ONSITE), (24 * 60 + 2, "restore", {})), "onsite").state == "missed"


def test_a_pause_is_not_counted_and_shows() -> None:
    pause = (100, "pause", {"clock": "onsite", "reason": "typhoon", "agreed_by": "Li"})
    made = case_of((0, *ONSITE), pause, (700, "resume", {"clock": "onsite"}), (24 * 60 + 600, "arrive", {}))
    assert clock(made, "onsite").state == "met"
    assert clock(made, "onsite").paused_seconds == 600 * 60
    assert [
        (begun.fields["reason"], over and over.at) for begun, over in cases.pauses("onsite", made.events)
    ] == [("typhoon", time(700))]
    without = case_of((0, *ONSITE), (24 * 60 + 600, "arrive", {}))
    assert clock(without, "onsite").state == "missed"


def test_a_clock_that_stands_still_is_never_overdue_and_its_due_time_moves() -> None:
    pause = (100, "pause", {"clock": "onsite", "reason": "typhoon", "agreed_by": "Li"})
    made = clock(case_of((0, *ONSITE), pause, now=9999), "onsite")
    assert (made.state, made.paused, made.used_seconds) == ("running", True, 100 * 60)
    assert made.due == time(24 * 60 + 9999 - 100)


def test_the_pause_of_one_clock_leaves_the_others_running() -> None:
    pause = (2, "pause", {"clock": "onsite", "reason": "typhoon", "agreed_by": "Li"})
    made = case_of((0, *REMOTE), (1, *ONSITE), pause, now=13 * 60)
    assert [item.state for item in made.clocks] == ["overdue", "overdue", "running"]


def test_a_pause_ends_with_the_clock_that_it_belongs_to() -> None:
    pause = (10, "pause", {"clock": "onsite", "reason": "typhoon", "agreed_by": "Li"})
    first = [(1, *ONSITE), pause, (100, "restore", {}), (200, "reopen", {})]
    made = case_of(*first, (210, *ONSITE), now=300)
    assert [
        (item.paused_seconds, item.used_seconds, item.paused) for item in made.clocks if item.kind == "onsite"
    ] == [
        (90 * 60, 9 * 60, False),
        (0, 90 * 60, False),
    ]
    may(made, "pause", 300, clock="onsite")
    with pytest.raises(CallError, match="the onsite clock of C1 is not paused"):
        may(made, "resume", 300, clock="onsite")


moments = st.integers(0, 5000)


@given(moments, st.lists(moments, max_size=6), moments, moments)
def test_used_and_paused_time_make_up_the_whole(begin: int, marks: list[int], stop: int, now: int) -> None:
    """However pauses lie, what a clock used and what it stood still is the time from its start to its end."""
    events: list[tuple[float, str, dict[str, str]]] = [(begin, *ONSITE)]
    for number, mark in enumerate(sorted(marks)):
        events.append((begin + mark, "resume" if number % 2 else "pause", {"clock": "onsite"}))
    last = begin + max(marks, default=0)
    events.append((last + stop, "arrive", {}))
    made = clock(case_of(*events, now=last + stop + now), "onsite")
    assert made.used_seconds + made.paused_seconds == (last + stop - begin) * 60
    assert made.used_seconds >= 0
    assert made.state == ("met" if made.used_seconds <= 24 * 3600 else "missed")
    ordered = sorted(marks)
    ends = [*ordered[1::2], *([last - begin + stop] if len(ordered) % 2 else [])]
    stood = sum(over - begun for begun, over in zip(ordered[::2], ends, strict=True))
    assert made.paused_seconds == stood * 60


@given(st.permutations(range(6)))
def test_the_order_in_which_a_ledger_lists_late_entries_changes_no_clock(order: list[int]) -> None:
    """What counts is when things happened; entries that were made late are sorted in."""
    events = [
        (0, "open", OPENED),
        (20, "respond", {"channel": "phone"}),
        (30, *REMOTE),
        (40, "note", {}),
        (50, "log remote", {}),
        (60, *ONSITE),
    ]
    straight = cases.assemble("C1", told(*events), [], LIMITS, time(70))
    mixed = [told(*events)[place] for place in order]
    numbered = [replace(event, seq=number) for number, event in enumerate(mixed, 2)]
    made = cases.assemble("C1", numbered, [], LIMITS, time(70))
    assert made.clocks == straight.clocks
    assert [event.at for event in made.events] == [time(minute) for minute in (0, 20, 30, 40, 50, 60)]


@given(st.integers(0, 30 * 24 * 60), st.integers(0, 366))
def test_a_clock_knows_no_summer_time(minutes: int, day: int) -> None:
    shift = day * 24 * 60
    listed = told((shift, "open", OPENED), (shift + minutes, "respond", {"channel": "phone"}))
    made = cases.assemble("C1", listed, [], LIMITS, time(shift + minutes))
    assert clock(made, "phone").used_seconds == minutes * 60


def test_an_answer_that_was_recorded_late_counts_and_says_so() -> None:
    listed = told((0, "open", OPENED)) + [
        replace(event, seq=9) for event in told((30, "respond", {"channel": "phone"}), recorded=330)
    ]
    made = clock(cases.assemble("C1", listed, [], LIMITS, time(400)), "phone")
    assert (made.state, made.late_seconds) == ("met", 300 * 60)


def test_a_fault_that_came_back_needs_a_decision_of_its_own() -> None:
    made = case_of((1, *REMOTE), (5, "restore", {}), (600, "reopen", {"reason": "again"}), now=700)
    assert made.state == "open"
    assert made.restored is None
    assert [item.state for item in made.clocks if item.kind == "remote"] == ["met"]
    again = case_of((1, *REMOTE), (5, "restore", {}), (600, "reopen", {}), (601, *REMOTE), now=700)
    assert [(item.state, item.started) for item in again.clocks if item.kind == "remote"] == [
        ("met", time(1)),
        ("running", time(601)),
    ]


# -- what may follow


def may(case: Case, name: EventName, minute: float, **fields: str) -> None:
    """Ask for an event of a case."""
    case_rules.check_next(case, name, time(minute), fields)


def restored_case(**known: str) -> Case:
    """A case that could be closed from minute 20 on."""
    return case_of((20, "restore", {"how": "x"}), known=TALK | known)


@pytest.mark.parametrize(
    ("case", "call", "said"),
    [
        (
            case_of,
            ("restore", 5),
            "the hospital is asked about it (4.1.6); first: case note --case C1 --appeared",
        ),
        (
            case_of,
            ("close", 5),
            "C1 is not restored yet; next: case restore, then the tests, then case close",
        ),
        (case_of, ("arrive", 5), "nobody was expected on site for C1; first: case decide --channel onsite"),
        (case_of, ("reopen", 5), "C1 is open already"),
        (
            case_of,
            ("respond", 5, {"channel": "remote"}),
            "remote work was not decided for C1; first: case decide",
        ),
        (
            case_of,
            ("pause", 5, {"clock": "onsite"}),
            "the onsite clock of C1 does not run; first: case decide",
        ),
        (case_of, ("resume", 5, {"clock": "onsite"}), "the onsite clock of C1 is not paused"),
        (
            case_of,
            ("note", -1),
            "2026-11-23 07:59 (UTC+8) is before the case C1 was opened (2026-11-23 08:00 (UTC+8))",
        ),
        (
            lambda: case_of((10, *REMOTE)),
            ("decide", 20, {"channel": "remote"}),
            "next: case respond --channel remote",
        ),
        (lambda: case_of((10, *ONSITE)), ("decide", 20, {"channel": "onsite"}), "already; next: case arrive"),
        (lambda: case_of((10, *ONSITE)), ("arrive", 9), "is before 'decide' of the case C1"),
        (
            lambda: case_of((10, *REMOTE)),
            ("respond", 9, {"channel": "remote"}),
            "before remote work was decided",
        ),
        (
            lambda: case_of((10, *ONSITE), (11, "pause", {"clock": "onsite"})),
            ("pause", 12, {"clock": "onsite"}),
            "is paused already; next: case resume",
        ),
        (
            lambda: case_of((10, *ONSITE), (11, "pause", {"clock": "onsite"}), (15, "arrive", {})),
            ("resume", 16, {"clock": "onsite"}),
            "is not paused",
        ),
        (
            restored_case,
            ("restore", 25),
            "C1 is restored since 2026-11-23 08:20 (UTC+8); next: case close, or",
        ),
        (
            restored_case,
            ("decide", 25, {"channel": "onsite"}),
            "next: case close, or, where the fault came back",
        ),
        (restored_case, ("close", 25), "nobody has said the impact and severity; first: case note --impact"),
        (
            lambda: restored_case(impact="x", severity="major"),
            ("close", 19),
            "is before 'restore' of the case C1",
        ),
        (
            lambda: cases.assemble(
                "C1",
                told((0, "open", OPENED | TALK | {"impact": "x", "severity": "major"}), (20, "restore", {})),
                [],
                LIMITS,
                time(99),
                unfinished=["20261123T-x"],
            ),
            ("close", 30),
            "the run 20261123T-x belongs to C1 and has not ended",
        ),
        (
            lambda: case_of(
                (20, "restore", {}), (25, "log phone", {}), known=TALK | {"impact": "x", "severity": "major"}
            ),
            ("close", 22),
            "is before something that happened to C1",
        ),
        (
            lambda: case_of((30, "close", {})),
            ("note", 40),
            "was closed at 2026-11-23 08:30 (UTC+8); a fault that came",
        ),
    ],
)
def test_a_wrong_order_says_what_comes_first(
    case: Callable[[], Case], call: tuple[Any, ...], said: str
) -> None:
    name, minute, *fields = call
    with pytest.raises(CallError) as caught:
        may(case(), name, minute, **(fields[0] if fields else {}))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_right_order_passes() -> None:
    may(case_of(), "decide", 5, channel="remote")
    may(case_of((10, *REMOTE)), "respond", 11, channel="remote")
    may(case_of((10, *REMOTE)), "respond", 5, channel="phone")  # said before, written down late
    may(case_of((10, *ONSITE)), "pause", 10, clock="onsite")
    may(case_of((10, *ONSITE)), "arrive", 10)
    may(case_of((10, "arrive", {})), "note", 2)
    may(case_of(known=TALK), "restore", 5)
    may(restored_case(), "reopen", 25)
    may(restored_case(impact="x", severity="major"), "close", 20)


@given(st.lists(st.sampled_from(sorted(EVENTS)), max_size=14))
def test_no_sequence_of_allowed_events_leaves_a_clock_running_at_the_close(names: list[EventName]) -> None:
    """Walk at random through what is allowed: the state is always known, and what is closed has no running clock."""
    listed = told((0, "open", OPENED | TALK | {"impact": "x", "severity": "major"}))
    fields = {"channel": "remote", "clock": "onsite", "reason": "x"}
    for minute, name in enumerate(names, 1):
        made = cases.assemble("C1", listed, [], LIMITS, time(minute))
        if name == "open":
            continue
        turn = {**fields, "channel": "onsite" if minute % 2 and name == "decide" else "remote"}
        try:
            may(made, name, minute, **turn)
        except CallError:
            continue
        listed.append(replace(told((minute, name, turn))[0], seq=len(listed) + 2))
    made = cases.assemble("C1", listed, [], LIMITS, time(99))
    assert made.state in ("open", "restored", "closed")
    if made.state != "open":
        assert all(item.state in ("met", "missed", "not_needed") for item in made.clocks)
    for kind in ("remote", "onsite"):
        assert (
            sum(
                item.stopped is None and item.started is not None for item in made.clocks if item.kind == kind
            )
            <= 1
        )


def test_a_run_joins_a_case_that_is_open_and_repairs_after_the_talk() -> None:
    case_rules.require_joinable(case_of(), repairs=False)
    case_rules.require_joinable(case_of(known=TALK), repairs=True)
    with pytest.raises(CallError, match="is closed"):
        case_rules.require_joinable(case_of((1, "close", {})), repairs=False)
    with pytest.raises(CallError, match="before C1 is repaired, the hospital is asked"):
        case_rules.require_joinable(case_of(), repairs=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"measures": []}, "it needs a measure"),
        ({"tests": []}, "it needs a test after the repair"),
        (
            {"tests": [*FAULT.tests, FAULT.tests[0].model_copy(update={"name": "login", "passed": False})]},
            "the test 'login' failed, so the fault is not repaired; next: case reopen",
        ),
    ],
)
def test_a_fault_without_a_measure_or_a_passed_test_is_not_closed(change: dict[str, Any], said: str) -> None:
    case_rules.check_fault(FAULT)
    with pytest.raises(CallError, match=said):
        case_rules.check_fault(FAULT.model_copy(update=change))


def test_ids_count_the_cases_of_a_day_on_the_hospitals_clock() -> None:
    assert case_rules.next_id([], "2026-11-23T15:59:59Z") == "C20261123-01"
    assert case_rules.next_id([], "2026-11-23T16:00:00Z") == "C20261124-01"
    assert (
        case_rules.next_id(["C20261124-02", "C20261123-07", "INC-5"], "2026-11-24T01:00:00Z")
        == "C20261124-03"
    )


# -- out of a ledger


def entry(name: EventName, minute: float, fields: dict[str, str], recorded: float | None = None) -> CaseEntry:
    """An event as it is stored."""
    facts: dict[str, Any] = {
        "what": "case",
        "event": name,
        "site": "lab",
        "at": time(minute),
        "until": None,
        "case": "C1",
        "clauses": [],
        "text": "",
        "fields": fields,
        "attachments": [],
        "operator": OPERATOR,
        "recorded": time(minute if recorded is None else recorded),
    }
    if name == "close":
        return Closing.model_validate({**facts, "fault": FAULT, "limits": LIMITS, "site_facts": {}})
    return CaseEntry.model_validate(facts)


@dataclass
class Written:
    """A ledger that the independent builder makes; its entries are signed when they are recorded."""

    ledger: Ledger

    def case(self, made: CaseEntry, signed: float | None = None) -> None:
        """Append an event."""
        at = datetime.fromisoformat(made.recorded) if signed is None else START + timedelta(minutes=signed)
        self.ledger.now = at
        self.ledger.add("entry", f"case-C1-{made.event}", {"entry.json": to_bytes(made)})

    def run(self, name: str, case: str | None, **record: Any) -> None:
        """Append a run that joined a case, or did not."""
        self.ledger.add("open", name, {"open.json": to_bytes({"run": name, "case": case})})
        if record:
            self.ledger.add("close", name, {"record.json": to_bytes({"run": name, "case": case, **record})})

    def read(self, now: float = 5000, limits: cases.Limits = LIMITS) -> list[Case]:
        """Its cases."""
        return cases.read(register.read(self.ledger.root), limits, time(now))


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """An empty ledger."""
    return Written(Ledger.create(tmp_path / "ledger", make_key(tmp_path, "engineer")))


def test_a_case_is_read_with_its_runs_and_log_entries(written: Written) -> None:
    written.case(entry("open", 0, OPENED))
    written.case(entry("decide", 10, {"channel": "remote", "reason": "x"}))
    book = {"name": "recover", "title": {"zh": "恢复"}, "changes": "reversible"}
    steps = [
        {"started": time(20), "host": "app1", "task": "Restart", "result": "changed", "message": ""},
        {"started": time(21), "host": "app1", "task": "Look", "result": "ok", "message": ""},
    ]
    written.run(
        "r1",
        "C1",
        runbook=book,
        mode="apply",
        started=time(20),
        finished=time(25),
        outcome="succeeded",
        steps=steps,
        changes=[{}],
        hosts_processed=["app1"],
        operator=OPERATOR.model_dump(),
    )
    written.run("r2", None, runbook=book, mode="apply", started=time(26), outcome="succeeded")
    written.run("r3", "C1")
    phone = logbook.compose(
        logbook.KINDS["phone"],
        "lab",
        {"caller": "Wang", "department": "d", "question": "q", "answer": "a"},
        logbook.Redactor(),
        operator=OPERATOR,
        now=time(30),
        case="C1",
    )
    written.ledger.add("entry", "log-phone", {"entry.json": to_bytes(phone)})
    (case,) = written.read()
    assert (case.id, case.title, case.state) == ("C1", "no upload", "open")
    assert case.runs == ("r1",)
    assert case.unfinished == ("r3",)
    run = case.joined[0]
    assert (run.repairs, run.changed, run.hosts, run.operator) == (True, 1, ("app1",), "engineer@v")
    assert run.steps == ((time(20), "app1", "Restart", "changed", ""),)
    assert [event.name for event in case.events] == ["open", "decide", "log phone"]
    assert clock(case, "phone").stopped == time(30)
    assert case.first_repair == time(20)
    assert case.talked is None


def test_an_entry_that_claims_an_early_recording_is_late_by_its_signed_header(written: Written) -> None:
    written.case(entry("open", 0, OPENED))
    written.case(entry("respond", 30, {"channel": "phone", "answer": "x"}, recorded=31), signed=330)
    (case,) = written.read()
    assert clock(case, "phone").late_seconds == 300 * 60


def test_a_closed_case_keeps_the_limits_it_was_closed_under_and_nothing_later_changes_it(
    written: Written,
) -> None:
    written.case(entry("open", 0, OPENED | TALK))
    written.case(entry("respond", 50, {"channel": "phone", "answer": "x"}))
    written.case(entry("restore", 60, {"how": "x"}))
    written.case(entry("close", 70, {}))
    stricter = {"phone": SignedLimit(clause="9.9", hours=0.5)}
    before = written.read(limits=stricter)
    assert clock(before[0], "phone").state == "met"
    assert before[0].closed is not None
    written.case(entry("respond", 5, {"channel": "phone", "answer": "back-dated"}), signed=90)
    assert written.read(limits=stricter) == before


def test_two_cases_are_kept_apart_and_older_entries_are_passed_over(written: Written) -> None:
    written.ledger.add("entry", "allowed-signers", {"entry.json": '{"what": "allowed_signers changed"}\n'})
    written.case(entry("open", 10, OPENED))
    other = entry("open", 5, OPENED | {"title": "other"}).model_copy(update={"case": "C0"})
    written.ledger.add("entry", "case-C0-open", {"entry.json": to_bytes(other)})
    assert [case.id for case in written.read()] == ["C0", "C1"]


def test_an_event_that_is_none_is_named(written: Written) -> None:
    facts = entry("open", 0, OPENED).model_dump(by_alias=True) | {"event": "explode"}
    written.ledger.add("entry", "case-C1-open", {"entry.json": to_bytes(facts)})
    with pytest.raises(
        VerificationError, match=r"000002-entry-case-C1-open: its entry\.json is no entry of a case"
    ):
        written.read()


def test_a_refused_run_repaired_nothing() -> None:
    facts = {
        "runbook": "recover",
        "why": "no order",
        "time": time(3),
        "operator": OPERATOR.model_dump(),
        "case": "C1",
    }
    made = cases.joined("r", 4, facts)
    assert made == Joined(
        run="r",
        seq=4,
        title={},
        runbook="recover",
        repairs=False,
        started=time(3),
        finished=time(3),
        outcome="refused",
        reason="no order",
        operator="engineer@v",
        hosts=(),
        changed=0,
        steps=(),
    )


def test_a_run_that_was_refused_at_its_open_repaired_nothing_either() -> None:
    book = {"name": "recover", "title": {}, "changes": "reversible"}
    facts = {"runbook": book, "mode": "apply", "started": time(3), "outcome": "refused"}
    assert not cases.joined("r", 4, facts).repairs
    assert cases.joined("r", 4, facts | {"outcome": "failed"}).repairs
    assert not cases.joined("r", 4, facts | {"outcome": "failed", "mode": "check"}).repairs


def test_the_talk_that_came_after_the_repair_shows() -> None:
    late = case_of((5, "note", {"appeared": "x", "frequency": "x"}), (30, "note", {"operation": "x"}))
    assert late.talked == time(30)
    early = case_of(known=TALK)
    assert early.talked == time(0)
