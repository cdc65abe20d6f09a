"""The tables of an assessment's report: items, dangers, waivers, what people have to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maintenance.documents.assessed import COLOUR, ITEM_VERDICTS, View, count
from maintenance.documents.clean import clean
from maintenance.documents.judged import Judged
from maintenance.documents.table import (
    NONE,
    RED,
    Row,
    Table,
    cut,
    host_list,
    natural,
    number_rows,
)
from maintenance.local_time import day
from maintenance.record import AssessmentItem

_HOSTS = 6  # that a cell names
_TODO = 250


def chapters(view: View) -> Table:
    """How many items of each chapter stand how."""
    words = view.words
    rows: list[Row] = []
    for chapter, items in view.chapters():
        number = chapter if chapter.startswith("8") else ""
        rows.append({"chapter": number, "name": words(chapter), "n": len(items), **_numbers(count(items))})
    items = view.assessment.items
    rows.append({"chapter": "", "name": words("total"), "n": len(items), **_numbers(count(items))})
    return Table(rows)


def _numbers(counts: dict[str, int]) -> Row:
    """Counts as a table shows them: nothing where there is none."""
    return {verdict: counts[verdict] or "" for verdict in ITEM_VERDICTS}


def dangers(view: View) -> Table:
    """Candidates of grave dangers."""
    words = view.words
    rows: list[Row] = [
        {
            "code": clean(one.code, 20),
            "title": clean(one.title, 160),
            "hosts": host_list(sorted(one.hosts, key=natural), words, 12),
            "checks": view.named(one.checks),
            "mitigation": clean(one.mitigation) or words("no_mitigation"),
            "colour": RED,
        }
        for one in view.assessment.dangers
    ]
    return Table(rows, sentence=words("dangers_intro" if rows else "dangers_none"))


def items(view: View) -> list[dict[str, Any]]:
    """All items, chapter by chapter."""
    words = view.words
    return [
        {
            "title": f"{chapter} {words(chapter)}" if chapter.startswith("8") else words(chapter),
            "sentence": words(
                "chapter_counts", n=len(found), counts=view.counted(item.verdict for item in found)
            ),
            "rows": [_item(view, item) for item in found],
        }
        for chapter, found in view.chapters()
    ]


def _item(view: View, item: AssessmentItem) -> Row:
    return {
        "unit": clean(item.unit, 20),
        "clause": clean(item.clause, 20),
        "title": clean(item.title, 200),
        "verdict": view.words(item.verdict),
        "colour": COLOUR[item.verdict],
        "objects": objects(view, item),
        "evidence": "\n".join(part for part in (checks_of(view, item), ledger(view, item)) if part) or "—",
        "wanted": clean(item.wanted, 400) or "—",
    }


def objects(view: View, item: AssessmentItem, shown: int = _HOSTS) -> str:
    """An item's objects by verdict."""
    words = view.words
    by_verdict: dict[str, list[str]] = {}
    for name in sorted(item.objects, key=natural):
        by_verdict.setdefault(item.objects[name], []).append(clean(name, 80))
    lines = []
    for verdict in (*ITEM_VERDICTS, "waived"):
        names = by_verdict.get(verdict, [])
        listed = ", ".join(names[:shown])
        if len(names) > shown:
            listed = words("objects_more", objects=listed, n=len(names))
        lines += [f"{words(verdict)}{words('colon')}{listed}"] if names else []
    return "\n".join(lines) or "—"


def checks_of(view: View, item: AssessmentItem) -> str:
    """How an item's checks went, and which are no pass."""
    if not item.checks:
        return ""
    worst = [_worst(view.by_check.get(check, ())) for check in item.checks]
    text = view.words("checks_of_item", n=len(item.checks), counts=view.counted(worst))
    failing = [
        clean(check, 40)
        for check, verdict in zip(item.checks, worst, strict=True)
        if verdict in ("fail", "partial", "waived")
    ]
    return text + (f" [{' '.join(failing[:8])}{' …' if len(failing) > 8 else ''}]" if failing else "")


def _worst(found: Sequence[Judged]) -> str:
    """The gravest verdict that one check gave anywhere."""
    verdicts = {one.finding.verdict for one in found}
    order = ("fail", "partial", "waived", "unknown", "manual", "pass")
    return next((verdict for verdict in order if verdict in verdicts), "not_applicable")


def ledger(view: View, item: AssessmentItem, shown: int = 4) -> str:
    """The entries of the ledger that show an item."""
    lines = [
        view.words("ledger_entry", at=day(one.at), what=clean(one.what, 120), entry=clean(one.entry, 120))
        for one in item.evidence[:shown]
    ]
    more = [f"… ({len(item.evidence)})"] if len(item.evidence) > shown else []
    return "\n".join([*lines, *more])


def waivers(view: View) -> Table:
    """Deviations that the hospital has accepted; those that ended stand out."""
    words, given = view.words, view.assessment.waivers
    rows: list[Row] = [
        {
            "check": view.named([one.check]) + _subject(one.subject),
            "hosts": host_list(one.hosts, words, 12),
            "reason": clean(one.reason),
            "approved": clean(one.approved_by, 120),
            "until": clean(one.until, 20),
            "state": words("waiver_expired" if one.expired else "waiver_holds"),
            "colour": RED if one.expired else NONE,
        }
        for one in sorted(given, key=lambda one: (not one.expired, one.until, one.check))
    ]
    if not rows:
        return Table(sentence=words("waivers_none"))
    table = cut(number_rows(rows), words)
    table.sentence = words("waivers_sentence", n=len(given), expired=sum(one.expired for one in given))
    return table


def _subject(subject: str) -> str:
    return f"\n{clean(subject, 80)}" if subject else ""


def to_show(view: View) -> list[AssessmentItem]:
    """Items that wait for a person: no program can conclude them, or they could not be looked at."""
    return [item for item in view.assessment.items if item.verdict in ("manual", "unknown")]


def todo(view: View) -> Table:
    """What people still have to show, to be worked through."""
    words, waiting = view.words, to_show(view)
    if not waiting:
        return Table(sentence=words("todo_none"))
    rows: list[Row] = [
        {
            "unit": f"{clean(item.unit, 20)}\n{clean(item.clause, 20)}",
            "title": clean(item.title, 160),
            "wanted": wanted(view, item),
            "colour": COLOUR[item.verdict],
            "verdict": words(item.verdict),
            "who": "",
            "due": "",
            "done": "□",
        }
        for item in waiting
    ]
    table = cut(number_rows(rows), words, limit=_TODO)
    table.sentence = words("todo_sentence", n=len(rows))
    return table


def wanted(view: View, item: AssessmentItem) -> str:
    """What an open item waits for."""
    words = view.words
    parts = [clean(item.wanted, 400)] if item.verdict == "manual" else []
    if item.verdict == "unknown":
        reasons = view.reasons(item)
        parts.append(words("retest", reasons=reasons) if reasons else words("unknown_wanted"))
    if item.evidence:
        parts.append(words("in_ledger", n=len(item.evidence)))
    return "\n".join(filter(None, parts)) or "—"
