"""Probes of the rules that the system enforces on people: sshd, PAM, passwords, login shells."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import assignments, content_lines, present, words

_PAM_SERVICES = (
    "common-auth common-account common-password common-session common-session-noninteractive system-auth "
    "password-auth postlogin login sshd su su-l sudo sudo-i passwd cron crond other"
)
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
_LOGIN_DEFS = (
    "PASS_MAX_DAYS PASS_MIN_DAYS PASS_WARN_AGE PASS_MIN_LEN ENCRYPT_METHOD FAIL_DELAY UMASK LOGIN_RETRIES LOGIN_TIMEOUT "
    "UID_MIN SYS_UID_MAX SHA_CRYPT_MIN_ROUNDS YESCRYPT_COST_FACTOR HOME_MODE USERGROUPS_ENAB ENV_SUPATH ENV_PATH"
)
_MASKED = re.compile(r"(?i)(passw|pass=|secret|bindpw|token|credential)")


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
    return found


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


def pam(host: Host) -> Dict[str, Any]:
    """The stacks of the services through which people come in, as lines of type, control, module, arguments."""
    services, services_of_interest = {}, set(_PAM_SERVICES.split())
    for name in host.names("/etc/pam.d"):
        if name in services_of_interest:
            with host.noting(name):
                services[name] = parse_pam(host.read("/etc/pam.d/" + name))
    return {"services": services}


def parse_pam(text: str) -> List[Dict[str, Any]]:
    """The lines of one PAM file; `@include` is a type of its own."""
    found = []
    for line in content_lines(text.replace("\\\n", " ")):
        if line.startswith("@include"):
            found.append({"type": "@include", "control": "", "module": line.split()[-1], "arguments": []})
            continue
        match = re.match(r"-?(\w+)\s+(\[[^\]]*\]|\S+)\s+(\S+)\s*(.*)$", line)
        if match:
            kind, control, module, rest = match.groups()
            arguments = re.findall(r"\[[^\]]*\]|\S+", rest.split("#")[0])
            found.append(
                {
                    "type": kind,
                    "control": control,
                    "module": module.rsplit("/", 1)[-1],
                    "arguments": [_argument(argument) for argument in arguments],
                }
            )
    return found


def _argument(argument: str) -> str:
    """pam_mysql, pam_ldap and others take a password as an argument."""
    name, equals, _value = argument.partition("=")
    return f"{name}=***" if equals and _MASKED.search(name + "=") and "authtok" not in name else argument


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
    files += ["/etc/profile.d/" + name for name in host.folder("/etc/profile.d") if name.endswith(".sh")]
    settings: List[Dict[str, Any]] = []
    for path in files:
        with host.noting(path):
            settings += parse_profile(host.read(path), path)
    return {
        "settings": settings[:200],
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
            found.append({"file": path, "name": name, "value": value.strip("\"'"), "readonly": fixed})
    return found


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


PROBES = {"sshd": sshd, "pam": pam, "password_policy": password_policy, "shells": shells}
