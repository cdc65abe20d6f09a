#!/usr/bin/python3
"""Brings the service back by itself when a switch to the old machine is not confirmed in time.

It runs on the server that is being left (`database`) and on the application's servers (`application`), started by a
timer that outlives restarts, whether or not the controller and its line are still there.

`database` starts PostgreSQL again, unless the other machine has been promoted: two servers must never take patients'
data. Whether it has been, the machine itself is asked, until it answers, and never before a promotion that was under way
has ended: none begins later than `lease_seconds` after this program was told of it (`promoting`), and none takes longer
than PROMOTION.

`application` points to whichever of both takes connections, the present server first, and starts the application. The
old machine takes connections as a standby as well, to which nobody can write: for WATCH seconds it is looked whether the
present server comes back after all. `now` does the same once.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path("/var/lib/maintenance/failback")
TIMER = "maintenance-failback-guard.timer"
SERVICE = "maintenance-failback-guard.service"
PROMOTING = FOLDER / "promoting"
GIVEN = FOLDER / "given"
EVERY = 5.0
PROMOTION = 60.0
WATCH = 180.0


def main(arguments: list[str]) -> int:
    """One of: database, application (what the timer starts); promoting LSN, now, confirmed (what the runbook says)."""
    told = json.loads((FOLDER / "guard.json").read_text(encoding="utf-8"))
    if arguments == ["database"]:
        database(told)
    elif arguments == ["application"]:
        application(told, WATCH)
    elif arguments == ["now"]:
        application(told, 0)
    elif arguments == ["confirmed"]:
        confirmed(told)
    elif arguments[:1] == ["promoting"]:
        return promoting(told, arguments[1])
    else:
        return 2
    return 0


@contextlib.contextmanager
def alone(wait: bool) -> Iterator[bool]:
    """Whether nobody else decides on this host meanwhile."""
    with (FOLDER / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def database(told: dict[str, Any]) -> None:
    """Start the server again, as soon as it is certain that no other takes writes."""
    with alone(wait=True):
        promoting = PROMOTING.exists()
        if promoting:
            since = float(PROMOTING.read_text(encoding="ascii") or 0)
            time.sleep(patience(since, uptime(), told["lease_seconds"] + PROMOTION))
        # It may have been confirmed while this waited, and decided by another call before.
        while not (
            step := "stay" if given(told) else decide(promoting, told, asked(told) if promoting else None)
        ):
            print(f"{told['home']} was to be promoted and does not answer: asked again", flush=True)
            time.sleep(EVERY)
        if step == "start":
            (Path(told["data_directory"]) / "standby.signal").unlink(missing_ok=True)
            run("systemctl", "unmask", *told["units"])
            run("systemctl", "start", *told["units"])
            print(f"the switch to {told['home']} was not made: PostgreSQL was started again", flush=True)
        else:
            GIVEN.write_text(str(told["timeline"]), encoding="ascii")
            print(f"{told['home']} was promoted: PostgreSQL stays stopped here", flush=True)
        disarm()


def patience(since: float, now: float, most: float) -> float:
    """How long a promotion may still be under way, in seconds. Both instants are counted from the machine's start; after
    another start the time counts anew."""
    return max(0.0, most - (now if now < since else now - since))


def uptime() -> float:
    """Seconds since this machine's start, as nobody can set them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def given(told: dict[str, Any]) -> bool:
    """Whether the database of this timeline was given to the other machine. Nothing takes that back."""
    return GIVEN.exists() and GIVEN.read_text(encoding="ascii") == str(told["timeline"])


def decide(promoting: bool, told: dict[str, Any], answer: int | None) -> str:
    """`start`, `stay` or nothing yet. answer: the timeline that the other machine is on; None where it said nothing."""
    if not promoting:
        return "start"
    if answer is None:
        return ""
    return "start" if answer == told["timeline"] else "stay"


def asked(told: dict[str, Any]) -> int | None:
    """The other machine's timeline, by the protocol of replication; the password is in PostgreSQL's own .pgpass."""
    place = f"host={told['home']} port={told['port']} user={told['role']} connect_timeout=5"
    place += " dbname=replication replication=true"
    try:
        done = subprocess.run(
            ["runuser", "-u", "postgres", "--", "psql", "-XqAtw", "-F", " ", "-c", "IDENTIFY_SYSTEM", place],
            capture_output=True,
            text=True,
            timeout=20,
            cwd="/",
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    words = done.stdout.split()
    return (
        int(words[1]) if done.returncode == 0 and len(words) >= 3 and words[0] == told["system_id"] else None
    )


def application(told: dict[str, Any], watch: float) -> None:
    """Point to whichever server answers, and start what was stopped."""
    end = None
    while True:
        place = next((place for place in ("present", "home") if answers(told[place], told["port"])), "")
        if place:
            pointed = point(Path(told["path"]), told["regexp"], told["lines"][place])
            if pointed or end is None:
                run("systemctl", "restart" if pointed else "start", *told["units"])
                print(f"the application was started, with {told[place]}", flush=True)
            end = end or time.monotonic() + watch
        if place == "present" or (end and time.monotonic() >= end):
            break
        time.sleep(EVERY)
    disarm()


def answers(host: str, port: int) -> bool:
    """Whether a connection is taken."""
    try:
        with socket.create_connection((host, port), timeout=5):
            return True
    except OSError:
        return False


def point(path: Path, regexp: str, line: str) -> bool:
    """The line in the place of the one that is there, and whether that was another one. The file is written whole, with
    its owner and rights."""
    before = path.read_text(encoding="utf-8")
    after = re.sub(f"(?m){regexp}", lambda _found: line, before)
    if after == before:
        return False
    there = path.stat()
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, there.st_mode & 0o7777)
        os.fchown(descriptor, there.st_uid, there.st_gid)
        file.write(after)
        file.flush()
        os.fsync(descriptor)
    Path(name).replace(path)
    return True


def promoting(told: dict[str, Any], lsn: str) -> int:
    """The other machine is promoted next: from here on this server starts only if that did not happen, also after a
    restart. By whatever hand it were started without the mask, it would come up as a standby, which takes no writes.

    lsn: the record with which it was shut down, which the other machine has. 1 where it has run since then.
    """
    with alone(wait=False) as is_alone:
        if not is_alone or last_record(told) != ("shut down", lsn):
            print(
                "PostgreSQL was started again meanwhile: nothing is promoted. Run it again", file=sys.stderr
            )
            return 1
        PROMOTING.write_text(str(uptime()), encoding="ascii")
        (Path(told["data_directory"]) / "standby.signal").touch()
        os.sync()
        run("systemctl", "mask", *told["units"])
        run("systemctl", "restart", TIMER)
    return 0


def last_record(told: dict[str, Any]) -> tuple[str, str]:
    """The state of the cluster and its last checkpoint, where no server of it runs."""
    states = subprocess.run(
        ["systemctl", "is-active", *told["units"][:1]], capture_output=True, text=True, check=False
    )
    if states.stdout.split() != ["inactive"]:
        return "", ""
    shown = subprocess.run(
        [told["controldata"], told["data_directory"]],
        capture_output=True,
        text=True,
        env={"LC_ALL": "C"},
        check=True,
    ).stdout
    lines = (line.partition(":") for line in shown.splitlines())
    values = {key: value.strip() for key, _colon, value in lines}
    return values["Database cluster state"], values["Latest checkpoint location"]


def confirmed(told: dict[str, Any]) -> None:
    """The service was proven with the other machine: what still waits, or has begun to decide, ends."""
    if "timeline" in told:
        GIVEN.write_text(str(told["timeline"]), encoding="ascii")
    disarm()
    run("systemctl", "stop", SERVICE)


def disarm() -> None:
    """Nothing waits any more."""
    run("systemctl", "disable", "--now", TIMER)
    PROMOTING.unlink(missing_ok=True)


def run(*command: str) -> None:
    """A command that must succeed; systemd starts this program again where it does not."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
