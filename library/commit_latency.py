#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: commit_latency
short_description: How long a commit takes on a PostgreSQL server
description:
  - Commits small transactions one after the other, as an application does, and measures each. They hold a message in the
    WAL and touch no table.
version_added: 0.4.0
options:
  port:
    description: The server's port.
    type: int
    default: 5432
  commits:
    description: How many.
    type: int
    default: 200
  subject:
    description: What is measured, for the record.
    type: str
    default: ""
attributes:
  check_mode:
    description: In check mode nothing is committed and nothing measured.
    support: full
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Measure commits
  commit_latency:
    subject: before
"""

RETURN = r"""
metrics:
  description: Median and 95th percentile in milliseconds.
  returned: always
  type: list
  elements: dict
  sample: [{name: commit_median_ms, subject: before, value: 1.2, unit: ms, limit: null}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.database_query import DatabaseError, psql

MEASURE = """
do $$
declare
  started timestamptz;
  taken text := '';
begin
  for number in 1..{commits} loop
    started := clock_timestamp();
    perform pg_logical_emit_message(true, 'maintenance', 'commit latency');
    commit;
    taken := taken || ' ' || extract(epoch from clock_timestamp() - started);
  end loop;
  perform set_config('maintenance.latency', taken, false);
end $$
"""


def main() -> None:
    """Measure."""
    module = AnsibleModule(
        {
            "port": {"type": "int", "default": 5432},
            "commits": {"type": "int", "default": 200},
            "subject": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, metrics=[])
    asked = module.params
    try:
        text = psql(
            asked["port"],
            [
                MEASURE.format(commits=max(1, asked["commits"])),
                "select current_setting('maintenance.latency')",
            ],
        )
    except DatabaseError as error:
        module.fail_json(msg=str(error))
    taken = sorted(float(part) * 1000 for part in text.split())
    shares = {"commit_median_ms": 0.5, "commit_95_percent_ms": 0.95}
    module.exit_json(
        changed=False,
        metrics=[
            {
                "name": name,
                "subject": asked["subject"],
                "value": round(taken[min(len(taken) - 1, int(len(taken) * share))], 3),
                "unit": "ms",
                "limit": None,
            }
            for name, share in shares.items()
        ],
    )


if __name__ == "__main__":
    main()
