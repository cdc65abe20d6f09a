"""Files that a user puts beside an entry: read once, bounded, named in ASCII, and searched for secrets and patients.

An attachment is signed as it is, so nothing in it can be masked: what must not be in the ledger is refused.
"""

from __future__ import annotations

import io
import mimetypes
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maintenance import manifest
from maintenance.documents.clean import clean
from maintenance.errors import CallError, RefusedError
from maintenance.record import FileInfo
from maintenance.redaction import Redactor

LARGEST = 20 * 2**20  # bytes of one file
LARGEST_TOGETHER = 50 * 2**20  # of all files of an entry; the ledger keeps 64 MiB free for one
MOST = 40  # files of an entry
_READ_INSIDE = 64 * 2**20  # bytes unpacked from one office document; more is no letter and no list
_TITLE = 200  # characters of a name
# A list of who attended a training says 姓名 too, and is no list of patients.
_OF_A_PATIENT = re.compile(r"患者|病人|病员|受检者|(?i:patient|hz_?xm)")
_OFFICE = (".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".zip")


@dataclass(frozen=True)
class Attachments:
    """What goes into an entry: its files by path, and what the entry says of them."""

    files: Mapping[str, bytes]
    infos: tuple[FileInfo, ...]


def read(paths: Sequence[str], redactor: Redactor) -> Attachments:
    """Read and check them; raises CallError (unusable) or RefusedError (holds a secret or a patient's number)."""
    if len(paths) > MOST:
        raise CallError(f"--attach: {len(paths)} files, and an entry takes {MOST}; put them into one archive")
    files: dict[str, bytes] = {}
    infos: list[FileInfo] = []
    seen: dict[str, str] = {}
    for number, given in enumerate(paths, 1):
        title = clean(redactor.text(Path(given).name), _TITLE)
        data = _read(Path(given), clean(redactor.text(given), _TITLE))
        digest = manifest.sha256_bytes(data)
        if digest in seen:
            raise CallError(f"--attach: {title} is the same file as {seen[digest]}; attach it once")
        seen[digest] = title
        search(data, title, redactor)
        where = f"attachments/{number:02d}{_ascii(title)}"
        media_type = mimetypes.guess_type(title)[0] or "application/octet-stream"
        files[where] = data
        infos.append(FileInfo(file=where, title=title, media_type=media_type, bytes=len(data), sha256=digest))
    together = sum(map(len, files.values()))
    if together > LARGEST_TOGETHER:
        raise CallError(
            f"--attach: the files have {_mebibytes(together)} together, and an entry takes "
            f"{_mebibytes(LARGEST_TOGETHER)}; make them smaller, or log them in two entries"
        )
    return Attachments(files, tuple(infos))


def search(data: bytes, title: str, redactor: Redactor) -> None:
    """Refuse a file that holds a known secret, or text that looks like one; raises RefusedError."""
    for inside, text in _texts(data, title):
        where = f"{title}{f' ({inside})' if inside else ''}"
        redactor.check(text.encode(), f"the attachment {where}")
        whole = Redactor()
        whole.text(text)
        for number, line in enumerate(text.splitlines() if whole.hits else [], 1):
            probe = Redactor()
            probe.text(line)
            rules = set(probe.hits) if _OF_A_PATIENT.search(line) else set(probe.hits) - {"patient_name"}
            if rules:
                raise RefusedError(
                    f"the attachment {where} was not signed: its line {number} looks like a secret or a personal number "
                    f"({', '.join(sorted(rules))}); mask it in the file and attach it again"
                )


def _texts(data: bytes, title: str) -> list[tuple[str, str]]:
    """The text that can be read in a file: itself, or the parts of an office document."""
    if title.lower().endswith(_OFFICE) and zipfile.is_zipfile(io.BytesIO(data)):
        return _parts(data, title)
    for encoding in ("utf-8-sig", "gb18030"):
        if b"\0" in data:
            break
        try:
            return [("", data.decode(encoding))]
        except UnicodeDecodeError:
            continue
    return [("", data.decode("latin-1"))] if data.startswith(b"-----BEGIN") else []


def _parts(data: bytes, title: str) -> list[tuple[str, str]]:
    found = []
    left = _READ_INSIDE
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for item in archive.infolist():
                if item.is_dir() or not item.filename.lower().endswith((".xml", ".txt", ".csv")):
                    continue
                with archive.open(item) as file:
                    part = file.read(left + 1)
                left -= len(part)
                if left < 0:
                    raise CallError(f"--attach: {title} unpacks to more than {_mebibytes(_READ_INSIDE)}")
                # A word may be cut by marks within; a paragraph, a row or a cell ends the line.
                text = re.sub(r"</(?:w:p|a:p|text:p|row|si|c)>", "\n", part.decode("utf-8", "replace"))
                found.append((item.filename, re.sub(r"<[^>]*>", "", text)))
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise CallError(f"--attach: {title} cannot be looked into: {error}") from None
    return found


def _read(path: Path, shown: str) -> bytes:
    try:
        if path.is_dir():
            raise CallError(f"--attach: {shown} is a folder; attach files, or an archive of it")
        size = path.stat().st_size
        if path.is_file() and size > LARGEST:
            raise CallError(
                f"--attach: {shown} has {_mebibytes(size)}, and an attachment may have {_mebibytes(LARGEST)}; "
                "make it smaller (a scan in grey at 150 dpi is enough)"
            )
        data = manifest.read_regular(path.resolve(strict=True))
    except OSError as error:
        raise CallError(f"--attach: {shown} cannot be read: {error.strerror or error}") from None
    if not data:
        raise CallError(f"--attach: {shown} is empty")
    return data


def _ascii(title: str) -> str:
    """-name.pdf: what of a title may stand in a path of an entry; the title itself is kept beside it."""
    stem, dot, ending = title.rpartition(".")
    stem, ending = (stem, ending) if dot and stem else (title, "")
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:60]
    ending = re.sub(r"[^A-Za-z0-9]", "", ending)[:10].lower()
    return (f"-{stem}" if stem else "") + (f".{ending}" if ending else "")


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
