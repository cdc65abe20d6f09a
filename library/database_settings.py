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
    description: Names and values, in any unit of PostgreSQL.
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

import re
import time
from typing import Any, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.database_query import DatabaseError, literal, name, one_object, psql

_PATIENCE_SECONDS = 10
_UNITS = {
    **{"kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40},
    **{"us": 1, "ms": 10**3, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6},
}


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
        before = {key: now[key]["shown"] for key in wanted if not same(wanted[key], now[key])}
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


def read(port: int, account: str, names: List[str]) -> Dict[str, Dict[str, Any]]:
    """What the server uses: as it is shown, as it is kept, and the unit that it is kept in."""
    listed = ", ".join(literal(name(key)) for key in names)
    columns = "json_build_object('shown', current_setting(name), 'kept', setting, 'unit', unit)"
    query = f"select json_object_agg(name, {columns}) from pg_settings where name in ({listed})"  # noqa: S608
    found: Dict[str, Dict[str, Any]] = one_object(port, query, account) or {}
    unknown = sorted(set(names) - set(found))
    if unknown:
        raise DatabaseError(f"PostgreSQL {port} knows no setting {unknown[0]}")
    return found


def same(wanted: str, now: Dict[str, Any]) -> bool:
    """Whether the server uses this value, however it is written: 60s is 1min."""
    if wanted in (now["shown"], now["kept"]):
        return True
    value, kept = amount(wanted), amount(f"{now['kept']}{now['unit'] or ''}")
    return value is not None and value == kept


def amount(text: str) -> Optional[int]:
    """A number with a unit of PostgreSQL, in bytes or microseconds; None where it is none. 8kB is a unit as well."""
    match = re.match(r"(-?\d+)\s*(?:(8)?(kB|MB|GB|TB)|(us|ms|s|min|h|d))\Z", text)
    if not match:
        return None
    pages, size, period = match.group(2, 3, 4)
    return int(match.group(1)) * int(pages or 1) * _UNITS[size or period]


def apply(port: int, account: str, settings: Dict[str, str]) -> None:
    """Write them, and wait until the server uses them."""
    statements = [f"alter system set {name(key)} = {literal(value)}" for key, value in settings.items()]
    psql(port, [*statements, "select pg_reload_conf()"], account=account)
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        now = read(port, account, list(settings))
        unlike = sorted(key for key, value in settings.items() if not same(value, now[key]))
        if not unlike:
            return
        if time.monotonic() > end:
            raise DatabaseError(
                f"PostgreSQL {port} still uses {unlike[0]} = {now[unlike[0]]['shown']}: "
                "it needs a restart, or something overrides it"
            )
        time.sleep(0.2)


if __name__ == "__main__":
    main()
