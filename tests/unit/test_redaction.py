"""Secrets and patients are masked wherever they stand; what is no secret stays readable."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.errors import RefusedError
from maintenance.redaction import Redactor

SECRET = 'Tr0ub4dor"&3\\x'


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps({"a": {"b": [SECRET]}}),
        urllib.parse.quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        f"before{SECRET}after",
    ],
)
def test_a_known_value_is_masked_in_every_spelling(spelling: str) -> None:
    redactor = Redactor([SECRET])
    masked = redactor.text(f"x {spelling} y")
    assert "Tr0ub4dor" not in masked
    assert base64.b64encode(SECRET.encode()).decode()[:12] not in masked
    assert redactor.hits["known_value"] == 1


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("password=hunter22", "hunter22"),
        ("passwd: hunter22", "hunter22"),
        ("/etc/app/passwd: hunter22", "hunter22"),
        ("PGPASSWORD='hunter22 x' psql", "hunter22"),
        ('"db_password": "hunter22"', "hunter22"),
        ("api-key: hunter22", "hunter22"),
        ("postgresql://app:hunter22@db1/x", "hunter22"),
        ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
        ("ALTER ROLE a PASSWORD 'hunter22'", "hunter22"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n-----END OPENSSH PRIVATE KEY-----", "b3BlbnNz"),
        ("-----BEGIN RSA PRIVATE KEY-----\ncut off b3BlbnNz", "b3BlbnNz"),
        ("root:$6$saltsalt$hashhashhash:19000", "hashhashhash"),
        ("root:$y$j9T$saltsalt$hashhash", "hashhash"),
        ("SCRAM-SHA-256$4096:c2FsdA==$x:y", "c2FsdA"),
        ("md5d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204"),
        ("患者 450303199001011234 已登记", "450303199001011234"),
        ("电话13800138000。", "13800138000"),
    ],
)
def test_a_known_pattern_is_masked(text: str, gone: str) -> None:
    redactor = Redactor()
    assert gone not in redactor.text(text)
    assert sum(redactor.hits.values()) >= 1


@pytest.mark.parametrize(
    "text",
    [
        "PasswordAuthentication no",
        "password: set",
        "passwordauthentication=yes",
        "/etc/pam.d/common-password",
        "/etc/passwd: 0644 root:root; /etc/passwd-: 0644; /etc/security/opasswd: 0600",
        "20261122T131501Z-inspect",
        "SHA256:8oy5f8b0q4dO6v9C8ynL1eqH1s9xkA5cJ7pG6rVqk3U",
        "1.4 GB of 13.9 GB used",
        "2026-11-22 13:15:04",
        "pg_wal/000000010000000000000042",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    redactor = Redactor()
    assert redactor.text(text) == text
    assert not redactor.hits


def test_structures_are_masked_in_keys_values_and_by_name() -> None:
    redactor = Redactor(["geheim-1", "123456"])
    masked = redactor.value(
        {"geheim-1": ["x geheim-1", 123456, 7], "db_password": "tiny", "ok": True, "no": None}
    )
    assert "geheim" not in json.dumps(masked)
    assert "123456" not in json.dumps(masked)
    assert masked["db_password"] == "[masked:secret_name]"
    assert masked["ok"] is True
    assert masked["no"] is None


def test_bytes_that_still_hold_a_secret_are_refused_without_showing_it() -> None:
    with pytest.raises(RefusedError) as caught:
        Redactor([SECRET]).check(f"text {SECRET}".encode(), "record.json")
    assert "record.json" in str(caught.value)
    assert SECRET not in str(caught.value)


@given(st.text(min_size=4).filter(lambda text: text.strip() == text and len(text) >= 4), st.text(), st.text())
def test_no_surrounding_lets_a_known_value_through(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret])
    redactor.check(redactor.text(before + secret + after).encode("utf-8", "replace"), "x")


def test_a_secret_that_is_a_word_of_the_format_is_masked_but_does_not_stop_the_record() -> None:
    redactor = Redactor(["host"])
    assert redactor.text("on host a") == "on [masked:known_value] a"
    redactor.check(b'{"hosts": []}', "record.json", vocabulary=lambda: '"hosts"')
    with pytest.raises(RefusedError):
        redactor.check(b'{"hosts": []}', "record.json")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_structure_comes_back_as_plain_json(value: object) -> None:
    json.dumps(Redactor(["secret-value"]).value(value))


def test_what_json_cannot_hold_becomes_text() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    masked = Redactor([]).value({"a": float("nan"), "b": float("inf"), "c": "\ud800", "d": deep})
    assert json.loads(json.dumps(masked, allow_nan=False).encode())["a"] == "nan"


@pytest.mark.parametrize(
    "made",
    ["a1" * 32, "20261122T131501Z-1234-inspect", "2026-11-22T13:15:01Z", "2026-11-22T13:15:01.1234+00:00"],
)
def test_digits_that_the_format_itself_made_do_not_stop_a_record(made: str) -> None:
    Redactor(["1234", "a1a1"]).check(json.dumps({"x": made}).encode(), "record.json")


@pytest.mark.parametrize("text", ['{"x": "a b 1234"}', '{"1234": 1}', '{"x": ["1234"]}', "no json 1234"])
def test_a_short_secret_elsewhere_stops_it(text: str) -> None:
    with pytest.raises(RefusedError):
        Redactor(["1234"]).check(text.encode(), "record.json")


def test_a_secret_that_looks_like_a_digest_stops_it() -> None:
    secret = "0123456789abcdef" * 4
    with pytest.raises(RefusedError):
        Redactor([secret]).check(json.dumps({"sha256": secret}).encode(), "record.json")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("姓名：张三", "姓名：张**"),
        ("姓名: 欧阳小明", "姓名: 欧阳**"),
        ("患者司马光明", "患者司马**"),
        ("患者姓名：阿依古丽", "患者姓名：阿**"),
        ("患者：王芳反映机器报警", "患者：王**反映机器报警"),
        ("患者（陈静）今日未上机", "患者（陈**）今日未上机"),
        ("患者张三透析中断", "患者张**透析中断"),
        ("患者高明上机", "患者高**上机"),
        ("病人王建国说", "病人王**说"),
        ('{"patient_name": "赵六"}', '{"patient_name": "赵**"}'),
        ("Patient: Zhang San, bed 3", "Patient: Z**, bed 3"),
        ("住院号：ZY0012345", "住院号：[masked:patient_number]"),
        ("电话 138-0013-8000", "电话 [masked:mobile_phone]"),
        ("+86 138 0013 8000", "[masked:mobile_phone]"),
        ("call 13800138000.", "call [masked:mobile_phone]."),
        ("张三_450303199001011234.pdf", "张三_[masked:resident_id].pdf"),
    ],
)
def test_a_patient_is_masked_where_a_word_says_that_one_follows(text: str, masked: str) -> None:
    redactor = Redactor()
    assert redactor.text(text) == masked
    assert redactor.text(masked) == masked, "masking again changes nothing"
    assert sum(redactor.hits.values()) == 1


ORDINARY = """
患者数据无法保存 患者信息管理 患者安全 患者高血压病史 患者管理模块
患者余额查询 患者周期治疗 患者马上要透析 参加人姓名：王芳 报修人：王芳
患者：无 患者姓名字段为空 患者列表 patient:unknown
姓名不能为空 患者治疗方案 患者陆续上机 患者文件 患者全部下机 病人管理系统
患者和家属 患者时间安排 工程师王芳 患者白细胞计数
10.13800138000.1 患者常规检查 患者成功登记 患者曾经就诊
患者签名 姓名、年龄 患者满意度调查 患者何时下机 患者金额 患者：全部
序号：12345 工单号 患者温度曲线 患者石膏 患者路径
"""


@pytest.mark.parametrize("text", ORDINARY.split())
def test_ordinary_words_behind_patient_stay(text: str) -> None:
    redactor = Redactor()
    assert redactor.text(text) == text
    assert not redactor.hits


def test_a_field_that_is_named_for_a_patient_is_masked_whatever_it_holds() -> None:
    masked = Redactor().value({"patient_name": "阿卜杜拉", "患者姓名": "x y", "name": "王芳", "hz_xm": ""})
    assert masked == {"patient_name": "阿**", "患者姓名": "x**", "name": "王芳", "hz_xm": ""}


@pytest.mark.parametrize(
    "text", ["患者", "患者：", "姓名：张", "Patient: ", "住院号 ", "138 ", "+86 ", "Patient: A"]
)
def test_a_hostile_text_costs_no_more_than_its_length(text: str) -> None:
    """Twice the text, about twice the time: nothing in a pattern repeats without bound."""
    times = []
    for count in (20_000, 80_000):
        begun = time.process_time()
        Redactor().text(text * count)
        times.append(time.process_time() - begun)
    assert times[1] < 16 * max(times[0], 0.01)
