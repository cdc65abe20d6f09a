"""Probe of PAM: the stacks of the services through which people come in, and what they do to a password.

A line alone says little: the same module guards or does nothing by its place. So each stack is put together from
what it includes, and gone through as libpam does, for a right password, a wrong one and a locked account."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import content_lines, integer, present

_FILES = (
    "common-auth common-account common-password common-session common-session-noninteractive system-auth "
    "password-auth postlogin login sshd su su-l sudo sudo-i passwd cron crond other"
)
_SERVICES = ("sshd", "login", "su", "su-l", "sudo", "sudo-i", "passwd", "cron", "crond")
_DEPTH = 12
_MASKED = re.compile(r"(?i)(passw|pass=|secret|bindpw|token|credential)")
_LOCKOUT = ("pam_faillock.so", "pam_tally2.so", "pam_tally.so")
_QUALITY = ("pam_pwquality.so", "pam_cracklib.so", "pam_passwdqc.so")
_PASSWORD = frozenset(["pam_unix.so", "pam_sss.so", "pam_ldap.so", "pam_krb5.so", "pam_winbind.so"])
_SECOND_FACTORS = frozenset(
    [
        "pam_google_authenticator.so",
        "pam_oath.so",
        "pam_u2f.so",
        "pam_yubico.so",
        "pam_radius_auth.so",
        "pam_pkcs11.so",
        "pam_duo.so",
        "pam_otpw.so",
        "pam_multiotp.so",
    ]
)
_HASHES = ("yescrypt", "gost_yescrypt", "sm3", "sha512", "sha256", "blowfish", "bigcrypt", "md5")
_WORDS = {  # the four words that stand for a table of what to do with a module's answer
    "required": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "bad"},
    "requisite": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "die"},
    "sufficient": {"success": "done", "new_authtok_reqd": "done", "default": "ignore"},
    "optional": {"success": "ok", "new_authtok_reqd": "ok", "default": "ignore"},
}
# What the modules do by themselves where nobody says otherwise (measured on libpwquality 1.4.5 and Linux-PAM 1.5.2).
_QUALITY_DEFAULTS = {
    "pam_pwquality.so": {"minlen": 8, "difok": 1, "dictcheck": 1, "usercheck": 1, "enforcing": 1},
    "pam_cracklib.so": {
        **{"minlen": 9, "difok": 5, "dictcheck": 1, "usercheck": 1, "enforcing": 1},
        **dict.fromkeys(("dcredit", "ucredit", "lcredit", "ocredit"), 1),
    },
}
_LOCKOUT_DEFAULTS = {
    "pam_faillock.so": {"deny": 3, "unlock_time": 600, "fail_interval": 900},
    "pam_tally2.so": {"deny": 0, "unlock_time": 0},
    "pam_tally.so": {"deny": 0, "unlock_time": 0},
}
Line = Dict[str, Any]


def pam(host: Host) -> Dict[str, Any]:
    """The files of PAM line by line, and for each service what its whole stack does."""
    services: Dict[str, List[Line]] = {}
    for name in host.names("/etc/pam.d"):
        if name in _FILES.split():
            with host.noting(name):
                services[name] = parse_pam(host.read("/etc/pam.d/" + name))
    load = _loader(host, services)
    quality, lockout, history = (_settings(host, name) for name in ("pwquality", "faillock", "pwhistory"))
    effective = []
    for name in _SERVICES:
        if name in services:
            with host.noting(f"effective[{name}]"):
                effective.append({"service": name, **facts(load, name, history)})
    found: Dict[str, Any] = {"services": services, "effective": effective}
    with host.noting("lockout"):
        found["lockout"] = lockout_settings(load, services, lockout)
    with host.noting("quality"):
        found["quality"] = quality_settings(load, services, quality)
    return found


def _loader(host: Host, services: Mapping[str, List[Line]]) -> Any:
    def load(name: str) -> List[Line]:
        if name in services:
            return services[name]
        return parse_pam(host.read(name if name.startswith("/") else "/etc/pam.d/" + name))

    return load


def parse_pam(text: str) -> List[Line]:
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


def stack(load: Any, service: str, kind: str, depth: int = 0) -> List[Any]:
    """The lines of one type of a service with all that they include; a substack is a list of its own in the list."""
    if depth > _DEPTH:
        raise UnreadError(f"/etc/pam.d/{service}: files that include each other")
    found: List[Any] = []
    for line in load(service):
        if line["type"] == "@include" or (line["type"] == kind and line["control"] == "include"):
            found += stack(load, line["module"], kind, depth + 1)
        elif line["type"] == kind and line["control"] == "substack":
            found.append(stack(load, line["module"], kind, depth + 1))
        elif line["type"] == kind:
            found.append(line)
    return found


def flat(lines: List[Any]) -> Iterator[Line]:
    """The lines of a stack in their order, those of substacks in their place."""
    for line in lines:
        if isinstance(line, list):
            yield from flat(line)
        else:
            yield line


def actions(control: str) -> Dict[str, str]:
    """What to do with each answer of a module."""
    if not control.startswith("["):
        return _WORDS.get(control.lower(), _WORDS["required"])
    return dict(pair.split("=", 1) for pair in control.strip("[]").split() if "=" in pair)


def evaluate(lines: List[Any], answers: Any) -> Tuple[bool, List[Line]]:
    """Whether a stack lets in, and the lines that were asked; `answers` gives the answer of each line."""
    state: Dict[str, Any] = {"verdict": None, "asked": []}
    _walk(lines, answers, state)
    return state["verdict"] is True, state["asked"]


def _walk(lines: List[Any], answers: Any, state: Dict[str, Any]) -> bool:
    """Go through one stack; True when the whole is decided in it. `done` and `die` in a substack end only that."""
    skip, before = 0, state["verdict"]
    for line in lines:
        if skip:
            skip -= 1
            continue
        if isinstance(line, list):
            _walk(line, answers, state)
            continue
        state["asked"].append(line)
        answer = answers(line)
        table = actions(line["control"])
        action = table.get(answer, table.get("default", "bad"))
        good = answer in ("success", "ignore", "new_authtok_reqd")
        if action.isdecimal():
            skip = int(action)
        elif action in ("ok", "done"):
            if state["verdict"] is None or (state["verdict"] and not good):
                state["verdict"] = good
            if action == "done" and state["verdict"]:
                return True
        elif action in ("bad", "die"):
            state["verdict"] = False
            if action == "die":
                return True
        elif action == "reset":
            state["verdict"] = before
    if skip:  # a jump beyond the end, which libpam refuses
        state["verdict"] = False
    return False


def _answers(password: str, locked: bool = False) -> Any:
    """The answers of the modules for one login: `password` is success or auth_err."""

    def answer(line: Line) -> str:
        module, arguments = line["module"], line["arguments"]
        if module in _LOCKOUT:
            if "authfail" in arguments or (locked and "authsucc" not in arguments):
                return "auth_err"
            return "success"
        if module in _PASSWORD:
            return password
        # pam_rootok lets root alone pass, pam_wheel with `trust` its group alone: here somebody else comes.
        if module in ("pam_deny.so", "pam_rootok.so") or (module == "pam_wheel.so" and "trust" in arguments):
            return "auth_err"
        return "success"

    return answer


def facts(load: Any, service: str, history: Mapping[str, Any]) -> Dict[str, Any]:
    """What the whole stack of a service does; what it has no say in is absent."""
    auth, account, password, session = (
        stack(load, service, kind) for kind in ("auth", "account", "password", "session")
    )
    lines = {
        kind: list(flat(part)) for kind, part in (("auth", auth), ("account", account), ("session", session))
    }
    found: Dict[str, Any] = {}
    if any(line["module"] in _PASSWORD for line in lines["auth"]):
        refused_ok, asked = evaluate(auth, _answers("auth_err"))
        locked_ok, _asked = evaluate(auth, _answers("success", locked=True))
        account_ok, _asked = evaluate(account, _answers("success", locked=True))
        found = {
            "right_password_enters": evaluate(auth, _answers("success"))[0],
            "wrong_password_enters": refused_ok,
            "failures_counted": any(_counts(line) for line in asked),
            "locked_enters": locked_ok and account_ok,
            "lockout_in_account": any(line["module"] in _LOCKOUT for line in lines["account"]),
            "empty_passwords": any(
                line["module"] in _PASSWORD and {"nullok", "nullok_secure"} & set(line["arguments"])
                for line in lines["auth"]
            ),
        }
    factors = [line for line in lines["auth"] if line["module"] in _SECOND_FACTORS]
    found["second_factors"] = sorted({line["module"] for line in factors})
    found["second_factor_optional"] = any("nullok" in line["arguments"] for line in factors)
    found.update(_password_facts(list(flat(password)), history))
    delays = [
        _value(line, "delay", 0) / 1e6 for line in lines["auth"] if line["module"] == "pam_faildelay.so"
    ]
    wheel = [line for line in lines["auth"] if line["module"] == "pam_wheel.so"]
    return {
        **found,
        **present(fail_delay_seconds=max(delays) if delays else None),
        "wheel_required": any(
            line["control"] in ("required", "requisite")
            and "trust" not in line["arguments"]
            and "deny" not in line["arguments"]
            for line in wheel
        ),
        "wheel_asks_caller": any("use_uid" in line["arguments"] for line in wheel),
        **present(wheel_group=next((_text(line, "group") or "wheel" for line in wheel), None)),
        "session_modules": sorted({line["module"] for line in lines["session"]}),
    }


def _counts(line: Line) -> bool:
    """A line that counts a wrong password: pam_tally counts by being asked."""
    return line["module"] in ("pam_tally2.so", "pam_tally.so") or (
        line["module"] == "pam_faillock.so" and "authfail" in line["arguments"]
    )


def _password_facts(lines: List[Line], history: Mapping[str, Any]) -> Dict[str, Any]:
    """What a new password goes through: quality, history, hash."""
    names = [line["module"] for line in lines]
    unix = names.index("pam_unix.so") if "pam_unix.so" in names else None
    if unix is None:
        return {}
    before = lines[:unix]
    checks = [
        line
        for line in before
        if line["module"] in _QUALITY
        and actions(line["control"]).get("default") in ("bad", "die")  # its no is a no
    ]
    remembered = [_value(lines[unix], "remember", 0)]
    for line in before:
        if line["module"] == "pam_pwhistory.so":
            remembered.append(_value(line, "remember", integer(history.get("remember")) or 10))
    return {
        "quality_before_unix": bool(checks),
        "remembered": max(remembered),
        **present(hash=next((name for name in _HASHES if name in lines[unix]["arguments"]), None)),
    }


def lockout_settings(
    load: Any, services: Mapping[str, List[Line]], conf: Mapping[str, Any]
) -> Dict[str, Any]:
    """After how many failures, and for how long, logins over ssh and at the console are refused."""
    lines = [
        line for name in ("sshd", "login") if name in services for line in flat(stack(load, name, "auth"))
    ]
    module = next((line["module"] for line in lines if line["module"] in _LOCKOUT), None)
    if module is None:
        return {"module": "none"}
    found: Dict[str, Any] = {**_LOCKOUT_DEFAULTS[module], "even_deny_root": False}
    if module == "pam_faillock.so":
        found.update(_typed(conf))
    for line in lines:
        if line["module"] == module:
            found.update(_typed(_pairs(line)))
    if found.get("unlock_time") == "never":
        found["unlock_time"] = 0
    keys = ("deny", "unlock_time", "fail_interval", "even_deny_root", "root_unlock_time", "audit")
    return {"module": module, **{key: found[key] for key in keys if key in found}}


def quality_settings(
    load: Any, services: Mapping[str, List[Line]], conf: Mapping[str, Any]
) -> Dict[str, Any]:
    """What a new password must be: the module's defaults, its files, its arguments, in this order."""
    name = next((name for name in ("passwd", "common-password", "system-auth") if name in services), None)
    lines = list(flat(stack(load, name, "password"))) if name else []
    line = next((line for line in lines if line["module"] in _QUALITY), None)
    if line is None:
        return {"module": "none"}
    defaults = {
        **dict.fromkeys(("dcredit", "ucredit", "lcredit", "ocredit", "minclass", "maxrepeat"), 0),
        **{"enforce_for_root": False},
        **_QUALITY_DEFAULTS.get(line["module"], {}),
    }
    found = {
        **defaults,
        **(_typed(conf) if line["module"] == "pam_pwquality.so" else {}),
        **_typed(_pairs(line)),
    }
    credits = [integer(found.get(key)) or 0 for key in ("dcredit", "ucredit", "lcredit", "ocredit")]
    length = integer(found.get("minlen"))
    keys = "minlen minclass dcredit ucredit lcredit ocredit difok maxrepeat maxsequence maxclassrepeat gecoscheck "
    keys += "dictcheck usercheck enforcing enforce_for_root retry"
    return {
        "module": line["module"],
        **{key: found[key] for key in keys.split() if key in found},
        # A positive credit makes a password that has such a character count as longer than it is.
        **present(
            least_length=max(6, length - sum(max(0, value) for value in credits)) if length else None,
            least_classes=max(integer(found.get("minclass")) or 0, sum(value < 0 for value in credits)),
        ),
    }


def _settings(host: Host, name: str) -> Dict[str, Any]:
    """KEY = value of a file of /etc/security, after those of its folder .d, which it overrules; a word alone is true."""
    path = f"/etc/security/{name}.conf"
    files = [f"{path}.d/{part}" for part in host.folder(path + ".d") if part.endswith(".conf")]
    lines: List[str] = []
    for file in [*files, path]:
        if host.exists(file):
            with host.noting(file):
                lines += content_lines(host.read(file))
    pairs = (re.match(r"(\w+)\s*=?\s*(.*?)\s*(?:#.*)?$", line) for line in lines)
    return {pair.group(1): pair.group(2) or True for pair in pairs if pair}


def _pairs(line: Line) -> Dict[str, Any]:
    parts = (argument.partition("=") for argument in line["arguments"])
    return {name: value if equals else True for name, equals, value in parts}


def _typed(values: Mapping[str, Any]) -> Dict[str, Any]:
    """Whole numbers as such."""
    return {
        name: value if value is True or integer(value) is None else int(value)
        for name, value in values.items()
    }


def _value(line: Line, name: str, default: int) -> int:
    value = integer(_text(line, name))
    return default if value is None else value


def _text(line: Line, name: str) -> Optional[str]:
    value = _pairs(line).get(name)
    return value if isinstance(value, str) else None


PROBES = {"pam": pam}
