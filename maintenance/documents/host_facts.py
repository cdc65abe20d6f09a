"""Tables of the hosts: inventory, state, performance, upkeep, jobs, ports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maintenance.documents.clean import clean
from maintenance.documents.facts import Probe, View, duration, first, mappings, number, when
from maintenance.documents.table import NONE, RED, Missing, Row, Table, merged, or_note, size
from maintenance.documents.words import Words
from maintenance.record import HostResult

_NAMES = 6  # of accounts, services, ports in one cell


def tables(view: View) -> dict[str, Any]:
    """Every table of the templates that comes from the snapshot of the host."""
    return {
        "inventory": inventory(view),
        "system": system(view),
        "performance": performance(view),
        "upkeep": upkeep(view),
        "jobs": jobs(view),
        "ports": ports(view),
    }


def inventory(view: View) -> Table:
    """One row for each host of the record, reached or not."""
    words, missing = view.words, Missing(view.words)
    absent = words("not_obtained_short")
    rows: list[Row] = []
    for host in view.record.hosts:
        system = view.probe(host, "operating_system", missing)
        processor, memory = view.probe(host, "processor"), view.probe(host, "memory")
        rows.append(
            {
                "host": clean(host.name, 80),
                "role": ", ".join(
                    clean(group, 40) for group in host.groups if group not in ("all", "ungrouped")
                ),
                "os": clean(host.os, 120) or (system.text("name") if system else absent),
                "cpu": _processor(processor, words) if processor else absent,
                "memory": memory.size("total_bytes") if memory else absent,
                "serial": _machine(view, host, missing),
                "colour": NONE if host.reached else RED,
            }
        )
    return or_note(rows, words, missing, words("no_hosts"), limit=len(rows))


def _processor(processor: Probe, words: Words) -> str:
    return f"{processor.text('model')}\n{words('cores', n=processor.text('logical'))}"


def _machine(view: View, host: HostResult, missing: Missing) -> str:
    identity = view.probe(host, "identity", missing)
    if identity is None:
        return view.words("not_obtained_short")
    model = " ".join(
        clean(identity.value(name), 60) for name in ("vendor", "product") if identity.value(name)
    )
    virtual = clean(identity.value("virtualization"), 40)
    if virtual and virtual != "none":
        model = f"{model} ({virtual})".strip()
    return f"{model or view.words('not_obtained_short')}\n{view.words('serial')} {identity.text('serial')}"


def system(view: View) -> Table:
    """How each host is at the moment."""
    words, missing = view.words, Missing(view.words)
    absent = words("not_obtained_short")
    rows: list[Row] = []
    for host in view.record.hosts:
        probe = view.probe(host, "operating_system", missing)
        load, memory = view.probe(host, "load"), view.probe(host, "memory")
        if not (probe or load or memory):
            continue
        rows.append(
            {
                "host": clean(host.name, 80),
                "kernel": probe.text("kernel") if probe else absent,
                "uptime": duration(probe.value("uptime_seconds"), words) if probe else absent,
                "load": " / ".join(load.text(name) for name in ("one", "five", "fifteen"))
                if load
                else absent,
                "memory": f"{memory.percent('used_percent')} / {memory.size('total_bytes')}"
                if memory
                else absent,
                "swap": _swap(memory.data, words) if memory else absent,
                "time": _clock(view, host),
            }
        )
    return or_note(rows, words, missing, words("no_hosts"))


def _swap(memory: Mapping[str, Any], words: Words) -> str:
    total, used = number(memory.get("swap_total_bytes")), number(memory.get("swap_used_bytes"))
    if total is None:
        return words("not_obtained_short")
    return f"{size(used)} / {size(total)}" if total else words("none")


def _clock(view: View, host: HostResult) -> str:
    clock = view.probe(host, "clock")
    if clock is None:
        return view.words("not_obtained_short")
    words, synchronised = view.words, clock.value("synchronised")
    states = {True: "synchronised", False: "not_synchronised"}
    state = words(states[synchronised]) if isinstance(synchronised, bool) else words("synchronised_unknown")
    offset = number(clock.value("offset_seconds"))
    daemon = clean(clock.value("daemon"), 40)
    text = state if daemon in ("", "none") else f"{daemon}{words('comma')}{state}"
    return text + (words("offset", seconds=f"{offset:.4f}") if offset is not None else "")


def performance(view: View) -> Table:
    """What the kernel has counted: means since the start, a sample, and how long work had to wait."""
    words, missing = view.words, Missing(view.words)
    rows: list[Row] = []
    for probe in view.probes("activity", missing):
        host = view.host(probe.host)
        pressure, processes = view.probe(host, "pressure"), view.probe(host, "processes")
        disk = max(probe.items("disks"), key=lambda one: number(one.get("busy_percent")) or 0, default=None)
        rows.append(
            {
                "host": clean(probe.host, 80),
                "cpu": _pair(probe.data, "processor_since_boot.busy_percent", "processor.busy_percent"),
                "wait": _pair(probe.data, "processor_since_boot.iowait_percent", "processor.iowait_percent"),
                "disk": _disk(disk, words) if disk else words("none"),
                "pressure": " / ".join(
                    pressure.percent(f"{name}.some_avg300_percent") for name in ("cpu", "memory", "io")
                )
                if pressure
                else words("not_obtained_short"),
                "top": _top(processes.items("top_processor")) if processes else words("not_obtained_short"),
            }
        )
    return or_note(rows, words, missing, words("no_hosts"))


def _pair(data: Mapping[str, Any], mean: str, sample: str) -> str:
    values = [number(first(data, path)) for path in (mean, sample)]
    return " / ".join("—" if value is None else f"{value:.1f} %" for value in values)


def _disk(disk: Mapping[str, Any], words: Words) -> str:
    waits = [number(first(disk, f"since_boot.{kind}_wait_ms")) for kind in ("read", "write")]
    shown = " / ".join("—" if value is None else f"{value:.1f} ms" for value in waits)
    busy = number(disk.get("busy_percent")) or 0
    return f"{clean(disk.get('name'), 40)} {busy:.0f} %{words('comma')}{shown}"


def _top(programs: list[Mapping[str, Any]]) -> str:
    return "\n".join(
        f"{clean(one.get('name'), 24)} {number(one.get('cpu_percent')) or 0:.1f} %" for one in programs[:3]
    )


def upkeep(view: View) -> Table:
    """Updates that wait, services that failed, errors in logs, accounts."""
    words, missing = view.words, Missing(view.words)
    absent = words("not_obtained_short")
    rows: list[Row] = []
    for probe in view.probes("operating_system", missing):
        host = view.host(probe.host)
        updates, services = view.probe(host, "updates", missing), view.probe(host, "services", missing)
        accounts, restart = view.probe(host, "accounts"), view.probe(host, "restart")
        pending = f"{updates.text('pending_count')} ({updates.text('security_count')})" if updates else absent
        if restart and restart.value("required"):
            pending += "\n" + words("restart_needed")
        users = [one for one in accounts.items("users") if one.get("login")] if accounts else []
        rows.append(
            {
                "host": clean(host.name, 80),
                "updates": pending,
                "units": _names([one.get("name") for one in services.items("failed")], words)
                if services
                else absent,
                "errors": _errors(view, host, missing),
                "accounts": _names([one.get("name") for one in users], words) if accounts else absent,
            }
        )
    return or_note(rows, words, missing, words("no_hosts"))


def _errors(view: View, host: HostResult, missing: Missing) -> str:
    """How many errors the journal holds since the previous inspection, and whose they are."""
    journal = view.probe(host, "journal", missing)
    if journal is None:
        return view.words("not_obtained_short")
    noisy = [
        f"{clean(unit.get('unit'), 40)} {clean(unit.get('count'), 12)}" for unit in journal.items("units")[:3]
    ]
    more = "+" if journal.value("errors_truncated") else ""
    return "\n".join([journal.text("errors") + more, *noisy])


def _names(names: list[Any], words: Words) -> str:
    if not names:
        return words("none")
    shown = ", ".join(clean(name, 60) for name in names[:_NAMES])
    return shown + (f" … ({len(names)})" if len(names) > _NAMES else "")


def jobs(view: View) -> Table:
    """Timers of systemd and jobs of cron; those that went wrong come first."""
    words, missing = view.words, Missing(view.words)
    wrong: list[Row] = []
    well: list[Row] = []
    for probe in view.probes("services", missing):
        for timer in probe.items("timers"):
            result = clean(timer.get("last_result"), 60)
            ran = when(timer.get("last_run"), words)
            row: Row = {
                "host": clean(probe.host, 80),
                "name": clean(timer.get("name"), 120),
                "kind": "systemd timer",
                "schedule": when(timer["next_run"], words) if timer.get("next_run") else "—",
                "last": f"{ran}{words('comma')}{result}" if result else ran,
            }
            (wrong if result not in ("", "success") else well).append(row)
    for probe in view.probes("cron", missing):
        for job in probe.items("jobs"):
            gone = words("comma") + words("program_missing") if job.get("missing") else ""
            row = {
                "host": clean(probe.host, 80),
                "name": clean(job.get("program"), 120),
                "kind": f"cron ({clean(job.get('user'), 40)})",
                "schedule": clean(job.get("schedule"), 60),
                "last": (when(job["last_run"], words) if job.get("last_run") else words("not_known")) + gone,
            }
            (wrong if gone else well).append(row)
    return or_note(merged([*wrong, *well], words), words, missing, words("no_jobs"))


def ports(view: View) -> Table:
    """What can be reached from outside each host."""
    words, missing = view.words, Missing(view.words)
    rows: list[Row] = []
    for probe in view.probes("listeners", missing):
        exposed = [one for one in mappings(probe.value("sockets")) if one.get("exposed")]
        shown = dict.fromkeys(
            f"{clean(one.get('protocol'), 8)}/{clean(one.get('port'), 8)}" for one in exposed
        )
        programs = dict.fromkeys(clean(one["process"], 40) for one in exposed if one.get("process"))
        if "process" in probe.unread:
            probe.text("process")  # its reason goes to the note
        rows.append(
            {
                "host": clean(probe.host, 80),
                "ports": ", ".join(list(shown)[:40]) or words("none"),
                "programs": ", ".join(list(programs)[:20])
                or words("not_obtained_short" if exposed else "none"),
            }
        )
    return or_note(merged(rows, words), words, missing, words("no_hosts"))
