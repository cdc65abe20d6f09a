"""The front of the report: cover, summary, scope. From the record alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maintenance.documents import followed, results
from maintenance.documents.clean import clean
from maintenance.documents.judged import Judged
from maintenance.documents.table import GREEN, GREY, RED, YELLOW, host_list
from maintenance.documents.words import Words
from maintenance.local_time import minute, parse
from maintenance.record import Record

_BLANK = "____________"  # to be filled in by hand
_NAMES = 8  # of checks that could not be obtained


def cover(record: Record, seq: int, digests: tuple[str, str], words: Words) -> dict[str, str]:
    """The cover; `digests` are those of record.json and of the MANIFEST before."""
    given = {name: clean(value, 120) for name, value in record.site_facts.items()}
    operator = record.operator
    principal, key = clean(operator.principal, 120), clean(operator.key_fingerprint, 120)
    self_issued = words("self_issued") if operator.self_issued else ""
    return {
        "system": given.get("system") or clean(record.site, 60),
        **{name: given.get(name) or words("not_provided") for name in ("hospital", "vendor", "contract")},
        **{name: given.get(name) or _BLANK for name in ("department", "reviewer", "manager")},
        "parties": words("parties", **given) if given.get("hospital") and given.get("vendor") else "",
        "engineer": given.get("engineer") or principal,
        "title": clean(record.runbook.title.get(record.language) or record.runbook.name, 120),
        "quarter": quarter(record, words),
        "period": f"{minute(record.started)} — {minute(record.finished)}",
        "number": f"{clean(record.site, 60)}-{seq:06d}",
        "run": clean(record.run, 120),
        "seq": f"{seq:06d}",
        "record_sha256": digests[0],
        "previous_sha256": digests[1] or words("none"),
        "principal": principal,
        "signer": words("signer", name=principal, key=key + self_issued),
    }


def quarter(record: Record, words: Words) -> str:
    """The quarter in which the inspection ended."""
    when = parse(record.finished)
    return words.quarter(when.year, (when.month + 2) // 3)


def summary(record: Record, findings: Sequence[Judged], words: Words) -> dict[str, Any]:
    """Chapter 0."""
    kinds = [one.kind for one in findings]
    count = {
        kind: kinds.count(kind) for kind in ("pass", "critical", "warning", "advice", "unknown", "other")
    }
    unknown = [clean(one.finding.title, 60) for one in findings if one.kind == "unknown"]
    names = list(dict.fromkeys(unknown))
    shown = words("list").join(names[:_NAMES]) + ("…" if len(names) > _NAMES else "")
    return {
        **count,
        "passed": count["pass"],
        "total": len(findings),
        "conclusion": _conclusion(record, count, words),
        "colour": _grade(record, count),
        "risks": results.risks(findings, words),
        "comparison": followed.compared(record, words),
        "compared": followed.counts(record),
        "missing": words("missing_some", n=len(unknown), names=shown) if unknown else words("missing_none"),
    }


def _grade(record: Record, count: dict[str, int]) -> str:
    if count["critical"]:
        return RED
    if count["warning"] or record.outcome != "succeeded":
        return YELLOW
    return GREY if count["unknown"] or not count["pass"] else GREEN


def _conclusion(record: Record, count: dict[str, int], words: Words) -> str:
    sentences = []
    if record.outcome != "succeeded":
        sentences.append(words("conclusion_outcome", outcome=_outcome(record, words)))
    gravest = next((kind for kind in ("critical", "warning", "advice", "pass") if count[kind]), None)
    if gravest:
        sentences.append(words(f"conclusion_{gravest}", **count))
    if count["unknown"]:
        sentences.append(words("conclusion_unknown", **count))
    if not any(count.values()):
        sentences.append(words("conclusion_nothing"))
    return words("join").join(sentences)


def _outcome(record: Record, words: Words) -> str:
    reason = clean(record.outcome_reason, 200)
    return words(record.outcome) + (words("colon") + reason if reason else "")


def scope(record: Record, words: Words) -> dict[str, str]:
    """Chapter 1."""
    clauses = words("list").join(clean(clause, 20) for clause in record.runbook.clauses)
    source = record.source
    return {
        "basis": words("basis", contract=clean(record.site_facts.get("contract"), 120), clauses=clauses),
        "reason": clean(record.reason) or words("routine"),
        "hosts": words("hosts_count", n=len(record.hosts_expected))
        + words("colon")
        + host_list(record.hosts_expected, words, 20),
        "reached": _reached(record, words),
        "outcome": _outcome(record, words),
        "changes": words("nothing" if record.mode == "check" else record.runbook.changes),
        "remote": _remote(record, words),
        "machine": _machine(record, words),
        "command": clean(record.command),
        "versions": clean(source.commit, 60)
        + ("" if source.clean else words("uncommitted"))
        + words("semicolon")
        + f"ansible-core {clean(source.ansible_core, 20)}, ansible-runner {clean(source.ansible_runner, 20)}, "
        + f"Python {clean(source.python, 20)}",
    }


def _reached(record: Record, words: Words) -> str:
    missed = sorted(set(record.hosts_expected) - set(record.hosts_processed))
    text = words("reached", reached=len(record.hosts_processed), expected=len(record.hosts_expected))
    return text + (words("not_reached", hosts=host_list(missed, words, 20)) if missed else "")


def _remote(record: Record, words: Words) -> str:
    remote = record.remote
    address = clean(remote.source_address, 60)
    came = words("from", address=address) if address else ""
    return (
        f"{clean(remote.via, 120)}{came}{words('semicolon')}{minute(remote.opened)} — {minute(remote.closed)}"
    )


def _machine(record: Record, words: Words) -> str:
    clock = record.clock
    states = {True: "synchronised", False: "not_synchronised", None: "synchronised_unknown"}
    offset = "" if clock.offset_seconds is None else words("offset", seconds=f"{clock.offset_seconds:.4f}")
    return (
        f"{clean(record.operator.machine, 120)}{words('semicolon')}{clean(clock.source, 80)}"
        f"{words('comma')}{words(states[clock.synchronised])}{offset}"
    )


def terminals(record: Record, words: Words) -> str:
    """Chapter 9."""
    names = [host.name for host in record.hosts if "terminals" in host.groups]
    if names:
        return words("terminals", n=len(names), hosts=host_list(names, words))
    return words("not_involved", reason=words("terminals_elsewhere"))
