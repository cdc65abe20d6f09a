"""`countersign` and `acceptance`: the hospital's word on what was done, on one entry or on a whole period."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from maintenance import acceptance, bookkeeping, ledger, manifest, register, signing, site, verification
from maintenance.acceptance import Acceptance, Accepted
from maintenance.commands.common import Given, Subparsers, add_common, add_ledger, entry_named
from maintenance.errors import CallError, RefusedError
from maintenance.ledger import Entry
from maintenance.record import to_bytes
from maintenance.signing import SignatureError, Signers
from maintenance.site import Site


def declare(commands: Subparsers) -> None:
    """Their options."""
    command = commands.add_parser("countersign", help="the hospital's signature over an entry or a period")
    command.set_defaults(action=countersign)
    command.add_argument("--key", action=Given, default="", help="the hospital's SSH key")
    command.add_argument(
        "--signed",
        action=Given,
        default="",
        metavar="FILE",
        help="what `acceptance` wrote and the hospital signed elsewhere; its signature is FILE.sig",
    )
    _add_what(command)

    written = commands.add_parser(
        "acceptance", help="write what the hospital is to accept, to be signed with stock ssh-keygen"
    )
    written.set_defaults(action=write)
    written.add_argument("-o", "--output", action=Given, required=True, metavar="FILE")
    written.add_argument(
        "--by", action=Given, default="", metavar="PRINCIPAL", help="who is to sign, where that is known"
    )
    _add_what(written)


def _add_what(command: ArgumentParser) -> None:
    command.add_argument("entry", nargs="?", default="", help="its folder, number or run id")
    command.add_argument("--from", dest="first", action=Given, default="", metavar="DAY", help="YYYY-MM-DD")
    command.add_argument("--to", dest="last", action=Given, default="", metavar="DAY", help="the last day")
    command.add_argument("--verdict", choices=acceptance.VERDICTS, default="")
    command.add_argument("--remark", default="", help="a remark that is signed with it")
    command.add_argument("--site", default="self")
    add_ledger(command)
    add_common(command)


@dataclass(frozen=True)
class _About:
    """What an acceptance is about: the ledger and its site, and the entries that it names."""

    path: Path
    site: Site
    items: tuple[Accepted, ...] = ()
    period: tuple[str, str] | None = None


def countersign(args: Namespace) -> int:
    """The hospital's signature, brought into the chain as a receipt."""
    if bool(args.key) == bool(args.signed):
        raise CallError("either --key KEY, or --signed FILE with what the hospital signed elsewhere")
    if args.signed:
        return _bring(args)
    about = _about(args)
    key = Path(args.key).expanduser().resolve()
    if not key.is_file():
        raise CallError(f"the key {key} is not there")
    _require_sound(about.path)
    hospital = signing.Signer("", key)
    principal = _require_hospital(about, hospital.public_key)
    data = to_bytes(_compose(args, about, principal))
    signature = hospital.sign(data, acceptance.NAMESPACE)
    principal = _who_signed(about, data, signature, ledger.now())
    files: dict[str, bytes | Path] = {acceptance.FILE: data, acceptance.SIGNATURE: signature}
    if args.entry:  # verify.sh reads receipts too: an entry that the hospital accepted it has seen
        (item,) = about.items
        text = verification.receipt_text(about.site.name, item.seq, item.manifest_sha256, ledger.now())
        name = f"{ledger.RECEIPTS}/{item.seq:06d}.countersigned.receipt"
        files |= {name: text, f"{name}.sig": hospital.sign(text, acceptance.NAMESPACE)}
    return _append(args, about, files, principal)


def write(args: Namespace) -> int:
    """Write the exact bytes that the hospital is to sign."""
    about = _about(args)
    _require_sound(about.path)
    target = Path(args.output).expanduser().resolve()
    data = to_bytes(_compose(args, about, args.by))
    bookkeeping.redactor_of(about.site).check(data, target.name)
    try:
        with target.open("xb") as file:
            file.write(data)
            os.fsync(file.fileno())
    except FileExistsError:
        raise CallError(f"{target} is there already; an acceptance is never overwritten") from None
    except OSError as error:
        raise CallError(f"{target} cannot be written: {error.strerror}") from None
    if args.json:
        print(json.dumps({"file": str(target), "entries": len(about.items)}))
        return 0
    print(f"acceptance {target}")
    print(f"about      {len(about.items)} entries of {about.site.name}")
    print(f"to sign    ssh-keygen -Y sign -n {acceptance.NAMESPACE} -f KEY {target}")
    print(f"then       ./runner.py countersign --site {about.site.name} --signed {target}")
    return 0


def _bring(args: Namespace) -> int:
    """What the hospital signed elsewhere, after checking it."""
    if args.entry or args.first or args.last or args.verdict or args.remark:
        raise CallError("--signed FILE says itself what it is about; leave the rest away")
    data, signature, given = acceptance.read_signed(Path(args.signed).expanduser().resolve())
    of_site = site.load(args.site)
    about = _About(Path(args.ledger).resolve() if args.ledger else of_site.ledger, of_site, given.entries)
    if given.site != ledger.site_of(about.path) or given.site != of_site.name:
        raise RefusedError(f"{args.signed} is about the site {given.site}, not {of_site.name}: --site")
    _require_sound(about.path)
    if given.at > ledger.now():
        raise RefusedError(f"{args.signed} is dated {given.at}, which has not come yet")
    _require_same(given, about.path)
    try:
        _require_hospital(about, signing.key_of(signature))
    except SignatureError as error:
        raise RefusedError(f"the signature {args.signed}.sig does not hold: {error}") from None
    principal = _who_signed(about, data, signature, given.at)
    if given.by and given.by != principal:
        raise RefusedError(f"{args.signed} is for {given.by} to sign, and {principal} signed it")
    about = _About(about.path, of_site, given.entries, given.period)
    files: dict[str, bytes | Path] = {acceptance.FILE: data, acceptance.SIGNATURE: signature}
    return _append(args, about, files, principal)


def _require_same(given: Acceptance, path: Path) -> None:
    held = {item.entry.folder: item.sha256 for item in register.read(path)}
    wrong = acceptance.differences(given.entries, held, len(held) + 1)
    if wrong:
        raise RefusedError(f"what the hospital accepted is not what the ledger holds: {wrong[0]}")


def _about(args: Namespace) -> _About:
    """Which entries are meant; raises CallError where that is not said, or there are none."""
    if bool(args.entry) == bool(args.first or args.last):
        raise CallError("name one entry, or a period with --from DAY --to DAY")
    if args.entry:
        entry = entry_named(args)
        path = entry.path.parent
        return _About(path, site.load(ledger.site_of(path)), (acceptance.of_entry(entry),))
    first, last = _day(args.first, "--from"), _day(args.last, "--to")
    if first > last:
        raise CallError(f"--from {first} is after --to {last}")
    of_site = site.load(args.site)
    path = Path(args.ledger).resolve() if args.ledger else of_site.ledger
    items = acceptance.named(register.read(path), first, last)
    if not items:
        raise CallError(f"the ledger {path} has no entry from {first} to {last}")
    return _About(path, of_site, tuple(items), (first, last))


def _day(text: str, option: str) -> str:
    try:
        if len(text) == 10:
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise CallError(f"{option} takes a day such as 2026-11-23, not '{text[:40]}'")


def _compose(args: Namespace, about: _About, by: str) -> Acceptance:
    remark = bookkeeping.redactor_of(about.site).text(args.remark.strip())
    return Acceptance(
        site=about.site.name,
        period=about.period,
        entries=about.items,
        verdict=acceptance.judge(args.verdict, remark),
        remarks=remark,
        by=by,
        at=ledger.now(),
    )


def _require_sound(path: Path) -> None:
    report = verification.verify(path)
    if report.faults:
        raise RefusedError(f"the ledger does not verify, nothing was signed: {report.faults[0]}")


def _require_hospital(about: _About, public_key: str) -> str:
    """The principal that the hospital's list names for this key; raises RefusedError where it is nobody's word."""
    with bookkeeping.signers_of(about.site) as now_in_force:
        for signers in (now_in_force, Signers(ledger.signers_files(about.path)[-1])):
            named_for = signers.principals_named_for(acceptance.NAMESPACE)
            principals = [
                name for name in signers.principals(public_key, acceptance.NAMESPACE) if name in named_for
            ]
            engineers = bool(signers.principals(public_key, manifest.NAMESPACE))
            if engineers or principals:
                break
    if principals and not engineers:
        return principals[0]
    why = ": it signs maintenance records, and nobody accepts his own work" if engineers else ""
    file = about.site.folder / about.site.settings.allowed_signers
    raise RefusedError(
        f"the key {signing.fingerprint(public_key)} may not countersign{why}; the hospital adds one of its own to "
        f'{file}: NAME@HOSPITAL namespaces="{acceptance.NAMESPACE}" {"TYPE KEY" if engineers else public_key}'
    )


def _who_signed(about: _About, data: bytes, signature: bytes, when: str) -> str:
    """Whose signature it is, by the lists of the site and of the ledger; raises RefusedError where it does not hold."""
    with bookkeeping.signers_of(about.site) as now_in_force:
        held = [Signers(file, about.site.revoked) for file in reversed(ledger.signers_files(about.path))]
        try:
            return acceptance.who_signed(data, signature, [now_in_force, *held], when)
        except SignatureError as error:
            raise RefusedError(f"the hospital's signature does not hold: {error}") from None


def _append(args: Namespace, about: _About, files: dict[str, bytes | Path], principal: str) -> int:
    """The receipt in the chain, and what is printed of it."""
    name = f"{about.items[0].seq:06d}"
    if len(about.items) > 1:
        name += f"-{about.items[-1].seq:06d}"
    made, notes = bookkeeping.add_entry(about.site, "receipt", name, files, ledger_path=about.path)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    facts = acceptance.parse(_bytes(made), acceptance.FILE)
    if args.json:
        told = {
            "entry": str(made.path),
            "by": principal,
            "verdict": facts.verdict,
            "accepted": len(facts.entries),
        }
        print(json.dumps(told, ensure_ascii=False))
        return 0
    what = about.items[0].entry if len(about.items) == 1 else f"{len(about.items)} entries"
    print(f"countersigned {what} by {principal}: {facts.verdict}")
    print(f"receipt   {made.path}")
    return 0


def _bytes(entry: Entry) -> bytes:
    return manifest.read_regular(entry.path / acceptance.FILE)
