"""Desired state: resources of a host, compared with what is, and made so where they differ.

Pure comparison first (`plan`), then the changes (`apply`): the plan says which paths, units and parameters will change,
so that a restore point can be taken of exactly what the change needs. Standard library, Python 3.8 or newer.

A resource is a mapping with `kind` and what the kind needs; KINDS lists them. Each gives a Difference or none.
"""

from __future__ import annotations

import glob
import grp
import itertools
import os
import pwd
import re
import stat
import subprocess
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible.module_utils.restore_engine import RestoreError, read_sysctl, sysctl_path, write_file, write_sysctl

HEADER = "# Kept by the maintenance runbook harden; taken back by undo_hardening.\n"
SYSCTL_FILE = "/etc/sysctl.d/60-maintenance.conf"
_SECONDS = 120
_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_PAGER": "",
}


class Difference(NamedTuple):
    """What one resource is, what it is to be, and how it is made so."""

    subject: str
    before: str
    after: str
    apply: Callable[[], None]
    paths: Tuple[str, ...] = ()  # outside of /etc, that the change touches
    rights: Tuple[str, ...] = ()  # outside of /etc, whose mode and owner alone it touches
    units: Tuple[str, ...] = ()
    sysctls: Tuple[str, ...] = ()
    firewall: bool = False
    then: Tuple[Tuple[str, ...], ...] = ()  # commands that bring it into force, each run once after all changes
    undo: Tuple[Dict[str, Any], ...] = ()  # takes back what stands in no file: {run, unless}
    redo: Tuple[Dict[str, Any], ...] = ()  # and makes it again, should the undo not be confirmed
    check: Tuple[str, ...] = ()  # a command that must accept the result before it is brought into force


class NotPossibleError(Exception):
    """A resource that this host cannot be given, and why; the others are."""


def run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """A command in a clean environment, its output and errors as one text."""
    try:
        return subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            timeout=_SECONDS,
            env=_ENVIRONMENT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(list(command), 127, str(error), "")


def must(command: Sequence[str]) -> str:
    """The same; raises RestoreError with what it said."""
    done = run(command)
    if done.returncode != 0:
        raise RestoreError(f"{' '.join(command)}: {done.stdout.strip()[-300:] or done.returncode}")
    return done.stdout


def plan(resources: Sequence[Mapping[str, Any]]) -> Tuple[List[Difference], List[Dict[str, str]]]:
    """What differs, in the order given, and the resources that this host cannot be given with their reasons.

    Settings of one file are one difference: the file is written once.
    """
    found: List[Difference] = []
    refused: List[Dict[str, str]] = []
    for resource in _grouped(resources):
        name = str(resource.get("path") or resource.get("name") or resource.get("key"))
        try:
            if resource.get("only_machine") and _in_container():
                raise NotPossibleError("a container's kernel belongs to another machine")
            if "needs" in resource and not os.path.exists(resource["needs"]):
                raise NotPossibleError(f"{resource['needs']} is not there: its package is not installed")
            difference = KINDS[resource["kind"]](resource)
        except NotPossibleError as reason:
            refused.append({"checks": ",".join(resource.get("checks", [])), "subject": name, "reason": str(reason)})
            continue
        if difference is not None:
            more = tuple(path for path in resource.get("paths", ()) if path not in difference.paths)
            found.append(difference._replace(paths=difference.paths + more))
    return found, refused


def _in_container() -> bool:
    return run(["systemd-detect-virt", "--container", "--quiet"]).returncode == 0


def _expanded(resource: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """A kernel parameter is a line of a file and a value in force; neither is any use on a kernel that is not the host's."""
    if resource["kind"] != "parameter":
        return [resource]
    key, common = resource["key"], {"checks": resource.get("checks", [])}
    live = [{"kind": "sysctl", "key": name, "value": resource["value"], **common} for name in _matching(key)]
    if not live or not all(_writable(name["key"]) for name in live):
        return live or [{"kind": "sysctl", "key": key, "value": resource["value"], **common}]
    line = {"kind": "setting", "path": SYSCTL_FILE, "key": key, "value": resource["value"], "style": "spaced", **common}
    return [line, *live]


def _matching(key: str) -> List[str]:
    """The parameters that a name with * means on this host, as net.ipv4.conf.*.rp_filter."""
    if "*" not in key:
        return [key] if os.path.exists(sysctl_path(key)) else []
    return [path[len("/proc/sys/") :] for path in sorted(glob.glob(sysctl_path(key)))]


def _writable(key: str) -> bool:
    return os.access(sysctl_path(key), os.W_OK) and not _read_only(sysctl_path(key))


def _grouped(resources: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """Settings of the same file together, at the place of the first."""
    grouped: List[Dict[str, Any]] = []
    files: Dict[str, Dict[str, Any]] = {}
    for resource in itertools.chain.from_iterable(map(_expanded, resources)):
        if resource["kind"] != "setting":
            grouped.append(dict(resource))
            continue
        first = files.get(resource["path"])
        if first is None:
            first = {**resource, "settings": [], "then": [], "checks": []}
            files[resource["path"]] = first
            grouped.append(first)
        style = resource.get("style", "space")
        first["settings"].append((str(resource["key"]), str(resource.get("value", "")), style))
        first["then"] += [command for command in resource.get("then", []) if command not in first["then"]]
        first["checks"] += resource.get("checks", [])
    return grouped


def _then(resource: Mapping[str, Any]) -> Tuple[Tuple[str, ...], ...]:
    return tuple(tuple(command) for command in resource.get("then", []))


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _outside(*paths: str) -> Tuple[str, ...]:
    return tuple(path for path in paths if not path.startswith("/etc/"))


def _file(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{path, content | absent, mode, owner, group, then, check}: a whole file."""
    path = resource["path"]
    there = _read(path)
    if resource.get("absent"):
        if there is None and not os.path.lexists(path):
            return None
        return Difference(path, "there", "absent", lambda: os.unlink(path), _outside(path), then=_then(resource))
    content = resource["content"]
    mode = int(resource.get("mode", "0644"), 8)
    uid, gid = _owner(resource.get("owner", "root")), _group(resource.get("group", "root"))
    if there == content and _has(path, mode, uid, gid):
        return None

    def apply() -> None:
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            os.makedirs(folder, 0o755)
        write_file(path, content.encode("utf-8", "surrogateescape"), mode, uid, gid)

    return Difference(
        path,
        there if there is not None else "",
        content,
        apply,
        _outside(path),
        then=_then(resource),
        check=tuple(resource.get("check", ())),
    )


def _has(path: str, mode: int, uid: int, gid: int) -> bool:
    status = os.stat(path)
    return (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (mode, uid, gid)


def _owner(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise NotPossibleError(f"there is no account {name}") from None


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise NotPossibleError(f"there is no group {name}") from None


def _setting(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{path, key, value, style, mode, then, check}: lines of a configuration file, all others untouched.

    style: `space` (KEY VALUE), `equals` (KEY=VALUE), `spaced` (KEY = VALUE), `word` (KEY alone). A new file gets a header.
    """
    path = resource["path"]
    before = _read(path)
    after = with_settings(before, resource["settings"], resource.get("header", HEADER))
    if before == after:
        return None
    mode, uid, gid = int(resource.get("mode", "0644"), 8), 0, 0
    if before is not None:
        status = os.stat(path)
        mode, uid, gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    whole = {
        "path": path,
        "content": after,
        "mode": "%04o" % mode,
        "then": resource["then"],
        "check": resource.get("check", ()),
    }
    difference = _file(whole)
    if difference is None:
        return None

    def apply() -> None:
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            os.makedirs(folder, 0o755)
        write_file(path, after.encode("utf-8", "surrogateescape"), mode, uid, gid)

    return difference._replace(apply=apply)


_STYLES = {"space": "{} {}", "equals": "{}={}", "spaced": "{} = {}", "word": "{}"}


def with_settings(
    text: Optional[str], settings: Sequence[Tuple[str, str, str]], header: str = HEADER
) -> str:
    """The text with these settings: the last line of a key takes the value, others of that key go, a new one comes last."""
    lines = (header if text is None else text).splitlines()
    for key, value, style in settings:
        wanted = _STYLES[style].format(key, value)
        spelled = r"\s+".join(map(re.escape, key.split()))
        mine = re.compile(rf"\s*{spelled}\s*([\s=:]|$)", re.IGNORECASE if style == "space" else 0)
        places = [number for number, line in enumerate(lines) if mine.match(line)]
        if places and lines[places[-1]].split("#")[0].split() == wanted.split() and len(places) == 1:
            continue
        for number in reversed(places[:-1]):
            del lines[number]
        if places:
            lines[places[-1] - len(places) + 1] = wanted
        else:
            lines.append(wanted)
    return "\n".join(lines) + "\n"


def _mode(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{path, mode, owner, group}: no more rights than these; rights that are already narrower stay."""
    path = resource["path"]
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        return None
    now = stat.S_IMODE(status.st_mode)
    mode = now & int(resource["mode"], 8) if "mode" in resource else now
    if "set" in resource:  # a bit that must be there, as the sticky one
        mode |= int(resource["set"], 8)
    uid = _owner(resource["owner"]) if "owner" in resource else status.st_uid
    gid = _group(resource["group"]) if "group" in resource else status.st_gid
    if (now, status.st_uid, status.st_gid) == (mode, uid, gid):
        return None

    def apply() -> None:
        os.chown(path, uid, gid)
        os.chmod(path, mode)

    return Difference(
        path,
        "%04o %d:%d" % (now, status.st_uid, status.st_gid),
        "%04o %d:%d" % (mode, uid, gid),
        apply,
        rights=_outside(path),
    )


def _home(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{name, mode}: the home folder of an account, with no more rights than these and its own owner."""
    try:
        entry = pwd.getpwnam(resource["name"])
    except KeyError:
        return None
    return _mode({"path": entry.pw_dir, "mode": resource["mode"], "owner": entry.pw_name})


def _unit(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{name, enabled | masked, active}: a unit of systemd, where the host has it."""
    name = resource["name"]
    told = run(["systemctl", "show", name, "--property=LoadState,UnitFileState,ActiveState"]).stdout
    state = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    if state.get("LoadState") in (None, "not-found"):
        if resource.get("masked") or resource.get("enabled") is False:
            return None
        raise NotPossibleError(f"there is no unit {name}")
    commands: List[List[str]] = []
    enablement = state.get("UnitFileState", "")
    if resource.get("masked"):
        if enablement != "masked":
            commands.append(["systemctl", "mask", "--now", name])
    else:
        if enablement == "masked" and (resource.get("enabled") or resource.get("active")):
            commands.append(["systemctl", "unmask", name])
        if "enabled" in resource and resource["enabled"] != (enablement in ("enabled", "static", "alias", "indirect")):
            commands.append(["systemctl", "enable" if resource["enabled"] else "disable", name])
    running = state.get("ActiveState") in ("active", "activating", "reloading")
    if "active" in resource and resource["active"] != running:
        commands.append(["systemctl", "start" if resource["active"] else "stop", name])
    if not commands:
        return None

    def apply() -> None:
        for command in commands:
            must(command)

    before = f"{enablement or '-'}, {state.get('ActiveState')}"
    after = "; ".join(" ".join(command[1:]) for command in commands)
    return Difference(name, before, after, apply, units=(name,))


def _sysctl(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{key, value}: a kernel parameter as it is now; its file is a `setting` of its own."""
    key, value = resource["key"], str(resource["value"])
    now = read_sysctl(key)
    if now is None:
        raise NotPossibleError(f"this kernel has no {key}")
    if now.split() == value.split():
        return None
    # In a container the kernel's own parameters belong to the machine below.
    if not _writable(key):
        raise NotPossibleError(f"{key} cannot be set on this host: its kernel belongs to another machine")
    return Difference(key, now, value, lambda: write_sysctl(key, value), sysctls=(key,))


def _read_only(path: str) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _account(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{name, locked, shell, maximum_days, minimum_days, warning_days, inactive_days}: of an account that is there."""
    name = resource["name"]
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    commands: List[List[str]] = []
    before: List[str] = []
    if "shell" in resource and entry.pw_shell != resource["shell"]:
        before.append(f"shell {entry.pw_shell}")
        commands.append(["usermod", "--shell", resource["shell"], name])
    fields = _shadow(name)
    if resource.get("locked") and not fields[1].startswith(("!", "*")):
        before.append("password not locked")
        commands.append(["usermod", "--lock", name])
    ages = (("minimum_days", 3, "-m"), ("maximum_days", 4, "-M"), ("warning_days", 5, "-W"), ("inactive_days", 6, "-I"))
    for key, place, option in ages:
        if key in resource and fields[place] != str(resource[key]):
            before.append(f"{key} {fields[place] or '-'}")
            commands.append(["chage", option, str(resource[key]), name])
    if not commands:
        return None

    def apply() -> None:
        for command in commands:
            must(command)

    after = "; ".join(" ".join(command) for command in commands)
    return Difference(f"account {name}", ", ".join(before), after, apply)


def _shadow(name: str) -> List[str]:
    """The fields of an account's line in /etc/shadow; the second never leaves this module."""
    for line in (_read("/etc/shadow") or "").splitlines():
        if line.startswith(name + ":"):
            return (line.split(":") + [""] * 9)[:9]
    return [name, "*", *[""] * 7]


def _postgresql(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{port, key, value}: a setting of PostgreSQL by ALTER SYSTEM, in force after a reload (or its next start)."""
    port, name, value = str(resource["port"]), resource["key"], str(resource["value"])
    if not re.fullmatch(r"[a-z_][a-z0-9_.]*", name):
        raise RestoreError(f"'{name}' is no name of a setting")
    query = (
        "select coalesce((select setting from pg_file_settings where name = '%s' and sourcefile like '%%auto.conf'), "
        "current_setting('%s', true)), current_setting('data_directory')" % (name, name)
    )
    rows = must([*_psql(port), query]).strip("\n").split("|")
    now, folder = rows[0], rows[-1]
    if now == value:
        return None
    literal = "'" + value.replace("'", "''") + "'"

    def apply() -> None:
        must([*_psql(port), f"alter system set {name} = {literal}"])

    return Difference(
        f"PostgreSQL {port}: {name}",
        now,
        value,
        apply,
        paths=(f"{folder}/postgresql.auto.conf",),
        then=(tuple([*_psql(port), "select pg_reload_conf()"]),),
    )


def _statement(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{port, database, name, unless, sql, undo}: a change inside of a database, as of a role or a right.

    unless: a query that gives `t` where there is nothing to do. undo: a query that gives, before the change, the statements
    that take it back, one a line.
    """
    psql = _psql(str(resource["port"]), resource.get("database", "postgres"))
    if must([*psql, resource["unless"]]).strip() == "t":
        return None
    statements = [line for line in must([*psql, resource["undo"]]).splitlines() if line.strip()]
    return Difference(
        f"PostgreSQL {resource['port']}: {resource['name']}",
        "; ".join(statements),
        resource["sql"],
        lambda: must([*psql, resource["sql"]]) and None,
        undo=tuple({"run": [*psql, statement], "unless": None} for statement in statements),
        redo=({"run": [*psql, resource["sql"]], "unless": [*psql, resource["unless"]]},),
    )


def _hba(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{port, line, type | method}: one line of pg_hba.conf; its number is that of the server's own reading."""
    port, number = str(resource["port"]), int(resource["line"])
    path = must([*_psql(port), "show hba_file"]).strip()
    lines = (_read(path) or "").splitlines()
    if not 0 < number <= len(lines):
        raise NotPossibleError(f"{path} has no line {number}")
    before = lines[number - 1]
    fields = re.split(r"(\s+)", before.strip())
    if "type" in resource:
        fields[0] = resource["type"]
    if "method" in resource:
        words = [place for place in range(0, len(fields), 2)]
        # TYPE DATABASE USER [ADDRESS [MASK]] METHOD [OPTIONS]
        place = 3 if fields[0] == "local" else 5 if len(words) > 5 and re.match(r"[\d.:a-f]+$", fields[8]) else 4
        fields[words[place]] = resource["method"]
    lines[number - 1] = "".join(fields)
    if lines[number - 1] == before:
        return None
    status = os.stat(path)
    text = "\n".join(lines) + "\n"

    def apply() -> None:
        write_file(path, text.encode("utf-8", "surrogateescape"), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)

    psql = _psql(port)
    # A file with an error stays out of force at a reload, but the next start fails with it.
    sound = "do $$ begin if exists (select from pg_hba_file_rules where error is not null) then raise 'pg_hba.conf has an error'; end if; end $$"
    return Difference(
        f"{path}:{number}",
        before,
        lines[number - 1],
        apply,
        _outside(path),
        then=((*psql, "select pg_reload_conf()"),),
        check=(*psql, sound),
    )


def _psql(port: str, database: str = "postgres") -> List[str]:
    return ["runuser", "-u", "postgres", "--", "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-p", port, "-d", database, "-c"]


def _command(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{name, unless, argv, paths}: a tool that writes the files itself; `unless` tells that it has nothing to do."""
    done = run(resource["unless"])
    if done.returncode == 0:
        return None
    if done.returncode == 127:
        raise NotPossibleError(f"{resource['unless'][0]} is not installed")
    return Difference(
        resource["name"],
        done.stdout.strip()[-300:] or "not so",
        " ".join(resource["argv"]),
        lambda: must(resource["argv"]) and None,
        then=_then(resource),
    )


KINDS: Dict[str, Callable[[Mapping[str, Any]], Optional[Difference]]] = {
    "file": _file,
    "setting": _setting,
    "mode": _mode,
    "home": _home,
    "unit": _unit,
    "sysctl": _sysctl,
    "parameter": _sysctl,  # expanded before: its line in a file and itself
    "account": _account,
    "postgresql": _postgresql,
    "statement": _statement,
    "hba": _hba,
    "command": _command,
}


def restore_plan(found: Sequence[Difference]) -> Dict[str, Any]:
    """What the way back needs to know of these differences."""
    commands: List[List[str]] = []
    for difference in found:
        commands += [list(command) for command in difference.then if list(command) not in commands]
    return {
        "paths": sorted({path for difference in found for path in difference.paths}),
        "rights": sorted({path for difference in found for path in difference.rights}),
        "units": sorted({unit for difference in found for unit in difference.units}),
        "sysctls": sorted({key for difference in found for key in difference.sysctls}),
        "firewall": any(difference.firewall for difference in found)
        or any(difference.subject.startswith("/etc/nftables") for difference in found),
        "commands": commands,
        "undo": [step for difference in reversed(found) for step in difference.undo],
        "redo": [step for difference in found for step in difference.redo],
    }


def apply(found: Sequence[Difference]) -> None:
    """Make it so, in order; then let each check accept it; then bring it into force. Raises at the first that fails."""
    for difference in found:
        try:
            difference.apply()
        except OSError as error:
            raise RestoreError(f"{difference.subject}: {error.strerror or error}") from None
    for check in dict.fromkeys(difference.check for difference in found if difference.check):
        must(check)
    for command in restore_plan(found)["commands"]:
        must(command)
