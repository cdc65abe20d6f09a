"""Digests are of one point or of none, and what could not be read is never equal."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from ansible.module_utils import database_digest as digest
from ansible.module_utils.database_query import DatabaseError

LIMITS = digest.Limits(1, 5, 5)


class Server:
    """A server whose transactions end when the test says so, as sessions see it."""

    def __init__(self, *sees: str) -> None:
        self.sees = list(sees)
        self.sent: list[str] = []

    def send(self, statements: str) -> None:
        self.sent.append(statements)

    def answer(self) -> Any:
        if "restore_point" in self.sent[-1] or "null::pg_lsn" in self.sent[-1]:
            return {"lsn": "0/1", "time": "now"}
        return {"id": "00000003-1", "sees": self.sees.pop(0)}

    def ask(self, statement: str) -> Any:
        self.sent.append(statement)
        return "000000010000000000000005" if "switch" in statement else self.sees.pop(0)


def table(**more: Any) -> dict[str, Any]:
    return {
        "database": "d",
        "table": "t",
        "state": "ok",
        "reason": "",
        "rows": 1,
        "digest": "1:2",
        **more,
    }


def result(*tables: dict[str, Any], method: str = "record") -> dict[str, Any]:
    return {"method": method, "tables": list(tables)}


def test_a_commit_between_snapshot_and_restore_point_makes_another_attempt() -> None:
    holder = Server("7:7:", "8:8:")
    observer = Server("8:8:", "8:8:")
    point = digest.take_point([holder], observer, "drill")  # type: ignore[list-item,arg-type]
    assert (point["attempts"], point["sees"]) == (2, "8:8:")
    assert len(set(re.findall("drill-[0-9a-f]{12}", " ".join(observer.sent)))) == 2  # no name is used twice
    assert "rollback;" in holder.sent
    assert point["closed_segment"] == "000000010000000000000005"


@pytest.mark.parametrize(("idle", "attempts"), [("8:8:", 2), ("7:8:7", 3)])
def test_a_point_with_nothing_under_way_is_looked_for_first(
    monkeypatch: pytest.MonkeyPatch, idle: str, attempts: int
) -> None:
    monkeypatch.setattr(digest, "_ATTEMPTS", 4)
    seen = ("7:8:7", idle, "7:8:7")
    point = digest.take_point([Server(*seen)], Server(*seen), "drill")  # type: ignore[list-item,arg-type]
    assert point["attempts"] == attempts


def test_snapshots_of_two_databases_must_see_the_same() -> None:
    point = digest.take_point(
        [Server("7:7:", "8:8:"), Server("8:8:", "8:8:")],  # type: ignore[list-item]
        Server("8:8:", "8:8:"),  # type: ignore[arg-type]
        "",
    )
    assert point["attempts"] == 2


def test_without_a_label_nothing_is_written() -> None:
    observer = Server("8:8:")
    digest.take_point([Server("8:8:")], observer, "")  # type: ignore[list-item,arg-type]
    assert not [one for one in observer.sent if "restore_point" in one or "switch" in one]


def test_a_point_that_never_comes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_ATTEMPTS", 2)
    with pytest.raises(DatabaseError, match="in 2 attempts"):
        digest.take_point([Server("1:1:", "2:2:")], Server("2:2:", "3:3:"), "x")  # type: ignore[list-item,arg-type]


@pytest.mark.parametrize(
    ("here", "there", "verdict"),
    [
        (table(), table(), "equal"),
        (table(), table(digest="1:3"), "different"),
        (table(), table(rows=2), "different"),
        (table(rows=0, digest="0:0"), table(rows=2, digest="0:0"), "different"),  # rows of NULLs hash to 0
        (table(state="unknown", reason="55P03"), table(), "unknown"),
        (table(state="unknown", reason="55P03"), table(state="unknown", reason="55P03"), "unknown"),
        (table(state="excluded", reason="unlogged"), table(state="excluded", reason="unlogged"), "excluded"),
        (table(state="excluded", reason="unlogged"), table(), "unknown"),
    ],
)
def test_two_tables_are_equal_only_when_both_were_read(here: Any, there: Any, verdict: str) -> None:
    assert [one["verdict"] for one in digest.compare(result(here), result(there))] == [verdict]


def test_a_table_of_one_side_only_is_missing_or_extra() -> None:
    assert digest.compare(result(table()), result())[0]["verdict"] == "missing"
    assert digest.compare(result(), result(table()))[0]["verdict"] == "extra"


def test_digests_of_two_methods_prove_nothing() -> None:
    assert digest.compare(result(table()), result(table(), method="sha256"))[0]["verdict"] == "unknown"


@pytest.mark.parametrize(
    ("kind", "persistence", "said"),
    [
        ("r", "p", None),
        ("m", "p", None),
        ("f", "p", "foreign"),
        ("S", "p", "sequence"),
        ("r", "u", "unlogged"),
    ],
)
def test_what_a_restore_does_not_bring_back_says_why(kind: str, persistence: str, said: str | None) -> None:
    reason = digest.why_not({"kind": kind, "persistence": persistence})
    assert reason is None if said is None else said in str(reason)


def test_a_column_without_a_hash_is_hashed_by_its_text() -> None:
    columns = [{"name": "a", "hashes": True}, {"name": '"列 ""b"', "hashes": False}]
    query = digest.digest_query('public."表"', columns, "record")
    assert 'row(t.a, t."列 ""b"::text)' in query
    assert 'from only public."表" t' in query


@pytest.mark.parametrize("hashes", [["1", "2"], list(reversed(digest.KNOWN_HASHES))])
def test_a_server_with_other_hashes_is_digested_by_text(hashes: list[str]) -> None:
    assert digest.choose_method(Server(True, hashes), "record") == "sha256"  # type: ignore[arg-type]


def test_a_server_with_the_known_hashes_is_digested_by_them() -> None:
    assert digest.choose_method(Server(True, digest.KNOWN_HASHES), "record") == "record"  # type: ignore[arg-type]


def test_the_hidden_transactions_of_a_snapshot_are_asked_for() -> None:
    query = digest.unseen_query("740:760:742,751")
    assert "array[742,751]" in query
    assert "generate_series(760," in query


@pytest.mark.parametrize("sees", ["", "1:2", "1:2:3,", "1:2:x", "1:2:;drop", "1:2:\n"])
def test_what_is_no_snapshot_is_refused(sees: str) -> None:
    with pytest.raises(DatabaseError):
        digest.unseen_query(sees)


def test_a_failed_digest_is_unknown_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise DatabaseError("ERROR: 55P03")

    monkeypatch.setattr(digest, "Session", refuse)
    asked = {"name": "t", "kind": "r", "persistence": "p", "columns": []}
    answer = digest.digest_table(5432, "postgres", "d", "1", asked, "record", LIMITS)
    assert (answer["state"], answer["reason"], answer["digest"]) == ("unknown", "ERROR: 55P03", None)
    assert json.dumps(answer)
