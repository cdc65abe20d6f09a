#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: log_delivery
short_description: Prove that what a host logs arrives at the log server
description:
  - With O(state=sent) it leaves one line in the host's log, by C(logger), with a text that nobody can guess.
  - With O(state=found), on the log server, it looks for that text in the files of received logs until it is there, or the
    time is over. It reads the ends of files that were written to just now, and nothing else.
version_added: 0.3.0
options:
  state:
    description: What is done, and on which side.
    type: str
    choices: [sent, found]
    required: true
  nonce:
    description: What is looked for.
    type: str
    default: ""
  server:
    description: The name of the log server, for the finding.
    type: str
    default: ""
  files:
    description: Patterns of the files that a log server keeps what it receives in.
    type: list
    elements: str
    default: [/var/log/hosts/*/*.log, /var/log/hosts/*.log, /var/log/remote/*/*.log, /var/log/syslog, /var/log/messages]
  seconds:
    description: How long the line may take.
    type: float
    default: 20
attributes:
  check_mode:
    description: It changes nothing but the log; in check mode it does nothing at all.
    support: none
  diff_mode:
    description: There is nothing to show.
    support: none
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Leave a line in the log
  log_delivery:
    state: sent
  register: __sent

- name: Find it on the log server
  log_delivery:
    state: found
    nonce: "{{ __sent.nonce }}"
  delegate_to: backup1
"""

RETURN = r"""
nonce:
  description: What was sent.
  returned: when O(state=sent)
  type: str
  sample: proof-5f2b7a90c1d84e63
snapshot:
  description: Whether it was found, in which file, after how many seconds; as M(judge) takes it.
  returned: when O(state=found)
  type: dict
  sample: {schema: log-delivery/1, probes: {delivery: {state: ok}}, data: {delivery: {found: true, seconds: 0.4}}}
"""

import glob
import os
import re
import secrets
import time
from typing import Any, Dict, List, Sequence

from ansible.module_utils.basic import AnsibleModule

# The whole sentence is looked for: Ansible itself logs on the server what it was asked to find.
_SENTENCE = "maintenance assessment: does this line reach the log server? "
_TAIL = 4 << 20
_JUST_NOW = 600  # seconds; clocks of hosts differ a little
_FILES = [
    "/var/log/hosts/*/*.log",
    "/var/log/hosts/*.log",
    "/var/log/remote/*/*.log",
    "/var/log/syslog",
    "/var/log/messages",
]


def main() -> None:
    """Send or find."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["sent", "found"], "required": True},
            "nonce": {"type": "str", "default": ""},
            "server": {"type": "str", "default": ""},
            "files": {"type": "list", "elements": "str", "default": _FILES},
            "seconds": {"type": "float", "default": 20},
        },
        required_if=[("state", "found", ["nonce"])],
    )
    if module.params["state"] == "sent":
        module.exit_json(changed=False, nonce=send(module))
    nonce, seconds = module.params["nonce"], module.params["seconds"]
    if not re.fullmatch(r"proof-[0-9a-f]{16,64}", nonce):
        module.fail_json(msg="nonce is not one that was sent")
    if not 0 < seconds <= 300:
        module.fail_json(msg=f"seconds must be more than 0 and at most 300, not {seconds:g}")
    started = time.monotonic()
    path = wait_for(nonce, module.params["files"], seconds)
    found: Dict[str, Any] = {
        "server": module.params["server"],
        "found": bool(path),
        "file": path or "-",
        "seconds": round(time.monotonic() - started, 1) if path else seconds,
    }
    snapshot = {
        "schema": "log-delivery/1",
        "probes": {"delivery": {"state": "ok"}},
        "data": {"delivery": found},
    }
    module.exit_json(changed=False, snapshot=snapshot)


def send(module: AnsibleModule) -> str:
    """One line through the host's own log."""
    nonce = "proof-" + secrets.token_hex(12)
    module.run_command(["logger", "-p", "user.notice", "-t", "maintenance", _SENTENCE + nonce], check_rc=True)
    return nonce


def wait_for(nonce: str, patterns: Sequence[str], seconds: float) -> str:
    """The file that holds the text, or '' when it is in none within the time."""
    end = time.monotonic() + seconds
    while True:
        path = search((_SENTENCE + nonce).encode(), patterns)
        if path or time.monotonic() >= end:
            return path
        time.sleep(0.2)


def search(text: bytes, patterns: Sequence[str]) -> str:
    """The file whose end holds the text."""
    for path in candidates(patterns):
        try:
            with open(path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
                if text in file.read(_TAIL + 65536):
                    return path
        except OSError:
            continue
    return ""


def candidates(patterns: Sequence[str]) -> List[str]:
    """Files of these patterns that were written to just now, the latest first."""
    found = []
    for path in {path for pattern in patterns for path in glob.glob(pattern)}:
        try:
            found.append((os.stat(path).st_mtime, path))
        except OSError:
            continue
    since = time.time() - _JUST_NOW
    return [path for modified, path in sorted(found, reverse=True) if modified >= since]


if __name__ == "__main__":
    main()
