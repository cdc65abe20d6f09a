"""`compare` as it is typed: the ledger against the hospital's list, and this machine's logins against the ledger."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maintenance import manifest, verification
from maintenance import site as sites
from tests.e2e.conftest import REPOSITORY, Done

SITE = "test_compare"
Call = Callable[..., Done]


@pytest.fixture
def ledger(tmp_path: Path, runner: Call) -> Iterator[Path]:
    """A site on this machine, and its ledger of a genesis and three checkpoints."""
    folder = REPOSITORY / "inventories" / SITE
    folder.mkdir()
    (folder / "hosts.yml").write_text(
        "servers:\n  hosts:\n    localhost:\n      ansible_connection: local\n"
        f"      ansible_python_interpreter: {sys.executable}\n"
    )
    (folder / "site.yml").write_text(
        f"site: {SITE}\nself_issued_key: true\nledger: {tmp_path / 'ledger'}\nfacts: {{hospital: 示范医院}}\n"
    )
    try:
        for _ in range(3):
            assert runner("checkpoint", "--site", SITE, "--force").code == 0
        yield tmp_path / "ledger"
    finally:
        shutil.rmtree(folder)
        for key in (REPOSITORY / "var" / "keys").glob(f"{SITE}_ed25519*"):
            key.unlink()


@pytest.fixture
def heads(ledger: Path, tmp_path: Path) -> Path:
    """What the hospital's witness would have listed."""
    lines = [
        f"{number} {hashlib.sha256((entry / 'MANIFEST').read_bytes()).hexdigest()} "
        f"{manifest.parse((entry / 'MANIFEST').read_bytes()).time}\n"
        for number, entry in enumerate(sorted(ledger.glob("0*")), 1)
    ]
    file = tmp_path / "heads"
    file.write_text("".join(lines))
    return file


def only_heads(runner: Call, heads: Path) -> Done:
    return runner("compare", "--site", SITE, "--heads", heads, "--no-hosts", "--json")


def test_a_ledger_that_is_what_the_hospital_holds_agrees(ledger: Path, heads: Path, runner: Call) -> None:
    before = sorted(ledger.rglob("*"))
    done = only_heads(runner, heads)
    assert done.code == 0, done.err
    assert (done.json["heads"]["state"], done.json["heads"]["count"]) == ("agrees", 4)
    assert sorted(ledger.rglob("*")) == before


def test_a_truncated_ledger_is_named(ledger: Path, heads: Path, runner: Call) -> None:
    shutil.rmtree(sorted(ledger.glob("0*"))[-1])
    assert verification.verify(ledger).sound, "nothing else would tell"
    done = only_heads(runner, heads)
    assert done.code == 4
    assert [fault["entry"] for fault in done.json["faults"]] == ["000004"]


def test_a_chain_signed_anew_by_the_vendors_own_key_is_named(ledger: Path, heads: Path, runner: Call) -> None:
    entries = sorted(ledger.glob("0*"))
    signer, _ = sites.load(SITE).signer()
    (entries[2] / "checkpoint.json").write_text('{"text": "nothing happened"}\n')
    for before, entry in ((entries[1], entries[2]), (entries[2], entries[3])):
        file = entry / "MANIFEST"
        lines = file.read_text().splitlines()
        lines[7] = f"{manifest.sha256_file(before / 'MANIFEST')}  ../{before.name}/MANIFEST"
        lines[8] = f"{manifest.sha256_file(entry / 'checkpoint.json')}  checkpoint.json"
        file.write_text("\n".join(lines) + "\n")
        (entry / "MANIFEST.sig").write_bytes(signer.sign(file.read_bytes(), manifest.NAMESPACE))
    assert verification.verify(ledger).sound, "nothing else would tell"
    done = runner("compare", "--site", SITE, "--heads", heads)
    assert done.code == 4
    assert done.out.count("is not the one that the hospital holds") == 2
    assert sorted(ledger.glob("0*")) == entries


def test_a_comparison_is_signed_with_its_document_and_what_is_not_known_is_no_success(
    ledger: Path, runner: Call
) -> None:
    done = runner("compare", "--site", SITE, "--json", "--quiet")
    told = done.json
    unsure = told["counts"]["unexplained"] or any(row["gap"] for row in told["hosts"].values())
    assert done.code == (1 if unsure else 0), done.err
    assert told["hosts"]["localhost"]["read"]
    assert any(path.endswith(".docx") and Path(path).is_file() for path in told["documents"])
    facts = json.loads((Path(told["entry"]) / "entry.json").read_text())
    assert (facts["what"], facts["comparison"]["counts"]) == ("comparison", told["counts"])
    assert verification.verify(ledger).sound
    again = runner("compare", "--site", SITE, "--json", "--quiet")
    assert again.json["hosts"]["localhost"]["since"] == told["hosts"]["localhost"]["until"]


@pytest.mark.parametrize(
    "options, why",
    [
        (("--since", "yesterday"), "not a time such as"),
        (("--since", "2099-01-01 00:00"), "has not come yet"),
        (("--heads", "/nowhere/heads"), "cannot be read"),
    ],
)
def test_a_wrong_call_is_one_line_and_nothing_is_written(
    ledger: Path, runner: Call, options: tuple[str, ...], why: str
) -> None:
    before = sorted(ledger.glob("0*"))
    done = runner("compare", "--site", SITE, *options)
    assert done.code == 2
    assert why in done.line
    assert sorted(ledger.glob("0*")) == before
