"""The line is cut, or the controller killed, at each step of a hardening: nobody is shut out, and what stands is told.

A gate on the host holds the step until the harm is done. It is looked at from outside, by the host's disk: no login is
needed to know where a step is.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab import relay, remote
from lab.hardening import comes_in, state_of
from lab.plan import REPOSITORY, Lab, inventory
from lab.scenario import engine, kill_tree, start_playbook, wait_until

HOST, DATABASE = "backup1", "db1"
GATE = "/var/tmp/drill-gate"
PASSES = f"mkdir {GATE}/reached && read _ < {GATE}/go"
# One that stands before the real one in the path of our modules, and of nobody else.
SYSTEMCTL = f"""#!/bin/sh
if [ "$*" = "$(cat {GATE}/at)" ] && mkdir {GATE}/reached 2>/dev/null; then read _ < {GATE}/go; fi
exec /usr/bin/systemctl "$@"
"""
SHUTS_OUT = {
    "kind": "setting",
    "path": "/etc/ssh/sshd_config.d/00-drill.conf",
    "key": "DenyUsers",
    "value": "*",
    "check": ["sshd", "-t"],
    "then": [["systemctl", "reload", "ssh.service"]],
}
HARMLESS = {**SHUTS_OUT, "key": "LogLevel", "value": "VERBOSE"}
STOPS_A_SERVICE = {"kind": "unit", "name": "cron.service", "active": False}
HELD_CHANGE = {
    **SHUTS_OUT,
    "then": [*SHUTS_OUT["then"], ["sh", "-c", f"test -e {GATE}/reached || {{ {PASSES}; }}"]],
}
IN_TIME = 90  # room for a slow computer; the host's own time is that of the drill
LOCK = 4711


@dataclass
class Step:
    """Where a drill is held, and how."""

    at: str = "-"  # the call of systemctl
    resources: list[dict[str, Any]] = field(default_factory=lambda: [SHUTS_OUT])
    proofs: list[list[str]] = field(default_factory=list)
    guard: bool = False  # held by the guard's question
    seconds: int = 8
    left: str = "reverted"  # the state of the restore point at the end; empty: there is none
    said: str = ""  # by a controller whose line was cut and came back


STEPS = {
    "guard": Step(guard=True, left=""),
    "restore point": Step(at="is-active cron.service", resources=[STOPS_A_SERVICE, SHUTS_OUT]),
    "arming": Step(at="daemon-reload"),
    "change": Step(resources=[HELD_CHANGE]),
    "proof": Step(
        resources=[HARMLESS], proofs=[["sh", "-c", PASSES]], seconds=25, said="all was taken back at once"
    ),
    "confirmation": Step(
        at="is-active maintenance-revert.service",
        resources=[HARMLESS],
        seconds=120,
        left="confirmed",
        said="the change stands, and undo_hardening takes it back",
    ),
    "after the confirmation": Step(
        at="stop maintenance-revert.timer",
        resources=[HARMLESS],
        seconds=120,
        left="confirmed",
        said="the change stands, and undo_hardening takes it back",
    ),
}


@dataclass
class Line:
    """The controller's lines to the two hosts, through relays that can be cut, and the inventory that uses them."""

    relays: list[relay.Relay]
    hosts: Path

    def cut(self) -> None:
        for one in self.relays:
            one.cut_now()


@pytest.fixture
def line(lab: Lab, tmp_path: Path) -> Iterator[Line]:
    with contextlib.ExitStack() as stack:
        there = inventory(lab, [HOST, DATABASE])
        relays = []
        for group in there["all"]["children"].values():
            for name, host in group.get("hosts", {}).items():
                address = lab.address(name)
                relays.append(stack.enter_context(relay.running(address, 22, 0)))
                host |= {"ansible_host": "127.0.0.1", "ansible_port": relays[-1].listen_port}
                host["ansible_ssh_common_args"] += f" -o HostKeyAlias={address}"
        path = tmp_path / "hosts.json"
        path.write_text(json.dumps(there))
        yield Line(relays, path)


@pytest.fixture
def gate(lab: Lab, root: Callable[[str, str], str]) -> Iterator[Path]:
    """The gate's folder as seen from outside; whoever is still held goes on at the end."""
    script = f"rm -rf {GATE} && mkdir -m 700 {GATE} && mkfifo {GATE}/go && echo - > {GATE}/at"
    root(
        HOST,
        f"{script}; printf %s {shlex.quote(SYSTEMCTL)} > /usr/sbin/systemctl; chmod 755 /usr/sbin/systemctl",
    )
    folder = lab.root(HOST) / GATE.lstrip("/")
    try:
        yield folder
    finally:
        release(folder)
        wait_until("a login", IN_TIME, lambda: comes_in(lab, HOST))
        root(HOST, f"rm -rf {GATE} /usr/sbin/systemctl")


def release(gate: Path) -> None:
    """Let the step go on, where one is held."""
    with contextlib.suppress(OSError):  # nobody reads
        descriptor = os.open(gate / "go", os.O_WRONLY | os.O_NONBLOCK)
        os.write(descriptor, b"\n")
        os.close(descriptor)


@contextlib.contextmanager
def held_question(lab: Lab) -> Iterator[Callable[[], bool]]:
    """Hold what takes the advisory lock on the database; gives whether somebody waits for it."""
    psql = "cd /; exec runuser -u postgres -- psql -XqAt -d dialysis"
    ssh = [*remote.ssh_command(lab, DATABASE), f"sudo --non-interactive sh -c {shlex.quote(psql)}"]
    with subprocess.Popen(ssh, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin
        assert holder.stdout
        holder.stdin.write(f"select pg_advisory_lock({LOCK}); select 'held';\n")
        holder.stdin.flush()
        while holder.stdout.readline().strip() != "held":
            assert holder.poll() is None
        waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        asked = f'cd /; runuser -u postgres -- psql -XqAt -c "{waiting}"'
        yield lambda: remote.as_root(lab, DATABASE, asked).strip() != "0"
        holder.stdin.close()


def start(line: Line, step: Step, name: str) -> subprocess.Popen[str]:
    """The drill's playbook, begun."""
    asked = f"select 0 * length(pg_advisory_lock({LOCK})::text)" if step.guard else "select 0"
    given = {
        "drill_host": HOST,
        "drill_resources": step.resources,
        "harden_run": name,
        "harden_confirm_seconds": step.seconds,
        "harden_proofs": step.proofs,
        "harden_window": "any",
        "harden_backup_hours": 0,
        "harden_sessions": {"database": "dialysis", "query": asked},
        "harden_database_host": DATABASE,
    }
    play = REPOSITORY / "molecule" / "harden_drills" / "drills" / "link.yml"
    return start_playbook(play, line.hosts, given)


def state(lab: Lab, name: str) -> str:
    """What has become of a restore point, read from the host's disk."""
    try:
        path = lab.root(HOST) / "var/lib/maintenance/restore_points" / name / "meta.json"
        return str(json.loads(path.read_text())["state"])
    except FileNotFoundError:
        return ""


def module(line: Line, **arguments: Any) -> str:
    """The module restore_point, on the host; what it said."""
    command = ["ansible", HOST, "-i", str(line.hosts), "-m", "restore_point", "-a", json.dumps(arguments)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env=engine(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("harm", ["the line is cut", "the controller is killed"])
@pytest.mark.parametrize("where", STEPS)
def test_whatever_breaks_and_when_nobody_is_shut_out(
    lab: Lab, line: Line, gate: Path, root: Callable[[str, str], str], where: str, harm: str
) -> None:
    step, name = STEPS[where], f"drill-link-{secrets.token_hex(4)}"
    before = state_of(root, HOST)
    root(HOST, f"echo {shlex.quote(step.at)} > {GATE}/at")
    with held_question(lab) if step.guard else contextlib.nullcontext() as waits:
        drill = start(line, step, name)
        there = waits or (gate / "reached").exists
        wait_until(f"the step '{where}'", IN_TIME, lambda: there() or drill.poll() is not None)
        assert drill.poll() is None, drill.communicate()[0]
        if harm == "the line is cut":
            line.cut()
        else:
            kill_tree(drill.pid)
    if where == "proof":
        wait_until(
            "the way back", IN_TIME, lambda: state(lab, name) == "reverted"
        )  # with the proof still at work
    release(gate)
    out, _ = drill.communicate(timeout=IN_TIME)
    assert drill.returncode != 0, out
    if step.left:
        wait_until(f"'{step.left}'", IN_TIME, lambda: state(lab, name) == step.left)
    wait_until("a login", IN_TIME, lambda: comes_in(lab, HOST))
    armed = lab.root(HOST) / "var/lib/maintenance/restore_points/armed"
    wait_until("the end of the deadline", IN_TIME, lambda: not armed.exists())
    assert state(lab, name) == step.left
    if harm == "the line is cut":
        assert step.said in " ".join(out.split()), out
    if step.left == "confirmed":
        assert "LogLevel VERBOSE" in root(HOST, "cat /etc/ssh/sshd_config.d/00-drill.conf")
        module(line, state="undone", name=name, restore_point=f"{name}-undo", seconds=60)
        module(line, state="confirmed", name=f"{name}-undo")
    assert set(state_of(root, HOST)) ^ set(before) == set()


def test_a_line_that_does_not_come_back_is_no_reason_to_say_more_than_is_known(
    lab: Lab, line: Line, gate: Path, root: Callable[[str, str], str]
) -> None:
    before = state_of(root, HOST)
    root(HOST, f"echo daemon-reload > {GATE}/at")
    name = f"drill-gone-{secrets.token_hex(4)}"
    drill = start(line, Step(resources=[HARMLESS], proofs=[["sh", "-c", PASSES]], seconds=5), name)
    wait_until("the arming", IN_TIME, (gate / "reached").exists)
    (gate / "reached").rmdir()
    release(gate)
    wait_until("the proof", IN_TIME, (gate / "reached").exists)
    for one in line.relays:
        one.target, one.target_port = "127.0.0.1", 1  # nobody listens there
    line.cut()
    out, _ = drill.communicate(timeout=IN_TIME + 60)
    assert drill.returncode != 0
    assert "within 5 s, unless the confirmation had reached it" in " ".join(out.split()), out
    release(gate)
    wait_until("the old state", IN_TIME, lambda: state(lab, name) == "reverted")
    assert set(state_of(root, HOST)) ^ set(before) == set()
