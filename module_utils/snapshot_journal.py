"""Probe of the journal: errors by unit, and the kernel's signs of failing hardware."""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any, Dict, Iterable, List

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import bounded, epoch, instant, without_secrets

_QUARTER = 92 * 86400
_SAMPLE = 240
_LINES = 3000
_JOURNALS = ("/var/log/journal", "/run/log/journal")
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
    since = epoch(host.parameters.get("since") or "") or time.time() - _QUARTER
    fields = "--output-fields=MESSAGE,_SYSTEMD_UNIT,SYSLOG_IDENTIFIER,_TRANSPORT"
    argv = ["journalctl", "--no-pager", "--output=json", "--priority=err", fields]
    text = host.run([*argv, f"--since=@{int(since)}", f"--lines={_LINES}"], 10.0, limit=1 << 22, whole=False)
    entries = list(parse_journal(text))
    if not entries and not any(host.exists(path) for path in _JOURNALS):
        raise UnreadError("this host keeps no journal")
    if not entries and not _journal_readable(host):
        raise UnreadError("needs root or the group systemd-journal: the journal")
    found = {"since": instant(since), **summarise(entries)}
    if len(entries) >= _LINES:
        found["errors_truncated"] = True
        found["since"] = instant(min(entry["at"] for entry in entries))
    return found


def _journal_readable(host: Host) -> bool:
    folders = [path for path in _JOURNALS if host.exists(path)]
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


PROBES = {"journal": journal}
