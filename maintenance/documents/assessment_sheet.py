"""The workbook of an assessment: everything that the report sums up, to be filtered and worked through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maintenance.documents import assessment_changes, assessment_tables
from maintenance.documents.assessed import COLOUR, ITEM_VERDICTS, View, count, ratio, score, system_of
from maintenance.documents.clean import clean
from maintenance.documents.inspection import EntryFacts
from maintenance.documents.judged import Judged
from maintenance.documents.table import NONE, RED, SEVERITY_COLOUR, natural
from maintenance.documents.workbook import Filled, Workbook
from maintenance.local_time import minute, parse

_ALL = 100_000  # objects or entries that a cell names; the cell itself is cut


def write(view: View, path: Path, entry: EntryFacts) -> Path:
    """Write the workbook."""
    record = view.record
    book = Workbook(
        f"{system_of(view)} {view.words('report')}",
        record.operator.principal,
        parse(record.finished).replace(tzinfo=None),
    )
    _summary(view, book, entry)
    for sheet in (_items, _checks, _dangers, _todo, _changes, _waivers):
        sheet(view, book)
    return book.save(path)


def _columns(view: View, columns: str) -> list[tuple[str, float]]:
    """`unit 12, clause 10` as headings with widths."""
    pairs = [column.split() for column in columns.split(",")]
    return [(view.words(f"col_{name}"), float(width)) for name, width in pairs]


def _verdict(view: View, verdict: str) -> Filled:
    return Filled(view.words(verdict), COLOUR.get(verdict, NONE))


def _summary(view: View, book: Workbook, entry: EntryFacts) -> None:
    words, record, facts = view.words, view.record, view.record.site_facts
    title = f"{system_of(view)} {words('report')}"
    above = [
        title,
        words("label"),
        *(
            f"{words(f'row_{name}')}{words('colon')}{value}"
            for name, value in (
                ("hospital", facts.get("hospital") or words("not_provided")),
                ("vendor", facts.get("vendor") or words("not_provided")),
                ("standard", view.assessment.standard),
                ("period", f"{minute(record.started)} — {minute(record.finished)}"),
                ("run", record.run),
                ("ratio", ratio(view)),
                ("method", view.assessment.ratio_method),
                ("score", score(view)),
                ("record", entry.record_sha256),
            )
            if value
        ),
        "",
    ]
    named = [(chapter, words(chapter), items) for chapter, items in view.chapters()]
    rows = [
        [chapter if chapter.startswith("8") else "", name, len(items), *count(items).values()]
        for chapter, name, items in [*named, ("", words("total"), view.assessment.items)]
    ]
    columns = _columns(view, "chapter 10, name 22, items 8")
    columns += [(words(verdict), 11.0) for verdict in ITEM_VERDICTS]
    book.sheet(words("sheet_summary"), columns, rows, above=above)


def _items(view: View, book: Workbook) -> None:
    words = view.words
    rows = [
        [
            chapter if chapter.startswith("8") else "",
            item.unit,
            item.clause,
            item.title,
            words(item.kind),
            _verdict(view, item.verdict),
            assessment_tables.objects(view, item, _ALL),
            assessment_tables.checks_of(view, item),
            assessment_tables.ledger(view, item, _ALL),
            item.wanted,
        ]
        for chapter, items in view.chapters()
        for item in items
    ]
    columns = "chapter 8, unit 13, clause 11, item 36, kind 10, verdict 10, objects 30, checks 30, evidence 40, wanted 44"
    book.sheet(words("sheet_items", n=len(rows)), _columns(view, columns), rows)


def _checks(view: View, book: Workbook) -> None:
    columns = (
        "host 16, check 14, unit 13, clause 11, title 32, subject 24, verdict 10, severity 7, expected 28, actual 34,"
        "advice 44, risk 9, fixable 9, reboot 11, owner 8, danger_code 9"
    )
    rows = [_check(view, one) for one in view.findings]
    empty = view.words("no_findings")
    book.sheet(view.words("sheet_checks"), _columns(view, columns), rows, empty=empty)


def _check(view: View, one: Judged) -> Sequence[object]:
    words, finding, info = view.words, one.finding, view.info(one.finding.id)
    known = bool(info.id)
    severity = SEVERITY_COLOUR[finding.severity] if one.acts else NONE
    return [
        one.host,
        finding.id,
        finding.area,
        finding.clause,
        finding.title,
        finding.subject,
        _verdict(view, finding.verdict),
        Filled(words(finding.severity), severity),
        finding.expected,
        finding.actual,
        finding.advice,
        info.risk if known else "",
        words("fixable" if info.fixable else "not_fixable") if known else "",
        words("reboot") if info.reboot else "",
        words(clean(finding.owner, 60)),
        info.danger,
    ]


def _dangers(view: View, book: Workbook) -> None:
    words = view.words
    rows = [
        [
            Filled(one.code, RED),
            one.title,
            ", ".join(sorted(one.hosts, key=natural)),
            view.named(one.checks, _ALL),
            one.mitigation or words("no_mitigation"),
        ]
        for one in view.assessment.dangers
    ]
    columns = _columns(view, "code 8, danger 30, hosts 36, checks 60, mitigation 40")
    book.sheet(words("sheet_dangers"), columns, rows, empty=words("dangers_none"))


def _todo(view: View, book: Workbook) -> None:
    words = view.words
    rows = [
        [
            number,
            item.unit,
            item.clause,
            item.title,
            _verdict(view, item.verdict),
            assessment_tables.wanted(view, item),
            assessment_tables.ledger(view, item, _ALL),
            "",
            "",
            "□",
            "",
        ]
        for number, item in enumerate(assessment_tables.to_show(view), 1)
    ]
    columns = _columns(
        view,
        "number 6, unit 13, clause 11, item 36, verdict 10, wanted 44, evidence 36, responsible 12, due 12, done 8,"
        "note 24",
    )
    book.sheet(words("sheet_todo"), columns, rows, empty=words("todo_none"))


def _changes(view: View, book: Workbook) -> None:
    words, previous = view.words, view.assessment.previous
    rows = []
    for item in view.assessment.items if previous else ():
        before = previous.get(item.unit, "")
        kind = assessment_changes.change_of(before, item.verdict) if before else ""
        rows.append(
            [
                item.unit,
                item.clause,
                item.title,
                _verdict(view, before) if before in COLOUR else before,
                _verdict(view, item.verdict),
                Filled(words(kind), assessment_changes.CHANGE_COLOUR[kind]) if kind else "",
                assessment_changes.detail(view, item, _ALL),
            ]
        )
    columns = _columns(view, "unit 13, clause 11, item 36, before 10, after 10, change 10, detail 60")
    book.sheet(words("sheet_changes"), columns, rows, empty=words("first_time"))


def _waivers(view: View, book: Workbook) -> None:
    words = view.words
    rows = [
        [
            one.check,
            view.titles.get(one.check, ""),
            getattr(one, "subject", ""),
            ", ".join(one.hosts),
            one.reason,
            one.approved_by,
            one.until,
            Filled(words("waiver_expired" if one.expired else "waiver_holds"), RED if one.expired else NONE),
        ]
        for one in view.assessment.waivers
    ]
    columns = _columns(
        view, "check 14, title 32, subject 20, hosts 30, reason 40, approved 16, until 12, state 22"
    )
    book.sheet(words("sheet_waivers"), columns, rows, empty=words("waivers_none"))
