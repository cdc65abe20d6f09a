"""What pgBackRest keeps: configuration, manifests, files of backups and of the archive, judged by their own contents.

A manifest names for each file the SHA-1 of what the database had (`checksum`) and of what lies in the repository (`rck`);
the name of an archived segment holds the SHA-1 of its contents. Encrypted files are decrypted by pgBackRest's own
`repo-get` before they come here.
"""

from __future__ import annotations

import bz2
import configparser
import ctypes
import hashlib
import json
import os
import re
import struct
import zlib
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

EXTENSIONS = {"zst": ".zst", "gz": ".gz", "lz4": ".lz4", "bz2": ".bz2", "none": ""}
CHUNK = 1 << 20
_ARCHIVED = re.compile(r"([0-9A-F]{24})-([0-9a-f]{40})(\.(?:zst|gz|lz4|bz2))?\Z")
_PAGE_HEADER = struct.Struct(
    "<HHIQIIQII"
)  # of a segment's first page: magic … system id, segment size, page size
_MAXIMUM_SEGMENT = 1 << 30


class RepositoryError(Exception):
    """What cannot be read, and why; one line."""


class File(NamedTuple):
    """One file of a backup, as its manifest describes it."""

    name: str
    backup: str  # the backup whose folder holds it
    size: int
    checksum: str
    repository_checksum: str
    repository_size: Optional[int]
    bundle: Optional[int]
    offset: int
    page_errors: bool


class Manifest(NamedTuple):
    """What a backup says of itself."""

    label: str
    kind: str
    system_id: str
    compress: str
    start_segment: str
    stop_segment: str
    started: int
    stopped: int
    databases: Dict[str, int]  # name and number
    files: List[File]
    tablespaces: Tuple[Tuple[str, str], ...] = ()  # the link below the data directory, and where it leads


def sections(text: str) -> Dict[str, Dict[str, str]]:
    """An info file or manifest: sections of KEY=JSON."""
    found: Dict[str, Dict[str, str]] = {}
    current: Dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("[") and line.endswith("]"):
            current = found.setdefault(line[1:-1], {})
            continue
        # Names of files may hold `=`; JSON begins with one of these characters, and no name does after a `=`.
        match = re.match(r"(.+?)=([\[{\"0-9tfn-].*)\Z", line)
        if match:
            current[match.group(1)] = match.group(2)
    return found


def checked_sections(text: str, what: str) -> Dict[str, Dict[str, str]]:
    """The same, of a file that must be whole: pgBackRest writes the SHA-1 of each section's lines as its last one."""
    found = sections(text)
    if "backrest" not in found or "backrest-checksum" not in found["backrest"]:
        raise RepositoryError(f"{what} is cut off: it has no checksum of its own")
    return found


def manifest(text: str, what: str) -> Manifest:
    """A backup's manifest."""
    found = checked_sections(text, what)
    try:
        backup = {key: json.loads(value) for key, value in found["backup"].items()}
        label = backup["backup-label"]
        defaults = {key: json.loads(value) for key, value in found.get("target:file:default", {}).items()}
        files = [
            file_of(name, {**defaults, **json.loads(value)}, label)
            for name, value in found["target:file"].items()
        ]
        return Manifest(
            label=label,
            kind=backup["backup-type"],
            system_id=str(json.loads(found["backup:db"]["db-system-id"])),
            compress=compress_type(found.get("backup:option", {})),
            start_segment=backup.get("backup-archive-start") or "",
            stop_segment=backup.get("backup-archive-stop") or "",
            started=int(backup["backup-timestamp-start"]),
            stopped=int(backup["backup-timestamp-stop"]),
            databases={name: int(json.loads(value)["db-id"]) for name, value in found.get("db", {}).items()},
            files=files,
            tablespaces=tuple(
                (name, str(json.loads(value)["path"]))
                for name, value in sorted(found.get("backup:target", {}).items())
                if name.startswith("pg_tblspc/")
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RepositoryError(f"{what} cannot be understood: {type(error).__name__} {error}") from None


def compress_type(options: Dict[str, str]) -> str:
    """How the files were compressed; old manifests only say whether."""
    kind = json.loads(options.get("option-compress-type", '""'))
    return kind or ("gz" if json.loads(options.get("option-compress", "false")) else "none")


def file_of(name: str, told: Dict[str, Any], label: str) -> File:
    """One file's line."""
    return File(
        name=name,
        backup=told.get("reference") or label,
        size=int(told["size"]),
        checksum=told.get("checksum") or "",
        repository_checksum=told.get("rck") or "",
        repository_size=told.get("repo-size"),
        bundle=told.get("bni"),
        offset=int(told.get("bno") or 0),
        page_errors=told.get("checksum-page") is False,
    )


def place(file: File, folder: str, compress: str) -> str:
    """Where the file lies, below a stanza's folder of backups."""
    if file.bundle is not None:
        return os.path.join(folder, file.backup, "bundle", str(file.bundle))
    return os.path.join(folder, file.backup, file.name + EXTENSIONS.get(compress, ""))


def fault_of(file: File, folder: str, compress: str) -> str:
    """What is wrong with a file of a backup in a repository on this host, or ''."""
    if file.bundle is not None and file.size == 0:
        return ""  # an empty file has no place in a bundle
    path = place(file, folder, compress)
    try:
        with open(path, "rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            if file.bundle is None and file.repository_size is not None and size != file.repository_size:
                return f"{size} bytes instead of {file.repository_size}"
            handle.seek(file.offset)
            length = file.repository_size if file.repository_size is not None else size
            if not file.repository_checksum:
                return contents_fault(handle.read(length), file, compress)
            return "" if sha1_of(handle, length) == file.repository_checksum else "its checksum is wrong"
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def contents_fault(data: bytes, file: File, compress: str) -> str:
    """For files of an old pgBackRest that kept no checksum of what lies in the repository."""
    try:
        contents = b"".join(expand(data, compress))
    except RepositoryError as error:
        return str(error)
    if len(contents) != file.size:
        return f"{len(contents)} bytes of contents instead of {file.size}"
    if file.checksum and hashlib.sha1(contents).hexdigest() != file.checksum:  # noqa: S324  (pgBackRest's own)
        return "its checksum is wrong"
    return ""


def sha1_of(handle: Any, length: int) -> str:
    """SHA-1 of the next `length` bytes."""
    digest = hashlib.sha1()  # noqa: S324  (what pgBackRest wrote: it finds damage, it is no proof against forgery)
    left = length
    while left > 0:
        chunk = handle.read(min(CHUNK, left))
        if not chunk:
            break
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest()


# WAL.


class Archived(NamedTuple):
    """A file of the archive by its name."""

    name: str
    checksum: str
    compress: str


def archived(name: str) -> Optional[Archived]:
    """A segment's file; None for anything else."""
    match = _ARCHIVED.match(name)
    if not match:
        return None
    return Archived(match.group(1), match.group(2), (match.group(3) or ".none")[1:])


class Header(NamedTuple):
    """What a segment's first page says."""

    timeline: int
    position: int
    system_id: str
    segment_bytes: int


def header(data: bytes) -> Optional[Header]:
    """The long header of a segment; None where it is none."""
    if len(data) < _PAGE_HEADER.size:
        return None
    _magic, info, timeline, position, _rest, _pad, system, size, page = _PAGE_HEADER.unpack(
        data[: _PAGE_HEADER.size]
    )
    if not info & 2 or page not in (4096, 8192, 16384, 32768, 65536):
        return None
    return Header(timeline, position, str(system), size)


def segment_fault(data: bytes, file: Archived) -> Tuple[str, Optional[Header]]:
    """What is wrong with an archived segment (decrypted, as it lies in the repository), and its header."""
    digest = hashlib.sha1()  # noqa: S324  (it is in the file's name)
    first = b""
    size = 0
    try:
        for chunk in expand(data, file.compress):
            digest.update(chunk)
            first = first or chunk[: _PAGE_HEADER.size]
            size += len(chunk)
    except RepositoryError as error:
        return str(error), None
    if digest.hexdigest() != file.checksum:
        return "its checksum is wrong", None
    found = header(first)
    if found is None:
        return "it does not begin as WAL does", None
    if size != found.segment_bytes:
        return f"{size} bytes instead of {found.segment_bytes}", found
    return "", found


def expand(data: bytes, compress: str) -> Iterator[bytes]:
    """The contents, in pieces; raises RepositoryError where they are damaged."""
    if compress == "none":
        yield data
    elif compress == "gz":
        yield from _python(data, zlib.decompressobj(47))
    elif compress == "bz2":
        yield from _python(data, bz2.BZ2Decompressor())
    elif compress == "zst":
        yield from _zst(data)
    elif compress == "lz4":
        yield from _lz4(data)
    else:
        raise RepositoryError(f"compressed by {compress}, which nobody here can read")


def _python(data: bytes, expander: Any) -> Iterator[bytes]:
    try:
        yield expander.decompress(data)
    except (OSError, ValueError, zlib.error) as error:
        raise RepositoryError(f"it cannot be decompressed: {error}") from None
    if not expander.eof:
        raise RepositoryError("it cannot be decompressed: its end is missing")


class _Buffer(ctypes.Structure):
    _fields_ = (("place", ctypes.c_void_p), ("size", ctypes.c_size_t), ("at", ctypes.c_size_t))


def _library(name: str) -> ctypes.CDLL:
    """A library that pgBackRest itself needs for such files, so it is where they can be made."""
    try:
        return ctypes.CDLL(name)
    except OSError:
        raise RepositoryError(f"{name} is not installed: files compressed by it cannot be checked") from None


def _zst(data: bytes) -> Iterator[bytes]:
    library = _library("libzstd.so.1")
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_decompressStream.argtypes = [
        ctypes.c_void_p,
        ctypes.POINTER(_Buffer),
        ctypes.POINTER(_Buffer),
    ]
    library.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]
    stream = library.ZSTD_createDStream()
    source, space = ctypes.create_string_buffer(data, len(data)), ctypes.create_string_buffer(CHUNK)
    given = _Buffer(ctypes.addressof(source), len(data), 0)
    total, left = 0, 1
    try:
        while left:
            taken = _Buffer(ctypes.addressof(space), CHUNK, 0)
            before = given.at
            left = library.ZSTD_decompressStream(stream, ctypes.byref(taken), ctypes.byref(given))
            if library.ZSTD_isError(left) or (left and not taken.at and given.at == before):
                raise RepositoryError("it cannot be decompressed")
            total += taken.at
            if total > _MAXIMUM_SEGMENT:
                raise RepositoryError("it holds more than a segment may")
            yield space.raw[: taken.at]
    finally:
        library.ZSTD_freeDStream(stream)


def _lz4(data: bytes) -> Iterator[bytes]:
    library = _library("liblz4.so.1")
    library.LZ4F_decompress.restype = ctypes.c_size_t
    library.LZ4F_isError.argtypes = [ctypes.c_size_t]
    context = ctypes.c_void_p()
    library.LZ4F_createDecompressionContext(ctypes.byref(context), 100)
    source, space = ctypes.create_string_buffer(data, len(data)), ctypes.create_string_buffer(CHUNK)
    at, total, left = 0, 0, 1
    try:
        while left:
            taken, made = ctypes.c_size_t(len(data) - at), ctypes.c_size_t(CHUNK)
            left = library.LZ4F_decompress(
                context, space, ctypes.byref(made), ctypes.byref(source, at), ctypes.byref(taken), None
            )
            if library.LZ4F_isError(left) or (left and not made.value and not taken.value):
                raise RepositoryError("it cannot be decompressed")
            at += taken.value
            total += made.value
            if total > _MAXIMUM_SEGMENT:
                raise RepositoryError("it holds more than a segment may")
            yield space.raw[: made.value]
    finally:
        library.LZ4F_freeDecompressionContext(context)


# Configuration.


def configuration(text: str) -> Dict[str, Dict[str, str]]:
    """pgbackrest.conf by sections."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise RepositoryError(
            f"pgBackRest's configuration cannot be read: {' '.join(str(error).split())}"
        ) from None
    return {name: dict(parser.items(name)) for name in parser.sections()}
