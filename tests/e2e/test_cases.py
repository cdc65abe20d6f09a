"""The logbook and a whole fault as an engineer types them, on a site of its own."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, Done

SITES = REPOSITORY / "inventories"
SITE = "test_cases"
SECRET = "Sommer-4711"
NOW = datetime.now(UTC)  # one for all, so that differences are exact
CONTRACT = """
period: {from: 2026-01-01, until: 2026-12-31}
sla:
  phone: {clause: 4.3.1, hours: 1}
  remote: {clause: 4.3.2, hours: 12}
  onsite: {clause: 4.3.3, hours: 24}
duties:
  - id: 3.2.7
    title: {zh: 客户化, en: Customisation}
    owed: {kind: in_period, count: 3}
    shown: {entries: [customisation], most_person_days: 5}
"""
CLOSE = """
description: 早班上机后数据中断
process: 查看日志，清理磁盘，重启服务
cause: 磁盘满
root_cause: 无日志轮转
data_impact: 已由护士补录
measures:
  - temporary: 清理归档
  - {kind: permanent, text: 配置轮转}
tests:
  - {name: 数据上传, expected: 五分钟内可见, actual: 两分钟内可见, tester: 王护士长, passed: true}
"""
Call = Callable[..., Done]


def ago(minutes: float) -> str:
    """A time before now, on the hospital's clock as it is typed."""
    return (NOW + timedelta(hours=8) - timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S")


@pytest.fixture
def site() -> Iterator[Path]:
    """A site with a contract and a password, removed afterwards."""
    folder = SITES / SITE
    folder.mkdir()
    (folder / "hosts.yml").write_text(
        "servers:\n  hosts:\n    localhost:\n      ansible_connection: local\n"
        f"      ansible_become_password: {SECRET}\n"
    )
    (folder / "site.yml").write_text(
        f"site: {SITE}\nself_issued_key: true\ncontract_file: contract.yml\n"
        "facts: {hospital: 示范医院, vendor: 维保方, system: 血透系统, contract: HT-1}\n"
    )
    (folder / "contract.yml").write_text(CONTRACT)
    try:
        yield folder
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.fixture
def ledger(tmp_path: Path, site: Path) -> Path:
    """Where the test's records go."""
    return tmp_path / "ledger"


@pytest.fixture
def call(runner: Call, ledger: Path) -> Call:
    """The command on this site and ledger."""

    def run(*arguments: object) -> Done:
        return runner(*arguments, "--site", SITE, "--ledger", ledger)

    return run


def test_a_fault_from_the_call_to_its_signed_record(
    call: Call, runner: Call, ledger: Path, tmp_path: Path
) -> None:
    report = ("--title", "数据不上传", "--reporter", "王护士长", "--department", "血透室", "--phone", "8123")
    done = call(
        "case", "open", *report, "--at", ago(200), "--impact", "六台透析机", "--severity", "major", "--json"
    )
    assert done.code == 0, done.err
    case = done.json["case"]
    assert case == f"C{(NOW + timedelta(hours=8, minutes=-200)):%Y%m%d}-01"
    of = ("--case", case)

    done = call("case", "restore", *of, "--how", "x")
    assert done.code == 2
    assert f"first: case note --case {case} --appeared … --frequency … --operation …" in done.line
    talk = ("--appeared", "07:50", "--frequency", "持续", "--operation", "开始透析")
    assert call("case", "note", *of, *talk, "--at", ago(198)).code == 0

    done = call("case", "respond", *of, "--channel", "phone", "--answer", "已受理", "--at", ago(170))
    assert done.code == 0
    # The suite may have begun long before this test: how late the entry is made is not known exactly.
    assert re.search(
        r"clock     phone met, 30 min of 1 h \(4\.3\.1\), recorded \d+ h( \d+ min)? after", done.out
    )
    assert (
        call("case", "decide", *of, "--channel", "remote", "--reason", "看日志", "--at", ago(160)).code == 0
    )
    pause = ("--clock", "remote", "--reason", "VPN 未开通", "--agreed-by", "李工")
    assert call("case", "pause", *of, *pause, "--at", ago(150)).code == 0
    assert call("case", "resume", *of, "--clock", "remote", "--at", ago(120)).code == 0
    joined = call("run", "inspect", *of, "--json")
    assert joined.code == 0, joined.err
    fields = {"notified": "电话，李工", "means": "VPN", "purpose": "清理磁盘", "result": "恢复"}
    said = [part for name, text in fields.items() for part in ("--field", f"{name}={text}")]
    assert call("log", "remote", *of, *said, "--at", ago(100)).code == 0
    done = call("case", "close", *of, "--from", tmp_path / "close.yml")
    assert done.code == 2
    assert "close.yml is not there" in done.line
    (tmp_path / "close.yml").write_text(CLOSE)
    done = call("case", "close", *of, "--from", tmp_path / "close.yml")
    assert done.code == 2
    assert f"{case} is not restored yet; next: case restore" in done.line
    assert (
        call("case", "restore", *of, "--how", "重启", "--confirmed-by", "王护士长", "--at", ago(20)).code == 0
    )
    done = call("case", "close", *of, "--from", tmp_path / "close.yml", "--json")
    assert done.code == 0, done.err
    closed = done.json
    assert [(clock["kind"], clock["state"], clock["used_seconds"]) for clock in closed["clocks"]] == [
        ("phone", "met", 1800),
        ("remote", "met", 1800),
        ("onsite", "not_needed", 0),
    ]
    assert closed["runs"] == [Path(joined.json["entry"]).name.split("-", 2)[2]]
    assert [Path(path).suffix for path in closed["documents"]] == [".docx", ".pdf"]

    text = subprocess.run(
        ["pdftotext", "-layout", closed["documents"][1], "-"], capture_output=True, text=True, check=True
    ).stdout
    for part in (case, "王护士长", "VPN 未开通", "两分钟内可见", "远程反馈", "inspect"):
        assert part in text
    check_what_the_document_prints(text, ledger)

    done = call("case", "note", *of, "--text", "later")
    assert done.code == 2
    assert f"the case {case} was closed at" in done.line
    shown = call("case", "show", case)
    assert shown.out.count("(recorded ") >= 6
    assert closed["documents"][0] in shown.out
    assert f"{case}  closed" in call("case", "list").out
    made = call("case", "document", case, "-o", tmp_path / "out", "--lang", "en")
    assert made.out.split() == [
        part
        for suffix in ("docx", "pdf")
        for part in ("document", f"{tmp_path}/out/{SITE}_fault_{case}.{suffix}")
    ]
    assert runner("verify", ledger).code == 0


def check_what_the_document_prints(text: str, ledger: Path) -> None:
    """The digest is that of the signed entry, and the commands on the last page work as they are printed."""
    folder = ledger / text.split("cd ")[1].split()[0]
    digest = subprocess.run(["sha256sum", folder / "entry.json"], capture_output=True, text=True, check=True)
    assert digest.stdout.split()[0] in text
    printed = text[text.index("sha256sum -c") :].split("\n\n")[0]
    lines = "\n".join(line.strip() for line in printed.splitlines() if line.strip()).split("< MANIFEST")[0]
    script = f"set -e; cd {shlex.quote(str(folder))}\n{lines}< MANIFEST"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'Good "maintenance-record" signature' in done.stdout


def test_an_entry_of_the_logbook_is_signed_with_its_attachment(
    call: Call, runner: Call, ledger: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "签到表.csv"
    sheet.write_text("甲,乙\n")
    done = call(
        *("log", "training", "--at", ago(300), "--until", ago(240), "--attach", sheet),
        *("--field", "topic=上机", "--field", "trainer=甲", "--field", f"attendees=乙 {SECRET}"),
    )
    assert done.code == 0, done.err
    assert re.search(r"recorded 4 h( \d+ min)? after", done.out)
    assert "masked before signing: known_value 1" in done.err
    entry = ledger / "000002-entry-log-training"
    assert f"entry     {entry}" in done.out
    assert f"attached  {entry / 'attachments' / '01.csv'} (签到表.csv, 8 bytes)" in done.out
    assert SECRET not in (entry / "entry.json").read_text()
    assert runner("verify", ledger).code == 0


def test_calls_at_the_same_moment_get_ids_of_their_own(runner: Call, ledger: Path, site: Path) -> None:
    """Each is a process of its own, as when two engineers type at once."""

    def opening(number: int) -> subprocess.Popen[str]:
        report = ("--title", f"fault {number}", "--reporter", "Wang", "--department", "dialysis")
        where = ("--site", SITE, "--ledger", str(ledger), "--at", ago(30), "--json")
        command = [str(REPOSITORY / "runner.py"), "case", "open", *report, *where]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    assert runner("log", "agreement", "--field", "signed_by=a", "--site", SITE, "--ledger", ledger).code == 0
    running = [opening(number) for number in range(4)]
    ended = [(*process.communicate(), process.returncode) for process in running]
    assert [code for _, _, code in ended] == [0] * 4, ended
    ids = {json.loads(out)["case"] for out, _, _ in ended}
    day = f"{(NOW + timedelta(hours=8, minutes=-30)):%Y%m%d}"
    assert ids == {f"C{day}-{number:02d}" for number in range(1, 5)}
    assert runner("verify", ledger).code == 0


def test_of_two_who_restore_a_case_at_once_one_is_told(call: Call, runner: Call, ledger: Path) -> None:
    report = ("--title", "x", "--reporter", "Wang", "--department", "dialysis")
    talk = ("--appeared", "07:50", "--frequency", "always", "--operation", "start")
    case = call("case", "open", *report, *talk, "--at", ago(30), "--json").json["case"]
    restore = ("case", "restore", "--case", case, "--how", "x", "--site", SITE, "--ledger", str(ledger))
    command = [str(REPOSITORY / "runner.py"), *restore]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    ended = [(process.communicate()[1], process.returncode) for process in running]
    assert sorted(code for _, code in ended) == [0, 2, 2], ended
    assert all(f"{case} is restored since" in said for said, code in ended if code), ended
    assert len(list(ledger.glob("*-restore"))) == 1
    assert runner("verify", ledger).code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("log coffee", 2, "there is no entry of the kind 'coffee'; there are: phone, remote, onsite"),
        ("log phone", 2, "log phone: missing --field caller (来电人 caller)"),
        ("log phone --field colour=red", 2, "log phone: it has no --field colour"),
        ("log phone --field caller", 2, "--field takes NAME=VALUE"),
        (
            "log advice --field asked_by=a --field department=b --field question=c --field answer=d --case C1",
            2,
            "no case",
        ),
        (
            "log agreement --field signed_by=a --at 2999-01-01T00:00:00Z",
            2,
            "--at: 2999-01-01 08:00 (UTC+8) has not",
        ),
        ("log agreement --field signed_by=a --at tomorrow", 2, "--at: 'tomorrow' is not a time"),
        ("log agreement --field signed_by=a --attach /nonexistent.pdf", 2, "/nonexistent.pdf cannot be read"),
        ("log agreement --field signed_by=a --attach ~nobody_here/x", 2, "x cannot be read: No such file"),
        ("log agreement --field signed_by=a --attach /etc", 2, "/etc is a folder"),
        (
            "log agreement --field signed_by=a --attach {bad}",
            3,
            "the attachment bad.txt was not signed: its line 2",
        ),
        (
            "log agreement --field signed_by=a --attach {known}",
            3,
            "a known secret is still in the attachment known.txt",
        ),
        (
            "log customisation --field request=a --field requester=b --field person_days=9 --field release=c "
            "--field accepted_by=d",
            2,
            "9 person-days are more than the 5 that the contract makes free",
        ),
        (
            "case open --title x",
            2,
            "case open: missing --reporter (报修人 reporter), --department (科室 department)",
        ),
        ("case open --title x --reporter y --department z --case a/b", 2, "--case takes letters, digits"),
        ("case arrive --case C1 --engineer x", 2, "there is no case 'C1'; the newest are: none"),
        ("case show C1", 2, "there is no case 'C1'"),
        ("case document C1 -o ~nobody_here/x", 2, "there is no case 'C1'"),
        ("case close --case C1 --from {bad}", 2, "bad.txt"),
        ("case close --case C1 --from {odd}", 2, "odd.yml: there is no 'colour' in what closes a case"),
        (
            "case close --case C1 --from {test}",
            2,
            "test.yml: a test has exactly name, expected, actual, tester",
        ),
    ],
)
def test_bad_input_is_one_clear_line_and_begins_no_ledger(
    call: Call, ledger: Path, tmp_path: Path, arguments: str, code: int, said: str
) -> None:
    files = {
        "bad": (tmp_path / "bad.txt", "one\npatient 340302198805061234\n"),
        "known": (tmp_path / "known.txt", f"it was {SECRET}\n"),
        "odd": (tmp_path / "odd.yml", "colour: red\n"),
        "test": (tmp_path / "test.yml", "tests: [{name: x}]\n"),
    }
    for path, text in files.values():
        path.write_text(text)
    listed = shlex.split(arguments.format(**{name: path for name, (path, _) in files.items()}))
    done = call(*listed)
    assert done.code == code, done.err
    assert said in done.line
    assert SECRET not in done.out + done.err
    assert not ledger.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["case"], "required: EVENT"),
        (["case", "explode"], "invalid choice: 'explode'"),
        (["case", "respond", "--site", "self"], "required: --case"),
        (["log"], "required: WHAT, --site"),
        (["log", "phone", "--site", "self", "--at", ""], "argument --at: must not be empty"),
    ],
)
def test_a_call_that_cannot_be_parsed_says_what_lacks(runner: Call, arguments: list[str], said: str) -> None:
    done = runner(*arguments)
    assert done.code == 2
    assert said in done.err


def test_the_help_of_log_lists_every_kind(runner: Call) -> None:
    done = runner("log", "--help")
    for name in (
        "phone",
        "onsite",
        "training",
        "requirement",
        "customisation",
        "duty",
        "agreement",
        "*person_days",
    ):
        assert name in done.out


def test_a_run_joins_a_case_that_is_there_and_no_other(runner: Call, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    done = runner("run", "inspect", "--site", "self", "--ledger", ledger, "--case", "C20261123-01")
    assert done.code == 2
    assert "there is no case 'C20261123-01'" in done.line
