"""Packages behind a restore point: what apt would do is read whole, and the way back is told from two sets alone."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import desired_state, resource_packages, restore_packages
from ansible.module_utils.resource import NotPossibleError
from ansible.module_utils.resource_packages import Step, parse_simulation, too_much, wishes
from ansible.module_utils.restore_engine import RestoreError
from ansible.module_utils.restore_packages import (
    PackagesError,
    differing,
    file_name,
    parse_installed,
    way_back,
)

SIMULATION = """\
NOTE: This is only a simulation!
Remv systemd-timesyncd [252.1-1] [systemd:amd64 ]
Inst chrony (4.3-2+deb12u3 Debian:12.15/oldstable [amd64])
Inst libc6:i386 [2.36-9] (2.36-9+deb12u4 Debian:12.4/stable, Debian-Security:12/stable-security [i386]) []
Purg vsftpd [3.0.3-13]
Conf chrony (4.3-2+deb12u3 Debian:12.15/oldstable [amd64])
"""


def test_every_step_of_apt_is_read() -> None:
    assert parse_simulation(SIMULATION) == [
        Step("Remv", "systemd-timesyncd", "252.1-1", "", ""),
        Step("Inst", "chrony", "", "4.3-2+deb12u3", "amd64"),
        Step("Inst", "libc6:i386", "2.36-9", "2.36-9+deb12u4", "i386"),
        Step("Purg", "vsftpd", "3.0.3-13", "", ""),
    ]


NOW = parse_installed(
    "gcc:amd64\t12.2\tii \nmake:amd64\t4.3\trc \nold:all\t1:2.0\thi \nwish:amd64\t\tun \nlibc6:amd64\t2.36\tii \n"
    "libc6:i386\t2.36\tii \nbroken\n"
)


def test_what_is_known_by_name_only_is_no_package() -> None:
    assert sorted(NOW) == ["gcc:amd64", "libc6:amd64", "libc6:i386", "make:amd64", "old:all"]
    assert NOW["old:all"] == ["1:2.0", "hi"]


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"name": "gcc"}, []),
        ({"name": "gcc", "version": "12.2"}, []),
        ({"name": "gcc", "version": "13"}, ["gcc=13"]),
        ({"name": "aide"}, ["aide"]),
        ({"name": "make"}, ["make"]),
        ({"names": ["gcc", "make", "aide", "xorg-x11-server-Xorg"], "state": "absent"}, ["gcc-"]),
        ({"names": ["gcc", "make", "aide"], "state": "purged"}, ["gcc-", "make-"]),
        ({"name": "libc6:i386", "state": "absent"}, ["libc6:i386-"]),
    ],
)
def test_only_what_is_not_so_is_asked_of_apt(resource: dict[str, Any], expected: list[str]) -> None:
    assert wishes(resource, NOW) == expected


@pytest.mark.parametrize(
    "resource",
    [
        {"name": "--option"},
        {"name": "a b"},
        {"name": "aide", "version": "1;rm"},
        {"name": "aide", "state": "latest"},
    ],
)
def test_what_is_no_name_or_version_never_reaches_a_command(resource: dict[str, Any]) -> None:
    with pytest.raises(RestoreError):
        wishes(resource, NOW)


def test_what_nobody_named_is_not_taken_away() -> None:
    steps = parse_simulation("Remv gcc [12.2]\nRemv build-essential [12.9]\nRemv sudo [1.9]\n")
    with pytest.raises(NotPossibleError, match="take away build-essential, sudo as well"):
        too_much(steps, [{"names": ["gcc"], "state": "absent"}])
    with pytest.raises(NotPossibleError, match="take away sudo as well"):
        too_much(steps, [{"names": ["gcc"], "state": "absent", "along": ["build-*"]}])
    too_much(steps[:2], [{"names": ["gcc"], "state": "absent", "along": ["build-*"]}])


@pytest.mark.parametrize(
    ("before", "now", "steps"),
    [
        (None, ["1", "ii"], {"purge": ["a"]}),
        (None, ["1", "rc"], {"purge": ["a"]}),
        (["1", "ii"], None, {"install": ["a"], "select": ["a"]}),
        (["1", "ii"], ["2", "ii"], {"install": ["a"], "select": ["a"]}),
        (["1", "ii"], ["1", "rc"], {"install": ["a"], "select": ["a"]}),
        (["1", "ii"], ["1", "iF"], {"install": ["a"], "select": ["a"]}),
        (["1", "ii"], ["1", "iHR"], {"install": ["a"], "select": ["a"]}),
        (["1", "hi"], ["1", "ii"], {"select": ["a"]}),
        (["1", "rc"], None, {"install": ["a"], "remove": ["a"], "select": ["a"]}),
        (["1", "rc"], ["1", "ii"], {"remove": ["a"], "select": ["a"]}),
        (["1", "rc"], ["1", "pc"], {"select": ["a"]}),
        (["1", "ii"], ["1", "ii"], {}),
    ],
)
def test_the_way_back_of_each_state(
    before: list[str] | None, now: list[str] | None, steps: dict[str, list[str]]
) -> None:
    wanted = {} if before is None else {"a": before}
    there = {} if now is None else {"a": now}
    nothing: dict[str, list[str]] = {"purge": [], "install": [], "remove": [], "select": []}
    assert way_back(wanted, there, ["a"]) == {**nothing, **steps}


def test_a_file_is_called_as_apt_calls_it() -> None:
    assert file_name("vim:amd64", "2:9.0-1") == "vim_2%3a9.0-1_amd64.deb"


def test_an_undo_brings_back_what_the_change_made_and_names_what_others_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = [
        {"a:all": ["1", "ii"], "b:all": ["1", "ii"]},
        {"a:all": ["2", "ii"], "b:all": ["1", "ii"], "c:all": ["1", "ii"]},
        {"a:all": ["3", "ii"], "b:all": ["2", "ii"], "c:all": ["1", "ii"]},
    ]
    monkeypatch.setattr(restore_packages, "active_units", list)
    for verb, there in zip((restore_packages.keep, restore_packages.after), sets, strict=False):
        monkeypatch.setattr(restore_packages, "installed", lambda there=there: there)
        verb(str(tmp_path))
    monkeypatch.setattr(restore_packages, "installed", lambda: sets[2])
    said = restore_packages.state(str(tmp_path))
    assert (said["changed"], said["later"]) == (["a:all", "c:all"], ["a:all"])
    asked: list[Any] = []
    monkeypatch.setattr(restore_packages, "bring_back", lambda *given: asked.append(given))
    restore_packages.undo(str(tmp_path))
    restore_packages.revert(str(tmp_path))
    assert asked == [(sets[0], ["a:all", "c:all"], []), (sets[0], None, [])]


def test_without_the_kept_file_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(restore_packages, "STORE", str(tmp_path))
    monkeypatch.setattr(restore_packages, "run", lambda command, *_more, **_env: calls.append(command))
    with pytest.raises(PackagesError, match="the kept file is gone"):
        restore_packages._bring_back_once({"a:all": ["1", "ii"]}, {"b:all": ["1", "ii"]}, ["a:all", "b:all"])
    assert calls == []


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (("drill.service", "start"), False),
        (("--quiet", "drill", "start", "2"), False),
        (("drill.service", "stop"), True),
        (("postgresql.service", "restart"), True),
        (("--quiet", "postgresql", "restart"), True),
        (("postgresql-other.service", "restart"), False),
        ((), False),
    ],
)
def test_maintainer_scripts_start_only_what_ran(
    tmp_path: Path, arguments: tuple[str, ...], allowed: bool
) -> None:
    script = tmp_path / "policy-rc.d"
    script.write_text(restore_packages.policy(["postgresql.service", "ssh.socket"]))
    done = subprocess.run(["sh", str(script), *arguments], check=False)
    assert done.returncode == (0 if allowed else 101)


def test_one_that_is_not_to_be_had_does_not_keep_the_others_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def apt(command: list[str], *_more: Any, **_env: Any) -> subprocess.CompletedProcess[str]:
        if command[0] in ("dpkg", "dpkg-query"):
            return subprocess.CompletedProcess(command, 0 if command[0] == "dpkg" else 1, "", "")
        if "no-such" in command:
            return subprocess.CompletedProcess(command, 100, "E: Unable to locate package no-such\n", "")
        lines = [f"Remv {name[:-1]} [12.2]\n" for name in command if name.endswith("-")]
        lines += [
            f"Inst {name} (1 Debian [amd64])\n"
            for name in command[command.index("install") :]
            if name == "aide"
        ]
        return subprocess.CompletedProcess(command, 0, "".join(lines), "")

    monkeypatch.setattr(resource_packages, "run", apt)
    monkeypatch.setattr(resource_packages, "installed", lambda: NOW)
    monkeypatch.setattr(resource_packages.Transaction, "_fetch", lambda *_given: None)
    monkeypatch.setattr(resource_packages.shutil, "which", lambda *_given, **_more: "/usr/bin/apt-get")
    found, refused = desired_state.plan(
        [
            {"kind": "package", "name": "no-such", "checks": ["X-1"]},
            {"kind": "package", "names": ["gcc", "make"], "state": "absent", "checks": ["X-2"]},
            {"kind": "package", "name": "aide", "checks": ["X-3"]},
            {"kind": "file", "path": "/nowhere/a", "content": "a", "package": "aide", "checks": ["X-3"]},
            {"kind": "file", "path": "/nowhere/b", "content": "b", "package": "no-such", "checks": ["X-1"]},
        ],
        rehearsal=True,
    )
    assert [(one.subject, one.before, one.after) for one in found] == [
        ("packages", "gcc 12.2\naide -\n", "gcc -\naide 1\n"),
        ("/nowhere/a", "aide is not installed", "a"),
    ]
    assert [(one["checks"], one["kind"]) for one in refused] == [("X-1", "package"), ("X-1", "package")]
    assert "Unable to locate" in refused[0]["reason"]


def test_two_sets_differ_by_version_and_state() -> None:
    assert differing(
        {"a": ["1", "ii"], "b": ["1", "ii"]}, {"a": ["1", "rc"], "b": ["1", "ii"], "c": ["1", "ii"]}
    ) == [
        "a",
        "c",
    ]


def test_a_policy_of_the_host_comes_back_and_that_of_a_way_back_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy-rc.d"
    monkeypatch.setattr(restore_packages, "POLICY", str(path))
    monkeypatch.setattr(restore_packages, "STORE", str(tmp_path / "store"))
    path.write_text("#!/bin/sh\nexit 0\n")
    with restore_packages.quiet_services(["ssh.service"]):
        assert "ssh.service" in path.read_text()
    assert path.read_text() == "#!/bin/sh\nexit 0\n"
    with restore_packages.quiet_services([]):
        path.write_text("# maintenance runbook\n# of process 0\n")
    assert path.read_text() == "# maintenance runbook\n# of process 0\n"


def test_what_would_take_others_along_is_the_hosts_own_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def apt(command: list[str], *_more: Any, **_env: Any) -> subprocess.CompletedProcess[str]:
        lines = "Remv gcc [12.2]\nRemv build-essential [12.9]\n" if "install" in command else ""
        return subprocess.CompletedProcess(command, 0, lines, "")

    monkeypatch.setattr(resource_packages, "run", apt)
    monkeypatch.setattr(resource_packages, "installed", lambda: NOW)
    monkeypatch.setattr(resource_packages.shutil, "which", lambda *_given, **_more: "/usr/bin/apt-get")
    gone = {"kind": "package", "names": ["gcc"], "state": "absent", "checks": ["X-2"]}
    found, refused = desired_state.plan([gone], rehearsal=True)
    assert found == []
    assert [(one["kind"], one["subject"]) for one in refused] == [("host", "gcc")]
    assert "take away build-essential as well" in refused[0]["reason"]
