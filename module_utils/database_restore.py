"""A whole database as it was at an instant: made beside the live one, proven, then exchanged with it by two renames.

Nothing is overwritten and no timeline begins: the live database keeps all its rows under another name, to which the same
two renames lead back. Both happen in one transaction, so that there is never none of that name.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from ansible.module_utils.database_digest import Limits, compare, digest_server
from ansible.module_utils.database_query import DatabaseError, literal, one_object, psql
from ansible.module_utils.table_restore import CLAUSE, MARK, TableError, finding, proven

# What the comment of a proven one begins with.
SOUND = "restore_database, proven: "
_LONGEST = 63
_EXCHANGE_SECONDS = 30
_LOOK = """
select coalesce(json_object_agg(datname, json_build_object('said', coalesce(shobj_description(oid, 'pg_database'), ''),
  'open', datallowconn, 'bytes', pg_database_size(oid))), '{}') from pg_database where datname in ({NAMES})
"""
_OTHERS = """
select json_build_object('ended', count(pg_terminate_backend(pid))) from pg_stat_activity
where datname in ({NAMES}) and pid <> pg_backend_pid()
"""


class Names(NamedTuple):
    """The database of users, the one that was made beside it, and the former one after the exchange."""

    live: str
    side: str
    before: str


def names_of(live: str, instant: str) -> Names:
    """The names, from the digits of the instant; raises where one would be too long or could not be one."""
    if not live or live in ("postgres", "template0", "template1") or "\x00" in live:
        raise TableError(f"'{live}' is no database of an application")
    digits = "".join(one for one in instant if one.isdecimal())[:14]
    found = Names(live, f"{live}_restored_{digits}", f"{live}_before_{digits}")
    if len(found.side.encode()) > _LONGEST:
        raise TableError(
            f"{found.side} is longer than {_LONGEST} bytes, which is all that PostgreSQL keeps of a name"
        )
    return found


def look(port: int, account: str, names: Names) -> Dict[str, Dict[str, Any]]:
    """Those of the three that there are."""
    found: Dict[str, Dict[str, Any]] = one_object(port, _LOOK.replace("{NAMES}", listed(names)), account)
    return found


def listed(names: Sequence[str]) -> str:
    return ", ".join(literal(name) for name in names)


def quoted(name: str) -> str:
    """As an identifier of a statement."""
    return '"' + name.replace('"', '""') + '"'


def check(port: int, account: str, names: Names) -> Tuple[bool, bool]:
    """Whether a proven one is there already, and whether an unproven one of ours has to go; raises where it cannot be."""
    if one_object(port, "select to_json(pg_is_in_recovery())", account):
        raise TableError(f"the server on port {port} is a standby: name the primary")
    there = look(port, account, names)
    if names.before in there:
        if there.get(names.live, {}).get("said", "").startswith(SOUND):
            return True, False  # exchanged already: restore_back leads back
        raise TableError(
            f"there is a {names.before}, and {names.live} was not restored by this runbook: look at both"
        )
    if names.live not in there:
        raise TableError(f"production has no database {names.live}")
    if names.side not in there:
        return False, False
    said = there[names.side]["said"]
    if said == MARK:
        return False, True
    if said.startswith(SOUND):
        return True, False
    raise TableError(f"there is a database {names.side} that this runbook has not made: drop or rename it")


def clear(port: int, account: str, names: Names) -> None:
    """Drop what a run that died has left: its rows were never proven, and nobody was told of them."""
    psql(port, [f"drop database {quoted(names.side)} with (force)"], account=account)


def prepare(port: int, account: str, names: Names) -> int:
    """Give the copy's database its new name; how large it is. The copy is thrown away afterwards."""
    there = look(port, account, names)
    if names.live not in there:
        raise TableError(f"at that time there was no database {names.live}")
    views = one_object(
        port,
        "select coalesce(json_agg(format('refresh materialized view %s', oid::regclass) order by oid), '[]')"
        " from pg_class where relkind = 'm' and relispopulated",
        account,
        names.live,
    )
    # They are made anew from the tables when they are brought, and would not be those that were stale.
    psql(port, ["set synchronous_commit = local", *views], names.live, account)
    psql(
        port,
        [
            "set synchronous_commit = local",
            f"alter database {quoted(names.live)} rename to {quoted(names.side)}",
            f"comment on database {quoted(names.side)} is {literal(MARK)}",
        ],
        account=account,
    )
    return int(there[names.live]["bytes"])


def prove(ports: Tuple[int, int], account: str, names: Names, limits: Limits) -> List[Dict[str, Any]]:
    """Each table of the new database (first port) against the copy: rows and digest of their contents."""
    ours, theirs = (digest_server(port, account, [names.side], "record", "", limits) for port in ports)
    rows = {one["table"]: one["rows"] for one in ours["tables"]}
    return [{**one, "rows": rows.get(one["table"])} for one in compare(ours, theirs)]


def seal(port: int, account: str, names: Names, origin: str) -> None:
    """Let it say where it comes from, now that it is proven."""
    psql(port, [f"comment on database {quoted(names.side)} is {literal(SOUND + origin)}"], account=account)


def exchange(port: int, account: str, names: Names) -> bool:
    """The restored one takes the live one's name; False where it has it already."""
    there = look(port, account, names)
    done = names.before in there and names.side not in there and names.live in there
    if not done:
        if names.live not in there or not there.get(names.side, {}).get("said", "").startswith(SOUND):
            raise TableError(
                f"there is no proven {names.side} to take the place of {names.live}: make it first"
            )
        _rename(port, account, (names.live, names.before), (names.side, names.live))
    # Nobody shall write into the former one by mistake. Not before the exchange: who died in between would have closed
    # the database that patients are treated with.
    _open(port, account, names.before, False)
    return not done


def take_back(port: int, account: str, names: Names) -> bool:
    """The former one gets its name again, with every row that it had; False where it has it already."""
    there = look(port, account, names)
    if names.before not in there:
        if names.live not in there:
            raise TableError(f"there is neither {names.live} nor {names.before}")
        return False
    if names.live in there and names.side in there:
        raise TableError(f"{names.side} is there besides {names.live}: which is which is for a person to say")
    _open(port, account, names.before, True)
    _rename(port, account, (names.live, names.side), (names.before, names.live))
    return True


def _open(port: int, account: str, database: str, allowed: bool) -> None:
    psql(
        port, [f"alter database {quoted(database)} allow_connections {str(allowed).lower()}"], account=account
    )


def _rename(port: int, account: str, first: Tuple[str, str], second: Tuple[str, str]) -> None:
    """Both or neither. The first rename keeps newcomers waiting while those who are connected are sent away."""
    renames = [f"alter database {quoted(old)} rename to {quoted(new)}" for old, new in (first, second)]
    leave = _OTHERS.replace("{NAMES}", listed([first[0], second[0]]))
    end = time.monotonic() + _EXCHANGE_SECONDS
    with ThreadPoolExecutor(1) as pool:
        while True:
            work = pool.submit(psql, port, ["begin", *renames, "commit"], "postgres", account)
            while not work.done():
                psql(port, [leave], account=account)
                time.sleep(0.05)
            try:
                work.result()
                return
            except DatabaseError:
                if time.monotonic() > end:
                    raise


def findings(
    compared: Sequence[Mapping[str, Any]], names: Names, server: Mapping[str, Any], zh: bool
) -> List[Dict[str, Any]]:
    """What the record says of the new database."""
    equal = [one for one in compared if one["verdict"] == "equal"]
    wrong = [one for one in compared if one["verdict"] not in ("equal", "excluded")]
    rows = sum(int(one["rows"] or 0) for one in equal)
    text = f"{len(equal)} 张表、{rows} 行一致" if zh else f"{len(equal)} tables with {rows} rows are equal"
    text += "".join(f"; {one['table']}: {one['verdict']}, {one['reason']}" for one in wrong[:20])
    where = f"LSN {server.get('lsn', '-')}, {server.get('last_commit') or '-'}; {names.side}"
    return [
        finding(
            "RST-ROW-01",
            "恢复出的数据库与副本逐行一致" if zh else "The database is row by row that of the restored copy",
            "全部一致" if zh else "all equal",
            text[:1500],
            "pass" if proven(compared) else "fail",
        ),
        finding(
            "RST-TGT-01",
            "恢复到的时点" if zh else "Where the recovery ended",
            "-",
            where,
            "pass" if server else "unknown",
        ),
    ]


def lost(since: Mapping[str, Any], server: Mapping[str, Any], names: Names, zh: bool) -> Dict[str, Any]:
    """What the restored one has not: users lose sight of it by an exchange, and a way back takes it up again."""
    count = str(since.get("transactions", ""))
    known = count.isdecimal()
    span = f"LSN {server.get('lsn', '-')} - {since.get('lsn', '-')}"
    if zh:
        text = f"至制作时全实例 {count} 个事务，{span}；{names.live} 的都留在其中，切换后在 {names.before} 里"
    else:
        text = f"{count} transactions of all databases, {span}; those of {names.live} stay in it, then in {names.before}"
    return finding(
        "RST-LOS-01",
        "时点之后开始并提交、恢复出的库里没有的"
        if zh
        else "Begun and committed after the instant, and not in the restored one",
        "-",
        text if known else span,
        "pass" if known else "unknown",
        severity="advice",
    )


def exchanged(names: Names, seconds: float, back: bool, zh: bool) -> List[Dict[str, Any]]:
    """What the record says of the exchange."""
    if back:
        text = f"{names.live} 是切换之前的原库" if zh else f"{names.live} is what it was before any exchange"
    else:
        text = (
            f"{names.live} 现为恢复出的库；原库改名为 {names.before}，一行未删，不再接受连接"
            if zh
            else f"{names.live} is the restored one; {names.before} has all former rows and takes no connections"
        )
    title = "数据库切换" if zh else "Exchange of the databases"
    return [finding("RST-XCH-01", title, "-", f"{text}; {seconds:.2f} s", "pass")]


__all__ = ["CLAUSE", "Limits"]
