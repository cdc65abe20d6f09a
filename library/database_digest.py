#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: database_digest
short_description: Count and digest every table of a PostgreSQL server at one point
description:
  - Gives row count and content digest of every table of the chosen databases, all at one point of the server's history,
    for the comparison with a restored copy. No value of a row is returned.
  - No writer waits. The load is bounded by O(jobs), O(statement_seconds) and O(seconds).
  - Sequences, foreign and unlogged tables are listed as excluded, with the reason. A table that could not be read is
    unknown, with the reason.
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
  databases:
    description: The databases; all that are no templates when none is named.
    type: list
    elements: str
    default: []
  method:
    description:
      - C(record) sums two differently seeded 64-bit hashes of each row, a comparison; it takes 1.10 and 1.1 as equal.
        Where the server does not give the known values of these hashes, V(sha256) is taken and named in the answer.
      - C(sha256) digests the text of each row, for a proof that is printed.
    type: str
    choices: [record, sha256]
    default: record
  label:
    description:
      - Writes a restore point of this name (with a random part behind it) at exactly the digests' point and closes its
        WAL segment. Without it nothing is written.
    type: str
    default: ""
  unseen_by:
    description: What another server's point could see (RV(point.sees)); answers RV(unseen) instead of digests.
    type: str
    default: ""
  jobs:
    description: How many tables are read at a time.
    type: int
    default: 2
  statement_seconds:
    description: How long one table may take.
    type: int
    default: 1800
  seconds:
    description: How long everything may take; so long the snapshot holds back vacuum.
    type: int
    default: 7200
attributes:
  check_mode:
    description: In check mode no restore point is written.
    support: full
requirements:
  - PostgreSQL 12 or newer
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Digest production at a restore point
  database_digest:
    label: drill-20261123T020304Z
  register: __drill_production

- name: Ask the restored server for commits that production's snapshot did not see
  database_digest:
    port: 5499
    unseen_by: "{{ __drill_production.point.sees }}"
"""

RETURN = r"""
point:
  description: The point, with the restore point's name and position when there is one.
  returned: when O(unseen_by) is not given
  type: dict
  sample: {lsn: 0/5000028, time: "2026-11-23T02:03:04+00:00", name: drill-5f1c0a9be2d4, sees: "740:740:", attempts: 1}
method:
  description: The method that was used.
  returned: when O(unseen_by) is not given
  type: str
  sample: record
tables:
  description: Every table; C(state) is C(ok), C(excluded) or C(unknown).
  returned: when O(unseen_by) is not given
  type: list
  elements: dict
  sample: [{database: hdis, table: public.sessions, state: ok, rows: 12, digest: "17:23", reason: "", seconds: 0.1}]
seconds:
  description: How long it took.
  returned: when O(unseen_by) is not given
  type: float
  sample: 1.5
unseen:
  description: Transactions that are committed here and not seen by O(unseen_by); none when both are one point.
  returned: when O(unseen_by) is given
  type: list
  elements: int
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.database_digest import Limits, digest_server, unseen_commits
from ansible.module_utils.database_query import DatabaseError

ARGUMENTS = {
    "port": {"type": "int", "default": 5432},
    "account": {"type": "str", "default": "postgres"},
    "databases": {"type": "list", "elements": "str", "default": []},
    "method": {"type": "str", "choices": ["record", "sha256"], "default": "record"},
    "label": {"type": "str", "default": ""},
    "unseen_by": {"type": "str", "default": ""},
    "jobs": {"type": "int", "default": 2},
    "statement_seconds": {"type": "int", "default": 1800},
    "seconds": {"type": "int", "default": 7200},
}


def main() -> None:
    """Digest, or ask for what a snapshot did not see."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    asked = module.params
    limits = Limits(asked["jobs"], asked["statement_seconds"], asked["seconds"])
    if min(limits) < 1 or limits.jobs > 16:
        module.fail_json(msg="jobs must be 1 to 16, seconds and statement_seconds at least 1")
    if len(asked["label"].encode()) > 50:  # a random part follows, and PostgreSQL keeps 63 bytes
        module.fail_json(msg="label is longer than 50 bytes")
    try:
        if asked["unseen_by"]:
            unseen = unseen_commits(asked["port"], asked["account"], asked["unseen_by"], limits)
            module.exit_json(changed=False, unseen=unseen)
        label = "" if module.check_mode else asked["label"]
        answer = digest_server(
            asked["port"], asked["account"], asked["databases"], asked["method"], label, limits
        )
    except (DatabaseError, OSError, ValueError) as error:
        module.fail_json(msg=f"PostgreSQL {asked['port']}: {error}")
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
