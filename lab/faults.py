"""Faults to plant on a lab host and to take back.

Each one is real: planting ends only when the host itself shows the effect, taking back only when it is gone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import host as machine
from lab import remote
from lab.plan import HOSTS, Lab, check_hosts
from lab.shell import LabError, run, ssh_failed


@dataclass(frozen=True)
class Fault:
    """A fault: bash scripts that run as root on the host; `shows` succeeds while the fault is in effect."""

    text: str
    plant: str
    undo: str
    shows: str
    group: str = ""
    # What has to be done outside of the host before it is planted: devices are the computer's.
    outside: Callable[[Lab, str], None] | None = None


def plant(lab: Lab, name: str, host: str) -> None:
    """Plant a fault, unless it is there already, and see that it shows."""
    fault = find(name, host)
    if shows(lab, fault, host):
        return
    if fault.outside:
        fault.outside(lab, host)
    remote.as_root(lab, host, fault.plant)
    if not shows(lab, fault, host):
        raise LabError(
            f"{host}: the fault {name} was planted but does not show; this is: {fault.shows.strip()}"
        )


def take_back(lab: Lab, name: str, host: str) -> None:
    """Take a fault back, and see that it is gone."""
    fault = find(name, host)
    remote.as_root(lab, host, fault.undo)
    if shows(lab, fault, host):
        raise LabError(
            f"{host}: the fault {name} is still there; make the host again: python -m lab up {host}"
        )


@contextmanager
def planted(lab: Lab, name: str, host: str) -> Iterator[None]:
    """A fault for the length of a `with` block."""
    plant(lab, name, host)
    try:
        yield
    finally:
        take_back(lab, name, host)


def shows(lab: Lab, fault: Fault, host: str) -> bool:
    """Whether the fault is in effect."""
    done = remote.attempt(lab, host, fault.shows)
    if ssh_failed(done):
        raise LabError(f"{host}: no ssh; is it up? python -m lab status")
    return done.returncode == 0


def find(name: str, host: str) -> Fault:
    """The fault of that name, if it can be planted on that host."""
    check_hosts([host])
    if name not in FAULTS:
        raise LabError(f"no such fault: {name}; there are {', '.join(FAULTS)}")
    fault = FAULTS[name]
    group = HOSTS[host].group
    if fault.group and group != fault.group:
        raise LabError(f"{name} is a fault of {fault.group} hosts, and {host} is one of {group}")
    if fault.outside and HOSTS[host].virtual:
        raise LabError(f"{name} is made from outside of a container, and {host} is a virtual machine")
    return fault


def mount_small_disk(lab: Lab, host: str) -> None:
    """Mount a file system of 64 MB on the host's /srv/full: only the computer itself has loop devices."""
    init = machine.init_pid(lab, host)
    if init is None:
        raise LabError(f"{host} does not run; see: python -m lab status")
    image = lab.folder(host) / "full.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    try:
        run(["mkfs.ext4", "-q", image])
        device = run(["losetup", "--find", "--show", image]).stdout.strip()
        number = Path(device).stat().st_rdev
        node = f"mknod {device} b {os.major(number)} {os.minor(number)}"
        mount = f"{node} && mkdir -p /srv/full && mount -t ext4 {device} /srv/full && rm {device}"
        try:
            run(["nsenter", f"--target={init}", "--mount", "sh", "-c", mount])
        finally:
            # A device in use is only marked: it goes with its last mount, even when the host loses power.
            run(["losetup", "--detach", device])
    finally:
        image.unlink()


# psql in the system's own database, or in postgres while there is none.
SQL = """
database=$(runuser -u postgres -- psql -Atqc "select datname from pg_database
  where not datistemplate order by datname = 'postgres', datname limit 1")
sql() { runuser -u postgres -- psql -v ON_ERROR_STOP=1 -Atq -d "$database" "$@"; }
"""


def in_database(script: str) -> str:
    """A script that may call `sql`."""
    return "\n".join((SQL, script))


FAULTS = {
    "full_disk": Fault(
        text="a file system on /srv/full that is more than 95 % full",
        outside=mount_small_disk,
        plant="""
            available=$(df --output=avail --block-size=1 /srv/full | tail -n 1)
            fallocate --length $((available * 98 / 100)) /srv/full/filler
        """,
        undo="if mountpoint -q /srv/full; then umount /srv/full; rmdir /srv/full; fi",
        shows="mountpoint -q /srv/full && [ $(df --output=pcent /srv/full | tail -n 1 | tr -dc 0-9) -gt 95 ]",
    ),
    "failed_unit": Fault(
        text="a service (nightly-report) that has failed",
        plant="""
            printf '[Unit]\nDescription=Nightly report\n[Service]\nType=oneshot\nExecStart=/bin/false\n' \
              > /etc/systemd/system/nightly-report.service
            systemctl daemon-reload
            systemctl start nightly-report.service || true
        """,
        undo="""
            rm -f /etc/systemd/system/nightly-report.service
            systemctl reset-failed nightly-report.service 2>/dev/null || true
            systemctl daemon-reload
        """,
        shows="systemctl is-failed --quiet nightly-report.service",
    ),
    "stopped_timer": Fault(
        text="an enabled timer (logrotate) that does not run",
        plant="systemctl stop logrotate.timer",
        undo="systemctl start logrotate.timer",
        shows="systemctl is-enabled --quiet logrotate.timer && ! systemctl is-active --quiet logrotate.timer",
    ),
    "long_transaction": Fault(
        text="a database session that stays idle in a transaction",
        group="database",
        plant=in_database("""
            cat > /run/long-transaction.sh <<'END'
            { echo 'begin isolation level repeatable read; select txid_current();'; exec sleep infinity; } \\
              | PGAPPNAME=long_transaction psql
END
            systemd-run --quiet --collect --unit=long-transaction --uid=postgres bash /run/long-transaction.sh
            for attempt in $(seq 100); do
              [ "$(sql -c "select 1 from pg_stat_activity where application_name = 'long_transaction'
                and state = 'idle in transaction'")" = 1 ] && break
              sleep 0.1
            done
        """),
        undo="systemctl stop long-transaction.service 2>/dev/null || true; rm -f /run/long-transaction.sh",
        shows=in_database("""
            [ "$(sql -c "select 1 from pg_stat_activity where application_name = 'long_transaction'
              and state = 'idle in transaction'")" = 1 ]
        """),
    ),
    "bloated_table": Fault(
        text="a table (lab_bloated) of mostly dead rows that autovacuum leaves alone",
        group="database",
        plant=in_database(
            """
            sql -c "create table lab_bloated (id integer, note text) with (autovacuum_enabled = off)" \
              -c "insert into lab_bloated select n, repeat('x', 200) from generate_series(1, 50000) n" \
              -c "update lab_bloated set note = note || '.'" -c "update lab_bloated set note = note || '.'"
            """
        ),
        undo=in_database('sql -c "drop table if exists lab_bloated" 2>/dev/null'),
        shows=in_database(
            """
            [ "$(sql -c "select coalesce(max(n_dead_tup), 0) from pg_stat_user_tables
              where relname = 'lab_bloated'")" -ge 100000 ]
            """
        ),
    ),
    "expiring_certificate": Fault(
        text="an nginx listener (port 8443) whose certificate ends in 5 days",
        group="gateway",
        plant="""
            openssl req -x509 -newkey rsa:2048 -nodes -days 5 -subj "/CN=$(hostname -f)" \
              -keyout /etc/ssl/private/expiring.key -out /etc/ssl/certs/expiring.pem 2>/dev/null
            cat > /etc/nginx/conf.d/expiring.conf <<'END'
            server {
              listen 8443 ssl;
              ssl_certificate /etc/ssl/certs/expiring.pem;
              ssl_certificate_key /etc/ssl/private/expiring.key;
              return 204;
            }
END
            nginx -q -t
            systemctl reload nginx.service
            for attempt in $(seq 50); do ss -Hltn 'sport = :8443' | grep . >/dev/null && break; sleep 0.1; done
        """,
        undo="""
            rm -f /etc/nginx/conf.d/expiring.conf /etc/ssl/certs/expiring.pem /etc/ssl/private/expiring.key
            systemctl reload nginx.service
            for attempt in $(seq 50); do ss -Hltn 'sport = :8443' | grep . >/dev/null || break; sleep 0.1; done
        """,
        shows="""
            openssl s_client -connect localhost:8443 </dev/null 2>/dev/null > /run/expiring.pem || exit 1
            openssl x509 -noout -in /run/expiring.pem
            ! openssl x509 -noout -in /run/expiring.pem -checkend $((6 * 86400)) >/dev/null
        """,
    ),
    "clock_off": Fault(
        text="a clock that nothing keeps right: chrony has lost its servers",
        plant="""
            test -e /etc/chrony/chrony.conf.kept || cp -p /etc/chrony/chrony.conf /etc/chrony/chrony.conf.kept
            # An address for documentation: nothing ever answers there.
            echo 'server 192.0.2.123 iburst' > /etc/chrony/chrony.conf
            systemctl restart chrony.service
        """,
        undo="""
            test -e /etc/chrony/chrony.conf.kept || exit 0
            mv /etc/chrony/chrony.conf.kept /etc/chrony/chrony.conf
            systemctl restart chrony.service
            # Its own clock would do for "Normal": wait until it follows a time server again, where it has one.
            for attempt in $(seq 300); do
              [ -n "$(chronyc -c sources)" ] || break
              chronyc -c sources | grep '^.,[*],' >/dev/null && break
              sleep 0.1
            done
        """,
        shows="chronyc tracking | grep '^Leap status *: Not synchronised' >/dev/null",
    ),
    "missing_backup": Fault(
        text="a backup repository without any backup",
        group="backup",
        plant="mv /var/lib/pgbackrest/backup /var/lib/pgbackrest/backup.kept",
        undo="""
            test -d /var/lib/pgbackrest/backup.kept || exit 0
            rm -rf /var/lib/pgbackrest/backup
            mv /var/lib/pgbackrest/backup.kept /var/lib/pgbackrest/backup
        """,
        shows="! runuser -u postgres -- pgbackrest info --output=json | grep '\"label\"' >/dev/null",
    ),
    "wrong_sshd_option": Fault(
        text="an sshd that would let root in with a password, and empty passwords too",
        plant="""
            printf 'PermitRootLogin yes\nPermitEmptyPasswords yes\n' > /etc/ssh/sshd_config.d/05-wrong.conf
            sshd -t
            systemctl reload ssh.service
        """,
        undo="rm -f /etc/ssh/sshd_config.d/05-wrong.conf; sshd -t; systemctl reload ssh.service",
        shows="sshd -T | grep -x 'permitrootlogin yes' >/dev/null",
    ),
}
