"""Questions to the PostgreSQL of this host, as its own account, by psql."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any, Sequence

_SECONDS = 120
_NAME = re.compile(r"[a-z_][a-z0-9_.]*\Z")


class DatabaseError(Exception):
    """Why it gave no answer; one line."""


def psql(port: int, statements: Sequence[str], database: str = "postgres", account: str = "postgres") -> str:
    """What statements print, each in a transaction of its own; the first error ends it.

    They go by standard input: whatever stands on a command line is there for every account of the host to see.
    """
    options = ["-XqAt", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=sqlstate", "-p", str(port), "-d", database]
    try:
        done = subprocess.run(
            ["runuser", "-u", account, "--", "psql", *options],
            input=";\n".join([*statements, ""]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=_SECONDS,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PGCLIENTENCODING": "UTF8"},
            cwd="/",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DatabaseError(f"PostgreSQL {port}: {error}") from None
    if done.returncode != 0:
        said = " ".join(f"{done.stdout} {done.stderr}".split())[-300:]
        raise DatabaseError(f"PostgreSQL {port}: {said or done.returncode}")
    return done.stdout


def one_object(port: int, query: str, account: str = "postgres") -> Any:
    """The JSON of a query with one value."""
    text = psql(port, [query], account=account)
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
