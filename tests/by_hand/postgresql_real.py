"""The real thing: a well-run PostgreSQL with a standby and pgBackRest is read and judged, then broken and judged again.

Not collected by pytest, because it needs root, the server's programs and pgbackrest; the molecule scenario of the
inspection proves the same on a lab host. By hand, on a Debian with postgresql and pgbackrest:

    .venv/bin/python tests/by_hand/postgresql_real.py [--save FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ansible.module_utils
import yaml

ROOT = Path(__file__).resolve().parents[2]
ansible.module_utils.__path__.append(str(ROOT / "module_utils"))

from ansible.module_utils import judgement  # noqa: E402  (found only now)

PORT, STANDBY = 5497, 5498
RULES = ROOT / "roles/inspection/vars/postgresql_rules.yml"
CHECKS = ROOT / "roles/baseline/vars/postgresql_checks.yml"
CHECK_LIMITS = yaml.safe_load((ROOT / "roles/baseline/defaults/main.yml").read_text(encoding="utf-8"))[
    "baseline_limits"
] | {"postgresql_service_roles": ["app"], "postgresql_people": ["zhang", "li", "wang"]}
LIMITS = yaml.safe_load((ROOT / "roles/inspection/defaults/main.yml").read_text(encoding="utf-8"))[
    "inspection_limits"
]
CONFIGURATION = """
port = {port}
listen_addresses = '127.0.0.1'
unix_socket_directories = '{folder}'
shared_preload_libraries = 'pg_stat_statements'
archive_mode = on
archive_command = 'pgbackrest --config={folder}/pgbackrest.conf --stanza=main archive-push %p'
log_connections = on
log_disconnections = on
log_lock_waits = on
log_checkpoints = on
idle_in_transaction_session_timeout = '30min'
application.token = 'HUNTER2'
"""
PGBACKREST = """
[global]
repo1-path={folder}/repository
repo1-retention-full=2
log-path={folder}
lock-path={folder}/lock
spool-path={folder}/spool
compress-level=1
start-fast=y
[main]
pg1-path={folder}/data
pg1-port={port}
pg1-socket-path={folder}
"""
DATA = """
CREATE EXTENSION pg_stat_statements;
CREATE TABLE patient (id bigserial PRIMARY KEY, name text);
INSERT INTO patient (name) SELECT '张三' || n FROM generate_series(1, 5000) n;
CREATE ROLE app LOGIN PASSWORD 'HUNTER2';
GRANT SELECT ON patient TO app;
SELECT count(*) FROM patient WHERE name = '张三7' /* 张三 */;
VACUUM ANALYZE;
"""
BREAK = """
CREATE TABLE loose (a int, b text);
INSERT INTO loose SELECT n, repeat('x', 200) FROM generate_series(1, 40000) n;
CREATE UNLOGGED TABLE scratch (a int PRIMARY KEY);
CREATE INDEX one ON patient (name); CREATE INDEX two ON patient (name);
CREATE SEQUENCE short AS smallint; SELECT setval('short', 32000);
ALTER TABLE loose ADD CHECK (a > 0) NOT VALID;
ALTER TABLE loose SET (autovacuum_enabled = off);
GRANT CREATE ON SCHEMA public TO PUBLIC;
CREATE ROLE boss SUPERUSER LOGIN;
SET password_encryption = md5; CREATE ROLE old LOGIN PASSWORD 'HUNTER2-and-1-more';
ANALYZE loose; DELETE FROM loose WHERE a % 2 = 0; UPDATE loose SET a = a;
ALTER SYSTEM SET fsync = off; ALTER SYSTEM SET max_connections = 50; ALTER SYSTEM SET autovacuum = off;
SELECT pg_create_physical_replication_slot('gone', true); SELECT pg_reload_conf();
"""
# What makes the server what the baseline asks for, as far as it can be without pgaudit, credcheck and a second site.
HARDEN = """
ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements', 'passwordcheck', 'auth_delay';
ALTER SYSTEM SET tcp_keepalives_idle = 300;
ALTER SYSTEM SET idle_in_transaction_session_timeout = '10min';
ALTER SYSTEM SET ssl = on;
ALTER SYSTEM SET ssl_ciphers = 'HIGH:!aNULL:!MD5:!3DES';
ALTER SYSTEM SET log_line_prefix = '%m [%p] %q%u@%d %h ';
ALTER SYSTEM SET log_replication_commands = on;
ALTER SYSTEM SET log_statement = 'ddl';
ALTER SYSTEM SET max_slot_wal_keep_size = '10GB';
ALTER SYSTEM SET unix_socket_permissions = '0770';
CREATE ROLE dba NOLOGIN; CREATE ROLE secadmin NOLOGIN; CREATE ROLE auditor NOLOGIN;
CREATE ROLE zhang LOGIN; GRANT dba TO zhang; CREATE ROLE li LOGIN; GRANT secadmin TO li;
CREATE ROLE wang LOGIN; GRANT auditor TO wang;
ALTER ROLE zhang SET idle_session_timeout = '10min';
GRANT CONNECT ON DATABASE hdis TO app; REVOKE CONNECT, TEMPORARY ON DATABASE hdis FROM PUBLIC;
"""
# What a server without them still lacks.
LEFT = {"PG-IA-04B", "PG-LF-01", "PG-IP-03B", "PG-BK-02", "PG-DC-01B"}
BROKEN = {
    *(
        "PG-CONF-01",
        "PG-CONF-02",
        "PG-VAC-01",
        "PG-VAC-02",
        "PG-IDX-02",
        "PG-UNL-01",
        "PG-INT-01",
        "PG-SEQ-01",
        "PG-PK-01",
    ),
    *(
        "PG-ROLE-01",
        "PG-ROLE-02",
        "PG-HBA-01",
        "PG-HBA-02",
        "PG-HBA-03",
        "PG-PUB-01",
        "PG-TX-01",
        "PG-LOCK-01",
        "PG-BAK-03",
    ),
    *("PG-ARCH-02", "PG-REP-02"),
}


class Server:
    """Two clusters in a temporary folder, and the commands to drive them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = max(Path("/usr/lib/postgresql").glob("*/bin"))

    def run(self, *arguments: str, given: str = "", check: bool = True) -> str:
        """Run as postgres."""
        environment = {
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "PGHOST": str(self.folder),
        }
        done = subprocess.run(
            arguments,
            input=given,
            text=True,
            capture_output=True,
            user="postgres",
            group="postgres",
            env=environment,
            check=False,
        )
        if check and done.returncode:
            sys.exit(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def psql(self, sql: str, port: int = PORT, database: str = "hdis") -> str:
        """Run SQL."""
        return self.run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-p", str(port), "-d", database, given=sql)

    def control(self, action: str, name: str = "data") -> None:
        """Start or stop a cluster."""
        self.run(
            "pg_ctl",
            "-w",
            "-m",
            "fast",
            "-D",
            f"{self.folder}/{name}",
            "-l",
            f"{self.folder}/{name}.log",
            action,
        )

    def backup(self, *arguments: str) -> None:
        """Run pgbackrest."""
        self.run("pgbackrest", f"--config={self.folder}/pgbackrest.conf", "--stanza=main", *arguments)

    def make(self) -> None:
        """A well-run primary, two full backups, a standby."""
        folder = str(self.folder)
        self.run(
            "initdb",
            "-k",
            "-D",
            f"{folder}/data",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "-A",
            "peer",
            "--auth-host=scram-sha-256",
        )
        with (self.folder / "data/postgresql.conf").open("a") as file:
            file.write(CONFIGURATION.format(folder=folder, port=PORT))
        (self.folder / "pgbackrest.conf").write_text(PGBACKREST.format(folder=folder, port=PORT))
        self.control("start")
        self.psql("CREATE DATABASE hdis", database="postgres")
        self.psql("REVOKE CREATE ON SCHEMA public FROM PUBLIC;" + DATA)
        self.backup("stanza-create")
        for _ in range(2):
            self.backup("--type=full", "backup")
        self.psql("SELECT pg_create_physical_replication_slot('standby', true)")
        self.run(
            "pg_basebackup", "-p", str(PORT), "-D", f"{folder}/standby", "-R", "-S", "standby", "-X", "stream"
        )
        with (self.folder / "standby/postgresql.conf").open("a") as file:
            file.write(f"port = {STANDBY}\narchive_mode = off\n")
        self.control("start", "standby")
        self.psql("SELECT pg_switch_wal(); SELECT pg_sleep(2)")

    def snapshot(self) -> dict[str, Any]:
        """The snapshot, by the module itself as Ansible runs it."""
        command = [
            str(ROOT / ".venv/bin/ansible"),
            "all",
            "-i",
            "localhost,",
            "-c",
            "local",
            "-b",
            "-m",
            "postgresql_snapshot",
        ]
        command += [
            "--become-method",
            "su",
            "--become-user",
            "postgres",
            "-a",
            f"socket_directory={self.folder}",
        ]
        command += ["-e", "ansible_python_interpreter=/usr/bin/python3"]
        environment = os.environ | {
            "PGBACKREST_CONFIG": f"{self.folder}/pgbackrest.conf",
            "ANSIBLE_CONFIG": f"{ROOT}/ansible.cfg",
        }
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return json.loads(done.stdout[done.stdout.index("=>") + 2 :])["snapshot"]


def judged(
    snapshot: dict[str, Any], rules: Path = RULES, limits: dict[str, Any] = LIMITS
) -> list[dict[str, str]]:
    """Findings that are no pass."""
    findings, _ = judgement.judge(
        snapshot, judgement.load(str(rules)), limits, {"name": "here", "groups": []}, "en"
    )
    return [finding for finding in findings if finding["verdict"] != "pass"]


def show(title: str, snapshot: dict[str, Any], findings: list[dict[str, str]]) -> None:
    """Print what was found."""
    print(f"== {title}: {snapshot['duration_ms']} ms, {len(json.dumps(snapshot))} bytes")
    for name, probe in snapshot["probes"].items():
        if probe["state"] != "ok" or probe["unread"]:
            print(f"   probe {name}: {probe}")
    for item in findings:
        print(
            f"   {item['verdict']:8}{item['severity']:9}{item['id']:12}{item['subject']}: {item['actual'][:90]}"
        )


def harden_it(server: Server) -> None:
    """Everything that the baseline asks for, on both servers, in force."""
    for name in ("data", "standby"):
        files = [f"{server.folder}/{name}/server.{end}" for end in ("key", "crt")]
        arguments = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "365",
            "-subj",
            "/CN=db",
        ]
        server.run(*arguments, "-keyout", files[0], "-out", files[1])
        server.run("chmod", "600", files[0])
    server.psql(HARDEN)
    auto = (server.folder / "data/postgresql.auto.conf").read_text()
    standby = server.folder / "standby/postgresql.auto.conf"
    standby.write_text(standby.read_text() + auto)
    for name in ("data", "standby"):
        server.control("restart", name)
    server.psql("SELECT pg_sleep(2)")


def break_it(server: Server) -> list[subprocess.Popen[str]]:
    """Everything that the rules should see."""
    server.psql(BREAK)
    hba = server.folder / "data/pg_hba.conf"
    hba.write_text("local all old trust\nhost all all 0.0.0.0/0 md5\n" + hba.read_text())
    server.control("stop", "standby")
    (server.folder / "standby/postgresql.auto.conf").write_text("")
    server.control("start", "standby")
    (server.folder / "repository/archive").rename(server.folder / "gone")
    (server.folder / "repository/archive").touch()
    server.psql("SELECT pg_reload_conf(); SELECT pg_switch_wal()")
    idle = "BEGIN; UPDATE patient SET name = '张三' WHERE id = 1; SELECT '张三';\n\\! sleep 100\n"
    waits = "UPDATE patient SET name = '李四' WHERE id = 1;\n"
    return [_session(server, idle), _session(server, waits)]


def _session(server: Server, sql: str) -> subprocess.Popen[str]:
    command = ["psql", "-Xq", "-h", str(server.folder), "-p", str(PORT), "-d", "hdis"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, text=True, user="postgres", group="postgres", start_new_session=True
    )
    assert process.stdin is not None
    process.stdin.write(sql)
    process.stdin.flush()
    time.sleep(1)
    return process


def main() -> None:
    """Make, read, break, read."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--save", help="write the snapshot of the well-run server")
    save = parser.parse_args().save
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/var/tmp"))
    os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
    server, sessions = Server(folder), []
    try:
        server.make()
        good = server.snapshot()
        findings = judged(good)
        show("well-run", good, findings)
        assert all(item["severity"] == "advice" for item in findings), (
            "a well-run server has a finding above advice"
        )
        if save:
            Path(save).write_text(
                json.dumps(good, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8"
            )
        show("by the baseline", good, judged(good, CHECKS, CHECK_LIMITS))
        harden_it(server)
        hard = server.snapshot()
        findings = judged(hard, CHECKS, CHECK_LIMITS)
        show("hardened", hard, findings)
        refused = server.run(
            "psql", "-Xqd", "hdis", "-p", str(PORT), given="CREATE ROLE x PASSWORD 'weak'", check=False
        )
        assert not server.psql("SELECT 1 FROM pg_roles WHERE rolname = 'x'"), (
            f"a weak password was taken {refused}"
        )
        assert {item["id"] for item in findings if item["verdict"] != "not_applicable"} == LEFT, (
            "the baseline's remedies are not what its checks ask for"
        )
        sessions = break_it(server)
        LIMITS.update(postgresql_idle_transaction_seconds=5, postgresql_lock_seconds=5)
        time.sleep(35)
        bad = server.snapshot()
        findings = judged(bad)
        show("broken", bad, findings)
        missing = BROKEN - {item["id"] for item in findings if item["verdict"] == "fail"}
        assert not missing, f"not found: {sorted(missing)}"
        text = json.dumps([good, bad], ensure_ascii=False)
        assert not [word for word in ("HUNTER2", "张三", "李四", "SCRAM-SHA-256$") if word in text], (
            "a secret left"
        )
    finally:
        for process in sessions:
            process.kill()
        for name in ("standby", "data"):
            server.run("pg_ctl", "-m", "immediate", "-D", f"{folder}/{name}", "stop", check=False)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
