"""`runbooks` and `run`."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from maintenance import left, ordering, orders, run, runbook, site, variables
from maintenance.commands.common import Given, Subparsers, add_common, add_ledger, positive, print_outcome
from maintenance.errors import RefusedError


def declare(commands: Subparsers) -> None:
    """Their options."""
    runbooks = commands.add_parser("runbooks", help="the table of runbooks")
    runbooks.set_defaults(action=list_runbooks)
    add_common(runbooks)

    run_ = commands.add_parser("run", help="run a runbook on a site and record it")
    run_.set_defaults(action=run_runbook)
    run_.add_argument("runbook")
    run_.add_argument("--site", required=True, help="a folder of inventories/")
    run_.add_argument("--check", action="store_true", help="change nothing, tell what would change")
    run_.add_argument("--reason", default="", help="why; required where the runbook changes something")
    add_inputs(run_)
    run_.add_argument("--forks", type=positive, default=0, metavar="N", help="hosts at a time")
    run_.add_argument(
        "--offline",
        action=Given,
        default="",
        metavar="REASON",
        help="go on without the hospital's witness, and say why",
    )
    run_.add_argument(
        "--order", action=Given, default="", metavar="FILE", help="the work order that the hospital approved"
    )
    run_.add_argument(
        "--emergency",
        action=Given,
        default="",
        metavar="TEXT",
        help="a change without an order, where waiting would harm: who of the hospital agreed, and how",
    )
    run_.add_argument("--case", action=Given, default="", metavar="ID", help="the fault that it belongs to")
    run_.add_argument("--quiet", action="store_true", help="no progress")
    add_ledger(run_)
    add_common(run_)


def add_inputs(command: ArgumentParser) -> None:
    """What a runbook is given: the same for a run and for the order that asks for it."""
    command.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a variable of the runbook"
    )
    command.add_argument(
        "--vars", action="append", default=[], metavar="FILE", help="variables from a YAML file"
    )
    command.add_argument(
        "--limit", action=Given, default="", metavar="HOSTS", help="only these hosts or groups"
    )


def list_runbooks(args: Namespace) -> int:
    """The table of runbooks."""
    books = runbook.load_all()
    if args.json:
        print(
            json.dumps(
                [{"name": book.name, **book.header.model_dump()} for book in books], ensure_ascii=False
            )
        )
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("name", "title", "changes", "undo", "approvals", "clauses"):
        table.add_column(column, overflow="fold")
    for book in books:
        header = book.header
        title = header.title.get(args.lang or "zh") or next(iter(header.title.values()))
        cells = (
            book.name,
            title,
            header.changes,
            header.undo,
            str(header.approvals),
            " ".join(header.clauses),
        )
        table.add_row(*map(escape, cells))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    return 0


def run_runbook(args: Namespace) -> int:
    """Run and record."""
    book = runbook.load(args.runbook)
    call = run.Call(
        runbook=args.runbook,
        site=site.load(args.site),
        check=args.check,
        reason=args.reason,
        limit=args.limit,
        forks=args.forks,
        extra_vars=variables.read(args.set, args.vars, book),
        ledger=Path(args.ledger) if args.ledger else None,
        offline=args.offline,
        language=args.lang,
        quiet=args.quiet,
        case=args.case,
        order=orders.read(Path(args.order).expanduser().resolve()) if args.order else None,
        emergency=args.emergency,
    )
    outcome = ordering.execute(call)
    for note in outcome.notes:
        print(f"note: {note}", file=sys.stderr)
    made = outcome.record
    if args.json:
        print(
            json.dumps(
                {
                    "entry": str(outcome.entry),
                    "outcome": made.outcome,
                    "documents": [str(path) for path in outcome.documents],
                    "findings": made.verdict_counts(),
                    "left": [
                        {"host": host, "kind": kind, "reason": reason, "checks": checks}
                        for host, kind, reason, checks in left.grouped(made.left)
                    ],
                },
                ensure_ascii=False,
            )
        )
    else:
        print_outcome(made, outcome.entry, outcome.documents)
    if made.outcome == "refused":
        return RefusedError.exit_code
    return 0 if made.outcome == "succeeded" else 1
