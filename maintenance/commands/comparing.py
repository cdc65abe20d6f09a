"""`compare`: the ledger against what the hospital holds and what its hosts saw; `checkpoint`: a sign of life a day."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maintenance import (
    bookkeeping,
    casework,
    checkpoints,
    comparison_run,
    contract,
    ledger,
    local_time,
    register,
    run,
    site,
    verification,
)
from maintenance.commands.common import Given, Subparsers, add_common, add_ledger
from maintenance.errors import CallError, VerificationError
from maintenance.ledger import Book, Entry
from maintenance.record import to_bytes
from maintenance.site import Site


def declare(commands: Subparsers) -> None:
    """Their options."""
    against = commands.add_parser(
        "compare", help="the ledger against the hospital's list, and against the logins"
    )
    against.set_defaults(action=compare)
    against.add_argument("--site", required=True, help="a folder of inventories/")
    against.add_argument(
        "--heads",
        action=Given,
        default="",
        metavar="FILE",
        help="the hospital's list; else its witness is asked",
    )
    against.add_argument(
        "--since",
        action=Given,
        default="",
        metavar="WHEN",
        help="logins from then on; else since the last comparison",
    )
    against.add_argument(
        "--no-hosts", action="store_true", help="only the ledger against the hospital's list"
    )
    against.add_argument(
        "--offline", action=Given, default="", metavar="REASON", help="without the hospital's witness"
    )
    against.add_argument("--quiet", action="store_true", help="no progress")
    add_ledger(against)
    add_common(against)

    daily = commands.add_parser("checkpoint", help="a signed entry each day, also when nothing ran")
    daily.set_defaults(action=checkpoint)
    daily.add_argument("--site", required=True, help="a folder of inventories/")
    daily.add_argument("--force", action="store_true", help="also where today has one already")
    daily.add_argument(
        "--offline", action=Given, default="", metavar="REASON", help="without the hospital's witness"
    )
    add_ledger(daily)
    add_common(daily)


def compare(args: Namespace) -> int:
    """Exit 0 where everything is explained, 1 where something is not or is unknown, 4 where the ledger is at fault."""
    of_site = site.load(args.site)
    call = comparison_run.Call(
        site=of_site,
        ledger=Path(args.ledger).resolve() if args.ledger else of_site.ledger,
        heads=Path(args.heads).expanduser().resolve() if args.heads else None,
        since=_instant(args.since) if args.since else "",
        offline=args.offline,
        language=args.lang or of_site.settings.language,
        quiet=args.quiet,
    )
    report, heads = comparison_run.against_heads(call)
    if report.faults:
        return _faults(args, report)
    if args.no_hosts:
        return _heads_only(args, call, heads)
    done = comparison_run.against_logins(call, heads)
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)
    told = done.facts["comparison"]
    code = 0 if done.result.all_explained and heads["state"] != "unreachable" else 1
    if args.json:
        documents = [str(path) for path in done.documents]
        print(json.dumps({"entry": str(done.entry), "documents": documents, **told}, ensure_ascii=False))
        return code
    print(_heads_line(heads))
    for name, row in told["hosts"].items():
        print(f"host      {name}: {_host_line(row)}")
    for row in told["unexplained"]:
        who = row["engineer"] if row["engineer"] != "?" else f"an engineer's account, by {row['method']}"
        stayed = f", with a run, and stayed until {row['ended']}" if row["stayed"] else ""
        print(f"UNEXPLAINED  {row['time']}  {row['host']}  {row['user']} from {row['source']}  {who}{stayed}")
    for row in told["other"]:
        print(
            f"other key {row['host']}  {row['user']} from {row['source']}  {row['logins']} times, last {row['last']}"
        )
    counts = told["counts"]
    print(
        f"logins    {counts['explained']} explained, {counts['unexplained']} not, {counts['other']} with other keys"
    )
    print(f"entry     {done.entry}")
    for path in done.documents:
        print(f"document  {path}")
    return code


def _instant(text: str) -> str:
    try:
        given = local_time.read(text)
    except ValueError as error:
        raise CallError(f"--since: '{text[:40]}' is {error}") from None
    if given > ledger.now():
        raise CallError(f"--since: {local_time.minute(given)} has not come yet")
    return given


def _faults(args: Namespace, report: verification.Report) -> int:
    if args.json:
        faults = [
            {"entry": fault.entry, "what": fault.what, "meaning": fault.meaning} for fault in report.faults
        ]
        print(json.dumps({"sound": False, "heads": report.heads, "faults": faults}, ensure_ascii=False))
    else:
        for fault in report.faults:
            print(f"FAULT  {fault}")
        print(
            f"NOT sound, {len(report.faults)} faults: {report.ledger}; no host was asked, and nothing was written. "
            "Keep ledger and witness as they are"
        )
    return VerificationError.exit_code


def _heads_only(args: Namespace, call: comparison_run.Call, heads: dict[str, Any]) -> int:
    if args.json:
        print(json.dumps({"sound": True, "heads": heads, "ledger": str(call.ledger)}, ensure_ascii=False))
    else:
        print(_heads_line(heads))
    return 1 if heads["state"] == "unreachable" else 0


def _heads_line(heads: dict[str, Any]) -> str:
    if heads["state"] == "agrees":
        unheld = f", {heads['unheld']} not delivered yet" if heads["unheld"] else ""
        return f"heads     the ledger agrees with the hospital's list of {heads['count']}{unheld}"
    return f"heads     not compared: {heads['why']}"


def _host_line(row: dict[str, Any]) -> str:
    if not row["read"]:
        return f"UNKNOWN, its log was not read: {row['problem']}"
    gap = (
        f", UNKNOWN in part: {row['problem'] or 'its log begins at ' + row['reaches_back_to']}"
        if row["gap"]
        else ""
    )
    clock = f", its clock is off by {row['offset_seconds']} s" if row["offset_seconds"] else ""
    counts = f"{row['explained']} explained, {row['unexplained']} not, {row['other']} with other keys"
    return f"{counts} since {row['since']}{gap}{clock}"


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
