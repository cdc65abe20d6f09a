"""What a ledger tells, entry by entry: the one way by which status, pack, cases and comparison read it.

Nothing is verified here (that is verification.py); what is read is what the entry says of itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maintenance import ledger, manifest
from maintenance.errors import VerificationError
from maintenance.manifest import Manifest, ManifestError

# The file of each kind that says what the entry is; the first that is there.
_MAIN = (
    "record.json",
    "open.json",
    "entry.json",
    "refused.json",
    "abandoned.json",
    "acceptance.json",
    "checkpoint.json",
    "unrecorded.json",
    "correction.json",
    "site.json",
)


_KEPT_BYTES = 16384  # of a file whose facts stay in memory: thousands of whole inspections would fill it


@dataclass(frozen=True)
class Item:
    """An entry with its signed header and, read when asked for, its facts."""

    entry: ledger.Entry
    manifest: Manifest
    sha256: str  # of its MANIFEST: what receipts and heads name

    @property
    def seq(self) -> int:
        """Its number in the chain."""
        return self.entry.seq

    @property
    def kind(self) -> str:
        """One of manifest.KINDS."""
        return self.entry.kind

    @property
    def time(self) -> str:
        """When it was signed, as its signer says: RFC 3339 UTC."""
        return self.manifest.time

    @property
    def documents(self) -> list[Path]:
        """The documents that it holds."""
        return [
            self.entry.path / path for path in sorted(self.manifest.files) if path.startswith("documents/")
        ]

    @property
    def facts(self) -> dict[str, Any]:
        """Its main JSON file, parsed; empty where it has none. Raises VerificationError where it cannot be read."""
        kept = self.__dict__.get("_facts")
        if kept is not None:
            return kept  # type: ignore[no-any-return]
        name = next((name for name in _MAIN if name in self.manifest.files), "")
        if not name:
            return {}
        path = self.entry.path / name
        try:
            data = path.read_bytes()
            facts = json.loads(data)
        except (OSError, ValueError, RecursionError) as error:
            raise VerificationError(
                f"{path} cannot be read ({error}): ./runner.py verify {self.entry.path.parent}"
            ) from None
        facts = facts if isinstance(facts, dict) else {}
        if len(data) <= _KEPT_BYTES:
            self.__dict__["_facts"] = facts
        return facts


def read(path: Path) -> Iterator[Item]:
    """Every entry of a ledger, oldest first; raises VerificationError where one has no readable MANIFEST."""
    for entry in ledger.entries(path):
        try:
            data = entry.manifest_bytes()
            yield Item(entry, manifest.parse(data), manifest.sha256_bytes(data))
        except (OSError, ManifestError) as error:
            raise VerificationError(
                f"{entry.folder}: its MANIFEST cannot be read ({error}): ./runner.py verify {path}"
            ) from None
