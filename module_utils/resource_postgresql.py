"""Resources of a PostgreSQL server: settings, statements that know their way back, lines of pg_hba.conf."""

from __future__ import annotations

import os
import re
import stat
from typing import Any, List, Mapping, Optional

from ansible.module_utils.resource import Difference, NotPossibleError, must, outside, read_text
from ansible.module_utils.restore_engine import RestoreError, write_file


def a_postgresql_setting(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{port, key, value}: a setting of PostgreSQL by ALTER SYSTEM, in force after a reload (or its next start)."""
    port, name, value = str(resource["port"]), resource["key"], str(resource["value"])
    if not re.fullmatch(r"[a-z_][a-z0-9_.]*", name):
        raise RestoreError(f"'{name}' is no name of a setting")
    # The value that is written down, else the one in force; the name was checked above.
    written = f"select setting from pg_file_settings where name = '{name}' and sourcefile like '%auto.conf'"  # noqa: S608
    query = (
        f"select coalesce(({written}), current_setting('{name}', true)), current_setting('data_directory')"
    )
    rows = must([*_psql(port), query]).strip("\n").split("|")
    now, folder = rows[0], rows[-1]
    if now == value:
        return None
    literal = "'" + value.replace("'", "''") + "'"

    def apply() -> None:
        must([*_psql(port), f"alter system set {name} = {literal}"])

    return Difference(
        f"PostgreSQL {port}: {name}",
        now,
        value,
        apply,
        paths=(f"{folder}/postgresql.auto.conf",),
        then=((*_psql(port), "select pg_reload_conf()"),),
    )


def a_statement(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{port, database, name, unless, sql, undo}: a change inside of a database, as of a role or a right.

    unless: a query that gives `t` where there is nothing to do. undo: a query that gives, before the change, the
    statements that take it back, one a line.
    """
    psql = _psql(str(resource["port"]), resource.get("database", "postgres"))
    if must([*psql, resource["unless"]]).strip() == "t":
        return None
    statements = [line for line in must([*psql, resource["undo"]]).splitlines() if line.strip()]
    return Difference(
        f"PostgreSQL {resource['port']}: {resource['name']}",
        "; ".join(statements),
        resource["sql"],
        lambda: must([*psql, resource["sql"]]) and None,
        undo=tuple({"run": [*psql, statement], "unless": None} for statement in statements),
        redo=({"run": [*psql, resource["sql"]], "unless": [*psql, resource["unless"]]},),
    )


def a_hba_line(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{port, line, type | method}: one line of pg_hba.conf; its number is that of the server's own reading."""
    port, number = str(resource["port"]), int(resource["line"])
    path = must([*_psql(port), "show hba_file"]).strip()
    lines = (read_text(path) or "").splitlines()
    if not 0 < number <= len(lines):
        raise NotPossibleError(f"{path} has no line {number}")
    before = lines[number - 1]
    fields = re.split(r"(\s+)", before.strip())
    if "type" in resource:
        fields[0] = resource["type"]
    if "method" in resource:
        words = list(range(0, len(fields), 2))
        # TYPE DATABASE USER [ADDRESS [MASK]] METHOD [OPTIONS]
        place = (
            3 if fields[0] == "local" else 5 if len(words) > 5 and re.match(r"[\d.:a-f]+$", fields[8]) else 4
        )
        fields[words[place]] = resource["method"]
    lines[number - 1] = "".join(fields)
    if lines[number - 1] == before:
        return None
    status = os.stat(path)
    text = "\n".join(lines) + "\n"

    def apply() -> None:
        write_file(
            path,
            text.encode("utf-8", "surrogateescape"),
            stat.S_IMODE(status.st_mode),
            status.st_uid,
            status.st_gid,
        )

    psql = _psql(port)
    # A file with an error stays out of force at a reload, but the next start fails with it.
    sound = (
        "do $$ begin if exists (select from pg_hba_file_rules where error is not null) "
        "then raise 'pg_hba.conf has an error'; end if; end $$"
    )
    return Difference(
        f"{path}:{number}",
        before,
        lines[number - 1],
        apply,
        outside(path),
        then=((*psql, "select pg_reload_conf()"),),
        check=(*psql, sound),
    )


def _psql(port: str, database: str = "postgres") -> List[str]:
    return [
        "runuser",
        "-u",
        "postgres",
        "--",
        "psql",
        "-XqAt",
        "-v",
        "ON_ERROR_STOP=1",
        "-p",
        port,
        "-d",
        database,
        "-c",
    ]
