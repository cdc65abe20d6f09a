"""What earlier signed records of the same ledger say: the previous inspection, and the numbers over time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maintenance import ledger, manifest
from maintenance.record import Metric, Record

_RECORDS_READ = 120  # of one runbook, newest first: thirty years of quarters, or four months of days


def earlier_records(path: Path, runbook: str) -> list[dict[str, Any]]:
    """Record data of earlier runs of a runbook that changed nothing else than what they recorded, oldest first.

    A record whose bytes are not those that were signed is left out: nothing is built on it.
    """
    found: list[dict[str, Any]] = []
    for entry in reversed(ledger.entries(path)):
        if entry.kind != "close" or not entry.name.endswith(f"-{runbook}"):
            continue
        data = _signed_record(entry)
        if data is not None and data.get("mode") == "apply":
            found.append(data)
        if len(found) == _RECORDS_READ:
            break
    return found[::-1]


def _signed_record(entry: ledger.Entry) -> dict[str, Any] | None:
    try:
        data = (entry.path / "record.json").read_bytes()
        listed = entry.manifest().files.get("record.json")
        if manifest.sha256_bytes(data) != listed:
            return None
        loaded = json.loads(data)
    except (OSError, ValueError):
        return None
    return loaded if isinstance(loaded, dict) else None


def previous_inspection(records: list[dict[str, Any]]) -> Record | None:
    """The newest earlier record that reached a host and can be read as one."""
    for data in reversed(records):
        if data.get("hosts_processed"):
            try:
                return Record.model_validate(data)
            except ValueError:
                continue
    return None


def metrics_over_time(records: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, list[Metric]]]]:
    """(finished, metrics by host) of each record, oldest first."""
    for data in records:
        try:
            yield (
                str(data["finished"]),
                {
                    host: [Metric.model_validate(item) for item in items]
                    for host, items in data.get("metrics", {}).items()
                },
            )
        except (KeyError, ValueError, AttributeError):
            continue
