"""`pack`: the acceptance pack (4.5.1, 3.2.6.2)."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from datetime import date
from pathlib import Path

from maintenance import bookkeeping, contract, ledger, site
from maintenance.commands import status
from maintenance.commands.common import Given, Subparsers, add_common, add_ledger
from maintenance.errors import CallError, RefusedError
from maintenance.logbook import LogEntry
from maintenance.pack import build
from maintenance.record import to_bytes


def declare(commands: Subparsers) -> None:
    """Its options."""
    command = commands.add_parser(
        "pack", help="the acceptance pack: one zip that a browser opens and verifies"
    )
    command.set_defaults(action=pack)
    command.add_argument("--site", required=True, help="a folder of inventories/")
    command.add_argument(
        "--from", dest="from_day", action=Given, default="", metavar="DATE", help="first day, YYYY-MM-DD"
    )
    command.add_argument(
        "--to", dest="to_day", action=Given, default="", metavar="DATE", help="last day, YYYY-MM-DD"
    )
    command.add_argument(
        "--heads", action=Given, default="", metavar="FILE", help="the hospital's list of heads"
    )
    command.add_argument(
        "-o", "--output", action=Given, required=True, metavar="FILE", help="the pack, NAME.zip"
    )
    command.add_argument("--force", action="store_true", help="replace the file if it is there")
    add_ledger(command)
    add_common(command)


def pack(args: Namespace) -> int:
    """Verify the ledger, write the zip, print where it is."""
    of_site = site.load(args.site)
    target = Path(args.output).expanduser().resolve()
    if target.exists() and not args.force:
        raise CallError(f"{target} is there already; name another file, or --force")
    if not target.parent.is_dir():
        raise CallError(f"{target.parent} is not a folder; the pack cannot be written")
    days = [_day(name, text) for name, text in (("--from", args.from_day), ("--to", args.to_day))]
    if all(days) and days[0] > days[1]:
        raise CallError(f"--from {days[0]} is after --to {days[1]}")
    heads = Path(args.heads).expanduser().resolve() if args.heads else None
    path = (Path(args.ledger) if args.ledger else of_site.ledger).resolve()
    language = args.lang or of_site.settings.language
    agreed = contract.load(of_site)
    wanted = build.Wanted(
        ledger=path,
        facts=of_site.settings.facts.model_dump(),
        language=language,
        from_day=days[0],
        to_day=days[1],
        heads=heads,
        revoked=of_site.revoked,
        revoked_since=of_site.settings.revoked_since,
        cover=status.of(path, agreed, ledger.now(), of_site.name, language) if agreed else None,
    )
    try:
        made = build.write(wanted, target)
    except OSError as error:
        raise CallError(f"{target} cannot be written: {error.strerror}") from None
    try:
        entry = _record(of_site, path, made)
    except (CallError, RefusedError) as error:  # the hospital makes packs too, and has no engineer's key
        entry = ""
        print(f"note: not recorded in the ledger: {error}", file=sys.stderr)
    if args.json:
        facts = {
            "pack": str(made.path),
            "sha256": made.sha256,
            "entries": made.entries,
            "included": made.included,
            "files": made.files,
            "documents": made.documents,
            "entry": entry,
        }
        print(json.dumps(facts, ensure_ascii=False))
        return 0
    print(f"pack      {made.path}")
    print(f"sha256    {made.sha256}")
    print(
        f"holds     {made.included} of {made.entries} entries, {made.documents} documents, {made.first} to {made.last}"
    )
    print(
        "next      unpack it and open index.html; verify.html checks it in a browser, VERIFY.txt says how without one"
    )
    if not heads:
        print(
            "note: without the hospital's list (--heads FILE) a truncated tail cannot be seen",
            file=sys.stderr,
        )
    return 0


def _record(of_site: site.Site, path: Path, made: build.Pack) -> str:
    """Sign into the ledger that the pack was made, where there is an engineer's key here; returns the entry's path."""
    facts = LogEntry(
        what="pack",
        site=of_site.name,
        at=ledger.now(),
        until=None,
        case=None,
        clauses=["4.5.1", "3.2.6.2"],
        text=made.path.name,
        fields={
            "sha256": made.sha256,
            "entries": f"{made.included}/{made.entries}",
            "first": made.first,
            "last": made.last,
        },
        attachments=[],
        operator=bookkeeping.operator(of_site),
        recorded=ledger.now(),
    )
    name = f"pack-{made.sha256[:12]}"
    entry, notes = bookkeeping.add_entry(
        of_site, "entry", name, {"entry.json": to_bytes(facts)}, ledger_path=path
    )
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return str(entry.path)


def _day(name: str, text: str) -> str:
    if not text:
        return ""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise CallError(f"{name} takes a day as 2026-11-23, not '{text[:40]}'") from None
