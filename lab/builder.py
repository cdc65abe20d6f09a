"""Bring the rehearsal hospital up, take it down, and say how it is."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import yaml

from lab import base, host, network, remote, virtual
from lab.plan import HOSTS, REPOSITORY, Host, Lab, check_hosts, inventory, known_hosts
from lab.provision import provision
from lab.shell import LabError, run, wait_until

WATCHERS = 1024
# How long a boot may take: a virtual machine's processor is a program.
PATIENCE = 90
VIRTUAL_PATIENCE = 600
BOOT_ID = "/proc/sys/kernel/random/boot_id"


def kind(name: str) -> ModuleType:
    """The functions for this kind of host."""
    return virtual if HOSTS[name].virtual else host


def up(lab: Lab, names: Iterable[str] = (), *, bare: bool = False, backups: bool = True) -> dict[str, str]:
    """Bring hosts up and return what systemd says of each. Hosts that run already are left as they are."""
    hosts = check_hosts(names)
    require_root()
    with base.locked(lab.lock, f"lab {lab.name} is being changed"):
        new = [name for name in hosts if kind(name).pid(lab, name) is None]
        try:
            states = start_all(lab, hosts, new)
        except BaseException:
            keep_consoles(lab, new)
            remove(lab, new)
            raise
        if not bare:
            try:
                provision_all(lab, backups=backups)
            except KeyboardInterrupt:
                remove(lab, new)
                raise
    return states


def start_all(lab: Lab, hosts: list[str], new: list[str]) -> dict[str, str]:
    """Make and start the new ones of these hosts, side by side, and wait for all."""
    started = time.monotonic()
    needed = {(HOSTS[name].release, HOSTS[name].virtual) for name in new}
    trees = {need: base.ensure(need[0], virtual=need[1]) for need in sorted(needed)}
    network.ensure_bridge(lab)
    make_key(lab)
    allow_watchers()
    with ThreadPoolExecutor() as pool:
        try:
            list(pool.map(lambda name: start_new(lab, HOSTS[name], trees), new))
            write_known_hosts(lab)
            states = dict(zip(hosts, pool.map(lambda name: wait_ready(lab, name), hosts), strict=True))
        except BaseException:
            # The pool would wait for those that still wait for their hosts: a dead host ends the wait.
            for name in new:
                kind(name).cut_power(lab, name)
            raise
    print(f"lab: {', '.join(hosts)} answer after {time.monotonic() - started:.0f} s", flush=True)
    return states


def allow_watchers() -> None:
    """Let this computer's hosts watch files: all share one allowance, and Linux's own is enough for some seven."""
    setting = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(setting.read_text()) < WATCHERS:
        with contextlib.suppress(OSError):  # a container may not: then the console says "Too many open files"
            setting.write_text(f"{WATCHERS}\n")


def provision_all(lab: Lab, *, backups: bool = True) -> None:
    """Provision the running hosts, unless each of them has been. A failure leaves them up, to be looked at."""
    hosts = running(lab)
    marks = [lab.folder(name) / "provisioned" for name in hosts]
    if not all(mark.exists() for mark in marks):
        provision(lab, write_inventory(lab), hosts, backups=backups)
        for mark in marks:
            mark.touch()


def start_new(lab: Lab, new: Host, trees: Mapping[tuple[str, bool], Path]) -> None:
    """Clear away what an earlier run left of this host, then make and start it."""
    name, tree = new.name, trees[new.release, new.virtual]
    kind(name).stop(lab, name)
    kind(name).destroy(lab, name)
    kind(name).create(lab, name, tree)
    kind(name).authorize(lab, name)
    kind(name).boot(lab, name)


def down(lab: Lab, names: Iterable[str] = ()) -> None:
    """Power hosts off in order and remove all that is left of them; of the whole lab, if none is named."""
    require_root()
    wanted = list(names)
    hosts = check_hosts(wanted) if wanted else list(HOSTS)
    with base.locked(lab.lock, f"lab {lab.name} is being changed"):
        remove(lab, hosts)


def remove(lab: Lab, hosts: list[str]) -> None:
    """Stop and remove hosts, and the bridge with the last of them."""

    def one(name: str) -> None:
        kind(name).stop(lab, name)
        kind(name).destroy(lab, name)

    with ThreadPoolExecutor() as pool:
        list(pool.map(one, hosts))
    if present(lab):
        write_known_hosts(lab)
    else:
        network.remove_bridge(lab)
        shutil.rmtree(lab.state, ignore_errors=True)


def cut_power(lab: Lab, name: str) -> None:
    """A power failure of one host; its disk stays."""
    require_root()
    check_hosts([name])
    if kind(name).pid(lab, name) is None:
        raise LabError(f"{name} does not run; see: python -m lab status")
    kind(name).cut_power(lab, name)


def power_off(lab: Lab, name: str) -> None:
    """An orderly power-off of one host; its disk stays."""
    require_root()
    check_hosts([name])
    kind(name).stop(lab, name)


def boot(lab: Lab, name: str) -> str:
    """Start a host again with the disk that it had."""
    require_root()
    check_hosts([name])
    if name not in present(lab):
        raise LabError(f"{name} was never made; run: python -m lab up {name}")
    if kind(name).pid(lab, name) is None:
        network.ensure_bridge(lab)
        kind(name).boot(lab, name)
    return wait_ready(lab, name)


def wait_ready(lab: Lab, name: str) -> str:
    """Wait for a host that was started; fail at once if it ended."""
    patience = VIRTUAL_PATIENCE if HOSTS[name].virtual else PATIENCE
    return remote.wait_ready(lab, name, alive=lambda: kind(name).alive(lab, name), seconds=patience)


def reboot(lab: Lab, name: str) -> str:
    """Let a host reboot itself, and wait until it is back."""
    before = boot_id(lab, name)
    remote.attempt(lab, name, "systemctl --no-block reboot")
    return wait_rebooted(lab, name, before)


def boot_id(lab: Lab, name: str) -> str:
    """What tells this run of the host's kernel from the next."""
    return remote.as_root(lab, name, f"cat {BOOT_ID}").strip()


def wait_rebooted(lab: Lab, name: str, before: str) -> str:
    """Wait until a host that is about to reboot is back: ready, and with another boot id than before."""

    def another() -> bool:
        if not remote.answers(lab, name):
            return False
        done = remote.attempt(lab, name, f"cat {BOOT_ID}", 30)
        return done.returncode == 0 and done.stdout.strip() != before

    if not wait_until(another, VIRTUAL_PATIENCE, interval=0.5):
        raise LabError(f"{name} did not reboot in {VIRTUAL_PATIENCE} s; see {lab.folder(name)}/console.log")
    return wait_ready(lab, name)


def status(lab: Lab) -> dict[str, str]:
    """The state of each host of the plan: running, booting, stopped or absent."""
    there = present(lab)

    def state(name: str) -> str:
        if kind(name).pid(lab, name) is None:
            return "stopped" if name in there else "absent"
        return "running" if remote.answers(lab, name) else "booting"

    with ThreadPoolExecutor() as pool:
        return dict(zip(HOSTS, pool.map(state, HOSTS), strict=True))


def present(lab: Lab) -> list[str]:
    """The hosts that have a disk."""
    return [name for name in HOSTS if (lab.folder(name) / "base").exists()]


def running(lab: Lab) -> list[str]:
    """The hosts that run."""
    return [name for name in HOSTS if kind(name).pid(lab, name) is not None]


def make_key(lab: Lab) -> None:
    """The engineer's key, made once."""
    lab.keys.mkdir(parents=True, exist_ok=True)
    if not lab.private_key.exists():
        run(
            [
                "ssh-keygen",
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                f"engineer@{lab.name}",
                "-f",
                lab.private_key,
            ]
        )


def write_known_hosts(lab: Lab) -> None:
    """Write the key of every host; let the key of this checkout into hosts that another one started."""
    keys = {}
    for name in present(lab):
        keys[name] = kind(name).authorize(lab, name)
    new = lab.known_hosts.with_suffix(".new")
    new.write_text(known_hosts(lab, keys))
    new.replace(lab.known_hosts)  # at once: an ssh to another host may be reading it


def write_inventory(lab: Lab, hosts: Iterable[str] | None = None) -> Path:
    """An inventory folder for these (or all running) hosts, with the group_vars of inventories/lab."""
    folder = lab.keys / "inventory"
    folder.mkdir(parents=True, exist_ok=True)
    group_vars = folder / "group_vars"
    if not group_vars.is_symlink():
        group_vars.symlink_to(REPOSITORY / "inventories" / "lab" / "group_vars")
    (folder / "hosts.yml").write_text(inventory_yaml(lab, hosts))
    return folder


def inventory_yaml(lab: Lab, hosts: Iterable[str] | None = None) -> str:
    """The inventory of these (or all running) hosts."""
    chosen = running(lab) if hosts is None else check_hosts(hosts)
    return yaml.safe_dump(inventory(lab, chosen), explicit_start=True, sort_keys=False)


def keep_consoles(lab: Lab, hosts: list[str]) -> None:
    """Keep the console logs of hosts that are about to be removed: they say why a boot failed."""
    for name in hosts:
        log = lab.folder(name) / "console.log"
        if log.exists() and lab.keys.is_dir():
            kept = lab.keys / f"{name}.console.log"
            shutil.copy(log, kept)
            print(f"lab: the console of {name} is kept in {kept}", file=sys.stderr)


def require_root() -> None:
    """Containers, virtual machines and bridges are the superuser's."""
    if os.geteuid() != 0:
        raise LabError("the rehearsal hospital needs root on Debian; run it as root or with sudo")
