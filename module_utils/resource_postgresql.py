"""Resources of a PostgreSQL server: settings, statements that know their way back, lines of pg_hba.conf."""

from __future__ import annotations

import os
import re
import shlex
import stat
from typing import Any, List, Mapping, Optional, Sequence, Tuple

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
        then=(_reload(folder),),
    )


def a_statement(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{port, database, name, unless, sql, undo}: a change inside of a database, as of a role or a right.

    unless: a query that gives `t` where there is nothing to do. undo: a query that gives, before the change, the
    statements that take it back, one a line.
    """
    psql = _psql(str(resource["port"]), resource.get("database", "postgres"))
    if must([*psql, "select pg_is_in_recovery()"]).strip() == "t":
        raise NotPossibleError("it is a standby: what its primary is given arrives by itself")
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
    """{port, file, line, type | method}: one line of pg_hba.conf; its number is that of the server's own reading."""
    port, number = str(resource["port"]), int(resource["line"])
    path, folder = must([*_psql(port), "show hba_file", "-c", "show data_directory"]).split("\n")[:2]
    if resource.get("file", os.path.basename(path)) != os.path.basename(path):
        raise NotPossibleError(
            f"the line stands in {resource['file']}, which {path} includes: mend it by hand"
        )
    lines = (read_text(path) or "").splitlines()
    if not 0 < number <= len(lines):
        raise NotPossibleError(f"{path} has no line {number}")
    before = lines[number - 1]
    lines[number - 1] = changed_hba_line(
        before, resource.get("type"), resource.get("method"), lines[: number - 1]
    )
    if lines[number - 1] == before:
        return None
    status = os.stat(path)
    text = "\n".join(lines) + "\n"

    def apply() -> None:
        content = text.encode("utf-8", "surrogateescape")
        write_file(path, content, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)

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
        then=(_reload(folder),),
        check=(*_psql(port), sound),
    )


def changed_hba_line(line: str, kind: Optional[str], method: Optional[str], earlier: Sequence[str]) -> str:
    """The line with another type or method; raises NotPossibleError where that would shut out whoever takes it back."""
    if '"' in line:
        raise NotPossibleError("the line has names in quotes: mend it by hand")
    fields = re.split(r"(\s+)", line.strip())
    words = list(range(0, len(fields), 2))
    if kind:
        fields[0] = kind
    if method:
        own = [" ".join(other.split()) for other in earlier]
        if fields[0] == "local" and "local all postgres peer" not in own:
            raise NotPossibleError(
                "root would lose the way in: put `local all postgres peer` before this line first"
            )
        # TYPE DATABASE USER [ADDRESS [MASK]] METHOD [OPTIONS]
        masked = len(words) > 5 and re.match(r"[\d.:a-f]+$", fields[8])
        fields[words[3 if fields[0] == "local" else 5 if masked else 4]] = method
    return "".join(fields)


def _reload(folder: str) -> Tuple[str, ...]:
    """Without a login: the rules that are taken back may be the ones that refuse it."""
    return ("sh", "-c", f"kill -HUP $(head -n 1 {shlex.quote(folder)}/postmaster.pid)")


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
