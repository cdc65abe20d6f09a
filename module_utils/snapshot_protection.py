"""Probes of what guards the host: firewall, virus scanners, mandatory access control, integrity; and containers."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional, Set

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import assignments, bounded, dated, instant, integer, present

# Agents by the name of their process; of most only their presence can be told from outside.
_SCANNERS = {
    "clamd": "ClamAV",
    "kesl": "Kaspersky Endpoint Security",
    "ds_agent": "Trend Micro Deep Security",
    "ds_am": "Trend Micro Deep Security",
    "MsMpEngLinux": "Microsoft Defender",
    "wdavdaemon": "Microsoft Defender",
    "sophosav": "Sophos",
    "falcon-sensor": "CrowdStrike Falcon",
    "oaeventd": "ESET",
    "qaxsafed": "Qi-Anxin 奇安信",
    "360entclient": "360 天擎",
    "edr_agent": "Sangfor EDR 深信服",
    "sfavsrv": "Sangfor EDR 深信服",
    "titanagent": "Qingteng 青藤云",
    "AliYunDun": "Alibaba Cloud 安骑士",
    "YDService": "Tencent Cloud 云镜",
    "hostguard": "Huawei Cloud HSS",
    "wazuh-agentd": "Wazuh",
    "ossec-agentd": "OSSEC",
}


def firewall(host: Host) -> Dict[str, Any]:
    """The rules that the kernel holds, whichever program wrote them."""
    if host.program("nft"):
        found = parse_nft(host.run(["nft", "-j", "-t", "list", "ruleset"], limit=1 << 22))
    elif host.program("iptables-save"):
        found = parse_iptables(host.run(["iptables-save"], limit=1 << 22))
    else:
        raise UnreadError("neither nft nor iptables is here")
    policies = [chain["policy"] for chain in found["chains"] if chain["hook"] == "input"]
    found["filters_input"] = bool(policies) and (found["input_rules"] > 0 or "drop" in policies)
    found["default_deny"] = found["closed"] or "drop" in policies
    del found["closed"]
    ufw = assignments(host.value("/etc/ufw/ufw.conf") or "").get("ENABLED") == "yes"
    firewalld = host.exists("/run/firewalld")
    found["managers"] = [name for name, there in (("firewalld", firewalld), ("ufw", ufw)) if there]
    return found


def parse_nft(text: str) -> Dict[str, Any]:
    """Base chains with their policies, and counts of rules, from nft's JSON."""
    items = json.loads(text or "{}").get("nftables", [])
    chains = [item["chain"] for item in items if "chain" in item]
    rules = [item["rule"] for item in items if "rule" in item]
    hooked = [chain for chain in chains if "hook" in chain]
    entry = {
        (c["family"], c["table"], c["name"])
        for c in hooked
        if c["hook"] == "input" and c.get("type") == "filter"
    }
    reached = _reached(entry, rules)
    input_rules = [rule for rule in rules if (rule["family"], rule["table"], rule["chain"]) in reached]
    return {
        "backend": "nftables",
        "chains": [
            {
                "family": c["family"],
                "table": c["table"],
                "name": c["name"],
                "hook": c["hook"],
                "policy": c.get("policy", "accept"),
            }
            for c in hooked
        ],
        "rules": len(rules),
        "input_rules": len(input_rules),
        "accepts": [accept for rule in input_rules for accept in _accepted(rule)][:200],
        "closed": any(_refuses_all(rule) for rule in input_rules),
    }


def _reached(chains: Set[Any], rules: List[Any]) -> Set[Any]:
    """The chains that a packet may pass, through jumps, from these."""
    reached, size = set(chains), -1
    while size != len(reached):
        size = len(reached)
        for rule in rules:
            if (rule["family"], rule["table"], rule["chain"]) not in reached:
                continue
            for part in rule.get("expr", []):
                for verb in ("jump", "goto"):
                    target = part.get(verb) if isinstance(part, dict) else None
                    if isinstance(target, dict) and "target" in target:
                        reached.add((rule["family"], rule["table"], target["target"]))
    return reached


def _refuses_all(rule: Any) -> bool:
    """A rule without a condition that drops or rejects: a default deny that is no policy."""
    parts = [next(iter(part)) for part in rule.get("expr", []) if isinstance(part, dict) and part]
    return bool(parts) and parts[-1] in ("drop", "reject") and not {"match", "vmap", "limit"} & set(parts)


def _accepted(rule: Any) -> List[Dict[str, Any]]:
    """The ports that a rule lets in, and whether only from some addresses or interfaces.

    0 stands for any port: a rule that names none, or names them in a set that is elsewhere."""
    parts = [part for part in rule.get("expr", []) if isinstance(part, dict)]
    restricted, ports, answers = False, [], False
    for part in parts:
        match = part.get("match")
        vmap = part.get("vmap")
        if isinstance(match, dict):
            name, right = _field(match.get("left")), match.get("right")
            if name == "dport" and match.get("op", "==") in ("==", "in"):
                ports += _ports(right) or [0]
            restricted = restricted or name in ("saddr", "iif", "iifname")
            # What only lets answers or ICMP through opens no port.
            answers = answers or (name == "state" and "new" not in str(right))
            answers = answers or name == "type" or (name in ("l4proto", "protocol") and "icmp" in str(right))
        elif isinstance(vmap, dict) and _field(vmap.get("key")) == "dport":
            data = vmap.get("data")
            pairs = data.get("set", []) if isinstance(data, dict) else [[0, {"accept": None}]]
            opened = [pair[0] for pair in pairs if isinstance(pair, list) and "accept" in str(pair[1:])]
            return [{"ports": _ports(opened) or [0], "restricted": restricted}] if opened else []
    if answers or not any("accept" in part for part in parts):
        return []
    return [{"ports": ports or [0], "restricted": restricted}]


def _field(left: Any) -> str:
    """What a match of nft looks at: dport, saddr, iifname, state …"""
    inner = next(iter(left.values()), None) if isinstance(left, dict) else None
    return str(inner.get("field") or inner.get("key") or "") if isinstance(inner, dict) else ""


def _ports(right: Any) -> List[int]:
    """The ports of a match; of a range its ends."""
    if isinstance(right, dict):
        right = right.get("set") or right.get("range") or []
    found: List[int] = []
    for item in (right if isinstance(right, list) else [right])[:200]:
        found += _ports(item) if isinstance(item, (dict, list)) else [item] if isinstance(item, int) else []
    return found


def parse_iptables(text: str) -> Dict[str, Any]:
    """The filter table of iptables-save."""
    body = re.search(r"(?ms)^\*filter\n(.*?)^COMMIT", text)
    lines = body.group(1).splitlines() if body else []
    heads = [match.groups() for match in (re.match(r":(\S+) (\S+)", line) for line in lines) if match]
    chains = [
        {"family": "ip", "table": "filter", "name": name, "hook": name.lower(), "policy": policy.lower()}
        for name, policy in heads
        if policy != "-"
    ]
    rules = [line for line in lines if line.startswith("-A ")]
    return {
        "backend": "iptables",
        "chains": chains,
        "rules": len(rules),
        "input_rules": sum(rule.startswith("-A INPUT ") for rule in rules),
        "accepts": [accept for rule in _iptables_input(rules) for accept in _iptables_accepted(rule)][:200],
        "closed": any(re.match(r"-A INPUT -j (DROP|REJECT)\b", rule) for rule in rules),
    }


def _iptables_input(rules: List[str]) -> List[str]:
    """The rules that a packet may pass on its way in, those of chains that INPUT jumps to among them."""
    reached, size = {"INPUT"}, 0
    while size != len(reached):
        size = len(reached)
        for rule in rules:
            jump = re.search(r" -[jg] (\S+)", rule)
            if jump and rule.split()[1] in reached:
                reached.add(jump.group(1))
    return [rule for rule in rules if rule.split()[1] in reached]


def _iptables_accepted(rule: str) -> List[Dict[str, Any]]:
    """The same of a line of iptables-save."""
    if not re.search(r" -j ACCEPT\b", rule) or re.search(r"-p (icmp|ipv6-icmp)\b", rule):
        return []
    state = re.search(r"--(?:ct)?state (\S+)", rule)
    if state and "NEW" not in state.group(1):
        return []
    ports = re.search(r"--dports? ([\d,:]+)", rule)
    found = [int(port) for port in re.findall(r"\d+", ports.group(1))] if ports else [0]
    return [{"ports": found, "restricted": bool(re.search(r" (-s|-i) ", rule))}]


def antivirus(host: Host) -> Dict[str, Any]:
    """Scanners that run or are installed, and the age of ClamAV's signatures."""
    running = {host.value(f"/proc/{pid}/comm") for pid in host.names("/proc") if pid.isdecimal()}
    products = [
        {"name": title, "process": process, "running": True}
        for process, title in _SCANNERS.items()
        if process[:15] in running
    ]
    if not any(product["name"] == "ClamAV" for product in products) and (
        host.program("clamscan") or host.program("clamd")
    ):
        products.append({"name": "ClamAV", "process": "clamd", "running": False})
    found: Dict[str, Any] = {"products": products}
    with host.noting("signatures_built"):
        built = [clamav_built(host.read_bytes(path, 512)) for path in _signatures(host)]
        if built:
            found["signatures_built"] = instant(max(moment or 0.0 for moment in built))
    return found


def _signatures(host: Host) -> List[str]:
    folder = "/var/lib/clamav"
    return [f"{folder}/{name}" for name in host.folder(folder) if name.endswith((".cvd", ".cld"))]


def clamav_built(head: bytes) -> Optional[float]:
    """When a ClamAV database was built: `ClamAV-VDB:22 Nov 2026 08-30 +0000:…`."""
    match = re.match(rb"ClamAV-VDB:(\d+) (\w{3}) (\d{4}) (\d\d)-(\d\d) ([+-]\d{4})", head)
    if not match:
        return None
    day, month, year, hour, minute, zone = (part.decode() for part in match.groups())
    return dated(year, month, day, f"{hour}:{minute}:00", zone)


def access_control(host: Host) -> Dict[str, Any]:
    """SELinux or AppArmor: what is enforced."""
    enforcing = host.value("/sys/fs/selinux/enforce")
    if enforcing is not None:
        wanted = assignments(host.value("/etc/selinux/config") or "")
        return {
            "system": "selinux",
            "mode": "enforcing" if enforcing == "1" else "permissive",
            "configured": wanted.get("SELINUX", ""),
            "policy": wanted.get("SELINUXTYPE", ""),
        }
    if host.value("/sys/module/apparmor/parameters/enabled") == "Y":
        found: Dict[str, Any] = {"system": "apparmor", "mode": "enabled"}
        with host.noting("profiles"):
            modes = re.findall(
                r"\((\w+)\)$", host.read("/sys/kernel/security/apparmor/profiles"), re.MULTILINE
            )
            found["profiles"] = {mode: modes.count(mode) for mode in sorted(set(modes))}
        return found
    return {"system": "none", "mode": "disabled"}


def integrity(host: Host) -> Dict[str, Any]:
    """AIDE and its base line, the kernel's own measurements, other programs that watch files."""
    found: Dict[str, Any] = {"aide": host.program("aide") is not None}
    ages = []
    for path in ("/var/lib/aide/aide.db", "/var/lib/aide/aide.db.gz"):
        try:
            ages.append(host.status(path).st_mtime)
        except UnreadError as reason:
            if "needs root" in str(reason):
                host.unread["aide_database"] = str(reason)
    found.update(present(aide_database=instant(max(ages)) if ages else None))
    with host.noting("kernel_measurements"):
        found["kernel_measurements"] = integer(
            host.read("/sys/kernel/security/ima/runtime_measurements_count").strip()
        )
    found["others"] = [name for name in ("tripwire", "samhain", "osqueryd") if host.program(name)]
    return found


def containers(host: Host) -> Dict[str, Any]:
    """Containers of this host: name, image, state. Their commands and labels may hold secrets and are not read."""
    engines: List[str] = []
    found: List[Dict[str, Any]] = []
    asked = {
        "docker": ["docker", "ps", "--all", "--format", "{{.Names}}\t{{.Image}}\t{{.State}}\t{{.Status}}"],
        "podman": ["podman", "ps", "--all", "--format", "{{.Names}}\t{{.Image}}\t{{.State}}\t{{.Status}}"],
    }
    sockets = {
        "docker": ("/run/docker.sock", "/var/run/docker.sock"),
        "podman": ("/var/lib/containers/storage",),
    }
    for engine, argv in asked.items():
        # A client without its engine would only wait for it.
        if host.program(engine) and any(host.exists(path) for path in sockets[engine]):
            with host.noting(engine):
                found += parse_containers(host.run(argv, 8.0), engine)
                engines.append(engine)
    machines = [name for name in host.folder("/run/systemd/machines") if not name.startswith("unit:")]
    found += [{"engine": "nspawn", "name": name, "state": "running", "running": True} for name in machines]
    return {"engines": engines, **bounded("containers", found, 300)}


def parse_containers(text: str, engine: str) -> List[Dict[str, Any]]:
    """Lines of name, image, state and status."""
    rows = (line.split("\t") for line in text.splitlines())
    return [
        {
            "engine": engine,
            "name": row[0],
            "image": row[1],
            "state": row[2],
            "running": row[2].lower() == "running",
            "restarting": row[2].lower() == "restarting",
            "unhealthy": "unhealthy" in row[3],
        }
        for row in rows
        if len(row) == 4
    ]


PROBES = {
    "firewall": firewall,
    "antivirus": antivirus,
    "access_control": access_control,
    "integrity": integrity,
    "containers": containers,
}
