"""`verify` and `show`."""

from __future__ import annotations

import json
import re
import sys
from argparse import Namespace
from pathlib import Path

from maintenance import record, site, verification
from maintenance.commands.common import Given, Subparsers, add_common, add_ledger, entry_named, print_outcome
from maintenance.errors import CallError, VerificationError

_PUBLIC_KEY = re.compile(rb"(ssh|ecdsa|sk)-[\w@.-]+ AAAA")


def declare(commands: Subparsers) -> None:
    """Their options."""
    check = commands.add_parser("verify", help="is a ledger sound, and if not, what and where")
    check.set_defaults(action=verify)
    check.add_argument("ledger", nargs="?", default="")
    check.add_argument("--site", default="self")
    check.add_argument(
        "--heads", action=Given, default="", metavar="FILE", help="the hospital's list of heads"
    )
    check.add_argument(
        "--allowed-signers", action=Given, default="", metavar="FILE", help="whom the reader trusts"
    )
    check.add_argument("--revoked", action=Given, default="", metavar="FILE", help="revocation list (KRL)")
    add_common(check)

    shown = commands.add_parser("show", help="one entry in words")
    shown.set_defaults(action=show)
    shown.add_argument("entry", help="its folder, number or run id")
    shown.add_argument("--site", default="self")
    add_ledger(shown)
    add_common(shown)


def verify(args: Namespace) -> int:
    """Verify a ledger: exit 0 sound, 4 not."""
    path = Path(args.ledger).resolve() if args.ledger else site.load(args.site).ledger
    revoked = _revocation_list(args.revoked) if args.revoked else None
    signers = Path(args.allowed_signers) if args.allowed_signers else None
    heads = Path(args.heads) if args.heads else None
    report = verification.verify(path, heads=heads, signers=signers, revoked=revoked)
    if args.json:
        faults = [
            {"entry": fault.entry, "what": fault.what, "meaning": fault.meaning} for fault in report.faults
        ]
        print(
            json.dumps(
                {
                    "ledger": str(path),
                    "sound": report.sound,
                    "entries": report.entries,
                    "receipts": report.receipts,
                    "faults": faults,
                    "unclosed": report.unclosed,
                    "late": report.late,
                    "blind_spots": report.blind_spots(),
                },
                ensure_ascii=False,
            )
        )
        return 0 if report.sound else VerificationError.exit_code
    for fault in report.faults:
        print(f"FAULT  {fault}")
    for name in report.unclosed:
        print(
            f"note   {name}: open without a close: the run is under way, or it died and the next run will say so"
        )
    for text in report.late:
        print(f"note   {text}")
    for text in report.blind_spots():
        print(f"note   not visible from here: {text}")
    against = f", {report.heads} heads of the hospital" if report.heads is not None else ""
    result = "sound" if report.sound else f"NOT sound, {len(report.faults)} faults"
    print(f"{result}: {report.entries} entries, {report.receipts} receipts{against} in {path}")
    return 0 if report.sound else VerificationError.exit_code


def _revocation_list(name: str) -> Path:
    """The file, if it is one: with any other ssh-keygen would call every signature bad."""
    path = Path(name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CallError(f"the revocation list {path} cannot be read: {error.strerror}") from None
    lines = [line.strip() for line in data.splitlines()]
    keys = [line for line in lines if line and not line.startswith(b"#")]
    if not data.startswith(b"SSHKRL\n\0") and not (keys and all(map(_PUBLIC_KEY.match, keys))):
        raise CallError(
            f"{path} is not a revocation list: neither of ssh-keygen -k, nor public keys, one a line"
        )
    return path


def show(args: Namespace) -> int:
    """Print one entry."""
    entry = entry_named(args)
    files = {path.name: path for path in sorted(entry.path.glob("*.json"))}
    if not files:
        raise CallError(f"{entry.path} holds nothing to show")
    main = files.get("record.json") or next(iter(files.values()))
    if args.json:
        sys.stdout.write(main.read_text(encoding="utf-8"))
        return 0
    parsed = entry.manifest()
    print(f"entry     {entry.path}")
    print(f"signed    by {parsed.signer} at {parsed.time} (check it: ./runner.py verify {entry.path.parent})")
    if main.name != "record.json":
        print(main.read_text(encoding="utf-8"), end="")
        return 0
    made = record.from_bytes(main.read_bytes())
    print(f"run       {made.run}  {made.started} to {made.finished}  mode {made.mode}")
    if made.reason:
        print(f"reason    {made.reason}")
    for host in made.hosts:
        state = "reached" if host.reached else "NOT reached"
        print(f"host      {host.name}: {state}, ok {host.ok}, changed {host.changed}, failed {host.failed}")
    documents = sorted((entry.path / "documents").glob("*")) if (entry.path / "documents").is_dir() else []
    print_outcome(made, entry.path, documents, shown=sys.maxsize)
    return 0
