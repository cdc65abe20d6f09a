"""`checkpoint`: the ledger's daily sign of life."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from maintenance import bookkeeping, casework, checkpoints, contract, ledger, local_time, register, run, site
from maintenance.commands.common import Given, Subparsers, add_common, add_ledger
from maintenance.ledger import Book, Entry
from maintenance.record import to_bytes
from maintenance.site import Site


def declare(commands: Subparsers) -> None:
    """Their options."""
    daily = commands.add_parser("checkpoint", help="a signed entry each day, also when nothing ran")
    daily.set_defaults(action=checkpoint)
    daily.add_argument("--site", required=True, help="a folder of inventories/")
    daily.add_argument("--force", action="store_true", help="also where today has one already")
    daily.add_argument(
        "--offline", action=Given, default="", metavar="REASON", help="without the hospital's witness"
    )
    add_ledger(daily)
    add_common(daily)


class _MadeError(Exception):
    """Today has its checkpoint."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.folder)
        self.entry = entry


def checkpoint(args: Namespace) -> int:
    """Append today's checkpoint and deliver it to the witness; at most one a day."""
    of_site = site.load(args.site)
    path = Path(args.ledger).resolve() if args.ledger else of_site.ledger
    now = ledger.now()

    def files(book: Book) -> Mapping[str, bytes | Path]:
        items = list(register.read(book.path))
        held = checkpoints.made_today(items, now)
        if held and not args.force:
            raise _MadeError(held.entry)
        open_cases = _open_cases(of_site, book.path)
        facts = checkpoints.compose(of_site.name, items, now, open_cases=open_cases, clock=run.clock())
        return {"checkpoint.json": to_bytes(facts)}

    try:
        held = checkpoints.made_today(register.read(path), now)
        if held and not args.force:
            raise _MadeError(held.entry)
        name = local_time.day(now).replace("-", "")
        made, notes = bookkeeping.add_entry(
            of_site, "checkpoint", name, files, ledger_path=path, offline=args.offline
        )
    except _MadeError as already:
        if args.json:
            print(json.dumps({"entry": str(already.entry.path), "made": False}))
        else:
            print(f"today has its checkpoint: {already.entry.path} (another: --force)")
        return 0
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    text = json.loads((made.path / "checkpoint.json").read_text(encoding="utf-8"))["text"]
    if args.json:
        print(json.dumps({"entry": str(made.path), "made": True, "text": text}, ensure_ascii=False))
    else:
        print(f"checkpoint of {of_site.name}: {text}")
        print(f"entry     {made.path}")
    return 0


def _open_cases(of_site: Site, path: Path) -> int | None:
    """How many faults are open, where the site's contract says by which limits they are judged."""
    agreed = contract.load(of_site)
    if agreed is None:
        return None
    return sum(case.state != "closed" for case in casework.read_cases(path, agreed.sla))
