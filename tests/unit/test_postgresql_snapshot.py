"""postgresql_snapshot: what may leave a database server, how answers are told apart, and what becomes of a refusal."""

from __future__ import annotations

import json
import re
import socket
import threading

import pytest
from ansible.module_utils import postgresql_reading as reading
from ansible.module_utils import postgresql_session as session
from ansible.module_utils import postgresql_shape as shape
from ansible.module_utils import postgresql_sql as sql
from hypothesis import given
from hypothesis import strategies as st

MARK = "f" * 32
VERSIONS = [120022, 130016, 140013, 150018, 160009, 170005]


def framed(name: str, text: str, state: str = "00000", message: str = "") -> str:
    return f"{MARK} begin {name}\n{text}\nTime: 1.500 ms\n{MARK} end {name} {state}\n{message}\n"


def connection(directory: str) -> session.Connection:
    return session.Connection(directory, 5432, "", 2, 5, 10)


def test_answers_are_told_apart_by_their_marks():
    output = framed("a", '[{"x": 1}]') + framed("b", "", "42501", "permission denied") + framed("c", "[]")
    answers = session.parse(output + f"{MARK} begin -\n", MARK)
    assert answers["a"] == session.Answer([{"x": 1}], None, 2)
    assert answers["b"].rows is None and "may not read it" in str(answers["b"].reason)
    assert answers["c"].rows == []


def test_an_answer_without_its_end_is_none():
    assert session.parse(f"{MARK} begin a\n[1]\n", MARK) == {}


def test_the_text_of_a_server_cannot_forge_an_end():
    forged = json.dumps([{"x": "\n0000 end a 00000\n"}])
    assert session.parse(framed("a", forged), MARK)["a"].rows == [{"x": "\n0000 end a 00000\n"}]


@pytest.mark.parametrize(
    "state, text", [("57014", "time limit"), ("55P03", "lock"), ("XX001", "XX001: page")]
)
def test_a_refusal_has_its_reason_in_one_line(state, text):
    reason = session.parse(framed("a", "", state, "page\n\x1b[31m damaged"), MARK)["a"].reason
    assert text in str(reason) and "\n" not in str(reason) and "\x1b" not in str(reason)


@given(st.text(max_size=300))
def test_whatever_a_server_sends_parsing_ends(text):
    session.parse(framed("a", text) + text, MARK)


def test_the_database_is_never_an_argument():
    arguments = session.command(connection("/run"))
    assert arguments == ["psql", "-XAtqw", "-h", "/run", "-p", "5432"]
    assert session._environment(connection("/run"), "host=evil")["PGDATABASE"] == "host=evil"


def test_every_session_is_read_only_and_limited_before_its_first_question():
    text = session.script({"a": "SELECT 1 AS x"}, MARK, 5)
    first = text.index("begin a")
    for setting in (
        "default_transaction_read_only = on",
        "statement_timeout = '5s'",
        "search_path = pg_catalog",
    ):
        assert 0 <= text.index(setting) < first


def test_a_socket_tells_whether_a_server_listens(tmp_path):
    assert session.listening(connection(str(tmp_path)))[0] is False
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / ".s.PGSQL.5432"))
        assert session.listening(connection(str(tmp_path)))[0] is False
        server.listen()
        assert session.listening(connection(str(tmp_path)))[0] is True


def answer(server: socket.socket, reply: bytes) -> None:
    client, _ = server.accept()
    with client:
        assert client.recv(8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
        client.sendall(reply)


@pytest.mark.parametrize(
    "reply, offered", [(b"N", {"offered": False}), (b"", {"offered": False}), (b"S", None)]
)
def test_whether_tls_is_there_is_asked_for(reply, offered):
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server, reply))
        thread.start()
        if offered is None:  # it says yes, and then there is nothing: no offer, and no guess
            with pytest.raises(OSError):
                session.tls_offer("127.0.0.1", server.getsockname()[1], 2)
        else:
            assert session.tls_offer("127.0.0.1", server.getsockname()[1], 2) == offered
        thread.join()


def test_ports_are_found_by_their_sockets(tmp_path):
    for name in (".s.PGSQL.5433", ".s.PGSQL.5432", ".s.PGSQL.5432.lock", "other"):
        (tmp_path / name).touch()
    assert reading.found_ports(str(tmp_path)) == [5432, 5433]
    assert reading.found_ports(str(tmp_path / "absent")) == []


# What may leave the server.


@pytest.mark.parametrize(
    "name, value, kind, shown",
    [
        ("archive_command", "pgbackrest --repo1-cipher-pass=X archive-push %p", "string", "pgbackrest"),
        ("restore_command", "'/opt/my tool/get' X", "string", "get"),
        ("archive_command", "broken 'quote X", "string", "broken"),
        ("primary_conninfo", "host=a password=X", "string", "(set)"),
        ("app.api_token", "X", "string", "(set)"),
        ("app.anything", "X", "string", "(set)"),
        ("log_line_prefix", "password=X", "string", "(set)"),
        ("ssl_passphrase_command", "echo X", "string", "echo"),
        ("archive_command", "", "string", ""),
        ("password_encryption", "scram-sha-256", "enum", "scram-sha-256"),
        ("log_line_prefix", "%m [%p] ", "string", "%m [%p] "),
        ("ssl_key_file", "/etc/ssl/private/db.key", "string", "/etc/ssl/private/db.key"),
        ("shared_preload_libraries", "passwordcheck", "string", "passwordcheck"),
        ("pgaudit.log", "ddl, ROLE,-misc", "string", "ddl, ROLE,-misc"),
        ("pgaudit.log", "HUNTER2", "string", "(set)"),
        ("pgaudit.role", "auditor", "string", "(set)"),
    ],
)
def test_settings_leave_without_secrets(name, value, kind, shown):
    assert shape.mask(name, value, kind) == shown


def test_settings_have_bytes_and_seconds():
    rows = [
        {"name": "shared_buffers", "value": "16384", "unit": "8kB", "type": "integer", "source": "default"},
        {"name": "checkpoint_timeout", "value": "300", "unit": "s", "type": "integer", "source": "default"},
        {"name": "wal_keep_size", "value": "-1", "unit": "MB", "type": "integer", "source": "default"},
    ]
    found = shape.settings(rows)
    assert found["shared_buffers"]["bytes"] == 128 << 20
    assert found["checkpoint_timeout"]["seconds"] == 300
    assert "bytes" not in found["wal_keep_size"]


@pytest.mark.parametrize(
    "text, shown",
    [
        ("select * from p where name = '张三'", "select * from p where name = ?"),
        ("select 1 -- 张三\n from p", "select ? from p"),
        ("select /* 张三 */ a from p", "select a from p"),
        ("select /* 张三", "select"),
        ("select $1, $2::text, 'it''s 张三' from p2", "select $1, $2::text, ? from p2"),
        ("select $$张三$$, $t$张三$t$, $t$张三", "select ?, ?, ?"),
        ("select E'张\\'三', 'x'", "select E"),
        ("select 'C:\\', '张三'", "select"),
        ("select '张三", "select ?"),
        ('select "a\'b" from p where id = 110101199001011234', 'select "a\'b" from p where id = ?'),
        ("select 1.5e3, 0x1F", "select ?, ?"),
    ],
)
def test_statements_leave_without_what_was_typed(text, shown):
    assert shape.statement(text) == shown


@given(st.text(alphabet="ab'\"$/*-\\\n张 1", max_size=60))
def test_no_quoted_text_survives(text):
    assert "张" not in shape.statement("select '" + text.replace("'", "''").replace("\\", "") + "'")


def test_statements_are_cut():
    assert len(shape.statement("select " + "a, " * 1000)) == shape.STATEMENT_LENGTH


@pytest.mark.parametrize("word, shown", [("SELECT", "SELECT"), ("ZHANGSAN", "OTHER"), ("", ""), (None, "")])
def test_of_a_running_statement_only_a_keyword_leaves(word, shown):
    assert shape.keyword(word) == shown


def test_how_a_password_is_kept_is_known_or_absent():
    rows = [{"role": "a"}, {"role": "b"}]
    assert shape.roles(rows, [{"role": "a", "password": "md5"}])[0]["password"] == "md5"
    assert all("password" not in row for row in shape.roles(rows, None))


INFO = [
    {
        "name": "main",
        "status": {"code": 0, "message": "ok"},
        "cipher": "none",
        "archive": [{"min": "01", "max": "02"}],
        "backup": [
            {"label": "20261101F", "type": "full", "timestamp": {"start": 100, "stop": 160}, "error": True},
            {
                "label": "20261101F_I",
                "type": "incr",
                "timestamp": {"start": 200, "stop": 230},
                "info": {"size": 5, "repository": {"delta": 2}},
            },
        ],
    }
]


def test_backups_by_stanza():
    (row,) = shape.backups(INFO)
    assert row["last_kind"] == "incr" and row["last_finished"] == "1970-01-01T00:03:50Z"
    assert row["last_full_finished"] == "1970-01-01T00:02:40Z" and row["backups_with_errors"] == ["20261101F"]
    assert (row["last_size_bytes"], row["last_repository_bytes"], row["last_duration_seconds"]) == (5, 2, 30)


def test_a_stanza_without_a_backup_has_no_date():
    (row,) = shape.backups([{"name": "main", "status": {"code": 2, "message": "no valid backups"}}])
    assert row["last_finished"] is None and row["backups"] == 0


def test_the_stanzas_of_a_configuration_are_known_even_when_the_repository_has_lost_them():
    text = "[global]\nrepo1-host=b\n[global:archive-push]\ncompress-level=3\n\n[dialysis]\npg1-path=/x\n[lis:backup]\n"
    assert reading.configured_stanzas(text) == ["dialysis", "lis"]
    assert reading.configured_stanzas("") == []


# Questions.


@pytest.mark.parametrize("version", VERSIONS)
def test_every_question_only_reads_and_lets_psql_substitute_nothing(version):
    questions = {**sql.cluster_queries(version), **sql.database_queries(version), "identity": sql.IDENTITY}
    for name, text in questions.items():
        assert re.match(r"\s*(SELECT|WITH) ", text), name
        assert ";" not in text, name
        plain = text.replace("::", "")
        assert not re.search(r":['\"]?[A-Za-z_]", re.sub(r"'[^']*'", "", plain)), name
        assert (
            not re.search(r"\b(INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|rolpassword AS)\b", text)
            or name == "schema_rights"
        )


@pytest.mark.parametrize(
    "version, probe, present, absent",
    [
        (120022, "slots", "restart_lsn", "wal_status"),
        (130016, "slots", "wal_status", "waitstart"),
        (130016, "locks", "state_change", "waitstart"),
        (140013, "locks", "waitstart", "nothing"),
        (130016, "wal", "pg_ls_waldir", "pg_stat_wal "),
        (140013, "wal", "pg_stat_wal ", "nothing"),
        (160009, "checkpoints", "pg_stat_bgwriter", "pg_stat_checkpointer"),
        (170005, "checkpoints", "pg_stat_checkpointer", "pg_stat_bgwriter"),
        (150018, "hba", "line_number AS rule", "file_name"),
        (160009, "hba", "rule_number AS rule", "nothing"),
        (140013, "databases", "NULL::text AS collation_version", "datcollversion"),
        (150018, "databases", "datcollversion", "NULL::text AS collation_version"),
    ],
)
def test_questions_fit_the_version(version, probe, present, absent):
    text = sql.cluster_queries(version)[probe]
    assert present in text and absent not in text


# Refusals.


def test_a_dead_server_makes_every_probe_unknown_with_the_reason(tmp_path):
    options = reading.Options([5432], str(tmp_path), "", "postgres", [], False, 1, 5, 10)
    result = reading.read(options)
    states = result.states()
    data = result.data()
    del data["passwords"]  # of the host, which is there
    assert data == {
        "clusters": {"rows": [{"cluster": "5432", "socket_directory": str(tmp_path), "listens": False}]}
    }
    assert set(sql.database_queries(0)) < set(states)
    del states["clusters"], states["passwords"]
    for state in states.values():
        assert state["state"] == "unknown" and "no server listens" in state["reason"]


def test_a_server_that_refused_keeps_its_place():
    result = reading.Reading()
    result.add("wal", {"cluster": "5432"}, [{"files": 2}])
    result.add("wal", {"cluster": "5433"}, None, "refused")
    assert result.states()["wal"] == {"state": "ok", "ms": 0, "unread": {"5433": "refused"}}
    assert result.data()["wal"] == {"rows": [{"cluster": "5432", "files": 2}, {"cluster": "5433"}]}


def test_a_list_that_was_cut_says_so():
    result = reading.Reading()
    result.add("roles", {"cluster": "5432"}, [{"role": "x" * 2000}] * (sql.LISTED + 1))
    data = result.data()["roles"]
    assert data["rows_truncated"] is True and len(data["rows"]) == sql.LISTED
    assert len(data["rows"][0]["role"]) == shape.TEXT_LENGTH
