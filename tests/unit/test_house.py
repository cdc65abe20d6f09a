"""What the house promises about itself: the README's table, the published schema, headers, pins."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from maintenance import runbook
from maintenance.record import Record

ROOT = runbook.REPOSITORY
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_lists_exactly_the_runbooks_that_there_are() -> None:
    rows = [
        f"| {book.name} | {book.header.title['zh']} {book.header.title['en']} | {book.header.changes} "
        f"| {book.header.undo} | {book.header.approvals} | {', '.join(book.header.clauses)} |"
        for book in runbook.load_all()
    ]
    assert rows
    table = [line for line in README.splitlines() if re.match(r"\| [a-z_]+ \| ", line)]
    assert [line for line in table if not line.startswith("| name |")] == rows


def test_the_published_schema_is_that_of_the_model() -> None:
    published = json.loads((ROOT / "docs" / "record.schema.json").read_text(encoding="utf-8"))
    assert published == Record.model_json_schema(), "make docs/record.schema.json again: make schema"


@pytest.mark.parametrize("name", runbook.names())
def test_a_runbook_names_its_undo_or_why_there_is_none(name: str) -> None:
    header = runbook.load(name).header
    assert set(header.title) == {"zh", "en"}
    assert header.undo in runbook.names() or " " in header.undo
    if header.changes == "nothing":
        assert header.approvals == 0


def test_every_dependency_is_pinned_and_says_why() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = tomllib.loads(text)
    for requirement in [*listed["project"]["dependencies"], *listed["dependency-groups"]["dev"]]:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", requirement), requirement
        line = next(line for line in text.splitlines() if f'"{requirement}"' in line)
        assert len(line.split("#", 1)[1].strip()) > 10, f"{requirement} does not say why it is there"
        assert requirement.split("==")[0].lower() in (ROOT / "requirements-dev.lock").read_text().lower()


def test_playbooks_stay_short_and_call_roles_only() -> None:
    for path in runbook.PLAYBOOKS.glob("*.yml"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 60, path
        for play in runbook.read_yaml(path):
            assert "tasks" not in play, f"{path}: a play calls roles"
