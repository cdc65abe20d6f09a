#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: repository_state
short_description: Whether a pgBackRest repository is what it was before
description:
  - Notes names, sizes and times of all files of a stanza on the repository's own host, and later compares with them.
  - New segments and backups of production are expected; one of another timeline or system is a stranger's.
version_added: 0.5.0
options:
  stanza:
    description: The stanza.
    type: str
    required: true
  account:
    description: The account that the repository belongs to; by default the owner of its folder.
    type: str
    default: ""
  state:
    description: C(taken) notes what there is; C(compared) compares with what was noted last.
    type: str
    choices: [taken, compared]
    required: true
  timeline:
    description: The timeline that production is on, with C(compared).
    type: int
    default: 0
attributes:
  check_mode:
    description: Nothing is noted.
    support: full
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Note what the repository holds
  repository_state:
    stanza: dialysis
    state: taken
"""

RETURN = r"""
files:
  description: How many files there are.
  returned: with C(taken)
  type: int
  sample: 1204
difference:
  description: What became of them; C(whole) where nothing but production's own work has happened.
  returned: with C(compared)
  type: dict
  sample: {files: 1204, added: 3, removed_count: 0, removed: [], changed: [], strange: [], whole: true}
"""

from ansible.module_utils import repository_state as states
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pgbackrest_files import RepositoryError
from ansible.module_utils.pgbackrest_reading import Options, Reading


def main() -> None:
    """Note, or compare."""
    module = AnsibleModule(
        {
            "stanza": {"type": "str", "required": True},
            "account": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["taken", "compared"], "required": True},
            "timeline": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        now = states.taken(Reading(Options(stanza=asked["stanza"], account=asked["account"])))
        if asked["state"] == "compared":
            before = states.kept(asked["stanza"])
            module.exit_json(changed=False, difference=states.compare(before, now, asked["timeline"]))
        if not module.check_mode:
            states.keep(now)
    except (RepositoryError, OSError, ValueError, KeyError) as error:
        module.fail_json(msg=f"the repository cannot be compared: {error}")
    module.exit_json(changed=False, files=len(now["files"]))


if __name__ == "__main__":
    main()
