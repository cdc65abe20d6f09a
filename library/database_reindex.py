#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: database_reindex
short_description: Build the indexes again that another C library would read wrongly
description:
  - A cluster that was copied onto a machine with another release of the C library (or of ICU) may sort text in another
    order. PostgreSQL warns and goes on; its indexes of text then miss rows.
  - In each database whose noted version differs from that of this machine every index that compares text is built again,
    also those with an expression or a condition, and only then the new version is noted. So a call that was interrupted
    is simply repeated.
  - An index that cannot be built, as a unique one under which two rows are now the same, fails the call by its name.
  - What else depends on the order is not touched - ranges of partitions by text, and check constraints that compare text.
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
  jobs:
    description: How many indexes are built at the same time.
    type: int
    default: 2
attributes:
  check_mode:
    description: It tells what would be built.
    support: full
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Build the indexes of text again
  database_reindex:
    jobs: 4
  async: 86400
  poll: 2
"""

RETURN = r"""
databases:
  description: Databases whose version differed, with what it was and is.
  returned: success
  type: list
  elements: str
  sample: ["dialysis: 2.36 -> 2.41"]
indexes:
  description: How many indexes were built again.
  returned: success
  type: int
  sample: 12
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.database_query import DatabaseError, one_object, psql

_DATABASES = """
select coalesce(json_agg(datname order by datname), '[]') from pg_database where datallowconn
"""
# The default collation of a database has its version in pg_database, and each other one its own. Only C and POSIX sort by
# bytes for ever. What an expression or a condition compares is not to be seen from the outside.
_STATE = """
select json_build_object(
  'name', (select quote_ident(current_database())),
  'was', (select datcollversion from pg_database where datname = current_database()),
  'is', (select pg_database_collation_actual_version(oid) from pg_database where datname = current_database()),
  'collations', (select coalesce(json_agg(format('%I.%I', n.nspname, c.collname)), '[]')
    from pg_collation c join pg_namespace n on n.oid = c.collnamespace
    where c.collversion <> pg_collation_actual_version(c.oid)),
  'indexes', (select coalesce(json_agg(format('%I.%I', n.nspname, c.relname) order by pg_relation_size(c.oid) desc), '[]')
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'i' and c.relpersistence <> 't' and (i.indexprs is not null or i.indpred is not null
      or exists (select from unnest(i.indcollation) as used (number) join pg_collation l on l.oid = used.number
        where l.collprovider <> 'c' or l.collcollate not in ('C', 'POSIX')))))
"""


def main() -> None:
    """Look at each database, and build where its version differs."""
    module = AnsibleModule(
        {
            "port": {"type": "int", "default": 5432},
            "account": {"type": "str", "default": "postgres"},
            "jobs": {"type": "int", "default": 2},
        },
        supports_check_mode=True,
    )
    asked = module.params
    if not 1 <= asked["jobs"] <= 16:
        module.fail_json(msg="jobs must be 1 to 16")
    told: List[str] = []
    count = 0
    try:
        for database in one_object(asked["port"], _DATABASES, asked["account"]):
            state = one_object(asked["port"], _STATE, asked["account"], database)
            if not differs(state):
                continue
            if not module.check_mode:
                build(asked, database, state)
            told.append(f"{database}: {state['was'] or '-'} -> {state['is'] or '-'}")
            count += len(state["indexes"])
    except DatabaseError as error:
        module.fail_json(msg=f"indexes of text are not sound yet: {error}")
    module.exit_json(changed=bool(told), databases=told, indexes=count)


def differs(state: Dict[str, Any]) -> bool:
    """Whether this machine sorts by another version than the one that is noted."""
    return bool(state["collations"]) or (state["was"] is not None and state["was"] != state["is"])


def build(asked: Dict[str, Any], database: str, state: Dict[str, Any]) -> None:
    """The indexes first and then the versions: what was interrupted still differs."""

    def one(index: str) -> None:
        # No limit of a statement's time that a site may have set; a receiver that is away must not be waited for.
        statements = ["set statement_timeout = 0", "set synchronous_commit = local", f"reindex index {index}"]
        try:
            psql(asked["port"], statements, database, asked["account"], seconds=86400)
        except DatabaseError as error:
            raise DatabaseError(f"{database} {index}: {error}") from None

    with ThreadPoolExecutor(asked["jobs"]) as pool:
        list(pool.map(one, state["indexes"]))
    refresh = [f"alter collation {name} refresh version" for name in state["collations"]]
    refresh.append(f"alter database {state['name']} refresh collation version")
    psql(asked["port"], ["set synchronous_commit = local", *refresh], database, asked["account"])


if __name__ == "__main__":
    main()
