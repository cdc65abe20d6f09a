"""Probes of records: the audit system, log files and how far back they reach, log servers."""

from __future__ import annotations

import fnmatch
import re
import time
import zlib
from typing import Any, Dict, Iterable, List, Optional, Set

from ansible.module_utils.snapshot_host import Host
from ansible.module_utils.snapshot_text import (
    assignments,
    bounded,
    content_lines,
    dated,
    epoch,
    instant,
    integer,
    present,
    words,
)

_BASES = (
    "auth.log syslog messages secure cron cron.log kern.log daemon.log maillog mail.log boot.log dpkg.log"
)


def audit(host: Host) -> Dict[str, Any]:
    """The audit system: the daemon's settings, the kernel's state and the rules that are loaded."""
    if not host.program("auditctl"):
        return {"installed": False, "rules": []}
    found: Dict[str, Any] = {"installed": True}
    with host.noting("settings"):
        found["settings"] = {
            key.strip(): value for key, value in assignments(host.read("/etc/audit/auditd.conf")).items()
        }
    with host.noting("status"):
        found["status"] = {
            k: integer(v) for k, v in words(host.run(["auditctl", "-s"])).items() if integer(v) is not None
        }
    with host.noting("rules/watched/calls/elevation"):
        lines = host.run(["auditctl", "-l"]).splitlines()
        rules = [line for line in lines if line.startswith("-")]
        found.update(bounded("rules", rules, 1000))
        found.update(parse_audit_rules(rules))
    return found


def parse_audit_rules(rules: Iterable[str]) -> Dict[str, Any]:
    """What the loaded rules see: paths with the accesses that are recorded, system calls, programs run as root."""
    watched: Dict[str, str] = {}
    calls: Set[str] = set()
    elevation: Set[str] = set()
    for rule in rules:
        fields = dict(re.findall(r"-F (\w+)(?:>=|<=|!=|=|>|<)(\S+)", rule))
        watch = re.match(r"-w (\S+)(?: -p (\w+))?", rule)
        path = watch.group(1) if watch else fields.get("path") or fields.get("dir")
        if path and not re.search(r"-a (never|\w+,never)", rule):
            seen = (watch.group(2) if watch else fields.get("perm")) or "rwxa"
            path = path.rstrip("/") or "/"
            watched[path] = "".join(sorted(set(watched.get(path, "") + seen)))
        if watch or not re.search(r"-a (always,exit|exit,always)", rule):
            continue
        named = {name for names in re.findall(r"-S (\S+)", rule) for name in names.split(",")}
        root = fields.get("euid") == "0" or re.search(r"-C (uid!=euid|euid!=uid)", rule)
        if "execve" in named and root:
            elevation.add(fields.get("arch", "any"))
        if path is None:
            calls |= named - {"execve"}
    return {"watched": watched, "calls": sorted(calls), "elevation": sorted(elevation)}


def logging(host: Host) -> Dict[str, Any]:
    """Where records go and how long they stay: log servers, the journal's limits, rotation, files."""
    found: Dict[str, Any] = {"remote": _remote(host), "journald": _journald(host)}
    rotations: List[Dict[str, Any]] = []
    for path in [
        "/etc/logrotate.conf",
        *("/etc/logrotate.d/" + name for name in host.folder("/etc/logrotate.d")),
    ]:
        if host.exists(path):
            with host.noting(path):
                rotations += parse_logrotate(host.read(path), rotations[0] if rotations else None)
    found["rotation"] = [rotation for rotation in rotations if rotation["files"]][:200]
    found["files"] = [
        _log_file(host, "/var/log/", base) for base in _BASES.split() if host.exists("/var/log/" + base)
    ]
    if host.exists("/var/log/audit"):
        with host.noting("audit.log"):
            host.names("/var/log/audit")
            found["files"].append(_log_file(host, "/var/log/audit/", "audit.log"))
    for file in found["files"]:
        kept = [
            rotation["retention_days"]
            for rotation in found["rotation"]
            if any(fnmatch.fnmatchcase(file["path"], pattern) for pattern in rotation["files"])
        ]
        file.update(present(retention_days=min(kept) if kept else None))
    found["oldest"] = {file["path"]: file["oldest"] for file in found["files"] if "oldest" in file}
    return found


def _remote(host: Host) -> List[Dict[str, Any]]:
    found: List[Dict[str, Any]] = []
    paths = [
        "/etc/rsyslog.conf",
        *("/etc/rsyslog.d/" + n for n in host.folder("/etc/rsyslog.d") if n.endswith(".conf")),
    ]
    for path in paths:
        if host.exists(path):
            with host.noting(path):
                found += [{"file": path, **target} for target in parse_rsyslog(host.read(path))]
    upload = assignments(host.value("/etc/systemd/journal-upload.conf") or "").get("URL")
    if upload:
        found.append(
            {"file": "/etc/systemd/journal-upload.conf", "target": upload, "protocol": "https", "tls": True}
        )
    return found


def parse_rsyslog(text: str) -> List[Dict[str, Any]]:
    """The servers that rsyslog sends to: `@udp`, `@@tcp` and omfwd actions."""
    body = "\n".join(content_lines(text))
    found: List[Dict[str, Any]] = []
    for marks, target in re.findall(
        r"(?m)^[^\s:#$]\S*\s+(@@?)(?:\([^)]*\))?(\[[^\]]+\](?::\d+)?|[^\s;]+)", body
    ):
        found.append(
            {"target": target, "protocol": "tcp" if marks == "@@" else "udp", "tls": False, "queue": False}
        )
    for action in re.findall(r"(?is)action\s*\(([^()]*omfwd[^()]*)\)", body):
        values = {key.lower(): value for key, value in re.findall(r'([\w.]+)\s*=\s*"([^"]*)"', action)}
        if values.get("target"):
            found.append(
                {
                    "target": values["target"] + (":" + values["port"] if values.get("port") else ""),
                    "protocol": values.get("protocol", "udp").lower(),
                    "tls": "ossl" in values.get("streamdriver", "")
                    or "gtls" in values.get("streamdriver", ""),
                    "queue": "queue.filename" in values,
                }
            )
    return found


def _journald(host: Host) -> Dict[str, Any]:
    names = [name for name in host.folder("/etc/systemd/journald.conf.d") if name.endswith(".conf")]
    settings: Dict[str, str] = {}
    for path in ["/etc/systemd/journald.conf", *("/etc/systemd/journald.conf.d/" + name for name in names)]:
        settings.update(assignments(host.value(path) or ""))
    keys = ("Storage", "MaxRetentionSec", "SystemMaxUse", "ForwardToSyslog", "Compress")
    found: Dict[str, Any] = {"settings": {key: settings[key] for key in keys if key in settings}}
    found["persistent"] = host.exists("/var/log/journal") and settings.get("Storage", "auto") != "volatile"
    times = []
    for machine in host.folder("/var/log/journal"):
        for name in host.folder("/var/log/journal/" + machine):
            match = re.search(
                r"@[0-9a-f]+-[0-9a-f]+-([0-9a-f]+)\.journal$", name
            )  # archived: its first entry's time
            if match and name.startswith("system@"):
                times.append(int(match.group(1), 16) / 1e6)
    found.update(present(oldest_archived=instant(min(times)) if times else None))
    return found


def parse_logrotate(text: str, globally: Optional[Dict[str, Any]] = None) -> List[Dict[str, Any]]:
    """Blocks of a logrotate file with what they inherit; the first result holds the file's own defaults."""
    defaults = dict(globally or {"rotate": 0, "period": "monthly"}, files=[])
    blocks = [defaults]
    current, pending = defaults, []
    for line in content_lines(text):
        if line.endswith("{"):
            files = [*pending, *line[:-1].split()]
            current, pending = {**defaults, "files": [name.strip('"') for name in files]}, []
            blocks.append(current)
        elif line.startswith("}"):
            current = defaults
        elif line.startswith(("/", '"/')) and current is defaults:
            pending += line.split()
        else:
            _directive(current, line.split())
    for block in blocks:
        days = {"hourly": 1 / 24, "daily": 1, "weekly": 7, "monthly": 30, "yearly": 365}[block["period"]]
        block["retention_days"] = round(min(block["rotate"] * days, block.get("maximum_days", 1e6)), 1)
    return blocks


def _directive(block: Dict[str, Any], fields: List[str]) -> None:
    if fields[0] in ("hourly", "daily", "weekly", "monthly", "yearly"):
        block["period"] = fields[0]
    elif len(fields) > 1 and integer(fields[1]) is not None:
        if fields[0] == "rotate":
            block["rotate"] = int(fields[1])
        elif fields[0] == "maxage":
            block["maximum_days"] = int(fields[1])


def _log_file(host: Host, folder: str, base: str) -> Dict[str, Any]:
    """One log with its rotated parts: size together, mode, and the instant of the oldest line that is still held."""
    names = [
        name
        for name in host.folder(folder.rstrip("/"))
        if re.match(re.escape(base) + r"([.-][\d.]+(\.(gz|xz|bz2|zst))?)?$", name)
    ]
    parts = [(host.status(folder + name), name) for name in names]
    status = host.status(folder + base)
    found: Dict[str, Any] = {
        "path": folder + base,
        "size_bytes": sum(part.st_size for part, _name in parts),
        "parts": len(parts),
        "mode": "%04o" % (status.st_mode & 0o7777),
        "modified": instant(status.st_mtime),
    }
    oldest = min(parts, key=lambda part: part[0].st_mtime)
    with host.noting(folder + base):
        first = _first_line(host.read_bytes(folder + oldest[1], 65536), oldest[1])
        found.update(present(oldest=instant(line_time(first, oldest[0].st_mtime))))
    return found


def _first_line(data: bytes, name: str) -> str:
    if name.endswith(".gz"):
        try:
            data = zlib.decompressobj(31).decompress(data, 4096)
        except zlib.error:
            return ""
    return data.split(b"\n")[0][:400].decode("utf-8", "replace")


def line_time(line: str, modified: float) -> Optional[float]:
    """The instant of a log line: RFC 3339, audit's seconds, or `Nov 22 23:45:00` of the year that fits the file's."""
    seconds = re.search(r"audit\((\d+)\.", line)
    if seconds:
        return float(seconds.group(1))
    if re.match(r"\d{4}-\d\d-\d\d", line):
        return epoch(line[:40])
    match = re.match(r"([A-Z][a-z]{2}) +(\d+) (\d\d:\d\d:\d\d)", line)
    if not match:
        return None
    month, day, clock = match.groups()
    year = time.gmtime(modified).tm_year
    moments = [dated(str(candidate), month, day, clock) for candidate in (year, year - 1)]
    return next((moment for moment in moments if moment is not None and moment <= modified + 86400), None)


PROBES = {"audit": audit, "logging": logging}
