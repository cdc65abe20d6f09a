"""Extra variables of a call: read, and checked against what the runbook's roles declare, before anything is run."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from maintenance import catalogue, runbook
from maintenance.errors import CallError

ROLES = runbook.REPOSITORY / "roles"
_BROUGHT_IN = re.compile(r"(?:import|include)_role:\s*\n\s+name: (\w+)")


def read(assignments: list[str], files: list[str], book: runbook.Runbook) -> dict[str, Any]:
    """--vars FILE (in order), then --set NAME=VALUE; raises CallError with what to mend."""
    values: dict[str, Any] = {}
    for name in files:
        loaded = runbook.read_yaml(Path(name))
        if not isinstance(loaded, dict):
            raise CallError(f"{name} must hold variables as NAME: VALUE")
        values |= {str(key): value for key, value in loaded.items()}
    declared = declared_variables(book)
    for text in assignments:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise CallError(f"--set takes NAME=VALUE, not '{text[:40]}'")
        # A string stays as it was typed: '08' and 'no' are texts where the role wants a text.
        as_typed = declared.get(name, {}).get("type", "str") == "str"
        values[name] = value if as_typed else _parse(name, value)
    _check(values, declared, book)
    return values


def declared_variables(book: runbook.Runbook) -> dict[str, dict[str, Any]]:
    """Variables that the runbook's roles, and the roles that these bring in, declare in meta/argument_specs.yml: name ->
    specification."""
    declared: dict[str, dict[str, Any]] = {}
    for role in _roles(book):
        path = ROLES / role / "meta" / "argument_specs.yml"
        if path.is_file():
            for entry_point in runbook.read_yaml(path)["argument_specs"].values():
                declared |= entry_point.get("options") or {}
    return declared


def _roles(book: runbook.Runbook) -> list[str]:
    """Every role that a run of it may enter, each once."""
    waiting = [
        role if isinstance(role, str) else str(role.get("role") or role.get("name"))
        for play in runbook.read_yaml(book.path)
        for role in play.get("roles") or []
    ]
    found: list[str] = []
    while waiting:
        role = waiting.pop(0)
        if role in found:
            continue
        found.append(role)
        for path in sorted((ROLES / role / "tasks").glob("*.yml")):
            waiting += _BROUGHT_IN.findall(path.read_text(encoding="utf-8"))
    return found


def _parse(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise CallError(f"--set {name}: the value is not YAML") from None


def _check(values: dict[str, Any], declared: dict[str, dict[str, Any]], book: runbook.Runbook) -> None:
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    unknown = sorted(values.keys() - declared.keys())
    if unknown:
        raise CallError(
            f"{book.name} has no variable '{unknown[0]}'; it has: {', '.join(sorted(declared)) or 'none'}"
        )
    spec = {
        name: {key: declared[name][key] for key in _SPEC_KEYS if key in declared[name]} for name in values
    }
    result = ArgumentSpecValidator(spec).validate(values)
    if result.error_messages:
        raise CallError(f"{book.name}: {result.error_messages[0]}")
    for name, value in result.validated_parameters.items():
        fault = _MEANINGS[name](value) if name in _MEANINGS else ""
        if fault:
            raise CallError(f"--set {name}: {fault}")


def _seconds_fault(value: int) -> str:
    return "" if 5 <= value <= 86400 else f"{value} is not from 5 to 86400 seconds"


def _instant_fault(text: str) -> str:
    if not text:
        return ""
    try:
        told = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        told = None
    if told is None or told.tzinfo is None:
        return f"'{text}' is no instant with its zone, as '2026-11-23 02:10:00+08:00'"
    now = datetime.datetime.now(datetime.UTC)
    return f"'{text}' is in the future; it is {now:%Y-%m-%d %H:%M:%S}Z" if told > now else ""


def _tables_fault(names: list[str]) -> str:
    wrong = [name for name in names if not re.fullmatch(r"[^.]+\.[^.]+\.[^.]+", str(name).strip())]
    return f"'{wrong[0]}' is no table: write database.schema.table" if wrong else ""


def _host_fault(name: str) -> str:
    known = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", name)
    return "" if known else f"'{name[:40]}' is no name of a host of the inventory, as db1"


# What a specification cannot say of a value, and the modules would only say after the hosts were read.
_MEANINGS: dict[str, Callable[[Any], str]] = {
    "harden_controls": catalogue.control_fault,
    "harden_skip": catalogue.control_fault,
    "harden_confirm_seconds": _seconds_fault,
    "target_time": _instant_fault,
    "tables": _tables_fault,
    "failed": _host_fault,
    "standby": _host_fault,
}
_SPEC_KEYS = ("type", "elements", "choices", "options")
