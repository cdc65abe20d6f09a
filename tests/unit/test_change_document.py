"""《变更工单》: what the hospital reads of a change, before and after it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from docx import Document
from factories import record as make_record

from maintenance import orders
from maintenance.documents import change
from maintenance.documents.inspection import TEMPLATES, EntryFacts
from maintenance.record import Change, HostResult, Operator, RunbookInfo, Step
from maintenance.signing import Signer, make_key

HOSTILE = "<w:p/>{{ 7*7 }}{% if %}\x1b[31m\u202eevil"
CHANGES = [
    Change(host="db1", task="write it", subject="/etc/a", before_sha256=None, after_sha256="a" * 64),
    Change(host="db1", task=HOSTILE, subject=HOSTILE, before_sha256=None, after_sha256=None),
]
BOOK = RunbookInfo(
    name="trial",
    title={"zh": "试验", "en": "Trial"},
    clauses=["4.1.3"],
    changes="reversible",
    undo="undo_trial",
)


def an_order(count: int = 2) -> orders.OrderFile:
    """An order for two people's approval."""
    record = make_record()
    plan = orders.Plan(
        run="20261122T130000Z-0001-trial",
        made="2026-11-22T13:00:00Z",
        hosts={"db1": 2},
        changes=CHANGES * count,
        sha256=orders.plan_digest(CHANGES * count),
    )
    order = orders.Order(
        id="20261122T131000Z-0002-trial",
        site="lab",
        site_facts={"hospital": HOSTILE, "vendor": "维保方"},
        made="2026-11-22T13:10:00Z",
        engineer=Operator(principal="engineer@v", key_fingerprint="SHA256:x", self_issued=False, machine="m"),
        runbook=BOOK,
        approvals=2,
        source=record.source,
        code_sha256="c" * 64,
        inputs=orders.Inputs(limit="", variables={"port": 5432}),
        hosts=["db1"],
        window=orders.Window.model_validate({"from": "2026-11-22T14:00:00Z", "to": "2026-11-22T16:00:00Z"}),
        reason=HOSTILE,
        notified="电话，信息科",
        plan=plan,
        summary=[],
    )
    return orders.OrderFile(b"{}", order, ())


def text_of(path: Path) -> str:
    """Every word of the document."""
    document = Document(str(path))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return "\n".join([*(paragraph.text for paragraph in document.paragraphs), *cells])


@pytest.mark.parametrize("language", ["zh", "en"])
def test_before_the_change_it_asks(tmp_path: Path, language: str) -> None:
    made = change.render(an_order(), [], None, tmp_path / "order.docx", language=language)  # type: ignore[arg-type]
    text = text_of(made)
    for part in (
        "20261122T131000Z-0002-trial",
        "write it",
        "/etc/a",
        "电话，信息科",
        "port=5432",
        "2026-11-22 22:00",
    ):
        assert part in text
    assert not re.search(r"\b49\b", text), "nothing of an order is read as a template"
    assert "{{ 7*7 }}" in text
    assert "\u202e" not in text
    assert ("尚未实施" if language == "zh" else "Not carried out yet") in text


def test_after_the_change_it_tells_what_was_done(tmp_path: Path) -> None:
    make_key(tmp_path / "hospital", "wang@h")
    key = Signer("wang@h", tmp_path / "hospital").public_key
    failed = Step(
        host="db1", task="restart", at="", result="failed", started="", duration_ms=1, message="it would not"
    )
    host = HostResult(name="db1", groups=[], machine_id="", os="", reached=True, ok=3, changed=2, failed=1)
    record = make_record().model_copy(
        update={"changes": CHANGES, "steps": [failed], "hosts": [host], "outcome": "failed", "runbook": BOOK}
    )
    facts = EntryFacts(9, "d" * 64, "e" * 64)
    held = [orders.Approval("wang@h", key, "order.json.wang_h.sig")]
    text = text_of(change.render(an_order(), held, record, tmp_path / "x.docx", language="zh", entry=facts))
    for part in (
        "wang@h",
        "SHA256:",
        "it would not",
        "000009",
        "d" * 64,
        record.run,
        "实施未完成",
        "已有 1 人",
    ):
        assert part in text


def test_an_emergency_shows() -> None:
    record = make_record().model_copy(
        update={"order": {"emergency": "值班主任"}, "runbook": BOOK, "outcome": "succeeded"}
    )
    context = change.build_context(None, [], record, language="zh")
    assert "紧急变更" in context["conclusion"]["text"]
    assert "值班主任" in context["conclusion"]["text"]
    assert context["plan"].sentence == "没有预演：本次变更没有工单。"


def test_without_an_order_it_names_what_was_given_beside_the_runbook() -> None:
    line = f"ansible-playbook -i inventories/x playbooks/{BOOK.name}.yml --check --limit db1 -e harden_sessions=…"
    record = make_record().model_copy(update={"command": line, "runbook": BOOK})
    context = change.build_context(None, [], record, language="zh")
    assert context["request"]["inputs"] == "--check; --limit db1; -e harden_sessions=…"


def test_a_long_plan_says_how_much_it_leaves_out() -> None:
    context = change.build_context(an_order(150), [], None, language="zh")
    assert len(context["plan"].rows) == 200
    assert context["plan"].note == "另有 100 项，见记录。"


def test_both_templates_hold_the_same_names() -> None:
    names = []
    for language in ("zh", "en"):
        with zipfile.ZipFile(TEMPLATES / f"change.{language}.docx") as file:
            names.append(sorted(re.findall(r"\{[{%]p?[^}]*", file.read("word/document.xml").decode())))
    assert names[0] == names[1]
