"""What may come next in a case: every refusal names what has to come first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from maintenance import local_time
from maintenance.case_events import CONVERSATION, WEIGHT, EventName, Fault
from maintenance.cases import ANSWERS, Case, Event, pauses
from maintenance.errors import CallError

# These move a case on, so each is later than the one before; what was merely said may be written down late.
_MOVING = ("open", "decide", "arrive", "pause", "resume", "restore", "reopen", "close")


def check_next(case: Case, name: EventName, at: str, fields: Mapping[str, str]) -> None:
    """Refuse an event that cannot follow, and say what comes next; raises CallError."""
    closing = case.closed
    if closing:
        raise CallError(
            f"the case {case.id} was closed at {local_time.minute(closing.at)}; a fault that came back is a new case: "
            "case open"
        )
    if at < case.opened:
        raise CallError(
            f"case {name}: {local_time.minute(at)} is before the case {case.id} was opened "
            f"({local_time.minute(case.opened)})"
        )
    _CHECKS.get(name, lambda *_: None)(case, fields)
    if name in _MOVING:
        last = max(
            (event for event in case.events if event.name in _MOVING), key=lambda event: (event.at, event.seq)
        )
        if at < last.at:
            raise CallError(
                f"case {name}: {local_time.minute(at)} is before '{last.name}' of the case {case.id} "
                f"({local_time.minute(last.at)}), which comes first"
            )
    if name == "respond":
        clock = case.clock(fields["channel"])
        if fields["channel"] == "remote" and clock and clock.started and at < clock.started:
            raise CallError(
                f"case respond: {local_time.minute(at)} is before remote work was decided "
                f"({local_time.minute(clock.started)})"
            )
    happened = [*(event.until or event.at for event in case.events), *(run.finished for run in case.joined)]
    if name == "close" and at < max(happened):
        raise CallError(f"case close: {local_time.minute(at)} is before something that happened to {case.id}")


def _decided(case: Case, kind: str) -> Event | None:
    """The decision for a service that nothing has answered yet, and no restoration has made needless."""
    for event in reversed(case.events):
        if event.answers in ANSWERS[kind]:
            return None
        if event.name == "decide" and event.fields.get("channel") == kind:
            return event
    return None


def _stands_still(case: Case, kind: str) -> bool:
    decided, listed = _decided(case, kind), pauses(kind, case.events)
    if decided is None or not listed:
        return False
    begun, over = listed[-1]
    return over is None and (begun.at, begun.seq) > (decided.at, decided.seq)


def _may_respond(case: Case, fields: Mapping[str, str]) -> None:
    decided = any(e.name == "decide" and e.fields.get("channel") == "remote" for e in case.events)
    if fields["channel"] == "remote" and not decided:
        raise CallError(
            f"case respond: remote work was not decided for {case.id}; first: case decide --channel remote"
        )


def _may_decide(case: Case, fields: Mapping[str, str]) -> None:
    _require_open(case, "decide")
    already = _decided(case, fields["channel"])
    if already:
        nothing = "respond --channel remote" if fields["channel"] == "remote" else "arrive"
        raise CallError(
            f"case decide: {fields['channel']} was decided for {case.id} at {local_time.minute(already.at)} already; "
            f"next: case {nothing}"
        )


def _may_arrive(case: Case, _: Mapping[str, str]) -> None:
    if not _decided(case, "onsite"):
        raise CallError(
            f"case arrive: nobody was expected on site for {case.id}; first: case decide --channel onsite "
            "(a visit of its own: log onsite)"
        )


def _may_pause(case: Case, fields: Mapping[str, str]) -> None:
    kind = fields["clock"]
    if not _decided(case, kind):
        raise CallError(
            f"case pause: the {kind} clock of {case.id} does not run; first: case decide --channel {kind}"
        )
    if _stands_still(case, kind):
        raise CallError(f"case pause: the {kind} clock of {case.id} is paused already; next: case resume")


def _may_resume(case: Case, fields: Mapping[str, str]) -> None:
    if not _stands_still(case, fields["clock"]):
        raise CallError(f"case resume: the {fields['clock']} clock of {case.id} is not paused")


def _may_restore(case: Case, _: Mapping[str, str]) -> None:
    _require_open(case, "restore")
    require_conversation(case)


def _may_reopen(case: Case, _: Mapping[str, str]) -> None:
    if case.state != "restored":
        raise CallError(f"case reopen: {case.id} is open already")


def _may_close(case: Case, _: Mapping[str, str]) -> None:
    if case.state != "restored":
        raise CallError(
            f"case close: {case.id} is not restored yet; next: case restore, then the tests, then case close"
        )
    missing = [name for name in WEIGHT if name not in case.facts]
    if missing:
        asked = " ".join(f"--{name} …" for name in missing)
        raise CallError(f"case close: nobody has said the {' and '.join(missing)}; first: case note {asked}")
    if case.unfinished:
        raise CallError(
            f"case close: the run {case.unfinished[0]} belongs to {case.id} and has not ended; wait for it"
        )


_CHECKS: Mapping[str, Any] = {
    "respond": _may_respond,
    "decide": _may_decide,
    "arrive": _may_arrive,
    "pause": _may_pause,
    "resume": _may_resume,
    "restore": _may_restore,
    "reopen": _may_reopen,
    "close": _may_close,
}


def _require_open(case: Case, name: str) -> None:
    if case.state == "restored":
        raise CallError(
            f"case {name}: {case.id} is restored since {local_time.minute(case.restored or '')}; next: case close, or, "
            "where the fault came back, case reopen"
        )


def require_conversation(case: Case) -> None:
    """Before a repair the hospital is asked when, how often and at what the fault appeared (4.1.6); raises CallError."""
    missing = [name for name in CONVERSATION if name not in case.facts]
    if missing:
        asked = " ".join(f"--{name} …" for name in missing)
        raise CallError(
            f"before {case.id} is repaired, the hospital is asked about it (4.1.6); first: "
            f"case note --case {case.id} {asked}"
        )


def require_joinable(case: Case, *, repairs: bool) -> None:
    """Whether a run may join a case: it is not closed, and a repair comes after the talk; raises CallError."""
    if case.state == "closed":
        raise CallError(f"the case {case.id} is closed; a fault that came back is a new case: case open")
    if repairs:
        require_conversation(case)


def check_fault(fault: Fault) -> None:
    """Whether a fault may be closed with this; raises CallError."""
    if not fault.measures:
        raise CallError(
            "case close: it needs a measure: --measure permanent:TEXT or --measure temporary:TEXT"
        )
    if not fault.tests:
        raise CallError(
            "case close: it needs a test after the repair (4.1.6): --test 'NAME | EXPECTED | ACTUAL | TESTER | passed'"
        )
    failed = [test.name for test in fault.tests if not test.passed]
    if failed:
        raise CallError(
            f"case close: the test '{failed[0]}' failed, so the fault is not repaired; next: case reopen, repair, restore"
        )


def next_id(cases: Iterable[str], opened: str) -> str:
    """C20261123-01: the day on the hospital's clock, and the number of the case on that day."""
    day = local_time.day(opened).replace("-", "")
    numbers = [
        int(text.split("-")[1])
        for text in cases
        if text.startswith(f"C{day}-") and text.split("-")[1].isdigit()
    ]
    return f"C{day}-{max(numbers, default=0) + 1:02d}"


def check_log(case: Case, what: str, at: str) -> None:
    """Whether an entry of the logbook may name a case; raises CallError."""
    if case.closed:
        raise CallError(
            f"log {what}: the case {case.id} was closed at {local_time.minute(case.closed.at)}; "
            "log it without --case, or open a new case"
        )
    if at < case.opened:
        raise CallError(
            f"log {what}: {local_time.minute(at)} is before the case {case.id} was opened "
            f"({local_time.minute(case.opened)})"
        )
