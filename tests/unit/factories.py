"""Builds the values that tests need; every one is valid unless the test asks for something else."""

from __future__ import annotations

from typing import Any

from maintenance.comparison import compare
from maintenance.forecast import forecasts
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


HISTORY = ("2026-02-20T13:17:44Z", "2026-05-21T13:17:44Z", "2026-08-20T13:17:44Z", FINISHED)
AREAS = ("system", "storage", "network", "services", "jobs", "security", "database", "backup", "time")
GIB = 2.0**30


def evidence(name: str) -> list[Finding]:
    """Four findings of each area: well, wrong, half wrong, not obtained."""
    made = []
    for number, area in enumerate(AREAS):
        base = {"area": area, "title": f"{area} 检查", "owner": ("vendor", "hospital")[number % 2]}
        advice = "先看最大的目录：du -xh --max-depth=1 / | sort -h | tail"
        severity = ("critical", "warning", "advice")[number % 3]
        made += [
            finding(**base, id=f"T-{area.upper()}-01"),
            finding(
                **base,
                id=f"T-{area.upper()}-02",
                subject=f"/srv/{area}",
                actual=f"91.{number} %",
                verdict="fail",
                severity=severity,
                advice=advice,
            ),
            finding(
                **base,
                id=f"T-{area.upper()}-03",
                subject=name,
                actual="70 %",
                verdict="partial",
                advice=advice,
            ),
            finding(
                **base,
                id=f"T-{area.upper()}-04",
                subject=name,
                actual="smartctl is not installed",
                verdict="unknown",
            ),
        ]
    return made


def inspection(count: int = 1, **changed: Any) -> Record:
    """The record of an inspection with history: the first host has the database, four quarters have been measured."""
    names = ["db1", *(f"app{number}" for number in range(1, count))]
    measured = [
        {
            name: [
                metric((40 + quarter * 9) * GIB, subject="/data", limit=100 * GIB),
                metric(0.5 * GIB, subject="/boot", limit=GIB),
                metric((3 + quarter) * GIB, name="database_size_bytes", subject="dialysis", limit=None),
            ]
            for name in names
        }
        for quarter in range(len(HISTORY))
    ]
    found = {name: evidence(name) for name in names}
    previous = record(
        run="20260820T131501Z-inspect",
        finished=HISTORY[-2],
        evidence={
            name: [*findings, finding(id="T-OLD", subject="/old", verdict="fail")]
            for name, findings in found.items()
        },
    )
    values: dict[str, Any] = {
        "hosts": [host(name, ["database" if name == "db1" else "application"]) for name in names],
        "evidence": {name: [*findings, finding(id="T-OLD")] for name, findings in found.items()},
        "metrics": measured[-1],
        "forecasts": forecasts(list(zip(HISTORY, measured, strict=True))),
        "hosts_expected": names,
        "hosts_processed": names,
        "attachments": [
            {
                "file": f"attachments/{name}.host_snapshot.json",
                "title": name,
                "media_type": "application/json",
                "bytes": 40321,
                "sha256": SHA,
            }
            for name in names
        ],
    }
    made = record(**(values | changed))
    if "comparison" not in changed:
        made = made.model_copy(
            update={"comparison": compare(made.evidence, previous, finished=made.finished)}
        )
    return made


def snapshot(data: dict[str, Any], commands: list[str], **probes: Any) -> dict[str, Any]:
    """A snapshot whose probes are all well, except for the given ones."""
    states = {name: {"state": "ok", "ms": 1, "unread": {}} for name in data}
    return {"taken": "2026-11-22T13:15:04Z", "probes": states | probes, "commands": commands, "data": data}


def host_snapshot(**changed: Any) -> dict[str, Any]:
    """What library/host_snapshot.py returns of a small server, with what the test changes in its data."""
    data = {
        "identity": {"hostname": "db1", "vendor": "Inspur", "product": "NF5280M6", "virtualization": "none"},
        "operating_system": {
            "name": "Kylin Linux Advanced Server V10",
            "kernel": "4.19.90-52.22.v2207.ky10.x86_64",
            "uptime_seconds": 8640000.0,
        },
        "processor": {"logical": 32, "model": "Intel(R) Xeon(R) Silver 4314 CPU @ 2.40GHz"},
        "memory": {
            "total_bytes": 128 * 2**30,
            "used_percent": 41.2,
            "swap_total_bytes": 8 * 2**30,
            "swap_used_bytes": 2**20,
        },
        "load": {"one": 0.71, "five": 1.16, "fifteen": 0.94},
        "clock": {"daemon": "chrony", "synchronised": True, "offset_seconds": 0.00042},
        "pressure": {name: {"some_avg300_percent": 0.8} for name in ("cpu", "memory", "io")},
        "activity": {
            "processor": {"busy_percent": 12.0, "iowait_percent": 0.3},
            "processor_since_boot": {"busy_percent": 8.5, "iowait_percent": 0.2},
            "disks": [
                {
                    "name": "sda",
                    "busy_percent": 3.0,
                    "since_boot": {"read_wait_ms": 0.4, "write_wait_ms": 1.2},
                }
            ],
        },
        "processes": {"top_processor": [{"name": "postgres", "cpu_percent": 9.9}]},
        "updates": {"pending_count": 12, "security_count": 3},
        "restart": {"required": True},
        "services": {
            "failed": [{"name": "backup.service"}],
            "timers": [
                {"name": "backup.timer", "last_run": "2026-11-22T02:00:00Z", "last_result": "exit-code"},
                {"name": "logrotate.timer", "last_run": "2026-11-22T00:00:00Z", "last_result": "success"},
            ],
        },
        "cron": {"jobs": [{"program": "/opt/hdis/sync.sh", "user": "hdis", "schedule": "*/5 * * * *"}]},
        "journal": {"errors": 17, "units": [{"unit": "sshd.service", "count": 12}]},
        "accounts": {"users": [{"name": "root", "login": True}, {"name": "daemon", "login": False}]},
        "filesystems": {
            "mounts": [
                _mount("/", 41.0),
                _mount("/data", 91.5),
                {"mount": "/mnt/nfs", "type": "nfs4", "answers": False},
                {"mount": "/run", "type": "tmpfs", "size_bytes": 1, "used_bytes": 1, "used_percent": 100.0},
            ]
        },
        "disks": {"disks": [{"name": "sda", "model": "ST4000", "size_bytes": 4 * 2**40, "physical": True}]},
        "smart": {"disks": [{"name": "sda", "passed": True, "power_on_hours": 20123, "serial": "ZDH1"}]},
        "listeners": {"sockets": [{"protocol": "tcp", "port": 5432, "exposed": True, "process": "postgres"}]},
    }
    made = snapshot(data | changed, ["sshd -T", "systemctl show --no-pager '*.service'"])
    made["probes"]["identity"]["unread"] = {"serial": "needs root: /sys/class/dmi/id/product_serial"}
    return made


def _mount(path: str, percent: float) -> dict[str, Any]:
    return {
        "mount": path,
        "type": "xfs",
        "size_bytes": 500 * 2**30,
        "used_bytes": int(5 * percent * 2**30),
        "used_percent": percent,
        "inodes_used_percent": 2.0,
    }


def postgresql_snapshot(**changed: Any) -> dict[str, Any]:
    """What library/postgresql_snapshot.py returns of one server, with what the test changes in its data."""
    server = {"cluster": "5432"}
    database = {**server, "database": "dialysis"}
    data = {
        "server": [server | {"version": "15.18", "in_recovery": False, "started": "2026-08-01T01:00:00Z"}],
        "connections": [server | {"used": 43, "maximum": 200}],
        "archiver": [server | {"enabled": True, "failing": False, "last_archived": "2026-11-22T13:10:00Z"}],
        "replication": [server | {"application": "standby1", "state": "streaming"}],
        "settings": [
            server
            | {
                "settings": {
                    "shared_buffers": {
                        "value": "4194304",
                        "bytes": 32 * 2**30,
                        "source": "configuration file",
                    },
                    "fsync": {"value": "on", "source": "default", "pending_restart": True},
                }
            }
        ],
        "databases": [
            database | {"size_bytes": 6 * 2**30, "blocks_hit": 990, "blocks_read": 10},
            server | {"database": "template1", "size_bytes": 7 * 2**20, "template": True},
        ],
        "tablespaces": [server | {"tablespace": "pg_default", "location": "", "size_bytes": 6 * 2**30}],
        "tables": [
            database | {"schema": "clinic", "table": "vitals", "total_bytes": 2**31, "rows_estimate": 9000000}
        ],
        "dead_rows": [
            database
            | {
                "schema": "clinic",
                "table": "vitals",
                "dead_rows": 40000,
                "dead_percent": 20.0,
                "last_vacuum": None,
            }
        ],
        "statements": [
            database
            | {
                "text": "SELECT * FROM clinic.vitals WHERE id = ?",
                "calls": 31,
                "mean_ms": 9.5,
                "total_seconds": 2.9,
            }
        ],
        "backup": [
            {
                "stanza": "hdis",
                "status": "ok",
                "backups": 9,
                "full_backups": 2,
                "last_kind": "full",
                "last_finished": "2026-11-21T18:00:00Z",
                "last_size_bytes": 6 * 2**30,
                "encrypted": True,
            }
        ],
    }
    return snapshot(
        {name: {"rows": rows} for name, rows in (data | changed).items()}, ["psql -XAtqw -p 5432"]
    )


def snapshots(of: Record) -> dict[str, dict[str, dict[str, Any]]]:
    """The snapshots of a record's hosts; the first has the database."""
    made: dict[str, dict[str, dict[str, Any]]] = {
        one.name: {"host_snapshot": host_snapshot()} for one in of.hosts
    }
    made["db1"]["postgresql_snapshot"] = postgresql_snapshot()
    return made
