"""What was judged, as tables: counts, problems, what could not be obtained. From the record alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maintenance.documents.clean import clean
from maintenance.documents.followed import ALONE
from maintenance.documents.table import (
    GREY,
    NONE,
    SEVERITY_COLOUR,
    VERDICT_COLOUR,
    Row,
    Table,
    cut,
    host_list,
    natural,
    number_rows,
)
from maintenance.documents.words import Words
from maintenance.record import VERDICTS, Finding, Record

_SEVERITY = {"critical": 0, "warning": 1, "advice": 2}
_ACT = ("fail", "partial")
_PLACES = 8  # that are named in a shared row
_CHECKS_IN_A_CHAPTER = 25
_PROBLEMS = 150
_EVERYTHING = 400  # findings; beyond it the appendix lists rules by host


@dataclass(frozen=True)
class Judged:
    """One finding on its host."""

    host: str
    finding: Finding

    @property
    def acts(self) -> bool:
        """Whether it asks for action."""
        return self.finding.verdict in _ACT

    @property
    def kind(self) -> str:
        """How the summary counts it: a severity, `pass`, `unknown` or `other`."""
        if self.acts:
            return self.finding.severity
        return self.finding.verdict if self.finding.verdict in ("pass", "unknown") else "other"

    @property
    def order(self) -> tuple[object, ...]:
        """The gravest first."""
        finding = self.finding
        return (
            _SEVERITY[finding.severity],
            finding.verdict != "fail",
            finding.id,
            natural(self.host),
            finding.subject,
        )

    @property
    def where(self) -> str:
        """Host and subject; a subject that is the host itself is not said twice."""
        subject = clean(self.finding.subject, 120)
        host = clean(self.host, 80)
        return host if subject in ("", host) else f"{host} {subject}"


def all_judged(record: Record) -> list[Judged]:
    """Every finding, by host and as the rules come."""
    hosts = sorted(record.evidence, key=natural)
    return [Judged(host, finding) for host in hosts for finding in record.evidence[host]]


def count_by_area(judged: Iterable[Judged]) -> dict[str, dict[str, int]]:
    """How many of each kind there are in each area."""
    counts: dict[str, dict[str, int]] = {}
    for one in judged:
        area = counts.setdefault(one.finding.area, {})
        area[one.kind] = area.get(one.kind, 0) + 1
    return counts


def checks(judged: Sequence[Judged], areas: Sequence[str], words: Words) -> Table:
    """A chapter's results: the counts in a sentence, and what is not as it should be."""
    chosen = [one for one in judged if one.finding.area in areas]
    if not chosen:
        return Table(sentence=words("not_involved", reason=words("no_checks")))
    verdicts = [one.finding.verdict for one in chosen]
    counts = {verdict: verdicts.count(verdict) for verdict in VERDICTS}
    listed = words("list").join(f"{words(verdict)} {count}" for verdict, count in counts.items() if count)
    sentence = words("checks_counted", n=len(chosen), counts=listed)
    wrong = [one for one in chosen if one.finding.verdict in (*_ACT, "waived", "manual")]
    rows: list[Row] = [
        {
            "where": _places(group, words),
            "title": clean(group[0].finding.title),
            "actual": _values(group, words),
            "expected": clean(group[0].finding.expected) or "—",
            "verdict": words(group[0].finding.verdict),
            "colour": _colour(group[0]),
        }
        for group in _grouped(wrong)
    ]
    rows += [
        {
            "where": _places(group, words),
            "title": _titles(group, words),
            "actual": clean(group[0].finding.actual) or words("no_reason"),
            "expected": "—",
            "verdict": words("unknown"),
            "colour": GREY,
        }
        for group in _by_reason(chosen)
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
    for group in _grouped(chosen):
        first = group[0].finding
        dates = sorted({due.get((one.host, one.finding.id, one.finding.subject), "") for one in group} - {""})
        rows.append(
            {
                "what": f"{clean(first.title)}\n{_places(group, words)}\n{_values(group, words)}",
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
            "where": _places(group, words),
            "why": clean(group[0].finding.actual) or words("no_reason"),
            "title": _titles(group, words),
            "rules": ", ".join(dict.fromkeys(clean(one.finding.id, 60) for one in group)),
        }
        for group in _by_reason(judged)
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
            "where": _places(group, words, shown=3),
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
                "colour": _colour(one),
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


def evidence(record: Record, group: Sequence[Judged], words: Words) -> str:
    """Where a finding can be checked: its rule, the clause, and the host's snapshots in the entry."""
    finding = group[0].finding
    parts = [words("rule", id=clean(finding.id, 60))]
    if finding.clause:
        parts.append(words("clause", clause=clean(finding.clause, 40)))
    hosts = {one.host for one in group}
    names = [
        one.file.removeprefix("attachments/") for one in record.attachments if _host_of(one.file) in hosts
    ]
    if len(names) > 2:
        names = [*names[:1], f"… ({len(names)})"]
    return "\n".join([*parts, *(clean(name, 120) for name in names)])


def _host_of(file: str) -> str:
    return file.removeprefix("attachments/").rsplit(".", 2)[0]


def _advice(chosen: Sequence[Judged], words: Words, nothing: str) -> Table:
    rows: list[Row] = [
        {
            "where": _places(group, words),
            "what": f"{clean(group[0].finding.title)}{words('colon')}{_values(group, words)}",
            "advice": clean(group[0].finding.advice, 400) or "—",
        }
        for group in _grouped(sorted(chosen, key=lambda one: one.order))
    ]
    return cut(rows, words, "" if rows else nothing, limit=_CHECKS_IN_A_CHAPTER)


def _grouped(judged: Sequence[Judged]) -> list[list[Judged]]:
    """Findings one by one, except those of one rule and verdict at many places: they stand together."""
    groups: dict[tuple[str, ...], list[Judged]] = {}
    for one in judged:
        groups.setdefault((one.finding.id, one.finding.verdict, one.finding.severity), []).append(one)
    return [
        part
        for group in groups.values()
        for part in ([group] if len(group) > ALONE else [[one] for one in group])
    ]


def _by_reason(judged: Sequence[Judged]) -> list[list[Judged]]:
    """What could not be obtained, by reason and host."""
    groups: dict[tuple[str, str], list[Judged]] = {}
    for one in judged:
        if one.finding.verdict == "unknown":
            groups.setdefault((one.finding.actual, one.where), []).append(one)
    alike: dict[tuple[str, ...], list[Judged]] = {}
    for (reason, _), group in groups.items():
        alike.setdefault((reason, *(one.finding.id for one in group)), []).extend(group)
    return list(alike.values())


def _titles(group: Sequence[Judged], words: Words) -> str:
    titles = list(dict.fromkeys(clean(one.finding.title, 80) for one in group))
    return words("list").join(titles[:_PLACES]) + (f" … ({len(titles)})" if len(titles) > _PLACES else "")


def _places(group: Sequence[Judged], words: Words, shown: int = _PLACES) -> str:
    return host_list(list(dict.fromkeys(one.where for one in group)), words, shown)


def _values(group: Sequence[Judged], words: Words) -> str:
    """The measured value; of a group the different ones."""
    values = list(dict.fromkeys(clean(one.finding.actual) for one in group))
    if len(values) == 1:
        return values[0] or "—"
    shown = words("semicolon").join(clean(value, 80) for value in values[:4])
    return shown + ("…" if len(values) > 4 else "")


def _colour(one: Judged) -> str:
    if one.acts:
        return SEVERITY_COLOUR[one.finding.severity]
    return VERDICT_COLOUR.get(one.finding.verdict, NONE)
