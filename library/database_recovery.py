#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: database_recovery
short_description: A PostgreSQL server in recovery, looked at before it is promoted
description:
  - C(paused) answers at once whether replay has come to its target and waits there; it is asked again until it has.
  - A server that has ended, as it does where the target cannot be reached, fails with the end of its log.
  - C(promoted) ends the pause and waits until the server takes writes. Where it does already, nothing is changed.
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
    choices: [paused, promoted]
    required: true
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
  sample: {system_id: "7711293890311159514", in_recovery: true, paused: true, lsn: 0/9FFFF50}
"""

import time
from typing import Any, Dict, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.database_query import PLACE, DatabaseError, one_object, psql
from ansible.module_utils.detached import JobError, unit_state

QUERY = f"""
select json_build_object({PLACE}
  'paused', case when pg_is_in_recovery() then pg_get_wal_replay_pause_state() = 'paused' else false end,
  'last_commit', to_char(pg_last_xact_replay_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
  'databases', (select json_agg(datname order by datname) from pg_database where datallowconn and not datistemplate),
  'collation_differs', (select coalesce(json_agg(datname order by datname), '[]') from pg_database
    where datcollversion <> pg_database_collation_actual_version(oid)))
"""  # noqa: S608  (nothing from outside stands in it)
_PROMOTION_SECONDS = 120


def main() -> None:
    """Look, or end the pause and look until it takes writes."""
    module = AnsibleModule(
        {
            "port": {"type": "int", "default": 5432},
            "account": {"type": "str", "default": "postgres"},
            "unit": {"type": "str", "required": True},
            "log": {"type": "path", "default": ""},
            "state": {"type": "str", "choices": ["paused", "promoted"], "required": True},
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        if asked["state"] == "paused":
            server = look(asked)
            module.exit_json(changed=False, ready=bool(server and reached(server)), server=server or {})
        before = one_object(asked["port"], QUERY, asked["account"])
        if before["in_recovery"] and not module.check_mode:
            promote(asked, before)
        after = one_object(asked["port"], QUERY, asked["account"])
    except (DatabaseError, JobError) as error:
        module.fail_json(msg=f"{error}{tail(asked['log'])}")
    module.exit_json(changed=before["in_recovery"], ready=not after["in_recovery"], server=after)


def reached(server: Dict[str, Any]) -> bool:
    """At its target, or beyond because an earlier run has promoted it."""
    return bool(server["paused"]) or not server["in_recovery"]


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
    """End the pause; recovery has come to its target, so that ends it."""
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
