"""Inspections of hosts: this machine against Lynis and OpenSCAP; lab hosts against the floor, near, far and many."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bench.measure import Line, alternate, command, cost
from lab import builder, relay
from lab.plan import ACCOUNT, REPOSITORY, Lab, connection

PLAYBOOK = shutil.which("ansible-playbook") or str(REPOSITORY / ".venv/bin/ansible-playbook")
CONTENT = Path("/usr/share/xml/scap/ssg/content/ssg-debian12-ds.xml")
HOSTS = ("app1", "app2", "backup1", "gate1")  # without PostgreSQL, so that the floor does the same work
FORKS = 25
DELAY = 0.05  # seconds each way


def playbook(inventory: Path, *arguments: str, control: Path | None = None) -> None:
    """Inspect with plain ansible-playbook."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")}
    if control:
        environment["ANSIBLE_SSH_CONTROL_PATH_DIR"] = str(control)
    line = [PLAYBOOK, "-i", str(inventory), str(REPOSITORY / "playbooks/inspect.yml"), *arguments]
    command(line, env=environment, cwd=REPOSITORY)


@cache
def program() -> bytes:
    """The very snapshot program that the action plugin sends, with the arguments' defaults."""
    path = REPOSITORY / "action_plugins/host_snapshot.py"
    spec = importlib.util.spec_from_file_location("snapshot_action", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path} cannot be loaded")
    plugin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plugin)
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    arguments = ArgumentSpecValidator(plugin.ARGUMENTS).validate({}).validated_parameters
    sent: bytes = plugin.script(arguments)
    return sent


class Floor:
    """The snapshot program over warm multiplexed ssh, with nothing else around it."""

    def __init__(self, lab: Lab, folder: Path, *, port: int = 0) -> None:
        self.lab = lab
        self.folder = folder
        self.port = port

    def ssh(self, host: str) -> list[str]:
        """One ssh command line; the master connection stays."""
        address = self.lab.address(host)
        options = {
            "ControlMaster": "auto",
            "ControlPath": f"{self.folder}/%C",
            "ControlPersist": "60s",
            "HostKeyAlias": address,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(self.lab.known_hosts),
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        target = ["-p", str(self.port), "127.0.0.1"] if self.port else [address]
        return ["ssh", *words, "-i", str(self.lab.private_key), "-l", ACCOUNT, *target]

    def one(self, host: str) -> None:
        """Take one snapshot."""
        command([*self.ssh(host), "sudo -n /usr/bin/python3 -I -S -B -"], data=program())

    def many(self, hosts: list[str]) -> None:
        """Take them all, as many at a time as Ansible does."""
        with ThreadPoolExecutor(FORKS) as pool:
            list(pool.map(self.one, hosts))


@contextmanager
def hospital() -> Iterator[tuple[Lab, Path]]:
    """A lab of our own with the hosts that are inspected, and a folder for inventories and sockets."""
    lab = Lab.from_environment({"LAB_NAME": "bench"})
    builder.up(lab, HOSTS, bare=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield lab, folder
    finally:
        builder.down(lab)
        shutil.rmtree(folder, ignore_errors=True)


def write_inventory(lab: Lab, path: Path, aliases: dict[str, str], **variables: Any) -> Path:
    """An inventory of aliases: name -> lab host."""
    hosts = {name: connection(lab, host) | variables for name, host in aliases.items()}
    path.write_text(yaml.safe_dump({"servers": {"hosts": hosts}}))
    return path


def here() -> Iterator[Line]:
    """This machine, everything local and as root."""
    inventory = REPOSITORY / "inventories/self"
    ours = alternate(3, ours=lambda: playbook(inventory))["ours"].wall
    if shutil.which("lynis"):
        lynis = cost(
            lambda: command(["lynis", "audit", "system", "--quick", "--quiet"], codes=range(256))
        ).wall
        yield Line("one host: inspection (snapshot + judge), local", ours, lynis, "Lynis, all tests", 1 / 20)
    else:
        print("Lynis is not installed (apt-get install lynis)")
    if shutil.which("oscap") and CONTENT.is_file():
        profile = "xccdf_org.ssgproject.content_profile_anssi_np_nt28_minimal"
        scan = ["oscap", "xccdf", "eval", "--profile", profile, str(CONTENT)]
        scap = cost(lambda: command(scan, codes=(0, 2))).wall
        yield Line("one host: inspection (snapshot + judge), local", ours, scap, "OpenSCAP, Debian 12", 0.5)
    else:
        print(
            f"OpenSCAP is not compared: its content {CONTENT.name} is not installed (no Debian 12 package has it)"
        )


def near_and_many(lab: Lab, folder: Path) -> Iterator[Line]:
    """One lab host, then 10 and 50 aliases, against the floor."""
    floor = Floor(lab, folder)
    one = write_inventory(lab, folder / "one.yml", {"app1": "app1"})
    costs = alternate(5, ours=lambda: playbook(one), floor=lambda: floor.one("app1"))
    yield Line("one host over ssh, warm", costs["ours"].wall, costs["floor"].wall, "the floor", 3)
    for count in (10, 50):
        aliases = {f"h{number}": HOSTS[number % len(HOSTS)] for number in range(count)}
        fleet = write_inventory(lab, folder / f"{count}.yml", aliases)
        works = {"ours": lambda f=fleet: playbook(f), "floor": lambda a=aliases: floor.many(list(a.values()))}
        costs = alternate(3, **works)
        aim = 1.2 if count == 50 else None
        yield Line(
            f"{count} hosts, {FORKS} at a time", costs["ours"].wall, costs["floor"].wall, "the floor", aim
        )
        yield Line(
            f"{count} hosts: controller CPU a host", costs["ours"].cpu / count, 0.08, "the aim of 0.08", 1
        )


def far(lab: Lab, folder: Path) -> Iterator[Line]:
    """One lab host through a relay of 100 ms, warm and cold, and the round trips of each."""
    with relay.running(lab.address("app1"), 22, DELAY) as line:
        floor = Floor(lab, folder, port=line.listen_port)
        alias = f"-o HostKeyAlias={lab.address('app1')} -o UserKnownHostsFile={lab.known_hosts} -o IdentitiesOnly=yes"
        through = {
            "ansible_host": "127.0.0.1",
            "ansible_port": line.listen_port,
            "ansible_ssh_common_args": alias,
        }
        inventory = write_inventory(lab, folder / "far.yml", {"app1": "app1"}, **through)
        warm = folder / "warm"
        trips: dict[str, list[int]] = {}

        def counted(name: str, work: Any) -> None:
            before = line.count.round_trips
            work()
            trips.setdefault(name, []).append(line.count.round_trips - before)

        def cold(work: Any) -> None:
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                work(Path(fresh))

        playbook(inventory, control=warm)
        floor.one("app1")
        costs = alternate(
            5,
            warm=lambda: counted("warm", lambda: playbook(inventory, control=warm)),
            warm_floor=lambda: counted("warm_floor", lambda: floor.one("app1")),
            cold=lambda: cold(lambda fresh: counted("cold", lambda: playbook(inventory, control=fresh))),
            cold_floor=lambda: cold(
                lambda fresh: counted(
                    "cold_floor", lambda: Floor(lab, fresh, port=line.listen_port).one("app1")
                )
            ),
        )
        for kind in ("warm", "cold"):
            ours, other = sorted(trips[kind])[2], sorted(trips[f"{kind}_floor"])[2]
            what = f"one host over a 100 ms line, {kind} ({ours} round trips, floor {other})"
            yield Line(what, costs[kind].wall, costs[f"{kind}_floor"].wall, "the floor", 2)
