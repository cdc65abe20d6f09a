#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: desired_state
short_description: Make resources of a host what they are to be, behind a restore point
description:
  - Compares all resources with what is, in one call. Where nothing differs nothing is written at all.
  - Where something differs it first keeps a restore point on the host and arms it, then changes. Unless
    M(restore_point) confirms in time the host takes everything back by itself, also after a restart, also when no
    connection is left.
  - When a change fails, or a check does not accept the result, everything is taken back at once and the module fails.
version_added: 0.3.0
options:
  resources:
    description:
      - What is to be. Each has C(kind), one of C(file), C(setting), C(mode), C(unit), C(sysctl), C(account),
        C(mount), C(sudoers), C(pam_stack), C(postgresql), C(hba), C(statement), C(package) and C(command), what
        that kind needs (see C(module_utils/desired_state.py)), and C(checks), the ids that it is for.
    type: list
    elements: dict
    required: true
  secrets:
    description:
      - What stands in the content of a file as C(@NAME@), by name. It is never shown, also not in a difference.
    type: dict
    default: {}
  restore_point:
    description: Name of the restore point that is taken when something changes; as the run's.
    type: str
    required: true
  seconds:
    description: After how many seconds without confirmation the host takes the change back.
    type: int
    default: 180
attributes:
  check_mode:
    description: It compares and tells what it would change.
    support: full
  diff_mode:
    description: One difference for each file, setting, unit, parameter and account.
    support: full
requirements:
  - Linux with systemd
  - Python 3.8 or newer on the host, its standard library alone
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Narrow sshd
  desired_state:
    restore_point: 20261123T010203Z-1a2b-harden
    resources:
      - kind: setting
        path: /etc/ssh/sshd_config.d/00-maintenance.conf
        key: MaxAuthTries
        value: "4"
        check: [sshd, -t]
        then: [[systemctl, reload, ssh.service]]
        checks: [LNX-LF-05]
"""

RETURN = r"""
restore_point:
  description: The restore point that was taken and is armed, or nothing where nothing changed.
  returned: always
  type: str
  sample: 20261123T010203Z-1a2b-harden
not_possible:
  description: Resources that this host cannot be given, with the reason and its kind (package, access, kernel, host).
  returned: always
  type: list
  elements: dict
  sample: [{checks: LNX-IP-10, subject: kernel.sysrq, reason: its kernel belongs to another machine, kind: kernel}]
next_start:
  description: What of the change, or of its way back, comes into force with the next start of the host only.
  returned: always
  type: list
  elements: str
  sample: [the kernel's command line is in force after the next start of the host]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.desired_state import apply, plan, restore_plan
from ansible.module_utils.restore_engine import (
    Point,
    RestoreError,
    arm,
    armed_point,
    in_time,
    locked,
    revert,
    step,
    take,
)


def main() -> None:
    """Compare, keep, arm, change."""
    module = AnsibleModule(
        argument_spec={
            "resources": {"type": "list", "elements": "dict", "required": True},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "restore_point": {"type": "str", "required": True},
            "seconds": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    if not 5 <= module.params["seconds"] <= 86400:
        module.fail_json(msg=f"seconds must be 5 to 86400, not {module.params['seconds']}")
    try:
        found, refused = plan(
            module.params["resources"], module.params["secrets"], rehearsal=module.check_mode
        )
        diff = [
            {
                "before_header": difference.subject,
                "after_header": difference.subject,
                "before": difference.before,
                "after": difference.after,
            }
            for difference in found
        ]
        answer = {"changed": bool(found), "diff": diff, "not_possible": refused, "restore_point": ""}
        answer["next_start"] = restore_plan(found)["next_start"]
        if found and not module.check_mode:
            answer["restore_point"] = module.params["restore_point"]
            change(found, module.params["restore_point"], module.params["seconds"])
    except (RestoreError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**answer)


def change(found: list, name: str, seconds: int) -> None:
    """Take the restore point, arm it, change; back at once when that fails."""
    with locked():
        point = take(name, restore_plan(found))
        arm(point, seconds)
    try:
        with in_time(seconds):
            apply(found, lambda: step(point))
    except Exception as error:
        with locked():
            waiting = armed_point()
            if waiting is not None and waiting.name == name:
                revert(Point(name))
        raise RestoreError(f"taken back, because of: {error}") from error


if __name__ == "__main__":
    main()
