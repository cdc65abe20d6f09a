#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_copy
short_description: Make a machine what a database server was beside its data
description:
  - Reads the copy of the server's configuration that lies in a restored data directory (C(maintenance_host.json)).
  - Puts in place what belongs to the database - its configuration, access rules, kernel settings, limits, its crontab -
    and names what a person has to decide on - packages, locales, timers, other jobs, certificates.
  - A file that is replaced is kept beside as C(NAME.before-rebuild). Contents are never told.
version_added: 0.5.0
options:
  data_directory:
    description: The data directory that holds the copy.
    type: path
    required: true
attributes:
  check_mode:
    description: It compares and changes nothing.
    support: full
author:
  - Dialysis maintenance (@dialysis-maintenance)
"""

EXAMPLES = r"""
- name: Put the configuration in place
  host_copy:
    data_directory: /var/lib/postgresql/15/main
"""

RETURN = r"""
host:
  description: Whose copy it is.
  returned: success
  type: str
  sample: db1
taken:
  description: When it was taken.
  returned: success
  type: str
  sample: "2026-11-22T17:10:00Z"
put:
  description: Files that were put in place.
  returned: success
  type: list
  elements: str
  sample: [/etc/postgresql/15/main/pg_hba.conf]
left:
  description: What was not carried over.
  returned: success
  type: list
  elements: str
  sample: [timer hospital-export.timer is not enabled]
"""

import grp
import os
import pwd
import stat

from ansible.module_utils import host_copy as copies
from ansible.module_utils import restore_tree as tree
from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Compare, put, compare again."""
    module = AnsibleModule({"data_directory": {"type": "path", "required": True}}, supports_check_mode=True)
    try:
        told = copies.read(module.params["data_directory"])
        put = []
        for path, wanted in copies.to_put(told).items():
            if copies.same(path, wanted):
                continue
            put.append(path)
            if not module.check_mode:
                place(path, wanted)
        left = copies.missing(told, copies.take())
    except (copies.CopyError, OSError, KeyError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(put), host=told["host"], taken=told["taken"], put=put, left=left)


def place(path: str, wanted: copies.Kept) -> None:
    """Write one file, whole or not at all, with its owner and mode; what was there is kept once beside it."""
    make_folders(os.path.dirname(path))
    before = f"{path}.before-rebuild"
    if os.path.lexists(path) and not os.path.lexists(before):
        with tree.opened(path) as descriptor, open(os.dup(descriptor), "rb") as file:
            status = os.fstat(descriptor)
            tree.write_file(before, file.read(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    owner, group = pwd.getpwnam(wanted.owner).pw_uid, grp.getgrnam(wanted.group).gr_gid
    tree.write_file(path, wanted.contents or b"", wanted.mode, owner, group)


def make_folders(folder: str) -> None:
    """The folders that are missing; those of PostgreSQL belong to its account."""
    if os.path.isdir(folder):
        return
    make_folders(os.path.dirname(folder))
    account = pwd.getpwnam(copies.ACCOUNT)
    with tree.parent(folder) as (above, name):
        os.mkdir(name, 0o755, dir_fd=above)
        if folder.startswith("/etc/postgresql/"):
            os.chown(name, account.pw_uid, account.pw_gid, dir_fd=above, follow_symlinks=False)


if __name__ == "__main__":
    main()
