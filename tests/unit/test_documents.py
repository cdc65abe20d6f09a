"""The inspection report: whole, honest about what is missing, and unmoved by what a host may say."""

from __future__ import annotations

import itertools
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docx
import factories
import pytest
from docx.oxml.ns import qn
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from maintenance.documents import charts, contents, inspection, pdf, words
from maintenance.documents.clean import CELL, clean
from maintenance.documents.make_templates import CHAPTERS
from maintenance.documents.table import host_list, merged, natural, size
from maintenance.documents.words import Words
from maintenance.record import Record

ENTRY = inspection.EntryFacts(seq=3, record_sha256="1f" * 32, previous_manifest_sha256="2e" * 32)
HOSTILE = [
    "{{ 7*7 }}",
    "{% for x in range(9) %}x{% endfor %}{#",
    "{_{ 7*7 }_} {_% if %_}",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "null\x00bell\x07feed\x0c\x0bback\x08\ufffe\uffff",
    "<w:p>&amp;</w:t></w:r>]]><!--",
    "\u202eesrever\u202c \u2066x\u2069 \u200b",
    "$\\frac{$_^ %s %(x)d {0} \\n",
    "行\n行\t列\r\n" * 50,
    "x" * 4096,
    "汉" * 4096,
    "\ud800half\udfff",
    "\U0001f600 \U0010ffff",
]
TEXTS = ("title", "subject", "actual", "expected", "advice", "owner", "clause")


def render(record: Record, snapshots: Any, folder: Path) -> Path:
    (path,) = inspection.render_inspection(record, snapshots, folder, entry=ENTRY)
    return path


def text_of(path: Path) -> str:
    """Every text of the body, headers and footers, a line a paragraph."""
    document = docx.Document(str(path))
    parts = [document.element.body]
    parts += [part._element for section in document.sections for part in (section.header, section.footer)]
    return "\n".join(
        "".join(node.text or "" for node in paragraph.iter(qn("w:t")))
        for part in parts
        for paragraph in part.iter(qn("w:p"))
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    record = factories.inspection()
    return render(record, factories.snapshots(record), tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def report_as_pdf(report: Path) -> Path:
    made, why = pdf.convert(report, report.parent)
    assert made is not None, f"{why} (make setup-pdf)"
    return made


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_report_has_every_chapter_in_order_and_none_is_empty(report):
    chapters, empty = [], ""
    for block in docx.Document(str(report)).element.body:
        style = block.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
        name = style.get(qn("w:val")) if style is not None else ""
        text = "".join(node.text or "" for node in block.iter(qn("w:t"), qn("w:drawing")))
        if name.startswith("Heading"):
            assert not empty or (empty[0] == "1" and name == "Heading2"), f"nothing stands under {empty[1:]}"
            empty = name[-1] + text
            chapters += [text] if name == "Heading1" else []
        elif text.strip():
            empty = ""
    assert not empty
    assert chapters == [zh for zh, _ in CHAPTERS]


@pytest.mark.parametrize(
    "expected",
    [
        "血液透析智能管理系统 V2.0",
        "2026 年第四季度",
        "示范人民医院",
        "HT-2025-0815",
        "lab-000003",
        "20261122T131501Z-inspect",
        ENTRY.record_sha256,
        ENTRY.previous_manifest_sha256,
        "维保合同HT-2025-0815第 3.2.1、4.1.1 条",
        "2026-11-22 21:15 (UTC+8) — 2026-11-22 21:17 (UTC+8)",
        "Intel(R) Xeon(R) Silver 4314 CPU @ 2.40GHz",
        "128 GiB",
        "未取得（serial: needs root: /sys/class/dmi/id/product_serial）",
        "4.19.90-52.22.v2207.ky10.x86_64",
        "12 (3)须重启后生效",
        "41.0 %",
        "99.00 %",
        "归档正常",
        "SELECT * FROM clinic.vitals WHERE id = ?",
        "2 GiB",
        "9,000,000",
        "pgBackRest hdis full",
        "2026-11-22 10:00",  # of an epoch, on the hospital's clock
        "通过，通电 20123 h",
        "exit-code",
        "Theil–Sen",
        "本次未涉及（终端的硬件配置",
        "逾期未关闭",
        "已关闭",
        "systemctl show --no-pager '*.service'",
        "规则 T-STORAGE-02",
        "db1.host_snapshot.json",
        "（盖章）",
    ],
)
def test_a_report_says(report, expected):
    assert expected in text_of(report)


def test_a_report_has_no_trace_of_its_making(report):
    text = text_of(report)
    for trace in ("None", "{{", "{%", "}}", "Undefined", " nan", "[]", "{'"):
        assert trace not in text
    properties = docx.Document(str(report)).core_properties
    assert properties.title == "血液透析智能管理系统 V2.0 2026 年第四季度 巡检报告"
    assert properties.author == "engineer@vendor.example"


def test_a_report_has_its_charts(report):
    assert len(docx.Document(str(report)).inline_shapes) == 4


def test_a_file_name_can_be_a_path_of_an_entry(report):
    assert report.name == "2026Q4_lab_inspection_20261122.docx"
    odd = factories.record(site="五/x ..", finished="2026-12-31T16:00:00Z")
    assert inspection.file_name(odd) == "2027Q1_--x---_inspection_20270101.docx"


def test_tables_keep_their_widths_and_stay_on_the_page(report):
    document = docx.Document(str(report))
    widest = max(
        section.page_width - section.left_margin - section.right_margin for section in document.sections
    )
    for table in document.tables:
        assert table.autofit is False
        columns = [int(column.get(qn("w:w"))) * 635 for column in table._tbl.tblGrid]
        assert sum(columns) <= widest + 10000
        assert all(int(column.width) == width for column, width in zip(table.columns, columns, strict=True))


def test_an_english_record_makes_an_english_report(tmp_path):
    record = factories.inspection(language="en")
    text = text_of(render(record, factories.snapshots(record), tmp_path))
    for expected in (
        "Inspection report",
        "Q4 2026",
        "12  Problems and advice",
        "still open",
        "Hospital",
        "Theil–Sen",
    ):
        assert expected.lower() in text.lower()
    fixed = re.sub(
        r"[^\n]*(检查|示范|血液透析|例行|du -xh|全部符合|文件系统使用率)[^\n]*", "", text
    )  # the record's own words
    assert not re.search(r"[\u4e00-\u9fff]", fixed), re.findall(r"[^\n]*[\u4e00-\u9fff][^\n]*", fixed)


def test_fifty_hosts_still_make_a_report_that_can_be_read(tmp_path):
    record = factories.inspection(50)
    snapshots = factories.snapshots(record)
    del snapshots["app7"]
    snapshots["app8"]["host_snapshot"] = {
        "probes": {"disks": {"state": "unknown", "reason": "timed out"}},
        "data": {},
    }
    begun = time.monotonic()
    path = render(record, snapshots, tmp_path)
    assert time.monotonic() - begun < 15, "a report of fifty hosts takes seconds, not minutes"
    text = text_of(path)
    assert all(name in text for name in record.hosts_expected)
    assert "app7：未取得（没有该主机的快照）" in text
    assert "timed out" in text
    assert "主机较多" in text
    assert sum(len(table.rows) for table in docx.Document(str(path)).tables) < 900


def test_a_record_of_nothing_makes_an_honest_report(tmp_path):
    record = factories.record(
        hosts=[factories.host("db1", ["database"], reached=False, os="", machine_id="")],
        evidence={},
        metrics={},
        outcome="unreachable",
        outcome_reason="db1 没有应答",
        hosts_processed=[],
        site_facts={},
        runbook=factories.record().runbook.model_dump() | {"clauses": []},
    )
    text = text_of(render(record, {}, tmp_path))
    for expected in (
        "有主机未能到达：db1 没有应答",
        "没有取得任何检查项",
        "0 / 1 台；未到达：db1",
        "db1：未取得（主机未能到达）",
        "没有取得任何主机的快照",
        "首次巡检",
        "没有容量指标",
        "未提供",
    ):
        assert expected in text
    assert "正常 " not in text


def hostile_snapshot(made: dict[str, Any], values: Iterator[str]) -> dict[str, Any]:
    """The snapshot with every text in it replaced."""

    def replaced(item: Any) -> Any:
        if isinstance(item, dict):
            return {name: replaced(child) for name, child in item.items()}
        if isinstance(item, list):
            return [replaced(child) for child in item]
        return next(values) if isinstance(item, str) else item

    return {name: replaced(part) for name, part in made.items()}


@pytest.mark.parametrize("turn", range(4))
def test_what_a_host_says_is_shown_and_never_obeyed(tmp_path, turn):
    values = itertools.cycle(HOSTILE[turn:] + HOSTILE[:turn])
    legal = (
        value.encode("utf-8", "replace").decode("utf-8") for value in values
    )  # a record holds no half pairs
    record = factories.inspection(
        evidence={
            "db1": [
                factories.finding(verdict=verdict, **{name: next(legal) for name in TEXTS})
                for verdict in ("pass", "fail", "unknown", "manual")
                for _ in range(4)
            ]
        },
        site_facts={name: next(legal) for name in ("hospital", "vendor", "system", "contract", "department")},
        reason=next(legal),
        command=next(legal),
        outcome="incomplete",
        outcome_reason=next(legal),
        hosts=[factories.host("db1", [next(legal)], os=next(legal))],
        forecasts=[
            one.model_copy(update={"subject": next(legal), "host": next(legal), "unit": unit})
            for one, unit in zip(factories.inspection().forecasts, ("bytes", *HOSTILE[:2]), strict=True)
        ],
    )
    snapshots = {
        "db1": {
            "host_snapshot": hostile_snapshot(factories.host_snapshot(), values),
            "postgresql_snapshot": hostile_snapshot(factories.postgresql_snapshot(), values),
        }
    }
    text = text_of(render(record, snapshots, tmp_path))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]", text)
    assert max(map(len, text.splitlines())) < 8 * CELL
    for literal in ("{{ 7*7 }}", "{% for x in range(9) %}x{% endfor %}{#", "<w:p>&amp;</w:t></w:r>]]><!--"):
        assert literal in text


def test_snapshots_of_another_shape_make_no_difference_to_the_judgement():
    record = factories.inspection()
    for odd in (
        None,
        [],
        "x",
        7,
        {"rows": 3},
        {"rows": [None, 3, "x", {}]},
        {"mounts": {"a": 1}, "disks": [[]]},
    ):
        names = {**factories.host_snapshot()["data"], **factories.postgresql_snapshot()["data"]}
        shape = {"data": dict.fromkeys(names, odd), "probes": dict.fromkeys(names, odd), "commands": odd}
        snapshots = {"db1": {"host_snapshot": shape, "postgresql_snapshot": shape}}
        context = inspection.build_context(record, snapshots, ENTRY)
        assert "规则 T-STORAGE-02" in str(context["problems"].rows)


def test_a_pdf_is_in_simplified_chinese_glyphs_and_has_all_pages(report_as_pdf):
    fonts = run("pdffonts", str(report_as_pdf))
    assert "NotoSerifSC" in fonts
    assert "NotoSansSC" in fonts
    assert not re.search(r"jp|kr|tc-|hk-|DejaVu", fonts, re.IGNORECASE), fonts
    pages = int(re.search(r"Pages:\s+(\d+)", run("pdfinfo", str(report_as_pdf))).group(1))
    assert pages > 8
    text = run("pdftotext", "-layout", str(report_as_pdf), "-")
    assert f"第 {pages} 页 / 共 {pages} 页" in text
    for trace in ("None", "{{", "{%"):
        assert trace not in text
    pages_of = {
        title: int(page) for title, page in re.findall(r"^\s*\d+\s+(\S+?)\.{3,}\s*(\d+)$", text, re.MULTILINE)
    }
    assert pages_of["结论摘要"] == 3
    assert 10 < pages_of["签字确认"] < pages


def test_the_contents_of_the_word_document_get_the_page_numbers_of_the_pdf(report, report_as_pdf):
    lines = text_of(report).splitlines()
    second = run("pdftotext", "-layout", "-f", "2", "-l", "2", str(report_as_pdf), "-")
    expected = re.findall(r"\.{4,}\s*(\d+)\s*$", second, re.MULTILINE)
    assert len(expected) == len(CHAPTERS)
    shown = [line for line in lines if line.startswith(tuple(zh for zh, _ in CHAPTERS))][: len(CHAPTERS)]
    assert shown == [zh + page for (zh, _), page in zip(CHAPTERS, expected, strict=True)]


def test_a_pdf_that_tells_no_page_numbers_leaves_the_document_alone(report, tmp_path):
    before = report.read_bytes()
    (tmp_path / "x.pdf").write_bytes(b"no pdf")
    assert not contents.number(report, tmp_path / "x.pdf")
    assert report.read_bytes() == before


def test_a_pdf_of_hostile_text_is_made_too(tmp_path):
    record = factories.inspection(
        evidence={
            "db1": [factories.finding(verdict="fail", actual=value, title=value) for value in HOSTILE[:-2]]
        }
    )
    made, why = pdf.convert(render(record, factories.snapshots(record), tmp_path), tmp_path)
    assert made is not None, why


def test_without_libreoffice_there_is_a_reason_and_no_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pdf.convert(tmp_path / "x.docx", tmp_path) == (
        None,
        "LibreOffice is not installed; `make setup-pdf` installs it",
    )


@pytest.mark.parametrize(
    "script, why",
    [
        ("sleep 60", "LibreOffice took longer than 1 s"),
        ("echo no display; exit 77", "LibreOffice ended with 77: no display"),
        ("exit 0", "LibreOffice made no file and gave no reason"),
    ],
)
def test_a_libreoffice_that_fails_says_why(monkeypatch, tmp_path, script, why):
    program = tmp_path / "soffice"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    begun = time.monotonic()
    assert pdf.convert(tmp_path / "x.docx", tmp_path, timeout=1) == (None, why)
    assert time.monotonic() - begun < 10


def test_both_templates_hold_the_same_names():
    def tags(language: str) -> list[str]:
        path = inspection.TEMPLATES / f"inspection.{language}.docx"
        return re.findall(r"\{[{%].*?[%}]\}", text_of(path))

    assert sorted(tags("zh")) == sorted(tags("en"))
    assert len(tags("zh")) > 200


def test_every_sentence_has_the_same_places_in_both_languages():
    for key, (zh, en) in words._WORDS.items():
        assert set(re.findall(r"\{(\w+)\}", zh)) == set(re.findall(r"\{(\w+)\}", en)), key


@settings(deadline=None)  # other work on the machine is no failure
@given(st.text(st.characters(codec=None), max_size=400), st.integers(1, 200))
def test_a_cleaned_text_is_legal_xml_on_one_line_within_its_limit(text, limit):
    shown = clean(text, limit)
    assert len(shown) <= limit
    assert "\n" not in shown
    etree.fromstring(f"<a>{shown.replace('&', '&amp;').replace('<', '&lt;')}</a>".encode())
    assert clean(shown, limit) == shown


@pytest.mark.parametrize("value", HOSTILE)
def test_charts_draw_any_label(tmp_path, value):
    charts.use([(value, 95.0), (value, 12.0), ("", 0.0)], tmp_path / "use.png")
    charts.sizes([(value, 0.0), (value, 2.0**40)], tmp_path / "sizes.png")
    charts.by_area(
        {value: {"pass": 3, "fail": 1}, "storage": {"critical": 1}}, Words("zh"), tmp_path / "areas.png"
    )
    for name in ("use", "sizes", "areas"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_helpers_of_tables():
    assert [size(value) for value in (0, 1023, 1024, 1536, 5 * 2**40, None)] == [
        "0 B",
        "1023 B",
        "1 KiB",
        "1.5 KiB",
        "5 TiB",
        "",
    ]
    assert sorted(["app10", "app9", "db1"], key=natural) == ["app9", "app10", "db1"]
    assert host_list([f"h{number}" for number in range(9)], Words("zh"), 2) == "h0, h1 等 9 台主机"
    rows = [{"host": "a", "x": 1}, {"host": "b", "x": 1}, {"host": "b", "x": 2}]
    assert merged(rows, Words("zh")) == [{"host": "a, b", "x": 1}, {"host": "b", "x": 2}]
