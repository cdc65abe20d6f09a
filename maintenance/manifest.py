"""MANIFEST: the signed bytes of an entry; a valid sha256sum file whose '#' lines say what it is.

Nothing here is canonicalised: what is stored is what is signed, and coreutils can check it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

TITLE = "# maintenance-record-manifest v1"
NAMESPACE = "maintenance-record"
UNLISTED = ("MANIFEST", "MANIFEST.sig", "MANIFEST.sm2sig")  # what signs it is not in its own list
KINDS = (
    "genesis",
    "open",
    "close",
    "abandoned",
    "refused",
    "entry",
    "correction",
    "receipt",
    "checkpoint",
    "unrecorded",
)
FOLDER = re.compile(r"(?P<seq>[0-9]{6})-(?P<kind>[a-z]+)-(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)")
LEGAL_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<path>.+)")
_FIELDS = ("site", "seq", "kind", "run", "signer", "time")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)
_WORDS = {"site": r"[A-Za-z0-9._-]+", "run": r"[A-Za-z0-9._-]+", "signer": r"[A-Za-z0-9@._+-]+"}


class ManifestError(ValueError):
    """The bytes are not a manifest; the text says what is wrong."""


@dataclass(frozen=True)
class Manifest:
    """What a MANIFEST says: header fields, the link to the entry before, and the files with their digests."""

    site: str
    seq: int
    kind: str
    run: str
    signer: str
    time: str
    previous: tuple[str, str] | None  # (folder of the entry before, sha256 of its MANIFEST)
    files: dict[str, str]  # path -> sha256

    def render(self) -> bytes:
        """The bytes to sign and store."""
        lines = [TITLE, *(f"# {field} {getattr(self, field)}" for field in _FIELDS)]
        if self.previous:
            folder, digest = self.previous
            lines.append(f"{digest}  ../{folder}/MANIFEST")
        lines += [f"{digest}  {path}" for path, digest in sorted(self.files.items())]
        return ("\n".join(lines) + "\n").encode("ascii")

    @property
    def folder(self) -> str:
        """The folder that this manifest belongs into, up to the name that follows its kind."""
        return f"{self.seq:06d}-{self.kind}-"


def parse(data: bytes) -> Manifest:
    """Read a MANIFEST strictly; raises ManifestError with what is wrong."""
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise ManifestError("it holds bytes that are not ASCII") from None
    if lines[0] != TITLE:
        raise ManifestError(f"its first line is not '{TITLE}'")
    if lines[-1] != "":
        raise ManifestError("it does not end with a newline")
    header = {}
    for field, line in zip(_FIELDS, lines[1:], strict=False):
        prefix = f"# {field} "
        if not line.startswith(prefix):
            raise ManifestError(f"the header line '# {field}' is missing")
        header[field] = line.removeprefix(prefix)
    if len(header) != len(_FIELDS):
        raise ManifestError("the header is cut short")
    if not re.fullmatch(r"[1-9]\d{0,5}", header["seq"]):
        raise ManifestError(f"its sequence number is not one: {header['seq'][:80]!a}")
    if not is_instant(header["time"]):
        raise ManifestError(f"its time is not RFC 3339 UTC: {header['time'][:80]!a}")
    for (
        field,
        form,
    ) in _WORDS.items():  # a signer with a space or a comma could fit a pattern that names nobody
        if not re.fullmatch(form, header[field]):
            raise ManifestError(f"its {field} is no name: {header[field][:80]!a}")
    previous, files = _checksums(lines[1 + len(_FIELDS) : -1])
    if not files:
        raise ManifestError("it lists no file")
    return Manifest(
        site=header["site"],
        seq=int(header["seq"]),
        kind=header["kind"],
        run=header["run"],
        signer=header["signer"],
        time=header["time"],
        previous=previous,
        files=files,
    )


def _checksums(lines: list[str]) -> tuple[tuple[str, str] | None, dict[str, str]]:
    """The checksum lines: an optional first link to the entry before, then the files."""
    previous = None
    files: dict[str, str] = {}
    for number, line in enumerate(lines):
        match = _LINE.fullmatch(line)
        if not match:
            raise ManifestError(f"this is not a checksum line: {line[:80]!a}")
        path, digest = match["path"], match["digest"]
        link = re.fullmatch(r"\.\./(\d{6}-[a-z]+-[A-Za-z0-9._-]+)/MANIFEST", path)
        if link and number == 0:
            previous = (link[1], digest)
        elif not LEGAL_PATH.fullmatch(path):
            raise ManifestError(f"it names a path that no entry may hold: {path[:80]!a}")
        elif path in files:
            raise ManifestError(f"it names a file twice: '{path}'")
        else:
            files[path] = digest
    return previous, files


def is_instant(text: str) -> bool:
    """Whether it is an instant of the calendar, RFC 3339 UTC in whole seconds."""
    try:
        return bool(_TIME.fullmatch(text) and datetime.fromisoformat(text))
    except ValueError:
        return False


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file; OSError for anything else, such as a pipe, which could keep a reader for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123  (a descriptor, no path)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return file.read()


def sha256_file(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_bytes(data: bytes) -> str:
    """sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()
