"""《巡检报告》: the report of an inspection, as Word. Made from the record and its snapshots, and nothing else."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maintenance.documents import (
    appendix,
    capacities,
    database_facts,
    followed,
    front,
    host_facts,
    judged,
    results,
    storage_facts,
)
from maintenance.documents.clean import clean
from maintenance.documents.facts import Snapshots, View, number
from maintenance.documents.table import Missing
from maintenance.documents.words import Words
from maintenance.local_time import parse
from maintenance.record import Record

TEMPLATES = Path(__file__).parent / "templates"
_CHAPTERS = {  # the areas whose checks a chapter shows
    "system": ("system", "network", "services", "time"),
    "database": ("database",),
    "storage": ("storage",),
    "backup": ("backup",),
    "jobs": ("jobs",),
    "security": ("security",),
}


@dataclass(frozen=True)
class EntryFacts:
    """The entry of the ledger that the report will lie in; printed on its cover."""

    seq: int
    record_sha256: str
    previous_manifest_sha256: str


def preload() -> None:
    """Import what is slow; a run may do so in a thread while it waits for its hosts."""
    import docxtpl  # noqa: F401
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401


def title_of(record: Record) -> str:
    """The report's title as a reader says it."""
    words = Words(record.language)
    system = clean(record.site_facts.get("system"), 120) or clean(record.site, 60)
    return f"{system} {front.quarter(record, words)} {words('report')}"


def file_name(record: Record) -> str:
    """2026Q4_lab_inspection_20261122.docx: ASCII, as the paths of an entry must be."""
    when = parse(record.finished)
    site = re.sub(r"[^A-Za-z0-9_-]", "-", record.site)
    return f"{when.year}Q{(when.month + 2) // 3}_{site}_inspection_{when:%Y%m%d}.docx"


def render_inspection(
    record: Record,
    snapshots: Snapshots,
    folder: Path,
    *,
    entry: EntryFacts,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Write the report into `folder`; snapshots are {host: {module: snapshot}}."""
    from docx.shared import Cm
    from docxtpl import DocxTemplate, InlineImage
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    words = Words(record.language)
    template = DocxTemplate(TEMPLATES / f"inspection.{record.language}.docx")
    with tempfile.TemporaryDirectory(prefix="maintenance-charts-") as scratch:
        progress(words("drawing"))
        context = build_context(record, snapshots, entry)
        for place, chart in _charts(record, context, Path(scratch), words).items():
            section, name = place.split(".")
            context[section][name] = InlineImage(template, str(chart), width=Cm(16)) if chart else ""
        progress(words("writing"))
        # Values are escaped once and never read as templates; a name that a template misspells is an error.
        template.render(
            context, SandboxedEnvironment(autoescape=True, undefined=StrictUndefined), autoescape=True
        )
    _properties(template, record)
    path = folder / file_name(record)
    template.save(str(path))
    return [path]


def build_context(record: Record, snapshots: Snapshots, entry: EntryFacts) -> dict[str, Any]:
    """Everything that the template names, except the charts; pure."""
    words = Words(record.language)
    digests = (entry.record_sha256, entry.previous_manifest_sha256)
    findings = judged.all_judged(record)
    view = View(record, snapshots, words)
    expansion = capacities.expansion(record.forecasts, words)
    every, compact = results.everything(findings, words)
    return {
        "cover": front.cover(record, entry.seq, digests, words),
        "summary": front.summary(record, findings, words),
        "scope": front.scope(record, words),
        "checks": {name: results.checks(findings, areas, words) for name, areas in _CHAPTERS.items()},
        "forecast": _forecast(record, words),
        "expansion": expansion,
        "terminals": front.terminals(record, words),
        "followed": followed.issues(record, words),
        "problems": results.problems(record, findings, words),
        "unknown": results.unknown(findings, words),
        "tuning": results.tuning(findings, words),
        "hardware": results.hardware(findings, words, expansion.rows),
        "commands": appendix.commands(snapshots, words),
        "fingerprints": appendix.fingerprints(record, digests, words),
        "verification": appendix.verification(words),
        "everything": every,
        "compact": compact,
        "databases_here": bool(view.database_hosts()),
        "no_databases": words("no_databases"),
        "capacity": {"uses": _uses(view), "sizes": _sizes(view)},
        **host_facts.tables(view),
        **storage_facts.tables(view),
        **database_facts.tables(view),
    }


def _uses(view: View) -> list[tuple[str, float]]:
    """What the chart of file systems shows."""
    return [
        (f"{host} {mount.get('mount')}", use)
        for host, mount in storage_facts.mounts(view, Missing(view.words))
        if (use := number(mount.get("used_percent"))) is not None
    ]


def _sizes(view: View) -> list[tuple[str, float]]:
    """What the chart of databases shows."""
    return [
        (f"{host} {name}", amount)
        for host, name, amount in database_facts.database_sizes(view, Missing(view.words))
    ]


def _forecast(record: Record, words: Words) -> dict[str, Any]:
    table = capacities.forecast_rows(record.forecasts, words)
    return {"method": capacities.method(record.forecasts, words), "rows": table.rows, "note": table.note}


def _charts(record: Record, context: dict[str, Any], scratch: Path, words: Words) -> dict[str, Path | None]:
    """Where there is something to draw, its picture."""
    from maintenance.documents import charts

    areas = judged.count_by_area(judged.all_judged(record))
    lines = capacities.charted(record.forecasts)
    uses, sizes = context["capacity"].pop("uses"), context["capacity"].pop("sizes")
    return {
        "summary.chart": charts.by_area(areas, words, scratch / "areas.png") if areas else None,
        "capacity.filesystems_chart": charts.use(uses, scratch / "filesystems.png") if uses else None,
        "capacity.databases_chart": charts.sizes(sizes, scratch / "databases.png") if sizes else None,
        "forecast.chart": charts.trends(lines, scratch / "trends.png") if lines else None,
    }


def _properties(template: Any, record: Record) -> None:
    """What Word shows of the file; set after rendering, so that it is never read as a template."""
    properties = template.docx.core_properties
    properties.title = title_of(record)[:250]
    properties.author = clean(record.operator.principal, 120)
    properties.subject = clean(record.run, 120)
    properties.comments = ""
    properties.created = properties.modified = parse(record.finished).replace(tzinfo=None)
    properties.language = "zh-CN" if record.language == "zh" else "en"
