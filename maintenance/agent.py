"""Where the private half of an SSH key is, and that it can sign without a question later.

A key with a passphrase that no agent holds is asked for once, on the terminal, before anything is done, and kept by an
ssh-agent of this process alone: a record must not wait an hour later for somebody to type.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from maintenance.errors import CallError, RefusedError

SOCKET_NAME = 107  # bytes of a socket's name in the file system

_own: dict[Path, str] = {}  # private key -> the socket of the agent that this process started for it


def environment(key: Path) -> dict[str, str]:
    """The environment in which ssh-keygen finds the key's agent, if it has one."""
    socket = _own.get(private_half(key))
    return {**os.environ, "SSH_AUTH_SOCK": socket} if socket else dict(os.environ)


def private_half(key: Path) -> Path:
    """The file that ssh-keygen reads where no agent holds the key: without `.pub`, and without `-cert`."""
    if key.suffix != ".pub":
        return key
    return key.with_name(key.name.removesuffix(".pub").removesuffix("-cert"))


def make_ready(key: Path, public_key: str) -> None:
    """See to it that the key can sign from now on without asking; raises RefusedError with what to do."""
    private = private_half(key)
    if private in _own or _held(public_key):
        return
    if not private.is_file():
        raise RefusedError(
            f"no ssh-agent holds the private half of {key}, and {private} is not there; see ssh-add -l, then ssh-add"
        )
    require_private(private)
    asked = subprocess.run(
        [_program("ssh-keygen"), "-y", "-P", "", "-f", str(private)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    if asked.returncode == 0:
        return
    if b"incorrect passphrase" not in asked.stderr:
        raise CallError(f"{private} is not an SSH key that can be used")
    if not on_terminal():
        raise RefusedError(
            f"the key {private} has a passphrase, no ssh-agent holds it, and there is no terminal to ask on: "
            f"ssh-add {private}"
        )
    _own[private] = _agent_with(private)


def require_private(path: Path) -> None:
    """Refuse a key that others can read, as ssh does; raises RefusedError."""
    status = path.stat()
    if status.st_uid == os.getuid() and status.st_mode & 0o077:
        raise RefusedError(
            f"others can read the key {path} (mode {status.st_mode & 0o7777:04o}), and such a key is ignored: "
            f"chmod 600 {path}"
        )


def on_terminal() -> bool:
    """Whether somebody can be asked: there is a terminal, and this process may read from it."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _held(public_key: str) -> bool:
    """Whether the user's own agent holds it."""
    if not os.environ.get("SSH_AUTH_SOCK"):
        return False
    with contextlib.suppress(subprocess.TimeoutExpired):  # an agent that does not answer holds nothing for us
        done = subprocess.run(
            [_program("ssh-add"), "-L"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        return any(line.split()[:2] == public_key.split()[:2] for line in done.stdout.splitlines())
    return False


def _agent_with(private: Path) -> str:
    """Ask for the passphrase on the terminal; the socket of an agent that lives no longer than this process."""
    folder = Path(tempfile.mkdtemp(prefix="maintenance-agent-", dir=_short_enough()))
    socket = str(folder / "socket")
    # Its command waits for the end of its input, which comes with the end of this process, however it dies.
    wait = 'echo ready; cat >/dev/null; kill "$SSH_AGENT_PID"'
    command = [_program("ssh-agent"), "-a", socket, "sh", "-c", wait]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    if process.stdout:
        process.stdout.readline()  # it listens

    def end() -> None:
        process.communicate()  # closes its input
        shutil.rmtree(folder, ignore_errors=True)

    done = subprocess.run(
        [_program("ssh-add"), "-q", str(private)], check=False, env={**os.environ, "SSH_AUTH_SOCK": socket}
    )
    if done.returncode:
        end()
        raise RefusedError(f"the passphrase of {private} was not given; nothing was done")
    atexit.register(end)
    return socket


def _short_enough() -> str:
    """Where the agent's socket may be: the temporary folder, or home where its name is too long for one (unix(7))."""
    usual = tempfile.gettempdir()
    rest = len("/maintenance-agent-12345678/socket.1234567890")  # ssh-agent binds a temporary name first
    return usual if len(os.fsencode(usual)) + rest <= SOCKET_NAME else str(Path.home())


def _program(name: str) -> str:
    found = shutil.which(name)
    if not found:
        raise CallError(f"{name} is missing; on Debian: apt-get install openssh-client")
    return found
