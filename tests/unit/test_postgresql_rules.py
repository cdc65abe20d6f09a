"""Rules for PostgreSQL: a well-run server passes, and each rule sees what it is there for.

The fixture is what tests/by_hand/postgresql_real.py saved of a real primary with a standby and pgBackRest.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils import judgement

ROOT = Path(__file__).parents[2]
RULES = judgement.load(str(ROOT / "roles/inspection/vars/postgresql_rules.yml"))
LIMITS = yaml.safe_load((ROOT / "roles/inspection/defaults/main.yml").read_text(encoding="utf-8"))[
    "inspection_limits"
]
GOOD = json.loads((ROOT / "tests/fixtures/postgresql_snapshot.json").read_text(encoding="utf-8"))
DAY = "2000-01-01T00:00:00Z"
SESSION = {"pid": 7, "database": "hdis", "role": "app", "application": "web", "keyword": "SELECT"}
NAMED = {"count": 1, "names": ["public.x"]}
TABLE = {"schema": "public", "table": "x", "dead_rows": 90000, "dead_percent": 60.0, "live_rows": 60000}
ROLE = {"role": "app", "superuser": True, "login": True, "password": "md5"}


def setting(name: str, value: str, **more: Any) -> dict[str, Any]:
    return {"settings": {name: {"value": value, "source": "database", "pending_restart": False} | more}}


# Rule -> what the first row of its probe would have to say (in a list that is empty: the row).
BREAKS: dict[str, dict[str, Any]] = {
    "PG-UP-01": {"listens": False},
    "PG-VER-01": {"major": 12},
    "PG-VER-02": {"major": 12},
    "PG-CONF-01": setting("max_connections", "100", pending_restart=True),
    "PG-CONF-02": setting("fsync", "off"),
    "PG-CONF-03": setting("zero_damaged_pages", "on"),
    "PG-CONF-04": setting("shared_buffers", "16", bytes=131072),
    "PG-CONF-05": setting("idle_in_transaction_session_timeout", "0", seconds=0),
    "PG-STAT-01": setting("shared_preload_libraries", "auto_explain"),
    "PG-LOG-01": setting("log_connections", "off"),
    "PG-CONN-01": {"used_percent": 81.0},
    "PG-TX-01": SESSION | {"state": "idle in transaction", "state_seconds": 601},
    "PG-TX-02": SESSION | {"state": "active", "transaction_seconds": 3601},
    "PG-LOCK-01": SESSION | {"waits_for": [8], "waiting_seconds": 61, "mode": "ShareLock"},
    "PG-LOCK-02": {"deadlocks": 11},
    "PG-PREP-01": {"transaction": "t", "database": "hdis", "age_seconds": 3601},
    "PG-CACHE-01": {"blocks_hit": 2000000, "blocks_read": 2000000, "cache_hit_percent": 50.0},
    "PG-TEMP-01": {"temp_bytes": 1 << 40},
    "PG-SLOW-01": {"calls": 10, "mean_ms": 1001.0},
    "PG-CKPT-01": {"timed": 10, "requested": 90, "requested_percent": 90.0},
    "PG-XID-01": {"multixact_used_percent": 26},
    "PG-VAC-01": setting("autovacuum", "off"),
    "PG-VAC-02": TABLE | {"database": "hdis"},
    "PG-VAC-03": TABLE | {"database": "hdis", "never_analyzed": True, "last_analyze": None},
    "PG-BLOAT-01": {"heap_bytes": 1 << 30, "bloat_estimate_percent": 51.0, "bloat_estimate_bytes": 1 << 29},
    "PG-IDX-01": NAMED,
    "PG-IDX-02": NAMED,
    "PG-IDX-03": NAMED,
    "PG-COLL-01": NAMED,
    "PG-EXT-01": {"version": "0.1"},
    "PG-SUM-01": setting("data_checksums", "off"),
    "PG-SUM-02": {"checksum_failures": 1, "checksum_last_failure": DAY},
    "PG-INT-01": NAMED,
    "PG-UNL-01": NAMED,
    "PG-PK-01": NAMED,
    "PG-SEQ-01": {"used_percent": 71.0},
    "PG-ENC-01": {"encoding": "SQL_ASCII"},
    "PG-ARCH-01": {"command_set": False},
    "PG-ARCH-02": {"failing": True, "last_failed": DAY},
    "PG-ARCH-03": {"waiting_files": 11},
    "PG-BAK-01": {"last_finished": DAY},
    "PG-BAK-02": {"last_full_finished": DAY},
    "PG-BAK-03": {"backups_with_errors": ["20261101F"]},
    "PG-BAK-04": {"full_backups": 1},
    "PG-SLOT-01": {"retained_bytes": 1 << 40, "active": False},
    "PG-REP-01": {"state": "catchup"},
    "PG-REP-02": {
        "in_recovery": True,
        "status": None,
        "replay_behind_bytes": None,
        "replay_behind_seconds": None,
    },
    "PG-STO-01": {"used_percent": 81},
    "PG-ROLE-01": ROLE,
    "PG-ROLE-02": ROLE,
    "PG-HBA-01": {"method": "trust"},
    "PG-HBA-02": {"method": "md5"},
    "PG-HBA-03": {"type": "hostssl", "address": "all", "netmask": None},
    "PG-HBA-04": {"broken": True},
    "PG-TLS-01": {"plain_remote_connections": 1},
    "PG-TLS-02": {"enabled": True, "certificate_expires": DAY},
    "PG-PUB-01": NAMED,
}


def judged(snapshot: dict[str, Any], language: str = "en", **limits: Any) -> list[dict[str, str]]:
    return judgement.judge(snapshot, RULES, LIMITS | limits, {"name": "db1", "groups": []}, language)[0]


def broken(rule: str) -> dict[str, Any]:
    """The good snapshot with what the rule must see, in the first row of its probe."""
    snapshot = copy.deepcopy(GOOD)
    probe = next(item.probe for item in RULES.rules if item.id == rule)
    rows = snapshot["data"][probe]["rows"]
    if not rows:
        rows.append({"cluster": "5497"})
    change = copy.deepcopy(BREAKS[rule])
    settings = change.pop("settings", {})
    rows[0].update(change)
    rows[0].get("settings", {}).update(settings)
    return snapshot


def test_a_well_run_server_has_no_finding_above_advice():
    above = [item for item in judged(GOOD) if item["verdict"] != "pass" and item["severity"] != "advice"]
    assert above == []
    assert {item["verdict"] for item in judged(GOOD, postgresql_support_days=0)} == {"pass"}


def test_every_rule_is_broken_below():
    assert sorted(BREAKS) == sorted(rule.id for rule in RULES.rules)


@pytest.mark.parametrize("rule", BREAKS)
def test_a_rule_sees_what_it_is_there_for(rule):
    found = [item for item in judged(broken(rule)) if item["id"] == rule and item["verdict"] == "fail"]
    assert found and all(item["advice"] and item["actual"] and item["expected"] for item in found)


@pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: rule.id)
def test_what_was_not_read_is_unknown_with_its_reason(rule):
    snapshot = copy.deepcopy(GOOD)
    snapshot["probes"][rule.probe] = {"state": "ok", "ms": 1, "unread": {"5432": "refused"}}
    snapshot["data"][rule.probe] = {"rows": [{"cluster": "5432"}]}
    findings = [item for item in judged(snapshot) if item["id"] == rule.id]
    if rule.probe != "backup":
        assert [(item["verdict"], item["actual"]) for item in findings] == [("unknown", "5432: refused")]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_texts_are_in_the_language(language):
    for rule in RULES.rules:
        chinese = any("一" <= letter <= "鿿" for letter in rule.title[language])
        assert chinese == (language == "zh"), rule.id


def test_metrics_have_numbers_and_limits():
    metrics = judgement.judge(GOOD, RULES, LIMITS, {"name": "db1", "groups": []})[1]
    by_name = {metric["name"]: metric for metric in metrics}
    wanted = {"database_size_bytes", "table_size_bytes", "connections_used", "xid_age", "wal_position_bytes"}
    assert wanted | {"backup_size_bytes", "wal_directory_bytes"} <= set(by_name)
    assert by_name["connections_used"]["limit"] == 97.0 and by_name["database_size_bytes"]["value"] > 1 << 20


def test_every_threshold_is_read_by_a_rule():
    text = (ROOT / "roles/inspection/vars/postgresql_rules.yml").read_text(encoding="utf-8")
    unused = [name for name in LIMITS if name.startswith("postgresql_") and f"limits.{name}" not in text]
    assert unused == []
