"""Every row of the attack table in ../shared/design/records.md: planted, caught, and named."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from maintenance import ledger, manifest, verification
from maintenance.errors import CallError
from maintenance.signing import Signer, make_key

FIRST, TAMPERED, LAST = 2, 4, 7


class Chain:
    """A sound ledger of seven entries, its keys, and the hospital's heads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "ledger"
        self.signer = self._key("engineer")
        self.other = self._key("other")
        self.expired = self._key("expired")
        self.hospital = self._key("hospital")
        self.allowed = "".join(
            [
                f'engineer@v namespaces="maintenance-record" {self.signer.public_key}\n',
                f'expired@v namespaces="maintenance-record",valid-before="20200101Z" {self.expired.public_key}\n',
                f'witness@h namespaces="maintenance-receipt" {self.hospital.public_key}\n',
            ]
        )
        self.build(self.signer)
        self.heads = folder / "heads"
        self.heads.write_text(
            "".join(
                f"{entry.seq} {manifest.sha256_bytes(entry.manifest_bytes())} 2026-11-22T13:00:0{entry.seq}Z\n"
                for entry in ledger.entries(self.path)
            )
        )

    def _key(self, name: str) -> Signer:
        make_key(self.folder / name, name)
        principal = {"hospital": "witness@h"}.get(name, f"{name}@v")
        return Signer(principal, self.folder / name)

    def build(self, signer: Signer, *, content: bytes = b"content") -> None:
        self.path.mkdir(exist_ok=True)
        with ledger.locked(self.path, "s") as book:
            book.append("genesis", "s", {"allowed_signers": self.allowed.encode()}, signer=signer)
            for run in ("a", "b", "c"):
                book.append("open", run, {"open.json": b"{}"}, signer=signer)
                files = {"record.json": content + run.encode(), "documents/report.pdf": b"pdf"}
                book.append("close", run, files, signer=signer)

    def entry(self, seq: int) -> Path:
        return next(entry.path for entry in ledger.entries(self.path) if entry.seq == seq)

    def append(self, signer: Signer, *, when: str = "") -> ledger.Entry:
        with ledger.locked(self.path, "s") as book:
            return book.append("entry", "late", {"entry.json": b"{}"}, signer=signer, when=when)

    def sign(self, seq: int, signer: Signer, text: bytes) -> None:
        (self.entry(seq) / "MANIFEST").write_bytes(text)
        (self.entry(seq) / "MANIFEST.sig").write_bytes(signer.sign(text, "maintenance-record"))

    def receipt(self, seq: int, time: str, signer: Signer | None = None, digest: str = "") -> None:
        digest = digest or manifest.sha256_bytes((self.entry(seq) / "MANIFEST").read_bytes())
        text = verification.receipt_text("s", seq, digest, time)
        with ledger.locked(self.path, "s") as book:
            book.keep_receipt(seq, text, (signer or self.hospital).sign(text, "maintenance-receipt"))


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path)


def edit_a_field(chain: Chain) -> None:
    (chain.entry(3) / "record.json").write_bytes(b"other")


def exchange_a_document(chain: Chain) -> None:
    (chain.entry(3) / "documents" / "report.pdf").write_bytes(b"better")


def add_a_file(chain: Chain) -> None:
    (chain.entry(3) / "documents" / "extra.pdf").write_bytes(b"extra")


def delete_a_file(chain: Chain) -> None:
    (chain.entry(3) / "record.json").unlink()


def put_a_link_in_place_of_a_file(chain: Chain) -> None:
    file = chain.entry(3) / "record.json"
    file.rename(chain.folder / "elsewhere")
    file.symlink_to(chain.folder / "elsewhere")


def edit_and_fix_the_manifest(chain: Chain) -> None:
    edit_a_field(chain)
    file = chain.entry(3) / "MANIFEST"
    old = manifest.sha256_bytes(b"contenta").encode()
    file.write_bytes(file.read_bytes().replace(old, manifest.sha256_bytes(b"other").encode()))


def sign_with_another_key(chain: Chain) -> None:
    chain.sign(3, chain.other, (chain.entry(3) / "MANIFEST").read_bytes())


def sign_with_a_wrongly_scoped_key(chain: Chain) -> None:
    text = (chain.entry(3) / "MANIFEST").read_bytes().replace(b"engineer@v", b"witness@h")
    chain.sign(3, chain.hospital, text)


def sign_for_another_namespace(chain: Chain) -> None:
    text = (chain.entry(3) / "MANIFEST").read_bytes()
    (chain.entry(3) / "MANIFEST.sig").write_bytes(chain.signer.sign(text, "file"))


def delete_in_the_middle(chain: Chain) -> None:
    shutil.rmtree(chain.entry(4))


def delete_in_the_middle_and_renumber(chain: Chain) -> None:
    shutil.rmtree(chain.entry(4))
    for seq in (5, 6, 7):
        path = chain.entry(seq)
        path.rename(path.with_name(f"{seq - 1:06d}{path.name[6:]}"))


def reorder(chain: Chain) -> None:
    third, fifth = chain.entry(3), chain.entry(5)
    third.rename(chain.path / "000009-close-a")
    fifth.rename(chain.path / f"000003{fifth.name[6:]}")
    (chain.path / "000009-close-a").rename(chain.path / "000005-close-a")


def duplicate(chain: Chain) -> None:
    shutil.copytree(chain.entry(7), chain.path / "000008-close-c")


def duplicate_under_the_same_number(chain: Chain) -> None:
    shutil.copytree(chain.entry(7), chain.path / "000007-close-d")


def rename_the_run(chain: Chain) -> None:
    chain.entry(7).rename(chain.path / "000007-close-z")


def cut_the_beginning(chain: Chain) -> None:
    shutil.rmtree(chain.entry(1))


def put_a_folder_beside(chain: Chain) -> None:
    (chain.path / "old").mkdir()


def expired_key(chain: Chain) -> None:
    chain.append(chain.expired)


def empty_signature(chain: Chain) -> None:
    (chain.entry(3) / "MANIFEST.sig").write_bytes(b"")


SEEN_WITHOUT_HEADS: list[tuple[Callable[[Chain], None], str, str]] = [
    (edit_a_field, "000003-close-a", "record.json is not the file that was signed"),
    (exchange_a_document, "000003-close-a", "report.pdf is not the file that was signed"),
    (add_a_file, "000003-close-a", "not listed in its MANIFEST"),
    (delete_a_file, "000003-close-a", "record.json is missing"),
    (put_a_link_in_place_of_a_file, "000003-close-a", "not a regular file"),
    (edit_and_fix_the_manifest, "000003-close-a", "signature of engineer@v does not hold"),
    (edit_and_fix_the_manifest, "000004-open-b", "is not the one it follows"),
    (sign_with_another_key, "000003-close-a", "signature of engineer@v does not hold"),
    (sign_with_a_wrongly_scoped_key, "000003-close-a", "signature of witness@h does not hold"),
    (sign_for_another_namespace, "000003-close-a", "does not hold"),
    (delete_in_the_middle, "000005-close-b", "entry 000004 is missing before it"),
    (delete_in_the_middle_and_renumber, "000004-close-b", "was signed for 000005-close"),
    (reorder, "000003-close-b", "was signed for 000005-close"),
    (duplicate, "000008-close-c", "was signed for 000007-close"),
    (duplicate_under_the_same_number, "000007-close-d", "stands twice"),
    (rename_the_run, "000007-close-z", "was signed for the run c"),
    (cut_the_beginning, "000002-open-a", "entry 000001 is missing"),
    (put_a_folder_beside, "old", "is not an entry"),
    (expired_key, "000008-entry-late", "signature of expired@v does not hold"),
    (empty_signature, "000003-close-a", "does not hold"),
]


@pytest.mark.parametrize(("attack", "entry", "what"), SEEN_WITHOUT_HEADS)
def test_the_attack_is_caught_and_named(
    chain: Chain, attack: Callable[[Chain], None], entry: str, what: str
) -> None:
    assert verification.verify(chain.path).sound
    attack(chain)
    faults = verification.verify(chain.path).faults
    assert any(fault.entry == entry and what in fault.what and fault.meaning for fault in faults), faults


def truncate_the_tail(chain: Chain) -> None:
    for seq in (7, 6):
        shutil.rmtree(chain.entry(seq))


def sign_the_whole_chain_anew(chain: Chain) -> None:
    shutil.rmtree(chain.path)
    chain.build(chain.signer, content=b"nicer")


@pytest.mark.parametrize(
    ("attack", "entry", "what"),
    [
        (truncate_the_tail, "000006", "the ledger lacks it"),
        (sign_the_whole_chain_anew, "000003-close-a", "is not the one that the hospital holds"),
    ],
)
def test_what_only_the_hospitals_heads_can_catch(
    chain: Chain, attack: Callable[[Chain], None], entry: str, what: str
) -> None:
    attack(chain)
    blind = verification.verify(chain.path)
    assert blind.sound
    assert "truncated tail" in blind.blind_spots()[0]
    seeing = verification.verify(chain.path, heads=chain.heads)
    assert any(fault.entry == entry and what in fault.what for fault in seeing.faults), seeing.faults
    assert seeing.blind_spots() == []


def test_an_expired_key_with_a_back_dated_header_is_caught_by_the_receipts_time(chain: Chain) -> None:
    made = chain.append(chain.expired, when="2019-06-01T00:00:00Z")
    assert verification.verify(chain.path).sound  # the header says 2019, when the key was valid
    chain.receipt(made.seq, "2026-11-22T13:00:00Z")
    faults = verification.verify(chain.path).faults
    assert [fault.entry for fault in faults] == [made.folder]
    assert "expired@v does not hold" in faults[0].what


def test_an_entry_that_the_hospital_saw_days_later_is_worth_a_look(chain: Chain) -> None:
    made = chain.append(chain.signer, when="2026-11-01T00:00:00Z")
    chain.receipt(made.seq, "2026-11-22T13:00:00Z")
    report = verification.verify(chain.path)
    assert report.sound
    assert [line.split(":")[0] for line in report.late] == [made.folder]


def test_an_entry_written_anew_after_its_receipt_is_caught(chain: Chain) -> None:
    chain.receipt(7, "2026-11-22T13:00:00Z", digest="ab" * 32)
    faults = verification.verify(chain.path).faults
    assert any("not the one in the hospital's receipt" in fault.what for fault in faults)


def test_a_receipt_that_the_hospital_did_not_sign_is_caught(chain: Chain) -> None:
    chain.receipt(7, "2026-11-22T13:00:00Z", signer=chain.signer)
    faults = verification.verify(chain.path).faults
    assert [fault.entry for fault in faults] == ["receipts/000007.receipt"]


def test_signers_that_lie_beside_the_chain_let_nobody_sign_receipts(chain: Chain) -> None:
    chain.receipt(7, "2026-11-22T13:00:00Z", signer=chain.other)
    planted = f'witness@h namespaces="maintenance-receipt" {chain.other.public_key}\n'
    (chain.path / "receipts" / "allowed_signers").write_text(planted)
    assert not verification.verify(chain.path).sound


def test_a_revoked_key_is_caught(chain: Chain) -> None:
    krl = chain.folder / "krl"
    subprocess.run(["ssh-keygen", "-k", "-q", "-f", str(krl), f"{chain.signer.key}.pub"], check=True)
    assert not verification.verify(chain.path, revoked=krl).sound
    plain = chain.folder / "revoked"
    shutil.copy(f"{chain.signer.key}.pub", plain)
    assert not verification.verify(chain.path, revoked=plain).sound


def test_a_revocation_list_without_this_key_changes_nothing(chain: Chain) -> None:
    krl = chain.folder / "krl"
    subprocess.run(["ssh-keygen", "-k", "-q", "-f", str(krl), f"{chain.other.key}.pub"], check=True)
    assert verification.verify(chain.path, revoked=krl).sound


def test_a_reader_can_trust_his_own_list_instead_of_the_ledgers(chain: Chain) -> None:
    own = chain.folder / "own"
    own.write_text(f'engineer@v namespaces="maintenance-record" {chain.other.public_key}\n')
    assert not verification.verify(chain.path, signers=own).sound


def test_signers_added_by_an_allowed_key_hold_from_then_on(chain: Chain) -> None:
    more = chain.allowed + f'other@v namespaces="maintenance-record" {chain.other.public_key}\n'
    with ledger.locked(chain.path, "s") as book:
        book.append("entry", "allowed-signers", {"allowed_signers": more.encode()}, signer=chain.signer)
    chain.append(chain.other)
    assert verification.verify(chain.path).sound


def test_a_key_cannot_allow_itself(chain: Chain) -> None:
    more = chain.allowed + f'other@v namespaces="maintenance-record" {chain.other.public_key}\n'
    with ledger.locked(chain.path, "s") as book:
        book.append("entry", "allowed-signers", {"allowed_signers": more.encode()}, signer=chain.other)
    assert not verification.verify(chain.path).sound


def test_what_cannot_be_read_is_a_fault_and_no_crash(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(manifest, "sha256_file", unreadable)
    faults = verification.verify(chain.path).faults
    assert any("record.json cannot be read (Permission denied)" in fault.what for fault in faults)


def test_a_hostile_name_does_not_speak_to_the_terminal(chain: Chain) -> None:
    (chain.path / "\x1b[2J\udcff").mkdir()
    (chain.entry(3) / "\x1b[2J").symlink_to("/dev/null")
    assert all(
        str(fault).isascii() and str(fault).isprintable() for fault in verification.verify(chain.path).faults
    )


@pytest.mark.parametrize("damage", ["2 ", "x", "gap", "zone", "0" * 5000 + " "])
def test_a_list_of_heads_that_is_not_whole_is_refused(chain: Chain, damage: str) -> None:
    lines = chain.heads.read_text().splitlines(keepends=True)
    if damage == "gap":
        del lines[2]
    elif damage == "zone":
        lines[2] = lines[2].replace("Z", "+08:00")
    else:
        lines[2] = damage + lines[2]
    chain.heads.write_text("".join(lines))
    with pytest.raises(CallError, match="heads:3"):
        verification.verify(chain.path, heads=chain.heads)


def test_what_the_hospitals_list_does_not_hold_yet_is_said(chain: Chain) -> None:
    made = chain.append(chain.signer)
    report = verification.verify(chain.path, heads=chain.heads)
    assert report.sound
    assert report.blind_spots() == [f"{made.folder}: not delivered yet, or made after the list was copied"]


def test_a_ledger_that_grows_while_it_is_verified_stays_sound(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = ledger.entries
    chain.receipt(7, "2026-11-22T13:00:00Z")

    def grow(path: Path) -> list[ledger.Entry]:
        found = listing(path)
        if len(found) < 10:
            monkeypatch.setattr(ledger, "entries", listing)
            chain.append(chain.signer)
            monkeypatch.setattr(ledger, "entries", grow)
        return found

    monkeypatch.setattr(ledger, "entries", grow)
    report = verification.verify(chain.path)
    assert report.sound, report.faults
