"""Virtual machines: the plan, their tree, the command line of QEMU, and which process is whose."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import pytest

from lab import base, builder, host, plan, shell, virtual
from lab.plan import DEFAULT_HOSTS, HOSTS, SERVER_GROUPS, Lab
from lab.shell import LabError

LAB = Lab.from_environment({"LAB_NAME": "unit"})
VIRTUAL = [name for name, one in HOSTS.items() if one.virtual]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made, stopped vm1: its folder, with a base tree that has a kernel."""
    monkeypatch.setattr(plan, "STATE", tmp_path / "state")
    monkeypatch.setattr(virtual, "CACHE", tmp_path / "cache")
    for file in ("vmlinuz-6.1", "vmlinuz-6.12", "initrd.img-6.12"):
        path = tmp_path / "cache/tree/boot" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    folder = LAB.folder("vm1")
    folder.mkdir(parents=True)
    (folder / "base").write_text("tree\n")
    return folder


def option(words: list[str], name: str) -> list[str]:
    """The values of an option."""
    return [words[at + 1] for at, word in enumerate(words) if word == name]


def test_a_virtual_machine_is_started_by_name_only():
    assert VIRTUAL == ["vm1"]
    assert not set(VIRTUAL) & set(DEFAULT_HOSTS)
    assert not {HOSTS[name].group for name in VIRTUAL} & set(SERVER_GROUPS)


def test_a_virtual_machine_that_is_started_is_a_server():
    children = plan.inventory(LAB, ["app1", "vm1"])["all"]["children"]
    assert list(children["servers"]["children"]) == ["application", "virtual"]
    assert children["virtual"]["hosts"]["vm1"]["ansible_host"] == LAB.address("vm1")


@pytest.mark.parametrize("name", VIRTUAL)
def test_its_device_has_a_name_that_linux_takes_under_the_longest_lab_name(name: str):
    assert len(Lab.from_environment({"LAB_NAME": "eightlet"}).tap(name)) <= 15


def test_hardware_addresses_are_local_and_differ():
    addresses = {LAB.mac(name) for name in HOSTS}
    assert len(addresses) == len(HOSTS)
    assert LAB.mac("vm1") != Lab.from_environment({}).mac("vm1")
    assert LAB.mac("vm1").startswith("52:54:00:d5:")


def test_its_tree_has_a_kernel_and_containers_keep_theirs():
    assert set(base.KERNEL_PACKAGES) <= set(base.packages(virtual=True))
    assert not set(base.KERNEL_PACKAGES) & set(base.packages())
    names = base.tree_name("bookworm"), base.tree_name("bookworm", virtual=True)
    assert plan.stale_bases(names, used=[], newest=names[0]) == []
    assert plan.stale_bases(names, used=[], newest=names[1]) == []


def test_auditd_and_the_kernel_log_are_off_in_containers_alone():
    _, container = base.hooks()
    _, machine_hook = base.hooks(virtual=True)
    assert "auditd.service" in container
    assert "imklog" in container
    assert "auditd.service" not in machine_hook
    assert "imklog" not in machine_hook


def test_the_command_line_of_qemu(machine: Path):
    words = virtual.command(LAB, "vm1")
    assert words[0] == "qemu-system-x86_64"
    assert option(words, "-name") == ["guest=unit-vm1"]
    assert [path.rpartition("/")[2] for path in option(words, "-kernel")] == ["vmlinuz-6.12"]
    assert [path.rpartition("/")[2] for path in option(words, "-initrd")] == ["initrd.img-6.12"]
    assert f"file={machine / 'disk.raw'}," in option(words, "-drive")[0]
    assert option(words, "-netdev") == ["tap,id=net,ifname=vt-unit-vm1,script=no,downscript=no"]
    assert int(option(words, "-m")[0]) <= 1024
    # A reboot happens inside: QEMU must not end with it.
    assert "-no-reboot" not in words


def test_a_tree_without_a_kernel_is_an_error(machine: Path, tmp_path: Path):
    for file in (tmp_path / "cache/tree/boot").iterdir():
        file.unlink()
    with pytest.raises(LabError, match="holds no vmlinuz"):
        virtual.command(LAB, "vm1")


def test_a_machine_without_a_disk_is_not_started(machine: Path):
    with pytest.raises(LabError, match="vm1 has no disk"):
        virtual.boot(LAB, "vm1")


def test_its_public_key_is_the_kept_one(machine: Path):
    with pytest.raises(LabError, match="never made whole"):
        virtual.authorize(LAB, "vm1")
    (machine / "host_key.pub").write_text("ssh-ed25519 AAAA\n")
    assert virtual.authorize(LAB, "vm1") == "ssh-ed25519 AAAA"


@pytest.mark.parametrize(
    ("program", "guest", "ours"),
    [
        ("qemu-system-x86_64", "unit-vm1", True),
        ("qemu-system-x86_64", "unit-vm11", False),
        ("qemu-system-x86_64", "lab-vm1", False),
        ("less", "unit-vm1", False),
    ],
)
def test_a_power_cut_ends_the_qemu_of_this_machine_and_no_other(
    tmp_path: Path, program: str, guest: str, ours: bool
):
    pretender = tmp_path / program
    pretender.symlink_to("/bin/sh")
    words = [str(pretender), "-c", "read -r line", "name", f"guest={guest}"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        cmdline = Path(f"/proc/{process.pid}/cmdline")
        assert shell.wait_until(lambda: guest in cmdline.read_text(), 5, 0.01)
        assert (virtual.pid(LAB, "vm1") == process.pid) is ours
        assert not virtual.ended(process.pid)
        virtual.cut_power(LAB, "vm1")
        assert virtual.ended(process.pid) is ours
        process.kill()


def test_a_process_that_is_gone_has_ended():
    with subprocess.Popen(["/bin/true"]) as process:
        process.wait()
    assert virtual.ended(process.pid)


def test_an_answer_of_qemu_is_told_from_its_events():
    class Line(io.StringIO):
        """What QEMU says; what it is told is kept."""

        told = ""

        def write(self, text: str) -> int:
            """Keep what is said to QEMU."""
            self.told += text
            return len(text)

    line = Line('{"event": "POWERDOWN"}\n{"return": {}}\n{"event": "SHUTDOWN"}\n')
    virtual.ask(line, "system_powerdown")
    assert json.loads(line.told) == {"execute": "system_powerdown"}
    assert line.readline() == '{"event": "SHUTDOWN"}\n'


def test_both_kinds_of_host_answer_to_the_builder():
    for function in ("create", "authorize", "boot", "alive", "pid", "stop", "cut_power", "destroy"):
        assert callable(getattr(host, function))
        assert callable(getattr(virtual, function))
    assert builder.kind("vm1") is virtual
    assert builder.kind("db1") is host


def test_files_for_containers_stay_in_containers():
    layer = host.FILES / "container"
    assert (layer / "etc/default/chrony").read_text().startswith('DAEMON_OPTS="-x')
    assert not (host.FILES / "common/etc/default/chrony").exists()
