"""The append-only store of a site: a chain of signed folders (../shared/design/records.md).

An entry appears whole or not at all: it is written into a temporary folder, every file and folder is
fsynced, and one rename makes it visible. A lock lets many runs append, one at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from maintenance import manifest, sm2
from maintenance.errors import CallError, RefusedError
from maintenance.manifest import Manifest
from maintenance.signing import SignatureError, Signer

RECEIPTS = "receipts"  # of entries at the head, until the next entry takes them into the chain
_TEMPORARY = ".tmp-"
_RUNNING = ".run-"
SPACE_NEEDED = 64 * 1024 * 1024  # bytes: more than any record seen, so that a run's end is sure to find room


def now() -> str:
    """The present instant, RFC 3339 UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Entry:
    """One folder of the chain."""

    seq: int
    kind: str
    name: str
    path: Path

    @property
    def folder(self) -> str:
        """The name of the folder."""
        return self.path.name

    def manifest(self) -> Manifest:
        """The entry's MANIFEST, parsed; raises ManifestError."""
        return manifest.parse(self.manifest_bytes())

    def manifest_bytes(self) -> bytes:
        """The signed bytes."""
        return manifest.read_regular(self.path / "MANIFEST")

    def signature(self) -> bytes:
        """The SSHSIG over them."""
        return manifest.read_regular(self.path / "MANIFEST.sig")


def entries(ledger: Path) -> list[Entry]:
    """The entries by sequence and name; folders that are no entries are left out (verification names them)."""
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(ledger) as listing:
        for item in listing:
            match = manifest.FOLDER.fullmatch(item.name)
            if match:
                found.append(Entry(int(match["seq"]), match["kind"], match["name"], ledger / item.name))
    return sorted(found, key=lambda entry: entry.folder)


def find_entry(ledger: Path, text: str) -> Entry:
    """The entry that a user means: a path, a folder's name, a sequence number, or a run id (its close)."""
    name = Path(text).name
    listed = entries(ledger)
    exact = [entry for entry in listed if entry.folder == name or (text.isdigit() and entry.seq == int(text))]
    by_run = [entry for entry in listed if entry.name == text and entry.kind != "open"]
    for candidates in (exact, by_run):
        if len(candidates) == 1:
            return candidates[0]
    raise CallError(
        f"no single entry '{text}' in {ledger}; name its folder or its number (there are {len(listed)})"
    )


def signers_files(ledger: Path) -> list[Path]:
    """Every allowed_signers that an entry brought, oldest first; the last one is in force. Nothing else counts: what
    lies beside the chain is signed by nobody."""
    files = [entry.path / "allowed_signers" for entry in entries(ledger)]
    return [path for path in files if path.is_file() and not path.is_symlink()]


def sm2_lists(ledger: Path) -> list[Path]:
    """Every sm2_signers that an entry brought, oldest first; the last one is in force."""
    files = [entry.path / sm2.LIST for entry in entries(ledger)]
    return [path for path in files if path.is_file() and not path.is_symlink()]


def site_of(ledger: Path) -> str:
    """The site's name as the genesis entry states it."""
    first = next(iter(entries(ledger)), None)
    if first is None or first.kind != "genesis":
        raise CallError(f"{ledger} is not a ledger: it has no 000001-genesis entry")
    return first.name


@dataclass
class Book:
    """The ledger while its lock is held."""

    path: Path
    site: str

    def entries(self) -> list[Entry]:
        """All entries, oldest first."""
        return entries(self.path)

    @property
    def head(self) -> Entry | None:
        """The newest entry."""
        listed = self.entries()
        return listed[-1] if listed else None

    @property
    def next_seq(self) -> int:
        """The sequence number that the next entry gets."""
        head = self.head
        return head.seq + 1 if head else 1

    def append(
        self, kind: str, name: str, files: Mapping[str, bytes | Path], *, signer: Signer, when: str = ""
    ) -> Entry:
        """Add one signed entry; files maps paths in the entry to bytes or to a file whose content is copied."""
        head = self.head
        seq = head.seq + 1 if head else 1
        folder = f"{seq:06d}-{kind}-{name}"
        if not manifest.FOLDER.fullmatch(folder) or kind not in manifest.KINDS:
            raise CallError(f"'{folder}' cannot be the name of an entry")
        temporary = self.path / f"{_TEMPORARY}{folder}-{os.getpid()}"
        files = {**files, **self._receipts_for_the_chain(), **self._sm2_list(signer)}
        try:
            digests = _write_files(temporary, files)
            text = Manifest(
                site=self.site,
                seq=seq,
                kind=kind,
                run=name,  # signed too, so that no entry can be renamed
                signer=signer.principal,
                time=when or now(),
                previous=(head.folder, manifest.sha256_bytes(head.manifest_bytes())) if head else None,
                files=digests,
            ).render()
            _write(temporary / "MANIFEST", text)
            _write(temporary / "MANIFEST.sig", signer.sign(text, manifest.NAMESPACE))
            if signer.sm2:
                _write(temporary / sm2.SIGNATURE, signer.sm2.sign(text))
            for path in sorted(temporary.rglob("*"), reverse=True):
                if path.is_dir():
                    _sync(path)
            _sync(temporary)
            temporary.rename(self.path / folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _sync(self.path)
        for name_in_chain in files:
            if name_in_chain.startswith(f"{RECEIPTS}/"):
                (self.path / name_in_chain).unlink(missing_ok=True)
        return Entry(seq, kind, name, self.path / folder)

    def _sm2_list(self, signer: Signer) -> dict[str, bytes | Path]:
        """Who has which SM2 key, where that changes with this entry: its signer got one, another one, or has none now."""
        held = sm2_lists(self.path)
        try:
            before = sm2.parse_list(held[-1].read_bytes()) if held else {}
        except SignatureError as error:
            raise RefusedError(f"{held[-1]}: {error}; nothing was done") from None
        others = {principal: pem for principal, pem in before.items() if principal != signer.principal}
        now_ = {**others, signer.principal: signer.sm2.public} if signer.sm2 else others
        return {} if now_ == before else {sm2.LIST: sm2.render_list(now_)}

    def _receipts_for_the_chain(self) -> dict[str, bytes | Path]:
        """The hospital's receipts for earlier entries, which the next entry brings into the chain."""
        folder = self.path / RECEIPTS
        if not folder.is_dir():
            return {}
        texts = [
            item for item in sorted(folder.glob("*.receipt")) if item.with_name(item.name + ".sig").is_file()
        ]
        pairs = [file for text in texts for file in (text, text.with_name(text.name + ".sig"))]
        return {f"{RECEIPTS}/{file.name}": file.read_bytes() for file in pairs}

    def keep_receipt(self, seq: int, text: bytes, signature: bytes) -> None:
        """Store the witness's receipt beside the chain; the next entry takes it in."""
        folder = self.path / RECEIPTS
        folder.mkdir(exist_ok=True)
        _write_atomically(folder / f"{seq:06d}.receipt.sig", signature)
        _write_atomically(folder / f"{seq:06d}.receipt", text)

    def unclosed(self) -> list[Entry]:
        """Opens that nothing has closed yet, of running and of dead runs."""
        listed = self.entries()
        closed = {entry.name for entry in listed if entry.kind in ("close", "abandoned")}
        return [entry for entry in listed if entry.kind == "open" and entry.name not in closed]


def check_usable(path: Path) -> None:
    """Refuse before anything is done if the ledger could not take the record (read-only, full, not a folder)."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = path / f"{_TEMPORARY}probe-{os.getpid()}"
        _write(probe, b"x" * 4096)
        probe.unlink(missing_ok=True)  # whoever holds the lock sweeps what is temporary
    except OSError as error:
        raise CallError(
            f"the ledger {path} cannot be written ({error.strerror}); nothing was run. "
            "Mend it, or name another with --ledger"
        ) from None
    free = shutil.disk_usage(path).free
    if free < SPACE_NEEDED:
        raise CallError(
            f"the ledger {path} has {free // 2**20} MiB free and a record needs up to {SPACE_NEEDED // 2**20}; "
            "nothing was run. Free some space, or name another with --ledger"
        )


@contextlib.contextmanager
def locked(path: Path, site: str, *, wait_seconds: float = 120) -> Iterator[Book]:
    """Hold the ledger's lock; raises RefusedError if another process keeps it for too long."""
    descriptor = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RefusedError(
                        f"another process has kept the ledger {path} for {wait_seconds:.0f} s; "
                        "see who it is with: fuser -v " + str(path / ".lock")
                    ) from None
                time.sleep(0.05)
        # Whatever is temporary now belongs to a process that died: only the lock's holder writes here.
        for leftover in path.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(leftover, ignore_errors=True)
            leftover.unlink(missing_ok=True) if leftover.is_file() else None
        yield Book(path, site)
    finally:
        os.close(descriptor)


class Journal:
    """What a run has seen so far, line by line, on disk before anything is done with it.

    The file is locked while its run lives, so that a later invocation can tell a running run from a dead one.
    """

    def __init__(self, ledger: Path, run: str) -> None:
        self.path = ledger / f"{_RUNNING}{run}"
        self._descriptor = os.open(
            self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def append(self, line: bytes, *, durable: bool) -> None:
        """Add one line; raises OSError when it cannot be kept whole."""
        written = os.write(self._descriptor, line)
        if written != len(line):
            raise OSError(28, "No space left on device", str(self.path))
        if durable:
            os.fdatasync(self._descriptor)

    def read(self) -> bytes:
        """Everything that was appended."""
        return self.path.read_bytes()

    def remove(self) -> None:
        """The run is closed; its events are in the chain."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Give up the lock, keep the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def close_dead_runs(book: Book, signer: Signer) -> list[Entry]:
    """Write an `abandoned` entry for each open whose run is no longer alive, with what its journal holds."""
    made = []
    for opened in book.unclosed():
        journal = book.path / f"{_RUNNING}{opened.name}"
        events = _journal_of_the_dead(journal)
        if events is None:
            continue
        # A line that was cut by the death is no event; it is counted, not kept.
        whole = events[: events.rfind(b"\n") + 1]
        facts = {
            "schema": "maintenance-abandoned/1",
            "run": opened.name,
            "open": opened.folder,
            "found": now(),
            "events": whole.count(b"\n"),
            "cut_bytes": len(events) - len(whole),
            "meaning": "the run ended without a record: its process or its machine died; "
            "what it did until its last event is in events.jsonl, what came after is unknown",
        }
        files: dict[str, bytes | Path] = {
            "abandoned.json": (
                json.dumps(facts, ensure_ascii=False, sort_keys=True, indent=2) + "\n"
            ).encode(),
            "events.jsonl": whole,
        }
        made.append(book.append("abandoned", opened.name, files, signer=signer))
        journal.unlink(missing_ok=True)
    _sweep_journals(book)
    return made


def _sweep_journals(book: Book) -> None:
    """Remove journals of runs that died before their open was written: nothing was done in them."""
    opened = {entry.name for entry in book.unclosed()}
    for journal in book.path.glob(f"{_RUNNING}*"):
        if journal.name.removeprefix(_RUNNING) not in opened and _journal_of_the_dead(journal) is not None:
            journal.unlink(missing_ok=True)


def _journal_of_the_dead(path: Path) -> bytes | None:
    """The journal's bytes, or None while its run lives. A run that died before it had a journal left b''."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    finally:
        os.close(descriptor)
    return path.read_bytes()


def _write_files(folder: Path, files: Mapping[str, bytes | Path]) -> dict[str, str]:
    digests = {}
    folder.mkdir()
    for path, content in files.items():
        if not manifest.LEGAL_PATH.fullmatch(path):
            raise CallError(f"'{path}' cannot be a file of an entry: letters, digits and . _ / - only")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        data = content.read_bytes() if isinstance(content, Path) else content
        _write(target, data)
        digests[path] = manifest.sha256_bytes(data)
    return digests


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _write_atomically(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    _write(temporary, data)
    temporary.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
