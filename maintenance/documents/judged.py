"""What was judged: findings on their hosts, and what stands together. From the record alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maintenance.documents.clean import clean
from maintenance.documents.followed import ALONE
from maintenance.documents.table import (
    NONE,
    SEVERITY_COLOUR,
    VERDICT_COLOUR,
    host_list,
    natural,
)
from maintenance.documents.words import Words
from maintenance.record import Finding, Record

_SEVERITY = {"critical": 0, "warning": 1, "advice": 2}
ACT = ("fail", "partial")
_PLACES = 8  # that are named in a shared row


@dataclass(frozen=True)
class Judged:
    """One finding on its host."""

    host: str
    finding: Finding

    @property
    def acts(self) -> bool:
        """Whether it asks for action."""
        return self.finding.verdict in ACT

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


def grouped(judged: Sequence[Judged]) -> list[list[Judged]]:
    """Findings one by one, except those of one rule and verdict at many places: they stand together."""
    groups: dict[tuple[str, ...], list[Judged]] = {}
    for one in judged:
        groups.setdefault((one.finding.id, one.finding.verdict, one.finding.severity), []).append(one)
    return [
        part
        for group in groups.values()
        for part in ([group] if len(group) > ALONE else [[one] for one in group])
    ]


def by_reason(judged: Sequence[Judged]) -> list[list[Judged]]:
    """What could not be obtained, by reason and host."""
    groups: dict[tuple[str, str], list[Judged]] = {}
    for one in judged:
        if one.finding.verdict == "unknown":
            groups.setdefault((one.finding.actual, one.where), []).append(one)
    alike: dict[tuple[str, ...], list[Judged]] = {}
    for (reason, _), group in groups.items():
        alike.setdefault((reason, *(one.finding.id for one in group)), []).extend(group)
    return list(alike.values())


def titles(group: Sequence[Judged], words: Words) -> str:
    """The titles of a group's rules."""
    titles = list(dict.fromkeys(clean(one.finding.title, 80) for one in group))
    return words("list").join(titles[:_PLACES]) + (f" … ({len(titles)})" if len(titles) > _PLACES else "")


def places(group: Sequence[Judged], words: Words, shown: int = _PLACES) -> str:
    """Where the findings of a group are."""
    return host_list(list(dict.fromkeys(one.where for one in group)), words, shown)


def values(group: Sequence[Judged], words: Words) -> str:
    """The measured value; of a group the different ones."""
    values = list(dict.fromkeys(clean(one.finding.actual) for one in group))
    if len(values) == 1:
        return values[0] or "—"
    shown = words("semicolon").join(clean(value, 80) for value in values[:4])
    return shown + ("…" if len(values) > 4 else "")


def colour(one: Judged) -> str:
    """The fill of its result."""
    if one.acts:
        return SEVERITY_COLOUR[one.finding.severity]
    return VERDICT_COLOUR.get(one.finding.verdict, NONE)
