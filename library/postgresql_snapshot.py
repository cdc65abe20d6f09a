#!/usr/bin/python

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_snapshot
short_description: Read the state of the PostgreSQL servers of a host
description:
  - Reads configuration, capacity, health, rights and backups of every PostgreSQL server (12 to 17) that listens on a
    local socket, through C(psql), and judges nothing.
  - Changes nothing. Its sessions are read-only, their statements and their waits for locks have time limits,
    and no table of a user is read.
  - No superuser is needed where the role C(pg_monitor) suffices. What is refused is named with its reason.
  - No password or hash is read, and no statement leaves the server as it was typed. Of statements in the statistics the
    comments, texts and numbers are taken out; of open transactions only the first word is kept.
author:
  - Dialysis maintenance (@dialysis-maintenance)
options:
  ports:
    description:
      - Ports of the servers to read.
      - Without any, every server that listens in O(socket_directory), or 5432 when there is none.
    type: list
    elements: int
    default: []
  socket_directory:
    description: Folder of the sockets; by default the one of Debian, or C(/tmp) when that does not exist.
    type: path
  login_user:
    description: Role of the database to log in as; by default the account that runs the module.
    type: str
    default: ""
  maintenance_database:
    description: Database in which the questions about the whole server are asked.
    type: str
    default: postgres
  databases:
    description: Databases to look into; by default all that are no templates, at most 50.
    type: list
    elements: str
    default: []
  backup:
    description: Whether to ask C(pgbackrest) for its backups.
    type: bool
    default: true
  connect_timeout:
    description: Seconds that a connection may take.
    type: int
    default: 5
  statement_timeout:
    description: Seconds that one question may take.
    type: int
    default: 15
  timeout:
    description: Seconds that all questions to one database may take.
    type: int
    default: 120
attributes:
  check_mode:
    description: The module only reads.
    support: full
notes:
  - Run it as the account of the database server, for instance with C(become_user=postgres).
  - A server that does not answer is no failure of the module. Its probes are C(unknown), with the reason.
"""

EXAMPLES = r"""
- name: Read the state of the database
  postgresql_snapshot:
  become: true
  become_user: postgres
  register: __inspection_postgresql

- name: Read two servers of one host through a role with the rights of pg_monitor
  postgresql_snapshot:
    ports: [5432, 5433]
    login_user: inspector
"""

RETURN = r"""
snapshot:
  description:
    - What was read (C(docs/shapes.md)).
    - In C(data) every probe has C(rows); each row names its C(cluster), which is the port, and where it belongs to one
      its C(database). A list that should be complete and was cut says C(rows_truncated).
    - "The probes of a server: C(clusters), C(server), C(settings), C(databases), C(connections), C(transactions),
      C(locks), C(checkpoints), C(wal), C(archiver), C(slots), C(replication), C(receiver), C(roles), C(hba), C(prepared),
      C(autovacuum), C(tls), C(tablespaces), C(storage), C(statements), C(memberships), C(role_settings),
      C(parameter_rights), C(database_rights), C(files), C(log)."
    - "The probes of a database: C(tables), C(dead_rows), C(indexes), C(unused_indexes), C(invalid_indexes),
      C(duplicate_indexes), C(no_primary_key), C(unlogged_tables), C(unvalidated), C(sequences), C(extensions),
      C(collations), C(wraparound_tables), C(schema_rights), C(definers), C(languages), C(public_tables),
      C(owners), C(personal_tables)."
    - "The probes of the host: C(backup), and C(passwords), which says where a password lies and never which."
  returned: always
  type: dict
  sample:
    schema: postgresql-snapshot/1
    taken: "2026-11-22T13:15:04Z"
    duration_ms: 214
    probes:
      connections: {state: ok, ms: 2, unread: {}}
      backup: {state: unknown, ms: 0, reason: pgbackrest is not installed, unread: {}}
    commands: ["PGDATABASE=postgres psql -XAtqw -h /var/run/postgresql -p 5432"]
    data:
      connections:
        rows:
          - {cluster: "5432", maximum: 100, reserved: 3, used: 12, used_percent: 12.4}
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.postgresql_reading import Options, read

ARGUMENTS = {
    "ports": {"type": "list", "elements": "int", "default": []},
    "socket_directory": {"type": "path"},
    "login_user": {"type": "str", "default": ""},
    "maintenance_database": {"type": "str", "default": "postgres"},
    "databases": {"type": "list", "elements": "str", "default": []},
    "backup": {"type": "bool", "default": True},
    "connect_timeout": {"type": "int", "default": 5},
    "statement_timeout": {"type": "int", "default": 15},
    "timeout": {"type": "int", "default": 120},
}


def main() -> None:
    """Read and return."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    started = time.time()
    reading = read(Options(**module.params))
    module.exit_json(
        changed=False,
        snapshot={
            "schema": "postgresql-snapshot/1",
            "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
            "duration_ms": round((time.time() - started) * 1000),
            "probes": reading.states(),
            "commands": reading.commands,
            "data": reading.data(),
        },
    )


if __name__ == "__main__":
    main()
