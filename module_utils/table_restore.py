"""Tables of an earlier moment, brought out of a restored copy into a schema of their own beside the live ones.

The copy may be changed as needed, for it is thrown away: the chosen tables move into the new schema there, and lose what
would reach out of it. Production only ever gets that schema, in one transaction.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible.module_utils.database_digest import Limits, compare, digest_server
from ansible.module_utils.database_query import DatabaseError, literal, one_object, psql

CLAUSE = "3.2.3"
# What a schema says of itself until its rows are proven; such a one was never handed to anybody.
MARK = "brought by restore_database, not proven yet"
_TABLE = re.compile(r"([^.]+)\.([^.]+)\.([^.]+)\Z")
_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,50}\Z")
Tables = Dict[str, List[Tuple[str, str]]]
# What reaches out of the table, or does something by itself; the schema is for reading and comparing.
_LOOSEN = """
with t as (select oid, oid::regclass as name, relispartition as part from pg_class where oid = any('{{OIDS}}'::oid[]))
select coalesce(json_agg(json_build_array(kind, said) order by rank), '[]') from (
  select 1 as rank, 'foreign key' as kind,
      format('alter table %s drop constraint %I', conrelid::regclass, conname) as said
    from pg_constraint join t on t.oid = conrelid where contype = 'f' and conparentid = 0
  union all select 2, 'check', format('alter table %s drop constraint %I', conrelid::regclass, conname)
    from pg_constraint join t on t.oid = conrelid where contype = 'c' and coninhcount = 0
  union all select 3, 'trigger', format('drop trigger %I on %s', tgname, tgrelid::regclass)
    from pg_trigger join t on t.oid = tgrelid where not tgisinternal and tgparentid = 0
  union all select 4, 'rule', format('drop rule %I on %s', rulename, ev_class::regclass)
    from pg_rewrite join t on t.oid = ev_class
  union all select 5, 'policy', format('drop policy %I on %s', polname, polrelid::regclass)
    from pg_policy join t on t.oid = polrelid
  union all select 6, 'row security',
      format('alter table %s disable row level security, no force row level security', name)
    from t join pg_class c using (oid) where c.relrowsecurity or c.relforcerowsecurity
  union all select 7, 'generated column', format('alter table %s alter column %I drop expression', name, attname)
    from pg_attribute join t on t.oid = attrelid where attgenerated <> '' and not part
  union all select 8, 'identity', format('alter table %s alter column %I drop identity', name, attname)
    from pg_attribute join t on t.oid = attrelid where attidentity <> '' and not part
  union all select 9, 'default', format('alter table %s alter column %I drop default', name, a.attname)
    from pg_attrdef d join t on t.oid = adrelid
    join pg_attribute a on a.attrelid = adrelid and a.attnum = adnum and a.attgenerated = ''
  union all select 10, 'index on an expression or a part', format('drop index %s', indexrelid::regclass)
    from pg_index join t on t.oid = indrelid join pg_class i on i.oid = indexrelid
    where (indexprs is not null or indpred is not null) and not i.relispartition) l
"""
_MEMBERS = """
select coalesce(json_agg(json_build_object('oid', m.oid::bigint, 'name', c.relname, 'kind', c.relkind, 'persistence',
     c.relpersistence, 'bytes', coalesce(pg_total_relation_size(m.oid), 0), 'asked', w.s || '.' || w.t)
    order by w.s, w.t, m.oid), '[]')
from (values {WANTED}) as w(s, t)
left join pg_class p on p.relname = w.t and p.relnamespace = (select oid from pg_namespace where nspname = w.s)
left join lateral (select relid::oid as oid from pg_partition_tree(p.oid) union select p.oid) as m on true
left join pg_class c on c.oid = m.oid
"""


class TableError(Exception):
    """Why the tables cannot be brought; one line."""


def parsed(names: Sequence[str]) -> Tables:
    """database.schema.table, each once, by database."""
    found: Tables = {}
    for text in dict.fromkeys(names):
        matched = _TABLE.match(text)
        if not matched:
            raise TableError(f"'{text}' is no table: write database.schema.table")
        database, schema, table = matched.groups()
        found.setdefault(database, []).append((schema, table))
    if not found:
        raise TableError("no table is named")
    return found


def check_schema(schema: str) -> None:
    """A name that may stand in a command and in every statement."""
    if not _SCHEMA.match(schema):
        raise TableError(f"'{schema}' is no name for the new schema: small letters, digits and _")


def check_production(port: int, account: str, tables: Tables, schema: str) -> List[str]:
    """The databases in which an unproven schema of ours stands from a run that died; raises where one is somebody's."""
    check_schema(schema)
    if one_object(port, "select to_json(pg_is_in_recovery())", account):
        raise TableError(f"the server on port {port} is a standby: name the primary")
    there = one_object(
        port, "select json_agg(datname) from pg_database where datallowconn and not datistemplate", account
    )
    missing = sorted(set(tables) - set(there))
    if missing:
        raise TableError(
            f"production has no database {', '.join(missing)}; it has: {', '.join(sorted(there))}"
        )
    ours = []
    for database in tables:
        query = (
            "select json_build_object('there', count(*) > 0, 'said', max(obj_description(oid, 'pg_namespace')))"  # noqa: S608
            f" from pg_namespace where nspname = {literal(schema)}"
        )
        found = one_object(port, query, account, database)
        if found["there"] and found["said"] != MARK:
            raise TableError(
                f"database {database} has a schema {schema} already: choose another name (--set restore_schema=…),"
                " or drop it where nobody needs it"
            )
        if found["there"]:
            ours.append(database)
    return ours


def clear(port: int, account: str, databases: Sequence[str], schema: str) -> None:
    """Drop what a run that died has left: its rows were never proven, and nobody was told of them."""
    for database in databases:
        psql(port, [f"drop schema {schema} cascade"], database, account)


def members(
    port: int, account: str, database: str, wanted: Sequence[Tuple[str, str]]
) -> List[Dict[str, Any]]:
    """The relations that the tables consist of, partitions among them."""
    values = ", ".join(f"({literal(schema)}, {literal(table)})" for schema, table in wanted)
    found: List[Dict[str, Any]] = one_object(port, _MEMBERS.replace("{WANTED}", values), account, database)
    absent = sorted({one["asked"] for one in found if one["oid"] is None})
    if absent:
        raise TableError(f"at that time database {database} had no table {', '.join(absent)}")
    strange = sorted({one["asked"] for one in found if one["kind"] not in ("r", "p")})
    if strange:
        raise TableError(
            f"{database} {', '.join(strange)}: no table with rows of its own, but a view or a foreign one"
        )
    empty = sorted({one["asked"] for one in found if one["persistence"] != "p"})
    if empty:
        raise TableError(
            f"{database} {', '.join(empty)}: an unlogged or temporary table, which no backup carries"
        )
    names = [one["name"] for one in found]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise TableError(
            f"{database}: more than one table is called {', '.join(double)}; bring them one after the other"
        )
    return found


def prepare(port: int, account: str, tables: Tables, schema: str) -> Dict[str, Any]:
    """Move the tables of the copy into the new schema, with nothing that reaches out of it; what was left behind."""
    check_schema(schema)
    chosen = {database: members(port, account, database, wanted) for database, wanted in tables.items()}
    dropped: Dict[str, int] = {}
    for database, found in chosen.items():
        oids = ",".join(str(one["oid"]) for one in found)
        loosen = one_object(port, _LOOSEN.replace("{{OIDS}}", "{" + oids + "}"), account, database)
        for kind, _said in loosen:
            dropped[kind] = dropped.get(kind, 0) + 1
        moves = one_object(
            port,
            "select json_agg(format('alter table %s set schema %I', oid::regclass, "  # noqa: S608
            f"{literal(schema)}) order by oid) from pg_class where oid = any('{{{oids}}}'::oid[])",
            account,
            database,
        )
        made = [f"create schema {schema}", f"comment on schema {schema} is {literal(MARK)}"]
        psql(
            port,
            [
                "begin",
                "set local synchronous_commit = local",
                *made,
                *(said for _kind, said in loosen),
                *moves,
                "commit",
            ],
            database,
            account,
        )
    return {
        "bytes": sum(int(one["bytes"]) for found in chosen.values() for one in found),
        "relations": sum(len(found) for found in chosen.values()),
        "dropped": dropped,
    }


def prove(
    ports: Tuple[int, int], account: str, tables: Tables, schema: str, limits: Limits
) -> List[Dict[str, str]]:
    """Each table of the schema on production (first port) against the copy: rows and digest of their contents."""
    check_schema(schema)
    ours, theirs = (
        digest_server(port, account, sorted(tables), "record", "", limits, schema) for port in ports
    )
    rows = {(one["database"], one["table"]): one["rows"] for one in ours["tables"]}
    return [{**one, "rows": rows.get((one["database"], one["table"]))} for one in compare(ours, theirs)]


def seal(port: int, account: str, tables: Tables, schema: str, said: str) -> None:
    """Let the schema say where it comes from, now that it is proven."""
    for database in tables:
        psql(port, [f"comment on schema {schema} is {literal(said)}"], database, account)


def proven(compared: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every table came over equal. Sequences are of no transaction and count for nothing."""
    return any(one["verdict"] == "equal" for one in compared) and all(
        one["verdict"] in ("equal", "excluded") for one in compared
    )


def findings(
    compared: Sequence[Mapping[str, Any]],
    schema: str,
    dropped: Mapping[str, int],
    server: Mapping[str, Any],
    zh: bool,
) -> List[Dict[str, Any]]:
    """What the record says of it."""
    equal = [one for one in compared if one["verdict"] == "equal"]
    wrong = [one for one in compared if one["verdict"] not in ("equal", "excluded")]
    text = "; ".join(
        f"{one['database']} {one['table']}: {one['rows']} {'行' if zh else 'rows'}" for one in equal
    )
    text += "".join(f"; {one['database']} {one['table']}: {one['verdict']}, {one['reason']}" for one in wrong)
    left = ", ".join(f"{kind} {count}" for kind, count in sorted(dropped.items())) or "0"
    where = f"LSN {server.get('lsn', '-')}, {server.get('last_commit') or '-'}"
    return [
        finding(
            "RST-ROW-01",
            "取回的表与恢复副本逐行一致" if zh else "The tables are row by row those of the restored copy",
            "全部一致" if zh else "all equal",
            (text or "-")[:1500],
            "pass" if proven(compared) else "fail",
        ),
        finding(
            "RST-TGT-01",
            "恢复到的时点" if zh else "Where the recovery ended",
            "-",
            f"{where}; {schema}",
            "pass" if server else "unknown",
        ),
        finding(
            "RST-LFT-01",
            "未随表带来的对象（仅供查询核对）"
            if zh
            else "What did not come with the tables, which are there to read and compare",
            "-",
            left,
            "pass",
            severity="advice",
        ),
    ]


def finding(
    id_: str, title: str, expected: str, actual: str, verdict: str, severity: str = "critical"
) -> Dict[str, Any]:
    return {
        "id": id_,
        "clause": CLAUSE,
        "area": "backup",
        "title": title,
        "subject": "",
        "expected": expected,
        "actual": actual,
        "verdict": verdict,
        "severity": severity,
        "owner": "vendor",
        "advice": "",
    }


__all__ = ["DatabaseError", "Limits", "TableError"]
