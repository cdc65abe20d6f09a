#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: drill_copy
short_description: The place of a restore drill's copy, from its beginning to its proven end
description:
  - One drill at a time on a host, by a lease (C(/var/lib/maintenance/drill.json)) that says whose it is and where.
  - C(begun) looks at the place and takes the lease; C(prepared) makes the folders; C(configured) makes the restored files
    a server that archives nothing, listens on this host alone and recovers to an explicit end; C(wiped) ends its server
    and work, removes its files and says what is left.
  - Only names that a drill makes are ever removed.
version_added: 0.5.0
options:
  state:
    description: What is to be done; C(read) tells whose drill is here.
    type: str
    choices: [read, begun, prepared, configured, wiped]
    default: read
  folder:
    description: Where the copy goes.
    type: path
    default: /var/lib/maintenance/drill
  port:
    description: The copy's port, of a socket alone.
    type: int
    default: 5499
  account:
    description: The account of the copy's server.
    type: str
    default: postgres
  owner:
    description: The account that restores the files, where that is another one.
    type: str
    default: ""
  controller:
    description: Whose drill it is.
    type: str
    default: ""
  production:
    description: Production's data directory, where it is on this host.
    type: str
    default: ""
  bytes:
    description: How much room the copy takes, with its reserve.
    type: int
    default: 0
  files:
    description: The files of the archive that are to be brought, with C(prepared).
    type: list
    elements: str
    default: []
  target_name:
    description: The restore point that recovery ends at.
    type: str
    default: ""
  target_time:
    description: The instant that recovery ends at.
    type: str
    default: ""
  timeline:
    description: The timeline that recovery follows.
    type: int
    default: 0
  preload:
    description: C(shared_preload_libraries) of the copy, where its tables need one.
    type: str
    default: ""
attributes:
  check_mode:
    description: Nothing is changed; C(begun) looks at the place.
    support: full
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Wipe the copy
  drill_copy:
    state: wiped
  register: __drill_wiped
"""

RETURN = r"""
lease:
  description: Whose drill is here, and where; empty where there is none.
  returned: always
  type: dict
  sample: {controller: 5f1c 812 3345, folder: /var/lib/maintenance/drill, port: 5499, begun: 1795400000.0}
at:
  description: The time of this host, in seconds since 1970.
  returned: always
  type: float
  sample: 1795400000.0
wiped:
  description: What was removed, and what is left, from a new look.
  returned: with C(wiped)
  type: dict
  sample: {folder: /var/lib/maintenance/drill, files: 1204, bytes: 36285297, left: [], seconds: 0.4}
"""

import shutil
import time
from typing import Any, Dict

from ansible.module_utils import drill_copy as copies
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.detached import JobError

ARGUMENTS: Dict[str, Any] = {
    "state": {
        "type": "str",
        "choices": ["read", "begun", "prepared", "configured", "wiped"],
        "default": "read",
    },
    "folder": {"type": "path", "default": "/var/lib/maintenance/drill"},
    "port": {"type": "int", "default": 5499},
    "account": {"type": "str", "default": "postgres"},
    "owner": {"type": "str", "default": ""},
    "controller": {"type": "str", "default": ""},
    "production": {"type": "str", "default": ""},
    "bytes": {"type": "int", "default": 0},
    "files": {"type": "list", "elements": "str", "default": []},
    "target_name": {"type": "str", "default": ""},
    "target_time": {"type": "str", "default": ""},
    "timeline": {"type": "int", "default": 0},
    "preload": {"type": "str", "default": ""},
}


def main() -> None:
    """One step."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        answer = act(module.params, module.check_mode)
        answer["lease"] = copies.read()
    except (copies.DrillError, JobError, OSError, shutil.Error, ValueError, LookupError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**{"changed": False, **answer, "at": time.time()})


def act(asked: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """What is asked for; the second time it is found done."""
    wanted = copies.Wanted(
        asked["folder"],
        asked["port"],
        asked["account"],
        asked["controller"],
        asked["bytes"],
        asked["preload"],
    )
    if asked["state"] == "begun":
        copies.check_place(wanted, asked["production"])
        if not check_mode:
            copies.begin(wanted, asked["production"])
        return {"changed": True}
    if asked["state"] == "prepared":
        copies.check_room(wanted)
    if check_mode or asked["state"] == "read":
        return {}
    if asked["state"] == "prepared":
        copies.make_folders(wanted._replace(account=asked["owner"] or asked["account"]), asked["files"])
    elif asked["state"] == "configured":
        copies.configure(wanted, asked["target_name"], asked["target_time"], asked["timeline"])
    elif asked["state"] == "wiped":
        lease = copies.read()
        return {"changed": True, "wiped": copies.wipe(lease)} if lease else {}
    return {"changed": True}


if __name__ == "__main__":
    main()
