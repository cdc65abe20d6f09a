"""Builds the values that tests need; every one is valid unless the test asks for something else."""

from __future__ import annotations

from typing import Any

from maintenance.record import Finding, Metric, Record

SHA = "ab" * 32
FINISHED = "2026-11-22T13:17:44Z"


def finding(**changed: Any) -> Finding:
    """A passing finding of the file systems, with what the test changes in it."""
    values = {
        "id": "HOST-FS-01",
        "clause": "3.2.1",
        "area": "storage",
        "title": "文件系统使用率",
        "subject": "3",
        "expected": "<= 80 %",
        "actual": "3 项全部符合",
        "verdict": "pass",
        "severity": "warning",
        "owner": "vendor",
        "advice": "",
    }
    return Finding.model_validate(values | changed)


def metric(value: float, **changed: Any) -> Metric:
    """The used bytes of a file system of 100 bytes."""
    values = {
        "name": "filesystem_used_bytes",
        "subject": "/",
        "value": value,
        "unit": "bytes",
        "limit": 100.0,
    }
    return Metric.model_validate(values | changed)


def record(**changed: Any) -> Record:
    """The record of an inspection of one host, with what the test changes in it."""
    values: dict[str, Any] = {
        "run": "20261122T131501Z-inspect",
        "site": "lab",
        "site_facts": {
            "hospital": "示范人民医院",
            "vendor": "示范软件有限公司",
            "system": "血液透析智能管理系统 V2.0",
            "contract": "HT-2025-0815",
        },
        "runbook": {
            "name": "inspect",
            "title": {"zh": "季度巡检", "en": "Quarterly inspection"},
            "clauses": ["3.2.1", "4.1.1"],
            "changes": "nothing",
            "undo": "",
        },
        "source": {
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "clean": True,
            "changed_files": [],
            "playbook_sha256": SHA,
            "inventory_sha256": SHA,
            "lock_sha256": SHA,
            "ansible_core": "2.19.14",
            "ansible_runner": "2.4.3",
            "python": "3.11.7",
        },
        "operator": {
            "principal": "engineer@vendor.example",
            "key_fingerprint": "SHA256:abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
            "self_issued": False,
            "machine": "notebook-07",
        },
        "reason": "2026 年第四季度例行巡检",
        "command": "ansible-playbook -i inventories/lab playbooks/inspect.yml",
        "mode": "apply",
        "language": "zh",
        "started": "2026-11-22T13:15:01Z",
        "finished": FINISHED,
        "clock": {"source": "chrony", "synchronised": True, "offset_seconds": 0.0004},
        "remote": {
            "via": "VPN",
            "source_address": "192.0.2.10",
            "opened": "2026-11-22T13:10:00Z",
            "closed": "2026-11-22T13:18:00Z",
        },
        "hosts": [host("db1", ["database"])],
        "steps": [],
        "changes": [],
        "evidence": {"db1": [finding()]},
        "metrics": {"db1": [metric(50.0)]},
        "outcome": "succeeded",
        "outcome_reason": "",
        "hosts_expected": ["db1"],
        "hosts_processed": ["db1"],
        "events": {"expected": 40, "seen": 40, "missing": [], "sha256": SHA},
        "redaction": {"policy_sha256": SHA, "hits": {}},
    }
    return Record.model_validate(values | changed)


def host(name: str, groups: list[str], **changed: Any) -> dict[str, Any]:
    """One host's result."""
    values = {
        "name": name,
        "groups": groups,
        "machine_id": "0f" * 16,
        "os": "Debian GNU/Linux 12 (bookworm)",
        "reached": True,
        "ok": 6,
    }
    return values | changed
