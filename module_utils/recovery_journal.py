"""How far a rebuild or a return is, kept on the machine that is being built, and what the record of a rebuild says.

The journal is what a second run goes on from, whoever starts it and from wherever. What is written here has happened;
what is not may have begun.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Dict, List, Mapping, Optional

from ansible.module_utils.restore_tree import write_file

FOLDER = "/var/lib/maintenance/rebuild"
FAILBACK_FOLDER = "/var/lib/maintenance/failback"
SCHEMA = "recovery-journal/1"
# The phases in their order, with what they are called in a record.
PHASES = {
    "fenced": ("隔离故障服务器", "fence the failed server"),
    "planned": ("核对备份与归档", "prove backup and archive"),
    "restored": ("恢复数据文件", "restore the files"),
    "replayed": ("重放日志", "replay the WAL"),
    "promoted": ("核对并提升为主库", "look, and promote"),
    "serving": ("应用切换并验证", "point the application here, and prove it"),
    "backed_up": ("重建备份", "back up again"),
}
# Those of the return to the old machine.
FAILBACK_PHASES = {
    "copied": ("复制数据文件", "copy the files"),
    "streaming": ("追上在用主库", "catch up with the present primary"),
    "proven": ("逐页核对副本", "read every page of the copy"),
    "promoted": ("停写、核对、切换", "stop writes, compare, switch"),
    "serving": ("应用切换并验证", "point the application here, and prove it"),
    "archived": ("归档改由本机推送", "archive from here"),
    "backed_up": ("重新全量备份", "back up again"),
}
_CLAUSE = "3.2.3"


class JournalError(Exception):
    """Why the journal does not fit; one line."""


def path_of(folder: str = FOLDER) -> str:
    """The file."""
    return os.path.join(folder, "journal.json")


def read(folder: str = FOLDER) -> Optional[Dict[str, Any]]:
    """The journal; None where there is none."""
    try:
        with open(path_of(folder), encoding="utf-8") as file:
            told = json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise JournalError(f"{path_of(folder)} cannot be read: {error}") from None
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        raise JournalError(f"{path_of(folder)} is no journal of a rebuild")
    return told


def write(journal: Mapping[str, Any], folder: str = FOLDER) -> None:
    """Keep it, whole or not at all."""
    os.makedirs(folder, 0o700, exist_ok=True)
    text = json.dumps(journal, indent=2, sort_keys=True)
    write_file(path_of(folder), text.encode(), 0o600, os.geteuid(), os.getegid())


def put_by(journal: Mapping[str, Any], folder: str = FOLDER) -> str:
    """Move a journal whose story has ended out of the way; where it is now."""
    kept = os.path.join(folder, f"journal-{int(journal['marks']['begun'])}.json")
    os.replace(path_of(folder), kept)
    return kept


def begun(
    there: Optional[Dict[str, Any]], failed: str, standby: str, stanza: str, now: float
) -> Dict[str, Any]:
    """The journal to go on with: the one that is there, or a new one."""
    if there is None:
        return {
            "schema": SCHEMA,
            "failed": failed,
            "standby": standby,
            "stanza": stanza,
            "marks": {"begun": now},
            "facts": {},
        }
    if (there["failed"], there["standby"], there["stanza"]) != (failed, standby, stanza):
        raise JournalError(
            f"this machine was rebuilt, or half rebuilt, for {there['failed']} (stanza {there['stanza']}): it is no bare"
            f" machine for {failed}. Where that is over, move {FOLDER} away"
        )
    return there


def marked(journal: Mapping[str, Any], phase: str, facts: Mapping[str, Any], now: float) -> Dict[str, Any]:
    """With a phase that has ended and what is known from it; the first time counts, however often it is run again."""
    if phase and phase not in PHASES and phase not in FAILBACK_PHASES:
        raise JournalError(f"'{phase}' is no phase; they are: {', '.join({**PHASES, **FAILBACK_PHASES})}")
    if phase in journal["marks"]:
        return dict(journal)
    marks = {**journal["marks"], phase: now} if phase else journal["marks"]
    return {**journal, "marks": marks, "facts": {**journal["facts"], **facts}}


def seconds_by_phase(journal: Mapping[str, Any], phases: Mapping[str, Any] = PHASES) -> Dict[str, float]:
    """How long each phase took, from the end of the one before. The backup runs beside those after the promotion."""
    marks = journal["marks"]
    found: Dict[str, float] = {}
    last = marks["begun"]
    for phase in phases:
        if phase in marks:
            since = marks.get("promoted", last) if phase == "backed_up" else last
            found[phase] = round(max(0.0, marks[phase] - since), 1)
            last = marks[phase]
    return found


def finding(
    id_: str, title: str, expected: str, actual: str, verdict: str, advice: str = ""
) -> Dict[str, str]:
    """One finding of the record."""
    return {
        "id": id_,
        "clause": _CLAUSE,
        "area": "backup",
        "title": title,
        "subject": "",
        "expected": expected,
        "actual": actual,
        "verdict": verdict,
        "severity": "critical",
        "owner": "vendor",
        "advice": advice,
    }


def report(journal: Mapping[str, Any], language: str) -> Dict[str, List[Dict[str, Any]]]:
    """Evidence and metrics: time to service by phase, what came back and what is lost, parity, backups."""
    zh = language == "zh"
    facts, marks = journal["facts"], journal["marks"]
    host = journal["standby"]
    phases = seconds_by_phase(journal)
    metrics = [
        {
            "name": f"rebuild_{phase}_seconds",
            "subject": host,
            "value": value,
            "unit": "seconds",
            "limit": None,
        }
        for phase, value in phases.items()
    ]
    evidence: List[Dict[str, Any]] = []
    if "serving" in marks:
        total = round(marks["serving"] - marks["begun"], 1)
        metrics.append(
            {"name": "rebuild_rto_seconds", "subject": host, "value": total, "unit": "seconds", "limit": None}
        )
        told = "; ".join(f"{PHASES[phase][0 if zh else 1]} {value:g} s" for phase, value in phases.items())
        title = "恢复服务用时（RTO）" if zh else "Time to service (RTO)"
        evidence.append(finding("REB-RTO-01", title, "-", f"{total:g} s ({told})", "pass"))
    evidence += losses(facts, zh)
    asked = [f"{name}: {told}" for name, told in zip(facts.get("questions", ()), facts.get("answers", ()))]  # noqa: B905  (Python 3.8)
    title = "提升前的核对" if zh else "Asked before the promotion"
    if asked:
        evidence.append(finding("REB-ASK-01", title, "-", "; ".join(asked), "pass"))
    evidence.append(
        finding(
            "REB-SYS-01",
            "系统标识与时间线" if zh else "System identifier and timeline",
            f"{facts['system_id']}, {'>' if zh else 'above'} {facts['timeline']}",
            f"{facts.get('new_system_id', '-')}, {facts.get('new_timeline', '-')}",
            "pass"
            if facts.get("new_system_id") == facts["system_id"]
            and int(facts.get("new_timeline", 0)) > int(facts["timeline"])
            else "fail",
        )
    )
    new = str(facts.get("new_backup", ""))
    evidence.append(
        finding(
            "REB-BAK-01",
            "重建后的全量备份" if zh else "Full backup after the rebuild",
            f"timeline {facts.get('new_timeline', '-')}",
            new or "-",
            "pass" if new else "fail",
            "" if new else ("立即补做全量备份" if zh else "take a full backup now"),
        )
    )
    rebuilt = facts.get("reindexed") or []
    if rebuilt:
        number = facts.get("reindexed_indexes", 0)
        title = (
            "按新的排序规则版本重建文本索引"
            if zh
            else "Indexes of text, built for another version of collation"
        )
        place = f"{'; '.join(rebuilt)}: {number} {'个索引' if zh else 'indexes'}"
        advice = (
            "按文本分区的表与比较文本的检查约束不在其内，请人工核对"
            if zh
            else "ranges of partitions by text, and checks that compare text, are not covered: look at them"
        )
        evidence.append(finding("REB-COL-01", title, "-", place, "pass", advice))
    left = facts.get("parity_left") or []
    evidence.append(
        finding(
            "REB-PAR-01",
            "与故障服务器配置一致" if zh else "Parity with the failed server",
            "0",
            f"{len(left)}: {'; '.join(left)}"[:1500] if left else "0",
            "partial" if left else "pass",
            ("逐项由人工决定是否补上" if zh else "a person decides on each") if left else "",
        )
    )
    return {"evidence": evidence, "metrics": metrics}


def losses(facts: Mapping[str, Any], zh: bool) -> List[Dict[str, Any]]:
    """What is known to be back, and from where on nothing is. A gap behind which WAL was given up is a failure."""
    commits = facts.get("commits") or []
    last = commits[-1] if commits else None
    when = f"{last['at']} (xid {last['transaction']}, {last['lsn']})" if last else "-"
    reached = facts.get("replayed_lsn", "-")
    behind = int(facts.get("segments_behind_gap", 0))
    received = facts.get("received") or []
    given_up = facts.get("received_given_up") or []
    place = f"{facts['last_segment']}, LSN {reached}"
    # Whether every commit waited for the receiver up to the end, only the failed server could have told.
    names = ", ".join(one["file"] for one in received)
    if zh:
        text = f"已恢复至 {place}；最后一个已提交事务 {when}。"
        text += (
            f"同步接收端的日志 {names} 已重放；只有在提交不等待接收端期间（接收端离线）确认的事务可能丢失"
            if received
            else "其后由故障服务器确认、尚未归档的事务已丢失"
        )
    else:
        text = f"recovered to {place}; last committed transaction {when}. "
        text += (
            f"WAL of the synchronous receiver was replayed ({names}): only what was acknowledged while commits"
            " did not wait for it (it was away) can be lost"
            if received
            else "What the failed server acknowledged after it and had not archived is lost"
        )
    if given_up:
        text += (
            f"；放弃了接收端的 {', '.join(given_up)}"
            if zh
            else f"; given up of the receiver: {', '.join(given_up)}"
        )
    if behind:
        text += (
            f"; {behind} segments behind a gap were given up"
            if not zh
            else f"；缺口之后的 {behind} 个日志段被放弃"
        )
    advice = (
        "请科室核对最后一个已提交事务之后的纸质或设备记录并补录"
        if zh
        else "have the ward compare what it recorded after that instant on paper or on the machines, and enter it again"
    )
    title = "数据丢失（RPO）" if zh else "Data loss (RPO)"
    return [finding("REB-RPO-01", title, "0", text, "fail" if behind or given_up else "partial", advice)]


def now() -> float:
    """Seconds since 1970."""
    return round(time.time(), 3)
