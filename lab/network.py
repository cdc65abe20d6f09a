"""The lab's bridge on this computer."""

from __future__ import annotations

import json
import shutil

from lab.plan import Lab, collision
from lab.shell import LabError, run


def ensure_bridge(lab: Lab) -> None:
    """Make the bridge, unless its subnet is in use: a collision would look like a host that does not boot."""
    clash = collision(lab.subnet, lab.bridge, used_networks())
    if clash:
        raise LabError(
            f"the lab's subnet {lab.subnet} overlaps {clash[1]} on {clash[0]}; "
            "set LAB_SUBNET to a free private /24"
        )
    if run(["ip", "link", "show", lab.bridge], check=False).returncode != 0:
        run(["ip", "link", "add", lab.bridge, "type", "bridge"])
    run(["ip", "address", "replace", f"{lab.gateway}/{lab.subnet.prefixlen}", "dev", lab.bridge])
    run(["ip", "link", "set", lab.bridge, "up"])
    accept_bridged(lab, wanted=True)


def remove_bridge(lab: Lab) -> None:
    """Remove the bridge and what was let through for it."""
    accept_bridged(lab, wanted=False)
    run(["ip", "link", "delete", lab.bridge], check=False)


def make_tap(lab: Lab, host: str) -> None:
    """Make the network device of a virtual machine, on the bridge."""
    device = lab.tap(host)
    run(["ip", "tuntap", "add", "dev", device, "mode", "tap"])
    run(["ip", "link", "set", "dev", device, "master", lab.bridge, "up"])


def drop_tap(lab: Lab, host: str) -> None:
    """Remove the network device of a virtual machine; it outlives its QEMU."""
    run(["ip", "link", "delete", "dev", lab.tap(host)], check=False)


def used_networks() -> list[tuple[str, str]]:
    """Every (device, network) of this machine, from addresses and routes."""
    used = [
        (link["ifname"], f"{address['local']}/{address['prefixlen']}")
        for link in json.loads(run(["ip", "-json", "address"]).stdout)
        for address in link.get("addr_info", [])
        if address.get("family") == "inet"
    ]
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]).stdout or "[]")
    for route in routes:
        if route["dst"] != "default" and route.get("type") in (None, "unicast"):
            used.append((route.get("dev", "a route"), route["dst"]))
    return used


def accept_bridged(lab: Lab, *, wanted: bool) -> None:
    """Let the hosts talk to each other where Docker has set the machine's FORWARD policy to DROP."""
    if shutil.which("iptables") is None:
        return
    rule = ["FORWARD", "-i", lab.bridge, "-o", lab.bridge, "-j", "ACCEPT"]
    present = run(["iptables", "--check", *rule], check=False).returncode == 0
    policy = run(["iptables", "-S", "FORWARD"], check=False).stdout
    if wanted and not present and "-P FORWARD DROP" in policy:
        run(["iptables", "--insert", *rule])
    elif not wanted and present:
        run(["iptables", "--delete", *rule])
