"""Parsers of accounts, policies, records, files and protection; none of them lets a secret out."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import (
    snapshot_access,
    snapshot_accounts,
    snapshot_certificates,
    snapshot_files,
    snapshot_journal,
    snapshot_kernel,
    snapshot_logs,
    snapshot_pam,
    snapshot_policy,
    snapshot_protection,
)
from ansible.module_utils.snapshot_host import Host, UnreadError
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_host_snapshot_parsers import debian, elsewhere


@pytest.mark.parametrize(
    "field, state, algorithm",
    [
        ("", "empty", None),
        ("*", "none", None),
        ("!", "none", None),
        ("!!", "none", None),
        ("!*", "none", None),
        ("$6$salt$planted", "set", "sha512"),
        ("$y$j9T$salt$planted", "set", "yescrypt"),
        ("$1$salt$planted", "set", "md5"),
        ("!$6$salt$planted", "locked", "sha512"),
        ("abJnggxhB/yWI", "set", "des"),
        ("$sm3$salt$planted", "set", "sm3"),
        ("planted", "set", "unknown"),
    ],
)
def test_of_a_password_only_its_state_is_told(field: str, state: str, algorithm: str | None) -> None:
    assert snapshot_accounts.password_state(field) == (state, algorithm)


@given(
    st.text(alphabet="abcdefgh$./!*0123456789", min_size=1, max_size=40),
    st.text(alphabet="0123456789", max_size=6),
)
def test_no_part_of_a_shadow_field_survives(field: str, days: str) -> None:
    found = snapshot_accounts.parse_shadow(f"eve:{field}:{days}:0:99999:7:::")
    assert set(found["eve"]) <= {
        "state", "algorithm", "changed", "must_change", "minimum_days", "maximum_days", "warning_days", "inactive_days"
    }  # fmt: skip
    assert found["eve"]["state"] in ("locked", "none", "set")
    assert found["eve"].get("algorithm") in {None, "des", "unknown", *snapshot_accounts._ALGORITHMS.values()}


def test_ages_of_a_password_are_read() -> None:
    found = snapshot_accounts.parse_shadow("a:!:20000:1:90:14:30:20100:\nb:!:0:0:99999:7:::\n")
    assert found["a"] == {
        "state": "none",
        "changed": "2024-10-04T00:00:00Z",
        "minimum_days": 1,
        "maximum_days": 90,
        "warning_days": 14,
        "inactive_days": 30,
        "account_expires": "2025-01-12T00:00:00Z",
    }
    assert found["b"]["must_change"] is True


def test_accounts_are_read_with_groups_and_duplicates(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    extra = "toor:x:0:0::/root:/bin/sh\nold:$1$s$planted:1000:1000::/home/old:/bin/bash\n+@staff::::::\n"
    (tmp_path / "etc/passwd").write_text(debian("passwd.txt") + extra)
    (tmp_path / "etc/group").write_text(debian("group.txt"))
    host = Host(root=str(tmp_path))
    found = snapshot_accounts.accounts(host)
    assert found["uid_zero"] == ["root", "toor"]
    assert found["duplicate_uids"] == ["0", "1000"]
    assert found["unshadowed"] == ["old"]
    assert found["directory_entries"] == 1
    users = {user["name"]: user for user in found["users"]}
    assert users["postgres"]["login"] is True and users["daemon"]["login"] is False
    assert users["toor"]["administrator"] is True
    assert host.unread["password"] == "/etc/shadow is not there"
    assert "password" not in users["root"]
    assert "planted" not in json.dumps(found)


def test_last_logins_are_read_from_a_sparse_file(tmp_path: Path) -> None:
    (tmp_path / "var/log").mkdir(parents=True)
    record = struct.Struct("=I32s256s")
    with (tmp_path / "var/log/lastlog").open("wb") as file:
        file.seek(1000 * record.size)
        file.write(record.pack(1795353304, b"pts/0", b"192.0.2.1"))
    host = Host(root=str(tmp_path))
    found = snapshot_accounts._last_logins(host, [{"uid": 0}, {"uid": 1000}, {"uid": 60000}])
    assert found == {1000: 1795353304.0}


def test_failed_logins_are_counted_and_nobody_is_named(tmp_path: Path) -> None:
    (tmp_path / "var/log").mkdir(parents=True)
    layout = struct.Struct("=hxxi32s4s32s256shhiii4i20s")

    def record(user: bytes, at: int) -> bytes:
        return layout.pack(6, 1, b"ssh", b"", user, b"192.0.2.7", 0, 0, 0, at, 0, 0, 0, 0, 0, b"")

    assert layout.size == 384
    data = record(b"root", 1795353304) * 3 + record(b"my-password", 1795353305) + record(b"old", 1000)
    (tmp_path / "var/log/btmp").write_bytes(data + b"cut")
    found = snapshot_accounts.logins(Host({"since": "2026-11-01T00:00:00Z"}, str(tmp_path)))
    assert found["failed"] == {"count": 4, "names": 2, "top": [3, 1]}
    assert "my-password" not in json.dumps(found)


def test_sudo_rules_are_read_with_what_they_allow() -> None:
    text = debian("sudoers.txt") + (
        "%dba ALL=(postgres) NOPASSWD: /usr/bin/psql -p planted, \\\n  /usr/bin/pg_dump\n"
        "User_Alias ADMINS = a, b\neve ALL=(ALL:ALL) NOPASSWD: ALL\n"
    )
    found = snapshot_access.parse_sudoers(text, "/etc/sudoers")
    rules = {rule["who"]: rule for rule in found["rules"]}
    assert set(rules) == {"root", "%sudo", "%dba", "eve"}
    assert rules["%dba"]["as"] == "postgres"
    assert rules["%dba"]["commands"] == "/usr/bin/psql …, /usr/bin/pg_dump"
    assert (rules["%dba"]["without_password"], rules["%dba"]["everything"]) == (True, False)
    assert (rules["eve"]["without_password"], rules["eve"]["everything"]) == (True, True)
    assert "use_pty" in found["defaults"]


def test_included_sudoers_are_followed_and_a_loop_ends(tmp_path: Path) -> None:
    (tmp_path / "etc/sudoers.d").mkdir(parents=True)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/sudo").touch(0o755)
    (tmp_path / "etc/sudoers").write_text("@includedir /etc/sudoers.d\n")
    (tmp_path / "etc/sudoers.d/a").write_text("eve ALL=(ALL) ALL\n@include /etc/sudoers.d/a\n")
    (tmp_path / "etc/sudoers.d/a.bak").write_text("mallory ALL=(ALL) ALL\n")
    found = snapshot_access.sudo(Host(root=str(tmp_path)))
    assert {rule["who"] for rule in found["rules"]} == {"eve"}


def test_public_keys_are_measured_and_not_kept(tmp_path: Path) -> None:
    kinds = [("rsa", 2048), ("ed25519", 256), ("ecdsa", 384)]
    for kind, bits in kinds:
        command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"eve {kind}", "-f", str(tmp_path / kind)]
        subprocess.run([*command, *(["-b", str(bits)] if kind != "ed25519" else [])], check=True)
    lines = [(tmp_path / f"{kind}.pub").read_text() for kind, _bits in kinds]
    text = "# keys\n" + 'from="192.0.2.0/24",command="echo \\"a,b\\"",no-pty ' + "".join(lines) + "garbage\n"
    found = snapshot_access.parse_keys(text)
    assert [(key["bits"], key["comment"]) for key in found] == [
        (2048, "eve rsa"),
        (256, "eve ed25519"),
        (384, "eve ecdsa"),
    ]
    assert found[0]["options"] == ["from", "command", "no-pty"]
    assert lines[0].split()[1] not in json.dumps(found)


def test_a_key_that_is_no_key_has_no_size() -> None:
    assert snapshot_access.key_bits("ssh-rsa", "AAAA!") is None
    assert snapshot_access.key_bits("ssh-rsa", "/////w==") is None


def test_sshds_effective_options_are_read() -> None:
    options = snapshot_policy.parse_sshd(debian("sshd_T.txt"))
    assert options["port"] == ["22"]
    assert options["permitrootlogin"] in ("no", "without-password", "prohibit-password", "yes")
    assert "aes256-ctr" in options["ciphers"]


def test_pam_stacks_are_read_without_their_secrets() -> None:
    found = snapshot_pam.parse_pam(elsewhere("password-auth.txt"))
    assert [line["module"] for line in found if line["type"] == "auth"] == [
        "pam_env.so", "pam_faillock.so", "pam_unix.so", "pam_faillock.so", "pam_deny.so"
    ]  # fmt: skip
    assert found[1]["arguments"] == ["preauth", "silent"]
    assert found[-2]["arguments"] == ["bindpw=***"]
    assert found[-2]["control"] == "[success=1 default=ignore]"
    assert found[-1]["type"] == "session"
    assert found[-3]["arguments"] == ["local_users_only", "retry=3", "authtok_type="]


def test_includes_of_debians_pam_are_kept() -> None:
    assert snapshot_pam.parse_pam("@include common-auth\n") == [
        {"type": "@include", "control": "", "module": "common-auth", "arguments": []}
    ]
    assert "nullok" in snapshot_pam.parse_pam(debian("common-auth.txt"))[0]["arguments"]


def test_the_password_policy_is_gathered_from_files_and_their_folders(tmp_path: Path) -> None:
    (tmp_path / "etc/security/pwquality.conf.d").mkdir(parents=True)
    (tmp_path / "etc/login.defs").write_text(debian("login.defs"))
    (tmp_path / "etc/security/pwquality.conf").write_text("# minlen = 6\nminlen = 8\n")
    (tmp_path / "etc/security/pwquality.conf.d/50.conf").write_text("minlen=12\nenforce_for_root\n")
    found = snapshot_policy.password_policy(Host(root=str(tmp_path)))
    assert found["login_defs"]["PASS_MAX_DAYS"] == "99999"
    assert found["pwquality"] == {"minlen": "12", "enforce_for_root": True}
    assert "faillock" not in found


def test_settings_of_login_shells_are_found() -> None:
    text = (
        "umask 022\nif true; then TMOUT=600; fi\nreadonly TMOUT; export TMOUT\n# HISTSIZE=1\nHISTSIZE=5000\n"
    )
    found = snapshot_policy.parse_profile(text, "/etc/profile")
    assert [(one["name"], one["value"], one.get("readonly")) for one in found] == [
        ("umask", "022", None),
        ("TMOUT", "600", True),
        ("HISTSIZE", "5000", False),
    ]


def test_modules_that_are_kept_out_are_known() -> None:
    rules = ["install usb-storage /bin/false", "blacklist cramfs", "install dccp /usr/bin/true"]
    found = snapshot_kernel.module_states(["usb_storage", "cramfs", "dccp", "sctp"], {"sctp"}, rules)
    assert found["usb_storage"] == {"loaded": False, "refused": True, "blacklisted": False}
    assert found["cramfs"] == {"loaded": False, "refused": False, "blacklisted": True}
    assert found["dccp"]["refused"] and found["sctp"]["loaded"]


def test_the_boot_loader_and_the_rescue_mode_are_looked_at(tmp_path: Path) -> None:
    for name in ("boot/grub", "usr/lib/systemd/system", "etc/systemd/system"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "boot/grub/grub.cfg").write_text(
        "set superusers=admin\npassword_pbkdf2 admin grub.pbkdf2.planted\n"
    )
    (tmp_path / "usr/lib/systemd/system/rescue.service").write_text(
        "ExecStart=-/lib/systemd/systemd-sulogin-shell rescue\n"
    )
    (tmp_path / "etc/systemd/system/ctrl-alt-del.target").symlink_to("/dev/null")
    found = snapshot_kernel.boot(Host(root=str(tmp_path)))
    assert found == {"protected": True, "rescue_asks": True, "ctrl_alt_delete_masked": True}


@pytest.mark.parametrize(
    ("overrides", "asks"),
    [
        ({}, True),
        ({"a.conf": "[Service]\nExecStart=\nExecStart=-/bin/sh\n"}, False),
        (
            {
                "a.conf": "ExecStart=\nExecStart=-/bin/sh\n",
                "b.conf": "ExecStart=\nExecStart=-/x/systemd-sulogin-shell\n",
            },
            True,
        ),
        ({"a.conf.old": "ExecStart=\nExecStart=-/bin/sh\n"}, True),
        ({"../rescue.service": "ExecStart=-/bin/sh\n"}, False),
    ],
)
def test_what_overrides_the_rescue_mode_is_looked_at(
    tmp_path: Path, overrides: dict[str, str], asks: bool
) -> None:
    own = tmp_path / "etc/systemd/system/rescue.service.d"
    own.mkdir(parents=True)
    vendor = tmp_path / "usr/lib/systemd/system"
    vendor.mkdir(parents=True)
    (vendor / "rescue.service").write_text("ExecStart=-/lib/systemd/systemd-sulogin-shell rescue\n")
    for name, text in overrides.items():
        (own / name).write_text(text)
    assert snapshot_kernel.boot(Host(root=str(tmp_path)))["rescue_asks"] is asks


def test_shares_are_read_without_a_communitys_name(tmp_path: Path) -> None:
    (tmp_path / "etc/samba").mkdir(parents=True)
    (tmp_path / "etc/snmp").mkdir()
    (tmp_path / "etc/exports").write_text("/srv *(rw,no_root_squash)\n")
    (tmp_path / "etc/samba/smb.conf").write_text(
        "[global]\n;x\n[public]\nguest ok = Yes\nread only = no\n[b]\n"
    )
    (tmp_path / "etc/hosts.allow").write_text("# who may\nsshd: 192.0.2.0/24\n")
    (tmp_path / "etc/snmp/snmpd.conf").write_text("rocommunity planted-community\nrocommunity public\n")
    found = snapshot_kernel.shares(Host(root=str(tmp_path)))
    assert found["nfs"] == ["/srv *(rw,no_root_squash)"]
    assert found["smb"] == [
        {"name": "public", "guest": True, "writable": True},
        {"name": "b", "guest": False, "writable": False},
    ]
    assert found["hosts_allow"] == ["sshd: 192.0.2.0/24"] and "hosts_deny" not in found
    assert found["snmp"] == {"communities": 2, "default_community": True}
    assert "planted" not in json.dumps(found)


def test_errors_of_the_journal_are_counted_by_unit() -> None:
    found = snapshot_journal.summarise(list(snapshot_journal.parse_journal(debian("journal.json"))))
    assert found["errors"] == 6
    assert found["units"][0]["unit"] == "rsyslog.service"
    assert found["units"][0]["sample"].startswith("cannot connect to backup1:514")


def entry(name: str, message: Any, **more: str) -> str:
    """A line of `journalctl -o json`."""
    values = {
        "__REALTIME_TIMESTAMP": "1795353304000000",
        "SYSLOG_IDENTIFIER": name,
        "MESSAGE": message,
        **more,
    }
    return json.dumps(values)


def test_what_an_application_says_is_counted_and_never_quoted() -> None:
    lines = [
        entry("dialysis-app", "patient 张三 id 110101199003071234 not found", _SYSTEMD_UNIT="app.service"),
        entry("kernel", "EXT4-fs error (device sda1): bad block", _TRANSPORT="kernel"),
        entry("sshd", "error: 王五 at card 6217000012345678 password=planted", _SYSTEMD_UNIT="ssh.service"),
        entry("kernel", "Out of memory: Killed process 12 (java)", _TRANSPORT="kernel"),
        entry("systemd", list(b"raw \xff bytes")),
        "not json",
    ]
    found = snapshot_journal.summarise(list(snapshot_journal.parse_journal("\n".join(lines))))
    samples = {unit["unit"]: unit["sample"] for unit in found["units"]}
    assert samples["app.service"] == ""
    assert samples["ssh.service"] == "error: … at card # password=***"
    assert samples["systemd"] == "raw \ufffd bytes"
    assert (found["kernel"]["filesystem_errors"], found["kernel"]["out_of_memory"]) == (1, 1)
    assert found["errors"] == 5


@pytest.mark.parametrize(
    "sign, message",
    [
        ("disk_errors", "blk_update_request: I/O error, dev sda, sector 1234"),
        ("disk_errors", "critical medium error, dev sdb, sector 99"),
        ("filesystem_errors", "EXT4-fs (sda1): Remounting filesystem read-only"),
        ("filesystem_errors", "XFS (dm-0): Corruption detected. Unmount and run xfs_repair, error 117"),
        ("hardware_errors", "mce: [Hardware Error]: Machine check events logged"),
        ("hung_tasks", "INFO: task postgres:123 blocked for more than 120 seconds."),
        ("crashes", "app[12]: segfault at 0 ip 0 sp 0 error 4 in libc.so.6"),
        ("network_resets", "NETDEV WATCHDOG: eth0 (e1000e): transmit queue 0 timed out"),
        ("out_of_memory", "oom-kill:constraint=CONSTRAINT_NONE"),
    ],
)
def test_the_kernels_signs_of_trouble_are_known(sign: str, message: str) -> None:
    line = entry("kernel", message, _TRANSPORT="kernel")
    found = snapshot_journal.summarise(list(snapshot_journal.parse_journal(line)))
    assert [name for name, count in found["kernel"].items() if count] == [sign]


def test_retention_is_reckoned_from_rotation() -> None:
    defaults = snapshot_logs.parse_logrotate(debian("logrotate.conf"))[0]
    blocks = snapshot_logs.parse_logrotate(debian("logrotate_rsyslog.conf"), defaults)
    (block,) = [block for block in blocks if block["files"]]
    assert "/var/log/auth.log" in block["files"]
    assert block["retention_days"] == 189
    text = "/var/log/a {\n daily\n rotate 400\n maxage 90\n}\n/var/log/b\n{\n rotate 26\n}\n"
    found = {
        block["files"][0]: block["retention_days"]
        for block in snapshot_logs.parse_logrotate(text, defaults)[1:]
    }
    assert found == {"/var/log/a": 90, "/var/log/b": 182}


@pytest.mark.parametrize(
    "text, target",
    [
        ("*.* @192.0.2.5\n", ("192.0.2.5", "udp", False)),
        ("authpriv.*   @@(o)logs.example:6514;fmt\n", ("logs.example:6514", "tcp", False)),
        (
            'action(type="omfwd" Target="192.0.2.5" Port="6514"\n Protocol="tcp" StreamDriver="ossl")\n',
            ("192.0.2.5:6514", "tcp", True),
        ),
    ],
)
def test_log_servers_are_found_in_every_spelling(text: str, target: tuple[str, str, bool]) -> None:
    (found,) = snapshot_logs.parse_rsyslog("# *.* @@commented\n" + text)
    assert (found["target"], found["protocol"], found["tls"]) == target


def test_the_labs_log_server_is_found() -> None:
    assert snapshot_logs.parse_rsyslog(debian("rsyslog_forward.conf"))[0]["target"] == "backup1:514"


@pytest.mark.parametrize(
    "line, instant",
    [
        ("Nov 22 13:15:04 db1 sshd[1]: x", "2026-11-22T13:15:04Z"),
        ("Dec 31 23:59:59 db1 sshd[1]: x", "2025-12-31T23:59:59Z"),  # before the file's own year began
        ("2026-11-22T21:15:04+08:00 db1 x", "2026-11-22T13:15:04Z"),
        ("type=DAEMON_START msg=audit(1795353304.123:1): op=start", "2026-11-22T13:15:04Z"),
        ("binary \x00 rubbish", None),
    ],
)
def test_the_oldest_line_of_a_log_is_dated(line: str, instant: str | None) -> None:
    modified = 1795400000.0  # 2026-11-23
    assert snapshot_logs.instant(snapshot_logs.line_time(line, modified)) == instant


def test_a_log_reaches_back_to_its_oldest_part(tmp_path: Path) -> None:
    import gzip

    folder = tmp_path / "var/log"
    folder.mkdir(parents=True)
    (folder / "auth.log").write_text("Nov 22 13:15:04 db1 x\n")
    (folder / "auth.log.1").write_text("Nov 15 13:15:04 db1 x\n")
    (folder / "auth.log.2.gz").write_bytes(gzip.compress(b"Nov 8 13:15:04 db1 x\n" * 5000))
    (folder / "auth.log.example").write_text("Jan 1 00:00:00 x\n")
    for age, name in enumerate(["auth.log", "auth.log.1", "auth.log.2.gz"]):
        os.utime(folder / name, (1795400000 - age * 604800,) * 2)
    (file,) = snapshot_logs.logging(Host(root=str(tmp_path)))["files"]
    assert (file["parts"], file["oldest"]) == (3, "2026-11-08T13:15:04Z")


def test_the_walk_finds_what_is_open_and_stops_at_its_bounds(tmp_path: Path) -> None:
    root = tmp_path / "srv"
    root.mkdir()
    for name, mode in {
        "suid": 0o4755,
        "open": 0o666,
        "plain": 0o644,
        ".pgpass": 0o644,
        "id_rsa": 0o600,
    }.items():
        (root / name).touch()
        (root / name).chmod(mode)
    (root / "drop").mkdir()
    (root / "drop").chmod(0o777)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "link").symlink_to("/etc/shadow")
    (root / "loop").symlink_to(root)
    (root / os.fsdecode(b"\xff\x1b[31m{{ 7*7 }}")).touch()
    findings = snapshot_files.Findings(None)
    assert snapshot_files.walk(str(root), len(str(tmp_path)), findings, time.monotonic() + 5)
    names = {kind: sorted(Path(path).name for path, _s in found) for kind, found in findings.found.items()}
    assert names["set_id"] == ["suid"]
    assert names["world_writable"] == ["open"]
    assert names["open_folders"] == ["drop"]
    assert names["exposed_secrets"] == [".pgpass"]
    assert findings.entries == 8


def test_what_lies_below_a_closed_folder_is_open_to_nobody(tmp_path: Path) -> None:
    for name, mode in {"closed": 0o700, "group": 0o750}.items():
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub/drop").mkdir()
        (tmp_path / name / "sub/drop").chmod(0o777)
        for file, bits in {"open": 0o666, ".pgpass": 0o644, "suid": 0o4755}.items():
            (tmp_path / name / "sub" / file).touch()
            (tmp_path / name / "sub" / file).chmod(bits)
        (tmp_path / name).chmod(mode)
    findings = snapshot_files.Findings(None)
    assert snapshot_files.walk(str(tmp_path), 0, findings, time.monotonic() + 5)
    names = {
        kind: sorted(str(Path(path).relative_to(tmp_path)) for path, _s in found)
        for kind, found in findings.found.items()
    }
    assert names["world_writable"] == ["group/sub/open"]
    assert names["open_folders"] == ["group/sub/drop"]
    assert names["exposed_secrets"] == ["group/sub/.pgpass"]
    assert names["set_id"] == ["closed/sub/suid", "group/sub/suid"]


def test_a_walk_without_time_says_that_it_was_cut(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / str(number)).touch()
    findings = snapshot_files.Findings(None)
    assert not snapshot_files.walk(str(tmp_path), 0, findings, time.monotonic() - 1)
    assert findings.entries < 600


def test_a_full_list_is_marked(tmp_path: Path) -> None:
    findings = snapshot_files.Findings(({0}, {0}))
    status = os.stat_result((0o100644, 1, 1, 1, 4242, 4242, 0, 0, 0, 0))
    for number in range(600):
        findings.judge(f"/x{number}", "x", status)
    lists = findings.lists({}, {})
    assert len(lists["ownerless"]) == 500
    assert lists["ownerless_truncated"] is True
    assert lists["ownerless"][0]["owner"] == "4242"


def test_modes_of_important_files_are_told_with_their_owners(tmp_path: Path) -> None:
    (tmp_path / "etc/ssh").mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text(f"me:x:{os.getuid()}:0::/:/bin/sh\n")
    (tmp_path / "etc/group").write_text(f"us:x:{os.getgid()}:\n")
    (tmp_path / "etc/ssh/ssh_host_rsa_key").touch(0o600)
    files = {one["path"]: one for one in snapshot_files.file_modes(Host(root=str(tmp_path)))["files"]}
    key = files["/etc/ssh/ssh_host_rsa_key"]
    assert (key["mode"], key["owner"], key["group"], key["kind"]) == ("0600", "me", "us", "file")
    assert "/etc/shadow" not in files


HERE = {"family": "inet", "table": "filter"}
NFT: dict[str, Any] = {
    "nftables": [
        {"metainfo": {"version": "1.0.6"}},
        {"table": {"family": "inet", "name": "filter"}},
        {"chain": {**HERE, "name": "input", "type": "filter", "hook": "input", "policy": "accept"}},
        {"chain": {**HERE, "name": "guard"}},
        {"chain": {**HERE, "name": "output", "type": "filter", "hook": "output", "policy": "drop"}},
        {"rule": {**HERE, "chain": "input", "expr": [{"match": {}}, {"accept": None}]}},
        {"rule": {**HERE, "chain": "input", "expr": [{"jump": {"target": "guard"}}]}},
        {"rule": {**HERE, "chain": "output", "expr": [{"drop": None}]}},
    ]
}


def test_a_firewall_that_accepts_what_no_rule_names_is_open() -> None:
    found = snapshot_protection.parse_nft(json.dumps(NFT))
    assert (found["rules"], found["input_rules"], found["closed"]) == (3, 2, False)
    assert {chain["name"]: chain["policy"] for chain in found["chains"]} == {
        "input": "accept",
        "output": "drop",
    }


def test_real_rules_of_a_firewall_are_read() -> None:
    found = snapshot_protection.parse_nft(debian("nft.json"))
    assert (found["rules"], found["input_rules"], found["closed"]) == (3, 3, True)


def test_the_audit_systems_state_and_rules_are_read(tmp_path: Path) -> None:
    fixtures = Path(__file__).parent.parent / "fixtures/host_snapshot/debian12"
    program = tmp_path / "usr/sbin/auditctl"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\ncat {fixtures}/auditctl_${{1#-}}.txt\n")
    program.chmod(0o755)
    (tmp_path / "etc/audit").mkdir(parents=True)
    (tmp_path / "etc/audit/auditd.conf").write_text("num_logs = 5\nmax_log_file_action = ROTATE\n")
    found = snapshot_logs.audit(Host(root=str(tmp_path)))
    assert found["status"]["enabled"] == 2  # until the next start nothing can be changed
    assert found["status"]["backlog_limit"] == 8192
    assert "-w /etc/passwd -p wa -k identity" in found["rules"]
    assert found["settings"] == {"num_logs": "5", "max_log_file_action": "ROTATE"}


def test_a_last_rule_that_refuses_all_is_a_default_deny() -> None:
    rule = {
        "family": "inet",
        "table": "filter",
        "chain": "guard",
        "expr": [{"counter": {}}, {"reject": None}],
    }
    found = snapshot_protection.parse_nft(json.dumps({"nftables": [*NFT["nftables"], {"rule": rule}]}))
    assert found["closed"] is True
    limited = rule | {"expr": [{"limit": {}}, {"drop": None}]}
    found = snapshot_protection.parse_nft(json.dumps({"nftables": [*NFT["nftables"], {"rule": limited}]}))
    assert found["closed"] is False


def test_iptables_of_older_systems_are_read() -> None:
    found = snapshot_protection.parse_iptables(elsewhere("iptables_save.txt"))
    assert (found["rules"], found["input_rules"], found["closed"]) == (5, 4, True)
    assert [chain["hook"] for chain in found["chains"]] == ["input", "forward", "output"]


def test_the_age_of_virus_signatures_is_in_their_head() -> None:
    head = b"ClamAV-VDB:22 Nov 2026 08-30 +0000:27460:2073000:90:planted:planted:builder:1795336200"
    assert snapshot_protection.clamav_built(head) == 1795336200.0
    assert snapshot_protection.clamav_built(b"rubbish") is None


def test_containers_are_read_without_their_commands() -> None:
    text = "web\tnginx:1\trunning\tUp 2 hours (unhealthy)\njob\timg\texited\tExited (0) 3 days ago\nbroken\n"
    found = snapshot_protection.parse_containers(text, "docker")
    assert [(one["name"], one["running"], one["unhealthy"]) for one in found] == [
        ("web", True, True),
        ("job", False, False),
    ]


def certificate(folder: Path, days: int, *key: str) -> Path:
    """A certificate of our own with its key in the same file."""
    path = folder / "both.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-nodes",
        "-newkey",
        *key,
        "-keyout",
        folder / "key.pem",
        "-out",
        path,
    ]
    subject = [
        "-subj",
        "/CN=web.hospital.example/O=医院",
        "-utf8",
        "-addext",
        "subjectAltName=DNS:web.hospital.example",
    ]
    subprocess.run([*command, "-days", str(days), *subject], check=True, capture_output=True)
    path.write_bytes((folder / "key.pem").read_bytes() + path.read_bytes())
    return path


def test_a_certificate_is_read_and_its_key_is_not(tmp_path: Path) -> None:
    path = certificate(tmp_path, 20, "rsa:2048")
    found = snapshot_certificates.certificates(Host({"certificate_files": [str(path)]}))
    (one,) = [one for one in found["certificates"] if one["source"] == str(path)]
    assert one["days_left"] == pytest.approx(20, abs=0.1)
    assert (one["key_bits"], one["key_type"], one["self_signed"]) == (2048, "rsaEncryption", True)
    assert one["signature"] == "sha256WithRSAEncryption"
    assert one["names"] == "DNS:web.hospital.example"
    assert one["subject"] == "O=医院,CN=web.hospital.example"
    assert "PRIVATE" not in json.dumps(found)


def test_the_certificate_behind_a_port_is_read_where_it_listens(tmp_path: Path) -> None:
    certificate(tmp_path, 20, "rsa:2048")
    command = ["openssl", "s_server", "-quiet", "-key", tmp_path / "key.pem", "-cert", tmp_path / "both.pem"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([*command, "-accept", f"127.0.0.1:{port}"])
    try:
        _wait_for(port)
        found = snapshot_certificates.certificates(Host({"listeners": [{"port": port, "tls": True}]}))
    finally:
        server.kill()
        server.wait()
    (one,) = [one for one in found["certificates"] if one["source"] == f"127.0.0.1:{port}"]
    assert one["days_left"] == pytest.approx(20, abs=0.1)


def test_a_port_that_says_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_certificates, "_SECONDS", 0.3)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        port = mute.getsockname()[1]
        host = Host({"listeners": [{"port": port, "tls": True}]})
        snapshot_certificates.certificates(host)
    assert host.unread[f"127.0.0.1:{port}"] == "openssl gave no answer within 0.3 s"


def _wait_for(port: int) -> None:
    for _attempt in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)


def test_without_certificates_openssl_is_not_missed(tmp_path: Path) -> None:
    assert snapshot_certificates.certificates(Host(root=str(tmp_path))) == {"certificates": []}
    with pytest.raises(UnreadError, match="openssl is not installed"):
        snapshot_certificates.certificates(Host({"certificate_files": ["/etc/x.crt"]}, str(tmp_path)))


def test_a_certificate_that_has_ended_has_days_below_zero() -> None:
    text = "subject=CN = a\nissuer=CN = b\nnotBefore=Nov  2 00:00:00 2025 GMT\nnotAfter=Nov 12 00:00:00 2026 GMT\n"
    found = snapshot_certificates.parse_certificate(text, 1795353304.0)
    assert found["days_left"] == -10.6
    assert found["not_after"] == "2026-11-12T00:00:00Z"
    assert found["self_signed"] is False


def test_a_file_that_should_hold_a_certificate_and_does_not_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.crt").touch()
    host = Host({"certificate_files": [f"{tmp_path}/empty.crt", f"{tmp_path}/absent.crt"]})
    snapshot_certificates.certificates(host)
    assert host.unread[f"{tmp_path}/empty.crt"].endswith("holds no certificate")
    assert host.unread[f"{tmp_path}/absent.crt"].endswith("is not there")
