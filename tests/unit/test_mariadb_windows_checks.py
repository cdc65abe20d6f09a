"""Checks of the baseline for MariaDB and for Windows terminals, over snapshots that were written by hand: no module takes
them yet, and nothing here was ever run on such a server or terminal. docs/shapes.md says what they hold."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils import judgement

ROOT = Path(__file__).parents[2]
DEFAULTS = yaml.safe_load((ROOT / "roles/baseline/defaults/main.yml").read_text(encoding="utf-8"))[
    "baseline_limits"
]
LIMITS = DEFAULTS | {
    "mariadb_service_accounts": ["hdis"],
    "windows_administrators": ["WARD3-01\\hdadmin"],
    "windows_management_networks": ["10.0.8.0/24"],
    "windows_shares": ["reports"],
}
NAMES = ("mariadb", "windows")
CHECKS = {name: judgement.load(str(ROOT / f"roles/baseline/vars/{name}_checks.yml")) for name in NAMES}
DAY = "2000-01-01T00:00:00Z"


def good(name: str) -> dict[str, Any]:
    snapshot = json.loads((ROOT / f"tests/fixtures/{name}_snapshot.json").read_text(encoding="utf-8"))
    snapshot["probes"] = {probe: {"state": "ok", "ms": 1, "unread": {}} for probe in snapshot["data"]}
    return snapshot


GOOD = {name: good(name) for name in NAMES}

# Check -> path in the snapshot's data, and what is wrong there.
BREAKS: dict[str, tuple[str, Any]] = {
    "MY-IA-01": ("accounts.rows.0.user", ""),
    "MY-IA-02": ("accounts.rows.0.empty_password", True),
    "MY-IA-03A": ("plugins.rows.0.active", ["unix_socket"]),
    "MY-IA-03B": ("variables.rows.0.variables.simple_password_check_minimal_length", "6"),
    "MY-IA-04": ("accounts.rows.1.password_lifetime_days", None),
    "MY-IA-05": ("plugins.rows.0.active", ["simple_password_check"]),
    "MY-LF-01": ("variables.rows.0.variables.max_password_errors", "4294967295"),
    "MY-LF-02A": ("variables.rows.0.variables.interactive_timeout", "28800"),
    "MY-LF-02B": ("variables.rows.0.variables.wait_timeout", "31536000"),
    "MY-LF-03A": ("variables.rows.0.variables.connect_timeout", "60"),
    "MY-LF-03B": ("variables.rows.0.variables.max_connect_errors", "100000"),
    "MY-RM-01A": ("variables.rows.0.variables.have_ssl", "DISABLED"),
    "MY-RM-01B": ("variables.rows.0.variables.require_secure_transport", "OFF"),
    "MY-RM-02": ("variables.rows.0.variables.tls_version", "TLSv1,TLSv1.2"),
    "MY-RM-03": ("accounts.rows.0.plugin", "mysql_old_password"),
    "MY-2F-01": ("accounts.rows.0.user", "root"),
    "MY-AC-01": ("accounts.rows.0.user", "root"),
    "MY-AC-02": ("accounts.rows.0.user", "root"),
    "MY-AC-03": ("databases.rows.0.database", "test"),
    "MY-AC-04": ("accounts.rows.0.host", "%"),
    "MY-AC-05": ("grants.rows.0.global_privileges", ["FILE"]),
    "MY-AC-06": ("grants.rows.0.schemas", ["hdis", "mysql"]),
    "MY-AC-07A": ("roles.rows.0.roles", ["dba"]),
    "MY-AC-07B": ("accounts.rows.1.roles", ["auditor", "dba"]),
    "MY-AC-08": ("grants.rows.0.global_privileges", ["SELECT"]),
    "MY-AC-09A": ("server.rows.0.account", "root"),
    "MY-AC-09B": ("server.rows.0.skips_grants", True),
    "MY-AC-10": ("files.rows.0.mode", "0755"),
    "MY-AU-01A": ("audit.rows.0.active", False),
    "MY-AU-01B": ("audit.rows.0.events", ["CONNECT"]),
    "MY-AU-02": ("audit.rows.0.load_option", "ON"),
    "MY-AU-03": ("audit.rows.0", {"instance": "3306", "retention_days": 9, "oldest": None}),
    "MY-AU-04A": ("variables.rows.0.variables.log_error", ""),
    "MY-AU-04B": ("variables.rows.0.variables.log_warnings", "1"),
    "MY-AU-05A": ("variables.rows.0.variables.log_bin", "OFF"),
    "MY-AU-05B": ("variables.rows.0.variables.binlog_expire_logs_seconds", "3600"),
    "MY-AU-06": ("variables.rows.0.variables.general_log", "ON"),
    "MY-IP-01": ("variables.rows.0.variables.bind_address", "*"),
    "MY-IP-02": ("variables.rows.0.variables.local_infile", "ON"),
    "MY-IP-03": ("variables.rows.0.variables.secure_file_priv", ""),
    "MY-IP-04": ("variables.rows.0.variables.have_symlink", "YES"),
    "MY-IP-05": ("server.rows.0.series", "10.3"),
    "MY-DI-01A": ("variables.rows.0.variables.innodb_checksum_algorithm", "none"),
    "MY-DI-01B": ("variables.rows.0.variables.innodb_flush_log_at_trx_commit", "2"),
    "MY-DI-02": ("sessions.rows.0.plain_remote_connections", 3),
    "MY-DC-01": ("personal_tables.rows.0.encrypted", False),
    "MY-BK-01": ("backup.rows.0.finished", DAY),
    "MY-BK-02": ("replicas.rows", []),
    "MY-BK-03": ("backup.rows.0.restore_tested", None),
    "MY-PI-01": ("personal_tables.rows.0.readers", ["hdis", "chen"]),
    "WIN-IA-01A": ("policy.minimum_password_length", 6),
    "WIN-IA-01B": ("policy.password_complexity", False),
    "WIN-IA-02A": ("policy.maximum_password_age_days", 0),
    "WIN-IA-02B": ("policy.password_history", 0),
    "WIN-IA-03A": ("accounts.users.0.password_required", False),
    "WIN-IA-03B": ("accounts.autologon_password", True),
    "WIN-LF-01A": ("policy.lockout_count", 0),
    "WIN-LF-01B": ("policy.lockout_minutes", 1),
    "WIN-LF-02": ("screen.secure", False),
    "WIN-RM-01A": ("remote_desktop.security_layer", 0),
    "WIN-RM-01B": ("remote_desktop.network_level_authentication", False),
    "WIN-RM-01C": ("remote_desktop.encryption_level", 1),
    "WIN-AC-01A": ("accounts.users.0.name", "Administrator"),
    "WIN-AC-01B": ("accounts.users.1.enabled", True),
    "WIN-AC-02": ("accounts.administrators", ["WARD3-01\\chen"]),
    "WIN-AC-03A": ("shares.automatic", True),
    "WIN-AC-03B": ("shares.shares.0.name", "C"),
    "WIN-AU-01": ("audit.categories.0", {"category": "Logon", "success": False, "failure": False}),
    "WIN-AU-02": ("logs.forwarded", False),
    "WIN-IP-01": ("network.smb1", True),
    "WIN-IP-02": ("network.listeners.0.reachable_from", ["0.0.0.0/0"]),
    "WIN-IP-03": ("services.services.0.start", "Automatic"),
    "WIN-IP-04": ("devices.usb_storage_start", 3),
    "WIN-IP-05": ("devices.autorun_mask", 145),
    "WIN-IP-06A": ("system.release", "7"),
    "WIN-IP-06B": ("system.last_update", DAY),
    "WIN-IP-07": ("network.firewall.0.inbound", "Allow"),
    "WIN-MC-01A": ("malware.enabled", False),
    "WIN-MC-01B": ("malware.signatures", DAY),
    "WIN-MC-02": ("malware.last_full_scan", None),
    "WIN-TV-01": ("firmware", {"secure_boot": False, "tpm": False}),
    "WIN-DC-01": ("network.tls_client", ["TLS 1.0", "TLS 1.2"]),
    "WIN-RI-01": ("policy.hide_last_user", False),
    "WIN-RI-02": ("policy.clear_page_file", False),
}


def name_of(check: str) -> str:
    return "mariadb" if check.startswith("MY-") else "windows"


def judged(name: str, snapshot: dict[str, Any], language: str = "en") -> list[dict[str, str]]:
    return judgement.judge(snapshot, CHECKS[name], LIMITS, {"name": "h1", "groups": []}, language)[0]


def broken(check: str) -> dict[str, Any]:
    path, value = BREAKS[check]
    snapshot = copy.deepcopy(GOOD[name_of(check)])
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    node = snapshot["data"]
    for step in steps:
        node = node[step]
    node[last] = value
    return snapshot


@pytest.mark.parametrize("name", NAMES)
def test_what_is_well_kept_passes(name):
    assert [item for item in judged(name, GOOD[name]) if item["verdict"] != "pass"] == []


def test_every_check_is_broken_above():
    assert sorted(BREAKS) == sorted(rule.id for checks in CHECKS.values() for rule in checks.rules)


@pytest.mark.parametrize("check", BREAKS)
def test_a_check_sees_what_it_is_there_for(check):
    found = [item for item in judged(name_of(check), broken(check)) if item["id"] == check]
    failed = [item for item in found if item["verdict"] == "fail"]
    assert failed and all(item["advice"] and item["actual"] and item["expected"] for item in failed)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_not_read_is_unknown(name):
    empty = {"taken": GOOD[name]["taken"], "probes": {}, "data": {}}
    assert {item["verdict"] for item in judged(name, empty)} == {"unknown"}


@pytest.mark.parametrize("name", NAMES)
def test_every_threshold_is_read(name):
    text = (ROOT / f"roles/baseline/vars/{name}_checks.yml").read_text(encoding="utf-8")
    assert [key for key in DEFAULTS if key.startswith(f"{name}_") and f"limits.{key}" not in text] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_texts_are_in_the_language(name, language):
    for rule in CHECKS[name].rules:
        chinese = any("一" <= letter <= "鿿" for letter in rule.title[language])
        assert chinese == (language == "zh"), rule.id
