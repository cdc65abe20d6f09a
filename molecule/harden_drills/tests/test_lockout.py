"""Lock-out drills: a change that shuts the engineer out, or dies half-way, is gone in time, and the old state is back."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from lab import builder
from lab.hardening import comes_in, start_drill, state_of
from lab.plan import Lab
from lab.scenario import wait_until

SSHD = "/etc/ssh/sshd_config.d/00-drill.conf"
RELOAD = [["systemctl", "reload", "ssh.service"]]
REFUSES_ALL = [
    {
        "kind": "setting",
        "path": SSHD,
        "key": "DenyUsers",
        "value": "*",
        "check": ["sshd", "-t"],
        "then": RELOAD,
    }
]
WRONG_PAM = [
    {
        "kind": "command",
        "name": "/etc/pam.d/sshd",
        "unless": ["grep", "-q", "pam_deny", "/etc/pam.d/sshd"],
        "argv": ["sed", "-i", "1i account requisite pam_deny.so", "/etc/pam.d/sshd"],
    }
]
NO_SUDO = [
    {
        "kind": "file",
        "path": "/etc/sudoers.d/zz-drill",
        "content": "engineer ALL=(ALL:ALL) !ALL\n",
        "mode": "0440",
        "check": ["visudo", "-c"],
    }
]
DROPS_SSH = [
    {
        "kind": "file",
        "path": "/etc/nftables.d/zz-drill.nft",
        "content": "table inet drill {\n  chain input {\n    type filter hook input priority -10; policy drop;\n  }\n}\n",
        "then": [["nft", "-f", "/etc/nftables.d/zz-drill.nft"]],
    },
    # So that the way back keeps the rules in force, as it does for every change of the firewall's own file.
    {"kind": "setting", "path": "/etc/nftables.conf", "key": "# drill", "style": "word"},
]
# The host's own time, and room for a slow computer. The drills give the host 15 s.
IN_TIME = 60


def back(lab: Lab, host: str, root: Callable[[str, str], str], before: list[str]) -> None:
    """A working login, and exactly the state before."""
    wait_until(f"a login on {host}", IN_TIME, lambda: comes_in(lab, host))
    nothing_waits = "test ! -e /var/lib/maintenance/restore_points/armed"
    wait_until(
        "the old state", IN_TIME, lambda: root(host, nothing_waits + " && echo yes || echo no") == "yes\n"
    )
    assert set(state_of(root, host)) ^ set(before) == set()


@pytest.mark.parametrize(
    ("name", "resources", "said"),
    [
        ("sshd", REFUSES_ALL, "all was taken back at once"),
        ("pam", WRONG_PAM, "all was taken back at once"),
        ("sudo", NO_SUDO, "the host has taken it back by itself"),
        ("firewall", DROPS_SSH, "the host has taken it back by itself"),
    ],
)
def test_who_would_be_shut_out_is_not(
    site: str,
    lab: Lab,
    root: Callable[[str, str], str],
    name: str,
    resources: list[dict[str, Any]],
    said: str,
) -> None:
    before = state_of(root, "gate1")
    drill = start_drill(site, "gate1", f"drill-{name}", resources)
    out, _ = drill.communicate(timeout=180)
    assert drill.returncode != 0, out
    assert said in " ".join(out.split()), out
    back(lab, "gate1", root, before)


def test_a_controller_that_dies_after_the_change_leaves_nothing_behind(
    site: str, lab: Lab, root: Callable[[str, str], str]
) -> None:
    before = state_of(root, "gate1")
    drill = start_drill(
        site, "gate1", "drill-dead", REFUSES_ALL, drill_confirms=False, harden_confirm_seconds=8
    )
    out, _ = drill.communicate(timeout=180)
    assert drill.returncode == 0, out
    assert not comes_in(lab, "gate1")
    back(lab, "gate1", root, before)


def test_a_controller_that_is_killed_during_the_change_leaves_nothing_behind(
    site: str, lab: Lab, root: Callable[[str, str], str]
) -> None:
    before = state_of(root, "gate1")
    # The way back runs the same commands, and need not wait.
    once = ["sh", "-c", "test -e /run/drill || { touch /run/drill; sleep 60; }"]
    waits = [{**REFUSES_ALL[0], "then": [*RELOAD, once]}]
    drill = start_drill(site, "gate1", "drill-killed", waits, harden_confirm_seconds=8)
    wait_until("the change", 60, lambda: not comes_in(lab, "gate1"))
    os.kill(drill.pid, signal.SIGKILL)
    drill.communicate(timeout=60)
    back(lab, "gate1", root, before)


def test_a_host_that_loses_its_power_starts_with_what_it_had(
    site: str, lab: Lab, root: Callable[[str, str], str]
) -> None:
    before = state_of(root, "gate1")
    drill = start_drill(
        site, "gate1", "drill-power", REFUSES_ALL, drill_confirms=False, harden_confirm_seconds=900
    )
    out, _ = drill.communicate(timeout=180)
    assert drill.returncode == 0, out
    assert not comes_in(lab, "gate1")
    builder.cut_power(lab, "gate1")
    builder.boot(lab, "gate1")
    back(lab, "gate1", root, before)


def test_a_full_disk_does_not_stop_the_way_back(site: str, lab: Lab, root: Callable[[str, str], str]) -> None:
    before = state_of(root, "gate1")
    folder = "/var/lib/maintenance"
    root("gate1", f"mkdir -p {folder} && mount -t tmpfs -o size=64m,mode=0700 tmpfs {folder}")
    fill = f"dd if=/dev/zero of={folder}/fill bs=1M; ! echo more > {folder}/more"
    fills = {
        "kind": "command",
        "name": "full",
        "unless": ["test", "-e", f"{folder}/fill"],
        "argv": ["sh", "-c", fill],
    }
    try:
        drill = start_drill(
            site, "gate1", "drill-full", [fills, *REFUSES_ALL], drill_confirms=False, harden_confirm_seconds=8
        )
        out, _ = drill.communicate(timeout=180)
        assert drill.returncode == 0, out
        assert not comes_in(lab, "gate1")
        wait_until("a login", IN_TIME, lambda: comes_in(lab, "gate1"))
        waits = f"test -e {folder}/restore_points/armed && echo armed || echo over"
        wait_until("the end of the way back", IN_TIME, lambda: root("gate1", waits) == "over\n")
    finally:
        root("gate1", f"umount {folder}")
    back(lab, "gate1", root, before)


def test_a_change_that_fails_is_taken_back_at_once(
    site: str, lab: Lab, root: Callable[[str, str], str]
) -> None:
    before = state_of(root, "gate1")
    bad = [{**REFUSES_ALL[0], "key": "NoSuchOption", "value": "x"}]
    drill = start_drill(site, "gate1", "drill-invalid", bad)
    out, _ = drill.communicate(timeout=180)
    assert drill.returncode != 0
    assert "taken back, because of: sshd -t" in " ".join(out.split()), out
    assert comes_in(lab, "gate1")
    assert set(state_of(root, "gate1")) ^ set(before) == set()


def test_a_second_change_is_refused_while_the_first_waits(
    site: str, lab: Lab, root: Callable[[str, str], str]
) -> None:
    before = state_of(root, "gate1")
    one = [{"kind": "mode", "path": "/var/log", "mode": "0750"}]
    start_drill(
        site, "gate1", "drill-first", one, drill_confirms=False, harden_confirm_seconds=8
    ).communicate(timeout=180)
    second = start_drill(site, "gate1", "drill-second", [{"kind": "mode", "path": "/root", "mode": "0500"}])
    out, _ = second.communicate(timeout=180)
    assert second.returncode != 0
    assert re.search("drill-first-[0-9a-f]{8} still waits for its confirmation", " ".join(out.split())), out
    back(lab, "gate1", root, before)
