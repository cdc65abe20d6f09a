"""A drill proves what it restored, harms nothing and leaves nothing; what is damaged or broken off is never sound."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import DRILL, FOLDER, LEASE, LEFT, NAME, PGBACKREST, PSQL, Drilled, Killed, findings

from lab.calls import Done
from lab.scenario import Root

Run = Callable[..., Done]
UNTOUCHED = ("DRL-PRD-01", "DRL-REP-01", "DRL-WIP-01")
JUNK = "create table drill_junk as select g as n, repeat('x', 100) as t from generate_series(1, 5000) g"
JUNK_FILE = "select current_setting('data_directory') || '/' || pg_relation_filepath('drill_junk')"
# As soon as pgBackRest restores, it is killed.
KILLER = """systemd-run -q --collect --unit drill-killer bash -c \
'until pkill -9 -f "^pgbackrest.*--pg1-path=/var/lib/maintenance/drill/data.*restore$"; do sleep 0.02; done'"""


def untouched(done: Done) -> None:
    """Production and repository are as they were, and the copy is gone, whatever became of the drill."""
    found = findings(done)
    assert {id_: found[id_].verdict for id_ in UNTOUCHED} == dict.fromkeys(UNTOUCHED, "pass")


def test_the_newest_point_is_restored_and_proven_while_others_write(drilled: Drilled) -> None:
    done = drilled.newest
    assert done.code == 0, done.out + done.err
    assert {one.verdict for one in findings(done).values()} == {"pass"}
    assert "equal" in findings(done)["DRL-ROW-01"].actual
    assert "different" not in findings(done)["DRL-ROW-01"].actual
    assert findings(done)["DRL-ASK-01"].actual == "marks: 2"
    untouched(done)


def test_time_and_loss_are_measured(drilled: Drilled) -> None:
    numbers = {one.name: one.value for one in drilled.newest.record.metrics["backup1"]}
    phases = ("found", "restored", "fetched", "replayed", "opened")
    total = sum(numbers[f"drill_{phase}_seconds"] for phase in phases)
    assert numbers["drill_rto_seconds"] == pytest.approx(total, abs=0.2)
    assert numbers["drill_rpo_transactions"] > 0
    assert numbers["drill_rpo_seconds"] > 0


def test_the_repository_has_what_it_had_and_nothing_of_a_copy(drilled: Drilled) -> None:
    before, after = drilled.before.splitlines(), drilled.after.splitlines()
    assert set(before) <= set(after)
    for line in set(after) - set(before):
        assert "/00000001" in line  # production's own segments
    assert not [line for line in after if line.split()[0].endswith(".history")]


def test_nothing_of_the_patients_is_left(drilled: Drilled) -> None:
    assert drilled.left == ""
    for path in drilled.newest.entry.parent.rglob("*"):
        assert not path.is_file() or "".join(NAME).encode() not in path.read_bytes()


def test_the_report_is_made(drilled: Drilled) -> None:
    (report,) = (drilled.newest.entry / "documents").iterdir()
    assert "_drill_" in report.name
    assert report.suffix == ".docx"  # its site says `pdf: false`


def test_a_past_instant_is_restored_and_said_to_be_compared_with_nothing(drilled: Drilled) -> None:
    done = drilled.past
    assert done.code == 0, done.out + done.err
    assert findings(done)["DRL-ASK-01"].actual == "marks: 1"
    assert findings(done)["DRL-ROW-01"].verdict == "unknown"
    assert findings(done)["PRF-PAG-01"].verdict == "pass"
    untouched(done)


def test_an_instant_before_the_first_backup_is_refused(drilled: Drilled, run: Run, root: Root) -> None:
    assert drilled.newest.code == 0
    done = run(*DRILL, "--set", "target_time=2020-01-01 00:00:00+08:00")
    assert done.code == 1
    assert "the first backup that can be used ended at" in done.record.outcome_reason
    assert root("backup1", LEFT) == ""


def test_a_segment_that_is_missing_is_named_and_nothing_restored(
    drilled: Drilled, run: Run, root: Root, archived: Callable[[], str]
) -> None:
    assert drilled.newest.code == 0
    segment = archived()
    archived()
    place = root("backup1", f"find /var/lib/pgbackrest/archive -name '{segment}-*'").strip()
    root("backup1", f"mv {place} /root/")
    try:
        done = run(*DRILL)
    finally:
        root("backup1", f"mv /root/{segment}-* {place}")
    assert done.code == 1
    assert segment in done.record.outcome_reason
    assert root("backup1", LEFT) == ""


def test_a_drill_beside_another_is_refused(killed: Killed) -> None:
    assert killed.beside.code == 1
    assert "may be under way" in killed.beside.record.outcome_reason


def test_what_a_killed_controller_left_is_wiped_by_the_next_run_even_if_that_can_restore_nothing(
    killed: Killed, run: Run, root: Root
) -> None:
    assert FOLDER in killed.left
    assert LEASE in killed.left
    flip, file = flipped(root)
    root("backup1", flip)
    try:
        done = run(*DRILL)
    finally:
        root("backup1", flip)
    assert done.code == 1
    assert file in done.record.outcome_reason  # a byte of the only backup was another
    wiped = findings(done)["DRL-WIP-01"]
    assert (wiped.verdict, FOLDER in wiped.actual) == ("pass", True)
    assert root("backup1", LEFT) == ""


def flipped(root: Root) -> tuple[str, str]:
    """A command that turns a bit of a file of the newest backup, and by a second call turns it back; the file."""
    newest = root("backup1", "ls -d /var/lib/pgbackrest/backup/dialysis/2*F | sort | tail -1").strip()
    file = root("backup1", f"find {newest}/pg_data/base -type f -size +8k | sort | head -1").strip()
    program = f"f=open('{file}','r+b');f.seek(500);b=f.read(1);f.seek(500);f.write(bytes([b[0]^1]));f.close()"
    # The file keeps its time: only its contents are another.
    command = f'touch -r {file} /root/time; python3 -c "{program}"; touch -r /root/time {file}'
    return command, file.partition("/pg_data/")[2].partition(".")[0]


def test_a_damaged_page_that_the_backup_took_without_a_word_is_found_by_both_proofs(
    drilled: Drilled, run: Run, root: Root
) -> None:
    assert drilled.newest.code == 0
    # Frozen: whoever reads it later writes nothing of it, and so brings no sound copy of the page into the WAL.
    root("db1", f'{PSQL} -c "{JUNK}" -c "vacuum (freeze) drill_junk" -c checkpoint')
    file = root("db1", f'{PSQL} -c "{JUNK_FILE}"').strip()
    root("db1", f"printf '\\377' | dd of={file} bs=1 seek=$((8192 * 3 + 8100)) conv=notrunc status=none")
    root("backup1", f"{PGBACKREST} --type=full --no-checksum-page backup")
    try:
        done = run(*DRILL)
    finally:
        root("db1", f'{PSQL} -c "drop table drill_junk"')
    assert done.code == 1
    assert findings(done)["PRF-PAG-01"].verdict == "fail"
    assert "public.drill_junk block 3" in findings(done)["PRF-PAG-01"].actual
    assert findings(done)["PRF-AMC-01"].verdict == "fail"
    assert "drill_junk" in findings(done)["PRF-AMC-01"].actual
    assert findings(done)["DRL-ROW-01"].verdict != "pass"
    untouched(done)


def test_a_restore_that_is_killed_fails_and_is_wiped(drilled: Drilled, run: Run, root: Root) -> None:
    assert drilled.newest.code == 0
    root("backup1", KILLER)
    done = run(*DRILL)
    assert done.code == 1
    assert "drill-restore" in done.record.outcome_reason
    assert root("backup1", LEFT) == ""
    untouched(done)


def test_a_place_that_fills_up_is_wiped(drilled: Drilled, run: Run, root: Root) -> None:
    assert drilled.newest.code == 0
    root("backup1", "mkdir -p /srv/drill && mount -t tmpfs -o size=60m,mode=0755 tmpfs /srv/drill")
    # Whoever says that next to nothing is room enough comes to the end of it in mid-work.
    done = run(*DRILL, "--set", "drill_folder=/srv/drill", "--set", "drill_room=0.01")
    left = root("backup1", "ls -A /srv/drill; umount /srv/drill; rmdir /srv/drill")
    assert done.code == 1
    assert "drill-wal" in done.record.outcome_reason
    assert left + root("backup1", LEFT) == ""
    untouched(done)
