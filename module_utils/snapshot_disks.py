"""Probes of what is below the file systems: disks, their own health, arrays, pools."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import bounded, decimal, integer, paired, present


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
        vendor = host.value(folder + "/device/vendor") or ""
        choice = re.search(r"\[([\w-]+)\]", host.value(folder + "/queue/scheduler") or "")
        found.append(
            present(
                name=name,
                size_bytes=sectors * 512,
                model=host.value(folder + "/device/model"),
                vendor=None
                if vendor.startswith("0x")
                else vendor or None,  # a virtual disk has only a number
                volume=host.value(folder + "/dm/name"),
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
            found[fields[2]] = {
                name: integer(value) or 0 for name, value in paired(names, fields[3:]).items() if name
            }
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
            found["pools"] = parse_zpool(
                host.run(["zpool", "list", "-H", "-p", "-o", "name,size,alloc,health"])
            )
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


def parse_zpool(text: str) -> List[Dict[str, Any]]:
    """ZFS pools from tab-separated name, size, used and health."""
    rows = (line.split("\t") for line in text.splitlines())
    return [
        present(name=row[0], size_bytes=integer(row[1]), used_bytes=integer(row[2]), health=row[3])
        for row in rows
        if len(row) == 4
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


PROBES = {"disks": disks, "arrays": arrays, "smart": smart}
