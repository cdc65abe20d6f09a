#!/usr/bin/python
# Documentation only: the action plugin of the same name does the work, on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: judge
short_description: Judge snapshots of a host by rules
description:
  - Applies rule files to what the snapshot modules read, and returns findings and metrics.
  - Runs on the controller. It touches neither the host nor the network, and changes nothing.
  - Expressions of the rules are evaluated in a sandbox; values of a snapshot are only data.
  - What could not be read is C(unknown) with its reason, and never a pass.
author:
  - Dialysis maintenance (@dialysis-maintenance)
options:
  snapshots:
    description:
      - By name of the snapshot module, the B(name) of the variable that its task registered,
        or the snapshot itself.
      - A name is cheaper, because a snapshot of some 150 KB is then not templated.
      - Rules of a snapshot that is absent here, or whose task was skipped, are not applied.
    type: dict
    required: true
  rules:
    description: Rule files, relative to the repository; C(docs/shapes.md) says what they hold.
    type: list
    elements: path
    required: true
  limits:
    description:
      - The site's thresholds, which the rules call C(limits), or the B(name) of the variable that holds them.
      - A name is cheaper here as well.
    type: raw
    default: {}
  site_limits:
    description: Thresholds that the site sets otherwise, or a name. A threshold that O(limits) does not have fails.
    type: raw
    default: {}
  language:
    description: Language of titles, advice and reasons.
    type: str
    choices: [zh, en]
    default: zh
  waivers:
    description:
      - Deviations that the hospital has accepted. One that has ended is ignored, and the finding says so.
      - What is unknown cannot be waived.
      - A list, or the B(name) of the variable that holds it.
    type: raw
    default: []
    suboptions:
      rule:
        description: Id of the rule.
        type: str
        required: true
      hosts:
        description: Names or groups of hosts, with C(*) as a wildcard.
        type: list
        elements: str
        required: true
      subject:
        description: The one item of the rule that is waived, with C(*) as a wildcard.
        type: str
        default: "*"
      reason:
        description: Why the deviation is accepted.
        type: str
        required: true
      approved_by:
        description: Who of the hospital accepted it.
        type: str
        required: true
      until:
        description: The last day of the waiver.
        type: str
        required: true
  mitigations:
    description:
      - What lowers a grave danger, by its code (C(A-18)), in words. It changes no verdict and goes into the record.
      - A mapping, or the B(name) of the variable that holds it.
    type: raw
    default: {}
  not_applicable:
    description:
      - Units of GB/T 28448 (C(L3-ABS1-15)) that do not apply to the site, each with the reason. It goes into the record,
        where it counts for what no check can tell of.
      - A mapping, or the B(name) of the variable that holds it.
    type: raw
    default: {}
notes:
  - "In expressions: C(data), C(probes), C(item), C(limits), C(host) and C(now)."
  - "Filters: the usual ones for numbers, texts and lists, C(days_until) and C(age_days) of an instant,
    C(seconds_between), C(bytes); C(int) and C(float) fail on what is not a number.
    Test: C(matches) a regular expression."
"""

EXAMPLES = r"""
- name: Judge the state by the rules
  judge:
    snapshots:
      host_snapshot: __inspection_host
    rules:
      - roles/inspection/vars/host_rules.yml
    limits: inspection_limits
    language: zh
"""

RETURN = r"""
evidence:
  description: One finding for all that passes a rule, and one for each item that does not.
  returned: success
  type: list
  elements: dict
  sample:
    - id: HOST-FS-01
      clause: 3.2.1
      area: storage
      title: 文件系统使用率
      subject: /var
      expected: <= 80 %
      actual: 91.3 %
      verdict: fail
      severity: warning
      owner: vendor
      advice: 清理或扩容
metrics:
  description: Numbers that forecasts are made of.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: filesystem_used_bytes, subject: /var, value: 91300000000.0, unit: bytes, limit: 100000000000.0}
rules:
  description: The rule files that were applied.
  returned: success
  type: list
  elements: dict
  sample:
    - {path: roles/inspection/vars/host_rules.yml, sha256: 9f86d081884c7d65, count: 40}
waivers:
  description: O(waivers) as they were taken.
  returned: when there are any
  type: list
  elements: dict
mitigations:
  description: O(mitigations) as they were taken.
  returned: when there are any
  type: dict
not_applicable:
  description: O(not_applicable) as it was taken.
  returned: when there is any
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "snapshots": {"type": "dict", "required": True},
    "rules": {"type": "list", "elements": "path", "required": True},
    "limits": {"type": "raw", "default": {}},
    "site_limits": {"type": "raw", "default": {}},
    "language": {"type": "str", "choices": ["zh", "en"], "default": "zh"},
    "waivers": {"type": "raw", "default": []},
    "mitigations": {"type": "raw", "default": {}},
    "not_applicable": {"type": "raw", "default": {}},
}


def main() -> None:
    """Refuse: the host has neither the rules nor the sandbox."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    module.fail_json(
        msg="judge runs on the controller: its action plugin (action_plugins/judge.py) was not found"
    )


if __name__ == "__main__":
    main()
