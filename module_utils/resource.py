"""What every kind of resource shares: how it differs, how a command is run, why one is not possible."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible.module_utils.restore_engine import RestoreError

HEADER = "# Kept by the maintenance runbook harden; taken back by undo_hardening.\n"

_SECONDS = 120
_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_PAGER": "",
}


class Difference(NamedTuple):
    """What one resource is, what it is to be, and how it is made so."""

    subject: str
    before: str
    after: str
    apply: Callable[[], None]
    paths: Tuple[str, ...] = ()  # outside of /etc, that the change touches
    rights: Tuple[str, ...] = ()  # outside of /etc, whose mode and owner alone it touches
    units: Tuple[str, ...] = ()
    sysctls: Tuple[str, ...] = ()
    firewall: bool = False
    mounts: Tuple[str, ...] = ()  # whose options it changes
    next_start: str = (
        ""  # what of it, or of its way back, comes into force with the next start of the host only
    )
    then: Tuple[
        Tuple[str, ...], ...
    ] = ()  # commands that bring it into force, each run once after all changes
    undo: Tuple[Dict[str, Any], ...] = ()  # takes back what stands in no file: {run, unless}
    redo: Tuple[Dict[str, Any], ...] = ()  # and makes it again, should the undo not be confirmed
    programs: Tuple[str, ...] = ()  # that keep and bring back what stands in no file of ours, as packages
    check: Tuple[str, ...] = ()  # a command that must accept the result before it is brought into force


class NotPossibleError(Exception):
    """A resource that this host cannot be given, and why; the others are.

    kind: `package` (what is not installed), `access` (somebody would be shut out), `kernel` (not the host's own), `host`.
    """

    def __init__(self, reason: str, kind: str = "host") -> None:
        super().__init__(reason)
        self.kind = kind


def run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """A command in a clean environment, from the root folder: another account may not enter the one that we are in."""
    process: Optional["subprocess.Popen[str]"] = None
    try:
        # The time of a change may be over at this very moment: not before it is known what has to be ended.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                universal_newlines=True,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
                preexec_fn=_wakes,
            )
        finally:
            _wakes()
        out, err = process.communicate(timeout=_SECONDS)
        return subprocess.CompletedProcess(list(command), process.returncode, out, err)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(list(command), 127, "", str(error))
    finally:
        # What it has started goes with it: nothing may go on with a change that is being taken back.
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def _wakes() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])


def said(done: "subprocess.CompletedProcess[str]") -> str:
    """The end of what a command said, errors last, in one line."""
    return " ".join(f"{done.stdout} {done.stderr}".split())[-300:]


def must(command: Sequence[str]) -> str:
    """What a command prints; raises RestoreError with what it said."""
    done = run(command)
    if done.returncode != 0:
        raise RestoreError(f"{' '.join(command)}: {said(done) or done.returncode}")
    return done.stdout


def then_of(resource: Mapping[str, Any]) -> Tuple[Tuple[str, ...], ...]:
    return tuple(tuple(command) for command in resource.get("then", []))


def read_text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return None


def outside(*paths: str) -> Tuple[str, ...]:
    return tuple(path for path in paths if not path.startswith("/etc/"))
