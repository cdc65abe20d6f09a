"""What surrounds a PostgreSQL server on its host, and the questions about rights: on files of a temporary folder."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import postgresql_files as files
from ansible.module_utils import postgresql_rights as rights
from ansible.module_utils import postgresql_shape as shape

LINE = "2026-05-01 08:00:00.123 CST [7] LOG:  ready\n"


@pytest.fixture
def notes() -> dict[str, str]:
    return {}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder whose server's standard error is a file of this test's own process."""
    folder = tmp_path / "data"
    (folder / "log").mkdir(parents=True, mode=0o700)
    (folder / "log").chmod(0o700)
    return folder


def collector(data: Path, **settings: str) -> dict[str, str]:
    return {
        "data_directory": str(data),
        "logging_collector": "on",
        "log_destination": "stderr",
        "log_directory": "log",
        "log_filename": "postgresql-%Y-%m-%d.log",
        "log_truncate_on_rotation": "off",
    } | settings


def rotated(root: Path, text: str) -> str:
    (root / "etc/logrotate.d").mkdir(parents=True)
    (root / "etc/logrotate.d/postgresql-common").write_text(text)
    return str(root)


def test_the_log_of_the_collector_reaches_back_to_the_first_line_of_its_oldest_file(data, notes):
    old, new = data / "log/postgresql-2026-05-01.log", data / "log/postgresql-2026-11-01.log"
    old.write_text(LINE)
    new.write_text(LINE.replace("05-01", "11-01"))
    (data / "log/other.txt").write_text("x")
    old.chmod(0o600)
    new.chmod(0o644)
    os.utime(old, (1_777_700_000, 1_777_700_000))
    found = files.log(collector(data), notes.__setitem__)
    assert (found["kind"], found["parts"]) == ("collector", 2)
    assert found["open"] == [{"path": str(new), "mode": "0644"}]
    assert found["oldest"] == "2026-05-01T08:00:00Z" and found["directory"]["mode"] == "0700" and notes == {}


@pytest.mark.parametrize(
    "name, truncate, days",
    [
        ("postgresql-%Y-%m-%d.log", "on", 36500.0),
        ("postgresql-%a.log", "off", 36500.0),
        ("postgresql-%a.log", "on", 7.0),
        ("postgresql-%d.log", "on", 28.0),
        ("postgresql-%m-%d.log", "on", 365.0),
        ("postgresql.log", "on", 1.0),
    ],
)
def test_a_name_that_comes_again_overwrites_what_was_kept(data, notes, name, truncate, days):
    settings = collector(data, log_filename=name, log_truncate_on_rotation=truncate)
    assert files.log(settings, notes.__setitem__)["retention_days"] == days


@pytest.mark.parametrize(
    "target, kind", [("/dev/null", "lost"), ("socket:[7]", "journal"), ("pipe:[7]", "unknown")]
)
def test_where_standard_error_goes_is_seen_and_not_believed(data, notes, monkeypatch, target, kind):
    (data / "postmaster.pid").write_text("77\n")
    monkeypatch.setattr(files.os, "readlink", lambda path: {"/proc/77/fd/2": target}[path])
    settings = collector(data, logging_collector="off")
    assert files.log(settings, notes.__setitem__)["kind"] == kind


@pytest.mark.parametrize(
    "text, days",
    [
        ("{log}/*.log {{\n weekly\n rotate 10\n}}\n", 70.0),
        ("{log}/*.log {{\n daily\n rotate 400\n maxage 180\n}}\n", 180.0),
        ("/var/log/other.log {{\n weekly\n rotate 4\n}}\n", 36500.0),
    ],
)
def test_logrotate_says_how_long_a_file_is_kept(data, notes, monkeypatch, tmp_path, text, days):
    path = data / "log/server.log"
    path.write_text(LINE)
    with gzip.open(f"{path}.1.gz", "wt") as packed:
        packed.write(LINE.replace("2026-05", "2026-01"))
    os.utime(f"{path}.1.gz", (1_767_300_000, 1_767_300_000))
    (data / "postmaster.pid").write_text("77\n")
    monkeypatch.setattr(files.os, "readlink", lambda _path: str(path))
    root = rotated(tmp_path / "root", text.format(log=path.parent))
    found = files.log(collector(data, logging_collector="off"), notes.__setitem__, root)
    assert (found["kind"], found["retention_days"], found["parts"]) == ("file", days, 2)
    assert found["oldest"] == "2026-01-01T08:00:00Z" and notes == {}


def test_what_cannot_be_seen_is_named(data, notes):
    found = files.log(collector(data, logging_collector="off"), notes.__setitem__)
    assert "kind" not in found and "No such file" in notes["kind"]
    (data / "log").rmdir()
    files.log(collector(data), notes.__setitem__)
    assert "No such file" in notes["directory"]


def test_modes_of_the_servers_files(data, notes):
    for name in ("pg_hba.conf", "server.key"):
        (data / name).write_text("")
        (data / name).chmod(0o640)
    settings = {
        "data_directory": str(data),
        "hba_file": str(data / "pg_hba.conf"),
        "ssl_key_file": "server.key",
    }
    rows = files.files(settings | {"ssl": "on", "config_file": "/absent"}, notes.__setitem__)
    seen: dict[str, Any] = {row["use"]: row.get("mode") for row in rows}
    assert seen["hba"] == seen["key"] == "0640" and seen["configuration"] is None
    assert set(notes) == {"configuration", "ident"}
    assert "key" not in {row["use"] for row in files.files(settings, notes.__setitem__)}


def test_only_that_a_password_lies_about_is_said(tmp_path):
    unit, comment = tmp_path / "etc/systemd/system/a.service", tmp_path / "etc/cron.d/b"
    below = tmp_path / "etc/systemd/system/c.service.d/d.conf"
    for path in (unit, comment, below):
        path.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text("[Service]\nEnvironment=PGPASSWORD=HUNTER2\n")
    comment.write_text("# PGPASSWORD=HUNTER2\n")
    below.write_text("[Service]\nEnvironment=PGPASSWORD=HUNTER2\n")
    (tmp_path / ".pgpass").write_text("*:*:*:*:HUNTER2\n")
    (tmp_path / ".pgpass").chmod(0o644)
    rows = files.passwords(str(tmp_path), str(tmp_path))
    assert [row["path"] for row in rows if row["kind"] == "file"] == [
        "/etc/systemd/system/a.service",
        "/etc/systemd/system/c.service.d/d.conf",
    ]
    assert [row["mode"] for row in rows if row["kind"] == "pgpass"] == ["0644"]
    assert "HUNTER2" not in str(rows)


@pytest.mark.parametrize(
    "name, value, seconds",
    [
        ("idle_session_timeout", "10min", 600),
        ("idle_session_timeout", "600000", 600.0),
        ("idle_session_timeout", "'30s'", 30),
        ("statement_timeout", "0", 0),
        ("log_statement", "none", None),
    ],
)
def test_a_roles_limits_have_seconds(name, value, seconds):
    (row,) = shape.role_settings([{"role": "a", "database": "", "name": name, "value": value}])
    assert row.get("seconds") == seconds


def test_parameters_can_be_granted_from_15_on_only():
    assert "pg_parameter_acl" not in rights.cluster_queries(140000)["parameter_rights"]
    assert "pg_parameter_acl" in rights.cluster_queries(150000)["parameter_rights"]
