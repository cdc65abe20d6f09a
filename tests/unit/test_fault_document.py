"""《故障处理记录》: everything that a hospital expects in it, from the signed facts, and nothing read as a template."""

from __future__ import annotations

import re
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from docx import Document

from maintenance import cases
from maintenance.case_events import Check, Closing, Fault, Measure, SignedLimit
from maintenance.cases import Case, Event, Joined
from maintenance.documents import fault, pdf
from maintenance.documents.inspection import TEMPLATES
from maintenance.record import FileInfo, Operator

HOSTILE = "<w:p/>{{ 7*7 }}{% if %}\x1b[31m\u202eevil"
SITE = {"hospital": "示范医院", "vendor": "维保方", "system": "血透系统", "contract": "HT-1"}
LIMITS = {
    "phone": SignedLimit(clause="4.3.1", hours=1),
    "remote": SignedLimit(clause="4.3.2", hours=12),
    "onsite": SignedLimit(clause="4.3.3", hours=24),
}
OPENED = {
    "title": "数据不上传",
    "reporter": "王护士长",
    "department": "血透室",
    "phone": "8123",
    "appeared": "早班上机后",
    "frequency": "持续",
    "operation": HOSTILE,
    "impact": "六台透析机",
    "severity": "major",
}
FAULT = Fault(
    description="描述甲",
    process="过程乙",
    cause="直接丙",
    root_cause="根本丁",
    data_impact="影响戊",
    prevention="预防己",
    leftover="遗留庚",
    satisfaction="满意辛",
    measures=[Measure(kind="temporary", text="措施壬"), Measure(kind="permanent", text="措施癸")],
    tests=[Check(name="测试子", expected="预期丑", actual="实际寅", tester="测试人卯", passed=True)],
)


def event(seq: int, name: str, at: str, recorded: str = "", **fields: str) -> Event:
    """An event of 2026-11-23, at a time of UTC."""
    when = f"2026-11-23T{at}:00Z"
    closing = None
    if name == "close":
        operator = Operator(principal="e@v", key_fingerprint="SHA256:x", self_issued=False, machine="m")
        closing = Closing(
            what="case",
            event="close",
            site="lab",
            at=when,
            until=None,
            case="C1",
            clauses=[],
            text="",
            fields={},
            attachments=[],
            operator=operator,
            recorded=when,
            fault=FAULT,
            limits=LIMITS,
            site_facts=SITE,
        )
    return Event(
        seq=seq,
        folder=f"{seq:06d}-entry-case-C1-{name}",
        sha256=f"{seq:064d}",
        name=name,
        at=when,
        until=None,
        recorded=f"2026-11-23T{recorded or at}:00Z",
        text="",
        fields=fields,
        attachments=(),
        by="engineer@v",
        closing=closing,
    )


def run(outcome: str = "succeeded") -> Joined:
    """A run that repaired."""
    return Joined(
        run="20261123T014000Z-0001-recover",
        seq=6,
        title={"zh": "恢复服务", "en": "Recover"},
        runbook="recover",
        repairs=True,
        started="2026-11-23T01:40:00Z",
        finished="2026-11-23T01:45:00Z",
        outcome=outcome,
        reason="重启采集服务",
        operator="engineer@v",
        hosts=("app1",),
        changed=1,
        steps=(("2026-11-23T01:41:00Z", "app1", "Restart the service", "changed", ""),),
    )


def whole(
    *, closed: bool = True, late: str = "", answered: str = "00:30", runs: list[Joined] | None = None
) -> Case:
    """A fault with everything that one can have."""
    scan = FileInfo(file="attachments/01.pdf", title="现场照片.pdf", media_type="x", bytes=1, sha256="f" * 64)
    listed = [
        event(2, "open", "00:00", **OPENED),
        event(3, "respond", answered, late, channel="phone", answer="已受理"),
        event(4, "decide", "01:00", channel="remote", reason="看日志", agreed_by="李工"),
        event(5, "pause", "01:05", clock="remote", reason="VPN 未开通", agreed_by="李工"),
        event(7, "resume", "01:35", clock="remote"),
        replace(event(8, "restore", "02:30", how="重启", confirmed_by="王护士长"), attachments=(scan,)),
        event(9, "close", "04:00"),
    ]
    shown = listed if closed else listed[:3]
    return cases.assemble("C1", shown, [run()] if runs is None else runs, LIMITS, "2026-11-23T05:00:00Z")


def text_of(path: Path) -> str:
    """Every word of the document."""
    document = Document(str(path))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return "\n".join([*(paragraph.text for paragraph in document.paragraphs), *cells])


def context(case: Case, language: Literal["zh", "en"] = "zh") -> dict[str, Any]:
    """What the template is filled with."""
    return fault.build_context(case, SITE, "lab", language=language)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_everything_that_was_signed_is_in_the_document(tmp_path: Path, language: Literal["zh", "en"]) -> None:
    text = text_of(fault.render(whole(), SITE, "lab", tmp_path / "x.docx", language=language))
    parts = [
        *(
            "C1",
            "示范医院",
            "维保方",
            "HT-1",
            "王护士长",
            "血透室",
            "8123",
            "早班上机后",
            "持续",
            "六台透析机",
        ),
        *(
            "2026-11-23 08:00",
            "2026-11-23 08:30",
            "2026-11-23 10:30",
            "2026-11-23 12:00",
            "4.3.1",
            "4.3.2",
            "4.3.3",
        ),
        *("描述甲", "过程乙", "直接丙", "根本丁", "影响戊", "预防己", "遗留庚", "满意辛", "措施壬", "措施癸"),
        *("测试子", "预期丑", "实际寅", "测试人卯", "VPN 未开通", "李工", "已受理"),
        *("20261123T014000Z-0001-recover", "Restart the service", "app1", "重启采集服务"),
        *("现场照片.pdf", "f" * 64, "000009", f"{9:064d}", "2, 3, 4, 5, 6, 7, 8, 9", "{{ 7*7 }}"),
    ]
    for part in parts:
        assert part in text, part
    assert not re.search(r"\b49\b", text), "nothing that was signed is read as a template"
    assert "\u202e" not in text
    assert "{{" not in text.replace("{{ 7*7 }}", "")


def test_the_clocks_show_limit_pause_and_verdict() -> None:
    rows = context(whole())["clocks"].rows
    assert [(row["name"], row["limit"], row["paused"], row["used"], row["result"]) for row in rows] == [
        ("电话反馈", "1 小时", "—", "30 分钟", "达标"),
        ("远程反馈", "12 小时", "30 分钟", "1 小时", "达标"),
        ("到达现场", "24 小时", "—", "—", "未发生"),
    ]
    assert context(whole())["conclusion"]["text"] == (
        "已修复并通过测试：报修至恢复历时 2 小时 30 分钟；合同时限 2 项均达标"
    )


def test_a_missed_limit_stands_at_the_top() -> None:
    made = context(whole(answered="01:30"))
    assert made["clocks"].rows[0]["result"] == "未达标"
    assert made["conclusion"]["text"].endswith("合同时限未达标：电话反馈")
    assert made["conclusion"]["colour"] == "F8CBAD"


def test_what_was_recorded_late_says_so_beside_the_verdict_and_in_the_timeline() -> None:
    made = context(whole(late="03:30"))
    assert made["clocks"].note == "电话反馈的响应条目补记于事后 3 小时，实际时刻以院方留存为准"
    assert made["timeline"].rows[1]["result"].endswith("（事后 3 小时 补记）")


def test_a_repair_before_the_talk_shows() -> None:
    assert context(whole())["report"]["talked"] == "2026-11-23 08:00 (UTC+8)，修复前"
    early = replace(run(), started="2026-11-22T23:50:00Z")
    assert "晚于首次修复（2026-11-23 07:50 (UTC+8)）" in context(whole(runs=[early]))["report"]["talked"]


def test_what_is_not_closed_is_a_draft_and_says_so(tmp_path: Path) -> None:
    text = text_of(
        fault.render(whole(closed=False, runs=[]), SITE, "lab", tmp_path / "x.docx", language="zh")
    )
    assert "不作验收依据" in text
    assert "（过程稿，未签名）" in text
    assert "尚未恢复" in text


def test_without_limits_nothing_is_judged() -> None:
    made = cases.assemble("C1", whole(closed=False).events, [], {}, "2026-11-23T05:00:00Z")
    assert context(made)["clocks"].note == "合同文件未载明服务时限，故不作判定。"


def test_a_failed_run_is_shown_as_one() -> None:
    rows = context(whole(runs=[run("failed")]))["runs"].rows
    assert [(row["outcome"], row["colour"]) for row in rows] == [("执行失败", "F8CBAD")]


def test_a_long_case_says_how_much_it_leaves_out() -> None:
    step = run().steps[0]
    made = context(whole(runs=[replace(run(), steps=(step,) * 150)]))
    assert len(made["steps"].rows) == 120
    assert made["steps"].note == "另有 30 项，见台账。"


def test_both_templates_hold_the_same_names() -> None:
    names = []
    for language in ("zh", "en"):
        with zipfile.ZipFile(TEMPLATES / f"fault.{language}.docx") as file:
            names.append(sorted(re.findall(r"\{[{%]p?[^}]*", file.read("word/document.xml").decode())))
    assert names[0] == names[1]
    assert names[0]


def test_the_pdf_has_chinese_shapes_and_every_page_its_number(tmp_path: Path) -> None:
    made = fault.render(whole(), SITE, "lab", tmp_path / fault.file_name("lab", "C1"), language="zh")
    assert made.name == "lab_fault_C1.docx"
    converted, why = pdf.convert(made, tmp_path)
    assert converted is not None, why
    fonts = subprocess.run(["pdffonts", converted], capture_output=True, text=True, check=True).stdout
    assert "NotoSerifSC" in fonts
    assert "jp" not in fonts.lower()
    text = subprocess.run(
        ["pdftotext", "-layout", converted, "-"], capture_output=True, text=True, check=True
    ).stdout
    assert re.search(r"第 ?2 ?页 ?/ ?共 ?[345] ?页", text)
    assert f"{9:064d}" in text
