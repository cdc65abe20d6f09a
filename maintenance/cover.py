"""Contract cover: what was promised beside what the ledger shows. Pure: from a contract, entries, cases and a moment.

A duty is `kept` only by something that succeeded; what this ledger cannot say is `unknown`, never kept.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Literal

import chinese_calendar

from maintenance import local_time
from maintenance.cases import Case
from maintenance.contract import Contract, Duty, Language, Shown
from maintenance.register import Item

State = Literal["kept", "open", "due_soon", "overdue", "not_asked", "unknown"]
STATES: tuple[State, ...] = ("overdue", "due_soon", "unknown", "open", "kept", "not_asked")  # the worst first


@dataclass(frozen=True)
class Evidence:
    """An entry of the ledger that counts."""

    seq: int
    folder: str
    day: str  # on the hospital's calendar
    until: str  # its last day, where it lasts
    title: str


@dataclass(frozen=True)
class Part:
    """One thing that is owed by a day: a quarter's inspection, a drill, a holiday's duty."""

    label: str
    due: str  # YYYY-MM-DD, or '' where there is no day
    state: State
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Row:
    """One clause."""

    id: str
    title: dict[Language, str]
    kind: str
    needed: int
    shown: tuple[Evidence, ...]
    parts: tuple[Part, ...]
    state: State
    due: str
    note: dict[str, int] = field(default_factory=dict)  # numbers that a sentence is made of


@dataclass(frozen=True)
class Response:
    """How often one kind of response was in time; of n cases that asked for it."""

    kind: str
    clause: str
    hours: float
    met: int
    missed: int
    running: int

    @property
    def judged(self) -> int:
        """Cases of which this can be said."""
        return self.met + self.missed

    @property
    def percent(self) -> float | None:
        """None where there was no case."""
        return round(100 * self.met / self.judged, 1) if self.judged else None


@dataclass(frozen=True)
class OpenCase:
    """A fault that is not closed, with the clocks that run."""

    id: str
    title: str
    opened: str
    state: str
    clocks: tuple[tuple[str, float, float, str], ...]  # kind, hours used, limit, state
    left: float | None  # hours, of the clock that is nearest to its limit; negative where it is over


@dataclass(frozen=True)
class Cover:
    """Everything that status shows."""

    site: str
    number: str
    from_: str
    until: str
    at: str  # the hospital's day
    entries: int
    rows: tuple[Row, ...]
    responses: tuple[Response, ...]
    open_cases: tuple[OpenCase, ...]
    without_order: tuple[Evidence, ...]
    emergencies: tuple[Evidence, ...]  # that the hospital has not accepted since
    unrecorded: tuple[Evidence, ...]  # runs by hand, beside the command

    def counts(self) -> dict[State, int]:
        """Clauses by state, the worst first."""
        states = [row.state for row in self.rows]
        return {state: states.count(state) for state in STATES if state in states}

    def todo(self) -> list[tuple[Row, Part]]:
        """What is to be done next, the most urgent first."""
        found = [
            (row, part)
            for row in self.rows
            for part in row.parts
            if part.state in ("overdue", "due_soon") and part.due
        ]
        return sorted(found, key=lambda pair: (pair[1].due, pair[0].id))

    def as_json(self) -> dict[str, Any]:
        """For --json."""
        facts = asdict(self)
        facts["from"] = facts.pop("from_")
        for shown, response in zip(facts["responses"], self.responses, strict=True):
            shown["percent"] = response.percent
        return facts


@dataclass
class _Ledger:
    """The part of a ledger that counts, read once."""

    runs: list[tuple[str, bool, Evidence]] = field(default_factory=list)  # runbook, limited to some hosts
    opened: dict[str, dict[str, Any]] = field(default_factory=dict)
    entries: list[tuple[str, dict[str, Any], Evidence]] = field(default_factory=list)
    packs: list[Evidence] = field(default_factory=list)
    changes: int = 0
    without_order: list[Evidence] = field(default_factory=list)
    emergencies: list[tuple[Evidence, str]] = field(default_factory=list)  # with the digest of their MANIFEST
    accepted: set[str] = field(default_factory=set)  # digests of MANIFESTs
    unrecorded: list[Evidence] = field(default_factory=list)
    count: int = 0


def build(
    contract: Contract,
    items: Iterable[Item],
    cases: Sequence[Case],
    now: str,
    *,
    site: str,
    language: Language,
) -> Cover:
    """now: the instant at which it is judged; what came later than its day does not count."""
    today = local_time.day(now)
    period = (contract.period.from_.isoformat(), contract.period.until.isoformat())
    told = _read(items, today, language, period)
    closed = [case for case in cases if case.state == "closed"]
    rows = tuple(_row(duty, contract, told, closed, cases, today, language) for duty in contract.duties)
    return Cover(
        site=site,
        number=contract.number,
        from_=contract.period.from_.isoformat(),
        until=contract.period.until.isoformat(),
        at=today,
        entries=told.count,
        rows=rows,
        responses=tuple(_response(kind, contract, cases) for kind in contract.sla),
        open_cases=tuple(
            sorted(
                (_open_case(case) for case in cases if case.state != "closed"),
                key=lambda case: (case.left is None, case.left or 0, case.id),
            )
        ),
        without_order=tuple(told.without_order),
        emergencies=tuple(one for one, digest in told.emergencies if digest not in told.accepted),
        unrecorded=tuple(told.unrecorded),
    )


def _read(items: Iterable[Item], today: str, language: Language, period: tuple[str, str]) -> _Ledger:
    told = _Ledger()
    for item in items:
        if local_time.day(item.time) > today:
            continue
        told.count += 1
        if item.kind == "open":
            told.opened[item.manifest.run] = item.facts
        elif item.kind == "abandoned":
            _read_abandoned(item, told, period)
        elif item.kind == "close":
            _read_run(item, told, language, period)
        elif item.kind == "receipt" and str(item.facts.get("verdict")).startswith("accepted"):
            told.accepted |= {
                str(one.get("manifest_sha256")) for one in item.facts.get("entries") or [item.facts]
            }
        elif item.kind == "unrecorded" and period[0] <= local_time.day(item.time) <= period[1]:
            told.unrecorded.append(
                _evidence(item, item.time, item.time, str(item.facts.get("playbook") or ""))
            )
        elif item.kind == "entry":
            facts = item.facts
            what, at = str(facts.get("what") or ""), str(facts.get("at") or item.time)
            evidence = _evidence(item, at, str(facts.get("until") or at), _text(facts) or what)
            if what == "pack":
                told.packs.append(evidence)
            elif what and what != "case":
                told.entries.append((what, facts, evidence))
    return told


def _read_run(item: Item, told: _Ledger, language: Language, period: tuple[str, str]) -> None:
    """A run counts where it succeeded, was no rehearsal and reached a host."""
    facts = item.facts
    book = facts.get("runbook") or {}
    processed = set(facts.get("hosts_processed") or ())
    if facts.get("mode") != "apply" or facts.get("outcome") == "refused" or not processed:
        return
    finished = str(facts.get("finished"))
    title = (book.get("title") or {}).get(language) or book.get("name") or ""
    evidence = _evidence(item, finished, finished, str(title))
    if book.get("changes", "nothing") != "nothing" and period[0] <= evidence.day <= period[1]:
        told.changes += 1
        order = facts.get("order")
        if not order:
            told.without_order.append(evidence)
        elif "emergency" in order:
            told.emergencies.append((evidence, item.sha256))
    if facts.get("outcome") == "succeeded" and set(facts.get("hosts_expected") or ()) <= processed:
        told.runs.append((str(book.get("name")), " --limit " in str(facts.get("command")), evidence))


def _read_abandoned(item: Item, told: _Ledger, period: tuple[str, str]) -> None:
    """A run that was killed may have changed something: it needed an order as any other."""
    facts = told.opened.get(item.manifest.run, {})
    evidence = _evidence(item, item.time, item.time, str(facts.get("runbook") or item.manifest.run))
    changes = facts.get("mode") == "apply" and facts.get("changes", "nothing") != "nothing"
    if changes and period[0] <= evidence.day <= period[1]:
        told.changes += 1
        if not facts.get("order"):
            told.without_order.append(evidence)


def _text(facts: dict[str, Any]) -> str:
    fields = facts.get("fields") or {}
    names = ("topic", "request", "occasion", "purpose", "wish", "question", "subject", "review", "signed_by")
    return str(facts.get("text") or next((fields[name] for name in names if fields.get(name)), ""))[:120]


def _evidence(item: Item, at: str, until: str, title: str) -> Evidence:
    return Evidence(item.seq, item.entry.folder, _day(at, item), _day(until, item), title)


def _day(instant: str, item: Item) -> str:
    """The hospital's day; where the instant cannot be read, that of the signature."""
    try:
        return local_time.day(instant)
    except ValueError:
        return local_time.day(item.time)


def _shown(
    duty: Duty, wanted: Shown, contract: Contract, told: _Ledger, closed: Sequence[Case]
) -> list[Evidence]:
    """What counts for a duty within the period, oldest first."""
    found = [
        evidence
        for name, limited, evidence in told.runs
        if name in wanted.runbooks and not (limited and wanted.whole)
    ]
    any_kind = not (wanted.entries or wanted.runbooks or wanted.packs or wanted.cases)
    for what, facts, evidence in told.entries:
        if duty.id not in (facts.get("clauses") or ()) or not (any_kind or what in wanted.entries):
            continue
        days = (facts.get("fields") or {}).get("person_days")
        if wanted.most_person_days is not None and not _at_most(days, wanted.most_person_days):
            continue
        found.append(evidence)
    if wanted.packs:
        found += told.packs
    if wanted.cases:
        found += [_of_case(case) for case in closed]
    return _within(found, contract, duty)


def _within(found: Sequence[Evidence], contract: Contract, duty: Duty) -> list[Evidence]:
    first, last = contract.period.from_.isoformat(), contract.period.until.isoformat()
    if duty.owed.kind == "once":  # an agreement may be older than the period
        first = ""
    within = [evidence for evidence in found if first <= evidence.day <= last]
    return sorted(within, key=lambda evidence: (evidence.day, evidence.seq))


def _at_most(text: Any, limit: float) -> bool:
    try:
        return float(text) <= limit
    except (TypeError, ValueError):
        return False


def _of_case(case: Case) -> Evidence:
    last = case.events[-1]
    day = local_time.day(last.at)
    return Evidence(last.seq, last.folder, day, day, f"{case.id} {case.title}"[:120])


def _row(
    duty: Duty,
    contract: Contract,
    told: _Ledger,
    closed: Sequence[Case],
    cases: Sequence[Case],
    today: str,
    language: Language,
) -> Row:
    shown = _shown(duty, duty.shown, contract, told, closed)
    also = [_shown(duty, wanted, contract, told, closed) for wanted in duty.also]
    owed = duty.owed
    note: dict[str, int] = {}
    state: State
    parts: list[Part] = []
    if owed.kind == "each_quarter":
        parts = _quarters(contract, [shown, *also], owed.count, today)
    elif owed.kind == "in_period":
        parts = _paced(contract, [shown, *also], owed.count, today)
    elif owed.kind == "holidays":
        before = _shown(duty, duty.before, contract, told, closed) if duty.before else None
        parts = _holidays(contract, shown, before, duty.before_days, today, language)
    elif owed.kind == "once":
        last = contract.period.from_ + timedelta(days=contract.soon_days)
        begun = today >= contract.period.from_.isoformat()
        state = (
            "kept" if len(shown) >= owed.count else _until(last, today, contract) if begun else "not_asked"
        )
        parts = [Part("1", last.isoformat(), state, tuple(shown))]
    elif owed.kind == "last_month":
        parts = [_last_month(contract, shown, owed.count, today)]
    elif owed.kind == "each_change":
        note = {
            "changes": told.changes,
            "without": len(told.without_order),
            "emergencies": len(told.emergencies),
        }
        state = "overdue" if told.without_order else "kept" if told.changes else "not_asked"
        return Row(duty.id, duty.title, owed.kind, told.changes, tuple(shown), (), state, "", note)
    elif owed.kind == "sla":
        return _sla_row(duty, contract, cases)
    else:
        state = "kept" if shown else "not_asked"  # there was no reason to, as far as this ledger knows
        return Row(duty.id, duty.title, owed.kind, 0, tuple(shown), (), state, "", note)
    states = [part.state for part in parts]
    waiting = [part for part in parts if part.state in ("overdue", "due_soon", "open", "unknown")]
    worst: State = next((one for one in STATES if one in states), "kept")
    due = min((part.due for part in waiting if part.due), default="")
    needed = (
        len(parts)
        if owed.kind == "holidays"
        else owed.count * (len(parts) if owed.kind == "each_quarter" else 1)
    )
    return Row(duty.id, duty.title, owed.kind, needed, tuple(shown), tuple(parts), worst, due, note)


def quarters(contract: Contract) -> list[tuple[date, date]]:
    """The quarters of the period, both days included; calendar quarters are cut to it."""
    first, last = contract.period.from_, contract.period.until
    found: list[tuple[date, date]] = []
    start = first
    while start <= last:
        if contract.quarters == "calendar":
            month = (start.month - 1) // 3 * 3 + 1
            following = add_months(date(start.year, month, 1), 3)
        else:
            following = add_months(first, 3 * (len(found) + 1))
        found.append((start, min(following - timedelta(days=1), last)))
        start = following
    return found


def add_months(day: date, months: int) -> date:
    """The same day some months later; the last of the month where that has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _quarters(contract: Contract, owed: Sequence[Sequence[Evidence]], count: int, today: str) -> list[Part]:
    """owed: everything that is owed each time; a quarter is kept by enough of each."""
    parts = []
    for first, last in quarters(contract):
        found = [[one for one in shown if first.isoformat() <= one.day <= last.isoformat()] for shown in owed]
        inside = tuple(one for shown in found for one in shown)
        begun = today >= first.isoformat()
        enough = all(len(shown) >= count for shown in found)
        state = "kept" if enough else _until(last, today, contract) if begun else "not_asked"
        parts.append(Part(f"{first.isoformat()} – {last.isoformat()}", last.isoformat(), state, inside))
    return parts


def _until(last: date, today: str, contract: Contract) -> State:
    """The state of what is not done yet and owed by the end of a day."""
    if today > last.isoformat():
        return "overdue"
    return "due_soon" if (last - date.fromisoformat(today)).days <= contract.soon_days else "open"


def _paced(contract: Contract, owed: Sequence[Sequence[Evidence]], count: int, today: str) -> list[Part]:
    """So many until the end of the period: overdue only then, due soon at an even pace."""
    first, last = contract.period.from_, contract.period.until
    length = (last - first).days + 1
    parts = []
    for number in range(1, count + 1):
        pace = first + timedelta(days=length * number // count - 1)
        if all(number <= len(shown) for shown in owed):
            done = tuple(shown[number - 1] for shown in owed)
            parts.append(Part(str(number), pace.isoformat(), "kept", done))
            continue
        state = "overdue" if today > last.isoformat() else _until(pace, today, contract)
        if state == "overdue" and today <= last.isoformat():
            state, pace = "due_soon", last  # behind an even pace; there is time until the end
        parts.append(Part(str(number), pace.isoformat(), state))
    return parts


def _last_month(contract: Contract, shown: Sequence[Evidence], count: int, today: str) -> Part:
    last = contract.period.until
    first = (add_months(last + timedelta(days=1), -1)).isoformat()
    inside = tuple(one for one in shown if first <= one.day)
    if len(inside) >= count:
        return Part(f"{first} – {last}", last.isoformat(), "kept", inside)
    state = _until(last, today, contract) if today >= first else "not_asked"
    return Part(f"{first} – {last}", last.isoformat(), state, inside)


def holiday_blocks(first: date, last: date, language: Language) -> list[tuple[date, date, str]]:
    """Blocks of official days off within the days, with the holiday's name; raises NotImplementedError for a year whose
    days off are not known (they are decreed late in the year before)."""
    found: list[tuple[date, date, str]] = []
    for day in chinese_calendar.get_holidays(first, last, include_weekends=False):
        name = chinese_calendar.get_holiday_detail(day)[1] or ""
        if name and language == "zh":
            name = chinese_calendar.Holiday(name).chinese
        if found and found[-1][1] + timedelta(days=1) == day:
            found[-1] = (found[-1][0], day, found[-1][2] or name)
        else:
            found.append((day, day, name))
    return found


def _holidays(
    contract: Contract,
    shown: Sequence[Evidence],
    before: Sequence[Evidence] | None,
    before_days: int,
    today: str,
    language: Language,
) -> list[Part]:
    """Every day of every block is covered by duty entries; and, where that is owed, something was done before it."""
    parts = []
    first, last = contract.period.from_, contract.period.until
    for year in range(first.year, last.year + 1):
        begin, end = max(first, date(year, 1, 1)), min(last, date(year, 12, 31))
        try:
            blocks = holiday_blocks(begin, end, language)
        except NotImplementedError:
            state: State = "unknown" if today >= begin.isoformat() else "not_asked"
            parts.append(Part(f"{year}", end.isoformat(), state))
            continue
        for block in blocks:
            part = _holiday(block, shown, today, contract)
            earliest = (block[0] - timedelta(days=before_days)).isoformat()
            done = before is None or any(earliest <= one.day <= block[0].isoformat() for one in before)
            if part.state == "kept" and not done:
                part = replace(part, state="overdue" if today > part.due else "due_soon")
            parts.append(part)
    return parts


def _holiday(
    block: tuple[date, date, str], shown: Sequence[Evidence], today: str, contract: Contract
) -> Part:
    first, last, name = block
    days = [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]
    inside = tuple(one for one in shown if one.day <= days[-1] and one.until >= days[0])
    covered = all(any(one.day <= day <= one.until for one in inside) for day in days)
    if covered:
        state: State = "kept"
    elif today > days[-1]:
        state = "overdue"
    else:
        state = "due_soon" if (first - date.fromisoformat(today)).days <= contract.soon_days else "not_asked"
    return Part(f"{name} {days[0]} – {days[-1]}", days[-1], state, inside)


def _response(kind: Any, contract: Contract, cases: Sequence[Case]) -> Response:
    limit = contract.sla[kind]
    first, last = contract.period.from_.isoformat(), contract.period.until.isoformat()
    inside = [case for case in cases if first <= local_time.day(case.opened) <= last]
    states = [clock.state for case in inside for clock in case.clocks if clock.kind == kind]
    return Response(
        kind=kind,
        clause=limit.clause,
        hours=limit.hours,
        met=states.count("met"),
        missed=states.count("missed") + states.count("overdue"),
        running=states.count("running"),
    )


def _sla_row(duty: Duty, contract: Contract, cases: Sequence[Case]) -> Row:
    kind = next((name for name, limit in contract.sla.items() if limit.clause == duty.id), None)
    if kind is None:
        return Row(duty.id, duty.title, "sla", 0, (), (), "unknown", "")
    told = _response(kind, contract, cases)
    note = {"met": told.met, "missed": told.missed, "running": told.running}
    state: State = (
        "overdue" if told.missed else "kept" if told.met else "open" if told.running else "not_asked"
    )
    return Row(duty.id, duty.title, "sla", told.judged, (), (), state, "", note)


def _open_case(case: Case) -> OpenCase:
    clocks = tuple(
        (clock.kind, round(clock.used_seconds / 3600, 2), clock.limit_hours, clock.state)
        for clock in case.clocks
        if clock.state != "not_needed"
    )
    left = min(
        (limit - used for _, used, limit, state in clocks if state in ("running", "overdue")), default=None
    )
    return OpenCase(
        case.id,
        case.title,
        local_time.minute(case.opened),
        case.state,
        clocks,
        None if left is None else round(left, 2),
    )
