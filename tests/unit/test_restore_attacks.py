"""Restore points under attack: what an account may put in the way, and what breaks, must not stop the way back."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import restore_engine as engine
from ansible.module_utils import restore_tree as tree
from ansible.module_utils import restore_undo


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A small /etc with a folder that an account owns."""
    root = tmp_path / "etc"
    (root / "postgresql" / "main").mkdir(parents=True)
    (root / "postgresql" / "main" / "shadow").write_text("mine")
    (root / "sshd_config").write_text("Port 22\n")
    return root


def kept(etc: Path, tmp_path: Path) -> tuple[dict[str, Any], str]:
    blobs = tmp_path / "files"
    blobs.mkdir()
    return tree.capture([str(etc)], str(blobs)), str(blobs)


def a_pipe(etc: Path) -> None:
    (etc / "postgresql" / "main" / "shadow").unlink()
    os.mkfifo(etc / "postgresql" / "main" / "shadow")


def without_end(etc: Path) -> None:
    with (etc / "postgresql" / "main" / "more").open("wb") as file:
        file.truncate(1 << 40)


def without_bottom(etc: Path) -> None:
    folder = os.open(etc / "postgresql", os.O_RDONLY)
    for _ in range(2000):  # deeper than a path may be long
        os.mkdir("n", dir_fd=folder)
        inner = os.open("n", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)


@pytest.mark.parametrize("plant", [a_pipe, without_end, without_bottom])
def test_what_an_account_plants_does_not_stop_the_way_back(
    etc: Path, tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    before, blobs = kept(etc, tmp_path)
    plant(etc)
    (etc / "sshd_config").write_text("DenyUsers *\n")
    paths = tree.differences(before, tree.capture([str(etc)]))
    tree.restore(before, paths, blobs)
    assert (etc / "sshd_config").read_text() == "Port 22\n"
    assert (etc / "postgresql" / "main" / "shadow").read_text() == "mine"
    assert not (etc / "postgresql" / "main" / "more").exists()
    subprocess.run(["rm", "-rf", str(etc / "postgresql" / "n")], check=True)


def not_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this account makes is another's, as the file system tells it."""
    true = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        status = list(true(descriptor))
        status[4] = 4242
        return os.stat_result(status)

    monkeypatch.setattr(tree.os, "fstat", fstat)


def test_a_folder_that_became_a_link_leads_nowhere(
    etc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, blobs = kept(etc, tmp_path)
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "shadow").write_text("root's")
    (etc / "postgresql" / "main").rename(etc / "postgresql" / "away")
    (etc / "postgresql" / "main").symlink_to(victim)
    not_roots(monkeypatch)
    path = str(etc / "postgresql" / "main" / "shadow")
    (problem,) = tree.restore(before, [path], blobs)
    assert "a link on the way is not root's" in problem
    assert tree.restore({}, [path], blobs) == []  # what is to go is not there
    with pytest.raises(OSError, match="not root's"):
        tree.write_file(path, b"x", 0o644)
    with pytest.raises(OSError, match="not root's"), tree.opened(path):
        pass
    assert (victim / "shadow").read_text() == "root's"


def test_a_link_of_roots_on_the_way_is_followed(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "there").symlink_to("data/../data")
    (tmp_path / "far").symlink_to(tmp_path / "there")
    tree.write_file(str(tmp_path / "far" / "deep" / "file"), b"x", 0o640, os.getuid(), os.getgid())
    assert (tmp_path / "data" / "deep" / "file").read_text() == "x"
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OSError, match="not root's") as caught:
        tree.write_file(str(tmp_path / "one" / "file"), b"x", 0o640)
    assert caught.value.errno == errno.ELOOP


def test_what_cannot_be_restored_does_not_keep_the_rest_from_it(etc: Path, tmp_path: Path) -> None:
    before, blobs = kept(etc, tmp_path)
    (etc / "postgresql" / "main" / "shadow").write_text("other")
    (etc / "sshd_config").write_text("DenyUsers *\n")
    (Path(blobs) / before[str(etc / "postgresql" / "main" / "shadow")]["sha256"]).unlink()
    (problem,) = tree.restore(before, tree.differences(before, tree.capture([str(etc)])), blobs)
    assert problem == f"{etc}/postgresql/main/shadow: No such file or directory"
    assert (etc / "sshd_config").read_text() == "Port 22\n"


def test_a_socket_in_the_place_of_a_file_has_no_rights_to_restore(tmp_path: Path) -> None:
    import socket

    own = tmp_path / "own"
    own.write_text("")
    before = tree.rights([str(own)])
    own.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(own))
        assert tree.restore(before, sorted(before), "") == []


class Systemd:
    """What would be run; nothing of this machine's own systemd is touched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.run: list[str] = []
        self.answers: dict[str, tuple[int, str]] = {"is-active": (0, "active\n")}
        monkeypatch.setattr(engine, "UNITS", str(folder / "units"))
        monkeypatch.setattr(engine, "PYTHON", sys.executable)
        monkeypatch.setattr(engine, "_run", self)
        monkeypatch.setattr(engine, "covered", lambda _plan, _blobs=None: {})

    def __call__(
        self, command: list[str], _text: str = "", seconds: int = 0
    ) -> subprocess.CompletedProcess[str]:
        line = " ".join(command)
        self.run.append(line)
        code, said = next((answer for part, answer in self.answers.items() if part in line), (0, ""))
        return subprocess.CompletedProcess(command, code, said, "")


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    return Systemd(monkeypatch, tmp_path)


ROLE = {"run": ["psql", "DROP ROLE auditor"], "unless": None}
MADE = {"run": ["psql", "CREATE ROLE auditor"], "unless": ["psql", "is there a role auditor"]}
PLAN = {"commands": [["systemctl", "reload", "ssh.service"]], "undo": [ROLE], "redo": [MADE]}


def point_of(folder: Path, plan: dict[str, Any], state: str, *, armed: bool = True) -> engine.Point:
    point = engine.Point("one", str(folder))
    Path(point.blobs).mkdir(parents=True)
    for name in ("before.json", "after.json"):
        point.write(name, {})
    for name in ("running.json", "running_after.json"):
        point.write(name, engine.running(plan))
    point.write("meta.json", {"name": "one", "state": state, "plan": plan, "taken": 1.0})
    if armed:
        (folder / "armed").write_text("one")
    return point


def test_a_database_that_is_down_does_not_keep_sshd_shut(tmp_path: Path, systemd: Systemd) -> None:
    point = point_of(tmp_path, PLAN, "armed")
    systemd.answers["DROP ROLE"] = (2, "no server")
    with pytest.raises(engine.RestoreError, match="DROP ROLE auditor: no server"):
        engine.revert(point)
    assert "systemctl reload ssh.service" in systemd.run
    assert point.meta["state"] == "failed"
    assert (tmp_path / "armed").exists()  # it is tried again
    systemd.answers["DROP ROLE"] = (0, "")
    assert engine.revert(point)["state"] == "reverted"


def test_audit_rules_that_stay_loaded_are_no_undo(tmp_path: Path, systemd: Systemd) -> None:
    plan = {"audit": True, "commands": [["augenrules", "--load"]]}
    systemd.answers |= {"auditctl -l": (0, "No rules\n"), "auditctl -s": (0, "enabled 1\n")}
    point = point_of(tmp_path, plan, "armed")
    systemd.answers["auditctl -l"] = (0, "-w /etc/shadow -p wa\n")
    with pytest.raises(engine.RestoreError, match="audit rules in force are not those from before"):
        engine.revert(point)
    assert systemd.run.count("augenrules --load") == 2
    assert engine.state_digest(point)["before"] != engine.state_digest(point)["now"]
    # Those that are fixed stay until the next start, which the change has said; then nothing here is left to do.
    systemd.answers["auditctl -s"] = (0, "enabled 2\n")
    assert engine.state_digest(point)["before"] == engine.state_digest(point)["now"]
    assert engine.revert(point)["state"] == "reverted"


def test_what_somebody_writes_all_the_time_is_left_to_them_at_last(
    tmp_path: Path, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = point_of(tmp_path, {}, "armed")
    entry = {"type": "other", "mode": 0, "uid": 0, "gid": 0, "xattrs": {}}
    monkeypatch.setattr(engine, "covered", lambda _plan, _blobs=None: {"/etc/agent": entry})
    for _ in range(2):
        with pytest.raises(engine.RestoreError, match="/etc/agent"):
            engine.revert(point)
    meta = engine.revert(point)
    assert (meta["state"], meta["left"]) == ("reverted", ["/etc/agent"])
    assert not (tmp_path / "armed").exists()


@pytest.mark.parametrize("broken", ["daemon-reload", "restart", "is-active", "check"])
def test_what_cannot_be_armed_leaves_nothing_for_another_day(
    tmp_path: Path, systemd: Systemd, broken: str
) -> None:
    point = point_of(tmp_path, {}, "taken", armed=False)
    systemd.answers[broken] = (1, "")
    with pytest.raises(engine.RestoreError):
        engine.arm(point, 60)
    assert not (tmp_path / "armed").exists()
    assert not list((tmp_path / "units").rglob("maintenance-revert*"))


def test_the_deadline_runs_before_anything_waits_for_it(tmp_path: Path, systemd: Systemd) -> None:
    point = point_of(tmp_path, {}, "taken", armed=False)
    true = systemd.__class__.__call__

    def watched(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
        if "restart" in command:
            assert not (tmp_path / "armed").exists()
        return true(systemd, command, text)

    engine._run = watched
    engine.arm(point, 60)
    assert (tmp_path / "armed").read_text() == "one"


def test_no_step_begins_once_the_host_has_gone_back(tmp_path: Path, systemd: Systemd) -> None:
    point = point_of(tmp_path, {}, "armed")
    with engine.step(point):
        pass
    (tmp_path / "armed").unlink()
    with pytest.raises(engine.RestoreError, match="taken the change back by itself"), engine.step(point):
        pytest.fail("a step began")


def test_a_confirmation_that_died_half_way_is_none_until_it_is_whole(
    tmp_path: Path, systemd: Systemd
) -> None:
    point = point_of(tmp_path, {}, "confirmed")  # noted, and still armed
    systemd.answers["is-active maintenance-revert.service"] = (3, "inactive\n")
    systemd.answers = dict(reversed(systemd.answers.items()))
    assert engine.confirm(point)["state"] == "confirmed"
    assert not (tmp_path / "armed").exists()


def test_nothing_is_confirmed_when_the_way_back_has_begun(tmp_path: Path, systemd: Systemd) -> None:
    point = point_of(tmp_path, {}, "armed")
    systemd.answers = {"is-active maintenance-revert.service": (3, "activating\n")}
    with pytest.raises(engine.RestoreError, match="its time is over"):
        engine.confirm(point)
    assert point.meta["state"] == "armed"


@pytest.mark.parametrize(("code", "said"), [(0, "t\n"), (2, "no server")])
def test_what_a_change_made_in_a_database_is_not_as_before(
    tmp_path: Path, systemd: Systemd, code: int, said: str
) -> None:
    point = point_of(tmp_path, PLAN, "confirmed", armed=False)
    systemd.answers["is there a role"] = (code, said)
    digests = engine.state_digest(point)
    assert digests["before"] != digests["now"]
    assert engine.in_force(PLAN) == ["CREATE ROLE auditor"]
    systemd.answers["is there a role"] = (0, "f\n")
    digests = engine.state_digest(point)
    assert digests["before"] == digests["now"]


def test_an_undo_spares_what_somebody_changed_outside_of_files(
    tmp_path: Path, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = {"sysctls": ["net.a"], "units": ["x.service"], "firewall": True}
    was = {"sysctls": {"net.a": "1"}, "units": {"x.service": "active"}, "firewall": "old"}
    then = {"sysctls": {"net.a": "0"}, "units": {"x.service": "inactive"}, "firewall": "new"}
    now = {"sysctls": {"net.a": "2"}, "units": {"x.service": "failed"}, "firewall": "fail2ban's"}
    monkeypatch.setattr(restore_undo, "running", lambda _plan: now)
    point = point_of(tmp_path, plan, "confirmed", armed=False)
    point.write("running.json", was)
    point.write("running_after.json", then)
    with pytest.raises(engine.RestoreError, match=r"since: sysctl net\.a, the firewall's rules in force;"):
        restore_undo.undo(point)


def test_a_folder_that_others_may_write_keeps_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "points"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(engine.RestoreError, match="written by others"), engine.locked(str(folder)):
        pass


def test_a_restore_point_that_failed_leaves_no_part(
    tmp_path: Path, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_plan: object, _blobs: object = None) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(engine, "covered", full)
    with pytest.raises(OSError, match="No space"):
        engine.take("one", {}, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == []


def test_what_cannot_be_read_is_no_way_back(
    tmp_path: Path, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    unread = {"/etc/x": {"type": "unread", "why": "Input/output error"}}
    monkeypatch.setattr(engine, "covered", lambda _plan, _blobs=None: unread)
    with pytest.raises(engine.RestoreError, match=r"/etc/x \(Input/output error\) cannot be read"):
        engine.take("one", {}, str(tmp_path))
    assert not (tmp_path / "one").exists()


def test_a_damaged_note_is_told_and_is_no_traceback(tmp_path: Path, systemd: Systemd) -> None:
    point = point_of(tmp_path, {}, "armed")
    (Path(point.path) / "meta.json").write_text('{"state": "ar')
    with pytest.raises(engine.RestoreError, match=r"one/meta\.json is damaged"):
        _ = point.meta


def test_the_way_back_stands_on_its_own(tmp_path: Path, systemd: Systemd) -> None:
    """As systemd starts it: with no Ansible, and from any folder."""
    point = engine.take("one", {}, str(tmp_path))
    command = [sys.executable, "-I", "-S", f"{point.path}/revert.py", "check"]
    point.write("before.json", {"/etc": {}})
    assert subprocess.run(command, cwd="/", check=False).returncode == 0
    (Path(point.path) / "running.json").unlink()
    assert subprocess.run(command, cwd="/", check=False, stderr=subprocess.DEVNULL).returncode != 0


HANGS = """
import os, sys
import ansible.module_utils
ansible.module_utils.__path__.append(sys.argv[1])
from ansible.module_utils import resource, restore_engine
script = f"sleep 600 & echo $! > {sys.argv[2]}; kill -ALRM {os.getpid()}; wait"
try:
    with restore_engine.in_time(60):
        resource.run(["sh", "-c", script])
except restore_engine.RestoreError as error:
    print(error)
"""


def test_a_change_that_hangs_ends_with_all_that_it_started(tmp_path: Path) -> None:
    """In a process of its own, which has one thread, as a module's."""
    folder = Path(str(engine.__file__)).parent
    command = [sys.executable, "-c", HANGS, str(folder), str(tmp_path / "pid")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "it was not done after 60 s\n", done.stderr
    with contextlib.suppress(ProcessLookupError):  # it may be gone already
        select.select([os.pidfd_open(int((tmp_path / "pid").read_text()))], [], [])
