#!/usr/bin/python

from __future__ import annotations

DOCUMENTATION = r"""
module: login_history
short_description: Read who logged in over ssh, and how far back the logs of that reach
description:
  - Reads what sshd wrote about accepted logins, from the journal and, where that does not reach back far enough, from
    F(/var/log/auth.log) or F(/var/log/secure) with what was rotated away from them.
  - Changes nothing, needs nothing but Python's standard library, and reads everything in one call.
  - Says how far back the logs reach. A log that begins later than O(since) is a gap, and not a time without logins.
author:
  - Dialysis maintenance (@dialysis-maintenance)
options:
  since:
    description: Instant (RFC 3339, UTC, whole seconds) from which logins are wanted.
    type: str
    required: true
  maximum:
    description: The most logins to return; the newest are kept and the others counted.
    type: int
    default: 5000
  seconds:
    description: Time for reading; what could not be read until then is a gap.
    type: int
    default: 60
  files:
    description: Log files to read besides the journal, each with what was rotated away from it.
    type: list
    elements: path
    default: [/var/log/auth.log, /var/log/secure]
"""

EXAMPLES = r"""
- name: Read the logins of this quarter
  login_history:
    since: "2026-10-01T00:00:00Z"
  register: logins
"""

RETURN = r"""
snapshot:
  description:
    - C(logins), oldest first, each with C(time), C(ended), C(user), C(source), C(port), C(method), C(key) (its
      fingerprint), C(key_type), C(certificate) and C(authority).
    - C(reaches_back_to) is the instant of the oldest line that was read, C(complete) whether that is before O(since)
      and nothing was left out, C(problems) what could not be read, C(now) the host's own clock.
  returned: always
  type: dict
"""

import gzip
import json
import os
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.login_lines import Logins, instant, relevant, seconds, sshd_of, stamp

LINE = 4096  # bytes of a line that are looked at
FIELDS = "MESSAGE,_PID,SYSLOG_PID,SYSLOG_IDENTIFIER,_UID"


class Reading:
    """What was read so far."""

    def __init__(self, since, maximum, deadline):
        self.since = since
        self.maximum = maximum
        self.deadline = deadline
        self.messages = []  # (seconds, pid, message): the same line may come from journal and file
        self.reaches = None
        self.sources = []
        self.problems = []

    def reached(self, at):
        """A line of a log that has this time."""
        self.reaches = at if self.reaches is None else min(self.reaches, at)

    def late(self):
        """Whether there is no time left."""
        return time.monotonic() > self.deadline


def journal(reading, run):
    """Everything that sshd wrote into the journal, and the journal's first line."""
    first = next(run(["-o", "json", "--output-fields=_UID"]), None)
    if first is None:
        return
    reading.reached(int(first["__REALTIME_TIMESTAMP"]) // 1000000)
    wanted = ["SYSLOG_IDENTIFIER=sshd", "SYSLOG_IDENTIFIER=sshd-session"]
    since = "--since=@%d" % reading.since
    for entry in run(["-o", "json", "--output-fields=" + FIELDS, since, *wanted]):
        message = entry.get("MESSAGE")
        # Any account can write under the name of sshd; the uid is the kernel's word.
        if isinstance(message, str) and entry.get("_UID") == "0" and relevant(message):
            pid = str(entry.get("SYSLOG_PID") or entry.get("_PID") or "")
            reading.messages.append((int(entry["__REALTIME_TIMESTAMP"]) // 1000000, pid, message[:LINE]))
        if reading.late():
            reading.problems.append("the journal was not read to its end in time")
            return
    reading.sources.append("journal")


def run_journalctl(arguments):
    """The lines of journalctl, parsed, as they come; ended when the reader has enough."""
    environment = dict(os.environ, LC_ALL="C", SYSTEMD_COLORS="0")
    process = subprocess.Popen(
        ["journalctl", "--no-pager", "--quiet", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        for line in process.stdout:
            try:
                entry = json.loads(line.decode("utf-8", "replace"))
            except ValueError:
                continue
            if isinstance(entry, dict) and str(entry.get("__REALTIME_TIMESTAMP", "")).isdigit():
                yield entry
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def rotated(path):
    """A log and what was rotated away from it, newest first."""
    folder, name = os.path.split(path)
    try:
        names = [
            item for item in os.listdir(folder) if item == name or item.startswith((name + ".", name + "-"))
        ]
    except OSError:
        return []
    found = []
    for item in names:
        whole = os.path.join(folder, item)
        try:
            found.append((os.stat(whole).st_mtime, whole))
        except OSError:
            continue
    return [whole for _time, whole in sorted(found, reverse=True)]


def log_file(reading, path):
    """One file of a log; True where it begins before what is wanted, so that older ones need not be read."""
    latest = os.stat(path).st_mtime
    open_ = gzip.open if path.endswith(".gz") else open
    first = None
    with open_(path, "rb") as file:
        for number, raw in enumerate(file):
            if number % 10000 == 0 and reading.late():
                reading.problems.append("%s was not read to its end in time" % path)
                return True
            if first is not None and b"sshd" not in raw:
                continue
            stamped = stamp(raw[:LINE].decode("utf-8", "replace").rstrip("\n"), latest)
            if stamped is None:
                continue
            first = stamped[0] if first is None else first
            message = sshd_of(stamped[1])
            if message and stamped[0] >= reading.since and relevant(message[1]):
                reading.messages.append((stamped[0], message[0], message[1]))
    reading.sources.append(path)
    if first is not None:
        reading.reached(first)
    return first is not None and first <= reading.since


def log_files(reading, paths):
    """Log files, newest first, until one begins before what is wanted."""
    for path in paths:
        for name in rotated(path):
            if name.endswith((".xz", ".zst", ".bz2")):
                reading.problems.append("%s is packed in a way that is not read" % name)
                continue
            try:
                if log_file(reading, name):
                    break
            except (OSError, EOFError) as error:
                reading.problems.append("%s cannot be read: %s" % (name, error))


def read_logins(parameters, run=run_journalctl):
    """Everything there is to say; raises ValueError for an instant that is none."""
    since = seconds(parameters["since"])
    reading = Reading(since, parameters["maximum"], time.monotonic() + parameters["seconds"])
    try:
        journal(reading, run)
    except OSError as error:
        reading.problems.append("journalctl cannot be run: %s" % error.strerror)
    if reading.reaches is None or reading.reaches > since:
        log_files(reading, parameters["files"])
    logins = Logins(reading.maximum)
    told = set()
    for at, pid, message in sorted(reading.messages):
        # Journal and file may differ by a second about the same line.
        if not any((at + shift, pid, message) in told for shift in (-1, 0, 1)):
            logins.take(at, pid, message)
        told.add((at, pid, message))
    if reading.reaches is None:
        reading.problems.append("no log of logins was found")
    if logins.dropped:
        reading.problems.append("%d older logins were left out" % logins.dropped)
    reaches = reading.reaches
    if logins.dropped and logins.found:
        reaches = seconds(logins.found[0]["time"])
    return {
        "schema": "login-history/1",
        "since": parameters["since"],
        "now": instant(time.time()),
        "reaches_back_to": None if reaches is None else instant(reaches),
        "complete": reaches is not None and reaches <= since and not reading.problems,
        "sources": reading.sources,
        "problems": reading.problems,
        "logins": logins.found,
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "since": {"type": "str", "required": True},
            "maximum": {"type": "int", "default": 5000},
            "seconds": {"type": "int", "default": 60},
            "files": {
                "type": "list",
                "elements": "path",
                "default": ["/var/log/auth.log", "/var/log/secure"],
            },
        },
        supports_check_mode=True,
    )
    try:
        snapshot = read_logins(module.params)
    except ValueError as error:
        module.fail_json(msg="since: %s" % error)
    module.exit_json(changed=False, snapshot=snapshot)


if __name__ == "__main__":
    main()
