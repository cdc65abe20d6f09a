"""Processes and activity: what runs, as whom, and how busy the machine was while the snapshot was taken.

Of a process only its short name is read: arguments and environment may hold passwords."""

from __future__ import annotations

import os
import time
from typing import Any, Dict, Iterator, List, Optional

from ansible.module_utils.snapshot_disks import parse_diskstats, whole_disks
from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import integer, paired, percent

INTERVAL = 0.25  # seconds between two readings of the counters, spent on other probes
_TOP = 8
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Daemons that have an account of their own everywhere; as root they are one flaw away from the whole machine.
_NEVER_ROOT = frozenset(
    [
        "postgres",
        "postmaster",
        "mysqld",
        "mariadbd",
        "java",
        "tomcat",
        "redis-server",
        "mongod",
        "node",
        "memcached",
        "named",
    ]
)
# These start as root and hand the work to children of the same name, which must not be root.
_WORKERS = frozenset(["nginx", "apache2", "httpd", "php-fpm"])


def processes(host: Host) -> Dict[str, Any]:
    """Counts, the greatest users of processor and memory, services that run as root."""
    table = list(_table(host))
    uptime = float((host.value("/proc/uptime") or "1").split()[0])
    names = {entry["pid"]: entry["name"] for entry in table}
    for entry in table:
        entry["cpu_percent"] = percent(entry["ticks"] / _TICKS, max(1.0, uptime - entry["start"] / _TICKS))
    return {
        "total": len(table),
        "threads": sum(entry["threads"] for entry in table),
        "zombies": sum(entry["state"] == "Z" for entry in table),
        "blocked": sum(entry["state"] == "D" for entry in table),
        "top_processor": _top(table, "cpu_percent", "cpu_percent"),
        "top_memory": _top(table, "rss", "resident_bytes"),
        "root_services": sorted({entry["name"] for entry in table if _should_not_be_root(entry, names)}),
        "replaced_programs": sorted({entry["name"] for entry in table if entry["replaced"]}),
    }


def _table(host: Host) -> Iterator[Dict[str, Any]]:
    for name in host.names("/proc"):
        if not name.isdecimal():
            continue
        folder = f"{host.root}/proc/{name}"
        try:
            with open(folder + "/stat", "rb") as file:
                entry = parse_stat(file.read().decode("utf-8", "replace"))
            entry["user"] = os.stat(folder).st_uid
        except (OSError, ValueError, IndexError):
            continue  # it has ended
        # An update replaces the file, the process goes on with the old one. What runs from memory never had a file.
        program = host.link(f"/proc/{name}/exe") or ""
        entry["replaced"] = program.endswith(" (deleted)") and not program.startswith("/memfd:")
        yield entry


def parse_stat(text: str) -> Dict[str, Any]:
    """One /proc/PID/stat; the name may hold blanks and parentheses."""
    start, end = text.index("("), text.rindex(")")
    fields = text[end + 2 :].split()
    return {
        "pid": int(text[:start]),
        "name": text[start + 1 : end],
        "state": fields[0],
        "parent": int(fields[1]),
        "ticks": int(fields[11]) + int(fields[12]),
        "ticks_of_children": int(fields[13]) + int(fields[14]),
        "threads": int(fields[17]),
        "start": int(fields[19]),
        "rss": int(fields[21]) * _PAGE,
    }


def _top(table: List[Dict[str, Any]], key: str, shown: str) -> List[Dict[str, Any]]:
    """The greatest by one value; many processes of one program count together."""
    sums: Dict[Any, List[Any]] = {}
    for entry in table:
        total = sums.setdefault((entry["name"], entry["user"]), [0, 0])
        total[0] += entry[key] or 0
        total[1] += 1
    greatest = sorted(sums.items(), key=lambda item: -item[1][0])[:_TOP]
    return [
        {
            "name": name,
            "user_id": user,
            "processes": count,
            shown: total if isinstance(total, int) else round(total, 2),
        }
        for (name, user), (total, count) in greatest
        if total > 0
    ]


def _should_not_be_root(entry: Dict[str, Any], names: Dict[int, str]) -> bool:
    if entry["user"] != 0:
        return False
    if entry["name"] in _WORKERS:
        return names.get(entry["parent"]) == entry["name"]
    return entry["name"] in _NEVER_ROOT


def counters(host: Host) -> Dict[str, Any]:
    """The kernel's counters at this moment."""
    return {
        "at": time.monotonic(),
        "root": os.getpid(),
        "stat": host.value("/proc/stat") or "",
        "disks": parse_diskstats(host.value("/proc/diskstats") or ""),
        "network": parse_net_dev(host.value("/proc/net/dev") or ""),
        "vmstat": host.value("/proc/vmstat") or "",
    }


def parse_net_dev(text: str) -> Dict[str, List[int]]:
    """Counters by interface from /proc/net/dev."""
    lines = (line.partition(":") for line in text.splitlines()[2:])
    return {
        name.strip(): [integer(field) or 0 for field in rest.split()] for name, _colon, rest in lines if rest
    }


def activity(host: Host) -> Dict[str, Any]:
    """How busy processors, disks and network were between two readings, and on average since the start.

    The snapshot's own work is taken out of the processors' share, or a quiet host would look busy."""
    first = host.earlier
    if not first:
        raise UnreadError("the counters were not read before")
    time.sleep(max(0.0, first["at"] + INTERVAL - time.monotonic()))
    last = counters(host)
    seconds = last["at"] - first["at"]
    before, after = parse_processor_times(first["stat"]), parse_processor_times(last["stat"])
    found: Dict[str, Any] = {
        "interval_seconds": round(seconds, 3),
        "processor": processor_shares(before, after, _own_ticks(host, first["root"])),
        "processor_since_boot": processor_shares(parse_processor_times(""), after),
        "disks": _disks(host, first["disks"], last["disks"], seconds),
        "interfaces": _interfaces(first["network"], last["network"], seconds),
    }
    for name, shown in (("pswpin", "swapped_in"), ("pswpout", "swapped_out")):
        counts = [_counter(reading["vmstat"], name) for reading in (first, last)]
        if None not in counts:
            found[shown + "_bytes_per_second"] = round((counts[1] - counts[0]) * _PAGE / seconds)
    return found


def _own_ticks(host: Host, root: int) -> int:
    """Processor time of the snapshot's own processes and of the commands that they have started."""
    table = {entry["pid"]: entry for entry in _table(host)}
    total = 0
    for entry in table.values():
        pid = entry["pid"]
        while pid in table and pid != root:
            pid = table[pid]["parent"]
        if pid == root:
            total += entry["ticks"] + entry["ticks_of_children"]
    return total


def parse_processor_times(stat: str) -> Dict[str, int]:
    """The ticks of all processors together, by kind."""
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    for line in stat.splitlines():
        if line.startswith("cpu "):
            return paired(names, [*(integer(field) or 0 for field in line.split()[1:9]), *[0] * 8])
    return dict.fromkeys(names, 0)


def processor_shares(first: Dict[str, int], last: Dict[str, int], own: int = 0) -> Dict[str, Optional[float]]:
    """Shares of the processors' time between two readings; `own` ticks of work count as idle."""
    spent = {name: max(0, last[name] - first.get(name, 0)) for name in last}
    total = sum(spent.values())
    waiting = spent.get("idle", 0) + spent.get("iowait", 0)
    shares = {
        "busy_percent": percent(max(0, total - waiting - own), total),
        "iowait_percent": percent(spent.get("iowait", 0), total),
        "steal_percent": percent(spent.get("steal", 0), total),
    }
    return {name: value for name, value in shares.items() if value is not None}


def _disks(host: Host, first: Dict[str, Any], last: Dict[str, Any], seconds: float) -> List[Dict[str, Any]]:
    return [
        {
            "name": name,
            **disk_rates(first.get(name, {}), last[name], seconds),
            "since_boot": disk_waits(last[name]),
        }
        for name in whole_disks(host)
        if name in last
    ]


def disk_rates(first: Dict[str, int], last: Dict[str, int], seconds: float) -> Dict[str, Any]:
    """Rates of one disk between two readings."""
    spent = {name: max(0, last[name] - first.get(name, last[name])) for name in last}
    return {
        "reads_per_second": round(spent["reads"] / seconds, 1),
        "writes_per_second": round(spent["writes"] / seconds, 1),
        "read_bytes_per_second": round(spent["read_sectors"] * 512 / seconds),
        "written_bytes_per_second": round(spent["written_sectors"] * 512 / seconds),
        "busy_percent": min(100.0, percent(spent["busy_ms"] / 1000, seconds) or 0.0),
        **disk_waits(spent),
    }


def disk_waits(spent: Dict[str, int]) -> Dict[str, float]:
    """The mean wait of a read and of a write; absent where there was none."""
    found = {}
    for kind, count, total in (("read", "reads", "read_ms"), ("write", "writes", "write_ms")):
        if spent.get(count):
            found[kind + "_wait_ms"] = round(spent[total] / spent[count], 2)
    return found


def _interfaces(first: Dict[str, Any], last: Dict[str, Any], seconds: float) -> List[Dict[str, Any]]:
    return [
        {
            "name": name,
            "received_bytes_per_second": round(max(0, last[name][0] - first[name][0]) / seconds),
            "sent_bytes_per_second": round(max(0, last[name][8] - first[name][8]) / seconds),
        }
        for name in sorted(last)
        if name in first and name != "lo"
    ]


def _counter(vmstat: str, name: str) -> Optional[int]:
    for line in vmstat.splitlines():
        if line.startswith(name + " "):
            return int(line.split()[1])
    return None


PROBES = {"processes": processes, "activity": activity}
