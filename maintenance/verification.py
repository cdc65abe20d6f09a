"""Verification of a ledger: which entry, what is wrong with it, and what that means.

Reads only the ledger, public keys and the hospital's heads; needs nobody's word. `verify.sh` (sh, coreutils,
ssh-keygen) gives the same answer without any of this code.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from maintenance import acceptance, manifest, orders, sm2
from maintenance import ledger as store
from maintenance.errors import CallError
from maintenance.ledger import Entry
from maintenance.manifest import Manifest, ManifestError
from maintenance.signing import SignatureError, Signers

RECEIPT_NAMESPACE = acceptance.NAMESPACE
SIGNERS_NAMESPACE = "maintenance-signers"  # the hospital's signature over a new allowed_signers
_RECEIPT = re.compile(
    r"maintenance-receipt v1\nsite (?P<site>[A-Za-z0-9._-]+)\nseq (?P<seq>[1-9][0-9]{0,5})\n"
    r"sha256 (?P<sha256>[0-9a-f]{64})\ntime (?P<time>[0-9TZ:-]+)\n"
)
_LATE_SECONDS = 24 * 3600  # work without a line to the witness is legitimate; more than a day is worth a look
_CLOCK_SECONDS = 600  # by which the hospital's clock and the vendor's may differ without a word
_ROUNDS = 5  # of a verification that found faults while runs went on writing
_KNOWN_BESIDE = re.compile(r"\.lock|\.tmp-.*|\.run-.*|receipts|verify\.sh")


@dataclass(frozen=True)
class Fault:
    """Something that does not hold."""

    entry: str
    what: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.entry}: {self.what}. {self.meaning}"


@dataclass
class Report:
    """What verification found."""

    ledger: Path
    entries: int = 0
    faults: list[Fault] = field(default_factory=list)
    unclosed: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)  # entries whose time is worth a question
    receipts: int = 0
    acceptances: int = 0  # of the hospital, over one entry or a period
    heads: int | None = None
    unheld: list[str] = field(default_factory=list)  # entries that the hospital's list does not hold
    own_signers: bool = True  # the reader named no list of his own
    newest: str = ""
    sm2_checked: int = 0
    sm2_unchecked: int = 0  # second signatures that this machine's openssl cannot check

    @property
    def sound(self) -> bool:
        """True where nothing is wrong; an open without a close is no fault of the ledger."""
        return not self.faults

    def blind_spots(self) -> list[str]:
        """What cannot be seen from here, in plain words."""
        sm2_ = []
        if self.sm2_unchecked:
            sm2_ = [f"whether {self.sm2_unchecked} SM2 signatures hold: {sm2.why_unavailable()}"]
        if self.heads is not None:
            return sm2_ + [
                f"{name}: not delivered yet, or made after the list was copied" for name in self.unheld
            ]
        own = "whose keys count: the ledger's own list did, and an engineer can extend it: verify --allowed-signers FILE"
        return [
            *sm2_,
            "a truncated tail, a chain signed anew by the vendor's own key, and a back-dated entry show only "
            "against the hospital's list: verify --heads FILE",
            *([own] if self.own_signers else []),
        ]


@dataclass(frozen=True)
class Receipt:
    """A witness's receipt: it held these bytes at this time."""

    site: str
    seq: int
    sha256: str
    time: str
    text: bytes
    signature: bytes


def receipt_text(site: str, seq: int, sha256: str, time: str) -> bytes:
    """The bytes that a witness signs."""
    return f"maintenance-receipt v1\nsite {site}\nseq {seq}\nsha256 {sha256}\ntime {time}\n".encode("ascii")


def parse_receipt(text: bytes, signature: bytes) -> Receipt:
    """Read a receipt's text; raises ValueError where it is not one."""
    match = _RECEIPT.fullmatch(text.decode("ascii", errors="replace"))
    if not match or not manifest.is_instant(match["time"]):
        raise ValueError("it is not a receipt")
    return Receipt(match["site"], int(match["seq"]), match["sha256"], match["time"], text, signature)


def vouched_for(before: Signers, data: bytes, signature: bytes, when: str) -> str:
    """Who, by the list before, signed a new allowed_signers for the hospital; '' where nobody did."""
    # Its own line must say so: a line without namespaces would let an engineer change the hospital's list.
    for principal in before.principals_named_for(SIGNERS_NAMESPACE):
        with contextlib.suppress(SignatureError):
            before.verify(data, signature, principal, SIGNERS_NAMESPACE, when)
            return principal
    return ""


def read_heads(path: Path) -> dict[int, tuple[str, str]]:
    """The hospital's list: sequence -> (sha256 of MANIFEST, time), from the first on without a gap; raises CallError
    where it is malformed, for what is not whole says nothing about what is missing."""
    heads: dict[int, tuple[str, str]] = {}
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CallError(f"the heads {path} cannot be read: {error}") from None
    for number, line in enumerate(lines, start=1):
        match = re.fullmatch(r"([1-9][0-9]{0,5}) ([0-9a-f]{64}) (\S+)", line)
        if not match or not manifest.is_instant(match[3]):
            raise CallError(f"{path}:{number} is not 'SEQ SHA256 TIME': {line[:60]!a}")
        if int(match[1]) != number:
            raise CallError(f"{path}:{number} is about entry {match[1]}: the hospital's list has no gaps")
        heads[number] = (match[2], match[3])
    return heads


def verify(
    ledger: Path,
    *,
    heads: Path | None = None,
    signers: Path | None = None,
    sm2_signers: Path | None = None,
    revoked: Path | None = None,
    revoked_since: str = "",
    last: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check a whole ledger, or the names of all and the content of the `last` entries.

    signers: the allowed_signers that the reader trusts; by default the ledger's own, which its genesis brings and
    a later entry, signed by an allowed key, may replace.
    sm2_signers: the same for second signatures by SM2.
    revoked_since: the instant at which the revoked keys were lost. What the hospital had received before counts.

    A ledger that a run adds to meanwhile is looked at again: what moved under the reader's eyes is no fault.
    """
    for _ in range(_ROUNDS):
        before = _present(ledger)
        report = _verify(
            ledger, heads, signers, sm2_signers, _Revoked(revoked, revoked_since), last, progress
        )
        if report.sound or _present(ledger) == before:
            break
    return report


def _present(ledger: Path) -> list[str]:
    """The names of entries and of receipts that wait."""
    waiting = ledger / store.RECEIPTS
    names = [path.name for path in waiting.iterdir()] if waiting.is_dir() else []
    return [*(entry.folder for entry in store.entries(ledger)), *sorted(names)]


def _verify(
    ledger: Path,
    heads: Path | None,
    signers: Path | None,
    sm2_signers: Path | None,
    revoked: _Revoked,
    last: int | None,
    progress: Callable[[int, int], None] | None,
) -> Report:
    listed = store.entries(ledger)
    report = Report(ledger, entries=len(listed), newest=listed[-1].folder if listed else "")
    report.own_signers = signers is None
    if not listed:
        raise CallError(f"{ledger} is not a ledger: it holds no entries")
    report.faults += _names(ledger, listed)
    known_heads = read_heads(heads) if heads else {}
    report.heads = len(known_heads) if heads else None
    second = _SecondSignatures(sm2_signers, report)
    checker = _Checker(ledger, listed, signers, revoked, known_heads)
    checker.read_receipts(report)
    start = max(0, len(listed) - last) if last else 0
    for number, entry in enumerate(listed):
        if number < start:
            checker.skip(entry)
            second.take(entry)
            continue
        report.faults += checker.entry(entry, first=number == 0)
        report.faults += second.check(entry)
        report.faults += checker.acceptance(entry, report)
        if progress:
            progress(number + 1 - start, len(listed) - start)
    report.faults += _pairs(listed)
    report.late = checker.late
    closed = {entry.name for entry in listed if entry.kind in ("close", "abandoned")}
    report.unclosed = [entry.folder for entry in listed if entry.kind == "open" and entry.name not in closed]
    if heads:
        report.faults += _against_heads(checker.digests, known_heads, listed)
        report.unheld = [entry.folder for entry in listed if entry.seq not in known_heads]
    return report


def _names(ledger: Path, listed: list[Entry]) -> Iterator[Fault]:
    """Sequence and kinds, and whatever lies in the ledger that is no entry."""
    expected = 1
    for entry in listed:
        if entry.kind not in manifest.KINDS:
            yield Fault(
                entry.folder, f"the kind '{entry.kind}' does not exist", "The folder was added or renamed."
            )
        if entry.kind == "genesis" and entry.seq != 1:
            yield Fault(entry.folder, "a ledger has one genesis only", "Another ledger was begun in it.")
        if entry.seq != expected:
            if entry.seq > expected:
                missing = f"{expected:06d}" + (f" to {entry.seq - 1:06d}" if entry.seq - expected > 1 else "")
                yield Fault(entry.folder, f"entry {missing} is missing before it", "Entries were deleted.")
            else:
                yield Fault(
                    entry.folder,
                    f"sequence {entry.seq:06d} stands twice",
                    "An entry was duplicated or added.",
                )
        expected = entry.seq + 1
    if listed[0].kind != "genesis":
        yield Fault(
            listed[0].folder, "the first entry is no genesis", "The beginning of the ledger is missing."
        )
    names = {entry.folder for entry in listed}
    for path in sorted(ledger.iterdir()):
        item = path.name
        if item not in names and not _KNOWN_BESIDE.fullmatch(item):
            yield Fault(
                _shown(item),
                "it is not an entry",
                "Something was put into the ledger or an entry was renamed.",
            )
        elif path.is_symlink() or not (path.is_file() or path.is_dir() or item.startswith(".tmp-")):
            yield Fault(
                _shown(item),
                "it is a link or a device",
                "What it shows can change without a trace.",
            )


def _shown(name: str) -> str:
    """A name as it may be printed: whoever can put a file into a ledger must not speak to the terminal."""
    return name[:120] if name.isascii() and name.isprintable() else ascii(name[:120])


def _pairs(listed: list[Entry]) -> Iterator[Fault]:
    """Each close or abandoned belongs to one open before it."""
    opened: dict[str, int] = {}
    ended: dict[str, str] = {}
    for entry in listed:
        if entry.kind == "open":
            if entry.name in opened:
                yield Fault(
                    entry.folder,
                    f"the run was opened already in {opened[entry.name]:06d}",
                    "A run begins once.",
                )
            opened[entry.name] = entry.seq
        elif entry.kind in ("close", "abandoned"):
            if entry.name not in opened:
                yield Fault(
                    entry.folder, "no open stands before it", "The beginning of this run was removed."
                )
            if entry.name in ended:
                yield Fault(entry.folder, f"the run ended already in {ended[entry.name]}", "A run ends once.")
            ended[entry.name] = entry.folder


def _against_heads(
    digests: dict[int, str], heads: dict[int, tuple[str, str]], listed: list[Entry]
) -> Iterator[Fault]:
    folders = {entry.seq: entry.folder for entry in listed}
    for seq, (digest, time) in sorted(heads.items()):
        if seq not in digests:
            yield Fault(
                f"{seq:06d}",
                f"the hospital holds its head since {time or 'an unknown time'}, the ledger lacks it",
                "The end of the ledger was cut off, or this is not the whole ledger.",
            )
        elif digests[seq] != digest:
            yield Fault(
                folders[seq],
                "its MANIFEST is not the one that the hospital holds",
                "The entry was written anew after the hospital had seen it, by someone who has the vendor's key.",
            )


class _SecondSignatures:
    """SM2: from the entry on that brings a list of keys, each signer whom it names signs twice.

    The SSH signature over the MANIFEST, which lists that file, vouches for it.
    """

    def __init__(self, trusted: Path | None, report: Report) -> None:
        self.trusted = trusted
        self.report = report
        self.keys = {} if trusted is None else _sm2_list(trusted)

    def take(self, entry: Entry) -> str:
        """Follow the list that an entry brings; returns what is wrong with it, or ''."""
        own = entry.path / sm2.LIST
        if self.trusted is None and own.is_file() and not own.is_symlink():
            try:
                self.keys = sm2.parse_list(own.read_bytes())
            except (OSError, SignatureError) as error:
                self.keys = {}
                return str(error)
        return ""

    def check(self, entry: Entry) -> Iterator[Fault]:
        """One entry's second signature."""
        problem = self.take(entry)
        if problem:
            yield Fault(entry.folder, problem, "Nobody can say whose SM2 keys count from here on.")
        try:
            data = entry.manifest_bytes()
            signer = manifest.parse(data).signer
        except (OSError, ManifestError):
            return  # said already
        key = self.keys.get(signer)
        try:
            signature = manifest.read_regular(entry.path / sm2.SIGNATURE)
        except FileNotFoundError:
            if key:
                yield Fault(
                    entry.folder,
                    f"{sm2.SIGNATURE} is missing, though {signer} signs by SM2 too",
                    "The second signature was taken away.",
                )
            return
        except OSError:
            return  # no regular file: said already
        if not key:
            yield Fault(
                entry.folder,
                f"{sm2.SIGNATURE} stands there, and no {sm2.LIST} names a key of {signer}",
                "Nobody can check it: it was put there later.",
            )
        elif sm2.why_unavailable():
            self.report.sm2_unchecked += 1
        else:
            try:
                sm2.verify(key, data, signature)
                self.report.sm2_checked += 1
            except SignatureError as error:
                yield Fault(
                    entry.folder,
                    f"the SM2 signature of {signer} does not hold ({error})",
                    "The MANIFEST was changed, or another key signed it.",
                )


def _sm2_list(path: Path) -> dict[str, str]:
    try:
        return sm2.parse_list(path.read_bytes())
    except (OSError, SignatureError) as error:
        raise CallError(f"{path} is not a usable list of SM2 keys: {error}") from None


@dataclass(frozen=True)
class _Revoked:
    """The revocation list, and since when its keys were in wrong hands."""

    path: Path | None
    since: str

    def signers(self, path: Path, seen: str) -> Signers:
        """The list by which something is checked that the hospital had at `seen` ('' where that is not proven)."""
        return Signers(path, None if seen and seen < self.since else self.path)


class _Checker:
    """Carries what one entry's check hands to the next: the link and the signers in force."""

    def __init__(
        self,
        ledger: Path,
        listed: list[Entry],
        trusted: Path | None,
        revoked: _Revoked,
        heads: dict[int, tuple[str, str]],
    ) -> None:
        self.ledger = ledger
        self.trusted = trusted
        self.revoked = revoked
        self.heads = heads
        self.signers = trusted  # the list in force
        self.lists: dict[
            tuple[Path, bool], Signers
        ] = {}  # each is read once, with and without the revocation list
        self.previous: Entry | None = None
        self.digests: dict[int, str] = {}
        self.site = listed[0].name
        self.listed = listed
        self.receipts: dict[int, dict[str, str]] = {}  # seq -> sha256 -> earliest time, of valid receipts
        self.dated = ""  # when the entry before says that it was made
        self.late: list[str] = []

    @cached_property
    def _receipt_signers(self) -> list[Signers]:
        """Newest first: every allowed_signers that may name the hospital's witness."""
        paths = [self.trusted] if self.trusted else list(reversed(store.signers_files(self.ledger)))
        return [self._list(path) for path in paths]

    def _list(self, path: Path, seen: str = "") -> Signers:
        """A list of signers for what the hospital had at `seen`."""
        key = (path, bool(seen and seen < self.revoked.since))
        if key not in self.lists:
            self.lists[key] = self.revoked.signers(path, seen)
        return self.lists[key]

    def skip(self, entry: Entry) -> None:
        """Take an entry as it is: only its head and its signers are needed for what follows."""
        self.previous = entry
        self._take_signers(entry)

    def read_receipts(self, report: Report) -> None:
        """Collect the receipts of the chain and those that wait for it, and check each signature."""
        folders = [entry.path / store.RECEIPTS for entry in self.listed]
        for folder in [*folders, self.ledger / store.RECEIPTS]:
            if not folder.is_dir() or folder.is_symlink():
                continue
            for text in sorted(folder.rglob("*.receipt")):
                where = _shown(str(text.relative_to(self.ledger)))
                try:
                    receipt = parse_receipt(
                        manifest.read_regular(text),
                        manifest.read_regular(text.with_name(text.name + ".sig")),
                    )
                    self._check_receipt(receipt)
                except (OSError, ValueError, SignatureError) as error:
                    report.faults.append(
                        Fault(
                            where,
                            f"the receipt does not hold ({_shown(str(error))})",
                            "The hospital did not give it like this.",
                        )
                    )
                    continue
                # The earliest counts: a countersignature months later says nothing new about when it was signed.
                known = self.receipts.setdefault(receipt.seq, {})
                known[receipt.sha256] = min(receipt.time, known.get(receipt.sha256, receipt.time))
                report.receipts += 1
        present = {entry.seq for entry in self.listed}
        for seq in sorted(self.receipts.keys() - present):
            report.faults.append(
                Fault(
                    f"{seq:06d}",
                    "the hospital gave a receipt for it, the ledger lacks it",
                    "The end of the ledger was cut off, or this is not the whole ledger.",
                )
            )

    def acceptance(self, entry: Entry, report: Report) -> Iterator[Fault]:
        """The hospital's signature over what it accepted, and whether the ledger still holds that."""
        if entry.kind != "receipt" or not (entry.path / acceptance.FILE).is_file():
            return
        try:
            acceptance.held_in(entry, self.listed, self._receipt_signers, self.site)
            report.acceptances += 1
        except ValueError as error:
            yield Fault(
                entry.folder,
                _shown(str(error)),
                "The hospital did not sign this, or what it accepted was changed since.",
            )

    def _check_receipt(self, receipt: Receipt) -> None:
        """Any key that some allowed_signers of the ledger lets sign receipts will do."""
        if receipt.site != self.site:
            raise ValueError(f"it is for the site {receipt.site}")
        problem: SignatureError | None = None
        for signers in self._receipt_signers:
            # Its own line must say so: a line without namespaces would let an engineer receipt himself.
            for principal in signers.principals_named_for(RECEIPT_NAMESPACE):
                try:
                    signers.verify(
                        receipt.text, receipt.signature, principal, RECEIPT_NAMESPACE, receipt.time
                    )
                    return
                except SignatureError as error:
                    problem = error
        raise problem or SignatureError("no key is allowed to sign receipts")

    def _take_signers(self, entry: Entry) -> None:
        own = entry.path / "allowed_signers"
        if self.trusted is None and own.is_file() and not own.is_symlink():
            self.signers = own

    def entry(self, entry: Entry, *, first: bool) -> list[Fault]:
        """All checks of one entry."""
        try:
            data, signature = entry.manifest_bytes(), entry.signature()
            parsed = manifest.parse(data)
        except (OSError, ManifestError) as error:
            self.previous = entry
            return [
                Fault(
                    entry.folder, f"its MANIFEST cannot be read: {error}", "The entry is damaged or forged."
                )
            ]
        self.digests[entry.seq] = manifest.sha256_bytes(data)
        faults = [*self._header(entry, parsed, first), *_files(entry, parsed)]
        if first and self.signers is None:
            self._take_signers(entry)
        faults += self._signature(entry, parsed, data, signature)
        if not first:
            self._take_signers(entry)
        self.previous = entry
        return faults

    def _header(self, entry: Entry, parsed: Manifest, first: bool) -> Iterator[Fault]:
        renamed = "The folder was renamed, moved or copied."
        if not entry.folder.startswith(parsed.folder):
            yield Fault(entry.folder, f"its MANIFEST was signed for {parsed.folder}…", renamed)
        if parsed.run != entry.name:
            yield Fault(entry.folder, f"its MANIFEST was signed for the run {parsed.run}", renamed)
        if parsed.site != self.site:
            yield Fault(
                entry.folder, f"it belongs to the site {parsed.site}", "It comes from another ledger."
            )
        if first:
            if parsed.previous:
                yield Fault(entry.folder, "a genesis has no entry before it", "The beginning was cut off.")
        elif not parsed.previous:
            yield Fault(entry.folder, "it names no entry before it", "The chain is broken here.")
        elif self.previous:
            folder, digest = parsed.previous
            if folder != self.previous.folder:
                yield Fault(
                    entry.folder,
                    f"it follows {folder}, but {self.previous.folder} stands before it",
                    "Entries were deleted, moved or added between them.",
                )
            elif digest != _digest_or_none(self.previous):
                yield Fault(
                    entry.folder,
                    f"the MANIFEST of {folder} is not the one it follows",
                    "The entry before it was changed after this one was signed.",
                )

    def _signature(self, entry: Entry, parsed: Manifest, data: bytes, signature: bytes) -> Iterator[Fault]:
        if self.signers is None:
            yield Fault(
                entry.folder, "there is no allowed_signers to check it by", "Nobody can say who signed."
            )
            return
        receipts = self.receipts.get(entry.seq, {})
        seen = receipts.get(self.digests[entry.seq], "")
        if len(receipts) > bool(seen):
            yield Fault(
                entry.folder,
                "its MANIFEST is not the one in the hospital's receipt",
                "The entry was written anew after the hospital had seen it.",
            )
        if not seen and self.heads.get(entry.seq, ("", ""))[0] == self.digests[entry.seq]:
            seen = self.heads[entry.seq][1]
        self._times(entry, parsed, seen)
        when = seen or parsed.time
        signers = self._list(self.signers, seen)
        if entry.kind == "open":
            problem = orders.problem_in_open(entry.path, signers, when)
            if problem:
                yield Fault(entry.folder, problem, "The run was not what the hospital had approved.")
        vouched = self._vouched(entry, signers, seen, when)
        try:
            (vouched or signers).verify(data, signature, parsed.signer, manifest.NAMESPACE, when)
        except SignatureError as error:
            problem = self._only_revoked(vouched or signers, parsed, data, signature, seen)
            if problem:
                yield Fault(entry.folder, problem, "Its key is on the revocation list.")
                return
            yield Fault(
                entry.folder,
                f"the signature of {parsed.signer} does not hold ({error})",
                "The MANIFEST was changed, or was signed by a key that is not (or no longer) allowed to.",
            )

    def _vouched(self, entry: Entry, signers: Signers, seen: str, when: str) -> Signers | None:
        """The entry's own allowed_signers, where the hospital signed it by the list before."""
        own = entry.path / "allowed_signers"
        try:
            if self.trusted or not (entry.path / "allowed_signers.sig").is_file():
                return None
            data = manifest.read_regular(own)
            signature = manifest.read_regular(entry.path / "allowed_signers.sig")
        except OSError:
            return None
        return self._list(own, seen) if vouched_for(signers, data, signature, when) else None

    def _only_revoked(
        self, signers: Signers, parsed: Manifest, data: bytes, signature: bytes, seen: str
    ) -> str:
        """What to say of a signature that would hold if its key were not revoked; '' where it would not."""
        if not signers.revoked:
            return ""
        try:
            Signers(signers.path).verify(
                data, signature, parsed.signer, manifest.NAMESPACE, seen or parsed.time
            )
        except SignatureError:
            return ""
        said = f"the signature of {parsed.signer} does not hold: its key is revoked"
        if not seen:
            return f"{said}, and no receipt of the hospital proves that it was made before the key was lost"
        if self.revoked.since:
            return f"{said} since {self.revoked.since}, and the hospital received it after that, at {seen}"
        return (
            f"{said}; the hospital received it at {seen}, so it counts if the key was lost after that: "
            "--revoked-since TIME"
        )

    def _times(self, entry: Entry, parsed: Manifest, seen: str) -> None:
        """Note a time that only a clock that was set, or a forger, explains."""
        late = _seconds(seen) - _seconds(parsed.time) if seen else 0
        if late > _LATE_SECONDS:
            self.late.append(
                f"{entry.folder}: states {parsed.time}, the hospital saw it at {seen}: "
                "made offline, or back-dated; ask which"
            )
        elif late < -_CLOCK_SECONDS:
            self.late.append(
                f"{entry.folder}: states {parsed.time}, the hospital saw it before, at {seen}: a clock is wrong"
            )
        elif parsed.time < self.dated:
            self.late.append(
                f"{entry.folder}: states {parsed.time}, the entry before it {self.dated}: "
                "a clock was set, or it is back-dated"
            )
        self.dated = parsed.time


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _digest_or_none(entry: Entry) -> str | None:
    try:
        return manifest.sha256_bytes(entry.manifest_bytes())
    except OSError:
        return None


def _files(entry: Entry, parsed: Manifest) -> Iterator[Fault]:
    """The files of the folder are those that are listed, with these bytes, and nothing else."""
    present = set()
    unread: list[OSError] = []
    if entry.path.is_symlink():
        yield Fault(entry.folder, "it is a link, not a folder", "It was put there later.")
    for folder, folders, names in os.walk(entry.path, onerror=unread.append):
        if not folders and not names:
            empty = str(Path(folder).relative_to(entry.path))
            yield Fault(entry.folder, f"{_shown(empty)} is an empty folder", "It was added later.")
        for name in [*names, *(item for item in folders if (Path(folder) / item).is_symlink())]:
            path = Path(folder) / name
            relative = str(path.relative_to(entry.path))
            if path.is_symlink() or not path.is_file():
                yield Fault(
                    entry.folder, f"{_shown(relative)} is not a regular file", "It was put there later."
                )
            elif relative not in manifest.UNLISTED:
                present.add(relative)
    for relative in sorted(present - parsed.files.keys()):
        yield Fault(
            entry.folder, f"{_shown(relative)} is not listed in its MANIFEST", "The file was added later."
        )
    for error in unread:
        yield Fault(
            entry.folder,
            f"{_shown(Path(error.filename or '').name)} cannot be read ({error.strerror})",
            "Nobody can say what is in it.",
        )
    for relative, digest in sorted(parsed.files.items()):
        if relative not in present:
            yield Fault(entry.folder, f"{relative} is missing", "The file was deleted.")
            continue
        try:
            same = manifest.sha256_file(entry.path / relative) == digest
        except OSError as error:
            yield Fault(
                entry.folder, f"{relative} cannot be read ({error.strerror})", "Nobody can say what is in it."
            )
            continue
        if not same:
            yield Fault(entry.folder, f"{relative} is not the file that was signed", "The file was changed.")
