#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: recovery_plan
short_description: Choose one backup, one timeline and one last segment for a recovery, and prove them
description:
  - Runs on the host that has the pgBackRest repository, and changes nothing.
  - Names as the explicit target where the last whole record begins. A recovery either comes so far or fails.
  - Reads every byte of the chosen backup and of every WAL segment that would be replayed. What is damaged is not chosen.
  - Fails, with what there is to choose from, where the archive has a gap or where more than one timeline could be meant.
version_added: 0.5.0
options:
  stanza:
    description: The stanza.
    type: str
    required: true
  account:
    description: The account that the repository belongs to.
    type: str
    required: true
  processes:
    description: How many files are read at the same time.
    type: int
    default: 2
  timeline:
    description: The timeline of production; 0 takes that of the newest backup where no other is possible.
    type: int
    default: 0
  until_gap:
    description: Whether a recovery that ends before a missing segment is good enough.
    type: bool
    default: false
  target_time:
    description:
      - An instant with its zone that the recovery is to come to, as C(2026-11-23 02:10:00+08:00). The backup is then the
        newest that had ended before it, and segments are needed up to the first commit behind it.
      - Empty for the end of the archive.
    type: str
    default: ""
  received:
    description:
      - A folder of C(pg_receivewal --synchronous), whose WAL behind the archive is proven and planned as well. The
        target is then its last whole record.
      - Fails where there is such WAL and it cannot be replayed, as it holds commits that were acknowledged.
    type: path
    default: ""
  ignore_received:
    description: Whether what is in O(received) is given up; it is told by name.
    type: bool
    default: false
  awaits:
    description: A segment that must have arrived; it is waited for O(awaits_seconds).
    type: str
    default: ""
  awaits_seconds:
    description: How long.
    type: int
    default: 120
  commits_of:
    description: A segment whose last commit, and the first one behind it, are asked for.
    type: str
    default: ""
attributes:
  check_mode:
    description: It changes nothing anyway.
    support: full
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Choose what is restored
  recovery_plan:
    stanza: dialysis
    account: pgbackrest
  register: __rebuild_chosen
"""

RETURN = r"""
plan:
  description: What was chosen and proven.
  returned: success
  type: dict
  sample:
    system_id: "7711293890311159514"
    database_version: "15"
    label: 20261123-101100F
    timeline: 1
    first_segment: "000000010000000000000004"
    last_segment: "000000010000000000000009"
    target_lsn: 0/9FFFF50
    commits: [{transaction: 812, lsn: 0/9FFFE00, at: "2026-11-23T02:00:00.123456Z"}]
    bytes: 36285297
    tablespaces: [{path: /srv/ward, bytes: 8192}]
    received: [{file: 00000001000000000000000A.partial, segment: "00000001000000000000000A", sha256: 9f86d0…}]
    received_given_up: []
files:
  description: The files of the archive that a recovery reads, with O(target_time) up to the first commit behind it.
  returned: success
  type: list
  elements: str
  sample: ["000000010000000000000004"]
next_commit:
  description: The first commit behind the segment O(commits_of); empty where there is none yet.
  returned: with O(commits_of)
  type: dict
  sample: {transaction: 813, lsn: 0/A000128, at: "2026-11-23T02:00:01.123456Z"}
last_commit:
  description: The last commit up to the end of the segment O(commits_of); empty where there is none.
  returned: with O(commits_of)
  type: dict
  sample: {transaction: 812, lsn: 0/9FFFE00, at: "2026-11-23T02:00:00.123456Z"}
target_seconds:
  description: O(target_time) in seconds since 1970.
  returned: when it was given
  type: float
  sample: 1795400000.0
"""

import time
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pgbackrest_files import RepositoryError, expand
from ansible.module_utils.pgbackrest_repository import Options, Reading, read_archive
from ansible.module_utils.received_wal import ReceivedError, extended, newer
from ansible.module_utils.recovery_plan import (
    PlanError,
    await_segment,
    commits_around,
    listed,
    plan,
    seconds_of,
)
from ansible.module_utils.wal_chain import WalError


def main() -> None:
    """One plan, or the reason why there is none."""
    module = AnsibleModule(
        {
            "stanza": {"type": "str", "required": True},
            "account": {"type": "str", "required": True},
            "processes": {"type": "int", "default": 2},
            "timeline": {"type": "int", "default": 0},
            "until_gap": {"type": "bool", "default": False},
            "target_time": {"type": "str", "default": ""},
            "received": {"type": "path", "default": ""},
            "ignore_received": {"type": "bool", "default": False},
            "awaits": {"type": "str", "default": ""},
            "commits_of": {"type": "str", "default": ""},
            "awaits_seconds": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    asked = module.params
    options = Options(stanza=asked["stanza"], account=asked["account"], processes=asked["processes"])
    answer: Dict[str, Any] = {"changed": False}
    try:
        target = seconds_of(asked["target_time"], time.time()) if asked["target_time"] else None
        reading = Reading(options)
        if asked["awaits"]:
            await_segment(reading, asked["awaits"], asked["awaits_seconds"])
        answer["plan"] = plan(reading, asked["timeline"], until_gap=asked["until_gap"], target=target)
        answer["files"] = listed(reading, answer["plan"])
        if asked["received"]:
            answer["plan"] = with_received(
                reading, answer["plan"], asked["received"], asked["ignore_received"]
            )
        if asked["commits_of"]:
            last, first = commits_around(reading, asked["commits_of"])
            answer["last_commit"] = last._asdict() if last else {}
            answer["next_commit"] = first._asdict() if first else {}
    except (PlanError, RepositoryError, WalError, OSError) as error:
        module.fail_json(msg=f"nothing can be restored as it stands: {error}")
    if target is not None:
        answer["target_seconds"] = target
    module.exit_json(**answer)


def with_received(reading: Reading, plan: Dict[str, Any], folder: str, ignore: bool) -> Dict[str, Any]:
    """The plan, going on with what only the receiver has; or with what of it is given up."""
    if ignore:
        return {**plan, "received": [], "received_given_up": newer(folder, plan["last_segment"])}

    def archived() -> bytes:
        file, path, _time = read_archive(reading).segments[plan["last_segment"]][0]
        return b"".join(expand(reading.contents(path), file.compress))

    try:
        return {**extended(plan, folder, archived), "received_given_up": []}
    except ReceivedError as error:
        raise PlanError(
            f"the receiver has WAL behind the archive ({folder}: {', '.join(newer(folder, plan['last_segment'])[:3])})"
            f" with commits that were acknowledged, and it cannot be replayed: {error}. Where it is given up:"
            " --set rebuild_ignore_received=true"
        ) from None


if __name__ == "__main__":
    main()
