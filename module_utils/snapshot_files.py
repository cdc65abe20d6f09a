"""Probes of files: modes of the important ones, and one bounded walk for set-user-id, open and ownerless files."""

from __future__ import annotations

import os
import re
import stat
import time
from typing import Any, Container, Dict, Iterator, List, Set, Tuple

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_storage import distinct_mounts, mount_points, parse_mountinfo
from ansible.module_utils.snapshot_text import instant

_IMPORTANT = """
/etc/passwd /etc/passwd- /etc/group /etc/group- /etc/shadow /etc/shadow- /etc/gshadow /etc/gshadow-
/etc/security/opasswd /etc/sudoers /etc/sudoers.d /etc/ssh/sshd_config /etc/ssh/sshd_config.d /etc/crontab
/etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly /etc/cron.d /etc/cron.allow /etc/at.allow
/boot/grub/grub.cfg /boot/grub2/grub.cfg /etc/profile /etc/fstab /etc/hosts /etc/exports /etc/rsyslog.conf
/etc/audit/auditd.conf /etc/audit/rules.d /etc/pam.d /etc/login.defs /etc/systemd/system
/root /root/.ssh /tmp /var/tmp /var/log /var/log/audit /var/log/btmp /var/log/wtmp /var/log/lastlog
/var/log/messages /var/log/secure /var/log/auth.log /var/log/syslog /var/log/cron /etc/snmp/snmpd.conf
/boot/grub2/user.cfg /etc/bash.bashrc /etc/profile.d /etc/security /etc/sysctl.d /etc/modprobe.d /etc/logrotate.d
/etc/rsyslog.d /etc/nftables.conf /etc/chrony/chrony.conf /etc/chrony.conf /etc/apt /etc/hosts.allow /etc/hosts.deny
/var/spool/cron/crontabs /var/log/cron.log /var/log/sudo.log /var/log/audit/audit.log
"""
_MAXIMUM = 500
# Layers of containers hold the same programs again and again.
_SKIPPED = re.compile(
    r"^/(proc|sys|dev|run|snap)$|^/var/lib/(docker|containers|containerd|machines|kubelet)$|^/\.snapshots$"
)
_SECRET_NAMES = re.compile(r"^(\.pgpass|\.env|\.netrc|\.my\.cnf|\.vault_pass\w*|id_(rsa|dsa|ecdsa|ed25519))$")
_LOCAL = frozenset(
    ["btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "reiserfs", "vfat", "xfs", "zfs"]
)
_BATCH = 256  # files between two looks at the clock


def file_modes(host: Host) -> Dict[str, Any]:
    """Mode and owner of the files that protect all others; what is not there is not listed."""
    names = [
        *_IMPORTANT.split(),
        *(f"/etc/ssh/{name}" for name in host.folder("/etc/ssh") if name.startswith("ssh_host_")),
    ]
    users, groups = owner_names(host)
    files = []
    for path in names:
        try:
            status = host.status(path)
        except UnreadError as reason:
            if "is not there" not in str(reason):
                host.unread[path] = str(reason)
            continue
        files.append({"path": path, **describe(status, users, groups), "modified": instant(status.st_mtime)})
    return {"files": files}


def owner_names(host: Host) -> Tuple[Dict[int, str], Dict[int, str]]:
    """Names by number of the host's own users and groups."""
    found = []
    for path in ("/etc/passwd", "/etc/group"):
        rows = (line.split(":") for line in host.read(path).splitlines())
        found.append({int(row[2]): row[0] for row in rows if len(row) > 2 and row[2].isdecimal()})
    return found[0], found[1]


def describe(status: os.stat_result, users: Dict[int, str], groups: Dict[int, str]) -> Dict[str, Any]:
    """Mode and owners in words."""
    return {
        "mode": "%04o" % stat.S_IMODE(status.st_mode),
        "owner": users.get(status.st_uid, str(status.st_uid)),
        "group": groups.get(status.st_gid, str(status.st_gid)),
        "kind": "folder"
        if stat.S_ISDIR(status.st_mode)
        else "link"
        if stat.S_ISLNK(status.st_mode)
        else "file",
    }


def file_scan(host: Host) -> Dict[str, Any]:
    """One walk over the local file systems, each for itself, bounded in time and in what it lists."""
    started = time.monotonic()
    until = started + float(host.parameters.get("scan_seconds") or 3)
    users, groups = owner_names(host)
    # A directory service knows users that /etc/passwd does not: then nothing can be called ownerless.
    known = None if _directory_service(host) else (set(users), set(groups))
    findings = Findings(known)
    truncated = False
    roots = list(host.parameters.get("scan_paths") or []) or local_roots(host)
    elsewhere = {host.root + path for path in mount_points(_mounts(host))}
    for root in roots:
        truncated = not walk(host.root + root, len(host.root), findings, until, elsewhere) or truncated
    if findings.denied and os.geteuid() != 0:
        host.unread["folders"] = f"needs root: {findings.denied} folders"
    return {
        "roots": roots,
        "entries": findings.entries,
        "seconds": round(time.monotonic() - started, 3),
        "truncated": truncated,
        "ownership_judged": known is not None,
        **findings.lists(users, groups),
    }


def _directory_service(host: Host) -> bool:
    line = re.search(r"(?m)^passwd:(.*)$", host.value("/etc/nsswitch.conf") or "")
    return bool(
        line
        and re.search(r"\b(ldap|sss|winbind|nis)\b", line.group(1))
        and host.exists("/etc/sssd/sssd.conf")
    )


def _mounts(host: Host) -> str:
    return host.value("/proc/self/mountinfo") or ""


def local_roots(host: Host) -> List[str]:
    """The mount points of this machine's own file systems, / first. What may hang (network, FUSE) is not walked."""
    mounts = distinct_mounts(parse_mountinfo(_mounts(host)))
    paths = [mount["mount"] for mount in mounts if mount["type"] in _LOCAL]
    return sorted(paths, key=lambda path: (path != "/", path))


class Findings:
    """What a walk has found; each list is bounded and knows when it was cut."""

    KINDS = ("set_id", "capabilities", "world_writable", "open_folders", "ownerless", "exposed_secrets")

    def __init__(self, known: Any) -> None:
        self.known = known
        self.entries = 0
        self.denied = 0
        self.found: Dict[str, List[Tuple[str, os.stat_result]]] = {kind: [] for kind in self.KINDS}
        self.cut: Set[str] = set()

    def add(self, kind: str, path: str, status: os.stat_result) -> None:
        """Take one file into a list that is not full."""
        if len(self.found[kind]) < _MAXIMUM:
            self.found[kind].append((path, status))
        else:
            self.cut.add(kind)

    def judge(self, path: str, name: str, status: os.stat_result, closed: bool = False) -> None:
        """Sort one file or folder into the lists that it belongs to.

        closed: it lies below a folder that nobody but its owner may enter, so its own mode opens it to nobody."""
        mode = status.st_mode & ~0o7 if closed else status.st_mode
        if stat.S_ISDIR(mode):
            if mode & 0o1002 == 0o0002:
                self.add("open_folders", path, status)
        elif stat.S_ISREG(mode):
            if mode & 0o6000:
                self.add("set_id", path, status)
            if mode & 0o0002:
                self.add("world_writable", path, status)
            if mode & 0o0004 and _SECRET_NAMES.match(name):
                self.add("exposed_secrets", path, status)
            if status.st_mode & 0o0111 and _has_capabilities(path):
                self.add("capabilities", path, status)
        if self.known and (status.st_uid not in self.known[0] or status.st_gid not in self.known[1]):
            self.add("ownerless", path, status)

    def lists(self, users: Dict[int, str], groups: Dict[int, str]) -> Dict[str, Any]:
        """The lists as they leave the probe."""
        result: Dict[str, Any] = {
            kind: [{"path": path, **describe(status, users, groups)} for path, status in found]
            for kind, found in self.found.items()
        }
        result.update({kind + "_truncated": True for kind in self.cut})
        return result


def _has_capabilities(path: str) -> bool:
    try:
        return bool(os.getxattr(path, "security.capability", follow_symlinks=False))
    except OSError:
        return False


def walk(root: str, prefix: int, findings: Findings, until: float, elsewhere: Container[str] = ()) -> bool:
    """Judge all below root that is on its own device; False when the time was over first.

    What is mounted elsewhere is not even looked at: a look at a dead mount would never end."""
    try:
        device = os.stat(root, follow_symlinks=False).st_dev
    except OSError:
        return True
    stack = [(root, False)]
    while stack:
        folder, closed = stack.pop()
        for entry, status in _entries(folder, findings, elsewhere):
            findings.entries += 1
            if findings.entries % _BATCH == 0 and time.monotonic() > until:
                return False
            if status.st_dev != device:
                continue
            path = entry.path
            findings.judge(path, entry.name, status, closed)
            if stat.S_ISDIR(status.st_mode) and not _SKIPPED.match(path[prefix:]):
                stack.append((path, closed or status.st_mode & 0o011 == 0))
    return True


def _entries(
    folder: str, findings: Findings, elsewhere: Container[str]
) -> Iterator[Tuple[Any, os.stat_result]]:
    """The files and folders in a folder; links are nothing by themselves and cost no look."""
    try:
        entries = os.scandir(folder)
    except OSError:
        findings.denied += 1
        return
    with entries:
        for entry in entries:
            try:
                if not entry.is_symlink() and entry.path not in elsewhere:
                    yield entry, entry.stat(follow_symlinks=False)
            except OSError:
                continue  # it has gone


PROBES = {"file_modes": file_modes, "file_scan": file_scan}
