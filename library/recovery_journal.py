#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: recovery_journal
short_description: How far a rebuild or a return is, kept on the machine that becomes the database server
description:
  - A run that was interrupted is gone on with from here, by anybody, from anywhere. What is marked has happened.
  - It holds no secret and no patient.
  - C(ended) puts a journal by whose story is over, so that another can begin. It stays readable beside.
version_added: 0.5.0
options:
  kind:
    description: Whose journal.
    type: str
    choices: [rebuild, failback]
    default: rebuild
  state:
    description:
      - C(read) tells what is; C(begun) begins a journal, or goes on with that of the same rebuild and refuses another's.
      - C(marked) notes that O(phase) has ended, or only O(facts); C(reported) makes findings and numbers of it.
    type: str
    choices: [read, begun, marked, reported, ended]
    default: read
  failed:
    description: The server that failed.
    type: str
    default: ""
  standby:
    description: The machine that takes its place.
    type: str
    default: ""
  stanza:
    description: The stanza.
    type: str
    default: ""
  phase:
    description: What has ended.
    type: str
    default: ""
  facts:
    description: What is known from it.
    type: dict
    default: {}
  language:
    description: Language of the findings.
    type: str
    choices: [zh, en]
    default: zh
attributes:
  check_mode:
    description: Nothing is written.
    support: full
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Note that the files are there
  recovery_journal:
    state: marked
    phase: restored
"""

RETURN = r"""
journal:
  description: The journal, or an empty one.
  returned: always
  type: dict
  sample: {failed: db1, standby: standby1, marks: {begun: 1795400000.0}, facts: {}}
"""

from ansible.module_utils import failback_report
from ansible.module_utils import recovery_journal as journals
from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "kind": {"type": "str", "choices": ["rebuild", "failback"], "default": "rebuild"},
    "state": {"type": "str", "choices": ["read", "begun", "marked", "reported", "ended"], "default": "read"},
    "failed": {"type": "str", "default": ""},
    "standby": {"type": "str", "default": ""},
    "stanza": {"type": "str", "default": ""},
    "phase": {"type": "str", "default": ""},
    "facts": {"type": "dict", "default": {}},
    "language": {"type": "str", "choices": ["zh", "en"], "default": "zh"},
}


def main() -> None:
    """One step."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    asked = module.params
    failback = asked["kind"] == "failback"
    folder = journals.FAILBACK_FOLDER if failback else journals.FOLDER
    try:
        there = journals.read(folder)
        told = there
        if asked["state"] == "begun":
            told = journals.begun(there, asked["failed"], asked["standby"], asked["stanza"], journals.now())
        elif asked["state"] == "marked" and (there or not module.check_mode):
            if there is None:
                module.fail_json(msg=f"no {asked['kind']} has begun on this machine")
            told = journals.marked(there, asked["phase"], asked["facts"], journals.now())
        elif asked["state"] == "ended" and there:
            told = None
            if not module.check_mode:
                journals.put_by(there, folder)
        if told is not None and told != there and not module.check_mode:
            journals.write(told, folder)
    except (journals.JournalError, OSError) as error:
        module.fail_json(msg=str(error))
    report = failback_report.report if failback else journals.report
    answer = report(told, asked["language"]) if asked["state"] == "reported" and told else {}
    module.exit_json(
        changed=told != there,
        path=journals.path_of(folder),
        journal=told or {"marks": {}, "facts": {}},
        **answer,
    )


if __name__ == "__main__":
    main()
