"""HL7 v2 as far as the laboratory needs it: ORU^R01 in, ACK out. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation

HOSPITAL_TIME = timezone(timedelta(hours=8), "Asia/Shanghai")
ESCAPES = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\"}


class Hl7Error(ValueError):
    """Why a message cannot be taken, in words for the sender."""


@dataclass(frozen=True)
class Header:
    """Of MSH, what an answer needs."""

    source: str
    control_id: str
    message_type: str


@dataclass(frozen=True)
class Result:
    """One OBX: one item of one specimen. No value while it is not final."""

    item_code: str
    item_name: str
    value: Decimal | None
    unit: str
    reference: str
    flag: str | None


@dataclass(frozen=True)
class Report:
    """One ORU^R01: the results of one specimen of one patient."""

    header: Header
    medical_record_no: str
    specimen_no: str
    sampled_at: datetime
    reported_at: datetime
    results: tuple[Result, ...]


def segments(message: str) -> list[list[str]]:
    """The fields of each segment; CR is the rule, LF and CRLF are what some senders use."""
    lines = [line for line in message.replace("\r\n", "\r").replace("\n", "\r").split("\r") if line.strip()]
    if not lines or not lines[0].startswith("MSH|^~\\&|"):
        raise Hl7Error("消息须以 MSH|^~\\&| 开头")
    return [line.split("|") for line in lines]


def field(segment: list[str], number: int) -> str:
    """Field HL7-number of a segment. MSH counts its own separator as field 1."""
    index = number - 1 if segment[0] == "MSH" else number
    return segment[index].strip() if index < len(segment) else ""


def component(value: str, number: int) -> str:
    """Component of a field, unescaped."""
    parts = value.split("^")
    return unescape(parts[number - 1]) if number <= len(parts) else ""


def unescape(text: str) -> str:
    r"""Resolve \F\, \S\, \T\, \R\ and \E\; leave any other escape as it came."""
    parts = text.split("\\")
    if len(parts) % 2 == 0:
        return text
    for index in range(1, len(parts), 2):
        parts[index] = ESCAPES.get(parts[index], f"\\{parts[index]}\\")
    return "".join(parts)


def header(message: str) -> Header:
    """Read MSH; what is missing is an error because the answer could not be assigned."""
    msh = segments(message)[0]
    found = Header(component(field(msh, 3), 1), field(msh, 10), field(msh, 9))
    if not found.source or not found.control_id:
        raise Hl7Error("MSH-3（发送方）与 MSH-10（消息控制号）不得为空")
    if not found.message_type.startswith("ORU^R01"):
        raise Hl7Error(f"不支持的消息类型 {found.message_type or '（空）'}，只接收 ORU^R01")
    return found


def parse(message: str) -> Report:
    """Read a whole report."""
    lines = segments(message)
    pid, obr = only(lines, "PID"), only(lines, "OBR")
    medical_record_no = component(field(pid, 3), 1)
    specimen_no = component(field(obr, 3), 1)
    if not medical_record_no or not specimen_no:
        raise Hl7Error("PID-3（病案号）与 OBR-3（标本号）不得为空")
    results = tuple(observation(line) for line in lines if line[0] == "OBX")
    if not results:
        raise Hl7Error("消息中没有 OBX")
    codes = [result.item_code for result in results]
    if len(codes) != len(set(codes)):
        raise Hl7Error("同一标本的检验项目重复")
    sampled, reported = timestamp(field(obr, 7), "OBR-7"), timestamp(field(obr, 22), "OBR-22")
    return Report(header(message), medical_record_no, specimen_no, sampled, reported, results)


def only(lines: list[list[str]], name: str) -> list[str]:
    """The one segment of a name."""
    found = [line for line in lines if line[0] == name]
    if len(found) != 1:
        raise Hl7Error(f"{name} 须恰好一个，收到 {len(found)} 个")
    return found[0]


def observation(obx: list[str]) -> Result:
    """Read an OBX; only final (F) and corrected (C) results have a value."""
    code, name = component(field(obx, 3), 1), component(field(obx, 3), 2)
    if not code:
        raise Hl7Error("OBX-3（项目代码）不得为空")
    final = field(obx, 11) in ("F", "C")
    value = number(field(obx, 5), code) if final else None
    flag = (field(obx, 8) or "N") if final else None
    if flag not in (None, "L", "N", "H"):
        raise Hl7Error(f"{code}: OBX-8 须为 L、N、H，收到 {flag}")
    return Result(code, name or code, value, component(field(obx, 6), 1), unescape(field(obx, 7)), flag)


def number(text: str, code: str) -> Decimal:
    """A numeric value that the database can hold."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Hl7Error(f"{code}: 结果不是数值") from None
    if not math.isfinite(value) or abs(value) >= Decimal(10) ** 9:
        raise Hl7Error(f"{code}: 结果超出范围")
    return value


def timestamp(text: str, where: str) -> datetime:
    """YYYYMMDDHHMM[SS], the hospital's own time."""
    for pattern in ("%Y%m%d%H%M%S", "%Y%m%d%H%M"):
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=HOSPITAL_TIME)
        except ValueError:
            continue
    raise Hl7Error(f"{where}: 时间须为 YYYYMMDDHHMMSS")


def acknowledge(code: str, control_id: str, text: str = "", now: datetime | None = None) -> str:
    """The answer: AA taken, AE wrong content, AR wrong at our side, send it again."""
    stamp = (now or datetime.now(HOSPITAL_TIME)).strftime("%Y%m%d%H%M%S")
    clean = text.replace("\\", "\\E\\").replace("|", "\\F\\").replace("^", "\\S\\").replace("\r", " ")
    head = f"MSH|^~\\&|DIALYSIS|HD|LIS|LAB|{stamp}||ACK^R01|ACK{stamp}|P|2.4||||||UNICODE UTF-8"
    return f"{head}\rMSA|{code}|{control_id}|{clean}\r"
