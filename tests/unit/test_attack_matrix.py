"""Each row of the attack table in docs/evidence.md: planted in a real ledger, and put to both verifiers.

The ledger is a hospital's: two orders that two people approved, their runs, a phone call, a checkpoint, an acceptance,
SM2 signatures, and the witness's receipts. The table in the document and the one here cannot drift: a test compares them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import test_witness_sh
from test_orders import OPEN, Hospital
from test_sm2 import by_shell, make_sm2

from maintenance import acceptance, bookkeeping, ledger, manifest, orders, sm2, verification
from maintenance.record import to_bytes
from maintenance.signing import Signer
from maintenance.site import Settings, Site

DOCUMENT = Path(__file__).parents[2] / "docs" / "evidence.md"
ALONE, LIST, NOTHING = "the ledger alone", "only the hospital's list or receipts", "no record"
PHONE = to_bytes({"schema": "maintenance-entry/1", "what": "phone", "text": "the printer was off"})
CHECKPOINT = to_bytes({"schema": "maintenance-checkpoint/1"})


@dataclass
class Case:
    """A ledger with its keys, at the mercy of an attacker who has the vendor's machine."""

    folder: Path
    site: Site

    @property
    def path(self) -> Path:
        return self.folder / "ledger"

    @property
    def heads(self) -> Path:
        return self.folder / "heads"

    def entries(self) -> list[ledger.Entry]:
        return ledger.entries(self.path)

    def the(self, kind: str, number: int = 0) -> ledger.Entry:
        """The entry of a kind, by its order among them."""
        return [entry for entry in self.entries() if entry.kind == kind][number]

    def key(self, name: str) -> Signer:
        return Signer(name, self.folder / name)

    @property
    def engineer(self) -> Signer:
        return self.site.signer()[0]

    def relist(self, entry: ledger.Entry, signer: Signer | None = None, *, time: str = "") -> None:
        """Write an entry's MANIFEST anew, to fit its files and the entry before, and sign it: what a key can do."""
        signer = signer or self.engineer
        before = [item for item in self.entries() if item.seq < entry.seq]
        files = {
            str(path.relative_to(entry.path)): manifest.sha256_file(path)
            for path in sorted(entry.path.rglob("*"))
            if path.is_file() and path.name not in manifest.UNLISTED
        }
        text = manifest.Manifest(
            site="trial",
            seq=entry.seq,
            kind=entry.kind,
            run=entry.name,
            signer=signer.principal,
            time=time or entry.manifest().time,
            previous=(before[-1].folder, manifest.sha256_bytes(before[-1].manifest_bytes()))
            if before
            else None,
            files=files,
        ).render()
        (entry.path / "MANIFEST").write_bytes(text)
        (entry.path / "MANIFEST.sig").write_bytes(signer.sign(text, manifest.NAMESPACE))
        if signer.sm2:
            (entry.path / "MANIFEST.sm2sig").write_bytes(signer.sm2.sign(text))

    def sign_on_from(self, entry: ledger.Entry) -> None:
        """Sign this entry and all after it anew, links included."""
        for item in self.entries():
            if item.seq >= entry.seq:
                self.relist(item)

    def without_receipts(self) -> None:
        """Take the hospital's receipts out, as somebody does who signs everything anew."""
        for folder in [self.path / "receipts", *self.path.glob("*/receipts")]:
            shutil.rmtree(folder, ignore_errors=True)

    def add(
        self, signer: Signer, *, files: dict[str, bytes | Path] | None = None, when: str = ""
    ) -> ledger.Entry:
        with ledger.locked(self.path, "trial") as book:
            return book.append("entry", "late", files or {"entry.json": PHONE}, signer=signer, when=when)

    def receive(self, *, time: str = "") -> None:
        """The witness receives what it has not yet, and its list with it."""
        held = {path.stem for path in self.path.rglob("*.receipt")}
        lines = self.heads.read_text().splitlines(keepends=True) if self.heads.exists() else []
        with ledger.locked(self.path, "trial") as book:
            for entry in self.entries():
                if f"{entry.seq:06d}" in held:
                    continue
                digest = manifest.sha256_bytes(entry.manifest_bytes())
                at = time or entry.manifest().time
                text = verification.receipt_text("trial", entry.seq, digest, at)
                book.keep_receipt(
                    entry.seq, text, self.key("witness@h").sign(text, verification.RECEIPT_NAMESPACE)
                )
                lines.append(f"{entry.seq} {digest} {at}\n")
        self.heads.write_text("".join(lines))


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sound ledger and its keys, made once."""
    folder = tmp_path_factory.mktemp("matrix")
    with pytest.MonkeyPatch.context() as patch:
        hospital = Hospital(folder, patch)
        hospital.site.settings.sm2_key = str(make_sm2(folder / "sm2.pem"))
        for number, content in enumerate(("first\n", "second\n")):
            hospital.content.write_text(content)
            hospital.file = folder / f"order{number}" / "order.json"
            hospital.file.parent.mkdir()
            hospital.order(OPEN)
            hospital.approve("wang@h", "li@h")
            assert hospital.run() == "succeeded"
    case = Case(folder, hospital.site)
    bookkeeping.add_entry(case.site, "entry", "phone", {"entry.json": PHONE})
    bookkeeping.add_entry(case.site, "checkpoint", "20261123", {"checkpoint.json": CHECKPOINT})
    case.receive()
    accept(case, case.the("close", 1))
    case.add(case.engineer)
    case.receive()
    case.add(case.engineer)  # takes the receipts in; itself the hospital has not seen
    return folder


def accept(case: Case, entry: ledger.Entry) -> None:
    """The hospital accepts an entry."""
    said = acceptance.Acceptance(
        site="trial", entries=(acceptance.of_entry(entry),), verdict="accepted", at=ledger.now()
    )
    facts = to_bytes(said)
    files: dict[str, bytes | Path] = {
        acceptance.FILE: facts,
        acceptance.SIGNATURE: case.key("witness@h").sign(facts, acceptance.NAMESPACE),
    }
    with ledger.locked(case.path, "trial") as book:
        book.append("receipt", f"{entry.seq:06d}", files, signer=case.engineer)


@pytest.fixture
def case(sound: Path, tmp_path: Path) -> Case:
    """A copy of it, to be tampered with."""
    for name in ("ledger", "site"):
        shutil.copytree(sound / name, tmp_path / name)
    for path in sound.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path / path.name)
    for number in (0, 1):
        shutil.copytree(sound / f"order{number}", tmp_path / f"order{number}")
    settings = Settings(
        site="trial",
        principal="engineer@v",
        key=str(tmp_path / "engineer@v"),
        ledger=str(tmp_path / "ledger"),
        sm2_key=str(tmp_path / "sm2.pem"),
    )
    return Case(tmp_path, Site(tmp_path / "site", settings))


# What is done to the ledger. None of these has the hospital's keys.


def nothing(case: Case) -> None:
    """Something happened, and not in the ledger."""


def edit_a_field(case: Case) -> None:
    file = case.the("close").path / "record.json"
    file.write_bytes(file.read_bytes().replace(b"succeeded", b"Succeeded", 1))


def exchange_a_document(case: Case) -> None:
    next(case.path.glob("*/documents/*.docx")).write_bytes(b"another")


def add_a_file(case: Case) -> None:
    (case.the("close").path / "extra.pdf").write_bytes(b"x")


def delete_a_file(case: Case) -> None:
    (case.the("close").path / "record.json").unlink()


def put_a_link(case: Case) -> None:
    file = case.the("close").path / "record.json"
    file.rename(case.folder / "elsewhere")
    file.symlink_to(case.folder / "elsewhere")


def edit_and_fix_the_manifest(case: Case) -> None:
    entry = case.the("close").path
    old = manifest.sha256_file(entry / "record.json")
    edit_a_field(case)
    text = (entry / "MANIFEST").read_text().replace(old, manifest.sha256_file(entry / "record.json"))
    (entry / "MANIFEST").write_text(text)


def sign_with_a_key_that_nobody_allowed(case: Case) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", case.folder / "stranger"], check=True
    )
    case.relist(case.entries()[-1], Signer("engineer@v", case.folder / "stranger", case.engineer.sm2))


def sign_with_a_key_for_something_else(case: Case) -> None:
    case.relist(case.entries()[-1], case.key("witness@h"))


def sign_for_another_purpose(case: Case) -> None:
    entry = case.entries()[-1].path
    signature = case.engineer.sign((entry / "MANIFEST").read_bytes(), orders.NAMESPACE)
    (entry / "MANIFEST.sig").write_bytes(signature)


def delete_in_the_middle(case: Case) -> None:
    shutil.rmtree(case.the("entry").path)


def delete_and_renumber(case: Case) -> None:
    gone = case.the("entry")
    shutil.rmtree(gone.path)
    for entry in case.entries():
        if entry.seq > gone.seq:
            entry.path.rename(entry.path.with_name(f"{entry.seq - 1:06d}{entry.folder[6:]}"))


def exchange_two_entries(case: Case) -> None:
    one, two = case.the("entry"), case.the("checkpoint")
    aside = case.folder / "aside"
    one.path.rename(aside)
    two.path.rename(case.path / f"{one.seq:06d}-checkpoint-20261123")
    aside.rename(case.path / f"{two.seq:06d}-entry-phone")


def duplicate_an_entry(case: Case) -> None:
    last = case.entries()[-1]
    shutil.copytree(last.path, case.path / f"{last.seq + 1:06d}-entry-late")


def rename_an_entry(case: Case) -> None:
    entry = case.the("entry")
    entry.path.rename(case.path / f"{entry.seq:06d}-entry-visit")


def cut_the_beginning(case: Case) -> None:
    shutil.rmtree(case.entries()[0].path)


def put_in_an_entry_of_another_ledger(case: Case) -> None:
    last = case.entries()[-1]
    other = case.folder / "other"
    other.mkdir()
    with ledger.locked(other, "else") as book:
        book.append("genesis", "else", {"allowed_signers": case.site.allowed_signers()}, signer=case.engineer)
        for _ in range(last.seq):
            made = book.append("entry", "phone", {"entry.json": PHONE}, signer=case.engineer)
    made.path.rename(case.path / made.folder)


def put_something_beside(case: Case) -> None:
    (case.path / "old").mkdir()


def bring_in_a_key(case: Case) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", case.folder / "stranger"], check=True
    )
    signer = Signer("stranger@v", case.folder / "stranger")
    more = (
        case.site.allowed_signers()
        + f'stranger@v namespaces="{manifest.NAMESPACE}" {signer.public_key}\n'.encode()
    )
    case.add(signer, files={"allowed_signers": more})


def use_an_ended_key(case: Case) -> None:
    ended(case)
    case.add(case.key("wang@h"))


def ended(case: Case) -> None:
    """The ledger learns of a key that ended in 2020, as an old line would have it."""
    line = (
        f'wang@h namespaces="{manifest.NAMESPACE}",valid-before="20200101Z" {case.key("wang@h").public_key}\n'
    )
    case.add(case.engineer, files={"allowed_signers": case.site.allowed_signers() + line.encode()})


def exchange_the_order(case: Case) -> None:
    opened = opens_with_orders(case)[0].path
    data = (opened / "order.json").read_bytes().replace(b"because", b"becausE")
    (opened / "order.json").write_bytes(data)
    (opened / "order.json.engineer.sig").write_bytes(case.engineer.sign(data, manifest.NAMESPACE))
    case.without_receipts()
    case.sign_on_from(opens_with_orders(case)[0])


def opens_with_orders(case: Case) -> list[ledger.Entry]:
    return [
        entry for entry in case.entries() if entry.kind == "open" and (entry.path / "order.json").exists()
    ]


def reuse_an_approval(case: Case) -> None:
    """The approvals of the first order are put beside the second."""
    one, two = opens_with_orders(case)
    for signature in one.path.glob("order.json.*_h.sig"):
        shutil.copy(signature, two.path / signature.name)
    case.without_receipts()
    case.sign_on_from(two)


def take_an_approval_away(case: Case) -> None:
    opened = opens_with_orders(case)[1]
    (opened.path / "order.json.li_h.sig").unlink()
    case.without_receipts()
    case.sign_on_from(opened)


def approve_twice(case: Case) -> None:
    """One person's approval stands in for the other's."""
    opened = opens_with_orders(case)[1]
    shutil.copy(opened.path / "order.json.wang_h.sig", opened.path / "order.json.li_h.sig")
    case.without_receipts()
    case.sign_on_from(opened)


def reuse_an_acceptance(case: Case) -> None:
    """What the hospital said of one run is put into the chain again, for another."""
    accepted = case.the("receipt").path
    other = case.the("close")
    files: dict[str, bytes | Path] = {
        name: accepted / name for name in ("acceptance.json", "acceptance.json.sig")
    }
    with ledger.locked(case.path, "trial") as book:
        book.append("receipt", f"{other.seq:06d}", files, signer=case.engineer)


def accept_his_own_work(case: Case) -> None:
    accepted = case.the("receipt")
    data = (
        (accepted.path / "acceptance.json").read_bytes().replace(b'"remarks": ""', b'"remarks": "excellent"')
    )
    (accepted.path / "acceptance.json").write_bytes(data)
    (accepted.path / "acceptance.json.sig").write_bytes(case.engineer.sign(data, "maintenance-receipt"))
    case.without_receipts()
    case.sign_on_from(accepted)


def rewrite_what_was_accepted(case: Case) -> None:
    edit_a_field_of(case, case.the("close", 1))
    case.without_receipts()
    case.sign_on_from(case.the("close", 1))


def edit_a_field_of(case: Case, entry: ledger.Entry) -> None:
    file = entry.path / "record.json"
    file.write_bytes(file.read_bytes().replace(b'"reason": "', b'"reason": "not ', 1))


def rewrite_and_leave_the_receipts(case: Case) -> None:
    file = case.the("entry").path / "entry.json"
    file.write_bytes(file.read_bytes().replace(b"printer", b"server "))
    case.sign_on_from(case.the("entry"))


def forge_a_receipt(case: Case) -> None:
    last = case.entries()[-1]
    text = verification.receipt_text(
        "trial", last.seq, manifest.sha256_bytes(last.manifest_bytes()), "2026-01-01T00:00:00Z"
    )
    with ledger.locked(case.path, "trial") as book:
        book.keep_receipt(last.seq, text, case.engineer.sign(text, verification.RECEIPT_NAMESPACE))


def strip_the_second_signature(case: Case) -> None:
    (case.the("entry").path / "MANIFEST.sm2sig").unlink()


def exchange_the_second_signature(case: Case) -> None:
    other = sm2.Key(make_sm2(case.folder / "other.pem"))
    entry = case.the("entry").path
    (entry / "MANIFEST.sm2sig").write_bytes(other.sign((entry / "MANIFEST").read_bytes()))


def remove_a_checkpoint(case: Case) -> None:
    shutil.rmtree(case.the("checkpoint").path)


def remove_a_checkpoint_and_sign_on(case: Case) -> None:
    """The chain is closed again over the gap; everything else is the vendor's to sign."""
    gone = case.the("checkpoint")
    shutil.rmtree(gone.path)
    case.without_receipts()
    for entry in case.entries():
        if entry.seq > gone.seq:
            entry.path.rename(entry.path.with_name(f"{entry.seq - 1:06d}{entry.folder[6:]}"))
    case.sign_on_from(case.entries()[gone.seq - 1])


def kill_a_run(case: Case) -> None:
    with ledger.locked(case.path, "trial") as book:
        book.append("open", "20261123T100000Z-abcd-trial", {"open.json": b"{}"}, signer=case.engineer)


def cut_the_tail(case: Case) -> None:
    """Back to before the first receipt came home, for inside the chain receipts give a cut tail away."""
    case.without_receipts()
    keep = case.the("checkpoint").seq
    for entry in case.entries():
        if entry.seq > keep:
            shutil.rmtree(entry.path)


def sign_everything_anew(case: Case) -> None:
    file = case.the("entry").path / "entry.json"
    file.write_bytes(file.read_bytes().replace(b"printer", b"server "))
    case.without_receipts()
    shutil.rmtree(case.the("receipt").path)
    for entry in case.entries():
        if entry.seq > case.the("checkpoint").seq:
            shutil.rmtree(entry.path)
    case.sign_on_from(case.entries()[0])


def back_date_an_entry(case: Case) -> None:
    """The clock says what its owner wants; the link shows only that it came after the entry before it."""
    made = case.add(case.engineer)
    case.relist(made, time="2026-11-01T00:00:00Z")
    case.receive(time=ledger.now())


def use_an_ended_key_with_an_old_date(case: Case) -> None:
    ended(case)
    case.add(case.key("wang@h"), when="2019-06-01T00:00:00Z")


def name_a_witness_of_his_own(case: Case) -> None:
    """The engineer's key extends the list, then receives what it likes."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", case.folder / "puppet"], check=True)
    puppet = Signer("puppet@h", case.folder / "puppet")
    line = f'puppet@h namespaces="{verification.RECEIPT_NAMESPACE}" {puppet.public_key}\n'.encode()
    made = case.add(case.engineer, files={"allowed_signers": case.site.allowed_signers() + line})
    digest = manifest.sha256_bytes(made.manifest_bytes())
    text = verification.receipt_text("trial", made.seq, digest, made.manifest().time)
    with ledger.locked(case.path, "trial") as book:
        book.keep_receipt(made.seq, text, puppet.sign(text, verification.RECEIPT_NAMESPACE))


def give_up_the_second_signature(case: Case) -> None:
    case.add(Signer("engineer@v", case.folder / "engineer@v"))


def write_what_is_false(case: Case) -> None:
    case.add(case.engineer, files={"entry.json": to_bytes({"text": "we were on site at nine"})})


def sign_a_secret(case: Case) -> None:
    case.add(case.engineer, files={"entry.json": to_bytes({"text": "the password is hunter22"})})


def rewrite_what_nobody_has_seen(case: Case) -> None:
    last = case.entries()[-1]
    (last.path / "entry.json").write_bytes(to_bytes({"text": "it was otherwise"}))
    case.relist(last)


def forge_together(case: Case) -> None:
    """With the witness's key, and its list written anew."""
    sign_everything_anew(case)
    case.heads.unlink()
    case.receive()


@dataclass(frozen=True)
class Row:
    """An attack: its words in docs/evidence.md, what shows it, and what each verifier then says."""

    attack: str
    by: str
    plant: Callable[[Case], None]
    said: str = ""
    said_by_shell: str = ""


ROWS = [
    Row(
        "a field of a record is edited",
        ALONE,
        edit_a_field,
        "record.json is not the file that was signed",
        "record.json is not what was signed",
    ),
    Row(
        "a document is exchanged",
        ALONE,
        exchange_a_document,
        "is not the file that was signed",
        "is not what was signed",
    ),
    Row(
        "a file is added",
        ALONE,
        add_a_file,
        "extra.pdf is not listed in its MANIFEST",
        "extra.pdf: no MANIFEST lists this file",
    ),
    Row(
        "a file is deleted",
        ALONE,
        delete_a_file,
        "record.json is missing",
        "record.json is listed but missing",
    ),
    Row(
        "a file is replaced by a link",
        ALONE,
        put_a_link,
        "record.json is not a regular file",
        "is a link or a device",
    ),
    Row(
        "a field is edited and the MANIFEST made to fit",
        ALONE,
        edit_and_fix_the_manifest,
        "the signature of engineer@v does not hold",
        "the signature does not hold",
    ),
    Row(
        "an entry is signed by a key that nobody allowed",
        ALONE,
        sign_with_a_key_that_nobody_allowed,
        "the signature of engineer@v does not hold",
        "the signature does not hold",
    ),
    Row(
        "an entry is signed by a key that is allowed for something else",
        ALONE,
        sign_with_a_key_for_something_else,
        "the signature of witness@h does not hold",
        "the signature does not hold",
    ),
    Row(
        "a signature that was made for another purpose is used",
        ALONE,
        sign_for_another_purpose,
        "does not hold",
        "the signature does not hold",
    ),
    Row(
        "a key that has ended signs",
        ALONE,
        use_an_ended_key,
        "the signature of wang@h does not hold",
        "the signature does not hold for wang@h",
    ),
    Row(
        "a key brings itself into the list of keys",
        ALONE,
        bring_in_a_key,
        "the signature of stranger@v does not hold",
        "the signature does not hold for stranger@v",
    ),
    Row(
        "an entry in the middle is deleted",
        ALONE,
        delete_in_the_middle,
        "is missing before it",
        "missing: deleted",
    ),
    Row(
        "an entry is deleted and the rest renumbered",
        ALONE,
        delete_and_renumber,
        "its MANIFEST was signed for",
        "it was made for another place",
    ),
    Row(
        "two entries change places",
        ALONE,
        exchange_two_entries,
        "its MANIFEST was signed for",
        "it was made for another place",
    ),
    Row(
        "an entry is duplicated",
        ALONE,
        duplicate_an_entry,
        "its MANIFEST was signed for",
        "it was made for another place",
    ),
    Row(
        "an entry is renamed",
        ALONE,
        rename_an_entry,
        "its MANIFEST was signed for the run phone",
        "it was made for another place",
    ),
    Row(
        "the beginning is cut off",
        ALONE,
        cut_the_beginning,
        "the first entry is no genesis",
        "missing: deleted",
    ),
    Row(
        "an entry of another ledger is put in",
        ALONE,
        put_in_an_entry_of_another_ledger,
        "it belongs to the site else",
        "it was made for another place",
    ),
    Row(
        "something is put beside the entries",
        ALONE,
        put_something_beside,
        "it is not an entry",
        "is no entry",
    ),
    Row("a run is killed", ALONE, kill_a_run),
    Row(
        "the order in an open entry is exchanged",
        ALONE,
        exchange_the_order,
        "its order has 0 of 2 approvals",
        "its order has 0 of 2 approvals",
    ),
    Row(
        "an approval of another order is reused",
        ALONE,
        reuse_an_approval,
        "its order has 0 of 2 approvals",
        "its order has 0 of 2 approvals",
    ),
    Row(
        "an approval is taken away",
        ALONE,
        take_an_approval_away,
        "its order has 1 of 2 approvals",
        "its order has 1 of 2 approvals",
    ),
    Row(
        "one person's approval counts twice",
        ALONE,
        approve_twice,
        "its order has 1 of 2 approvals",
        "its order has 1 of 2 approvals",
    ),
    Row(
        "an acceptance is reused for another entry",
        ALONE,
        reuse_an_acceptance,
        "acceptance.json is of entry",
        "its acceptance is of entry",
    ),
    Row(
        "the vendor accepts its own work",
        ALONE,
        accept_his_own_work,
        "it was signed with a key that signs maintenance records",
        "signed by nobody who may accept",
    ),
    Row(
        "what was accepted is rewritten",
        ALONE,
        rewrite_what_was_accepted,
        "it names another MANIFEST of",
        "its acceptance is of another entry",
    ),
    Row(
        "a rewritten ledger keeps the witness's receipts",
        ALONE,
        rewrite_and_leave_the_receipts,
        "is not the one in the hospital's receipt",
        "is not the one that the hospital holds",
    ),
    Row("a receipt is forged", ALONE, forge_a_receipt, "the receipt does not hold", "it proves nothing"),
    Row(
        "an SM2 signature is taken away",
        ALONE,
        strip_the_second_signature,
        "MANIFEST.sm2sig is missing",
        "MANIFEST.sm2sig is missing",
    ),
    Row(
        "an SM2 signature is made by another key",
        ALONE,
        exchange_the_second_signature,
        "the SM2 signature of engineer@v does not hold",
        "the SM2 signature does not hold",
    ),
    Row("a checkpoint is removed", ALONE, remove_a_checkpoint, "is missing before it", "missing: deleted"),
    Row(
        "a checkpoint is removed and the rest signed anew",
        LIST,
        remove_a_checkpoint_and_sign_on,
        "not the one that the hospital holds",
        "not the one that the hospital holds",
    ),
    Row("the tail is cut off", LIST, cut_the_tail, "the ledger lacks it", "its tail was cut off"),
    Row(
        "the whole chain is signed anew with the vendor's own key",
        LIST,
        sign_everything_anew,
        "not the one that the hospital holds",
        "not the one that the hospital holds",
    ),
    Row("an entry is back-dated", LIST, back_date_an_entry),
    Row(
        "an ended key signs with an old date",
        LIST,
        use_an_ended_key_with_an_old_date,
        "the signature of wang@h does not hold",
        "the signature does not hold for wang@h",
    ),
    Row("a key is stolen, and entries are back-dated with it", LIST, nothing),
    Row(
        "the engineer names a witness of his own",
        LIST,
        name_a_witness_of_his_own,
        "the receipt does not hold",
        "it proves nothing",
    ),
    Row(
        "the SM2 signature is given up",
        LIST,
        give_up_the_second_signature,
        "MANIFEST.sm2sig is missing",
        "MANIFEST.sm2sig is missing",
    ),
    Row("two ledgers grow from one (a fork)", LIST, nothing),
    Row("a run beside the wrapper", NOTHING, nothing),
    Row("a host lies about itself", NOTHING, nothing),
    Row("a text is false", NOTHING, write_what_is_false),
    Row("what nobody has received yet is rewritten", NOTHING, rewrite_what_nobody_has_seen),
    Row("vendor and witness forge together", NOTHING, forge_together),
    Row("a secret that nothing betrays was signed", NOTHING, sign_a_secret),
]
BY_NAME = {row.attack: row for row in ROWS}


def rows(*by: str) -> list[object]:
    return [pytest.param(row, id=row.attack) for row in ROWS if row.by in by and row.said]


def told(path: Path, **options: Path) -> tuple[str, str]:
    """What both verifiers say of the faults; they agree whether there are any."""
    report = verification.verify(path, **options)
    names = {"signers": "--allowed-signers", "heads": "--heads", "sm2_signers": "--sm2-signers"}
    code, said = by_shell(path, *(item for name, value in options.items() for item in (names[name], value)))
    assert (code == 4) is bool(report.faults), (report.faults, said)
    faults = "\n".join(line for line in said.splitlines() if line.startswith("fault: "))
    return "\n".join(map(str, report.faults)), faults


def test_before_any_attack_both_verifiers_call_it_sound(case: Case) -> None:
    assert told(case.path, heads=case.heads) == ("", "")
    report = verification.verify(case.path)
    assert report.sm2_checked == report.entries == len(case.entries())
    assert report.receipts == report.entries - 1
    kinds = {entry.kind for entry in case.entries()}
    assert kinds == {"genesis", "open", "close", "entry", "checkpoint", "receipt"}


def test_the_document_has_each_row_and_no_other() -> None:
    """Its table and this one: the same attacks, shown by the same."""
    text = DOCUMENT.read_text(encoding="utf-8")
    written = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| ([^|]+?) \|$", text, re.MULTILINE)
    table = [(attack, by) for attack, by, _ in written if by in (ALONE, LIST, NOTHING)]
    assert table == [(row.attack, row.by) for row in ROWS]
    why = {attack: why for attack, by, why in written if by == NOTHING}
    assert all(len(text) > 30 for text in why.values()), "what cannot be detected is explained"


@pytest.mark.parametrize("row", rows(ALONE))
def test_the_ledger_alone_shows_it(case: Case, row: Row) -> None:
    row.plant(case)
    faults, by_sh = told(case.path)
    assert row.said in faults
    assert row.said_by_shell in by_sh


WITH: dict[str, Callable[[Case], dict[str, Path]]] = {
    "the engineer names a witness of his own": lambda case: {"signers": case.site.folder / "allowed_signers"},
    "the SM2 signature is given up": lambda case: {"sm2_signers": case.entries()[0].path / "sm2_signers"},
}


@pytest.mark.parametrize("row", rows(LIST))
def test_only_what_the_hospital_holds_shows_it(case: Case, row: Row) -> None:
    """Sound for whoever has the ledger alone, and said to be so only as far as can be seen."""
    if row.plant is use_an_ended_key_with_an_old_date:
        ended_first(case, row)
        return
    row.plant(case)
    assert told(case.path) == ("", "")
    assert verification.verify(case.path).blind_spots()
    faults, by_sh = told(case.path, **WITH.get(row.attack, lambda case: {"heads": case.heads})(case))
    assert row.said in faults
    assert row.said_by_shell in by_sh


def ended_first(case: Case, row: Row) -> None:
    row.plant(case)
    assert told(case.path) == ("", "")
    case.receive(time=ledger.now())
    faults, by_sh = told(case.path)
    assert row.said in faults
    assert row.said_by_shell in by_sh


def test_a_killed_run_shows_as_an_open_without_a_close(case: Case) -> None:
    kill_a_run(case)
    report = verification.verify(case.path)
    assert [name[7:] for name in report.unclosed] == ["open-20261123T100000Z-abcd-trial"]
    assert "open without a close" in by_shell(case.path)[1]


def test_a_back_dated_entry_is_named_once_the_hospital_has_received_it(case: Case) -> None:
    back_date_an_entry(case)
    assert told(case.path) == ("", "")
    (late,) = verification.verify(case.path).late
    assert "made offline, or back-dated" in late
    _, said = by_shell(case.path)
    assert "made without a connection, or back-dated" in said


def test_a_stolen_key_cannot_date_an_entry_before_its_loss(case: Case) -> None:
    """The thief says 2026-01-01; the hospital received nothing of the kind before the key was lost."""
    made = case.add(case.engineer)
    case.relist(made, time="2026-01-01T00:00:00Z")
    revoked = case.folder / "revoked"
    shutil.copy(case.folder / "engineer@v.pub", revoked)
    faults = verification.verify(
        case.path, heads=case.heads, revoked=revoked, revoked_since="2099-01-01T00:00:00Z"
    ).faults
    assert [fault.entry for fault in faults] == [entry.folder for entry in case.entries()[-2:]]
    options = ("--heads", case.heads, "--revoked", revoked, "--revoked-since", "2099-01-01T00:00:00Z")
    code, said = by_shell(case.path, *options)
    assert (code, said.count("fault: ")) == (4, 2)


def test_what_no_record_can_show_is_called_sound(case: Case) -> None:
    """With everything that the hospital holds. docs/evidence.md says so for each."""
    for row in ROWS:
        if row.by == NOTHING and row.plant is not forge_together:
            row.plant(case)
            assert told(case.path, heads=case.heads) == ("", ""), row.attack
    forge_together(case)
    assert told(case.path, heads=case.heads) == ("", "")
    assert json.loads((case.the("entry").path / "entry.json").read_bytes())["text"] == "the server  was off"


def test_a_fork_is_refused_by_the_witness() -> None:
    """Where it is tested, with the real witness.sh."""
    assert callable(test_witness_sh.test_a_fork_is_refused)
    assert callable(test_witness_sh.test_two_at_once_do_not_both_win)


def test_the_orders_of_this_ledger_were_really_carried_out(case: Case) -> None:
    records = [
        json.loads((entry.path / "record.json").read_bytes())
        for entry in case.entries()
        if entry.kind == "close"
    ]
    assert [record["outcome"] for record in records] == ["succeeded"] * len(records)
    assert len(opens_with_orders(case)) == 2
