"""The snapshot of a host: every probe, each in a lane of its own kind, put together in the shape of docs/shapes.md."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Callable, Dict, List, Mapping, Optional

from ansible.module_utils import (
    snapshot_access,
    snapshot_accounts,
    snapshot_certificates,
    snapshot_disks,
    snapshot_files,
    snapshot_history,
    snapshot_jobs,
    snapshot_journal,
    snapshot_kernel,
    snapshot_logs,
    snapshot_network,
    snapshot_packages,
    snapshot_pam,
    snapshot_policy,
    snapshot_processes,
    snapshot_protection,
    snapshot_services,
    snapshot_storage,
    snapshot_system,
    snapshot_time,
)
from ansible.module_utils.snapshot_arguments import ARGUMENTS
from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_lanes import supervise
from ansible.module_utils.snapshot_text import clean, instant, visible

SCHEMA = "host-snapshot/1"
MAXIMUM_PROBE = 1 << 20
MAXIMUM_SNAPSHOT = 4 << 20
Probe = Callable[[Host], Dict[str, Any]]

PROBES: Dict[str, Probe] = {
    **snapshot_system.PROBES,
    **snapshot_history.PROBES,
    **snapshot_storage.PROBES,
    **snapshot_disks.PROBES,
    **snapshot_network.PROBES,
    **snapshot_services.PROBES,
    **snapshot_jobs.PROBES,
    **snapshot_time.PROBES,
    **snapshot_packages.PROBES,
    **snapshot_accounts.PROBES,
    **snapshot_access.PROBES,
    **snapshot_pam.PROBES,
    **snapshot_policy.PROBES,
    **snapshot_kernel.PROBES,
    **snapshot_journal.PROBES,
    **snapshot_logs.PROBES,
    **snapshot_files.PROBES,
    **snapshot_protection.PROBES,
    **snapshot_certificates.PROBES,
    **snapshot_processes.PROBES,
}
# The slow ones side by side; all others one after the other, and last what needs an interval.
_SLOW = (("updates", "packages", "restart"), ("file_scan",), ("services", "cron", "journal", "logging"))
_LAST = ("certificates", "activity")
_LIMITS = {
    "updates": 40.0,
    "packages": 20.0,
    "filesystems": 25.0,
    "certificates": 25.0,
    "smart": 30.0,
    "file_scan": 0.0,
}
_LIMIT = 12.0


def lanes() -> List[List[str]]:
    """The probes as they are worked through."""
    slow = {name for lane in _SLOW for name in lane} | set(_LAST)
    return [*(list(lane) for lane in _SLOW), [name for name in PROBES if name not in slow] + list(_LAST)]


def collect(
    parameters: Mapping[str, Any], probes: Optional[Mapping[str, Probe]] = None, root: str = ""
) -> Dict[str, Any]:
    """Take the snapshot. Never raises for what a host may do, and ends within the time limit."""
    started, taken = time.monotonic(), time.time()
    earlier = snapshot_processes.counters(Host(root=root))
    table = PROBES if probes is None else probes
    order = lanes() if probes is None else [list(probes)]
    answers, silent = supervise(
        order,
        lambda name: run_probe(table[name], Host(parameters, root, earlier)),
        lambda name: _LIMITS.get(name) or float(parameters.get("scan_seconds") or 0) + _LIMIT,
        float(parameters.get("timeout") or ARGUMENTS["timeout"]["default"]),
    )
    for name, reason in silent.items():
        answers[name] = {"state": "unknown", "reason": reason, "ms": None, "commands": []}
    drop_largest(answers)
    return {
        "schema": SCHEMA,
        "taken": instant(taken),
        "duration_ms": round((time.monotonic() - started) * 1000),
        "probes": {name: _state(answers[name]) for name in table},
        "commands": [command for name in table for command in answers[name]["commands"]],
        "data": {name: answers[name]["data"] for name in table if "data" in answers[name]},
    }


def run_probe(probe: Probe, host: Host) -> Dict[str, Any]:
    """Run one probe; whatever goes wrong in it is its own reason and nobody else's."""
    started = time.monotonic()
    outcome: Dict[str, Any]
    try:
        data = clean(probe(host))
        size = len(json.dumps(data))
        if size > MAXIMUM_PROBE:
            raise UnreadError(f"the answer has {size} bytes, more than {MAXIMUM_PROBE}")
        outcome = {"state": "ok", "unread": clean(host.unread), "data": data}
    except UnreadError as reason:
        outcome = {"state": "unknown", "reason": visible(str(reason))}
    except Exception as error:  # a host can always be stranger than its parser
        outcome = {"state": "unknown", "reason": visible(f"{type(error).__name__}: {error} ({_place()})")}
    commands = [visible(command) for command in host.commands]
    return {**outcome, "ms": round((time.monotonic() - started) * 1000), "commands": commands}


def _place() -> str:
    """File and line where the present exception was raised."""
    trace = sys.exc_info()[2]
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    return "%s:%d" % (trace.tb_frame.f_code.co_filename.rsplit("/", 1)[-1], trace.tb_lineno)


def _state(answer: Dict[str, Any]) -> Dict[str, Any]:
    kept = {name: answer[name] for name in ("state", "ms", "reason") if answer.get(name) is not None}
    return {**kept, "unread": answer.get("unread", {})}


def drop_largest(answers: Dict[str, Dict[str, Any]]) -> None:
    """Give up the largest answers until the whole is small enough."""
    sizes = {name: len(json.dumps(answer.get("data"))) for name, answer in answers.items()}
    while sum(sizes.values()) > MAXIMUM_SNAPSHOT:
        name = max(sizes, key=lambda name: sizes[name])
        del answers[name]["data"]
        answers[name].update(
            state="unknown", reason=f"the answer of {sizes.pop(name)} bytes made the snapshot too large"
        )
