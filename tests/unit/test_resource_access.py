"""What narrows the way in is refused where it would shut out whoever makes the change; sudo loses one thing only."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils import resource_access as access
from ansible.module_utils import resource_sudoers as sudoers
from ansible.module_utils.resource_access import Visitor
from ansible.module_utils.resource_mounts import with_options

ME = Visitor("engineer", "10.1.2.3")


@pytest.fixture(autouse=True)
def _host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with two accounts that keys open, of which the backup's is in no group of people."""
    groups = {"engineer": {"engineer", "operators", "sudo"}, "backup": {"backup"}}
    for module in (access, sudoers):
        monkeypatch.setattr(module, "groups_of", lambda name: groups.get(name, set()))
    monkeypatch.setattr(access, "accounts_with_keys", lambda: ["backup", "engineer"])


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({}, ""),
        ({"users": ["engineer", "backup"]}, ""),
        ({"users": ["engineer"]}, "shut out backup"),
        ({"users": ["engineer"], "spared": ["backup"]}, ""),
        ({"users": ["backup"], "spared": ["engineer"]}, "shut out engineer"),
        ({"groups": ["operators", "backup"]}, ""),
        ({"groups": ["operators"], "users": ["backup"], "spared": ["backup"]}, "shut out engineer"),
        ({"users": ["engineer@10.0.0.1"]}, "no plain name"),
        ({"users": ["*"]}, "no plain name"),
        ({"networks": ["10.1.0.0/16"]}, ""),
        ({"networks": ["10.1.2.3"]}, ""),
        ({"networks": ["192.0.2.0/24", "2001:db8::/32"]}, "shut out 10.1.2.3"),
        ({"networks": ["nonsense"]}, "nonsense"),
    ],
)
def test_nobody_who_comes_in_now_is_shut_out(wanted: dict[str, Any], why: str) -> None:
    told = access.shut_out(wanted, ME)
    assert why in told
    assert bool(told) == bool(why)


def test_what_is_not_known_is_no_permission() -> None:
    nobody = Visitor("", "")
    assert "not known which account" in access.shut_out({"users": ["engineer"]}, nobody)
    assert "not known from which address" in access.shut_out({"networks": ["0.0.0.0/0"]}, nobody)


def test_an_address_of_the_old_kind_is_found_in_the_new_one() -> None:
    assert access.in_network("::ffff:10.1.2.3", "10.1.0.0/16")
    assert access.in_network("fe80::1%eth0", "fe80::/10")
    assert not access.in_network("10.1.2.3", "2001:db8::/32")


RULES = """# a comment
Defaults env_reset
Defaults:drill !authenticate, insults
Defaults !authenticate
root ALL=(ALL:ALL) ALL
drill ALL=(ALL) NOPASSWD: ALL
drill ALL=(ALL) NOPASSWD: /usr/bin/id
other ALL=(ALL) NOPASSWD: ALL
@includedir /etc/sudoers.d
"""


def test_a_password_is_asked_again_of_one_name_and_for_everything_only() -> None:
    changed = "drill ALL=(ALL) NOPASSWD: ALL"
    assert sudoers.with_password(RULES, "drill") == RULES.replace(changed, "drill ALL=(ALL) ALL")
    assert sudoers.with_password(RULES, "nobody") == RULES


def test_a_rule_for_everything_stays_as_a_comment() -> None:
    line = "drill ALL=(ALL) NOPASSWD: ALL"
    assert sudoers.without_everything(RULES, "drill") == RULES.replace(line, sudoers._OFF + line)


def test_defaults_lose_what_asks_nobody_and_nothing_else() -> None:
    after = sudoers.always_asking(RULES)
    assert "Defaults:drill insults\n" in after
    assert sudoers._OFF + "Defaults !authenticate\n" in after
    assert sudoers.always_asking(after) == after


def test_a_rule_of_several_lines_is_left_to_a_person() -> None:
    text = "drill ALL=(ALL) \\\n  NOPASSWD: ALL\n"
    assert sudoers.with_password(text, "drill") == text


@pytest.mark.parametrize(
    ("text", "password", "why"),
    [
        ("engineer ALL=(ALL) NOPASSWD: ALL\n", False, ""),
        ("%sudo ALL=(ALL:ALL) ALL\n", True, ""),
        ("%sudo ALL=(ALL:ALL) ALL\n", False, "has given no password"),
        # The last rule that fits counts.
        ("engineer ALL=(ALL) NOPASSWD: ALL\n%sudo ALL=(ALL:ALL) ALL\n", False, "has given no password"),
        ("%sudo ALL=(ALL:ALL) ALL\nDefaults !authenticate\n", False, ""),
        ("engineer ALL=(ALL) NOPASSWD: /usr/bin/id\n", True, "would not become root"),
        ("other ALL=(ALL) NOPASSWD: ALL\n", True, "would not become root"),
        ("ADMINS ALL=(ALL) NOPASSWD: ALL\n", True, "would not become root"),
    ],
)
def test_whoever_makes_the_change_becomes_root_by_what_is_left(text: str, password: bool, why: str) -> None:
    told = sudoers.loses({"/etc/sudoers": text}, "engineer", password)
    assert why in told
    assert bool(told) == bool(why)


def test_two_changes_that_shut_out_together_are_not_both_made() -> None:
    texts = {"/etc/sudoers": "Defaults !authenticate\nengineer ALL=(ALL) NOPASSWD: ALL\n"}
    changes = [{"take": "nopasswd", "who": "engineer"}, {"take": "authenticate"}]
    after, refused = sudoers.taken(texts, changes, "engineer")
    assert after == {
        "/etc/sudoers": f"{sudoers._OFF}Defaults !authenticate\nengineer ALL=(ALL) NOPASSWD: ALL\n"
    }
    assert [kind for _reason, kind in refused] == ["access"]
    assert refused[0][0].startswith("nopasswd engineer: engineer, who makes this change")
    assert sudoers.taken(texts, [{**one, "password": True} for one in changes], "engineer")[1] == []


FSTAB = "# <file system>\nUUID=1 / ext4 errors=remount-ro 0 1\ntmpfs  /tmp\ttmpfs defaults,exec,nosuid 0 0\n"


def test_a_line_of_fstab_gets_an_option_and_keeps_the_rest() -> None:
    line, text = with_options(FSTAB, "/tmp", ["noexec"], "tmpfs")
    assert line == "tmpfs  /tmp\ttmpfs defaults,nosuid,noexec 0 0"
    assert text == FSTAB.replace("defaults,exec,nosuid", "defaults,nosuid,noexec")
    assert with_options(text, "/tmp", ["noexec"], "tmpfs") == (line, text)


def test_a_mount_that_has_no_line_gets_one_with_what_it_has() -> None:
    line, text = with_options(FSTAB, "/dev/shm", ["noexec"], "tmpfs", known=["rw", "nosuid", "relatime"])
    assert line == "tmpfs /dev/shm tmpfs rw,nosuid,noexec,mode=1777 0 0"
    assert text == FSTAB + line + "\n"
