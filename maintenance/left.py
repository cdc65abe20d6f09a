"""What a hardening left as it is, host by host, and why: from what its plan and the hosts told. Pure.

The plan (action_plugins/harden_plan.py) tells what it did not choose; a host (library/desired_state.py) what it could not
be given; the assessment at the end what is no pass although it was worked on. Nothing that fails goes without a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

from maintenance.documents.phrases import in_chinese
from maintenance.record import Finding, LeftAlone, LeftKind

# Of what a host answers, and of what the assessment finds afterwards. The plan has its own sentences.
_REASONS = {
    "package": ("缺少软件或文件：{detail}", "something is not installed: {detail}"),
    "access": (
        "会把正在使用的人或会话挡在外面：{detail}",
        "it would shut out somebody who is there: {detail}",
    ),
    "kernel": ("容器没有自己的内核，须在其宿主机上处理", "a container's kernel belongs to another machine"),
    "host": ("本机做不到：{detail}", "not possible on this host: {detail}"),
    "next_start": (
        "主机下次启动后生效或才能完全撤销：{detail}",
        "in force, or taken back wholly, with the next start of the host: {detail}",
    ),
    "still": (
        "已整改或本机没有可改之处，复评仍不符合：见评估报告",
        "mended, or nothing to change on this host, and still no pass: see the assessment",
    ),
}
KINDS: tuple[LeftKind, ...] = get_args(LeftKind)
Language = Literal["zh", "en"]


def collect(
    told: Sequence[tuple[str, str, Mapping[str, Any]]],
    evidence: Mapping[str, Sequence[Finding]],
    language: Language,
) -> list[LeftAlone]:
    """told: host, module and its answer, in their order, of harden_plan, desired_state and restore_point."""
    found: list[LeftAlone] = []
    planned: dict[str, dict[str, str]] = {}
    for host, module, answer in told:
        if module == "harden_plan":
            found += [_of_plan(host, line) for line in answer.get("left") or []]
            titles = {str(line["check"]): str(line["title"]) for line in answer.get("planned") or []}
            planned.setdefault(host, {}).update(titles)
        else:
            found += _of_host(host, answer, planned.get(host, {}), language)
    said = {(one.host, one.check) for one in found}
    for host, titles in planned.items():
        wrong = {finding.id for finding in evidence.get(host, ()) if finding.verdict in ("fail", "partial")}
        for check in sorted(wrong & titles.keys()):
            if (host, check) not in said:
                found.append(_made(host, check, titles[check], "still", "", language))
    return list(dict.fromkeys(sorted(found, key=lambda one: (one.host, KINDS.index(one.kind), one.check))))


def _of_plan(host: str, line: Mapping[str, Any]) -> LeftAlone:
    return LeftAlone(
        host=host,
        check=str(line["check"]),
        subject=str(line["subject"]),
        title=str(line["title"]),
        kind=line["kind"],
        reason=str(line["reason"]),
    )


def _of_host(
    host: str, answer: Mapping[str, Any], titles: Mapping[str, str], language: Language
) -> list[LeftAlone]:
    found = []
    for line in answer.get("not_possible") or []:
        for check in dict.fromkeys(str(line.get("checks", "")).split(",")):
            detail = str(line.get("reason", ""))
            title = titles.get(check, "")
            kind = str(line.get("kind"))
            found.append(_made(host, check, title, kind if kind in _REASONS else "host", detail, language))
    for sentence in answer.get("next_start") or []:
        found.append(_made(host, "", "", "next_start", str(sentence), language))
    return found


def _made(host: str, check: str, title: str, kind: str, detail: str, language: Language) -> LeftAlone:
    said = in_chinese(detail) if language == "zh" else detail
    reason = _REASONS[kind][language == "en"].format(detail=said)
    return LeftAlone.model_validate(
        {"host": host, "check": check, "subject": "", "title": title, "kind": kind, "reason": reason}
    )


def grouped(left: Iterable[LeftAlone]) -> list[tuple[str, str, str, list[str]]]:
    """Host, kind, reason and the checks that it is for. What was not asked for this time has no row of its own."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for one in left:
        checks = found.setdefault((one.host, one.kind, one.reason), [])
        if one.check and one.check not in checks:
            checks.append(one.check)
    return [(*key, checks) for key, checks in found.items() if key[1] != "unnamed"]
