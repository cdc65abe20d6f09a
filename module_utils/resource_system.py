"""Resources of the running system: units, kernel parameters, accounts, and tools that write files themselves."""

from __future__ import annotations

import glob
import os
import pwd
from typing import Any, List, Mapping, Optional

from ansible.module_utils.resource import Difference, NotPossibleError, must, read_text, run, said, then_of
from ansible.module_utils.restore_engine import read_sysctl, sysctl_path, write_sysctl

SYSCTL_FILE = "/etc/sysctl.d/60-maintenance.conf"


def in_container() -> bool:
    return run(["systemd-detect-virt", "--container", "--quiet"]).returncode == 0


def expanded(resource: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """A kernel parameter is a line of a file and a value in force; both need a kernel that is the host's own."""
    if resource["kind"] != "parameter":
        return [resource]
    key, common = resource["key"], {"checks": resource.get("checks", [])}
    live = [{"kind": "sysctl", "key": name, "value": resource["value"], **common} for name in _matching(key)]
    if not live or not all(writable(name["key"]) for name in live):
        return live or [{"kind": "sysctl", "key": key, "value": resource["value"], **common}]
    line = {
        "kind": "setting",
        "path": SYSCTL_FILE,
        "key": key,
        "value": resource["value"],
        "style": "spaced",
        **common,
    }
    return [line, *live]


def _matching(key: str) -> List[str]:
    """The parameters that a name with * means on this host, as net.ipv4.conf.*.rp_filter."""
    if "*" not in key:
        return [key] if os.path.exists(sysctl_path(key)) else []
    return [path[len("/proc/sys/") :] for path in sorted(glob.glob(sysctl_path(key)))]


def writable(key: str) -> bool:
    return os.access(sysctl_path(key), os.W_OK) and not read_only(sysctl_path(key))


def a_unit(resource: Mapping[str, Any]) -> Optional[Difference]:
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
        if "enabled" in resource and resource["enabled"] != (
            enablement in ("enabled", "static", "alias", "indirect")
        ):
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


def a_sysctl(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{key, value}: a kernel parameter as it is now; its file is a `setting` of its own."""
    key, value = resource["key"], str(resource["value"])
    now = read_sysctl(key)
    if now is None:
        raise NotPossibleError(f"this kernel has no {key}")
    if now.split() == value.split():
        return None
    # In a container the kernel's own parameters belong to the machine below.
    if not writable(key):
        raise NotPossibleError(
            f"{key} cannot be set on this host: its kernel belongs to another machine", "kernel"
        )
    return Difference(key, now, value, lambda: write_sysctl(key, value), sysctls=(key,))


def read_only(path: str) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def an_account(resource: Mapping[str, Any]) -> Optional[Difference]:
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
    ages = (
        ("minimum_days", 3, "-m"),
        ("maximum_days", 4, "-M"),
        ("warning_days", 5, "-W"),
        ("inactive_days", 6, "-I"),
    )
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
    for line in (read_text("/etc/shadow") or "").splitlines():
        if line.startswith(name + ":"):
            return (line.split(":") + [""] * 9)[:9]
    return [name, "*", *[""] * 7]


def a_command(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{name, unless, argv, paths, units, then, check}: a tool that writes files; `unless`: it need not."""
    done = run(resource["unless"])
    if done.returncode == 0:
        return None
    if done.returncode == 127:
        raise NotPossibleError(f"{resource['unless'][0]} is not installed", "package")
    return Difference(
        resource["name"],
        said(done) or "not so",
        " ".join(resource["argv"]),
        lambda: must(resource["argv"]) and None,
        units=tuple(resource.get("units", ())),
        then=then_of(resource),
        check=tuple(resource.get("check", ())),
    )
