"""What was judged, as tables: results of a chapter, problems, risks, what could not be obtained, everything."""

from __future__ import annotations

from collections.abc import Sequence

from maintenance.documents.clean import clean
from maintenance.documents.judged import (
    ACT,
    Judged,
    by_reason,
    colour,
    evidence,
    grouped,
    places,
    titles,
    values,
)
from maintenance.documents.table import GREY, SEVERITY_COLOUR, Row, Table, cut, number_rows
from maintenance.documents.words import Words
from maintenance.record import VERDICTS, Record

_CHECKS_IN_A_CHAPTER = 25
_PROBLEMS = 150
_EVERYTHING = 400  # findings; beyond it the appendix lists rules by host


def checks(judged: Sequence[Judged], areas: Sequence[str], words: Words) -> Table:
    """A chapter's results: the counts in a sentence, and what is not as it should be."""
    chosen = [one for one in judged if one.finding.area in areas]
    if not chosen:
        return Table(sentence=words("not_involved", reason=words("no_checks")))
    verdicts = [one.finding.verdict for one in chosen]
    counts = {verdict: verdicts.count(verdict) for verdict in VERDICTS}
    listed = words("list").join(f"{words(verdict)} {count}" for verdict, count in counts.items() if count)
    sentence = words("checks_counted", n=len(chosen), counts=listed)
    wrong = [one for one in chosen if one.finding.verdict in (*ACT, "waived", "manual")]
    rows: list[Row] = [
        {
            "where": places(group, words),
            "title": clean(group[0].finding.title),
            "actual": values(group, words),
            "expected": clean(group[0].finding.expected) or "—",
            "verdict": words(group[0].finding.verdict),
            "colour": colour(group[0]),
        }
        for group in grouped(wrong)
    ]
    rows += [
        {
            "where": places(group, words),
            "title": titles(group, words),
            "actual": clean(group[0].finding.actual) or words("no_reason"),
            "expected": "—",
            "verdict": words("unknown"),
            "colour": GREY,
        }
        for group in by_reason(chosen)
    ]
    if not rows:
        return Table(sentence=sentence + words("nothing_to_do"))
    table = cut(rows, words, limit=_CHECKS_IN_A_CHAPTER)
    table.sentence = sentence
    return table


def problems(record: Record, judged: Sequence[Judged], words: Words) -> Table:
    """Everything that asks for action, with who does it until when."""
    due = {
        (one.host, one.id, one.subject): one.due
        for one in (record.comparison.issues if record.comparison else [])
    }
    chosen = sorted((one for one in judged if one.acts), key=lambda one: one.order)
    if not chosen:
        return Table(sentence=words("problems_none"))
    rows: list[Row] = []
    for group in grouped(chosen):
        first = group[0].finding
        dates = sorted({due.get((one.host, one.finding.id, one.finding.subject), "") for one in group} - {""})
        rows.append(
            {
                "what": f"{clean(first.title)}\n{places(group, words)}\n{values(group, words)}",
                "expected": clean(first.expected) or "—",
                "level": words(first.severity),
                "colour": SEVERITY_COLOUR[first.severity],
                "evidence": evidence(record, group, words),
                "advice": clean(first.advice, 400) or "—",
                "owner": words(clean(first.owner, 60)) or words("not_provided"),
                "due": dates[0] if dates else words("to_agree"),
                "stop": words("downtime"),
            }
        )
    table = cut(
        [{**row, "number": f"P{row['number']:02}"} for row in number_rows(rows)], words, limit=_PROBLEMS
    )
    table.sentence = words("problems_counted", n=len(chosen), rows=len(rows))
    return table


def unknown(judged: Sequence[Judged], words: Words) -> Table:
    """What could not be obtained, by reason, so that a missing tool is said once."""
    rows: list[Row] = [
        {
            "where": places(group, words),
            "why": clean(group[0].finding.actual) or words("no_reason"),
            "title": titles(group, words),
            "rules": ", ".join(dict.fromkeys(clean(one.finding.id, 60) for one in group)),
        }
        for group in by_reason(judged)
    ]
    return cut(rows, words, "" if rows else words("unknown_none"), limit=_PROBLEMS)


def risks(judged: Sequence[Judged], words: Words) -> Table:
    """The three gravest problems, each rule once."""
    by_rule: dict[str, list[Judged]] = {}
    for one in sorted((one for one in judged if one.acts), key=lambda one: one.order):
        by_rule.setdefault(one.finding.id, []).append(one)
    if not by_rule:
        return Table(note=words("risks_none"))
    rows: list[Row] = [
        {
            "level": words(group[0].finding.severity),
            "colour": SEVERITY_COLOUR[group[0].finding.severity],
            "where": places(group, words, shown=3),
            "what": f"{clean(group[0].finding.title)}{words('colon')}{clean(group[0].finding.actual, 160)}",
            "advice": clean(group[0].finding.advice, 200) or "—",
        }
        for group in list(by_rule.values())[:3]
    ]
    return Table(number_rows(rows))


def everything(judged: Sequence[Judged], words: Words) -> tuple[Table, Table]:
    """All checks with their values; where they are too many, the rules of each host by result."""
    total = len(judged)
    if total <= _EVERYTHING:
        rows: list[Row] = [
            {
                "host": clean(one.host, 80),
                "id": clean(one.finding.id, 60),
                "title": f"{clean(one.finding.title, 120)} {clean(one.finding.subject, 80)}",
                "actual": clean(one.finding.actual, 160),
                "verdict": words(one.finding.verdict),
                "colour": colour(one),
            }
            for one in judged
        ]
        sentence = words("everything", n=total)
        return Table(rows, sentence=sentence), Table()
    compact: list[Row] = []
    for host in dict.fromkeys(one.host for one in judged):
        by_verdict: dict[str, list[str]] = {}
        for one in judged:
            if one.host == host:
                by_verdict.setdefault(words(one.finding.verdict), []).append(clean(one.finding.id, 60))
        parts = [
            f"{verdict} {len(ids)}{words('colon')}{' '.join(ids)}" for verdict, ids in by_verdict.items()
        ]
        compact.append({"host": clean(host, 80), "rules": "\n".join(parts)})
    sentence = words("everything_compact", n=total)
    return Table(sentence=sentence), Table(compact)


def tuning(judged: Sequence[Judged], words: Words) -> Table:
    """Problems of performance and parameters."""
    chosen = [one for one in judged if one.acts and one.finding.area in ("system", "database")]
    return _advice(
        chosen,
        words,
        words("tuning_none"),
    )


def hardware(judged: Sequence[Judged], words: Words, expansion: Sequence[Row]) -> Table:
    """Problems of capacity and disks, and what the forecast asks for."""
    chosen = [one for one in judged if one.acts and one.finding.area == "storage"]
    table = _advice(chosen, words, "")
    more: list[Row] = [
        {
            "where": row["where"],
            "what": row["why"],
            "advice": words("expand", add=row["add"], by=row["by"]),
        }
        for row in expansion
    ]
    rows = [*table.rows, *more]
    nothing = words("hardware_none")
    return Table(rows, table.note if rows else nothing)


def _advice(chosen: Sequence[Judged], words: Words, nothing: str) -> Table:
    rows: list[Row] = [
        {
            "where": places(group, words),
            "what": f"{clean(group[0].finding.title)}{words('colon')}{values(group, words)}",
            "advice": clean(group[0].finding.advice, 400) or "—",
        }
        for group in grouped(sorted(chosen, key=lambda one: one.order))
    ]
    return cut(rows, words, "" if rows else nothing, limit=_CHECKS_IN_A_CHAPTER)
