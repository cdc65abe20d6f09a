#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: detached_job
short_description: Run long work on a host so that nothing at this end can stop it or start it twice
description:
  - Starts a command as a transient systemd unit C(maintenance-NAME) and waits for it, showing how far it is.
  - A cut link, a killed controller or an ended session does not touch the work. Called again, it finds the running unit
    and waits for it, or collects the result of one that has ended meanwhile. It never runs twice at the same time.
  - A reboot or a kill of the unit is told as C(interrupted), never as a success.
  - The state is kept in C(/var/lib/maintenance/jobs/NAME), for root alone.
  - Why not C(async) with C(poll) - its jobs have random numbers that a killed controller takes with it, so that the next
    run starts a second one; it shows no progress; and its result lies in a home that an engineer may not have tomorrow.
    The action plugin of the same name asks by short calls instead, each of which may be lost.
version_added: 0.4.0
options:
  name:
    description: The job's name, fixed by what it does and not by the run, as C(backup-dialysis).
    type: str
    required: true
  state:
    description:
      - C(finished) starts it where needed and waits until it has ended.
      - C(started) starts it where needed and does not wait; C(read) tells what is.
      - C(collected) marks the result as heard of.
      - C(absent) stops it and removes what is left of it.
    type: str
    choices: [finished, started, read, collected, absent]
    default: finished
  argv:
    description: The command. Anybody on the host can see it, so it holds no secret.
    type: list
    elements: str
    default: []
  user:
    description: The account that runs it.
    type: str
    default: root
  environment:
    description: Variables of the command that may be secret. A file of root brings them; it is removed as the job starts.
    type: dict
    default: {}
  key:
    description: What else makes this another job than the last of its name, as the target of a restore.
    type: str
    default: ""
  properties:
    description: Properties of the unit, as C(Nice=10), C(IOSchedulingClass=idle) or C(RuntimeMaxSec=8h).
    type: list
    elements: str
    default: []
  again:
    description:
      - Whether an attempt that failed or was interrupted without anybody having heard of it is simply repeated.
        Otherwise this call fails with what became of it, and the next one starts anew.
      - Only for work that can safely be repeated, as a backup.
    type: bool
    default: false
  progress:
    description: Where to see how far it is.
    type: dict
    default: {}
    suboptions:
      kind:
        description:
          - C(pgbackrest) reads its messages (C(--log-level-console=detail)), C(folder) the bytes below O(progress.path),
            C(file) a JSON object with C(done_bytes) and C(total_bytes), or C(percent), that the command writes.
        type: str
        choices: [pgbackrest, folder, file]
      path:
        description: The folder or file.
        type: str
      total_bytes:
        description: How much it will be, where that is known.
        type: int
  wait:
    description: Seconds that one call waits for the end before it answers; the action plugin calls again.
    type: float
    default: 5
  patience:
    description: For how many seconds the host may be out of reach before the action plugin gives up. The work goes on.
    type: int
    default: 900
attributes:
  check_mode:
    description: It tells whether it would start something.
    support: full
requirements:
  - Linux with systemd
  - Python 3.8 or newer on the host, its standard library alone
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Take the first full backup
  detached_job:
    name: backup-dialysis
    argv: [pgbackrest, --stanza=dialysis, --type=full, --log-level-console=detail, backup]
    user: postgres
    again: true
    progress:
      kind: pgbackrest
"""

RETURN = r"""
job_state:
  description: C(absent), C(running), C(succeeded), C(failed) or C(interrupted).
  returned: always
  type: str
  sample: succeeded
rc:
  description: Exit code of the command.
  returned: when it has ended
  type: int
  sample: 0
reason:
  description: Why it was interrupted.
  returned: when it was
  type: str
  sample: the host was restarted meanwhile
elapsed_seconds:
  description: How long it ran.
  returned: when there is one
  type: float
  sample: 812.5
started:
  description: When it was started, in seconds since 1970.
  returned: when there is one
  type: float
  sample: 1795400000.0
output:
  description: The end of what it printed, at most 4 KB.
  returned: when there is one
  type: str
  sample: "P00   INFO: backup command end: completed successfully"
progress:
  description: How far it is.
  returned: while it runs
  type: dict
  sample: {at: 1795400010.0, percent: 45.2, done_bytes: null, total_bytes: null}
"""

import time
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.detached import Job, JobError, Wanted

ARGUMENTS: Dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {
        "type": "str",
        "choices": ["finished", "started", "read", "collected", "absent"],
        "default": "finished",
    },
    "argv": {"type": "list", "elements": "str", "default": []},
    "user": {"type": "str", "default": "root"},
    "environment": {"type": "dict", "default": {}, "no_log": True},
    "key": {"type": "str", "default": "", "no_log": False},
    "properties": {"type": "list", "elements": "str", "default": []},
    "again": {"type": "bool", "default": False},
    "progress": {
        "type": "dict",
        "default": {},
        "options": {
            "kind": {"type": "str", "choices": ["pgbackrest", "folder", "file"]},
            "path": {"type": "str"},
            "total_bytes": {"type": "int"},
        },
    },
    "wait": {"type": "float", "default": 5},
    "patience": {"type": "int", "default": 900},
}
_LOOK_EVERY = 0.25


def main() -> None:
    """One short step of the job's life."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        answer = act(module, Job(module.params["name"]))
    except (JobError, OSError) as error:
        module.fail_json(msg=str(error))
    answer["job_state"] = answer.pop("state")
    module.exit_json(**answer)


def act(module: AnsibleModule, job: Job) -> Dict[str, Any]:
    """Start, wait, read, mark or remove."""
    asked, changed = module.params, False
    if asked["state"] == "absent":
        there = job.read()["state"] != "absent" if module.check_mode else job.remove()
        return {"changed": there, "state": "absent"}
    if asked["state"] in ("finished", "started"):
        wanted = Wanted(
            name=asked["name"],
            argv=asked["argv"],
            user=asked["user"],
            key=asked["key"],
            environment={name: str(value) for name, value in asked["environment"].items()},
            properties=asked["properties"],
            again=asked["again"],
        )
        wanted.check()
        if module.check_mode:
            return {**job.read(), "changed": True}
        changed = job.start(wanted)
    elif asked["state"] == "collected" and not module.check_mode:
        job.collect()
    return {**wait(job, asked), "changed": changed}


def wait(job: Job, asked: Dict[str, Any]) -> Dict[str, Any]:
    """The state at the end of the job or of the wait, whichever comes first."""
    end = time.monotonic() + (asked["wait"] if asked["state"] in ("finished", "read") else 0)
    while True:
        state = job.read(asked["progress"])
        if state["state"] != "running" or time.monotonic() >= end:
            return state
        time.sleep(_LOOK_EVERY)


if __name__ == "__main__":
    main()
