"""Faults and their clocks, told from the signed entries of a ledger. Pure: nothing here touches a disk.

A case is a sequence of events (entry.json with what="case"), of log entries that name it, and of runs that joined it.
Limits come from the site's contract: a kind that it does not limit has no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from pydantic import ValidationError

from maintenance import manifest, register
from maintenance.case_events import CONVERSATION, CaseEntry, Closing
from maintenance.errors import VerificationError
from maintenance.logbook import KINDS, LATE_SECONDS, LogEntry, seconds
from maintenance.record import FileInfo, to_bytes

ClockState = Literal["met", "missed", "running", "overdue", "not_needed"]
CLOCKS = ("phone", "remote", "onsite")
_STEPS = 200  # of one run; the record holds them all


class Limit(Protocol):
    """What the contract says of one kind of response."""

    @property
    def clause(self) -> str:
        """Its clause, such as 4.3.1."""

    @property
    def hours(self) -> float:
        """How long it may take."""


Limits = Mapping[Any, Limit]  # by kind; a contract names its kinds by literals


# What stops each clock. A visit answers everything; a restoration makes any answer needless.
ANSWERS: dict[str, tuple[str, ...]] = {
    "phone": (
        "respond phone",
        "respond remote",
        "log phone",
        "log remote",
        "log onsite",
        "arrive",
        "restore",
    ),
    "remote": ("respond remote", "log remote", "log onsite", "arrive", "restore"),
    "onsite": ("arrive", "log onsite", "restore"),
}


@dataclass(frozen=True)
class Event:
    """Something that happened to a case, with the entry that says so."""

    seq: int
    folder: str
    sha256: str  # of entry.json
    name: str  # an EventName, or 'log KIND'
    at: str
    until: str | None
    recorded: str
    text: str
    fields: Mapping[str, str]
    attachments: tuple[FileInfo, ...]
    by: str
    closing: Closing | None = None

    @property
    def late_seconds(self) -> int:
        """How long after it happened it was recorded, where that is long; else 0."""
        late = seconds(self.until or self.at, self.recorded)
        return late if late > LATE_SECONDS else 0

    @property
    def answered(self) -> str:
        """When the hospital had its answer: at the end of remote work, at the beginning of everything else."""
        return (self.until or self.at) if self.name == "log remote" else self.at

    @property
    def answers(self) -> str:
        """Its name as ANSWERS has it."""
        return f"respond {self.fields.get('channel', '')}" if self.name == "respond" else self.name


@dataclass(frozen=True)
class Joined:
    """A run that belongs to a case."""

    run: str
    seq: int
    title: Mapping[str, str]
    runbook: str
    repairs: bool  # it changed hosts, or would have been allowed to
    started: str
    finished: str
    outcome: str
    reason: str
    operator: str
    hosts: tuple[str, ...]
    changed: int
    steps: tuple[tuple[str, str, str, str, str], ...]  # started, host, task, result, message


@dataclass(frozen=True)
class Clock:
    """One limit of the contract, measured."""

    kind: str
    clause: str
    limit_hours: float
    started: str | None
    stopped: str | None
    paused_seconds: int
    used_seconds: int
    state: ClockState
    paused: bool = False
    late_seconds: int = 0  # how late the entry that stopped it was recorded, where that is long
    stopped_by: str = ""

    @property
    def due(self) -> str | None:
        """Until when it has to stop, as things are now; None where it does not run."""
        if self.started is None or self.stopped is not None:
            return None
        end = datetime.fromisoformat(self.started) + timedelta(
            hours=self.limit_hours, seconds=self.paused_seconds
        )
        return end.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Case:
    """A fault from its report to its end."""

    id: str
    events: tuple[Event, ...]  # in the order in which they happened
    joined: tuple[Joined, ...]
    unfinished: tuple[str, ...]  # runs that joined and have no record yet
    clocks: tuple[Clock, ...]
    state: Literal["open", "restored", "closed"]
    facts: Mapping[str, str]  # what was said of it, the newest of each

    @property
    def title(self) -> str:
        """What it is called."""
        return self.facts.get("title", "")

    @property
    def reporter(self) -> str:
        """Who reported it."""
        return self.facts.get("reporter", "")

    @property
    def department(self) -> str:
        """Where."""
        return self.facts.get("department", "")

    @property
    def opened(self) -> str:
        """When it was reported."""
        return self.first("open").at

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs that joined it."""
        return tuple(run.run for run in self.joined)

    @property
    def restored(self) -> str | None:
        """When the service was back, if it still is."""
        last = self.last("restore")
        return last.at if last and self.state != "open" else None

    @property
    def closed(self) -> Event | None:
        """The event that closed it."""
        return self.last("close")

    @property
    def talked(self) -> str | None:
        """When everything was known that 4.1.6 asks for before a repair."""
        known: set[str] = set()
        for event in self.events:
            if event.name in ("open", "note"):
                known |= {name for name in CONVERSATION if name in event.fields}
                if len(known) == len(CONVERSATION):
                    return event.at
        return None

    @property
    def first_repair(self) -> str | None:
        """When the first repair began: a run that may change hosts, or else the restoration."""
        began = [run.started for run in self.joined if run.repairs]
        began += [event.at for event in self.events if event.name == "restore"]
        return min(began, default=None)

    def first(self, name: str) -> Event:
        """The first event of a name; the case has one."""
        return next(event for event in self.events if event.name == name)

    def last(self, name: str) -> Event | None:
        """The last event of a name."""
        return next((event for event in reversed(self.events) if event.name == name), None)

    def clock(self, kind: str) -> Clock | None:
        """The newest clock of a kind."""
        return next((clock for clock in reversed(self.clocks) if clock.kind == kind), None)


# -- reading


def read(items: Iterable[register.Item], limits: Limits, now: str) -> list[Case]:
    """Every case of a ledger, oldest first, as it stands at `now`; raises VerificationError for an unreadable entry."""
    events: dict[str, list[Event]] = {}
    runs: dict[str, list[Joined]] = {}
    opened: dict[str, str | None] = {}  # run -> the case that it joined
    for item in items:
        if item.kind == "entry":
            case, event = _event_of(item)
            if event:
                events.setdefault(case, []).append(event)
        elif item.kind == "open":
            opened[item.entry.name] = item.facts.get("case")
        elif item.kind in ("close", "refused", "abandoned"):
            joined_case = opened.pop(item.entry.name, "") if item.entry.name in opened else ""
            if joined_case == "":  # no open says whether it joined a case: its own facts do
                joined_case = item.facts.get("case")
            if joined_case:
                runs.setdefault(joined_case, []).append(joined(item.entry.name, item.seq, item.facts))
    unfinished: dict[str, list[str]] = {}
    for run, case_of_run in opened.items():
        if case_of_run:
            unfinished.setdefault(case_of_run, []).append(run)
    found = [
        assemble(case, told, runs.get(case, []), limits, now, unfinished=unfinished.get(case, []))
        for case, told in events.items()
        if any(event.name == "open" for event in told)
    ]
    return sorted(found, key=lambda case: (case.opened, case.id))


def _event_of(item: register.Item) -> tuple[str, Event | None]:
    """The case that an entry names, and its event; ('', None) where it names none."""
    facts = item.facts
    case, what = facts.get("case"), facts.get("what")
    if not case or (what != "case" and what not in KINDS):
        return "", None
    model: type[LogEntry] = LogEntry
    if what == "case":
        model = Closing if facts.get("event") == "close" else CaseEntry
    try:
        entry = model.model_validate(facts)
    except ValidationError as error:
        raise VerificationError(
            f"{item.entry.folder}: its entry.json is no entry of a case ({error.errors()[0]['msg']})"
        ) from None
    digest = item.manifest.files.get("entry.json", "")
    # A signer could write an early 'recorded'; the header's time is the one that a receipt stands against.
    return str(case), event(entry, item.seq, item.entry.folder, digest, max(entry.recorded, item.time))


def event(entry: LogEntry, seq: int, folder: str, sha256: str, recorded: str) -> Event:
    """An entry as an event of its case."""
    return Event(
        seq=seq,
        folder=folder,
        sha256=sha256,
        name=entry.event if isinstance(entry, CaseEntry) else f"log {entry.what}",
        at=entry.at,
        until=entry.until,
        recorded=recorded,
        text=entry.text,
        fields=entry.fields,
        attachments=tuple(entry.attachments),
        by=entry.operator.principal,
        closing=entry if isinstance(entry, Closing) else None,
    )


def of_new(entry: CaseEntry, seq: int, folder: str) -> Event:
    """The event that an entry will be, once it is signed as number `seq`."""
    return event(entry, seq, folder, manifest.sha256_bytes(to_bytes(entry)), entry.recorded)


def joined(run: str, seq: int, facts: Mapping[str, Any]) -> Joined:
    """A run by the facts of its close (record.json), or of the entry that says why it has none."""
    book = facts.get("runbook")
    header: Mapping[str, Any] = book if isinstance(book, dict) else {"name": str(book or "")}
    steps = [
        step for step in facts.get("steps", []) if step.get("result") in ("changed", "failed", "unreachable")
    ]
    operator = facts.get("operator")
    started = str(facts.get("started") or facts.get("time") or facts.get("found") or "")
    return Joined(
        run=run,
        seq=seq,
        title=header.get("title") or {},
        runbook=str(header.get("name", "")),
        repairs=facts.get("mode") == "apply"
        and header.get("changes", "nothing") != "nothing"
        and facts.get("outcome") != "refused",
        started=started,
        finished=str(facts.get("finished") or started),
        outcome=str(facts.get("outcome") or ("incomplete" if "found" in facts else "refused")),
        reason=str(
            facts.get("reason")
            or facts.get("outcome_reason")
            or facts.get("why")
            or facts.get("meaning")
            or ""
        ),
        operator=str(operator.get("principal", "")) if isinstance(operator, dict) else str(operator or ""),
        hosts=tuple(facts.get("hosts_processed") or ()),
        changed=len(facts.get("changes") or ()),
        steps=tuple(
            (
                str(step.get("started", "")),
                str(step.get("host", "")),
                str(step.get("task", "")),
                str(step.get("result", "")),
                str(step.get("message", "")),
            )
            for step in steps[:_STEPS]
        ),
    )


# -- judging


def assemble(
    case: str,
    events: Sequence[Event],
    runs: Sequence[Joined],
    limits: Limits,
    now: str,
    *,
    unfinished: Sequence[str] = (),
) -> Case:
    """The case that its events make, at `now`. What was signed after its close changes nothing of it, and a closed case
    is judged by the limits that its close states.
    """
    end = next((event.seq for event in events if event.name == "close"), None)
    kept = [event for event in events if end is None or event.seq <= end]
    closing = next((event.closing for event in kept if event.closing), None)
    told = tuple(sorted(kept, key=lambda event: (event.at, event.seq)))
    state: Literal["open", "restored", "closed"] = "open"
    for event in sorted(kept, key=lambda event: event.seq):
        if event.name in ("restore", "close"):
            state = "restored" if event.name == "restore" else "closed"
        elif event.name == "reopen":
            state = "open"
    facts: dict[str, str] = {}
    for event in told:
        if event.name in ("open", "note"):
            facts |= event.fields
    return Case(
        id=case,
        events=told,
        joined=tuple(sorted(runs, key=lambda run: (run.started, run.seq))),
        unfinished=tuple(unfinished),
        clocks=clocks(told, closing.limits if closing else limits, now),
        state=state,
        facts=facts,
    )


def clocks(events: Sequence[Event], limits: Limits, now: str) -> tuple[Clock, ...]:
    """Every clock that the events started, and one that was not needed for each other limit of the contract."""
    found = []
    for kind in CLOCKS:
        if kind not in limits:
            continue
        starts = [
            event
            for event in events
            if (event.name == "open" and kind == "phone")
            or (event.name == "decide" and event.fields.get("channel") == kind)
        ]
        limit = limits[kind]
        if not starts:
            found.append(Clock(kind, limit.clause, limit.hours, None, None, 0, 0, "not_needed"))
        found += [_clock(kind, limit, start, events, now) for start in starts]
    return tuple(found)


def _clock(kind: str, limit: Limit, start: Event, events: Sequence[Event], now: str) -> Clock:
    answers = [
        event
        for event in events
        if event.answers in ANSWERS[kind] and (event.at, event.seq) > (start.at, start.seq)
    ]
    stop = min(answers, key=lambda event: (event.answered, event.seq), default=None)
    end = stop.answered if stop else max(now, start.at)
    paused, still = _paused(kind, events, start, end)
    used = seconds(start.at, end) - paused
    within = used <= limit.hours * 3600
    state: ClockState
    if stop is None:
        state = "running" if within else "overdue"
    elif within:
        # The service was back before anybody had to come.
        state = "not_needed" if kind == "onsite" and stop.name == "restore" else "met"
    else:
        state = "missed"
    return Clock(
        kind=kind,
        clause=limit.clause,
        limit_hours=limit.hours,
        started=start.at,
        stopped=stop.answered if stop else None,
        paused_seconds=paused,
        used_seconds=used,
        state=state,
        paused=still and stop is None,
        late_seconds=stop.late_seconds if stop else 0,
        stopped_by=stop.name if stop else "",
    )


def pauses(kind: str, events: Sequence[Event]) -> list[tuple[Event, Event | None]]:
    """Each pause of a clock with what ended it, if something did, in order."""
    found: list[tuple[Event, Event | None]] = []
    for event in events:
        if event.fields.get("clock") != kind:
            continue
        if event.name == "pause":
            found.append((event, None))
        elif event.name == "resume" and found and found[-1][1] is None:
            found[-1] = (found[-1][0], event)
    return found


def _paused(kind: str, events: Sequence[Event], start: Event, end: str) -> tuple[int, bool]:
    """Seconds in which a clock stood still, and whether it does at its end. A pause ends with the clock it belongs to."""
    total, still = 0, False
    for begun, over in pauses(kind, events):
        last = min(over.at if over else end, end)
        if (begun.at, begun.seq) > (start.at, start.seq) and begun.at <= last:
            total += seconds(begun.at, last)
            still = over is None
    return total, still


def with_event(case: Case, new: Event, limits: Limits, now: str) -> Case:
    """The case with one more event."""
    made = assemble(case.id, [*case.events, new], case.joined, limits, now)
    return replace(made, unfinished=case.unfinished)
