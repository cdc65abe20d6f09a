"""An undo takes back its own lines of the files of accounts: whoever was added since stays."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils import restore_engine as engine
from ansible.module_utils import restore_undo
from ansible.module_utils.restore_undo import merge

BEFORE = ["root:*:1", "app:$y$1:1", "old:$y$2:1"]
AFTER = ["root:*:1", "app:!$y$1:1", "old:!$y$2:1", "sysadmin:!:2"]


def merged(now: list[str], **more: Any) -> tuple[list[str], list[str]]:
    made = merge(BEFORE, AFTER, now, **more)
    return made.content.decode().splitlines(), made.conflicts


def test_lines_of_the_change_go_back_and_lines_of_others_stay() -> None:
    now = [AFTER[0], "new:$y$3:9", *AFTER[1:], "later:!:9"]
    assert merged(now) == (["root:*:1", "new:$y$3:9", "app:$y$1:1", "old:$y$2:1", "later:!:9"], [])


def test_a_line_that_is_back_already_stays() -> None:
    assert merged([*BEFORE, "new:*:9"]) == ([*BEFORE, "new:*:9"], [])


def test_a_line_that_was_changed_by_both_is_named() -> None:
    assert merged(["root:*:1", "app:$y$other:9", "old:!$y$2:1", "sysadmin:!:2"])[1] == ["app"]


def test_an_account_that_was_removed_since_is_named() -> None:
    assert merged(["root:*:1", "app:!$y$1:1", "sysadmin:!:2"])[1] == ["old"]


def test_a_group_that_an_account_belongs_to_by_now_is_named() -> None:
    before, after = ["root:x:0:"], ["root:x:0:", "sysadmin:x:990:"]
    assert merge(before, after, after).content == b"root:x:0:\n"
    assert merge(before, after, after, used_groups=["0", "990"]).conflicts == ["sysadmin"]
    assert merge(before, after, ["root:x:0:", "sysadmin:x:990:wang"]).conflicts == ["sysadmin"]


def test_a_name_that_stands_there_twice_is_left_to_a_person() -> None:
    assert merged([*AFTER, "app:*:1"])[1]


def test_bytes_that_are_no_text_stay() -> None:
    odd = b"odd:\xff:1".decode("utf-8", "surrogateescape")
    assert b"odd:\xff:1\n" in merge([odd], [odd, "x:1"], [odd, "x:1"]).content


@pytest.fixture
def point(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A confirmed restore point over files of accounts of its own."""
    etc = tmp_path / "etc"
    etc.mkdir()
    for name in ("passwd", "shadow", "shadow-", "group"):
        (etc / name).write_text("")
    paths = tuple(str(etc / name) for name in ("passwd", "shadow", "group"))
    monkeypatch.setattr(restore_undo, "BY_LINE", paths)
    monkeypatch.setattr(restore_undo, "_COPIES", tuple(path + "-" for path in paths))
    monkeypatch.setattr(engine, "covered", lambda plan, blobs=None: engine.capture([str(etc)], blobs))
    monkeypatch.setattr(engine, "_run", lambda *_: engine.subprocess.CompletedProcess([], 0, "", ""))
    made = engine.Point("one", str(tmp_path / "points"))
    (tmp_path / "points" / "one" / "files").mkdir(parents=True)
    (etc / "shadow").write_text("\n".join(BEFORE) + "\n")
    made.write("meta.json", {"state": "confirmed", "plan": {}})
    made.write("before.json", made.capture(keep=True))
    for name in ("running.json", "running_after.json"):
        made.write(name, {"units": {}, "sysctls": {}, "firewall": None})
    (etc / "shadow").write_text("\n".join(AFTER) + "\n")
    (etc / "shadow-").write_text("of the hardening\n")
    made.write("after.json", made.capture(keep=True))
    return made, etc


def test_an_undo_keeps_who_was_added(point: Any) -> None:
    made, etc = point
    (etc / "shadow").write_text("\n".join([*AFTER, "new:$y$3:9"]) + "\n")
    (etc / "shadow-").write_text("of whoever added\n")
    restore_undo.undo(made)
    assert (etc / "shadow").read_text() == "\n".join([*BEFORE, "new:$y$3:9"]) + "\n"
    assert (etc / "shadow-").read_text() == "of whoever added\n"


def test_an_undo_of_what_nobody_touched_is_exact(point: Any) -> None:
    made, _etc = point
    restore_undo.undo(made)
    assert engine.differences(made.read("before.json"), made.capture()) == []


@pytest.mark.parametrize("what", ["line", "rights"])
def test_an_undo_refuses_what_was_changed_by_both_and_changes_nothing(point: Any, what: str) -> None:
    made, etc = point
    (etc / "shadow").write_text("\n".join([AFTER[0], "app:$y$mine:9", *AFTER[2:]]) + "\n")
    if what == "rights":
        (etc / "shadow").write_text("\n".join([*AFTER, "new:*:9"]) + "\n")
        (etc / "shadow").chmod(0o600)
    there = (etc / "shadow").read_text()
    with pytest.raises(engine.RestoreError, match=r"changed by somebody since: .*shadow"):
        restore_undo.undo(made)
    assert (etc / "shadow").read_text() == there
    restore_undo.undo(made, force=True)
    assert (etc / "shadow").read_text() == "\n".join(BEFORE) + "\n"
