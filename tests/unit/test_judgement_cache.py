"""Compiled rules are kept between runs, and only what the source would give again is ever used."""

from __future__ import annotations

import json
import marshal
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import judgement_cache as cache
from ansible.module_utils import judgement_rules, judgement_sandbox


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder of compiled rules."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "dialysis-maintenance"


@pytest.fixture
def compilations(monkeypatch):
    """What is compiled from its source."""
    seen: list[str] = []
    original = judgement_sandbox.Expression._compile

    def note(source: str) -> Any:
        seen.append(source)
        return original(source)

    monkeypatch.setattr(judgement_sandbox.Expression, "_compile", staticmethod(note))
    return seen


def value(data: bytes, source: str = "1 + 1") -> Any:
    with cache.Compiled("a_rules", data) as compiled:
        return compiled.expression(source)({})


def test_an_expression_is_compiled_once_for_a_file(kept, compilations):
    assert [value(b"a"), value(b"a")] == [2, 2]
    assert compilations == ["1 + 1"]
    assert kept.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in kept.iterdir()] == [0o600]


def test_another_file_has_its_own_and_replaces_the_older(kept, compilations):
    value(b"a"), value(b"b")
    assert compilations == ["1 + 1", "1 + 1"]
    assert len(list(kept.iterdir())) == 1


def test_what_was_not_kept_is_compiled_and_kept(kept, compilations):
    value(b"a"), value(b"a", "2 + 2")
    assert (value(b"a", "2 + 2"), value(b"a")) == (4, 2)
    assert compilations == ["1 + 1", "2 + 2"]


@pytest.mark.parametrize("content", [b"", b"x", marshal.dumps(5), marshal.dumps({"1 + 1": 7})[:-1]])
def test_what_is_damaged_is_made_again(kept, content):
    value(b"a")
    (file,) = kept.iterdir()
    file.write_bytes(content)
    assert value(b"a") == 2


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_others_may_write_is_not_used(kept, compilations, what):
    value(b"a")
    (file,) = kept.iterdir()
    (file if what == "file" else kept).chmod(0o777)
    assert value(b"a") == 2
    assert compilations == ["1 + 1", "1 + 1"]


def test_where_nothing_can_be_kept_rules_are_compiled(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for place in (str(tmp_path / "file"), "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        assert value(b"a") == 2
    assert not Path("relative").exists()


def test_a_file_with_an_error_keeps_nothing(kept, tmp_path):
    path = tmp_path / "bad_rules.yml"
    metric = {"name": "m", "unit": "u", "probe": "a", "value": "1 +"}
    path.write_text(json.dumps({"schema": "inspection-rules/1", "snapshot": "s", "metrics": [metric]}))
    with pytest.raises(judgement_rules.RuleError, match="m: value:"):
        judgement_rules.load(str(path))
    assert not kept.exists()
