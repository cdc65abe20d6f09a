#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: replication_account
short_description: An account of PostgreSQL for one receiver of WAL
description:
  - On the receiver's host (O(side=receiver)) it makes a random password in a password file of the receiver's account,
    once, and returns what PostgreSQL keeps of it (SCRAM-SHA-256), from which nobody can log in.
  - On the database server (O(side=database)) it makes the role with that, and lets it in from one address alone.
  - With O(state=absent) either side has nothing of it any more.
version_added: 0.4.0
options:
  side:
    description: Which of the two.
    type: str
    choices: [receiver, database]
    required: true
  state:
    description: Whether there is such an account.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: The role.
    type: str
    default: backup_receiver
  port:
    description: The server's port.
    type: int
    default: 5432
  server:
    description: The server's address as the receiver knows it.
    type: str
    default: ""
  password_file:
    description: The receiver's password file.
    type: path
    default: ""
  owner:
    description: The account of the receiver.
    type: str
    default: pgbackrest
  verifier:
    description: What O(side=receiver) returned.
    type: str
    default: ""
  address:
    description: From where the role may come, as C(192.0.2.21/32).
    type: str
    default: ""
attributes:
  check_mode:
    description: It compares and changes nothing.
    support: full
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Make the receiver's password
  replication_account:
    side: receiver
    server: db1
    password_file: /var/lib/pgbackrest-home/.pgpass
  register: __receiver
  no_log: true
"""

RETURN = r"""
verifier:
  description: What PostgreSQL keeps of the password.
  returned: when O(side=receiver) and O(state=present)
  type: str
  sample: SCRAM-SHA-256$4096:…
"""

import base64
import hashlib
import hmac
import ipaddress
import os
import pwd
import re
import secrets
import stat
from typing import Any, Dict, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.database_query import DatabaseError, literal, psql
from ansible.module_utils.restore_tree import write_file

ITERATIONS = 4096
MARK = "# Kept by the maintenance runbook configure_backup"


def main() -> None:
    """One of the two sides."""
    module = AnsibleModule(
        {
            "side": {"type": "str", "choices": ["receiver", "database"], "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "name": {"type": "str", "default": "backup_receiver"},
            "port": {"type": "int", "default": 5432},
            "server": {"type": "str", "default": ""},
            "password_file": {"type": "path", "default": "", "no_log": False},
            "owner": {"type": "str", "default": "pgbackrest"},
            "verifier": {"type": "str", "default": "", "no_log": True},
            "address": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    asked = module.params
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", asked["name"]):
        module.fail_json(msg=f"'{asked['name']}' is no name of a role")
    try:
        answer = receiver(asked, module.check_mode) if asked["side"] == "receiver" else database(module)
    except (DatabaseError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**answer)


def receiver(asked: Dict[str, Any], planned: bool) -> Dict[str, Any]:
    """The password, made once, and its verifier, the same at each call."""
    path, start = asked["password_file"], f"{asked['server']}:{asked['port']}:replication:{asked['name']}:"
    lines = []
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    found = [line[len(start) :] for line in lines if line.startswith(start)]
    if asked["state"] == "absent":
        if found and not planned:
            keep_passwords(asked, [line for line in lines if not line.startswith(start)])
        return {"changed": bool(found)}
    password = found[0] if found else secrets.token_urlsafe(32)
    if not found and not planned:
        keep_passwords(asked, [*lines, start + password])
    return {"changed": not found, "verifier": scram(password)}


def keep_passwords(asked: Dict[str, Any], lines: Sequence[str]) -> None:
    """The password file, which nobody but its account reads."""
    account = pwd.getpwnam(asked["owner"])
    text = "\n".join([*lines, ""])
    write_file(asked["password_file"], text.encode(), 0o600, account.pw_uid, account.pw_gid)


def scram(password: str) -> str:
    """What PostgreSQL keeps. The salt comes from the password (256 random bits): a second call finds no change."""
    salt = hashlib.sha256(b"maintenance salt " + password.encode()).digest()[:16]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.new(salted, b"Client Key", "sha256").digest()).digest()
    server = hmac.new(salted, b"Server Key", "sha256").digest()
    parts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{parts[0]}${parts[1]}:{parts[2]}"


def database(module: AnsibleModule) -> Dict[str, Any]:
    """The role, and its line of pg_hba.conf: the first that matches is the one that counts; or neither."""
    asked, changed = module.params, False
    port, role = asked["port"], asked["name"]
    # The role's name was checked: it can stand in a statement.
    where = f"where rolname = '{role}'"
    if asked["state"] == "absent":
        if psql(port, [f"select 1 from pg_roles {where}"]).strip():  # noqa: S608
            changed = True
            if not module.check_mode:
                psql(port, [f"drop role {role}"])
        return {"changed": let_in(module, "") or changed}
    address = str(ipaddress.ip_network(asked["address"]))
    kept = psql(port, [f"select rolpassword from pg_authid {where} and rolreplication"])  # noqa: S608
    if kept.strip() != asked["verifier"]:
        changed = True
        if not module.check_mode:
            exists = psql(port, [f"select 1 from pg_roles {where}"]).strip()  # noqa: S608
            verb = "alter" if exists else "create"
            psql(port, [f"{verb} role {role} login replication password {literal(asked['verifier'])}"])
    kind = "hostssl" if psql(port, ["show ssl"]).strip() == "on" else "host"
    return {"changed": let_in(module, f"{kind} replication {role} {address} scram-sha-256 {MARK}") or changed}


def let_in(module: AnsibleModule, line: str) -> bool:
    """The role's line of pg_hba.conf, or none; whether that is a change."""
    port, role = module.params["port"], module.params["name"]
    path = psql(port, ["show hba_file"]).strip()
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    wanted = [
        *([line] if line else []),
        *(one for one in lines if not (one.endswith(MARK) and f" {role} " in one)),
    ]
    if wanted != lines and not module.check_mode:
        rewrite(path, wanted)
        faults = psql(port, ["select error from pg_hba_file_rules where error is not null"]).strip()
        if faults:
            rewrite(path, lines)
            raise DatabaseError(f"{path} would be refused: {faults}")
        psql(port, ["select pg_reload_conf()"])
    return wanted != lines


def rewrite(path: str, lines: Sequence[str]) -> None:
    """Other lines for a file, whole, with the rights that it has: the server may read it at any moment."""
    status = os.stat(path)
    text = "\n".join([*lines, ""])
    write_file(path, text.encode(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


if __name__ == "__main__":
    main()
