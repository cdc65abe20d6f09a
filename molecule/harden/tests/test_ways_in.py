"""sudo, ssh, PAM and mounts on a host that is a mess: mended, never past the one who mends it, and taken back exactly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lab.calls import Done
from lab.hardening import comes_in, state_of
from lab.plan import Lab

HOST = "app1"
ONLY = (
    "--limit",
    HOST,
    "--reason",
    "ways in",
    "--set",
    "harden_sessions=none",
    "--set",
    "harden_backup_hours=0",
)
CONTROLS = [
    "LNX-AC-22*",
    "LNX-IP-16*",
    "LNX-IP-17*",
    "LNX-RM-06*",
    "LNX-AU-13B",
    "LNX-LF-03D",
    "LNX-IA-06B",
    "LNX-IA-21B",
]
MESS = r"""
mkdir -p /var/lib/drill; cp -a /etc/sudoers /etc/pam.d /var/lib/drill
useradd --create-home drill
echo 'drill ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/drill
printf 'Defaults !authenticate, insults\n' > /etc/sudoers.d/drill-defaults
printf 'drill ALL=(ALL) NOPASSWD: /usr/bin/id\nthis is no rule\n' > /etc/sudoers.d/drill-rules
chmod 0440 /etc/sudoers.d/drill*
rm -f /etc/ssh/ssh_host_rsa_key*
ssh-keygen -q -t rsa -b 1024 -N '' -f /etc/ssh/ssh_host_rsa_key
sed -i '/pam_loginuid/d' /etc/pam.d/cron
mkdir /etc/systemd/system/rescue.service.d
printf '[Service]\nExecStart=\nExecStart=-/bin/sh\n' > /etc/systemd/system/rescue.service.d/drill.conf
systemctl daemon-reload
sed -i 's/^\(auth.*\)requisite\(.*pam_deny.so\)/\1optional\2/' /etc/pam.d/common-auth
sed -i '/^password.*pam_unix.so/s/yescrypt/md5/' /etc/pam.d/common-password
"""
CLEAN = r"""
userdel --remove drill; rm -f /etc/sudoers.d/drill* /etc/ssh/ssh_host_rsa_key*
cp -a /var/lib/drill/sudoers /etc/sudoers; cp -a /var/lib/drill/pam.d/. /etc/pam.d/; rm -r /var/lib/drill
rm -r /etc/systemd/system/rescue.service.d; systemctl daemon-reload; systemctl reload ssh.service
"""
MOUNTS = 'awk \'$5 == "/tmp" || $5 == "/dev/shm" {print $5, $6}\' /proc/self/mountinfo | sort'


@dataclass
class Round:
    """Hardened, once more, taken back."""

    hardened: Done
    again: Done
    undone: Done
    before: list[str]
    back: list[str]
    mounts: str
    sudoers: str


def written(folder: Path, **values: object) -> Path:
    """A file of variables."""
    path = folder / "values.yml"
    path.write_text(yaml.safe_dump({"harden_controls": CONTROLS, **values}))
    return path


def all_of(root: Callable[[str, str], str]) -> list[str]:
    return state_of(root, HOST) + root(HOST, MOUNTS).splitlines()


@pytest.fixture(scope="module")
def mess(root: Callable[[str, str], str]) -> Iterator[None]:
    root(HOST, MESS)
    yield
    root(HOST, CLEAN)


@pytest.fixture(scope="module")
def round_(
    mess: None,
    lab: Lab,
    run: Callable[..., Done],
    root: Callable[[str, str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Round:
    """What lets the engineer in is listed; so is where he comes from."""
    values = written(
        tmp_path_factory.mktemp("ways"),
        harden_ssh={"users": ["engineer"], "sources": [re.sub(r"\d+$", "0/24", lab.address(HOST))]},
        baseline_site_limits={"automation_accounts": ["engineer"]},
    )
    before = all_of(root)
    hardened = run("harden", *ONLY, "--vars", values)
    mounts, sudoers = root(HOST, MOUNTS), root(HOST, "cat /etc/sudoers.d/drill*")
    again = run("harden", *ONLY, "--vars", values)
    undone = run("undo_hardening", *ONLY)
    return Round(hardened, again, undone, before, all_of(root), mounts, sudoers)


@pytest.mark.parametrize(
    "check",
    [
        *("LNX-AC-22A", "LNX-AC-22B", "LNX-AC-22C", "LNX-AC-22D", "LNX-IP-17A", "LNX-IP-17B", "LNX-RM-06A"),
        *("LNX-AU-13B", "LNX-LF-03D", "LNX-IA-06B", "LNX-IA-21B", "LNX-IP-16C", "LNX-IP-16F"),
    ],
)
def test_what_was_named_is_mended(round_: Round, check: str) -> None:
    assert round_.hardened.code == 0, round_.hardened.record.outcome_reason
    verdicts = {one.verdict for one in round_.hardened.record.evidence[HOST] if one.id == check}
    assert verdicts == {"pass"}


def test_mounts_keep_their_other_options(round_: Round) -> None:
    for line in round_.mounts.splitlines():
        assert {"nosuid", "nodev", "noexec"} <= set(line.split()[1].split(","))


def test_of_a_rule_nothing_is_lost(round_: Round) -> None:
    assert "Defaults insults\n" in round_.sudoers
    assert "drill ALL=(ALL) NOPASSWD: /usr/bin/id\n" in round_.sudoers
    assert "harden: this is no rule\n" in round_.sudoers


def test_a_second_run_changes_nothing(round_: Round) -> None:
    assert round_.again.code == 0
    assert round_.again.record.changes == []


def test_all_is_taken_back_exactly(round_: Round, lab: Lab) -> None:
    assert round_.undone.code == 0, round_.undone.record.outcome_reason
    assert set(round_.back) ^ set(round_.before) == set()
    assert comes_in(lab, HOST)


@pytest.mark.parametrize(
    ("values", "control"),
    [
        ({}, "LNX-AC-22*"),
        ({"harden_ssh": {"groups": ["nogroup"]}}, "LNX-IP-17A"),
        ({"harden_ssh": {"sources": ["192.0.2.0/24"]}}, "LNX-IP-17B"),
    ],
)
def test_the_one_who_mends_it_is_not_shut_out(
    round_: Round,
    run: Callable[..., Done],
    root: Callable[[str, str], str],
    tmp_path: Path,
    values: dict[str, object],
    control: str,
) -> None:
    """The engineer's own rule of sudo asks for no password, and none was given."""
    assert round_.undone.code == 0
    own = root(HOST, "cat /etc/sudoers.d/engineer")
    refused = run("harden", *ONLY, "--vars", written(tmp_path, **{**values, "harden_controls": [control]}))
    assert refused.code == 0, refused.record.outcome_reason
    subjects = {one.subject for one in refused.record.changes}
    assert not subjects & {"/etc/nftables.conf", "/etc/ssh/sshd_config.d/00-maintenance.conf"}
    assert root(HOST, "cat /etc/sudoers.d/engineer") == own
    if refused.record.changes:
        assert run("undo_hardening", *ONLY).code == 0
