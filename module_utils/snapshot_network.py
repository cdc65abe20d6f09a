"""Probes of the network: interfaces, bonds, routes, name servers, listening sockets and who owns them."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
from typing import Any, Dict, Iterable, List, Optional, Set

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_processes import parse_net_dev
from ansible.module_utils.snapshot_text import bounded, content_lines, integer, paired, percent, present

_LISTEN, _UNCONNECTED = "0A", "07"
_MAXIMUM = 500
_WORD = re.compile(r"[0-9A-F]{8}$")
_ADDRESS = re.compile(r"(?:[0-9A-F]{8}|[0-9A-F]{32}):[0-9A-F]{4}$")


def network(host: Host) -> Dict[str, Any]:
    """Interfaces, routes, name servers, counters of trouble."""
    names = host.names("/sys/class/net")
    traffic = parse_net_dev(host.value("/proc/net/dev") or "")
    found = bounded("interfaces", [_interface(host, name, traffic.get(name)) for name in names], 300)
    with host.noting("addresses"):
        addresses = parse_addresses(host.run(["ip", "-json", "address", "show"]))
        for interface in found["interfaces"]:
            interface["addresses"] = addresses.get(interface["name"], [])
    found["bonds"] = [
        {"name": name, **parse_bond(host.read("/proc/net/bonding/" + name))}
        for name in host.folder("/proc/net/bonding")
    ]
    found["default_gateways"] = parse_gateways(host.value("/proc/net/route") or "")
    found["resolver"] = parse_resolver(host.value("/etc/resolv.conf") or "")
    found["sockets"] = _sockets(host)
    used, limit = (
        integer(host.value(f"/proc/sys/net/netfilter/nf_conntrack_{name}")) for name in ("count", "max")
    )
    if used is not None and limit:
        found["connection_tracking_percent"] = percent(used, limit)
    return found


def _interface(host: Host, name: str, traffic: Optional[List[int]]) -> Dict[str, Any]:
    folder = f"/sys/class/net/{name}"
    speed = integer(host.value(folder + "/speed"))
    counters = traffic or []
    return present(
        name=name,
        state=host.value(folder + "/operstate"),
        physical=host.exists(folder + "/device") and not host.exists(folder + "/tun_flags"),
        mtu=integer(host.value(folder + "/mtu")),
        speed_mbps=speed if speed and speed > 0 else None,
        duplex=host.value(folder + "/duplex"),
        carrier_changes=integer(host.value(folder + "/carrier_changes")),
        received_bytes=counters[0] if counters else None,
        received_packets=counters[1] if counters else None,
        received_errors=counters[2] if counters else None,
        received_dropped=counters[3] if counters else None,
        sent_bytes=counters[8] if counters else None,
        sent_packets=counters[9] if counters else None,
        sent_errors=counters[10] if counters else None,
        sent_dropped=counters[11] if counters else None,
    )


def parse_addresses(text: str) -> Dict[str, List[str]]:
    """Addresses by interface from `ip -json address show`."""
    return {
        link["ifname"]: [
            f"{info['local']}/{info['prefixlen']}" for info in link.get("addr_info", []) if "local" in info
        ]
        for link in json.loads(text or "[]")
        if "ifname" in link
    }


def parse_bond(text: str) -> Dict[str, Any]:
    """Mode and members of a bond, from /proc/net/bonding."""
    head, *members = re.split(r"\n(?=Slave Interface: \S)", text)
    mode = re.search(r"Bonding Mode: (.+)", head)
    return {
        "mode": mode.group(1).strip() if mode else "",
        "members": [
            {
                "name": re.match(r"Slave Interface: (\S+)", member).group(1),
                "up": "MII Status: up" in member,
                "failures": int((re.search(r"Link Failure Count: (\d+)", member) or [0, 0])[1]),
            }
            for member in members
        ],
    }


def parse_gateways(text: str) -> List[Dict[str, str]]:
    """The default routes of /proc/net/route."""
    rows = (line.split() for line in text.splitlines()[1:])
    return [
        {"interface": row[0], "gateway": socket.inet_ntoa(struct.pack("=I", int(row[2], 16)))}
        for row in rows
        if len(row) > 7 and row[1] == row[7] == "00000000" and _WORD.match(row[2])
    ]


def parse_resolver(text: str) -> Dict[str, List[str]]:
    """Name servers and search domains."""
    found: Dict[str, List[str]] = {"servers": [], "search": []}
    for line in content_lines(text):
        key, *values = line.split()
        if key == "nameserver":
            found["servers"] += values[:1]
        elif key in ("search", "domain"):
            found["search"] = values
    return found


def _sockets(host: Host) -> Dict[str, Any]:
    """Counts since the start: retransmissions, connections that a full queue turned away."""
    snmp = parse_pairs(host.value("/proc/net/snmp") or "")
    extended = parse_pairs(host.value("/proc/net/netstat") or "")
    usage = re.search(r"TCP: inuse (\d+) orphan \d+ tw (\d+)", host.value("/proc/net/sockstat") or "")
    tcp = snmp.get("Tcp", {})
    return present(
        tcp_established=tcp.get("CurrEstab"),
        tcp_time_wait=int(usage.group(2)) if usage else None,
        tcp_retransmitted_percent=percent(tcp.get("RetransSegs", 0), tcp.get("OutSegs", 0)),
        listen_overflows=extended.get("TcpExt", {}).get("ListenOverflows"),
        listen_drops=extended.get("TcpExt", {}).get("ListenDrops"),
    )


def parse_pairs(text: str) -> Dict[str, Dict[str, int]]:
    """Pairs of lines as in /proc/net/snmp: names, then numbers."""
    lines = text.splitlines()
    found: Dict[str, Dict[str, int]] = {}
    for names, values in paired(lines[::2], lines[1::2]).items():
        group = found.setdefault(names.partition(":")[0], {})
        numbers = paired(names.split()[1:], values.split()[1:])
        group.update({name: int(value) for name, value in numbers.items() if value.isdecimal()})
    return found


def listeners(host: Host) -> Dict[str, Any]:
    """Sockets that wait for others, their processes (root only), and whether the expected ones are among them."""
    sockets = listening(host)
    owners = _owners(host, {entry["inode"] for entry in sockets})
    for entry in sockets:
        entry.update(present(process=owners.get(entry.pop("inode"))))
    sockets.sort(key=lambda entry: (entry["protocol"], entry["port"], entry["address"]))
    if any("process" not in entry for entry in sockets):
        host.unread["process"] = (
            "needs root: /proc/PID/fd" if os.geteuid() else "the owner is outside this host's view"
        )
    expected = host.parameters.get("listeners") or []
    return {
        **bounded("sockets", unique(sockets), _MAXIMUM),
        "expected": [
            {**wanted, "listening": any(fits(wanted, entry) for entry in sockets)} for wanted in expected
        ],
    }


def listening(host: Host) -> List[Dict[str, Any]]:
    """Every listening TCP and unconnected UDP socket."""
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        try:
            text = host.read(f"/proc/net/{table}", 1 << 23)
        except UnreadError:
            continue  # IPv6 may be off
        found += parse_sockets(text, table)
    return found


def parse_sockets(text: str, table: str) -> List[Dict[str, Any]]:
    """The listening sockets of /proc/net/{tcp,tcp6,udp,udp6}."""
    wanted = _LISTEN if table.startswith("tcp") else _UNCONNECTED
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != wanted or not _ADDRESS.match(fields[1]):
            continue
        address, _colon, port = fields[1].partition(":")
        text_address = decode_address(address)
        found.append(
            {
                "protocol": table[:3],
                "address": text_address,
                "port": int(port, 16),
                "exposed": not text_address.startswith("127.")
                and text_address not in ("::1", "::ffff:127.0.0.1"),
                "inode": fields[9],
            }
        )
    return found


def decode_address(digits: str) -> str:
    """An address as the kernel prints it: 32-bit words in the machine's own byte order."""
    parts = [struct.pack("=I", int(digits[start : start + 8], 16)) for start in range(0, len(digits), 8)]
    return socket.inet_ntop(socket.AF_INET if len(parts) == 1 else socket.AF_INET6, b"".join(parts))


def _owners(host: Host, wanted: Set[str]) -> Dict[str, str]:
    """Names of processes by the socket that they hold; without root those of others stay unknown."""
    found: Dict[str, str] = {}
    for pid in host.names("/proc"):
        if not pid.isdecimal() or len(found) == len(wanted):
            continue
        folder = f"{host.root}/proc/{pid}/fd"
        try:
            targets = [os.readlink(f"{folder}/{number}") for number in os.listdir(folder)]
        except OSError:
            continue
        held = {target[8:-1] for target in targets if target.startswith("socket:[")} & wanted
        name = host.value(f"/proc/{pid}/comm") if held else None
        for inode in held:
            # systemd holds the sockets of others: the daemon's own name says more.
            if name and (inode not in found or found[inode] == "systemd"):
                found[inode] = name
    return found


def unique(sockets: Iterable[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Each socket once: SO_REUSEPORT opens the same one for every worker."""
    seen = {(s["protocol"], s["address"], s["port"], s.get("process")): s for s in sockets}
    return list(seen.values())


def fits(wanted: Dict[str, Any], entry: Dict[str, Any]) -> bool:
    """Whether a socket answers what is expected: port, and protocol and address where they are given."""
    if integer(wanted.get("port")) != entry["port"] or (wanted.get("protocol") or "tcp") != entry["protocol"]:
        return False
    return wanted.get("address") in (None, "", entry["address"]) or entry["address"] in ("0.0.0.0", "::")  # noqa: S104  (compared, not bound)


PROBES = {"network": network, "listeners": listeners}
