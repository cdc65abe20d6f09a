#!/usr/bin/python3
"""Keeps dialysis going while the synchronous receiver of WAL is away, and says so.

PostgreSQL lets every commit wait until the backup host has it. While that host is away nobody could book or record a
session: no hospital wants that. After GRACE seconds without the receiver this program takes the demand back (commits go
on, as with a plain archive), and gives it again when the receiver has caught up. It only ever touches
synchronous_standby_names, and only while that is empty or names the receiver. Both changes are in the journal; while the
demand is taken back, the unit maintenance-sync-away.service is failed, which every inspection reports.
"""

from __future__ import annotations

import subprocess
import sys
import time

EVERY = 1.0
CAUGHT_UP_BYTES = 16 << 20
AWAY = "maintenance-sync-away.service"


class Guard:
    """Decides from what it sees; `act` does it."""

    def __init__(self, receiver: str, grace: float) -> None:
        self.receiver = receiver
        self.grace = grace
        self.missing_since: float | None = None
        self.back_since: float | None = None

    def decide(self, demanded: str, behind: int | None, now: float) -> str:
        """What to do: `release`, `demand` or ''. behind: bytes that the receiver lacks; None where it is not there."""
        if demanded not in ("", self.receiver):
            return ""  # somebody else's decision
        near = behind is not None and behind <= CAUGHT_UP_BYTES
        if demanded:
            self.back_since = None
            if behind is not None:
                self.missing_since = None
                return ""
            if self.missing_since is None:
                self.missing_since = now
            return "release" if now - self.missing_since >= self.grace else ""
        self.missing_since = None
        if not near:
            self.back_since = None
            return ""
        if self.back_since is None:
            self.back_since = now
        return "demand" if now - self.back_since >= self.grace else ""


def psql(port: str, script: str) -> str:
    """As the account of the server. No statement here commits anything in the WAL, so none waits for the receiver."""
    done = subprocess.run(
        [
            "runuser",
            "-u",
            "postgres",
            "--",
            "psql",
            "-XqAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-p",
            port,
            "-d",
            "postgres",
        ],
        input=script,
        capture_output=True,
        text=True,
        timeout=20,
        cwd="/",
        check=False,
    )
    if done.returncode != 0:
        raise OSError(" ".join(done.stderr.split())[-200:])
    return done.stdout.strip()


def look(port: str, receiver: str) -> tuple[str, int | None]:
    """What is demanded, and how far the receiver is behind."""
    query = (
        "select current_setting('synchronous_standby_names'), (select "
        "pg_wal_lsn_diff(pg_current_wal_flush_lsn(), flush_lsn)::bigint from pg_stat_replication "
        "where application_name = '{}' and state = 'streaming' order by flush_lsn desc limit 1);"
    )
    told = psql(port, query.format(receiver))  # our own configuration's name, of plain letters
    demanded, _bar, behind = told.rpartition("|")
    return demanded, int(behind) if behind else None


def act(port: str, receiver: str, decision: str) -> None:
    """Take the demand back, or give it again."""
    names = receiver if decision == "demand" else ""
    psql(port, f"alter system set synchronous_standby_names = '{names}';\nselect pg_reload_conf();")
    if decision == "demand":
        print(f"<5>{receiver} is back and has caught up: commits wait for it again", flush=True)
        subprocess.run(["systemctl", "reset-failed", AWAY], check=False)
    else:
        print(
            f"<3>{receiver} is away: commits go on without it; a failure now loses what is not archived",
            flush=True,
        )
        subprocess.run(["systemctl", "start", AWAY], check=False, capture_output=True)


def main(port: str, receiver: str, grace: str) -> None:
    """For ever."""
    guard = Guard(receiver, float(grace))
    while True:
        try:
            decision = guard.decide(*look(port, receiver), time.monotonic())
            if decision:
                act(port, receiver, decision)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            print(f"<4>PostgreSQL cannot be asked: {error}", flush=True)
        time.sleep(EVERY)


if __name__ == "__main__":
    main(*sys.argv[1:4])
