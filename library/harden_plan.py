#!/usr/bin/python
# Documentation only: the action plugin of the same name does the work, on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: harden_plan
short_description: From a judged host to the resources that mend it
description:
  - Judges as the module M(judge) does, and looks up the remedies of the checks that fail
    (C(roles/harden/files/topics/*.yml)).
  - Runs on the controller. It touches neither the host nor the network, and changes nothing.
  - What passes is left as it is, also where a site's own setting differs from the remedy.
author:
  - Dialysis maintenance (@dialysis-maintenance)
options:
  snapshots: {description: As of M(judge)., type: dict, required: true}
  rules: {description: Files of checks., type: list, elements: path, required: true}
  limits: {description: As of M(judge)., type: raw, default: {}}
  site_limits: {description: As of M(judge)., type: raw, default: {}}
  waivers: {description: As of M(judge). A deviation that was accepted is not mended., type: raw, default: []}
  language: {description: As of M(judge)., type: str, choices: [zh, en], default: zh}
  controls:
    description: Ids of checks, with C(*) as a wildcard, or topics. Empty for all whose remedy is at most O(highest_risk).
    type: list
    elements: str
    default: []
  skip:
    description: Ids or topics that are left as they are.
    type: list
    elements: str
    default: []
  highest_risk:
    description: The highest risk of what is mended without being named.
    type: str
    choices: [R0, R1, R2, R3]
    default: R2
"""

EXAMPLES = r"""
- name: Choose the remedies of what fails
  harden_plan:
    snapshots:
      host_snapshot: __inspection_host
    rules: [roles/baseline/vars/linux_checks.yml]
    limits: baseline_limits
  register: __harden_plan
"""

RETURN = r"""
planned:
  description: What will be mended.
  returned: success
  type: list
  elements: dict
  sample: [{check: LNX-LF-05, subject: db1, title: 单次连接认证尝试次数, risk: R1, topic: sshd}]
left:
  description: What fails and is left as it is, with the reason.
  returned: success
  type: list
  elements: dict
  sample: [{check: LNX-AC-12, subject: db1, title: root 不可远程登录, reason: R3 may cut off access}]
resources:
  description: For M(desired_state).
  returned: success
  type: list
  elements: dict
  sample: [{kind: sysctl, key: kernel.kptr_restrict, value: "2", checks: [LNX-IP-13A]}]
highest_risk:
  description: The highest risk of what is planned.
  returned: success
  type: str
  sample: R2
"""

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "snapshots": {"type": "dict", "required": True},
    "rules": {"type": "list", "elements": "path", "required": True},
    "limits": {"type": "raw", "default": {}},
    "site_limits": {"type": "raw", "default": {}},
    "waivers": {"type": "raw", "default": []},
    "language": {"type": "str", "choices": ["zh", "en"], "default": "zh"},
    "controls": {"type": "list", "elements": "str", "default": []},
    "skip": {"type": "list", "elements": "str", "default": []},
    "highest_risk": {"type": "str", "choices": ["R0", "R1", "R2", "R3"], "default": "R2"},
}


def main() -> None:
    """Refuse: the host has neither the checks nor the remedies."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    module.fail_json(
        msg="harden_plan runs on the controller: its action plugin (action_plugins/harden_plan.py) was not found"
    )


if __name__ == "__main__":
    main()
