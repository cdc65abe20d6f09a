#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: database_recovery
short_description: A PostgreSQL server in recovery, looked at before it is promoted
description:
  - C(paused) answers at once whether replay has come to its target and waits there; it is asked again until it has.
  - C(streaming) answers at once whether a standby receives from its primary and has replayed nearly all of it.
  - C(replayed) answers at once whether a standby has replayed the record that begins at O(lsn).
  - A server that has ended, as it does where the target cannot be reached, fails with the end of its log.
  - C(promoted) ends the pause and waits until the server takes writes. Where it does already, nothing is changed.
  - A standby, which pauses at no target, is promoted only with O(not_after).
version_added: 0.5.0
options:
  port:
    description: The server's port.
    type: int
    default: 5432
  account:
    description: The account of the server.
    type: str
    default: postgres
  unit:
    description: The server's unit.
    type: str
    required: true
  log:
    description: The server's log, of which the end is told where it has ended.
    type: path
    default: ""
  state:
    description: What is asked for.
    type: str
    choices: [paused, streaming, replayed, promoted]
    required: true
  lsn:
    description: The record that O(state=replayed) asks for, as pg_controldata tells it.
    type: str
    default: ""
  not_after:
    description:
      - Seconds since this host's start, as in /proc/uptime, after which a standby is no longer promoted.
      - Whoever would start the former primary again waits longer than that. 0 promotes no standby.
    type: float
    default: 0
attributes:
  check_mode:
    description: In check mode nothing is promoted.
    support: full
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Wait for the end of the replay
  database_recovery:
    unit: postgresql@15-main.service
    state: paused
  register: __rebuild_replay
  until: __rebuild_replay.ready
  retries: 100
"""

RETURN = r"""
ready:
  description: Whether the state is reached.
  returned: always
  type: bool
  sample: true
server:
  description: What the server says.
  returned: when it answers
  type: dict
  sample: {system_id: "7711293890311159514", in_recovery: true, paused: true, lsn: 0/9FFFF50, behind: 0}
"""

import time
from typing import Any, Dict, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.database_query import PLACE, DatabaseError, one_object, psql
from ansible.module_utils.detached import JobError, unit_state

QUERY = f"""
select json_build_object({PLACE}
  'paused', case when pg_is_in_recovery() then pg_get_wal_replay_pause_state() = 'paused' else false end,
  'receiving', exists (select from pg_stat_wal_receiver where status = 'streaming'),
  'behind', case when pg_is_in_recovery()
    then pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) else 0 end,
  'last_commit', to_char(pg_last_xact_replay_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
  'databases', (select json_agg(datname order by datname) from pg_database where datallowconn and not datistemplate),
  'collation_differs', (select coalesce(json_agg(datname order by datname), '[]') from pg_database
    where datcollversion <> pg_database_collation_actual_version(oid)))
"""  # noqa: S608  (nothing from outside stands in it)
_PROMOTION_SECONDS = 120
# A standby's promotion has nothing left to replay. The former primary's guard waits longer than this.
_STANDBY_SECONDS = 60
_NEAR_BYTES = 1 << 20


def main() -> None:
    """Look, or end the pause and look until it takes writes."""
    module = AnsibleModule(
        {
            "port": {"type": "int", "default": 5432},
            "account": {"type": "str", "default": "postgres"},
            "unit": {"type": "str", "required": True},
            "log": {"type": "path", "default": ""},
            "state": {
                "type": "str",
                "choices": ["paused", "streaming", "replayed", "promoted"],
                "required": True,
            },
            "lsn": {"type": "str", "default": ""},
            "not_after": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        if asked["state"] != "promoted":
            server = look(asked)
            ready = bool(server and _READY[asked["state"]](server, asked["lsn"]))
            module.exit_json(changed=False, ready=ready, server=server or {})
        before = one_object(asked["port"], QUERY, asked["account"])
        if before["in_recovery"] and not module.check_mode:
            promote(asked, before)
        after = one_object(asked["port"], QUERY, asked["account"])
    except (DatabaseError, JobError) as error:
        module.fail_json(msg=f"{error}{tail(asked['log'])}")
    module.exit_json(changed=before["in_recovery"], ready=not after["in_recovery"], server=after)


def reached(server: Dict[str, Any], _lsn: str) -> bool:
    """At its target, or beyond because an earlier run has promoted it."""
    return bool(server["paused"]) or not server["in_recovery"]


def streams(server: Dict[str, Any], _lsn: str) -> bool:
    """What its primary writes is here at once, and is replayed."""
    near = server["behind"] is not None and server["behind"] <= _NEAR_BYTES
    return bool(server["in_recovery"] and server["receiving"] and near)


def replayed(server: Dict[str, Any], lsn: str) -> bool:
    """A standby's place is the end of the last record that it has replayed: beyond the beginning of this one."""
    return number(server["lsn"]) > number(lsn)


def number(lsn: str) -> int:
    """A place in the WAL, in bytes."""
    high, _slash, low = lsn.partition("/")
    try:
        return (int(high, 16) << 32) + int(low, 16)
    except ValueError:
        raise DatabaseError(f"'{lsn}' is no place in the WAL") from None


_READY = {"paused": reached, "streaming": streams, "replayed": replayed}


def look(asked: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """What the server says; None while it cannot be asked yet. Raises where it has ended."""
    try:
        server: Dict[str, Any] = one_object(asked["port"], QUERY, asked["account"])
    except DatabaseError:
        if unit_state(asked["unit"])["ActiveState"] in ("failed", "inactive"):
            raise DatabaseError("the server has ended instead of coming to its target") from None
        return None
    return server


def promote(asked: Dict[str, Any], before: Dict[str, Any]) -> None:
    """End the pause; recovery has come to its target, so that ends it. A standby is told to."""
    if asked["not_after"]:
        if time.clock_gettime(time.CLOCK_BOOTTIME) > asked["not_after"]:
            raise DatabaseError(
                "it is too late: the former primary may be started again. Nothing was promoted"
            )
        if psql(asked["port"], [f"select pg_promote(true, {_STANDBY_SECONDS})"]).strip() != "t":
            raise DatabaseError(
                f"the standby was told to promote and takes no writes {_STANDBY_SECONDS} s later"
            )
        return
    if not before["paused"]:
        raise DatabaseError("recovery has not come to its target yet: nothing was promoted")
    psql(asked["port"], ["select pg_wal_replay_resume()"], account=asked["account"])
    end = time.monotonic() + _PROMOTION_SECONDS
    while one_object(asked["port"], QUERY, asked["account"])["in_recovery"]:
        if time.monotonic() > end:
            raise DatabaseError(f"the server takes no writes {_PROMOTION_SECONDS} s after its promotion")
        time.sleep(0.2)


def tail(path: str) -> str:
    """The last words of its log that say why, without any values."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line for line in file.readlines()[-200:] if "FATAL:" in line or "PANIC:" in line]
    except OSError:
        return ""
    return f" ({lines[-1].split(': ', 1)[-1].strip()[-300:]})" if lines else ""


if __name__ == "__main__":
    main()
