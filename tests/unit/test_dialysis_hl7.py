"""HL7 messages: what is taken, what is refused and why, and what is answered."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

import pytest
from dialysis_code import service
from hypothesis import given
from hypothesis import strategies as st

hl7 = service("hl7")

MESSAGE = "\r".join(
    [
        "MSH|^~\\&|LIS|LAB|DIALYSIS|HD|20261123090000||ORU^R01|C0001|P|2.4||||||UNICODE UTF-8",
        "PID|1||T0000001^^^HIS",
        "OBR|1||S26112300001|HD^透析月检|||20261123070000|||||||||||||||20261123085000",
        "OBX|1|NM|K^钾||6.1|mmol/L|3.5-5.5|H|||F",
        "OBX|2|NM|CREA^肌酐|||μmol/L|57-111||||I",
    ]
)


def test_a_report_is_read_whole() -> None:
    report = hl7.parse(MESSAGE)
    assert report.header == hl7.Header("LIS", "C0001", "ORU^R01")
    assert (report.medical_record_no, report.specimen_no) == ("T0000001", "S26112300001")
    assert report.sampled_at == datetime(2026, 11, 23, 7, tzinfo=hl7.HOSPITAL_TIME)
    assert report.reported_at == datetime(2026, 11, 23, 8, 50, tzinfo=hl7.HOSPITAL_TIME)
    potassium, creatinine = report.results
    assert potassium == hl7.Result("K", "钾", Decimal("6.1"), "mmol/L", "3.5-5.5", "H")
    assert (creatinine.value, creatinine.flag) == (None, None)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_every_line_end_that_senders_use_is_read(end: str) -> None:
    assert hl7.parse(MESSAGE.replace("\r", end) + end) == hl7.parse(MESSAGE)


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        (r"a\F\b", "a|b"),
        (r"\E\F\E\ ", r"\F\ "),
        (r"\S\\T\\R\ ", "^&~ "),
        (r"\.br\x", r"\.br\x"),
        ("lone\\", "lone\\"),
    ],
)
def test_escapes_are_resolved_and_unknown_ones_are_kept(escaped: str, plain: str) -> None:
    assert hl7.unescape(escaped) == plain


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("MSH|^~\\&|", "MSH|^~\\#|", "MSH"),
        ("|LIS|", "||", "MSH-3"),
        ("|C0001|", "||", "MSH-10"),
        ("ORU^R01", "ADT^A01", "ADT^A01"),
        ("T0000001^^^HIS", "", "PID-3"),
        ("S26112300001", "", "OBR-3"),
        ("20261123070000", "2026-11-23", "OBR-7"),
        ("20261123070000", "20261323070000", "OBR-7"),
        ("|6.1|", "|溶血|", "不是数值"),
        ("|6.1|", "|NaN|", "超出范围"),
        ("|6.1|", "|Infinity|", "超出范围"),
        ("|6.1|", "|1e12|", "超出范围"),
        ("|H|", "|HH|", "OBX-8"),
        ("CREA^肌酐", "K^钾", "重复"),
        ("OBX|", "ZZZ|", "没有 OBX"),
        ("PID|", "ZZZ|", "PID"),
        ("OBR|", "PID|", "PID"),
    ],
)
def test_a_wrong_message_is_refused_with_the_place(old: str, new: str, reason: str) -> None:
    assert old in MESSAGE
    with pytest.raises(hl7.Hl7Error, match=re.escape(reason)):
        hl7.parse(MESSAGE.replace(old, new))


@given(st.text())
def test_no_text_at_all_breaks_the_parser(text: str) -> None:
    for message in (text, "MSH|^~\\&|" + text, MESSAGE + "\r" + text, MESSAGE.replace("6.1", text)):
        try:
            hl7.parse(message)
        except hl7.Hl7Error:
            continue


def test_the_answer_names_the_message_and_cannot_be_broken_by_its_text() -> None:
    moment = datetime(2026, 11, 23, 9, 0, 1, tzinfo=hl7.HOSPITAL_TIME)
    head, answer = hl7.acknowledge("AE", "C0001", "a|b^c\\d\re", moment).strip("\r").split("\r")
    assert head.startswith("MSH|^~\\&|DIALYSIS|HD|LIS|LAB|20261123090001||ACK^R01|")
    fields = answer.split("|")
    assert fields[:3] == ["MSA", "AE", "C0001"]
    assert hl7.unescape(fields[3]) == "a|b^c\\d e"
