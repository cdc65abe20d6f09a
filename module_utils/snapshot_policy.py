"""Probes of the rules that the system enforces on people: sshd, passwords, login shells."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List

from ansible.module_utils.snapshot_accounts import parse_group, parse_passwd
from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import assignments, content_lines, present, words

# sshd -T repeats these keys, once a value.
_SSHD_LISTS = frozenset(
    [
        "acceptenv",
        "allowgroups",
        "allowusers",
        "denygroups",
        "denyusers",
        "hostkey",
        "listenaddress",
        "port",
        "subsystem",
    ]
)
_MAXIMUM_ADMINISTRATORS = 8  # that are asked about one by one
_ADMIN_GROUPS = frozenset(["sudo", "wheel", "admin", "root"])
_PERSONAL = ("authenticationmethods", "passwordauthentication", "permitrootlogin", "pubkeyauthentication")
_LOGIN_DEFS = (
    "PASS_MAX_DAYS PASS_MIN_DAYS PASS_WARN_AGE PASS_MIN_LEN ENCRYPT_METHOD FAIL_DELAY UMASK LOGIN_RETRIES LOGIN_TIMEOUT "
    "UID_MIN SYS_UID_MAX SHA_CRYPT_MIN_ROUNDS YESCRYPT_COST_FACTOR HOME_MODE USERGROUPS_ENAB ENV_SUPATH ENV_PATH"
)


def sshd(host: Host) -> Dict[str, Any]:
    """The configuration that sshd works with, not a file that may be overruled."""
    if not host.program("sshd"):
        return {"installed": False, "options": {}}
    found: Dict[str, Any] = {"installed": True}
    # Without root sshd cannot read its own keys and says nothing at all.
    if os.geteuid() != 0:
        raise UnreadError("needs root: sshd -T")
    found["options"] = parse_sshd(host.run(["sshd", "-T"]))
    found["match_blocks"] = 0
    for path in [
        "/etc/ssh/sshd_config",
        *(f"/etc/ssh/sshd_config.d/{n}" for n in host.folder("/etc/ssh/sshd_config.d")),
    ]:
        with host.noting("match_blocks"):
            found["match_blocks"] += sum(
                bool(re.match(r"(?i)match\s", line)) for line in content_lines(host.read(path))
            )
    found["administrators"] = _administrators(host, found)
    return found


def _administrators(host: Host, found: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The options of those who may become root; without a Match block they are everybody's and cost nothing."""
    users, _foreign = parse_passwd(host.value("/etc/passwd") or "")
    groups = parse_group(host.value("/etc/group") or "")
    members = {name for group in groups if group["name"] in _ADMIN_GROUPS for name in group["members"]}
    numbers = {group["gid"] for group in groups if group["name"] in _ADMIN_GROUPS}
    rows = []
    for user in users:
        if not user["login"] or not (user["name"] in members or user["gid"] in numbers):
            continue
        options = found["options"]
        if found["match_blocks"] and len(rows) < _MAXIMUM_ADMINISTRATORS:
            with host.noting(f"administrators[{user['name']}]"):
                asked = [
                    "sshd",
                    "-T",
                    "-C",
                    f"user={user['name']},host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22",
                ]
                options = parse_sshd(host.run(asked))
        rows.append({"name": user["name"], **{key: options[key] for key in _PERSONAL if key in options}})
    return rows


def parse_sshd(text: str) -> Dict[str, Any]:
    """`keyword value` lines of sshd -T; keywords that may be there several times give lists."""
    options: Dict[str, Any] = {}
    for line in text.splitlines():
        key, _space, value = line.strip().partition(" ")
        if key in _SSHD_LISTS:
            options.setdefault(key, []).append(value)
        elif key:
            options[key] = value
    return options


def password_policy(host: Host) -> Dict[str, Any]:
    """What new passwords must be, how long they last, when a login is locked."""
    found: Dict[str, Any] = {}
    with host.noting("login_defs"):
        values = words(host.read("/etc/login.defs"))
        found["login_defs"] = {name: values[name] for name in _LOGIN_DEFS.split() if name in values}
    for name in ("pwquality", "faillock", "pwhistory"):
        settings = _settings(host, f"/etc/security/{name}.conf")
        if settings is not None:
            found[name] = settings
    defaults = assignments(host.value("/etc/default/useradd") or "")
    found["useradd"] = present(inactive=defaults.get("INACTIVE"), shell=defaults.get("SHELL"))
    return found


def _settings(host: Host, path: str) -> Any:
    """KEY = value of a file and of its folder .d; a word alone is true."""
    files = [path, *(f"{path}.d/{name}" for name in host.folder(path + ".d") if name.endswith(".conf"))]
    texts = []
    for file in files:
        if host.exists(file):
            with host.noting(file):
                texts.append(host.read(file))
    if not texts:
        return None
    lines = content_lines("\n".join(texts))
    return {
        key.strip(): value.strip() or True for key, _equals, value in (line.partition("=") for line in lines)
    }


def shells(host: Host) -> Dict[str, Any]:
    """What every login shell gets: umask, idle limit, history; and who may use cron and at."""
    files = [
        p for p in ("/etc/profile", "/etc/bashrc", "/etc/bash.bashrc", "/etc/environment") if host.exists(p)
    ]
    # /etc/profile reads its folder at its end; PAM reads /etc/environment before both.
    files.sort(key=lambda path: path != "/etc/environment")
    files += ["/etc/profile.d/" + name for name in host.folder("/etc/profile.d") if name.endswith(".sh")]
    settings: List[Dict[str, Any]] = []
    for path in files:
        with host.noting(path):
            settings += parse_profile(host.read(path), path)
    return {
        "settings": settings[:200],
        "effective": effective_settings(settings),
        "path": re.findall(r"(?m)^\s*(?:export\s+)?PATH=.*$", host.value("/etc/environment") or "")[:5],
        "desktop": _desktop(host),
        "allow_files": {
            name: host.exists("/etc/" + name) for name in ("cron.allow", "cron.deny", "at.allow", "at.deny")
        },
        "core_dumps": _core_dumps(host),
    }


def parse_profile(text: str, path: str) -> List[Dict[str, Any]]:
    """umask and the interesting variables of one profile file. Branches are not followed: each line counts."""
    found = []
    body = content_lines(text)
    for line in body:
        mask = re.search(r"(?:^|[;&\s])umask\s+(\d{3,4})\b", line)
        if mask:
            found.append({"file": path, "name": "umask", "value": mask.group(1)})
        for name, value in re.findall(
            r"\b(TMOUT|HISTSIZE|HISTTIMEFORMAT|HISTFILESIZE)=(\"[^\"]*\"|'[^']*'|[^\s;]+)", line
        ):
            fixed = any(
                re.search(rf"\b(readonly|typeset -r|declare -\w*r\w*)\b.*\b{name}\b", other) for other in body
            )
            exported = any(
                re.search(rf"\b(export|typeset -\w*x|declare -\w*x\w*)\b.*\b{name}\b", other)
                for other in body
            )
            found.append(
                {
                    "file": path,
                    "name": name,
                    "value": value.strip("\"'"),
                    "readonly": fixed,
                    "exported": exported,
                }
            )
    return found


def effective_settings(settings: List[Dict[str, Any]]) -> Dict[str, Any]:
    """What a login shell ends with: the last word counts, unless an earlier one was final (readonly)."""
    found: Dict[str, Any] = {}
    for setting in settings:
        # These two are read by shells that are no login shells.
        if setting["file"] in ("/etc/bashrc", "/etc/bash.bashrc"):
            continue
        before = found.get(setting["name"].lower())
        if not (before and before.get("readonly")):
            found[setting["name"].lower()] = {k: v for k, v in setting.items() if k != "name"}
    return found


def _desktop(host: Host) -> Dict[str, Any]:
    """When a desktop of the GNOME kind locks itself, as the administrator wants it, and whether users may change that."""
    lines: List[str] = []
    locks: List[str] = []
    for folder in host.folder("/etc/dconf/db"):
        for name in host.folder(f"/etc/dconf/db/{folder}"):
            path = f"/etc/dconf/db/{folder}/{name}"
            if name == "locks":
                for part in host.folder(path):
                    locks += content_lines(host.value(f"{path}/{part}") or "")
            else:
                lines += content_lines(host.value(path) or "")
    values = assignments("\n".join(lines))
    idle = re.search(r"(\d+)$", values.get("idle-delay", ""))
    return present(
        idle_seconds=int(idle.group(1)) if idle else None,
        lock={"true": True, "false": False}.get(values.get("lock-enabled", "")),
        fixed=any("idle-delay" in line for line in locks),
    )


def _core_dumps(host: Host) -> Dict[str, Any]:
    paths = [
        "/etc/security/limits.conf",
        *(f"/etc/security/limits.d/{n}" for n in host.folder("/etc/security/limits.d")),
    ]
    lines: List[str] = []
    for path in paths:
        if host.exists(path):
            with host.noting(path):
                lines += [line for line in content_lines(host.read(path)) if re.search(r"\bcore\b", line)]
    settings = _settings(host, "/etc/systemd/coredump.conf") or {}
    return present(limits=lines[:20], storage=settings.get("Storage"))


PROBES = {"sshd": sshd, "password_policy": password_policy, "shells": shells}
