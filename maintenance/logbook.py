"""The logbook: what happens outside a run (a call, a visit, a training) as one signed entry each.

What may be logged is one table, KINDS; nothing here touches a disk. The entry's JSON: docs/shapes.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field as ModelField

from maintenance import local_time
from maintenance.documents.clean import clean
from maintenance.errors import CallError
from maintenance.record import FileInfo, Instant, Operator, Strict
from maintenance.redaction import Redactor

LONGEST = 4000  # characters of one field; a longer text is an attachment
LATE_SECONDS = 900  # an entry recorded later than this after what it tells is shown as late
_MOBILE = re.compile(r"(?<![0-9A-Za-z.])(1[3-9]\d)\d{4}(\d{4})(?![0-9A-Za-z.])")


@dataclass(frozen=True)
class Field:
    """One thing that an entry tells, under its name, with its label for readers."""

    name: str
    zh: str
    en: str
    required: bool = False
    form: str = "text"  # text, number, phone
    choices: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()  # that the entry answers too where this field is given

    def shown(self) -> str:
        """Its label, for messages and help."""
        values = f": {'|'.join(self.choices)}" if self.choices else ""
        return f"({self.zh} {self.en}{values})"


@dataclass(frozen=True)
class Kind:
    """One sort of entry."""

    name: str
    zh: str
    en: str
    clauses: tuple[str, ...]
    fields: tuple[Field, ...]
    spans: bool = False  # it lasts: --until is required

    @property
    def required(self) -> tuple[Field, ...]:
        """The fields without which it says too little."""
        return tuple(field for field in self.fields if field.required)

    @property
    def optional(self) -> tuple[Field, ...]:
        """The others."""
        return tuple(field for field in self.fields if not field.required)


def _must(name: str, zh: str, en: str, form: str = "text") -> Field:
    return Field(name, zh, en, required=True, form=form)


def _may(name: str, zh: str, en: str, form: str = "text", clauses: tuple[str, ...] = ()) -> Field:
    return Field(name, zh, en, form=form, clauses=clauses)


_DEPARTMENT = _must("department", "科室", "department")
_ENGINEER = _must("engineer", "工程师", "engineer")
_RESULT = _may("result", "结果", "result")
_RUN = _may("run", "关联运行号", "run that belongs to it")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "phone",
            "电话支持",
            "telephone support",
            ("4.1.2", "4.2.2"),
            (
                _must("caller", "来电人", "caller"),
                _DEPARTMENT,
                _must("question", "问题", "question"),
                _must("answer", "答复", "answer"),
                _may("phone", "电话", "telephone", "phone"),
                _may("engineer", "接听人", "answered by"),
                _may("follow_up", "后续", "what follows"),
            ),
        ),
        Kind(
            "remote",
            "远程维护",
            "remote support",
            ("4.1.3",),
            (
                _must("notified", "已告知（何人、如何、何时）", "who was told, how, when"),
                _must("means", "连接方式", "reached by"),
                _must("purpose", "事由", "purpose"),
                _must("result", "结果", "result"),
                _may("engineer", "工程师", "engineer"),
                _may("closed", "连接关闭时间", "connection closed"),
                _RUN,
            ),
        ),
        Kind(
            "onsite",
            "现场服务",
            "on-site support",
            ("4.1.4",),
            (
                _ENGINEER,
                _must("purpose", "事由", "purpose"),
                _must("received_by", "院方接待人", "met by"),
                _RESULT,
                _may("review", "评审名称（电子病历等）", "review that it supported", clauses=("3.2.6.3",)),
                _may("inspection", "巡检（季度或运行号）", "inspection: quarter or run", clauses=("4.1.1",)),
            ),
        ),
        Kind(
            "training",
            "人员培训",
            "training",
            ("4.2.1",),
            (
                _must("topic", "培训主题", "topic"),
                _must("trainer", "讲师", "trainer"),
                _must("attendees", "参加人员", "attendees"),
                _may("audience", "对象（专职人员、临床医护）", "audience"),
                _may("material", "课件", "material"),
                _may("place", "地点", "place"),
                _may("assessment", "考核结果", "assessment"),
            ),
        ),
        Kind(
            "requirement",
            "用户需求收集",
            "a user's wish",
            ("4.1.1",),
            (
                _must("requester", "提出人", "from whom"),
                _DEPARTMENT,
                _must("wish", "需求", "wish"),
                _may("priority", "紧急程度", "priority"),
                _may("reply", "答复", "reply"),
                _may("inspection", "巡检（季度或运行号）", "inspection: quarter or run"),
            ),
        ),
        Kind(
            "customisation",
            "客户化改造",
            "customisation",
            ("3.2.7",),
            (
                _must("request", "改造内容", "what was asked for"),
                _must("requester", "提出人", "asked by"),
                _must("person_days", "工作量（人日）", "person-days", "number"),
                _must("release", "交付版本", "release"),
                _must("accepted_by", "验收人", "accepted by"),
                _may("department", "科室", "department"),
                _may("test", "验收测试", "acceptance test"),
                _RUN,
            ),
        ),
        Kind(
            "duty",
            "节假日及重大活动值班",
            "duty on a holiday or big event",
            ("3.2.8",),
            (
                _ENGINEER,
                _must("occasion", "节日或活动", "occasion"),
                _may("phone", "值班电话", "telephone", "phone"),
                _RESULT,
                _may("inspection", "值班前巡检（运行号）", "inspection before: run"),
            ),
            spans=True,
        ),
        Kind(
            "roster",
            "值班安排",
            "duty roster",
            ("3.2.8",),
            (
                _must("occasion", "节日或活动", "occasion"),
                _must("period", "值班期间", "period"),
                _must("engineers", "值班人员", "engineers"),
                _may("given_to", "送达", "given to"),
            ),
        ),
        Kind(
            "agreement",
            "保密协议",
            "confidentiality agreement",
            ("4.1.5",),
            (
                _must("signed_by", "签署人（乙方）", "signed by, of the vendor"),
                _may("counterpart", "签署人（甲方）", "signed by, of the hospital"),
                _may("subject", "协议名称", "which agreement"),
                _may("valid_until", "有效期至", "valid until"),
            ),
        ),
        Kind(
            "advice",
            "技术咨询",
            "technical advice",
            ("4.2.2",),
            (
                _must("asked_by", "咨询人", "asked by"),
                _DEPARTMENT,
                _must("question", "问题", "question"),
                _must("answer", "答复", "answer"),
            ),
        ),
        Kind(
            "statement",
            "报表数据解释",
            "explanation of report figures",
            ("3.1.4",),
            (
                _must("subject", "报表或指标", "report or figure"),
                _must("reason", "原因说明", "reason"),
                _must("given_to", "送达", "given to"),
                _may("correction", "修正", "correction"),
                _RUN,
            ),
        ),
        Kind(
            "material",
            "评审文审材料交付",
            "written material for a review",
            ("3.2.6.2",),
            (
                _must("review", "评审名称", "review"),
                _must("subject", "材料名称", "title"),
                _must("received_by", "接收人", "received by"),
            ),
        ),
        Kind(
            "handover",
            "账号及备品交接",
            "handover of accounts or spare parts",
            ("4.1.5",),
            (
                _must("subject", "交接内容", "what"),
                _must("from", "移交人", "from"),
                _must("to", "接收人", "to"),
            ),
        ),
        Kind(
            "satisfaction",
            "满意度",
            "satisfaction",
            ("4.5.1",),
            (
                _must("asked_by", "调查人", "asked by"),
                _must("given_by", "评价人", "given by"),
                _DEPARTMENT,
                _must("rating", "评价", "rating"),
                _may("remarks", "意见", "remarks"),
            ),
        ),
    )
}


class LogEntry(Strict):
    """entry.json of what was logged."""

    schema_: str = ModelField(alias="schema", default="maintenance-entry/1", pattern="^maintenance-entry/1$")
    what: str
    site: str
    at: Instant
    until: Instant | None
    case: str | None
    clauses: list[str]
    text: str
    fields: dict[str, str]
    attachments: list[FileInfo]
    operator: Operator
    recorded: Instant


def kind_of(name: str) -> Kind:
    """A kind by its name; raises CallError."""
    try:
        return KINDS[name]
    except KeyError:
        raise CallError(
            f"there is no entry of the kind '{clean(name, 40)}'; there are: {', '.join(KINDS)}"
        ) from None


def pairs(given: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE options as a mapping; raises CallError."""
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        name = name.strip()
        if not sign or not re.fullmatch(r"[a-z_]+", name):
            raise CallError("--field takes NAME=VALUE, with a name in small letters, as in topic='…'")
        if name in found:
            raise CallError(f"--field {name} is given twice; put all of it into one")
        found[name] = value
    return found


def check_fields(
    title: str,
    fields: Sequence[Field],
    given: Mapping[str, str],
    redactor: Redactor,
    option: Callable[[str], str] = "--field {}".format,
) -> dict[str, str]:
    """The fields as they are stored: none missing, none unknown, each of its form, masked; raises CallError."""
    unknown = sorted(set(given) - {field.name for field in fields})
    missing = [field for field in fields if field.required and not given.get(field.name, "").strip()]
    rest = [field for field in fields if not field.required]
    if unknown or missing:
        parts = [f"it has no {option(name)}" for name in unknown]
        if missing:
            parts.append(f"missing {', '.join(f'{option(field.name)} {field.shown()}' for field in missing)}")
        needed = [field.name for field in fields if field.required]
        parts.append(
            f"it needs {', '.join(needed) or 'none'} and takes {', '.join(f.name for f in rest) or 'no more'}"
        )
        raise CallError(f"{title}: {'; '.join(parts)}")
    return {
        field.name: _value(title, field, given[field.name], redactor, option)
        for field in fields
        if field.name in given
    }


def _value(title: str, field: Field, given: str, redactor: Redactor, option: Callable[[str], str]) -> str:
    value = given.strip()
    where = f"{title}: {option(field.name)}"
    if not value:
        raise CallError(f"{where} is empty")
    if len(value) > LONGEST:
        raise CallError(
            f"{where} has {len(value)} characters, and a field takes {LONGEST}; attach it as a file"
        )
    if field.choices and value not in field.choices:
        raise CallError(
            f"{where} takes one of {', '.join(field.choices)}, not '{clean(redactor.text(value), 40)}'"
        )
    if field.form == "number" and not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", value, re.ASCII):
        raise CallError(f"{where} takes a number such as 2.5, not '{clean(redactor.text(value), 40)}'")
    if field.form == "phone":  # the number of a member of staff: enough stays to know it again
        value = _MOBILE.sub(r"\1****\2", value)
    return redactor.text(value)


def instant(text: str, option: str, now: str) -> str:
    """A time that the user gave, in UTC; it must have come already. Raises CallError."""
    try:
        given = local_time.read(text)
    except ValueError as error:
        raise CallError(f"{option}: '{clean(text, 40)}' is {error}") from None
    if given > now:
        raise CallError(
            f"{option}: {local_time.minute(given)} has not come yet; it is {local_time.minute(now)}. "
            "What is logged has happened"
        )
    return given


def compose(
    kind: Kind,
    site: str,
    given: Mapping[str, str],
    redactor: Redactor,
    *,
    operator: Operator,
    now: str,
    at: str = "",
    until: str = "",
    case: str = "",
    text: str = "",
    attached: Sequence[FileInfo] = (),
    most_person_days: float | None = None,
) -> LogEntry:
    """The entry that a call of `log` asks for; raises CallError with everything that it lacks.

    at, until: as the user typed them. now: RFC 3339 UTC. most_person_days: what the contract says is free of charge.
    """
    title = f"log {kind.name}"
    fields = check_fields(title, kind.fields, given, redactor)
    begun = instant(at, "--at", now) if at else now
    ended = instant(until, "--until", now) if until else None
    if ended and ended < begun:
        raise CallError(
            f"{title}: --until {local_time.minute(ended)} is before --at {local_time.minute(begun)}"
        )
    if kind.spans and not (at and ended):
        raise CallError(f"{title}: it lasts, so --at and --until are needed")
    if kind.name == "customisation":
        _check_person_days(fields["person_days"], most_person_days)
    if len(text) > LONGEST:
        raise CallError(
            f"{title}: --text has {len(text)} characters, and it takes {LONGEST}; attach it as a file"
        )
    extra = [clause for field in kind.fields if field.name in fields for clause in field.clauses]
    return LogEntry(
        what=kind.name,
        site=site,
        at=begun,
        until=ended,
        case=case or None,
        clauses=[*kind.clauses, *extra],
        text=redactor.text(text.strip()),
        fields=fields,
        attachments=list(attached),
        operator=operator,
        recorded=now,
    )


def _check_person_days(text: str, most: float | None) -> None:
    days = float(text)
    if days <= 0:
        raise CallError("log customisation: --field person_days must be more than 0")
    if most is not None and days > most:
        raise CallError(
            f"log customisation: {text} person-days are more than the {most:g} that the contract makes free; it is no "
            "customisation of 3.2.7. Log the wish as a requirement"
        )


def seconds(start: str, end: str) -> int:
    """Whole seconds from one instant to another."""
    return int((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())


def duration(amount: float) -> str:
    """Seconds as people say them: 45 min, 5 h 10 min, 3 d 2 h."""
    minutes = round(amount / 60)
    days, hours, rest = minutes // 1440, minutes % 1440 // 60, minutes % 60
    parts = [f"{days} d"] if days else []
    parts += [f"{hours} h"] if hours else []
    parts += [f"{rest} min"] if (rest and not days) or not parts else []
    return " ".join(parts)


def lateness(happened: str, recorded: str) -> str:
    """'recorded 5 h after', where an entry was made later than LATE_SECONDS after what it tells; else empty."""
    late = seconds(happened, recorded)
    return f"recorded {duration(late)} after" if late > LATE_SECONDS else ""
