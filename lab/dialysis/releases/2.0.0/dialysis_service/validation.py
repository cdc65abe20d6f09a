"""Check what clients send before the database sees it. Pure; messages are Chinese because users read them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from typing import Any

HOSPITAL_TIME = timezone(timedelta(hours=8), "Asia/Shanghai")

# field: (lowest, highest, name); the same limits as the checks of the table, said in words.
VITALS: dict[str, tuple[float, float, str]] = {
    "systolic": (30, 300, "收缩压"),
    "diastolic": (10, 200, "舒张压"),
    "heart_rate": (20, 250, "心率"),
    "venous_pressure": (-100, 500, "静脉压"),
    "transmembrane_pressure": (-100, 600, "跨膜压"),
    "blood_flow": (0, 600, "血流量"),
    "uf_rate": (0, 4000, "超滤率"),
    "uf_total": (0, 8000, "超滤总量"),
    "temperature": (30, 43, "体温"),
}
PRE_WEIGHT: dict[str, tuple[float, float, str]] = {"pre_weight": (20, 200, "透前体重")}
OUTCOMES: dict[str, tuple[float, float, str]] = {
    "post_weight": (20, 200, "透后体重"),
    "uf_volume_ml": (0, 8000, "超滤量"),
    "ktv": (0, 4, "Kt/V"),
}
FRACTIONAL = {"temperature", "pre_weight", "post_weight", "ktv"}


class Invalid(ValueError):  # noqa: N818  (it names the input's state; callers raise it as a verdict)
    """Why an input is refused."""


def mapping(body: Any) -> Mapping[str, Any]:
    """The body must be a JSON object."""
    if not isinstance(body, Mapping):
        raise Invalid("请求须为 JSON 对象")
    return body


def refuse_unknown(body: Mapping[str, Any], known: set[str]) -> None:
    """A misspelt field must not vanish without a word."""
    unknown = sorted(set(body) - known)
    if unknown:
        raise Invalid(f"未知字段：{'、'.join(unknown)}")


def integer(value: Any, name: str, low: int, high: int) -> int:
    """A whole number within limits; true is not 1 here."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Invalid(f"{name}须为 {low} 至 {high} 的整数")
    return value


def measured(body: Mapping[str, Any], limits: Mapping[str, tuple[float, float, str]]) -> dict[str, Any]:
    """Those of the fields that are given, each within its limits."""
    values: dict[str, Any] = {}
    for key, (low, high, name) in limits.items():
        value = body.get(key)
        if value is None:
            continue
        kinds = (int, float) if key in FRACTIONAL else (int,)
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            raise Invalid(f"{name}须为 {low} 至 {high} 的{'数' if key in FRACTIONAL else '整数'}")
        values[key] = value
    return values


def day(text: Any, name: str = "日期") -> date:
    """YYYY-MM-DD."""
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        raise Invalid(f"{name}须为 YYYY-MM-DD") from None


def instant(text: Any, now: datetime) -> datetime:
    """An ISO 8601 time, the hospital's own when no zone is given; not in the future."""
    if text is None:
        return now
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise Invalid("测量时间须为 ISO 8601") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=HOSPITAL_TIME)
    # Bedside terminals' clocks run a little ahead of the server's.
    if moment > now + timedelta(minutes=5):
        raise Invalid("测量时间不得晚于当前时间")
    return moment


def booking(body: Any) -> dict[str, Any]:
    """A booking: patient, date, shift, and the client's own reference for repeats."""
    body = mapping(body)
    refuse_unknown(body, {"patient_id", "date", "shift", "client_ref"})
    values: dict[str, Any] = {
        "patient_id": integer(body.get("patient_id"), "患者编号", 1, 2**62),
        "date": day(body.get("date")),
        "shift": integer(body.get("shift"), "班次", 1, 3),
        "client_ref": None,
    }
    if body.get("client_ref") is not None:
        try:
            values["client_ref"] = str(uuid.UUID(body["client_ref"]))
        except (TypeError, ValueError, AttributeError):
            raise Invalid("客户端请求号须为 UUID") from None
    return values


def vitals(body: Any, now: datetime) -> dict[str, Any]:
    """One set of measurements; at least one value."""
    body = mapping(body)
    refuse_unknown(body, {*VITALS, "pre_weight", "measured_at", "note"})
    values = measured(body, VITALS)
    if not values:
        raise Invalid("至少须有一项监测值")
    if values.get("diastolic", 0) >= values.get("systolic", 999):
        raise Invalid("舒张压须低于收缩压")
    note = body.get("note")
    if note is not None and (not isinstance(note, str) or len(note) > 500):
        raise Invalid("备注须为不超过 500 字的文字")
    weight = measured(body, PRE_WEIGHT)
    return {**values, "note": note, "measured_at": instant(body.get("measured_at"), now), **weight}


def closing(body: Any) -> dict[str, Any]:
    """The end of a session: what was reached; weights are forgotten in real life, so they may be absent."""
    body = mapping(body)
    refuse_unknown(body, set(OUTCOMES))
    return measured(body, OUTCOMES)


def operator(text: str | None) -> str:
    """The staff number from the X-Operator header; it goes into the audit of changes."""
    value = (text or "").strip()
    if not value.isascii() or not value.isalnum() or len(value) > 20:
        raise Invalid("请求头 X-Operator 须为操作者工号")
    return value
