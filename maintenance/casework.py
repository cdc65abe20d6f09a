"""Writing the logbook and the cases into the ledger: read, check, check again under the lock, sign, and render.

A call that is refused has written nothing: it is checked before the ledger is touched, and once more when it is locked,
because another call may have moved the case meanwhile.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from maintenance import (
    attachments,
    bookkeeping,
    case_rules,
    cases,
    ledger,
    local_time,
    logbook,
    register,
    verification,
)
from maintenance.attachments import Attachments
from maintenance.case_events import EVENTS, CaseEntry, Check, Closing, EventName, Fault, Measure, SignedLimit
from maintenance.cases import Case, Limits
from maintenance.documents.clean import clean
from maintenance.errors import CallError, RefusedError
from maintenance.ledger import Book, Entry
from maintenance.logbook import LogEntry
from maintenance.record import to_bytes
from maintenance.redaction import Redactor
from maintenance.site import Site

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", re.ASCII)
_PASSED = {"passed": True, "pass": True, "true": True, "yes": True, "通过": True}
_FAILED = {"failed": False, "fail": False, "false": False, "no": False, "未通过": False}


@dataclass
class Given:
    """What the user said of an event or of something to log."""

    fields: Mapping[str, str]
    at: str = ""
    until: str = ""
    text: str = ""
    attach: Sequence[str] = ()
    measures: Sequence[str] = ()  # 'permanent:TEXT' or 'temporary:TEXT'
    tests: Sequence[str] = ()  # 'NAME | EXPECTED | ACTUAL | TESTER | passed'


@dataclass
class Where:
    """Into which ledger, and how."""

    site: Site
    ledger: Path | None = None
    language: Literal["zh", "en"] | None = None
    offline: str = ""
    limits: Limits = field(default_factory=dict)  # of the site's contract; none where it has no contract file
    most_person_days: float | None = None  # of a customisation that the contract makes free

    @property
    def path(self) -> Path:
        """The ledger."""
        return (self.ledger or self.site.ledger).resolve()


@dataclass
class Made:
    """What came of it."""

    entry: Entry
    facts: LogEntry
    case: Case | None
    documents: list[Path]
    notes: list[str] = field(default_factory=list)


class _TakenError(Exception):
    """Another call has opened a case of the same number meanwhile."""


def read_cases(path: Path, limits: Limits, now: str = "") -> list[Case]:
    """Every case of a ledger as it stands now."""
    return cases.read(register.read(path), limits, now or ledger.now())


def listed(where: Where) -> list[Case]:
    """Every case of the site's ledger; raises CallError for the ledger of another site."""
    first = next(iter(ledger.entries(where.path)), None)
    if first and first.kind == "genesis" and first.name != where.site.name:
        raise CallError(f"{where.path} is the ledger of the site {first.name}, not of {where.site.name}")
    return read_cases(where.path, where.limits)


def find(listed: Sequence[Case], given: str) -> Case:
    """The case of an id; raises CallError."""
    found = next((case for case in listed if case.id == given), None)
    if found is None:
        known = ", ".join(case.id for case in listed[-8:]) or "none"
        raise CallError(
            f"there is no case '{clean(given, 40)}'; the newest are: {known} (runner.py case list)"
        )
    return found


def require_joinable(path: Path, case: str, *, repairs: bool) -> None:
    """Before a run joins a case: it is here, not closed, and a repair comes after the talk (4.1.6). CallError."""
    case_rules.require_joinable(find(read_cases(path, {}), case), repairs=repairs)


def log(where: Where, kind: str, given: Given, case: str = "") -> Made:
    """Append one entry of the logbook; raises CallError or RefusedError with nothing written."""
    site, now = where.site, ledger.now()
    redactor = bookkeeping.redactor_of(site)
    attached = attachments.read(given.attach, redactor)
    facts = logbook.compose(
        logbook.kind_of(kind),
        site.name,
        given.fields,
        redactor,
        operator=bookkeeping.operator(site),
        now=now,
        at=given.at,
        until=given.until,
        case=case,
        text=given.text,
        attached=attached.infos,
        most_person_days=where.most_person_days,
    )
    limits = where.limits

    def check(path: Path) -> None:
        if case:
            found = find(read_cases(path, limits), case)
            case_rules.check_log(found, facts.what, facts.at)

    check(where.path)

    def files(book: Book) -> Mapping[str, bytes | Path]:
        check(book.path)
        return {"entry.json": to_bytes(facts), **attached.files}

    name = f"log-{kind}"
    entry, notes = bookkeeping.add_entry(
        site, "entry", name, files, ledger_path=where.ledger, offline=where.offline, redactor=redactor
    )
    told = find(read_cases(where.path, limits), case) if case else None
    return Made(entry, facts, told, [], [*notes, *_masked(redactor)])


def add_event(where: Where, name: EventName, case: str, given: Given) -> Made:
    """Append one event of a case; opening it makes its id where none is given. Raises CallError or RefusedError."""
    redactor = bookkeeping.redactor_of(where.site)
    attached = attachments.read(given.attach, redactor)
    limits = where.limits
    draft = _compose(where, name, given, redactor, attached, limits)
    if name != "open":
        _check_event(where.path, case, draft, limits)
        return _append(where, draft.model_copy(update={"case": case}), redactor, attached, limits)
    if case and not _ID.fullmatch(case):
        raise CallError(
            f"--case takes letters, digits and . _ -, at most 40, not '{clean(redactor.text(case), 60)}'"
        )
    while True:
        numbered = draft.model_copy(update={"case": _free_id(where.path, case, draft, limits)})
        try:
            return _append(where, numbered, redactor, attached, limits)
        except _TakenError:
            continue


def _append(
    where: Where, draft: CaseEntry, redactor: Redactor, attached: Attachments, limits: Limits
) -> Made:
    """Check under the lock, render what closes a case, and sign."""
    site, case = where.site, draft.case or ""
    name = f"case-{case}-{draft.event}"
    notes: list[str] = []
    told: list[tuple[Case, CaseEntry]] = []

    def files(book: Book) -> Mapping[str, bytes | Path]:
        entry = draft.model_copy(update={"recorded": max(ledger.now(), draft.at)})
        listed = read_cases(book.path, limits, entry.recorded)
        new = cases.of_new(entry, book.next_seq, f"{book.next_seq:06d}-entry-{name}")
        if entry.event == "open":
            if any(item.id == case for item in listed):
                raise _TakenError
            told.append((cases.assemble(case, [new], [], limits, entry.recorded), entry))
        else:
            before = find(listed, case)
            case_rules.check_next(before, entry.event, entry.at, entry.fields)
            told.append((cases.with_event(before, new, limits, entry.recorded), entry))
        made: dict[str, bytes | Path] = {"entry.json": to_bytes(entry), **attached.files}
        if isinstance(entry, Closing):
            _verify_since(book.path, told[-1][0])
            with tempfile.TemporaryDirectory(prefix="maintenance-fault-") as scratch:
                language = where.language or site.settings.language
                documents, why = render(told[-1][0], entry.site_facts, site.name, Path(scratch), language)
                if why:
                    notes.append(f"no PDF: {why}")
                made |= {f"documents/{path.name}": path.read_bytes() for path in documents}
        return made

    entry, said = bookkeeping.add_entry(
        site, "entry", name, files, ledger_path=where.ledger, offline=where.offline, redactor=redactor
    )
    found = sorted((entry.path / "documents").glob("*")) if (entry.path / "documents").is_dir() else []
    return Made(entry, told[-1][1], told[-1][0], found, [*said, *notes, *_masked(redactor)])


def document(where: Where, given: str, folder: Path) -> tuple[Case, list[Path], str]:
    """《故障处理记录》 of a case as it stands, written into a folder; the files, and why there is no PDF."""
    from maintenance.documents import fault  # slow to import

    case = find(listed(where), given)
    for suffix in ("docx", "pdf"):
        target = (folder / fault.file_name(where.site.name, case.id)).with_suffix(f".{suffix}")
        if target.exists():
            raise CallError(f"-o: {target} is there already; name another folder")
    _verify_since(where.path, case)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CallError(f"-o: {folder} cannot be a folder for documents: {error.strerror}") from None
    closed = case.closed
    facts = closed.closing.site_facts if closed and closed.closing else _site_facts(where.site)
    language = where.language or where.site.settings.language
    try:
        return case, *render(case, facts, where.site.name, folder, language)
    except OSError as error:
        raise CallError(f"-o: nothing can be written into {folder}: {error.strerror or error}") from None


def render(
    case: Case, site_facts: Mapping[str, str], site: str, folder: Path, language: Literal["zh", "en"]
) -> tuple[list[Path], str]:
    """Word and, where LibreOffice is, PDF; why there is none otherwise."""
    from maintenance.documents import fault, pdf  # slow to import

    target = folder / fault.file_name(site, case.id)
    fault.render(case, site_facts, site, target, language=language)
    converted, why = pdf.convert(target, folder)
    return [target, *([converted] if converted else [])], why


def _compose(
    where: Where, name: EventName, given: Given, redactor: Redactor, attached: Attachments, limits: Limits
) -> CaseEntry:
    kind, now = EVENTS[name], ledger.now()
    title = f"case {name}"
    fields = logbook.check_fields(title, kind.fields, given.fields, redactor, _option)
    if len(given.text) > logbook.LONGEST:
        raise CallError(f"{title}: --text takes {logbook.LONGEST} characters; attach a longer text as a file")
    if name == "note" and not (fields or given.text.strip() or given.attach):
        raise CallError("case note: it says nothing; give --text, a fact such as --impact, or --attach")
    common = {
        "what": "case",
        "event": name,
        "site": where.site.name,
        "at": logbook.instant(given.at, "--at", now) if given.at else now,
        "until": None,
        "case": None,
        "clauses": list(kind.clauses),
        "text": redactor.text(given.text.strip()),
        "fields": fields,
        "attachments": list(attached.infos),
        "operator": bookkeeping.operator(where.site),
        "recorded": now,
    }
    if name != "close":
        return CaseEntry.model_validate(common)
    fault = Fault(
        **fields,
        measures=[_measure(text, redactor) for text in given.measures],
        tests=[_test(text, redactor) for text in given.tests],
    )
    case_rules.check_fault(fault)
    signed = {
        kind: SignedLimit(clause=limit.clause, hours=limit.hours)
        for kind, limit in limits.items()
        if kind in cases.CLOCKS
    }
    facts = {**common, "fields": {}, "fault": fault, "limits": signed, "site_facts": _site_facts(where.site)}
    return Closing.model_validate(facts)


def _check_event(path: Path, case: str, entry: CaseEntry, limits: Limits) -> None:
    case_rules.check_next(find(read_cases(path, limits), case), entry.event, entry.at, entry.fields)


def _free_id(path: Path, wanted: str, entry: CaseEntry, limits: Limits) -> str:
    listed = read_cases(path, limits)
    same = ("title", "reporter", "department")
    for case in listed:
        if case.id == wanted:
            raise CallError(
                f"the case {wanted} is there already, opened at {local_time.minute(case.opened)}; next: "
                f"case note --case {wanted}, or open without --case for another fault"
            )
        first = case.first("open")
        if first.at == entry.at and all(first.fields.get(name) == entry.fields.get(name) for name in same):
            raise CallError(f"this call is the case {case.id} already; next: case respond --case {case.id}")
    return wanted or case_rules.next_id((case.id for case in listed), entry.at)


def _verify_since(path: Path, case: Case) -> None:
    """A document is made of entries that verify, back to the first of the case; raises RefusedError."""
    first = min([event.seq for event in case.events] + [run.seq for run in case.joined])
    newest = max((entry.seq for entry in ledger.entries(path)), default=0)
    report = verification.verify(path, last=max(newest - first + 1, 1))
    if report.faults:
        raise RefusedError(
            f"the ledger {path} does not verify, no document was made: {report.faults[0]} "
            f"(all of it: ./runner.py verify {path})"
        )


def _measure(text: str, redactor: Redactor) -> Measure:
    kind, sign, rest = text.replace("：", ":", 1).partition(":")
    kinds: dict[str, Literal["temporary", "permanent"]] = {
        "temporary": "temporary",
        "临时": "temporary",
        "permanent": "permanent",
        "永久": "permanent",
    }
    if not sign or kind.strip() not in kinds or not rest.strip():
        raise CallError(
            f"--measure takes permanent:TEXT or temporary:TEXT, not '{clean(redactor.text(text), 60)}'"
        )
    return Measure(kind=kinds[kind.strip()], text=_short(rest, "--measure", redactor))


def _test(text: str, redactor: Redactor) -> Check:
    parts = [part.strip() for part in text.replace("｜", "|").split("|")]
    verdicts = {**_PASSED, **_FAILED}
    if len(parts) != 5 or not all(parts) or parts[4].lower() not in verdicts:
        raise CallError(
            "--test takes 'NAME | EXPECTED | ACTUAL | TESTER | passed' (or failed), "
            f"not '{clean(redactor.text(text), 80)}'"
        )
    name, expected, actual, tester = (_short(part, "--test", redactor) for part in parts[:4])
    return Check(
        name=name, expected=expected, actual=actual, tester=tester, passed=verdicts[parts[4].lower()]
    )


def _short(text: str, option: str, redactor: Redactor) -> str:
    if len(text) > logbook.LONGEST:
        raise CallError(
            f"{option} has {len(text)} characters, and it takes {logbook.LONGEST}; attach it as a file"
        )
    return redactor.text(text.strip())


def _site_facts(site: Site) -> dict[str, str]:
    return {name: str(value) for name, value in site.settings.facts.model_dump().items()}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _masked(redactor: Redactor) -> list[str]:
    if not redactor.hits:
        return []
    listed = ", ".join(f"{rule} {count}" for rule, count in sorted(redactor.hits.items()))
    return [f"masked before signing: {listed}"]
