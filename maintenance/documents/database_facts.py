"""Tables of the databases: instances, parameters, statements, dead rows, sizes, backups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maintenance.documents.clean import clean
from maintenance.documents.facts import DATABASE, Probe, View, first, mappings, number, when
from maintenance.documents.table import Missing, Row, Table, host_list, number_rows, or_note, size
from maintenance.documents.words import Words

# What an assessor asks for first, in the order in which a DBA reads it.
_SETTINGS = (
    *("max_connections", "shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem"),
    *("wal_level", "max_wal_size", "checkpoint_timeout", "synchronous_commit", "fsync", "full_page_writes"),
    *("archive_mode", "archive_command", "archive_timeout", "autovacuum", "statement_timeout"),
    *(
        "idle_in_transaction_session_timeout",
        "log_min_duration_statement",
        "ssl",
        "password_encryption",
        "TimeZone",
    ),
)
_OWNER = {"cluster", "database"}
_STATEMENTS, _DEAD, _TABLES = 10, 20, 20


def tables(view: View) -> dict[str, Any]:
    """Every table of the templates that comes from the snapshot of a database."""
    return {
        "instances": instances(view),
        "settings": settings(view),
        "statements": statements(view),
        "dead": dead(view),
        "databases": databases(view),
        "tables": largest(view),
        "backups": backups(view),
    }


def rows_of(view: View, name: str, missing: Missing) -> list[tuple[str, Mapping[str, Any]]]:
    """The rows of one probe of all hosts; the place of a server that refused goes to `missing`."""
    found = []
    for probe in view.probes(name, missing, DATABASE):
        for row in mappings(probe.value("rows")):
            if set(row) <= _OWNER and row:
                missing.add(_place(probe, row), _refusal(probe, row))
            else:
                found.append((_place(probe, row), row))
    return found


def _place(probe: Probe, row: Mapping[str, Any]) -> str:
    """Host, port and database, as far as they say something."""
    parts = [clean(probe.host, 80)]
    clusters = {str(one.get("cluster")) for one in mappings(probe.value("rows"))}
    if len(clusters) > 1:
        parts.append(f":{clean(row.get('cluster'), 12)}")
    return "".join(parts) + (f" / {clean(row['database'], 60)}" if row.get("database") else "")


def _refusal(probe: Probe, row: Mapping[str, Any]) -> str:
    names = [str(row[key]) for key in ("cluster", "database") if key in row]
    return clean(probe.unread.get("/".join(names)) or probe.unread.get(names[0] if names else ""), 200)


def instances(view: View) -> Table:
    """One row for each server."""
    words, missing = view.words, Missing(view.words)
    rows: list[Row] = []
    for place, server in rows_of(view, "server", missing):
        host, cluster = place.split(":")[0], str(server.get("cluster"))
        connections = _of_server(view, host, "connections", cluster)
        used, maximum = (clean(first(connections, name)) or "—" for name in ("used", "maximum"))
        rows.append(
            {
                "host": place,
                "version": clean(server.get("version"), 40) or words("not_obtained_short"),
                "role": words("standby" if server.get("in_recovery") else "primary"),
                "started": when(server.get("started"), words),
                "connections": f"{used} / {maximum}",
                "cache": _cache(view, host, cluster),
                "safety": _safety(view, host, cluster),
            }
        )
    return or_note(rows, words, missing, words("no_databases"))


def _all_of_server(view: View, host: str, name: str, cluster: str) -> list[Mapping[str, Any]]:
    """The rows of a probe about one server."""
    probe = view.probe(view.host(host), name, None, DATABASE)
    listed = mappings(probe.value("rows")) if probe else []
    return [row for row in listed if str(row.get("cluster")) == cluster and not set(row) <= _OWNER]


def _of_server(view: View, host: str, name: str, cluster: str) -> Mapping[str, Any] | None:
    return next(iter(_all_of_server(view, host, name, cluster)), None)


def _cache(view: View, host: str, cluster: str) -> str:
    listed = _all_of_server(view, host, "databases", cluster)
    hit = sum(number(one.get("blocks_hit")) or 0 for one in listed)
    read = sum(number(one.get("blocks_read")) or 0 for one in listed)
    return f"{100 * hit / (hit + read):.2f} %" if hit + read else view.words("not_obtained_short")


def _safety(view: View, host: str, cluster: str) -> str:
    """Whether the log is archived, and who follows whom."""
    words, parts = view.words, []
    archiver, receiver = (_of_server(view, host, name, cluster) for name in ("archiver", "receiver"))
    if archiver:
        state = "off" if not archiver.get("enabled") else "failing" if archiver.get("failing") else "on"
        parts.append(words(f"archive_{state}"))
        if archiver.get("last_archived"):
            parts.append(when(archiver["last_archived"], words))
    if receiver and receiver.get("in_recovery"):
        parts.append(words("receives", status=clean(receiver.get("status"), 40) or words("none")))
    standbys = _all_of_server(view, host, "replication", cluster)
    if standbys:
        parts.append(words("standbys", n=len(standbys)))
    return "\n".join(parts) or words("not_obtained_short")


def settings(view: View) -> Table:
    """The parameters that matter most, servers with the same value together; the snapshot holds the others."""
    words, missing = view.words, Missing(view.words)
    servers: dict[tuple[str, str, str], list[str]] = {}
    for place, row in rows_of(view, "settings", missing):
        for name in _SETTINGS:
            setting = first(row, f"settings.{name}")
            if isinstance(setting, Mapping):
                waits = words("comma") + words("waits_for_restart") if setting.get("pending_restart") else ""
                source = clean(setting.get("source"), 60) + waits
                servers.setdefault((name, _setting(setting, words), source), []).append(place)
    order = sorted(servers, key=lambda one: _SETTINGS.index(one[0]))
    rows: list[Row] = [
        {
            "name": name,
            "value": value,
            "source": source,
            "where": host_list(servers[name, value, source], words, 4),
        }
        for name, value, source in order
    ]
    return or_note(rows, words, missing, words("no_databases"))


def _setting(setting: Mapping[str, Any], words: Words) -> str:
    amount, seconds = number(setting.get("bytes")), number(setting.get("seconds"))
    if amount is not None:
        return size(amount)
    if seconds is not None:
        return f"{seconds:g} s"
    return clean(setting.get("value"), 120) or words("empty")


def statements(view: View) -> Table:
    """The statements that have cost most time; their texts come without values."""
    words, missing = view.words, Missing(view.words)
    found = rows_of(view, "statements", missing)
    found.sort(key=lambda one: -(number(one[1].get("total_seconds")) or 0))
    rows: list[Row] = [
        {
            "where": place,
            "query": clean(row.get("text"), 200),
            "calls": _count(row.get("calls")),
            "mean": _decimal(row.get("mean_ms")),
            "total": _decimal(row.get("total_seconds")),
        }
        for place, row in found
    ]
    return or_note(rows, words, missing, words("no_databases"), limit=_STATEMENTS)


def dead(view: View) -> Table:
    """Tables with most dead rows."""
    words, missing = view.words, Missing(view.words)
    found = [
        (place, row) for place, row in rows_of(view, "dead_rows", missing) if number(row.get("dead_rows"))
    ]
    found.sort(key=lambda one: -(number(one[1].get("dead_rows")) or 0))
    rows: list[Row] = [
        {
            "where": place,
            "table": f"{clean(row.get('schema'), 60)}.{clean(row.get('table'), 80)}",
            "dead": _count(row.get("dead_rows")),
            "share": f"{number(row.get('dead_percent')) or 0:.1f} %",
            "vacuumed": when(row.get("last_vacuum"), words),
        }
        for place, row in found
    ]
    return or_note(rows, words, missing, words("no_dead_rows"), limit=_DEAD)


def databases(view: View) -> Table:
    """Databases and tablespaces with their sizes."""
    words, missing = view.words, Missing(view.words)
    rows: list[Row] = [
        {"host": host, "name": clean(name, 80), "kind": words("database"), "size": size(amount)}
        for host, name, amount in database_sizes(view, missing)
    ]
    for place, row in rows_of(view, "tablespaces", Missing(words)):
        location = clean(row.get("location"), 120)
        name = clean(row.get("tablespace"), 80) + (f" ({location})" if location else "")
        rows.append(
            {
                "host": place,
                "name": name,
                "kind": words("tablespace"),
                "size": size(row.get("size_bytes"), words),
            }
        )
    return or_note(rows, words, missing, words("no_databases"))


def database_sizes(view: View, missing: Missing) -> list[tuple[str, str, float]]:
    """(host, database, bytes), the largest first; templates are no databases of anybody."""
    found = [
        (place.split(" / ")[0], str(row.get("database")), amount)
        for place, row in rows_of(view, "databases", missing)
        if (amount := number(row.get("size_bytes"))) is not None and not row.get("template")
    ]
    return sorted(found, key=lambda one: -one[2])


def largest(view: View) -> Table:
    """The twenty largest tables of all."""
    words, missing = view.words, Missing(view.words)
    found = rows_of(view, "tables", missing)
    found.sort(key=lambda one: -(number(one[1].get("total_bytes")) or 0))
    rows: list[Row] = [
        {
            "where": place,
            "table": f"{clean(row.get('schema'), 60)}.{clean(row.get('table'), 80)}",
            "size": f"{size(row.get('total_bytes'), words)}",
            "count": _count(row.get("rows_estimate")),
        }
        for place, row in found[:_TABLES]
    ]
    return or_note(number_rows(rows), words, missing, words("no_tables"))


def backups(view: View) -> Table:
    """What the backup tool says of its backups."""
    words, missing = view.words, Missing(view.words)
    rows: list[Row] = []
    for place, row in rows_of(view, "backup", missing):
        errors = row.get("backups_with_errors")
        remarks = [
            words("backup_status", status=clean(row.get("status"), 80) or words("not_obtained_short")),
            words("backup_count", n=clean(row.get("backups"), 12), full=clean(row.get("full_backups"), 12)),
            words("encrypted" if row.get("encrypted") else "not_encrypted"),
        ]
        if errors:
            remarks.append(
                words("backup_errors", n=len(errors) if isinstance(errors, list) else clean(errors, 20))
            )
        rows.append(
            {
                "host": place,
                "name": f"pgBackRest {clean(row.get('stanza'), 60)} {clean(row.get('last_kind'), 20)}".strip(),
                "last": _when_or_never(row.get("last_finished"), words),
                "size": size(row.get("last_size_bytes"), words),
                "remark": words("semicolon").join(remarks),
            }
        )
    return or_note(rows, words, missing, words("no_backups"))


def _when_or_never(value: Any, words: Words) -> str:
    return when(clean(value, 40), words) if value else words("never")


def _count(value: Any) -> str:
    amount = number(value)
    return "—" if amount is None or amount < 0 else f"{amount:,.0f}"


def _decimal(value: Any) -> str:
    amount = number(value)
    return "—" if amount is None else f"{amount:,.1f}"
