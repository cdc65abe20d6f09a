"""Which indexes are built again, and that a version is noted only behind all of them."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.database_query import DatabaseError

from lab.plan import REPOSITORY

ASKED = {"port": 5432, "account": "postgres", "jobs": 2}
STATE: dict[str, Any] = {
    "name": '"Dialysis"',
    "was": "2.36",
    "is": "2.41",
    "collations": ['public."zh-x"'],
    "indexes": ["public.names", "public.codes"],
}


@pytest.fixture
def module() -> ModuleType:
    """library/database_reindex.py."""
    spec = importlib.util.spec_from_file_location("reindex", REPOSITORY / "library" / "database_reindex.py")
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"collations": []}, True),
        ({"was": "2.41"}, True),  # a collation of its own differs
        ({"was": "2.41", "collations": []}, False),
        ({"was": None, "is": "2.41", "collations": []}, False),  # sorts by bytes, or has no version
        ({"is": None, "collations": []}, True),  # this machine cannot tell: built rather than trusted
    ],
)
def test_a_database_is_built_where_a_version_differs(
    module: ModuleType, changes: dict[str, Any], expected: bool
) -> None:
    assert module.differs({**STATE, **changes}) is expected


def test_the_versions_are_noted_behind_the_last_index(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(module, "psql", lambda _port, lines, *_more, **_options: said.append(lines[-1]))
    module.build(ASKED, "Dialysis", STATE)
    assert sorted(said[:2]) == ["reindex index public.codes", "reindex index public.names"]
    assert said[2:] == ['alter database "Dialysis" refresh collation version']


def test_an_index_that_cannot_be_built_is_named_and_no_version_noted(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def psql(_port: int, lines: list[str], *_more: object, **_options: object) -> str:
        said.append(lines[-1])
        if lines[-1].endswith("codes"):
            raise DatabaseError("ERROR: 23505")
        return ""

    monkeypatch.setattr(module, "psql", psql)
    with pytest.raises(DatabaseError, match=r"Dialysis public\.codes: ERROR: 23505"):
        module.build(ASKED, "Dialysis", STATE)
    assert not any(line.startswith("alter") for line in said)
