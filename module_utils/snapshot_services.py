"""Probes of what runs by itself: units of systemd, timers, jobs of cron."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Iterator, List, Optional

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import bounded, content_lines, epoch, instant, integer, present

_MAXIMUM = 500
_PROPERTIES = (
    "Id LoadState ActiveState SubState UnitFileState Result NRestarts Restart ExecMainStatus MemoryCurrent "
    "StateChangeTimestamp ExecMainStartTimestamp ExecMainExitTimestamp RefuseManualStop "
    "LastTriggerUSec NextElapseUSecRealtime Unit"
)
_RESTARTED_OFTEN = 3
# Programs that only prepare the way for the one that matters.
_ENVIRONMENT = re.compile(r"^[A-Za-z_]\w*=")
_CRON_COMMAND = re.compile(r"^\((.+?)\) CMD \((.*)\)$", re.DOTALL)


def services(host: Host) -> Dict[str, Any]:
    """The state of systemd, of its services and timers, and of those that the site expects."""
    if not host.exists("/run/systemd/system"):
        raise UnreadError("systemd does not run this host")
    expected = [_full_name(name, ".service") for name in host.parameters.get("expected_units") or []]
    timers = [_full_name(name, ".timer") for name in host.parameters.get("expected_timers") or []]
    argv = ["systemctl", "show", "--no-pager", "--property=" + _PROPERTIES.replace(" ", ","), "--"]
    units = parse_show(host.run([*argv, "*.service", "*.timer", *expected, *timers], 8.0))
    found = summarise(units)
    # A failed mount or socket is no service: only the list of failed units names it.
    argv = "systemctl list-units --state=failed --all --full --plain --no-legend --no-pager"
    found["failed"] = parse_units(host.run(argv.split()))
    # `degraded` makes it exit with 1; the word is the answer.
    found["system_state"] = host.run(["systemctl", "is-system-running"], accepted=range(0, 5)).strip()
    found["expected"] = [_expected(units.get(name), name) for name in expected]
    found["expected_timers"] = [_timer(units, name) for name in timers]
    found["enabled"] = _enabled(host)
    return found


def _full_name(name: str, kind: str) -> str:
    return name if re.search(r"\.(service|timer|socket|mount|path|target|slice)$", name) else name + kind


def parse_show(text: str) -> Dict[str, Dict[str, str]]:
    """Blocks of KEY=value by unit; a unit that was asked for twice is there once."""
    units = {}
    for block in text.split("\n\n"):
        unit = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if unit.get("Id"):
            units[unit["Id"]] = unit
    return units


def parse_units(text: str) -> List[Dict[str, str]]:
    """Rows of `systemctl list-units --plain`; its JSON is younger than the hosts are."""
    rows = (line.replace("●", " ").split(None, 4) for line in text.splitlines())
    return [
        {"name": row[0], "load": row[1], "active": row[2], "sub": row[3]} for row in rows if len(row) >= 4
    ]


def summarise(units: Dict[str, Dict[str, str]]) -> Dict[str, Any]:
    """The loaded services in short, those that restart, and the timers with their last results."""
    loaded = {name: unit for name, unit in units.items() if name.endswith(".service")}
    restarting = [
        {"name": name, "restarts": integer(unit.get("NRestarts")) or 0}
        for name, unit in loaded.items()
        if unit.get("SubState") == "auto-restart" or (integer(unit.get("NRestarts")) or 0) >= _RESTARTED_OFTEN
    ]
    active = sorted(name for name, unit in loaded.items() if unit.get("ActiveState") == "active")
    timers = [_timer(units, name) for name in sorted(units) if name.endswith(".timer")]
    return {
        **bounded("active", active, _MAXIMUM),
        "restarting": restarting,
        "protected_from_stop": sorted(
            name for name, unit in loaded.items() if unit.get("RefuseManualStop") == "yes"
        ),
        "restart_policy": {
            name: loaded[name].get("Restart", "") for name in active if "Restart" in loaded[name]
        },
        **bounded("timers", [timer for timer in timers if timer["loaded"]], _MAXIMUM),
    }


def _expected(unit: Optional[Dict[str, str]], name: str) -> Dict[str, Any]:
    unit = unit or {}
    memory = integer(unit.get("MemoryCurrent"))
    return present(
        name=name,
        loaded=unit.get("LoadState") == "loaded",
        active=unit.get("ActiveState", "unknown"),
        sub=unit.get("SubState"),
        enabled=unit.get("UnitFileState")
        in ("enabled", "static", "alias", "generated", "linked", "indirect"),
        result=unit.get("Result"),
        restarts=integer(unit.get("NRestarts")),
        memory_bytes=memory if memory is not None and memory < 1 << 62 else None,
        since=instant(epoch(unit.get("StateChangeTimestamp", ""))),
    )


def _timer(units: Dict[str, Dict[str, str]], name: str) -> Dict[str, Any]:
    """A timer and how its service ended last; a service that never ran has no result."""
    timer = units.get(name, {})
    service = units.get(timer.get("Unit", ""), {})
    started = epoch(service.get("ExecMainStartTimestamp", ""))
    return present(
        name=name,
        loaded=timer.get("LoadState") == "loaded",
        active=timer.get("ActiveState") == "active",
        enabled=timer.get("UnitFileState") in ("enabled", "static", "generated", "linked"),
        unit=timer.get("Unit"),
        last_run=instant(epoch(timer.get("LastTriggerUSec", "")) or started),
        next_run=instant(epoch(timer.get("NextElapseUSecRealtime", ""))),
        last_result=service.get("Result")
        if started is not None or service.get("Result") != "success"
        else None,
        last_status=integer(service.get("ExecMainStatus")) if started is not None else None,
    )


def _enabled(host: Host) -> List[str]:
    """What starts with the system, from the links that enabling makes: 50 times cheaper than list-unit-files."""
    found = set()
    for folder in host.folder("/etc/systemd/system"):
        if folder.endswith((".wants", ".requires")):
            found.update(host.folder("/etc/systemd/system/" + folder))
    return sorted(found)


def cron(host: Host) -> Dict[str, Any]:
    """Jobs of cron, anacron and at, with the last run that the journal knows. Of a command only the program is kept."""
    jobs = list(_cron_jobs(host))
    if any(host.program(name) for name in ("cron", "crond")):
        with host.noting("last_run"):
            runs = parse_runs(_journal(host))
            for job in jobs:
                job.update(runs.get((job["user"], _squeeze(job["command"])), {}))
    for job in jobs:
        job["program"] = program_of(job.pop("command"))
        job["missing"] = job["program"].startswith("/") and not host.exists(job["program"])
    waiting = [name for folder in ("/var/spool/cron/atjobs", "/var/spool/at") for name in host.folder(folder)]
    stamps = {name: host.value("/var/spool/anacron/" + name) for name in host.folder("/var/spool/anacron")}
    return {
        **bounded("jobs", jobs, _MAXIMUM),
        "anacron": [{"name": name, "last_day": day} for name, day in stamps.items() if day],
        "at_jobs": sum(not name.startswith(".") for name in waiting),
    }


def _cron_jobs(host: Host) -> Iterator[Dict[str, Any]]:
    system = ["/etc/crontab"] if host.exists("/etc/crontab") else []
    system += ["/etc/cron.d/" + name for name in host.folder("/etc/cron.d") if not name.startswith(".")]
    for path in system:
        with host.noting(path):
            yield from parse_crontab(host.read(path), path)
    for folder in ("/var/spool/cron/crontabs", "/var/spool/cron"):
        for name in host.folder(folder):
            path = f"{folder}/{name}"
            if name in ("crontabs", "atjobs", "atspool") or name.startswith("."):
                continue
            with host.noting(path):
                yield from parse_crontab(host.read(path, follow=False), path, name)
    for period in ("hourly", "daily", "weekly", "monthly"):
        for name in host.folder("/etc/cron." + period):
            path = f"/etc/cron.{period}/{name}"
            if not name.startswith(".") and name != "0anacron":
                yield {
                    "source": f"/etc/cron.{period}",
                    "user": "root",
                    "schedule": "@" + period,
                    "command": path,
                }


def parse_crontab(text: str, source: str, user: Optional[str] = None) -> List[Dict[str, Any]]:
    """The jobs of a crontab; one of the system's names the user in each line."""
    jobs = []
    for line in content_lines(text):
        if _ENVIRONMENT.match(line) or re.match(r"\w+\s*=", line):
            continue
        count = 1 if line.startswith("@") else 5
        fields = line.split(None, count + (user is None))
        if len(fields) <= count + (user is None):
            continue
        jobs.append(
            {
                "source": source,
                "schedule": " ".join(fields[:count]),
                "user": user or fields[count],
                "command": fields[-1],
            }
        )
    return jobs


def program_of(command: str) -> str:
    """The program that a command line is about: its first absolute path, else its first word."""
    found = [word.strip("\"'();&|") for word in command.split()[:40] if not _ENVIRONMENT.match(word)]
    paths = [
        word for word in found if word.startswith("/") and len(word) > 1 and not word.startswith("/dev/")
    ]
    usual = [
        path
        for path in paths
        if path.rsplit("/", 1)[-1] not in ("sh", "bash", "env", "nice", "flock", "timeout")
    ]
    return (usual or paths or found or [""])[0]


def _squeeze(command: str) -> str:
    # cron cuts a job at the first unescaped percent sign; its log shows what is before.
    return " ".join(re.split(r"(?<!\\)%", command)[0].replace("\\%", "%").split())


def _journal(host: Host) -> str:
    argv = "journalctl --no-pager --output=json --output-fields=MESSAGE,_SOURCE_REALTIME_TIMESTAMP"
    return host.run(
        [*argv.split(), "-t", "CRON", "-t", "cron", "-t", "crond", "-t", "CROND", "--lines=4000"], whole=False
    )


def parse_runs(text: str) -> Dict[Any, Dict[str, Any]]:
    """The last start of each (user, command) in cron's lines of the journal, and failures where cron logs them."""
    runs: Dict[Any, Dict[str, Any]] = {}
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            message, stamp = str(entry["MESSAGE"]), int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        except (ValueError, KeyError, TypeError):
            continue
        match = _CRON_COMMAND.match(message.strip())
        if match:
            runs[match.group(1), " ".join(match.group(2).split())] = {"last_run": instant(stamp)}
    return runs


PROBES = {"services": services, "cron": cron}
