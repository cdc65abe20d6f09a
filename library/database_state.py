#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: database_state
short_description: What a PostgreSQL server is set to, as one digest, and which transactions it has committed
description:
  - Digests all settings and the files that hold them, so that before and after can be compared. No setting is told.
  - Counts the transactions that were committed from one number on. Nothing is written.
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
  since_transaction:
    description: Count the transactions that were committed from this number on; 0 counts none.
    type: int
    default: 0
  before_transaction:
    description: Count them below this number; 0 counts up to now.
    type: int
    default: 0
  asked_seconds:
    description: When the question was asked by the asker's clock, in seconds since 1970; given back beside the answer.
    type: float
    default: 0.0
attributes:
  check_mode:
    description: It changes nothing anyway.
    support: full
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Read what production is set to
  database_state:
  register: __drill_before
"""

RETURN = r"""
state:
  description: What there is.
  returned: always
  type: dict
  sample:
    system_id: "7711293890311159514"
    timeline: 1
    in_recovery: false
    lsn: 0/5000028
    digest: 9a0f…
    next_transaction: 812
    now_seconds: 1795400000.5
    load: 0.4
    failed_count: 0
    last_archived: "000000010000000000000005"
asked_seconds:
  description: O(asked_seconds), so that C(state.now_seconds) lies between it and the moment at which the answer is read.
  returned: when it is given
  type: float
  sample: 1795400000.0
committed:
  description: How many were committed from O(since_transaction) on; null where they are too many or too old.
  returned: when O(since_transaction) is given
  type: int
  sample: 12
"""

import hashlib
import os
from typing import Any, Dict, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.database_query import PLACE, DatabaseError, one_object

QUERY = f"""
select json_build_object({PLACE}
  'settings', (select json_agg(json_build_array(name, setting) order by name) from pg_settings
    where source not in ('client', 'session', 'interactive')),
  'files', array(select setting from pg_settings where name in ('config_file', 'hba_file', 'ident_file') order by name)
    || (current_setting('data_directory') || '/postgresql.auto.conf'),
  'next_transaction', txid_snapshot_xmax(txid_current_snapshot()),
  'now_seconds', extract(epoch from clock_timestamp()),
  'failed_count', (select failed_count from pg_stat_archiver),
  'last_archived', (select last_archived_wal from pg_stat_archiver))
"""  # noqa: S608
_LIMIT = 5000000


def main() -> None:
    """Read, digest, count."""
    module = AnsibleModule(
        {
            "port": {"type": "int", "default": 5432},
            "account": {"type": "str", "default": "postgres"},
            "since_transaction": {"type": "int", "default": 0},
            "before_transaction": {"type": "int", "default": 0},
            "asked_seconds": {"type": "float", "default": 0.0},
        },
        supports_check_mode=True,
    )
    asked = module.params
    answer: Dict[str, Any] = {"changed": False}
    try:
        state = one_object(asked["port"], QUERY, asked["account"])
        digest = hashlib.sha256(repr(state.pop("settings")).encode())
        for path in state.pop("files"):
            digest.update(contents(path))
        answer["state"] = {**state, "digest": digest.hexdigest(), "load": os.getloadavg()[0]}
        if asked["asked_seconds"]:
            answer["asked_seconds"] = asked["asked_seconds"]
        if asked["since_transaction"]:
            answer["committed"] = committed(
                asked, asked["before_transaction"] or int(state["next_transaction"])
            )
    except (DatabaseError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**answer)


def contents(path: str) -> bytes:
    """A file that may not be there."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def committed(asked: Dict[str, Any], before: int) -> Optional[int]:
    """How many transactions of these numbers are committed; None where the server cannot tell."""
    first = int(asked["since_transaction"])
    if before - first > _LIMIT:
        return None
    query = (
        "select json_build_object('unknown', count(*) filter (where txid_status(x) is null), "  # noqa: S608
        "'committed', count(*) filter (where txid_status(x) = 'committed')) "
        f"from generate_series({first}, {before} - 1) as x"
    )
    found = one_object(int(asked["port"]), query, str(asked["account"]))
    return None if found["unknown"] else int(found["committed"])


if __name__ == "__main__":
    main()
