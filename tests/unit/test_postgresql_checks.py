"""Checks of the baseline for PostgreSQL: a hardened server passes every one, and each sees what it is there for.

The fixture is what tests/by_hand/postgresql_real.py saved of a real primary with a standby and pgBackRest; what it takes
to be hardened (TLS, pgaudit, credcheck, the three administrators, a second site) is filled in by hand.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils import judgement

ROOT = Path(__file__).parents[2]
PATH = ROOT / "roles/baseline/vars/postgresql_checks.yml"
CHECKS = judgement.load(str(PATH))
DEFAULTS = yaml.safe_load((ROOT / "roles/baseline/defaults/main.yml").read_text(encoding="utf-8"))[
    "baseline_limits"
]
INSPECTION = yaml.safe_load((ROOT / "roles/inspection/defaults/main.yml").read_text(encoding="utf-8"))
RECORDED = json.loads((ROOT / "tests/fixtures/postgresql_snapshot.json").read_text(encoding="utf-8"))
LIMITS = DEFAULTS | {
    "postgresql_service_roles": ["app"],
    "postgresql_people": ["zhang", "li", "wang"],
    "postgresql_replication_roles": ["standby"],
    "postgresql_second_site": ["10.9.0.2"],
    "postgresql_all_data_roles": ["dump"],
}
CLUSTERS = ("5497", "5498")
DAY = "2000-01-01T00:00:00Z"
SOON = "2026-12-31T00:00:00Z"
LIBRARIES = "pg_stat_statements, pgaudit, credcheck"
HARDENED = {
    "authentication_timeout": ("60", 60.0),
    "credcheck.max_auth_failure": ("5", None),
    "credcheck.password_min_digit": ("1", None),
    "credcheck.password_min_length": ("10", None),
    "credcheck.password_min_lower": ("1", None),
    "credcheck.password_min_special": ("1", None),
    "credcheck.password_min_upper": ("1", None),
    "idle_in_transaction_session_timeout": ("600000", 600.0),
    "logging_collector": ("on", None),
    "listen_addresses": ("localhost,10.0.0.5", None),
    "log_line_prefix": ("%m [%p] %q%u@%d %h ", None),
    "log_replication_commands": ("on", None),
    "max_slot_wal_keep_size": ("10240", None),
    "pgaudit.log": ("ddl, role, write, read", None),
    "shared_preload_libraries": (LIBRARIES, None),
    "ssl": ("on", None),
    "ssl_ciphers": ("HIGH:!aNULL:!MD5:!3DES", None),
    "tcp_keepalives_idle": ("300", 300.0),
}
ROLE = {"superuser": False, "creates_roles": False, "creates_databases": False, "replication": False}
ROLE |= {
    "bypasses_row_security": False,
    "login": True,
    "connection_limit": -1,
    "valid_until": None,
    "member_of": [],
}
RULE = {
    "databases": ["all"],
    "roles": ["all"],
    "address": "10.0.0.0",
    "netmask": "255.255.255.0",
    "line": 99,
    "rule": 99,
}
RULE |= {
    "file": "pg_hba.conf",
    "type": "hostssl",
    "method": "scram-sha-256",
    "options": [],
    "client_certificate": None,
    "broken": False,
}
REFUSED = RULE | {
    "roles": ["postgres"],
    "address": "all",
    "netmask": None,
    "type": "host",
    "method": "reject",
    "rule": 80,
}
TABLE = {"database": "hdis", "schema": "public", "table": "patient", "row_security": True, "readers": ["app"]}
TABLE |= {"columns": ["id_card", "phone"], "clear_columns": []}
DEFINER = {"database": "hdis", "schema": "public", "function": "f", "owner": "postgres", "superuser": True}
DEFINER |= {"search_path_set": True, "public_may_execute": False}
MEMBER = {"login": True, "superuser": False, "becomes_superuser": False, "reaches": []}
IDLE = {"role": "zhang", "database": "", "name": "idle_session_timeout", "value": "10min", "seconds": 600}


def hardened() -> dict[str, Any]:
    """The recorded servers as they are when everything was done."""
    snapshot = copy.deepcopy(RECORDED)
    data = snapshot["data"]
    for row in data["settings"]["rows"]:
        for name, (value, seconds) in HARDENED.items():
            row["settings"][name] = {"value": value, "source": "configuration file", "pending_restart": False}
            row["settings"][name] |= {} if seconds is None else {"seconds": seconds}
        row["settings"]["unix_socket_permissions"] |= {"value": "504", "mode": "0770"}
    groups = {"dba": "zhang", "secadmin": "li", "auditor": "wang"}
    for cluster in CLUSTERS:
        own = {"cluster": cluster}
        for name, person in groups.items():
            data["roles"]["rows"].append(own | ROLE | {"role": name, "login": False, "password": "none"})
            data["memberships"]["rows"].append(own | MEMBER | {"role": name, "login": False})
            data["roles"]["rows"].append(
                own | ROLE | {"role": person, "password": "scram", "valid_until": SOON}
            )
            data["memberships"]["rows"].append(own | MEMBER | {"role": person, "reaches": [name]})
            data["role_settings"]["rows"].append(own | IDLE | {"role": person})
        data["hba"]["rows"] += [own | REFUSED, own | RULE]
        data["personal_tables"]["rows"].append(own | TABLE)
        data["definers"]["rows"].append(own | DEFINER)
        data["files"]["rows"].append(
            own | {"use": "key", "path": "/k", "mode": "0640", "owner": "root", "group": "ssl-cert"}
        )
    for row in data["server"]["rows"]:
        row["version_num"] = 150020
    for row in data["database_rights"]["rows"]:
        row["public_rights"] = []
    for row in data["tls"]["rows"]:
        row |= {
            "enabled": True,
            "network": True,
            "offered": True,
            "certificate_expires": "2027-11-01T00:00:00Z",
        }
    data["backup"]["rows"][0]["encrypted"] = True
    data["replication"]["rows"][0]["client"] = "10.9.0.2"
    data["passwords"]["rows"].append(
        {"path": "/var/lib/postgresql/.pgpass", "kind": "pgpass", "mode": "0600"}
    )
    return snapshot


GOOD = hardened()


def setting(name: str, value: str, **more: Any) -> dict[str, Any]:
    return {"settings": {name: {"value": value, "source": "database", "pending_restart": False} | more}}


def weak(name: str, value: str) -> dict[str, Any]:
    return {"role": "app", "database": "", "name": name, "value": value}


# Check -> what one more row of its probe would have to say (settings: what the first row would say).
ADDED: dict[str, dict[str, Any]] = {
    "PG-IA-01": ROLE | {"role": "ghost", "password": "none", "cluster": "5499"},
    "PG-IA-02A": RULE | {"method": "trust"},
    "PG-IA-02B": RULE | {"method": "password"},
    "PG-IA-02C": RULE | {"method": "ident"},
    "PG-IA-02D": RULE | {"broken": True},
    "PG-IA-03B": ROLE | {"role": "app", "password": "md5"},
    "PG-IA-05": ROLE | {"role": "zhang", "password": "scram"},
    "PG-LF-03A": ROLE | {"role": "chen", "password": "scram"},
    "PG-RM-03": RULE | {"type": "host"},
    "PG-2F-01": RULE | {"rule": 1},
    "PG-AC-01": RULE | {"rule": 1},
    "PG-AC-02A": ROLE | {"role": "boss", "superuser": True},
    "PG-AC-02B": ROLE | {"role": "app", "creates_databases": True},
    "PG-AC-02C": ROLE | {"role": "app", "replication": True},
    "PG-AC-02D": ROLE | {"role": "app", "bypasses_row_security": True},
    "PG-AC-02E": MEMBER | {"role": "app", "becomes_superuser": True, "reaches": ["postgres"]},
    "PG-AC-03B": MEMBER | {"role": "zhang", "reaches": ["auditor", "dba"]},
    "PG-AC-03C": ROLE | {"role": "auditor", "login": False, "cluster": "5499"},
    "PG-AC-04A": {"database": "hdis", "count": 1, "names": ["public"]},
    "PG-AC-04B": {"database": "hdis", "template": False, "public_rights": ["CONNECT"]},
    "PG-AC-04C": {"database": "hdis", "template": False, "public_rights": ["TEMPORARY"]},
    "PG-AC-05A": {"database": "hdis", "count": 1, "names": ["public.patient"]},
    "PG-AC-05B": {"database": "hdis", "role": "app", "login": True, "superuser": False, "tables": 3},
    "PG-AC-06": TABLE | {"row_security": False},
    "PG-AC-07A": ROLE | {"role": "stranger"},
    "PG-AC-07B": ROLE | {"role": "zhang", "valid_until": DAY},
    "PG-AC-08A": MEMBER | {"role": "app", "reaches": ["pg_read_server_files"]},
    "PG-AC-08B": MEMBER | {"role": "app", "reaches": ["pg_execute_server_program"]},
    "PG-AC-08C": MEMBER | {"role": "app", "reaches": ["pg_read_all_data"]},
    "PG-AC-09A": {"database": "hdis", "extension": "dblink", "version": "1.2"},
    "PG-AC-09B": {"database": "hdis", "count": 1, "names": ["plpython3u"]},
    "PG-AC-10A": DEFINER | {"search_path_set": False},
    "PG-AC-10B": DEFINER | {"public_may_execute": True},
    "PG-AU-03B": weak("log_statement", "none"),
    "PG-AU-07": {"parameter": "log_statement", "role": "app", "right": "SET"},
    "PG-IP-01B": RULE | {"address": "::", "netmask": "::"},
    "PG-IP-04A": {"use": "data", "path": "/d", "mode": "0755", "owner": "postgres"},
    "PG-IP-04B": {"use": "data", "path": "/d", "mode": "0700", "owner": "root"},
    "PG-IP-04D": {"use": "hba", "path": "/h", "mode": "0644", "owner": "postgres"},
    "PG-IP-05A": {"kind": "process", "path": "process 7"},
    "PG-IP-05B": {"kind": "pgpass", "path": "/home/x/.pgpass", "mode": "0644"},
    "PG-RM-04B": {"use": "key", "path": "/k", "mode": "0644", "owner": "postgres", "group": "postgres"},
    "PG-DI-02D": weak("synchronous_commit", "off"),
    "PG-DC-01A": TABLE | {"clear_columns": ["phone"]},
    "PG-PI-01A": TABLE | {"readers": ["app", "chen"]},
    "PG-BK-04B": {"slot": "gone", "active": False, "temporary": False},
}
# Check -> what the first row of its probe would have to say.
CHANGED: dict[str, dict[str, Any]] = {
    "PG-IA-03A": setting("password_encryption", "md5"),
    "PG-IA-04A": setting("shared_preload_libraries", "pgaudit"),
    "PG-IA-04B": setting("credcheck.password_min_special", "0"),
    "PG-LF-01": setting("credcheck.max_auth_failure", "0"),
    "PG-LF-02": setting("authentication_timeout", "300", seconds=300.0),
    "PG-LF-03B": setting("idle_session_timeout", "60000", seconds=60.0),
    "PG-LF-03C": setting("tcp_keepalives_idle", "0", seconds=0.0),
    "PG-LF-04": setting("idle_in_transaction_session_timeout", "0", seconds=0.0),
    "PG-RM-01": {"offered": False},
    "PG-RM-02": setting("ssl_min_protocol_version", "TLSv1"),
    "PG-RM-04A": setting("ssl_ciphers", "HIGH:MEDIUM:+3DES:!aNULL"),
    "PG-RM-04C": {"certificate_expires": DAY},
    "PG-AC-02F": {
        "by_client": [{"role": "postgres", "client": "10.0.0.9", "database": "hdis", "connections": 1}]
    },
    "PG-AC-03A": {"cluster": "5499"},
    "PG-AU-01": {"kind": "lost"},
    "PG-AU-02A": setting("log_connections", "off"),
    "PG-AU-02B": setting("log_disconnections", "off"),
    "PG-AU-02C": setting("log_replication_commands", "off"),
    "PG-AU-03A": setting("pgaudit.log", "ddl"),
    "PG-AU-04A": setting("log_line_prefix", "[%p] %u@%d %h "),
    "PG-AU-04B": setting("log_line_prefix", "%m [%p] %u %h "),
    "PG-AU-04C": setting("log_line_prefix", "%m [%p] %u@%d "),
    "PG-AU-04D": setting("log_line_prefix", "%m %u@%d %h "),
    "PG-AU-05A": {"open": [{"path": "/l/postgresql.log", "mode": "0644"}]},
    "PG-AU-05C": setting("log_file_mode", "420", mode="0644"),
    "PG-AU-05B": {"directory": {"path": "/l", "mode": "1775", "owner": "root", "group": "postgres"}},
    "PG-AU-06": {"retention_days": 70.0},
    "PG-AU-08A": setting("log_error_verbosity", "terse"),
    "PG-AU-08B": setting("log_min_messages", "fatal"),
    "PG-AU-08C": setting("log_min_error_statement", "panic"),
    "PG-IP-01A": setting("listen_addresses", "*"),
    "PG-IP-03A": {"major": 12},
    "PG-IP-03B": {"version_num": 150010},
    "PG-DI-01A": setting("data_checksums", "off"),
    "PG-DI-01B": {"checksum_failures": 1},
    "PG-DI-02A": setting("fsync", "off"),
    "PG-DI-02B": setting("full_page_writes", "off"),
    "PG-DI-02C": setting("synchronous_commit", "off"),
    "PG-DI-03": {"plain_remote_connections": 1},
    "PG-DC-01B": {"encrypted": False},
    "PG-BK-01A": {"command_set": False},
    "PG-BK-01B": {"failing": True, "last_failed": DAY},
    "PG-BK-01C": {"waiting_files": 99, "waiting_seconds": 901},
    "PG-BK-01D": {"last_finished": DAY},
    "PG-BK-02": {"cluster": "5499"},
    "PG-BK-03": {"backups_with_errors": ["20261101F"]},
    "PG-BK-04A": setting("max_slot_wal_keep_size", "-1"),
    "PG-PI-01B": setting("pgaudit.log", "ddl, role, write"),
}
# Checks that fall on two changes, and what else has to be so.
MORE: dict[str, dict[str, Any]] = {
    "PG-IA-03C": {"hba": RULE | {"method": "md5"}, "roles": ROLE | {"role": "app", "password": "md5"}},
    "PG-IP-04C": {
        "settings": setting("unix_socket_permissions", "511", mode="0777"),
        "hba": RULE | {"type": "local", "method": "trust"},
    },
}
# Check -> what makes it a part: the row that is added or changed, as above.
PARTS: dict[str, dict[str, Any]] = {
    "PG-IA-03C": {"hba": RULE | {"method": "md5"}},
    "PG-IA-04B": {"settings": setting("shared_preload_libraries", "passwordcheck")},
    "PG-LF-01": {"settings": setting("shared_preload_libraries", "auth_delay")},
    "PG-2F-01": {"hba": RULE | {"rule": 1, "method": "cert"}},
    "PG-AU-01": {"log": {"kind": "unknown"}},
    "PG-IP-04C": {"settings": setting("unix_socket_permissions", "511", mode="0777")},
    "PG-BK-02": {"replication": {"client": "10.0.0.6"}},
    "PG-IP-03B": {"server": {"version_num": 150019}},
}


def judged(
    snapshot: dict[str, Any], check: str = "", language: str = "en", **limits: Any
) -> list[dict[str, str]]:
    host = {"name": "db1", "groups": ["database"]}
    findings = judgement.judge(snapshot, CHECKS, LIMITS | limits, host, language)[0]
    return [finding for finding in findings if check in ("", finding["id"])]


def probe_of(check: str) -> str:
    return next(rule.probe for rule in CHECKS.rules if rule.id == check)


def add(snapshot: dict[str, Any], probe: str, row: dict[str, Any]) -> None:
    snapshot["data"][probe]["rows"].append({"cluster": "5497"} | row)


def change(snapshot: dict[str, Any], probe: str, row: dict[str, Any]) -> None:
    first = snapshot["data"][probe]["rows"][0]
    change = copy.deepcopy(row)
    settings = change.pop("settings", {})
    first.update(change)
    first.get("settings", {}).update(settings)


def broken(check: str) -> dict[str, Any]:
    """The good snapshot with what the check must see."""
    snapshot = copy.deepcopy(GOOD)
    if check in ADDED:
        add(snapshot, probe_of(check), ADDED[check])
    elif check in CHANGED:
        each = next(rule for rule in CHECKS.rules if rule.id == check).expressions["each"].source
        change(snapshot, each.split(".")[1], CHANGED[check])
    else:
        merge(snapshot, MORE[check])
    return snapshot


def merge(snapshot: dict[str, Any], rows: dict[str, dict[str, Any]]) -> None:
    for probe, row in rows.items():
        (change if probe in ("settings", "log", "replication", "server") else add)(snapshot, probe, row)


def test_there_are_as_many_checks_as_were_promised():
    assert len(CHECKS.rules) >= 45 and all(rule.id.startswith("PG-") for rule in CHECKS.rules)


def test_a_hardened_server_passes_every_check():
    assert [finding for finding in judged(GOOD) if finding["verdict"] != "pass"] == []
    assert {finding["id"] for finding in judged(GOOD)} == {rule.id for rule in CHECKS.rules}


def test_every_check_is_broken_below():
    assert sorted([*ADDED, *CHANGED, *MORE]) == sorted(rule.id for rule in CHECKS.rules)


@pytest.mark.parametrize("check", [*ADDED, *CHANGED, *MORE])
def test_a_check_sees_what_it_is_there_for(check):
    found = [finding for finding in judged(broken(check), check) if finding["verdict"] != "pass"]
    assert [finding["verdict"] for finding in found] == ["fail"]
    assert found and all(finding["advice"] and finding["actual"] and finding["expected"] for finding in found)


@pytest.mark.parametrize("check", [rule.id for rule in CHECKS.rules if rule.partial])
def test_a_part_is_a_part(check):
    snapshot = copy.deepcopy(GOOD)
    merge(snapshot, PARTS[check])
    assert "partial" in [finding["verdict"] for finding in judged(snapshot, check)]


@pytest.mark.parametrize("rule", CHECKS.rules, ids=lambda rule: rule.id)
def test_what_was_not_read_is_never_a_pass(rule):
    snapshot = copy.deepcopy(GOOD)
    snapshot["probes"][rule.probe] = {"state": "unknown", "ms": 1, "reason": "refused", "unread": {}}
    del snapshot["data"][rule.probe]
    assert [(item["verdict"], item["actual"]) for item in judged(snapshot, rule.id)] == [
        ("unknown", "refused")
    ]


@pytest.mark.parametrize(
    "rule",
    [rule for rule in CHECKS.rules if rule.probe not in ("backup", "passwords")],
    ids=lambda rule: rule.id,
)
def test_a_server_that_refused_is_unknown(rule):
    snapshot = copy.deepcopy(GOOD)
    snapshot["probes"][rule.probe] = {"state": "ok", "ms": 1, "unread": {"5432": "refused"}}
    snapshot["data"][rule.probe] = {"rows": [{"cluster": "5432"}]}
    verdicts = [finding["verdict"] for finding in judged(snapshot, rule.id)]
    assert "pass" not in verdicts, verdicts


@pytest.mark.parametrize("probe", sorted(GOOD["data"]))
def test_what_a_check_looks_up_elsewhere_and_is_missing_fails_nobody(probe):
    snapshot = copy.deepcopy(GOOD)
    del snapshot["data"][probe]
    text = yaml.safe_load(PATH.read_text(encoding="utf-8"))["rules"]
    for rule in text:
        looked_up = re.findall(r"data\.(\w+)", str(rule["pass"])) + re.findall(
            r"data\.(\w+)", str(rule.get("each"))
        )
        if probe in looked_up:
            findings = judged(snapshot, rule["id"])
            assert all(item["verdict"] in ("unknown", "pass") for item in findings), rule["id"]


def test_a_server_as_debian_installs_it_is_judged_honestly():
    verdicts = {finding["id"]: finding["verdict"] for finding in judged(RECORDED)}
    assert {"PG-RM-01", "PG-AU-03A", "PG-IA-04A", "PG-LF-01", "PG-AC-03A", "PG-BK-02"} <= {
        check for check, verdict in verdicts.items() if verdict in ("fail", "partial")
    }
    assert "unknown" not in verdicts.values()


def test_before_14_nobody_can_have_an_idle_limit():
    snapshot = copy.deepcopy(GOOD)
    for row in snapshot["data"]["settings"]["rows"]:
        del row["settings"]["idle_session_timeout"]
    snapshot["data"]["role_settings"]["rows"] = []
    assert {finding["verdict"] for finding in judged(snapshot, "PG-LF-03A")} == {"fail"}
    assert {finding["verdict"] for finding in judged(snapshot, "PG-LF-03B")} == {"pass"}


def test_the_application_is_exempt_from_what_would_stop_it():
    found = {
        finding["id"] for finding in judged(GOOD, postgresql_service_roles=[]) if finding["verdict"] == "fail"
    }
    assert {"PG-IA-05", "PG-LF-03A", "PG-AC-07A"} <= found


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_texts_are_in_the_language(language):
    for rule in CHECKS.rules:
        chinese = any("一" <= letter <= "鿿" for letter in rule.title[language])
        assert chinese == (language == "zh"), rule.id


def test_every_threshold_is_read_by_a_check_and_agrees_with_the_inspection():
    text = PATH.read_text(encoding="utf-8")
    assert [
        name for name in DEFAULTS if name.startswith("postgresql_") and f"limits.{name}" not in text
    ] == []
    shared = INSPECTION["inspection_limits"]
    for name in ("postgresql_end_of_life", "postgresql_backup_hours", "postgresql_superusers"):
        assert DEFAULTS[name] == shared[name]
