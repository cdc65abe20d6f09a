"""What of a database server is kept with its data, and what of it root puts in place on another machine."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import host_copy as copies


def entry(text: str, mode: int = 0o644, owner: str = "root", group: str = "root") -> dict[str, Any]:
    return {
        "mode": mode,
        "owner": owner,
        "group": group,
        "base64": base64.b64encode(text.encode()).decode(),
    }


def copy_of(files: dict[str, Any], **more: Any) -> dict[str, Any]:
    told = {"packages": {}, "locales": [], "glibc": "glibc 2.36", "timers": [], "files": files}
    return told | more


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/etc/postgresql/15/main/pg_hba.conf", entry("local all all peer", 0o640, "postgres", "postgres")),
        (
            "/etc/sysctl.d/30-db.conf",
            entry("# memory\nvm.swappiness = 1\nkernel.shmmax=1\n-net.core.somaxconn=9\n"),
        ),
        ("/etc/security/limits.d/db.conf", entry("postgres - nofile 65536\n")),
        ("/var/spool/cron/crontabs/postgres", entry("0 1 * * * true\n", 0o600, "postgres", "crontab")),
    ],
)
def test_what_belongs_to_the_database_is_put_in_place(path: str, file: dict[str, Any]) -> None:
    assert list(copies.to_put(copy_of({path: file}))) == [path]


@pytest.mark.parametrize(
    ("path", "file"),
    [
        # The copy lies where postgres can write; nothing of it may make postgres root.
        ("/etc/cron.d/evil", entry("* * * * * root id")),
        ("/etc/postgresql/../cron.d/evil", entry("* * * * * root id")),
        ("/etc/systemd/system/postgresql@.service.d/x.conf", entry("[Service]\nExecStartPre=+/tmp/x")),
        ("/etc/sysctl.d/x.conf", entry("kernel.core_pattern=|/tmp/x\n")),
        ("/etc/sysctl.d/x.conf", entry("vm.swappiness=1\nkernel.modprobe = /tmp/x\n")),
        ("/etc/postgresql/15/main/x", entry("x", 0o4755)),
        ("/etc/postgresql/15/main/x", entry("x", 0o666)),
        ("/etc/postgresql/15/main/x", entry("x", 0o640, "root", "shadow")),
        ("/etc/postgresql/15/main/x", {"mode": 0o600, "owner": "root", "group": "root"}),
        ("/etc/sysctl.d/sub/x.conf", entry("vm.swappiness=1\n")),
    ],
)
def test_what_could_make_somebody_root_is_not(path: str, file: dict[str, Any]) -> None:
    assert copies.to_put(copy_of({path: file})) == {}


def test_what_a_person_has_to_decide_on_is_named(tmp_path: Path) -> None:
    hba = "ssl_cert_file = '/etc/ssl/certs/hospital.pem'\n"
    told = copy_of(
        {
            "/etc/postgresql/15/main/postgresql.conf": entry(hba, 0o644, "postgres", "postgres"),
            "/etc/cron.d/export": entry("x"),
            "/etc/hosts": entry("one"),
            "/var/spool/cron/crontabs/root": {"mode": 0o600, "owner": "root", "group": "crontab"},
        },
        packages={"postgresql-15-cron": "1.4", "postgresql-15": "15.20", "less": "1"},
        locales=["C", "zh_CN.utf8"],
        timers=["export.timer", "maintenance-host-copy.timer"],
    )
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hosts").write_text("two")
    here = copy_of({}, packages={"postgresql-15": "15.18", "less": "2"}, locales=["C"], glibc="glibc 2.41")
    left = copies.missing(told, here, str(tmp_path))
    assert sorted(left) == sorted(
        [
            "package postgresql-15 is 15.18 instead of 15.20",
            "package postgresql-15-cron 1.4 is not installed",
            "locale zh_CN.utf8 is missing",
            "glibc 2.41 instead of glibc 2.36: sorting may differ",
            "timer export.timer is not enabled",
            "/etc/cron.d/export is not here",
            "/etc/hosts differs",
            "/etc/ssl/certs/hospital.pem (ssl_cert_file) is missing: certificates and keys are not in the backup",
            "/var/spool/cron/crontabs/root was readable by root alone, and is not in the backup",
        ]
    )


def test_what_only_root_may_read_is_named_and_not_kept(tmp_path: Path) -> None:
    folder = tmp_path / "etc" / "cron.d"
    folder.mkdir(parents=True)
    for name, mode in (("open", 0o644), ("closed", 0o600)):
        (folder / name).write_text("secret")
        (folder / name).chmod(mode)
    files = copies.take(str(tmp_path), account="nobody")["files"]
    assert "base64" in files["/etc/cron.d/open"]
    assert "base64" not in files["/etc/cron.d/closed"]


def test_a_folder_that_is_no_data_directory_gets_none(tmp_path: Path) -> None:
    with pytest.raises(copies.CopyError, match="no data directory"):
        copies.keep(str(tmp_path))


def test_a_copy_is_written_whole_and_never_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("15\n")
    target = tmp_path / "target"
    target.write_text("untouched")
    (tmp_path / f"{copies.NAME}.new").symlink_to(target)
    copies.keep(str(tmp_path), account="nobody")
    assert target.read_text() == "untouched"
    path = tmp_path / copies.NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == copies.read(str(tmp_path))


def test_no_copy_is_said(tmp_path: Path) -> None:
    with pytest.raises(copies.CopyError, match="no copy of the failed server"):
        copies.read(str(tmp_path))
