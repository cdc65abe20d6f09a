"""Packages behind a restore point: installed, taken away, upgraded; and whatever way it ends, all is as it was."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from repository import install, offer, withdraw

from lab import builder
from lab.hardening import comes_in, start_drill, state_of
from lab.plan import Lab
from lab.scenario import wait_until

HOST = "gate1"
PACKAGES = """
drill-server 1.0 drill-library service
drill-server 2.0 drill-library service
drill-library 1.0 - -
drill-old 1.0 - service
drill-user 1.0 drill-old -
drill-slow 1.0 - slow
drill-broken 1.0 - broken
"""
IN_TIME = 60
SET = r"""
dpkg-query -W -f '${Package}:${Architecture} ${Version} ${db:Status-Abbrev}\n' | grep -v ' .n $'
apt-mark showauto; dpkg --audit; dpkg --verify | grep -v '^..5.*/etc/' || true
find /usr/share/drill-* /lib/systemd/system/drill-* /usr/sbin/policy-rc.d 2>/dev/null || true
"""


def whole_state(root: Callable[[str, str], str]) -> set[str]:
    return {*state_of(root, HOST), *root(HOST, SET).splitlines()}


@pytest.fixture(autouse=True)
def repository(root: Callable[[str, str], str]) -> Iterator[None]:
    root(HOST, "apt-mark -qq unhold 'drill-*' || true")
    offer(root, HOST, PACKAGES)
    install(root, HOST, "drill-old")
    root(HOST, "echo 'setting = the hospital' > /etc/drill-old/settings.conf")
    yield
    root(
        HOST,
        "DEBIAN_FRONTEND=noninteractive dpkg --purge $(dpkg-query -W -f '${Package} ' 'drill-*') >/dev/null",
    )
    withdraw(root, HOST)


def package(state: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"kind": "package", "names": list(names), "state": state, "checks": ["DRILL-1"], **more}


def drill(site: str, name: str, resources: list[dict[str, Any]], **more: Any) -> tuple[int, str]:
    """The change, and what was said."""
    process = start_drill(site, HOST, f"drill-{name}", resources, **{"harden_confirm_seconds": 60, **more})
    out, _ = process.communicate(timeout=180)
    return process.returncode, " ".join(out.split())


def undo(site: str) -> None:
    process = start_drill(site, HOST, "drill-undo", [], playbook="undo")
    out, _ = process.communicate(timeout=180)
    assert process.returncode == 0, out


def versions(root: Callable[[str, str], str]) -> dict[str, str]:
    form = "${Package} ${Version} ${db:Status-Abbrev}\\n"
    lines = root(HOST, f"dpkg-query -W -f '{form}' | grep ^drill || true").splitlines()
    return {line.split()[0]: line.split()[1] for line in lines if line.split()[-1] == "ii"}


def test_what_is_installed_starts_only_when_it_is_asked_for_and_an_undo_leaves_no_trace(
    site: str, root: Callable[[str, str], str]
) -> None:
    before = whole_state(root)
    unit = {"kind": "unit", "name": "drill-server.service", "enabled": True, "active": True}
    quiet = [package("present", "drill-server", version="1.0")]
    assert drill(site, "install", quiet)[0] == 0
    assert versions(root) == {"drill-library": "1.0", "drill-old": "1.0", "drill-server": "1.0"}
    states = "set +e; systemctl is-active drill-server; systemctl is-enabled drill-server; true"
    assert root(HOST, states).split() == ["inactive", "disabled"]
    undo(site)
    assert whole_state(root) ^ before == set()
    assert drill(site, "started", [*quiet, {**unit, "package": "drill-server"}])[0] == 0
    assert root(HOST, states).split() == ["active", "enabled"]
    undo(site)
    assert whole_state(root) ^ before == set()


def test_what_is_taken_away_comes_back_with_its_service_and_its_configuration(
    site: str, root: Callable[[str, str], str]
) -> None:
    before = whole_state(root)
    for state in ("absent", "purged"):
        code, out = drill(site, state, [package(state, "drill-old")])
        assert code == 0, out
        assert versions(root) == {}
        # The way back needs no repository.
        withdraw(root, HOST)
        undo(site)
        offer(root, HOST, PACKAGES)
        assert whole_state(root) ^ before == set()


def test_an_upgrade_keeps_what_runs_running_and_an_undo_brings_the_old_version(
    site: str, root: Callable[[str, str], str]
) -> None:
    install(root, HOST, "drill-server=1.0")
    before = whole_state(root)
    code, out = drill(site, "upgrade", [package("present", "drill-server", version="2.0")])
    assert code == 0, out
    assert versions(root)["drill-server"] == "2.0"
    assert root(HOST, "systemctl is-active drill-server") == "active\n"
    undo(site)
    assert whole_state(root) ^ before == set()


def test_the_remedy_of_a_tool_of_intruders_takes_it_away_and_nothing_else(
    site: str, run: Callable[..., Any], root: Callable[[str, str], str]
) -> None:
    offer(root, HOST, "tcpdump 1.0 - -\nhydra 1.0 - -\ndrill-user 1.0 hydra -")
    install(root, HOST, "tcpdump", "drill-user")
    before = root(HOST, SET)
    only = ("--limit", HOST, "--set", "harden_sessions=none", "--set", "harden_controls=LNX-IP-01B")
    try:
        done = run("harden", "--reason", "drill", *only)
        assert done.code == 0, done.err + done.out
        assert sorted(set(before.splitlines()) - set(root(HOST, SET).splitlines())) == ["tcpdump:all 1.0 ii "]
        undo(site)
        assert root(HOST, SET) == before
    finally:
        root(HOST, "dpkg --purge tcpdump drill-user hydra >/dev/null")


def test_a_host_killed_in_the_middle_of_apt_is_whole_again_at_its_deadline(
    site: str, lab: Lab, root: Callable[[str, str], str]
) -> None:
    before = whole_state(root)
    resources = [package("absent", "drill-old"), package("present", "drill-slow", "drill-server")]
    begun = start_drill(site, HOST, "drill-killed", resources, harden_confirm_seconds=8)
    half = "dpkg-query -W -f '${db:Status-Abbrev}' drill-slow 2>/dev/null || true"
    wait_until("apt is at work", 60, lambda: root(HOST, half).startswith("iF"))
    os.kill(begun.pid, signal.SIGKILL)
    begun.communicate(timeout=60)
    waits = "test ! -e /var/lib/maintenance/restore_points/armed && echo over || echo armed"
    wait_until("the way back", IN_TIME, lambda: root(HOST, waits) == "over\n")
    assert root(HOST, "dpkg --audit") == ""
    assert whole_state(root) ^ before == set()


def test_a_power_cut_in_the_middle_of_apt_ends_with_the_old_set(
    site: str, lab: Lab, root: Callable[[str, str], str]
) -> None:
    before = whole_state(root)
    resources = [package("absent", "drill-old"), package("present", "drill-slow", "drill-server")]
    begun = start_drill(site, HOST, "drill-power", resources, harden_confirm_seconds=900)
    half = "dpkg-query -W -f '${db:Status-Abbrev}' drill-slow 2>/dev/null || true"
    wait_until("apt is at work", 60, lambda: root(HOST, half).startswith("iF"))
    builder.cut_power(lab, HOST)
    begun.communicate(timeout=120)
    builder.boot(lab, HOST)
    wait_until("a login", IN_TIME, lambda: comes_in(lab, HOST))
    waits = "test ! -e /var/lib/maintenance/restore_points/armed && echo over || echo armed"
    wait_until("the way back", IN_TIME, lambda: root(HOST, waits) == "over\n")
    wait_until("the host is up", IN_TIME, lambda: whole_state(root) ^ before == set())


def test_a_package_that_fails_takes_all_back_at_once(site: str, root: Callable[[str, str], str]) -> None:
    before = whole_state(root)
    code, out = drill(site, "broken", [package("present", "drill-broken", "drill-server")])
    assert code != 0
    assert "taken back, because of: apt:" in out, out
    assert whole_state(root) ^ before == set()


@pytest.mark.parametrize(
    ("resources", "prepare", "reason"),
    [
        ([package("present", "no-such-package")], "", "Unable to locate package no-such-package"),
        (
            [package("absent", "drill-old")],
            "rm -f /srv/drill-repository/drill-old* /var/lib/maintenance/packages/drill-old*",
            "the file of drill-old=1.0 is neither in apt's cache nor to be had",
        ),
        (
            [package("absent", "drill-old")],
            "apt-get -qq -y install drill-user >/dev/null",
            "it would take away drill-user as well",
        ),
        ([package("absent", "drill-old")], "apt-mark -qq hold drill-old", "Held packages were changed"),
    ],
)
def test_what_has_no_way_back_is_refused_and_nothing_is_changed(
    site: str,
    root: Callable[[str, str], str],
    resources: list[dict[str, Any]],
    prepare: str,
    reason: str,
) -> None:
    root(HOST, prepare)
    before = root(HOST, SET)
    code, out = drill(site, "refused", resources)
    assert code == 0, out
    assert reason in out
    assert root(HOST, SET) == before
