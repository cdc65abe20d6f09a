"""Reads every PostgreSQL server of a host into probes: whom to ask, in which order, and what to do with a refusal."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from typing import Any, Dict, List, NamedTuple, Optional

from ansible.module_utils import postgresql_files as files
from ansible.module_utils import postgresql_session as session
from ansible.module_utils import postgresql_shape as shape
from ansible.module_utils import postgresql_sql as sql

MAXIMUM_DATABASES = 50
# Without pg_monitor these answer with holes instead of an error.
_NEED_MONITOR = frozenset(
    [
        "autovacuum",
        "connections",
        "locks",
        "receiver",
        "replication",
        "settings",
        "statements",
        "tls",
        "transactions",
    ]
)
_PGBACKREST_FILES = ("/etc/pgbackrest/pgbackrest.conf", "/etc/pgbackrest.conf")
_ONE_ROW = frozenset(["control", "role_passwords"])  # answers that complete another probe
_SHAPES = {"transactions": shape.activities, "locks": shape.activities, "role_settings": shape.role_settings}
_OF_HOST = ("storage", "files", "log")  # read beside the server, by what its settings say


class Options(NamedTuple):
    """The module's arguments."""

    ports: List[int]
    socket_directory: Optional[str]
    login_user: str
    maintenance_database: str
    databases: List[str]
    backup: bool
    connect_timeout: int
    statement_timeout: int
    timeout: int


class Reading:
    """Rows and refusals by probe, as they come in."""

    def __init__(self) -> None:
        self.commands: List[str] = []
        self._rows: Dict[str, List[Dict[str, Any]]] = {}
        self._unread: Dict[str, Dict[str, str]] = {}
        self._read: Dict[str, bool] = {}
        self._ms: Dict[str, int] = {}
        self._cut: Dict[str, bool] = {}

    def add(
        self, probe: str, owner: dict[str, str], rows: Any, reason: str | None = None, ms: int = 0
    ) -> None:
        """Rows of one owner (a cluster, or a database of it), or the reason why there are none.

        An owner that refused keeps its place, so that no rule can pass over it in silence.
        """
        self._ms[probe] = self._ms.get(probe, 0) + ms
        kept = self._rows.setdefault(probe, [])
        if reason is not None:
            self.unread(probe, "/".join(owner.values()) or probe, reason)
            kept.append(dict(owner))
            return
        self._read[probe] = True
        self._cut[probe] = self._cut.get(probe, False) or len(rows) > sql.LISTED
        kept.extend(dict(owner, **shape.clean(row)) for row in rows[: sql.LISTED])

    def unread(self, probe: str, name: str, reason: str) -> None:
        """Name a value that could not be read."""
        self._unread.setdefault(probe, {})[name] = reason

    def states(self) -> dict[str, Any]:
        """The state of every probe."""
        return {probe: self._state(probe) for probe in self._rows}

    def _state(self, probe: str) -> dict[str, Any]:
        unread, ms = self._unread.get(probe, {}), self._ms[probe]
        if self._read.get(probe):
            return {"state": "ok", "ms": ms, "unread": unread}
        return {"state": "unknown", "ms": ms, "reason": next(iter(unread.values())), "unread": unread}

    def data(self) -> dict[str, Any]:
        """The rows of every probe that was read."""
        found: Dict[str, Any] = {}
        for probe, rows in self._rows.items():
            if self._read.get(probe):
                found[probe] = {"rows": rows}
                if self._cut.get(probe):
                    found[probe]["rows_truncated"] = True
        return found

    def rows(self, probe: str, cluster: str) -> list[dict[str, Any]]:
        """The rows of one cluster."""
        return [row for row in self._rows.get(probe, []) if row.get("cluster") == cluster]


def read(options: Options) -> Reading:
    """Read every server that the options name."""
    reading = Reading()
    directory = options.socket_directory or (
        "/var/run/postgresql" if os.path.isdir("/var/run/postgresql") else "/tmp"
    )
    for port in options.ports or found_ports(directory) or [5432]:
        limits = (options.connect_timeout, options.statement_timeout, options.timeout)
        _read_cluster(reading, session.Connection(directory, port, options.login_user, *limits), options)
    if options.backup:
        _read_backups(reading, options.timeout)
    reading.add("passwords", {}, files.passwords())
    return reading


def found_ports(directory: str) -> list[int]:
    """Ports of the sockets in a folder."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    matches = [re.fullmatch(r"\.s\.PGSQL\.(\d{1,5})", name) for name in names]
    return sorted(int(match.group(1)) for match in matches if match)


def _read_cluster(reading: Reading, connection: session.Connection, options: Options) -> None:
    owner = {"cluster": str(connection.port)}
    listens, reason = session.listening(connection)
    if listens is None:
        reading.add("clusters", owner, None, reason)
    else:
        reading.add("clusters", owner, [{"socket_directory": connection.directory, "listens": listens}])
    try:
        if not listens:
            raise session.SessionError(reason)
        answers = _ask(reading, connection, options.maintenance_database, {"identity": sql.IDENTITY})
        if answers["identity"].rows is None:
            raise session.SessionError(str(answers["identity"].reason))
    except session.SessionError as error:
        for probe in [*sql.cluster_queries(0), *_OF_HOST, *sql.database_queries(0), "statements"]:
            if probe not in _ONE_ROW:
                reading.add(probe, owner, None, str(error))
        return
    identity = answers["identity"].rows[0]
    _read_server(reading, connection, options, identity)
    _read_storage(reading, owner)
    _read_files(reading, owner)
    _read_databases(reading, connection, options, identity)


def _ask(
    reading: Reading, connection: session.Connection, database: str, questions: dict[str, str]
) -> dict[str, session.Answer]:
    """Ask, and write down the command as it was run."""
    line = f"PGDATABASE={shlex.quote(database)} {shlex.join(session.command(connection))}"
    if line not in reading.commands:
        reading.commands.append(line)
    return session.ask(connection, database, questions)


def _ask_or_explain(
    reading: Reading, connection: session.Connection, database: str, questions: dict[str, str]
) -> dict[str, session.Answer]:
    """Ask; when there is no session, that is the answer to every question."""
    try:
        return _ask(reading, connection, database, questions)
    except session.SessionError as error:
        return {name: session.Answer(None, str(error), 0) for name in questions}


def _read_server(
    reading: Reading, connection: session.Connection, options: Options, identity: dict[str, Any]
) -> None:
    owner = {"cluster": str(connection.port)}
    questions = sql.cluster_queries(identity["version_num"])
    answers = _ask_or_explain(reading, connection, options.maintenance_database, questions)
    for probe, answer in answers.items():
        if probe in _ONE_ROW:
            continue
        rows, reason = answer.rows, answer.reason
        if probe in _NEED_MONITOR and not identity["monitor"]:
            rows, reason = None, "the login needs the role pg_monitor"
        if reason is None:
            rows = _shaped(reading, probe, owner["cluster"], rows, answers)
            if probe == "server":
                rows = [dict(row, superuser=identity["superuser"], login=identity["login"]) for row in rows]
        reading.add(probe, owner, rows, reason, answer.ms)
    _read_certificate(reading, owner["cluster"])
    _read_tls_offer(reading, connection)


def _shaped(
    reading: Reading, probe: str, cluster: str, rows: list[dict[str, Any]], answers: dict[str, session.Answer]
) -> list[dict[str, Any]]:
    """Rows of a probe as they enter the snapshot."""
    if probe == "settings":
        return [{"settings": shape.settings(rows)}]
    if probe in _SHAPES:
        return _SHAPES[probe](rows)
    if probe == "roles":
        passwords = answers["role_passwords"]
        if passwords.rows is None:
            reading.unread("roles", f"{cluster}/password", str(passwords.reason))
        return shape.roles(rows, passwords.rows)
    if probe == "server":
        control = answers["control"]
        if control.rows is None:
            reading.unread("server", f"{cluster}/system_identifier", str(control.reason))
        return [dict(rows[0], **(control.rows[0] if control.rows else {}))]
    if probe == "databases":
        for row in rows:
            if row["size_bytes"] is None:
                del row["size_bytes"]
                reading.unread(
                    "databases", f"{cluster}/{row['database']}/size_bytes", "the login may not connect to it"
                )
    return rows


def _read_databases(
    reading: Reading, connection: session.Connection, options: Options, identity: dict[str, Any]
) -> None:
    names = options.databases or identity["databases"]
    questions = dict(sql.database_queries(identity["version_num"]), statements=sql.STATEMENTS)
    statements_read = False
    for database in names[:MAXIMUM_DATABASES]:
        owner = {"cluster": str(connection.port), "database": database}
        answers = _ask_or_explain(reading, connection, database, questions)
        statements = answers.pop("statements")
        if not statements_read and isinstance(statements.rows, list) and identity["monitor"]:
            rows = shape.statements(statements.rows)  # of all databases, whichever one the view lies in
            reading.add("statements", {"cluster": owner["cluster"]}, rows, None, statements.ms)
            statements_read = True
        for probe, answer in answers.items():
            reading.add(probe, owner, answer.rows, answer.reason, answer.ms)
    if not statements_read:
        absent = (
            "pg_stat_statements is in no database"
            if identity["monitor"]
            else "the login needs the role pg_monitor"
        )
        reading.add("statements", {"cluster": str(connection.port)}, None, absent)
    for database in names[MAXIMUM_DATABASES:]:
        owner = {"cluster": str(connection.port), "database": database}
        for probe in sql.database_queries(0):
            reading.add(probe, owner, None, f"only {MAXIMUM_DATABASES} databases are looked into")


def _setting(reading: Reading, cluster: str, name: str) -> str:
    for row in reading.rows("settings", cluster):
        return str(row.get("settings", {}).get(name, {}).get("value", ""))
    return ""


def _read_storage(reading: Reading, owner: dict[str, str]) -> None:
    """The file systems below the server's own folders."""
    directory = _setting(reading, owner["cluster"], "data_directory")
    if not directory:
        reading.add("storage", owner, None, "the setting data_directory was not read")
        return
    paths = {"data": directory, "wal": os.path.join(directory, "pg_wal")}
    for row in reading.rows("tablespaces", owner["cluster"]):
        if row.get("location"):
            paths[f"tablespace {row['tablespace']}"] = row["location"]
    rows = []
    for use, path in paths.items():
        try:
            status = os.statvfs(path)
        except OSError as error:
            reading.unread("storage", f"{owner['cluster']}/{use}", f"{path}: {error.strerror}")
            continue
        size, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
        used = round(100 * (1 - free / size), 1) if size else 0
        rows.append({"use": use, "path": path, "size_bytes": size, "free_bytes": free, "used_percent": used})
    reason = None if rows else f"{directory} cannot be reached"
    reading.add("storage", owner, rows, reason)


def _read_files(reading: Reading, owner: dict[str, str]) -> None:
    """Modes of the server's own files, and where its log goes."""
    cluster = owner["cluster"]
    settings = {
        name: str(setting["value"])
        for row in reading.rows("settings", cluster)
        for name, setting in row.get("settings", {}).items()
    }
    if not settings.get("data_directory"):
        for probe in ("files", "log"):
            reading.add(probe, owner, None, "the setting data_directory was not read")
        return
    reading.add("files", owner, files.files(settings, _noting(reading, "files", cluster)))
    reading.add("log", owner, [files.log(settings, _noting(reading, "log", cluster))])


def _noting(reading: Reading, probe: str, cluster: str) -> files.Note:
    return lambda name, reason: reading.unread(probe, f"{cluster}/{name}", reason)


def _read_certificate(reading: Reading, cluster: str) -> None:
    """When the server's certificate ends."""
    path = _setting(reading, cluster, "ssl_cert_file")
    path = os.path.join(_setting(reading, cluster, "data_directory"), path)
    for row in reading.rows("tls", cluster):
        if not row.get("enabled"):
            continue
        arguments = ["openssl", "x509", "-noout", "-enddate", "-in", path]
        reading.commands.append(" ".join(arguments))
        done, reason = _run(arguments, 10)
        try:
            ends = time.strptime(done.strip(), "notAfter=%b %d %H:%M:%S %Y GMT")
            row["certificate_expires"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", ends)
        except ValueError:
            reading.unread(
                "tls", f"{cluster}/certificate_expires", reason or "openssl does not read the certificate"
            )


def _read_tls_offer(reading: Reading, connection: session.Connection) -> None:
    """Whether TLS is there for who asks for it: `ssl` says on as well when the certificate could not be loaded."""
    cluster = str(connection.port)
    addresses = [name.strip() for name in _setting(reading, cluster, "listen_addresses").split(",")]
    for row in reading.rows("tls", cluster):
        if "enabled" not in row:
            continue
        row["network"] = addresses != [""]
        if not row["network"]:
            continue
        every = {"*": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (asked, not bound)
        address = every.get(addresses[0], addresses[0])
        try:
            row.update(session.tls_offer(address, connection.port, connection.connect_timeout))
        except OSError as error:
            reading.unread("tls", f"{cluster}/offered", f"{address}:{cluster}: {error.strerror or error}")


def _read_backups(reading: Reading, timeout: int) -> None:
    """What the repository holds. `info` is silent about a stanza that it has lost: ask for each configured one."""
    started = time.time()
    rows, reason = _pgbackrest(reading, [], timeout)
    if rows == []:
        for stanza in configured_stanzas(_first_file(_PGBACKREST_FILES)):
            lost, reason = _pgbackrest(reading, [f"--stanza={stanza}"], timeout)
            rows += lost or []
    if not rows:
        rows, reason = None, reason or "pgbackrest has no stanza"
    reading.add("backup", {}, rows, reason if rows is None else None, round((time.time() - started) * 1000))


def _pgbackrest(
    reading: Reading, options: list[str], timeout: int
) -> tuple[list[dict[str, Any]] | None, str | None]:
    arguments = ["pgbackrest", "info", "--output=json", *options]
    text, reason = _run(arguments, timeout)
    if reason is None or "not installed" not in reason:
        reading.commands.append(" ".join(arguments))
    if reason is not None:
        return None, reason
    try:
        return shape.backups(json.loads(text)), None
    except (ValueError, AttributeError, TypeError):
        return None, "pgbackrest gave no JSON"


def _first_file(paths: tuple[str, ...]) -> str:
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read(1 << 20)
        except OSError:
            continue
    return ""


def configured_stanzas(text: str) -> list[str]:
    """The stanzas that a configuration of pgBackRest describes."""
    names = re.findall(r"^\[([A-Za-z0-9][\w.-]*)(?::[\w-]+)?\]\s*$", text, re.MULTILINE)
    return sorted(set(names) - {"global"})


def _run(arguments: list[str], timeout: int) -> tuple[str, str | None]:
    """Output of a read-only command, and why there is none."""
    if shutil.which(arguments[0]) is None:
        return "", f"{arguments[0]} is not installed"
    environment = dict(os.environ, LC_ALL="C", TZ="UTC")
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"{arguments[0]}: {error}"
    if done.returncode:
        return "", f"{arguments[0]} ended with code {done.returncode}"
    return done.stdout.decode("utf-8", errors="replace"), None
