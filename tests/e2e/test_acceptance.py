"""Checkpoints, what the hospital accepts, and playbooks run by hand: as they are typed, on a site of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maintenance import local_time, verification
from tests.e2e.conftest import REPOSITORY, Done

SITE = "test_accept"
SECRET = "Winter-0815"
Call = Callable[..., Done]
TODAY = local_time.day(datetime.now(UTC).isoformat())


def make_key(path: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True)
    return path


def public(key: Path) -> str:
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    return {name: make_key(tmp_path / name) for name in ("engineer", "hospital", "stranger")}


@pytest.fixture
def site(tmp_path: Path, keys: dict[str, Path]) -> Iterator[Path]:
    """A site whose hospital may sign receipts, with a ledger of its own."""
    folder = REPOSITORY / "inventories" / SITE
    folder.mkdir()
    (folder / "hosts.yml").write_text(
        "servers:\n  hosts:\n    localhost:\n      ansible_connection: local\n"
        f"      ansible_python_interpreter: {sys.executable}\n      application_password: {SECRET}\n"
    )
    (folder / "site.yml").write_text(
        f"site: {SITE}\nprincipal: engineer@vendor\nkey: {keys['engineer']}\nledger: {tmp_path / 'ledger'}\n"
        "checkpoints: daily\n"
    )
    (folder / "allowed_signers").write_text(
        f'engineer@vendor namespaces="maintenance-record" {public(keys["engineer"])}\n'
        f'head@hospital namespaces="maintenance-receipt" {public(keys["hospital"])}\n'
    )
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def ledger(site: Path, tmp_path: Path, runner: Call) -> Path:
    """A ledger of a genesis and two checkpoints."""
    assert runner("checkpoint", "--site", SITE).code == 0
    assert runner("checkpoint", "--site", SITE, "--force").code == 0
    return tmp_path / "ledger"


def last(ledger: Path) -> Path:
    return sorted(ledger.glob("0*"))[-1]


def period(ledger: Path, *more: object) -> list[object]:
    return ["--site", SITE, "--from", TODAY, "--to", TODAY, *more]


# -- checkpoints


def test_there_is_one_checkpoint_a_day_and_it_says_that_nothing_ran(ledger: Path, runner: Call) -> None:
    again = runner("checkpoint", "--site", SITE)
    assert again.code == 0
    assert "today has its checkpoint" in again.out
    assert len(list(ledger.glob("0*"))) == 3
    first, second = sorted(ledger.glob("*-checkpoint-*"))
    facts = json.loads((second / "checkpoint.json").read_text())
    assert facts["text"].startswith("nothing ran since 20")
    assert facts["head"]["entry"] == first.name
    assert facts["written_since"] == {"checkpoint": 1} or facts["written_since"] == {}
    assert verification.verify(ledger).sound


# -- acceptance


def test_a_period_is_accepted_by_one_signature_over_every_entry(
    ledger: Path, keys: dict[str, Path], runner: Call
) -> None:
    done = runner("countersign", *period(ledger), "--key", keys["hospital"], "--json")
    assert done.code == 0, done.err
    assert (done.json["by"], done.json["accepted"]) == ("head@hospital", 3)
    facts = json.loads((last(ledger) / "acceptance.json").read_text())
    assert [item["seq"] for item in facts["entries"]] == [1, 2, 3]
    assert facts["verdict"] == "accepted"
    report = verification.verify(ledger)
    assert report.sound, report.faults
    assert report.acceptances == 1
    script = ["sh", str(REPOSITORY / "roles" / "witness" / "files" / "verify.sh"), str(ledger)]
    stock = subprocess.run(script, capture_output=True, text=True)
    assert stock.returncode == 0, stock.stdout
    shown = runner("show", last(ledger))
    assert "by head@hospital" in shown.out
    assert "000001-genesis" in shown.out


def test_the_hospital_signs_the_file_with_stock_tools_and_it_is_brought_into_the_chain(
    ledger: Path, keys: dict[str, Path], tmp_path: Path, runner: Call
) -> None:
    file = tmp_path / "acceptance.json"
    remarks = ("--verdict", "accepted_with_remarks", "--remark", "请补充培训记录")
    assert runner("acceptance", *period(ledger), *remarks, "-o", file).code == 0
    unsigned = runner("countersign", "--site", SITE, "--signed", file)
    assert unsigned.code == 3
    assert "ssh-keygen -Y sign" in unsigned.line
    command = [
        "ssh-keygen",
        "-Y",
        "sign",
        "-n",
        "maintenance-receipt",
        "-f",
        str(keys["hospital"]),
        str(file),
    ]
    subprocess.run(command, check=True, capture_output=True)
    done = runner("countersign", "--site", SITE, "--signed", file)
    assert done.code == 0, done.err
    assert (last(ledger) / "acceptance.json").read_bytes() == file.read_bytes()
    report = verification.verify(ledger)
    assert report.sound, report.faults
    assert report.acceptances == 1


def sign(key: Path, file: Path) -> None:
    file.with_name(file.name + ".sig").unlink(missing_ok=True)
    command = ["ssh-keygen", "-Y", "sign", "-n", "maintenance-receipt", "-f", str(key), str(file)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize(
    "attack, why",
    [
        ("the vendor signs", "nobody accepts his own work"),
        ("a stranger signs", "may not countersign"),
        ("changed after signing", "does not hold"),
        ("other digest", "names another MANIFEST"),
        ("unknown entry", "which the ledger does not hold"),
        ("other site", "is about the site"),
        ("other namespace", "does not hold"),
        ("for somebody else", "is for nurse@hospital to sign"),
    ],
)
def test_what_the_hospital_did_not_sign_like_this_is_refused_and_nothing_is_written(
    ledger: Path, keys: dict[str, Path], tmp_path: Path, runner: Call, attack: str, why: str
) -> None:
    file = tmp_path / "acceptance.json"
    by = ("--by", "nurse@hospital") if attack == "for somebody else" else ()
    assert runner("acceptance", *period(ledger), *by, "-o", file).code == 0
    facts = json.loads(file.read_text())
    if attack == "other digest":
        facts["entries"][1]["manifest_sha256"] = "0" * 64
    elif attack == "unknown entry":
        facts["entries"].append({"seq": 9, "entry": "000009-close-x", "manifest_sha256": "0" * 64})
    elif attack == "other site":
        facts["site"] = "elsewhere"
    file.write_text(json.dumps(facts))
    sign(keys[{"the vendor signs": "engineer", "a stranger signs": "stranger"}.get(attack, "hospital")], file)
    if attack == "changed after signing":
        file.write_text(file.read_text().replace('"accepted"', '"rejected"'))
    elif attack == "other namespace":
        file.with_name(file.name + ".sig").unlink()
        command = ["ssh-keygen", "-Y", "sign", "-n", "file", "-f", str(keys["hospital"]), str(file)]
        subprocess.run(command, check=True, capture_output=True)
    before = sorted(ledger.rglob("*"))
    done = runner("countersign", "--site", SITE, "--signed", file)
    assert done.code == 3, done.out + done.err
    assert why in done.line
    assert sorted(ledger.rglob("*")) == before


def test_an_acceptance_that_the_vendor_wrote_or_altered_is_a_fault_of_the_ledger(
    ledger: Path, keys: dict[str, Path], runner: Call
) -> None:
    from maintenance import ledger as store
    from maintenance.signing import Signer

    assert runner("countersign", *period(ledger), "--key", keys["hospital"]).code == 0
    held = {path.name: path.read_bytes() for path in last(ledger).glob("acceptance*")}
    vendor = Signer("engineer@vendor", keys["engineer"])
    forged = held["acceptance.json"].replace(b'"accepted"', b'"rejected"')
    elsewhere = held["acceptance.json"].replace(b"000002-", b"000009-")
    other = Signer("", keys["hospital"]).sign(elsewhere, "maintenance-receipt")
    with store.locked(ledger, SITE) as book:
        for name, data, signature in (
            ("altered", forged, held["acceptance.json.sig"]),
            ("own", forged, vendor.sign(forged, "maintenance-receipt")),
            ("elsewhere", elsewhere, other),
        ):
            book.append(
                "receipt", name, {"acceptance.json": data, "acceptance.json.sig": signature}, signer=vendor
            )
    report = verification.verify(ledger)
    assert [fault.entry.split("-")[-1] for fault in report.faults] == ["altered", "own", "elsewhere"]
    assert report.acceptances == 1
    assert runner("show", last(ledger)).code == 4
    script = ["sh", str(REPOSITORY / "roles" / "witness" / "files" / "verify.sh"), str(ledger)]
    stock = subprocess.run(script, capture_output=True, text=True)
    assert stock.returncode == 4
    for name in ("altered", "own"):
        assert re.search(rf"fault: 00000\d-receipt-{name}: its acceptance", stock.stdout), stock.stdout


@pytest.mark.parametrize(
    "options, why",
    [
        ((), "name one entry, or a period"),
        (("--from", "2026-01-01"), "--to takes a day"),
        (("--from", "2026-02-01", "--to", "2026-01-01"), "is after"),
        (("--from", "2020-01-01", "--to", "2020-01-02"), "no entry from"),
        (("--from", "yesterday", "--to", "2026-01-01"), "--from takes a day"),
        (("000002", "--verdict", "rejected"), "say with --remark"),
    ],
)
def test_a_wrong_call_is_one_line(
    ledger: Path, runner: Call, tmp_path: Path, options: tuple[str, ...], why: str
) -> None:
    done = runner("acceptance", "--site", SITE, *options, "-o", tmp_path / "a.json")
    assert done.code == 2
    assert why in done.line
    assert not (tmp_path / "a.json").exists()


# -- a playbook run by hand


def by_hand(site: Path, *options: str, env: dict[str, str] | None = None) -> str:
    """The real ansible-playbook, as an engineer types it; returns what it printed."""
    command = [str(REPOSITORY / ".venv/bin/ansible-playbook"), "-i", str(site), "tests/e2e/by_hand.yml"]
    done = subprocess.run(
        [*command, *options],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "COLUMNS": "400", **(env or {})},
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return re.sub(r"\s+", " ", done.stdout + done.stderr)


def test_a_playbook_run_by_hand_is_in_the_ledger_without_what_it_did(
    site: Path, ledger: Path, runner: Call
) -> None:
    said = by_hand(site, "--check", "-e", f"more={SECRET}")
    assert "That it ran is in the ledger" in said
    facts = json.loads((last(ledger) / "unrecorded.json").read_text())
    assert last(ledger).name.split("-")[1] == "unrecorded"
    assert facts["playbook"] == "tests/e2e/by_hand.yml"
    assert facts["check"] is True
    assert facts["hosts"]["localhost"]["ok"] == 1
    assert facts["started"] <= facts["finished"]
    text = b"".join(path.read_bytes() for path in last(ledger).iterdir())
    assert SECRET.encode() not in text
    assert b"what the task printed" not in text
    assert verification.verify(ledger).sound


def test_without_a_ledger_or_a_site_the_playbook_runs_and_says_that_nothing_tells_of_it(
    site: Path, tmp_path: Path
) -> None:
    assert "has no ledger yet" in by_hand(site)
    assert not (tmp_path / "ledger").exists()
    elsewhere = tmp_path / "hosts.yml"
    shutil.copy(site / "hosts.yml", elsewhere)
    assert "It belongs to no site with a ledger" in by_hand(elsewhere)


def test_a_key_with_a_passphrase_is_not_asked_for_and_the_playbook_ends(
    site: Path, ledger: Path, keys: dict[str, Path]
) -> None:
    keys["engineer"].chmod(0o600)
    change = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "a passphrase", "-f", str(keys["engineer"])]
    subprocess.run(change, check=True, capture_output=True)
    before = last(ledger)
    asks = {"SSH_AUTH_SOCK": "", "DISPLAY": ":0", "SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "force"}
    said = by_hand(site, env=asks)
    assert "could not be told that it ran" in said
    assert "has a passphrase" in said
    assert last(ledger) == before
