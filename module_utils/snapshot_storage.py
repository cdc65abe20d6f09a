"""Probe of file systems: space, inodes, options, and whether they answer at all."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, Iterable, List

from ansible.module_utils.snapshot_host import Host
from ansible.module_utils.snapshot_lanes import supervise
from ansible.module_utils.snapshot_text import (
    bounded,
    content_lines,
    percent,
    present,
)

_MOUNT_SECONDS = 3.0  # a file system that answers later than this is as good as dead
_PSEUDO_NAMES = """
autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue nsfs
proc pstore ramfs rpc_pipefs securityfs selinuxfs sysfs tracefs fuse.gvfsd-fuse fuse.portal fuse.lxcfs
"""
_PSEUDO = frozenset(_PSEUDO_NAMES.split())
_NETWORK = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "ceph",
        "glusterfs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "lustre",
        "9p",
        "ocfs2",
        "gfs2",
    ]
)
# File systems of containers: their space is that of the file system below, which is listed itself.
_CONTAINER = re.compile(
    r"^/(?:var/lib/(?:docker|containers|kubelet|containerd)|run/(?:docker|containerd|user|host))/"
)


def filesystems(host: Host) -> Dict[str, Any]:
    """Mounted file systems with space, inodes and options. One that hangs is named, and holds nobody up."""
    mounts = distinct_mounts(parse_mountinfo(host.read("/proc/self/mountinfo")))
    by_path = {mount["mount"]: mount for mount in mounts}

    def ask(path: str) -> Any:
        try:
            return space(os.statvfs(host.root + path))
        except OSError as error:
            return str(host.reason(error, path))

    answers, silent = supervise([list(by_path)], ask, lambda _path: _MOUNT_SECONDS, 20.0)
    for path, mount in by_path.items():
        answer = answers.get(path, silent.get(path))
        mount["answers"] = path in answers
        if isinstance(answer, dict):
            mount.update(answer)
        else:
            host.unread[f"mounts[{path}].used_percent"] = str(answer)
    found = bounded("mounts", mounts, 400)
    with host.noting("unmounted"):
        found["unmounted"] = missing_mounts(host.read("/etc/fstab"), {mount["mount"] for mount in mounts})
    return found


def parse_mountinfo(text: str) -> List[Dict[str, Any]]:
    """The mounts of /proc/self/mountinfo that hold files of this machine or of its network."""
    found = []
    for line in text.splitlines():
        left, _dash, right = line.partition(" - ")
        fields, (kind, source, options) = left.split(), [*right.split(" "), "", "", ""][:3]
        if len(fields) < 6 or kind in _PSEUDO:
            continue
        path = _unescape(fields[4])
        if _CONTAINER.match(path) or path.startswith(("/proc/", "/sys/", "/dev/.")):
            continue
        found.append(
            {
                "mount": path,
                "device": _unescape(source),
                "type": kind,
                "options": sorted(set(fields[5].split(",")) | set(options.split(","))),
                "read_only": "ro" in fields[5].split(",") or "ro" in options.split(","),
                "network": kind in _NETWORK,
                "number": fields[2],
                "part": _unescape(fields[3]),
            }
        )
    return found


def mount_points(text: str) -> List[str]:
    """Every place where something is mounted."""
    rows = (line.split(" ", 5) for line in text.splitlines())
    return [_unescape(row[4]) for row in rows if len(row) > 4]


def distinct_mounts(mounts: Iterable[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """One mount a file system: bind mounts of the same one would count its space twice. The last on a path wins."""
    by_path = {mount["mount"]: mount for mount in mounts}
    chosen: Dict[Any, Dict[str, Any]] = {}
    for mount in sorted(by_path.values(), key=lambda mount: (mount["part"] != "/", len(mount["mount"]))):
        chosen.setdefault((mount["number"], mount["type"]), mount)
    for mount in chosen.values():
        del mount["number"], mount["part"]
    return sorted(chosen.values(), key=lambda mount: mount["mount"])


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), field)


def space(status: os.statvfs_result) -> Dict[str, Any]:
    """Sizes as df counts them: what is reserved for root counts as used."""
    size, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
    used = (status.f_blocks - status.f_bfree) * status.f_frsize
    inodes, inodes_used = status.f_files, status.f_files - status.f_ffree
    return present(
        size_bytes=size,
        used_bytes=used,
        available_bytes=free,
        used_percent=percent(used, used + free),
        inodes=inodes,
        inodes_used=inodes_used,
        inodes_used_percent=percent(inodes_used, inodes),
    )


def missing_mounts(fstab: str, mounted: Iterable[str]) -> List[str]:
    """What /etc/fstab wants mounted at the start and is not."""
    wanted = []
    for line in content_lines(fstab):
        fields = line.split()
        if len(fields) < 4 or not fields[1].startswith("/") or fields[2] in _PSEUDO | {"swap"}:
            continue
        if not {"noauto", "x-systemd.automount"} & set(fields[3].split(",")):
            wanted.append(_unescape(fields[1]).rstrip("/") or "/")
    return sorted(set(wanted) - set(mounted))


PROBES = {"filesystems": filesystems}
