#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: database_restore
short_description: A whole database of a restored copy, brought beside the live one and exchanged with it by name
description:
  - C(checked) asks production whether it can be made; one that an earlier run has not proven is dropped.
  - C(prepared) gives the copy's database its new name; pg_dump and psql then bring it. C(proven) compares rows and digest
    of every table, and only then lets the new one say that it may be used.
  - C(exchanged) sends everybody away and renames both in one transaction; C(returned) is the same way back. The former
    one keeps every row and takes no connections.
version_added: 0.5.0
options:
  state:
    description: The step.
    type: str
    choices: [checked, prepared, proven, exchanged, returned]
    required: true
  database:
    description: The database of the application.
    type: str
    required: true
  instant:
    description: The instant as a person wrote it; its digits are part of the names.
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
  server:
    description: What the copy said of itself when it had come to its target.
    type: dict
    default: {}
  since:
    description: How many transactions production has committed that the copy has not, and where its log is.
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
- name: Let the restored database take the place of the live one
  database_restore:
    state: exchanged
    database: dialysis
    instant: 2026-11-23 02:10:00+08:00
"""

RETURN = r"""
names:
  description: The three names.
  returned: success
  type: dict
  sample: {live: dialysis, side: dialysis_restored_20261123021000, before: dialysis_before_20261123021000}
there:
  description: Whether a proven one is there already.
  returned: with C(checked)
  type: bool
  sample: false
bytes:
  description: How large the database is.
  returned: with C(prepared)
  type: int
  sample: 8192000
free_bytes:
  description: The room that production has for it.
  returned: with C(prepared)
  type: int
  sample: 90000000000
proven:
  description: Whether every table is equal.
  returned: with C(proven)
  type: bool
  sample: true
evidence:
  description: The findings RST-ROW-01, RST-TGT-01 and RST-LOS-01, or RST-XCH-01.
  returned: with C(proven), C(exchanged), C(returned)
  type: list
  elements: dict
  sample: [{id: RST-XCH-01, verdict: pass}]
"""

import os
import time
from typing import Any, Dict

from ansible.module_utils import database_restore as restores
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.database_query import DatabaseError, one_object, psql
from ansible.module_utils.table_restore import TableError, proven

ARGUMENTS: Dict[str, Any] = {
    "state": {
        "type": "str",
        "choices": ["checked", "prepared", "proven", "exchanged", "returned"],
        "required": True,
    },
    "database": {"type": "str", "required": True},
    "instant": {"type": "str", "required": True},
    "port": {"type": "int", "default": 5432},
    "copy_port": {"type": "int", "default": 5499},
    "account": {"type": "str", "default": "postgres"},
    "jobs": {"type": "int", "default": 2},
    "server": {"type": "dict", "default": {}},
    "since": {"type": "dict", "default": {}},
    "language": {"type": "str", "choices": ["zh", "en"], "default": "zh"},
}
_SECONDS = 86400


def main() -> None:
    """One step."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    asked = module.params
    try:
        names = restores.names_of(asked["database"], asked["instant"])
        answer = act(asked, names, module.check_mode)
    except (TableError, DatabaseError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**{"changed": False, "names": names._asdict(), **answer})


def act(asked: Dict[str, Any], names: restores.Names, check_mode: bool) -> Dict[str, Any]:
    """What is asked for."""
    port, account, zh = asked["port"], asked["account"], asked["language"] == "zh"
    if asked["state"] == "checked":
        there, ours = restores.check(port, account, names)
        if not check_mode:
            if ours:
                restores.clear(port, account, names)
            # A recovery knows by a commit behind the instant that it has come so far; at night there may be none.
            psql(port, ["select txid_current()"], account=account)
        return {"there": there, "changed": ours}
    if check_mode:
        return {"changed": asked["state"] in ("exchanged", "returned")}
    if asked["state"] == "prepared":
        directory = one_object(port, "select to_json(current_setting('data_directory'))", account)
        space = os.statvfs(directory)
        size = restores.prepare(asked["copy_port"], account, names)
        return {"bytes": size, "free_bytes": space.f_bavail * space.f_frsize}
    if asked["state"] == "proven":
        limits = restores.Limits(asked["jobs"], _SECONDS, _SECONDS)
        compared = restores.prove((port, asked["copy_port"]), account, names, limits)
        if proven(compared):
            restores.seal(port, account, names, f"{asked['instant']}, LSN {asked['server'].get('lsn', '-')}")
        return {
            "changed": True,
            "proven": proven(compared),
            "evidence": [
                *restores.findings(compared, names, asked["server"], zh),
                restores.lost(asked["since"], asked["server"], names, zh),
            ],
        }
    back = asked["state"] == "returned"
    began = time.monotonic()
    changed = (restores.take_back if back else restores.exchange)(port, account, names)
    return {
        "changed": changed,
        "evidence": restores.exchanged(names, time.monotonic() - began, back, zh),
    }


if __name__ == "__main__":
    main()
