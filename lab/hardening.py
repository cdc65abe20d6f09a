"""Of the scenarios of hardening: what an undo must bring back, and drills that go wrong on purpose."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable
from typing import Any

from lab import remote
from lab.plan import REPOSITORY, Lab
from lab.scenario import start_playbook

HOSTS = ["db1", "backup1", "app1", "gate1"]
# What a restore point covers and an assessor would compare, read on the host.
# A machine under software emulation may need longer than systemctl waits for an answer by default.
STATE = r"""
export SYSTEMD_BUS_TIMEOUT=100s
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
    play = REPOSITORY / "molecule" / "harden_drills" / "drills" / f"{playbook}.yml"
    return start_playbook(play, REPOSITORY / "inventories" / site, given)


def comes_in(lab: Lab, host: str) -> bool:
    """Whether the engineer gets in by a new login, and sudo works."""
    return remote.attempt(lab, host, "true", 10).returncode == 0
