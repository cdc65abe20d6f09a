#!/usr/bin/python

from __future__ import annotations

DOCUMENTATION = r"""
module: witness_info
short_description: Read the state of the hospital's witness
description:
  - Reads what a witness keeps on this host, compares its list of heads with its receipts, and says who may write what.
  - Changes nothing, and needs nothing but Python's standard library.
author:
  - Dialysis maintenance (@dialysis-maintenance)
options:
  site:
    description: Name of the site whose entries are witnessed.
    type: str
    required: true
  account:
    description: The account that sshd starts the witness under.
    type: str
    required: true
  store:
    description: Folder under which each site has its own.
    type: path
    required: true
  configuration:
    description: Folder of the witness's key and of the keys that the hospital accepts.
    type: path
    default: /etc/maintenance-witness
  judge:
    description: Return findings too, which enter the record.
    type: bool
    default: true
  language:
    description: Language of titles and advice.
    type: str
    choices: [zh, en]
    default: zh
"""

EXAMPLES = r"""
- name: Read the witness
  witness_info:
    site: lab
    account: maintenance-witness
    store: /var/lib/maintenance-witness
  register: witness
"""

RETURN = r"""
witness:
  description:
    - Its public key, the number of entries held, the last line of its list, what is wrong with the store,
      free space, and missing tools.
  returned: always
  type: dict
evidence:
  description: Findings in the shape of C(docs/shapes.md). None before there is a store, or without I(judge).
  returned: always
  type: list
"""

import hashlib
import os
import pwd
import re
import shutil
import stat

from ansible.module_utils.basic import AnsibleModule

TOOLS = ("ssh-keygen", "sha256sum", "flock", "timeout", "sync", "mktemp")
FILES = ("MANIFEST", "MANIFEST.sig", "receipt", "receipt.sig")
TITLES = {
    "store": {"zh": "见证端登记与回执一致", "en": "The witness's list agrees with its receipts"},
    "rights": {
        "zh": "仅见证账户可写登记，且不可改自身授权",
        "en": "The witness writes its store, not its rules",
    },
    "access": {"zh": "厂商密钥只能到达见证命令", "en": "A vendor's key reaches the witness and nothing else"},
}
KEEP = {"zh": "保留现场，勿删除；与备份核对", "en": "Keep it as it is; compare it with a backup"}
AGAIN = {"zh": "重新运行 configure_witness", "en": "Run configure_witness again"}


def read_text(path):
    """The text of a file, or '' where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def read_receipt(folder):
    """(seq, sha256, time) of a stored entry, or a text that says what is wrong with it."""
    missing = [name for name in FILES if not os.path.isfile(os.path.join(folder, name))]
    if missing:
        return "%s lacks %s" % (os.path.basename(folder), ", ".join(missing))
    lines = dict(line.partition(" ")[::2] for line in read_text(os.path.join(folder, "receipt")).splitlines())
    with open(os.path.join(folder, "MANIFEST"), "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    if lines.get("sha256") != digest or lines.get("seq") != os.path.basename(folder).lstrip("0"):
        return "%s holds another MANIFEST than its receipt says" % os.path.basename(folder)
    return lines["seq"], digest, lines.get("time", "")


def check_store(path):
    """The list of heads, and what is wrong with it; the entry after the list's last is no fault, but a put cut short."""
    heads = [tuple(line.split(" ")) for line in read_text(os.path.join(path, "heads")).splitlines()]
    folders = sorted(name for name in os.listdir(path) if re.match(r"[0-9]{6}$", name))
    entries = [read_receipt(os.path.join(path, name)) for name in folders]
    faults = [entry for entry in entries if isinstance(entry, str)]
    if not faults and [entry[0] for entry in entries] != [str(number + 1) for number in range(len(entries))]:
        faults.append("the entries are not 1 to %d" % len(entries))
    if not faults and heads not in (entries, entries[:-1]):
        faults.append("heads names %d entries, the receipts %d, and they differ" % (len(heads), len(entries)))
    return heads, faults


def writable_by(path, account):
    """Whether an account other than root may write or replace a path."""
    try:
        status = os.stat(path)
        owner = pwd.getpwnam(account)
    except (OSError, KeyError):
        return False
    mode = status.st_mode
    if status.st_uid == owner.pw_uid:
        return bool(mode & stat.S_IWUSR)
    return bool((mode & stat.S_IWGRP and status.st_gid == owner.pw_gid) or mode & stat.S_IWOTH)


def check_rights(parameters):
    """What the account may write and must not, or may not write and must."""
    store, configuration = parameters["store"], parameters["configuration"]
    guarded = [
        store,
        os.path.join(store, ".ssh"),
        os.path.join(store, ".ssh", "authorized_keys"),
        configuration,
    ]
    guarded += [os.path.join(configuration, name) for name in ("witness_key", "allowed_signers", "revoked")]
    faults = [
        "%s may be written by %s" % (path, parameters["account"])
        for path in guarded
        if writable_by(path, parameters["account"])
    ]
    own = os.path.join(store, parameters["site"])
    if not writable_by(own, parameters["account"]):
        faults.append("%s may not be written by %s" % (own, parameters["account"]))
    key = os.path.join(configuration, "witness_key")
    if os.path.exists(key) and os.stat(key).st_mode & stat.S_IROTH:
        faults.append("%s may be read by everybody" % key)
    return faults


def check_access(text):
    """Lines of authorized_keys that reach more than a forced command."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    loose = [line for line in lines if not re.match(r'restrict,command="[^"]+/witness\.sh [^"]+" ', line)]
    return len(lines), ["a key without the forced command: ...%s" % line[-24:] for line in loose]


def finding(number, name, subject, expected, good, faults, language):
    """One finding: `good` is what is said where nothing is wrong."""
    return {
        "id": "WITNESS-%02d" % number,
        "clause": "4.1.5",
        "area": "security",
        "title": TITLES[name][language],
        "subject": subject,
        "expected": expected,
        "actual": "; ".join(faults[:5]) or good,
        "verdict": "fail" if faults else "pass",
        "severity": "critical",
        "owner": "hospital" if name == "store" else "vendor",
        "advice": (KEEP if name == "store" else AGAIN)[language] if faults else "",
    }


def read_witness(parameters):
    """Everything there is to say; a pure function of the file system."""
    own = os.path.join(parameters["store"], parameters["site"])
    key = read_text(os.path.join(parameters["configuration"], "witness_key.pub")).split()
    folder = parameters["store"]
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    state = {
        "public_key": " ".join(key[:2]),
        "entries": 0,
        "head": "",
        "faults": [],
        "free_bytes": shutil.disk_usage(folder).free,
        "missing_tools": [tool for tool in TOOLS if not shutil.which(tool)],
    }
    if not os.path.isdir(own):
        return state, []
    heads, faults = check_store(own)
    state.update(entries=len(heads), head=" ".join(heads[-1]) if heads else "", faults=faults)
    if not parameters["judge"]:
        return state, []
    count, loose = check_access(read_text(os.path.join(parameters["store"], ".ssh", "authorized_keys")))
    language = parameters["language"]
    held = "%d entries, the last: %s" % (len(heads), state["head"] or "-")
    return state, [
        finding(1, "store", own, "every entry has its receipt and its line", held, faults, language),
        finding(
            2,
            "rights",
            parameters["account"],
            "store: yes; keys and rules: no",
            "store: yes; keys and rules: no; key of the witness: %s" % state["public_key"],
            check_rights(parameters),
            language,
        ),
        finding(
            3,
            "access",
            "authorized_keys",
            "every key has the forced command",
            "%d keys" % count,
            loose,
            language,
        ),
    ]


def main():
    module = AnsibleModule(
        argument_spec={
            "site": {"type": "str", "required": True},
            "account": {"type": "str", "required": True},
            "store": {"type": "path", "required": True},
            "configuration": {"type": "path", "default": "/etc/maintenance-witness"},
            "judge": {"type": "bool", "default": True},
            "language": {"type": "str", "choices": ["zh", "en"], "default": "zh"},
        },
        supports_check_mode=True,
    )
    try:
        state, evidence = read_witness(module.params)
    except OSError as error:
        module.fail_json(msg="the witness cannot be read: %s" % error)
    module.exit_json(changed=False, witness=state, evidence=evidence)


if __name__ == "__main__":
    main()
