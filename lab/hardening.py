"""Of the scenarios of hardening: the hosts, the runbook as an engineer calls it, drills that go wrong on purpose."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import remote
from lab.calls import Done, call, environment
from lab.plan import REPOSITORY, Lab
from lab.site import folder as site_folder

HOSTS = ["db1", "backup1", "app1", "gate1"]
# What a restore point covers and an assessor would compare, read on the host.
STATE = r"""
find /etc /usr/share/pam-configs -not -path /etc/adjtime -not -path /etc/ld.so.cache -not -path '/etc/.pwd.lock' \
  -printf '%p %y %m %u %g %l\n' | sort
find /etc /usr/share/pam-configs -type f -not -path /etc/adjtime -not -path /etc/ld.so.cache -not -path '/etc/.pwd.lock' \
  -exec sha256sum {} + | sort
python3 -c "import os
for folder, _, names in os.walk('/etc'):
    for path in [folder, *(os.path.join(folder, name) for name in names)]:
        for name in os.listxattr(path, follow_symlinks=False):
            print(path, name, os.getxattr(path, name, follow_symlinks=False).hex())"
systemctl list-unit-files --no-legend --no-pager --plain | grep -v ' transient ' | sort
systemctl list-units --state=active,failed --plain --no-legend --no-pager --type=service,timer,socket,mount \
  | grep -Ev 'user@|user-|session|run-|systemd-(timedated|hostnamed|localed)|dialysis-(interface|backup)' \
  | grep -v maintenance-revert \
  | grep -Ev 'logrotate|apt-daily|dpkg-db|e2scrub|fstrim|man-db|systemd-tmpfiles' | awk '{print $1, $2, $3}' | sort
sysctl -a 2>/dev/null | grep -E '^(net\.ipv[46]\.(conf\.(all|default)|tcp_syn|icmp)|kernel\.|fs\.(protected|suid))' \
  | grep -Ev 'random|pty|ns_last_pid|sched|tainted'
nft list ruleset
find /var/log /home /root -maxdepth 1 -type d -printf '%p %m %u %g\n' | sort
stat -c '%n %a %U %G' /var/log/auth.log /var/log/syslog
"""
SETTINGS = "select name, setting from pg_settings where source not in ('session', 'client') order by 1"


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab.from_environment()


@pytest.fixture(scope="session")
def site(lab: Lab) -> str:
    return site_folder(lab).name


@pytest.fixture(scope="session")
def root(lab: Lab) -> Callable[[str, str], str]:
    """A bash script as root on a host; fails the test if it fails."""
    return lambda host, script: remote.as_root(lab, host, script)


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site") / "ledger"


@pytest.fixture(scope="session")
def run(site: str, ledger: Path) -> Callable[..., Done]:
    """A runbook of the site, into one ledger."""

    def one(runbook: str, *arguments: object) -> Done:
        options = ("--site", site, "--ledger", ledger, "--json", "--lang", "en", "--quiet")
        return call("run", runbook, *options, *arguments)

    return one


def state_of(root: Callable[[str, str], str], host: str) -> list[str]:
    """Everything that an undo must bring back."""
    lines = root(host, STATE).splitlines()
    if host == "db1":
        lines += root(
            host, "runuser -u postgres -- pg_dumpall --globals-only --no-role-passwords | grep -v restrict"
        ).splitlines()
        lines += root(host, f'runuser -u postgres -- psql -XqAt -c "{SETTINGS}"').splitlines()
    return lines


def start_drill(
    site: str, host: str, name: str, resources: list[dict[str, Any]], playbook: str = "change", **more: Any
) -> subprocess.Popen[str]:
    """The drill's playbook, begun. A restore point's name is never used twice."""
    given = {
        "drill_host": host,
        "drill_name": f"{name}-{secrets.token_hex(4)}",
        "drill_resources": resources,
        **more,
    }
    return subprocess.Popen(
        [
            "ansible-playbook",
            "--inventory",
            str(REPOSITORY / "inventories" / site),
            "--extra-vars",
            json.dumps(given),
            str(REPOSITORY / "molecule" / "harden_drills" / "drills" / f"{playbook}.yml"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=REPOSITORY,
        env={
            **environment(),
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.minimal",
        },
    )


def wait_until(what: str, seconds: float, true: Callable[[], bool]) -> None:
    """Wait for a fact; fail with its name when it does not come."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            pytest.fail(f"{what}: not within {seconds:g} s")
        time.sleep(0.2)


def comes_in(lab: Lab, host: str) -> bool:
    """Whether the engineer gets in by a new login, and sudo works."""
    return remote.attempt(lab, host, "true", 10).returncode == 0
