"""The questions that postgresql_snapshot asks, by PostgreSQL version (12 to 17). Each is one SELECT over the catalogs;
none reads a user's table, none returns a text that a user typed (statements go through postgresql_shape first).

SQL is put together from constants of this file only: no value of a host or of a caller ever enters it.
"""

# ruff: noqa: S608  (put together from constants of this file only, see above)

from __future__ import annotations

from ansible.module_utils import postgresql_rights as rights

TOP = 20
LISTED = 200  # rows of a list that should be complete; beyond it the list says that it was cut

_SETTINGS = """
archive_command archive_library archive_mode archive_timeout autovacuum autovacuum_freeze_max_age
autovacuum_max_workers autovacuum_vacuum_cost_delay autovacuum_vacuum_cost_limit
autovacuum_vacuum_scale_factor checkpoint_completion_target checkpoint_timeout
client_connection_check_interval cluster_name data_checksums data_directory deadlock_timeout
default_statistics_target default_transaction_isolation effective_cache_size effective_io_concurrency fsync
full_page_writes hot_standby hot_standby_feedback huge_pages idle_in_transaction_session_timeout
idle_session_timeout lc_messages listen_addresses lock_timeout log_autovacuum_min_duration log_checkpoints
log_connections log_directory log_disconnections log_destination log_file_mode log_hostname log_line_prefix
log_lock_waits log_min_duration_statement log_min_messages log_rotation_age log_statement log_temp_files
log_timezone logging_collector maintenance_work_mem max_connections max_locks_per_transaction
max_prepared_transactions max_replication_slots max_slot_wal_keep_size max_standby_archive_delay
max_standby_streaming_delay max_wal_senders max_wal_size max_worker_processes min_wal_size password_encryption
port primary_conninfo primary_slot_name random_page_cost recovery_target_timeline restore_command
server_encoding shared_buffers shared_preload_libraries ssl ssl_cert_file ssl_min_protocol_version
statement_timeout superuser_reserved_connections synchronous_commit synchronous_standby_names
tcp_keepalives_idle temp_file_limit TimeZone track_activities track_counts track_io_timing wal_buffers
wal_compression wal_keep_segments wal_keep_size wal_level wal_log_hints work_mem zero_damaged_pages
ignore_checksum_failure
auth_delay.milliseconds authentication_timeout config_file credcheck.max_auth_failure
credcheck.password_min_digit credcheck.password_min_length credcheck.password_min_lower
credcheck.password_min_special credcheck.password_min_upper data_directory_mode hba_file ident_file
local_preload_libraries log_error_verbosity log_filename log_min_error_statement log_replication_commands
log_rotation_size log_truncate_on_rotation pgaudit.log pgaudit.log_catalog pgaudit.role row_security
session_preload_libraries ssl_ca_file ssl_ciphers ssl_key_file syslog_ident tcp_keepalives_count
tcp_keepalives_interval unix_socket_directories unix_socket_group unix_socket_permissions
"""
SETTINGS = _SETTINGS.split()

_USER_SCHEMA = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
# The first word, and nothing else that was typed.
_KEYWORD = "coalesce(upper(substring(a.query FROM '^\\s*([A-Za-z]{2,20})\\M')), '')"
_LSN = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END"


def utc(expression: str) -> str:
    """SQL for an instant as RFC 3339 in UTC; null for null and for infinity."""
    return (
        f"CASE WHEN isfinite({expression}) THEN "
        f"to_char(({expression})::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') END"
    )


def seconds_since(expression: str) -> str:
    """SQL for the seconds from an instant until now."""
    return f"round(extract(epoch FROM clock_timestamp() - {expression})::numeric, 1)"


def _named(sql: str) -> str:
    """How many rows a question finds, and the names of the first of them."""
    return (
        f"WITH found AS ({sql}) SELECT (SELECT count(*) FROM found) AS count, "
        f"(SELECT coalesce(json_agg(name), '[]') FROM (SELECT name FROM found ORDER BY name LIMIT {TOP}) few) AS names"
    )


IDENTITY = """
SELECT current_setting('server_version_num')::int AS version_num, pg_is_in_recovery() AS in_recovery,
  current_user AS login, pg_has_role(current_user, 'pg_monitor', 'usage') AS monitor,
  (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
  (SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database
    WHERE datallowconn AND NOT datistemplate) AS databases
"""


def cluster_queries(version: int) -> dict[str, str]:
    """Questions about the whole cluster, by probe."""
    return {
        "server": _server(),
        "control": "SELECT system_identifier::text FROM pg_control_system()",
        "settings": _settings(),
        "databases": _databases(version),
        "connections": _connections(),
        "transactions": _transactions(version),
        "locks": _locks(version),
        "checkpoints": _checkpoints(version),
        "wal": _wal(version),
        "archiver": _archiver(),
        "slots": _slots(version),
        "replication": _replication(),
        "receiver": _receiver(),
        "roles": _roles(),
        "role_passwords": _role_passwords(),
        "hba": _hba(version),
        "prepared": _prepared(),
        "tablespaces": _tablespaces(),
        "autovacuum": _autovacuum(),
        "tls": _tls(),
        **rights.cluster_queries(version),
    }


def database_queries(version: int) -> dict[str, str]:
    """Questions that each database answers for itself, by probe."""
    return {
        "tables": _tables(),
        "dead_rows": _dead_rows(),
        "indexes": _indexes(),
        "unused_indexes": _unused_indexes(),
        "invalid_indexes": _invalid_indexes(),
        "duplicate_indexes": _duplicate_indexes(),
        "no_primary_key": _no_primary_key(),
        "unlogged_tables": _unlogged_tables(),
        "unvalidated": _unvalidated(),
        "sequences": _sequences(),
        "extensions": _extensions(),
        "collations": _collations(version),
        "wraparound_tables": _wraparound_tables(),
        "schema_rights": _schema_rights(),
        **rights.database_queries(version),
    }


def _server() -> str:
    return f"""
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS version_num,
  current_setting('server_version_num')::int / 10000 AS major, pg_is_in_recovery() AS in_recovery,
  {utc("pg_postmaster_start_time()")} AS started, {utc("pg_conf_load_time()")} AS configuration_loaded,
  {seconds_since("pg_postmaster_start_time()")} AS uptime_seconds, current_setting('cluster_name') AS cluster_name,
  current_setting('server_encoding') AS server_encoding, current_setting('TimeZone') AS session_time_zone,
  current_setting('block_size')::int AS block_size_bytes
"""


def _settings() -> str:
    """Values as a new session of this role would have them: this session has changed its own."""
    names = ",".join(f"'{name}'" for name in SETTINGS)
    return f"""
SELECT name, reset_val AS value, unit, vartype AS type, source, pending_restart
FROM pg_settings
WHERE name IN ({names}) OR source NOT IN ('default', 'client', 'session', 'override') OR pending_restart
ORDER BY name LIMIT 500
"""


def _databases(version: int) -> str:
    collation = "NULL::text AS collation_version, NULL::text AS collation_actual_version"
    if version >= 150000:
        collation = (
            "d.datcollversion AS collation_version, "
            "pg_database_collation_actual_version(d.oid) AS collation_actual_version"
        )
    return f"""
SELECT d.datname AS database, pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate,
  d.datctype AS ctype, {collation}, d.datallowconn AS allows_connections, d.datistemplate AS template,
  CASE WHEN has_database_privilege(d.oid, 'connect') OR pg_has_role(current_user, 'pg_read_all_stats', 'usage')
    THEN pg_database_size(d.oid) END AS size_bytes,
  age(d.datfrozenxid) AS xid_age, mxid_age(d.datminmxid) AS multixact_age,
  round(age(d.datfrozenxid) / 2147483647.0 * 100, 1) AS xid_used_percent,
  round(mxid_age(d.datminmxid) / 2147483647.0 * 100, 1) AS multixact_used_percent,
  s.numbackends AS connections, s.xact_commit AS commits, s.xact_rollback AS rollbacks,
  s.blks_hit AS blocks_hit, s.blks_read AS blocks_read,
  round(100.0 * s.blks_hit / nullif(s.blks_hit + s.blks_read, 0), 2) AS cache_hit_percent,
  s.temp_files, s.temp_bytes, s.deadlocks, s.conflicts,
  s.checksum_failures, {utc("s.checksum_last_failure")} AS checksum_last_failure,
  {utc("s.stats_reset")} AS stats_reset
FROM pg_database d LEFT JOIN pg_stat_database s ON s.datid = d.oid
ORDER BY d.datname LIMIT {LISTED + 1}
"""


def _connections() -> str:
    return """
SELECT current_setting('max_connections')::int AS maximum,
  current_setting('superuser_reserved_connections')::int AS reserved,
  count(*) AS used,
  round(100.0 * count(*) / (current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int), 1) AS used_percent,
  count(*) FILTER (WHERE state = 'active') AS active, count(*) FILTER (WHERE state = 'idle') AS idle,
  count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_in_transaction,
  count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting_for_lock,
  (SELECT coalesce(json_agg(g), '[]') FROM (
    SELECT usename AS role, datname AS database, host(client_addr) AS client, count(*) AS connections
    FROM pg_stat_activity WHERE backend_type = 'client backend'
    GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT 20) g) AS by_client
FROM pg_stat_activity WHERE backend_type = 'client backend'
"""


def _transactions(version: int) -> str:
    query_id = "a.query_id::text" if version >= 140000 else "NULL::text"
    return f"""
SELECT a.pid, a.usename AS role, a.datname AS database, left(a.application_name, 64) AS application,
  host(a.client_addr) AS client, a.state, {seconds_since("a.xact_start")} AS transaction_seconds,
  {seconds_since("a.state_change")} AS state_seconds, a.wait_event_type, age(a.backend_xmin) AS xmin_age,
  {_KEYWORD} AS keyword, {query_id} AS query_id
FROM pg_stat_activity a
WHERE a.backend_type = 'client backend' AND a.xact_start < clock_timestamp() - interval '30 seconds'
ORDER BY a.xact_start LIMIT {LISTED + 1}
"""


def _locks(version: int) -> str:
    since = "coalesce(l.waitstart, a.state_change)" if version >= 140000 else "a.state_change"
    return f"""
SELECT a.pid, pg_blocking_pids(a.pid) AS waits_for, l.locktype AS kind, l.mode, a.datname AS database,
  a.usename AS role, {seconds_since(since)} AS waiting_seconds, {_KEYWORD} AS keyword
FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted
ORDER BY a.state_change LIMIT {LISTED + 1}
"""


def _checkpoints(version: int) -> str:
    if version >= 170000:
        columns = "num_timed AS timed, num_requested AS requested, buffers_written, write_time, sync_time, stats_reset"
        source = f"(SELECT {columns} FROM pg_stat_checkpointer) c"
    else:
        columns = (
            "checkpoints_timed AS timed, checkpoints_req AS requested, buffers_checkpoint AS buffers_written"
        )
        times = "checkpoint_write_time AS write_time, checkpoint_sync_time AS sync_time, stats_reset"
        source = f"(SELECT {columns}, {times} FROM pg_stat_bgwriter) c"
    return f"""
SELECT c.timed, c.requested, c.buffers_written, round((c.write_time / 1000)::numeric, 1) AS write_seconds,
  round((c.sync_time / 1000)::numeric, 1) AS sync_seconds, {utc("c.stats_reset")} AS stats_reset,
  round(100.0 * c.requested / nullif(c.timed + c.requested, 0), 1) AS requested_percent,
  round((extract(epoch FROM clock_timestamp() - c.stats_reset) / nullif(c.timed + c.requested, 0))::numeric, 1)
    AS interval_seconds
FROM {source}
"""


def _wal(version: int) -> str:
    statistics = ""
    if version >= 140000:
        statistics = (
            f", w.wal_bytes AS written_bytes, w.wal_fpi AS full_page_images, w.wal_buffers_full AS buffers_full, "
            f"{utc('w.stats_reset')} AS stats_reset, CASE WHEN w.stats_reset < clock_timestamp() - interval "
            "'1 hour' THEN round((w.wal_bytes / extract(epoch FROM clock_timestamp() - w.stats_reset) "
            "* 86400)::numeric, 0) END AS bytes_per_day"
        )
    source = "pg_stat_wal w" if version >= 140000 else "(SELECT 1) w"
    return f"""
SELECT pg_wal_lsn_diff({_LSN}, '0/0') AS position_bytes, d.files, d.directory_bytes{statistics}
FROM {source}, (SELECT count(*) AS files, coalesce(sum(size), 0) AS directory_bytes FROM pg_ls_waldir()) d
"""


def _archiver() -> str:
    return f"""
SELECT a.archived_count, a.last_archived_wal, {utc("a.last_archived_time")} AS last_archived, a.failed_count,
  a.last_failed_wal, {utc("a.last_failed_time")} AS last_failed, {utc("a.stats_reset")} AS stats_reset,
  coalesce(a.last_failed_time > coalesce(a.last_archived_time, '-infinity'), false) AS failing,
  pg_is_in_recovery() AS in_recovery, current_setting('archive_mode') AS mode,
  current_setting('archive_mode') <> 'off' AS enabled,
  current_setting('archive_command') NOT IN ('', '(disabled)', 'true', '/bin/true')
    OR coalesce(current_setting('archive_library', true), '') <> '' AS command_set, q.waiting_files, q.waiting_seconds,
  {seconds_since("a.last_archived_time")} AS last_archived_seconds
FROM pg_stat_archiver a, (
  SELECT count(*) AS waiting_files, coalesce({seconds_since("min(modification)")}, 0) AS waiting_seconds
  FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') q
"""


def _slots(version: int) -> str:
    extra = ", wal_status, safe_wal_size AS safe_wal_bytes" if version >= 130000 else ""
    return f"""
SELECT slot_name AS slot, slot_type AS kind, plugin, database, active, temporary, age(catalog_xmin) AS catalog_xmin_age,
  age(xmin) AS xmin_age, pg_wal_lsn_diff({_LSN}, restart_lsn) AS retained_bytes{extra}
FROM pg_replication_slots ORDER BY slot_name LIMIT {LISTED + 1}
"""


def _replication() -> str:
    return f"""
SELECT left(application_name, 64) AS application, host(client_addr) AS client, usename AS role, state, sync_state,
  pg_wal_lsn_diff({_LSN}, replay_lsn) AS replay_lag_bytes, pg_wal_lsn_diff({_LSN}, flush_lsn) AS flush_lag_bytes,
  coalesce(round(extract(epoch FROM replay_lag)::numeric, 1), 0) AS replay_lag_seconds
FROM pg_stat_replication ORDER BY 1, 2 LIMIT {LISTED + 1}
"""


def _receiver() -> str:
    return f"""
SELECT pg_is_in_recovery() AS in_recovery, r.status, r.slot_name AS slot, r.sender_host AS sender,
  {utc("r.last_msg_receipt_time")} AS last_message, {seconds_since("r.last_msg_receipt_time")} AS last_message_seconds,
  pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) AS replay_behind_bytes,
  CASE WHEN pg_is_in_recovery() AND pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
    THEN {seconds_since("pg_last_xact_replay_timestamp()")} ELSE 0 END AS replay_behind_seconds,
  CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END AS paused
FROM (SELECT 1) one LEFT JOIN pg_stat_wal_receiver r ON true
"""


def _roles() -> str:
    return f"""
SELECT r.rolname AS role, r.rolsuper AS superuser, r.rolcreaterole AS creates_roles, r.rolcreatedb AS creates_databases,
  r.rolreplication AS replication, r.rolbypassrls AS bypasses_row_security, r.rolcanlogin AS login,
  r.rolconnlimit AS connection_limit, {utc("r.rolvaliduntil")} AS valid_until,
  (SELECT coalesce(json_agg(g.rolname ORDER BY g.rolname), '[]') FROM pg_auth_members m
    JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid) AS member_of
FROM pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY r.rolname LIMIT {LISTED + 1}
"""


def _role_passwords() -> str:
    """How a password is kept, never what is kept."""
    return """
SELECT rolname AS role, CASE WHEN rolpassword IS NULL THEN 'none' WHEN rolpassword LIKE 'SCRAM-SHA-256$%' THEN 'scram'
  WHEN rolpassword ~ '^md5[0-9a-f]{32}$' THEN 'md5' ELSE 'other' END AS password
FROM pg_authid WHERE rolname !~ '^pg_'
"""


def _hba(version: int) -> str:
    """Options by name only, because they may hold the password of a directory; a broken line is not repeated.

    From 16 on a file may include others: then a line's number says nothing without its file, and nothing of its order.
    """
    place = "line_number AS rule, 'pg_hba.conf' AS file"
    if version >= 160000:
        place = (
            "rule_number AS rule, "
            "CASE file_name WHEN current_setting('hba_file') THEN 'pg_hba.conf' ELSE file_name END AS file"
        )
    return f"""
SELECT line_number AS line, {place}, type, database AS databases, user_name AS roles, address, netmask,
  auth_method AS method,
  (SELECT coalesce(json_agg(split_part(o, '=', 1)), '[]') FROM unnest(options) o) AS options,
  (SELECT max(split_part(o, '=', 2)) FROM unnest(options) o
    WHERE o IN ('clientcert=verify-full', 'clientcert=verify-ca')) AS client_certificate, error IS NOT NULL AS broken
FROM pg_hba_file_rules ORDER BY {"rule_number, " if version >= 160000 else ""}line_number LIMIT {LISTED + 1}
"""


def _prepared() -> str:
    return f"""
SELECT left(gid, 60) AS transaction, owner AS role, database, {seconds_since("prepared")} AS age_seconds
FROM pg_prepared_xacts ORDER BY prepared LIMIT {LISTED + 1}
"""


def _tablespaces() -> str:
    return f"""
SELECT spcname AS tablespace, pg_tablespace_location(oid) AS location, pg_tablespace_size(oid) AS size_bytes
FROM pg_tablespace ORDER BY spcname LIMIT {LISTED + 1}
"""


def _autovacuum() -> str:
    return """
SELECT current_setting('autovacuum')::bool AS enabled, current_setting('autovacuum_max_workers')::int AS maximum_workers,
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker') AS workers,
  (SELECT coalesce(json_agg(v), '[]') FROM (
    SELECT datname AS database, phase, round(100.0 * heap_blks_scanned / nullif(heap_blks_total, 0), 1) AS scanned_percent
    FROM pg_stat_progress_vacuum ORDER BY pid LIMIT 20) v) AS running
"""


def _tls() -> str:
    return """
SELECT current_setting('ssl')::bool AS enabled, current_setting('ssl_min_protocol_version') AS minimum_protocol,
  (SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
    WHERE a.client_addr IS NOT NULL AND NOT a.client_addr <<= '127.0.0.0/8'::inet AND a.client_addr <> '::1'::inet
      AND NOT s.ssl) AS plain_remote_connections,
  (SELECT count(*) FROM pg_stat_ssl WHERE ssl) AS encrypted_connections
"""


def _tables() -> str:
    """The largest tables. Bloat is an estimate from the statistics of ANALYZE, absent where there are none."""
    return f"""
WITH sized AS (
  SELECT c.oid, n.nspname AS schema, c.relname AS table, c.reltuples, pg_relation_size(c.oid) AS heap_bytes,
    pg_total_relation_size(c.oid) AS total_bytes, pg_indexes_size(c.oid) AS index_bytes, age(c.relfrozenxid) AS xid_age,
    coalesce((SELECT option_value::numeric FROM pg_options_to_table(c.reloptions)
      WHERE option_name = 'fillfactor'), 100) AS fillfactor
  FROM (SELECT * FROM pg_class WHERE relkind IN ('r', 'm') AND relpersistence <> 't' ORDER BY relpages DESC LIMIT 5000) c
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_USER_SCHEMA}
  ORDER BY total_bytes DESC LIMIT {TOP}
), estimated AS (
  SELECT z.*, ceil(z.reltuples * (28 + w.width) / ((current_setting('block_size')::int - 24) * z.fillfactor / 100.0))
    * current_setting('block_size')::int AS dense_bytes
  FROM sized z LEFT JOIN LATERAL (
    SELECT sum((1 - null_frac) * avg_width)::numeric AS width FROM pg_stats p
    WHERE p.schemaname = z.schema AND p.tablename = z.table AND NOT p.inherited) w ON z.reltuples > 0
)
SELECT e.schema, e.table, e.total_bytes, e.heap_bytes, e.index_bytes, e.reltuples::bigint AS rows_estimate, e.xid_age,
  round(greatest(0, e.heap_bytes - e.dense_bytes)::numeric, 0) AS bloat_estimate_bytes,
  round((100 * greatest(0, e.heap_bytes - e.dense_bytes) / nullif(e.heap_bytes, 0))::numeric, 1)
    AS bloat_estimate_percent,
  s.n_live_tup AS live_rows, s.n_dead_tup AS dead_rows, s.n_mod_since_analyze AS changes_since_analyze,
  s.seq_scan AS sequential_scans, s.seq_tup_read AS sequential_rows, s.idx_scan AS index_scans,
  {utc("greatest(s.last_vacuum, s.last_autovacuum)")} AS last_vacuum,
  {utc("greatest(s.last_analyze, s.last_autoanalyze)")} AS last_analyze
FROM estimated e LEFT JOIN pg_stat_all_tables s ON s.relid = e.oid ORDER BY e.total_bytes DESC
"""


def _dead_rows() -> str:
    return f"""
SELECT s.schemaname AS schema, s.relname AS table, s.n_live_tup AS live_rows, s.n_dead_tup AS dead_rows,
  round(100.0 * s.n_dead_tup / nullif(s.n_live_tup + s.n_dead_tup, 0), 1) AS dead_percent,
  s.n_mod_since_analyze AS changes_since_analyze, s.last_analyze IS NULL AND s.last_autoanalyze IS NULL AS never_analyzed,
  {utc("greatest(s.last_vacuum, s.last_autovacuum)")} AS last_vacuum,
  {utc("greatest(s.last_analyze, s.last_autoanalyze)")} AS last_analyze
FROM pg_stat_user_tables s WHERE s.n_dead_tup > 0 OR (s.n_live_tup > 1000 AND s.last_analyze IS NULL
  AND s.last_autoanalyze IS NULL)
ORDER BY s.n_dead_tup DESC, 1, 2 LIMIT {TOP}
"""


def _indexes() -> str:
    return f"""
SELECT s.schemaname AS schema, s.relname AS table, s.indexrelname AS index, pg_relation_size(s.indexrelid) AS size_bytes,
  s.idx_scan AS scans
FROM (SELECT i.* FROM pg_stat_user_indexes i JOIN pg_class c ON c.oid = i.indexrelid
  ORDER BY c.relpages DESC LIMIT 1000) s
ORDER BY size_bytes DESC, 1, 3 LIMIT {TOP}
"""


def _unused_indexes() -> str:
    """Never scanned since the statistics began, over 1 MiB, and no constraint needs them."""
    return f"""
WITH found AS (
  SELECT s.schemaname || '.' || s.indexrelname AS name, pg_relation_size(s.indexrelid) AS size_bytes
  FROM pg_stat_user_indexes s JOIN pg_index x ON x.indexrelid = s.indexrelid
  WHERE s.idx_scan = 0 AND NOT x.indisunique AND x.indisvalid AND NOT x.indisreplident
    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = s.indexrelid)
    AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = s.indexrelid)
)
SELECT count(*) AS count, coalesce(sum(size_bytes), 0) AS size_bytes,
  (SELECT coalesce(json_agg(name), '[]') FROM (
    SELECT name FROM found WHERE size_bytes > 1048576 ORDER BY size_bytes DESC, name LIMIT {TOP}) few) AS names
FROM found WHERE size_bytes > 1048576
"""


def _invalid_indexes() -> str:
    return _named(f"""
  SELECT n.nspname || '.' || c.relname AS name FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT (x.indisvalid AND x.indisready) AND {_USER_SCHEMA}
""")


def _duplicate_indexes() -> str:
    return _named(f"""
  SELECT min(n.nspname) || '.' || string_agg(c.relname, ' = ' ORDER BY c.relname) AS name
  FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE {_USER_SCHEMA}
  GROUP BY x.indrelid, c.relam, x.indkey::text, x.indclass::text, x.indcollation::text, x.indoption::text,
    coalesce(pg_get_expr(x.indexprs, x.indrelid), ''), coalesce(pg_get_expr(x.indpred, x.indrelid), '')
  HAVING count(*) > 1
""")


def _no_primary_key() -> str:
    return _named(f"""
  SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND {_USER_SCHEMA}
    AND NOT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary)
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
""")


def _unlogged_tables() -> str:
    return _named(f"""
  SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence = 'u' AND {_USER_SCHEMA}
""")


def _unvalidated() -> str:
    """What no longer protects the data: constraints that were never validated, triggers that are switched off."""
    return _named(f"""
  SELECT n.nspname || '.' || c.relname || ': ' || k.conname AS name FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE NOT k.convalidated AND {_USER_SCHEMA}
  UNION ALL
  SELECT n.nspname || '.' || c.relname || ': ' || t.tgname FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE t.tgenabled = 'D' AND {_USER_SCHEMA}
""")


def _sequences() -> str:
    """How much of a sequence is used, by its own end or by that of the column that it fills."""
    return f"""
SELECT s.schemaname AS schema, s.sequencename AS sequence, s.last_value, l.maximum, s.cycle,
  round(100.0 * (s.last_value - s.min_value) / nullif(l.maximum - s.min_value, 0), 1) AS used_percent
FROM pg_sequences s JOIN pg_class c ON c.oid = format('%I.%I', s.schemaname, s.sequencename)::regclass
LEFT JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.refobjsubid > 0
  AND d.deptype IN ('a', 'i')
LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
CROSS JOIN LATERAL (SELECT least(s.max_value::numeric,
  CASE a.atttypid WHEN 21 THEN 32767 WHEN 23 THEN 2147483647 END) AS maximum) l
WHERE s.increment_by > 0 AND s.last_value IS NOT NULL
ORDER BY used_percent DESC NULLS LAST, 1, 2 LIMIT {TOP}
"""


def _extensions() -> str:
    return f"""
SELECT e.extname AS extension, e.extversion AS version, a.default_version AS available_version, n.nspname AS schema
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
LEFT JOIN pg_available_extensions a ON a.name = e.extname ORDER BY 1 LIMIT {LISTED + 1}
"""


def _collations(version: int) -> str:
    """Collations whose library has changed under them, among those that are in use by a column or the database."""
    database = ""
    if version >= 150000:
        database = """
  UNION ALL SELECT 'database ' || datcollate FROM pg_database WHERE datname = current_database()
    AND datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid)"""
    return _named(f"""
  SELECT n.nspname || '.' || c.collname AS name FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
  WHERE c.collversion IS DISTINCT FROM pg_collation_actual_version(c.oid) AND c.collversion IS NOT NULL
    AND EXISTS (SELECT FROM pg_attribute a WHERE a.attcollation = c.oid AND a.attrelid >= 16384){database}
""")


def _wraparound_tables() -> str:
    return """
SELECT n.nspname AS schema, c.relname AS table, greatest(age(c.relfrozenxid), age(t.relfrozenxid)) AS xid_age
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
WHERE c.relkind IN ('r', 'm') ORDER BY 3 DESC, 1, 2 LIMIT 5
"""


def _schema_rights() -> str:
    """Schemas in which every role may create objects: whoever can, can shadow a function of the application."""
    return _named("""
  SELECT n.nspname AS name FROM pg_namespace n, LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) x
  WHERE x.grantee = 0 AND x.privilege_type = 'CREATE'
""")


# pg_stat_statements lies in a schema of its owner's choice, and its columns changed with its version 1.8.
STATEMENTS = rf"""
SELECT coalesce(max(quote_ident(n.nspname)), '') AS statements_schema, count(*) > 0 AS statements_present,
  coalesce(bool_or(string_to_array(e.extversion, '.')::int[] >= ARRAY[1, 8]), false) AS statements_new
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements' \gset
\if :statements_present
\if :statements_new
\set statements_total total_exec_time
\else
\set statements_total total_time
\endif
SELECT coalesce(json_agg(q), '[]') FROM (
  SELECT d.datname AS database, r.rolname AS role, s.queryid::text AS query_id, s.calls,
    round((s.:statements_total / 1000)::numeric, 3) AS total_seconds,
    round((s.:statements_total / nullif(s.calls, 0))::numeric, 3) AS mean_ms, s.rows AS rows_returned,
    s.shared_blks_read AS blocks_read, s.temp_blks_written AS temp_blocks_written, left(s.query, 4000) AS text
  FROM :statements_schema.pg_stat_statements s LEFT JOIN pg_database d ON d.oid = s.dbid
  LEFT JOIN pg_roles r ON r.oid = s.userid
  WHERE s.query ~* '^\s*(select|insert|update|delete|merge|with)\M'
    AND s.query !~ '\mpg_[a-z_]+\M' -- monitoring and this snapshot are no work of its users
  ORDER BY s.:statements_total DESC LIMIT {TOP}) q;
\else
SELECT '"absent"';
\endif
"""
