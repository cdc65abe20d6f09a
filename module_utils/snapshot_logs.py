"""Probes of records: the audit system, log files and how far back they reach, log servers, errors in the journal."""

from __future__ import annotations

import json
import os
import re
import time
import zlib
from typing import Any, Dict, Iterable, List, Optional

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import (
    assignments,
    bounded,
    content_lines,
    dated,
    epoch,
    instant,
    integer,
    present,
    without_secrets,
    words,
)

_WEEK = 7 * 86400
_SAMPLE = 240
_LINES = 3000
_BASES = (
    "auth.log syslog messages secure cron cron.log kern.log daemon.log maillog mail.log boot.log dpkg.log"
)
# Only programs of the operating system are quoted: what an application writes may name a patient.
_QUOTED = re.compile(
    r"^(kernel|systemd(-[\w-]+)?|\(\w+\)|sshd(-session)?|sudo|su|cron|crond|CRON|anacron|chronyd|ntpd|rsyslogd|auditd|audisp\w*|"
    r"smartd|mdadm|multipathd?|lvm|dmeventd|NetworkManager|dhclient|networkd|polkitd|dbus-(daemon|broker)|login|"
    r"firewalld|nft|iptables|kdump\w*|irqbalance|rpc\w*|nfs\w*|dockerd|containerd|podman|snapd|agetty|udevd|"
    r"apparmor\w*|setroubleshoot\w*|freshclam|clamd|postfix/\w+|snmpd|apt\w*|dnf\w*|unattended-upgrade)$"
)
_KERNEL_SIGNS = {
    "disk_errors": r"I/O error|blk_update_request|critical (medium|target) error|UNC at LBA|failed command: (READ|WRITE)",
    "filesystem_errors": r"(EXT4-fs|XFS|BTRFS)[^:]*:? .*(error|corrupt|shutdown)|Remounting filesystem read-only",
    "out_of_memory": r"Out of memory|oom-kill|Killed process",
    "hardware_errors": r"Machine Check|\[Hardware Error\]|EDAC .*(CE|UE)|MCE|PCIe Bus Error|AER:",
    "hung_tasks": r"blocked for more than \d+ seconds|soft lockup|hard LOCKUP|rcu.*stall",
    "crashes": r"segfault at|general protection fault|kernel BUG at|Oops:",
    "network_resets": r"NETDEV WATCHDOG|transmit queue \d+ timed out|Link is Down|reset adapter",
}


def journal(host: Host) -> Dict[str, Any]:
    """Errors in the journal since the given instant: counts by unit with one sample, signs of failing hardware."""
    since = epoch(host.parameters.get("since") or "") or time.time() - _WEEK
    fields = "--output-fields=MESSAGE,_SYSTEMD_UNIT,SYSLOG_IDENTIFIER,_TRANSPORT"
    argv = ["journalctl", "--no-pager", "--output=json", "--priority=err", fields]
    text = host.run([*argv, f"--since=@{int(since)}", f"--lines={_LINES}"], 10.0, limit=1 << 22, whole=False)
    entries = list(parse_journal(text))
    if not entries and not _journal_readable(host):
        raise UnreadError("needs root or the group systemd-journal: the journal")
    found = {"since": instant(since), **summarise(entries)}
    if len(entries) >= _LINES:
        found["errors_truncated"] = True
        found["since"] = instant(min(entry["at"] for entry in entries))
    return found


def _journal_readable(host: Host) -> bool:
    folders = [path for path in ("/var/log/journal", "/run/log/journal") if host.exists(path)]
    return any(
        os.access(f"{host.root}{path}/{name}", os.R_OK | os.X_OK)
        for path in folders
        for name in host.folder(path)
    )


def parse_journal(text: str) -> Iterable[Dict[str, Any]]:
    """The entries of `journalctl -o json`; a message that is not text is a list of bytes there."""
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            at = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        except (ValueError, KeyError, TypeError):
            continue
        message = entry.get("MESSAGE") or ""
        if isinstance(message, list):
            message = bytes(byte for byte in message if isinstance(byte, int) and 0 <= byte < 256).decode(
                "utf-8", "replace"
            )
        name = str(entry.get("SYSLOG_IDENTIFIER") or "")
        unit = str(entry.get("_SYSTEMD_UNIT") or "")
        # Sessions and instances differ in their numbers only.
        unit = re.sub(r"^session-\S+\.scope$", "session", unit) or ("kernel" if name == "kernel" else name)
        kernel = entry.get("_TRANSPORT") == "kernel"
        yield {"at": at, "unit": unit, "name": name, "message": str(message), "kernel": kernel}


def summarise(entries: List[Dict[str, Any]]) -> Dict[str, Any]:
    """Counts by unit, the noisiest first, and the kernel's signs of trouble."""
    units: Dict[str, Dict[str, Any]] = {}
    for entry in entries:
        unit = units.setdefault(entry["unit"], {"unit": entry["unit"], "count": 0, "last": 0.0, "sample": ""})
        unit["count"] += 1
        if entry["at"] >= unit["last"]:
            unit.update(last=entry["at"], sample=sample(entry["name"], entry["message"]))
    ordered = sorted(units.values(), key=lambda unit: (-unit["count"], unit["unit"]))
    kernel = [entry["message"] for entry in entries if entry["kernel"]]
    return {
        "errors": len(entries),
        **bounded("units", [{**unit, "last": instant(unit["last"])} for unit in ordered], 100),
        "kernel": {
            name: sum(bool(re.search(sign, text)) for text in kernel) for name, sign in _KERNEL_SIGNS.items()
        },
    }


def sample(name: str, message: str) -> str:
    """One message as it may be shown: of the system's own programs only, without numbers that may identify anyone."""
    if not _QUOTED.match(name):
        return ""
    text = without_secrets(" ".join(message[:2000].split()))
    text = re.sub(r"[\u3400-\u9fff]+", "…", text)  # names of people are written in these
    return re.sub(r"\d{6,}", "#", text)[:_SAMPLE]


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
    with host.noting("rules"):
        lines = host.run(["auditctl", "-l"]).splitlines()
        found.update(bounded("rules", [line for line in lines if line.startswith("-")], 1000))
    return found


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


PROBES = {"journal": journal, "audit": audit, "logging": logging}
