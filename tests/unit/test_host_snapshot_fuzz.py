"""No parser breaks on what a broken or hostile host may say instead of what is usual."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils import (
    snapshot_access,
    snapshot_accounts,
    snapshot_certificates,
    snapshot_disks,
    snapshot_history,
    snapshot_jobs,
    snapshot_journal,
    snapshot_kernel,
    snapshot_logs,
    snapshot_network,
    snapshot_packages,
    snapshot_pam,
    snapshot_policy,
    snapshot_processes,
    snapshot_protection,
    snapshot_services,
    snapshot_storage,
    snapshot_system,
    snapshot_time,
)
from ansible.module_utils.snapshot_host import UnreadError
from ansible.module_utils.snapshot_text import clean
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_host_snapshot_parsers import debian, elsewhere

PARSERS: list[tuple[Callable[[str], Any], str]] = [
    (snapshot_access.parse_keys, "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC eve@laptop\n"),
    (lambda text: snapshot_access.parse_sudoers(text, "/etc/sudoers"), debian("sudoers.txt")),
    (snapshot_accounts.parse_group, debian("group.txt")),
    (snapshot_accounts.parse_passwd, debian("passwd.txt")),
    (snapshot_accounts.parse_shadow, "eve:$6$salt$hash:20000:0:90:7:30:20100:\n"),
    (lambda text: list(snapshot_accounts.parse_utmp(text.encode())), "x" * 800),
    (
        lambda text: snapshot_certificates.parse_certificate(text, 0.0),
        "subject=a\nnotAfter=Nov 12 00:00:00 2026 GMT\n",
    ),
    (snapshot_disks.parse_diskstats, debian("diskstats.txt")),
    (snapshot_disks.parse_mdstat, elsewhere("mdstat.txt")),
    (lambda text: list(snapshot_history.samples(text, 1000)), debian("sadf.csv")),
    (lambda text: snapshot_jobs.parse_crontab(text, "/etc/crontab"), debian("crontab.txt")),
    (snapshot_jobs.parse_runs, debian("journal_cron.json")),
    (
        snapshot_jobs.program_of,
        "test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }",
    ),
    (
        lambda text: snapshot_journal.summarise(list(snapshot_journal.parse_journal(text))),
        debian("journal.json"),
    ),
    (snapshot_kernel.parse_smb, "[public]\nguest ok = yes\n"),
    (snapshot_logs.parse_logrotate, debian("logrotate_rsyslog.conf")),
    (snapshot_logs.parse_rsyslog, debian("rsyslog_forward.conf")),
    (lambda text: snapshot_logs.line_time(text, 1795400000.0), "Nov 22 13:15:04 db1 sshd[1]: x"),
    (snapshot_network.parse_bond, elsewhere("bond0.txt")),
    (
        snapshot_network.parse_gateways,
        "I\tD\tG\neth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
    ),
    (snapshot_network.parse_pairs, debian("net_snmp.txt")),
    (snapshot_network.parse_resolver, "search a\nnameserver 192.0.2.1\n"),
    (lambda text: snapshot_network.parse_sockets(text, "tcp"), debian("net_tcp.txt")),
    (snapshot_packages.parse_apt, debian("apt_list.txt")),
    (snapshot_packages.parse_dnf, elsewhere("dnf_check_update.txt")),
    (snapshot_packages.parse_dpkg, debian("dpkg.txt")),
    (snapshot_packages.parse_rpm, elsewhere("rpm_qa.txt")),
    (snapshot_packages.parse_unsigned, elsewhere("redhat.repo")),
    (snapshot_packages.parse_updateinfo, elsewhere("dnf_updateinfo.txt")),
    (snapshot_pam.parse_pam, elsewhere("password-auth.txt")),
    (
        lambda text: snapshot_pam.facts(lambda _name: snapshot_pam.parse_pam(text), "sshd", {}),
        elsewhere("password-auth.txt"),
    ),
    (lambda text: snapshot_logs.parse_audit_rules(text.splitlines()), debian("auditctl_l.txt")),
    (snapshot_packages.parse_apt_settings, 'APT { Periodic { Unattended-Upgrade "0"; }; };\n'),
    (
        lambda text: snapshot_policy.parse_profile(text, "/etc/profile"),
        "umask 022\nTMOUT=600\nreadonly TMOUT\n",
    ),
    (snapshot_policy.parse_sshd, debian("sshd_T.txt")),
    (snapshot_processes.parse_net_dev, "a\nb\neth0: 1 2 3\n"),
    (snapshot_processes.parse_processor_times, "cpu  1 2 3 4 5 6 7 8 9 10\n"),
    (
        lambda text: snapshot_protection.parse_containers(text, "docker"),
        "web\tnginx:1\trunning\tUp 2 hours\n",
    ),
    (snapshot_protection.parse_iptables, elsewhere("iptables_save.txt")),
    (lambda text: snapshot_protection.clamav_built(text.encode()), "ClamAV-VDB:22 Nov 2026 08-30 +0000:1:2"),
    (
        lambda text: snapshot_services.summarise(snapshot_services.parse_show(text)),
        debian("systemctl_show.txt"),
    ),
    (snapshot_services.parse_units, debian("list_units.txt")),
    (
        lambda text: snapshot_storage.distinct_mounts(snapshot_storage.parse_mountinfo(text)),
        debian("mountinfo.txt"),
    ),
    (lambda text: snapshot_storage.missing_mounts(text, []), "UUID=1 / ext4 defaults 0 1\n"),
    (snapshot_storage.mount_points, debian("mountinfo.txt")),
    (snapshot_system.parse_cpuinfo, debian("cpuinfo.txt")),
    (snapshot_system.parse_meminfo, debian("meminfo.txt")),
    (snapshot_system.parse_pressure, debian("pressure_io.txt")),
    (snapshot_system.words_to_numbers, "oom_kill 3\n"),
    (snapshot_time.parse_chrony, debian("chronyc_tracking.csv")),
    (snapshot_time.parse_chrony_sources, debian("chronyc_sources.csv")),
    (snapshot_time.parse_ntpq, elsewhere("ntpq.txt")),
    (snapshot_time.parse_timesync, elsewhere("timesync_status.txt")),
]
STRANGE = st.sampled_from(
    ["", "\n", "\n\n", "=", ":", "|", "{", "}", "[", "(", "\t", "²", "٣", "-1", "nan", "9" * 20, "\x00", "\ufffd"]
) | st.text(max_size=8)  # fmt: skip


@pytest.mark.parametrize(("parse", "usual"), PARSERS, ids=[str(number) for number in range(len(PARSERS))])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_parser_takes_any_text(parse: Callable[[str], Any], usual: str, data: st.DataObject) -> None:
    text = usual
    for _change in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, max(0, len(text) - 1)))
        length = data.draw(st.sampled_from([0, 1, 2, 8, 64, 10_000]))
        text = text[:start] + data.draw(STRANGE) + text[start + length :]
    try:
        found = parse(text)
    except UnreadError:
        return
    json.dumps(clean(found), allow_nan=False)
