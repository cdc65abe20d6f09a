"""The program of a detached job: runs one command, keeps the end of its output, and leaves its result in a file.

Standard library only, Python 3.8 or newer: a copy of it lies in the job's folder and is what the systemd unit starts. The
result is a file because a unit is forgotten at a reboot, and because nobody may be there when the command ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any, Dict, List

KEPT_BYTES = 256 << 10  # of the output, from its end; the file is at most twice as long
RESULT = "result.json"
JOB = "job.json"
OUTPUT = "output"
ENVIRONMENT = "environment"


def main(folder: str) -> int:
    """Run the command of a job's folder; its exit code is ours."""
    with open(os.path.join(folder, JOB), encoding="utf-8") as file:
        job: Dict[str, Any] = json.load(file)
    # systemd has read it by now: secrets lie on the disk for no longer than the start takes.
    forget(os.path.join(folder, ENVIRONMENT))
    stopped: List[int] = []
    # systemd stops every process of the unit: the command ends by itself, and this one writes that it was stopped.
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    size = 0
    try:
        command = subprocess.Popen(
            job["command"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
        )
        size = keep(command.stdout.fileno() if command.stdout else -1, os.path.join(folder, OUTPUT))
        code = command.wait()
    except OSError as error:
        with open(os.path.join(folder, OUTPUT), "ab") as output:
            output.write(f"{job['command'][0]}: {error.strerror}\n".encode())
        code = 127
    result = {
        # A command that a signal ended is told as a shell tells it.
        "rc": code if code >= 0 else 128 - code,
        "finished": time.time(),
        "output_bytes": size,
        "stopped": bool(stopped),
    }
    write_whole(os.path.join(folder, RESULT), json.dumps(result))
    return int(result["rc"]) & 0xFF


def keep(stream: int, path: str) -> int:
    """Keep what comes, dropping its beginning when it is too much; returns how much came."""
    size = 0
    with open(path, "w+b", buffering=0) as output:
        while True:
            chunk = os.read(stream, 65536)
            if not chunk:
                return size
            size += len(chunk)
            try:
                if output.tell() + len(chunk) > 2 * KEPT_BYTES:
                    output.seek(-KEPT_BYTES, os.SEEK_CUR)
                    end = output.read(KEPT_BYTES)
                    output.seek(0)
                    output.truncate()
                    output.write(end)
                output.write(chunk)
            except OSError:
                continue  # a full disk must not stop a backup for want of a place for its messages


def write_whole(path: str, text: str) -> None:
    """Write a file of root so that a power failure leaves the old one, none, or the whole new one."""
    temporary = path + ".new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def forget(path: str) -> None:
    """Remove a file that may not be there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
