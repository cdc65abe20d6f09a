"""The logbook: what an entry must tell, when, and what never gets into it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance import attachments, local_time, logbook
from maintenance.errors import CallError, RefusedError
from maintenance.logbook import KINDS, LogEntry
from maintenance.record import Operator, to_bytes
from maintenance.redaction import Redactor

NOW = "2026-11-23T06:30:00Z"
OPERATOR = Operator(principal="engineer@v", key_fingerprint="SHA256:x", self_issued=False, machine="m")
SECRET = "Sommer-4711"
RESIDENT = "340302198805061234"


def compose(kind: str, fields: dict[str, str], **more: object) -> LogEntry:
    """An entry of a kind, made at NOW."""
    return logbook.compose(
        KINDS[kind], "trial", fields, Redactor([SECRET]), operator=OPERATOR, now=NOW, **more
    )  # type: ignore[arg-type]


def complete(kind: str) -> dict[str, str]:
    """Everything that a kind requires."""
    return {field.name: "2" if field.form == "number" else "x" for field in KINDS[kind].required}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_stored_with_what_it_requires(kind: str) -> None:
    entry = compose(kind, complete(kind), at="2026-11-23 08:00", until="2026-11-23 09:00")
    assert entry.what == kind
    assert entry.clauses == list(KINDS[kind].clauses)
    assert (entry.at, entry.until, entry.recorded) == ("2026-11-23T00:00:00Z", "2026-11-23T01:00:00Z", NOW)
    assert LogEntry.model_validate_json(to_bytes(entry)) == entry


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_that_lacks_is_named_and_so_is_one_that_is_unknown(kind: str) -> None:
    for field in KINDS[kind].required:
        rest = {name: value for name, value in complete(kind).items() if name != field.name}
        with pytest.raises(CallError, match=rf"missing --field {field.name} \({field.zh[:2]}"):
            compose(kind, rest)
    with pytest.raises(CallError, match="it has no --field colour; it needs "):
        compose(kind, {**complete(kind), "colour": "red"})


def test_every_kind_and_field_has_both_languages_and_a_clause() -> None:
    for kind in KINDS.values():
        assert kind.clauses
        assert kind.zh
        assert kind.en.isascii()
        names = [field.name for field in kind.fields]
        assert len(names) == len(set(names))
        for field in kind.fields:
            assert field.zh
            assert not field.zh.isascii()
            assert field.en.isascii()


def test_the_contract_duties_that_a_log_answers_are_all_there() -> None:
    clauses = {clause for kind in KINDS.values() for clause in kind.clauses}
    clauses |= {clause for kind in KINDS.values() for field in kind.fields for clause in field.clauses}
    assert clauses >= {"3.2.6.3", "3.2.7", "3.2.8", "4.1.1", "4.1.2", "4.1.4", "4.1.5", "4.2.1", "4.2.2"}


def test_the_operating_page_lists_every_kind_with_what_it_requires() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cases.zh.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    listed = {row[0].strip("`"): (row[2].split(), row[3].split()) for row in rows}
    assert listed == {
        kind.name: (list(kind.clauses), [field.name for field in kind.required]) for kind in KINDS.values()
    }


def test_an_on_site_visit_answers_the_review_that_it_supported() -> None:
    entry = compose("onsite", {**complete("onsite"), "review": "电子病历五级"})
    assert entry.clauses == ["4.1.4", "3.2.6.3"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"at": "2026-11-23 14:31"}, "--at: 2026-11-23 14:31 (UTC+8) has not come yet"),
        ({"at": "2026-11-23T06:30:01Z"}, "has not come yet"),
        ({"at": "gestern"}, "--at: 'gestern' is not a time such as"),
        ({"at": "2026-11-23"}, "is not a time such as"),
        ({"at": "2026-02-30 10:00"}, "is no time of the calendar"),
        ({"at": "0001-01-01T00:00:00+08:00"}, "is no time of the calendar"),
        ({"at": "20261123T1000"}, "is not a time such as"),
        (
            {"at": "2026-11-23 10:00", "until": "2026-11-23 09:59"},
            "--until 2026-11-23 09:59 (UTC+8) is before",
        ),
        ({"at": "2026-11-23 10:00", "until": "2026-11-24 09:59"}, "--until: 2026-11-24 09:59"),
        ({"text": "x" * 4001}, "--text has 4001 characters"),
    ],
)
def test_a_wrong_time_or_text_is_one_clear_line(more: dict[str, str], said: str) -> None:
    with pytest.raises(CallError) as caught:
        compose("phone", complete("phone"), **more)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_duty_lasts() -> None:
    with pytest.raises(CallError, match="log duty: it lasts, so --at and --until are needed"):
        compose("duty", complete("duty"), at="2026-11-23 08:00")


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ("5.5", "5.5 person-days are more than the 5 that the contract makes free"),
        ("0", "more than 0"),
        ("many", "takes a number such as 2.5, not 'many'"),
        ("-1", "takes a number"),
        ("１", "takes a number"),
        ("nan", "takes a number"),
    ],
)
def test_a_customisation_keeps_to_what_is_free(days: str, said: str) -> None:
    with pytest.raises(CallError, match=said):
        compose("customisation", {**complete("customisation"), "person_days": days}, most_person_days=5)


def test_without_a_contract_nothing_limits_a_customisation() -> None:
    assert (
        compose("customisation", {**complete("customisation"), "person_days": "40"}).fields["person_days"]
        == "40"
    )


@pytest.mark.parametrize("given_", [["topic"], ["=x"], ["Topic=x"], ["a b=x"], ["topic=x", "topic=y"]])
def test_a_field_is_given_once_as_a_name_and_a_value(given_: list[str]) -> None:
    with pytest.raises(CallError, match="--field"):
        logbook.pairs(given_)


def test_secrets_and_personal_numbers_are_masked_wherever_they_are_written() -> None:
    said = f"{SECRET} {RESIDENT} 13812345678"
    entry = compose("phone", {**complete("phone"), "question": said, "phone": "13812345678"}, text=said)
    text = to_bytes(entry).decode()
    for planted in (SECRET, RESIDENT, "13812345678"):
        assert planted not in text
    assert entry.fields["phone"] == "138****5678"
    assert entry.fields["question"].count("[masked:") == 3


@given(st.datetimes(min_value=local_time.datetime(2000, 1, 1), max_value=local_time.datetime(2100, 1, 1)))
def test_a_local_time_is_eight_hours_ahead_all_year(moment: local_time.datetime) -> None:
    utc = local_time.read(f"{moment:%Y-%m-%d %H:%M:%S}")
    assert local_time.read(f"{moment:%Y-%m-%dT%H:%M:%S}+08:00") == utc
    assert local_time.read(utc) == utc
    assert local_time.parse(utc).replace(tzinfo=None) == moment.replace(microsecond=0)


def test_a_late_entry_says_so() -> None:
    assert logbook.lateness("2026-11-23T01:30:00Z", NOW) == "recorded 5 h after"
    assert logbook.lateness("2026-11-23T06:20:00Z", NOW) == ""
    assert logbook.duration(93784) == "1 d 2 h"
    assert logbook.duration(0) == "0 min"


# -- attachments


def put(path: Path, data: bytes | str) -> str:
    """A file, and its path as a user types it."""
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


def test_an_attachment_keeps_its_title_and_gets_a_name_that_an_entry_may_hold(tmp_path: Path) -> None:
    listed = [
        put(tmp_path / "签到表.pdf", b"%PDF\0"),
        put(tmp_path / "../x ..y.PNG", b"\x89PNG\0"),
        put(tmp_path / ".hidden", b"text"),
        put(tmp_path / "课件 v2.docx", b"not a zip, only named so"),
    ]
    made = attachments.read(listed, Redactor())
    assert [info.file for info in made.infos] == [
        "attachments/01.pdf",
        "attachments/02-x-y.png",
        "attachments/03-hidden",
        "attachments/04-v2.docx",
    ]
    assert [info.title for info in made.infos] == ["签到表.pdf", "x ..y.PNG", ".hidden", "课件 v2.docx"]
    assert made.infos[0].media_type == "application/pdf"
    assert made.infos[0].bytes == 5
    assert set(made.files) == {info.file for info in made.infos}


def test_a_secret_in_an_attachments_name_is_masked(tmp_path: Path) -> None:
    given_ = put(tmp_path / f"{SECRET} of {RESIDENT}.txt", "harmless")
    info = attachments.read([given_], Redactor([SECRET])).infos[0]
    for planted in (SECRET, RESIDENT):
        assert planted not in info.title + info.file


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", f"one\ntwo {SECRET}"),
        ("a.csv", f"patient,{RESIDENT}"),
        ("b.csv", "患者姓名：赵六"),
        ("a.log", "password=letmein99"),
        ("key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"),
        ("gb.txt", f"患者 {RESIDENT}".encode("gb18030")),
        ("blob.bin", b"\0\1" + SECRET.encode() + b"\0"),
    ],
)
def test_an_attachment_that_holds_a_secret_is_refused(tmp_path: Path, name: str, text: str | bytes) -> None:
    path = put(tmp_path / name, text)
    with pytest.raises(RefusedError) as caught:
        made = attachments.read([path], Redactor([SECRET]))
        for where, data in made.files.items():  # what has no text is searched when it is signed
            Redactor([SECRET]).check(data, where)
    assert SECRET not in str(caught.value)
    assert RESIDENT not in str(caught.value)


def test_a_list_of_those_who_attended_is_no_list_of_patients(tmp_path: Path) -> None:
    path = put(tmp_path / "签到表.txt", "姓名：赵六\n科室：血透室")
    assert attachments.read([path], Redactor()).infos[0].title == "签到表.txt"


def test_a_hostile_file_name_stays_one_line_without_escapes(tmp_path: Path) -> None:
    path = put(tmp_path / "a\n\x1b[31mb\u202e.txt", "x")
    info = attachments.read([path], Redactor()).infos[0]
    assert (info.title, info.file) == ("a b\ufffd.txt", "attachments/01-a-b.txt")
    with pytest.raises(CallError) as caught:
        attachments.read([f"{tmp_path}/none\nsecond line"], Redactor())
    assert "\n" not in str(caught.value)


def test_a_secret_in_a_word_document_is_found_though_marks_cut_it(tmp_path: Path) -> None:
    path = tmp_path / "report.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", f"<w:p><w:t>{SECRET[:4]}</w:t><w:t>{SECRET[4:]}</w:t></w:p>")
    with pytest.raises(RefusedError, match=r"report\.docx \(word/document\.xml\)"):
        attachments.read([str(path)], Redactor([SECRET]))


def test_a_document_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * (65 * 2**20))
    with pytest.raises(CallError, match=r"bomb\.docx unpacks to more than 64\.0 MiB"):
        attachments.read([str(path)], Redactor())


def test_what_cannot_be_attached_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, same = put(tmp_path / "one.txt", "same"), put(tmp_path / "two.txt", "same")
    monkeypatch.setattr(attachments, "LARGEST", 10)
    monkeypatch.setattr(attachments, "LARGEST_TOGETHER", 15)
    table = {
        f"{tmp_path}/none: cannot|cannot be read: No such file": [str(tmp_path / "none")],
        "is a folder": [str(tmp_path)],
        "is empty": [put(tmp_path / "empty", b"")],
        "two.txt is the same file as one.txt": [one, same],
        "an attachment may have": [put(tmp_path / "large", b"x" * 11)],
        "an entry takes 0.0 MiB": [put(tmp_path / "a", b"a" * 8), put(tmp_path / "b", b"b" * 8)],
        "41 files, and an entry takes 40": [one] * 41,
        "/dev/zero cannot be read": ["/dev/zero"],
    }
    for said, paths in table.items():
        with pytest.raises(CallError, match=said) as caught:
            attachments.read(paths, Redactor())
        assert "\n" not in str(caught.value)
