"""What can happen to a case, as one table, and the entries that say it. Nothing here touches a disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maintenance.logbook import Field, LogEntry
from maintenance.record import Strict

EventName = Literal[
    "open", "respond", "decide", "arrive", "pause", "resume", "note", "restore", "reopen", "close"
]
# What the hospital tells before anything is repaired (4.1.6): when, how often, what was being done.
CONVERSATION = ("appeared", "frequency", "operation")
WEIGHT = ("impact", "severity")


@dataclass(frozen=True)
class EventKind:
    """One thing that can happen to a case, and what has to be said of it."""

    name: EventName
    zh: str
    en: str
    clauses: tuple[str, ...]
    fields: tuple[Field, ...]


_TALK = (
    Field("appeared", "故障出现时间", "when it appeared"),
    Field("frequency", "发生频率", "how often"),
    Field("operation", "出现时的操作", "what was being done when it appeared"),
)
_WEIGHT = (
    Field("impact", "影响范围", "what is affected"),
    Field(
        "severity",
        "级别",
        "severity",
        choices=("critical", "major", "minor"),
    ),
)
_PHONE = Field("phone", "联系电话", "telephone", form="phone")

EVENTS: dict[str, EventKind] = {
    kind.name: kind
    for kind in (
        EventKind(
            "open",
            "报修",
            "fault reported",
            ("4.1.2", "4.1.6", "4.3.1"),
            (
                Field("title", "故障名称", "title", required=True),
                Field("reporter", "报修人", "reporter", required=True),
                Field("department", "科室", "department", required=True),
                _PHONE,
                *_TALK,
                *_WEIGHT,
            ),
        ),
        EventKind(
            "respond",
            "反馈",
            "feedback given",
            ("4.3.1", "4.3.2"),
            (
                Field("channel", "方式", "of which service", required=True, choices=("phone", "remote")),
                Field("answer", "反馈意见", "what was answered", required=True),
                Field("told", "告知", "who was told"),
            ),
        ),
        EventKind(
            "decide",
            "确定服务方式",
            "service decided",
            ("4.3.2", "4.3.3"),
            (
                Field("channel", "方式", "which service", required=True, choices=("remote", "onsite")),
                Field("reason", "原因", "why", required=True),
                Field("agreed_by", "院方同意人", "agreed by, of the hospital"),
            ),
        ),
        EventKind(
            "arrive",
            "到达现场",
            "arrived on site",
            ("4.1.4", "4.3.3"),
            (
                Field("engineer", "工程师", "engineer", required=True),
                Field("received_by", "院方接待人", "met by, of the hospital"),
            ),
        ),
        EventKind(
            "pause",
            "暂停计时",
            "clock paused",
            ("4.3.2", "4.3.3"),
            (
                # The contract knows no special circumstances for the telephone: its clock never stands still.
                Field("clock", "时限", "which clock", required=True, choices=("remote", "onsite")),
                Field("reason", "特殊情况", "special circumstances", required=True),
                Field("agreed_by", "院方同意人", "agreed by, of the hospital", required=True),
            ),
        ),
        EventKind(
            "resume",
            "恢复计时",
            "clock resumed",
            ("4.3.2", "4.3.3"),
            (Field("clock", "时限", "which clock", required=True, choices=("remote", "onsite")),),
        ),
        EventKind(
            "note",
            "补充情况",
            "more about it",
            ("4.1.6",),
            (*_TALK, *_WEIGHT, _PHONE),
        ),
        EventKind(
            "restore",
            "业务恢复",
            "service restored",
            ("3.1.1", "3.2.9"),
            (
                Field("how", "恢复方法", "how", required=True),
                Field("confirmed_by", "院方确认人", "confirmed by, of the hospital"),
            ),
        ),
        EventKind(
            "reopen",
            "故障重现",
            "fault came back",
            ("3.2.9",),
            (Field("reason", "情况", "what was seen", required=True),),
        ),
        EventKind(
            "close",
            "关闭",
            "closed",
            ("3.2.9", "4.1.6"),
            (
                Field("description", "故障描述", "description", required=True),
                Field("process", "修复过程", "what was done", required=True),
                Field("cause", "直接原因", "direct cause", required=True),
                Field("root_cause", "根本原因", "root cause", required=True),
                Field("data_impact", "数据影响", "effect on data", required=True),
                Field("prevention", "预防措施", "prevention"),
                Field("leftover", "遗留问题", "what is left"),
                Field("satisfaction", "院方评价", "satisfaction"),
            ),
        ),
    )
}


class Measure(Strict):
    """What was done against the fault, for now or for good."""

    kind: Literal["temporary", "permanent"]
    text: str


class Check(Strict):
    """A test after the repair."""

    name: str
    expected: str
    actual: str
    tester: str
    passed: bool


class Fault(Strict):
    """What 4.1.6 asks to be written down, in the entry that closes a case."""

    description: str
    process: str
    cause: str
    root_cause: str
    data_impact: str
    prevention: str = ""
    leftover: str = ""
    satisfaction: str = ""
    measures: list[Measure]
    tests: list[Check]


class CaseEntry(LogEntry):
    """entry.json of an event of a case."""

    event: EventName


class SignedLimit(Strict):
    """A limit of the contract as it was in force."""

    clause: str
    hours: float


class Closing(CaseEntry):
    """entry.json of the event that closes a case: all that 《故障处理记录》 needs beside the events before it."""

    fault: Fault
    limits: dict[str, SignedLimit]
    site_facts: dict[str, str]
