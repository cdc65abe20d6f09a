"""What each command of runner.py does and prints. Results go to stdout, progress and notes to stderr."""

from __future__ import annotations

import json
import re
import sys
from argparse import Namespace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from maintenance import ledger, manifest, record, run, runbook, signing, site, variables, verification
from maintenance.errors import CallError, RefusedError, VerificationError
from maintenance.ledger import Entry
from maintenance.record import Finding, Record

_SEVERITIES = ("critical", "warning", "advice")
_SHOWN_FINDINGS = 12
_PUBLIC_KEY = re.compile(rb"(ssh|ecdsa|sk)-[\w@.-]+ AAAA")


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
    )
    outcome = run.execute(call)
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
                },
                ensure_ascii=False,
            )
        )
    else:
        _print_outcome(made, outcome.entry, outcome.documents)
    if made.outcome == "refused":
        return RefusedError.exit_code
    return 0 if made.outcome == "succeeded" else 1


def _print_outcome(made: Record, entry: Path, documents: list[Path], shown: int = _SHOWN_FINDINGS) -> None:
    print(f"{made.runbook.name} on {made.site}: {made.outcome} ({made.outcome_reason})")
    counts = made.verdict_counts()
    if counts:
        print("findings  " + ", ".join(f"{verdict} {count}" for verdict, count in counts.items()))
    bad = [
        (host, item)
        for host, found in made.evidence.items()
        for item in found
        if item.verdict in ("fail", "partial")
    ]
    bad.sort(key=lambda pair: _SEVERITIES.index(pair[1].severity))
    for host, item in bad[:shown]:
        print("  " + _finding_line(host, item))
    if len(bad) > shown:
        print(f"  … and {len(bad) - shown} more: ./runner.py show {entry}")
    print(f"record    {entry / 'record.json'}")
    for path in documents:
        print(f"document  {path}")


def _finding_line(host: str, item: Finding) -> str:
    line = f"{item.severity:<8}  {host}  {item.title} [{item.subject}]: {item.actual} ({item.expected})"
    return " ".join(line.split("\n"))[:200]


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
    entry = _entry(args)
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
    _print_outcome(made, entry.path, documents, shown=sys.maxsize)
    return 0


def countersign(args: Namespace) -> int:
    """The hospital's signature over an entry, brought into the chain as a receipt."""
    entry = _entry(args)
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


def _entry(args: Namespace) -> Entry:
    """The entry that the user named; a bare number or run id is looked up in the site's ledger."""
    given = Path(args.entry)
    if given.is_file():
        given = given.parent
    if given.is_dir() and manifest.FOLDER.fullmatch(given.resolve().name):
        path = given.resolve().parent
        return ledger.find_entry(path, given.resolve().name)
    path = Path(args.ledger).resolve() if args.ledger else site.load(args.site).ledger
    return ledger.find_entry(path, args.entry)
