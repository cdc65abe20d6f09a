"""Reading a ledger: what each entry says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_builder import Ledger, digest, make_key

from maintenance import register
from maintenance.errors import VerificationError


@pytest.fixture
def book(tmp_path: Path) -> Ledger:
    """A genesis, a run and an entry."""
    ledger = Ledger.create(tmp_path / "ledger", make_key(tmp_path, "engineer"))
    ledger.run("20261122T130000Z-0001-inspect")
    ledger.add("entry", "phone-1", {"entry.json": '{"what": "phone"}\n'})
    return ledger


def test_every_entry_is_told_with_its_facts(book: Ledger) -> None:
    items = list(register.read(book.root))
    assert [(item.seq, item.kind) for item in items] == [
        (1, "genesis"),
        (2, "open"),
        (3, "close"),
        (4, "entry"),
    ]
    assert items[2].facts == {"run": "20261122T130000Z-0001-inspect"}
    assert items[2].documents == [items[2].entry.path / "documents" / "a.docx"]
    assert items[3].facts == {"what": "phone"}
    assert items[3].time == "2026-11-22T13:03:00Z"
    assert items[3].sha256 == digest((book.entries[3] / "MANIFEST").read_bytes())


@pytest.mark.parametrize("damage", ["entry.json", "MANIFEST"])
def test_what_cannot_be_read_is_named(book: Ledger, damage: str) -> None:
    (book.entries[3] / damage).write_text("{")
    with pytest.raises(VerificationError, match=f"000004-entry-phone-1.*{damage}"):
        [item.facts for item in register.read(book.root)]
