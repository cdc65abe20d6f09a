"""Run commands, wait for states, and the one error that a user sees."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


class LabError(Exception):
    """What is wrong, where, and how to mend it, in one line."""


def run(
    argv: Sequence[str | Path], *, check: bool = True, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command and catch its output; a failure becomes one line: the command and its last message."""
    try:
        done = subprocess.run(
            [str(part) for part in argv], text=True, capture_output=True, check=False, **options
        )
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is missing; run: make setup-lab") from None
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{argv[0]} did not finish in {error.timeout:.0f} s") from None
    if check and done.returncode != 0:
        raise LabError(
            f"{command_line(argv)} failed ({done.returncode}): {last_line(done.stderr or done.stdout)}"
        )
    return done


def command_line(argv: Sequence[str | Path]) -> str:
    """The command, short enough for a message."""
    text = " ".join(str(part) for part in argv)
    return text if len(text) <= 160 else text[:157] + "..."


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = 0.1) -> bool:
    """Poll a condition for at most so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval)
    return True


def ssh_failed(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether it was ssh that failed, rather than the command behind it."""
    return done.returncode == 255
