"""《等保整改报告》: an assessment beside the one before it, problem by problem. Made from the record alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maintenance.documents import appendix, assessment_changes, assessment_tables, front
from maintenance.documents.assessed import View
from maintenance.documents.clean import clean
from maintenance.documents.followed import overdue
from maintenance.documents.inspection import TEMPLATES, EntryFacts
from maintenance.documents.table import (
    GREEN,
    GREY,
    RED,
    SEVERITY_COLOUR,
    YELLOW,
    Row,
    Table,
    host_list,
    natural,
    number_rows,
)
from maintenance.local_time import day, minute
from maintenance.record import Comparison, OpenIssue

_ROWS = 300
_HOSTS, _SUBJECTS, _VALUES = 6, 4, 2  # that a cell names
_COLOURS = {"closed": GREEN, "open": RED, "new": YELLOW, "unknown": GREY}


def applies(view: View) -> bool:
    """Whether there is an earlier assessment to compare with."""
    comparison = view.record.comparison
    return bool(view.assessment.previous and comparison and comparison.previous_run)


def render(view: View, target: Path, entry: EntryFacts) -> Path:
    """Write the document to `target`; `applies` has said that there is one."""
    from docxtpl import DocxTemplate
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    from maintenance.documents.assessment import properties

    template = DocxTemplate(TEMPLATES / f"remediation.{view.record.language}.docx")
    template.render(
        build_context(view, entry),
        SandboxedEnvironment(autoescape=True, undefined=StrictUndefined),
        autoescape=True,
    )
    properties(template, view, view.words("remediation"))
    template.save(str(target))
    return target


def build_context(view: View, entry: EntryFacts) -> dict[str, Any]:
    """Everything that the template names; pure."""
    record, words, comparison = view.record, view.words, view.record.comparison
    if comparison is None:
        raise ValueError("this record is compared with none before it")
    digests = (entry.record_sha256, entry.previous_manifest_sha256)
    return {
        "cover": front.cover(record, entry.seq, digests, words)
        | {"standard": clean(view.assessment.standard, 120)},
        "summary": _summary(view, comparison),
        "changes": assessment_changes.changes(view),
        "dangers": assessment_tables.dangers(view),
        "mended": _mended(view, comparison),
        "unmended": _unmended(view, comparison),
        "waivers": assessment_tables.waivers(view),
        "verification": appendix.verification(words),
    }


def _summary(view: View, comparison: Comparison) -> dict[str, Any]:
    words = view.words
    states: Counter[str] = Counter(issue.state for issue in comparison.issues)
    before = Counter(view.assessment.previous.values())
    after: Counter[str] = Counter(item.verdict for item in view.assessment.items)
    left = len(comparison.issues) - states["new"]
    sentences = [
        words(
            "remedied_conclusion",
            before=left,
            **{state: states[state] for state in _COLOURS},
            pass_before=before["pass"],
            pass_after=after["pass"],
            fail_before=before["fail"],
            fail_after=after["fail"],
        )
        if left
        else words("remedied_none_before")
    ]
    codes = words("list").join(clean(one.code, 20) for one in view.assessment.dangers)
    sentences.append(
        words("dangers_still", n=len(view.assessment.dangers), codes=codes)
        if view.assessment.dangers
        else words("dangers_gone")
    )
    grave = bool(view.assessment.dangers)
    wrong = states["open"] + states["unknown"] + states["new"]
    return {
        "conclusion": words("join").join(sentences),
        "colour": RED if grave else YELLOW if wrong else GREEN,
        "before": left,
        "closed": states["closed"],
        "open": states["open"],
        "new": states["new"],
        "unknown": states["unknown"],
        "previous": f"{minute(comparison.previous_finished or '')}{words('comma')}{clean(comparison.previous_run, 120)}"
        if comparison.previous_finished
        else clean(comparison.previous_run, 120),
    }


def _mended(view: View, comparison: Comparison) -> Table:
    """What the assessment before asked for and this one asks for no more."""
    words = view.words
    closed = [issue for issue in comparison.issues if issue.state == "closed"]
    if not closed:
        return Table(sentence=words("mended_none"))
    rows = [
        _row(view, group) | {"after": _after(view, group), "remedy": _remedy(view, group[0])}
        for group in _grouped(closed)
    ]
    run = clean(comparison.previous_run, 120)
    return _table(view, rows, words("mended_sentence", n=len(closed), rows=len(rows), run=run))


def _unmended(view: View, comparison: Comparison) -> Table:
    """What is still wrong, new, or could not be looked at."""
    words, today = view.words, day(view.record.finished)
    left = [issue for issue in comparison.issues if issue.state != "closed"]
    if not left:
        return Table(sentence=words("unmended_none"))
    rows = []
    for group in _grouped(left):
        first = group[0]
        state = words(f"state_{first.state}")
        late = overdue(first, today)
        rows.append(
            _row(view, group)
            | {
                "state": words("overdue_state", state=state) if late else state,
                "state_colour": RED if late else _COLOURS[first.state],
                "measured": _measured(view, group),
                "advice": clean(first.advice, 300) or "—",
                "owner": words(clean(first.owner, 60)) or words("not_provided"),
                "due": clean(first.due, 20),
                "remedy": _remedy(view, first),
                "instead": "",
            }
        )
    return _table(view, rows, words("unmended_sentence", n=len(left), rows=len(rows)))


def _table(view: View, rows: Sequence[Row], sentence: str) -> Table:
    note = view.words("rows_in_sheet", n=len(rows) - _ROWS) if len(rows) > _ROWS else ""
    return Table(number_rows(rows[:_ROWS]), note, sentence)


def _grouped(issues: Sequence[OpenIssue]) -> list[list[OpenIssue]]:
    """Problems of one check, state and date stand together."""
    groups: dict[tuple[str, ...], list[OpenIssue]] = {}
    for issue in issues:
        key = (issue.id, issue.state, issue.severity, issue.due, day(issue.first_seen))
        groups.setdefault(key, []).append(issue)
    return list(groups.values())


def _row(view: View, group: Sequence[OpenIssue]) -> Row:
    words, first = view.words, group[0]
    hosts = sorted({issue.host for issue in group}, key=natural)
    clause = next((one.finding.clause for one in view.by_check.get(first.id, ())), "")
    return {
        "id": f"{clean(first.id, 40)}\n{clean(clause, 20)}".strip(),
        "title": clean(first.title, 160) + _about(view, group),
        "hosts": host_list(hosts, words, _HOSTS),
        "severity": words(first.severity),
        "severity_colour": SEVERITY_COLOUR[first.severity],
        "before": _before(view, group),
    }


def _before(view: View, group: Sequence[OpenIssue]) -> str:
    """What was measured and wanted when it was first seen, and since when. Older records kept the day alone."""
    words, since = view.words, day(group[0].first_seen)
    if not any(issue.actual for issue in group):
        return words("seen_before", day=since)
    wanted = clean(view.told(group[0].expected), 100) or "—"
    actual = _values(view, [view.told(issue.actual) for issue in group])
    return words("measured_before", actual=actual, expected=wanted, day=since)


def _measured(view: View, group: Sequence[OpenIssue]) -> str:
    """Of what is still wrong: what was measured when it was first seen, what is now, and what is wanted."""
    words = view.words
    hosts, subjects = {issue.host for issue in group}, {issue.subject for issue in group}
    now = [
        one.finding
        for one in view.by_check.get(group[0].id, ())
        if one.host in hosts and one.finding.subject in subjects
    ]
    wanted = next((finding.expected for finding in now), view.told(group[0].expected))
    return words(
        "measured_twice",
        before="—"
        if group[0].state == "new"
        else _values(view, [view.told(issue.actual) for issue in group]),
        now=_values(view, [finding.actual for finding in now]),
        expected=clean(wanted, 100) or "—",
    )


def _values(view: View, texts: Sequence[str]) -> str:
    """Some of the different values, or a dash."""
    shown = list(dict.fromkeys(clean(text, 100) for text in texts if text))
    return view.words("semicolon").join(shown[:_VALUES]) + ("…" if len(shown) > _VALUES else "") or "—"


def _about(view: View, group: Sequence[OpenIssue]) -> str:
    """The objects of a row: some by name, and how many."""
    subjects = list(
        dict.fromkeys(clean(issue.subject, 120) for issue in group if issue.subject not in ("", issue.host))
    )
    if not subjects:
        return ""
    listed = view.words("list").join(subjects[:_SUBJECTS])
    if len(subjects) > _SUBJECTS:
        listed = view.words("objects_more", objects=listed, n=len(subjects))
    return f"\n{listed}"


def _after(view: View, group: Sequence[OpenIssue]) -> str:
    """What the same check says now of the same hosts, where that can be said in a cell."""
    hosts = {issue.host for issue in group}
    found = [one.finding for one in view.by_check.get(group[0].id, ()) if one.host in hosts]
    if any(finding.verdict == "waived" for finding in found):
        return view.words("now_waived")
    values = sorted({finding.actual for finding in found if finding.verdict == "pass"})
    if not values:
        return view.words("now_gone")
    return f"{view.words('pass')}{view.words('colon')}{_values(view, values)}"


def _remedy(view: View, issue: OpenIssue) -> str:
    info = view.info(issue.id)
    if not info.id:
        return "—"
    return f"{info.risk} / {view.words('fixable' if info.fixable else 'not_fixable')}"
