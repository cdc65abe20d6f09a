"""Probe of the clock: which daemon keeps it, from which source, how far it is off."""

from __future__ import annotations

import re
import time
from typing import Any, Dict, List, Optional

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import assignments, decimal, instant, integer, present

_SELECTED = {
    "*": "selected",
    "+": "combined",
    "-": "not combined",
    "?": "unreachable",
    "x": "falseticker",
    "~": "variable",
}


def clock(host: Host) -> Dict[str, Any]:
    """Time zone and synchronisation. The daemon that answers is asked; without one the kernel is, by timedatectl."""
    found: Dict[str, Any] = {"timezone": _zone(host), "utc_offset_seconds": time.localtime().tm_gmtoff}
    reasons: List[str] = []
    for ask in (_chrony, _ntpd, _timesyncd):
        try:
            found.update(ask(host))
            break
        except UnreadError as reason:
            reasons.append(str(reason))
    else:
        found["daemon"] = "none"
        host.unread["offset_seconds"] = "; ".join(reasons)
        with host.noting("synchronised"):
            found["synchronised"] = (
                assignments(host.run(["timedatectl", "show"])).get("NTPSynchronized") == "yes"
            )
    if found.get("offset_seconds") is None:
        host.unread.setdefault("offset_seconds", "the clock follows no source")
    hardware = integer(host.value("/sys/class/rtc/rtc0/since_epoch"))
    if hardware is not None:
        found["hardware_clock_offset_seconds"] = round(hardware - time.time())
    return present(**found)


def _zone(host: Host) -> Optional[str]:
    link = host.link("/etc/localtime") or ""
    return link.partition("zoneinfo/")[2] or host.value("/etc/timezone")


def _chrony(host: Host) -> Dict[str, Any]:
    found = parse_chrony(host.run(["chronyc", "-n", "-c", "tracking"]))
    with host.noting("sources"):
        found["sources"] = parse_chrony_sources(host.run(["chronyc", "-n", "-c", "sources"]))
    return found


def parse_chrony(text: str) -> Dict[str, Any]:
    """One line of `chronyc -c tracking`."""
    fields = text.strip().splitlines()[-1].split(",") if text.strip() else []
    if len(fields) < 14:
        raise UnreadError("chronyc gave no tracking data")
    reference = decimal(fields[3])
    # 7F7F0101 is the host's own clock, which chrony serves when it knows no better.
    synchronised = fields[13] != "Not synchronised" and fields[0] != "7F7F0101" and bool(integer(fields[2]))
    return present(
        daemon="chrony",
        synchronised=synchronised,
        source=fields[1] or None,
        stratum=integer(fields[2]),
        offset_seconds=_distance(decimal(fields[4])) if synchronised else None,
        root_delay_seconds=decimal(fields[10]),
        last_update=instant(reference) if reference else None,
    )


def _distance(offset: Optional[float]) -> Optional[float]:
    """How far off, either way: the daemons disagree on what the sign means."""
    return abs(offset) if offset is not None else None


def parse_chrony_sources(text: str) -> List[Dict[str, Any]]:
    """Lines of `chronyc -c sources`."""
    rows = (line.split(",") for line in text.splitlines())
    return [
        present(
            address=row[2],
            state=_SELECTED.get(row[1], row[1]),
            stratum=integer(row[3]),
            reachable=row[5] not in ("0", ""),
        )
        for row in rows
        if len(row) >= 6
    ]


def _ntpd(host: Host) -> Dict[str, Any]:
    return parse_ntpq(host.run(["ntpq", "-pn"]))


def parse_ntpq(text: str) -> Dict[str, Any]:
    """The peers of `ntpq -pn`; the one behind `*` is followed."""
    rows = [
        re.split(r"\s+", line.strip())
        for line in text.splitlines()
        if re.match(r"[ *+#ox.-]?[\d:a-fA-F]", line)
    ]
    rows = [row for row in rows if len(row) >= 10]
    if not rows:
        raise UnreadError("ntpq lists no peer")
    sources = [
        {"address": row[0].lstrip("*+-#xo."), "stratum": integer(row[2]), "reachable": row[6] != "0"}
        for row in rows
    ]
    chosen = next((row for row in rows if row[0].startswith(("*", "o"))), None)
    found = {"daemon": "ntpd", "synchronised": chosen is not None, "sources": sources}
    if chosen:
        milliseconds = decimal(chosen[8])
        offset = milliseconds / 1000 if milliseconds is not None else None
        found.update(
            present(source=chosen[0][1:], stratum=integer(chosen[2]), offset_seconds=_distance(offset))
        )
    return found


def _timesyncd(host: Host) -> Dict[str, Any]:
    if not host.exists("/run/systemd/timesync"):
        raise UnreadError("systemd-timesyncd does not run")
    return {
        "daemon": "systemd-timesyncd",
        "synchronised": host.exists("/run/systemd/timesync/synchronized"),
        **parse_timesync(host.run(["timedatectl", "timesync-status"])),
    }


def parse_timesync(text: str) -> Dict[str, Any]:
    """`timedatectl timesync-status`."""
    values = assignments(text, ":")
    return present(
        source=values.get("Server", "").split(" ")[0] or None,
        stratum=integer(values.get("Stratum")),
        offset_seconds=_distance(seconds_of(values.get("Offset", ""))),
    )


def seconds_of(text: str) -> Optional[float]:
    """+1min 2.5s, -370us, 12ms as seconds."""
    units = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
    parts = re.findall(r"(\d{1,9}(?:\.\d{1,9})?)(us|ms|min|s|h|d)\b", text)
    if not parts:
        return None
    return (-1 if text.strip().startswith("-") else 1) * sum(
        float(number) * units[unit] for number, unit in parts
    )


PROBES = {"clock": clock}
