"""The page that verifies a pack, in a real browser: green for what is sound; of every attack what the command says."""

from __future__ import annotations

import json
import subprocess
import zipfile
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from chromium import Page, zipped
from ledger_builder import ENGINEER, RECEIPT, RECORD, WITNESS, Ledger, digest, make_key, public, receipt, sign
from selenium.webdriver.common.by import By
from test_change_document import an_order

from maintenance import verification
from maintenance.orders import Order
from maintenance.pack import build
from maintenance.record import to_bytes


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    made = {name: make_key(folder, name) for name in ("engineer", "stranger", "witness")}
    for name, kind in (
        ("rsa", ["rsa", "-b", "3072"]),
        ("ecdsa", ["ecdsa", "-b", "256"]),
        ("ecdsa521", ["ecdsa", "-b", "521"]),
    ):
        made[name] = folder / name
        command = ["ssh-keygen", "-q", "-t", *kind, "-N", "", "-C", name, "-f", str(made[name])]
        subprocess.run(command, check=True)
    return made


def a_ledger(folder: Path, key: Path, witness: Path) -> Ledger:
    """Nine entries, with receipts for the first six."""
    made = Ledger.create(folder, key, witness)
    made.run("20261122T130000Z-inspect")
    made.add(
        "entry", "phone-1", {"entry.json": '{"what": "phone"}\n', "attachments/scan.pdf": b"%PDF\x00" * 2000}
    )
    made.run("20261122T140000Z-patch")
    made.add("open", "20261122T150000Z-upgrade")
    made.add("abandoned", "20261122T150000Z-upgrade", {"abandoned.json": "{}\n", **made.receipts(witness, 6)})
    made.add("entry", "phone-2", {"entry.json": '{"what": "phone"}\n'})
    return made


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, Path]) -> Ledger:
    return a_ledger(tmp_path_factory.mktemp("sound") / "ledger", keys["engineer"], keys["witness"])


@pytest.fixture
def ledger(sound: Ledger, tmp_path: Path) -> Ledger:
    return sound.copy(tmp_path / "ledger")


def a_pack(ledger: Ledger, target: Path, **wanted: object) -> Path:
    """As the command makes it."""
    return build.write(build.Wanted(ledger.root, {}, "en", **wanted), target).path  # type: ignore[arg-type]


def unpacked(pack: Path, folder: Path) -> Path:
    with zipfile.ZipFile(pack) as archive:
        archive.extractall(folder)
    return folder


def test_a_sound_pack_is_amber_on_opening_and_green_when_its_files_were_read(
    browser: Page, ledger: Ledger, tmp_path: Path
) -> None:
    pack = a_pack(ledger, tmp_path / "pack.zip")
    folder = unpacked(pack, tmp_path / "unpacked")
    page = browser.open(folder / "verify.html")
    assert page.state == "partial", page.text("verdict")
    assert "No file has been read" in page.text("explained")
    page.give("zip", pack)
    assert (page.state, page.faults) == ("sound", [])
    assert "9 entries" in page.text("explained")


def test_the_unpacked_folder_does_as_well(browser: Page, ledger: Ledger, tmp_path: Path) -> None:
    folder = unpacked(a_pack(ledger, tmp_path / "pack.zip"), tmp_path / "unpacked")
    page = browser.open(folder / "verify.html").give("folder", folder)
    assert (page.state, page.faults) == ("sound", [])


def test_the_hospitals_own_copy_and_lists_verify_any_pack(
    browser: Page, ledger: Ledger, keys: dict[str, Path], tmp_path: Path
) -> None:
    own = tmp_path / "own.html"
    own.write_bytes(build.PAGE.read_bytes())
    (tmp_path / "heads").write_text(ledger.heads())
    (tmp_path / "allowed_signers").write_text(ledger.allowed_signers)
    page = browser.open(own)
    assert page.text("verdict") == "Nothing verified yet"
    page.give("zip", a_pack(ledger, tmp_path / "pack.zip"))
    page.give("heads", tmp_path / "heads")
    page.give("signers", tmp_path / "allowed_signers")
    assert (page.state, page.faults) == ("sound", [])
    (tmp_path / "allowed_signers").write_text(
        f'{ENGINEER} namespaces="{RECORD}" {public(keys["stranger"])}\n'
    )
    assert page.give("signers", tmp_path / "allowed_signers").state == "broken"


def test_a_pack_of_a_part_says_what_it_does_not_hold(browser: Page, ledger: Ledger, tmp_path: Path) -> None:
    ledger.now = ledger.now.replace(month=12)
    ledger.run("20261222T130000Z-inspect")
    pack = a_pack(ledger, tmp_path / "pack.zip", from_day="2026-12-01")
    page = browser.open(build.PAGE).give("zip", pack)
    assert (page.state, page.faults) == ("partial", [])
    assert "The files of 9 entries are not in this pack" in page.text("explained")


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_other_keys_verify_too(browser: Page, keys: dict[str, Path], tmp_path: Path, kind: str) -> None:
    made = a_ledger(tmp_path / "ledger", keys[kind], keys["witness"])
    page = browser.open(build.PAGE).give("zip", a_pack(made, tmp_path / "pack.zip"))
    assert (page.state, page.faults) == ("sound", [])
    made.entries[3].joinpath("MANIFEST.sig").write_bytes(
        made.entries[4].joinpath("MANIFEST.sig").read_bytes()
    )
    assert page.give("zip", zipped(made.root, tmp_path / "bad.zip")).state == "broken"


def test_a_key_that_a_browser_cannot_check_is_never_green(
    browser: Page, keys: dict[str, Path], tmp_path: Path
) -> None:
    made = a_ledger(tmp_path / "ledger", keys["ecdsa521"], keys["witness"])
    page = browser.open(build.PAGE).give("zip", a_pack(made, tmp_path / "pack.zip"))
    assert (page.state, page.faults) == ("partial", [])
    assert "9 signatures are by a type of key" in page.text("explained")


Plant = Callable[[Ledger, dict[str, Path]], None]


def edit_a_record(ledger: Ledger, _: dict[str, Path]) -> None:
    (ledger.entries[2] / "record.json").write_text('{"run": "other"}\n')


def edit_and_fix_the_list(ledger: Ledger, keys: dict[str, Path]) -> None:
    edit_a_record(ledger, keys)
    ledger.relist(ledger.entries[2])


def sign_with_a_strangers_key(ledger: Ledger, keys: dict[str, Path]) -> None:
    ledger.resign(ledger.entries[8], key=keys["stranger"])


def sign_for_another_purpose(ledger: Ledger, _: dict[str, Path]) -> None:
    ledger.resign(ledger.entries[8], namespace=RECEIPT)


def edit_a_manifest(ledger: Ledger, _: dict[str, Path]) -> None:
    path = ledger.entries[8] / "MANIFEST"
    path.write_text(path.read_text().replace("# time 2026", "# time 2025"))


def add_a_file(ledger: Ledger, _: dict[str, Path]) -> None:
    (ledger.entries[3] / "attachments" / "more.pdf").write_bytes(b"%PDF")


def delete_a_file(ledger: Ledger, _: dict[str, Path]) -> None:
    (ledger.entries[3] / "attachments" / "scan.pdf").unlink()
    (ledger.entries[3] / "attachments").rmdir()  # a zip has no empty folders


def exchange_a_document(ledger: Ledger, _: dict[str, Path]) -> None:
    (ledger.entries[2] / "documents" / "a.docx").write_bytes(b"PK\x03\x04 something else")


def delete_in_the_middle(ledger: Ledger, _: dict[str, Path]) -> None:
    _remove(ledger.entries[3])


def rename_an_entry(ledger: Ledger, _: dict[str, Path]) -> None:
    ledger.entries[3].rename(ledger.root / "000004-entry-phone-9")


def put_something_beside(ledger: Ledger, _: dict[str, Path]) -> None:
    (ledger.root / "<img src=x onerror=alert(1)>").write_text("x")


def forge_a_receipt(ledger: Ledger, keys: dict[str, Path]) -> None:
    text, signature = receipt(
        keys["stranger"], 9, digest((ledger.entries[8] / "MANIFEST").read_bytes()), ledger.at(9)
    )
    (ledger.root / "receipts").mkdir()
    (ledger.root / "receipts" / "000009.receipt").write_bytes(text)
    (ledger.root / "receipts" / "000009.receipt.sig").write_bytes(signature)


def rewrite_what_the_hospital_saw(ledger: Ledger, keys: dict[str, Path]) -> None:
    edit_and_fix_the_list(ledger, keys)
    ledger.relink(3)


def let_the_key_expire(ledger: Ledger, keys: dict[str, Path]) -> None:
    lines = f'{ENGINEER} namespaces="{RECORD}",valid-before="20200101Z" {public(keys["engineer"])}\n'
    lines += f'{WITNESS} namespaces="{RECEIPT}" {public(keys["witness"])}\n'
    ledger.add("entry", "signers", {"entry.json": "{}\n", "allowed_signers": lines})
    ledger.add("entry", "after", {"entry.json": "{}\n"})


PLANTS: list[Plant] = [
    edit_a_record,
    edit_and_fix_the_list,
    sign_with_a_strangers_key,
    sign_for_another_purpose,
    edit_a_manifest,
    add_a_file,
    delete_a_file,
    exchange_a_document,
    delete_in_the_middle,
    rename_an_entry,
    put_something_beside,
    forge_a_receipt,
    rewrite_what_the_hospital_saw,
    let_the_key_expire,
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_what_the_command_finds_the_page_finds(
    browser: Page, ledger: Ledger, keys: dict[str, Path], tmp_path: Path, plant: Plant
) -> None:
    plant(ledger, keys)
    expected = verification.verify(ledger.root).faults
    assert expected
    page = browser.open(build.PAGE).give("zip", zipped(ledger.root, tmp_path / "bad.zip"))
    assert page.state == "broken"
    assert sorted({fault.split(" ", 1)[0] for fault in page.faults}) == sorted(
        {fault.entry.split(" ", 1)[0] for fault in expected}
    ), (page.faults, expected)
    assert len(page.faults) == len(expected), (page.faults, expected)


def test_a_new_list_that_the_hospital_signed_is_followed_and_another_is_not(
    browser: Page, keys: dict[str, Path], tmp_path: Path
) -> None:
    """The engineer's old key is gone; the hospital's signature beside the new list brings the new one in."""
    made = Ledger.create(tmp_path / "ledger", keys["engineer"], keys["witness"])
    office = f'office@hospital namespaces="maintenance-signers" {public(keys["rsa"])}\n'
    made.add("entry", "office", {"entry.json": "{}\n", "allowed_signers": made.allowed_signers + office})
    new = f'{ENGINEER} namespaces="{RECORD}" {public(keys["stranger"])}\n{office}'.encode()
    made.key = keys["stranger"]
    files: dict[str, str | bytes] = {"entry.json": "{}\n", "allowed_signers": new}
    signed = files | {"allowed_signers.sig": sign(keys["rsa"], "maintenance-signers", new)}
    forged = made.copy(tmp_path / "forged")
    made.add("entry", "rotated", signed)
    made.run("20261122T130000Z-inspect")
    assert verification.verify(made.root).sound
    page = browser.open(build.PAGE).give("zip", a_pack(made, tmp_path / "pack.zip"))
    assert (page.state, page.faults) == ("sound", [])
    forged.add("entry", "rotated", files)
    assert not verification.verify(forged.root).sound
    page.give("zip", zipped(forged.root, tmp_path / "forged.zip"))
    assert page.state == "broken"
    assert "is not allowed to sign for" in page.faults[0]


ORDERED: list[tuple[tuple[str, ...], dict[str, object], str]] = [
    (("rsa", "ecdsa"), {}, ""),
    (("rsa",), {}, "it has 1 of 2 approvals"),
    (("rsa", "rsa"), {}, "it has 1 of 2 approvals"),
    (("rsa", "engineer"), {}, "it has 1 of 2 approvals"),
    (("rsa", "stranger"), {}, "it has 1 of 2 approvals"),
    (("rsa", "ecdsa"), {"hosts": ["db9"]}, "for other hosts"),
    (("rsa", "ecdsa"), {"runbook": "patch"}, "it is for trial on lab"),
    (("rsa", "ecdsa"), {"source": {"commit": "f" * 40}}, "for another commit"),
    (("rsa", "ecdsa"), {"order": {"sha256": "0" * 64}}, "names another order"),
    (("rsa", "ecdsa"), {"opened": "2026-11-22T18:00:00Z"}, "and was signed at"),
    (("rsa", "ecdsa"), {"window": "2026-11-22T14:25:00Z"}, "outside of its window"),
    (("rsa", "ecdsa"), {"rehearsal": "none"}, "is not in the ledger"),
    (("rsa", "ecdsa"), {"rehearsal": "failed"}, "is no rehearsal of it that succeeded"),
    (("rsa", "ecdsa"), {"rehearsal": "other"}, "is not what the rehearsal"),
    (("rsa", "ecdsa"), {"file": "none"}, "order.json is not in it"),
    (("rsa", "ecdsa"), {"times": 2}, "it was carried out already"),
]


@pytest.mark.parametrize(("approvers", "changed", "said"), ORDERED)
def test_an_order_that_does_not_cover_its_run_is_seen(
    browser: Page,
    keys: dict[str, Path],
    tmp_path: Path,
    approvers: tuple[str, ...],
    changed: dict[str, object],
    said: str,
) -> None:
    made = Ledger.create(tmp_path / "ledger", keys["engineer"], keys["witness"])
    people = [
        f'{name}@h namespaces="maintenance-order" {public(keys[name])}\n'
        for name in ("rsa", "ecdsa", "engineer")
    ]
    made.add(
        "entry", "people", {"entry.json": "{}\n", "allowed_signers": made.allowed_signers + "".join(people)}
    )
    order = an_order().order
    until = str(changed.get("window", order.window.to))
    order = order.model_copy(
        update={
            "engineer": order.engineer.model_copy(update={"principal": ENGINEER}),
            "window": order.window.model_copy(update={"to": until}),
        }
    )
    data = to_bytes(order)
    if (rehearsal := changed.get("rehearsal")) != "none":
        _rehearse(made, order, str(rehearsal or "succeeded"))
    opened = {
        "site": "lab",
        "runbook": "trial",
        "hosts": ["db1"],
        "opened": "2026-11-22T14:30:00Z",
        "source": order.source.model_dump(mode="json") | dict(changed.get("source", {})),  # type: ignore[call-overload]
        "order": changed.get("order", {"sha256": digest(data)}),
    }
    opened |= {name: changed[name] for name in ("hosts", "runbook", "opened") if name in changed}
    files: dict[str, str | bytes] = {"open.json": json.dumps(opened)}
    if changed.get("file") != "none":
        files["order.json"] = data
        files["order.json.engineer.sig"] = sign(keys["engineer"], RECORD, data)
        for number, name in enumerate(approvers):
            files[f"order.json.{number}.sig"] = sign(keys[name], "maintenance-order", data)
    made.now = made.now.replace(hour=14, minute=30)
    for number in range(int(str(changed.get("times", 1)))):
        made.add("open", f"20261122T14300{number}Z-trial", files)
        made.add("close", f"20261122T14300{number}Z-trial", {"record.json": '{"outcome": "succeeded"}\n'})
    expected = verification.verify(made.root).faults
    page = browser.open(build.PAGE).give("zip", zipped(made.root, tmp_path / "pack.zip"))
    assert page.state == ("broken" if said else "sound"), page.faults
    assert said in "".join(page.faults)
    assert [fault.split(" ", 1)[0] for fault in page.faults] == [fault.entry for fault in expected], expected


def _rehearse(made: Ledger, order: Order, outcome: str) -> None:
    """The rehearsal that the order's plan comes from; `other` found another plan."""
    changes = [change.model_dump() for change in order.plan.changes]
    facts = {
        "site": order.site,
        "runbook": {"name": order.runbook.name},
        "mode": "check",
        "outcome": "failed" if outcome == "failed" else "succeeded",
        "changes": changes[:1] if outcome == "other" else changes,
    }
    made.add("open", order.plan.run, {"open.json": "{}\n"})
    made.add("close", order.plan.run, {"record.json": json.dumps(facts)})


def test_a_second_signature_is_not_called_checked_and_its_loss_is_seen(
    browser: Page, keys: dict[str, Path], tmp_path: Path
) -> None:
    made = Ledger.create(tmp_path / "ledger", keys["engineer"], keys["witness"])
    private = tmp_path / "sm2.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "SM2", "-out", str(private)], check=True)
    pem = subprocess.run(
        ["openssl", "pkey", "-in", str(private), "-pubout"], check=True, capture_output=True
    ).stdout.decode()
    entry = made.add("entry", "sm2", {"entry.json": "{}\n", "sm2_signers": f"{ENGINEER}\n{pem}"})
    how = ["-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678", "-inkey", str(private)]
    signature = entry / "MANIFEST.sm2sig"
    subprocess.run(
        ["openssl", "pkeyutl", "-sign", *how, "-in", str(entry / "MANIFEST"), "-out", str(signature)],
        check=True,
    )
    page = browser.open(build.PAGE).give("zip", a_pack(made, tmp_path / "pack.zip"))
    assert (page.state, page.faults) == ("partial", [])
    assert "1 SM2 signatures cannot be checked in a browser" in page.text("explained")
    signature.unlink()
    page.give("zip", zipped(made.root, tmp_path / "stripped.zip"))
    assert page.state == "broken"
    assert "The second signature was taken away" in page.faults[0]


@pytest.mark.parametrize("attack", ["truncated", "signed anew"])
def test_what_only_the_hospitals_list_shows(
    browser: Page, keys: dict[str, Path], tmp_path: Path, attack: str
) -> None:
    made = Ledger.create(tmp_path / "ledger", keys["engineer"], keys["witness"])
    for number in range(3):
        made.run(f"20261122T13000{number}Z-inspect")
    heads = tmp_path / "heads"
    heads.write_text(made.heads())
    if attack == "truncated":
        for entry in made.entries[5:]:
            _remove(entry)
    else:
        (made.entries[2] / "record.json").write_text("{}\n")
        made.relist(made.entries[2])
        made.relink(3)
    page = browser.open(build.PAGE).give("zip", zipped(made.root, tmp_path / "bad.zip"))
    assert page.state == "sound"
    assert "show only against the hospital's own heads" in page.text("notes")
    page.give("heads", heads)
    assert page.state == "broken"
    assert len(page.faults) == len(verification.verify(made.root, heads=heads).faults)


@pytest.mark.parametrize(
    ("name", "data"), [("no.zip", b"not a zip"), ("cut.zip", None), ("empty.zip", b"PK\x05\x06" + bytes(18))]
)
def test_a_file_that_is_no_pack_is_named(
    browser: Page, ledger: Ledger, tmp_path: Path, name: str, data: bytes | None
) -> None:
    whole = a_pack(ledger, tmp_path / "pack.zip").read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: len(whole) // 2] if data is None else data)
    page = browser.open(build.PAGE).give("zip", path)
    assert page.state == "broken"
    assert name in page.text("verdict")


def test_nothing_in_a_ledger_becomes_markup(
    browser: Page, ledger: Ledger, keys: dict[str, Path], tmp_path: Path
) -> None:
    put_something_beside(ledger, keys)
    page = browser.open(build.PAGE).give("zip", zipped(ledger.root, tmp_path / "bad.zip"))
    assert page.driver.find_elements(By.CSS_SELECTOR, "img") == []
    assert any("<img src=x" in fault for fault in page.faults)


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def test_what_lies_beside_the_page_hands_over_data_and_cannot_touch_it(
    browser: Page, ledger: Ledger, tmp_path: Path
) -> None:
    """A reader who compared the page's digest must not be fooled by its neighbour."""
    edit_a_manifest(ledger, {})
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / "verify.html").write_bytes(build.PAGE.read_bytes())
    listed = [path for path in ledger.root.rglob("*") if path.name.startswith(("MANIFEST", "allowed"))]
    data = {
        "files": {str(p.relative_to(ledger.root)): b64encode(p.read_bytes()).decode() for p in listed},
    }
    attack = (
        "for (const lie of [() => { parent.document.documentElement.dataset.state = 'sound'; },"
        " () => { top.location = 'about:blank'; }, () => { parent.crypto.subtle.verify = () => true; }])"
        " { try { lie(); } catch { /* the sandbox holds */ } }"
    )
    (folder / "chain.html").write_text(
        f"<script>{attack}\nparent.postMessage({json.dumps(data)}, '*');</script>"
    )
    page = browser.open(folder / "verify.html")
    assert page.state == "broken"
    assert any("the signature of" in fault for fault in page.faults)


def test_a_sound_decoy_beside_the_ledger_fools_nobody(browser: Page, ledger: Ledger, tmp_path: Path) -> None:
    """The links of the start page lead into ledger/, so that must be what was verified."""
    pack = a_pack(ledger, tmp_path / "pack.zip")
    with zipfile.ZipFile(pack, "a") as archive:
        for path in sorted(ledger.root.rglob("*")):
            if path.is_file():
                archive.writestr(f"a/{path.relative_to(ledger.root)}", path.read_bytes())
    page = browser.open(build.PAGE).give("zip", pack)
    assert page.state == "broken"
    assert "there are two ledgers in it" in page.text("verdict")


@pytest.mark.parametrize("name", ["letter.pdf", "LEDGER/000001-genesis-lab/site.json", "../up.txt"])
def test_a_file_that_is_no_part_of_a_pack_is_named_and_never_green(
    browser: Page, ledger: Ledger, tmp_path: Path, name: str
) -> None:
    pack = a_pack(ledger, tmp_path / "pack.zip")
    with zipfile.ZipFile(pack, "a") as archive:
        archive.writestr(name, b"something")
    page = browser.open(build.PAGE).give("zip", pack)
    assert (page.state, page.faults) == ("partial", [])
    assert f"no part of a pack: {name}" in page.text("notes")


def test_a_zip_that_gives_other_programs_other_names_is_refused(
    browser: Page, ledger: Ledger, tmp_path: Path
) -> None:
    pack = a_pack(ledger, tmp_path / "pack.zip")
    with zipfile.ZipFile(pack) as archive:
        member = archive.getinfo(f"ledger/{ledger.entries[2].name}/record.json")
    data = bytearray(pack.read_bytes())
    name = slice(member.header_offset + 30, member.header_offset + 30 + len(member.filename))
    data[name] = member.filename.replace("record.json", "record_json").encode()
    pack.write_bytes(data)
    page = browser.open(build.PAGE).give("zip", pack)
    assert page.state == "broken"
    assert "stands under two names" in page.text("verdict")


def test_an_entry_without_any_of_its_files_is_named_and_never_green(
    browser: Page, ledger: Ledger, tmp_path: Path
) -> None:
    (ledger.entries[8] / "entry.json").unlink()
    page = browser.open(build.PAGE).give("zip", zipped(ledger.root, tmp_path / "bad.zip"))
    assert page.state == "partial"
    assert "Entries whose files are not in this pack: 000009" in page.text("notes")


@pytest.mark.parametrize("form", ["krl", "sha256", "sha1", "plain"])
def test_a_revoked_key_counts_for_what_the_hospital_had_before(
    browser: Page, ledger: Ledger, keys: dict[str, Path], tmp_path: Path, form: str
) -> None:
    """The first six entries have receipts; the others prove nothing once the key is lost."""
    revoked = tmp_path / "revoked"
    key = keys["engineer"].with_suffix(".pub").read_text()
    if form == "plain":
        revoked.write_text(key)
    else:
        listed = key if form == "krl" else f"{form}: {key}"
        (tmp_path / "listed").write_text(listed)
        make = ["ssh-keygen", "-q", "-k", "-f", str(revoked), str(tmp_path / "listed")]
        subprocess.run(make, check=True)
    since = "2027-01-01T00:00:00Z"
    pack = a_pack(ledger, tmp_path / "pack.zip")
    page = browser.open(build.PAGE).give("zip", pack)
    assert "No revocation list was given" in page.text("notes")
    page.give("revoked", revoked)
    expected = verification.verify(ledger.root, revoked=revoked).faults
    assert (page.state, len(page.faults)) == ("broken", len(expected))
    page.lost(since)
    expected = verification.verify(ledger.root, revoked=revoked, revoked_since=since).faults
    assert [fault.split(" ", 1)[0] for fault in page.faults] == [fault.entry for fault in expected]
    assert {fault.split(" ", 1)[0] for fault in page.faults} == {path.name for path in ledger.entries[6:]}


def test_a_revocation_list_that_cannot_be_read_is_said(browser: Page, ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "revoked").write_text("no list\n")
    page = browser.open(build.PAGE).give("zip", a_pack(ledger, tmp_path / "pack.zip"))
    assert page.give("revoked", tmp_path / "revoked").state == "broken"
    assert "it is no list of public keys" in page.text("verdict")


def test_times_worth_a_question_and_entries_not_held_are_noted(
    browser: Page, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.now = ledger.now.replace(year=2025)
    ledger.add("entry", "phone-3", {"entry.json": "{}\n"})
    heads = tmp_path / "heads"
    heads.write_text("".join(ledger.heads().splitlines(keepends=True)[:4]))
    told = verification.verify(ledger.root, heads=heads)
    page = browser.open(build.PAGE).give("zip", a_pack(ledger, tmp_path / "pack.zip"))
    page.give("heads", heads)
    assert page.state == "sound"
    notes = page.text("notes")
    assert told.late
    for line in told.late:
        assert line in notes
    assert "(not delivered yet, or made after the list was copied): 000005\u2013000010" in notes
    assert len(told.unheld) == 6


def test_an_engineer_cannot_receipt_himself(browser: Page, keys: dict[str, Path], tmp_path: Path) -> None:
    """A line without namespaces allows everything to ssh-keygen; a receipt needs a line that says so."""
    made = Ledger.create(tmp_path / "ledger", keys["engineer"], keys["witness"])
    loose = f"{ENGINEER} {public(keys['engineer'])}\n"
    made.add("entry", "loose", {"entry.json": "{}\n", "allowed_signers": loose})
    entry = made.add("entry", "phone", {"entry.json": "{}\n"})
    text, signature = receipt(keys["engineer"], 3, digest((entry / "MANIFEST").read_bytes()), made.at(3))
    made.add(
        "entry",
        "own",
        {"entry.json": "{}\n", "receipts/000003.receipt": text, "receipts/000003.receipt.sig": signature},
    )
    expected = verification.verify(made.root).faults
    assert expected
    page = browser.open(build.PAGE).give("zip", zipped(made.root, tmp_path / "bad.zip"))
    assert page.state == "broken"
    assert len(page.faults) == len(expected)


@pytest.mark.parametrize(
    ("signer", "facts", "said"),
    [
        ("witness", {}, ""),
        ("engineer", {}, "a key that signs maintenance records"),
        ("stranger", {}, "no line of allowed_signers lets this key accept"),
        ("witness", {"site": "other"}, "about another site"),
        ("witness", {"manifest_sha256": "0" * 64}, "another MANIFEST"),
        ("witness", {"entry": "000003-close-other"}, "does not hold before it"),
        ("witness", {"altered": True}, "its signature is wrong"),
    ],
)
def test_an_acceptance_is_checked_as_the_command_does(
    browser: Page, keys: dict[str, Path], tmp_path: Path, signer: str, facts: dict[str, object], said: str
) -> None:
    made = Ledger.create(tmp_path / "ledger", keys["engineer"], keys["witness"])
    _, close = made.run("20261122T130000Z-inspect")
    item = {
        "seq": 3,
        "entry": facts.get("entry", close.name),
        "manifest_sha256": facts.get("manifest_sha256", digest((close / "MANIFEST").read_bytes())),
    }
    told = {
        "schema": "maintenance-acceptance/2",
        "site": facts.get("site", "lab"),
        "entries": [item],
        "verdict": "accepted",
        "at": made.at(3),
    }
    data = json_bytes(told)
    signature = sign(keys[signer], RECEIPT, data)
    shown = json_bytes(told | {"remarks": "all of it"}) if facts.get("altered") else data
    made.add("receipt", "000003", {"acceptance.json": shown, "acceptance.json.sig": signature})
    assert verification.verify(made.root).sound == (not said)
    page = browser.open(build.PAGE).give("zip", zipped(made.root, tmp_path / "pack.zip"))
    assert page.state == ("broken" if said else "sound"), page.faults
    assert said in "".join(page.faults)


def json_bytes(facts: dict[str, object]) -> bytes:
    return (json.dumps(facts, ensure_ascii=False, sort_keys=True) + "\n").encode()
