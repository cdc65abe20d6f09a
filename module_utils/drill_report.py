"""What a record says of a restore drill: how long it took, what a disaster would have lost, and each proof by itself."""

from __future__ import annotations

import datetime
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible.module_utils.database_digest import compare
from ansible.module_utils.wal_chain import parse_lsn

_CLAUSE = "3.2.2"
_WORD = re.compile(r"[\w.:+ -]{1,60}\Z")
# Phases in their order: mark at its end, name, whether a hospital that has lost its server would wait for it.
PHASES = (
    ("pinned", "生产库定点与摘要", "pin production, digest it", False),
    ("found", "核对备份与归档", "prove backup and archive", True),
    ("restored", "恢复数据文件", "restore the files", True),
    ("fetched", "取回日志", "bring the WAL", True),
    ("replayed", "启动并重放日志", "start and replay", True),
    ("opened", "开放查询", "open for questions", True),
    ("proven", "校验", "prove", False),
)


_VERDICTS = {
    "equal": "一致",
    "different": "不一致",
    "missing": "副本缺失",
    "extra": "副本多出",
    "unknown": "未能读取",
    "excluded": "不比对（序列、外部表、不记日志的表）",
}


def report(told: Mapping[str, Any], language: str) -> Dict[str, Any]:
    """Evidence and metrics of what is known, and which findings keep it from being a proof.

    What is not known is unknown, and a drill that broke off has failed.
    """
    zh = language == "zh"
    if "plan" not in told:
        evidence = wiping(told, zh)
        return {"evidence": evidence, "metrics": [], "wrong": wrong(evidence, told)}
    parts = (target, source, times, losses, rows, answers, collation, load, untouched, wiping)
    evidence = [one for part in parts for one in part(told, zh)]
    return {"evidence": evidence, "metrics": metrics(told), "wrong": wrong(evidence, told)}


def wrong(evidence: Sequence[Mapping[str, Any]], told: Mapping[str, Any]) -> List[str]:
    """What failed, and what had to be known and is not. Of the past production has no state to compare with."""
    may_be_unknown = {"DRL-ASK-01", "DRL-RPO-01"} | ({"DRL-ROW-01"} if told.get("target_seconds") else set())
    found = [
        str(one["id"])
        for one in evidence
        if one["verdict"] == "fail" or (one["verdict"] == "unknown" and one["id"] not in may_be_unknown)
    ]
    proof = told.get("proof") or {}
    if "plan" in told and (proof.get("pages") or {}).get("state") != "ok":
        found.append("PRF-PAG-01")
    if "plan" in told and (proof.get("structure") or {}).get("state") != "ok":
        found.append("PRF-AMC-01")
    return found


def phases(told: Mapping[str, Any]) -> List[Tuple[str, str, str, bool, float]]:
    """Each phase that has ended, with its seconds."""
    marks = {name: answer["at"] for name, answer in (told.get("marks") or {}).items() if "at" in answer}
    found = []
    last = marks.get("begun")
    for mark, zh, en, counts in PHASES:
        if last is not None and mark in marks:
            found.append((mark, zh, en, counts, round(max(0.0, marks[mark] - last), 1)))
            last = marks[mark]
    return found


def rto(told: Mapping[str, Any]) -> Optional[float]:
    """Seconds from the decision to a database that answers; None where it did not come so far."""
    found = phases(told)
    if not any(one[0] == "opened" for one in found):
        return None
    return round(sum(one[4] for one in found if one[3]), 1)


def instant(seconds: float) -> str:
    """RFC 3339 UTC."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def megabytes(size: float) -> str:
    """A size as a person says it."""
    return f"{size / 1e6:,.1f} MB"


def target(told: Mapping[str, Any], zh: bool) -> List[Dict[str, Any]]:
    """What was aimed at, and whether recovery came there."""
    point, server = told.get("point") or {}, told.get("server") or {}
    aimed = ("最新时点，恢复点 " if zh else "newest point, ") + str(point.get("name") or "-")
    if told.get("target_seconds"):
        aimed = instant(told["target_seconds"])
    where = f"LSN {server['lsn']}, {server.get('last_commit') or '-'}" if server else "-"
    title = "恢复目标" if zh else "Target of the recovery"
    # Recovery may also pause where its settings do not suffice; the point's own record is what counts.
    reached = bool(server) and (not point.get("lsn") or parse_lsn(server["lsn"]) >= parse_lsn(point["lsn"]))
    return [finding("DRL-TGT-01", title, aimed, where, "pass" if reached else "fail")]


def source(told: Mapping[str, Any], zh: bool) -> List[Dict[str, Any]]:
    """The backup that was used, and what of the repository could not be."""
    plan = told.get("plan") or {}
    title = "所用备份" if zh else "Backup that was used"
    if not plan:
        return [finding("DRL-SRC-01", title, "0", "-", "fail")]
    text = f"{plan['label']}, {megabytes(plan['bytes'])}, {plan['first_segment']} - {plan['needed_segment']}"
    faults = plan.get("faults") or []
    advice = (
        (
            "运行 check_backup，补做全量备份，保留损坏的备份备查"
            if zh
            else "run check_backup, take a full backup, keep what is damaged"
        )
        if faults
        else ""
    )
    return [
        finding(
            "DRL-SRC-01", title, "0", "; ".join([text, *faults])[:1500], "fail" if faults else "pass", advice
        )
    ]


def times(told: Mapping[str, Any], zh: bool) -> List[Dict[str, Any]]:
    """Time to service by phase, against what the site demands."""
    total, demand = rto(told), float(told.get("rto_seconds") or 0)
    named = "; ".join(f"{one[1 if zh else 2]} {one[4]:g} s" for one in phases(told)) or "-"
    title = "恢复用时（RTO）" if zh else "Time to recover (RTO)"
    wanted = f"<= {demand:g} s" if demand else ("合同未约定" if zh else "not agreed")
    if total is None:
        return [finding("DRL-RTO-01", title, wanted, named, "fail")]
    verdict = "pass" if not demand or total <= demand else "fail"
    return [finding("DRL-RTO-01", title, wanted, f"{total:g} s ({named})", verdict)]


def losses(told: Mapping[str, Any], zh: bool) -> List[Dict[str, Any]]:
    """What a failure at the beginning of the drill would have lost: what was committed and not archived yet."""
    demand = float(told.get("rpo_seconds") or 0)
    title = "若此刻故障的数据丢失（RPO）" if zh else "What a failure at that moment would have lost (RPO)"
    wanted = f"<= {demand:g} s" if demand else ("合同未约定" if zh else "not agreed")
    lost = loss(told)
    if lost is None:
        why = "归档末尾的最后一次提交未能读出" if zh else "the last commit of the archive could not be read"
        return [finding("DRL-RPO-01", title, wanted, why, "unknown")]
    text = f"{lost['seconds']:g} s, {lost['transactions']} " + (
        "个已提交事务" if zh else "committed transactions"
    )
    since = told.get("since_point")
    if since is not None:
        text += (
            f"；恢复点之后生产库又提交 {since} 个"
            if zh
            else f"; since the restored point production has committed {since}"
        )
    verdict = "pass" if not demand or lost["seconds"] <= demand else "fail"
    return [finding("DRL-RPO-01", title, wanted, text, verdict)]


def loss(told: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    """Seconds and transactions that were committed and not archived when the drill began; None where not known.

    Counted from the first of them; where that is not archived yet, from the last one before, which is longer.
    """
    commit = told.get("next_commit") or told.get("last_commit")
    count, before = told.get("lost_transactions"), told.get("before")
    if not commit or count is None or not before:
        return None
    at = str(commit["at"]).replace("Z", "+00:00")
    since = float(before["now_seconds"]) - datetime.datetime.fromisoformat(at).timestamp()
    return {"transactions": count, "seconds": round(max(0.0, since), 1) if count else 0.0}


def rows(told: Mapping[str, Any], zh: bool) -> List[Dict[str, Any]]:
    """Every table against production at the same point."""
    title = (
        "逐表行数与内容摘要，与生产库同一时点"
        if zh
        else "Rows and digest of every table, production at the same point"
    )
    copy = told.get("copy")
    expected = "全部一致" if zh else "all equal"
    if not copy:
        return [finding("DRL-ROW-01", title, expected, "-", "unknown")]
    good = [one for one in copy["tables"] if one["state"] == "ok"]
    count = sum(one["rows"] for one in good)
    if not told.get("production"):
        text = (
            f"未比对：目标在过去，生产库已无该时点的状态；副本可读 {len(good)} 张表、{count} 行"
            if zh
            else f"not compared: production has no such state any more; {len(good)} tables with {count} rows can be read"
        )
        return [finding("DRL-ROW-01", title, expected, text, "unknown")]
    compared = compare(told["production"], copy)
    by: Dict[str, List[Dict[str, str]]] = {}
    for one in compared:
        by.setdefault(one["verdict"], []).append(one)
    unseen = told.get("unseen")
    text = ("，" if zh else ", ").join(
        f"{_VERDICTS[verdict] if zh else verdict} {len(by[verdict])}"
        for verdict in _VERDICTS
        if verdict in by
    )
    text += f"；{count} 行，方法 {copy['method']}" if zh else f"; {count} rows, method {copy['method']}"
    wrong = [one for verdict in ("different", "missing", "extra", "unknown") for one in by.get(verdict, [])]
    text += "".join(f"; {one['database']} {one['table']}: {one['reason']}" for one in wrong[:10])
    if unseen is None or unseen:
        text += "; 两侧不是同一时点" if zh else "; the two are not one point"
    differs = any(by.get(verdict) for verdict in ("different", "missing", "extra"))
    sure = unseen == [] and not by.get("unknown") and bool(by.get("equal"))
    return [
        finding(
            "DRL-ROW-01", title, expected, text[:1500], "fail" if differs else "pass" if sure else "unknown"
        )
    ]


def answers(told: Mapping[str, Any], zh: bool) -> List[Dict[str, Any]]:
    """The application's own questions, and its last session."""
    asked: Sequence[Mapping[str, Any]] = told.get("answers") or []
    title = "业务查询" if zh else "The application's own questions"
    if not told.get("server"):
        return [finding("DRL-ASK-01", title, "-", "-", "unknown")]
    if not asked:
        why = "站点未配置 drill_questions" if zh else "the site has no drill_questions"
        return [finding("DRL-ASK-01", title, "-", why, "unknown")]
    said = [(str(one["item"]["name"]), str(one.get("stdout", "")), one.get("rc") == 0) for one in asked]
    # A question that brings back more than a number or a word could bring a patient.
    told_well = [(name, text, right and bool(_WORD.match(text))) for name, text, right in said]
    good = all(right for _name, _text, right in told_well)
    text = "; ".join(f"{name}: {answer if right else '—'}" for name, answer, right in told_well)
    return [finding("DRL-ASK-01", title, "-", text[:1500], "pass" if good else "fail")]


def collation(told: Mapping[str, Any], zh: bool) -> List[Dict[str, Any]]:
    """Whether the drill's host sorts as production does."""
    server = told.get("server") or {}
    if not server:
        return []
    differs = server.get("collation_differs") or []
    title = "排序规则版本" if zh else "Collation version"
    text = ", ".join(differs) if differs else ("相同" if zh else "the same")
    advice = (
        "演练机的系统库与生产不同，文本索引以 pg_amcheck 结果为准；真正重建时用同版本系统"
        if zh
        else "this host's C library is another one: pg_amcheck decides on text indexes; rebuild on the same release"
    )
    return [
        finding(
            "DRL-COL-01",
            title,
            "与备份相同" if zh else "as in the backup",
            text,
            "partial" if differs else "pass",
            advice if differs else "",
            "warning",
        )
    ]


def load(told: Mapping[str, Any], zh: bool) -> List[Dict[str, Any]]:
    """What the drill took of production: one snapshot, read at a low rate."""
    before, after = told.get("before") or {}, told.get("after") or {}
    digest = told.get("production") or {}
    title = "对生产库的负载" if zh else "Load on production"
    if not before or not after:
        return []
    average = f"{before['load']:.2f} → {after['load']:.2f}"
    seconds, attempts = digest.get("seconds"), (digest.get("point") or {}).get("attempts")
    if seconds is None:
        text = (
            f"未读取其表；系统负载 {average}" if zh else f"its tables were not read; load average {average}"
        )
    else:
        text = (
            f"一个快照，读取 {seconds:g} s，尝试 {attempts} 次；系统负载 {average}"
            if zh
            else f"one snapshot, read for {seconds:g} s, {attempts} attempts; load average {average}"
        )
    return [finding("DRL-LOD-01", title, "-", text, "pass", "", "advice")]


def untouched(told: Mapping[str, Any], zh: bool) -> List[Dict[str, Any]]:
    """Production and its repository as they were."""
    before, after = told.get("before") or {}, told.get("after") or {}
    found = []
    same = "前后一致" if zh else "the same"
    title = "生产库设置与归档未变" if zh else "Production's settings and archiving are as before"
    if before and after:
        names = ("system_id", "timeline", "in_recovery", "digest")
        differ = [name for name in names if before[name] != after[name]]
        if after["failed_count"] > before["failed_count"]:
            differ.append("archive failures")
        found.append(
            finding(
                "DRL-PRD-01",
                title,
                same,
                ", ".join(differ) or f"{same} (SHA-256 {after['digest'][:16]}…)",
                "fail" if differ else "pass",
            )
        )
    else:
        found.append(finding("DRL-PRD-01", title, same, "-", "unknown"))
    title = "备份仓库未变" if zh else "The repository is as before"
    told_of = told.get("repository") or {}
    if not told_of:
        return [*found, finding("DRL-REP-01", title, same, "-", "unknown")]
    wrong = [*told_of["changed"], *told_of["strange"], *told_of["removed"]]
    text = (
        f"{told_of['files']} 个文件，生产新增 {told_of['added']}，清理 {told_of['removed_count']}，"
        f"改动 {len(told_of['changed'])}，异常 {len(told_of['strange'])}"
        if zh
        else f"{told_of['files']} files; production added {told_of['added']}, expired {told_of['removed_count']};"
        f" changed {len(told_of['changed'])}, of strangers {len(told_of['strange'])}"
    )
    if not told_of["whole"]:
        text += "; " + ", ".join(wrong[:5])
    return [*found, finding("DRL-REP-01", title, same, text, "pass" if told_of["whole"] else "fail")]


def wiping(told: Mapping[str, Any], zh: bool) -> List[Dict[str, Any]]:
    """The copy's end."""
    wiped = told.get("wiped") or {}
    title = "演练数据销毁" if zh else "The copy was wiped"
    expected = "无残留" if zh else "nothing is left"
    if not wiped:
        return [finding("DRL-WIP-01", title, expected, "-", "unknown")]
    if wiped["left"]:
        advice = (
            "以 --set drill_only_clean=true 再次清除" if zh else "wipe again: --set drill_only_clean=true"
        )
        return [finding("DRL-WIP-01", title, expected, "; ".join(wiped["left"])[:1500], "fail", advice)]
    text = (
        f"{wiped['folder']}：{wiped['files']} 个文件、{megabytes(wiped['bytes'])} 已删除；"
        f"目录、进程、打开的文件、服务单元均无残留；{instant(wiped['at'])}"
        if zh
        else f"{wiped['folder']}: {wiped['files']} files, {megabytes(wiped['bytes'])} removed;"
        f" no folder, process, open file or unit is left; {instant(wiped['at'])}"
    )
    return [finding("DRL-WIP-01", title, expected, text, "pass")]


def metrics(told: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The numbers."""
    host = str(told["host"])
    lost = loss(told) or {}
    numbers: List[Tuple[str, Any, str]] = [
        (f"drill_{one[0]}_seconds", one[4], "seconds") for one in phases(told)
    ]
    numbers += [
        ("drill_rto_seconds", rto(told), "seconds"),
        ("drill_rpo_seconds", lost.get("seconds"), "seconds"),
        ("drill_rpo_transactions", lost.get("transactions"), "transactions"),
        ("drill_digest_seconds", (told.get("production") or {}).get("seconds"), "seconds"),
        ("drill_bytes", (told.get("plan") or {}).get("bytes"), "bytes"),
    ]
    return [
        {"name": name, "subject": host, "value": value, "unit": unit, "limit": None}
        for name, value, unit in numbers
        if value is not None
    ]


def finding(
    id_: str,
    title: str,
    expected: str,
    actual: str,
    verdict: str,
    advice: str = "",
    severity: str = "critical",
) -> Dict[str, Any]:
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
        "severity": severity,
        "owner": "vendor",
        "advice": advice,
    }
