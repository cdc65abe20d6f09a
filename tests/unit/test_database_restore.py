"""A whole database of an earlier moment: its names, and what may be exchanged."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils import database_restore as restores
from ansible.module_utils.table_restore import MARK, TableError

NAMES = restores.names_of("dialysis", "2026-11-23 02:10:00+08:00")
SOUND = {"said": restores.SOUND + "x", "open": True, "bytes": 1}
LIVE = {"said": "", "open": True, "bytes": 1}


def test_the_names_hold_the_instant_as_it_was_written() -> None:
    assert NAMES == ("dialysis", "dialysis_restored_20261123021000", "dialysis_before_20261123021000")


@pytest.mark.parametrize("name", ["", "postgres", "template1", "x" * 50])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(TableError):
        restores.names_of(name, "2026-11-23 02:10:00+08:00")


def test_a_name_with_quotes_stays_one_name() -> None:
    assert restores.quoted('a"; drop') == '"a""; drop"'


class Server:
    """What would be said to a server with these databases."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, there: dict[str, Any]) -> None:
        self.said: list[str] = []
        monkeypatch.setattr(restores, "look", lambda *_: there)
        monkeypatch.setattr(restores, "one_object", lambda *_: False)
        monkeypatch.setattr(
            restores, "psql", lambda _port, statements, *_, **__: self.said.extend(statements)
        )


@pytest.mark.parametrize(
    ("there", "answer"),
    [
        ({"dialysis": LIVE}, (False, False)),
        ({"dialysis": LIVE, NAMES.side: {**LIVE, "said": MARK}}, (False, True)),
        ({"dialysis": LIVE, NAMES.side: SOUND}, (True, False)),
        ({"dialysis": SOUND, NAMES.before: LIVE}, (True, False)),
    ],
)
def test_what_is_there_is_known(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, Any], answer: tuple[bool, bool]
) -> None:
    Server(monkeypatch, there)
    assert restores.check(5432, "postgres", NAMES) == answer


@pytest.mark.parametrize(
    "there", [{}, {"dialysis": LIVE, NAMES.side: LIVE}, {"dialysis": LIVE, NAMES.before: LIVE}]
)
def test_what_somebody_else_has_made_is_refused(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, Any]
) -> None:
    Server(monkeypatch, there)
    with pytest.raises(TableError):
        restores.check(5432, "postgres", NAMES)


@pytest.mark.parametrize(
    "there", [{"dialysis": LIVE}, {"dialysis": LIVE, NAMES.side: {**LIVE, "said": MARK}}]
)
def test_only_a_proven_one_takes_the_place(monkeypatch: pytest.MonkeyPatch, there: dict[str, Any]) -> None:
    server = Server(monkeypatch, there)
    with pytest.raises(TableError, match="there is no proven"):
        restores.exchange(5432, "postgres", NAMES)
    assert server.said == []


def test_both_names_change_in_one_transaction_and_only_then_the_former_one_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(monkeypatch, {"dialysis": LIVE, NAMES.side: SOUND})
    assert restores.exchange(5432, "postgres", NAMES)
    start = server.said.index("begin")
    assert server.said[start : start + 4] == [
        "begin",
        f'alter database "dialysis" rename to "{NAMES.before}"',
        f'alter database "{NAMES.side}" rename to "dialysis"',
        "commit",
    ]
    assert server.said[-1] == f'alter database "{NAMES.before}" allow_connections false'


def test_a_way_back_that_was_gone_already_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch, {"dialysis": LIVE, NAMES.side: SOUND})
    assert not restores.take_back(5432, "postgres", NAMES)
    assert server.said == []


@pytest.mark.parametrize(("count", "verdict"), [("812", "pass"), ("", "unknown"), ("None", "unknown")])
def test_what_the_restored_one_has_not_is_counted_or_unknown(count: str, verdict: str) -> None:
    since = {"transactions": count, "lsn": "0/9000028"}
    told = restores.lost(since, {"lsn": "0/8000060"}, NAMES, zh=False)
    assert (told["verdict"], "812" in told["actual"]) == (verdict, count == "812")
    assert "LSN 0/8000060 - 0/9000028" in told["actual"]
