"""Entries outside a run: signed, chained, or refused with nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from maintenance import bookkeeping, ledger, site, verification
from maintenance.errors import CallError, RefusedError
from maintenance.record import to_bytes
from maintenance.signing import make_key
from maintenance.site import Settings, Site

FACTS = to_bytes({"schema": "maintenance-entry/1", "what": "phone"})


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """A site of one host with a password in its inventory."""
    make_key(tmp_path / "key", "engineer@v")
    public = (tmp_path / "key.pub").read_text()
    (tmp_path / "allowed_signers").write_text(f'engineer@v namespaces="maintenance-record" {public}')
    (tmp_path / "hosts.yml").write_text("all: {hosts: {one: {ansible_become_password: hidden-4711}}}")
    return Site(tmp_path, Settings(site="trial", principal="engineer@v", key="key", ledger="ledger"))


def test_the_first_entry_begins_the_ledger(here: Site) -> None:
    entry, notes = bookkeeping.add_entry(here, "entry", "phone-1", {"entry.json": FACTS})
    assert [item.kind for item in ledger.entries(here.ledger)] == ["genesis", "entry"]
    assert entry.manifest().signer == "engineer@v"
    assert notes == []
    assert verification.verify(here.ledger).sound


def test_content_may_depend_on_what_the_ledger_holds(here: Site) -> None:
    entry, _ = bookkeeping.add_entry(
        here, "checkpoint", "one", lambda book: {"checkpoint.json": to_bytes({"seq": book.next_seq})}
    )
    assert (entry.path / "checkpoint.json").read_text() == '{\n  "seq": 2\n}\n'


def test_a_secret_of_the_inventory_is_not_signed(here: Site) -> None:
    with pytest.raises(RefusedError, match="a known secret is still in"):
        bookkeeping.add_entry(here, "entry", "x", {"entry.json": to_bytes({"text": "it was hidden-4711"})})
    assert [item.kind for item in ledger.entries(here.ledger)] == ["genesis"]


def test_a_key_that_the_site_does_not_list_writes_nothing(here: Site) -> None:
    (here.folder / "allowed_signers").write_text('other@v namespaces="maintenance-record" ssh-ed25519 AAAA\n')
    with pytest.raises((CallError, RefusedError)):
        bookkeeping.add_entry(here, "entry", "x", {"entry.json": FACTS})
    assert ledger.entries(here.ledger) == []


def test_nothing_is_written_behind_a_broken_entry(here: Site) -> None:
    entry, _ = bookkeeping.add_entry(here, "entry", "x", {"entry.json": FACTS})
    (entry.path / "entry.json").write_text("{}")
    with pytest.raises(RefusedError, match=r"does not verify, nothing was done: 000002-entry-x: entry\.json"):
        bookkeeping.add_entry(here, "entry", "y", {"entry.json": FACTS})
    assert len(ledger.entries(here.ledger)) == 2


def test_the_ledger_of_another_site_is_refused(here: Site) -> None:
    bookkeeping.add_entry(here, "entry", "x", {"entry.json": FACTS})
    other = site.Site(here.folder, here.settings.model_copy(update={"site": "other"}))
    with pytest.raises(CallError, match="is the ledger of the site trial, not of other"):
        bookkeeping.add_entry(other, "entry", "y", {"entry.json": FACTS})
