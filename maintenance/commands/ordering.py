"""`order` and `approve`: what is to be done, and the hospital's word on it (4.1.3)."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

from maintenance import bookkeeping, ledger, ordering, orders, run, runbook, site, variables
from maintenance.commands.common import Given, Subparsers, add_common, add_ledger, positive
from maintenance.commands.running import add_inputs
from maintenance.errors import CallError


def declare(commands: Subparsers) -> None:
    """Their options."""
    order = commands.add_parser(
        "order", help="a work order: rehearse a runbook and ask the hospital to approve it"
    )
    order.set_defaults(action=make_order)
    order.add_argument("runbook")
    order.add_argument("--site", required=True, help="a folder of inventories/")
    order.add_argument(
        "--window",
        action=Given,
        required=True,
        metavar="FROM/TO",
        help="when it may begin: '2026-11-23 22:00/2026-11-24 02:00', local time or RFC 3339",
    )
    order.add_argument(
        "--notified",
        action=Given,
        required=True,
        metavar="TEXT",
        help="who of the hospital was told, how, when",
    )
    order.add_argument("--reason", action=Given, required=True, metavar="TEXT", help="why it is to be done")
    order.add_argument(
        "-o", "--output", action=Given, required=True, metavar="FILE", help="the order, order.json"
    )
    order.add_argument("--case", action=Given, default="", metavar="ID", help="the fault that it belongs to")
    add_inputs(order)
    order.add_argument("--forks", type=positive, default=0, metavar="N", help="hosts at a time")
    order.add_argument(
        "--offline",
        action=Given,
        default="",
        metavar="REASON",
        help="rehearse without the hospital's witness",
    )
    order.add_argument("--quiet", action="store_true", help="no progress")
    add_ledger(order)
    add_common(order)

    approve = commands.add_parser("approve", help="show an order and sign it with the hospital's key")
    approve.set_defaults(action=approve_order)
    approve.add_argument("order", help="order.json, with the engineer's signature beside it")
    approve.add_argument("--key", action=Given, required=True, help="the hospital's SSH key")
    add_common(approve)


def make_order(args: Namespace) -> int:
    """Rehearse on the hosts, write the order and the engineer's signature."""
    book = runbook.load(args.runbook)
    of_site = site.load(args.site)
    target = Path(args.output).expanduser().resolve()
    ordering.check_target(target)
    window = orders.parse_window(args.window)
    call = run.Call(
        runbook=args.runbook,
        site=of_site,
        check=True,
        reason=args.reason,
        limit=args.limit,
        forks=args.forks,
        extra_vars=variables.read(args.set, args.vars, book),
        ledger=Path(args.ledger) if args.ledger else None,
        offline=args.offline,
        language=args.lang,
        quiet=args.quiet,
        case=args.case,
    )
    given, rehearsal = ordering.make(call, window, args.notified)
    for note in rehearsal.notes:
        print(f"note: {note}", file=sys.stderr)
    if not given.order.source.clean:
        print(
            "note: this checkout has uncommitted changes, or is none; the order binds its files by their digest",
            file=sys.stderr,
        )
    written = ordering.write(given, target)
    documents, why = ordering.write_document(given, target, args.lang or of_site.settings.language)
    if why:
        print(f"note: no PDF: {why}", file=sys.stderr)
    if args.json:
        facts = {
            "order": str(target),
            "id": given.order.id,
            "sha256": given.sha256,
            "approvals": given.order.approvals,
            "changes": len(given.order.plan.changes),
            "documents": [str(path) for path in documents],
            "rehearsal": str(rehearsal.entry),
        }
        print(json.dumps(facts, ensure_ascii=False))
        return 0
    print("\n".join(given.order.summary))
    for path in written:
        print(f"{'order' if path == target else 'signature':<9} {path}")
    for path in documents:
        print(f"document  {path}")
    print(f"rehearsal {rehearsal.entry}")
    if given.order.approvals:
        print(
            f"next      {given.order.approvals} approval(s) of the hospital: runner.py approve {target} --key KEY, or "
            f"ssh-keygen -Y sign -n {orders.NAMESPACE} -f KEY {target}"
        )
    return 0


def approve_order(args: Namespace) -> int:
    """Print what is approved, and sign exactly those bytes."""
    path = Path(args.order).expanduser().resolve()
    of_site = site.load(orders.read(path).order.site)
    key = Path(args.key).expanduser().resolve()
    if not key.is_file():
        raise CallError(f"the key {key} is not there")
    with bookkeeping.signers_of(of_site) as signers:
        given, principal, target = ordering.approve(
            path, key, signers, ledger.now(), lambda shown: None if args.json else _show(shown)
        )
        held = orders.approvals(given, signers, ledger.now()).principals
    if args.json:
        facts = {
            "order": str(path),
            "approved_by": principal,
            "signature": str(target),
            "approvals": held,
            "needed": given.order.approvals,
        }
        print(json.dumps(facts, ensure_ascii=False))
        return 0
    print(f"approved  by {principal}; {len(held)} of {given.order.approvals} needed: {', '.join(held)}")
    print(f"signature {target}")
    return 0


def _show(given: orders.OrderFile) -> None:
    print("\n".join(given.order.summary), flush=True)
