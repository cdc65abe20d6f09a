"""Probes of the machine and its operating system: identity, hardware, kernel, memory, load, pressure."""

from __future__ import annotations

import os
import re
import time
from typing import Any, Dict, List, Optional

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import (
    assignments,
    decimal,
    instant,
    integer,
    paired,
    percent,
    present,
    without_secrets,
)

_FAMILIES = (
    ("debian", ("debian", "ubuntu", "uos", "deepin", "kylin-desktop")),
    (
        "redhat",
        ("rhel", "centos", "fedora", "rocky", "almalinux", "openeuler", "anolis", "kylin", "ol", "alinux"),
    ),
    ("suse", ("suse", "sles", "opensuse")),
)
# Bits of /proc/sys/kernel/tainted that tell of a fault, not of a module's licence.
_TAINTS = {
    2: "module forced",
    4: "machine check",
    5: "bad page",
    7: "kernel died (oops or bug)",
    9: "kernel warning",
    14: "soft lockup",
}


def identity(host: Host) -> Dict[str, Any]:
    """Whose machine this is: name, maker, model, serial number, firmware."""
    found: Dict[str, Any] = {"hostname": host.value("/proc/sys/kernel/hostname") or os.uname().nodename}
    fields = {
        "vendor": "sys_vendor",
        "product": "product_name",
        "firmware_version": "bios_version",
        "firmware_date": "bios_date",
        "chassis_asset_tag": "chassis_asset_tag",
        "serial": "product_serial",
    }
    if not host.exists("/sys/class/dmi/id"):
        host.unread.update(dict.fromkeys(fields, "the firmware describes no machine (no DMI)"))
        found.update(present(product=host.value("/proc/device-tree/model")))
        fields = {}
    for name, file in fields.items():
        with host.noting(name):
            found[name] = host.read(f"/sys/class/dmi/id/{file}").strip()
    with host.noting("virtualization"):
        found["virtualization"] = host.run(["systemd-detect-virt"], accepted=(0, 1)).strip() or "none"
    return found


def operating_system(host: Host) -> Dict[str, Any]:
    """Distribution, kernel, boot, time since the start."""
    release = assignments(_os_release(host))
    uptime = decimal((host.value("/proc/uptime") or "").split(" ")[0])
    kernel = os.uname()
    found = present(
        id=release.get("ID"),
        version=release.get("VERSION_ID"),
        name=release.get("PRETTY_NAME"),
        release=release_name(release),
        codename=release.get("VERSION_CODENAME"),
        support_ends=release.get("SUPPORT_END"),
        family=family(release),
        kernel=kernel.release,
        kernel_build=kernel.version,
        architecture=kernel.machine,
        uptime_seconds=uptime,
        booted=instant(time.time() - uptime) if uptime is not None else None,
        default_target=_base(host.link("/etc/systemd/system/default.target")),
        firmware="uefi" if host.exists("/sys/firmware/efi") else "bios",
        secure_boot=_secure_boot(host),
        trusted_platform_modules=host.folder("/sys/class/tpm"),
        first_started=_first_started(host),
    )
    line = host.value("/proc/cmdline")
    if line is not None:
        found["kernel_command_line"] = without_secrets(line).split()
    taint = integer(host.value("/proc/sys/kernel/tainted"))
    if taint is not None:
        found["kernel_faults"] = taints(taint)
        found["kernel_taint"] = taint
    return found


def _first_started(host: Host) -> Optional[str]:
    """When this installation came to be: its identity is written at the first start, and never again."""
    try:
        return instant(host.status("/etc/machine-id", follow=True).st_mtime)
    except UnreadError:
        return None


def _os_release(host: Host) -> str:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        if host.exists(path):
            return host.read(path)
    raise UnreadError("/etc/os-release is not there")


def family(release: Dict[str, str]) -> Optional[str]:
    """debian, redhat or suse, by the distribution's own id and then by what it says it is like."""
    for name in [release.get("ID", ""), *release.get("ID_LIKE", "").split()]:
        for result, members in _FAMILIES:
            if name.lower().split("-")[0] in members or name.lower() in members:
                return result
    return None


def release_name(release: Dict[str, str]) -> Optional[str]:
    """The release whose support has an end: debian-12, rocky-9, ubuntu-24.04, kylin-V10."""
    name, version = release.get("ID"), release.get("VERSION_ID")
    if not name or not version:
        return None
    return f"{name}-{version}" if name in ("ubuntu", "openEuler") else f"{name}-{version.split('.')[0]}"


def taints(value: int) -> List[str]:
    """The faults that the kernel's taint value tells of."""
    return [text for bit, text in _TAINTS.items() if value >> bit & 1]


def _secure_boot(host: Host) -> Optional[bool]:
    try:
        data = host.read_bytes("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")
    except UnreadError:
        return None
    return data[4:5] == b"\x01" if len(data) >= 5 else None


def _base(path: Optional[str]) -> Optional[str]:
    return path.rsplit("/", 1)[-1] if path else None


def processor(host: Host) -> Dict[str, Any]:
    """The processors and the kernel's word on their flaws."""
    found = parse_cpuinfo(host.read("/proc/cpuinfo"))
    found["online"] = os.cpu_count() or found["logical"]
    folder = "/sys/devices/system/cpu/vulnerabilities"
    states = {name: host.value(f"{folder}/{name}") or "" for name in host.folder(folder)}
    found["vulnerable_to"] = sorted(name for name, state in states.items() if state.startswith("Vulnerable"))
    return found


def parse_cpuinfo(text: str) -> Dict[str, Any]:
    """Model and counts from /proc/cpuinfo; ARM says neither sockets nor cores."""
    blocks = [assignments(block, ":") for block in text.strip().split("\n\n")]
    blocks = [block for block in blocks if "processor" in block]
    first = blocks[0] if blocks else {}
    model = first.get("model name") or first.get("Model") or first.get("cpu model")
    cores = {(block.get("physical id"), block.get("core id")) for block in blocks if "core id" in block}
    sockets = {block["physical id"] for block in blocks if "physical id" in block}
    return present(
        logical=len(blocks),
        model=model,
        cores=len(cores) or None,
        sockets=len(sockets) or None,
        hypervisor="hypervisor" in first.get("flags", "").split(),
    )


def memory(host: Host) -> Dict[str, Any]:
    """Memory and swap, kills for want of memory, errors that the modules report."""
    found = parse_meminfo(host.read("/proc/meminfo"))
    counters = words_to_numbers(host.value("/proc/vmstat") or "")
    found["out_of_memory_kills"] = counters.get("oom_kill", 0)
    found["swap_devices"] = [line.split()[0] for line in (host.value("/proc/swaps") or "").splitlines()[1:]]
    for name in ("swappiness", "overcommit_memory", "nr_hugepages"):
        found.update(present(**{name: integer(host.value("/proc/sys/vm/" + name))}))
    folder = "/sys/devices/system/edac/mc"
    banks = [name for name in host.folder(folder) if name.startswith("mc") and name[2:].isdecimal()]
    if not banks:
        host.unread["ecc"] = "the kernel reports no error-correcting memory"
        return found
    found["ecc"] = {
        name: sum(integer(host.value(f"{folder}/{bank}/{file}")) or 0 for bank in banks)
        for name, file in (("corrected_errors", "ce_count"), ("uncorrected_errors", "ue_count"))
    }
    return found


def words_to_numbers(text: str) -> Dict[str, int]:
    """`name 123` lines."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) >= 2 and pair[1].isdecimal()}


def parse_meminfo(text: str) -> Dict[str, Any]:
    """Sizes in bytes; `used` is what no program could still get."""
    values = {}
    for line in text.splitlines():
        match = re.match(r"([\w()]+):\s+(\d+)( kB)?", line)
        if match:
            values[match.group(1)] = int(match.group(2)) * (1024 if match.group(3) else 1)
    total = values.get("MemTotal", 0)
    available = values.get("MemAvailable", values.get("MemFree", 0) + values.get("Cached", 0))
    swap, free = values.get("SwapTotal", 0), values.get("SwapFree", 0)
    return present(
        total_bytes=total,
        available_bytes=available,
        used_percent=percent(total - available, total),
        cached_bytes=values.get("Cached"),
        dirty_bytes=values.get("Dirty"),
        committed_bytes=values.get("Committed_AS"),
        commit_limit_bytes=values.get("CommitLimit"),
        swap_total_bytes=swap,
        swap_used_bytes=swap - free,
        swap_used_percent=percent(swap - free, swap),
        huge_pages_total=values.get("HugePages_Total"),
        huge_pages_free=values.get("HugePages_Free"),
    )


def load(host: Host) -> Dict[str, Any]:
    """Load averages, also per processor, and the kernel's tables that can be full."""
    fields = host.read("/proc/loadavg").split()
    logical = os.cpu_count() or 1
    found: Dict[str, Any] = {"processors": logical}
    for name, value in paired(("one", "five", "fifteen"), fields).items():
        found[name] = float(value)
        found[name + "_per_processor"] = round(float(value) / logical, 2)
    files = [integer(field) for field in (host.value("/proc/sys/fs/file-nr") or "").split()]
    if len(files) == 3 and files[0] is not None and files[2]:
        found.update(open_files=files[0], open_files_percent=percent(files[0], files[2]))
    threads, limit = integer(fields[3].split("/")[-1]), integer(host.value("/proc/sys/kernel/threads-max"))
    identifiers = integer(host.value("/proc/sys/kernel/pid_max"))
    if threads is not None and limit and identifiers:
        found.update(threads=threads, threads_percent=percent(threads, min(limit, identifiers)))
    found.update(present(entropy_bits=integer(host.value("/proc/sys/kernel/random/entropy_avail"))))
    return found


def pressure(host: Host) -> Dict[str, Any]:
    """How long work waited for processor, memory and disks (PSI), in shares of the time."""
    found = {}
    for name in ("cpu", "memory", "io"):
        with host.noting(name):
            found[name] = parse_pressure(host.read("/proc/pressure/" + name))
    if not found:
        raise UnreadError("the kernel reports no pressure (PSI is off)")
    return found


def parse_pressure(text: str) -> Dict[str, float]:
    """`some avg10=0.00 avg60=…` lines as some_avg10_percent …"""
    return {
        f"{line.split()[0]}_{name}_percent": float(value)
        for line in text.splitlines()
        for name, value in re.findall(r"\b(avg(?:10|60|300))=(\d{1,3}(?:\.\d+)?)", line)
    }


PROBES = {
    "identity": identity,
    "operating_system": operating_system,
    "processor": processor,
    "memory": memory,
    "load": load,
    "pressure": pressure,
}
