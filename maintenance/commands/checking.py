"""`verify` and `show`."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

from maintenance import acceptance, checkpoints, keys, ledger, manifest, record, register, site, verification
from maintenance.commands.common import Given, Subparsers, add_common, add_ledger, entry_named, print_outcome
from maintenance.errors import CallError, VerificationError
from maintenance.ledger import Entry
from maintenance.signing import Signers
from maintenance.site import Site


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
    check.add_argument(
        "--sm2-signers",
        action=Given,
        default="",
        metavar="FILE",
        help="the same for second signatures by SM2",
    )
    check.add_argument("--revoked", action=Given, default="", metavar="FILE", help="revocation list (KRL)")
    check.add_argument(
        "--revoked-since",
        action=Given,
        default="",
        metavar="TIME",
        help="when the revoked keys were lost: what the hospital had received before still counts",
    )
    add_common(check)

    shown = commands.add_parser("show", help="one entry in words")
    shown.set_defaults(action=show)
    shown.add_argument("entry", help="its folder, number or run id")
    shown.add_argument("--site", default="self")
    add_ledger(shown)
    add_common(shown)


def verify(args: Namespace) -> int:
    """Verify a ledger: exit 0 sound, 4 not."""
    of_site = None if args.ledger else site.load(args.site)
    path = of_site.ledger if of_site else Path(args.ledger).resolve()
    revoked = (
        keys.revocation_list(Path(args.revoked)) if args.revoked else of_site.revoked if of_site else None
    )
    since = args.revoked_since or (of_site.settings.revoked_since if of_site else "")
    signers = Path(args.allowed_signers) if args.allowed_signers else None
    heads = Path(args.heads) if args.heads else None
    report = verification.verify(
        path,
        heads=heads,
        signers=signers,
        sm2_signers=Path(args.sm2_signers) if args.sm2_signers else None,
        revoked=revoked,
        revoked_since=_instant(since) if since else "",
    )
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
                    "acceptances": report.acceptances,
                    "sm2_signatures": report.sm2_checked,
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
    for text in _days_without(of_site, path):
        print(f"note   {text}")
    against = f", {report.acceptances} acceptances" if report.acceptances else ""
    against += f", {report.heads} heads of the hospital" if report.heads is not None else ""
    against += f", {report.sm2_checked} SM2 signatures" if report.sm2_checked else ""
    result = "sound" if report.sound else f"NOT sound, {len(report.faults)} faults"
    print(f"{result}: {report.entries} entries, {report.receipts} receipts{against} in {path}")
    return 0 if report.sound else VerificationError.exit_code


def _days_without(of_site: Site | None, path: Path) -> list[str]:
    """Days without a checkpoint, where the site asks for one each day."""
    if of_site is None or of_site.settings.checkpoints != "daily":
        return []
    missing = checkpoints.missing_days(register.read(path), ledger.now())
    if not missing:
        return []
    shown = ", ".join(missing[-10:])
    return [f"{len(missing)} days have no checkpoint: {'… ' if missing[10:] else ''}{shown}"]


def _instant(text: str) -> str:
    if not manifest.is_instant(text):
        raise CallError(
            f"--revoked-since takes an instant such as 2026-11-22T13:00:00Z (UTC), not '{text[:40]}'"
        )
    return text


def show(args: Namespace) -> int:
    """Print one entry."""
    entry = entry_named(args)
    files = {path.name: path for path in sorted(entry.path.glob("*.json"))}
    if not files:
        raise CallError(f"{entry.path} holds nothing to show")
    main = files.get("record.json") or files.get(acceptance.FILE) or next(iter(files.values()))
    if args.json:
        sys.stdout.write(main.read_text(encoding="utf-8"))
        return 0
    parsed = entry.manifest()
    print(f"entry     {entry.path}")
    print(f"signed    by {parsed.signer} at {parsed.time} (check it: ./runner.py verify {entry.path.parent})")
    if entry.kind == "receipt" and main.name == acceptance.FILE:
        return _show_acceptance(entry)
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


def _show_acceptance(entry: Entry) -> int:
    """Who of the hospital accepted what, and whether that still holds; exit 4 where it does not."""
    path = entry.path.parent
    lists = [Signers(file) for file in reversed(ledger.signers_files(path))]
    try:
        held = acceptance.held_in(entry, ledger.entries(path), lists, ledger.site_of(path))
    except ValueError as error:
        raise VerificationError(f"{entry.folder}: {error}") from None
    facts = held.facts
    print(f"accepted  by {held.principal} at {facts['at']}: {facts['verdict']}")
    if facts.get("remarks"):
        print(f"remark    {facts['remarks']}")
    for item in facts.get("entries") or [facts]:
        print(f"entry     {item['entry']}  {item['manifest_sha256']}")
    return 0
