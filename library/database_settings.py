#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: database_settings
short_description: Settings of a PostgreSQL server that need a reload
description:
  - Writes settings with C(ALTER SYSTEM), reloads, and looks whether the server really uses them.
  - Fails where a setting needs a restart or a file, a role or the command line overrides it, and says which.
version_added: 0.4.0
options:
  port:
    description: The server's port.
    type: int
    default: 5432
  account:
    description: The account of the server.
    type: str
    default: postgres
  settings:
    description: Names and values. An empty value resets to the default.
    type: dict
    required: true
attributes:
  check_mode:
    description: It compares and changes nothing.
    support: full
  diff_mode:
    description: Each setting before and after.
    support: full
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Archive every segment
  database_settings:
    settings:
      archive_command: pgbackrest --stanza=dialysis archive-push %p
      archive_timeout: 60s
"""

RETURN = r"""
before:
  description: The values before, of what differs.
  returned: always
  type: dict
  sample: {archive_command: /bin/true}
"""

import time
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.database_query import DatabaseError, literal, name, one_object, psql

_PATIENCE_SECONDS = 10


def main() -> None:
    """Compare, write, reload, look."""
    module = AnsibleModule(
        {
            "port": {"type": "int", "default": 5432},
            "account": {"type": "str", "default": "postgres"},
            "settings": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    port, account = module.params["port"], module.params["account"]
    wanted = {key: str(value) for key, value in module.params["settings"].items()}
    try:
        now = read(port, account, list(wanted))
        before = {key: now[key] for key in wanted if now[key] != wanted[key]}
        if before and not module.check_mode:
            apply(port, account, {key: wanted[key] for key in before})
    except DatabaseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(before),
        before=before,
        diff=[
            {
                "before_header": f"PostgreSQL {port}: {key}",
                "after_header": f"PostgreSQL {port}: {key}",
                "before": before[key],
                "after": wanted[key],
            }
            for key in before
        ],
    )


def read(port: int, account: str, names: List[str]) -> Dict[str, Any]:
    """What the server uses, as a person writes it."""
    parts = [f"{literal(name(key))}, current_setting({literal(key)})" for key in names]
    found: Dict[str, Any] = one_object(port, f"select json_build_object({', '.join(parts)})", account)
    return found


def apply(port: int, account: str, settings: Dict[str, str]) -> None:
    """Write them, and wait until the server uses them."""
    statements = [
        f"alter system set {name(key)} = {literal(value)}" if value else f"alter system reset {name(key)}"
        for key, value in settings.items()
    ]
    psql(port, [*statements, "select pg_reload_conf()"], account=account)
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        now = read(port, account, list(settings))
        unlike = sorted(key for key, value in settings.items() if value and now[key] != value)
        if not unlike:
            return
        if time.monotonic() > end:
            raise DatabaseError(
                f"PostgreSQL {port} still uses {unlike[0]} = {now[unlike[0]]}: "
                "it needs a restart, or something overrides it"
            )
        time.sleep(0.2)


if __name__ == "__main__":
    main()
