"""Probe of sysstat's records: means and peaks of processors, memory and disks, which no single look can tell."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Optional, Tuple

from ansible.module_utils.snapshot_disks import whole_disks
from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import decimal, epoch, instant, integer, paired, present

_FOLDERS = ("/var/log/sysstat", "/var/log/sa")
_DAYS = 92
Series = List[Tuple[float, float]]


def history(host: Host) -> Dict[str, Any]:
    """What sysstat has recorded since the given instant, one file a day."""
    if not host.program("sadf"):
        return {"installed": False}
    since = epoch(host.parameters.get("since") or "") or 0.0
    memory = re.search(r"MemTotal:\s+(\d+)", host.value("/proc/meminfo") or "")
    series: Dict[str, Series] = {}
    for path in _files(host, since)[-_DAYS:]:
        with host.noting(path):
            text = host.run(["sadf", "-d", "-U", path, "--", "-u", "-r", "-d"], whole=False)
            for name, at, value in samples(text, int(memory.group(1)) if memory else None):
                if at >= since:
                    series.setdefault(name, []).append((at, value))
    disks = {name: series.pop("disk " + name) for name in whole_disks(host) if "disk " + name in series}
    times = [at for values in series.values() for at, _value in values]
    return {
        "installed": True,
        "samples": max((len(values) for values in series.values()), default=0),
        **present(first=instant(min(times)) if times else None, last=instant(max(times)) if times else None),
        **{
            name: summary(series[name])
            for name in ("processor_busy", "processor_iowait", "memory_used")
            if name in series
        },
        "disks": [{"name": name, "busy": summary(values)} for name, values in disks.items()],
    }


def _files(host: Host, since: float) -> List[str]:
    """sysstat's files by age: sa23 of this or the last month, or sa20261123."""
    found = []
    for folder in _FOLDERS:
        for name in host.folder(folder):
            if re.match(r"sa(\d{2}|\d{8})$", name):
                try:
                    changed = host.status(f"{folder}/{name}").st_mtime
                except UnreadError:
                    continue
                if changed >= since:
                    found.append((changed, f"{host.root}{folder}/{name}"))
    return [path for _changed, path in sorted(found)]


def samples(text: str, memory: Optional[int]) -> Iterator[Tuple[str, float, float]]:
    """(name, seconds since 1970, share of 100) from `sadf -d -U`: a line of names, then lines of values."""
    names: List[str] = []
    for line in text.splitlines():
        fields = line.lstrip("# ").split(";")
        if line.startswith("#"):
            names = fields
            continue
        row = paired(names, fields)
        at = decimal(row.get("timestamp"))
        if at is None or "LINUX-RESTART" in line:
            continue
        idle, waiting = decimal(row.get("%idle")), decimal(row.get("%iowait"))
        available, busy = integer(row.get("kbavail")), decimal(row.get("%util"))
        if row.get("CPU") == "-1" and idle is not None and waiting is not None:
            yield "processor_busy", at, max(0.0, 100.0 - idle - waiting)
            yield "processor_iowait", at, waiting
        elif available is not None and memory:
            yield "memory_used", at, 100.0 * (memory - available) / memory
        elif busy is not None and row.get("DEV"):
            yield "disk " + row["DEV"], at, min(100.0, busy)


def summary(values: Series) -> Dict[str, Any]:
    """Mean, the value that 95 of 100 samples keep below, and the peak with its instant."""
    ordered = sorted(value for _at, value in values)
    at, peak = max(values, key=lambda pair: pair[1])
    return {
        "mean_percent": round(sum(ordered) / len(ordered), 2),
        "usual_peak_percent": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 2),
        "peak_percent": round(peak, 2),
        "peak_at": instant(at),
    }


PROBES = {"history": history}
