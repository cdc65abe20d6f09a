#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: database_proof
short_description: Prove that a PostgreSQL cluster is whole, page by page and index by index
description:
  - Reads every page of all databases from the disk and compares its checksum, while the server runs or stands. It is no
    base backup, and passes over no page that is newer than the beginning. Where data_checksums is off the proof is
    C(unknown).
  - Runs pg_amcheck (C(--heapallindexed)) over all databases of the running server. Where a database has no extension
    C(amcheck) one is made, and dropped again; a server in recovery that has none is C(unknown).
  - Damage is a finding and no failure of the task. What could not be looked at is unknown, never sound.
  - It reads as much as there is. Call it with C(async) where that may take long.
version_added: 0.5.0
options:
  data_directory:
    description: The data directory.
    type: path
    required: true
  port:
    description: The server's port.
    type: int
    default: 5432
  account:
    description: The account of the server.
    type: str
    default: postgres
  jobs:
    description: How many processes read at a time.
    type: int
    default: 2
  seconds:
    description: How long everything may take.
    type: int
    default: 7200
  language:
    description: Language of the findings.
    type: str
    choices: [zh, en]
    default: zh
attributes:
  check_mode:
    description: It looks at nothing, because an extension could have to be made.
    support: full
requirements:
  - PostgreSQL 14 or newer, with its contrib modules and pg_amcheck
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Prove the restored copy
  database_proof:
    data_directory: /var/lib/maintenance/drill/data
    port: 5499
  async: 86400
  poll: 2
  register: __drill_proof
"""

RETURN = r"""
proof:
  description:
    - Both proofs, C(pages) and C(structure); C(state) is C(ok), C(damaged) or C(unknown), then with C(reason).
    - At most 50 damaged places are named; C(damaged_count) has all.
  returned: not in check mode
  type: dict
  sample:
    pages:
      state: damaged
      reason: ""
      pages: 4711
      damaged: [{file: base/16384/16390, block: 3, relation: dialysis public.patients}]
      damaged_count: 1
      seconds: 0.5
    structure:
      state: ok
      reason: ""
      relations: 312
      damaged: []
      damaged_count: 0
      databases: [dialysis, postgres]
      seconds: 1.2
evidence:
  description: The findings PRF-PAG-01 and PRF-AMC-01.
  returned: not in check mode
  type: list
  elements: dict
  sample: [{id: PRF-PAG-01, verdict: fail, actual: "4711 pages, damaged 1; dialysis public.patients block 3"}]
metrics:
  description: How much was read, and how long it took.
  returned: not in check mode
  type: list
  elements: dict
  sample: [{name: proof_pages, value: 4711, unit: pages}]
"""

from ansible.module_utils import database_proof as proofs
from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Both proofs, told as findings."""
    module = AnsibleModule(
        {
            "data_directory": {"type": "path", "required": True},
            "port": {"type": "int", "default": 5432},
            "account": {"type": "str", "default": "postgres"},
            "jobs": {"type": "int", "default": 2},
            "seconds": {"type": "int", "default": 7200},
            "language": {"type": "str", "choices": ["zh", "en"], "default": "zh"},
        },
        supports_check_mode=True,
    )
    asked = module.params
    if not 1 <= asked["jobs"] <= 16 or asked["seconds"] < 1:
        module.fail_json(msg="jobs must be 1 to 16, seconds at least 1")
    if module.check_mode:
        module.exit_json(changed=False)
    told = proofs.prove(
        proofs.Options(
            asked["data_directory"], asked["port"], asked["account"], asked["jobs"], asked["seconds"]
        )
    )
    module.exit_json(
        changed=False,
        proof=told,
        evidence=proofs.findings(told, asked["language"]),
        metrics=proofs.metrics(told, asked["data_directory"]),
    )


if __name__ == "__main__":
    main()
