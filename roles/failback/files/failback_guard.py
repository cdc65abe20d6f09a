#!/usr/bin/python3
"""Brings the service back by itself when a switch to the old machine is not confirmed in time.

It runs on the server that is being left (`database`) and on the application's servers (`application`), started by a timer
that outlives restarts, whether or not the controller and its line are still there.

`database` starts PostgreSQL again, unless the other machine has been promoted: two servers must never take patients' data.
Whether it has been, the machine itself is asked, until it answers, and never before a promotion that was under way has ended:
none begins later than `lease_seconds` after this program was told of it (`promoting`), and none takes longer than PROMOTION.

`application` points to whichever of both takes connections, the present server first, and starts the application.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FOLDER = Path("/var/lib/maintenance/failback")
TIMER = "maintenance-failback-guard.timer"
PROMOTING = FOLDER / "promoting"
EVERY = 5.0
PROMOTION = 60.0


def main(arguments: list[str]) -> int:
    """One of: database, application (what the timer starts); promoting, confirmed (what the runbook says)."""
    told = json.loads((FOLDER / "guard.json").read_text(encoding="utf-8"))
    steps = {"database": database, "application": application, "promoting": promoting, "confirmed": confirmed}
    steps[arguments[0]](told)
    return 0


def database(told: dict[str, Any]) -> None:
    """Start the server again, as soon as it is certain that no other takes writes."""
    if PROMOTING.exists():
        since = float(PROMOTING.read_text(encoding="ascii") or 0)
        time.sleep(patience(since, uptime(), told["lease_seconds"] + PROMOTION))
    while (step := decide(PROMOTING.exists(), told["timeline"], asked(told))) == "ask":
        print(f"{told['home']} was to be promoted and does not answer: asked again", flush=True)
        time.sleep(EVERY)
    if step == "start":
        (Path(told["data_directory"]) / "standby.signal").unlink(missing_ok=True)
        run("systemctl", "unmask", *told["units"])
        run("systemctl", "start", *told["units"])
        print(f"the switch to {told['home']} was not made: PostgreSQL was started again", flush=True)
    else:
        print(f"{told['home']} was promoted: PostgreSQL stays stopped here", flush=True)
    disarm()


def patience(since: float, now: float, most: float) -> float:
    """How long a promotion may still be under way, in seconds. Both instants are counted from the machine's start; after
    another start the time counts anew."""
    return max(0.0, most - (now if now < since else now - since))


def uptime() -> float:
    """Seconds since this machine's start, as nobody can set them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def decide(promoting: bool, timeline: int, answer: int | None) -> str:
    """`start`, `stay` or `ask`. answer: the timeline that the other machine is on; None where it said nothing."""
    if not promoting:
        return "start"
    if answer is None:
        return "ask"
    return "start" if answer == timeline else "stay"


def asked(told: dict[str, Any]) -> int | None:
    """The other machine's timeline, asked by the protocol of replication; its password is in PostgreSQL's own .pgpass."""
    if not PROMOTING.exists():
        return None
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


def application(told: dict[str, Any]) -> None:
    """Point to whichever server answers, and start what was stopped."""
    while not (
        place := next((place for place in ("present", "home") if answers(told[place], told["port"])), "")
    ):
        print("neither server takes connections: tried again", flush=True)
        time.sleep(EVERY)
    point(Path(told["path"]), told["regexp"], told["lines"][place])
    run("systemctl", "start", *told["units"])
    print(f"the application was started, with {told[place]}", flush=True)
    disarm()


def answers(host: str, port: int) -> bool:
    """Whether a connection is taken."""
    try:
        with socket.create_connection((host, port), timeout=5):
            return True
    except OSError:
        return False


def point(path: Path, regexp: str, line: str) -> None:
    """The line in the place of the one that is there; the file is written whole, with its owner and rights."""
    before = path.read_text(encoding="utf-8")
    after = re.sub(f"(?m){regexp}", lambda _found: line, before)
    if after == before:
        return
    there = path.stat()
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, there.st_mode & 0o7777)
        os.fchown(descriptor, there.st_uid, there.st_gid)
        file.write(after)
        file.flush()
        os.fsync(descriptor)
    Path(name).replace(path)


def promoting(told: dict[str, Any]) -> None:
    """The other machine is promoted next: from here on this server starts only if that did not happen, also after a restart.
    By whatever hand it was started without the mask, it would come up as a standby, which takes no writes."""
    PROMOTING.write_text(str(uptime()), encoding="ascii")
    (Path(told["data_directory"]) / "standby.signal").touch()
    os.sync()
    run("systemctl", "mask", *told["units"])
    run("systemctl", "restart", TIMER)


def confirmed(_told: dict[str, Any]) -> None:
    """The service was proven with the other machine."""
    disarm()


def disarm() -> None:
    """Nothing waits any more. What says so is removed last."""
    run("systemctl", "disable", "--now", TIMER)
    PROMOTING.unlink(missing_ok=True)


def run(*command: str) -> None:
    """A command that must succeed; systemd starts this program again where it does not."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
