"""《变更工单》: what was asked for, rehearsed, approved and done. Made from the order and the record alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from maintenance import left
from maintenance.documents.clean import clean
from maintenance.documents.inspection import TEMPLATES, EntryFacts
from maintenance.documents.table import GREEN, GREY, RED, YELLOW, Row, Table, number_rows
from maintenance.local_time import minute, parse
from maintenance.orders import Approval, OrderFile
from maintenance.record import Change, Record
from maintenance.signing import fingerprint

_ROWS = 200  # of one table; the record holds them all
_WORDS = {
    "zh": {
        "ordered": "尚未实施：等待院方批准后，在时间窗内实施",
        "succeeded": "已按批准的工单实施，结果：完成",
        "succeeded_without": "已实施（无工单），结果：完成",
        "emergency": "紧急变更，未经事先审批：{text}。请院方补签",
        "failed": "实施未完成：{why}",
        "none": "无",
        "missing": "未提供",
        "no_order": "无工单",
        "nature": {"nothing": "不变更", "reversible": "可回退", "irreversible": "不可回退"},
        "plan": "{made} 在主机上以检查模式预演（运行号 {run}），共 {count} 项将变更。"
        "命令类步骤在检查模式下不执行，故不在其列。",
        "plan_none": "没有预演：本次变更没有工单。",
        "nothing": "预演未发现需要变更的项目。",
        "more": "另有 {count} 项，见记录。",
        "approvals": "需要院方 {needed} 人批准，已有 {held} 人的签名有效。",
        "no_approvals": "本手册或本站点不要求批准。",
        "waiting": "以下栏待批准后由签名证明：院方对 order.json 签名即为批准。",
        "blank": "（实施后填写）尚未实施。",
        "changed": "发生变更",
        "unchanged": "无需变更",
        "not_reached": "未到达",
        "host_failed": "失败",
        "no_changes": "没有发生变更。",
        "left": "以下不符合项本次没有改，及其原因；另有 {unnamed} 处因本次没有点名而未改。",
        "outcome": {
            "succeeded": "完成",
            "failed": "执行失败",
            "unreachable": "有主机未能到达",
            "cancelled": "被中止",
            "incomplete": "未完整执行",
            "refused": "被拒绝执行",
        },
        "list": "、",
    },
    "en": {
        "ordered": "Not carried out yet: it waits for the hospital's approval and its window",
        "succeeded": "Carried out as approved: succeeded",
        "succeeded_without": "Carried out without an order: succeeded",
        "emergency": "An emergency, not approved beforehand: {text}. The hospital countersigns it",
        "failed": "Not completed: {why}",
        "none": "none",
        "missing": "not provided",
        "no_order": "no order",
        "nature": {"nothing": "nothing", "reversible": "reversible", "irreversible": "irreversible"},
        "plan": "Rehearsed on the hosts in check mode at {made} (run {run}): {count} changes. Commands are not run in "
        "check mode and are not among them.",
        "plan_none": "There was no rehearsal: this change had no order.",
        "nothing": "The rehearsal found nothing to change.",
        "more": "{count} more are in the record.",
        "approvals": "It needs the approval of {needed} of the hospital; {held} signatures hold.",
        "no_approvals": "This runbook, or this site, asks for no approval.",
        "waiting": "A signature of the hospital over order.json is the approval.",
        "blank": "Not carried out yet.",
        "changed": "changed",
        "unchanged": "nothing to change",
        "not_reached": "not reached",
        "host_failed": "failed",
        "no_changes": "Nothing was changed.",
        "left": "What is no pass and was left as it is, and why; {unnamed} more were not named this time.",
        "outcome": {},
        "list": ", ",
    },
}


def file_name(site: str, order_or_run: str) -> str:
    """lab_change_20261123T….docx: ASCII, as the paths of an entry must be."""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '-', site)}_change_{order_or_run}.docx"


def render(
    given: OrderFile | None,
    approvals: list[Approval],
    record: Record | None,
    target: Path,
    *,
    language: Literal["zh", "en"],
    entry: EntryFacts | None = None,
) -> Path:
    """Write the document to `target`: with an order, a record, or both."""
    from docxtpl import DocxTemplate
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    context = build_context(given, approvals, record, language=language, entry=entry)
    template = DocxTemplate(TEMPLATES / f"change.{language}.docx")
    template.render(
        context, SandboxedEnvironment(autoescape=True, undefined=StrictUndefined), autoescape=True
    )
    properties = template.docx.core_properties
    properties.title = f"{context['cover']['title']}"[:250]
    properties.author = clean(context["request"]["engineer"], 120)
    properties.comments = ""
    properties.language = "zh-CN" if language == "zh" else "en"
    when = record.finished if record else given.order.made if given else ""
    properties.created = properties.modified = parse(when).replace(tzinfo=None)
    template.save(str(target))
    return target


def build_context(
    given: OrderFile | None,
    approvals: list[Approval],
    record: Record | None,
    *,
    language: Literal["zh", "en"],
    entry: EntryFacts | None = None,
) -> dict[str, Any]:
    """Everything that the template names; pure."""
    words: dict[str, Any] = _WORDS[language]
    source = record or (given.order if given else None)
    if source is None:
        raise ValueError("a change document needs an order or a record")
    facts = {name: clean(value, 120) for name, value in source.site_facts.items()}
    book = source.runbook
    title = clean(book.title.get(language) or book.name, 120)
    parties = [facts.get("hospital", ""), facts.get("vendor", "")]
    return {
        "cover": {
            "title": title,
            "system": facts.get("system") or clean(source.site, 60),
            "parties": "  |  ".join(part for part in parties if part),
            **{name: facts.get(name) or words["missing"] for name in ("hospital", "vendor", "contract")},
        },
        "conclusion": _conclusion(given, record, words),
        "request": _request(given, record, words, title),
        "plan": _plan(given, words),
        "approvals": _approvals(given, approvals, words),
        "done": _done(record, words),
        "proof": {
            "order": given.sha256 if given else words["no_order"],
            "plan": given.order.plan.sha256 if given else words["none"],
            "commit": clean(source.source.commit, 60),
            "seq": f"{entry.seq:06d}" if entry else words["none"],
            "record": entry.record_sha256 if entry else words["none"],
            "approver": clean(approvals[0].principal, 120) if approvals else "NAME",
            "signature": clean(approvals[0].file, 120) if approvals else "order.json.NAME.sig",
        },
    }


def _conclusion(given: OrderFile | None, record: Record | None, words: dict[str, Any]) -> dict[str, str]:
    if record is None:
        return {"text": words["ordered"], "colour": GREY}
    if record.outcome != "succeeded":
        return {"text": words["failed"].format(why=clean(record.outcome_reason)), "colour": RED}
    emergency = (record.order or {}).get("emergency")
    if emergency:
        return {"text": words["emergency"].format(text=clean(emergency, 120)), "colour": YELLOW}
    return {"text": words["succeeded" if given else "succeeded_without"], "colour": GREEN}


def _request(
    given: OrderFile | None, record: Record | None, words: dict[str, Any], title: str
) -> dict[str, str]:
    order = given.order if given else None
    source = order or record
    assert source is not None  # noqa: S101  (build_context has looked)
    book = source.runbook
    hosts = order.hosts if order else record.hosts_expected if record else []
    inputs = []
    if order:
        values = order.inputs.variables.items()
        inputs = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(values)]
        inputs += [f"--limit {order.inputs.limit}"] if order.inputs.limit else []
    elif record:
        # What was given beside the runbook; a value may be a secret, so a record has its name alone.
        inputs = record.command.partition(f"/{book.name}.yml")[2].split(" -")[1:]
        inputs = [f"-{text}" for text in inputs]
    operator = order.engineer if order else record.operator if record else None
    return {
        "id": order.id if order else words["no_order"],
        "runbook": f"{title} ({book.name})",
        "clauses": words["list"].join(book.clauses),
        "hosts": clean(words["list"].join(hosts), 600),
        "window": order.window.text() if order else words["none"],
        "reason": clean(source.reason, 600) or words["none"],
        "notified": clean(order.notified, 600) if order else words["none"],
        "nature": words["nature"][book.changes],
        "undo": clean(book.undo, 200),
        "inputs": clean("; ".join(inputs), 600) or words["none"],
        "case": clean(source.case, 120) or words["none"],
        "engineer": clean(operator.principal if operator else "", 120),
    }


def _plan(given: OrderFile | None, words: dict[str, Any]) -> Table:
    if given is None:
        return Table(sentence=words["plan_none"])
    plan = given.order.plan
    sentence = words["plan"].format(made=minute(plan.made), run=clean(plan.run, 120), count=len(plan.changes))
    return _changes(plan.changes, words, words["nothing"], sentence)


def _changes(changes: Iterable[Change], words: dict[str, Any], nothing: str, sentence: str = "") -> Table:
    rows: list[Row] = [
        {
            "host": clean(change.host, 80),
            "task": clean(change.task, 160),
            "subject": clean(change.subject, 160) or "—",
        }
        for change in changes
    ]
    left = len(rows) - _ROWS
    note = words["more"].format(count=left) if left > 0 else "" if rows else nothing
    return Table(number_rows(rows[:_ROWS]), note, sentence)


def _approvals(given: OrderFile | None, approvals: list[Approval], words: dict[str, Any]) -> Table:
    needed = given.order.approvals if given else 0
    rows: list[Row] = [
        {"principal": clean(item.principal, 120), "key": fingerprint(item.key)} for item in approvals
    ]
    if not needed and not rows:
        return Table(sentence=words["no_approvals"])
    sentence = words["approvals"].format(needed=needed, held=len(rows))
    return Table(number_rows(rows), words["waiting"] if len(rows) < needed else "", sentence)


def _done(record: Record | None, words: dict[str, Any]) -> dict[str, Any]:
    if record is None:
        empty = Table()
        keys = ("run", "period", "engineer", "remote", "outcome")
        return {
            "there": False,
            "sentence": words["blank"],
            **dict.fromkeys(keys, ""),
            "hosts": empty,
            "changes": empty,
            "failures": empty,
            "left": empty,
        }
    failures: list[Row] = [
        {"host": clean(step.host, 80), "task": clean(step.task, 160), "message": clean(step.message)}
        for step in record.steps
        if step.result in ("failed", "unreachable")
    ]
    return {
        "there": True,
        "sentence": "",
        "run": clean(record.run, 120),
        "period": f"{minute(record.started)} — {minute(record.finished)}",
        "engineer": clean(f"{record.operator.principal} ({record.operator.key_fingerprint})", 200),
        "remote": clean(f"{record.remote.via} {record.remote.source_address}", 120),
        "outcome": clean(f"{words['outcome'].get(record.outcome, record.outcome)}: {record.outcome_reason}"),
        "hosts": Table([_host(host, words) for host in record.hosts]),
        "changes": _changes(record.changes, words, words["no_changes"]),
        "failures": Table(failures[:_ROWS]),
        "left": _left(record, words),
    }


def _left(record: Record, words: dict[str, Any]) -> Table:
    """What a hardening did not change, by host and reason; other runbooks leave nothing."""
    if not record.left:
        return Table()
    rows: list[Row] = [
        {"host": clean(host, 80), "reason": clean(reason, 300), "checks": clean(" ".join(checks), 600) or "—"}
        for host, _kind, reason, checks in left.grouped(record.left)
    ]
    unnamed = sum(one.kind == "unnamed" for one in record.left)
    more = words["more"].format(count=len(rows) - _ROWS) if len(rows) > _ROWS else ""
    return Table(rows[:_ROWS], more, words["left"].format(unnamed=unnamed))


def _host(host: Any, words: dict[str, Any]) -> Row:
    if not host.reached:
        result, colour = words["not_reached"], RED
    elif host.failed:
        result, colour = words["host_failed"], RED
    elif host.changed:
        result, colour = words["changed"], GREEN
    else:
        result, colour = words["unchanged"], GREEN
    counts = {"ok": host.ok, "changed": host.changed, "failed": host.failed}
    return {"host": clean(host.name, 80), **counts, "result": result, "colour": colour}
