"""Results of checks that are no pass, as a report can hold them: what several hosts share is said once, what one check
says of many objects is one row, and the gravest come first where there is no room for all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from maintenance.documents import results
from maintenance.documents.assessed import COLOUR, View
from maintenance.documents.clean import clean
from maintenance.documents.followed import ALONE
from maintenance.documents.judged import Judged, colour, values
from maintenance.documents.table import NONE, RED, Row, Table, cut, host_list, natural

_SHARED = 160  # rows of what several hosts share
_OWN = 150  # rows of what single hosts have for themselves
_HOSTS = 6  # that a cell names
_SUBJECTS = 4
Group = list[Judged]


def failing(view: View) -> dict[str, Any]:
    """What is no pass: counts by host, what is alike on several hosts, the rest host by host."""
    words = view.words
    if not view.not_well:
        text = words("failing_none" if view.findings else "no_findings")
        return {
            "there": False,
            "sentence": text,
            "counts": Table(),
            "shared": Table(),
            "hosts": [],
            "note": "",
        }
    shared, own = split(view)
    hosts = sorted({one.host for one in view.not_well}, key=natural)
    return {
        "there": True,
        "sentence": words(
            "failing_sentence", n=len(view.not_well), hosts=len(hosts), **_verdicts(view.not_well)
        ),
        "counts": _host_counts(view, hosts, own),
        "shared": _shared(view, shared),
        **_own(view, own),
        "unknown": results.unknown(view.findings, words),
    }


def split(view: View) -> tuple[list[Group], list[Group]]:
    """Rows of what several hosts share word for word, and rows of one host each; the gravest first. What is unknown is
    in neither."""
    groups: dict[tuple[str, ...], Group] = {}
    for one in view.not_well:
        finding = one.finding
        if finding.verdict == "unknown":
            continue
        key = (finding.id, finding.verdict, _subject(one), finding.actual, finding.expected)
        groups.setdefault(key, []).append(one)
    shared = [group for group in groups.values() if len(_hosts(group)) > 1]
    return _merged(shared), _merged(group for group in groups.values() if len(_hosts(group)) == 1)


def _merged(groups: Iterable[Group]) -> list[Group]:
    """What one check says of many objects of the same hosts becomes one row."""
    alike: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        first = group[0].finding
        alike.setdefault((first.id, first.verdict, *_hosts(group)), []).append(group)
    return [
        row
        for found in alike.values()
        for row in ([[one for group in found for one in group]] if len(found) > ALONE else found)
    ]


def _hosts(group: Iterable[Judged]) -> list[str]:
    return list(dict.fromkeys(one.host for one in group))


def _subject(one: Judged) -> str:
    """What a result is about, where that is not the host itself."""
    return "" if one.finding.subject == one.host else one.finding.subject


def _verdicts(found: Sequence[Judged]) -> dict[str, int]:
    counts = Counter(one.finding.verdict for one in found)
    return {verdict: counts[verdict] for verdict in ("fail", "partial", "waived", "unknown")}


def _host_counts(view: View, hosts: Sequence[str], own: Sequence[Group]) -> Table:
    by_host: dict[str, Group] = {host: [] for host in hosts}
    for one in view.not_well:
        by_host[one.host].append(one)
    alone = Counter(one.host for group in own for one in group)
    rows: list[Row] = []
    for host, found in by_host.items():
        grave = sum(one.acts and one.finding.severity == "critical" for one in found)
        rows.append(
            {
                "host": clean(host, 80),
                "n": len(found),
                **{verdict: number or "" for verdict, number in _verdicts(found).items()},
                "grave": grave or "",
                "colour": RED if grave else NONE,
                "fixable": sum(view.info(one.finding.id).fixable for one in found) or "",
                "own": alone[host] or "",
            }
        )
    return cut(rows, view.words)


def _shared(view: View, groups: Sequence[Group]) -> Table:
    words = view.words
    if not groups:
        return Table(note=words("shared_none"))
    note = words("rows_in_sheet", n=len(groups) - _SHARED) if len(groups) > _SHARED else ""
    return Table([_row(view, group) for group in groups[:_SHARED]], note)


def _own(view: View, groups: Sequence[Group]) -> dict[str, Any]:
    """Each host's own results; where there are too many, the gravest of all hosts."""
    words = view.words
    by_host: dict[str, list[Row]] = {}
    for group in groups[:_OWN]:
        by_host.setdefault(group[0].host, []).append(_row(view, group))
    left = len(groups) - _OWN
    note = words("rows_in_sheet", n=left) if left > 0 else "" if groups else words("own_none")
    hosts = [{"title": clean(host, 80), "rows": by_host[host]} for host in sorted(by_host, key=natural)]
    return {"hosts": hosts, "note": note}


def _row(view: View, group: Group) -> Row:
    words, first = view.words, group[0]
    finding, info, hosts = first.finding, view.info(first.finding.id), _hosts(group)
    everywhere = len(hosts) == len(view.record.evidence) and len(hosts) > 3
    after = f"\n{words('reboot')}" if info.reboot else ""
    return {
        "id": f"{clean(finding.id, 40)}\n{clean(finding.clause, 20)}",
        "title": clean(finding.title, 120) + _about(view, group),
        "hosts": words("all_hosts", n=len(hosts)) if everywhere else host_list(hosts, words, _HOSTS),
        "expected": clean(finding.expected, 160) or "—",
        "actual": clean(values(group, words), 300),
        "verdict": f"{words(finding.verdict)}\n{words(finding.severity)}",
        "colour": colour(first) if first.acts else COLOUR[finding.verdict],
        "advice": clean(finding.advice, 300) or "—",
        "remedy": f"{info.risk} / {words('fixable' if info.fixable else 'not_fixable')}{after}",
    }


def _about(view: View, group: Group) -> str:
    """The objects of a row: some by name, and how many."""
    subjects = list(dict.fromkeys(clean(_subject(one), 120) for one in group if _subject(one)))
    if not subjects:
        return ""
    listed = view.words("list").join(subjects[:_SUBJECTS])
    if len(subjects) > _SUBJECTS:
        listed = view.words("objects_more", objects=listed, n=len(subjects))
    return f"\n{listed}"
