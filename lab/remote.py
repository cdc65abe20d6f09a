"""Commands on a lab host, over ssh, as the engineer or (by sudo) as root."""

from __future__ import annotations

import shlex
import socket
import subprocess
import time
from collections.abc import Callable

from lab.plan import ACCOUNT, Lab
from lab.shell import LabError, last_line, run, ssh_failed, wait_until


def ssh_command(lab: Lab, host: str) -> list[str]:
    """The ssh command line up to and with the host."""
    return [
        *("ssh", "-F", "none", "-i", str(lab.private_key)),
        *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=5"),
        *("-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={lab.known_hosts}"),
        # A host that loses its power says no goodbye.
        *("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"),
        *("-o", "GlobalKnownHostsFile=/dev/null", f"{ACCOUNT}@{lab.address(host)}"),
    ]


def attempt(lab: Lab, host: str, script: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a bash script as root on a host; the caller looks at the result."""
    command = f"sudo --non-interactive bash -euo pipefail -c {shlex.quote(script)}"
    argv = [*ssh_command(lab, host), command]
    replies: list[subprocess.CompletedProcess[str]] = []

    def connected() -> bool:
        replies.append(run(argv, check=False, timeout=seconds, stdin=subprocess.DEVNULL))
        # An sshd that reloads its configuration listens to nobody for a moment.
        return not (ssh_failed(replies[-1]) and "Connection refused" in replies[-1].stderr)

    wait_until(connected, 3)
    return replies[-1]


def as_root(lab: Lab, host: str, script: str, seconds: float = 120) -> str:
    """Run a bash script as root on a host and return what it printed."""
    done = attempt(lab, host, script, seconds)
    if ssh_failed(done):
        raise LabError(f"{host}: no ssh: {last_line(done.stderr)}; is it up? python -m lab status")
    if done.returncode != 0:
        raise LabError(
            f"{host}: the command ended with {done.returncode}: {last_line(done.stderr or done.stdout)}"
        )
    return done.stdout


def answers(lab: Lab, host: str) -> bool:
    """Whether sshd greets us. We greet it as well: a silent visitor would be an error in the host's log."""
    try:
        with socket.create_connection((lab.address(host), 22), timeout=1) as connection:
            greeting = connection.recv(16)
            connection.sendall(b"SSH-2.0-lab\r\n")
            return greeting.startswith(b"SSH-")
    except OSError:
        return False


# `running`, or for example `degraded` and the units that have failed.
STATE = """
systemctl is-system-running --wait || true
systemctl list-units --failed --plain --no-legend | cut -d ' ' -f 1
"""


def wait_ready(lab: Lab, host: str, alive: Callable[[], bool], seconds: float = 90) -> str:
    """Wait until the engineer gets in and systemd has finished booting; `running`, or the failed units."""
    log = lab.folder(host) / "console.log"
    deadline = time.monotonic() + seconds
    reply: list[subprocess.CompletedProcess[str]] = []

    def booted() -> bool:
        if not alive():
            message = last_line(log.read_text(errors="replace")) if log.exists() else "no console"
            raise LabError(f"{host} ended while it booted: {message}")
        if answers(lab, host):
            left = max(5.0, deadline - time.monotonic())
            # pam_nologin turns everybody away until the boot is far enough: then ssh itself fails.
            reply.append(attempt(lab, host, STATE, left))
        return bool(reply) and not ssh_failed(reply[-1])

    if not wait_until(booted, seconds, interval=0.2):
        message = last_line(reply[-1].stderr) if reply else "the ssh port does not answer"
        raise LabError(f"{host} was not ready after {seconds:.0f} s: {message}; its console: {log}")
    return " ".join(reply[-1].stdout.split())
