"""《等保三级自评估报告》: every item, nothing rounded up, and unmoved by what a host may say."""

from __future__ import annotations

import itertools
import re
import subprocess
import zipfile
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import assessments
import docx
import factories
import openpyxl
import pytest
from docx.oxml.ns import qn
from test_documents import ENTRY, HOSTILE, TEXTS

from maintenance.documents import (
    assessment,
    assessment_changes,
    assessment_failing,
    assessment_tables,
    pdf,
    remediation,
)
from maintenance.documents.assessed import CHAPTERS, View, chapter_of, count
from maintenance.documents.inspection import TEMPLATES
from maintenance.documents.make_assessment_templates import CHAPTERS as TITLES
from maintenance.documents.phrases import in_chinese
from maintenance.documents.table import RED
from maintenance.documents.workbook import CELL, Workbook, safe
from maintenance.record import Danger, Record, Waiver

SHEETS = ["汇总", "211 项", "检查明细", "重大风险隐患", "需人工", "整改前后", "豁免"]


def text_of(path: Path) -> str:
    """Every text of the document, a line a paragraph."""
    document = docx.Document(str(path))
    parts = [document.element.body]
    parts += [part._element for section in document.sections for part in (section.header, section.footer)]
    return "\n".join(
        "".join(node.text or "" for node in paragraph.iter(qn("w:t")))
        for part in parts
        for paragraph in part.iter(qn("w:p"))
    )


def cells_of(path: Path, sheet: str) -> list[list[Any]]:
    return [list(row) for row in openpyxl.load_workbook(path)[sheet].iter_rows(values_only=True)]


def write(record: Record, folder: Path) -> tuple[Path, Path]:
    document, *_, book = assessment.render(record, folder, entry=ENTRY)
    return document, book


@pytest.fixture(scope="module")
def record() -> Record:
    return assessments.record(3)


@pytest.fixture(scope="module")
def made(record, tmp_path_factory):
    return write(record, tmp_path_factory.mktemp("assessment"))


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    record = assessments.record(3, again=True)
    return record, *write(record, tmp_path_factory.mktemp("again"))


def test_the_files_are_named_after_quarter_site_and_day(made):
    assert [path.name for path in made] == [
        "2026Q4_lab_assessment_20261122.docx",
        "2026Q4_lab_assessment_20261122.xlsx",
    ]


def test_a_report_has_every_chapter_in_order(made):
    document = docx.Document(str(made[0]))
    chapters = [one.text for one in document.paragraphs if one.style.name == "Heading 1"]
    assert chapters == [zh for zh, _ in TITLES]


@pytest.mark.parametrize(
    "expected",
    [
        "自评估，非测评结论：本报告供院方自查和整改使用",
        "GB/T 22239-2019 第三级安全通用要求",
        "211 项中符合",
        "符合率区间",
        "均不计为符合",
        "“候选”指自动检查发现的",
        "数据库只在业务网段可达，堡垒机双因素登录",
        "8.1.1 安全物理环境",
        "8.1.10 安全运维管理",
        "L3-PES1-01",
        "8.1.10.14d",
        "2026-09-12 安全意识培训：口令与钓鱼邮件（000033-entry-training）",
        "db1/postgresql",
        "已过期，按不符合计",
        "历史接口账户，厂商改造排期至 2027 年一季度；已限定来源地址。",
        "该模板已由 2025 版取代",
        "这是本台账中的首次自评估",
        "检查规则 catalogue.yml",
        ENTRY.record_sha256,
        "可能中断访问或影响透析业务",
    ],
)
def test_a_report_says(made, expected):
    assert expected in text_of(made[0])


def test_every_item_stands_in_report_and_workbook(record, made):
    text, rows = text_of(made[0]), cells_of(made[1], "211 项")
    units = [item.unit for item in record.assessment.items]
    assert len(units) == 211
    assert all(unit in text for unit in units)
    assert [row[1] for row in rows[1:]] == units
    words = {"符合", "部分符合", "不符合", "需人工", "未知", "不适用"}
    assert {row[5] for row in rows[1:]} <= words


def test_counts_of_chapters_add_up(record):
    view = View(record)
    rows = assessment_tables.chapters(view).rows
    assert [row["chapter"] for row in rows] == [*CHAPTERS, ""]
    assert [row["n"] for row in rows] == [22, 8, 20, 34, 12, 7, 14, 12, 34, 48, 211]
    assert sum(count(record.assessment.items).values()) == 211
    assert chapter_of("8.1.10.12d") == "8.1.10"


def test_open_items_are_listed_to_be_worked_through(record, made):
    waiting = {item.unit for item in record.assessment.items if item.verdict in ("manual", "unknown")}
    rows = cells_of(made[1], "需人工")
    assert {row[1] for row in rows[1:]} == waiting
    assert rows[0][-4:] == ["责任人", "完成日期", "已备", "备注"]
    assert len(assessment_tables.todo(View(record)).rows) == len(waiting)


def test_every_result_that_is_no_pass_is_in_the_report_or_said_to_be_elsewhere(record):
    view = View(record)
    failing = assessment_failing.failing(view)
    shared, own = assessment_failing.split(view)
    known = [one for one in view.not_well if one.finding.verdict != "unknown"]
    assert sum(map(len, [*shared, *own])) == len(known) < len(view.not_well)
    assert "needs root: /etc/shadow" in {row["why"] for row in failing["unknown"].rows}
    shown = len(failing["shared"].rows) + sum(len(host["rows"]) for host in failing["hosts"])
    assert shown == len(shared) + len(own) and not failing["note"]
    assert sum(row["n"] for row in failing["counts"].rows) == len(view.not_well)


def test_many_objects_of_one_check_are_one_row():
    record = assessments.record(1)
    first = View(record).not_well[0].finding
    assert first.verdict == "fail"
    many = [first.model_copy(update={"subject": f"/srv/{number}"}) for number in range(40)]
    found = assessment_failing.failing(View(record.model_copy(update={"evidence": {"db1": many}})))
    (row,) = found["hosts"][0]["rows"]
    assert row["title"].endswith("\n/srv/0、/srv/1、/srv/10、/srv/11 等 40 个")


def test_where_there_is_no_room_the_gravest_stay():
    record = assessments.record(1)
    first = View(record).not_well[0].finding
    light = [first.model_copy(update={"id": f"A-{number}", "severity": "advice"}) for number in range(200)]
    grave = first.model_copy(update={"id": "Z-1", "severity": "critical"})
    evidence = {"app1": light, "db1": [grave]}
    found = assessment_failing.failing(View(record.model_copy(update={"evidence": evidence})))
    assert [host["title"] for host in found["hosts"]] == ["app1", "db1"]
    assert "另有 51 行" in found["note"]


def test_a_row_says_who_can_mend_it_and_at_what_risk(record):
    view = View(record)
    rows = [row for host in assessment_failing.failing(view)["hosts"] for row in host["rows"]]
    assert rows and all(re.match(r"R[0-3] / [有无]", str(row["remedy"])) for row in rows)
    assert all(row["expected"] and row["actual"] and row["advice"] for row in rows)


def test_fifty_hosts_stay_a_report_that_can_be_read(tmp_path):
    everywhere = [rule | {"id": rule["id"].replace("PG-", "LNX-T")} for rule in assessments.rules()[:60]]
    record = assessments.record(50, given=everywhere)
    failing = assessment_failing.failing(View(record))
    assert len(failing["shared"].rows) <= 160
    assert sum(len(host["rows"]) for host in failing["hosts"]) <= 150
    document, book = write(record, tmp_path)
    assert "全部 50 台主机" in text_of(document)
    assert len(cells_of(book, "检查明细")) == 1 + len(View(record).findings)


def test_an_expired_waiver_stands_first_and_red(record):
    table = assessment_tables.waivers(View(record))
    assert [row["colour"] for row in table.rows] == [RED, "auto"]
    assert "共 2 条，其中已过期 1 条" in table.sentence


def test_the_pages_are_numbered_and_not_too_many(made, tmp_path):
    document = tmp_path / made[0].name
    document.write_bytes(made[0].read_bytes())
    converted, why = pdf.convert(document, tmp_path)
    assert converted is not None, f"{why} (make setup-pdf)"
    told = subprocess.run(["pdfinfo", str(converted)], capture_output=True, text=True, check=True).stdout
    assert int(re.search(r"Pages:\s+(\d+)", told)[1]) <= 40
    assert re.search(r"附录\s*…?\d+", text_of(document)), "the contents of the Word file have their numbers"


# Before and after.


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("fail", "pass", "better"),
        ("fail", "partial", "better"),
        ("pass", "fail", "worse"),
        ("manual", "pass", "settled"),
        ("unknown", "fail", "settled"),
        ("pass", "unknown", "lost"),
        ("pass", "manual", "lost"),
        ("fail", "manual", "cleared"),
        ("partial", "unknown", "lost"),
        ("not_applicable", "fail", "other_change"),
        ("manual", "unknown", "other_change"),
        ("fail", "fail", ""),
    ],
)
def test_a_change_is_named_by_where_it_led(before, after, change):
    assert assessment_changes.change_of(before, after) == change


def test_a_second_assessment_shows_what_was_mended(again):
    _record, document, book = again
    text = text_of(document)
    assert "含整改前后对比" in text
    assert "与上一次自评估（运行编号 20260820T131501Z-0003-check_baseline" in text
    assert "改善" in text and "已关闭：" in text
    rows = cells_of(book, "整改前后")
    assert len(rows) == 212
    changed = [row for row in rows[1:] if row[5]]
    assert changed and all(row[3] != row[4] for row in changed)


def test_before_and_after_count_every_item_once(again):
    record = again[0]
    rows = assessment_changes.changes(View(record))["counts"].rows
    assert sum(row["before"] for row in rows) == sum(row["after"] for row in rows) == 211


# The report of a remediation.


@pytest.fixture(scope="module")
def remedied(again, tmp_path_factory):
    made = assessment.render(again[0], tmp_path_factory.mktemp("remedied"), entry=ENTRY)
    assert [path.suffix for path in made] == [".docx", ".docx", ".xlsx"]
    assert made[1].name == "2026Q4_lab_remediation_20261122.docx"
    return made[1]


@pytest.mark.parametrize(
    "expected",
    [
        "等 保 整 改 报 告",
        "依据自评估复测，非测评结论",
        "2026-08-20 21:17 (UTC+8)，20260820T131501Z-0003-check_baseline",
        "备案证明编号",
        "偏差消除，待人工",
        "实测：rounds=5000 sha512，最近修改 2019-03-01",
        "整改前：rounds=5000 sha512，最近修改 2019-03-01",
        "2026-08-20 首次发现",
        "符合：12 项全部符合",
        "未整改（逾期）",
        "补偿措施 / 接受风险批准人",
        "接受第 4 章所列剩余风险",
        "undo_hardening",
        "已过期，按不符合计",
    ],
)
def test_the_report_of_a_remediation_says(remedied, expected):
    assert expected in text_of(remedied)


def test_every_problem_is_mended_or_left(again):
    record = again[0]
    context = remediation.build_context(View(record), ENTRY)
    states = Counter(issue.state for issue in record.comparison.issues)
    assert states["closed"] and states["open"]
    assert f"共 {states['closed']} 处" in context["mended"].sentence
    assert f"共 {len(record.comparison.issues) - states['closed']} 处" in context["unmended"].sentence
    assert context["summary"]["before"] == len(record.comparison.issues) - states["new"]


@pytest.mark.parametrize(
    ("state", "due", "words"),
    [
        ("new", "2099-01-01", "新发现"),
        ("open", "2026-01-01", "未整改（逾期）"),
        ("unknown", "2099-01-01", "未能复核"),
    ],
)
def test_what_is_left_shows_how_it_stands(again, state, due, words):
    record = again[0]
    issue = record.comparison.issues[0].model_copy(update={"state": state, "due": due})
    comparison = record.comparison.model_copy(update={"issues": [issue]})
    context = remediation.build_context(View(record.model_copy(update={"comparison": comparison})), ENTRY)
    assert [row["state"] for row in context["unmended"].rows] == [words]
    assert context["mended"].sentence == "没有已整改的问题。"


def test_a_problem_whose_object_is_gone_is_not_said_to_have_been_measured(again):
    record = again[0]
    issue = record.comparison.issues[0].model_copy(update={"state": "closed", "host": "gone"})
    comparison = record.comparison.model_copy(update={"issues": [issue]})
    context = remediation.build_context(View(record.model_copy(update={"comparison": comparison})), ENTRY)
    assert [row["after"] for row in context["mended"].rows] == ["复测符合，或对象已不存在"]


def test_a_problem_names_its_objects(again):
    record = again[0]
    issue = record.comparison.issues[0].model_copy(update={"state": "open", "host": "db1"})
    many = [issue.model_copy(update={"subject": f"/srv/{number}"}) for number in range(6)]
    comparison = record.comparison.model_copy(update={"issues": many})
    context = remediation.build_context(View(record.model_copy(update={"comparison": comparison})), ENTRY)
    (row,) = context["unmended"].rows
    assert row["title"].endswith("\n/srv/0、/srv/1、/srv/2、/srv/3 等 6 个")


def test_a_first_assessment_has_no_report_of_a_remediation(record):
    assert not remediation.applies(View(record))


# What a host may say.


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "-2+3", "_x0008_", "#N/A", '=HYPERLINK("http://x")']


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A report whose every text was chosen by somebody with bad intentions."""
    record, evil = assessments.record(1), ["{{ 1234*5678 }}", *HOSTILE, *FORMULAS]
    findings = [
        found.model_copy(update={**dict.fromkeys(TEXTS, text), "verdict": "fail"})
        for found, text in zip(itertools.cycle(record.evidence["db1"]), evil, strict=False)
    ]
    items = [
        item.model_copy(update={"title": text, "wanted": text, "objects": {text: "fail"}})
        for item, text in zip(record.assessment.items, itertools.cycle(evil), strict=False)
    ]
    waivers = [
        Waiver(
            check=text, subject=text, hosts=[text], reason=text, approved_by=text, until=text, expired=True
        )
        for text in evil
    ]
    dangers = [Danger(code=text, title=text, hosts=[text], checks=[text], mitigation=text) for text in evil]
    changed = record.assessment.model_copy(
        update={"items": items, "waivers": waivers, "dangers": dangers, "ratio_method": evil[0]}
    )
    evidence = {"db1": findings, **dict.fromkeys(evil, findings[:1])}
    record = record.model_copy(update={"assessment": changed, "evidence": evidence, "reason": evil[1]})
    return write(record, tmp_path_factory.mktemp("hostile"))


def test_hostile_text_stays_text_in_the_report(hostile):
    text = text_of(hostile[0])
    assert "7006652" not in text, "nothing of a host is read as a template"
    assert "{{ 1234*5678 }}" in text
    assert "\u202e" not in text and "\x1b" not in text


def test_hostile_text_stays_text_in_the_workbook(hostile):
    with zipfile.ZipFile(hostile[1]) as file:
        sheets = b"".join(file.read(name) for name in file.namelist() if "/worksheets/" in name)
    assert b"<f>" not in sheets and b"<f " not in sheets, "no cell is a formula"
    assert b"HYPERLINK" in sheets and b"<hyperlink" not in sheets
    assert set(re.findall(rb' t="(\w+)"', sheets)) <= {b"inlineStr", b"n"}
    assert b"_x005F_x0008_" in sheets
    assert len(openpyxl.load_workbook(hostile[1]).sheetnames) == len(SHEETS)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "'quoted"])
def test_a_cell_that_looks_like_a_formula_is_marked_as_text(tmp_path, text):
    book = Workbook("title", "author", datetime(2026, 11, 22, 13, 0))
    book.sheet("one", [("head", 10)], [[text]])
    cell = openpyxl.load_workbook(book.save(tmp_path / "x.xlsx"))["one"]["A2"]
    assert (cell.value, cell.data_type, cell.quotePrefix) == (text, "s", True)


def test_a_cell_is_cut_and_holds_no_codes_of_characters():
    assert len(safe("汉" * 40_000)) == CELL
    assert safe("a_x0008_b") == "a_x005F_x0008_b"
    assert safe("one\ntwo\x00\x08") == "one\ntwo\ufffd\ufffd"


# The workbook.


def test_the_workbook_has_its_sheets_with_frozen_heads_and_filters(made):
    book = openpyxl.load_workbook(made[1])
    assert book.sheetnames == SHEETS
    checks = book["检查明细"]
    assert checks.freeze_panes == "A2" and checks.auto_filter.ref.startswith("A1:P")
    assert book["汇总"]["A2"].value == "自评估，非测评结论"
    colours = {row[6].value: row[6].fill.start_color.rgb for row in checks.iter_rows(min_row=2)}
    assert colours["不符合"] == "00F8CBAD" and colours["符合"] == "00E2F0D9"


def test_equal_records_give_equal_workbooks(record, tmp_path):
    books = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        books.append(write(record, tmp_path / name)[1].read_bytes())
    assert books[0] == books[1]


# Empty, English, whole.


def test_an_assessment_of_nothing_says_so(tmp_path):
    record = assessments.record(0, given=[])
    bare = record.assessment.model_copy(update={"items": [], "waivers": [], "dangers": [], "checks": []})
    document, book = write(record.model_copy(update={"assessment": bare, "outcome": "unreachable"}), tmp_path)
    text = text_of(document)
    for part in ("本次没有取得任何检查结果", "没有豁免", "没有需要人工出示材料的项", "有主机未能到达"):
        assert part in text
    assert openpyxl.load_workbook(book).sheetnames[1] == "0 项"


def test_english_has_no_chinese(tmp_path):
    record = assessments.record(
        2, language="en", again=True, site_facts={}, reason="yearly", runbook=factories.record().runbook
    )
    waivers = [
        one.model_copy(update={"reason": "old", "approved_by": "head of IT"})
        for one in record.assessment.waivers
    ]
    items = [item.model_copy(update={"evidence": []}) for item in record.assessment.items]
    dangers = [one.model_copy(update={"mitigation": ""}) for one in record.assessment.dangers]
    findings = {
        host: [one.model_copy(update={"actual": "5"}) for one in found]
        for host, found in record.evidence.items()
    }
    changed = record.assessment.model_copy(update={"waivers": waivers, "items": items, "dangers": dangers})
    issues = [one.model_copy(update={"actual": "6"}) for one in record.comparison.issues]
    followed = record.comparison.model_copy(update={"issues": issues})
    record = record.model_copy(update={"assessment": changed, "evidence": findings, "comparison": followed})
    document, report, book = assessment.render(record, tmp_path, entry=ENTRY)
    assert not re.findall(r"[\u4e00-\u9fff]+", text_of(document) + text_of(report))
    shown = [
        str(cell)
        for sheet in openpyxl.load_workbook(book)
        for row in sheet.iter_rows(values_only=True)
        for cell in row
        if cell
    ]
    assert not re.findall(r"[\u4e00-\u9fff]+", "\n".join(shown))


def test_a_problem_of_an_older_record_says_when_it_was_seen_first(tmp_path):
    record = assessments.record(2, again=True)
    issues = [one.model_copy(update={"actual": "", "expected": ""}) for one in record.comparison.issues]
    followed = record.comparison.model_copy(update={"issues": issues})
    made = assessment.render(record.model_copy(update={"comparison": followed}), tmp_path, entry=ENTRY)
    assert "2026-08-20 首次发现，结论不为符合" in text_of(made[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no mount of its own", "没有单独挂载"),
        ("password, or commands named", "需口令，或只限指定命令"),
        ("right: in, wrong: refused", "正确口令可进，错误口令被拒"),
        ("ssl=on, not offered", "ssl=on, 客户端不可用"),
        ("1 to 5 failures", "1 至 5 次失败"),
        ("0700 or 0770; 0777 in part, without trust", "0700 或 0770；0777 且无 trust 为部分符合"),
        # What is a value or a name stays as it is.
        ("permitrootlogin no", "permitrootlogin no"),
        ("set-owner-files.service", "set-owner-files.service"),
        ("/srv/no limit/none", "/srv/no limit/none"),
        ("audit=1", "audit=1"),
    ],
)
def test_a_chinese_report_says_its_values_in_chinese(text, expected):
    assert in_chinese(text) == expected


def test_what_is_wanted_is_never_said_in_english_words():
    """Texts of the checks themselves; names of settings and their values are no words."""
    words = re.compile(r"\b(and|or|no|none|not|only|within|from|named|each|which|the|has|to|every)\b")
    values = {"no", "on-failure 或 always"}
    literals = {
        literal
        for rule in assessments.rules()
        for literal in re.findall(r'"([^"]*)"', rule.get("expected", ""))
    }
    assert len(literals) > 100
    left = {text for text in map(in_chinese, literals) if words.search(re.sub(r"\S+-\S+", "", text))}
    assert left - values - {"1 to ", "; or log_statement: "} == set()


@pytest.mark.parametrize("name", ["assessment", "remediation"])
def test_both_templates_hold_the_same_names(name):
    names = []
    for language in ("zh", "en"):
        with zipfile.ZipFile(TEMPLATES / f"{name}.{language}.docx") as file:
            names.append(sorted(re.findall(r"\{[{%]p?[^}]*", file.read("word/document.xml").decode())))
    assert names[0] == names[1]


def test_a_record_without_an_assessment_is_refused():
    with pytest.raises(ValueError, match="no assessment"):
        View(factories.record())
