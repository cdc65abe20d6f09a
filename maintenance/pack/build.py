"""Writes the pack: the ledger byte for byte, the page that verifies it, and how to do it without the page."""

from __future__ import annotations

import base64
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from maintenance import ledger, local_time, manifest, register, sm2, verification
from maintenance.cover import Cover
from maintenance.documents import cover_words, status_page
from maintenance.errors import CallError, VerificationError
from maintenance.pack import contents
from maintenance.pack.words import WORDS
from maintenance.register import Item
from maintenance.runbook import REPOSITORY

HERE = Path(__file__).parent
PAGE = HERE / "verify.html"
VERIFIER = REPOSITORY / "roles" / "witness" / "files" / "verify.sh"
_TIMESTAMP = (2000, 1, 1, 0, 0, 0)  # of every member: the same ledger gives the same bytes
_SMALL_BYTES = 2048  # of a member that is stored as it is: unpacking would take a reader longer than it saves
_CHAIN_HEAD = """<!DOCTYPE html>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'">
<title>MANIFESTs, signatures and receipts: data for verify.html</title>
"""
_STORED = (".gz", ".pdf", ".docx", ".xlsx", ".png", ".jpg", ".jpeg", ".zip")  # packed already


@dataclass(frozen=True)
class Pack:
    """A pack that was written."""

    path: Path
    sha256: str
    entries: int
    included: int
    files: int
    documents: int
    first: str
    last: str


@dataclass(frozen=True)
class Wanted:
    """What goes in. The days are the hospital's, both included; '' is open."""

    ledger: Path
    facts: dict[str, str]
    language: contents.Language
    from_day: str = ""
    to_day: str = ""
    heads: Path | None = None
    signers: Path | None = None
    revoked: Path | None = None
    revoked_since: str = ""
    cover: Cover | None = None  # where the site has a contract file


def write(
    wanted: Wanted, target: Path, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> Pack:
    """Make the zip, whole or not at all; raises VerificationError where the ledger is not sound."""
    report = verification.verify(
        wanted.ledger,
        heads=wanted.heads,
        signers=wanted.signers,
        revoked=wanted.revoked,
        revoked_since=wanted.revoked_since,
        progress=progress,
    )
    if report.faults:
        raise VerificationError(
            f"the ledger does not verify, no pack was made: {report.faults[0]} "
            f"(all of it: ./runner.py verify {wanted.ledger})"
        )
    items = list(register.read(wanted.ledger))
    included = {item.entry.folder for item in items if _within(item, wanted)}
    if not included:
        raise CallError(f"no entry of {wanted.ledger} was made between {wanted.from_day} and {wanted.to_day}")
    told = contents.read(items, wanted.facts, wanted.language, included)
    count = 0
    handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                for path, data in _members(wanted, items, included, told):
                    _add(archive, path, data)
                    count += 1
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return Pack(
        path=target,
        sha256=manifest.sha256_file(target),
        entries=len(items),
        included=len(included),
        files=count,
        documents=told.documents,
        first=told.first,
        last=told.last,
    )


def _within(item: Item, wanted: Wanted) -> bool:
    day = local_time.day(item.time)
    return (not wanted.from_day or day >= wanted.from_day) and (not wanted.to_day or day <= wanted.to_day)


def _members(
    wanted: Wanted, items: list[Item], included: set[str], told: contents.Contents
) -> Iterator[tuple[str, bytes | Path]]:
    """Every member of the zip, in an order that depends on the ledger alone."""
    signers = ledger.signers_files(wanted.ledger)
    yield "index.html", _start_page(wanted, told, len(items)).encode()
    yield "verify.html", PAGE
    yield "chain.html", _chain(wanted.ledger, items)
    if wanted.cover:
        yield "status.html", status_page.render(wanted.cover, wanted.language).encode()
    yield "VERIFY.txt", _instructions(told, partial=len(included) < len(items)).encode()
    yield "verify.sh", VERIFIER
    if signers:
        yield "allowed_signers", signers[-1]
    if wanted.heads:
        yield "heads", wanted.heads
    if wanted.revoked:
        yield "revoked", wanted.revoked
    for item in items:
        folder = item.entry.folder
        for path in _signed(item):
            yield f"ledger/{folder}/{path}", item.entry.path / path
        for path in sorted(item.manifest.files):
            if folder in included or _travels(path):
                yield f"ledger/{folder}/{path}", item.entry.path / path
    for file in _waiting(wanted.ledger):
        yield f"ledger/{ledger.RECEIPTS}/{file.name}", file


def _signed(item: Item) -> list[str]:
    """The MANIFEST and its signatures, which it cannot list."""
    return [
        name for name in ("MANIFEST", "MANIFEST.sig", sm2.SIGNATURE) if (item.entry.path / name).is_file()
    ]


def _travels(path: str) -> bool:
    """Who may sign, and the hospital's receipts: without them no MANIFEST can be judged."""
    return path in ("allowed_signers", "allowed_signers.sig", sm2.LIST) or path.startswith(
        f"{ledger.RECEIPTS}/"
    )


def _waiting(path: Path) -> list[Path]:
    folder = path / ledger.RECEIPTS
    return sorted(file for file in folder.glob("*.receipt*") if file.is_file()) if folder.is_dir() else []


def _chain(path: Path, items: list[Item]) -> bytes:
    """The small part of the ledger for the page, which opened from a disk may read no file by itself: it shows this
    one in a sandbox, and takes the data as a message."""
    files: dict[str, str] = {}
    for item in items:
        for name in (*_signed(item), *(name for name in sorted(item.manifest.files) if _travels(name))):
            files[f"{item.entry.folder}/{name}"] = _base64(item.entry.path / name)
    for file in _waiting(path):
        files[f"{ledger.RECEIPTS}/{file.name}"] = _base64(file)
    data = json.dumps({"files": files}, indent=0).replace("<", "\\u003c")  # nothing in it ends the script
    return f"{_CHAIN_HEAD}<script>\nparent.postMessage({data}, '*');\n</script>\n".encode()


def _base64(path: Path) -> str:
    return base64.b64encode(manifest.read_regular(path)).decode()


def _add(archive: zipfile.ZipFile, path: str, data: bytes | Path) -> None:
    info = zipfile.ZipInfo(path, _TIMESTAMP)
    info.external_attr = (0o755 if path.endswith(".sh") else 0o644) << 16
    content = data if isinstance(data, bytes) else data.read_bytes()
    small = len(content) < _SMALL_BYTES
    info.compress_type = zipfile.ZIP_STORED if small or path.endswith(_STORED) else zipfile.ZIP_DEFLATED
    archive.writestr(info, content)


def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _start_page(wanted: Wanted, told: contents.Contents, entries: int) -> str:
    words = cover_words.WORDS[wanted.language]
    return (
        _templates()
        .get_template("index.html.j2")
        .render(
            w=WORDS[wanted.language],
            c=words,
            cover=wanted.cover,
            promised=lambda row: cover_words.owed(row, words),
            responded=lambda told: cover_words.response(told, words),
            told_of=lambda row: cover_words.shown(row, words),
            language=wanted.language,
            told=told,
            entries=entries,
            partial=len(told.lines) < entries,
            page_sha256=manifest.sha256_file(PAGE),
            evidence=contents.counts_as_evidence,
            wanted=wanted,
        )
    )


def _instructions(told: contents.Contents, *, partial: bool) -> str:
    example = next(line.folder for line in told.lines)
    return (
        (HERE / "VERIFY.txt")
        .read_text(encoding="utf-8")
        .format(
            example=example,
            page_sha256=manifest.sha256_file(PAGE),
            whole_zh="本包只含部分条目的文件，第 3 步会指出未包含的文件。" if partial else "",
            whole_en="This pack holds the files of a part of the entries; step 3 names what is not in it."
            if partial
            else "",
        )
    )
