"""Probe of cron, anacron and at.

Of a job only its program is kept: command lines hold passwords more often than anyone would like."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Iterator, List, Optional

from ansible.module_utils.snapshot_host import Host
from ansible.module_utils.snapshot_text import bounded, content_lines, instant

_MAXIMUM = 500
_CRON_COMMAND = re.compile(r"^\((.+?)\) CMD \((.*)\)$", re.DOTALL)
# What only asks or prepares, before the program that the job is about.
_PREPARES = frozenset(
    ["test", "[", "[[", "cd", "command", "export", "sleep", "umask", "set", "echo", ":", "true", "if", "."]
)
# What only starts another program; a number says how many arguments of its own come first.
_STARTS = {
    "nice": 0,
    "ionice": 0,
    "env": 0,
    "chronic": 0,
    "nohup": 0,
    "exec": 0,
    "timeout": 1,
    "flock": 1,
    "then": 0,
}
_SHELLS = frozenset(["sh", "bash", "dash", "ksh"])


def cron(host: Host) -> Dict[str, Any]:
    """Jobs of cron, anacron and at, with the last run that the journal knows."""
    jobs = list(_cron_jobs(host))
    if any(host.program(name) for name in ("cron", "crond")):
        with host.noting("last_run"):
            runs = parse_runs(_journal(host))
            for job in jobs:
                job.update(runs.get((job["user"], _squeeze(job["command"])), {}))
    for job in jobs:
        command = job.pop("command")
        job["program"] = program_of(command)
        guarded = re.search(r"(?:test|\[+) +-\w +" + re.escape(job["program"]) + r"\b", command)
        job["missing"] = job["program"].startswith("/") and not guarded and not host.exists(job["program"])
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
        if re.match(r"\w+\s*=", line):
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
    """The program that a command line is about: `cd / && nice /opt/backup.sh --full` is about /opt/backup.sh."""
    found = [_program(part.split()[:40]) for part in re.split(r"&&|\|\||[;|]", command[:4096])]
    return next((program for program in found if program), "")


def _program(words: List[str]) -> str:
    """The program of one simple command, or nothing when it only prepares for another."""
    words = [word.strip("\"'(){}") for word in words]
    skip = 0
    for position, word in enumerate(words):
        name = word.rsplit("/", 1)[-1]
        if not word or re.match(r"[A-Za-z_]\w*=", word) or word.startswith(("-", ">", "<", "2>", "&")):
            continue
        if name in _PREPARES:
            return ""
        if skip or word.isdecimal():
            skip = max(0, skip - 1)
        elif name in _STARTS:
            skip = _STARTS[name]
        elif name in _SHELLS or name == "run-parts":
            rest = [other for other in words[position + 1 :] if other.startswith("/")]
            return rest[0] if rest else word
        else:
            return word
    return ""


def _squeeze(command: str) -> str:
    # cron cuts a job at the first unescaped percent sign; its log shows what is before.
    return " ".join(re.split(r"(?<!\\)%", command)[0].replace("\\%", "%").split())


def _journal(host: Host) -> str:
    argv = ["journalctl", "--no-pager", "--output=json", "--output-fields=MESSAGE", "--lines=4000"]
    return host.run([*argv, "-t", "CRON", "-t", "cron", "-t", "crond", "-t", "CROND"], whole=False)


def parse_runs(text: str) -> Dict[Any, Dict[str, Any]]:
    """The last start of each (user, command) in cron's lines of the journal."""
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


PROBES = {"cron": cron}
