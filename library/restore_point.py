#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: restore_point
short_description: Confirm a change, take it back, or read what a host keeps
description:
  - A restore point is what M(desired_state) keeps on a host before it changes anything.
  - Run it over a B(new) connection to confirm; that it could run at all proves that the engineer still gets in.
version_added: 0.3.0
options:
  name:
    description: The restore point. For O(state=undone) also C(latest), the last confirmed one.
    type: str
    default: ""
  state:
    description:
      - C(confirmed) makes an armed change stay. It fails where the host has taken it back already.
      - C(reverted) takes an armed change back now. Without an armed one it does nothing.
      - C(undone) takes a confirmed change back, behind a restore point of its own that is armed and must be confirmed.
        Only what the change made different is touched; what somebody else changed since is refused.
      - C(read) lists the restore points of the host.
    type: str
    choices: [confirmed, reverted, undone, read]
    default: read
  restore_point:
    description: Name of the new restore point of O(state=undone).
    type: str
    default: ""
  seconds:
    description: After how many seconds without confirmation an undo is itself taken back.
    type: int
    default: 180
  force:
    description: Undo also what was changed by somebody since.
    type: bool
    default: false
  proofs:
    description:
      - Commands of O(state=confirmed), each a list of arguments, that must succeed first, as a real session of the
        service.
    type: list
    elements: list
    default: []
attributes:
  check_mode:
    description: It tells what it would restore.
    support: full
  diff_mode:
    description: The paths that an undo restores.
    support: full
requirements:
  - Linux with systemd
  - Python 3.8 or newer on the host, its standard library alone
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Confirm over a new connection
  vars:
    ansible_ssh_args: -o ControlMaster=no -o ControlPath=none
  restore_point:
    name: 20261123T010203Z-1a2b-harden
    state: confirmed
"""

RETURN = r"""
restore_point:
  description: The restore point that was confirmed, reverted, or is armed by an undo.
  returned: always
  type: str
  sample: 20261123T010203Z-1a2b-harden
point_state:
  description: What has become of it, as C(confirmed), C(reverted) or C(failed).
  returned: when O(state=confirmed) or O(state=reverted)
  type: str
  sample: confirmed
points:
  description: The restore points of the host, oldest first.
  returned: when O(state=read)
  type: list
  elements: dict
  sample: [{name: 20261123T010203Z-1a2b-harden, state: confirmed, taken: 1795400000.0}]
undoable:
  description: Names of the confirmed changes that still stand, oldest first.
  returned: when O(state=read)
  type: list
  elements: str
  sample: [20261123T010203Z-1a2b-harden]
latest:
  description: The last of them; empty where there is none.
  returned: when O(state=read)
  type: str
  sample: 20261123T010203Z-1a2b-harden
identical:
  description: Whether files, units, parameters and firewall are exactly what they were before the change.
  returned: when O(state=undone)
  type: bool
  sample: true
left:
  description: Paths that still differ from before; others have changed them since.
  returned: when O(state=undone)
  type: list
  elements: str
  sample: []
next_start:
  description: What of the way back comes into force with the next start of the host only.
  returned: when O(state=undone)
  type: list
  elements: str
  sample: []
digest_before:
  description: Digest of the state before the change.
  returned: when O(state=undone)
  type: str
  sample: 9f86d081884c7d65
digest_now:
  description: Digest of the present state.
  returned: when O(state=undone)
  type: str
  sample: 9f86d081884c7d65
"""

import os
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.restore_engine import (
    FOLDER,
    Point,
    RestoreError,
    arm,
    armed_point,
    confirm,
    differences,
    in_force,
    in_time,
    locked,
    programs_state,
    prove,
    revert,
    state_digest,
    step,
    take,
)
from ansible.module_utils.restore_undo import undo


def main() -> None:
    """One of the four."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "default": ""},
            "state": {
                "type": "str",
                "choices": ["confirmed", "reverted", "undone", "read"],
                "default": "read",
            },
            "restore_point": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 180},
            "force": {"type": "bool", "default": False},
            "proofs": {"type": "list", "elements": "list", "default": []},
        },
        required_if=[("state", "confirmed", ["name"]), ("state", "undone", ["name", "restore_point"])],
        supports_check_mode=True,
    )
    if not 5 <= module.params["seconds"] <= 86400:
        module.fail_json(msg=f"seconds must be 5 to 86400, not {module.params['seconds']}")
    try:
        answer = STATES[module.params["state"]](module)
    except (RestoreError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**answer)


def points() -> List[Dict[str, Any]]:
    """What the host keeps, oldest first."""
    if not os.path.isdir(FOLDER):
        return []
    found = [
        Point(name) for name in sorted(os.listdir(FOLDER)) if not name.startswith(".") and name != "armed"
    ]
    metas = [point.meta for point in found if point.exists]
    return sorted(metas, key=lambda meta: float(meta["taken"]))


def do_read(_module: AnsibleModule) -> Dict[str, Any]:
    """List them."""
    kept = ("name", "state", "taken", "armed", "confirmed", "reverted", "problem", "undone")
    listed = [{key: meta[key] for key in kept if key in meta} for meta in points()]
    waiting, names = armed_point(), undoable()
    return {
        "changed": False,
        "restore_point": waiting.name if waiting else "",
        "points": listed,
        "undoable": names,
        "latest": names[-1] if names else "",
    }


def undoable() -> List[str]:
    """The confirmed changes that still stand, oldest first; an undo is none, though behind a restore point as well."""
    return [
        meta["name"]
        for meta in points()
        if meta["state"] == "confirmed" and not meta.get("undone") and "undoes" not in meta["plan"]
    ]


def do_confirm(module: AnsibleModule) -> Dict[str, Any]:
    """The change stays."""
    point = Point(module.params["name"])
    if module.check_mode:
        return {"changed": True, "restore_point": point.name}
    waited = armed_point() is not None
    if waited:
        prove(
            module.params["proofs"]
        )  # without the lock: a proof that hangs must not keep the host from going back
    with locked():
        confirm(point)
    return {"changed": waited, "restore_point": point.name, "point_state": "confirmed"}


def do_revert(module: AnsibleModule) -> Dict[str, Any]:
    """Back now, where something waits; and what became of it."""
    with locked():
        waiting = armed_point()
        wanted = module.params["name"]
        waits = waiting is not None and wanted in ("", waiting.name)
        if waiting is not None and waits and not module.check_mode:
            revert(waiting)
        name = waiting.name if waiting is not None and waits else wanted
        state = Point(name).meta["state"] if name else ""
    return {"changed": waits, "restore_point": name, "point_state": state}


def do_undo(module: AnsibleModule) -> Dict[str, Any]:
    """Back to what was before a confirmed change."""
    name, force = module.params["name"], module.params["force"]
    if name == "latest":
        confirmed = undoable()
        if not confirmed:
            raise RestoreError("this host keeps no confirmed restore point: there is nothing to undo")
        name = confirmed[-1]
    point = Point(name)
    meta = point.meta
    answer: Dict[str, Any] = {"changed": False, "restore_point": "", "undone": name}
    before, files = point.read("before.json"), point.capture()
    changed = differences(before, files)
    changed += [f"package {name}" for state in programs_state(point) for name in state["changed"]]
    digests = state_digest(point, files)
    if digests["before"] != digests["now"]:
        answer["changed"] = True
        made = in_force(meta["plan"])
        answer["diff"] = [
            {"before_header": path, "after_header": path, "before": "changed", "after": "as it was"}
            for path in [*changed, *made]
        ]
    if not answer["changed"] and not module.check_mode:
        point.note(
            undone="by others"
        )  # else an undo of the last change would never come to the one before it
    if answer["changed"] and not module.check_mode:
        own = module.params["restore_point"]
        with locked():
            swapped = {
                "undo": meta["plan"].get("redo", []),
                "redo": meta["plan"].get("undo", []),
                "undoes": name,
            }
            back = take(own, {**meta["plan"], **swapped})
            arm(back, module.params["seconds"])
        try:
            with in_time(module.params["seconds"]), step(back):
                undo(point, force)
        except Exception as error:
            with locked():
                waiting = armed_point()
                if waiting is not None and waiting.name == own:
                    revert(back)
            raise RestoreError(f"nothing was undone: {error}") from error
        point.note(undone=own)
        answer["restore_point"] = own
        files = point.capture()
        digests = state_digest(point, files)
    answer["next_start"] = list(meta["plan"].get("next_start", []))
    for sentence in answer["next_start"]:
        module.warn(f"restart the host: {sentence}")
    left = [*differences(before, files), *in_force(meta["plan"])]
    answer["left"] = left[:50]
    answer.update(
        digest_before=digests["before"],
        digest_now=digests["now"],
        identical=digests["before"] == digests["now"],
    )
    return answer


STATES = {"read": do_read, "confirmed": do_confirm, "reverted": do_revert, "undone": do_undo}

if __name__ == "__main__":
    main()
