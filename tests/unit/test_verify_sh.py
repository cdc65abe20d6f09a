"""verify.sh, as a hospital runs it: every attack that it must see, on ledgers signed by the real ssh-keygen."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_builder import (
    ENGINEER,
    RECEIPT,
    RECORD,
    SITE,
    WITNESS,
    Ledger,
    digest,
    make_key,
    public,
    receipt,
    sign,
)

VERIFY = Path(__file__).parents[2] / "roles" / "witness" / "files" / "verify.sh"
SHELLS = [["dash"], ["busybox", "sh"], ["bash", "--posix"]]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One key pair a role, for all tests."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("engineer", "colleague", "stranger", "witness")}


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, Path]) -> Ledger:
    """A sound ledger of eight entries, made once."""
    made = Ledger.create(tmp_path_factory.mktemp("sound") / "ledger", keys["engineer"], keys["witness"])
    made.run("20261122T130000Z-inspect")
    made.add("entry", "phone-1", {"entry.json": "{}\n", "attachments/scan.pdf": b"%PDF\x00"})
    made.run("20261122T140000Z-patch")
    made.add("open", "20261122T150000Z-upgrade")
    made.add("abandoned", "20261122T150000Z-upgrade")
    return made


@pytest.fixture
def ledger(sound: Ledger, tmp_path: Path) -> Ledger:
    """A copy of it, to be tampered with."""
    return sound.copy(tmp_path / "ledger")


@pytest.fixture
def heads(ledger: Ledger, tmp_path: Path) -> Path:
    """The list that the hospital kept while the ledger was still sound."""
    path = tmp_path / "hospital's heads"
    path.write_text(ledger.heads())
    return path


def verify(
    root: Path, *options: object, shell: list[str] | None = None, cwd: Path | None = None
) -> tuple[int, list[str]]:
    """Run the script and return exit code and lines; it must have nothing to say on standard error."""
    command = [*(shell or ["sh"]), str(VERIFY), str(root), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def faults(lines: list[str]) -> list[str]:
    """Return the fault lines, having checked that the last line counts them."""
    found = [line for line in lines if line.startswith("fault: ")]
    assert lines[-1] == (f"NOT sound: {len(found)} faults" if found else lines[-1])
    return found


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_a_sound_ledger_is_sound_in_every_shell(ledger: Ledger, heads: Path, shell: list[str]) -> None:
    code, lines = verify(ledger.root, "--heads", heads, shell=shell)
    assert (code, lines[-1]) == (0, "sound: 8 entries")
    assert not [line for line in lines if line.startswith("warning")]


def test_busybox_alone_verifies_with_ssh_keygen(ledger: Ledger, heads: Path, tmp_path: Path) -> None:
    """Not only its shell: its find, awk, sort and sha256sum too."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for applet in subprocess.run(
        ["busybox", "--list"], capture_output=True, text=True, check=True
    ).stdout.split():
        (tools / applet).symlink_to(str(shutil.which("busybox")))
    (tools / "ssh-keygen").symlink_to(str(shutil.which("ssh-keygen")))
    for number in range(5):
        ledger.run(f"more-{number}")
    command = [tools / "sh", VERIFY, ledger.root]
    done = subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (ledger.entries[8] / "record.json").write_text("changed")
    done = subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True, check=False)
    assert done.returncode == 4


def test_the_current_folder_is_verified_when_none_is_named(ledger: Ledger) -> None:
    done = subprocess.run(["sh", str(VERIFY)], cwd=ledger.root, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "sound: 8 entries"


def test_paths_may_be_relative_and_hold_spaces(ledger: Ledger, heads: Path, tmp_path: Path) -> None:
    home = tmp_path / "a * b"
    shutil.copytree(ledger.root, home / "le dger")
    shutil.copy(heads, home / "he ads")
    code, lines = verify(Path("le dger"), "--heads", "he ads", cwd=home)
    assert (code, lines[-1]) == (0, "sound: 8 entries")


def test_what_cannot_be_seen_without_the_hospital_is_said(ledger: Ledger, heads: Path) -> None:
    _, without = verify(ledger.root)
    assert any("no --heads" in line and "tail" in line and "back-dated" in line for line in without)
    assert any("the ledger names itself" in line for line in without)
    assert any(
        "8 of 8 signatures were checked at the time that the entry itself states" in line for line in without
    )
    _, with_heads = verify(ledger.root, "--heads", heads)
    assert not any("no --heads" in line or "itself states" in line for line in with_heads)


# What an attacker does with the files alone: (attack, the entry that is named, a word of what is said).
def edit_a_record(ledger: Ledger) -> None:
    (ledger.entries[2] / "record.json").write_text('{"outcome": "succeeded"}\n')


def exchange_a_document(ledger: Ledger) -> None:
    (ledger.entries[2] / "documents" / "a.docx").write_bytes(b"another")


def add_a_file(ledger: Ledger) -> None:
    (ledger.entries[2] / "documents" / "extra.docx").write_bytes(b"new")


def add_a_hidden_file(ledger: Ledger) -> None:
    (ledger.entries[2] / ".extra").write_bytes(b"new")


def add_an_empty_folder(ledger: Ledger) -> None:
    (ledger.entries[2] / "attachments").mkdir()


def remove_a_file(ledger: Ledger) -> None:
    (ledger.entries[2] / "record.json").unlink()


def edit_and_fix_the_manifest(ledger: Ledger) -> None:
    edit_a_record(ledger)
    manifest = ledger.entries[2] / "MANIFEST"
    manifest.write_text(
        manifest.read_text().replace(
            digest(b'{"run": "20261122T130000Z-inspect"}\n'), digest(b'{"outcome": "succeeded"}\n')
        )
    )


def remove_the_signature(ledger: Ledger) -> None:
    (ledger.entries[2] / "MANIFEST.sig").unlink()


def remove_the_manifest(ledger: Ledger) -> None:
    (ledger.entries[2] / "MANIFEST").unlink()


def put_garbage_for_a_signature(ledger: Ledger) -> None:
    (ledger.entries[2] / "MANIFEST.sig").write_bytes(os.urandom(400))


def put_garbage_for_a_manifest(ledger: Ledger) -> None:
    (ledger.entries[2] / "MANIFEST").write_bytes(os.urandom(4000))


def take_the_signature_of_another_entry(ledger: Ledger) -> None:
    shutil.copy(ledger.entries[1] / "MANIFEST.sig", ledger.entries[2] / "MANIFEST.sig")


def link_a_file_elsewhere(ledger: Ledger) -> None:
    target = ledger.entries[2] / "record.json"
    shutil.move(target, ledger.root.parent / "outside.json")
    target.symlink_to(ledger.root.parent / "outside.json")


def link_a_folder_elsewhere(ledger: Ledger) -> None:
    shutil.move(ledger.entries[2], ledger.root.parent / "outside")
    ledger.entries[2].symlink_to(ledger.root.parent / "outside")


def put_a_pipe(ledger: Ledger) -> None:
    os.mkfifo(ledger.entries[2] / "pipe")


def rename_the_kind(ledger: Ledger) -> None:
    ledger.entries[2].rename(ledger.root / "000003-refused-20261122T130000Z-inspect")


def rename_the_run(ledger: Ledger) -> None:
    ledger.entries[2].rename(ledger.root / "000003-close-other")


def invent_a_kind(ledger: Ledger) -> None:
    ledger.entries[2].rename(ledger.root / "000003-invented-20261122T130000Z-inspect")


def delete_in_the_middle(ledger: Ledger) -> None:
    shutil.rmtree(ledger.entries[2])


def delete_the_genesis(ledger: Ledger) -> None:
    shutil.rmtree(ledger.entries[0])


def delete_and_renumber(ledger: Ledger) -> None:
    shutil.rmtree(ledger.entries[2])
    ledger.entries[3].rename(ledger.root / "000003-entry-phone-1")


def exchange_two_entries(ledger: Ledger) -> None:
    ledger.entries[3].rename(ledger.root / "000003-entry-phone-1")
    ledger.entries[2].rename(ledger.root / "000004-close-20261122T130000Z-inspect")


def copy_an_entry(ledger: Ledger) -> None:
    shutil.copytree(ledger.entries[3], ledger.root / "000004-entry-phone-2")


def append_a_copy(ledger: Ledger) -> None:
    shutil.copytree(ledger.entries[3], ledger.root / "000009-entry-phone-1")


def put_a_foreign_folder(ledger: Ledger) -> None:
    (ledger.root / "documents").mkdir()


def put_a_file_named_like_an_entry(ledger: Ledger) -> None:
    (ledger.root / "000009-entry-x").write_text("x")


FILES_ALONE: list[tuple[Callable[[Ledger], None], str, str]] = [
    (edit_a_record, "000003-close-20261122T130000Z-inspect", "record.json is not what was signed"),
    (exchange_a_document, "000003-close-20261122T130000Z-inspect", "documents/a.docx is not what was signed"),
    (add_a_file, "000003-close-20261122T130000Z-inspect/documents/extra.docx", "added after signing"),
    (add_a_hidden_file, "000003-close-20261122T130000Z-inspect/.extra", "added after signing"),
    (add_an_empty_folder, "000003-close-20261122T130000Z-inspect/attachments", "added after signing"),
    (remove_a_file, "000003-close-20261122T130000Z-inspect", "record.json is listed but missing"),
    (edit_and_fix_the_manifest, "000003-close-20261122T130000Z-inspect", "the signature does not hold"),
    (edit_and_fix_the_manifest, "000004-entry-phone-1", "does not follow"),
    (remove_the_signature, "000003-close-20261122T130000Z-inspect", "nobody signed it"),
    (remove_the_manifest, "000003-close-20261122T130000Z-inspect", "has no MANIFEST"),
    (put_garbage_for_a_signature, "000003-close-20261122T130000Z-inspect", "the signature does not hold"),
    (put_garbage_for_a_manifest, "000003-close-20261122T130000Z-inspect", "MANIFEST"),
    (
        take_the_signature_of_another_entry,
        "000003-close-20261122T130000Z-inspect",
        "the signature does not hold",
    ),
    (link_a_file_elsewhere, "000003-close-20261122T130000Z-inspect/record.json", "is a link or a device"),
    (link_a_folder_elsewhere, "000003-close-20261122T130000Z-inspect", "is a link or a device"),
    (put_a_pipe, "000003-close-20261122T130000Z-inspect/pipe", "is a link or a device"),
    (rename_the_kind, "000003-refused-20261122T130000Z-inspect", "was made for another place"),
    (rename_the_run, "000003-close-other", "was made for another place"),
    (invent_a_kind, "000003-invented-20261122T130000Z-inspect", "there is no kind"),
    (delete_in_the_middle, "000003", "missing: deleted"),
    (delete_in_the_middle, "000004-entry-phone-1", "does not follow 000002-open"),
    (delete_the_genesis, "000001", "missing: deleted"),
    (delete_and_renumber, "000003-entry-phone-1", "was made for another place"),
    (exchange_two_entries, "000003-entry-phone-1", "was made for another place"),
    (copy_an_entry, "000004-entry-phone-2", "is used twice"),
    (append_a_copy, "000009-entry-phone-1", "was made for another place"),
    (put_a_foreign_folder, "documents", "is no entry"),
    (put_a_file_named_like_an_entry, "000009-entry-x", "added after signing"),
]


@pytest.mark.parametrize(
    ("attack", "entry", "said"), FILES_ALONE, ids=lambda value: getattr(value, "__name__", None)
)
@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_tampering_with_files_is_seen(
    ledger: Ledger, attack: Callable[[Ledger], None], entry: str, said: str, shell: list[str]
) -> None:
    attack(ledger)
    code, lines = verify(ledger.root, shell=shell)
    assert code == 4
    assert [line for line in faults(lines) if line.startswith(f"fault: {entry}: ") and said in line], lines


HOSTILE = [
    "a b",
    "*",
    "-rf",
    "$(id)",
    "`id`",
    "a\nsound: 8 entries",
    "\x1b[2J",
    "记录.json",
    "a'b",
    'a"b',
    "\\",
    "a\tb",
    "|x",
]


@pytest.mark.parametrize("place", [".", "000003-close-20261122T130000Z-inspect"])
@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_a_hostile_name_is_one_fault_and_nothing_else(ledger: Ledger, place: str, shell: list[str]) -> None:
    for name in HOSTILE:
        (ledger.root / place / name).write_text("x")
    code, lines = verify(ledger.root, shell=shell)
    assert code == 4
    assert len(faults(lines)) == len(HOSTILE)
    assert all("no entry may use such a name" in line for line in faults(lines))
    assert all(32 <= ord(char) < 127 for line in lines for char in line)
    assert "sound: 8 entries" not in lines


@pytest.mark.parametrize(
    "path",
    [
        "../000002-open-20261122T130000Z-inspect/open.json",
        "/etc/hostname",
        "./record.json",
        "a//b",
        "MANIFEST",
        ".hidden",
        "-",
        "a b",
        "*",
    ],
)
def test_a_signed_list_cannot_name_what_is_not_its_own(ledger: Ledger, path: str) -> None:
    """The engineer's own key, used on a MANIFEST that reaches outside."""
    entry = ledger.entries[-1]
    with (entry / "MANIFEST").open("a") as manifest:
        manifest.write(f"{'0' * 64}  {path}\n")
    ledger.resign(entry)
    code, lines = verify(ledger.root)
    assert code == 4
    assert "lists no file of this entry" in faults(lines)[0]


@pytest.mark.parametrize(
    "line", ["# comment", "", "SHA256 (record.json) = 00", "\\" + "0" * 64 + "  a\\nb", "x" * 9000]
)
def test_a_signed_list_holds_checksum_lines_only(ledger: Ledger, line: str) -> None:
    entry = ledger.entries[-1]
    with (entry / "MANIFEST").open("a") as manifest:
        manifest.write(line + "\n")
    ledger.resign(entry)
    assert verify(ledger.root)[0] == 4


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# site lab", "# site other"),
        ("# seq 8", "# seq 08"),
        ("# kind abandoned", "# kind close"),
        ("# run 20261122T150000Z-upgrade", "# run 20261122T130000Z-inspect"),
        ("# maintenance-record-manifest v1", "# maintenance-record-manifest v2"),
        ("# time 2026-11-22T13:07:00Z", "# time yesterday"),
        (f"# signer {ENGINEER}", "# signer *"),
        (f"# signer {ENGINEER}", "# signer -f x"),
    ],
)
def test_a_signed_header_must_fit_its_place(ledger: Ledger, old: str, new: str) -> None:
    manifest = ledger.entries[-1] / "MANIFEST"
    assert old in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(old, new, 1))
    ledger.resign(ledger.entries[-1])
    code, lines = verify(ledger.root)
    assert code == 4
    assert faults(lines)[0].startswith(f"fault: {ledger.entries[-1].name}: ")


def test_another_key_and_another_purpose_are_refused(ledger: Ledger, keys: dict[str, Path]) -> None:
    ledger.resign(ledger.entries[3], key=keys["stranger"])
    ledger.resign(ledger.entries[4], key=keys["witness"])
    ledger.resign(ledger.entries[5], namespace="maintenance-order")
    code, lines = verify(ledger.root)
    assert code == 4
    assert [line.split(": ")[1] for line in faults(lines)] == [entry.name for entry in ledger.entries[3:6]]


def test_keys_that_the_hospital_does_not_trust_are_refused(
    ledger: Ledger, keys: dict[str, Path], tmp_path: Path
) -> None:
    own = tmp_path / "allowed signers"
    own.write_text(f'{ENGINEER} namespaces="{RECORD}" {public(keys["engineer"])}\n')
    assert verify(ledger.root, "--allowed-signers", own)[0] == 0
    own.write_text(f'{ENGINEER} namespaces="{RECORD}" {public(keys["colleague"])}\n')
    code, lines = verify(ledger.root, "--allowed-signers", own)
    assert (code, len(faults(lines))) == (4, 8)


def test_a_key_added_later_counts_from_then_on(ledger: Ledger, keys: dict[str, Path]) -> None:
    """The ledger's own list may be replaced by an entry that an allowed key signed; by no other."""
    line = f'colleague@vendor.example namespaces="{RECORD}" {public(keys["colleague"])}\n'
    ledger.signer, ledger.key = "colleague@vendor.example", keys["colleague"]
    ledger.add("entry", "allowed-signers", {"allowed_signers": ledger.allowed_signers + line})
    assert len(faults(verify(ledger.root)[1])) == 1
    shutil.rmtree(ledger.entries.pop())
    ledger.signer, ledger.key = ENGINEER, keys["engineer"]
    ledger.add("entry", "allowed-signers", {"allowed_signers": ledger.allowed_signers + line})
    ledger.signer, ledger.key = "colleague@vendor.example", keys["colleague"]
    ledger.run("20261123T100000Z-inspect")
    assert verify(ledger.root)[0] == 0


def test_a_revoked_key_is_refused_and_the_receipt_is_named(
    ledger: Ledger, heads: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    revoked = tmp_path / "revoked"
    shutil.copy(f"{keys['engineer']}.pub", revoked)
    code, lines = verify(ledger.root, "--heads", heads, "--revoked", revoked)
    assert (code, len(faults(lines))) == (4, 8)
    assert "key is revoked; it stands only if the hospital had it before" in faults(lines)[0]


def test_runs_are_opened_once_and_closed_once(ledger: Ledger) -> None:
    ledger.add("close", "20261122T160000Z-never-opened")
    ledger.add("close", "20261122T130000Z-inspect")
    ledger.add("open", "20261122T130000Z-inspect")
    code, lines = verify(ledger.root)
    assert code == 4
    said = [
        "which no earlier entry opened",
        "was closed before, by 000003-close",
        "was opened before, by 000002-open",
    ]
    assert all(words in line for words, line in zip(said, faults(lines), strict=True))


def test_an_open_run_is_a_warning_of_its_own(ledger: Ledger) -> None:
    ledger.add("open", "20261122T160000Z-inspect")
    code, lines = verify(ledger.root)
    assert (code, lines[-1]) == (0, "sound: 9 entries")
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: 000009-open-20261122T160000Z-inspect: open without a close")


# What the vendor's own key can do, and only the hospital's list can see.
def cut_the_tail(ledger: Ledger) -> None:
    for entry in ledger.entries[6:]:
        shutil.rmtree(entry)


def sign_the_whole_chain_again(ledger: Ledger) -> None:
    (ledger.entries[2] / "record.json").write_text('{"outcome": "succeeded"}\n')
    ledger.relist(ledger.entries[2])
    ledger.relink(3)


def sign_the_last_entry_again(ledger: Ledger) -> None:
    (ledger.entries[7] / "record.json").write_text('{"outcome": "succeeded"}\n')
    ledger.relist(ledger.entries[7])


@pytest.mark.parametrize(
    ("attack", "named", "said"),
    [
        (cut_the_tail, ["000007 to 000008"], "its tail was cut off"),
        (
            sign_the_whole_chain_again,
            [f"{seq:06d}-" for seq in range(3, 9)],
            "not the one that the hospital holds",
        ),
        (sign_the_last_entry_again, ["000008-"], "not the one that the hospital holds"),
    ],
)
def test_only_the_hospitals_list_sees_what_the_vendors_key_can_do(
    ledger: Ledger, heads: Path, attack: Callable[[Ledger], None], named: list[str], said: str
) -> None:
    attack(ledger)
    assert verify(ledger.root)[0] == 0
    code, lines = verify(ledger.root, "--heads", heads)
    assert code == 4
    assert len(faults(lines)) == len(named)
    for line, name in zip(faults(lines), named, strict=True):
        assert line.startswith(f"fault: {name}")
        assert said in line


def test_receipts_see_the_same_and_come_from_ledger_or_store(
    ledger: Ledger, keys: dict[str, Path], tmp_path: Path
) -> None:
    store = tmp_path / "the store"
    for seq, entry in enumerate(ledger.entries, 1):
        (store / f"{seq:06d}").mkdir(parents=True)
        text, signature = receipt(
            keys["witness"], seq, digest((entry / "MANIFEST").read_bytes()), ledger.at(seq)
        )
        (store / f"{seq:06d}" / "receipt").write_bytes(text)
        (store / f"{seq:06d}" / "receipt.sig").write_bytes(signature)
    ledger.add("entry", "later", ledger.receipts(keys["witness"], 8))
    code, lines = verify(ledger.root, "--receipts", store)
    assert code == 0
    assert any("1 of 9 signatures" in line for line in lines)
    sign_the_whole_chain_again(ledger)
    code, lines = verify(ledger.root)
    assert (code, len(faults(lines))) == (4, 6)
    for entry in ledger.entries[4:]:
        shutil.rmtree(entry)
    code, lines = verify(ledger.root, "--receipts", store)
    assert any(
        line.startswith("fault: 000005 to 000008: the hospital holds these entries") for line in faults(lines)
    )


@pytest.mark.parametrize("signer", ["stranger", "engineer"])
def test_a_receipt_of_anyone_but_the_witness_proves_nothing(
    ledger: Ledger, keys: dict[str, Path], signer: str
) -> None:
    ledger.add("entry", "later", ledger.receipts(keys[signer], 2))
    code, lines = verify(ledger.root)
    assert (code, len(faults(lines))) == (4, 2)
    assert all("it proves nothing" in line for line in faults(lines))


def test_receipts_of_another_site_or_of_no_form_are_refused(ledger: Ledger, keys: dict[str, Path]) -> None:
    other, signature = receipt(keys["witness"], 1, "0" * 64, "2026-11-22T13:00:01Z", site="other")
    garbage = b"maintenance-receipt v1\nsite lab\n"
    files: dict[str, str | bytes] = {
        "receipts/000001.receipt": other,
        "receipts/000001.receipt.sig": signature,
        "receipts/000002.receipt": garbage,
        "receipts/000002.receipt.sig": sign(keys["witness"], RECEIPT, garbage),
    }
    ledger.add("entry", "later", files)
    code, lines = verify(ledger.root)
    assert (code, len(faults(lines))) == (4, 2)


def test_a_receipt_for_the_right_bytes_at_another_site_is_refused(
    ledger: Ledger, keys: dict[str, Path]
) -> None:
    sha256 = digest((ledger.entries[0] / "MANIFEST").read_bytes())
    text, signature = receipt(keys["witness"], 1, sha256, "2026-11-22T13:00:01Z", site="other")
    ledger.add("entry", "later", {"receipts/000001.receipt": text, "receipts/000001.receipt.sig": signature})
    code, lines = verify(ledger.root)
    assert (code, len(faults(lines))) == (4, 1)
    assert "is a receipt of site other" in faults(lines)[0]


def test_an_engineer_without_limits_still_gives_himself_no_receipt(
    ledger: Ledger, keys: dict[str, Path], tmp_path: Path
) -> None:
    """A line without namespaces lets its key sign anything, as far as ssh-keygen is concerned."""
    signers = tmp_path / "allowed_signers"
    signers.write_text(f"{ENGINEER} {public(keys['engineer'])}\n")
    ledger.add("entry", "later", ledger.receipts(keys["engineer"], 1))
    code, lines = verify(ledger.root, "--allowed-signers", signers)
    assert (code, len(faults(lines))) == (4, 1)
    assert "it proves nothing" in faults(lines)[0]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_a_ledger_cannot_speak_to_the_terminal(ledger: Ledger, shell: list[str]) -> None:
    manifest = ledger.entries[2] / "MANIFEST"
    text = manifest.read_bytes().replace(b"# site lab", b"# site \0lab\x1b[2J\xff\r")
    manifest.write_bytes(text + b"\0\x1b[31m\xff  x\n")
    command = [*shell, str(VERIFY), str(ledger.root)]
    printed = subprocess.run(command, capture_output=True, check=False).stdout
    assert all(32 <= byte < 127 or byte == 10 for byte in printed)


def test_the_hospitals_time_decides_whether_a_key_was_valid(tmp_path: Path, keys: dict[str, Path]) -> None:
    """A key that ended in June, used in November with a date in May: only the hospital's time shows it."""
    ledger = Ledger.create(tmp_path / "ledger", keys["engineer"], keys["witness"])
    ended = f'{ENGINEER} namespaces="{RECORD}",valid-before="20260601" {public(keys["engineer"])}\n'
    ended += f'{WITNESS} namespaces="{RECEIPT}" {public(keys["witness"])}\n'
    (ledger.root / "000001-genesis-lab" / "allowed_signers").write_text(ended)
    manifest = ledger.entries[0] / "MANIFEST"
    manifest.write_text(manifest.read_text().replace("2026-11-22", "2026-05-01"))
    ledger.relist(ledger.entries[0])
    ledger.now = ledger.now.replace(month=5, day=2)
    ledger.run("20260502T130000Z-inspect")
    assert verify(ledger.root)[0] == 0

    honest = tmp_path / "honest"
    honest.write_text(ledger.heads())
    assert verify(ledger.root, "--heads", honest)[0] == 0
    late = tmp_path / "late"
    late.write_text(ledger.heads().replace("2026-05-02T13:01", "2026-11-22T13:01"))
    code, lines = verify(ledger.root, "--heads", late)
    assert (code, len(faults(lines))) == (4, 1)
    assert "the signature does not hold" in faults(lines)[0]


def test_the_readers_own_time_zone_and_settings_do_not_count(
    ledger: Ledger, keys: dict[str, Path], tmp_path: Path
) -> None:
    """A window of two hours in UTC, checked by somebody in Shanghai whose shell has a CDPATH."""
    signers = tmp_path / "allowed_signers"
    window = 'valid-after="20261122120000Z",valid-before="20261122140000Z"'
    signers.write_text(f'{ENGINEER} namespaces="{RECORD}",{window} {public(keys["engineer"])}\n')
    (tmp_path / "elsewhere" / "ledger").mkdir(parents=True)
    settings = {"TZ": "Asia/Shanghai", "LC_ALL": "zh_CN.UTF-8", "CDPATH": str(tmp_path / "elsewhere")}
    command = ["sh", str(VERIFY), "ledger", "--allowed-signers", "allowed_signers"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | settings, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "sound: 8 entries")


def test_a_back_dated_entry_is_shown_against_the_hospitals_time(ledger: Ledger, tmp_path: Path) -> None:
    ledger.now = ledger.now.replace(month=1)
    ledger.add("entry", "phone-2")
    own = [line for line in verify(ledger.root)[1] if line.startswith("warning: 000009")]
    assert len(own) == 1
    assert "before the entry that precedes it" in own[0]
    heads = tmp_path / "heads"
    heads.write_text(ledger.heads().replace("2026-01-22", "2026-11-22"))
    _, lines = verify(ledger.root, "--heads", heads)
    assert any("made without a connection, or back-dated" in line for line in lines)


def test_what_the_hospital_has_not_seen_yet_is_a_warning(ledger: Ledger, heads: Path) -> None:
    ledger.run("20261122T160000Z-inspect")
    code, lines = verify(ledger.root, "--heads", heads)
    assert (code, lines[-1]) == (0, "sound: 10 entries")
    assert any(
        line.startswith("warning: 000009 to 000010: not in the heads of the hospital") for line in lines
    )


@pytest.mark.parametrize(
    "text", ["1 abc 2026-11-22T13:00:00Z\n", "x\n", f"2 {'0' * 64} 2026-11-22T13:00:00Z\n"]
)
def test_a_list_that_is_not_complete_is_a_fault(ledger: Ledger, tmp_path: Path, text: str) -> None:
    path = tmp_path / "heads"
    path.write_text(text)
    code, lines = verify(ledger.root, "--heads", path)
    assert code == 4
    assert any(line.startswith("fault: heads: ") for line in faults(lines))


# Calls that must end as "not checked", never as "sound".
UNUSABLE = [
    ["/nonexistent"],
    ["."],
    [".", "--heads"],
    [".", "--heads", "/nonexistent"],
    [".", "--unknown"],
    [".", "."],
]


@pytest.mark.parametrize("options", UNUSABLE, ids=" ".join)
def test_what_cannot_be_checked_is_not_called_sound(tmp_path: Path, options: list[str]) -> None:
    done = subprocess.run(
        ["sh", str(VERIFY), *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("verify.sh: ")
    assert "sound" not in done.stdout


def test_it_leaves_nothing_behind_and_changes_nothing(ledger: Ledger, heads: Path, tmp_path: Path) -> None:
    own = tmp_path / "tmp"
    own.mkdir()
    before = {path: path.stat().st_mtime_ns for path in ledger.root.rglob("*")}
    subprocess.run(
        ["sh", str(VERIFY), ledger.root, "--heads", heads], env={**os.environ, "TMPDIR": str(own)}, check=True
    )
    assert not list(own.iterdir())
    assert {path: path.stat().st_mtime_ns for path in ledger.root.rglob("*")} == before


def test_what_the_two_commands_by_hand_say(ledger: Ledger) -> None:
    """The README's two lines, on a real entry."""
    entry = ledger.entries[2]
    subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "MANIFEST"], cwd=entry, check=True)
    command = ["ssh-keygen", "-Y", "verify", "-f", "../000001-genesis-lab/allowed_signers", "-I", ENGINEER]
    command += ["-n", RECORD, "-s", "MANIFEST.sig"]
    with (entry / "MANIFEST").open() as manifest:
        subprocess.run(command, cwd=entry, stdin=manifest, check=True, capture_output=True)


def test_a_thousand_entries_take_seconds(ledger: Ledger, keys: dict[str, Path], tmp_path: Path) -> None:
    """25 s is what a person waits for; a tenth of it, on a tenth of the entries, leaves room for a slow machine."""
    for number in range(46):
        ledger.run(f"2026112300{number:04d}Z-inspect")
    heads = tmp_path / "heads"
    heads.write_text(ledger.heads())
    started = time.monotonic()
    code, lines = verify(ledger.root, "--heads", heads)
    assert (code, lines[-1]) == (0, "sound: 100 entries")
    assert time.monotonic() - started < 2.5
    assert SITE in ledger.root.joinpath("000001-genesis-lab").name


def test_what_the_ledger_module_writes_is_sound_here(tmp_path: Path, keys: dict[str, Path]) -> None:
    """Written by maintenance.ledger, with its own names, receipts on their way home, and a run still going on."""
    from maintenance.ledger import Book
    from maintenance.signing import Signer

    signers = f'{ENGINEER} namespaces="{RECORD}" {public(keys["engineer"])}\n'
    signers += f'{WITNESS} namespaces="{RECEIPT}" {public(keys["witness"])}\n'
    root = tmp_path / "ledger"
    root.mkdir()
    book, signer = Book(root, SITE), Signer(ENGINEER, keys["engineer"])
    script: dict[str, bytes | Path] = {"allowed_signers": signers.encode(), "verify.sh": VERIFY}
    first = book.append("genesis", SITE, script, signer=signer)
    book.append("entry", "phone-1", {"entry.json": b"{}\n"}, signer=signer)
    book.append("open", "20261122T130000Z-inspect", {"open.json": b"{}\n"}, signer=signer)
    seen = first.manifest().time
    book.keep_receipt(1, *receipt(keys["witness"], 1, digest(first.manifest_bytes()), seen))
    (root / ".run-20261122T130000Z-inspect").write_text("{}\n")
    code, lines = verify(root)
    assert (code, lines[-1]) == (0, "sound: 3 entries")
    assert any("2 of 3 signatures" in line for line in lines)
    files: dict[str, bytes | Path] = {"record.json": b"{}\n"}
    book.append("close", "20261122T130000Z-inspect", files, signer=signer)
    code, lines = verify(root)
    assert (code, lines[-1]) == (0, "sound: 4 entries")
    assert any("3 of 4 signatures" in line for line in lines)


@pytest.mark.parametrize(
    "attack", dict.fromkeys(attack for attack, _, _ in FILES_ALONE), ids=lambda attack: attack.__name__
)
def test_the_other_verifier_gives_the_same_answer(ledger: Ledger, attack: Callable[[Ledger], None]) -> None:
    from maintenance import verification

    assert verification.verify(ledger.root).sound
    attack(ledger)
    assert not verification.verify(ledger.root).sound


def _fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)


def _waiting(ledger: Ledger, key: Path, seq: int, sha256: str, name: str = "") -> None:
    """A receipt that waits beside the chain."""
    folder = ledger.root / "receipts"
    folder.mkdir(exist_ok=True)
    text, signature = receipt(key, seq, sha256, "2026-11-22T13:30:00Z")
    (folder / f"{name or seq}.receipt").write_bytes(text)
    (folder / f"{name or seq}.receipt.sig").write_bytes(signature)


def _signed_with(ledger: Ledger, change: Callable[[bytes], bytes]) -> None:
    """An entry whose MANIFEST was changed before it was signed: what only the holder of a key can make."""
    made = ledger.manifest
    ledger.manifest = lambda *given: change(made(*given))  # type: ignore[method-assign]
    ledger.add("entry", "x")


def begin_another_ledger_in_it(ledger: Ledger, keys: dict[str, Path]) -> None:
    ledger.add("genesis", SITE, {"site.json": "{}\n"})


def open_a_run_twice(ledger: Ledger, keys: dict[str, Path]) -> None:
    ledger.add("open", "20261122T130000Z-inspect")


def list_no_file(ledger: Ledger, keys: dict[str, Path]) -> None:
    _signed_with(ledger, lambda text: b"".join(text.splitlines(keepends=True)[:8]))
    (ledger.entries[-1] / "record.json").unlink()


def sign_as_a_name_that_fits_a_pattern(ledger: Ledger, keys: dict[str, Path]) -> None:
    signers = f'* namespaces="{RECORD}" {public(keys["engineer"])}\n'
    ledger.add("entry", "signers", {"allowed_signers": signers})
    ledger.signer = "the whole hospital,witness"
    ledger.add("entry", "x")


def sign_as_a_name_with_a_nul(ledger: Ledger, keys: dict[str, Path]) -> None:
    _signed_with(ledger, lambda text: text.replace(b"# signer e", b"# signer \0e"))


def state_a_day_that_does_not_exist(ledger: Ledger, keys: dict[str, Path]) -> None:
    _signed_with(ledger, lambda text: text.replace(b"2026-11-22T", b"2026-02-30T"))


def state_an_hour_that_does_not_exist(ledger: Ledger, keys: dict[str, Path]) -> None:
    _signed_with(ledger, lambda text: text.replace(b"T13:", b"T24:"))


def leave_the_last_line_open(ledger: Ledger, keys: dict[str, Path]) -> None:
    _signed_with(ledger, lambda text: text[:-1])


def put_a_pipe_for_a_manifest(ledger: Ledger, keys: dict[str, Path]) -> None:
    _fifo(ledger.entries[2] / "MANIFEST")


def put_a_pipe_for_a_signature(ledger: Ledger, keys: dict[str, Path]) -> None:
    _fifo(ledger.entries[2] / "MANIFEST.sig")


def put_a_pipe_for_the_signers(ledger: Ledger, keys: dict[str, Path]) -> None:
    _fifo(ledger.entries[0] / "allowed_signers")


def put_a_pipe_for_a_receipt(ledger: Ledger, keys: dict[str, Path]) -> None:
    _fifo(ledger.root / "receipts" / "000001.receipt")


def put_a_pipe_for_a_receipts_signature(ledger: Ledger, keys: dict[str, Path]) -> None:
    _waiting(ledger, keys["witness"], 1, digest((ledger.entries[0] / "MANIFEST").read_bytes()), "1")
    _fifo(ledger.root / "receipts" / "1.receipt.sig")


def link_the_receipts_elsewhere(ledger: Ledger, keys: dict[str, Path]) -> None:
    (ledger.root.parent / "elsewhere").mkdir()
    (ledger.root / "receipts").symlink_to(ledger.root.parent / "elsewhere")


def name_a_witness_beside_the_chain(ledger: Ledger, keys: dict[str, Path]) -> None:
    """A list that no entry brought is signed by nobody, wherever it lies."""
    for folder in ("receipts", ".run-x", ".tmp-x"):
        (ledger.root / folder).mkdir()
        signers = f'w@h namespaces="{RECEIPT}" {public(keys["stranger"])}\n'
        (ledger.root / folder / "allowed_signers").write_text(signers)
    _waiting(ledger, keys["stranger"], 2, digest((ledger.entries[1] / "MANIFEST").read_bytes()))


def cut_the_tail_and_forget_a_receipt(ledger: Ledger, keys: dict[str, Path]) -> None:
    _waiting(ledger, keys["witness"], 8, digest((ledger.entries[7] / "MANIFEST").read_bytes()))
    shutil.rmtree(ledger.entries[7])


def get_a_second_receipt_for_a_forged_entry(ledger: Ledger, keys: dict[str, Path]) -> None:
    _waiting(ledger, keys["witness"], 4, "ab" * 32, "a")
    _waiting(ledger, keys["witness"], 4, digest((ledger.entries[3] / "MANIFEST").read_bytes()), "b")


def hide_a_receipt_in_a_folder(ledger: Ledger, keys: dict[str, Path]) -> None:
    (ledger.root / "receipts" / "more").mkdir(parents=True)
    (ledger.root / "receipts" / "more" / "x.receipt").write_text("no receipt")


BY_THE_HOLDER_OF_A_KEY: list[Callable[[Ledger, dict[str, Path]], None]] = [
    begin_another_ledger_in_it,
    open_a_run_twice,
    list_no_file,
    sign_as_a_name_that_fits_a_pattern,
    sign_as_a_name_with_a_nul,
    state_a_day_that_does_not_exist,
    state_an_hour_that_does_not_exist,
    leave_the_last_line_open,
    put_a_pipe_for_a_manifest,
    put_a_pipe_for_a_signature,
    put_a_pipe_for_the_signers,
    put_a_pipe_for_a_receipt,
    put_a_pipe_for_a_receipts_signature,
    link_the_receipts_elsewhere,
    name_a_witness_beside_the_chain,
    cut_the_tail_and_forget_a_receipt,
    get_a_second_receipt_for_a_forged_entry,
    hide_a_receipt_in_a_folder,
]


@pytest.mark.parametrize("attack", BY_THE_HOLDER_OF_A_KEY, ids=lambda attack: attack.__name__)
def test_both_verifiers_see_it_and_neither_waits_for_ever(
    ledger: Ledger, keys: dict[str, Path], attack: Callable[[Ledger, dict[str, Path]], None]
) -> None:
    attack(ledger, keys)
    runner = VERIFY.parents[3] / "runner.py"
    for command in (["busybox", "sh", str(VERIFY)], ["sh", str(VERIFY)], [str(runner), "verify"]):
        done = subprocess.run([*command, str(ledger.root)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 4, (command, done.stdout, done.stderr)
        assert done.stderr == ""


def test_both_verifiers_let_a_list_pass_that_ssh_keygen_reads(
    ledger: Ledger, keys: dict[str, Path], tmp_path: Path
) -> None:
    """What is signed under the list before it stays signed; a line that only ssh-keygen understands is its business."""
    from maintenance import verification

    more = ledger.allowed_signers + f"z@x valid-after=20200101 {public(keys['colleague'])}\n"
    ledger.add("entry", "signers-1", {"allowed_signers": more})
    ledger.add("entry", "signers-2", {"allowed_signers": more.encode() + b"# \xff\n"})
    ledger.add("entry", "x")
    assert verify(ledger.root)[0] == 0
    report = verification.verify(ledger.root)
    assert report.sound, report.faults


def test_a_clock_that_was_set_is_worth_a_question_to_both(ledger: Ledger) -> None:
    from datetime import timedelta

    from maintenance import verification

    ledger.now -= timedelta(days=30)
    made = ledger.add("entry", "x")
    assert any(made.name in line and "clock" in line for line in verify(ledger.root)[1])
    assert [line.split(":")[0] for line in verification.verify(ledger.root).late] == [made.name]
