#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_snapshot
short_description: Read the state of a Linux host in one round trip
description:
  - Reads hardware, operating system, storage, network, services, jobs, time, software, accounts, policies, logs,
    files and protection of a host. It judges nothing and changes nothing.
  - Each probe has a time limit of its own and runs in a process that can be given up, so that a hung mount or command
    costs one C(unknown) and never the run.
  - What cannot be read is absent and named with its reason; nothing is guessed. Without root fewer values are there.
  - The snapshot holds no password, hash, key or token, and no arguments or environment of processes. It is plain JSON
    of at most 4 MB in which every control character is visible.
  - The action plugin of the same name sends the same code by standard input to C(ansible_python_interpreter), which
    costs one round trip. Where pipelining is off the module itself is run.
version_added: 0.1.0
options:
  expected_units:
    description: Units of systemd that must run; C(.service) may be left out.
    type: list
    elements: str
    default: []
  expected_timers:
    description: Timers of systemd that must be active; C(.timer) may be left out.
    type: list
    elements: str
    default: []
  certificate_files:
    description: Certificates in files to read besides those of web servers and certbot.
    type: list
    elements: path
    default: []
  listeners:
    description: Ports that must be listening.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: The port.
        type: int
        required: true
      protocol:
        description: The protocol.
        type: str
        choices: [tcp, udp]
        default: tcp
      address:
        description: The address that it must listen on; any when left out. A socket on all addresses is good for each.
        type: str
      name:
        description: What listens there, for the report.
        type: str
      tls:
        description: Whether to read the certificate behind the port; done for the usual TLS ports anyway.
        type: bool
        default: false
  since:
    description: Instant (RFC 3339) from which errors in the journal and failed logins count; by default 92 days ago.
    type: str
  timeout:
    description: Seconds for the whole snapshot; what has not answered by then is C(unknown).
    type: int
    default: 60
  scan_paths:
    description: Where to look for set-user-id, open and ownerless files; all local file systems by default.
    type: list
    elements: path
    default: []
  scan_seconds:
    description: Seconds for that search; the result says whether it was cut.
    type: float
    default: 3.0
  as_text:
    description:
      - Whether to return the snapshot as one text in JSON.
      - The engine walks through each value of a result several times, which costs the controller more than all else
        it does for a host; a text is one value. The module M(judge) and the record take either.
    type: bool
    default: false
attributes:
  check_mode:
    description: It only reads, so check mode gives the same answer.
    support: full
requirements:
  - Linux
  - Python 3.8 or newer on the host, its standard library alone
notes:
  - Where openssl, smartctl, chronyc, auditctl and others are installed they are asked; where not, the values say so.
author:
  - Dialysis maintenance team
"""

EXAMPLES = r"""
- name: Read the state of the host
  host_snapshot:
  register: __inspection_host

- name: Read it with what this hospital expects
  host_snapshot:
    expected_units: [postgresql@15-main, chrony]
    expected_timers: [pgbackrest-full, pgbackrest-incr]
    listeners:
      - {port: 5432, name: PostgreSQL}
      - {port: 8443, name: web service, tls: true}
    certificate_files: [/etc/postgresql/server.crt]
    since: "2026-08-22T00:00:00Z"
  register: __inspection_host
"""

RETURN = r"""
snapshot:
  description: What was read, a text with O(as_text); C(docs/shapes.md) is its contract.
  returned: always
  type: dict
  contains:
    schema:
      description: The shape and its version.
      type: str
      sample: host-snapshot/1
    taken:
      description: When the snapshot was begun.
      type: str
      sample: "2026-11-22T13:15:04Z"
    duration_ms:
      description: How long it took on the host.
      type: int
      sample: 412
    probes:
      description: State, time and reasons of each probe.
      type: dict
      sample: {accounts: {state: ok, ms: 2, unread: {password: "needs root: /etc/shadow"}}}
    commands:
      description: Every command as it was run on the host.
      type: list
      elements: str
      sample: ["sshd -T"]
    data:
      description: The values by probe; a probe that is unknown has none.
      type: dict
      sample: {load: {processors: 2, one: 0.42, one_per_processor: 0.21}}
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.snapshot_arguments import ARGUMENTS, problem
from ansible.module_utils.snapshot_collect import collect


def main() -> None:
    """Check the arguments, take the snapshot, return it."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    wrong = problem(module.params)
    if wrong:
        module.fail_json(msg=wrong)
    snapshot = collect(module.params)
    module.exit_json(changed=False, snapshot=json.dumps(snapshot) if module.params["as_text"] else snapshot)


if __name__ == "__main__":
    main()
