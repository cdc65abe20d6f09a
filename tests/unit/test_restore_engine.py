"""Restore points: what is kept comes back the same, whatever was done to it."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils import restore_engine as engine


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small /etc."""
    root = tmp_path / "etc"
    (root / "ssh" / "sshd_config.d").mkdir(parents=True)
    (root / "ssh" / "sshd_config").write_text("Port 22\n")
    (root / "shadow").write_text("root:*:1::::::\n")
    (root / "shadow").chmod(0o640)
    (root / "localtime").symlink_to("/usr/share/zoneinfo/Asia/Shanghai")
    (root / "bytes").write_bytes(b"\x00\xff\n")
    (root / "empty").mkdir(mode=0o711)
    os.setxattr(root / "bytes", "user.note", b"kept")
    return root


def gone(root: Path) -> None:
    (root / "ssh" / "sshd_config").unlink()


def longer(root: Path) -> None:
    with (root / "shadow").open("a") as file:
        file.write("new:!:1::::::\n")


def open_to_all(root: Path) -> None:
    (root / "shadow").chmod(0o666)
    (root / "empty").chmod(0o777)


def added(root: Path) -> None:
    (root / "ssh" / "sshd_config.d" / "00-new.conf").write_text("DenyUsers *\n")
    (root / "new" / "deep").mkdir(parents=True)
    (root / "new" / "deep" / "file").write_text("x")


def other_link(root: Path) -> None:
    (root / "localtime").unlink()
    (root / "localtime").symlink_to("/usr/share/zoneinfo/UTC")


def link_instead_of_file(root: Path) -> None:
    (root / "bytes").unlink()
    (root / "bytes").symlink_to("/dev/null")


def file_instead_of_link(root: Path) -> None:
    (root / "localtime").unlink()
    (root / "localtime").write_text("UTC")


def file_instead_of_folder(root: Path) -> None:
    (root / "empty").rmdir()
    (root / "empty").write_text("x")


def folder_gone(root: Path) -> None:
    (root / "ssh" / "sshd_config").unlink()
    (root / "ssh" / "sshd_config.d").rmdir()
    (root / "ssh").rmdir()


def attribute_changed(root: Path) -> None:
    os.setxattr(root / "bytes", "user.note", b"other")
    os.setxattr(root / "shadow", "user.more", b"x")


def emptied(root: Path) -> None:
    (root / "shadow").write_text("")


@pytest.mark.parametrize(
    "harm",
    [
        gone,
        longer,
        open_to_all,
        added,
        other_link,
        link_instead_of_file,
        file_instead_of_link,
        file_instead_of_folder,
        folder_gone,
        attribute_changed,
        emptied,
    ],
)
def test_everything_comes_back_the_same(tree: Path, tmp_path: Path, harm: Callable[[Path], None]) -> None:
    blobs = tmp_path / "files"
    blobs.mkdir()
    before = engine.capture([str(tree)], str(blobs))
    harm(tree)
    paths = engine.differences(before, engine.capture([str(tree)]))
    assert paths
    engine.restore(before, paths, str(blobs))
    assert engine.differences(before, engine.capture([str(tree)])) == []
    # As after a power cut in the middle of it.
    engine.restore(before, paths, str(blobs))
    assert engine.digest(engine.capture([str(tree)])) == engine.digest(before)


def test_what_is_the_same_is_not_touched(tree: Path, tmp_path: Path) -> None:
    blobs = tmp_path / "files"
    blobs.mkdir()
    before = engine.capture([str(tree)], str(blobs))
    number = (tree / "shadow").stat().st_ino
    assert engine.differences(before, engine.capture([str(tree)])) == []
    engine.restore(before, [str(tree / "shadow")], str(blobs))
    assert (tree / "shadow").stat().st_ino == number


def test_of_a_folder_of_logs_only_the_rights_are_kept(tmp_path: Path) -> None:
    logs = tmp_path / "log"
    logs.mkdir()
    logs.chmod(0o775)
    (logs / "a.log").write_text("many lines")
    before = engine.rights([str(logs), str(logs / "a.log"), str(tmp_path / "absent")])
    assert set(before) == {f"rights:{logs}", f"rights:{logs / 'a.log'}"}
    logs.chmod(0o700)
    (logs / "a.log").unlink()
    (logs / "b.log").write_text("more")
    engine.restore(before, sorted(before), str(tmp_path / "files"))
    assert stat.S_IMODE(logs.stat().st_mode) == 0o775
    assert [path.name for path in logs.iterdir()] == ["b.log"]


def test_rights_are_given_back_to_the_very_file_and_never_through_a_link(tmp_path: Path) -> None:
    own, secret = tmp_path / "own", tmp_path / "secret"
    own.write_text("")
    own.chmod(0o666)
    secret.write_text("root's")
    secret.chmod(0o600)
    before = engine.rights([str(own)])
    own.unlink()
    own.symlink_to(secret)
    engine.restore(before, sorted(before), "")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    own.unlink()
    os.link(secret, own)
    engine.restore(before, sorted(before), "")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_nothing_is_written_through_a_name_that_somebody_has_put_there(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root's")
    for plant in (os.link, os.symlink):
        plant(secret, tmp_path / f"file.maintenance-{os.getpid()}")
        engine.write_file(str(tmp_path / "file"), b"new", 0o644, os.getuid(), os.getgid())
        assert (secret.read_text(), (tmp_path / "file").read_text()) == ("root's", "new")


def test_a_damaged_copy_is_never_put_back(tree: Path, tmp_path: Path) -> None:
    blobs = tmp_path / "files"
    blobs.mkdir()
    before = engine.capture([str(tree)], str(blobs))
    longer(tree)
    (blobs / before[str(tree / "shadow")]["sha256"]).write_text("something else")
    (problem,) = engine.restore(before, [str(tree / "shadow")], str(blobs))
    assert problem == f"{tree / 'shadow'}: its kept content is damaged"
    assert "new:!" in (tree / "shadow").read_text()


def test_copies_are_for_root_alone(tree: Path, tmp_path: Path) -> None:
    blobs = tmp_path / "files"
    blobs.mkdir()
    (tree / "shadow").chmod(0o666)
    engine.capture([str(tree)], str(blobs))
    assert {stat.S_IMODE(path.stat().st_mode) for path in blobs.iterdir()} == {0o600}


def test_somebody_elses_file_in_a_new_folder_stays(tree: Path, tmp_path: Path) -> None:
    blobs = tmp_path / "files"
    blobs.mkdir()
    before = engine.capture([str(tree)], str(blobs))
    added(tree)
    paths = engine.differences(before, engine.capture([str(tree)]))
    (tree / "new" / "deep" / "of another").write_text("x")
    engine.restore(before, paths, str(blobs))
    assert (tree / "new" / "deep" / "of another").exists()
    assert not (tree / "new" / "deep" / "file").exists()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(engine.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        engine.write_file(str(target), b"new", 0o600)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["", "..", "../x", ".lock", "a/b"])
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(engine.RestoreError, match="no name"):
        engine.Point(name, str(tmp_path))


def test_only_what_is_armed_can_be_confirmed(tmp_path: Path) -> None:
    point = engine.Point("one", str(tmp_path))
    Path(point.blobs).mkdir(parents=True)
    for state in ("taken", "reverted", "failed"):
        point.write("meta.json", {"name": "one", "state": state, "plan": {}, "taken": 1.0})
        with pytest.raises(engine.RestoreError, match="nothing is confirmed"):
            engine.confirm(point)


def away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own systemd is touched."""
    monkeypatch.setattr(engine, "UNITS", str(folder / "units"))
    monkeypatch.setattr(
        engine, "_run", lambda command, _text="": subprocess.CompletedProcess(command, 0, "", "")
    )


def armed(folder: Path, monkeypatch: pytest.MonkeyPatch, *, ticks: bool) -> None:
    """A restore point that waits for its confirmation, its timer running or lost."""
    point = engine.Point("first", str(folder))
    Path(point.blobs).mkdir(parents=True)
    point.write("meta.json", {"name": "first", "state": "armed", "plan": {}, "taken": 1.0})
    (folder / "armed").write_text("first")
    monkeypatch.setattr(engine, "_ticks", lambda: ticks)
    away(folder, monkeypatch)
    monkeypatch.setattr(engine, "covered", lambda _plan, _blobs=None: {})
    point.write("before.json", {})
    point.write("running.json", {"units": {}, "sysctls": {}, "firewall": None})


def test_a_second_change_waits_for_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    armed(tmp_path, monkeypatch, ticks=True)
    with pytest.raises(engine.RestoreError, match="first still waits"):
        engine.take("second", {}, str(tmp_path))
    assert not (tmp_path / "second").exists()


def test_a_change_whose_deadline_was_lost_is_taken_back_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    armed(tmp_path, monkeypatch, ticks=False)
    assert engine.take("second", {}, str(tmp_path)).meta["state"] == "taken"
    assert engine.Point("first", str(tmp_path)).meta["state"] == "reverted"
    assert not (tmp_path / "armed").exists()


def test_a_name_without_a_restore_point_blocks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "covered", lambda _plan, _blobs=None: {})
    away(tmp_path, monkeypatch)
    (tmp_path / "armed").write_text("gone")
    assert engine.take("second", {}, str(tmp_path)).meta["state"] == "taken"
