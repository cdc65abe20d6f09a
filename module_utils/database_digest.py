"""Content digests of all tables of a PostgreSQL server at one point of its history, and their comparison.

An exported snapshot holds for one database. Snapshots of several databases are one point when they see the same
transactions, and a restore point belongs to it when no transaction ended between the two: both are asked of the server
and tried again until they hold, so no writer ever waits for a lock of ours.

One gap remains that no question to production closes: a commit is in the WAL a moment before snapshots see it. So a point
at which no transaction is under way is looked for first, for half of the attempts, and the restored server is asked
whether a transaction that the snapshot does not see is committed there (unseen_commits).
"""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, NamedTuple, Optional

from ansible.module_utils.database_query import CODES_ONLY, ENVIRONMENT, DatabaseError, command, literal

_ATTEMPTS = 300
_UNSEEN_LIMIT = 100000
_SNAPSHOT = re.compile(r"(\d+):(\d+):((?:\d+(?:,\d+)*)?)\Z")
_KNOWN = "row(1, 'a'::text, 1.5::numeric, null::text, true, date '2026-01-01')"
KNOWN_HASHES = ["870198877436908000", "1438717704279491565"]

# Whatever changes how a value is written changes a digest of its text.
SETTINGS = {
    "datestyle": "'ISO, YMD'",
    "intervalstyle": "'postgres'",
    "timezone": "'UTC'",
    "extra_float_digits": "3",
    "bytea_output": "'hex'",
    "lc_monetary": "'C'",
    "xmloption": "'content'",
    "search_path": "pg_catalog",
    "row_security": "off",
    "client_min_messages": "error",
    "lock_timeout": "'2s'",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "idle_in_transaction_session_timeout": "0",
}

# A type whose values hash by themselves alike on every server; every other is hashed by its text.
TABLES = """
select coalesce(jsonb_agg(t order by t.bytes desc, t.name), '[]') from (
  select format('%I.%I', n.nspname, c.relname) as name, c.relkind as kind, c.relpersistence as persistence,
    pg_table_size(c.oid) as bytes,
    (select coalesce(jsonb_agg(jsonb_build_object('name', quote_ident(a.attname), 'hashes', exists (
        select from pg_opclass o join pg_am m on m.oid = o.opcmethod and m.amname = 'hash'
          join pg_amproc p on p.amprocfamily = o.opcfamily and p.amprocnum = 2 and p.amproclefttype = a.atttypid
        where o.opcdefault and o.opcintype = a.atttypid and a.atttypid < 10000)) order by a.attnum), '[]')
      from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'm', 'f', 'S') and c.relpersistence <> 't'
    and (n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_toast%'
      or c.oid = 'pg_largeobject'::regclass)) t
"""


class Limits(NamedTuple):
    """What the work may take of the server."""

    jobs: int
    statement_seconds: int
    seconds: int


class Session:
    """One psql whose transaction stays open; answers are JSON, one a line."""

    def __init__(self, port: int, database: str, account: str, limits: Limits) -> None:
        self.process = subprocess.Popen(
            [*command(port, account=account), *CODES_ONLY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            # As an argument a database's name could be a connection string.
            env={**ENVIRONMENT, "PGDATABASE": database, "PGCONNECT_TIMEOUT": "10"},
            cwd="/",
        )
        self.timer = threading.Timer(limits.seconds, self.process.kill)
        self.timer.daemon = True
        self.timer.start()
        self.send(settings(limits))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.timer.cancel()
        try:
            self.process.communicate(timeout=5)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()

    def send(self, statements: str) -> None:
        """Give statements to the server without waiting for an answer."""
        assert self.process.stdin is not None  # noqa: S101  (a pipe was asked for)
        try:
            self.process.stdin.write(statements + "\n")
            self.process.stdin.flush()
        except OSError:
            raise DatabaseError("the connection was lost") from None

    def answer(self) -> Any:
        """The next answer."""
        assert self.process.stdout is not None and self.process.stderr is not None  # noqa: S101  (as above)
        line = self.process.stdout.readline()
        if not line:
            said = " ".join(self.process.stderr.read().split())[-200:]
            raise DatabaseError(said or "the connection was lost or the time is over")
        return json.loads(line)

    def ask(self, statement: str) -> Any:
        """The answer to one statement."""
        self.send(statement + ";")
        return self.answer()


def settings(limits: Limits) -> str:
    """The statements with which a session begins."""
    chosen = {**SETTINGS, "statement_timeout": f"'{limits.statement_seconds}s'"}
    return "\n".join(f"set {name} = {value};" for name, value in chosen.items())


def digest_query(name: str, columns: List[Dict[str, Any]], method: str) -> str:
    """One query that gives count and digest of a table; names are quoted by the server."""
    # Written twice, a row's text would be made twice: so the row is made in a query of its own.
    if method == "record":
        row = ", ".join(f"t.{c['name']}" + ("" if c["hashes"] else "::text") for c in columns)
        return (
            "select json_build_array(count(*), coalesce(sum(hash_record_extended(r, 1)), 0)::text || ':' || "  # noqa: S608
            f"coalesce(sum(hash_record_extended(r, 2)), 0)::text) from (select row({row}) as r from only {name} t) q"
        )
    row = ", ".join(f"t.{c['name']}" for c in columns)
    rows = f"select sha256(convert_to(row({row})::text, 'UTF8')) as h from only {name} t"  # noqa: S608
    # By the first byte, because one aggregate holds 1 GB: 256 of them hold eight thousand million rows.
    parts = (
        "select get_byte(h, 0) as part, count(*) as n, sha256(string_agg(h, ''::bytea order by h)) as d "  # noqa: S608
        f"from ({rows}) r group by 1"
    )
    return (
        "select json_build_array(coalesce(sum(n), 0), "  # noqa: S608
        f"encode(sha256(coalesce(string_agg(d, ''::bytea order by part), ''::bytea)), 'hex')) from ({parts}) p"
    )


def why_not(table: Dict[str, Any]) -> Optional[str]:
    """Why a relation has no content that a restore must bring back equal; None when it has."""
    if table["kind"] == "f":
        return "foreign table: its rows are on another server"
    if table["kind"] == "S":
        return "sequence: it belongs to no transaction, a restore may find it up to 32 values ahead"
    if table["persistence"] == "u":
        return "unlogged table: no backup carries its rows"
    return None


def choose_method(session: Session, wanted: str) -> str:
    """The record hash only where it gives the known values, else sha256 over text."""
    if wanted == "sha256":
        return wanted
    there = session.ask("select to_json(to_regproc('hash_record_extended') is not null)")
    if not there:  # before PostgreSQL 14
        return "sha256"
    hashes = session.ask(
        f"select json_build_array(hash_record_extended({_KNOWN}, 1)::text, hash_record_extended({_KNOWN}, 2)::text)"
    )
    return "record" if hashes == KNOWN_HASHES else "sha256"


def take_point(sessions: List[Session], observer: Session, label: str) -> Dict[str, Any]:
    """Export a snapshot in every session, all of one point, with a restore point of that point when there is a label."""
    begin = (
        "begin isolation level repeatable read, read only;\n"
        "select jsonb_build_object('id', pg_export_snapshot(), 'sees', txid_current_snapshot()::text);"
    )
    for attempt in range(1, _ATTEMPTS + 1):
        # Recovery stops at the first restore point of a name: an earlier run's must never be taken for this one.
        name = f"{label}-{secrets.token_hex(6)}" if label else ""
        for session in sessions:
            session.send(begin)
        taken = [session.answer() for session in sessions]
        lsn = f"pg_create_restore_point({literal(name)})" if name else "null::pg_lsn"
        # Two statements: the second one's snapshot is younger than the restore point.
        observer.send(f"select jsonb_build_object('lsn', {lsn}, 'time', clock_timestamp());")
        point = observer.answer()
        after = observer.ask("select to_json(txid_current_snapshot()::text)")
        # The third part names what is under way: a commit of it may be in the WAL already.
        idle = after.endswith(":") or attempt > _ATTEMPTS // 2
        if idle and {one["sees"] for one in taken} == {after}:
            if name:
                point["closed_segment"] = observer.ask("select to_json(pg_walfile_name(pg_switch_wal()))")
            return {
                **point,
                "name": name,
                "sees": after,
                "attempts": attempt,
                "ids": [one["id"] for one in taken],
            }
        for session in sessions:
            session.send("rollback;")
        time.sleep(0.001 * (attempt % 17))  # out of step with a writer of a fixed beat
    raise DatabaseError(
        f"in {_ATTEMPTS} attempts a transaction always ended between snapshot and restore point"
    )


def digest_server(
    port: int, account: str, databases: List[str], method: str, label: str, limits: Limits, schema: str = ""
) -> Dict[str, Any]:
    """The point and the digest of every table of the databases (all that accept connections when none is named).

    schema: only the tables of this one, whose name needs no quotes.
    """
    started = time.monotonic()
    opened: List[Session] = []
    with Session(port, "postgres", account, limits) as observer:
        there = observer.ask(
            "select jsonb_agg(datname order by datname) from pg_database where datallowconn and not datistemplate"
        )
        missing = sorted(set(databases) - set(there))
        if missing:
            raise DatabaseError(f"there is no database {', '.join(missing)}")
        names = databases or there
        method = choose_method(observer, method)
        try:
            opened = [Session(port, name, account, limits) for name in names]
            for session in opened:
                session.ask(
                    "select to_json(1)"
                )  # connected before the first snapshot: all are taken within moments
            point = take_point(opened, observer, label)
            exported = point.pop("ids")
            work = [
                (name, snapshot, table)
                for name, snapshot, session in zip(names, exported, opened)  # noqa: B905  (Python 3.8 has no strict)
                for table in session.ask(TABLES.strip())
                if not schema or table["name"].startswith(schema + ".")
            ]
            work.sort(key=lambda one: -one[2]["bytes"])  # the longest first: processes end together

            def digest(one: Any) -> Dict[str, Any]:
                return digest_table(port, account, one[0], one[1], one[2], method, limits)

            with ThreadPoolExecutor(limits.jobs) as pool:
                tables = list(pool.map(digest, work))
        finally:
            for session in opened:
                session.__exit__()
    tables.sort(key=lambda one: (one["database"], one["table"]))
    return {
        "point": point,
        "method": method,
        "tables": tables,
        "seconds": round(time.monotonic() - started, 2),
    }


def digest_table(
    port: int, account: str, database: str, snapshot: str, table: Dict[str, Any], method: str, limits: Limits
) -> Dict[str, Any]:
    """One table's count and digest, or the reason why it has none."""
    answer: Dict[str, Any] = {"database": database, "table": table["name"], "rows": None, "digest": None}
    reason = why_not(table)
    if reason:
        return {**answer, "state": "excluded", "reason": reason}
    started = time.monotonic()
    try:
        with Session(port, database, account, limits) as session:
            session.send("begin isolation level repeatable read, read only;")
            session.send(f"set transaction snapshot {literal(snapshot)};")
            rows, digest = session.ask(digest_query(table["name"], table["columns"], method))
    except (DatabaseError, ValueError) as error:
        return {**answer, "state": "unknown", "reason": str(error)}
    seconds = round(time.monotonic() - started, 3)
    return {**answer, "state": "ok", "reason": "", "rows": rows, "digest": digest, "seconds": seconds}


def unseen_query(sees: str) -> str:
    """The transactions that a snapshot does not see and that are committed on the server that is asked."""
    matched = _SNAPSHOT.match(sees)
    if not matched:
        raise DatabaseError(f"'{sees[:80]}' is no snapshot")
    running = matched.group(3)
    listed = f"select unnest(array[{running}]::bigint[])" if running else "select null::bigint where false"
    newest = "txid_snapshot_xmax(txid_current_snapshot())"
    first = int(matched.group(2))
    return (
        f"select case when {newest} - {first} > {_UNSEEN_LIMIT} then null else (select coalesce(jsonb_agg(x), '[]') from "  # noqa: S608
        f"({listed} union all select generate_series({first}, {newest} - 1)) as u(x) "
        "where txid_status(x) = 'committed') end"
    )


def unseen_commits(port: int, account: str, sees: str, limits: Limits) -> List[int]:
    """Transactions unseen by a snapshot and committed on this restored server; none when both are one point."""
    with Session(port, "postgres", account, limits) as session:
        session.send("\\pset null null")
        found = session.ask(unseen_query(sees))
    if found is None:
        raise DatabaseError(
            f"more than {_UNSEEN_LIMIT} transactions lie behind the snapshot: it is another point"
        )
    return list(found)


def compare(here: Dict[str, Any], there: Dict[str, Any]) -> List[Dict[str, str]]:
    """Every table of the two results with its verdict: equal, different, missing, extra, excluded or unknown."""
    left = {(one["database"], one["table"]): one for one in here["tables"]}
    right = {(one["database"], one["table"]): one for one in there["tables"]}
    same_method = here["method"] == there["method"]
    return [
        {"database": key[0], "table": key[1], **_verdict(left.get(key), right.get(key), same_method)}
        for key in sorted({*left, *right})
    ]


def _verdict(
    one: Optional[Dict[str, Any]], other: Optional[Dict[str, Any]], same_method: bool
) -> Dict[str, str]:
    if one is None or other is None:
        return {"verdict": "extra" if one is None else "missing", "reason": "the table is on one side only"}
    if one["state"] == other["state"] == "excluded":
        return {"verdict": "excluded", "reason": one["reason"]}
    for side in (one, other):
        if side["state"] != "ok":
            return {"verdict": "unknown", "reason": side["reason"]}
    if one["rows"] != other["rows"]:
        return {"verdict": "different", "reason": f"{one['rows']} and {other['rows']} rows"}
    if not same_method:
        return {"verdict": "unknown", "reason": "the two sides were digested by different methods"}
    if one["digest"] != other["digest"]:
        return {"verdict": "different", "reason": "as many rows, another content"}
    return {"verdict": "equal", "reason": ""}
