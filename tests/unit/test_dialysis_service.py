"""The pure parts of the reference system: checks of input, alerts, figures of the report, configuration."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from dialysis_code import service

validation = service("validation")
report = service("report")
alerts = service("alerts").alerts
configuration = service("configuration")
NOW = datetime(2026, 11, 23, 9, tzinfo=validation.HOSPITAL_TIME)
REFERENCE = "6f1c1c7e-0000-4000-8000-000000000001"


def test_a_booking_is_taken_as_it_is_meant() -> None:
    values = validation.booking(
        {"patient_id": 3, "date": "2026-12-20", "shift": 2, "client_ref": REFERENCE.upper()}
    )
    assert values["date"].isoformat() == "2026-12-20"
    assert values["client_ref"] == REFERENCE


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"patient_id": 0}, "患者编号"),
        ({"patient_id": True}, "患者编号"),
        ({"patient_id": "3"}, "患者编号"),
        ({"patient_id": None}, "患者编号"),
        ({"date": "20.12.2026"}, "日期"),
        ({"date": 20261220}, "日期"),
        ({"shift": 4}, "班次"),
        ({"client_ref": "again"}, "UUID"),
        ({"client_ref": 7}, "UUID"),
        ({"shfit": 1}, "未知字段：shfit"),
    ],
)
def test_a_wrong_booking_is_refused_with_the_field(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(validation.Invalid, match=reason):
        validation.booking({"patient_id": 3, "date": "2026-12-20", "shift": 2} | changed)


@pytest.mark.parametrize("body", [None, [], "text", 7])
def test_what_is_no_object_is_refused(body: Any) -> None:
    with pytest.raises(validation.Invalid, match="JSON"):
        validation.booking(body)


def test_measurements_without_a_time_are_of_now() -> None:
    values = validation.vitals({"systolic": 120, "diastolic": 70, "temperature": 36.5}, NOW)
    assert values == {
        "systolic": 120,
        "diastolic": 70,
        "temperature": 36.5,
        "note": None,
        "measured_at": NOW,
    }


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "至少"),
        ({"pre_weight": 60}, "至少"),
        ({"systolic": 120, "diastolic": 120}, "舒张压须低于"),
        ({"systolic": 29}, "收缩压"),
        ({"systolic": 120.5}, "整数"),
        ({"temperature": float("nan")}, "体温"),
        ({"systolic": 120, "pre_weight": 500}, "透前体重"),
        ({"systolic": 120, "note": "长" * 501}, "备注"),
        ({"systolic": 120, "measured_at": "now"}, "ISO"),
        ({"systolic": 120, "measured_at": (NOW + timedelta(minutes=6)).isoformat()}, "晚于"),
    ],
)
def test_wrong_measurements_are_refused_with_the_reason(body: dict[str, Any], reason: str) -> None:
    with pytest.raises(validation.Invalid, match=reason):
        validation.vitals(body, NOW)


def test_a_time_without_a_zone_is_the_hospitals() -> None:
    assert validation.instant("2026-11-23T08:30:00", NOW).isoformat() == "2026-11-23T08:30:00+08:00"


@pytest.mark.parametrize("text", [None, "", " ", "张三", "N 1", "x" * 21, "a;b"])
def test_an_operator_is_a_staff_number(text: str | None) -> None:
    with pytest.raises(validation.Invalid, match="X-Operator"):
        validation.operator(text)


RULES = [
    {"code": "LOW", "title": "低", "advice": "甲", "parameter": "systolic", "low": 90, "high": None},
    {"code": "HIGH", "title": "高", "advice": "乙", "parameter": "systolic", "low": None, "high": 180},
]


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        ({"systolic": 89}, ["LOW"]),
        ({"systolic": 90}, []),
        ({"systolic": 180}, []),
        ({"systolic": 181}, ["HIGH"]),
        ({"heart_rate": 10}, []),
        ({"systolic": None}, []),
    ],
)
def test_alerts_begin_beyond_the_limit(values: dict[str, Any], codes: list[str]) -> None:
    assert [alert["code"] for alert in alerts(values, RULES)] == codes


def row(
    state: str, pre: float | None = 60, post: float | None = 58, ktv: float | None = 1.3
) -> dict[str, Any]:
    return {"state": state, "pre_weight": pre, "post_weight": post, "ktv": ktv, "uf_volume_ml": 2000}


def test_shares_are_of_the_closed_sessions_that_have_the_value() -> None:
    rows = [
        row("closed"),
        row("closed", post=None, ktv=1.1),
        row("closed", ktv=None),
        row("booked"),
        row("running"),
    ]
    summary = report.summarize(rows)
    assert (summary.total, summary.booked, summary.running, summary.closed) == (5, 1, 1, 3)
    assert (summary.weighed_percent, summary.ktv_adequate_percent, summary.average_uf_ml) == (
        66.7,
        50.0,
        2000,
    )


def test_a_day_without_sessions_has_no_shares() -> None:
    summary = report.summarize([])
    assert (summary.total, summary.weighed_percent, summary.ktv_adequate_percent) == (0, None, None)


@pytest.mark.parametrize(("name", "shown"), [("王小明", "王*明"), ("王明", "王*"), ("欧阳小明", "欧**明")])
def test_names_on_a_screen_are_masked(name: str, shown: str) -> None:
    assert report.masked(name) == shown


CONF = "[database]\nhost = db1\nuser = dialysis_app\npassword = p%w\n"


def test_the_password_is_read_and_never_shown() -> None:
    read = configuration.parse(CONF)
    assert read.connection()["password"] == "p%w"
    assert "p%w" not in repr(read)


@pytest.mark.parametrize(
    "text", ["", "[database]\nhost = db1\n", "password = secret-word", CONF + "port = x\n"]
)
def test_a_wrong_configuration_is_an_error_that_quotes_nothing(text: str) -> None:
    with pytest.raises(configuration.ConfigurationError) as raised:
        configuration.parse(text)
    assert "secret-word" not in str(raised.value)
