"""The module restore_point: which changes still stand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils import restore_engine as engine

PATH = Path(__file__).parent.parent.parent / "library" / "restore_point.py"
SPEC = importlib.util.spec_from_file_location("restore_point", PATH)
assert SPEC is not None and SPEC.loader is not None
module = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(module)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two confirmed changes, of which nothing is left: somebody has taken them back by hand."""
    monkeypatch.setattr(engine, "covered", lambda _plan, _blobs=None: {})
    monkeypatch.setattr(module, "FOLDER", str(tmp_path))
    monkeypatch.setattr(module, "Point", lambda name: engine.Point(name, str(tmp_path)))
    for number, name in enumerate(("older", "newer")):
        point = engine.Point(name, str(tmp_path))
        Path(point.blobs).mkdir(parents=True)
        point.write("before.json", {})
        point.write("running.json", engine.running({}))
        point.write("meta.json", {"name": name, "state": "confirmed", "plan": {}, "taken": float(number)})
    return tmp_path


def asked(check_mode: bool = False) -> Any:
    params = {"name": "latest", "force": False, "restore_point": "x", "seconds": 60}
    return SimpleNamespace(params=params, check_mode=check_mode)


def test_what_others_took_back_does_not_hide_the_change_before_it(host: Path) -> None:
    assert module.undoable() == ["older", "newer"]
    assert module.do_undo(asked(check_mode=True))["changed"] is False
    assert module.undoable() == ["older", "newer"]
    answer = module.do_undo(asked())
    assert (answer["undone"], answer["changed"], answer["identical"]) == ("newer", False, True)
    assert module.undoable() == ["older"]
