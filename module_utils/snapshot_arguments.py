"""The arguments of host_snapshot: one table for the module on the host and for the action plugin on the controller."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from ansible.module_utils.snapshot_text import epoch

ARGUMENTS: Dict[str, Any] = {
    "expected_units": {"type": "list", "elements": "str", "default": []},
    "expected_timers": {"type": "list", "elements": "str", "default": []},
    "certificate_files": {"type": "list", "elements": "path", "default": []},
    "listeners": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "port": {"type": "int", "required": True},
            "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
            "address": {"type": "str"},
            "name": {"type": "str"},
            "tls": {"type": "bool", "default": False},
        },
    },
    "since": {"type": "str"},
    "timeout": {"type": "int", "default": 60},
    "scan_paths": {"type": "list", "elements": "path", "default": []},
    "scan_seconds": {"type": "float", "default": 3.0},
    "as_text": {"type": "bool", "default": False},
}


def problem(arguments: Mapping[str, Any]) -> Optional[str]:
    """What is wrong with arguments whose types are right, in one line."""
    if arguments.get("since") and epoch(arguments["since"]) is None:
        return f"since: '{arguments['since']}' is no instant; write it as 2026-11-22T13:15:04Z"
    if not 1 <= arguments.get("timeout", 60) <= 600:
        return "timeout: give 1 to 600 seconds"
    if not 0 < arguments.get("scan_seconds", 3.0) <= 300:
        return "scan_seconds: give more than 0 and at most 300 seconds"
    for name in ("scan_paths", "certificate_files"):
        for path in arguments.get(name) or []:
            if not path.startswith("/") or "\0" in path:
                return f"{name}: '{path}' must be an absolute path"
    for name in ("expected_units", "expected_timers"):
        for unit in arguments.get(name) or []:
            # A name that begins with a hyphen would be an option of systemctl, one with * would ask for all.
            if not unit or unit.startswith("-") or set(unit) & set("*?[] \n\0"):
                return f"{name}: '{unit}' is no name of a unit"
    return None
