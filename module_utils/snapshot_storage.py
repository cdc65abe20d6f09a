"""Probes of storage: file systems, disks, arrays, volume groups, the disks' own health."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict, Iterable, List

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_lanes import supervise
from ansible.module_utils.snapshot_text import (
    bounded,
    content_lines,
    decimal,
    integer,
    paired,
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


def whole_disks(host: Host) -> List[str]:
    """The block devices that are disks, arrays or volumes: no partitions, loops or memory disks."""
    return [name for name in host.folder("/sys/block") if not re.match(r"(loop|ram|zram|nbd|sr|fd)\d", name)]


def disks(host: Host) -> Dict[str, Any]:
    """The disks: size, model, kind, scheduler."""
    found = []
    for name in whole_disks(host):
        folder = f"/sys/block/{name}"
        sectors = integer(host.value(folder + "/size")) or 0
        if not sectors:
            continue
        choice = re.search(r"\[([\w-]+)\]", host.value(folder + "/queue/scheduler") or "")
        found.append(
            present(
                name=name,
                size_bytes=sectors * 512,
                model=host.value(folder + "/device/model"),
                vendor=host.value(folder + "/device/vendor"),
                rotational=host.value(folder + "/queue/rotational") == "1",
                read_only=host.value(folder + "/ro") == "1",
                removable=host.value(folder + "/removable") == "1",
                state=host.value(folder + "/device/state"),
                scheduler=choice.group(1) if choice else None,
                physical=is_physical(host, name),
                kind=_kind(host, folder),
            )
        )
    return bounded("disks", found, 200)


def is_physical(host: Host, name: str) -> bool:
    """Whether a real disk may answer for this name; a virtual one has no health of its own."""
    if not re.match(r"(sd|nvme|hd)", name):
        return False
    maker = (host.value(f"/sys/block/{name}/device/vendor") or "").upper()
    model = (host.value(f"/sys/block/{name}/device/model") or "").upper()
    return not any(
        word in maker + " " + model for word in ("QEMU", "VMWARE", "VIRTUAL", "MSFT", "VBOX", "AMAZON")
    )


def _kind(host: Host, folder: str) -> str:
    if host.exists(folder + "/md"):
        return "array"
    if host.exists(folder + "/dm"):
        return (host.value(folder + "/dm/uuid") or "dm").split("-")[0].lower()
    return "disk"


def parse_diskstats(text: str) -> Dict[str, Dict[str, int]]:
    """Counters by device from /proc/diskstats."""
    names = (
        "reads",
        "",
        "read_sectors",
        "read_ms",
        "writes",
        "",
        "written_sectors",
        "write_ms",
        "",
        "busy_ms",
    )
    found = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 13:
            found[fields[2]] = {name: int(value) for name, value in paired(names, fields[3:]).items() if name}
    return found


def arrays(host: Host) -> Dict[str, Any]:
    """Software arrays, storage controllers that hide their disks, thin pools, ZFS pools."""
    status = host.value("/proc/mdstat")
    found: Dict[str, Any] = {"arrays": parse_mdstat(status or ""), "controllers": _controllers(host)}
    if host.program("lvs"):
        with host.noting("thin_pools"):
            argv = "lvs --reportformat json --units b --nosuffix -o vg_name,lv_name,lv_attr,data_percent,metadata_percent"
            found["thin_pools"] = parse_lvs(host.run(argv.split()))
    if host.program("zpool"):
        with host.noting("pools"):
            lines = host.run(["zpool", "list", "-H", "-p", "-o", "name,size,alloc,health"]).splitlines()
            found["pools"] = [
                paired(("name", "size_bytes", "used_bytes", "health"), line.split("\t")) for line in lines
            ]
    return found


def parse_mdstat(text: str) -> List[Dict[str, Any]]:
    """The arrays of /proc/mdstat with members wanted, working and failed."""
    found: List[Dict[str, Any]] = []
    for line in text.splitlines():
        head = re.match(r"(md\S+) : (\w+)(?: \(([\w-]+)\))? ?(raid\d+|linear|multipath)? ?(.*)", line)
        if head:
            name, state, mode, level, members = head.groups()
            found.append(
                {
                    "name": name,
                    "state": state,
                    "level": level or "none",
                    "read_only": mode is not None,
                    "failed": re.findall(r"(\S+?)\[\d+\]\(F\)", members),
                }
            )
            continue
        counts = re.search(r"\[(\d+)/(\d+)\] \[[U_]+\]", line)
        if counts and found:
            wanted, working = map(int, counts.groups())
            found[-1].update(members=wanted, working=working, degraded=working < wanted)
        progress = re.search(r"(resync|recovery|reshape|check)\s*=\s*([\d.]+)%", line)
        if progress and found:
            found[-1].update(action=progress.group(1), action_percent=float(progress.group(2)))
    return found


def _controllers(host: Host) -> List[str]:
    """PCI addresses of RAID controllers (class 0104): only the maker's own tool knows their disks."""
    folder = "/sys/bus/pci/devices"
    return [
        name
        for name in host.folder(folder)
        if (host.value(f"{folder}/{name}/class") or "").startswith("0x0104")
    ]


def parse_lvs(text: str) -> List[Dict[str, Any]]:
    """Thin pools from lvs' JSON."""
    volumes = [
        volume for report in json.loads(text or "{}").get("report", []) for volume in report.get("lv", [])
    ]
    return [
        present(
            name=f"{volume['vg_name']}/{volume['lv_name']}",
            used_percent=decimal(volume.get("data_percent")),
            metadata_used_percent=decimal(volume.get("metadata_percent")),
        )
        for volume in volumes
        if volume.get("lv_attr", "").startswith("t")
    ]


def smart(host: Host) -> Dict[str, Any]:
    """What the disks say of their own health (smartctl); virtual disks have nothing to say."""
    names = [name for name in whole_disks(host) if is_physical(host, name)]
    if not names:
        return {"disks": []}
    if host.program("smartctl") is None:
        raise UnreadError("smartctl is not installed (package smartmontools)")
    found = []
    for name in names[:48]:
        try:
            # Exit bits 2 to 7 report the disk's state, not a failure to read it; -n standby wakes no sleeping disk.
            argv = ["smartctl", "--json", "-H", "-A", "-i", "-n", "standby", f"/dev/{name}"]
            found.append(
                {
                    "name": name,
                    **parse_smart(host.run(argv, 8.0, [code for code in range(256) if not code & 3])),
                }
            )
        except UnreadError as reason:
            host.unread[f"disks[{name}].passed"] = str(reason)
    return {"disks": found}


def parse_smart(text: str) -> Dict[str, Any]:
    """Health, age, wear and the counters that foretell a failure, from smartctl's JSON."""
    report = json.loads(text)
    table = {entry.get("id"): entry for entry in report.get("ata_smart_attributes", {}).get("table", [])}
    nvme = report.get("nvme_smart_health_information_log", {})

    def raw(number: int) -> Any:
        return integer(table.get(number, {}).get("raw", {}).get("value"))

    return present(
        model=report.get("model_name"),
        serial=report.get("serial_number"),
        passed=report.get("smart_status", {}).get("passed"),
        temperature_celsius=report.get("temperature", {}).get("current"),
        power_on_hours=report.get("power_on_time", {}).get("hours"),
        reallocated_sectors=raw(5),
        pending_sectors=raw(197),
        uncorrectable_sectors=raw(198),
        media_errors=nvme.get("media_errors"),
        wear_percent=nvme.get("percentage_used"),
        spare_percent=nvme.get("available_spare"),
    )


PROBES = {"filesystems": filesystems, "disks": disks, "arrays": arrays, "smart": smart}
