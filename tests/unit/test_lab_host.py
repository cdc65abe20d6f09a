"""What the builder takes for its own: processes, control groups, mounts; and the base tree's key."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab import base, cgroup, host, shell
from lab.plan import Lab
from lab.shell import LabError

LAB = Lab.from_environment({"LAB_NAME": "unit"})

MOUNTS = """\
cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
tmpfs /run tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("program", "machine", "ours"),
    [
        ("systemd-nspawn", "unit-db1", True),
        ("systemd-nspawn", "unit-db11", False),
        ("systemd-nspawn", "lab-db1", False),
        ("less", "unit-db1", False),
    ],
)
def test_a_process_is_ours_by_program_and_by_machine(tmp_path: Path, program: str, machine: str, ours: bool):
    pretender = tmp_path / program
    pretender.symlink_to("/bin/sh")
    words = [str(pretender), "-c", "read -r line", "name", f"--machine={machine}"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        cmdline = Path(f"/proc/{process.pid}/cmdline")
        assert shell.wait_until(lambda: machine in cmdline.read_text(), 5, 0.01)
        assert (host.pid(LAB, "db1") == process.pid) is ours
        process.kill()


def test_hierarchies_are_read_from_the_mounts():
    found = cgroup.hierarchies(MOUNTS)
    assert found["name=systemd"] == Path("/sys/fs/cgroup/systemd")
    assert found[""] == Path("/sys/fs/cgroup/unified")
    assert found["cpu"] == Path("/sys/fs/cgroup/cpu,cpuacct")


def test_memberships_are_relative_to_their_hierarchy():
    found = cgroup.memberships("4:cpu,cpuacct:/a/b\n1:name=systemd:/\n0::/x\n")
    assert found == {"cpu": "a/b", "cpuacct": "a/b", "name=systemd": "", "": "x"}


def test_no_process_belongs_to_a_scope_that_does_not_exist():
    assert cgroup.members(LAB.scope("db1")) == []


def test_mounts_outside_of_the_folder_are_left_alone(tmp_path: Path):
    assert host.mounts_under(tmp_path) == []
    assert "/proc" in host.mounts_under(Path("/proc"))


def test_another_package_is_another_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    extra = tmp_path / "packages.txt"
    monkeypatch.setattr(base, "DIALYSIS_PACKAGES", extra)
    without = base.tree_name("bookworm")
    extra.write_text("# what the system needs\nopenssl\n\n")
    assert base.tree_name("bookworm") == without
    extra.write_text("postgresql-contrib  # amcheck\n")
    assert base.tree_name("bookworm") != without
    assert "postgresql-contrib" in base.packages()


def test_every_release_has_its_own_tree():
    assert base.tree_name("trixie").startswith("trixie-")
    assert base.tree_name("trixie") != base.tree_name("bookworm")


def test_files_are_copied_with_plain_modes(tmp_path: Path):
    source = tmp_path / "source" / "etc"
    source.mkdir(parents=True)
    (source / "a.conf").write_text("a")
    (source / "a.conf").chmod(0o666)
    host.copy_files(tmp_path / "source", tmp_path / "root")
    assert (tmp_path / "root/etc/a.conf").stat().st_mode & 0o777 == 0o644


def test_a_failed_command_is_one_line_with_its_last_message():
    with pytest.raises(LabError, match=r"^sh -c .* failed \(3\): second$"):
        shell.run(["sh", "-c", "echo first; echo second; exit 3"])


def test_a_missing_tool_names_the_way_to_install_it():
    with pytest.raises(LabError, match="make setup-lab"):
        shell.run(["no-such-tool-anywhere"])


def test_waiting_ends_at_its_bound():
    assert not shell.wait_until(lambda: False, 0.05, interval=0.01)
    assert shell.wait_until(lambda: True, 0)
