"""Questions about who may do what, for the checks of the baseline: names of objects and roles, never a value of a user's
table, never a password. As in postgresql_sql: one SELECT each, put together from constants of these files only."""

# ruff: noqa: S608  (put together from constants of this file only, see above)

from __future__ import annotations

LISTED = 200
TOP = 20
# A column that by its name holds what identifies a person: number of an identity card, telephone, address, name.
_PERSONAL = (
    "(^|_)(id_?card|identity_?(no|number|card)|id_?(no|num|number)|cert(ificate)?_?(no|num|number)|sfzh?|zjhm|"
    "passport(_?no)?|phone|mobile|tel|telephone|cell_?phone|lxdh|sjhm|address|addr|home_?addr|jtdz|"
    "birth(day|_?date)?|csrq|medicare_?(no|card)|insurance_?no|ybkh|(patient|real|full|contact)_?name|xm)($|_)"
)
# What a role or a database may set for itself that these checks read; nothing else leaves the server.
_OVERRIDES = (
    "authentication_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "log_min_error_statement",
    "log_min_messages",
    "log_statement",
    "password_encryption",
    "pgaudit.log",
    "pgaudit.role",
    "row_security",
    "statement_timeout",
    "synchronous_commit",
)
_USER_SCHEMA = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
_OF_EXTENSION = (
    "EXISTS (SELECT FROM pg_depend x WHERE x.classid = '{0}'::regclass AND x.objid = {1} AND x.deptype = 'e')"
)


def cluster_queries(version: int) -> dict[str, str]:
    """Questions about the whole cluster, by probe."""
    return {
        "memberships": _memberships(),
        "role_settings": _role_settings(),
        "parameter_rights": _parameter_rights(version),
        "database_rights": _database_rights(),
    }


def database_queries(_version: int) -> dict[str, str]:
    """Questions that each database answers for itself, by probe."""
    return {
        "definers": _definers(),
        "languages": _languages(),
        "public_tables": _public_tables(),
        "owners": _owners(),
        "personal_tables": _personal_tables(),
    }


def _memberships() -> str:
    """Every role that a role is a member of, through others as well; and whether one of them is a superuser."""
    return f"""
WITH RECURSIVE reached AS (
  SELECT member, roleid FROM pg_auth_members
  UNION SELECT r.member, m.roleid FROM reached r JOIN pg_auth_members m ON m.member = r.roleid
)
SELECT r.rolname AS role, r.rolcanlogin AS login, r.rolsuper AS superuser,
  coalesce(bool_or(g.rolsuper), false) AS becomes_superuser,
  coalesce(json_agg(g.rolname ORDER BY g.rolname) FILTER (WHERE g.oid IS NOT NULL), '[]') AS reaches
FROM pg_roles r LEFT JOIN reached x ON x.member = r.oid LEFT JOIN pg_roles g ON g.oid = x.roleid
WHERE r.rolname !~ '^pg_' GROUP BY r.oid, r.rolname, r.rolcanlogin, r.rolsuper ORDER BY r.rolname LIMIT {LISTED + 1}
"""


def _role_settings() -> str:
    """What a role or a database sets for its own sessions, of a short list of names."""
    names = ",".join(f"'{name}'" for name in _OVERRIDES)
    return f"""
SELECT coalesce(r.rolname, '') AS role, coalesce(d.datname, '') AS database, split_part(c, '=', 1) AS name,
  substring(c FROM strpos(c, '=') + 1) AS value
FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) c LEFT JOIN pg_roles r ON r.oid = s.setrole
LEFT JOIN pg_database d ON d.oid = s.setdatabase
WHERE split_part(c, '=', 1) IN ({names}) ORDER BY 1, 2, 3 LIMIT {LISTED + 1}
"""


def _parameter_rights(version: int) -> str:
    """Settings that somebody besides superusers may change (from PostgreSQL 15 on they can be granted)."""
    if version < 150000:
        return "SELECT NULL::text AS parameter, NULL::text AS role, NULL::text AS right WHERE false"
    return f"""
SELECT p.parname AS parameter, coalesce(r.rolname, 'PUBLIC') AS role, x.privilege_type AS right
FROM pg_parameter_acl p CROSS JOIN LATERAL aclexplode(p.paracl) x LEFT JOIN pg_roles r ON r.oid = x.grantee
WHERE r.rolsuper IS NOT TRUE ORDER BY 1, 2, 3 LIMIT {LISTED + 1}
"""


def _database_rights() -> str:
    """Whose a database is, and what every role may do in it."""
    return f"""
SELECT d.datname AS database, pg_get_userbyid(d.datdba) AS owner, d.datistemplate AS template,
  (SELECT coalesce(json_agg(x.privilege_type ORDER BY x.privilege_type), '[]')
    FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x WHERE x.grantee = 0) AS public_rights
FROM pg_database d WHERE d.datallowconn ORDER BY d.datname LIMIT {LISTED + 1}
"""


def _definers() -> str:
    """Functions that run with their owner's rights. Without a search_path of their own a caller's objects run in them."""
    return f"""
SELECT n.nspname AS schema, p.proname AS function, r.rolname AS owner, r.rolsuper AS superuser,
  coalesce(p.proconfig::text ~ 'search_path=', false) AS search_path_set,
  EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
    WHERE x.grantee = 0 AND x.privilege_type = 'EXECUTE') AS public_may_execute
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
WHERE p.prosecdef AND {_USER_SCHEMA} AND NOT {_OF_EXTENSION.format("pg_proc", "p.oid")}
ORDER BY 1, 2 LIMIT {LISTED + 1}
"""


def _languages() -> str:
    """Languages whose functions may do what the server's account may do on the host."""
    return """
SELECT count(*) AS count, coalesce(json_agg(lanname ORDER BY lanname), '[]') AS names
FROM pg_language WHERE NOT lanpltrusted AND lanname NOT IN ('internal', 'c')
"""


def _public_tables() -> str:
    """Tables, views and sequences on which every role has a right."""
    return f"""
WITH found AS (
  SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relacl IS NOT NULL AND {_USER_SCHEMA}
    AND EXISTS (SELECT FROM aclexplode(c.relacl) x WHERE x.grantee = 0)
    AND NOT {_OF_EXTENSION.format("pg_class", "c.oid")}
)
SELECT (SELECT count(*) FROM found) AS count,
  (SELECT coalesce(json_agg(name), '[]') FROM (SELECT name FROM found ORDER BY name LIMIT {TOP}) few) AS names
"""


def _owners() -> str:
    """Whose the tables are: an owner may change and drop them, and switch their protection off."""
    return f"""
SELECT r.rolname AS role, r.rolcanlogin AS login, r.rolsuper AS superuser, count(*) AS tables
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
WHERE c.relkind IN ('r', 'p') AND {_USER_SCHEMA} AND NOT {_OF_EXTENSION.format("pg_class", "c.oid")}
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1 LIMIT {LISTED + 1}
"""


def _personal_tables() -> str:
    """Tables with columns that by their names hold personal data: names, types and readers, never what is in them."""
    return f"""
SELECT n.nspname AS schema, c.relname AS table, c.relrowsecurity AS row_security,
  json_agg(a.attname ORDER BY a.attnum) AS columns,
  coalesce(json_agg(a.attname ORDER BY a.attnum) FILTER (WHERE t.typname <> 'bytea'), '[]') AS clear_columns,
  (SELECT coalesce(json_agg(few.rolname), '[]') FROM (SELECT r.rolname FROM pg_roles r
    WHERE r.rolcanlogin AND NOT r.rolsuper AND has_any_column_privilege(r.oid, c.oid, 'SELECT')
    ORDER BY 1 LIMIT {LISTED}) few) AS readers
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition AND {_USER_SCHEMA} AND a.attname ~* '{_PERSONAL}'
  AND NOT {_OF_EXTENSION.format("pg_class", "c.oid")}
GROUP BY c.oid, 1, 2, 3 ORDER BY 1, 2 LIMIT {LISTED + 1}
"""
