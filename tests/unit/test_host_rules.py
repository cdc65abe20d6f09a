"""The rules of hosts: a well-run server passes them all, and each of them sees what it is for."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.judgement import judge
from ansible.module_utils.judgement_rules import load
from ansible.module_utils.snapshot_collect import PROBES

ROLE = Path(__file__).parent.parent.parent / "roles" / "inspection"
RULES = load(str(ROLE / "vars" / "host_rules.yml"))
TEXT = (ROLE / "vars" / "host_rules.yml").read_text()
LIMITS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())["inspection_limits"]
# A snapshot of a lab host, with the values that a lab cannot have (disks, arrays, a firewall) filled in by hand.
HEALTHY = json.loads((ROLE.parent.parent / "tests/fixtures/host_snapshot/healthy.json").read_text())
HOST = {"name": "db1", "groups": ["database"]}
UNIT = {"name": "x.service", "load": "loaded", "active": "failed", "sub": "failed"}
FILE = {"path": "/x", "mode": "0666", "owner": "root", "group": "root", "kind": "file"}

# What breaks each rule: id, path in the snapshot's data, value.
BROKEN: list[tuple[str, str, Any]] = [
    ("HOST-OS-01", "operating_system.release", "centos-7"),
    ("HOST-OS-02", "operating_system.release", "ubuntu-22.04"),
    ("HOST-OS-03", "restart.required", True),
    ("HOST-OS-04", "operating_system.kernel_faults", ["machine check"]),
    ("HOST-OS-05", "operating_system.uptime_seconds", 500 * 86400),
    ("HOST-OS-06", "operating_system.default_target", "graphical.target"),
    ("HOST-OS-07", "packages.broken", ["libc6 (iF)"]),
    ("HOST-CPU-01", "load.fifteen_per_processor", 3.2),
    ("HOST-CPU-02", "activity.processor_since_boot.busy_percent", 85.0),
    ("HOST-CPU-03", "activity.processor_since_boot.iowait_percent", 30.0),
    ("HOST-CPU-04", "activity.processor_since_boot.steal_percent", 12.0),
    ("HOST-CPU-05", "pressure.cpu.some_avg300_percent", 70.0),
    ("HOST-CPU-06", "processor.vulnerable_to", ["mds"]),
    ("HOST-CPU-07", "history.processor_busy.usual_peak_percent", 96.0),
    ("HOST-CPU-08", "history", {"installed": False}),
    ("HOST-CPU-08", "history.samples", 0),
    ("HOST-MEM-08", "history.memory_used.usual_peak_percent", 96.0),
    ("HOST-DISK-11", "history.disks.0.busy.usual_peak_percent", 96.0),
    ("HOST-MEM-01", "memory.used_percent", 93.0),
    ("HOST-MEM-02", "memory.used_percent", 98.0),
    ("HOST-MEM-03", "memory.swap_used_percent", 75.0),
    ("HOST-MEM-04", "memory.out_of_memory_kills", 1),
    ("HOST-MEM-05", "pressure.memory.full_avg300_percent", 12.0),
    ("HOST-MEM-06", "memory.ecc.uncorrected_errors", 1),
    ("HOST-MEM-07", "memory.ecc.corrected_errors", 5000),
    ("HOST-SYS-01", "load.open_files_percent", 92.0),
    ("HOST-SYS-02", "load.threads_percent", 92.0),
    ("HOST-SYS-03", "processes.zombies", 60),
    ("HOST-SYS-04", "processes.blocked", 30),
    ("HOST-SYS-05", "processes.replaced_programs", ["sshd"]),
    ("HOST-LOG-01", "journal.kernel.disk_errors", 4),
    ("HOST-LOG-02", "journal.kernel.filesystem_errors", 1),
    ("HOST-LOG-03", "journal.kernel.hardware_errors", 1),
    ("HOST-LOG-04", "journal.kernel.hung_tasks", 1),
    ("HOST-LOG-05", "journal.kernel.crashes", 1),
    ("HOST-LOG-06", "journal.kernel.network_resets", 1),
    ("HOST-LOG-07", "journal.units.0.count", 9000),
    ("HOST-LOG-08", "logging.journald.persistent", False),
    ("HOST-LOG-09", "logging.files.0.size_bytes", 9 << 30),
    ("HOST-LOG-10", "logging.rotation", [{"files": ["/var/log/auth.log"], "retention_days": 28}]),
    ("HOST-LOG-11", "logging.remote", []),
    ("HOST-FS-01", "filesystems.mounts.0.used_percent", 88.0),
    ("HOST-FS-02", "filesystems.mounts.0.used_percent", 97.0),
    ("HOST-FS-03", "filesystems.mounts.0.inodes_used_percent", 91.0),
    ("HOST-FS-04", "filesystems.mounts.1.answers", False),
    ("HOST-FS-05", "filesystems.mounts.0.read_only", True),
    ("HOST-FS-06", "filesystems.unmounted", ["/backup"]),
    ("HOST-DISK-01", "arrays.arrays.0.working", 1),
    ("HOST-DISK-01", "arrays.arrays.0.failed", ["sdb1"]),
    ("HOST-DISK-02", "arrays.controllers", ["0000:01:00.0"]),
    ("HOST-DISK-03", "smart.disks.0.passed", False),
    ("HOST-DISK-04", "smart.disks.0.pending_sectors", 2),
    ("HOST-DISK-05", "smart.disks.0.wear_percent", 95),
    ("HOST-DISK-06", "smart.disks.0.temperature_celsius", 66),
    ("HOST-DISK-07", "activity.disks.0.since_boot.write_wait_ms", 80.0),
    ("HOST-DISK-08", "arrays.thin_pools.0.metadata_used_percent", 92.0),
    ("HOST-DISK-09", "arrays.pools.0.health", "DEGRADED"),
    ("HOST-DISK-10", "disks.disks.0.state", "offline"),
    ("HOST-IO-01", "pressure.io.full_avg300_percent", 45.0),
    ("HOST-NET-01", "network.interfaces.0.received_errors", 90_000),
    ("HOST-NET-02", "network.interfaces.0.received_dropped", 900_000),
    ("HOST-NET-03", "network.interfaces.0.duplex", "half"),
    ("HOST-NET-04", "network.bonds.0.members.1.up", False),
    ("HOST-NET-05", "network.sockets.tcp_retransmitted_percent", 6.0),
    ("HOST-NET-06", "network.sockets.listen_overflows", 4000),
    ("HOST-NET-07", "network.connection_tracking_percent", 95.0),
    ("HOST-NET-08", "network.interfaces.0.carrier_changes", 90),
    ("HOST-NET-09", "listeners.expected.0.listening", False),
    (
        "HOST-NET-10",
        "listeners.sockets",
        [{"protocol": "tcp", "address": "::", "port": 6379, "exposed": True}],
    ),
    ("HOST-SVC-01", "services.failed", [UNIT]),
    ("HOST-SVC-02", "services.expected.0.active", "inactive"),
    ("HOST-SVC-03", "services.expected.0.enabled", False),
    ("HOST-SVC-04", "services.restarting", [{"name": "x.service", "restarts": 40}]),
    ("HOST-SVC-05", "services.system_state", "maintenance"),
    ("HOST-SVC-06", "containers.containers.0.unhealthy", True),
    ("HOST-SVC-06", "containers.containers.0.running", False),
    ("HOST-JOB-01", "services.timers.0.last_result", "exit-code"),
    ("HOST-JOB-02", "services.expected_timers.0.active", False),
    ("HOST-JOB-03", "cron.jobs.0.missing", True),
    ("HOST-JOB-04", "services.active", ["auditd.service"]),
    ("HOST-JOB-05", "services.timers.0.active", False),
    ("HOST-TIME-01", "clock.synchronised", False),
    ("HOST-TIME-02", "clock.offset_seconds", 4.2),
    ("HOST-TIME-03", "clock.timezone", "UTC"),
    ("HOST-TIME-04", "clock.sources.1.reachable", False),
    ("HOST-TIME-05", "clock.hardware_clock_offset_seconds", -4000),
    ("HOST-SEC-01", "sshd.options.permitrootlogin", "yes"),
    ("HOST-SEC-02", "sshd.options.permitemptypasswords", "yes"),
    ("HOST-SEC-03", "sshd.options.ciphers", "aes256-ctr,3des-cbc"),
    ("HOST-SEC-03", "sshd.options.kexalgorithms", "diffie-hellman-group1-sha1"),
    ("HOST-SEC-03", "sshd.options.macs", "hmac-md5"),
    ("HOST-SEC-04", "sshd.options", {"passwordauthentication": "yes", "maxauthtries": "6"}),
    ("HOST-SEC-05", "accounts.users.0.password", {"state": "empty"}),
    ("HOST-SEC-06", "accounts.uid_zero", ["root", "toor"]),
    ("HOST-SEC-07", "accounts.duplicate_uids", ["1000"]),
    ("HOST-SEC-08", "accounts.unshadowed", ["old"]),
    ("HOST-SEC-09", "ssh_keys.trusting_files", ["/root/.rhosts"]),
    ("HOST-SEC-10", "sudo.rules.0.without_password", True),
    ("HOST-SEC-11", "processes.root_services", ["java"]),
    ("HOST-SEC-12", "updates.security_count", 3),
    ("HOST-SEC-13", "updates.lists_updated", "2026-01-01T00:00:00Z"),
    ("HOST-SEC-14", "package_sources.unsigned", ["/etc/apt/sources.list"]),
    ("HOST-SEC-15", "packages.unwanted", ["telnetd"]),
    ("HOST-SEC-16", "packages.unwanted", ["gcc"]),
    ("HOST-SEC-17", "firewall.default_deny", False),
    ("HOST-SEC-18", "services.active", ["cron.service"]),
    ("HOST-SEC-19", "audit.status.lost", 7),
    ("HOST-SEC-20", "antivirus.products.0.running", False),
    ("HOST-SEC-21", "antivirus.signatures_built", "2026-01-01T00:00:00Z"),
    ("HOST-SEC-22", "access_control.mode", "permissive"),
    ("HOST-SEC-23", "file_modes.files", [FILE | {"path": "/etc/shadow", "mode": "0644"}]),
    (
        "HOST-SEC-23",
        "file_modes.files",
        [FILE | {"path": "/etc/ssh/ssh_host_rsa_key", "owner": "eve", "mode": "0600"}],
    ),
    ("HOST-SEC-24", "file_modes.files", [FILE | {"path": "/etc/crontab"}]),
    ("HOST-SEC-25", "file_scan.world_writable", [FILE]),
    ("HOST-SEC-26", "file_scan.open_folders", [FILE | {"mode": "0777"}]),
    ("HOST-SEC-27", "file_scan.ownerless", [FILE]),
    ("HOST-SEC-28", "file_scan.exposed_secrets", [FILE | {"mode": "0644"}]),
    ("HOST-SEC-29", "file_scan.truncated", True),
    ("HOST-SEC-30", "certificates.certificates.0.days_left", 12.5),
    ("HOST-SEC-31", "certificates.certificates.0.days_left", -3.0),
    ("HOST-SEC-32", "certificates.certificates.0.key_bits", 1024),
    ("HOST-SEC-32", "certificates.certificates.0.signature", "sha1WithRSAEncryption"),
    ("HOST-SEC-33", "logins.failed.count", 90_000),
    ("HOST-SEC-34", "shares.nfs", ["/srv 192.0.2.0/24(rw,no_root_squash)"]),
    ("HOST-SEC-34", "shares.nfs", ["/srv *(ro)"]),
    ("HOST-SEC-34", "shares.smb", [{"name": "public", "guest": True, "writable": True}]),
    ("HOST-SEC-34", "shares.ftp_anonymous", True),
    ("HOST-SEC-34", "shares.snmp.default_community", True),
    ("HOST-SEC-35", "kernel_parameters.values", {"kernel.randomize_va_space": "0"}),
]


def changed(path: str, value: Any) -> dict[str, Any]:
    """The healthy snapshot with one value set."""
    snapshot = copy.deepcopy(HEALTHY)
    *parents, last = path.split(".")
    place = snapshot["data"]
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[int(last) if isinstance(place, list) else last] = value
    if path == "logging.rotation":
        snapshot["data"]["logging"]["remote"] = []
    if path == "logging.journald.persistent":
        snapshot["data"]["services"]["active"].remove("rsyslog.service")
    return snapshot


def findings(snapshot: dict[str, Any], language: str = "zh") -> list[dict[str, str]]:
    """What the rules say of a snapshot."""
    return judge(snapshot, RULES, LIMITS, HOST, language)[0]


def test_a_well_run_server_passes_every_rule() -> None:
    assert [finding for finding in findings(HEALTHY) if finding["verdict"] != "pass"] == []


def test_a_well_run_server_gives_every_metric_with_a_number() -> None:
    metrics = judge(HEALTHY, RULES, LIMITS, HOST)[1]
    assert {metric["name"] for metric in metrics} == {metric.name for metric in RULES.metrics}
    disk = next(metric for metric in metrics if metric["name"] == "filesystem_used_bytes")
    assert disk["limit"] == 95_000_000_000.0  # what root alone may use is not the site's to fill


@pytest.mark.parametrize(("rule", "path", "value"), BROKEN, ids=[f"{row[0]} {row[1]}" for row in BROKEN])
def test_each_rule_sees_what_it_is_for(rule: str, path: str, value: Any) -> None:
    seen = [finding for finding in findings(changed(path, value)) if finding["id"] == rule]
    failed = [finding for finding in seen if finding["verdict"] == "fail"]
    assert failed, seen
    assert failed[0]["advice"] and failed[0]["actual"] and failed[0]["expected"]


def test_every_rule_has_been_broken_once() -> None:
    assert {row[0] for row in BROKEN} == {rule.id for rule in RULES.rules}


def test_there_are_rules_for_every_area() -> None:
    assert len(RULES.rules) >= 60
    areas = {rule.area for rule in RULES.rules}
    assert areas == {"system", "storage", "network", "services", "jobs", "security", "time"}


def test_every_rule_reads_a_probe_that_there_is() -> None:
    assert {rule.probe for rule in [*RULES.rules, *RULES.metrics]} <= set(PROBES)


def test_every_threshold_is_defined_and_used() -> None:
    used = set(re.findall(r"\blimits\.(\w+)", TEXT))
    assert used <= set(LIMITS)
    assert {name for name in LIMITS if not name.startswith("postgresql_")} == used


def test_an_unknown_probe_is_unknown_with_its_reason_and_never_a_pass() -> None:
    snapshot = copy.deepcopy(HEALTHY)
    for name in snapshot["probes"]:
        snapshot["probes"][name] = {"state": "unknown", "reason": "no answer within 3 s", "unread": {}}
    snapshot["data"] = {}
    found = findings(snapshot)
    assert {finding["verdict"] for finding in found} == {"unknown"}
    assert {finding["actual"] for finding in found} == {"no answer within 3 s"}


def test_an_absent_password_state_is_unknown_with_the_reason_of_the_probe() -> None:
    snapshot = copy.deepcopy(HEALTHY)
    snapshot["probes"]["accounts"]["unread"] = {"password": "needs root: /etc/shadow"}
    for user in snapshot["data"]["accounts"]["users"]:
        del user["password"]
    found = [finding for finding in findings(snapshot) if finding["id"] == "HOST-SEC-05"]
    assert {finding["verdict"] for finding in found} == {"unknown"}
    assert "needs root" in found[0]["actual"]


def test_a_hung_mount_is_one_critical_finding() -> None:
    snapshot = copy.deepcopy(HEALTHY)
    mount = snapshot["data"]["filesystems"]["mounts"][1]
    for name in list(mount):
        if name.startswith(("size", "used", "available", "inodes")):
            del mount[name]
    mount["answers"] = False
    found = [finding for finding in findings(snapshot) if finding["verdict"] != "pass"]
    assert [(finding["id"], finding["subject"], finding["severity"]) for finding in found] == [
        ("HOST-FS-04", "/backup", "critical")
    ]


def test_a_virtual_machine_without_hardware_values_has_nothing_to_answer_for() -> None:
    snapshot = copy.deepcopy(HEALTHY)
    del snapshot["data"]["memory"]["ecc"]
    snapshot["data"]["smart"]["disks"] = []
    snapshot["data"]["arrays"] = {"arrays": [], "controllers": []}
    snapshot["data"]["memory"].update(swap_total_bytes=0)
    assert {finding["verdict"] for finding in findings(snapshot)} == {"pass", "not_applicable"}


def test_both_languages_say_the_same_of_every_rule() -> None:
    chinese, english = findings(HEALTHY), findings(HEALTHY, "en")
    assert [finding["id"] for finding in chinese] == [finding["id"] for finding in english]
    for rule in RULES.rules:
        assert re.search("[\u4e00-\u9fff]", rule.title["zh"]), rule.id
        assert not re.search("[\u4e00-\u9fff]", rule.title["en"] + rule.advice["en"]), rule.id
        assert len(rule.advice["zh"]) > 10 and len(rule.advice["en"]) > 10, rule.id
