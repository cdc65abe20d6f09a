"""What a lab consists of: names, addresses, folders, inventory. Pure: nothing here touches the machine."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.shell import LabError

REPOSITORY = Path(__file__).resolve().parent.parent
STATE = Path("/var/lib/dialysis-lab")
CACHE = Path("/var/cache/dialysis-lab")
ACCOUNT = "engineer"


@dataclass(frozen=True)
class Host:
    """One machine of the hospital; `number` is the last part of its address."""

    name: str
    number: int
    group: str
    release: str = "bookworm"
    virtual: bool = False  # a virtual machine with a kernel of its own, instead of a container


HOSTS = {
    host.name: host
    for host in (
        Host("db1", 11, "database"),
        Host("standby1", 12, "standby"),
        Host("db2", 13, "next_database", release="trixie"),
        Host("backup1", 21, "backup"),
        Host("app1", 31, "application"),
        Host("app2", 32, "application"),
        Host("gate1", 41, "gateway"),
        Host("term1", 51, "terminals"),
        Host("vm1", 61, "virtual", virtual=True),
    )
}
DEFAULT_HOSTS = ("db1", "backup1", "app1", "app2", "gate1")
# `servers` is what a runbook for every server runs on, so only what a default `up` starts belongs to it.
SERVER_GROUPS = ("database", "application", "gateway", "backup")
# What a scenario starts by name to run such a runbook on; it is a server only in the inventory of its lab.
SERVER_GROUPS_BY_NAME = ("virtual",)


@dataclass(frozen=True)
class Lab:
    """One lab; several run side by side under different names."""

    name: str
    subnet: ipaddress.IPv4Network

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Lab:
        """Read LAB_NAME and LAB_SUBNET."""
        name = environment.get("LAB_NAME") or "lab"
        if not re.fullmatch(r"[a-z][a-z0-9]{0,7}", name):
            raise LabError(f"LAB_NAME={name}: use 1 to 8 lower-case letters and digits, a letter first")
        subnet = environment.get("LAB_SUBNET") or default_subnet(name)
        try:
            network = ipaddress.IPv4Network(subnet)
        except ValueError as error:
            raise LabError(
                f"LAB_SUBNET={subnet}: {error}; give a private network such as 10.213.9.0/24"
            ) from None
        if network.prefixlen != 24 or not network.is_private:
            raise LabError(f"LAB_SUBNET={subnet}: give a private /24 such as 10.213.9.0/24")
        return cls(name, network)

    @property
    def bridge(self) -> str:
        """The network bridge; Linux allows 15 characters."""
        return "dialysis0" if self.name == "lab" else f"dialys-{self.name}"

    @property
    def state(self) -> Path:
        """Where the hosts' disks are."""
        return STATE / self.name

    @property
    def lock(self) -> Path:
        """Held while hosts of this lab are made or removed; it is no part of the lab's disk."""
        return Path("/run/lock") / f"dialysis-lab-{self.name}"

    @property
    def keys(self) -> Path:
        """Where the lab's ssh key and known hosts are: in the checkout, ignored by git."""
        return REPOSITORY / "var" / ("lab" if self.name == "lab" else f"lab-{self.name}")

    @property
    def private_key(self) -> Path:
        """The engineer's key."""
        return self.keys / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The host keys, written by the builder, so that checking them stays on."""
        return self.keys / "known_hosts"

    @property
    def gateway(self) -> str:
        """The address of this computer on the lab's bridge."""
        return str(self.subnet[1])

    def address(self, host: str) -> str:
        """The address of a host."""
        return str(self.subnet[HOSTS[host].number])

    def folder(self, host: str) -> Path:
        """The folder of a host: console.log and upper, work, root; of a virtual machine: disk.raw, qmp."""
        return self.state / host

    def root(self, host: str) -> Path:
        """The mounted root file system of a host."""
        return self.folder(host) / "root"

    def machine(self, host: str) -> str:
        """The name by which the host's process (systemd-nspawn or QEMU) is known."""
        return f"{self.name}-{host}"

    def tap(self, host: str) -> str:
        """The network device of a virtual machine; Linux allows 15 characters."""
        return f"vt-{self.machine(host)}"

    def mac(self, host: str) -> str:
        """The hardware address of a virtual machine, in the range of QEMU: from its network address."""
        _, *rest = ipaddress.IPv4Address(self.address(host)).packed
        return "52:54:00:" + ":".join(f"{part:02x}" for part in rest)

    def scope(self, host: str) -> str:
        """The name of the host's control group, which tells its processes from all others."""
        return f"dialysis-{self.machine(host)}.scope"


def default_subnet(name: str) -> str:
    """A fixed subnet for the usual lab, another for each other name."""
    if name == "lab":
        return "10.213.77.0/24"
    third = hashlib.sha256(name.encode()).digest()[0]
    return f"10.213.{third if third != 77 else 78}.0/24"


def check_hosts(names: Iterable[str]) -> list[str]:
    """The named hosts in the plan's order, each once; no name means the default ones."""
    wanted = list(names) or list(DEFAULT_HOSTS)
    unknown = sorted(set(wanted) - set(HOSTS))
    if unknown:
        raise LabError(f"no such host: {', '.join(unknown)}; there are {', '.join(HOSTS)}")
    return [name for name in HOSTS if name in wanted]


def collision(
    subnet: ipaddress.IPv4Network, bridge: str, used: Iterable[tuple[str, str]]
) -> tuple[str, str] | None:
    """The first (device, network) of this machine that overlaps the subnet; the lab's own bridge may."""
    for device, network in used:
        other = ipaddress.ip_network(network, strict=False)
        default_route = other.prefixlen == 0
        if device != bridge and other.version == 4 and not default_route and subnet.overlaps(other):
            return device, network
    return None


def hosts_file(lab: Lab) -> str:
    """/etc/hosts, the same everywhere: the hospital needs no name server."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    lines += [f"{lab.address(name)} {name}.hospital.example {name}" for name in HOSTS]
    return "\n".join(lines) + "\n"


def known_hosts(lab: Lab, public_keys: Mapping[str, str]) -> str:
    """The known_hosts file from the public host key of each host."""
    return "".join(f"{lab.address(name)},{name} {key}\n" for name, key in sorted(public_keys.items()))


def inventory(lab: Lab, hosts: Iterable[str]) -> dict[str, Any]:
    """An inventory of these hosts that needs no group_vars of its own to reach them."""
    members: dict[str, dict[str, Any]] = {}
    for name in hosts:
        members.setdefault(HOSTS[name].group, {})[name] = connection(lab, name)
    groups: dict[str, Any] = {group: {"hosts": entries} for group, entries in members.items()}
    servers = [group for group in (*SERVER_GROUPS, *SERVER_GROUPS_BY_NAME) if group in members]
    groups["servers"] = {"children": {group: {} for group in servers}}
    if "backup" in members:
        groups["witness"] = {"children": {"backup": {}}}  # where the hospital's witness lives
    return {"all": {"children": groups}}


def connection(lab: Lab, host: str) -> dict[str, Any]:
    """How Ansible reaches a host. Set on the host, it wins over the group_vars of inventories/lab."""
    return {
        "ansible_host": lab.address(host),
        "ansible_user": ACCOUNT,
        "ansible_become": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_private_key_file": str(lab.private_key),
        "ansible_ssh_common_args": ssh_options(str(lab.known_hosts)),
    }


def ssh_options(known_hosts_file: str) -> str:
    """The ssh options that bind a connection to the lab's own known hosts."""
    return f"-o UserKnownHostsFile={known_hosts_file} -o GlobalKnownHostsFile=/dev/null -o IdentitiesOnly=yes"


def stale_bases(cached: Iterable[str], used: Iterable[str], newest: str) -> list[str]:
    """The cached base trees of the newest one's release that no host stands on any more."""
    release = newest.partition("-")[0]
    keep = {*used, newest}
    return sorted(name for name in cached if name.partition("-")[0] == release and name not in keep)
