"""The host as a probe sees it: files, commands, and the reasons why something could not be read.

Nothing here writes. Every command is an argument list with a time limit and a bound on its output."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import stat
import subprocess
import time
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

DIRECTORIES = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin")
MAXIMUM_OUTPUT = 1 << 20
MAXIMUM_FILE = 1 << 20
_WANTS_ROOT = ("permission", "root", "privilege", "not permitted", "superuser")


class UnreadError(Exception):
    """Why something could not be read, in words for the report."""


class Host:
    """Reads files below `root` and runs commands; notes what it ran and what it could not read."""

    def __init__(
        self, parameters: Optional[Mapping[str, Any]] = None, root: str = "", earlier: Any = None
    ) -> None:
        self.parameters = dict(parameters or {})
        self.root = root.rstrip("/")
        self.earlier = earlier  # the counters that were read before any probe began
        self.commands: List[str] = []
        self.unread: Dict[str, str] = {}

    @contextlib.contextmanager
    def noting(self, *names: str) -> Iterator[None]:
        """Let the block fail: the values of these names are absent, with the reason."""
        try:
            yield
        except UnreadError as reason:
            for name in names:
                self.unread[name] = str(reason)

    def read_bytes(self, path: str, limit: int = MAXIMUM_FILE, follow: bool = True) -> bytes:
        """The start of a file; raises UnreadError. Never waits for a writer of a named pipe."""
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        try:
            descriptor = os.open(self.root + path, flags)
            try:
                return _read(descriptor, limit)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self.reason(error, path) from None

    def read(self, path: str, limit: int = MAXIMUM_FILE, follow: bool = True) -> str:
        """The start of a text file; raises UnreadError."""
        return self.read_bytes(path, limit, follow).decode("utf-8", "replace")

    def value(self, path: str) -> Optional[str]:
        """A one-line file of /proc or /sys, or None."""
        try:
            return self.read(path, 65536).strip().rstrip("\0")
        except UnreadError:
            return None

    def names(self, path: str) -> List[str]:
        """The sorted names in a folder; raises UnreadError."""
        try:
            return sorted(os.listdir(self.root + path))
        except OSError as error:
            raise self.reason(error, path) from None

    def folder(self, path: str) -> List[str]:
        """The sorted names in a folder that need not be there."""
        try:
            return self.names(path) if os.path.isdir(self.root + path) else []
        except UnreadError as reason:
            self.unread.setdefault(path, str(reason))
            return []

    def status(self, path: str, follow: bool = False) -> os.stat_result:
        """stat of a path; raises UnreadError."""
        try:
            return os.stat(self.root + path, follow_symlinks=follow)
        except OSError as error:
            raise self.reason(error, path) from None

    def exists(self, path: str) -> bool:
        """Whether the path is there (a dead link is not)."""
        return os.path.exists(self.root + path)

    def link(self, path: str) -> Optional[str]:
        """Where a symbolic link points, or None."""
        try:
            return os.readlink(self.root + path)
        except OSError:
            return None

    def reason(self, error: OSError, path: str) -> UnreadError:
        """An error of the system in words for the report."""
        if isinstance(error, PermissionError) and os.geteuid() != 0:
            return UnreadError("needs root: " + path)
        if isinstance(error, FileNotFoundError):
            return UnreadError(path + " is not there")
        return UnreadError(f"{path}: {error.strerror or error}")

    def program(self, name: str) -> Optional[str]:
        """The path of a program, or None. The caller's PATH is not asked: it may hold anything."""
        for directory in DIRECTORIES:
            path = f"{directory}/{name}"
            if os.access(self.root + path, os.X_OK) and not os.path.isdir(self.root + path):
                return path
        return None

    def run(
        self,
        argv: Sequence[str],
        seconds: float = 5.0,
        accepted: Sequence[int] = (0,),
        given: bytes = b"",
        limit: int = MAXIMUM_OUTPUT,
        whole: bool = True,
    ) -> str:
        """The standard output of a command; raises UnreadError when it is absent, fails, hangs or says too much.

        With whole=False an output that was cut at the limit is returned up to its last full line."""
        program = self.program(argv[0])
        if program is None:
            raise UnreadError(argv[0] + " is not installed")
        self.commands.append(" ".join(shlex.quote(word) for word in argv))
        try:
            code, out, err, ended = _run([self.root + program, *argv[1:]], seconds, given, limit)
        except OSError as error:
            raise UnreadError(f"{argv[0]}: {error.strerror}") from None
        if ended == "hung":
            raise UnreadError(f"{argv[0]} gave no answer within {seconds:g} s")
        if ended == "cut":
            if whole:
                raise UnreadError(f"{argv[0]} wrote more than {limit} bytes")
            return out[: out.rfind(b"\n") + 1].decode("utf-8", "replace")
        if code not in accepted:
            raise UnreadError(_failure(argv, code, err.decode("utf-8", "replace")))
        return out.decode("utf-8", "replace")


def _failure(argv: Sequence[str], code: int, message: str) -> str:
    """Why a command failed: its own first words, or that it wants root."""
    if os.geteuid() != 0 and any(hint in message.lower() for hint in _WANTS_ROOT):
        return "needs root: " + argv[0]
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    words = " ".join([argv[0], *(word for word in argv[1:2] if len(word) < 12)])
    return f"{words} ended with {code}" + (f": {lines[0][:200]}" if lines else "")


def _read(descriptor: int, limit: int) -> bytes:
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        raise OSError(22, "not a regular file")
    parts = []
    while limit > 0:
        part = os.read(descriptor, min(limit, 1 << 18))
        if not part:
            break
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def environment() -> Dict[str, str]:
    """The little that commands are given: English, UTC, no pager, no colour."""
    fixed = {
        "PATH": ":".join(DIRECTORIES),
        "LC_ALL": "C",
        "TZ": "UTC",
        "SYSTEMD_COLORS": "0",
        "SYSTEMD_PAGER": "",
    }
    kept = {name: os.environ[name] for name in ("HOME", "XDG_RUNTIME_DIR") if name in os.environ}
    return {**kept, **fixed}


def _run(argv: Sequence[str], seconds: float, given: bytes, limit: int) -> Any:
    """(exit code, output, errors, how it ended). `given` must fit a pipe: nothing is written while reading."""
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if given else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env=environment(),
        start_new_session=True,  # so that what it starts is killed with it
    )
    ended = "hung"
    try:
        if given:
            with contextlib.suppress(BrokenPipeError):
                os.write(process.stdin.fileno(), given[:65536])
            process.stdin.close()
        out, err, ended = _collect(process, time.monotonic() + seconds, limit)
    finally:
        if ended != "closed":
            _kill_group(process)
        for stream in (process.stdout, process.stderr):
            stream.close()
    try:
        # A command that has closed its output but does not end is as hung as one that says nothing.
        process.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        ended = "hung"
        _kill_group(process)
    return process.returncode, out, err, ended


def _collect(process: Any, until: float, limit: int) -> Any:
    """Read both streams until both are closed, the time is over or there is too much."""
    outputs = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    opened, ended = list(outputs), "closed"
    while opened:
        left = until - time.monotonic()
        ready = select.select(opened, [], [], max(0.0, left))[0] if left > 0 else []
        if not ready:
            ended = "hung"
            break
        for descriptor in ready:
            data = os.read(descriptor, 1 << 16)
            if not data:
                opened.remove(descriptor)
            outputs[descriptor] += data
        if any(len(output) > limit for output in outputs.values()):
            ended = "cut"
            break
    out, err = (bytes(output[:limit]) for output in outputs.values())
    return out, err, ended


def _kill_group(process: Any) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
