"""Questions to the PostgreSQL of this host, as its own account, by psql."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any, List, Sequence

# What psql is given, and nothing of the caller's environment.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PGCLIENTENCODING": "UTF8"}
# Where a server is, as members of a JSON object: beside a restored copy only these tell which one answers.
PLACE = """
  'system_id', (select system_identifier::text from pg_control_system()),
  'in_recovery', pg_is_in_recovery(),
  'timeline', case when pg_is_in_recovery() then (select timeline_id from pg_control_checkpoint())
    else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end,
  'lsn', case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end,"""
# An error's words may hold a value of a row: the code says enough.
CODES_ONLY = ("-v", "VERBOSITY=sqlstate")
_SECONDS = 120
_NAME = re.compile(r"[a-z_][a-z0-9_.]*\Z")


class DatabaseError(Exception):
    """Why it gave no answer; one line."""


def command(port: int, database: str = "", account: str = "postgres") -> List[str]:
    """psql as the account of the server, which ends at the first error. No database: that of PGDATABASE."""
    chosen = ["-d", database] if database else []
    options = ["-XqAt", "-v", "ON_ERROR_STOP=1", "-p", str(port), *chosen]
    return ["runuser", "-u", account, "--", "psql", *options]


def psql(
    port: int,
    statements: Sequence[str],
    database: str = "postgres",
    account: str = "postgres",
    seconds: float = _SECONDS,
) -> str:
    """What statements print, each in a transaction of its own; the first error ends it.

    They go by standard input: whatever stands on a command line is there for every account of the host to see.
    """
    try:
        done = subprocess.run(
            [*command(port, database, account), *CODES_ONLY],
            input=";\n".join([*statements, ""]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=seconds,
            env=ENVIRONMENT,
            cwd="/",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DatabaseError(f"PostgreSQL {port}: {error}") from None
    if done.returncode != 0:
        said = " ".join(f"{done.stdout} {done.stderr}".split())[-300:]
        raise DatabaseError(f"PostgreSQL {port}: {said or done.returncode}")
    return done.stdout


def one_object(port: int, query: str, account: str = "postgres", database: str = "postgres") -> Any:
    """The JSON of a query with one value."""
    text = psql(port, [query], database, account)
    try:
        return json.loads(text)
    except ValueError:
        raise DatabaseError(f"PostgreSQL {port} gave no JSON") from None


def name(text: str) -> str:
    """A setting's name that may stand in a statement."""
    if not _NAME.match(text):
        raise DatabaseError(f"'{text}' is no name of a setting")
    return text


def literal(text: str) -> str:
    """A text as a statement's constant, however backslashes are read."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
