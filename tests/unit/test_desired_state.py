"""Desired state: comparing is pure, settings change their own lines only, and nothing differs the second time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import desired_state
from ansible.module_utils.resource import HEADER, NotPossibleError, must, run
from ansible.module_utils.resource_files import with_settings
from ansible.module_utils.resource_hba import changed_hba_line
from ansible.module_utils.resource_postgresql import restart_command

LOGIN_DEFS = "# PASS_MAX_DAYS 1\nPASS_MAX_DAYS\t99999\nUMASK 022 # usual\n"


@pytest.mark.parametrize(
    ("text", "settings", "style", "expected"),
    [
        (None, [("MaxAuthTries", "4")], "space", HEADER + "MaxAuthTries 4\n"),
        (
            LOGIN_DEFS,
            [("PASS_MAX_DAYS", "90")],
            "space",
            LOGIN_DEFS.replace("PASS_MAX_DAYS\t99999", "PASS_MAX_DAYS 90"),
        ),
        (LOGIN_DEFS, [("PASS_MAX_DAYS", "99999")], "space", LOGIN_DEFS),
        (LOGIN_DEFS, [("UMASK", "022")], "space", LOGIN_DEFS),
        ("a = 1\nb=2\na = 3\n", [("a", "4")], "spaced", "b=2\na = 4\n"),
        ("a=1\n", [("a", "1")], "spaced", "a = 1\n"),
        ("ab=1\n", [("a", "2")], "equals", "ab=1\na=2\n"),
        ("install dccp /bin/true\n", [("install dccp", "/bin/false")], "space", "install dccp /bin/false\n"),
        ("permitrootlogin yes\n", [("PermitRootLogin", "no")], "space", "PermitRootLogin no\n"),
        ("", [("enforce_for_root", "")], "word", "enforce_for_root\n"),
        ("x", [("a", "1"), ("b", "2")], "equals", "x\na=1\nb=2\n"),
    ],
)
def test_a_setting_changes_its_own_lines_only(
    text: str | None, settings: list[tuple[str, str]], style: str, expected: str
) -> None:
    styled = [(key, value, style) for key, value in settings]
    after = with_settings(text, styled)
    assert after == expected
    assert with_settings(after, styled) == after


def setting(path: Path, key: str, value: str, **more: Any) -> dict[str, Any]:
    return {"kind": "setting", "path": str(path), "key": key, "value": value, "checks": ["X-1"], **more}


def test_settings_of_one_file_are_one_change_and_nothing_differs_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "new.d" / "a.conf"
    resources = [
        setting(path, "A", "1", then=[["true"]]),
        {"kind": "mode", "path": str(tmp_path), "mode": "0700", "checks": ["X-2"]},
        setting(path, "B", "2", then=[["true"], ["true", "again"]]),
    ]
    tmp_path.chmod(0o755)
    found, refused = desired_state.plan(resources)
    assert [difference.subject for difference in found] == [str(path), str(tmp_path)]
    assert refused == []
    assert not path.exists()
    desired_state.apply(found)
    assert path.read_text() == HEADER + "A 1\nB 2\n"
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert desired_state.plan(resources) == ([], [])


def test_the_way_back_knows_what_lies_outside_of_etc_and_what_brings_it_into_force(tmp_path: Path) -> None:
    found, _refused = desired_state.plan([setting(tmp_path / "a", "A", "1", then=[["true", "x"]])])
    assert desired_state.restore_plan(found) == {
        "paths": [str(tmp_path / "a")],
        "rights": [],
        "units": [],
        "sysctls": [],
        "programs": [],
        "mounts": [],
        "next_start": [],
        "firewall": False,
        "audit": False,
        "commands": [["true", "x"]],
        "undo": [],
        "redo": [],
    }


def test_a_check_that_does_not_accept_ends_it_before_anything_is_brought_into_force(tmp_path: Path) -> None:
    marker = tmp_path / "in force"
    found, _ = desired_state.plan(
        [setting(tmp_path / "a", "A", "1", check=["false"], then=[["touch", str(marker)]])]
    )
    with pytest.raises(desired_state.RestoreError, match="false"):
        desired_state.apply(found)
    assert not marker.exists()


def test_rights_that_are_narrower_already_stay(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("")
    path.chmod(0o600)
    assert desired_state.plan([{"kind": "mode", "path": str(path), "mode": "0640"}]) == ([], [])
    path.chmod(0o646)
    found, _ = desired_state.plan([{"kind": "mode", "path": str(path), "mode": "0640"}])
    desired_state.apply(found)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_exchanged_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path, secret = tmp_path / "own", tmp_path / "secret"
    for file, mode in ((path, 0o666), (secret, 0o640)):
        file.write_text("")
        file.chmod(mode)
    found, _ = desired_state.plan([{"kind": "mode", "path": str(path), "mode": "7664", "set": "1000"}])
    path.unlink()
    os.link(secret, path)
    desired_state.apply(found)
    assert secret.stat().st_mode & 0o7777 == 0o640
    # A whole change is not stopped by the file of one account.
    path.unlink()
    desired_state.apply(found)
    path.symlink_to(secret)
    desired_state.apply(found)
    assert secret.stat().st_mode & 0o7777 == 0o640


def test_a_link_is_never_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("")
    secret.chmod(0o666)
    (tmp_path / "link").symlink_to(secret)
    assert desired_state.plan([{"kind": "mode", "path": str(tmp_path / "link"), "mode": "0600"}]) == ([], [])


def test_what_a_host_cannot_be_given_is_named_and_the_rest_is_done(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("")
    found, refused = desired_state.plan(
        [
            {"kind": "sysctl", "key": "no.such.parameter", "value": "1", "checks": ["X-1"]},
            {"kind": "mode", "path": str(path), "owner": "no-such-account", "checks": ["X-2"]},
            {
                "kind": "command",
                "name": "a tool",
                "unless": ["no-such-tool"],
                "argv": ["true"],
                "checks": ["X-3"],
            },
            setting(tmp_path / "b", "A", "1"),
        ]
    )
    assert [line["checks"] for line in refused] == ["X-1", "X-2", "X-3"]
    assert all(line["reason"] for line in refused)
    assert [difference.subject for difference in found] == [str(tmp_path / "b")]


@pytest.mark.parametrize("fixed", [True, False])
def test_no_audit_rule_comes_to_those_that_are_fixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fixed: bool
) -> None:
    monkeypatch.setattr(desired_state, "_audit_is_locked", lambda: fixed)
    found, refused = desired_state.plan([{**setting(tmp_path / "rules", "A", "1"), "unlocked_audit": True}])
    assert [one["kind"] for one in refused] == (["host"] if fixed else [])
    assert bool(found) is not fixed


def test_a_setting_that_needs_what_is_not_there_does_not_keep_its_neighbours_away(tmp_path: Path) -> None:
    path = tmp_path / "a"
    absent = setting(path, "A", "1", needs=str(tmp_path / "no dictionary"))
    found, refused = desired_state.plan([absent, setting(path, "B", "2")])
    assert "no dictionary is not there" in refused[0]["reason"]
    desired_state.apply(found)
    assert path.read_text() == HEADER + "B 2\n"


def test_another_account_is_asked_from_a_folder_that_it_can_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.chdir(tmp_path)
    done = run(["runuser", "-u", "nobody", "--", "pwd"])
    assert (done.stdout, done.stderr) == ("/\n", "")


def test_a_value_is_read_without_what_a_tool_complains_of() -> None:
    assert must(["sh", "-c", "echo 0; echo warning >&2"]) == "0\n"
    with pytest.raises(desired_state.RestoreError, match="warning"):
        must(["sh", "-c", "echo warning >&2; exit 3"])


def test_a_file_can_be_removed_and_stays_away(tmp_path: Path) -> None:
    path = tmp_path / ".rhosts"
    path.write_text("+ +")
    gone = [{"kind": "file", "path": str(path), "absent": True}]
    found, _ = desired_state.plan(gone)
    desired_state.apply(found)
    assert not os.path.lexists(path)
    assert desired_state.plan(gone) == ([], [])


PEER = ["local all postgres peer"]


@pytest.mark.parametrize(
    ("line", "kind", "method", "expected"),
    [
        ("host  all all 10.0.0.0/8   md5", "hostssl", None, "hostssl  all all 10.0.0.0/8   md5"),
        ("host all all 10.0.0.0/8 trust", None, "scram-sha-256", "host all all 10.0.0.0/8 scram-sha-256"),
        (
            "host all all 10.0.0.1 255.255.255.255 trust",
            None,
            "md5",
            "host all all 10.0.0.1 255.255.255.255 md5",
        ),
        (
            "host all all 10.0.0.0/8 ldap ldapserver=x",
            None,
            "md5",
            "host all all 10.0.0.0/8 md5 ldapserver=x",
        ),
        ("local all all trust", None, "scram-sha-256", "local all all scram-sha-256"),
    ],
)
def test_a_line_of_pg_hba_changes_in_one_word(
    line: str, kind: str | None, method: str | None, expected: str
) -> None:
    assert changed_hba_line(line, kind, method, PEER) == expected


def test_root_never_loses_its_way_into_the_database() -> None:
    for earlier in ([], ["# local all postgres peer"], ["local all all peer"]):
        with pytest.raises(NotPossibleError, match="put `local all postgres peer` before"):
            changed_hba_line("local all all trust", None, "scram-sha-256", earlier)


def test_names_in_quotes_are_left_to_a_person() -> None:
    with pytest.raises(NotPossibleError, match="by hand"):
        changed_hba_line('host "my db" all 10.0.0.0/8 trust', None, "scram-sha-256", PEER)


def test_a_name_of_a_setting_is_never_a_statement() -> None:
    with pytest.raises(desired_state.RestoreError, match="no name"):
        desired_state.plan([{"kind": "postgresql", "port": 5432, "key": "x = 1; drop table y", "value": "1"}])


def test_a_secret_reaches_the_file_and_no_plan(tmp_path: Path) -> None:
    path = tmp_path / "a"
    resource = {"kind": "file", "path": str(path), "content": "password @own@\n", "checks": ["X-1"]}
    found, refused = desired_state.plan([resource], {"own": "grub.pbkdf2"})
    assert refused == []
    assert "grub.pbkdf2" not in str(desired_state.restore_plan(found))
    desired_state.apply(found)
    assert path.read_text() == "password grub.pbkdf2\n"
    assert desired_state.plan([resource], {"own": "grub.pbkdf2"}) == ([], [])


def test_what_shuts_out_the_one_who_does_it_is_refused_as_such(tmp_path: Path) -> None:
    narrow = {**setting(tmp_path / "a", "AllowUsers", "x"), "lets_in": {"users": ["no pattern*"]}}
    found, refused = desired_state.plan([narrow])
    assert found == []
    assert (refused[0]["kind"], refused[0]["checks"]) == ("access", "X-1")


def test_what_only_a_start_brings_into_force_is_told(tmp_path: Path) -> None:
    later = setting(tmp_path / "a", "A", "1", next_start="after the next start")
    found, _ = desired_state.plan([later])
    assert desired_state.restore_plan(found)["next_start"] == ["after the next start"]


def test_a_server_that_systemd_did_not_start_is_restarted_by_hand(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text("1\n/data\n")
    with pytest.raises(NotPossibleError, match="restart it by hand"):
        restart_command(str(tmp_path))
