"""Parsers of services, jobs and packages."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils import snapshot_jobs, snapshot_packages, snapshot_services
from ansible.module_utils.snapshot_host import Host, UnreadError

from tests.unit.test_host_snapshot_parsers import debian, elsewhere


def test_services_and_timers_are_summarised() -> None:
    units = snapshot_services.parse_show(debian("systemctl_show.txt"))
    found = snapshot_services.summarise(units)
    assert {"chrony.service", "ssh.service", "postgresql@15-main.service"} <= set(found["active"])
    assert found["restarting"] == []
    timers = {timer["name"]: timer for timer in found["timers"]}
    assert set(timers) == {
        "dpkg-db-backup.timer",
        "logrotate.timer",
        "systemd-tmpfiles-clean.timer",
    }  # the rest is masked
    cleaning = timers["systemd-tmpfiles-clean.timer"]
    assert (cleaning["active"], cleaning["enabled"]) == (True, True)
    assert "last_result" not in cleaning  # that host had just been started
    assert found["restart_policy"]["ssh.service"] == "on-failure"


def test_a_unit_is_found_by_any_of_its_names() -> None:
    units = snapshot_services.parse_show(debian("systemctl_show.txt"))
    assert snapshot_services._expected(units.get("sshd.service"), "sshd.service")["active"] == "active"
    absent = snapshot_services._expected(units.get("absent.service"), "absent.service")
    assert (absent["loaded"], absent["active"], absent["enabled"]) == (False, "inactive", False)


def test_a_service_that_restarts_is_named() -> None:
    text = (
        "Id=a.service\nNRestarts=7\nSubState=running\n\nId=b.service\nNRestarts=0\nSubState=auto-restart\n\n"
    )
    text += "Id=c.service\nNRestarts=1\nSubState=running\n"
    found = snapshot_services.summarise(snapshot_services.parse_show(text))
    assert found["restarting"] == [{"name": "a.service", "restarts": 7}, {"name": "b.service", "restarts": 0}]


def test_a_timer_has_the_result_of_the_service_that_it_starts() -> None:
    text = (
        "Id=backup.timer\nLoadState=loaded\nActiveState=active\nUnit=backup.service\n"
        "LastTriggerUSec=Sun 2026-11-22 01:00:00 UTC\n\n"
        "Id=backup.service\nResult=exit-code\nExecMainStatus=7\n"
        "ExecMainStartTimestamp=Sun 2026-11-22 01:00:00 UTC\n"
    )
    (timer,) = snapshot_services.summarise(snapshot_services.parse_show(text))["timers"]
    assert (timer["last_result"], timer["last_status"]) == ("exit-code", 7)
    assert timer["last_run"] == "2026-11-22T01:00:00Z"


def test_a_service_that_never_ran_has_no_result() -> None:
    text = "Id=a.timer\nLoadState=loaded\nUnit=a.service\n\nId=a.service\nResult=success\n"
    (timer,) = snapshot_services.summarise(snapshot_services.parse_show(text))["timers"]
    assert "last_result" not in timer


def test_rows_of_units_are_read_from_young_and_old_systems() -> None:
    assert {"name": "cron.service", "load": "loaded", "active": "active", "sub": "running"} in (
        snapshot_services.parse_units(debian("list_units.txt"))
    )
    old = (Path(__file__).parent.parent / "fixtures/host_snapshot/elsewhere/list_units_239.txt").read_text()
    assert [unit["name"] for unit in snapshot_services.parse_units(old)] == ["kdump.service", "mnt-nas.mount"]


def test_only_units_that_matter_are_asked_for_details() -> None:
    names = snapshot_services.worth_asking(snapshot_services.parse_units(debian("list_units.txt")))
    assert "cron.service" in names
    inactive = [
        unit["name"]
        for unit in snapshot_services.parse_units(debian("list_units.txt"))
        if unit["active"] == "inactive" and unit["name"].endswith(".service")
    ]
    assert not set(inactive) & set(names)
    rows = snapshot_services.parse_units("a.timer loaded active waiting A\nb.timer masked inactive dead B\n")
    assert snapshot_services.worth_asking(rows) == ["a.timer", "a.service"]


def test_the_service_of_a_timer_is_asked_for_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    program = tmp_path / "usr/bin/systemctl"
    program.parent.mkdir(parents=True)
    program.write_text(
        """#!/bin/sh
case "$*" in
  list-units*) printf 'full.timer loaded active waiting Backup\\nx.mount loaded failed failed X\\n' ;;
  is-system-running) echo degraded; exit 1 ;;
  *full.timer*) printf 'Id=full.timer\\nNames=full.timer\\nLoadState=loaded\\nUnit=backup@full.service\\n' ;;
  *backup@full.service*) printf 'Id=backup@full.service\\nResult=timeout\\nExecMainStartTimestamp=2026-11-22\\n' ;;
esac
"""
    )
    program.chmod(0o755)
    found = snapshot_services.services(Host(root=str(tmp_path)))
    assert found["timers"][0]["last_result"] == "timeout"
    assert found["failed"] == [{"name": "x.mount", "load": "loaded", "active": "failed", "sub": "failed"}]
    assert found["system_state"] == "degraded"


def test_without_systemd_there_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(UnreadError, match="systemd does not run"):
        snapshot_services.services(Host(root=str(tmp_path)))


@pytest.mark.parametrize(
    "command, program",
    [
        ("cd / && run-parts --report /etc/cron.hourly", "/etc/cron.hourly"),
        ("test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }", "/etc/cron.daily"),
        ("test -e /run/systemd/system || SERVICE_MODE=1 /sbin/e2scrub_all -A -r", "/sbin/e2scrub_all"),
        ("command -v debian-sa1 > /dev/null && debian-sa1 1 1", "debian-sa1"),
        ("/usr/bin/flock -n /run/b.lock nice -n 19 /opt/backup.sh --password=planted", "/opt/backup.sh"),
        ("timeout 3600 /opt/job >> /var/log/job.log 2>&1", "/opt/job"),
        ("PGPASSWORD=planted pg_dump -h db1 > /backup/x.sql", "pg_dump"),
        ("bash -c '/opt/a.sh | /opt/b.sh'", "/opt/a.sh"),
        ("curl -s -H 'Authorization: Bearer planted' https://192.0.2.1/", "curl"),
        ("mysqldump -uroot -pplanted --all-databases", "mysqldump"),
        ("[ -x /etc/init.d/x ] && /etc/init.d/x reload", "/etc/init.d/x"),
        ("", ""),
    ],
)
def test_the_program_of_a_job_is_found_and_nothing_else_is_kept(command: str, program: str) -> None:
    assert snapshot_jobs.program_of(command) == program


def test_a_crontab_of_the_system_names_its_users() -> None:
    jobs = snapshot_jobs.parse_crontab(debian("crontab.txt"), "/etc/crontab")
    assert [job["schedule"] for job in jobs[:2]] == ["17 * * * *", "25 6 * * *"]
    assert {job["user"] for job in jobs} == {"root"}
    assert len(jobs) == 6


def test_a_users_crontab_does_not() -> None:
    text = "MAILTO=x\n@daily /opt/a --key planted\n*/5 * * * * /opt/b\nbroken line\n"
    jobs = snapshot_jobs.parse_crontab(text, "/var/spool/cron/crontabs/eve", "eve")
    assert [(job["user"], job["schedule"], job["command"]) for job in jobs] == [
        ("eve", "@daily", "/opt/a --key planted"),
        ("eve", "*/5 * * * *", "/opt/b"),
    ]


def test_the_last_run_of_a_job_is_in_the_journal() -> None:
    runs = snapshot_jobs.parse_runs(debian("journal_cron.json"))
    assert list(runs) == [("root", "cd / && run-parts --report /etc/cron.hourly")]
    assert runs["root", "cd / && run-parts --report /etc/cron.hourly"]["last_run"].startswith(
        "2026-11-23T00:17"
    )


def test_a_job_whose_program_is_gone_is_missing(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/crontab").write_text(
        "1 1 * * * root /opt/gone.sh\n2 2 * * * root test -x /opt/may-be || /opt/may-be\n3 3 * * * root cd /\n"
    )
    jobs = snapshot_jobs.cron(Host(root=str(tmp_path)))["jobs"]
    assert [(job["program"], job["missing"]) for job in jobs] == [
        ("/opt/gone.sh", True),
        ("/opt/may-be", False),
        ("", False),
    ]


def test_packages_of_debian_are_read() -> None:
    found = snapshot_packages.parse_dpkg(debian("dpkg.txt"))
    assert found["installed"]["adduser"]
    assert found["broken"] == found["held"] == []


def test_broken_and_held_packages_are_named_and_removed_ones_are_gone() -> None:
    text = "a\t1\tii \nb\t2\thi \nc\t3\tiF \nd\t4\trc \ne\t\tun \nf\t6\tiiR\n"
    found = snapshot_packages.parse_dpkg(text)
    assert list(found["installed"]) == ["a", "b", "c", "f"]
    assert found["held"] == ["b"]
    assert found["broken"] == ["c (iF)", "f (iiR)"]


def test_packages_of_red_hats_kin_are_read() -> None:
    found = snapshot_packages.parse_rpm(elsewhere("rpm_qa.txt"))
    assert found["installed"]["kernel-core"] == "5.14.0-503.11.1.el9_5"  # the newest of two
    assert "gpg-pubkey" not in found["installed"]
    assert found["core_installed"]["kernel-core"] == "2024-11-13T12:13:20Z"


def test_updates_of_debian_name_those_of_security() -> None:
    found = {update["name"]: update for update in snapshot_packages.parse_apt(debian("apt_list.txt"))}
    assert found["apt"] == {"name": "apt", "current": "2.6.1", "candidate": "2.6.2", "security": True}
    assert found["base-files"]["security"] is False


def test_updates_of_red_hats_kin_name_those_of_security() -> None:
    pending = snapshot_packages.parse_dnf(elsewhere("dnf_check_update.txt"))
    assert [update["name"] for update in pending] == ["openssl-libs", "kernel-core", "tzdata"]
    secure = snapshot_packages.parse_updateinfo(elsewhere("dnf_updateinfo.txt"))
    assert secure == {"openssl-libs": "RHSA-2024:9333", "kernel-core": "RHSA-2024:9315"}


def test_only_enabled_repositories_without_a_signature_are_named() -> None:
    assert snapshot_packages.parse_unsigned(elsewhere("redhat.repo")) == ["local-media"]


def test_sources_of_debian_without_a_signature_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "etc/apt/sources.list.d"
    folder.mkdir(parents=True)
    (folder / "a.list").write_text("deb [trusted=yes] http://192.0.2.1/ x main\n")
    (folder / "b.sources").write_text("Types: deb\nURIs: http://192.0.2.1/\nTrusted: yes\n")
    (folder / "c.list").write_text(
        "# deb [trusted=yes] http://192.0.2.1/ x main\ndeb http://192.0.2.1/ x main\n"
    )
    assert snapshot_packages.package_sources(Host(root=str(tmp_path)))["unsigned"] == [
        "/etc/apt/sources.list.d/a.list",
        "/etc/apt/sources.list.d/b.sources",
    ]


def test_without_lists_nothing_is_said_about_updates(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/apt").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "usr/bin/apt").chmod(0o755)
    with pytest.raises(UnreadError, match="no package lists"):
        snapshot_packages.updates(Host(root=str(tmp_path)))


def test_a_newer_kernel_than_the_running_one_waits_for_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for release in ("6.1.0-9-amd64", "6.1.0-40-amd64", "leftover"):
        (tmp_path / "lib/modules" / release).mkdir(parents=True)
        if release != "leftover":
            (tmp_path / "lib/modules" / release / "modules.dep").touch()
    running = type("Uname", (), {"release": "6.1.0-9-amd64"})
    monkeypatch.setattr("os.uname", lambda: running)
    found = snapshot_packages.restart(Host(root=str(tmp_path)))
    assert found["required"] is True
    assert found["reasons"] == ["kernel 6.1.0-40-amd64 is installed, 6.1.0-9-amd64 runs"]
