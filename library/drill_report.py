#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: drill_report
short_description: Make findings and numbers of what a restore drill has measured
description:
  - Pure. What was not measured is unknown or failed, never sound.
version_added: 0.5.0
options:
  told:
    description: What the drill's steps have answered.
    type: dict
    required: true
  language:
    description: Language of the findings.
    type: str
    choices: [zh, en]
    default: zh
attributes:
  check_mode:
    description: It changes nothing anyway.
    support: full
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Report
  drill_report:
    told:
      host: backup1
      marks: {begun: 1795400000.0}
"""

RETURN = r"""
evidence:
  description: The findings DRL-*.
  returned: success
  type: list
  elements: dict
  sample: [{id: DRL-RTO-01, verdict: pass, actual: "31.5 s"}]
wrong:
  description: The findings that keep this drill from being a proof.
  returned: success
  type: list
  elements: str
  sample: []
metrics:
  description: The numbers.
  returned: success
  type: list
  elements: dict
  sample: [{name: drill_rto_seconds, value: 31.5, unit: seconds}]
"""

from ansible.module_utils import drill_report
from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """One report."""
    module = AnsibleModule(
        {
            "told": {"type": "dict", "required": True},
            "language": {"type": "str", "choices": ["zh", "en"], "default": "zh"},
        },
        supports_check_mode=True,
    )
    try:
        answer = drill_report.report(module.params["told"], module.params["language"])
    except (KeyError, TypeError, ValueError) as error:
        module.fail_json(msg=f"the drill's answers make no report: {error!r}")
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
