"""Probes of what accounts may do and how they get in: sudo's rules, ssh keys."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from typing import Any, Dict, Iterator, List, Optional

from ansible.module_utils.snapshot_accounts import parse_passwd
from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import bounded, content_lines, present

_MAXIMUM = 2000


def sudo(host: Host) -> Dict[str, Any]:
    """The rules of sudoers with all that it includes."""
    if not host.program("sudo"):
        return {"installed": False, "rules": [], "defaults": []}
    rules: List[Dict[str, Any]] = []
    defaults: List[str] = []
    for path in _sudoers(host, "/etc/sudoers", 0):
        found = parse_sudoers(host.read(path), path)
        rules += found["rules"]
        defaults += found["defaults"]
    found = {"installed": True, **bounded("rules", rules, 500), **bounded("defaults", defaults, 200)}
    with host.noting("valid"):
        # It ends with 1 for what sudo would refuse, and with that for everybody.
        found["valid"] = "parsed OK" in host.run(["visudo", "-c"], accepted=(0, 1))
    return found


def _sudoers(host: Host, path: str, depth: int) -> Iterator[str]:
    yield path
    for line in host.read(path).splitlines() if depth < 5 else []:
        match = re.match(r"\s*[#@](includedir|include)\s+(\S+)", line)
        if not match:
            continue
        target = match.group(2)
        if match.group(1) == "include":
            yield from _sudoers(host, target, depth + 1)
            continue
        for name in host.folder(target):
            if "." not in name and not name.endswith("~"):
                yield from _sudoers(host, f"{target}/{name}", depth + 1)


def parse_sudoers(text: str, path: str) -> Dict[str, List[Any]]:
    """User specifications and Defaults of one file."""
    rules, defaults = [], []
    for line in content_lines(re.sub(r"\\\n", " ", text)):
        if line.startswith("Defaults"):
            defaults.append(line[len("Defaults") :].strip())
            continue
        match = re.match(r"(\S+)\s+([^=]+?)\s*=\s*(?:\(([^)]*)\))?\s*((?:[A-Z_]+:\s*)*)(.+)$", line)
        if match and not re.match(r"(User|Runas|Host|Cmnd|Cmd)_Alias\b", line):
            who, _hosts, target, tags, commands = match.groups()
            rules.append(
                {
                    "file": path,
                    "who": who,
                    "as": target or "root",
                    "without_password": "NOPASSWD:" in tags + commands,
                    "everything": bool(re.search(r"(^|[\s,:])ALL\s*(,|$)", commands)),
                    "commands": _programs(commands),
                }
            )
    return {"rules": rules, "defaults": defaults}


def _programs(commands: str) -> str:
    """The commands of a rule without their arguments, which may be passwords."""
    shown = []
    for command in re.split(r"(?<!\\),", commands):
        program, _space, arguments = command.strip().partition(" ")
        # A tag such as NOPASSWD: may stand before each command.
        while program.endswith(":") and arguments:
            program, _space, arguments = arguments.strip().partition(" ")
        shown.append(program + (" …" if arguments.strip() else ""))
    return ", ".join(shown)


def ssh_keys(host: Host) -> Dict[str, Any]:
    """Keys that open accounts, the host's own keys, files that trust other hosts: kinds, sizes, comments."""
    users, _foreign = parse_passwd(host.read("/etc/passwd"))
    authorized: List[Dict[str, Any]] = []
    trusting = ["/etc/hosts.equiv"] if host.exists("/etc/hosts.equiv") else []
    for user in users[:_MAXIMUM]:
        home = user["home"].rstrip("/")
        if not home.startswith("/") or not (user["login"] or user["uid"] == 0):
            continue
        for name in ("authorized_keys", "authorized_keys2"):
            path = f"{home}/.ssh/{name}"
            try:
                keys = parse_keys(host.read(path, follow=False))
            except UnreadError as reason:
                if "needs root" in str(reason):
                    host.unread["authorized"] = str(reason)
                continue
            authorized += [{"user": user["name"], "file": path, **key} for key in keys]
        trusting += [
            f"{home}/{name}" for name in (".rhosts", ".shosts", ".netrc") if host.exists(f"{home}/{name}")
        ]
    host_keys = []
    for name in host.folder("/etc/ssh"):
        if re.match(r"ssh_host_\w+_key\.pub$", name):
            with host.noting("host_keys"):
                host_keys += [
                    {"file": "/etc/ssh/" + name, **key} for key in parse_keys(host.read("/etc/ssh/" + name))
                ]
    return {**bounded("authorized", authorized, 500), "host_keys": host_keys, "trusting_files": trusting}


def parse_keys(text: str) -> List[Dict[str, Any]]:
    """Kind, bits, comment and names of the options of each public key; the key itself is not kept."""
    found = []
    for line in content_lines(text):
        match = re.search(r"(?:^|\s)((?:sk-)?(?:ssh|ecdsa)-[\w@.-]+)\s+([A-Za-z0-9+/=]{16,})\s*(.*)$", line)
        if match:
            options = re.findall(r"(?:^|,)([\w-]+)", re.sub(r'"(?:\\.|[^"\\])*"', "", line[: match.start(1)]))
            found.append(
                present(
                    type=match.group(1),
                    bits=key_bits(match.group(1), match.group(2)),
                    comment=match.group(3)[:200],
                    options=options,
                )
            )
    return found


def key_bits(kind: str, blob: str) -> Optional[int]:
    """The size of a public key from its own encoding."""
    if "ed25519" in kind:
        return 256
    curve = re.search(r"nistp(\d+)", kind)
    if curve:
        return int(curve.group(1))
    try:
        data = base64.b64decode(blob)
        fields, start = [], 0
        while start + 4 <= len(data):
            length = struct.unpack_from(">I", data, start)[0]
            fields.append(data[start + 4 : start + 4 + length])
            start += 4 + length
    except (binascii.Error, struct.error):
        return None
    number = {"ssh-rsa": 2, "ssh-dss": 1}.get(kind, 99)
    return int.from_bytes(fields[number], "big").bit_length() if number < len(fields) else None


PROBES = {"sudo": sudo, "ssh_keys": ssh_keys}
