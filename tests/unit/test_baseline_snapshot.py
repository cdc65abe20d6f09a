"""What the snapshot reads for the baseline's checks, on real outputs of Debian and on written ones of others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import (
    snapshot_access,
    snapshot_kernel,
    snapshot_logs,
    snapshot_packages,
    snapshot_policy,
    snapshot_protection,
    snapshot_system,
)
from ansible.module_utils.judgement import judge
from ansible.module_utils.judgement_rules import parse
from ansible.module_utils.snapshot_host import Host

from tests.unit.test_host_snapshot_parsers import debian, elsewhere
from tests.unit.test_host_snapshot_whole import plant


def test_audit_rules_are_sorted_by_what_they_see() -> None:
    recorded = debian("auditctl_l.txt").splitlines()
    found = snapshot_logs.parse_audit_rules(recorded)
    assert found == {"watched": {"/etc/passwd": "aw"}, "calls": [], "elevation": ["b64"]}


def test_audit_rules_in_the_newer_spelling_and_what_does_not_count() -> None:
    found = snapshot_logs.parse_audit_rules(
        [
            "-w /etc/sudoers.d/ -p wa -k access",
            "-a always,exit -S all -F path=/usr/bin/sudo -F perm=x -F key=privileged",
            "-a always,exit -F arch=b64 -S all -F dir=/etc/pam.d -F perm=wa -F key=access",
            "-a always,exit -F arch=b32 -S chmod,fchmod -F auid>=1000 -F auid!=-1 -F key=perm_mod",
            "-a exit,always -F arch=b64 -S mount -F auid>=1000",
            "-a always,exit -F arch=b32 -S execve -C uid!=euid -F euid=0 -F key=elevation",
            "-a never,exit -F arch=b64 -S unlink -F dir=/var/lib/postgresql",
            "-a always,exit -F arch=b64 -S execve -F auid>=1000",
            "-a never,task",
        ]
    )
    assert found["watched"] == {"/etc/sudoers.d": "aw", "/usr/bin/sudo": "x", "/etc/pam.d": "aw"}
    assert found["calls"] == ["chmod", "fchmod", "mount"]
    assert found["elevation"] == ["b32"]  # the one of b64 sees users' own programs and not root's


def test_a_kernel_that_refuses_to_list_its_rules_is_a_reason_for_each_value(tmp_path: Path) -> None:
    refusal = "#!/bin/sh\necho 'Error - audit support not in kernel' >&2\nexit 1\n"
    plant(tmp_path, {"usr/sbin/auditctl": refusal, "etc/audit/auditd.conf": "log_format = ENRICHED\n"})
    (tmp_path / "usr/sbin/auditctl").chmod(0o755)
    host = Host(root=str(tmp_path))
    found = snapshot_logs.audit(host)
    assert found == {"installed": True, "settings": {"log_format": "ENRICHED"}}
    assert "audit support not in kernel" in host.unread["rules/watched/calls/elevation"]


def test_apts_settings_are_read_in_both_spellings() -> None:
    text = """
// made by hand /* not a comment's end
APT::Get::AllowUnauthenticated "true";
APT { Periodic { Update-Package-Lists "1"; Unattended-Upgrade "0"; }; };
Acquire::AllowInsecureRepositories "false"; # no
DPkg::Post-Invoke { "rm -f /x || true"; };
"""
    found = snapshot_packages.parse_apt_settings(text)
    assert found["apt::get::allowunauthenticated"] == "true"
    assert found["apt::periodic::unattended-upgrade"] == "0"
    assert found["acquire::allowinsecurerepositories"] == "false"
    assert not [name for name in found if "rm" in name]


def test_of_apts_settings_the_last_file_counts_and_others_stay_out(tmp_path: Path) -> None:
    folder = "etc/apt/apt.conf.d/"
    plant(
        tmp_path,
        {
            folder + "10a": 'APT::Periodic::Unattended-Upgrade "1";\nAcquire::http::Proxy "http://u:p@h/";\n',
            folder + "90b": 'APT::Periodic::Unattended-Upgrade "0";\n',
            folder + "99c.dpkg-old": 'APT::Periodic::Unattended-Upgrade "1";\n',
        },
    )
    found = snapshot_packages.package_sources(Host(root=str(tmp_path)))
    assert found["apt"] == {"apt::periodic::unattended-upgrade": "0"}


def nft(*expressions: list[Any]) -> str:
    """A table of nft with these rules on input."""
    import json

    chain = {
        "family": "inet",
        "table": "t",
        "name": "input",
        "type": "filter",
        "hook": "input",
        "policy": "drop",
    }
    rules = [{"rule": {"family": "inet", "table": "t", "chain": "input", "expr": e}} for e in expressions]
    return json.dumps({"nftables": [{"chain": chain}, *rules]})


def match(kind: str, field: str, right: Any, op: str = "==") -> dict[str, Any]:
    """One match of nft."""
    key = "field" if kind == "payload" else "key"
    return {"match": {"op": op, "left": {kind: {key: field}}, "right": right}}


ACCEPT: dict[str, Any] = {"accept": None}


def test_the_ports_that_a_real_firewall_opens_are_read() -> None:
    assert snapshot_protection.parse_nft(debian("nft.json"))["accepts"] == [
        {"ports": [22], "restricted": False}
    ]
    found = snapshot_protection.parse_iptables(elsewhere("iptables_save.txt"))
    assert found["accepts"] == [{"ports": [0], "restricted": True}, {"ports": [22], "restricted": False}]


@pytest.mark.parametrize(
    ("expression", "accepts"),
    [
        ([match("payload", "saddr", "192.0.2.0/28"), match("payload", "dport", 22), ACCEPT], [([22], True)]),
        ([match("payload", "dport", {"set": [22, 443]}), ACCEPT], [([22, 443], False)]),
        ([match("payload", "dport", {"set": [{"range": [20, 25]}]}), ACCEPT], [([20, 25], False)]),
        ([match("payload", "dport", "@open"), ACCEPT], [([0], False)]),
        ([match("meta", "iifname", "lo"), ACCEPT], [([0], True)]),
        ([ACCEPT], [([0], False)]),
        ([match("ct", "state", ["established", "related"], "in"), ACCEPT], []),
        ([match("meta", "l4proto", {"set": ["icmp", "ipv6-icmp"]}), ACCEPT], []),
        ([match("payload", "dport", 22), {"drop": None}], []),
        (
            [
                {
                    "vmap": {
                        "key": {"payload": {"protocol": "tcp", "field": "dport"}},
                        "data": {"set": [[22, {"accept": None}], [23, {"drop": None}]]},
                    }
                }
            ],
            [([22], False)],
        ),
    ],
)
def test_what_a_rule_lets_in_and_from_where(
    expression: list[Any], accepts: list[tuple[list[int], bool]]
) -> None:
    found = snapshot_protection.parse_nft(nft(expression))["accepts"]
    assert [(accept["ports"], accept["restricted"]) for accept in found] == accepts


def test_chains_of_iptables_that_input_jumps_to_count_and_others_do_not() -> None:
    text = """*filter
:INPUT DROP [0:0]
:ufw-user-input - [0:0]
:DOCKER - [0:0]
-A INPUT -j ufw-user-input
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A ufw-user-input -s 192.0.2.0/28 -p tcp -m tcp --dport 22 -j ACCEPT
-A ufw-user-input -p tcp -m multiport --dports 80,443 -j ACCEPT
-A DOCKER -p tcp -m tcp --dport 6379 -j ACCEPT
COMMIT
"""
    assert snapshot_protection.parse_iptables(text)["accepts"] == [
        {"ports": [22], "restricted": True},
        {"ports": [80, 443], "restricted": False},
    ]


def test_a_login_shell_ends_with_the_last_word_unless_one_was_final(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "etc/profile": "umask 022\n",
            "etc/bash.bashrc": "umask 002\nTMOUT=0\n",
            "etc/profile.d/50-a.sh": "umask 027\nTMOUT=600; readonly TMOUT; export TMOUT\n",
            "etc/profile.d/60-b.sh": "TMOUT=9999\n",
        },
    )
    found = snapshot_policy.shells(Host(root=str(tmp_path)))["effective"]
    assert found["umask"]["value"] == "027"
    assert (found["tmout"]["value"], found["tmout"]["readonly"], found["tmout"]["exported"]) == (
        "600",
        True,
        True,
    )


def test_of_the_environment_only_the_path_is_kept(tmp_path: Path) -> None:
    plant(tmp_path, {"etc/environment": 'PATH="/usr/bin:."\nLDAP_PATH=secret\nTOKEN=secret PATH=x\n'})
    assert snapshot_policy.shells(Host(root=str(tmp_path)))["path"] == ['PATH="/usr/bin:."']


def test_when_a_desktop_locks_is_read_from_dconf(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "etc/dconf/db/local.d/00-lock": "[org/gnome/desktop/session]\nidle-delay=uint32 600\n"
            "[org/gnome/desktop/screensaver]\nlock-enabled=true\n",
            "etc/dconf/db/local.d/locks/00-lock": "/org/gnome/desktop/session/idle-delay\n",
        },
    )
    found = snapshot_policy.shells(Host(root=str(tmp_path)))["desktop"]
    assert found == {"idle_seconds": 600, "lock": True, "fixed": True}


def test_each_interface_has_values_of_its_own(tmp_path: Path) -> None:
    base = "proc/sys/net/ipv4/conf"
    plant(
        tmp_path,
        {
            f"{base}/{name}/{key}": "1\n" if name == "eno1" else "0\n"
            for name in ("all", "default", "lo", "eno1")
            for key in ("accept_redirects", "send_redirects")
        },
    )
    found = snapshot_kernel.kernel_parameters(Host(root=str(tmp_path)))
    assert found["values"]["net.ipv4.conf.all.accept_redirects"] == "0"
    assert found["interfaces"] == [{"name": "eno1", "accept_redirects": "1", "send_redirects": "1"}]


@pytest.mark.parametrize(
    ("answer", "code", "valid"), [("/etc/sudoers: parsed OK", 0, True), ("bad line", 1, False)]
)
def test_whether_sudo_takes_its_rules_is_asked_of_visudo(
    answer: str, code: int, valid: bool, tmp_path: Path
) -> None:
    plant(tmp_path, {"usr/bin/sudo": "", "etc/sudoers": "", "usr/sbin/x": ""})
    plant(tmp_path, {"usr/sbin/visudo": f"#!/bin/sh\necho '{answer}'\nexit {code}\n"})
    assert snapshot_access.sudo(Host(root=str(tmp_path)))["valid"] is valid


@pytest.mark.skipif(os.geteuid() != 0, reason="sshd -T is asked as root only")
@pytest.mark.parametrize("matched", [False, True])
def test_administrators_are_asked_about_one_by_one_only_where_a_match_block_may_differ(
    matched: bool, tmp_path: Path
) -> None:
    script = (
        '#!/bin/sh\necho port 22\ncase "$*" in *user=li,*) echo authenticationmethods publickey,password;;\n'
        "*) echo authenticationmethods any;; esac\n"
    )
    passwd = "root:x:0:0::/root:/bin/bash\nli:x:1000:1000::/home/li:/bin/bash\nwu:x:1001:1001::/:/bin/bash\n"
    plant(
        tmp_path,
        {
            "usr/sbin/sshd": script,
            "etc/ssh/sshd_config": "Port 22\n" + ("Match Group sudo\n" if matched else ""),
            "etc/passwd": passwd,
            "etc/group": "root:x:0:\nsudo:x:27:li\n",
        },
    )
    host = Host(root=str(tmp_path))
    found = {
        row["name"]: row["authenticationmethods"] for row in snapshot_policy.sshd(host)["administrators"]
    }
    assert found == {"root": "any", "li": "publickey,password" if matched else "any"}
    assert len(host.commands) == (3 if matched else 1)


def test_a_log_says_how_long_its_rotation_keeps_it(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "etc/logrotate.d/rsyslog": "/var/log/auth.log\n/var/log/cron*.log\n{\nweekly\nrotate 27\n}\n",
            "var/log/auth.log": "x\n",
            "var/log/syslog": "x\n",
        },
    )
    found = {file["path"]: file for file in snapshot_logs.logging(Host(root=str(tmp_path)))["files"]}
    assert found["/var/log/auth.log"]["retention_days"] == 189
    assert "retention_days" not in found["/var/log/syslog"]  # nothing rotates it


def test_ftp_with_forced_tls_is_told_from_ftp_without(tmp_path: Path) -> None:
    plant(tmp_path, {"etc/vsftpd.conf": "ssl_enable=YES\nforce_local_logins_ssl=YES\n"})
    assert snapshot_kernel.shares(Host(root=str(tmp_path)))["ftp_tls"] is True
    plant(tmp_path, {"etc/vsftpd.conf": "anonymous_enable=NO\n"})
    assert snapshot_kernel.shares(Host(root=str(tmp_path)))["ftp_tls"] is False


def test_when_an_installation_first_started_is_when_it_got_its_identity(tmp_path: Path) -> None:
    plant(tmp_path, {"etc/machine-id": "0" * 32, "etc/os-release": "ID=debian\n"})
    os.utime(tmp_path / "etc/machine-id", (1795353304, 1795353304))
    found = snapshot_system.operating_system(Host(root=str(tmp_path)))
    assert found["first_started"] == "2026-11-22T13:15:04Z"


RULE = {
    "id": "LNX-IA-01",
    "unit": "L3-CES1-01",
    "clause": "8.1.4.1a",
    "title": {"zh": "题", "en": "Title"},
    "severity": "critical",
    "risk": "R1",
    "owner": "vendor",
    "probe": "load",
    "actual": "1",
    "expected": "1",
    "pass": "true",
    "advice": {"zh": "议", "en": "Advice"},
    "applies": "false",
    "otherwise": {"zh": "因为", "en": "Because"},
}


def test_a_check_that_does_not_apply_says_why() -> None:
    rules = parse({"schema": "baseline-checks/1", "snapshot": "s", "rules": [RULE]})
    snapshot = {"probes": {"load": {"state": "ok", "unread": {}}}, "data": {"load": {}}}
    for language, reason in (("zh", "因为"), ("en", "Because")):
        (finding,) = judge(snapshot, rules, {}, {"name": "h", "groups": []}, language)[0]
        assert (finding["verdict"], finding["actual"]) == ("not_applicable", reason)


def test_a_reason_without_a_condition_is_refused() -> None:
    rule = {key: value for key, value in RULE.items() if key != "applies"}
    with pytest.raises(ValueError, match="otherwise says why applies is false"):
        parse({"schema": "baseline-checks/1", "snapshot": "s", "rules": [rule]})
