"""From what a run told to its record: pure, so that every rule of the outcome can be tested without a host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from maintenance import left
from maintenance.execution import Result
from maintenance.record import (
    Assessment,
    Clock,
    Comparison,
    FileInfo,
    Forecast,
    HostResult,
    Operator,
    Outcome,
    Record,
    Redaction,
    Remote,
    RunbookInfo,
    Source,
)


@dataclass
class Meta:
    """Everything a record says that the events of the run do not."""

    run: str
    site: str
    site_facts: dict[str, str]
    runbook: RunbookInfo
    source: Source
    operator: Operator
    reason: str
    command: str
    mode: Literal["apply", "check"]
    language: Literal["zh", "en"]
    started: str
    finished: str
    clock: Clock
    remote: Remote
    hosts: dict[str, list[str]]  # expected hosts and their groups
    redaction: Redaction
    refused: str = ""  # why no host was touched
    order: dict[str, str] | None = None
    case: str | None = None
    comparison: Comparison | None = None
    forecasts: list[Forecast] = field(default_factory=list)
    assessment: Assessment | None = None
    attachments: list[FileInfo] = field(default_factory=list)


def build_record(result: Result, meta: Meta) -> Record:
    """The record of a run that ended, however it ended."""
    outcome, why = judge_outcome(result, sorted(meta.hosts), meta.refused, meta.language)
    return Record(
        run=meta.run,
        site=meta.site,
        site_facts=meta.site_facts,
        runbook=meta.runbook,
        source=meta.source,
        operator=meta.operator,
        order=meta.order,
        case=meta.case,
        reason=meta.reason,
        command=meta.command,
        mode=meta.mode,
        language=meta.language,
        started=meta.started,
        finished=meta.finished,
        clock=meta.clock,
        remote=meta.remote,
        hosts=[_host(name, groups, result) for name, groups in sorted(meta.hosts.items())],
        steps=result.steps,
        changes=result.changes,
        # A rehearsal has changed nothing: what it would mend is no pass yet, and not left either.
        left=left.collect(result.left, result.evidence if meta.mode == "apply" else {}, meta.language),
        evidence=result.evidence,
        metrics=result.metrics,
        comparison=meta.comparison,
        forecasts=meta.forecasts,
        assessment=meta.assessment,
        outcome=outcome,
        outcome_reason=why,
        hosts_expected=sorted(meta.hosts),
        hosts_processed=sorted(_reached(result)),
        events=result.events,
        attachments=meta.attachments,
        redaction=meta.redaction,
    )


_WHY = {
    "cancelled": {
        "en": "the run was cancelled by its operator; steps that were under way may have finished",
        "zh": "操作人中止了运行；中止时正在执行的步骤可能已经完成",
    },
    "events": {"en": "{count} events were lost: {which}", "zh": "丢失 {count} 个事件：{which}"},
    "failed": {"en": "failed on {hosts}: {message}", "zh": "在 {hosts} 上失败：{message}"},
    "unreachable": {"en": "not reached: {hosts}: {message}", "zh": "未能连接 {hosts}：{message}"},
    "absent": {"en": "nothing was done on {hosts}", "zh": "{hosts} 上没有执行任何步骤"},
    "code": {"en": "the engine ended with code {code}", "zh": "执行引擎以代码 {code} 结束"},
    "nothing": {"en": "no host was processed", "zh": "没有处理任何主机"},
    "succeeded": {
        "en": "{reached} of {expected} hosts processed, {steps} steps",
        "zh": "应处理 {expected} 台主机，已处理 {reached} 台，共 {steps} 个步骤",
    },
}


def judge_outcome(
    result: Result, expected: list[str], refused: str = "", language: Literal["zh", "en"] = "en"
) -> tuple[Outcome, str]:
    """How the run ended, and why in one line. Nothing processed is never `succeeded`."""

    def why(key: str, **facts: object) -> str:
        return _WHY[key][language].format(**facts)

    if refused:
        return "refused", refused
    if result.cancelled:
        return "cancelled", why("cancelled")
    if result.events.missing:
        missing = ", ".join(map(str, result.events.missing[:10]))
        return "incomplete", why("events", count=len(result.events.missing), which=missing)
    if result.problem:
        return "incomplete", result.problem
    for kind in ("failed", "unreachable"):
        hosts = sorted(host for host, stats in result.stats.items() if stats[kind])
        if hosts:
            message = _first_message(result, kind)
            return kind, why(kind, hosts=", ".join(hosts), message=message)
    absent = sorted(set(expected) - set(_reached(result)))
    if absent:
        return "incomplete", why("absent", hosts=", ".join(absent))
    if result.rc != 0:
        return "failed", why("code", code=result.rc)
    if not _reached(result):
        return "failed", why("nothing")
    facts = {"reached": len(_reached(result)), "expected": len(expected), "steps": len(result.steps)}
    return "succeeded", why("succeeded", **facts)


def _reached(result: Result) -> list[str]:
    """Hosts on which at least one task ended; of one that was unreachable, a task that it took part in."""
    return [
        host
        for host, stats in result.stats.items()
        if (stats["ok"] or stats["failed"] or stats["changed"])
        and (not stats["unreachable"] or host in result.answered)
    ]


def _first_message(result: Result, kind: str) -> str:
    return next(
        (step.message for step in result.steps if step.result == kind and step.message), "no reason given"
    )


def _host(name: str, groups: list[str], result: Result) -> HostResult:
    identity = _identity(result.snapshots.get(name, {}))
    stats = result.stats.get(name, {})
    return HostResult(
        name=name,
        groups=groups,
        machine_id=identity.get("machine_id", ""),
        os=identity.get("os", ""),
        reached=name in _reached(result),
        **stats,
    )


def _identity(snapshots: dict[str, dict[str, Any]]) -> dict[str, str]:
    """machine-id and OS from the host's own snapshot, where one was taken."""
    data = snapshots.get("host_snapshot", {}).get("data", {})
    system = data.get("identity", {}) if isinstance(data, dict) else {}
    os_name = system.get("os_name") or system.get("os") or ""
    return {"machine_id": str(system.get("machine_id", "")), "os": str(os_name)}
