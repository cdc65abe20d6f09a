#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pgbackrest_repository
short_description: Read a pgBackRest repository and prove it file by file
description:
  - Runs on the host that has the repository. It changes nothing there; a trial restore goes into a folder of its own,
    which is removed.
  - Compares every file of every backup with the checksum in its manifest, and every archived WAL segment with that in its
    name and with the system and position in its first page.
  - Follows the WAL from each backup along the timelines to the newest archived segment, and names every gap.
  - Restores the smallest database of the newest backup beside everything, and compares the contents of its files.
  - Exit codes and the status of pgBackRest are not taken for a proof, because C(info) says ok of an archive with a hole,
    and C(verify) ends with 0 after an invalid checksum.
  - The snapshot holds neither the cipher's pass nor any contents.
version_added: 0.4.0
options:
  stanza:
    description: The stanza.
    type: str
    required: true
  configuration:
    description: pgBackRest's configuration; by default that of the system.
    type: path
    default: ""
  account:
    description: The account that the repository belongs to; by default the owner of its folder.
    type: str
    default: ""
  processes:
    description: How many files are read at the same time.
    type: int
    default: 2
  checksums:
    description: Whether contents are compared. Without it much is C(unknown), and nothing of that counts as a pass.
    type: bool
    default: true
  trial_folder:
    description: Where the trial restore goes; an empty one tries none.
    type: path
    default: ""
  trial_reserve_bytes:
    description: What must stay free there.
    type: int
    default: 1073741824
  production_timeline:
    description: The timeline of the database where it is known and O(database) is not given.
    type: int
    default: 0
  database:
    description: What M(database_point) read of the database; an empty one where it gave no answer.
    type: dict
    default: {}
attributes:
  check_mode:
    description: It changes nothing anyway.
    support: full
requirements:
  - pgBackRest 2.40 or newer
  - Python 3.8 or newer on the host, its standard library alone
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Read and prove the repository
  pgbackrest_repository:
    stanza: dialysis
    trial_folder: /var/lib/maintenance/trial
  register: __backup_check_repository
"""

RETURN = r"""
snapshot:
  description: Its probes are in C(docs/shapes.md).
  returned: always
  type: dict
  sample:
    schema: pgbackrest-repository/1
    taken: "2026-11-23T02:00:00Z"
    duration_ms: 5310
    probes: {files: {state: ok, ms: 4100, unread: {}}}
    commands: [pgbackrest info --output=json]
    data: {files: {checked: 1393, checked_bytes: 4620000, seconds: 4.1, rows: []}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pgbackrest_files import RepositoryError
from ansible.module_utils.pgbackrest_repository import Options, collect

ARGUMENTS = {
    "stanza": {"type": "str", "required": True},
    "configuration": {"type": "path", "default": ""},
    "account": {"type": "str", "default": ""},
    "processes": {"type": "int", "default": 2},
    "checksums": {"type": "bool", "default": True},
    "trial_folder": {"type": "path", "default": ""},
    "trial_reserve_bytes": {"type": "int", "default": 1 << 30},
    "production_timeline": {"type": "int", "default": 0},
    "database": {"type": "dict", "default": {}},
}


def main() -> None:
    """One reading."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    asked = module.params
    options = Options(
        stanza=asked["stanza"],
        configuration=asked["configuration"],
        account=asked["account"],
        processes=asked["processes"],
        checksums=asked["checksums"],
        trial_folder=asked["trial_folder"],
        trial_reserve=asked["trial_reserve_bytes"],
        production_timeline=asked["production_timeline"] or None,
        database=asked["database"],
    )
    try:
        module.exit_json(changed=False, snapshot=collect(options))
    except (RepositoryError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
