"""《故障处理记录》: a fault from report to signature. Made from the signed entries of its case and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from maintenance.case_events import CONVERSATION, EVENTS, Fault, Measure
from maintenance.cases import ANSWERS, Case, Clock, Event, Joined, pauses
from maintenance.documents.clean import clean
from maintenance.documents.inspection import TEMPLATES
from maintenance.documents.table import GREEN, GREY, NONE, RED, YELLOW, Row, Table, number_rows
from maintenance.local_time import minute, parse
from maintenance.logbook import KINDS

_ROWS = 120  # of one table; the ledger holds them all
_REPORT = ("title", "reporter", "department")
_LONG = 2000  # characters of a paragraph
_WORDS: dict[str, dict[str, Any]] = {
    "zh": {
        "missing": "未提供",
        "none": "无",
        "list": "、",
        "semicolon": "；",
        "colon": "：",
        "open": "处理中：故障尚未恢复（本页为过程稿，不作验收依据）",
        "restored": "业务已恢复，记录尚未关闭（本页为过程稿，不作验收依据）",
        "closed": "已修复并通过测试：报修至恢复历时 {outage}",
        "kept": "；合同时限 {count} 项均达标",
        "missed": "；合同时限未达标：{names}",
        "no_limits": "；合同文件未载明时限",
        "clock": {"phone": "电话反馈", "remote": "远程反馈", "onsite": "到达现场"},
        "channel": {"phone": "电话", "remote": "远程", "onsite": "现场"},
        "state": {
            "met": "达标",
            "missed": "未达标",
            "running": "计时中",
            "overdue": "已超时",
            "not_needed": "未发生",
        },
        "not_needed_after": "无需到场",
        "hours": "{n} 小时",
        "no_clocks": "合同文件未载明服务时限，故不作判定。",
        "late_clock": "{name}的响应条目补记于事后 {late}，实际时刻以院方留存为准",
        "late": "（事后 {late} 补记）",
        "pause_open": "未恢复",
        "severity": {
            "critical": "严重（业务中断）",
            "major": "重要（部分业务受影响）",
            "minor": "一般（不影响业务）",
        },
        "not_taken": "尚未反馈",
        "tested": "修复后测试 {count} 项，全部通过",
        "not_restored": "尚未恢复",
        "not_closed": "尚未关闭",
        "confirmed": "，院方确认人 {who}",
        "unconfirmed": "，院方确认人未记录",
        "talked": "{when}，修复前",
        "talked_late": "{when}，晚于首次修复（{repair}）",
        "not_talked": "尚未完成",
        "no_fault": "（关闭时填写）",
        "kinds": {"temporary": "临时措施", "permanent": "永久措施"},
        "passed": "通过",
        "failed": "未通过",
        "more": "另有 {count} 项，见台账。",
        "no_steps": "",
        "outcome": {
            "succeeded": "完成",
            "failed": "执行失败",
            "unreachable": "未能到达",
            "cancelled": "被中止",
            "incomplete": "未完整执行",
            "refused": "被拒绝",
        },
        "step": {"changed": "已变更", "failed": "失败", "unreachable": "未到达"},
        "run": "运行手册",
        "changes": "{count} 项变更",
        "duration": ("{n} 天", "{n} 小时", "{n} 分钟", " "),
        "draft": "（过程稿，未签名）",
    },
    "en": {
        "missing": "not provided",
        "none": "none",
        "list": ", ",
        "semicolon": "; ",
        "colon": ": ",
        "open": "Being worked on: not restored yet (a draft, no ground for acceptance)",
        "restored": "Restored, not closed yet (a draft, no ground for acceptance)",
        "closed": "Repaired and tested; {outage} from report to restoration",
        "kept": "; all {count} limits of the contract were kept",
        "missed": "; limits of the contract that were missed: {names}",
        "no_limits": "; the contract file names no limits",
        "clock": {"phone": "Telephone", "remote": "Remote", "onsite": "On site"},
        "channel": {"phone": "telephone", "remote": "remote", "onsite": "on site"},
        "state": {
            "met": "met",
            "missed": "missed",
            "running": "running",
            "overdue": "overdue",
            "not_needed": "not needed",
        },
        "not_needed_after": "not needed",
        "hours": "{n} h",
        "no_clocks": "The contract file names no limits, so nothing is judged here.",
        "late_clock": "{name}: the entry that stopped it was made {late} after; what the hospital kept governs",
        "late": " (recorded {late} after)",
        "pause_open": "not resumed",
        "severity": {
            "critical": "critical (no service)",
            "major": "major (part of the service)",
            "minor": "minor (service goes on)",
        },
        "not_taken": "not yet",
        "tested": "{count} tests after the repair, all passed",
        "not_restored": "not restored yet",
        "not_closed": "not closed yet",
        "confirmed": ", confirmed by {who}",
        "unconfirmed": ", nobody of the hospital is named who confirmed it",
        "talked": "{when}, before the repair",
        "talked_late": "{when}, after the first repair ({repair})",
        "not_talked": "not yet",
        "no_fault": "(written when it is closed)",
        "kinds": {"temporary": "for now", "permanent": "for good"},
        "passed": "passed",
        "failed": "failed",
        "more": "{count} more are in the ledger.",
        "no_steps": "",
        "outcome": {},
        "step": {"unreachable": "not reached"},
        "run": "runbook",
        "changes": "{count} changes",
        "duration": ("{n} d", "{n} h", "{n} min", " "),
        "draft": "(a draft, not signed)",
    },
}
_CLOCK_COLOUR = {"met": GREEN, "missed": RED, "overdue": RED, "running": YELLOW, "not_needed": GREY}


def file_name(site: str, case: str) -> str:
    """lab_fault_C20261123-01.docx: ASCII, as the paths of an entry must be."""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '-', site)}_fault_{re.sub(r'[^A-Za-z0-9_-]', '-', case)}.docx"


def render(
    case: Case, site_facts: Mapping[str, str], site: str, target: Path, *, language: Literal["zh", "en"]
) -> Path:
    """Write the document to `target`."""
    from docxtpl import DocxTemplate
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    context = build_context(case, site_facts, site, language=language)
    template = DocxTemplate(TEMPLATES / f"fault.{language}.docx")
    template.render(
        context, SandboxedEnvironment(autoescape=True, undefined=StrictUndefined), autoescape=True
    )
    properties = template.docx.core_properties
    properties.title = f"{case.id} {context['cover']['title']}"[:250]
    properties.author = clean(context["proof"]["signer"], 120)
    properties.comments = ""
    properties.language = "zh-CN" if language == "zh" else "en"
    properties.created = properties.modified = parse(case.events[-1].at).replace(tzinfo=None)
    template.save(str(target))
    return target


def build_context(
    case: Case, site_facts: Mapping[str, str], site: str, *, language: Literal["zh", "en"]
) -> dict[str, Any]:
    """Everything that the template names; pure."""
    words = _WORDS[language]
    facts = {name: clean(value, 120) for name, value in site_facts.items()}
    parties = [facts.get("hospital", ""), facts.get("vendor", "")]
    closed = case.closed
    fault = closed.closing.fault if closed and closed.closing else None
    return {
        "cover": {
            "title": clean(case.title, 120),
            "system": facts.get("system") or clean(site, 60),
            "parties": "  |  ".join(part for part in parties if part),
            **{name: facts.get(name) or words["missing"] for name in ("hospital", "vendor", "contract")},
        },
        "conclusion": _conclusion(case, words),
        "report": _report(case, words),
        "clocks": _clocks(case, words),
        "pauses": _pauses(case, words),
        "fault": _fault(case, fault, words),
        "timeline": _timeline(case, words, language),
        "runs": _runs(case.joined, words, language),
        "steps": _steps(case.joined, words),
        "measures": _measures(fault.measures if fault else [], words),
        "tests": _tests(fault, words),
        "attachments": _attachments(case),
        "proof": _proof(case, closed, site, words),
    }


def _conclusion(case: Case, words: dict[str, Any]) -> dict[str, str]:
    if case.state != "closed":
        return {"text": words[case.state], "colour": YELLOW}
    judged = [clock for clock in case.clocks if clock.started]
    missed = [clock for clock in judged if clock.state == "missed"]
    text = words["closed"].format(outage=_duration(_between(case.opened, case.restored), words))
    if missed:
        text += words["missed"].format(
            names=words["list"].join(_clock_name(clock, words) for clock in missed)
        )
    else:
        text += words["kept"].format(count=len(judged)) if judged else words["no_limits"]
    return {"text": text, "colour": RED if missed else GREEN}


def _report(case: Case, words: dict[str, Any]) -> dict[str, str]:
    first = case.first("open")
    told = {name: clean(case.facts.get(name), _LONG) or words["missing"] for name in (*CONVERSATION, "phone")}
    taken = next((event for event in case.events if event.answers in ANSWERS["phone"]), None)
    restored, closed = case.last("restore"), case.closed
    back = words["not_restored"]
    if restored and case.restored:
        who = clean(restored.fields.get("confirmed_by"), 120)
        back = minute(restored.at) + (words["confirmed"].format(who=who) if who else words["unconfirmed"])
        back += _late(restored, words)
    severity = case.facts.get("severity", "")
    return {
        "id": clean(case.id, 60),
        "reporter": f"{clean(case.reporter, 120)} / {clean(case.department, 120)}",
        "opened": minute(first.at) + _late(first, words),
        "taken": f"{minute(taken.at)} / {clean(taken.by, 120)}" if taken else words["not_taken"],
        "severity": words["severity"].get(severity, words["missing"]),
        "restored": back,
        "closed": minute(closed.at) + _late(closed, words) if closed else words["not_closed"],
        "talked": _talked(case, words),
        **told,
    }


def _talked(case: Case, words: dict[str, Any]) -> str:
    if case.talked is None:
        return str(words["not_talked"])
    repair = case.first_repair
    if repair is not None and repair < case.talked:
        return str(words["talked_late"].format(when=minute(case.talked), repair=minute(repair)))
    return str(words["talked"].format(when=minute(case.talked)))


def _clocks(case: Case, words: dict[str, Any]) -> Table:
    rows: list[Row] = []
    notes = []
    for clock in case.clocks:
        state = words["state"][clock.state]
        if clock.state == "not_needed" and clock.started:
            state = words["not_needed_after"]
        rows.append(
            {
                "name": _clock_name(clock, words),
                "clause": clock.clause,
                "limit": words["hours"].format(n=f"{clock.limit_hours:g}"),
                "started": _short(clock.started),
                "stopped": _short(clock.stopped),
                "paused": _duration(clock.paused_seconds, words) if clock.paused_seconds else "—",
                "used": _duration(clock.used_seconds, words) if clock.started else "—",
                "result": state,
                "colour": _CLOCK_COLOUR[clock.state],
            }
        )
        if clock.late_seconds:
            name, late = _clock_name(clock, words), _duration(clock.late_seconds, words)
            notes.append(words["late_clock"].format(name=name, late=late))
    return Table(rows, words["semicolon"].join(notes) if rows else words["no_clocks"])


def _clock_name(clock: Clock, words: dict[str, Any]) -> str:
    return str(words["clock"][clock.kind])


def _pauses(case: Case, words: dict[str, Any]) -> Table:
    return Table(
        [
            {
                "name": words["clock"][kind],
                "started": _short(begun.at),
                "stopped": _short(over.at) if over else words["pause_open"],
                "reason": clean(begun.fields.get("reason")),
                "agreed": clean(begun.fields.get("agreed_by"), 120),
            }
            for kind in words["clock"]
            for begun, over in pauses(kind, case.events)
        ]
    )


def _fault(case: Case, fault: Fault | None, words: dict[str, Any]) -> dict[str, str]:
    names = ("description", "process", "cause", "root_cause", "data_impact")
    shown = {
        name: clean(getattr(fault, name), _LONG) if fault else words["no_fault"]
        for name in (*names, "prevention", "leftover", "satisfaction")
    }
    for name in ("prevention", "leftover", "satisfaction"):
        shown[name] = shown[name] or words["none" if name != "satisfaction" else "missing"]
    return {"impact": clean(case.facts.get("impact"), _LONG) or words["missing"], **shown}


def _timeline(case: Case, words: dict[str, Any], language: str) -> Table:
    rows: list[tuple[str, int, Row]] = []
    for event in case.events:
        row: Row = {
            "when": _short(event.at),
            "what": _event_name(event, language),
            "result": _said(event, words, language) + _late(event, words),
            "by": clean(event.by, 80),
            "seq": f"{event.seq:06d}",
        }
        rows.append((event.at, event.seq, row))
    for run in case.joined:
        outcome = words["outcome"].get(run.outcome, run.outcome)
        done = words["changes"].format(count=run.changed)
        what: Row = {
            "when": _short(run.started),
            "what": f"{words['run']} {clean(run.runbook, 60)}",
            "result": words["semicolon"].join(
                part for part in (f"{outcome}{words['list']}{done}", clean(run.reason)) if part
            ),
            "by": clean(run.operator, 80),
            "seq": f"{run.seq:06d}",
        }
        rows.append((run.started, run.seq, what))
    return _cut([row for _, _, row in sorted(rows, key=lambda item: item[:2])], words)


def _event_name(event: Event, language: str) -> str:
    kind = KINDS.get(event.name.removeprefix("log ")) if event.name.startswith("log ") else EVENTS[event.name]
    return (kind.zh if language == "zh" else kind.en) if kind else event.name


def _said(event: Event, words: dict[str, Any], language: str) -> str:
    """The fields of an entry as a reader says them."""
    kind = KINDS.get(event.name.removeprefix("log ")) if event.name.startswith("log ") else EVENTS[event.name]
    parts = []
    if event.closing:
        parts.append(words["tested"].format(count=len(event.closing.fault.tests)))
    for field in kind.fields if kind else ():
        # What was said at the report stands in chapter 1.
        if field.name not in event.fields or (event.name == "open" and field.name not in _REPORT):
            continue
        value = clean(event.fields[field.name])
        if field.name in ("channel", "clock"):
            value = words["channel"].get(value, value)
        elif field.name == "severity":
            value = words["severity"].get(value, value)
        parts.append(f"{field.zh if language == 'zh' else field.en}{words['colon']}{value}")
    if event.text:
        parts.append(clean(event.text))
    return clean(words["semicolon"].join(parts), 900) or "—"


def _runs(runs: Sequence[Joined], words: dict[str, Any], language: str) -> Table:
    rows: list[Row] = [
        {
            "run": clean(run.run, 80),
            "title": clean(run.title.get(language) or run.runbook, 80),
            "hosts": clean(", ".join(run.hosts), 200) or words["none"],
            "started": _short(run.started),
            "outcome": words["outcome"].get(run.outcome, run.outcome),
            "colour": GREEN if run.outcome == "succeeded" else RED,
            "seq": f"{run.seq:06d}",
        }
        for run in runs
    ]
    return _cut(rows, words)


def _steps(runs: Sequence[Joined], words: dict[str, Any]) -> Table:
    rows: list[Row] = [
        {
            "when": _short(started),
            "host": clean(host, 80),
            "task": clean(f"{task}{words['colon']}{message}" if message else task),
            "result": words["step"].get(result, result),
            "colour": NONE if result == "changed" else RED,
        }
        for run in runs
        for started, host, task, result, message in run.steps
    ]
    return _cut(rows, words)


def _measures(measures: Sequence[Measure], words: dict[str, Any]) -> Table:
    rows: list[Row] = [
        {"kind": words["kinds"][measure.kind], "text": clean(measure.text, _LONG)} for measure in measures
    ]
    return Table(number_rows(rows), "" if rows else words["no_fault"])


def _tests(fault: Fault | None, words: dict[str, Any]) -> Table:
    rows: list[Row] = [
        {
            "name": clean(test.name),
            "expected": clean(test.expected),
            "actual": clean(test.actual),
            "tester": clean(test.tester, 80),
            "result": words["passed" if test.passed else "failed"],
            "colour": GREEN if test.passed else RED,
        }
        for test in (fault.tests if fault else [])
    ]
    return Table(number_rows(rows), "" if rows else words["no_fault"])


def _attachments(case: Case) -> Table:
    return Table(
        [
            {"seq": f"{event.seq:06d}", "title": clean(info.title, 120), "sha256": info.sha256}
            for event in case.events
            for info in event.attachments
        ]
    )


def _proof(case: Case, closed: Event | None, site: str, words: dict[str, Any]) -> dict[str, str]:
    numbers = sorted({event.seq for event in case.events} | {run.seq for run in case.joined})
    return {
        "seq": f"{closed.seq:06d}" if closed else words["draft"],
        "sha256": closed.sha256 if closed else words["draft"],
        "entries": clean(", ".join(map(str, numbers)), 600),
        "signers": f"../000001-genesis-{clean(site, 60)}/allowed_signers",
        "command": f"cd {closed.folder}" if closed else "./runner.py verify",
        "signer": clean((closed or case.events[-1]).by, 120),
    }


def _cut(rows: list[Row], words: dict[str, Any]) -> Table:
    left = len(rows) - _ROWS
    return Table(rows[:_ROWS], words["more"].format(count=left) if left > 0 else "")


def _late(event: Event, words: dict[str, Any]) -> str:
    if not event.late_seconds:
        return ""
    return str(words["late"].format(late=_duration(event.late_seconds, words)))


def _short(instant: str | None) -> str:
    """A time in a narrow cell; the zone is that of the page's head."""
    return minute(instant).removesuffix(" (UTC+8)") if instant else "—"


def _between(start: str, end: str | None) -> float:
    return (parse(end) - parse(start)).total_seconds() if end else 0.0


def _duration(amount: float, words: dict[str, Any]) -> str:
    """Seconds as people say them, to the minute."""
    minutes = round(amount / 60)
    parts = (minutes // 1440, minutes % 1440 // 60, minutes % 60)
    units, join = words["duration"][:3], words["duration"][3]
    shown = [unit.format(n=part) for unit, part in zip(units, parts, strict=True) if part]
    return str(join.join(shown)) or str(units[2].format(n=0))
