"""The store: whole entries or none, many writers, deaths at any moment, and refusal before anything is lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from maintenance import ledger, manifest, verification
from maintenance.errors import CallError
from maintenance.signing import Signer, make_key

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    make_key(tmp_path / "key", "engineer@test")
    return Signer("engineer@test", tmp_path / "key")


@pytest.fixture
def chain(tmp_path: Path, signer: Signer) -> Path:
    """A new ledger with its genesis."""
    path = tmp_path / "ledger"
    ledger.check_usable(path)
    allowed = f'engineer@test namespaces="maintenance-record" {signer.public_key}\n'.encode()
    with ledger.locked(path, "test") as book:
        book.append("genesis", "test", {"allowed_signers": allowed, "site.json": b"{}\n"}, signer=signer)
    return path


def add(path: Path, signer: Signer, kind: str, name: str, **files: bytes) -> ledger.Entry:
    with ledger.locked(path, "test") as book:
        return book.append(
            kind, name, {key.replace("_", "."): data for key, data in files.items()}, signer=signer
        )


def test_an_entry_can_be_checked_with_stock_tools_alone(chain: Path, signer: Signer) -> None:
    entry = add(chain, signer, "entry", "call", entry_json=b'{"a": 1}\n')
    subprocess.run(["sha256sum", "-c", "--strict", "--status", "MANIFEST"], cwd=entry.path, check=True)
    command = ["ssh-keygen", "-Y", "verify", "-f", str(chain / "000001-genesis-test" / "allowed_signers")]
    command += ["-I", "engineer@test", "-n", "maintenance-record", "-s", "MANIFEST.sig"]
    with (entry.path / "MANIFEST").open("rb") as text:
        subprocess.run(command, cwd=entry.path, stdin=text, check=True, capture_output=True)


def test_a_file_name_that_could_leave_the_entry_is_refused(chain: Path, signer: Signer) -> None:
    with ledger.locked(chain, "test") as book:
        for name in ("../x", "/etc/x", "a/../../x", ".hidden", "中文", "a b", "a\nb", ""):
            with pytest.raises(CallError):
                book.append("entry", "x", {name: b""}, signer=signer)
    assert verification.verify(chain).entries == 1
    assert not list(chain.glob(".tmp-*"))


def append_ten(path: Path, key: Path, who: int) -> None:
    for number in range(10):
        add(path, Signer("engineer@test", key), "entry", f"w{who}-{number}", entry_json=b"{}")


def test_writers_at_once_all_land_in_one_chain(chain: Path, signer: Signer) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=append_ten, args=(chain, signer.key, who)) for who in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    report = verification.verify(chain)
    assert report.sound, report.faults
    assert report.entries == 41


APPENDER = """
import sys
from pathlib import Path
from maintenance import ledger
from maintenance.signing import Signer
path, key = Path(sys.argv[1]), Path(sys.argv[2])
signer = Signer("engineer@test", key)
number = 0
while True:
    number += 1
    run = f"{sys.argv[3]}-{number}"
    journal = ledger.Journal(path, run)
    with ledger.locked(path, "test") as book:
        book.append("open", run, {"open.json": b"{}"}, signer=signer)
    for line in range(3):
        journal.append(b'{"n": %d}\\n' % line, durable=True)
    print(number, flush=True)
    with ledger.locked(path, "test") as book:
        book.append("close", run, {"record.json": b"x" * 20000}, signer=signer)
        journal.remove()
"""


def test_killed_at_many_random_moments_the_chain_holds_and_the_dead_runs_are_closed(
    chain: Path, signer: Signer
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for round_number in range(20):
        command = [sys.executable, "-c", APPENDER, str(chain), str(signer.key), f"r{round_number}"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.readline()
        # The pipe's next bytes come at a moment that differs from round to round; so does the death.
        os.set_blocking(process.stdout.fileno(), False)
        for _ in range(round_number * 997):
            process.stdout.read(1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    with ledger.locked(chain, "test") as book:
        ledger.close_dead_runs(book, signer)
    report = verification.verify(chain)
    assert report.sound, report.faults
    assert report.unclosed == []
    assert not list(chain.glob(".tmp-*"))
    assert not list(chain.glob(".run-*"))


def test_a_dead_run_is_closed_with_what_its_journal_holds(chain: Path, signer: Signer) -> None:
    journal = ledger.Journal(chain, "r1")
    add(chain, signer, "open", "r1", open_json=b"{}")
    journal.append(b'{"n": 1}\n', durable=True)
    journal.append(b'{"n": 2, "cut', durable=True)
    journal.close()
    with ledger.locked(chain, "test") as book:
        (made,) = ledger.close_dead_runs(book, signer)
    facts = json.loads((made.path / "abandoned.json").read_text())
    assert (facts["events"], facts["cut_bytes"]) == (1, 13)
    assert (made.path / "events.jsonl").read_bytes() == b'{"n": 1}\n'


def test_a_living_run_is_left_alone(chain: Path, signer: Signer) -> None:
    journal = ledger.Journal(chain, "r1")
    add(chain, signer, "open", "r1", open_json=b"{}")
    with ledger.locked(chain, "test") as book:
        assert ledger.close_dead_runs(book, signer) == []
    journal.close()
    assert verification.verify(chain).unclosed == ["000002-open-r1"]


def test_a_ledger_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CallError, match="nothing was run"):
        ledger.check_usable(tmp_path / "file" / "ledger")


def test_a_ledger_without_room_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "SPACE_NEEDED", 1 << 60)
    with pytest.raises(CallError, match="nothing was run"):
        ledger.check_usable(tmp_path / "ledger")


def test_receipts_enter_the_chain_with_the_next_entry(chain: Path, signer: Signer) -> None:
    with ledger.locked(chain, "test") as book:
        book.keep_receipt(1, b"text", b"signature")
    entry = add(chain, signer, "entry", "next", entry_json=b"{}")
    assert (entry.path / "receipts" / "000001.receipt").read_bytes() == b"text"
    assert "receipts/000001.receipt.sig" in entry.manifest().files
    assert list((chain / "receipts").iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("# seq 1", "# seq 01"),
        lambda text: text.replace("# site test\n", ""),
        lambda text: text.rstrip("\n"),
        lambda text: text + "no checksum line\n",
        lambda text: text + "0" * 64 + "  ../../etc/passwd\n",
        lambda text: text.replace("manifest v1", "manifest v2"),
        lambda text: text + text.splitlines()[-1] + "\n",
        lambda text: text + "0" * 64 + "  /etc/passwd\n",
    ],
)
def test_a_manifest_is_read_strictly(chain: Path, damage) -> None:
    text = (chain / "000001-genesis-test" / "MANIFEST").read_text()
    manifest.parse(text.encode())
    with pytest.raises(manifest.ManifestError):
        manifest.parse(damage(text).encode())
