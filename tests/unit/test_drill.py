"""A restore drill: its copy can harm nobody, its end is proven, and what it did not measure is no proof."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import drill_copy as copies
from ansible.module_utils import drill_report
from ansible.module_utils import repository_state as states

from maintenance.record import Finding, Metric

WANTED = copies.Wanted("/srv/drill/copy", 5499, "postgres", "boot 1 2")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> copies.Wanted:
    """A drill of this test alone, with no systemd and no account of PostgreSQL."""

    class NoJob:
        def __init__(self, _name: str) -> None: ...

        def remove(self) -> bool:
            return False

        def read(self) -> dict[str, str]:
            return {"state": "absent"}

    monkeypatch.setattr(copies, "LEASE", str(tmp_path / "maintenance" / "drill.json"))
    monkeypatch.setattr(copies, "SOCKETS", str(tmp_path))
    monkeypatch.setattr(copies, "Job", NoJob)
    monkeypatch.setattr(copies.shutil, "chown", lambda *_: None)
    return WANTED._replace(folder=str(tmp_path / "drill"))


def test_the_copy_archives_nothing_and_is_reached_from_nowhere() -> None:
    lines = copies.configuration(
        WANTED, {"max_connections setting": "200"}, copies.target_lines("drill-1", "", 3)
    ).splitlines()
    for line in (
        "archive_mode = off",
        "archive_command = '/bin/false'",
        "listen_addresses = ''",
        "synchronous_standby_names = ''",
        "shared_preload_libraries = ''",
        "autovacuum = off",
        "recovery_target_name = 'drill-1'",
        "recovery_target_timeline = '3'",
        "recovery_target_action = 'pause'",
    ):
        assert line in lines
    assert "max_connections = 400" in lines


@pytest.mark.parametrize(("name", "at"), [("", ""), ("a", "b"), ("a'", ""), ("", "now\n")])
def test_an_end_that_is_not_explicit_is_refused(name: str, at: str) -> None:
    with pytest.raises(copies.DrillError):
        copies.target_lines(name, at, 1)


@pytest.mark.parametrize(
    "folder",
    ["/", "/srv", "srv/drill", "/srv/dr ill", "/srv/../etc", "/var/lib/postgresql/15", "/data/production/x"],
)
def test_a_place_of_somebody_else_is_refused(folder: str) -> None:
    with pytest.raises(copies.DrillError, match="drill_folder"):
        copies.check_place(WANTED._replace(folder=folder), "/data/production")


def test_a_place_with_other_files_or_a_port_in_use_is_refused(place: copies.Wanted) -> None:
    copies.check_place(place, "")
    Path(place.folder).mkdir()
    (Path(place.folder) / "letters").write_text("of somebody")
    with pytest.raises(copies.DrillError, match="letters"):
        copies.check_place(place, "")
    (Path(place.folder) / "letters").unlink()
    Path(copies.socket_of(place.port)).touch()
    with pytest.raises(copies.DrillError, match="drill_port"):
        copies.check_place(place, "")


def test_too_little_room_is_refused_with_the_numbers(place: copies.Wanted) -> None:
    copies.check_room(place)
    with pytest.raises(copies.DrillError, match=str(1 << 60)):
        copies.check_room(place._replace(bytes=1 << 60))


def test_the_second_of_two_drills_is_refused(place: copies.Wanted) -> None:
    copies.begin(place, "")
    assert copies.read()["controller"] == "boot 1 2"
    with pytest.raises(copies.DrillError, match="another drill"):
        copies.begin(place, "")


def test_all_that_a_drill_makes_is_wiped_and_nothing_else(place: copies.Wanted) -> None:
    copies.begin(place, "")
    copies.make_folders(place, ["000000010000000000000004"])
    data = Path(place.folder) / "data"
    (data / "patients").write_text("somebody")
    outside = Path(place.folder).parent / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (data / "link").symlink_to(outside)
    wiped = copies.wipe(copies.read())
    assert wiped["left"] == []
    assert wiped["files"] == 2
    assert not Path(place.folder).exists()
    assert (outside / "kept").read_text() == "kept"
    assert copies.read() == {}


def test_a_file_that_is_still_open_is_said_to_be_left(place: copies.Wanted) -> None:
    copies.begin(place, "")
    copies.make_folders(place, [])
    with (Path(place.folder) / "data" / "patients").open("w"):
        left = copies.wipe(copies.read())["left"]
        assert f"process {os.getpid()}" in left[0]
        assert copies.read()["folder"] == place.folder
    assert copies.wipe(copies.read())["left"] == []


def test_a_lease_that_names_no_folder_wipes_nothing(place: copies.Wanted) -> None:
    Path(copies.LEASE).parent.mkdir()
    Path(copies.LEASE).write_text(json.dumps({"folder": "/"}))
    with pytest.raises(copies.DrillError, match="names no folder"):
        copies.read()


SEGMENT = "archive/d/15-1/0000000100000000/00000001000000000000000{}-" + "a" * 40 + ".zst"
INFO = "backup/d/backup.info"
BEFORE = {"stanza": "d", "files": {SEGMENT.format(4): [1, 1], INFO: [9, 9], "backup/d/A/pg_data/x": [1, 1]}}


def after(change: dict[str, list[int] | None]) -> dict[str, Any]:
    files = {**BEFORE["files"], **change}  # type: ignore[dict-item]
    return {"stanza": "d", "files": {path: told for path, told in files.items() if told}}


@pytest.mark.parametrize(
    ("change", "whole"),
    [
        ({}, True),
        ({SEGMENT.format(5): [1, 2]}, True),  # production goes on
        ({"backup/d/20261123-101100F/pg_data/x": [1, 2], INFO: [10, 10]}, True),  # and is backed up
        ({INFO: [10, 10]}, False),
        ({SEGMENT.format(4): [1, 2]}, False),
        ({SEGMENT.format(4): None}, False),
        ({SEGMENT.format(5).replace("/00000001", "/00000002"): [1, 2]}, False),  # a copy that was promoted
        ({SEGMENT.format(5).replace("15-1", "15-2"): [1, 2]}, False),
        ({"archive/d/15-1/00000002.history": [1, 2]}, False),
    ],
)
def test_what_a_drill_may_never_do_to_the_repository_is_seen(
    change: dict[str, list[int] | None], whole: bool
) -> None:
    assert states.compare(BEFORE, after(change), 1)["whole"] is whole


def test_the_state_outlives_its_writer_for_its_own_stanza(tmp_path: Path) -> None:
    path = str(tmp_path / "below" / "state.json")
    states.keep(BEFORE, path)
    assert states.kept("d", path) == BEFORE
    assert Path(path).stat().st_mode & 0o077 == 0
    with pytest.raises(OSError, match="another stanza"):
        states.kept("e", path)


TABLE = {"database": "d", "table": "public.t", "state": "ok", "rows": 3, "digest": "1:2", "reason": ""}
STATE = {
    "system_id": "7",
    "timeline": 1,
    "in_recovery": False,
    "digest": "ab" * 32,
    "now_seconds": 1000.0,
    "load": 0.5,
    "failed_count": 0,
}
TOLD_SERVER = {"lsn": "0/5", "last_commit": None, "collation_differs": []}
TOLD: dict[str, Any] = {
    "host": "backup1",
    "rto_seconds": 60,
    "rpo_seconds": 60,
    "marks": {
        mark: {"at": 100.0 + 5 * number}
        for number, mark in enumerate(["begun", *(one[0] for one in drill_report.PHASES)])
    },
    "point": {"name": "drill-5f", "attempts": 2, "lsn": "0/4"},
    "target_seconds": 0,
    "plan": {
        "label": "A",
        "bytes": 9,
        "first_segment": "1",
        "needed_segment": "2",
        "faults": [],
    },
    "server": TOLD_SERVER,
    "last_commit": {"transaction": 7, "at": "1970-01-01T00:16:10.000000Z"},
    "lost_transactions": 2,
    "since_point": 5,
    "production": {"tables": [TABLE], "method": "record", "seconds": 1.0, "point": {"attempts": 2}},
    "copy": {"tables": [TABLE], "method": "record"},
    "unseen": [],
    "answers": [{"item": {"name": "patients"}, "rc": 0, "stdout": "60"}],
    "proof": {"pages": {"state": "ok"}, "structure": {"state": "ok"}},
    "before": STATE,
    "after": STATE,
    "repository": {
        "files": 3,
        "added": 1,
        "removed": [],
        "removed_count": 0,
        "changed": [],
        "strange": [],
        "whole": True,
    },
    "wiped": {"folder": "/srv/drill", "files": 3, "bytes": 9, "left": [], "at": 1000.0},
}


def findings(told: dict[str, Any], language: str = "en") -> dict[str, Finding]:
    return {one["id"]: Finding.model_validate(one) for one in drill_report.report(told, language)["evidence"]}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_drill_that_proves_everything_passes(language: str) -> None:
    answer = drill_report.report(TOLD, language)
    assert answer["wrong"] == []
    assert {one.verdict for one in findings(TOLD, language).values()} == {"pass"}
    numbers = {one["name"]: Metric.model_validate(one).value for one in answer["metrics"]}
    assert numbers["drill_rto_seconds"] == 25
    assert numbers["drill_rpo_seconds"] == 30
    assert numbers["drill_rpo_transactions"] == 2


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"copy": {"tables": [{**TABLE, "digest": "1:3"}], "method": "record"}}, "DRL-ROW-01"),
        ({"copy": {"tables": [], "method": "record"}}, "DRL-ROW-01"),
        ({"copy": {}}, "DRL-ROW-01"),
        ({"unseen": None}, "DRL-ROW-01"),
        ({"unseen": [812]}, "DRL-ROW-01"),
        ({"proof": {}}, "PRF-PAG-01"),
        ({"proof": {"pages": {"state": "ok"}, "structure": {"state": "unknown"}}}, "PRF-AMC-01"),
        ({"server": {}}, "DRL-TGT-01"),
        ({"server": {**TOLD_SERVER, "lsn": "0/3"}}, "DRL-TGT-01"),
        ({"rto_seconds": 10}, "DRL-RTO-01"),
        ({"marks": {"begun": {"at": 1.0}}}, "DRL-RTO-01"),
        ({"rpo_seconds": 10}, "DRL-RPO-01"),
        ({"after": {**STATE, "digest": "cd"}}, "DRL-PRD-01"),
        ({"after": {**STATE, "failed_count": 1}}, "DRL-PRD-01"),
        ({"after": {}}, "DRL-PRD-01"),
        ({"repository": {}}, "DRL-REP-01"),
        ({"repository": {**TOLD["repository"], "whole": False, "strange": ["x"]}}, "DRL-REP-01"),
        ({"plan": {**TOLD["plan"], "faults": ["B: damaged"]}}, "DRL-SRC-01"),
        ({"answers": [{"item": {"name": "patients"}, "rc": 1, "stdout": ""}]}, "DRL-ASK-01"),
        ({"wiped": {**TOLD["wiped"], "left": ["process 7"]}}, "DRL-WIP-01"),
        ({"wiped": {}}, "DRL-WIP-01"),
    ],
)
def test_whatever_is_missing_or_wrong_is_no_proof(change: dict[str, Any], wrong: str) -> None:
    assert wrong in drill_report.report({**TOLD, **change}, "en")["wrong"]


def test_of_the_past_production_has_no_rows_to_compare_with() -> None:
    told = {**TOLD, "point": {}, "target_seconds": 900.0, "production": {}, "unseen": None}
    assert findings(told)["DRL-ROW-01"].verdict == "unknown"
    assert "3 rows" in findings(told)["DRL-ROW-01"].actual
    assert "not read" in findings(told)["DRL-LOD-01"].actual
    assert drill_report.report(told, "en")["wrong"] == []


def test_an_answer_that_is_no_number_or_word_stays_out_of_the_record() -> None:
    told = {**TOLD, "answers": [{"item": {"name": "patients"}, "rc": 0, "stdout": "张三\n李四"}]}
    assert findings(told)["DRL-ASK-01"].actual == "patients: —"


def test_an_archive_whose_last_commit_is_not_known_is_unknown() -> None:
    assert findings({**TOLD, "lost_transactions": None})["DRL-RPO-01"].verdict == "unknown"


def test_the_loss_is_counted_from_the_first_transaction_that_is_lost() -> None:
    told = {**TOLD, "next_commit": {"transaction": 8, "at": "1970-01-01T00:16:37.500000Z"}}
    assert drill_report.loss(told) == {"transactions": 2, "seconds": 2.5}
    assert drill_report.loss({**told, "lost_transactions": 0}) == {"transactions": 0, "seconds": 0.0}


def test_a_wiping_alone_is_reported() -> None:
    answer = drill_report.report({"host": "backup1", "wiped": TOLD["wiped"]}, "en")
    assert [one["id"] for one in answer["evidence"]] == ["DRL-WIP-01"]
    assert answer["wrong"] == []
