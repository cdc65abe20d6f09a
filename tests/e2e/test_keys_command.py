"""`keys`: what a site's list says, and whether this machine's key would be refused."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, Done

Runner = Callable[..., Done]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A site of its own with one engineer, whose line ends in 2099."""
    folder = REPOSITORY / "inventories" / "test_keys_command"
    folder.mkdir()
    key = tmp_path / "mine"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = " ".join((tmp_path / "mine.pub").read_text().split()[:2])
    (folder / "hosts.yml").write_text("servers: {hosts: {one: {ansible_connection: local}}}\n")
    (folder / "allowed_signers").write_text(
        f'a@b namespaces="maintenance-record",valid-before="20990101Z" {public}\n'
    )
    (folder / "site.yml").write_text(
        f"site: {folder.name}\nprincipal: a@b\nkey: {key}\nledger: {tmp_path / 'ledger'}\n"
    )
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def test_the_table_names_this_machines_key_and_its_end(runner: Runner, site: Path) -> None:
    done = runner("keys", "--site", site.name)
    assert done.code == 0, done.err
    assert "2099-01-01 " in done.out
    assert "valid (this machine)" in done.out
    assert "REFUSED" not in done.out
    facts = runner("keys", "--site", site.name, "--json").json
    assert facts["refused"] is None
    (line,) = facts["lines"]
    assert (line["principals"], line["state"], line["this_machine"]) == ("a@b", "valid", True)
    assert line["fingerprint"] == facts["own"]["fingerprint"]


def test_a_revoked_key_is_shown_and_refused_and_verify_uses_the_sites_list(
    runner: Runner, site: Path, tmp_path: Path
) -> None:
    done = runner("run", "inspect", "--site", site.name, "--quiet", "--check")
    assert done.code == 0, done.err
    assert runner("verify", "--site", site.name).code == 0
    shutil.copy(tmp_path / "mine.pub", site / "revoked")
    done = runner("keys", "--site", site.name)
    assert done.code == 3
    assert "revoked (this machine)" in done.out
    assert "REFUSED   the key SHA256:" in done.out
    entries = sorted((tmp_path / "ledger").iterdir())
    done = runner("run", "inspect", "--site", site.name)
    assert done.code == 3
    assert "is revoked" in done.line
    assert sorted((tmp_path / "ledger").iterdir()) == entries
    done = runner("verify", "--site", site.name)
    assert done.code == 4
    assert "its key is revoked, and no receipt" in done.out
    assert runner("verify", tmp_path / "ledger").code == 0, "no site, no list of the site"


def test_looking_at_the_keys_makes_none(runner: Runner, site: Path) -> None:
    (site / "site.yml").write_text(f"site: {site.name}\nself_issued_key: true\n")
    done = runner("keys", "--site", site.name)
    assert done.code == 0, done.err
    assert "none yet; the first run makes one of its own" in done.out
    assert not list((REPOSITORY / "var").glob(f"keys/{site.name}*"))


@pytest.mark.parametrize("text", ["yesterday", "2026-11-22", "2026-13-01T00:00:00Z"])
def test_a_time_of_loss_that_is_none(runner: Runner, site: Path, text: str) -> None:
    done = runner("verify", "--site", site.name, "--revoked-since", text)
    assert done.code == 2
    assert "--revoked-since takes an instant such as" in done.line
