"""witness.sh, as sshd runs it: one request on standard input, one answer, and a store that nothing leaves half done."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from ledger_builder import ENGINEER, RECEIPT, RECORD, SITE, WITNESS, Ledger, digest, make_key, public, sign

SCRIPT = Path(__file__).parents[2] / "roles" / "witness" / "files" / "witness.sh"
VERIFY = SCRIPT.with_name("verify.sh")
SHELLS = [["dash"], ["busybox", "sh"], ["bash", "--posix"]]


@dataclass
class Witness:
    """A hospital's store and configuration, and the command that sshd would force."""

    root: Path
    shell: tuple[str, ...] = ("sh",)

    @property
    def store(self) -> Path:
        """What is kept for the site."""
        return self.root / "store" / SITE

    @property
    def command(self) -> list[str]:
        """The forced command."""
        return [*self.shell, str(SCRIPT), SITE, str(self.root / "store"), str(self.root / "conf")]

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """One connection."""
        done = subprocess.run(self.command, input=request, capture_output=True, check=False)
        return done.returncode, done.stdout

    def put(self, entry: Path, **changes: object) -> tuple[int, bytes]:
        """Deliver an entry, with the request line as it should be but for the changes."""
        return self.ask(put(entry, **changes))

    def heads(self) -> list[list[str]]:
        """The list as the script tells it, which mends it first."""
        code, answer = self.ask(b"heads\n")
        assert code == 0
        first, _, content = answer.partition(b"\n")
        assert first == f"heads {len(content)}".encode()
        assert content == (self.store / "heads").read_bytes()
        return [line.split(" ") for line in content.decode().splitlines()]

    def check(self, ledger: Ledger) -> int:
        """Whatever is in the store is whole, signed and listed; returns how many entries that is."""
        listed = self.heads()
        folders = sorted(
            path for path in self.store.iterdir() if not path.name.startswith(".") and path.is_dir()
        )
        assert [int(folder.name) for folder in folders] == list(range(1, len(listed) + 1))
        for (seq, sha256, at), folder in zip(listed, folders, strict=True):
            manifest = (folder / "MANIFEST").read_bytes()
            assert manifest == (ledger.entries[int(seq) - 1] / "MANIFEST").read_bytes()
            assert sha256 == digest(manifest)
            text = f"maintenance-receipt v1\nsite {SITE}\nseq {seq}\nsha256 {sha256}\ntime {at}\n".encode()
            assert (folder / "receipt").read_bytes() == text
            assert holds(self.root / "conf" / "witness_key", text, folder / "receipt.sig")
        return len(listed)


def put(
    entry: Path, *, line: str = "", manifest: bytes | None = None, signature: bytes | None = None
) -> bytes:
    """Return the request that delivers an entry."""
    manifest = (entry / "MANIFEST").read_bytes() if manifest is None else manifest
    signature = (entry / "MANIFEST.sig").read_bytes() if signature is None else signature
    number, kind, _ = entry.name.split("-", 2)
    run = next(text[6:] for text in manifest.decode("latin-1").splitlines() if text.startswith("# run "))
    line = line or f"put {int(number)} {kind} {run} {len(manifest)} {len(signature)}"
    return line.encode() + b"\n" + manifest + signature


def holds(key: Path, text: bytes, signature: Path) -> bool:
    """Whether the signature is the witness's, for receipts."""
    signers = signature.parent.parent.parent / "signers"
    signers.write_text(f'{WITNESS} namespaces="{RECEIPT}" {public(key)}\n')
    command = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        str(signers),
        "-I",
        WITNESS,
        "-n",
        RECEIPT,
        "-s",
        str(signature),
    ]
    return subprocess.run(command, input=text, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One key pair a role, for all tests."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("engineer", "colleague", "witness_key")}


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, Path]) -> Ledger:
    """A ledger of five entries; tests only read it."""
    made = Ledger.create(tmp_path_factory.mktemp("sound") / "ledger", keys["engineer"], keys["witness_key"])
    made.run("20261122T130000Z-inspect")
    made.run("20261122T140000Z-patch")
    return made


@pytest.fixture
def witness(tmp_path: Path, keys: dict[str, Path], ledger: Ledger) -> Witness:
    """A witness that holds nothing yet."""
    conf = tmp_path / "conf"
    conf.mkdir()
    for name in ("witness_key", "witness_key.pub"):
        shutil.copy(keys["witness_key"].with_name(name), conf)
    (conf / "allowed_signers").write_text(ledger.allowed_signers)
    made = Witness(tmp_path)
    made.store.mkdir(parents=True)
    return made


def refused(answer: tuple[int, bytes], code: int, said: str) -> None:
    """Assert one line that says why, and the same exit code."""
    assert answer[0] == code, answer
    assert answer[1].startswith(f"error {code} ".encode()), answer
    assert answer[1].count(b"\n") == 1
    assert said in answer[1].decode(), answer


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_entries_are_received_in_order_and_receipts_hold(
    witness: Witness, ledger: Ledger, shell: list[str]
) -> None:
    witness.shell = tuple(shell)
    assert witness.ask(b"head\n") == (0, b"head 0 - -\n")
    assert witness.ask(b"heads\n") == (0, b"heads 0\n")
    for entry in ledger.entries:
        code, answer = witness.put(entry)
        first, _, content = answer.partition(b"\n")
        size, signature = (int(word) for word in first.split()[1:])
        assert (code, first.split()[0], len(content)) == (0, b"receipt", size + signature)
        folder = witness.store / entry.name[:6]
        assert content == (folder / "receipt").read_bytes() + (folder / "receipt.sig").read_bytes()
    assert witness.check(ledger) == 5
    assert witness.ask(b"head\n")[1].split()[:2] == [b"head", b"5"]
    assert not list(witness.store.glob(".tmp-*"))


def test_the_copied_store_is_what_the_verifier_needs(witness: Witness, ledger: Ledger) -> None:
    for entry in ledger.entries:
        witness.put(entry)
    command = ["sh", str(VERIFY), str(ledger.root), "--heads", str(witness.store / "heads")]
    command += [
        "--receipts",
        str(witness.store),
        "--allowed-signers",
        str(witness.root / "conf" / "allowed_signers"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "sound: 5 entries")


def test_sending_again_brings_the_same_receipt(witness: Witness, ledger: Ledger) -> None:
    for entry in ledger.entries[:3]:
        witness.put(entry)
    before = sorted(witness.store.rglob("*"))
    first = witness.put(ledger.entries[1])
    time.sleep(1.1)
    assert witness.put(ledger.entries[1]) == first == witness.ask(b"receipt 2\n")
    assert sorted(witness.store.rglob("*")) == before


def test_a_wrong_sequence_is_refused(witness: Witness, ledger: Ledger) -> None:
    refused(witness.put(ledger.entries[1]), 3, "expects entry 1, not 2")
    witness.put(ledger.entries[0])
    refused(witness.put(ledger.entries[2]), 3, "expects entry 2, not 3")
    refused(witness.ask(b"receipt 2\n"), 3, "holds no entry 2")
    assert witness.check(ledger) == 1


def test_a_fork_is_refused(witness: Witness, ledger: Ledger, keys: dict[str, Path], tmp_path: Path) -> None:
    """The same past, another present; and another past under the same number."""
    fork = ledger.copy(tmp_path / "fork")
    for entry in ledger.entries[:4]:
        witness.put(entry)
    (fork.entries[3] / "record.json").write_text('{"outcome": "succeeded"}\n')
    fork.relist(fork.entries[3])
    fork.relink(4)
    refused(witness.put(fork.entries[3]), 4, "fork: the hospital holds another entry 4")
    refused(witness.put(fork.entries[4]), 4, "fork: entry 5 does not follow the entry 4")
    other = Ledger.create(tmp_path / "other", keys["engineer"], keys["witness_key"], site=SITE)
    refused(witness.put(other.add("entry", "x")), 4, "fork")
    assert witness.check(ledger) == 4
    assert witness.put(ledger.entries[4])[0] == 0


def test_only_accepted_signatures_are_received(
    witness: Witness, ledger: Ledger, keys: dict[str, Path]
) -> None:
    entry = ledger.entries[0]
    manifest = (entry / "MANIFEST").read_bytes()
    signatures = {
        "another key": sign(keys["colleague"], RECORD, manifest),
        "another purpose": sign(keys["engineer"], "maintenance-order", manifest),
        "another text": sign(keys["engineer"], RECORD, manifest + b" "),
        "garbage": b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n",
        "noise": os.urandom(300),
    }
    for signature in signatures.values():
        refused(
            witness.put(entry, signature=signature), 5, f"does not accept this signature of {ENGINEER} now"
        )
    assert witness.check(ledger) == 0


def test_a_key_counts_at_the_hospitals_time_and_until_it_is_revoked(
    witness: Witness, ledger: Ledger, keys: dict[str, Path]
) -> None:
    signers = witness.root / "conf" / "allowed_signers"
    good = signers.read_text()
    signers.write_text(good.replace(f'"{RECORD}"', f'"{RECORD}",valid-before="20200101"'))
    refused(witness.put(ledger.entries[0]), 5, "validity")
    signers.write_text(good)
    revoked = witness.root / "conf" / "revoked"
    shutil.copy(f"{keys['engineer']}.pub", revoked)
    refused(witness.put(ledger.entries[0]), 5, "revocation")
    revoked.write_text("")
    assert witness.put(ledger.entries[0])[0] == 0


def test_several_engineers_may_deliver(
    witness: Witness, ledger: Ledger, keys: dict[str, Path], tmp_path: Path
) -> None:
    other = "colleague@vendor.example"
    with (witness.root / "conf" / "allowed_signers").open("a") as signers:
        signers.write(f'{other} namespaces="{RECORD}" {public(keys["colleague"])}\n')
    both = ledger.copy(tmp_path / "both")
    both.signer, both.key = other, keys["colleague"]
    both.add("entry", "phone-1")
    for entry in both.entries:
        assert witness.put(entry)[0] == 0
    assert witness.check(both) == 6


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# site lab", "# site other"),
        ("# seq 1", "# seq 2"),
        ("# kind genesis", "# kind entry"),
        ("# run lab", "# run other"),
        ("# maintenance-record-manifest v1", "# maintenance-record-manifest v9"),
        ("# site lab", "# site lab\0"),
        ("# site lab", "# site lab\r"),
        ("# signer", "# singer"),
    ],
)
def test_a_manifest_for_another_place_is_refused(
    witness: Witness, ledger: Ledger, old: str, new: str
) -> None:
    manifest = (ledger.entries[0] / "MANIFEST").read_text().replace(old, new, 1).encode()
    signature = sign(ledger.key, RECORD, manifest)
    line = f"put 1 genesis lab {len(manifest)} {len(signature)}"
    code, answer = witness.put(ledger.entries[0], line=line, manifest=manifest, signature=signature)
    assert code in (2, 5)
    assert answer.startswith(b"error ")
    assert witness.check(ledger) == 0


def test_a_ledger_cannot_begin_with_anything_but_its_genesis(witness: Witness, ledger: Ledger) -> None:
    manifest = (ledger.entries[0] / "MANIFEST").read_text().replace("# kind genesis", "# kind entry").encode()
    signature = sign(ledger.key, RECORD, manifest)
    line = f"put 1 entry lab {len(manifest)} {len(signature)}"
    refused(witness.put(ledger.entries[0], line=line, manifest=manifest, signature=signature), 2, "genesis")


GARBAGE = [
    b"",
    b"\n",
    b"\0\n",
    b"head",
    b" head\n",
    b"head \n",
    b"head 1\n",
    b"HEAD\n",
    b"receipt\n",
    b"receipt 0\n",
    b"receipt 01\n",
    b"receipt -1\n",
    b"receipt ../../etc\n",
    b"receipt 99999999999999999999\n",
    b"put\n",
    b"put 1 genesis lab 10 10\n",
    b"put 1 genesis lab 0 0\n",
    b"put 1 genesis lab 0x5 5\n0123456789",
    b"put 1 genesis lab 5 5 5\n0123456789",
    b"put $(reboot) genesis lab 5 5\n0123456789",
    b"put 1 * * 5 5\n0123456789",
    b"put 1 genesis lab 5 5\n0123456789",
    b"put 1 genesis lab 9999999 5\n0123456789",
    b"put\t1\tgenesis\tlab\t5\t5\n0123456789",
    b"GET / HTTP/1.0\r\n\r\n",
    bytes(range(256)) * 40,
    b"x" * 70000,
]


@pytest.mark.parametrize("request_", GARBAGE, ids=lambda request_: ascii(request_[:40]))
def test_garbage_is_one_line_and_changes_nothing(witness: Witness, ledger: Ledger, request_: bytes) -> None:
    refused(witness.ask(request_), 2, "")
    assert witness.check(ledger) == 0
    assert not list(witness.store.glob(".tmp-*"))


def test_a_request_that_was_cut_is_refused_at_every_length(witness: Witness, ledger: Ledger) -> None:
    whole = put(ledger.entries[0])
    for length in range(0, len(whole), 37):
        refused(witness.ask(whole[:length]), 2, "")
    refused(witness.ask(whole + b"x"), 2, "longer than it says")
    assert witness.check(ledger) == 0


def test_too_much_is_refused_without_being_stored(witness: Witness, ledger: Ledger) -> None:
    manifest = (
        b"# maintenance-record-manifest v1\n# site lab\n# seq 1\n# kind genesis\n# run lab\n"
        + b"x" * (1 << 20)
    )
    refused(witness.put(ledger.entries[0], manifest=manifest), 2, "1 MiB")
    refused(witness.put(ledger.entries[0], signature=b"x" * 20000), 2, "16 KiB")
    assert witness.check(ledger) == 0


def test_a_large_manifest_is_received(witness: Witness, ledger: Ledger, tmp_path: Path) -> None:
    """Five thousand attachments, half a mebibyte."""
    big = ledger.copy(tmp_path / "big")
    big.add("entry", "big", {f"attachments/{number:06d}.bin": b"x" for number in range(5000)})
    for entry in big.entries:
        assert witness.put(entry)[0] == 0
    assert witness.check(big) == 6


def test_no_kill_at_any_moment_leaves_half_an_entry(witness: Witness, ledger: Ledger, tmp_path: Path) -> None:
    """Killed at moments that spread over the time that a put takes, and asked again each time; on a machine that became
    slower meanwhile the moments move on until puts get through."""
    long = ledger.copy(tmp_path / "long")
    for number in range(55):
        long.add("entry", f"phone-{number}")
    started = time.monotonic()
    witness.put(long.entries[0])
    duration = time.monotonic() - started
    held, lost = 1, 0
    for step in range(240):
        if held == len(long.entries):
            break
        process = subprocess.Popen(
            witness.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdin
        assert process.stdout
        process.stdin.write(put(long.entries[held]))
        process.stdin.close()
        time.sleep(step / 50 * duration)
        os.killpg(process.pid, signal.SIGKILL)
        answer = process.stdout.read()
        process.wait()
        process.stdout.close()
        now = witness.check(long)
        assert now in (held, held + 1)
        assert now == held + 1 or not answer
        lost += now == held
        held = now
    assert lost > 3
    assert held > 3
    for entry in long.entries:
        assert witness.put(entry)[0] == 0
    assert witness.check(long) == 60


def test_a_lost_or_torn_list_is_made_again_from_the_receipts(witness: Witness, ledger: Ledger) -> None:
    for entry in ledger.entries:
        witness.put(entry)
    path = witness.store / "heads"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for damaged in (b"", b"".join(lines[:3])):
        path.write_bytes(damaged)
        assert witness.check(ledger) == 5
        assert path.read_bytes() == whole
    path.unlink()
    assert witness.check(ledger) == 5
    assert path.read_bytes() == whole


@pytest.mark.parametrize("limit", [0, 100, 300, 400, 700, 1100, 1300])
def test_a_full_disk_leaves_the_store_as_it_was(witness: Witness, ledger: Ledger, limit: int) -> None:
    """No file may grow past the limit: every write of the script fails, at one point or another."""
    witness.put(ledger.entries[0])
    before = (witness.store / "heads").read_bytes()

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        witness.command,
        input=put(ledger.entries[1]),
        capture_output=True,
        preexec_fn=small,
        restore_signals=False,
        check=False,
    )
    if done.returncode:
        assert done.stdout.startswith(b"error ")
        assert (witness.store / "heads").read_bytes() == before
        assert witness.check(ledger) == 1
    assert witness.put(ledger.entries[1])[0] == 0
    assert witness.check(ledger) == 2


def test_a_witness_without_its_key_receives_nothing(witness: Witness, ledger: Ledger) -> None:
    (witness.root / "conf" / "witness_key").rename(witness.root / "conf" / "gone")
    refused(witness.put(ledger.entries[0]), 1, "send it again")
    (witness.root / "conf" / "gone").rename(witness.root / "conf" / "witness_key")
    assert witness.put(ledger.entries[0])[0] == 0


def test_two_at_once_do_not_both_win(witness: Witness, ledger: Ledger, tmp_path: Path) -> None:
    """Eight clients, half of them with another entry 4."""
    fork = ledger.copy(tmp_path / "fork")
    (fork.entries[3] / "open.json").write_text("{}\n")
    fork.relist(fork.entries[3])
    for entry in ledger.entries[:3]:
        witness.put(entry)
    requests = [put(ledger.entries[3]), put(fork.entries[3])] * 4
    with ThreadPoolExecutor(8) as pool:
        codes = [code for code, _ in pool.map(witness.ask, requests)]
    assert sorted(codes) == [0, 0, 0, 0, 4, 4, 4, 4]
    assert len(witness.heads()) == 4


def test_what_a_dead_witness_left_is_swept_when_it_is_old(witness: Witness, ledger: Ledger) -> None:
    old, young = witness.store / ".tmp-old", witness.store / ".tmp-young"
    for folder in (old, young):
        (folder / "entry").mkdir(parents=True)
        (folder / "entry" / "MANIFEST").write_text("x")
    an_hour_ago = time.time() - 3700
    os.utime(old, (an_hour_ago, an_hour_ago))
    witness.put(ledger.entries[0])
    assert not old.exists()
    assert young.exists()


def test_it_may_be_started_anywhere(witness: Witness, tmp_path: Path) -> None:
    """Even in a folder that is gone, which stands here for one that the account may not enter."""
    gone = tmp_path / "gone"
    gone.mkdir()
    command = ["sh", "-c", 'rmdir "$1"; shift; exec "$@"', "sh", str(gone), *witness.command]
    done = subprocess.run(command, cwd=gone, input=b"head\n", capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"head 0 - -\n")


def test_the_clients_environment_and_command_line_do_not_count(
    witness: Witness, ledger: Ledger, tmp_path: Path
) -> None:
    """What sshd may hand over: SSH_ORIGINAL_COMMAND, LC_*, and in the worst case PATH."""
    trap = tmp_path / "bin"
    trap.mkdir()
    for name in ("ssh-keygen", "sha256sum", "head"):
        (trap / name).write_text("#!/bin/sh\nexit 0\n")
        (trap / name).chmod(0o755)
    environment = {
        "PATH": f"{trap}:{os.environ['PATH']}",
        "LC_ALL": "zh_CN.UTF-8",
        "SSH_ORIGINAL_COMMAND": "rm -rf /",
    }
    bad = put(ledger.entries[0], signature=b"none")
    shell = str(shutil.which("sh"))
    done = subprocess.run(
        [shell, *witness.command[1:]], input=bad, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 5
