"""Which logins the ledger explains, and which it does not; what a log does not reach is unknown."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from docx import Document
from ledger_builder import Ledger, make_key, public

from maintenance import compare, register
from maintenance.compare import HostLog, Judged, Window
from maintenance.documents import logins as document
from maintenance.documents.inspection import EntryFacts
from maintenance.login_settings import Automation, LoginSettings

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
KEY = "SHA256:" + "A" * 43
OTHER = "SHA256:" + "B" * 43
KNOWN = {KEY: "engineer@vendor"}


def at(minutes: float) -> str:
    return compare.text_of(NOW + timedelta(minutes=minutes))


def login(minutes: float, **changed: Any) -> dict[str, Any]:
    """A login as the module tells it."""
    told = {
        "time": at(minutes),
        "ended": None,
        "user": "engineer",
        "source": "192.0.2.9",
        "method": "publickey",
    }
    return {**told, "key": KEY, "authority": "", "certificate": "", **changed}


def told(*logins: dict[str, Any], host: str = "db1", **changed: Any) -> HostLog:
    """A host's log of an hour that reaches back far enough."""
    snapshot = {
        "now": at(60),
        "reaches_back_to": at(-600),
        "problems": [],
        "sources": ["journal"],
        "logins": logins,
    }
    return compare.read_host(host, {**snapshot, **changed}, at(-60), (at(59), at(61)), 120)


def run(begin: float, end: float, *hosts: str, what: Any = "run") -> Window:
    began, ended = NOW + timedelta(minutes=begin), NOW + timedelta(minutes=end)
    return Window(began, ended, frozenset(hosts or ("db1",)), "", what, f"open-{begin}")


def judge(log: HostLog, *windows: Window, settings: LoginSettings | None = None) -> list[Judged]:
    return compare.judge([log], KNOWN, windows, settings or LoginSettings(tolerance_seconds=120)).logins


def verdicts(log: HostLog, *windows: Window, settings: LoginSettings | None = None) -> list[str]:
    return [judged.verdict for judged in judge(log, *windows, settings=settings)]


@pytest.mark.parametrize(
    "minutes, verdict",
    [(-3, "unexplained"), (-1.9, "explained"), (5, "explained"), (11.9, "explained"), (13, "unexplained")],
)
def test_a_run_explains_logins_of_its_time_within_the_tolerance(minutes: float, verdict: str) -> None:
    assert verdicts(told(login(minutes)), run(0, 10)) == [verdict]


def test_a_run_explains_nothing_on_another_host() -> None:
    assert verdicts(told(login(5)), run(0, 10, "app1")) == ["unexplained"]


def test_a_session_that_outlives_its_run_is_not_explained_by_it() -> None:
    assert verdicts(told(login(5, ended=at(13))), run(0, 10)) == ["explained"]
    (judged,) = judge(told(login(5, ended=at(50))), run(0, 10))
    assert (judged.verdict, judged.text) == ("unexplained", "stayed")


def test_a_connection_that_the_next_run_goes_on_with_is_explained_by_both() -> None:
    assert verdicts(told(login(5, ended=at(31))), run(0, 10), run(12, 30)) == ["explained"]
    assert verdicts(told(login(5, ended=at(31))), run(0, 10), run(25, 30)) == ["unexplained"]
    assert verdicts(told(login(5, ended=at(31))), run(0, 10), run(12, 30, "app1")) == ["unexplained"]


def test_a_key_that_is_no_engineers_is_for_the_hospital_to_know() -> None:
    assert verdicts(told(login(5, key=OTHER, user="backup")), run(0, 10)) == ["other"]


def test_a_password_at_an_engineers_account_is_an_engineers_login() -> None:
    password = {"method": "password", "key": ""}
    assert verdicts(told(login(1), login(30, **password)), run(0, 10)) == ["explained", "unexplained"]
    assert verdicts(told(login(30, user="nurse", **password)), run(0, 10)) == ["other"]
    settings = LoginSettings(accounts=("nurse",))
    assert verdicts(told(login(30, user="nurse", **password)), run(0, 10), settings=settings) == [
        "unexplained"
    ]


def test_a_certificate_of_an_engineers_authority_is_an_engineers_login() -> None:
    certified = login(5, key=OTHER, authority=KEY, certificate="zhang (serial 3)")
    (judged,) = judge(told(certified))
    assert (judged.verdict, judged.engineer) == ("unexplained", "engineer@vendor (zhang (serial 3))")


@pytest.mark.parametrize(
    "agreed, verdict",
    [
        ({"keys": (KEY,), "hosts": ("db1",)}, "explained"),
        ({"keys": (KEY,), "hosts": ("app1",)}, "unexplained"),
        ({"users": ("engineer",), "sources": ("192.0.2.9",)}, "explained"),
        ({"users": ("engineer",), "sources": ("192.0.2.1",)}, "unexplained"),
        ({}, "unexplained"),
    ],
)
def test_an_agreed_automation_explains_what_fits_everything_that_it_names(
    agreed: dict[str, Any], verdict: str
) -> None:
    settings = LoginSettings(automation=(Automation(name="backup", reason="nightly", **agreed),))
    assert verdicts(told(login(5)), settings=settings) == [verdict]


def test_a_log_that_begins_too_late_is_a_gap_and_not_a_time_without_logins() -> None:
    late = told(reaches_back_to=at(-30))
    assert late.gap
    assert not compare.judge([late], KNOWN, [], LoginSettings()).all_explained
    assert not told().gap
    assert compare.judge([told()], KNOWN, [], LoginSettings()).all_explained
    assert told(problems=["3 older logins were left out"]).gap
    assert HostLog("db1", at(0), problem="not reached").gap
    assert told(reaches_back_to=None).gap


def test_a_clock_that_is_wrong_is_said_and_corrected() -> None:
    log = told(login(35), now=at(90))  # half an hour ahead of the run that read it
    assert log.offset_seconds == 29 * 60
    assert [judged.verdict for judged in judge(log, run(0, 10))] == ["explained"]
    behind = compare.read_host("db1", {"now": at(20), "logins": [login(-40)]}, at(-60), (at(59), at(61)), 120)
    assert behind.offset_seconds == -39 * 60


# -- what the ledger tells


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger.create(tmp_path / "ledger", make_key(tmp_path, "engineer"))
    made.now = NOW
    return made


def open_(ledger: Ledger, name: str, *hosts: str) -> None:
    facts = {"opened": compare.text_of(ledger.now), "hosts": hosts, "runbook": "inspect"}
    ledger.add("open", name, {"open.json": json.dumps(facts)})


def windows(ledger: Ledger, user: str = "") -> list[tuple[str, float, float]]:
    found = compare.windows(register.read(ledger.root), at(-60), at(100), user)
    minutes = [
        ((item.begin - NOW).total_seconds() / 60, (item.end - NOW).total_seconds() / 60) for item in found
    ]
    return [(item.what, *span) for item, span in zip(found, minutes, strict=True)]


def test_a_run_spans_from_its_open_to_its_close_and_one_under_way_until_now(ledger: Ledger) -> None:
    open_(ledger, "one", "db1")
    ledger.now += timedelta(minutes=9)
    ledger.add("close", "one", {"record.json": json.dumps({"outcome": "failed"})})
    open_(ledger, "two", "db1")
    assert windows(ledger) == [("run", 0.0, 10.0), ("run", 11.0, 100.0)]


def test_a_refused_run_touched_no_host_and_explains_nothing(ledger: Ledger) -> None:
    open_(ledger, "one", "db1")
    ledger.add("close", "one", {"record.json": json.dumps({"outcome": "refused"})})
    assert windows(ledger) == []


def test_a_run_that_died_explains_nothing_after_its_last_event(ledger: Ledger) -> None:
    open_(ledger, "one", "db1")
    ledger.now += timedelta(days=3)
    events = "".join(
        json.dumps({"n": n, "at": (NOW + timedelta(minutes=n)).isoformat()}) + "\n" for n in (1, 4)
    )
    files = {"abandoned.json": json.dumps({"found": compare.text_of(ledger.now)}), "events.jsonl": events}
    ledger.add("abandoned", "one", files)
    assert windows(ledger) == [("run", 0.0, 4.0)]


def test_visits_runs_by_hand_and_deliveries_to_the_witness_have_their_times(ledger: Ledger) -> None:
    onsite = {"what": "onsite", "at": at(5), "until": at(50), "fields": {"purpose": "p"}}
    ledger.add("entry", "onsite", {"entry.json": json.dumps(onsite)})
    ledger.add("entry", "phone", {"entry.json": json.dumps({"what": "phone", "at": at(5)})})
    hand = {"started": at(60), "finished": at(61), "hosts": {"db1": {}}, "playbook": "p.yml"}
    ledger.add("unrecorded", "x", {"unrecorded.json": json.dumps(hand)})
    assert windows(ledger) == [("visit", 5.0, 50.0), ("by_hand", 60.0, 61.0)]
    witnessed = [item for item in windows(ledger, "maintenance-witness") if item[0] == "witness"]
    assert witnessed[-1] == ("witness", 2.0, 7.0)


def test_the_witness_account_is_explained_by_deliveries_and_no_other_account_is() -> None:
    window = Window(NOW, NOW + timedelta(minutes=5), None, "maintenance-witness", "witness", "x")
    assert verdicts(told(login(1, user="maintenance-witness")), window) == ["explained"]
    assert verdicts(told(login(1)), window) == ["unexplained"]
    assert verdicts(told(login(30, user="maintenance-witness")), window) == ["unexplained"]


def test_each_host_is_compared_from_where_it_was_last_read(ledger: Ledger) -> None:
    hosts = {
        "db1": {"read": True, "until": at(7)},
        "app1": {"read": False, "until": ""},
        "old1": {"read": True, "until": at(7)},
    }
    entry = {"what": "comparison", "comparison": {"hosts": hosts}}
    genesis = "2026-11-22T13:00:00Z"
    ledger.add("entry", "comparison", {"entry.json": json.dumps(entry)})
    since = compare.since_of(register.read(ledger.root), ["db1", "app1", "new1"])
    assert since == {"db1": at(7), "app1": genesis, "new1": genesis, "old1": at(7)}


def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    import subprocess

    key = make_key(tmp_path, "key")
    for form, own in zip(("sha256", "md5"), compare.fingerprints(public(key)), strict=True):
        command = ["ssh-keygen", "-l", "-E", form, "-f", f"{key}.pub"]
        stock = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[1]
        assert own == stock


def test_keys_of_the_site_are_fingerprints_lines_or_files(tmp_path: Path) -> None:
    keys = {name: make_key(tmp_path, name) for name in ("signer", "line", "file")}
    settings = LoginSettings(keys={"a": KEY, "b": public(keys["line"]), "c": "file.pub"})
    known = compare.known_keys([("d", public(keys["signer"]))], settings, tmp_path)
    named = {known[compare.fingerprints(public(key))[0]] for key in keys.values()} | {known[KEY]}
    assert named == {"a", "b", "c", "d"}
    with pytest.raises(ValueError, match=r"gone\.pub cannot be read"):
        compare.known_keys([], LoginSettings(keys={"x": "gone.pub"}), tmp_path)


# -- the document


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_document_lists_what_is_not_explained_and_what_is_not_known(
    tmp_path: Path, language: Any
) -> None:
    logs = [
        told(login(5), login(30, source="198.51.100.7"), login(31, key=OTHER, user="backup{{ 7*7 }}")),
        HostLog("app1", at(-60), problem="Connection timed out"),
    ]
    logs[0].logins += [replace(logs[0].logins[0], source=f"192.0.2.{number}") for number in range(4)]
    result = compare.judge(logs, KNOWN, [run(0, 10)], LoginSettings())
    entry = {
        "site": "lab",
        "at": at(-60),
        "until": at(60),
        "recorded": at(61),
        "fields": {"run": "20261123T040000Z-ab12-collect_logins"},
        "operator": {"principal": "engineer@vendor"},
        "comparison": compare.facts(result, KNOWN, {"state": "agrees", "count": 7, "unheld": 1}, 120),
    }
    path = document.render(
        entry,
        {"hospital": "示范医院"},
        tmp_path / "x.docx",
        language=language,
        at=EntryFacts(9, "a" * 64, "b" * 64),
    )
    parsed = Document(str(path))
    shaded = [
        cell.text for table in parsed.tables for cell in table._cells if 'w:fill="FFE699"' in cell._tc.xml
    ]
    assert shaded == ["5"], "five logins of one run on one host are worth a question"
    cells = [cell.text for table in parsed.tables for row in table.rows for cell in row.cells]
    text = "\n".join([*cells, *(paragraph.text for paragraph in parsed.paragraphs)])
    for expected in (
        "198.51.100.7",
        "Connection timed out",
        "示范医院",
        "000009",
        "backup{{ 7*7 }}",
        KEY,
        "open-0",
    ):
        assert expected in text, expected
    assert ("有 1 次工程师登录" if language == "zh" else "1 logins of engineers") in text
