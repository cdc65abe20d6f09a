"""Questions put to a PostgreSQL server through psql, one process a database, and their answers.

psql is on every database server, needs no Python package, and says of each question how it ended (SQLSTATE) whatever
the language of the server's messages.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import ssl
import struct
import subprocess
from typing import Any, Dict, NamedTuple, Optional

OUTPUT_LIMIT = 8 << 20
REASON_LENGTH = 200
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f]+")
_REASONS = {
    "42501": "the login may not read it",
    "55P03": "a lock was not had in time",
    "57014": "the statement's time limit was reached",
    "22021": "the text is not in the server's encoding",
    "53300": "too many connections",
}


class SessionError(Exception):
    """No session: the reason, in one line."""


class Connection(NamedTuple):
    """How to reach one server."""

    directory: str
    port: int
    login: str
    connect_timeout: int
    statement_timeout: int
    timeout: int


class Answer(NamedTuple):
    """Rows, or why there are none."""

    rows: Any
    reason: Optional[str]
    ms: int


def listening(connection: Connection) -> tuple[bool | None, str]:
    """Whether a server listens on the socket; None when that cannot be told, with the reason."""
    path = os.path.join(connection.directory, f".s.PGSQL.{connection.port}")
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(connection.connect_timeout)
            client.connect(path)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        return False, f"no server listens on {path}: {error.strerror}"
    except OSError as error:
        return None, f"{path}: {error.strerror or error}"
    return True, ""


def tls_offer(address: str, port: int, timeout: int) -> dict[str, Any]:
    """What a server answers to who asks for TLS; raises OSError. A setting says what was wanted, this what is there.

    The handshake is finished and taken leave of in order: so the server has nothing to complain about in its log.
    """
    with socket.create_connection((address, port), timeout) as plain:
        plain.sendall(struct.pack("!ii", 8, 80877103))
        if plain.recv(1) != b"S":
            return {"offered": False}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # whether there is TLS, not whose; no secret follows
        with context.wrap_socket(plain) as client:
            offer = {"offered": True, "protocol": client.version()}
            with contextlib.suppress(OSError):
                client.unwrap()
            return offer


def ask(connection: Connection, database: str, questions: dict[str, str]) -> dict[str, Answer]:
    """Answers to questions in one psql session; raises SessionError when there is none."""
    mark = secrets.token_hex(16)  # what a server sends cannot look like the end of an answer
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    environment.update(_environment(connection, database))
    try:
        done = subprocess.run(
            command(connection),
            input=script(questions, mark, connection.statement_timeout).encode(),
            env=environment,
            capture_output=True,
            timeout=connection.timeout,
            check=False,
        )
    except FileNotFoundError:
        raise SessionError("psql is not installed") from None
    except OSError as error:
        raise SessionError(f"psql: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise SessionError(f"no answer within {connection.timeout} s") from None
    if len(done.stdout) > OUTPUT_LIMIT:
        raise SessionError(f"the answer is larger than {OUTPUT_LIMIT >> 20} MiB")
    answers = parse(done.stdout.decode("utf-8", errors="replace"), mark)
    if not answers:
        raise SessionError(_last_line(done.stderr) or f"psql ended with code {done.returncode}")
    lost = Answer(None, "the connection was lost", 0)
    return {name: answers.get(name, lost) for name in questions}


def command(connection: Connection) -> list[str]:
    """psql's argument list. The database is in the environment: as an argument its name could be a connection string."""
    arguments = ["psql", "-XAtqw", "-h", connection.directory, "-p", str(connection.port)]
    return arguments + (["-U", connection.login] if connection.login else [])


def _environment(connection: Connection, database: str) -> dict[str, str]:
    return {
        "LC_ALL": "C",
        "PGAPPNAME": "postgresql_snapshot",
        "PGCLIENTENCODING": "UTF8",
        "PGCONNECT_TIMEOUT": str(connection.connect_timeout),
        "PGDATABASE": database,
    }


def _session(statement_timeout: int) -> dict[str, str]:
    """What a session sets for itself, by SET: given at the start they would hide the server's own settings."""
    return {
        "default_transaction_read_only": "on",
        "statement_timeout": f"'{statement_timeout}s'",
        "lock_timeout": f"'{min(statement_timeout, 2)}s'",
        "search_path": "pg_catalog",  # nobody's function is called in the place of a stock one
        "client_min_messages": "error",
        "jit": "off",
        "timezone": "'UTC'",
    }


def script(questions: dict[str, str], mark: str, statement_timeout: int = 15) -> str:
    """What psql reads: each question between two marks, with how it ended. A text that ends itself is left as it is."""
    parts = [f"SET {name} = {value};" for name, value in _session(statement_timeout).items()] + [
        "\\timing on"
    ]
    for name, sql in questions.items():
        text = sql.strip()
        if not text.endswith("\\endif"):
            text = f"SELECT coalesce(json_agg(q), '[]') FROM ({text}) q;"  # noqa: S608  (our own questions)
        parts += [
            f"\\echo {mark} begin {name}",
            text,
            f"\\echo {mark} end {name} :SQLSTATE",
            "\\echo :LAST_ERROR_MESSAGE",
        ]
    return "\n".join([*parts, f"\\echo {mark} begin -"]) + "\n"


def parse(output: str, mark: str) -> dict[str, Answer]:
    """Answers by name; a question whose end is missing has none."""
    answers: Dict[str, Answer] = {}
    for part in output.split(f"{mark} begin ")[1:]:
        name, _, rest = part.partition("\n")
        text, ended, state = rest.partition(f"{mark} end {name} ")
        if ended:
            answers[name] = _answer(text, state)
    return answers


def _answer(text: str, state: str) -> Answer:
    times = re.findall(r"^Time: ([\d.]+) ms", text, flags=re.MULTILINE)
    ms = round(sum(float(time) for time in times))
    code, _, message = state.partition("\n")
    # The last statement's own state; an error before it leaves no rows, which is an error as well.
    lines = [line for line in text.split("\n") if line and not line.startswith("Time: ")]
    if code.strip() != "00000":
        known = _REASONS.get(code.strip())
        return Answer(
            None,
            f"{known} (SQLSTATE {code.strip()})" if known else f"SQLSTATE {code.strip()}: {_clean(message)}",
            ms,
        )
    try:
        return Answer(json.loads("\n".join(lines)), None, ms)
    except ValueError:
        return Answer(None, "the answer is not JSON", ms)


def _clean(text: str) -> str:
    return _INVISIBLE.sub(" ", text).strip()[:REASON_LENGTH]


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", errors="replace").strip().splitlines()
    return _clean(re.sub("^psql: (error: )?", "", lines[-1])) if lines else ""
