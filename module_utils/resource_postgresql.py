"""Resources of a PostgreSQL server: settings, also those that need a restart, and statements that know their way back."""

from __future__ import annotations

import os
import re
import shlex
import socket
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from ansible.module_utils.database_query import command
from ansible.module_utils.resource import Difference, NotPossibleError, must, read_text, run
from ansible.module_utils.restore_engine import RestoreError


def a_postgresql_setting(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{port, key, value | adds, library, restart, serves, files}: a setting of PostgreSQL by ALTER SYSTEM.

    library: the first of these that is installed; adds: it comes to the list, and all others stay. restart: it comes
    into force with a restart of the server, made here and on the way back; else with a reload. serves: the value must
    have every address that a session comes by now. files: settings whose files must be there.
    """
    port, name = str(resource["port"]), resource["key"]
    if not re.fullmatch(r"[a-z_][a-z0-9_.]*", name):
        raise RestoreError(f"'{name}' is no name of a setting")
    # The value that is written down, else the one in force; the name was checked above.
    written = f"select setting from pg_file_settings where name = '{name}' and sourcefile like '%auto.conf'"  # noqa: S608
    query = f"""select coalesce(({written}), current_setting('{name}', true), chr(1)), current_setting('data_directory'),
        (select setting from pg_config where name = 'PKGLIBDIR')"""  # noqa: S608
    now, folder, libraries = must([*psql(port), query]).strip("\n").rsplit("|", 2)
    library = _installed(libraries, [str(one) for one in resource.get("library", ())])
    # A setting of a library that is not loaded yet is only known to a session that has loaded it.
    loading = [f"load '{library}'", "-c"] if now == chr(1) and library else []
    if now == chr(1) and not library:
        raise NotPossibleError(f"the server does not know {name}: load its library first", "package")
    value = with_element(now, library) if resource.get("adds") else str(resource["value"])
    if now == value:
        return None
    for file in resource.get("files", ()):
        _readable(port, folder, file)
    if resource.get("serves"):
        _serves(port, value)
    # A list in one literal would be one element to some settings.
    parts = elements(value) if resource.get("adds") else [value]
    literal = ", ".join("'" + part.replace("'", "''") + "'" for part in parts)
    # Before the change, as the server may be away after it.
    in_force: Tuple[Tuple[str, ...], ...] = (reload_command(folder),)
    if resource.get("restart"):
        in_force = (restart_command(folder), (*psql(port), "select 1"))

    def apply() -> None:
        must([*psql(port), *loading, f"alter system set {name} = {literal}"])

    return Difference(
        f"PostgreSQL {port}: {name}",
        now,
        value,
        apply,
        paths=(f"{folder}/postgresql.auto.conf",),
        then=in_force,
    )


def _installed(folder: str, libraries: Sequence[str]) -> str:
    """The first of these libraries that the server could load, or '' where none is asked for."""
    for name in libraries:
        if re.fullmatch(r"[a-z_0-9]+", name) and os.path.exists(f"{folder}/{name}.so"):
            return name
    if libraries:
        raise NotPossibleError(f"{folder}/{libraries[0]}.so is not installed", "package")
    return ""


def elements(value: str) -> List[str]:
    """The elements of a list, without their quotes."""
    return [part.strip().strip('"') for part in value.split(",") if part.strip()]


def with_element(value: str, element: str) -> str:
    """A list with this element at its end, unless it has it."""
    there = elements(value)
    return value if element in there else ", ".join([*there, element])


def restart_command(folder: str) -> Tuple[str, ...]:
    """What restarts the server of a data folder: its unit, which is asked of the running server's own process."""
    process = (read_text(f"{folder}/postmaster.pid") or "").split("\n")[0].strip()
    groups = read_text(f"/proc/{process}/cgroup") if process.isdecimal() else None
    units = re.findall(r"/([^/\n]+\.service)$", groups or "", re.MULTILINE)
    if not units:
        raise NotPossibleError("the server was not started by systemd: restart it by hand")
    return ("systemctl", "restart", units[0])


def _readable(port: str, folder: str, setting: str) -> None:
    """Refuses where the file of a setting is not there for the server: its next start would fail."""
    value = must([*psql(port), f"show {setting}"]).strip()
    path = os.path.join(folder, value)
    if not value or run(["runuser", "-u", "postgres", "--", "test", "-r", path]).returncode != 0:
        raise NotPossibleError(f"{setting} ({path}) is not there for the server: put it there first")


def _serves(port: str, value: str) -> None:
    """Refuses where a session comes by an address that the server would not listen at any more."""
    listed = elements(value)
    if {"*", "0.0.0.0"} & set(listed):  # noqa: S104  (read, not bound)
        return
    known = {info[4][0] for name in listed for info in _resolved(name)}
    # Of every backend: its own end of the connection stands in the kernel's table, not in a view.
    used = {address for address in _local_ends(port) if address not in known}
    if used:
        raise NotPossibleError(f"sessions come by {', '.join(sorted(used))}, which is not listed", "access")


def _resolved(name: str) -> List[Any]:
    try:
        return socket.getaddrinfo(name, None)
    except OSError:
        raise NotPossibleError(f"the address {name} is not known to this host") from None


def _local_ends(port: str) -> List[str]:
    told = must(["ss", "-Htn", "state", "established", f"( sport = :{port} )"])
    ends = [line.split()[2].rsplit(":", 1)[0] for line in told.splitlines() if len(line.split()) > 3]
    return sorted({end.strip("[]").replace("::ffff:", "") for end in ends})


def a_statement(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{port, database, name, unless, sql, undo}: a change inside of a database, as of a role or a right.

    unless: a query that gives `t` where there is nothing to do. undo: a query that gives, before the change, the
    statements that take it back, one a line.
    """
    asking = psql(str(resource["port"]), resource.get("database", "postgres"))
    if must([*asking, "select pg_is_in_recovery()"]).strip() == "t":
        raise NotPossibleError("it is a standby: what its primary is given arrives by itself")
    if must([*asking, resource["unless"]]).strip() == "t":
        return None
    statements = [line for line in must([*asking, resource["undo"]]).splitlines() if line.strip()]
    return Difference(
        f"PostgreSQL {resource['port']}: {resource['name']}",
        "; ".join(statements),
        resource["sql"],
        lambda: must([*asking, resource["sql"]]) and None,
        undo=tuple({"run": [*asking, statement], "unless": None} for statement in statements),
        redo=({"run": [*asking, resource["sql"]], "unless": [*asking, resource["unless"]]},),
    )


def reload_command(folder: str) -> Tuple[str, ...]:
    """Without a login: the rules that are taken back may be the ones that refuse it."""
    return ("sh", "-c", f"kill -HUP $(head -n 1 {shlex.quote(folder)}/postmaster.pid)")


def psql(port: str, database: str = "postgres") -> List[str]:
    """psql as the server's own account; a statement follows."""
    return [*command(int(port), database), "-c"]
