"""`log`: what happens outside a run, as one signed entry each."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path

from maintenance import casework, contract, local_time, logbook, site
from maintenance.cases import Limits
from maintenance.casework import Given, Made, Where
from maintenance.commands.common import Given as NotEmpty
from maintenance.commands.common import Subparsers, add_common, add_ledger
from maintenance.site import Site


def declare(commands: Subparsers) -> None:
    """Its options."""
    command = commands.add_parser(
        "log",
        help="sign an entry of the logbook: a call, a visit, a training, a duty …",
        formatter_class=RawDescriptionHelpFormatter,
        epilog=_table(),
    )
    command.set_defaults(action=log)
    command.add_argument("what", metavar="WHAT", help="what it is; the table below lists all")
    command.add_argument("--until", action=NotEmpty, default="", metavar="WHEN", help="when it ended")
    command.add_argument(
        "--case", action=NotEmpty, default="", metavar="ID", help="the fault that it belongs to"
    )
    command.add_argument(
        "--field", action="append", default=[], metavar="NAME=VALUE", help="as the table below says"
    )
    add_writing(command)


def add_writing(command: ArgumentParser) -> None:
    """What every command takes that signs something in the engineer's own words."""
    command.add_argument("--site", required=True, help="a folder of inventories/")
    command.add_argument(
        "--at",
        action=NotEmpty,
        default="",
        metavar="WHEN",
        help="when it happened: '2026-11-23 14:05' (local) or RFC 3339; now, if not given",
    )
    command.add_argument("--text", action=NotEmpty, default="", help="whatever else is to be said")
    command.add_argument(
        "--attach", action="append", default=[], metavar="FILE", help="a file that is signed with it"
    )
    command.add_argument(
        "--offline", action=NotEmpty, default="", metavar="REASON", help="without the hospital's witness"
    )
    add_ledger(command)
    add_common(command)


def where_of(args: Namespace) -> Where:
    """The ledger that a call is about."""
    of_site = site.load(args.site)
    limits, most_person_days = _agreed(of_site)
    return Where(
        site=of_site,
        ledger=Path(args.ledger) if args.ledger else None,
        language=args.lang,
        offline=getattr(args, "offline", ""),
        limits=limits,
        most_person_days=most_person_days,
    )


def _agreed(of_site: Site) -> tuple[Limits, float | None]:
    """What the site's contract says that this needs: its limits, and the largest customisation that is free."""
    agreed = contract.load(of_site)
    if agreed is None:
        return {}, None
    free = set(logbook.KINDS["customisation"].clauses)
    most = [duty.shown.most_person_days for duty in agreed.duties if duty.id in free]
    return agreed.sla, next((days for days in most if days is not None), None)


def log(args: Namespace) -> int:
    """Check, sign, and say where it is."""
    kind = logbook.kind_of(args.what)
    given = Given(logbook.pairs(args.field), args.at, args.until, args.text, args.attach)
    made = casework.log(where_of(args), kind.name, given, args.case)
    if args.json:
        print(json.dumps(facts_of(made), ensure_ascii=False))
    else:
        print_made(f"{kind.en} ({kind.zh})", made)
    return 0


def facts_of(made: Made) -> dict[str, object]:
    """What --json tells of an entry that was made."""
    for note in made.notes:
        print(f"note: {note}", file=sys.stderr)
    return {
        "entry": str(made.entry.path),
        "what": made.facts.what,
        "at": made.facts.at,
        "recorded": made.facts.recorded,
        "case": made.facts.case,
        "attachments": [str(made.entry.path / info.file) for info in made.facts.attachments],
        "documents": [str(path) for path in made.documents],
    }


def print_made(title: str, made: Made) -> None:
    """What was signed, and every file that was made."""
    for note in made.notes:
        print(f"note: {note}", file=sys.stderr)
    facts = made.facts
    late = logbook.lateness(facts.until or facts.at, facts.recorded)
    until = f" to {local_time.minute(facts.until)}" if facts.until else ""
    print(f"{title}: {local_time.minute(facts.at)}{until}{f', {late}' if late else ''}")
    print(f"entry     {made.entry.path}")
    for info in facts.attachments:
        print(f"attached  {made.entry.path / info.file} ({info.title}, {info.bytes} bytes)")
    for path in made.documents:
        print(f"document  {path}")


def _table() -> str:
    lines = ["WHAT, with its fields (* required):"]
    for kind in logbook.KINDS.values():
        lines.append(f"  {kind.name}: {kind.zh} {kind.en} ({', '.join(kind.clauses)})")
        fields = [f"{'*' if field.required else ''}{field.name}" for field in kind.fields]
        lines.append(f"      {' '.join(fields)}{'; *--at *--until' if kind.spans else ''}")
    return "\n".join(lines).replace("%", "%%")
