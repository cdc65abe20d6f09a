"""A ledger that fills up while hosts are being worked on: what is known of the run is kept, and its place is said."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from maintenance import ledger, run, runbook, verification
from maintenance import site as sites
from maintenance.errors import MaintenanceError
from maintenance.record import from_bytes
from maintenance.run import Call
from maintenance.site import Settings, Site

HEADER = {"title": {"zh": "试验"}, "clauses": ["4.1.5"], "changes": "nothing", "undo": "none", "approvals": 0}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own for the ledger, large enough to begin."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_record_that_does_not_fit_goes_to_a_rescue_folder(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    playbooks, folder = tmp_path / "playbooks", tmp_path / "site"
    playbooks.mkdir()
    folder.mkdir()
    fill = {"ansible.builtin.command": {"argv": ["sh", "-c", f"cat /dev/zero > {disk}/fill || true"]}}
    play = {"hosts": "all", "gather_facts": False, "vars": {"runbook": HEADER}, "tasks": [fill]}
    (playbooks / "trial.yml").write_text(json.dumps([play]))
    monkeypatch.setattr(runbook, "PLAYBOOKS", playbooks)
    monkeypatch.setattr(sites, "KEYS", tmp_path / "keys")
    host = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"one": host}}}))
    settings = Settings(site="trial", self_issued_key=True, ledger=str(disk / "ledger"))
    call = Call(runbook="trial", site=Site(folder, settings), quiet=True)
    with pytest.raises(MaintenanceError, match="its record could not be stored") as caught:
        run.execute(call)
    (rescued,) = home.glob("maintenance-rescue-*")
    assert str(rescued) in str(caught.value)
    record = from_bytes((rescued / "record.json").read_bytes())
    assert record.hosts_processed == ["one"] or record.outcome == "incomplete"
    (disk / "fill").unlink()
    (playbooks / "trial.yml").write_text(json.dumps([{**play, "tasks": [{"ansible.builtin.ping": {}}]}]))
    run.execute(call)
    kinds = [entry.kind for entry in ledger.entries(disk / "ledger")]
    assert kinds == ["genesis", "open", "abandoned", "open", "close"]
    assert verification.verify(disk / "ledger").sound
