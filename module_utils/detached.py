"""Detached jobs of a host: a command in a systemd unit of a fixed name, its state and result in a folder of root.

FOLDER/NAME (0700) holds
  job.json     what was started: command, digest, boot, instant; later that its result was collected
  environment  secrets for the command (0600), gone as soon as it runs
  output       the end of what it printed
  result.json  how it ended, written by the job itself
  run.py       the program of the unit (detached_runner.py)

The folder outlives the link, the controller, the unit and a reboot. What has no result and no living unit was
interrupted, and is said to have been: it is never taken for a success.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from ansible.module_utils import detached_progress as progress
from ansible.module_utils import detached_runner as runner

FOLDER = "/var/lib/maintenance/jobs"
PREFIX = "maintenance-"
TAIL_BYTES = 4096
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,60}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PROPERTY = re.compile(r"[A-Za-z]+=[^\n]*\Z")
_COMMAND_SECONDS = 60
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
# What a unit's Result means to somebody who reads a record.
_ENDS = {
    "signal": "it was killed",
    "oom-kill": "the host ran out of memory",
    "timeout": "it took longer than it was allowed to",
    "core-dump": "it crashed",
}


class JobError(Exception):
    """Why a job cannot be started or read; one line."""


class Wanted(NamedTuple):
    """What the caller wants to be run."""

    name: str
    argv: Sequence[str]
    user: str = ""
    key: str = ""  # what else makes this job another one than the last: a target, a run
    environment: Mapping[str, str] = {}
    properties: Sequence[str] = ()
    again: bool = (
        False  # whether an attempt that failed or was interrupted, and nobody heard of, is simply repeated
    )

    @property
    def command(self) -> List[str]:
        """The command as the unit's program starts it."""
        account = ["runuser", "-u", self.user, "--"] if self.user not in ("", "root") else []
        return [*account, *self.argv]

    @property
    def digest(self) -> str:
        """Tells this job from another one of the same name; secrets are in it by their names alone."""
        parts = [self.command, self.key, sorted(self.environment)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def check(self) -> None:
        """Refuse what systemd or the environment file would take for something else."""
        if not _NAME.match(self.name):
            raise JobError(f"'{self.name}' is no name of a job: use lower-case letters, digits and -")
        if not self.argv:
            raise JobError("argv is empty: there is nothing to run")
        for name, value in self.environment.items():
            if not _VARIABLE.match(name) or "\n" in value or "\0" in value:
                raise JobError(f"environment: {name} is no variable with a value of one line")
        for text in self.properties:
            if not _PROPERTY.match(text):
                raise JobError(f"properties: '{text}' is no systemd property, as Nice=10")


class Job:
    """One job of this host."""

    def __init__(self, name: str) -> None:
        if not _NAME.match(name):
            raise JobError(f"'{name}' is no name of a job: use lower-case letters, digits and -")
        self.name = name
        self.folder = os.path.join(FOLDER, name)
        self.unit = f"{PREFIX}{name}.service"

    def path(self, file: str) -> str:
        """A file of the job."""
        return os.path.join(self.folder, file)

    def start(self, wanted: Wanted) -> bool:
        """Start it unless it runs, or has a result that nobody has collected; True where it was started."""
        wanted.check()
        with locked():
            state = self.read()
            mine = state.get("digest") == wanted.digest
            if state["state"] == "running":
                if not mine:
                    raise JobError(f"another job is running as {self.unit}; wait until it has ended")
                return False
            heard = state["state"] == "absent" or state["collected"] or not mine
            if not heard and (state["state"] == "succeeded" or not wanted.again):
                return False
            self._clear()
            self._write(wanted)
            self._launch(wanted)
        return True

    def read(self, source: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
        """The state: absent, running, succeeded, failed or interrupted, with what is known of it."""
        job = read_json(self.path(runner.JOB))
        if job is None:
            return {"state": "absent", "collected": True}
        unit = unit_state(self.unit)  # before the result: a unit that has ended has written it
        result = read_json(self.path(runner.RESULT))
        output = self._tail()
        now = time.time()
        answer: Dict[str, Any] = {
            "digest": job["digest"],
            "started": job["started"],
            "collected": bool(job.get("collected")),
            "output": output,
            "output_bytes": self._size(),
        }
        ended = result["finished"] if result else now
        answer["elapsed_seconds"] = round(max(0.0, ended - job["started"]), 1)
        if result is None and unit["ActiveState"] == "active" and unit["SubState"] == "exited":
            # It ended, but a full disk had no place for its result: the unit knows its code.
            result = {"rc": int(unit["ExecMainStatus"] or 0), "stopped": False}
        if result is not None:
            answer.update(self._ended(result))
        elif unit["ActiveState"] in ("active", "activating", "reloading", "deactivating"):
            answer["state"] = "running"
            sample = progress.read(source or {}, output, now)
            answer["progress"] = sample._asdict() if sample else None
        else:
            answer.update(state="interrupted", reason=why_interrupted(job, unit))
        return answer

    def collect(self) -> None:
        """Its result has reached somebody: the next start is a new one."""
        with locked():
            job = read_json(self.path(runner.JOB))
            if job is not None and not job.get("collected"):
                runner.write_whole(self.path(runner.JOB), json.dumps({**job, "collected": time.time()}))
            if job is not None:
                self._release()

    def remove(self) -> bool:
        """Stop it and forget it; True where there was something."""
        with locked():
            there = os.path.isdir(self.folder) or unit_state(self.unit)["LoadState"] == "loaded"
            self._clear()
        return there

    @staticmethod
    def _ended(result: Mapping[str, Any]) -> Dict[str, Any]:
        if result.get("stopped"):
            return {"state": "interrupted", "rc": result["rc"], "reason": "it was stopped"}
        state = "succeeded" if result["rc"] == 0 else "failed"
        return {"state": state, "rc": result["rc"], "finished": result.get("finished")}

    def _write(self, wanted: Wanted) -> None:
        os.makedirs(self.folder, 0o700)
        # Ansible brings our code in a zip archive, which only the module's loader can read.
        program: bytes = runner.__loader__.get_data(runner.__file__)
        runner.write_whole(self.path("run.py"), program.decode())
        lines = [f"{name}={quoted(value)}\n" for name, value in sorted(wanted.environment.items())]
        if lines:
            runner.write_whole(self.path(runner.ENVIRONMENT), "".join(lines))
        told = {
            "name": self.name,
            "command": wanted.command,
            "digest": wanted.digest,
            "key": wanted.key,
            "started": time.time(),
            "boot": boot_id(),
        }
        runner.write_whole(self.path(runner.JOB), json.dumps(told))

    def _launch(self, wanted: Wanted) -> None:
        properties = [
            "Type=exec",
            # Its unit stays when it has ended: the second witness of the result, and nobody else takes the name.
            "RemainAfterExit=yes",
            "KillMode=control-group",
            "UMask=0077",
            "WorkingDirectory=/",
            *wanted.properties,
        ]
        if wanted.environment:
            properties.append(f"EnvironmentFile={self.path(runner.ENVIRONMENT)}")
        command = ["systemd-run", "--quiet", f"--unit={self.unit}", "--setenv=LC_ALL=C.UTF-8"]
        command += [f"--description=Maintenance job {self.name}"]
        command += [f"--property={text}" for text in properties]
        done = call([*command, "--", sys.executable, "-I", "-S", "-B", self.path("run.py"), self.folder])
        if done.returncode != 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise JobError(f"systemd did not start {self.unit}: {' '.join(done.stderr.split())[-300:]}")

    def _release(self) -> None:
        call(["systemctl", "stop", self.unit])
        call(["systemctl", "reset-failed", self.unit])

    def _clear(self) -> None:
        self._release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _size(self) -> int:
        try:
            return os.stat(self.path(runner.OUTPUT)).st_size
        except OSError:
            return 0

    def _tail(self) -> str:
        """The end of the output, its control characters made visible: it is shown on a terminal."""
        try:
            with open(self.path(runner.OUTPUT), "rb") as file:
                file.seek(max(0, self._size() - TAIL_BYTES))
                text = file.read(TAIL_BYTES).decode("utf-8", errors="replace")
        except OSError:
            return ""
        return "".join(char if char == "\n" or char.isprintable() else "\ufffd" for char in text)


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One start or end at a time on this host."""
    os.makedirs(FOLDER, 0o700, exist_ok=True)
    descriptor = os.open(os.path.join(FOLDER, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def unit_state(unit: str) -> Dict[str, str]:
    """What systemd knows of a unit; of one that it does not know, that it is inactive."""
    names = ("LoadState", "ActiveState", "SubState", "Result", "ExecMainStatus")
    done = call(["systemctl", "show", unit, "--property=" + ",".join(names)])
    if done.returncode != 0:
        raise JobError(f"systemd says nothing of {unit}: {' '.join(done.stderr.split())[-200:]}")
    told = dict(text.split("=", 1) for text in done.stdout.splitlines() if "=" in text)
    return {name: told.get(name, "") for name in names}


def why_interrupted(job: Mapping[str, Any], unit: Mapping[str, str]) -> str:
    """Why a job that has no result does not run."""
    if job["boot"] != boot_id():
        return "the host was restarted meanwhile"
    if unit["ActiveState"] == "failed":
        return _ENDS.get(unit["Result"], f"its unit failed ({unit['Result']})")
    return "its unit is gone and left no result"


def boot_id() -> str:
    """This run of the kernel, or of the container."""
    with open(_BOOT_ID, encoding="ascii") as file:
        kernel = file.read().strip()
    # Containers share the kernel's; the start of their first process tells two runs apart.
    with open("/proc/1/stat", encoding="utf-8", errors="replace") as file:
        return f"{kernel}/{file.read().rsplit(')', 1)[1].split()[19]}"


def read_json(path: str) -> Optional[Dict[str, Any]]:
    """An object of a file; None where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise JobError(f"{path} cannot be read: {error}") from None
    if not isinstance(told, dict):
        raise JobError(f"{path} holds no object")
    return told


def quoted(value: str) -> str:
    """A value as systemd reads it in an EnvironmentFile."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    return f'"{escaped}"'


def call(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """A short command in a clean environment."""
    try:
        return subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=_COMMAND_SECONDS,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "SYSTEMD_PAGER": ""},
            cwd="/",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(list(command), 127, "", str(error))
