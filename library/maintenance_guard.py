#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: maintenance_guard
short_description: Refuse a change while dialysis could be hurt
description:
  - Fails while dialysis sessions are open, outside of the site's window, or without a recent backup.
  - Runs on the host that has the database. It reads and changes nothing.
  - What cannot be read refuses as well. In check mode it warns and does not fail, so that a change can be planned by day.
version_added: 0.3.0
options:
  sessions:
    description:
      - How to count open sessions. C(database), C(query) (must give one number) and C(port) of a PostgreSQL on this host.
      - C(none) where the hospital has decided that no such question is asked.
    type: raw
    required: true
  backup_hours:
    description: How old the newest backup in pgBackRest's repository may be; 0 does not ask.
    type: float
    default: 26
  window:
    description: Time of day in which the change may be made, as C(22:00-05:00,12:00-13:00), or C(any).
    type: str
    required: true
  time_zone:
    description: The hospital's time zone, which the window is meant in; empty for that of the host.
    type: str
    default: ""
attributes:
  check_mode:
    description: It warns and does not fail.
    support: full
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Refuse while sessions are open
  maintenance_guard:
    sessions:
      port: 5432
      database: dialysis
      query: "SELECT count(*) FROM session WHERE state = 'running'"
    window: 22:00-05:00
"""

RETURN = r"""
open_sessions:
  description: How many sessions are open.
  returned: when it was asked
  type: int
  sample: 0
backup_age_hours:
  description: Hours since the newest backup without errors ended.
  returned: when it was asked
  type: float
  sample: 7.5
reasons:
  description: Why the change is refused; empty when it is not.
  returned: always
  type: list
  elements: str
  sample: []
"""

import json
import os
import re
import subprocess
import time
from typing import Any, Dict, List, Optional, Tuple

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.database_query import command
from ansible.module_utils.resource import run, said

_TIME = r"([01]?\d|2[0-4]):([0-5]\d)"
AS_POSTGRES = ["runuser", "-u", "postgres", "--"]


def main() -> None:
    """Ask all three, so that an engineer reads all reasons at once."""
    module = AnsibleModule(
        argument_spec={
            "sessions": {"type": "raw", "required": True},
            "backup_hours": {"type": "float", "default": 26},
            "window": {"type": "str", "required": True},
            "time_zone": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    answer: Dict[str, Any] = {"changed": False}
    reasons = [outside_now(module.params["window"], module.params["time_zone"])]
    count, reason = open_sessions(module.params["sessions"])
    reasons.append(reason)
    if count is not None:
        answer["open_sessions"] = count
    if module.params["backup_hours"] > 0:
        asked = module.params["sessions"]
        age, reason = backup_age(str(asked.get("port", 5432)) if isinstance(asked, dict) else "5432")
        if age is not None:
            answer["backup_age_hours"] = round(age, 1)
            if age > module.params["backup_hours"]:
                reason = f"the last backup is {age:.0f} h old, more than {module.params['backup_hours']:g} h"
        reasons.append(reason)
    answer["reasons"] = [reason for reason in reasons if reason]
    if answer["reasons"] and not module.check_mode:
        module.fail_json(msg="refused: " + "; ".join(answer["reasons"]), **answer)
    if answer["reasons"]:
        module.warn("would be refused now: " + "; ".join(answer["reasons"]))
    module.exit_json(**answer)


def outside_now(windows: str, zone: str) -> str:
    """Why the present time in this zone lies in no window, or ''. A server may well keep UTC, and a window no zone."""
    if zone and windows != "any":
        if not re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", zone) or not os.path.isfile(
            f"/usr/share/zoneinfo/{zone}"
        ):
            return f"harden_time_zone: this host does not know the time zone '{zone}'"
        os.environ["TZ"] = zone
        time.tzset()
    now = time.localtime()
    return outside(windows, now.tm_hour * 60 + now.tm_min)


def outside(windows: str, minute: int) -> str:
    """Why this minute of the day lies in no window, or ''."""
    if windows == "any":
        return ""
    if not windows:
        return "no window is configured: set harden_window in the site's inventory, as 22:00-05:00"
    for window in windows.split(","):
        match = re.fullmatch(rf"\s*{_TIME}-{_TIME}\s*", window, re.ASCII)
        if not match:
            return f"harden_window: '{window}' is no window, as 22:00-05:00"
        begin, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
        if begin <= minute < end if begin <= end else minute >= begin or minute < end:
            return ""
    return f"it is {minute // 60:02d}:{minute % 60:02d}, outside of {windows}"


def open_sessions(asked: Any) -> Tuple[Optional[int], str]:
    """How many sessions are open, and why that refuses."""
    if asked == "none":
        return None, ""
    if not isinstance(asked, dict) or not {"database", "query"} <= set(asked):
        return None, (
            "nobody can tell whether dialysis goes on: set harden_sessions (port, database, query) in the "
            "site's inventory"
        )
    # A standby may be behind, and would tell of sessions that have long begun as of none.
    done = _psql(
        str(asked.get("port", 5432)), asked["database"], "select pg_is_in_recovery()", asked["query"]
    )
    standby, _, text = done.stdout.strip().partition("\n")
    if done.returncode == 0 and standby == "t":
        return (
            None,
            "the question for open sessions was put to a standby: set harden_database_host to the primary",
        )
    if done.returncode != 0 or standby != "f" or not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return None, f"the question for open sessions was not answered with a number: {said(done)}"
    return int(text), f"{text} dialysis sessions are open" if int(text) else ""


def backup_age(port: str) -> Tuple[Optional[float], str]:
    """Hours since the newest sound backup of the database on this port ended, or why that is not known."""
    asked = _psql(port, "postgres", "select system_identifier from pg_control_system()")
    identifier = asked.stdout.strip()
    if asked.returncode != 0 or not identifier.isdecimal():
        return None, f"which backups are this database's is not known: {said(asked)}"
    done = run([*AS_POSTGRES, "pgbackrest", "info", "--output=json"])
    if done.returncode != 0:
        return None, f"pgbackrest info: {said(done)}"
    try:
        stops: List[float] = [
            float(backup["timestamp"]["stop"])
            for stanza in json.loads(done.stdout)
            for own in [{one["id"] for one in stanza.get("db", []) if str(one["system-id"]) == identifier}]
            for backup in stanza.get("backup", [])
            if not backup.get("error") and backup["database"]["id"] in own
        ]
    except (ValueError, KeyError, TypeError):
        return None, "pgbackrest info gave no list of backups"
    if not stops:
        return None, "there is no backup of this database without errors"
    age = (time.time() - max(stops)) / 3600
    if age < 0:
        return None, "the last backup ended in the future: a clock is wrong, and its age is not known"
    return age, ""


def _psql(port: str, database: str, *queries: str) -> "subprocess.CompletedProcess[str]":
    """What a database answers, a line or more for each query."""
    return run([*command(int(port), database), *(part for query in queries for part in ("-c", query))])


if __name__ == "__main__":
    main()
