"""What is made of the lab's hosts after their boot."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from lab import provision
from lab.plan import Lab


@pytest.mark.parametrize(
    ("hosts", "backups", "played"),
    [
        (["db1", "backup1"], True, ["lab/dialysis/provision.yml", "lab/provision_backup.yml"]),
        (["db1", "backup1"], False, ["lab/dialysis/provision.yml"]),
        (["db1"], True, ["lab/dialysis/provision.yml"]),
    ],
)
def test_backups_are_made_where_they_can_be_and_are_wanted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hosts: list[str], backups: bool, played: list[str]
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(provision, "play", lambda _lab, playbook, *_rest: calls.append(playbook))
    lab = Lab("test", ipaddress.IPv4Network("10.213.9.0/24"))
    provision.provision(lab, tmp_path, hosts, backups=backups)
    assert calls == played
