"""What status says of a contract's cover, on a terminal and on a page, in both languages."""

from __future__ import annotations

from datetime import date

from maintenance.contract import Language
from maintenance.cover import Cover, Evidence, Part, Response, Row

WORDS: dict[Language, dict[str, str]] = {
    "zh": {
        "title": "合同履约状态",
        "contract": "合同",
        "period": "合同期",
        "at": "统计截至",
        "entries": "台账条目",
        "todo": "下一步要做的事",
        "nothing_to_do": "没有到期或逾期的事项。",
        "clauses": "逐条履约情况",
        "clause": "条款",
        "duty": "义务",
        "owed": "约定",
        "shown": "台账所示",
        "newest": "最近一次",
        "evidence": "证据（日期 #条目）",
        "missing": "尚缺",
        "hours_left": "剩 {n} 小时",
        "hours_over": "超时 {n} 小时",
        "due": "期限",
        "state": "状态",
        "timeline": "合同期内的安排与完成情况",
        "responses": "服务响应时限（SLA）",
        "response_how": "达标率 = 在时限内响应的故障数 ÷ 已可判定的故障数，取自台账中签名的故障事件",
        "no_cases": "没有故障",
        "met_of": "{met} / {judged} 达标（{percent} %）",
        "running": "，{n} 项计时中",
        "open_cases": "未关闭的故障",
        "used": "{kind} 已用 {used} 小时 / 限 {limit} 小时",
        "without": "未经工单的变更（4.1.3）",
        "emergencies": "紧急变更，待院方补签",
        "unrecorded": "绕过本程序的手工运行（无记录）",
        "days_left": "剩 {n} 天",
        "days_over": "逾期 {n} 天",
        "today": "今天",
        "overdue": "逾期",
        "due_soon": "即将到期",
        "unknown": "无法判断",
        "open": "进行中",
        "kept": "已履行",
        "not_asked": "尚未发生",
        "phone": "电话",
        "remote": "远程",
        "onsite": "现场",
        "o_each_quarter": "每季度 {n} 次",
        "o_in_period": "合同期内 {n} 次",
        "o_holidays": "每个法定节假日（{n} 个）",
        "o_once": "{n} 份",
        "o_last_month": "最后一个月内",
        "o_each_change": "每次变更",
        "o_on_event": "有事由时",
        "o_sla": "每次",
        "s_count": "{n} 次",
        "s_quarters": "{done} / {all} 季度",
        "s_of": "{done} / {all}",
        "s_changes": "{n} 次变更，无工单 {without} 次",
        "s_none": "无",
        "nth": "第 {n} 次",
        "year_unknown": "{year} 年的放假安排尚未公布，或本版本未收录",
        "legend": "灰色为尚未到期；数字为台账序号。",
        "made_by": "本页由台账生成，不含任何外部内容；台账的核验方法见验收包或 verify.sh。",
    },
    "en": {
        "title": "Contract cover",
        "contract": "Contract",
        "period": "Period",
        "at": "As of",
        "entries": "Entries of the ledger",
        "todo": "What is to be done next",
        "nothing_to_do": "Nothing is due or overdue.",
        "clauses": "Clause by clause",
        "clause": "Clause",
        "duty": "Duty",
        "owed": "Promised",
        "shown": "Shown by the ledger",
        "newest": "Newest",
        "evidence": "Evidence (day #entry)",
        "missing": "Missing",
        "hours_left": "{n} h left",
        "hours_over": "{n} h over",
        "due": "Due",
        "state": "State",
        "timeline": "What was done and what is due in the period",
        "responses": "Response times (SLA)",
        "response_how": "Share = faults answered in time of those that can be judged, from the signed events of faults",
        "no_cases": "no fault",
        "met_of": "{met} of {judged} in time ({percent} %)",
        "running": ", {n} running",
        "open_cases": "Faults that are open",
        "used": "{kind}: {used} h used of {limit} h",
        "without": "Changes without an order (4.1.3)",
        "emergencies": "Emergency changes, to be countersigned",
        "unrecorded": "Runs by hand, without a record",
        "days_left": "{n} days left",
        "days_over": "{n} days over",
        "today": "today",
        "overdue": "overdue",
        "due_soon": "due soon",
        "unknown": "unknown",
        "open": "under way",
        "kept": "kept",
        "not_asked": "not asked yet",
        "phone": "telephone",
        "remote": "remote",
        "onsite": "on site",
        "o_each_quarter": "{n} a quarter",
        "o_in_period": "{n} in the period",
        "o_holidays": "every public holiday ({n})",
        "o_once": "{n}",
        "o_last_month": "in the last month",
        "o_each_change": "every change",
        "o_on_event": "when there is reason",
        "o_sla": "each time",
        "s_count": "{n}",
        "s_quarters": "{done} of {all} quarters",
        "s_of": "{done} of {all}",
        "s_changes": "{n} changes, {without} without an order",
        "s_none": "none",
        "nth": "no. {n}",
        "year_unknown": "the days off of {year} are not decreed yet, or not known to this release",
        "legend": "Grey is not due yet; numbers are those of the ledger's entries.",
        "made_by": "Made from the ledger, with nothing from elsewhere; the pack or verify.sh verify the ledger.",
    },
}


def owed(row: Row, words: dict[str, str]) -> str:
    """What was promised, in a few words."""
    needed = row.needed // max(1, len(row.parts)) if row.kind == "each_quarter" else row.needed or 1
    return words[f"o_{row.kind}"].format(n=len(row.parts) if row.kind == "holidays" else needed)


def shown(row: Row, words: dict[str, str]) -> str:
    """What the ledger shows of it."""
    if row.kind == "sla":
        met, missed = row.note.get("met", 0), row.note.get("missed", 0)
        return share(met, met + missed, row.note.get("running", 0), words)
    if row.kind == "each_change":
        return words["s_changes"].format(n=row.note["changes"], without=row.note["without"])
    done = sum(part.state == "kept" for part in row.parts)
    if row.kind == "each_quarter":
        return words["s_quarters"].format(done=done, all=len(row.parts))
    if row.kind in ("holidays", "in_period"):
        return words["s_of"].format(done=done, all=len(row.parts))
    return words["s_count"].format(n=len(row.shown)) if row.shown else words["s_none"]


def share(met: int, judged: int, running: int, words: dict[str, str]) -> str:
    """A share with the numbers that it was got from."""
    text = words["no_cases"]
    if judged:
        text = words["met_of"].format(met=met, judged=judged, percent=f"{100 * met / judged:.1f}")
    return text + (words["running"].format(n=running) if running else "")


def response(told: Response, words: dict[str, str]) -> str:
    """One kind of response."""
    return share(told.met, told.judged, told.running, words)


def left(due: str, cover: Cover, words: dict[str, str]) -> str:
    """Days until a day, or over it."""
    days = (date.fromisoformat(due) - date.fromisoformat(cover.at)).days
    return words["days_left" if days >= 0 else "days_over"].format(n=abs(days))


def missing(row: Row, words: dict[str, str]) -> str:
    """How many of what is owed by days are not there, of those that were or will soon be due."""
    count = sum(part.state in ("overdue", "due_soon", "unknown") for part in row.parts)
    return words["s_count"].format(n=count) if count else ""


def left_hours(hours: float, words: dict[str, str]) -> str:
    """Time left of a clock."""
    return words["hours_left" if hours >= 0 else "hours_over"].format(n=f"{abs(hours):.1f}")


def label(part: Part, words: dict[str, str]) -> str:
    """Which one of several."""
    if part.label.isdigit():
        return words["year_unknown" if len(part.label) == 4 else "nth"].format(n=part.label, year=part.label)
    return part.label


def newest(row: Row) -> Evidence | None:
    """The last thing that counts."""
    return max(row.shown, key=lambda one: (one.day, one.seq), default=None)
