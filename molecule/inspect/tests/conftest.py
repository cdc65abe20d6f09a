"""The lab's hosts, seen with testinfra, and runner.py as an engineer calls it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host
from testinfra.utils.ansible_runner import AnsibleRunner

from lab.calls import Done, call
from lab.plan import REPOSITORY
from lab.scenario import lab, ledger, root, site
from maintenance.record import Finding, Record

__all__ = ["lab", "ledger", "root", "site"]

HOSTS = ["db1", "backup1", "app1", "gate1"]


@dataclass
class Inspected:
    """One inspection, and what was seen around it."""

    done: Done
    before: Any = None
    after: Any = None

    @property
    def record(self) -> Record:
        return self.done.record

    def findings(self, host: str, rule: str) -> list[Finding]:
        """What one rule says of a host."""
        return [item for item in self.record.evidence[host] if item.id == rule]


def inspect(site: str, ledger: Path, *arguments: object) -> Done:
    """An inspection of a site into a ledger."""
    return call(
        "run", "inspect", "--site", site, "--ledger", ledger, "--json", "--lang", "en", "--quiet", *arguments
    )


@pytest.fixture(scope="session")
def machines(site: str) -> dict[str, Host]:
    """testinfra's view of each host, as root."""
    runner = AnsibleRunner(str(REPOSITORY / "inventories" / site))
    return {name: runner.get_host(name) for name in HOSTS}


@contextlib.contextmanager
def another_site(site: str, suffix: str) -> Iterator[Path]:
    """A site of its own on the same hosts, so that a test may change its description."""
    name = f"{site}_{suffix}"
    folder = REPOSITORY / "inventories" / name
    shutil.copytree(REPOSITORY / "inventories" / site, folder)
    try:
        file = folder / "site.yml"
        file.write_text(file.read_text().replace(f"site: {site}\n", f"site: {name}\n"))
        yield folder
    finally:
        shutil.rmtree(folder)
        for key in (REPOSITORY / "var" / "keys").glob(f"{name}_ed25519*"):
            key.unlink()


# Read on a host, and equal before and after an inspection. What systemd does by itself meanwhile (log-ins, units that
# D-Bus starts for a question, the timer of the interface queue) is left out.
STATE = r"""
find /etc /root /home /usr/local /opt /var/spool -printf '%p %y %m %u %g %l\n' | sort
find /etc /usr/local /opt /var/spool -type f -exec sha256sum {} + | sort
find /tmp /var/tmp -mindepth 1 -not -path '*/systemd-private-*' -printf '%p %m %u\n' | sort
dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\n'
systemctl list-unit-files --no-legend --no-pager --plain | grep -v ' transient ' | sort
systemctl list-units --all --plain --no-legend --no-pager --type=service,timer,socket,mount \
  | grep -Ev 'user@|user-|session|run-|systemd-(timedated|hostnamed|localed)|dialysis-interface' \
  | awk '{print $1, $2, $3}' | sort
"""
# A digest of every row of every table of the application.
DATABASE = r"""
cd /
runuser -u postgres -- psql -X -Atq dialysis <<'END'
select format('select %L, count(*), md5(coalesce(string_agg(t::text, chr(10) order by t::text), '''')) from %I.%I t',
  schemaname || '.' || tablename, schemaname, tablename)
from pg_tables where schemaname not in ('pg_catalog', 'information_schema') order by 1 \gexec
END
"""


def state_of(root: Callable[[str, str], str]) -> dict[str, list[str]]:
    """Everything on the hosts that an inspection must leave as it is."""
    states = {host: root(host, STATE).splitlines() for host in HOSTS}
    return states | {"database": root("db1", DATABASE).splitlines()}


@pytest.fixture(scope="session")
def healthy(site: str, ledger: Path, root: Callable[[str, str], str]) -> Inspected:
    """The first inspection: nothing is wrong, and nobody works."""
    before = state_of(root)
    done = inspect(site, ledger)
    assert done.code == 0, done.err
    return Inspected(done, before, state_of(root))
