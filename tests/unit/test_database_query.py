"""Statements are made of checked names and quoted texts, and reach psql by its input."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from ansible.module_utils import database_query


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("plain", "E'plain'"), ("it's", "E'it''s'"), (r"a\'b", r"E'a\\''b'"), ("", "E''")],
)
def test_a_text_cannot_end_its_own_quotes(text: str, quoted: str) -> None:
    assert database_query.literal(text) == quoted


@pytest.mark.parametrize("text", ["a b", "a;b", "A", "", "1a", "a\n"])
def test_what_is_no_name_of_a_setting_is_refused(text: str) -> None:
    with pytest.raises(database_query.DatabaseError):
        database_query.name(text)


def test_statements_stand_on_no_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def run(command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
        seen.update(command=command, **more)
        return subprocess.CompletedProcess(command, 0, "1\n", "")

    monkeypatch.setattr(database_query.subprocess, "run", run)
    assert database_query.psql(5432, ["select 'secret'", "select 2"]) == "1\n"
    assert "secret" not in " ".join(seen["command"])
    assert seen["input"] == "select 'secret';\nselect 2;\n"


def test_an_error_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 3, "", "ERROR:  42601\nat\n")
    monkeypatch.setattr(database_query.subprocess, "run", lambda *_a, **_b: failed)
    with pytest.raises(database_query.DatabaseError, match="PostgreSQL 5432: ERROR: 42601 at"):
        database_query.one_object(5432, "select")
