"""A comparison from its call to its signed entry: the hospital's list, the hosts' logins, the judgement, the document."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from maintenance import (
    bookkeeping,
    compare,
    inventory,
    ledger,
    local_time,
    manifest,
    register,
    run,
    runbook,
    signing,
    verification,
)
from maintenance import witness as witnesses
from maintenance.compare import HostLog
from maintenance.errors import CallError
from maintenance.ledger import Book
from maintenance.record import Record, to_bytes
from maintenance.signing import Signers
from maintenance.site import Site
from maintenance.verification import Report
from maintenance.witness import WitnessError

RUNBOOK = "collect_logins"
CLAUSES = ["4.1.3", "4.1.5"]


@dataclass(frozen=True)
class Call:
    """What the user asked for."""

    site: Site
    ledger: Path
    heads: Path | None
    since: str
    offline: str
    language: Literal["zh", "en"]
    quiet: bool


@dataclass(frozen=True)
class Done:
    """What a comparison left."""

    entry: Path
    facts: dict[str, Any]
    result: compare.Result
    documents: list[Path]
    notes: list[str]


def against_heads(call: Call) -> tuple[Report, dict[str, Any]]:
    """Verify the ledger, against the hospital's list where there is one; the report, and what to say of the list."""
    settings = call.site.settings.witness
    asked = ""
    with tempfile.TemporaryDirectory(prefix="maintenance-heads-") as folder:
        file, why = call.heads, ""
        if file is None and settings is not None and not call.offline:
            asked, listed = ledger.now(), Path(folder) / "heads"
            try:
                found = witnesses.heads(settings, transport=witnesses.ssh_command(settings, call.site.folder))
                listed.write_text("".join(f"{head.seq} {head.sha256} {head.time}\n" for head in found))
                file = listed
            except WitnessError as error:
                why = str(error)
        report = verification.verify(
            call.ledger,
            heads=file,
            revoked=call.site.revoked,
            revoked_since=call.site.settings.revoked_since,
        )
    facts: dict[str, Any] = {"asked": asked or None, "count": report.heads or 0, "unheld": len(report.unheld)}
    if report.heads is not None:
        return report, {**facts, "state": "agrees", "source": "file" if call.heads else "witness"}
    why = why or (f"offline: {call.offline}" if call.offline and settings else "")
    state = "unreachable" if why else "not_compared"
    return report, {
        **facts,
        "state": state,
        "why": why or "the site has no witness, and no --heads was given",
    }


def against_logins(call: Call, heads: Mapping[str, Any]) -> Done:
    """Read the hosts' logins by a recorded run, judge them, and sign what came of it."""
    known = _known(call)
    book = runbook.load(RUNBOOK)
    hosts = inventory.read(call.site.folder, book.hosts, "", call.site.vault_password_file).hosts
    since = compare.since_of(register.read(call.ledger), hosts)
    if call.since:
        since = dict.fromkeys(since, call.since)
    outcome = run.execute(
        run.Call(
            runbook=RUNBOOK,
            site=call.site,
            extra_vars={"login_collection_since": min(since[host] for host in hosts)},
            ledger=call.ledger,
            offline=call.offline,
            language=call.language,
            quiet=call.quiet,
        )
    )
    logs = _logs(call, outcome.record, outcome.entry, since)
    user = call.site.settings.witness.user if call.site.settings.witness else ""
    told = compare.windows(register.read(call.ledger), min(since.values()), ledger.now(), user)
    if heads.get("asked") and user:
        told.append(compare.asked_witness(str(heads["asked"]), user, "compare"))
    result = compare.judge(logs, known, told, call.site.settings.logins)
    made = _sign(call, result, known, heads, outcome.record)
    return Done(made.entry, made.facts, result, made.documents, [*outcome.notes, *made.notes])


def _known(call: Call) -> dict[str, str]:
    """Keys of engineers: all that the site or the ledger ever let sign records, and those that the site names."""
    listed: list[tuple[str, str]] = []
    with bookkeeping.signers_of(call.site) as now_in_force:
        for signers in (*map(Signers, ledger.signers_files(call.ledger)), now_in_force):
            for line in signers.lines:
                namespaces = (line.options or {}).get("namespaces") or "*"
                if signing.pattern_list(namespaces, manifest.NAMESPACE):
                    listed.append((line.principals, f"{line.key_type} {line.base64_key}"))
    try:
        return compare.known_keys(listed, call.site.settings.logins, call.site.folder)
    except ValueError as error:
        raise CallError(f"{call.site.folder}/site.yml: {error}") from None


def _logs(call: Call, record: Record, entry: Path, since: Mapping[str, str]) -> list[HostLog]:
    """What each host told, out of the attachments of the run; a host that told nothing is unknown, with the reason."""
    files = {info.title: entry / info.file for info in record.attachments}
    tolerance = call.site.settings.logins.tolerance_seconds
    logs = []
    for host, start in sorted(since.items()):
        file = files.get(f"{host}: login_history")
        if file is not None:
            snapshot = json.loads(file.read_text(encoding="utf-8"))
            span = (record.started, record.finished)
            logs.append(compare.read_host(host, snapshot, start, span, tolerance))
            continue
        if host not in record.hosts_expected:
            why = "it is no longer in the inventory"
        else:
            why = next((step.message for step in record.steps if step.host == host and step.message), "")
        logs.append(HostLog(host, start, problem=why or record.outcome_reason))
    return logs


@dataclass(frozen=True)
class _Made:
    entry: Path
    facts: dict[str, Any]
    documents: list[Path]
    notes: list[str]


def _sign(
    call: Call,
    result: compare.Result,
    known: Mapping[str, str],
    heads: Mapping[str, Any],
    record: Record,
) -> _Made:
    """The entry with its document, Word and, where LibreOffice is, PDF."""
    from maintenance.documents import logins, pdf
    from maintenance.documents.inspection import EntryFacts

    redactor = bookkeeping.redactor_of(call.site)
    tolerance = call.site.settings.logins.tolerance_seconds
    until = max((log.until for log in result.hosts if log.until), default=record.started)
    counts = {verdict: len(result.of(verdict)) for verdict in ("explained", "unexplained", "other")}
    facts: dict[str, Any] = redactor.value(
        {
            "schema": "maintenance-entry/1",
            "what": "comparison",
            "site": call.site.name,
            "at": min(log.since for log in result.hosts),
            "until": until,
            "case": None,
            "clauses": CLAUSES,
            "text": f"{counts['explained']} logins explained, {counts['unexplained']} not, {counts['other']} with "
            f"other keys, on {len(result.hosts)} hosts",
            "fields": {"run": record.run},
            "attachments": [],
            "operator": bookkeeping.operator(call.site).model_dump(),
            "recorded": ledger.now(),
            "comparison": compare.facts(result, known, heads, tolerance),
        }
    )
    data = to_bytes(facts)
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="maintenance-compare-") as folder:

        def files(book: Book) -> Mapping[str, bytes | Path]:
            head = book.head
            at = EntryFacts(
                seq=book.next_seq,
                record_sha256=manifest.sha256_bytes(data),
                previous_manifest_sha256=manifest.sha256_bytes(head.manifest_bytes()) if head else "",
            )
            made: list[Path] = []
            try:
                target = Path(folder) / logins.file_name(call.site.name, until)
                site_facts = redactor.value(call.site.settings.facts.model_dump())
                made.append(logins.render(facts, site_facts, target, language=call.language, at=at))
                converted, why = pdf.convert(made[0], Path(folder))
                made += [converted] if converted else []
                notes.extend([f"no PDF: {why}"] if not converted else [])
            except Exception as error:  # a document that fails must not lose the comparison
                notes.append(f"the document could not be made ({type(error).__name__}: {error})")
            return {"entry.json": data, **{f"documents/{path.name}": path for path in made}}

        name = f"comparison-{re.sub(r'[^0-9]', '', local_time.day(until))}"
        entry, more = bookkeeping.add_entry(
            call.site, "entry", name, files, ledger_path=call.ledger, offline=call.offline, redactor=redactor
        )
    documents = sorted((entry.path / "documents").glob("*")) if (entry.path / "documents").is_dir() else []
    return _Made(entry.path, facts, documents, [*notes, *more])
