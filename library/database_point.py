#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: database_point
short_description: Where a PostgreSQL server is in its own history
description:
  - Reads system identifier, timeline, position in the WAL, archiving and synchronous replication of the PostgreSQL of
    this host, all of one instant.
  - With O(state=switched) it writes a restore point and closes the present WAL segment, so that the segment must arrive
    in the archive. That is asked of every archive before it is believed; no data is changed.
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
  state:
    description: C(read), or C(switched) to close the present segment as well.
    type: str
    choices: [read, switched]
    default: read
  label:
    description: Name of the restore point.
    type: str
    default: maintenance
attributes:
  check_mode:
    description: In check mode no segment is closed.
    support: full
requirements:
  - PostgreSQL 12 or newer
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Close the WAL segment that must arrive in the archive
  database_point:
    state: switched
  register: __backup_point
"""

RETURN = r"""
point:
  description: The answers.
  returned: always
  type: dict
  sample:
    system_id: "7711293890311159514"
    timeline: 1
    in_recovery: false
    lsn: 0/5000028
    segment: "000000010000000000000005"
    version: "15.20"
    database_bytes: 36285297
closed_segment:
  description: The segment that was closed.
  returned: when O(state=switched), not in check mode
  type: str
  sample: "000000010000000000000005"
"""

import re
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.database_query import PLACE, DatabaseError, literal, one_object, psql

QUERY = f"""
select json_build_object({PLACE}
  'segment', case when pg_is_in_recovery() then null else pg_walfile_name(pg_current_wal_lsn()) end,
  'segment_bytes', (select setting::bigint from pg_settings where name = 'wal_segment_size'),
  'version', current_setting('server_version'),
  'version_number', current_setting('server_version_num')::int,
  'data_directory', current_setting('data_directory'),
  'socket_directory', split_part(current_setting('unix_socket_directories'), ',', 1),
  'ssl', current_setting('ssl') = 'on',
  'archive_mode', current_setting('archive_mode'),
  'archive_command', current_setting('archive_command'),
  'archive_timeout_seconds', (select setting::int from pg_settings where name = 'archive_timeout'),
  'synchronous_standby_names', current_setting('synchronous_standby_names'),
  'synchronous', (select coalesce(json_agg(application_name), '[]') from pg_stat_replication
    where sync_state in ('sync', 'quorum')),
  'last_archived', (select last_archived_wal from pg_stat_archiver),
  'last_archived_seconds', (select extract(epoch from now() - last_archived_time)::int from pg_stat_archiver),
  'last_failed', (select last_failed_wal from pg_stat_archiver
    where last_failed_time > coalesce(last_archived_time, '-infinity')),
  'database_bytes', (select sum(pg_database_size(oid))::bigint from pg_database),
  'now_seconds', extract(epoch from clock_timestamp())::bigint)
"""  # noqa: S608  (nothing from outside stands in it)


def main() -> None:
    """Read, and close a segment where that is asked."""
    module = AnsibleModule(
        {
            "port": {"type": "int", "default": 5432},
            "account": {"type": "str", "default": "postgres"},
            "state": {"type": "str", "choices": ["read", "switched"], "default": "read"},
            "label": {"type": "str", "default": "maintenance"},
        },
        supports_check_mode=True,
    )
    asked = module.params
    answer: Dict[str, Any] = {"changed": False}
    try:
        if asked["state"] == "switched" and not module.check_mode:
            answer["closed_segment"] = switch(asked["port"], asked["label"], asked["account"])
        answer["point"] = one_object(asked["port"], QUERY, asked["account"])
    except DatabaseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**answer)


def switch(port: int, label: str, account: str) -> str:
    """Close the segment that holds a restore point of this name; returns the segment's name."""
    point = f"select pg_create_restore_point({literal(label)})"
    # The restore point makes sure that there is something to close: an empty segment is not switched.
    text = psql(port, [f"select pg_walfile_name(({point}))", "select pg_switch_wal()"], account=account)
    closed = text.split()[0]
    if not re.fullmatch("[0-9A-F]{24}", closed):
        raise DatabaseError(f"PostgreSQL {port} named no segment: {closed[:80]}")
    return closed


if __name__ == "__main__":
    main()
