"""Desired state: resources of a host, compared with what is, and made so where they differ.

Pure comparison first (`plan`), then the changes (`apply`): the plan says which paths, units and parameters will change,
so that a restore point can be taken of exactly what the change needs. Standard library, Python 3.8 or newer.

A resource is a mapping with `kind` and what the kind needs; KINDS lists them. Each gives a Difference or none.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from typing import Any, Callable, ContextManager, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible.module_utils.resource import Difference, NotPossibleError, must, run, then_of
from ansible.module_utils.resource_access import a_pam_stack, shut_out
from ansible.module_utils.resource_files import a_file, a_home, a_mode, a_setting, with_settings
from ansible.module_utils.resource_hba import a_hba_file
from ansible.module_utils.resource_mounts import a_mount
from ansible.module_utils.resource_packages import a_package_change, is_installed
from ansible.module_utils.resource_postgresql import a_postgresql_setting, a_statement
from ansible.module_utils.resource_sudoers import a_sudoers_change
from ansible.module_utils.resource_system import (
    a_command,
    a_sysctl,
    a_unit,
    an_account,
    expanded,
    in_container,
)
from ansible.module_utils.restore_engine import RestoreError

__all__ = ["KINDS", "RestoreError", "apply", "plan", "restore_plan", "with_settings"]


def plan(
    resources: Sequence[Mapping[str, Any]],
    secrets: Optional[Mapping[str, str]] = None,
    rehearsal: bool = False,
) -> Tuple[List[Difference], List[Dict[str, str]]]:
    """What differs, in the order given, and the resources that this host cannot be given with their reasons.

    Settings of one file are one difference: the file is written once. secrets: what stands in a file's content as
    @NAME@ and never enters a plan, a difference or a record. rehearsal: no file of a package is fetched either.
    """
    found: List[Difference] = []
    refused: List[Dict[str, str]] = []
    fit: List[Mapping[str, Any]] = []
    for resource in itertools.chain.from_iterable(map(expanded, resources)):
        reason, kind = _unfit(resource)
        if reason:
            refused.append(_refusal(resource, reason, kind))
        else:
            fit.append(_with_secrets(resource, secrets or {}))
    arriving: List[str] = []
    # Packages first: what follows may be about what they bring.
    for resource in sorted(_grouped(fit), key=lambda one: one["kind"] != "package"):
        try:
            difference = _difference(resource, rehearsal, arriving)
            refused += [_refusal(resource, reason, kind) for reason, kind in resource.get("refused", ())]
            refused += [
                _refusal(part, reason, kind) for part, reason, kind in resource.get("refused_parts", ())
            ]
        except NotPossibleError as error:
            refused.append(_refusal(resource, str(error), error.kind))
            continue
        if difference is not None:
            more = tuple(path for path in resource.get("paths", ()) if path not in difference.paths)
            found.append(
                difference._replace(
                    paths=difference.paths + more,
                    next_start=difference.next_start or resource.get("next_start", ""),
                )
            )
    return found, refused


def _difference(resource: Dict[str, Any], rehearsal: bool, arriving: List[str]) -> Optional[Difference]:
    """How a resource differs; one of a package that is not installed yet is looked at when it is."""
    if resource["kind"] == "package":
        resource["rehearsal"] = rehearsal
        difference = a_package_change(resource)
        arriving += resource["coming"]
        return difference
    package = resource.get("package", "")
    if not package or is_installed(package):
        return KINDS[resource["kind"]](resource)
    if package not in arriving:
        raise NotPossibleError(f"the package {package} is not installed", "package")

    def later() -> None:
        difference = KINDS[resource["kind"]](resource)
        if difference is not None:
            difference.apply()

    wanted = {key: value for key, value in resource.items() if key in _SHOWN}
    return Difference(
        str(resource.get("path") or resource.get("name") or resource.get("key")),
        f"{package} is not installed",
        str(wanted.pop("content", "")) or ", ".join(f"{key}: {value}" for key, value in wanted.items()),
        later,
        units=(resource["name"],) if resource["kind"] == "unit" else tuple(resource.get("units", ())),
        then=then_of(resource),
        check=tuple(resource.get("check", ())),
    )


# What tells of a resource that cannot be compared yet.
_SHOWN = ("content", "argv", "settings", "mode", "owner", "group", "enabled", "masked", "active")


def _unfit(resource: Mapping[str, Any]) -> Tuple[str, str]:
    """Why a host cannot be given a resource whatever it is now, and the kind of the reason; or nothing."""
    if resource.get("only_machine") and in_container():
        return "a container's kernel belongs to another machine", "kernel"
    if resource.get("unlocked_audit") and _audit_is_locked():
        return (
            "the audit rules are fixed until the next start: undo that (LNX-AU-24), restart, then harden again",
            "host",
        )
    if "needs" in resource and not os.path.exists(resource["needs"]):
        return f"{resource['needs']} is not there: its package is not installed", "package"
    return shut_out(resource.get("lets_in", {})), "access"


@functools.lru_cache(maxsize=1)
def _audit_is_locked() -> bool:
    return "enabled 2" in run(["auditctl", "-s"]).stdout.splitlines()


def _with_secrets(resource: Mapping[str, Any], secrets: Mapping[str, str]) -> Mapping[str, Any]:
    content = resource.get("content")
    if content is None:
        return resource
    for name, value in secrets.items():
        content = content.replace(f"@{name}@", value)
    return {**resource, "content": content}


def _refusal(resource: Mapping[str, Any], reason: str, kind: str) -> Dict[str, str]:
    told = ("path", "name", "key", "kind")
    name = ", ".join(resource.get("names", ())) or str(
        next(resource[one] for one in told if resource.get(one))
    )
    return {"checks": ",".join(resource.get("checks", [])), "subject": name, "reason": reason, "kind": kind}


# What is looked at as a whole: one change moves, or shuts out with, another.
_TOGETHER = {"hba": "edits", "sudoers": "changes", "package": "wanted"}


def _grouped(resources: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """Settings of the same file together, at the place of the first; so are lines of pg_hba.conf and rules of sudo."""
    grouped: List[Dict[str, Any]] = []
    files: Dict[str, Dict[str, Any]] = {}
    for resource in resources:
        if resource["kind"] in _TOGETHER:
            part = _TOGETHER[resource["kind"]]
            whole = f"{resource['kind']} {resource.get('port', '')}"
            if whole not in files:
                files[whole] = {**resource, part: [], "checks": []}
                grouped.append(files[whole])
            files[whole][part].append(resource)
            files[whole]["checks"] += resource.get("checks", [])
            continue
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


KINDS: Dict[str, Callable[[Mapping[str, Any]], Optional[Difference]]] = {
    "file": a_file,
    "setting": a_setting,
    "mode": a_mode,
    "home": a_home,
    "unit": a_unit,
    "sysctl": a_sysctl,
    "parameter": a_sysctl,  # expanded before: its line in a file and itself
    "account": an_account,
    "postgresql": a_postgresql_setting,
    "statement": a_statement,
    "hba": a_hba_file,
    "command": a_command,
    "sudoers": a_sudoers_change,
    "mount": a_mount,
    "pam_stack": a_pam_stack,
    "package": a_package_change,
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
        "programs": sorted({program for difference in found for program in difference.programs}),
        "mounts": sorted({mount for difference in found for mount in difference.mounts}),
        "next_start": sorted({one.next_start for one in found if one.next_start}),
        "firewall": any(difference.firewall for difference in found)
        or any(difference.subject.startswith("/etc/nftables") for difference in found),
        "audit": ["augenrules", "--load"] in commands,
        "commands": commands,
        "undo": [step for difference in reversed(found) for step in difference.undo],
        "redo": [step for difference in found for step in difference.redo],
    }


def apply(
    found: Sequence[Difference], step: Callable[[], ContextManager[None]] = contextlib.nullcontext
) -> None:
    """Make it so, in order; then let each check accept it; then bring it into force. Raises at the first that fails.

    step: around each of these; it raises when the change may not go on.
    """
    for difference in found:
        try:
            with step():
                difference.apply()
        except OSError as error:
            raise RestoreError(f"{difference.subject}: {error.strerror or error}") from None
    checks = list(dict.fromkeys(difference.check for difference in found if difference.check))
    for command in [*checks, *restore_plan(found)["commands"]]:
        with step():
            must(command)
