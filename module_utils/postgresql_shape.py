"""From answers to data: units, caps, and what may never leave the server taken out. Pure."""

from __future__ import annotations

import os
import re
import shlex
import time
from typing import Any, Dict, List

TEXT_LENGTH = 500
STATEMENT_LENGTH = 200
_SECRET = re.compile(r"passw|secret|token|credential|conninfo|(^|_)key($|_)|private", re.IGNORECASE)
_COMMAND = re.compile(r"_command$")
# Files and libraries, whose names may sound like secrets: where a key lies, passwordcheck.
_PATHS = frozenset(
    ["local_preload_libraries", "session_preload_libraries", "shared_preload_libraries", "ssl_key_file"]
)
_MODES = frozenset(["data_directory_mode", "log_file_mode", "unix_socket_permissions"])
# Customised options that may be shown, because every word of theirs is one of these.
_WORDS = {
    "pgaudit.log": re.compile(
        r"(?i)\s*(-?(all|ddl|function|misc|misc_set|none|read|role|write)\s*(,\s*|$))*"
    ),
}
_DURATION = re.compile(r"'?\s*(\d+)\s*(us|ms|s|min|h|d)?\s*'?")
_BYTES = {
    "B": 1,
    "kB": 1024,
    "8kB": 8192,
    "16kB": 16384,
    "32kB": 32768,
    "MB": 1 << 20,
    "16MB": 16 << 20,
    "GB": 1 << 30,
}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400}
_SQL = """
ALTER ANALYZE BEGIN CALL CLUSTER COMMIT COPY CREATE DECLARE DELETE DO DROP EXECUTE EXPLAIN FETCH GRANT
INSERT LOCK MERGE PREPARE REFRESH REINDEX RESET REVOKE ROLLBACK SAVEPOINT SELECT SET SHOW START TRUNCATE
UPDATE VACUUM WITH
"""
_KEYWORDS = frozenset(_SQL.split())
# Comments, texts in quotes (also E'', U&'' and dollar quotes) and numbers, in the order in which SQL reads them.
_LITERAL = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?(?:\*/|$) )
  | (?P<name> "(?:[^"]|"")*" )
  | (?P<text> (?:\b[EeBbXxNn]|\b[Uu]&)?'(?:[^'\\]|''|\\.)*(?:'|$) )
  | (?P<dollar> \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|$) )
  | (?P<parameter> \$\d+ )
  | (?P<number> (?<![\w$])\d[\w.]* )
""",
    re.VERBOSE | re.DOTALL,
)


def settings(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Settings by name: value, source, whether it waits for a restart, and bytes or seconds where it has a unit."""
    found: Dict[str, Dict[str, Any]] = {}
    for row in rows:
        name, value, unit = str(row["name"]), str(row["value"]), row.get("unit")
        shown = {"value": mask(name, value, str(row.get("type"))), "source": row.get("source")}
        shown["pending_restart"] = bool(row.get("pending_restart"))
        if unit in _BYTES and re.fullmatch(r"\d+", value):
            shown["bytes"] = int(value) * _BYTES[unit]
        elif unit in _SECONDS and re.fullmatch(r"[\d.]+", value):
            shown["seconds"] = float(value) * _SECONDS[unit]
        if name in _MODES and value.isdigit():
            shown["mode"] = "%04o" % int(value)
        found[name] = shown
    return found


def mask(name: str, value: str, kind: str = "string") -> str:
    """A setting's value as it may leave the server: of a command its program, of a secret only that it is set."""
    if not value or kind != "string":
        return value[:TEXT_LENGTH]
    if _COMMAND.search(name):
        return program(value)
    if name in _PATHS or (name in _WORDS and _WORDS[name].fullmatch(value)):
        return value[:TEXT_LENGTH]
    if _SECRET.search(name) or _SECRET.search(value) or "." in name:
        return "(set)"  # a customised option belongs to an extension or an application, and may be anything
    return value[:TEXT_LENGTH]


def program(command: str) -> str:
    """The name of the program that a command line starts, without its arguments."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    return os.path.basename(words[0])[:60] if words else "(set)"


def statement(text: str) -> str:
    """A statement without comments, texts and numbers, on one line, cut."""
    if (
        "\\" in text
    ):  # whether a backslash hides a quote is the server's setting: keep nothing behind the first one
        text = text.partition("'")[0]

    def replace(match: re.Match[str]) -> str:
        if match.lastgroup in ("name", "parameter"):
            return match.group()
        return " " if match.lastgroup == "comment" else "?"

    plain = _LITERAL.sub(replace, text)
    line = " ".join(plain.split())
    return line if len(line) <= STATEMENT_LENGTH else line[: STATEMENT_LENGTH - 1] + "…"


def keyword(word: Any) -> str:
    """The first word of a statement, if it is one of SQL's."""
    return word if word in _KEYWORDS else "OTHER" if word else ""


def clean(value: Any) -> Any:
    """A value with its texts cut."""
    if isinstance(value, str):
        return value if len(value) <= TEXT_LENGTH else value[: TEXT_LENGTH - 1] + "…"
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


def statements(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The costliest statements, with their texts made harmless."""
    return [dict(row, text=statement(str(row.get("text") or ""))) for row in rows]


def activities(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sessions, each with a keyword in the place of its statement."""
    return [dict(row, keyword=keyword(row.get("keyword"))) for row in rows]


def roles(rows: list[dict[str, Any]], passwords: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Roles, with how each password is kept where that may be read."""
    if passwords is None:
        return rows
    kinds = {row["role"]: row["password"] for row in passwords}
    return [dict(row, password=kinds.get(row["role"], "none")) for row in rows]


def role_settings(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What roles and databases set for their sessions; a time limit (in ms, or with a unit) has seconds too."""
    found = []
    for row in rows:
        name, value = str(row["name"]), str(row["value"])
        shown = dict(row, value=mask(name, value))
        duration = _DURATION.fullmatch(value)
        if name.endswith("_timeout") and duration:
            shown["seconds"] = int(duration.group(1)) * _SECONDS[duration.group(2) or "ms"]
        found.append(shown)
    return found


def backups(stanzas: Any) -> list[dict[str, Any]]:
    """What `pgbackrest info --output=json` says, a row a stanza."""
    found: List[Dict[str, Any]] = []
    for stanza in stanzas if isinstance(stanzas, list) else []:
        made = [item for item in stanza.get("backup", []) if isinstance(item, dict)]
        newest = max(made, key=_stopped, default=None)
        full = max((item for item in made if item.get("type") == "full"), key=_stopped, default=None)
        archive = (stanza.get("archive") or [{}])[-1]
        status = stanza.get("status") or {}
        found.append(
            {
                "stanza": str(stanza.get("name", "")),
                "status_code": status.get("code"),
                "status": str(status.get("message", "")),
                "backups": len(made),
                "full_backups": sum(1 for item in made if item.get("type") == "full"),
                "backups_with_errors": [str(item.get("label")) for item in made if item.get("error")][:20],
                "last_label": str(newest.get("label")) if newest else None,
                "last_kind": str(newest.get("type")) if newest else None,
                "last_finished": _instant(_stopped(newest)) if newest else None,
                "last_duration_seconds": _stopped(newest) - _started(newest) if newest else None,
                "last_size_bytes": _size(newest),
                "last_repository_bytes": _repository_size(newest),
                "last_full_finished": _instant(_stopped(full)) if full else None,
                "archive_first": archive.get("min"),
                "archive_last": archive.get("max"),
                "encrypted": stanza.get("cipher", "none") != "none",
            }
        )
    return found


def _instant(epoch: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


def _stopped(backup: dict[str, Any]) -> int:
    return int((backup.get("timestamp") or {}).get("stop") or 0)


def _started(backup: dict[str, Any]) -> int:
    return int((backup.get("timestamp") or {}).get("start") or 0)


def _size(backup: dict[str, Any] | None) -> int | None:
    return ((backup or {}).get("info") or {}).get("size")


def _repository_size(backup: dict[str, Any] | None) -> int | None:
    repository = ((backup or {}).get("info") or {}).get("repository") or {}
    return repository.get("size", repository.get("delta"))
