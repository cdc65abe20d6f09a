"""One run from its call to its signed record: lock, open, receipt, hosts, record, documents, close, receipt."""

from __future__ import annotations

import gzip
import os
import platform
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maintenance import (
    bookkeeping,
    build,
    execution,
    history,
    inventory,
    ledger,
    manifest,
    orders,
    redaction,
    runbook,
    variables,
)
from maintenance.errors import CallError, MaintenanceError, RefusedError
from maintenance.ledger import Book, Journal
from maintenance.orders import OrderFile
from maintenance.progress import Progress
from maintenance.record import (
    Clock,
    FileInfo,
    Operator,
    Record,
    Redaction,
    Remote,
    Source,
    to_bytes,
    vocabulary,
)
from maintenance.redaction import Redactor
from maintenance.signing import Signer
from maintenance.site import Site
from maintenance.witness import WitnessError, bring_up_to_date

if TYPE_CHECKING:
    from maintenance.documents import inspection

RUN_NAME = "harden_run"  # where a role declares it: restore points of all hosts are called after the run
_CLOSE_WAIT = (
    3600  # seconds: another run may hold the ledger while its witness is slow; a record is worth waiting for
)


@dataclass(frozen=True)
class Judged:
    """What a runbook that judges snapshots gets besides: each follows its own earlier records and may have a report."""

    report: str = ""  # module of maintenance.documents that renders it
    forecasts: bool = False
    assessment: bool = False


JUDGED = {
    "inspect": Judged(report="inspection", forecasts=True),
    "check_baseline": Judged(report="assessment", assessment=True),
    "check_backup": Judged(forecasts=True),
    "drill_restore": Judged(report="drill"),
}


@dataclass
class Call:
    """What the user asked for."""

    runbook: str
    site: Site
    check: bool = False
    reason: str = ""
    limit: str = ""
    forks: int = 0
    extra_vars: dict[str, Any] = field(default_factory=dict)
    ledger: Path | None = None
    offline: str = ""
    language: Literal["zh", "en"] | None = None
    quiet: bool = False
    case: str = ""
    order: OrderFile | None = None
    emergency: str = ""  # who agreed to a change without an order, and how
    permit: Callable[[str], str] | None = (
        None  # at the instant of the open, the ledger locked: why not, or ''
    )


class NotPermittedError(RefusedError):
    """What was right when it was asked is so no more when the run would begin."""


@dataclass
class Outcome:
    """What the user gets."""

    record: Record
    entry: Path
    documents: list[Path]
    notes: list[str]


@dataclass
class _Run:
    """What the phases of one run hand to each other."""

    call: Call
    book: runbook.Runbook
    name: str
    ledger: Path
    signer: Signer
    self_issued: bool
    plan: inventory.Plan
    redactor: Redactor
    language: Literal["zh", "en"]
    opened: str = ""
    notes: list[str] = field(default_factory=list)


def execute(call: Call) -> Outcome:
    """Run a runbook and leave its record; raises MaintenanceError where nothing could be recorded or run."""
    prepared = _prepare(call)
    shown = Progress(len(prepared.plan.hosts), quiet=call.quiet, mask=prepared.redactor.uncounted().text)
    with execution.cancellable() as cancel, shown as progress:
        journal = Journal(prepared.ledger, prepared.name)
        try:
            refused = _open(prepared, journal, progress)
            result = execution.Result()
            if not refused:
                result = _touch_hosts(prepared, journal, cancel, progress)
            return _close(prepared, journal, result, refused, progress)
        finally:
            journal.close()


def _prepare(call: Call) -> _Run:
    """Everything that can be refused is refused here, before anything is written or any host is touched."""
    book = runbook.load(call.runbook)
    site = call.site
    if book.header.changes != "nothing" and not call.check and not call.reason.strip():
        raise CallError(f"{book.name} changes hosts: say why with --reason")
    path = (call.ledger or site.ledger).resolve()
    ledger.check_usable(path)
    if call.case:
        from maintenance import casework  # only such a run needs it

        repairs = book.header.changes != "nothing" and not call.check
        casework.require_joinable(path, call.case, repairs=repairs)
    signer, self_issued = site.signer()
    bookkeeping.check_signer(site, signer)
    notes = bookkeeping.note_on_key(site, signer)
    vault = site.vault_password_file
    plan = inventory.read(site.folder, book.hosts, call.limit, vault)
    given = inventory.secret_values(call.extra_vars)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return _Run(
        call=call,
        book=book,
        name=f"{moment}-{secrets.token_hex(2)}-{book.name}",
        ledger=path,
        signer=signer,
        self_issued=self_issued,
        plan=plan,
        redactor=Redactor([*plan.secrets, *given]),
        language=call.language or site.settings.language,
        notes=notes,
    )


def _open(prepared: _Run, journal: Journal, progress: Progress) -> str:
    """Write the `open` before any host is touched, and get the hospital's receipt; returns why to refuse, or ''."""
    site = prepared.call.site
    progress.say("opening the record")
    with ledger.locked(prepared.ledger, site.name) as book:
        try:
            bookkeeping.begin_ledger(book, site, prepared.signer)
            bookkeeping.check_chain(book)
        except BaseException:
            journal.remove()  # nothing was opened, so nothing is left behind
            raise
        for entry in ledger.close_dead_runs(book, prepared.signer):
            prepared.notes.append(f"an earlier run had died; closed as {entry.path}")
        prepared.opened = ledger.now()
        why = prepared.call.permit(prepared.opened) if prepared.call.permit else ""
        if why:
            journal.remove()
            raise NotPermittedError(why)
        facts = {
            "schema": "maintenance-open/1",
            "run": prepared.name,
            "site": site.name,
            "runbook": prepared.book.name,
            "mode": "check" if prepared.call.check else "apply",
            "changes": prepared.book.header.changes,
            "reason": prepared.redactor.text(prepared.call.reason),
            "hosts": sorted(prepared.plan.hosts),
            "command": _request(prepared).command(),
            "operator": prepared.signer.principal,
            "opened": prepared.opened,
            "witness": "required" if site.settings.witness and not prepared.call.offline else "none",
            "offline_reason": prepared.redactor.text(prepared.call.offline),
            "source": source(prepared.book, site).model_dump(),
            "order": _order(prepared),
            "case": prepared.call.case or None,
        }
        data = to_bytes(facts)
        order = prepared.call.order
        files = {"open.json": data, **(order.files() if order else {})}
        for name, content in files.items():
            prepared.redactor.check(content, name, vocabulary)
        book.append("open", prepared.name, files, signer=prepared.signer)
        return _witness(prepared, book, progress, needed=True)


def _order(prepared: _Run) -> dict[str, str] | None:
    """What open.json and record.json say of the order, or of an emergency in its place."""
    call = prepared.call
    if call.order:
        order = call.order.order
        return {
            "id": order.id,
            "sha256": call.order.sha256,
            "window": f"{order.window.from_}/{order.window.to}",
        }
    if call.emergency:
        return {"emergency": prepared.redactor.text(call.emergency)}
    return None


def _witness(prepared: _Run, book: Book, progress: Progress, *, needed: bool) -> str:
    """Bring the hospital's witness up to date; returns why a run must not go on, or ''."""
    settings = prepared.call.site.settings.witness
    if settings is None:
        return ""
    if prepared.call.offline:
        prepared.notes.append("offline: the hospital's witness has not seen this run yet")
        return ""
    progress.say("asking the hospital's witness for a receipt")
    try:
        bring_up_to_date(settings, prepared.call.site.folder, book)
    except WitnessError as error:
        if needed:
            return f"no receipt of the hospital's witness: {error}"
        prepared.notes.append(f"the witness has no receipt for the end of this run yet: {error}")
    return ""


def _request(prepared: _Run) -> execution.Request:
    call = prepared.call
    extra = dict(call.extra_vars)
    return execution.Request(
        book=prepared.book,
        inventory=call.site.folder,
        check=call.check,
        limit=call.limit,
        forks=call.forks,
        extra_vars=extra,
        vault_password_file=call.site.vault_password_file,
    )


def _touch_hosts(
    prepared: _Run, journal: Journal, cancel: threading.Event, progress: Progress
) -> execution.Result:
    request = _request(prepared)
    if prepared.book.name in JUDGED:
        request.extra_vars.setdefault("inspection_language", prepared.language)
        since = _previous_finish(prepared)
        if since:
            request.extra_vars.setdefault("inspection_since", since)
    if RUN_NAME in variables.declared_variables(prepared.book):
        request.extra_vars[RUN_NAME] = prepared.name
    if cancel.is_set():
        return execution.Result(cancelled=True)
    return execution.run(request, journal, prepared.redactor, cancel, _watch(prepared, progress))


def _has_report(prepared: _Run) -> bool:
    """Whether the runbook's findings become a report."""
    return prepared.book.name in JUDGED and JUDGED[prepared.book.name].report != ""


def _watch(prepared: _Run, progress: Progress) -> Callable[[dict[str, Any]], None]:
    """What is done at each event: show it; and at the first one, when the engine is on its way and the hosts are what
    is waited for, load what the report will need."""
    loading: list[threading.Thread] = []

    def on_event(event: dict[str, Any]) -> None:
        if _has_report(prepared) and not loading:
            from maintenance.documents import inspection

            loading.append(threading.Thread(target=inspection.preload, daemon=True))
            loading[0].start()
        progress.event(event)

    return on_event


def _previous_finish(prepared: _Run) -> str:
    records = history.earlier_records(prepared.ledger, prepared.book.name)
    previous = history.previous_inspection(records)
    return previous.finished if previous else ""


def _close(
    prepared: _Run, journal: Journal, result: execution.Result, refused: str, progress: Progress
) -> Outcome:
    """Build the record and its documents, sign, store. What cannot be stored goes to a rescue file."""
    progress.say("building the record")
    files: dict[str, bytes | Path] = {}
    try:
        with (
            tempfile.TemporaryDirectory(prefix="maintenance-close-") as folder,
            ledger.locked(prepared.ledger, prepared.call.site.name, wait_seconds=_CLOSE_WAIT) as book,
        ):
            record, files = _files(prepared, journal, result, refused, book, Path(folder), progress)
            bookkeeping.check_signer(prepared.call.site, prepared.signer)  # a key may end while a run goes on
            entry = book.append("close", prepared.name, files, signer=prepared.signer)
            journal.remove()
            try:
                _witness(prepared, book, progress, needed=False)
            except OSError as error:  # the entry is in the chain; its receipt comes with the next run
                prepared.notes.append(f"the witness's receipt could not be kept: {error}")
    except Exception as error:  # whatever it was, the hosts were touched and what is known of it must be kept
        raise _rescue(prepared, files, error) from error
    documents = [entry.path / path for path in files if path.startswith("documents/")]
    return Outcome(record, entry.path, documents, prepared.notes)


def _files(
    prepared: _Run,
    journal: Journal,
    result: execution.Result,
    refused: str,
    book: Book,
    folder: Path,
    progress: Progress,
) -> tuple[Record, dict[str, bytes | Path]]:
    """Everything that the close holds, checked for known secrets. Where one still stands somewhere, the record says
    so and holds the outcome alone: hosts were touched, so there is always a record."""
    try:
        return _whole(prepared, journal, result, refused, book, folder, progress)
    except RefusedError as error:
        prepared.notes.append(f"{error}; the record holds its outcome alone")
        bare = execution.Result(
            rc=result.rc,
            cancelled=result.cancelled,
            problem=f"steps and findings were withheld: {error}",
            stats={host: counts for host, counts in result.stats.items() if host in prepared.plan.hosts},
            answered=result.answered,
            events=result.events,
        )
        record = build.build_record(bare, _meta(prepared, bare, refused, []))
        files: dict[str, bytes | Path] = {"record.json": to_bytes(record)}
        prepared.redactor.check(to_bytes(record), "record.json", vocabulary)
        return record, files


def _whole(
    prepared: _Run,
    journal: Journal,
    result: execution.Result,
    refused: str,
    book: Book,
    folder: Path,
    progress: Progress,
) -> tuple[Record, dict[str, bytes | Path]]:
    files: dict[str, bytes | Path] = {}
    attachments = []
    for host, snapshots in sorted(result.snapshots.items()):
        for module, snapshot in sorted(snapshots.items()):
            path = f"attachments/{_safe(host)}.{module}.json"
            files[path] = to_bytes(snapshot)
            attachments.append(_file_info(path, f"{host}: {module}", "application/json", files[path]))
    meta = _meta(prepared, result, refused, attachments)
    record = build.build_record(result, meta)
    files["record.json"] = to_bytes(record)
    lines = journal.read()
    files["events.jsonl.gz"] = gzip.compress(lines, mtime=0)
    for path, data in [*files.items(), ("events.jsonl.gz", lines)]:
        prepared.redactor.check(data if isinstance(data, bytes) else data.read_bytes(), path, vocabulary)
    if _has_report(prepared) and result.evidence:
        progress.say("writing the report")
        files |= _documents(prepared, record, files["record.json"], book, folder, result.snapshots)
    elif prepared.book.header.changes != "nothing" and not prepared.call.check and not refused:
        progress.say("writing the change order")
        files |= _documents(prepared, record, files["record.json"], book, folder, None)
    return record, files


def _documents(
    prepared: _Run,
    record: Record,
    data: bytes | Path,
    book: Book,
    folder: Path,
    snapshots: dict[str, dict[str, dict[str, Any]]] | None,
) -> dict[str, bytes | Path]:
    """The report of what was judged (with its snapshots) or of a change, as Word and, where LibreOffice is, as PDF. A
    document that fails never costs the record."""
    from maintenance.documents import change, inspection, pdf  # slow to import; not every run needs them

    head = book.head
    facts = inspection.EntryFacts(
        seq=book.next_seq,
        record_sha256=manifest.sha256_bytes(data if isinstance(data, bytes) else data.read_bytes()),
        previous_manifest_sha256=manifest.sha256_bytes(head.manifest_bytes()) if head else "",
    )
    made: list[Path] = []
    try:
        if snapshots is not None:
            made = _report(record, snapshots, folder, facts)
        else:
            given = prepared.call.order
            with bookkeeping.signers_of(prepared.call.site) as signers:
                held = orders.approvals(given, signers, prepared.opened).held if given else []
            target = folder / change.file_name(record.site, record.run)
            made = [change.render(given, held, record, target, language=record.language, entry=facts)]
        printed = [one for one in made if one.suffix == ".docx" and prepared.call.site.settings.pdf]
        for document in printed:
            converted, why = pdf.convert(document, folder)
            if converted:
                made.append(converted)
            else:
                prepared.notes.append(f"no PDF: {why}")
    except Exception as error:  # a broken template must not lose a signed record
        prepared.notes.append(
            f"the report could not be made ({type(error).__name__}: {error}); the record is whole"
        )
    return {f"documents/{path.name}": path for path in made}


def _report(
    record: Record,
    snapshots: dict[str, dict[str, dict[str, Any]]],
    folder: Path,
    facts: inspection.EntryFacts,
) -> list[Path]:
    """The report of a runbook of JUDGED, its Word file first."""
    from maintenance.documents import assessment, drill, inspection

    if JUDGED[record.runbook.name].report == "drill":
        return drill.render(record, folder, entry=facts)
    if JUDGED[record.runbook.name].report == "inspection":
        return list(inspection.render_inspection(record, snapshots, folder, entry=facts))
    return list(assessment.render(record, folder, entry=facts))


def _meta(prepared: _Run, result: execution.Result, refused: str, attachments: list[FileInfo]) -> build.Meta:
    call = prepared.call
    finished = ledger.now()
    meta = build.Meta(
        run=prepared.name,
        site=call.site.name,
        site_facts=call.site.settings.facts.model_dump(),
        runbook=prepared.book.info(),
        source=source(prepared.book, call.site),
        operator=Operator(
            principal=prepared.signer.principal,
            key_fingerprint=prepared.signer.fingerprint,
            self_issued=prepared.self_issued,
            machine=socket.gethostname(),
        ),
        order=_order(prepared),
        case=call.case or None,
        reason=prepared.redactor.text(call.reason),
        command=_request(prepared).command(),
        mode="check" if call.check else "apply",
        language=prepared.language,
        started=prepared.opened,
        finished=finished,
        clock=clock(),
        remote=Remote(
            via=call.site.settings.remote,
            source_address=os.environ.get("SSH_CONNECTION", "").split(" ")[0],
            opened=prepared.opened,
            closed=finished,
        ),
        hosts={
            name: [prepared.redactor.text(group) for group in groups]
            for name, groups in prepared.plan.hosts.items()
        },
        redaction=Redaction(
            policy_sha256=redaction.POLICY_SHA256, hits=dict(sorted(prepared.redactor.hits.items()))
        ),
        refused=refused,
        attachments=attachments,
    )
    if prepared.book.name in JUDGED and result.evidence:
        _follow(prepared, result, meta)
    return meta


def _follow(prepared: _Run, result: execution.Result, meta: build.Meta) -> None:
    """What a judged run says beside its own earlier records."""
    from maintenance import assessment_run, comparison, forecast

    site, kind = prepared.call.site, JUDGED[prepared.book.name]
    earlier = history.earlier_records(prepared.ledger, prepared.book.name)
    previous = history.previous_inspection(earlier)
    meta.comparison = comparison.compare(
        result.evidence,
        previous,
        finished=meta.finished,
        due_days={str(key): days for key, days in site.settings.due_days.items()},
    )
    if kind.forecasts:
        points = [*history.metrics_over_time(earlier), (meta.finished, result.metrics)]
        meta.forecasts = forecast.forecasts(points)
    if kind.assessment:
        meta.assessment, notes = assessment_run.of_run(
            result,
            site=site,
            ledger=prepared.ledger,
            hosts=prepared.plan.hosts,
            extra_vars=prepared.call.extra_vars,
            previous=previous,
            finished=meta.finished,
            language=prepared.language,
        )
        prepared.notes += notes


def _rescue(prepared: _Run, files: dict[str, bytes | Path], error: Exception) -> MaintenanceError:
    """The record could not be stored: put its bytes where there is room, and say where."""
    if not files:
        return MaintenanceError(
            f"the run ended but its record could not be made ({type(error).__name__}: {error}); "
            f"its open and its events stay in {prepared.ledger} and the next run closes it as abandoned"
        )
    for parent in (Path.home(), Path(tempfile.gettempdir()), Path("/dev/shm")):  # noqa: S108  (last resort)
        try:
            folder = Path(tempfile.mkdtemp(prefix=f"maintenance-rescue-{prepared.name}-", dir=parent))
            for path, content in files.items():
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        except OSError:
            shutil.rmtree(folder, ignore_errors=True) if "folder" in locals() else None
            continue
        return MaintenanceError(
            f"the run ended but its record could not be stored ({error}); it is kept, unsigned, in {folder}; "
            f"its open stays in {prepared.ledger} and the next run closes it as abandoned"
        )
    return MaintenanceError(f"the run ended but its record could be stored nowhere ({error})")


def _file_info(path: str, title: str, media_type: str, data: bytes | Path) -> FileInfo:
    content = data if isinstance(data, bytes) else data.read_bytes()
    return FileInfo(
        file=path,
        title=title,
        media_type=media_type,
        bytes=len(content),
        sha256=manifest.sha256_bytes(content),
    )


def _safe(name: str) -> str:
    """A host's name as a file name: anything unusual becomes '_', and a digest keeps two such names apart."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in name)[
        :80
    ]
    plain = plain.lstrip(".") or "host"
    return plain if plain == name else f"{plain}-{manifest.sha256_bytes(name.encode())[:8]}"


def source(book: runbook.Runbook, site: Site) -> Source:
    """Which bytes are about to be run."""
    status = _git("status", "--porcelain=v1", "--untracked-files=no")
    commit = _git("rev-parse", "HEAD")
    return Source(
        commit=commit.strip() if commit else "not a git checkout",
        clean=status == "",
        changed_files=[line[3:] for line in (status or "").splitlines()][:100],
        playbook_sha256=manifest.sha256_file(book.path),
        inventory_sha256=inventory.digest(site.folder),
        lock_sha256=manifest.sha256_file(runbook.REPOSITORY / "requirements.lock"),
        ansible_core=version("ansible-core"),
        ansible_runner=version("ansible-runner"),
        python=platform.python_version(),
    )


def _git(*arguments: str) -> str | None:
    """git's answer about this checkout; None without git or checkout."""
    command = ["git", "-c", "safe.directory=*", "-C", str(runbook.REPOSITORY), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def clock() -> Clock:
    """The state of this machine's own clock: timestamps of a record are worth no more than that."""
    for command, read in ((["chronyc", "-c", "tracking"], _chrony), (["timedatectl", "show"], _timedatectl)):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=3, check=False)
        except (FileNotFoundError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return read(done.stdout)
    return Clock(source="unknown", synchronised=None, offset_seconds=None)


def _chrony(text: str) -> Clock:
    fields = text.strip().split(",")
    if len(fields) < 14:
        return Clock(source="chrony", synchronised=None, offset_seconds=None)
    return Clock(
        source=f"chrony {fields[1]}"[:80],
        synchronised=fields[13] != "Not synchronised",
        offset_seconds=float(fields[4]),
    )


def _timedatectl(text: str) -> Clock:
    facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    known = {"yes": True, "no": False}.get(facts.get("NTPSynchronized", ""))
    return Clock(source="timedatectl", synchronised=known, offset_seconds=None)
