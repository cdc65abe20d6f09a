#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: table_restore
short_description: Tables of a restored copy, brought into a schema of their own beside the live ones
description:
  - C(checked) asks production whether the schema can be made; one that an earlier run has not proven is dropped.
  - C(prepared) moves the tables of the copy, which is thrown away afterwards, into that schema, without what reaches out
    of it (foreign keys, triggers, defaults, policies); pg_dump and psql then bring it, in one transaction.
  - C(proven) compares rows and digest of every table on both sides, and only then says in the schema's comment where it
    comes from.
version_added: 0.5.0
options:
  state:
    description: The step.
    type: str
    choices: [checked, prepared, proven]
    required: true
  tables:
    description: The tables, each as C(database.schema.table).
    type: list
    elements: str
    required: true
  schema:
    description: The new schema. Nothing of this name may be there.
    type: str
    required: true
  port:
    description: Production's port.
    type: int
    default: 5432
  copy_port:
    description: The port of the copy.
    type: int
    default: 5499
  account:
    description: The account of both servers.
    type: str
    default: postgres
  jobs:
    description: How many tables are read at a time.
    type: int
    default: 2
  origin:
    description: What the schema's comment says once its rows are proven.
    type: str
    default: ""
  server:
    description: What the copy said of itself when it had come to its target.
    type: dict
    default: {}
  dropped:
    description: What C(prepared) told of RV(dropped).
    type: dict
    default: {}
  language:
    description: Language of the findings.
    type: str
    choices: [zh, en]
    default: zh
attributes:
  check_mode:
    description: Nothing is changed; C(checked) looks.
    support: full
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Compare what was brought with the copy
  table_restore:
    state: proven
    tables: [dialysis.dialysis.sessions]
    schema: restored_20261123_021000
"""

RETURN = r"""
databases:
  description: The databases that the tables are of.
  returned: with C(checked)
  type: list
  elements: str
  sample: [dialysis]
bytes:
  description: How large tables and indexes are.
  returned: with C(prepared)
  type: int
  sample: 8192000
free_bytes:
  description: The room that production has for them.
  returned: with C(prepared)
  type: int
  sample: 90000000000
dropped:
  description: What does not come with the tables, by kind.
  returned: with C(prepared)
  type: dict
  sample: {foreign key: 2, trigger: 1}
tables:
  description: Every table of the schema with rows and verdict.
  returned: with C(proven)
  type: list
  elements: dict
  sample: [{database: dialysis, table: restored_20261123_021000.sessions, rows: 1958, verdict: equal, reason: ""}]
proven:
  description: Whether all of them are equal.
  returned: with C(proven)
  type: bool
  sample: true
evidence:
  description: The findings RST-ROW-01, RST-TGT-01 and RST-LFT-01.
  returned: with C(proven)
  type: list
  elements: dict
  sample: [{id: RST-ROW-01, verdict: pass}]
"""

import os
from typing import Any, Dict

from ansible.module_utils import table_restore as restores
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.database_query import DatabaseError, one_object, psql

ARGUMENTS: Dict[str, Any] = {
    "state": {"type": "str", "choices": ["checked", "prepared", "proven"], "required": True},
    "tables": {"type": "list", "elements": "str", "required": True},
    "schema": {"type": "str", "required": True},
    "port": {"type": "int", "default": 5432},
    "copy_port": {"type": "int", "default": 5499},
    "account": {"type": "str", "default": "postgres"},
    "jobs": {"type": "int", "default": 2},
    "origin": {"type": "str", "default": ""},
    "server": {"type": "dict", "default": {}},
    "dropped": {"type": "dict", "default": {}},
    "language": {"type": "str", "choices": ["zh", "en"], "default": "zh"},
}
_SECONDS = 86400


def main() -> None:
    """One step."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        answer = act(module.params, module.check_mode)
    except (restores.TableError, DatabaseError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**{"changed": False, **answer})


def act(asked: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """What is asked for."""
    tables, schema, account = restores.parsed(asked["tables"]), asked["schema"], asked["account"]
    if asked["state"] == "checked":
        ours = restores.check_production(asked["port"], account, tables, schema)
        if not check_mode:
            restores.clear(asked["port"], account, ours, schema)
            # A recovery knows by a commit behind the instant that it has come so far; at night there may be none.
            psql(asked["port"], ["select txid_current()"], account=account)
        return {"databases": sorted(tables), "changed": bool(ours)}
    if check_mode:
        return {}
    if asked["state"] == "prepared":
        directory = one_object(asked["port"], "select to_json(current_setting('data_directory'))", account)
        space = os.statvfs(directory)
        told = restores.prepare(asked["copy_port"], account, tables, schema)
        return {**told, "free_bytes": space.f_bavail * space.f_frsize}
    limits = restores.Limits(asked["jobs"], _SECONDS, _SECONDS)
    compared = restores.prove((asked["port"], asked["copy_port"]), account, tables, schema, limits)
    proven = restores.proven(compared)
    if proven:
        restores.seal(asked["port"], account, tables, schema, asked["origin"])
    zh = asked["language"] == "zh"
    return {
        "changed": True,
        "proven": proven,
        "tables": compared,
        "evidence": restores.findings(compared, schema, asked["dropped"], asked["server"], zh),
    }


if __name__ == "__main__":
    main()
