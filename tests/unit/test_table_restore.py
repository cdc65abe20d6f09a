"""Tables that come back beside the live ones: what is asked for is checked, and only what is equal is called so."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils import table_restore as restores

from maintenance.record import Finding

EQUAL = {"database": "dialysis", "table": "old.sessions", "rows": 7, "verdict": "equal", "reason": ""}
SEQUENCE = {
    "database": "dialysis",
    "table": "old.s_id_seq",
    "rows": None,
    "verdict": "excluded",
    "reason": "sequence",
}
OTHER = {**EQUAL, "table": "old.orders", "verdict": "different", "reason": "7 and 8 rows"}


def test_tables_are_read_by_database_and_each_once() -> None:
    given = ["dialysis.public.sessions", "lab.x.Y z", "dialysis.public.sessions", "dialysis.public.orders"]
    assert restores.parsed(given) == {
        "dialysis": [("public", "sessions"), ("public", "orders")],
        "lab": [("x", "Y z")],
    }


@pytest.mark.parametrize("given", [["sessions"], ["public.sessions"], ["a.b.c.d"], ["a..b"], []])
def test_what_is_no_table_is_refused(given: list[str]) -> None:
    with pytest.raises(restores.TableError):
        restores.parsed(given)


@pytest.mark.parametrize("name", ["Old", "old data", "old;drop", "1old", "", "o" * 60, 'a"b'])
def test_a_schema_that_could_not_stand_in_a_statement_is_refused(name: str) -> None:
    with pytest.raises(restores.TableError):
        restores.check_schema(name)


@pytest.mark.parametrize(
    ("compared", "proven"),
    [([EQUAL, SEQUENCE], True), ([EQUAL, OTHER], False), ([SEQUENCE], False), ([], False)],
)
def test_only_tables_that_are_equal_are_proven(compared: list[dict[str, Any]], proven: bool) -> None:
    assert restores.proven(compared) is proven
    told = restores.findings(compared, "old", {"trigger": 1}, {"lsn": "0/1"}, zh=False)
    first = next(Finding.model_validate(one) for one in told)
    assert (first.id, first.verdict) == ("RST-ROW-01", "pass" if proven else "fail")


def test_what_differs_and_what_did_not_come_is_told() -> None:
    told = restores.findings([EQUAL, OTHER], "old", {"trigger": 1, "foreign key": 2}, {}, zh=False)
    by = {one["id"]: one for one in told}
    assert "old.orders: different, 7 and 8 rows" in by["RST-ROW-01"]["actual"]
    assert by["RST-LFT-01"]["actual"] == "foreign key 2, trigger 1"
    assert by["RST-TGT-01"]["verdict"] == "unknown"
