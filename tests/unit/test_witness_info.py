"""The module that reads a witness: what it finds wrong, on stores that the real witness.sh has filled."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ledger_builder import SITE, Ledger, make_key

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "roles" / "witness" / "files" / "witness.sh"
ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture(scope="session")
def info() -> ModuleType:
    """The module, loaded as a file: library/ is no package."""
    spec = importlib.util.spec_from_file_location("witness_info", ROOT / "library" / "witness_info.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A witness that holds three entries."""
    root = tmp_path_factory.mktemp("filled")
    (root / "conf").mkdir()
    (root / "store" / SITE).mkdir(parents=True)
    (root / "store" / ".ssh").mkdir()
    key = make_key(root / "conf", "witness_key")
    ledger = Ledger.create(root / "ledger", make_key(root, "engineer"), key)
    ledger.run("20261122T130000Z-inspect")
    (root / "conf" / "allowed_signers").write_text(ledger.allowed_signers)
    line = f'restrict,command="{SCRIPT} {SITE} {root}/store" ssh-ed25519 AAAA engineer@vendor.example\n'
    (root / "store" / ".ssh" / "authorized_keys").write_text("# Ansible managed\n" + line)
    for seq, entry in enumerate(ledger.entries, 1):
        manifest, signature = (entry / "MANIFEST").read_bytes(), (entry / "MANIFEST.sig").read_bytes()
        _, kind, run = entry.name.split("-", 2)
        request = f"put {seq} {kind} {run} {len(manifest)} {len(signature)}\n".encode() + manifest + signature
        subprocess.run(
            ["sh", SCRIPT, SITE, root / "store", root / "conf"],
            input=request,
            check=True,
            capture_output=True,
        )
    return root


@pytest.fixture
def witness(filled: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    shutil.copytree(filled, tmp_path / "witness")
    return tmp_path / "witness"


def read(
    info: ModuleType, root: Path, language: str = "en"
) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """What the module says, findings by id."""
    paths = {"store": str(root / "store"), "configuration": str(root / "conf")}
    state, evidence = info.read_witness(
        {"site": SITE, "account": ME, "language": language, "judge": True, **paths}
    )
    return state, {finding["id"]: finding for finding in evidence}


def test_before_there_is_a_witness_there_is_nothing_to_judge(info: ModuleType, tmp_path: Path) -> None:
    state, evidence = read(info, tmp_path / "not" / "yet")
    assert (state["entries"], state["public_key"], evidence) == (0, "", {})
    assert state["free_bytes"] > 0
    assert state["missing_tools"] == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_sound_store_passes_and_names_its_key_and_head(
    info: ModuleType, witness: Path, language: str
) -> None:
    state, evidence = read(info, witness, language)
    last = (witness / "store" / SITE / "heads").read_text().splitlines()[-1]
    assert (state["entries"], state["head"]) == (3, last)
    assert (witness / "conf" / "witness_key.pub").read_text().startswith(state["public_key"])
    assert evidence["WITNESS-01"]["verdict"] == evidence["WITNESS-03"]["verdict"] == "pass"
    assert (
        state["public_key"] in evidence["WITNESS-02"]["actual"] or evidence["WITNESS-02"]["verdict"] == "fail"
    )
    assert all(isinstance(value, str) for finding in evidence.values() for value in finding.values())


def test_an_entry_whose_line_is_still_missing_is_no_fault(info: ModuleType, witness: Path) -> None:
    """A put that was killed between its rename and its line: the next call writes it."""
    heads = witness / "store" / SITE / "heads"
    heads.write_text("".join(heads.read_text().splitlines(keepends=True)[:-1]))
    assert read(info, witness)[1]["WITNESS-01"]["verdict"] == "pass"


def lose_a_receipt(store: Path) -> None:
    (store / "000002" / "receipt").unlink()


def change_a_manifest(store: Path) -> None:
    (store / "000002" / "MANIFEST").write_text("x")


def lose_an_entry(store: Path) -> None:
    shutil.rmtree(store / "000002")


def change_a_head(store: Path) -> None:
    (store / "heads").write_text((store / "heads").read_text().replace("2 ", "2 0", 1))


def cut_the_list(store: Path) -> None:
    (store / "heads").write_text("")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lose_a_receipt, "000002 lacks receipt"),
        (change_a_manifest, "000002 holds another MANIFEST"),
        (lose_an_entry, "the entries are not 1 to 2"),
        (change_a_head, "they differ"),
        (cut_the_list, "they differ"),
    ],
)
def test_a_damaged_store_fails(
    info: ModuleType, witness: Path, damage: Callable[[Path], None], said: str
) -> None:
    damage(witness / "store" / SITE)
    finding = read(info, witness)[1]["WITNESS-01"]
    assert (finding["verdict"], finding["severity"]) == ("fail", "critical")
    assert said in finding["actual"]
    assert finding["advice"]


def test_what_the_account_could_rewrite_is_named(info: ModuleType, witness: Path) -> None:
    """Here everything belongs to whoever runs the test, which is exactly what must not be."""
    finding = read(info, witness)[1]["WITNESS-02"]
    assert finding["verdict"] == "fail"
    assert "authorized_keys may be written by" in finding["actual"]


@pytest.mark.parametrize(
    "line",
    [
        "ssh-ed25519 AAAA someone@vendor.example",
        'command="/usr/local/lib/maintenance-witness/witness.sh lab" ssh-ed25519 AAAA x',
        'restrict,command="/bin/sh" ssh-ed25519 AAAA x',
        'restrict,pty,command="/usr/local/lib/maintenance-witness/witness.sh lab" ssh-ed25519 AAAA x',
    ],
)
def test_a_key_that_reaches_more_than_the_witness_is_named(
    info: ModuleType, witness: Path, line: str
) -> None:
    with (witness / "store" / ".ssh" / "authorized_keys").open("a") as keys:
        keys.write(line + "\n")
    finding = read(info, witness)[1]["WITNESS-03"]
    assert finding["verdict"] == "fail"
    assert "without the forced command" in finding["actual"]
