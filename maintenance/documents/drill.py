"""《恢复演练报告》: what a restore drill proved, how long it took, what would be lost. From the record alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from maintenance.documents import appendix, front
from maintenance.documents.clean import clean
from maintenance.documents.inspection import TEMPLATES, EntryFacts
from maintenance.documents.table import GREEN, GREY, NONE, RED, YELLOW, Row, Table, number_rows
from maintenance.documents.words import Words
from maintenance.local_time import parse
from maintenance.record import Finding, Record

_COLOURS = {"pass": NONE, "partial": YELLOW, "fail": RED, "unknown": GREY}
_RESULTS = {
    "pass": ("通过", "passed"),
    "partial": ("部分通过", "partly"),
    "fail": ("未通过", "failed"),
    "unknown": ("未证明", "not proven"),
}
# Marks of the drill in their order, what each phase is, and whether the time to recover counts it.
_PHASES = (
    ("pinned", "生产库定点，逐表计算摘要", "Production pinned and digested", False),
    ("found", "选定并逐字节校验备份与归档日志", "Backup and archive chosen and proven", True),
    ("restored", "恢复数据文件", "Files restored", True),
    ("fetched", "取回归档日志，配置隔离副本", "WAL brought, copy isolated", True),
    ("replayed", "启动副本，重放到目标", "Copy started and replayed to its target", True),
    ("opened", "开放查询，业务查询应答", "Opened, questions answered", True),
    ("proven", "逐页、逐索引、逐表校验", "Pages, indexes and rows proven", False),
)
_PROOFS = ("PRF-PAG-01", "PRF-AMC-01", "DRL-ROW-01", "DRL-ASK-01", "DRL-COL-01")
_UNTOUCHED = ("DRL-PRD-01", "DRL-REP-01", "DRL-LOD-01")
_WORDS: dict[str, tuple[str, str]] = {
    "title": ("恢复演练报告", "Report of a restore drill"),
    "good": (
        "合格。备份恢复到明确的目标，各项校验全部通过，演练数据已销毁。",
        "Passed. The backup was restored to an explicit target, every proof passed, the copy was wiped.",
    ),
    "partly": (
        "部分合格。没有校验失败；未能证明或有偏差的项目：{names}。",
        "Passed in part. Nothing failed; not proven, or with a deviation: {names}.",
    ),
    "bad": (
        "不合格。{names}。备份在问题解决并再次演练通过之前不能视为可用。",
        "Not passed: {names}. The backup is not usable until this is mended and a drill passes.",
    ),
    "broke": ("演练未完成（{why}）", "the drill did not come to its end ({why})"),
    "counted": ("计入 RTO", "counts"),
    "not_counted": ("不计入", "does not"),
    "seconds": ("{value:g} 秒", "{value:g} s"),
    "not_reached": ("未进行到", "not reached"),
    "total": ("合计（RTO）", "Together (RTO)"),
    "no_deviation": ("无。", "None."),
    "missing": ("未取得", "not obtained"),
}


class _View:
    """A record of a drill, as this report asks it."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.zh = record.language == "zh"
        self.findings: list[Finding] = [one for found in record.evidence.values() for one in found]
        self.numbers = {one.name: one.value for found in record.metrics.values() for one in found}

    def word(self, name: str, **values: object) -> str:
        """A text in the record's language."""
        return _WORDS[name][0 if self.zh else 1].format(**values)

    def finding(self, id_: str) -> Finding | None:
        """The last one of this name."""
        return next((one for one in reversed(self.findings) if one.id == id_), None)

    def said(self, id_: str, *, expected: bool = False) -> str:
        """What a finding says."""
        found = self.finding(id_)
        if found is None:
            return self.word("missing")
        return clean(found.expected if expected else found.actual, 1500) or "—"


def applies(record: Record) -> bool:
    """Whether there was a drill to report of, and not a wiping alone."""
    return any(one.id == "DRL-RTO-01" for found in record.evidence.values() for one in found)


def file_name(record: Record) -> str:
    """lab_drill_20261123.docx: ASCII, as the paths of an entry must be."""
    site = re.sub(r"[^A-Za-z0-9_-]", "-", record.site)
    return f"{site}_drill_{parse(record.finished):%Y%m%d}.docx"


def render(record: Record, folder: Path, *, entry: EntryFacts) -> list[Path]:
    """Write the report into `folder`; none of a run that only wiped."""
    from docxtpl import DocxTemplate
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    if not applies(record):
        return []
    template = DocxTemplate(TEMPLATES / f"drill.{record.language}.docx")
    context = build_context(record, entry)
    template.render(
        context, SandboxedEnvironment(autoescape=True, undefined=StrictUndefined), autoescape=True
    )
    properties = template.docx.core_properties
    properties.title = f"{context['cover']['system']} {_View(record).word('title')}"[:250]
    properties.author = context["cover"]["engineer"]
    properties.comments = ""
    properties.language = "zh-CN" if record.language == "zh" else "en"
    properties.created = properties.modified = parse(record.finished).replace(tzinfo=None)
    path = folder / file_name(record)
    template.save(str(path))
    return [path]


def build_context(record: Record, entry: EntryFacts) -> dict[str, Any]:
    """Everything that the template names; pure."""
    view, words = _View(record), Words(record.language)
    cover = front.cover(record, entry.seq, (entry.record_sha256, entry.previous_manifest_sha256), words)
    return {
        "cover": cover,
        "summary": _summary(view),
        "scope": {
            "reason": clean(record.reason) or "—",
            "host": clean(", ".join(record.metrics) or ", ".join(record.evidence), 120),
            "clauses": words("list").join(clean(clause, 20) for clause in record.runbook.clauses),
            "target": view.said("DRL-TGT-01", expected=True),
            "reached": view.said("DRL-TGT-01"),
            "source": view.said("DRL-SRC-01"),
            "command": clean(record.command),
        },
        "phases": _phases(view),
        "rto": {"demand": view.said("DRL-RTO-01", expected=True), "result": _result(view, "DRL-RTO-01")},
        "rpo": {
            "demand": view.said("DRL-RPO-01", expected=True),
            "actual": view.said("DRL-RPO-01"),
            "result": _result(view, "DRL-RPO-01"),
        },
        "proofs": _table(view, _PROOFS),
        "untouched": _table(view, _UNTOUCHED),
        "wiped": _table(view, ("DRL-WIP-01",)),
        "deviations": _deviations(view),
        "verification": appendix.verification(words),
    }


def _result(view: _View, id_: str) -> str:
    found = view.finding(id_)
    return _RESULTS.get(found.verdict if found else "unknown", _RESULTS["unknown"])[0 if view.zh else 1]


def _summary(view: _View) -> dict[str, Any]:
    record = view.record
    failed = [one for one in view.findings if one.verdict == "fail"]
    open_ = [one for one in view.findings if one.verdict in ("partial", "unknown")]
    missing = [id_ for id_ in (*_PROOFS[:3], "DRL-WIP-01") if view.finding(id_) is None]
    comma = "、" if view.zh else ", "

    def names(found: list[Finding]) -> str:
        return comma.join(dict.fromkeys(clean(one.title, 60) for one in found))

    if failed or missing or record.outcome != "succeeded":
        parts = [names(failed)] if failed else []
        if missing or not failed:
            parts.append(view.word("broke", why=clean(record.outcome_reason, 300) or comma.join(missing)))
        text, colour = view.word("bad", names=("；" if view.zh else "; ").join(parts)), RED
    elif open_:
        text, colour = view.word("partly", names=names(open_)), YELLOW
    else:
        text, colour = view.word("good"), GREEN
    return {
        "conclusion": text,
        "colour": colour,
        "rto": _seconds(view, "drill_rto_seconds"),
        "rpo": _seconds(view, "drill_rpo_seconds"),
        "transactions": _count(view, "drill_rpo_transactions"),
        "passed": sum(one.verdict == "pass" for one in view.findings),
        "failed": len(failed),
        "open": len(open_),
    }


def _seconds(view: _View, name: str) -> str:
    value = view.numbers.get(name)
    return view.word("missing") if value is None else view.word("seconds", value=round(value, 1))


def _count(view: _View, name: str) -> str:
    value = view.numbers.get(name)
    return view.word("missing") if value is None else f"{value:,.0f}"


def _phases(view: _View) -> Table:
    rows: list[Row] = []
    for mark, zh, en, counts in _PHASES:
        value = view.numbers.get(f"drill_{mark}_seconds")
        rows.append(
            {
                "phase": zh if view.zh else en,
                "seconds": view.word("not_reached")
                if value is None
                else view.word("seconds", value=round(value, 1)),
                "counts": view.word("counted" if counts else "not_counted"),
                "colour": GREY if value is None else NONE,
            }
        )
    total: Row = {"phase": view.word("total"), "seconds": _seconds(view, "drill_rto_seconds"), "counts": ""}
    return Table([*number_rows(rows), total | {"number": "", "colour": GREEN}])


def _table(view: _View, ids: tuple[str, ...]) -> Table:
    rows: list[Row] = []
    for id_ in ids:
        found = view.finding(id_)
        verdict = found.verdict if found else "unknown"
        rows.append(
            {
                "id": id_,
                "title": clean(found.title, 160) if found else view.word("missing"),
                "expected": clean(found.expected, 160) if found else "—",
                "actual": view.said(id_),
                "result": _result(view, id_),
                "colour": _COLOURS.get(verdict, GREY),
            }
        )
    return Table(rows)


def _deviations(view: _View) -> Table:
    left = [one for one in view.findings if one.verdict != "pass"]
    if not left:
        return Table(note=view.word("no_deviation"))
    rows: list[Row] = [
        {
            "title": f"{clean(one.id, 40)}\n{clean(one.title, 160)}",
            "result": _RESULTS.get(one.verdict, _RESULTS["unknown"])[0 if view.zh else 1],
            "colour": _COLOURS.get(one.verdict, GREY),
            "actual": clean(one.actual, 600) or "—",
            "advice": clean(one.advice, 300) or "—",
            "due": "",
        }
        for one in left
    ]
    return Table(number_rows(rows))
