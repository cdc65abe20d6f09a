"""Cases and log entries as they are written into a real ledger: refused with nothing written, or signed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maintenance import bookkeeping, casework, ledger, verification
from maintenance.case_events import EventName, SignedLimit
from maintenance.casework import Given, Where
from maintenance.errors import CallError, RefusedError
from maintenance.redaction import Redactor
from maintenance.signing import make_key
from maintenance.site import Facts, Settings, Site

LIMITS = {"phone": SignedLimit(clause="4.3.1", hours=1), "onsite": SignedLimit(clause="4.3.3", hours=24)}
SECRET = "Sommer-4711"
RESIDENT = "340302198805061234"
OPENED = {
    "title": "透析机数据不上传",
    "reporter": "王护士长",
    "department": "血透室",
    "appeared": "07:50",
    "frequency": "持续",
    "operation": "开始透析",
    "impact": "6 台透析机",
    "severity": "major",
}
CLOSED = {
    "description": "数据中断",
    "process": "重启服务",
    "cause": "磁盘满",
    "root_cause": "无轮转",
    "data_impact": "无",
}
MEASURE, TEST = ("permanent:配置轮转",), ("上传 | 有数据 | 有数据 | 王护士长 | 通过",)


def ago(minutes: float) -> str:
    """An instant before now, as a user may type it."""
    return (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def where(tmp_path: Path) -> Where:
    """A site with a password in its inventory, and a contract with two limits."""
    folder = tmp_path / "site"
    folder.mkdir()
    make_key(tmp_path / "key", "engineer@v")
    public = (tmp_path / "key.pub").read_text()
    (folder / "allowed_signers").write_text(f'engineer@v namespaces="maintenance-record" {public}')
    (folder / "hosts.yml").write_text(f"all: {{hosts: {{one: {{ansible_become_password: {SECRET}}}}}}}")
    facts = Facts(hospital="示范医院", vendor="维保方", system="血透系统", contract="HT-1")
    settings = Settings(site="trial", principal="engineer@v", key="../key", ledger="../ledger", facts=facts)
    return Where(Site(folder, settings), limits=LIMITS, most_person_days=5)


def entries(where: Where) -> list[str]:
    """The folders of the ledger."""
    return [entry.folder for entry in ledger.entries(where.path)]


def do(where: Where, name: EventName, case: str, minutes: float, **fields: str) -> casework.Made:
    """An event so many minutes ago."""
    return casework.add_event(where, name, case, Given(fields, at=ago(minutes)))


def opened(where: Where, minutes: float = 300, **more: str) -> str:
    """Open a case; its id."""
    return str(do(where, "open", "", minutes, **(OPENED | more)).facts.case)


def restored(where: Where) -> str:
    """A case that waits for its close."""
    case = opened(where)
    do(where, "respond", case, 280, channel="phone", answer="已受理")
    do(where, "restore", case, 30, how="重启", confirmed_by="王护士长")
    return case


def close(where: Where, case: str, **changed: object) -> casework.Made:
    """Close it, with what the test changes in it."""
    given = Given(CLOSED, measures=MEASURE, tests=TEST)
    for name, value in changed.items():
        setattr(given, name, value)
    return casework.add_event(where, "close", case, given)


def test_a_whole_case_leaves_a_sound_ledger_and_its_document(where: Where) -> None:
    case = restored(where)
    made = close(where, case)
    assert entries(where) == [
        "000001-genesis-trial",
        f"000002-entry-case-{case}-open",
        f"000003-entry-case-{case}-respond",
        f"000004-entry-case-{case}-restore",
        f"000005-entry-case-{case}-close",
    ]
    assert f"trial_fault_{case}.docx" in [path.name for path in made.documents]
    assert made.case is not None
    assert [(clock.kind, clock.state) for clock in made.case.clocks] == [
        ("phone", "met"),
        ("onsite", "not_needed"),
    ]
    report = verification.verify(where.path)
    assert report.sound, report.faults
    # What the writer knew before it was signed is what a reader finds afterwards.
    (read,) = casework.read_cases(where.path, {})
    known = [
        replace(event, recorded="") for event in made.case.events
    ]  # its header's time is that of the signature
    assert [replace(event, recorded="") for event in read.events] == known
    assert replace(read, events=()) == replace(made.case, events=())


def test_an_id_is_the_next_of_the_day_and_a_call_is_one_case(where: Where) -> None:
    at = ago(10)
    first = casework.add_event(where, "open", "", Given(OPENED, at=at)).facts.case
    assert first is not None
    with pytest.raises(
        CallError, match=f"this call is the case {first} already; next: case respond --case {first}"
    ):
        casework.add_event(where, "open", "", Given(OPENED, at=at))
    second = casework.add_event(where, "open", "", Given(OPENED | {"title": "another"}, at=at)).facts.case
    assert str(second) == first[:-2] + "02"
    assert casework.add_event(where, "open", "INC-77", Given(OPENED, at=ago(5))).facts.case == "INC-77"
    with pytest.raises(CallError, match="the case INC-77 is there already"):
        casework.add_event(where, "open", "INC-77", Given(OPENED, at=ago(4)))
    with pytest.raises(CallError, match="--case takes letters, digits"):
        casework.add_event(where, "open", "../x", Given(OPENED))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fields": {**CLOSED, "cause": " "}}, "missing --cause (直接原因"),
        ({"fields": {name: CLOSED[name] for name in ("cause", "process")}}, "missing --description"),
        ({"measures": ()}, "it needs a measure"),
        ({"measures": ("forever:x",)}, "--measure takes permanent:TEXT or temporary:TEXT"),
        ({"measures": ("permanent:",)}, "--measure takes"),
        ({"tests": ()}, "it needs a test after the repair"),
        ({"tests": ("a|b|c|d",)}, "--test takes 'NAME | EXPECTED | ACTUAL | TESTER | passed'"),
        ({"tests": ("a|b||d|passed",)}, "--test takes"),
        ({"tests": ("a|b|c|d|perhaps",)}, "--test takes"),
        ({"tests": (*TEST, "login|works|hangs|Wang|failed")}, "the test 'login' failed"),
        ({"at": "2999-01-01 10:00"}, "has not come yet"),
        ({"at": ago(60)}, "is before 'restore'"),
        ({"text": "x" * 4001}, "--text takes 4000"),
    ],
)
def test_what_cannot_be_closed_is_one_clear_line_and_writes_nothing(
    where: Where, changed: dict[str, object], said: str
) -> None:
    case = restored(where)
    before = entries(where)
    with pytest.raises(CallError) as caught:
        close(where, case, **changed)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert entries(where) == before


def test_a_refused_first_call_does_not_even_begin_a_ledger(where: Where) -> None:
    with pytest.raises(CallError, match="there is no case 'C1'; the newest are: none"):
        do(where, "restore", "C1", 1, how="x")
    with pytest.raises(CallError, match="case open: missing --title"):
        do(where, "open", "", 1, reporter="Wang")
    with pytest.raises(CallError, match="log phone: missing"):
        casework.log(where, "phone", Given({}))
    assert not where.path.exists()


def test_an_unknown_choice_names_those_there_are(where: Where) -> None:
    case = opened(where)
    with pytest.raises(CallError, match="case decide: --channel takes one of remote, onsite, not 'phone'"):
        do(where, "decide", case, 5, channel="phone", reason="x")
    with pytest.raises(CallError, match="--severity takes one of critical, major, minor"):
        do(where, "note", case, 5, severity="bad")
    with pytest.raises(CallError, match="it says nothing"):
        do(where, "note", case, 5)
    with pytest.raises(CallError, match="missing --agreed-by"):
        do(where, "pause", case, 5, clock="onsite", reason="typhoon")


def test_a_log_entry_joins_its_case_and_stops_its_clock(where: Where) -> None:
    case = opened(where, 50)
    fields = {"caller": "王", "department": "血透室", "question": "?", "answer": "!"}
    made = casework.log(where, "phone", Given(fields, at=ago(40)), case)
    assert made.case is not None
    assert [(clock.state, round(clock.used_seconds / 60)) for clock in made.case.clocks if clock.started] == [
        ("met", 10)
    ]
    with pytest.raises(CallError, match="there is no case 'C0'"):
        casework.log(where, "phone", Given(fields), "C0")
    with pytest.raises(CallError, match="is before the case"):
        casework.log(where, "phone", Given(fields, at=ago(60)), case)
    do(where, "restore", case, 5, how="x")
    close(where, case)
    with pytest.raises(CallError, match="log it without --case"):
        casework.log(where, "phone", Given(fields), case)


def test_a_run_joins_a_case_of_this_ledger(where: Where) -> None:
    case = opened(where)
    casework.require_joinable(where.path, case, repairs=True)
    with pytest.raises(CallError, match=f"there is no case 'C9'; the newest are: {case}"):
        casework.require_joinable(where.path, "C9", repairs=False)


def test_a_customisation_is_measured_by_the_contract(where: Where) -> None:
    fields = {"request": "a", "requester": "b", "person_days": "6", "release": "c", "accepted_by": "d"}
    with pytest.raises(CallError, match="more than the 5 that the contract makes free"):
        casework.log(where, "customisation", Given(fields))


def everything(where: Where) -> Iterator[tuple[Path, bytes]]:
    """Every byte that was written, with office documents unpacked."""
    import io
    import zipfile

    for path in where.path.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            yield path, data
            if zipfile.is_zipfile(io.BytesIO(data)):
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    for name in archive.namelist():
                        yield path / name, archive.read(name)


def test_planted_secrets_reach_no_byte_of_the_ledger(where: Where, tmp_path: Path) -> None:
    planted = f"{SECRET} {RESIDENT} 13812345678"
    scan = tmp_path / f"{SECRET}-{RESIDENT}.png"
    scan.write_bytes(b"\x89PNG\0scan")
    case = str(
        casework.add_event(
            where,
            "open",
            "",
            Given(
                {**OPENED, "title": planted, "reporter": planted, "phone": "13812345678", "impact": planted},
                at=ago(60),
                text=planted,
                attach=[str(scan)],
            ),
        ).facts.case
    )
    do(where, "restore", case, 30, how=planted)
    made = close(
        where,
        case,
        fields={**CLOSED, "description": planted, "leftover": planted},
        measures=(f"temporary:{planted}",),
        tests=(f"{planted}|{planted}|{planted}|{planted}|passed",),
    )
    assert any("masked before signing: known_value" in note for note in made.notes)
    assert len(made.documents) == 2
    for path, data in everything(where):
        for secret in (SECRET, RESIDENT, "13812345678"):
            assert secret.encode() not in data, path
            assert secret not in str(path)


def test_an_attachment_with_a_secret_is_refused_before_anything_is_signed(
    where: Where, tmp_path: Path
) -> None:
    bad = tmp_path / "log.txt"
    bad.write_text(f"login {SECRET}")
    with pytest.raises(RefusedError, match=r"a known secret is still in the attachment log\.txt"):
        casework.add_event(where, "open", "", Given(OPENED, attach=[str(bad)]))
    assert not where.path.exists()


def test_attachments_are_signed_with_the_entry(where: Where, tmp_path: Path) -> None:
    sheet = tmp_path / "签到表.csv"
    sheet.write_text("甲,乙\n")
    fields = {"topic": "上机", "trainer": "甲", "attendees": "乙"}
    made = casework.log(where, "training", Given(fields, attach=[str(sheet)]))
    facts = json.loads((made.entry.path / "entry.json").read_text())
    (info,) = facts["attachments"]
    assert info["title"] == "签到表.csv"
    assert (made.entry.path / info["file"]).read_bytes() == sheet.read_bytes()
    assert made.entry.manifest().files[info["file"]] == info["sha256"]


def test_no_document_is_made_of_a_case_that_does_not_verify(where: Where, tmp_path: Path) -> None:
    case = restored(where)
    close(where, case)
    first = where.path / f"000002-entry-case-{case}-open" / "entry.json"
    first.write_text(first.read_text().replace("major", "minor"))
    with pytest.raises(RefusedError, match="does not verify, no document was made: 000002"):
        casework.document(where, case, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_case_is_not_closed_over_an_old_entry_that_was_tampered_with(where: Where) -> None:
    case = restored(where)
    for number in range(20):  # more than every writer looks back at
        bookkeeping.add_entry(where.site, "entry", f"x{number}", {"entry.json": b"{}\n"}, redactor=Redactor())
    first = where.path / f"000002-entry-case-{case}-open" / "entry.json"
    first.write_text(first.read_text().replace("major", "minor"))
    before = entries(where)
    with pytest.raises(RefusedError, match="does not verify, no document was made: 000002"):
        close(where, case)
    assert entries(where) == before


def test_a_document_can_be_made_again_and_as_a_draft(where: Where, tmp_path: Path) -> None:
    case = opened(where)
    made, documents, why = casework.document(where, case, tmp_path / "deep" / "out")
    assert made.state == "open"
    assert [path.suffix for path in documents] == [".docx", ".pdf"], why
    with pytest.raises(CallError, match=r"docx is there already; name another folder"):
        casework.document(where, case, tmp_path / "deep" / "out")
    other = Site(where.site.folder, where.site.settings.model_copy(update={"site": "other"}))
    with pytest.raises(CallError, match="is the ledger of the site trial, not of other"):
        casework.listed(replace(where, site=other))
    with pytest.raises(CallError, match="there is no case 'C9'"):
        casework.document(where, "C9", tmp_path)
    with pytest.raises(CallError, match="cannot be a folder for documents"):
        casework.document(where, case, tmp_path / "site" / "hosts.yml")
