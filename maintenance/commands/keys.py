"""`keys`: who may sign what for a site, until when, and whether this machine's key can."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from maintenance import bookkeeping, keys, ledger, manifest, site
from maintenance.commands.common import Subparsers, add_common
from maintenance.errors import MaintenanceError, RefusedError
from maintenance.keys import Line
from maintenance.signing import Signer
from maintenance.site import KEYS, Site

_COLUMNS = ("principal", "may sign", "from", "until", "state", "key")


def declare(commands: Subparsers) -> None:
    """Its options."""
    command = commands.add_parser("keys", help="who may sign what for a site, and until when")
    command.set_defaults(action=show_keys)
    command.add_argument("--site", default="self")
    add_common(command)


def show_keys(args: Namespace) -> int:
    """The site's keys, and whether this machine's would be refused (exit 3 where it would)."""
    of_site = site.load(args.site)
    now = ledger.now()
    own, problem = _own(of_site)
    lines: list[Line] = []
    notes: list[str] = []
    if own or not of_site.settings.self_issued_key or of_site.settings.key:
        with bookkeeping.signers_of(of_site) as signers:
            lines = keys.table(signers, now)
            if own and not problem:
                problem = keys.why_refused(signers, own, manifest.NAMESPACE, now)
            if own and not problem:
                notes = bookkeeping.note_on_key(of_site, own)
    notes += _notes(of_site, lines)
    facts = {
        "site": of_site.name,
        "allowed_signers": str(of_site.folder / of_site.settings.allowed_signers),
        "revoked": str(of_site.revoked) if of_site.revoked else None,
        "lines": [_facts(line, own) for line in lines],
        "own": {"principal": own.principal, "key": str(own.key), "fingerprint": own.fingerprint}
        if own
        else None,
        "refused": problem or None,
        "notes": notes,
    }
    if args.json:
        print(json.dumps(facts, ensure_ascii=False))
    else:
        _print(facts, lines, own)
    return RefusedError.exit_code if problem else 0


def _own(of_site: Site) -> tuple[Signer | None, str]:
    """This machine's signer, or why there is none. Looking makes no key."""
    settings = of_site.settings
    if settings.self_issued_key and not settings.key and not (KEYS / f"{of_site.name}_ed25519").exists():
        return None, ""
    try:
        signer, _ = of_site.signer()
        signer.fingerprint  # noqa: B018  (reads the key)
    except MaintenanceError as error:
        return None, str(error)
    return signer, ""


def _facts(line: Line, own: Signer | None) -> dict[str, Any]:
    return {**line.facts(), "this_machine": own is not None and line.public_key == own.public_key}


def _notes(of_site: Site, lines: list[Line]) -> list[str]:
    notes = [
        f"{line.principals}: ends in {line.days_left} days, at {line.valid_before}"
        for line in lines
        if line.days_left is not None and line.days_left <= keys.ENDS_SOON_DAYS
    ]
    notes += [
        f"{line.principals}: its line names no namespace, so its key may sign records, orders and receipts"
        for line in lines
        if line.namespaces is None
    ]
    if of_site.settings.self_issued_key and not of_site.settings.key:
        notes.append("self-issued key: good for trying things, worth nothing as evidence")
    held = ledger.signers_files(of_site.ledger)
    if held and lines and held[-1].read_bytes() != of_site.allowed_signers():
        notes.append(
            f"the list changed since {held[-1].parent.name}; the next entry takes it into the ledger"
        )
    return notes


def _print(facts: dict[str, Any], lines: list[Line], own: Signer | None) -> None:
    table = Table(box=None, pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, overflow="fold")
    for line in lines:
        mine = own is not None and line.public_key == own.public_key
        cells = (
            line.principals,
            (line.namespaces or "anything").replace("maintenance-", ""),
            _short(line.valid_after),
            _short(line.valid_before),
            line.state + (" (this machine)" if mine else ""),
            f"{line.key_type.removeprefix('ssh-')} {line.fingerprint}{' CA' if line.authority else ''}",
        )
        table.add_row(*map(escape, cells))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    print(f"list      {facts['allowed_signers']}")
    if facts["revoked"]:
        print(f"revoked   {facts['revoked']}")
    if own:
        print(f"this key  {own.key} ({own.principal}, {own.fingerprint})")
    elif not facts["refused"]:
        print("this key  none yet; the first run makes one of its own")
    for note in facts["notes"]:
        print(f"note      {note}")
    if facts["refused"]:
        print(f"REFUSED   {facts['refused']}")


def _short(instant: str | None) -> str:
    return instant.removesuffix("T00:00:00Z") if instant else "-"
