"""The hospital's word on what was done: one file that names entries of the ledger by their digests, signed once.

The file can be written here and signed elsewhere, with stock ssh-keygen; what counts is the signature over its exact
bytes. Schema 1 named a single entry; schema 2 names one or many.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import Field, ValidationError

from maintenance import local_time, manifest, runbook
from maintenance.errors import CallError, RefusedError
from maintenance.ledger import Entry
from maintenance.record import Instant, Strict
from maintenance.register import Item
from maintenance.signing import SignatureError, Signers, key_of, pattern_list

NAMESPACE = "maintenance-receipt"
FILE = "acceptance.json"
SIGNATURE = "acceptance.json.sig"
Verdict = Literal["accepted", "accepted_with_remarks", "rejected"]
VERDICTS: tuple[Verdict, ...] = ("accepted", "accepted_with_remarks", "rejected")
_LARGEST = 32 << 20  # bytes of a file: hundreds of thousands of entries


class Accepted(Strict):
    """One entry that the acceptance is about."""

    seq: int = Field(ge=1)
    entry: str
    manifest_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Acceptance(Strict):
    """acceptance.json."""

    schema_: Literal["maintenance-acceptance/2"] = Field(default="maintenance-acceptance/2", alias="schema")
    site: str
    period: tuple[str, str] | None = None  # first and last day, on the hospital's calendar
    entries: tuple[Accepted, ...] = Field(min_length=1)
    verdict: Verdict
    remarks: str = ""
    by: str = ""  # who is to sign, where that was known
    at: Instant


@dataclass(frozen=True)
class Held:
    """An acceptance of the ledger that holds: who signed it, and what it says."""

    principal: str
    facts: dict[str, Any]


def named(items: Iterable[Item], first: str, last: str) -> list[Accepted]:
    """The entries that were signed in a period of days (YYYY-MM-DD, the hospital's calendar, both included)."""
    return [_accepted(item) for item in items if first <= local_time.day(item.time) <= last]


def of_entry(entry: Entry) -> Accepted:
    """One entry by its digest."""
    return Accepted(
        seq=entry.seq, entry=entry.folder, manifest_sha256=manifest.sha256_bytes(entry.manifest_bytes())
    )


def _accepted(item: Item) -> Accepted:
    return Accepted(seq=item.seq, entry=item.entry.folder, manifest_sha256=item.sha256)


def judge(verdict: str, remarks: str) -> Verdict:
    """The verdict that was meant; raises CallError where the remark that it needs is missing."""
    if not verdict:
        return "accepted_with_remarks" if remarks else "accepted"
    if verdict != "accepted" and not remarks:
        raise CallError(f"--verdict {verdict}: say with --remark what it is about")
    if verdict == "accepted" and remarks:
        raise CallError("--verdict accepted has no remark: accepted_with_remarks has")
    return cast(Verdict, verdict)


def parse(data: bytes, where: str) -> Acceptance:
    """Read acceptance.json strictly; raises CallError where it is none."""
    try:
        return Acceptance.model_validate_json(data)
    except ValidationError as error:
        raise CallError(f"{where} is no acceptance: {runbook.first_problem(error)}") from None


def differences(named_: Iterable[Accepted], held: dict[str, str], before: int) -> list[str]:
    """What the acceptance says of entries that the ledger does not; held: folder -> sha256 of its MANIFEST.

    before: the acceptance's own number, for it can only be about what stands before it.
    """
    found = []
    for item in named_:
        digest = held.get(item.entry)
        if digest is None or item.seq >= before or not item.entry.startswith(f"{item.seq:06d}-"):
            found.append(f"it names {item.entry[:120]!a}, which the ledger does not hold before it")
        elif digest != item.manifest_sha256:
            found.append(f"it names another MANIFEST of {item.entry} than the ledger holds")
    return found


def who_signed(data: bytes, signature: bytes, lists: Sequence[Signers], when: str) -> str:
    """The principal of the hospital whose signature it is; raises SignatureError.

    Its own line must name the namespace, and its key must be no engineer's: a vendor cannot accept its own work.
    lists: whom the ledger's lists of signers name, newest first.
    """
    key = key_of(signature)
    if any(_is_engineer(signers, key) for signers in lists):
        raise SignatureError("it was signed with a key that signs maintenance records")
    problem = SignatureError(f"no line of allowed_signers names a key for {NAMESPACE}")
    for signers in lists:
        for principal in signers.principals_named_for(NAMESPACE):
            try:
                signers.verify(data, signature, principal, NAMESPACE, when)
                return principal
            except SignatureError as error:
                problem = error
    raise problem


def _is_engineer(signers: Signers, key: str) -> bool:
    """Whether a line of the list lets this very key sign records."""
    return any(
        [line.key_type, line.base64_key] == key.split()[:2]
        and pattern_list((line.options or {}).get("namespaces") or "*", manifest.NAMESPACE)
        for line in signers.lines
    )


def held_in(entry: Entry, listed: Sequence[Entry], lists: Sequence[Signers], site: str) -> Held:
    """The acceptance that an entry of the ledger holds; raises ValueError with what is wrong with it."""
    try:
        data = manifest.read_regular(entry.path / FILE)
        signature = manifest.read_regular(entry.path / SIGNATURE)
        facts = json.loads(data)
        if not isinstance(facts, dict):
            raise ValueError("it is no JSON object")
        when, items = str(facts.get("at")), _items(facts)
    except (OSError, ValueError, TypeError, KeyError, RecursionError, ValidationError) as error:
        raise ValueError(f"{FILE} cannot be read ({' '.join(str(error).split())[:120]})") from None
    if not manifest.is_instant(when):
        raise ValueError(f"{FILE} states no time")
    try:
        principal = who_signed(data, signature, lists, when)
    except (SignatureError, CallError) as error:
        raise ValueError(f"the signature over {FILE} does not hold ({error})") from None
    if facts.get("site") != site:
        raise ValueError(f"{FILE} is about the site {str(facts.get('site'))[:60]!a}")
    if len(items) == 1 and len(entry.name) == 6 and entry.name.isdigit() and int(entry.name) != items[0].seq:
        raise ValueError(
            f"{FILE} is of entry {items[0].seq:06d}, not of {entry.name}"
        )  # the name is signed too
    wanted = {item.entry for item in items}
    wrong = differences(items, _digests(entry for entry in listed if entry.folder in wanted), entry.seq)
    if wrong:
        raise ValueError(f"{FILE}: {wrong[0]}" + (f", and {len(wrong) - 1} more" if wrong[1:] else ""))
    return Held(principal, facts)


def _items(facts: dict[str, Any]) -> list[Accepted]:
    if facts.get("schema") == "maintenance-acceptance/1":
        return [Accepted(seq=facts["seq"], entry=facts["entry"], manifest_sha256=facts["manifest_sha256"])]
    items = [Accepted.model_validate(item) for item in facts["entries"]]
    if not items:
        raise ValueError("it names no entry")
    return items


def _digests(entries: Iterable[Entry]) -> dict[str, str]:
    found = {}
    for entry in entries:
        try:
            found[entry.folder] = manifest.sha256_bytes(entry.manifest_bytes())
        except OSError:
            continue  # it is missing then, and said to be
    return found


def read_signed(path: Path) -> tuple[bytes, bytes, Acceptance]:
    """A file that the hospital signed, with the signature beside it; raises CallError or RefusedError."""
    signature = path.with_name(path.name + ".sig")
    try:
        if path.stat().st_size > _LARGEST:
            raise CallError(f"{path} is larger than any acceptance")
        data = manifest.read_regular(path)
    except OSError as error:
        raise CallError(f"{path} cannot be read: {error.strerror}") from None
    parsed = parse(data, str(path))
    try:
        return data, manifest.read_regular(signature), parsed
    except OSError as error:
        raise RefusedError(
            f"{signature} cannot be read ({error.strerror}): the hospital signs it by "
            f"ssh-keygen -Y sign -n {NAMESPACE} -f KEY {path}"
        ) from None
