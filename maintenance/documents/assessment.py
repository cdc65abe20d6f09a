"""《等保三级自评估报告》: an assessment as Word and as a workbook. Made from the record, and nothing else."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from maintenance import manifest, runbook
from maintenance.documents import (
    appendix,
    assessment_changes,
    assessment_failing,
    assessment_sheet,
    assessment_tables,
    front,
    remediation,
)
from maintenance.documents.assessed import View, count, ratio, score, system_of
from maintenance.documents.clean import clean
from maintenance.documents.inspection import TEMPLATES, EntryFacts
from maintenance.documents.table import GREEN, GREY, RED, YELLOW, Row, Table
from maintenance.local_time import parse
from maintenance.record import Record

_RULES = ("catalogue.yml", "*_checks.yml")  # in roles/baseline/vars: what the verdicts follow from


def file_name(record: Record, suffix: str = "docx", kind: str = "assessment") -> str:
    """2026Q4_lab_assessment_20261122.docx: ASCII, as the paths of an entry must be."""
    when = parse(record.finished)
    site = re.sub(r"[^A-Za-z0-9_-]", "-", record.site)
    return f"{when.year}Q{(when.month + 2) // 3}_{site}_{kind}_{when:%Y%m%d}.{suffix}"


def render(record: Record, folder: Path, *, entry: EntryFacts) -> list[Path]:
    """Write the report into `folder`: Word documents first (of a later assessment two), then the workbook."""
    from docx.shared import Cm
    from docxtpl import DocxTemplate, InlineImage
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    from maintenance.documents import charts

    view = View(record)
    template = DocxTemplate(TEMPLATES / f"assessment.{record.language}.docx")
    context = build_context(view, entry)
    with tempfile.TemporaryDirectory(prefix="maintenance-charts-") as scratch:
        counts = {view.words(chapter): count(items) for chapter, items in view.chapters()}
        if counts:
            chart = charts.by_verdict(counts, view.words, Path(scratch) / "chapters.png")
            context["summary"]["chart"] = InlineImage(template, str(chart), width=Cm(16))
        template.render(
            context, SandboxedEnvironment(autoescape=True, undefined=StrictUndefined), autoescape=True
        )
    properties(template, view, view.words("report"))
    made = [folder / file_name(record)]
    template.save(str(made[0]))
    if remediation.applies(view):
        made.append(remediation.render(view, folder / file_name(record, kind="remediation"), entry))
    return [*made, assessment_sheet.write(view, folder / file_name(record, "xlsx"), entry)]


def build_context(view: View, entry: EntryFacts) -> dict[str, Any]:
    """Everything that the template names, except the chart; pure but for the digests of the rule files."""
    record, words = view.record, view.words
    digests = (entry.record_sha256, entry.previous_manifest_sha256)
    cover = front.cover(record, entry.seq, digests, words)
    cover["after"] = words("with_previous") if view.assessment.previous else ""
    cover["standard"] = clean(view.assessment.standard, 120)
    return {
        "cover": cover,
        "summary": summary(view),
        "scope": front.scope(record, words),
        "method": _method(view),
        "dangers": assessment_tables.dangers(view),
        "chapters": assessment_tables.chapters(view),
        "items": assessment_tables.items(view),
        "failing": assessment_failing.failing(view),
        "waivers": assessment_tables.waivers(view),
        "todo": assessment_tables.todo(view),
        "changes": assessment_changes.changes(view),
        "commands": words("commands_elsewhere"),
        "fingerprints": _fingerprints(view, digests),
        "verification": appendix.verification(words),
    }


def summary(view: View) -> dict[str, Any]:
    """Chapter 0."""
    assessment, words = view.assessment, view.words
    counts = count(assessment.items)
    return {
        **counts,
        "passed": counts["pass"],  # `pass` is no name in a template's expression
        "total": len(assessment.items),
        "ratio": ratio(view),
        "dangers": len(assessment.dangers),
        "hosts": len(view.record.hosts_expected),
        "checks": len(view.findings),
        "failing": sum(one.acts for one in view.findings),
        "expired": sum(one.expired for one in assessment.waivers),
        "waivers": len(assessment.waivers),
        "conclusion": _conclusion(view, counts),
        "colour": _grade(view, counts),
        "open": words("open_some", **counts) if counts["manual"] + counts["unknown"] else words("open_none"),
        "score": score(view),
        "chart": "",
    }


def _conclusion(view: View, counts: dict[str, int]) -> str:
    words, record, assessment = view.words, view.record, view.assessment
    sentences = []
    if record.outcome != "succeeded":
        reason = clean(record.outcome_reason, 200)
        outcome = words(record.outcome) + (words("colon") + reason if reason else "")
        sentences.append(words("conclusion_outcome", outcome=outcome))
    codes = words("list").join(clean(one.code, 20) for one in assessment.dangers)
    if assessment.dangers:
        sentences.append(words("conclusion_dangers", n=len(assessment.dangers), codes=codes))
    else:
        sentences.append(words("conclusion_no_danger"))
    sentences.append(words("conclusion_counts", total=len(assessment.items), **counts))
    low, high = assessment.ratio_low, assessment.ratio_high
    sentences.append(words("conclusion_ratio", low=f"{low:.1f}", high=f"{high:.1f}"))
    return words("join").join(sentences)


def _grade(view: View, counts: dict[str, int]) -> str:
    if view.assessment.dangers:
        return RED
    if counts["fail"] or counts["partial"] or view.record.outcome != "succeeded":
        return YELLOW
    return GREY if counts["manual"] or counts["unknown"] or not counts["pass"] else GREEN


def _method(view: View) -> dict[str, str]:
    """What the chapter on the method takes from the record."""
    return {
        "formula": clean(view.assessment.ratio_method, 800),
        "ratio": ratio(view),
        "checks": view.words(
            "checks_done", n=len(view.findings), ids=len(view.by_check), hosts=len(view.record.evidence)
        ),
    }


def _fingerprints(view: View, digests: tuple[str, str]) -> Table:
    """Those of every report, and of the files that the verdicts follow from."""
    table = appendix.fingerprints(view.record, digests, view.words)
    folder = runbook.REPOSITORY / "roles" / "baseline" / "vars"
    rules: list[Row] = [
        {
            "name": f"{view.words('rules_file')} {path.name}",
            "bytes": f"{path.stat().st_size:,}",
            "sha256": manifest.sha256_file(path),
        }
        for pattern in _RULES
        for path in sorted(folder.glob(pattern))
    ]
    return Table([*rules, *table.rows], table.note)


def properties(template: Any, view: View, title: str) -> None:
    """What Word shows of the file; set after rendering, so that it is never read as a template."""
    record, properties = view.record, template.docx.core_properties
    properties.title = f"{system_of(view)} {title}"[:250]
    properties.author = clean(record.operator.principal, 120)
    properties.subject = clean(record.run, 120)
    properties.comments = ""
    properties.created = properties.modified = parse(record.finished).replace(tzinfo=None)
    properties.language = "zh-CN" if record.language == "zh" else "en"
