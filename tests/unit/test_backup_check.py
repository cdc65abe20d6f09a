"""check_backup's reading and rules on a repository of files: healthy, and with each trap that others let pass."""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import judgement, pgbackrest_repository
from ansible.module_utils import wal_chain as wal

from maintenance.runbook import REPOSITORY

SYSTEM = 7711293890311159514
SIZE = 1 << 20  # of a segment here; a real one has 16 of these
LIMITS = {
    "backup_hours": 26,
    "full_backup_days": 8,
    "full_backups": 1,
    "archive_seconds": 900,
    "window_days": 0,
    "free_full_backups": 0,
    "used_percent": 100,
    "rpo": "archive",
}
RULES = judgement.load(str(REPOSITORY / "roles" / "backup_check" / "vars" / "repository_rules.yml"))


def sha1(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()  # noqa: S324  (what pgBackRest writes)


class Repository:
    """A repository on this machine as pgBackRest lays it out, gzip, not encrypted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = int(time.time())
        self.backups: list[dict[str, Any]] = []
        self.system = SYSTEM
        self.database: dict[str, Any] = {
            "system_id": str(SYSTEM),
            "timeline": 1,
            "lsn": "0/A00040",
            "archive_mode": "on",
            "archive_timeout_seconds": 60,
            "last_archived": "000000010000000000000009",
            "last_failed": None,
            "synchronous": [],
        }
        (folder / "backup" / "dialysis").mkdir(parents=True)
        self.archive.mkdir(parents=True)
        (folder / "pgbackrest.conf").write_text(
            f"[global]\nrepo1-path={folder}\n[dialysis]\npg1-path=/none\n"
        )

    @property
    def archive(self) -> Path:
        return self.folder / "archive" / "dialysis" / "15-1" / "0000000100000000"

    def segment(self, number: int, timeline: int = 1, system: int = SYSTEM, holds: int | None = None) -> Path:
        """An archived segment, as old as it would be: a minute for each."""
        position = (number if holds is None else holds) * SIZE
        head = struct.pack("<HHIQIIQII", 0xD110, 2, timeline, position, 0, 0, system, SIZE, 8192)
        pattern = random.Random(number).randbytes(4096)  # noqa: S311
        contents = (head + pattern).ljust(SIZE, b"\0")
        name = wal.name_of(wal.Segment(timeline, number), SIZE)
        path = self.archive / f"{name}-{sha1(contents)}.gz"
        path.write_bytes(zlib.compress(contents, 1))
        at = self.now - (10 - number) * 60
        os.utime(path, (at, at))
        return path

    def backup(self, label: str, start: int, stop: int, timeline: int = 1, **told: Any) -> None:
        """A full backup of two files."""
        data = self.folder / "backup" / "dialysis" / label / "pg_data"
        data.mkdir(parents=True)
        lines = []
        for name in ("1", "2"):
            stored = zlib.compress(name.encode() * 100)
            (data / f"{name}.gz").write_bytes(stored)
            line = {
                "checksum": sha1(name.encode() * 100),
                "rck": sha1(stored),
                "repo-size": len(stored),
                "size": 100,
            }
            lines.append(f"pg_data/{name}=" + json.dumps(line))
        names = [wal.name_of(wal.Segment(timeline, number), SIZE) for number in (start, stop)]
        at = self.now - (10 - start) * 60
        manifest = f"""[backup]
backup-archive-start="{names[0]}"
backup-archive-stop="{names[1]}"
backup-label="{label}"
backup-timestamp-start={at}
backup-timestamp-stop={at + 30}
backup-type="full"

[backup:db]
db-system-id={self.system}

[backup:option]
option-compress-type="gz"

[target:file]
{chr(10).join(lines)}

[backrest]
backrest-checksum="x"
"""
        for name in ("backup.manifest", "backup.manifest.copy"):
            (data.parent / name).write_text(manifest)
        self.backups.append(
            {
                "label": label,
                "type": "full",
                "error": False,
                "timestamp": {"start": at, "stop": at + 30},
                "info": {"size": 200, "repository": {"delta": 40}},
                **told,
            }
        )

    def info(self) -> bytes:
        """What `pgbackrest info` says of it, whatever was done to it: ok."""
        told = {
            "name": "dialysis",
            "cipher": "aes-256-cbc",
            "status": {"code": 0, "message": "ok"},
            "db": [{"system-id": self.system, "version": "15"}],
            "archive": [{"id": "15-1"}],
            "backup": self.backups,
        }
        return json.dumps([told]).encode()

    def check(self, **limits: Any) -> dict[str, Any]:
        """Findings that do not pass, by rule; the trial restore needs pgBackRest itself."""
        options = pgbackrest_repository.Options(
            stanza="dialysis", configuration=str(self.folder / "pgbackrest.conf"), database=self.database
        )
        snapshot = pgbackrest_repository.collect(options)
        found, _metrics = judgement.judge(
            snapshot, RULES, {**LIMITS, **limits}, {"name": "backup1", "groups": []}, "en"
        )
        sound = ("pass", "not_applicable")
        return {one["id"]: one for one in found if one["verdict"] not in sound and one["id"] != "BAK-TRY-01"}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Healthy: two backups, nine segments, the last a minute ago."""
    made = Repository(tmp_path)
    made.backup("20261122-013000F", 2, 3)
    made.backup("20261123-013000F", 5, 6)
    for number in range(1, 10):
        made.segment(number)
    monkeypatch.setattr(pgbackrest_repository.Reading, "pgbackrest", lambda *_a, **_b: made.info())
    (tmp_path).chmod(0o750)
    return made


def remove(repository: Repository, number: int) -> None:
    name = wal.name_of(wal.Segment(1, number), SIZE)
    next(repository.archive.glob(f"{name}-*")).unlink()


def test_a_healthy_repository_passes(repository: Repository) -> None:
    assert repository.check() == {}


def test_a_segment_that_is_missing_in_the_middle(repository: Repository) -> None:
    remove(repository, 7)
    found = repository.check()
    assert "missing 000000010000000000000007" in found["BAK-WAL-01"]["actual"]
    # What lies behind the gap is lost as well, and the loss is counted from there.
    assert found.keys() == {"BAK-WAL-01"}
    assert "BAK-RPO-01" in repository.check(archive_seconds=60)


def test_a_backup_whose_own_wal_is_gone_is_no_backup(repository: Repository) -> None:
    remove(repository, 6)
    remove(repository, 3)
    found = repository.check()
    assert found["BAK-WIN-01"]["verdict"] == "fail"
    assert "the WAL of the backup itself is not complete" in found["BAK-WAL-01"]["actual"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # of the checksum: within a run of zeros a flipped bit may change nothing
    path.write_bytes(data)


def test_a_flipped_byte_in_a_file_of_a_backup(repository: Repository) -> None:
    flip(repository.folder / "backup" / "dialysis" / "20261122-013000F" / "pg_data" / "1.gz")
    found = repository.check()
    assert found.keys() == {"BAK-SUM-01"}
    assert found["BAK-SUM-01"]["subject"] == "20261122-013000F"
    assert "pg_data/1: its checksum is wrong" in found["BAK-SUM-01"]["actual"]


def test_a_missing_file_of_a_backup(repository: Repository) -> None:
    (repository.folder / "backup" / "dialysis" / "20261123-013000F" / "pg_data" / "2.gz").unlink()
    assert "damaged 0, missing 1" in repository.check()["BAK-SUM-01"]["actual"]


def test_a_flipped_byte_in_the_archive_is_a_gap_too(repository: Repository) -> None:
    flip(next(repository.archive.glob("000000010000000000000007-*")))
    found = repository.check()
    assert found["BAK-WAL-02"]["verdict"] == "fail"
    assert "missing 000000010000000000000007" in found["BAK-WAL-01"]["actual"]


def test_a_segment_in_the_place_of_another(repository: Repository) -> None:
    remove(repository, 8)
    repository.segment(8, holds=3)
    assert "it holds another segment" in repository.check()["BAK-WAL-02"]["actual"]


def test_a_segment_of_another_system(repository: Repository) -> None:
    remove(repository, 9)
    repository.segment(9, system=SYSTEM + 1)
    assert f"of the system {SYSTEM + 1}" in repository.check()["BAK-WAL-03"]["actual"]


def test_a_repository_of_another_system(repository: Repository) -> None:
    repository.database["system_id"] = "1"
    assert repository.check()["BAK-SYS-01"]["verdict"] == "fail"


def test_a_drill_that_archived_here(repository: Repository) -> None:
    repository.segment(8, timeline=2)
    (repository.archive.parent / "00000002.history").write_text("1\t0/700040\tno recovery target specified\n")
    assert "ahead: timeline 2" in repository.check()["BAK-WAL-03"]["actual"]


def test_an_old_primary_that_came_back(repository: Repository) -> None:
    history = repository.archive.parent / "00000002.history"
    history.write_text("1\t0/700040\tno recovery target specified\n")
    os.utime(history, (repository.now - 200, repository.now - 200))
    for number in (7, 8, 9):
        repository.segment(number, timeline=2)
    repository.database["timeline"] = 2
    assert "behind: timeline 1, 2 segments" in repository.check()["BAK-WAL-03"]["actual"]


def test_a_timeline_without_its_history_makes_nothing_known(repository: Repository) -> None:
    repository.database["timeline"] = 2
    repository.segment(9, timeline=2)
    assert repository.check()["BAK-WAL-01"]["verdict"] == "unknown"


def test_two_contents_of_one_segment(repository: Repository) -> None:
    repository.segment(9, holds=8)
    assert repository.check()["BAK-WAL-03"]["verdict"] == "fail"


def test_bad_pages_that_were_backed_up(repository: Repository) -> None:
    repository.backups[0]["error"] = True
    assert repository.check()["BAK-ERR-01"]["subject"] == "20261122-013000F"


def test_a_manifest_that_differs_from_its_copy(repository: Repository) -> None:
    path = repository.folder / "backup" / "dialysis" / "20261123-013000F" / "backup.manifest"
    path.write_text(path.read_text().replace('"size": 100', '"size": 101', 1))
    found = repository.check()
    assert "differ" in found["BAK-MAN-01"]["actual"]
    assert found["BAK-SUM-01"]["verdict"] == "fail"


@pytest.mark.parametrize(
    ("rule", "limits"),
    [
        ("BAK-AGE-01", {"backup_hours": 0}),
        ("BAK-AGE-02", {"full_backup_days": 0}),
        ("BAK-STR-01", {"full_backups": 3}),
        ("BAK-WIN-01", {"window_days": 7}),
        ("BAK-SPC-01", {"free_full_backups": 1 << 50}),
        ("BAK-SPC-02", {"used_percent": 0}),
        ("BAK-RPO-02", {"rpo": "zero"}),
    ],
)
def test_each_threshold_counts(repository: Repository, rule: str, limits: dict[str, Any]) -> None:
    assert repository.check(**limits)[rule]["verdict"] in ("fail", "partial")


def test_no_backup_at_all(repository: Repository) -> None:
    repository.backups.clear()
    found = repository.check()
    assert found["BAK-AGE-01"]["verdict"] == "fail"
    assert found["BAK-WIN-01"]["verdict"] == "fail"
    assert len(found["BAK-TMP-01"]["actual"].split(", ")) == 2


def test_archiving_that_stands_still(repository: Repository) -> None:
    for path in repository.archive.iterdir():
        os.utime(path, (repository.now - 7200, repository.now - 7200))
    # Nothing was written since, and the archiver works: there is nothing to lose.
    assert "BAK-RPO-01" not in repository.check()
    repository.database["lsn"] = "0/B00000"
    assert repository.check()["BAK-RPO-01"]["verdict"] == "fail"


@pytest.mark.parametrize(
    ("broken", "unknown"),
    [
        (lambda made: made.database.clear(), {"BAK-SYS-01"}),
        (lambda made: made.archive.parent.rename(made.folder / "away"), {"BAK-WAL-01"}),
    ],
)
def test_what_cannot_be_read_is_unknown_and_no_pass(
    repository: Repository, broken: Callable[[Repository], object], unknown: set[str]
) -> None:
    broken(repository)
    found = repository.check()
    assert all(found[rule]["verdict"] in ("unknown", "fail") for rule in unknown)
