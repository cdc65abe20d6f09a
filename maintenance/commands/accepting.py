"""`countersign`: the hospital's word on what was done."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from maintenance import ledger, manifest, record, signing, site, verification
from maintenance.commands.common import Subparsers, add_common, add_ledger, entry_named
from maintenance.errors import CallError, RefusedError


def declare(commands: Subparsers) -> None:
    """Its options."""
    command = commands.add_parser("countersign", help="the hospital's signature over an entry")
    command.set_defaults(action=countersign)
    command.add_argument("--key", required=True, help="the hospital's SSH key")
    command.add_argument("--remark", default="", help="a remark that is signed with it")
    command.add_argument("entry", help="its folder, number or run id")
    command.add_argument("--site", default="self")
    add_ledger(command)
    add_common(command)


def countersign(args: Namespace) -> int:
    """The hospital's signature over an entry, brought into the chain as a receipt."""
    entry = entry_named(args)
    path = entry.path.parent
    of_site = site.load(ledger.site_of(path))
    key = Path(args.key).expanduser().resolve()
    if not key.is_file():
        raise CallError(f"the key {key} is not there")
    verification_report = verification.verify(path)
    if verification_report.faults:
        raise RefusedError(f"the ledger does not verify, nothing was signed: {verification_report.faults[0]}")
    hospital = signing.Signer("", key)
    current = signing.Signers(ledger.signers_files(path)[-1])
    principals = current.principals(hospital.public_key, verification.RECEIPT_NAMESPACE)
    signer, _ = of_site.signer()
    if not principals or hospital.public_key == signer.public_key:
        file = of_site.folder / of_site.settings.allowed_signers
        raise RefusedError(
            f"the key {hospital.fingerprint} may not countersign: the hospital adds it to {file}: "
            f'NAME@HOSPITAL namespaces="{verification.RECEIPT_NAMESPACE}" {hospital.public_key}'
        )
    digest = manifest.sha256_bytes(entry.manifest_bytes())
    text = verification.receipt_text(of_site.name, entry.seq, digest, ledger.now())
    facts = {
        "schema": "maintenance-acceptance/1",
        "site": of_site.name,
        "seq": entry.seq,
        "entry": entry.folder,
        "manifest_sha256": digest,
        "verdict": "accepted_with_remarks" if args.remark else "accepted",
        "remarks": args.remark,
        "by": principals[0],
        "at": ledger.now(),
    }
    name = f"{entry.seq:06d}"
    acceptance = record.to_bytes(facts)
    files: dict[str, bytes | Path] = {
        "acceptance.json": acceptance,
        "acceptance.json.sig": hospital.sign(acceptance, verification.RECEIPT_NAMESPACE),
        f"{ledger.RECEIPTS}/{name}.countersigned.receipt": text,
        f"{ledger.RECEIPTS}/{name}.countersigned.receipt.sig": hospital.sign(
            text, verification.RECEIPT_NAMESPACE
        ),
    }
    with ledger.locked(path, of_site.name) as book:
        made = book.append("receipt", name, files, signer=signer)
    print(f"countersigned {entry.folder} by {principals[0]}")
    print(f"receipt   {made.path}")
    return 0
