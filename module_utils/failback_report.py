"""What the record says of a return to the old machine, from its journal."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from ansible.module_utils.recovery_journal import FAILBACK_PHASES, finding, seconds_by_phase


def report(journal: Mapping[str, Any], language: str) -> Dict[str, List[Dict[str, Any]]]:
    """Evidence and metrics: how long nobody could write, that no row was lost, which server it is, what is left."""
    zh = language == "zh"
    facts, marks = journal["facts"], journal["marks"]
    phases = seconds_by_phase(journal, FAILBACK_PHASES)
    numbers = {f"failback_{phase}_seconds": value for phase, value in phases.items()}
    evidence = [lost(facts, zh), system(facts, zh)]
    if "serving" in marks:
        outage = round(facts["serving_at"] - facts["stopped_at"], 1)
        numbers["failback_outage_seconds"] = outage
        title = "停止服务的时间" if zh else "Time without service"
        evidence.append(finding("FBK-OUT-01", title, "-", f"{outage:g} s", "pass"))
    if facts.get("questions"):
        evidence.append(answers(facts, zh))
    new = str(facts.get("new_backup", ""))
    evidence.append(
        finding(
            "FBK-BAK-01",
            "切换后的全量备份" if zh else "Full backup after the switch",
            f"timeline {facts.get('new_timeline', '-')}",
            new or "-",
            "pass" if new else "fail",
            "" if new else ("立即补做全量备份" if zh else "take a full backup now"),
        )
    )
    evidence.append(left(journal, zh))
    metrics = [
        {"name": name, "subject": journal["failed"], "value": value, "unit": "seconds", "limit": None}
        for name, value in numbers.items()
    ]
    return {"evidence": evidence, "metrics": metrics}


def lost(facts: Mapping[str, Any], zh: bool) -> Dict[str, str]:
    """A primary that was shut down in order writes a last record. Whoever has replayed that one has everything."""
    last, reached = facts.get("shutdown_lsn", "-"), facts.get("replayed_lsn", "-")
    title = "数据丢失（RPO）" if zh else "Data loss (RPO)"
    if zh:
        text = f"0：原主库正常关闭，最后一条记录（关闭检查点）位于 {last}；本机提升前已重放到 {reached}"
    else:
        text = f"0: the former primary was shut down in order, its last record (shutdown checkpoint) is at {last};"
        text += f" this machine had replayed up to {reached} before its promotion"
    known = "shutdown_lsn" in facts and "replayed_lsn" in facts
    return finding("FBK-RPO-01", title, "0", text if known else "-", "pass" if known else "unknown")


def system(facts: Mapping[str, Any], zh: bool) -> Dict[str, str]:
    """The same system, one timeline on."""
    wanted = (facts["system_id"], int(facts["timeline"]) + 1)
    found = (facts.get("new_system_id", ""), int(facts.get("new_timeline", 0)))
    return finding(
        "FBK-SYS-01",
        "系统标识与时间线" if zh else "System identifier and timeline",
        f"{wanted[0]}, {wanted[1]}",
        f"{found[0] or '-'}, {found[1]}",
        "pass" if wanted == found else "fail",
    )


def answers(facts: Mapping[str, Any], zh: bool) -> Dict[str, str]:
    """The site's questions, to both servers while nobody could write."""
    before, after = facts.get("answers_before", []), facts.get("answers", [])
    pairs = zip(facts["questions"], before, after)  # noqa: B905  (Python 3.8)
    told = "; ".join(f"{name}: {old} / {new}" for name, old, new in pairs)
    same = bool(after) and before == after
    title = "停写期间两台服务器的回答" if zh else "What both servers said while nobody could write"
    return finding("FBK-ASK-01", title, "=", told or "-", "pass" if same else "fail")


def left(journal: Mapping[str, Any], zh: bool) -> Dict[str, str]:
    """What a person does afterwards; nothing of it is deleted by a program."""
    facts, former = journal["facts"], journal["standby"]
    parts = []
    if facts.get("old_data"):
        place = f"{journal['failed']}:{facts['old_data']}"
        parts.append(f"旧数据仍在 {place}" if zh else f"the old data is still at {place}")
    place = f"{former}:{facts['data_directory']}"
    if zh:
        parts.append(f"{place} 保留切换前的数据；再次用作备机前须清空")
        parts.append(f"清单：把 {journal['failed']} 放回 database 组，{former} 放回 standby 组")
        parts.append("需要 RPO 0 时再运行 configure_backup")
    else:
        parts.append(
            f"{place} keeps the data of before the switch; it must be emptied before it is a standby again"
        )
        parts.append(f"inventory: {journal['failed']} back into database, {former} back into standby")
        parts.append("where RPO 0 is wanted, run configure_backup again")
    parts += facts.get("parity_left") or []
    title = "留给人工处理" if zh else "Left for a person"
    advice = "逐项处理后记入运维日志" if zh else "do each, and note it in the logbook"
    return finding("FBK-LEFT-01", title, "-", "; ".join(parts)[:1500], "manual", advice)
