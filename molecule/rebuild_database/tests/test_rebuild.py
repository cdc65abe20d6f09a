"""After the rebuild: nothing that was archived is lost, nothing is invented, and there is one primary, with a backup."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from conftest import PGBACKREST, PSQL, REBUILD, Lost, Root, Writer

from lab import builder
from lab.calls import Done
from lab.plan import Lab
from maintenance.record import Finding

TIMELINE = "select 'tl' || timeline_id from pg_control_checkpoint()"
REFERENCES = "select client_ref from dialysis.sessions"
# The driver books within four weeks, and the proof of the service beyond.
SOON = f"{REFERENCES} where planned_date < current_date + 40"
DIALYSIS = f"{PSQL} -d dialysis"


def journal(root: Root) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(root("standby1", "cat /var/lib/maintenance/rebuild/journal.json"))
    return told


def findings(done: Done) -> dict[str, Finding]:
    return {one.id: one for one in done.record.evidence["standby1"]}


def references(root: Root) -> set[str]:
    """The references of all sessions that the new server knows."""
    return set(root("standby1", f'{DIALYSIS} -c "{REFERENCES}"').split())


def test_a_restore_that_is_killed_is_told_and_gone_on_with(lost: Lost) -> None:
    assert lost.killed.code == 1
    assert "rebuild-dialysis ended with code 137" in str(lost.killed.record.outcome_reason)


def test_indexes_that_another_library_would_read_wrongly_are_built_again(lost: Lost, root: Root) -> None:
    assert lost.unsorted.code == 1
    assert "sorts by another version (dialysis)" in lost.unsorted.record.outcome_reason
    assert "rebuild_reindex=true" in lost.unsorted.record.outcome_reason
    assert lost.done.code == 0
    assert "dialysis: 2.28 -> " in findings(lost.done)["REB-COL-01"].actual
    noted = "select datcollversion = pg_database_collation_actual_version(oid) from pg_database"
    noted += " where datname = 'dialysis'"
    assert root("standby1", f'{PSQL} -c "{noted}"') == "t\n"
    # Those of text have another file than the cluster gave them, and those of numbers the first one.
    built = "select distinct (0 = all (indcollation)), pg_relation_filenode(indexrelid) <> indexrelid"
    built += " from pg_index where indrelid = 'dialysis.patients'::regclass order by 1"
    assert root("standby1", f'{DIALYSIS} -c "{built}"') == "f|t\nt|f\n"


def test_a_damaged_page_of_the_new_server_fails_every_run_until_it_is_whole(lost: Lost) -> None:
    assert lost.damaged.code == 1
    assert "restored from is damaged" in lost.damaged.record.outcome_reason
    found = findings(lost.damaged)
    assert found["PRF-PAG-01"].verdict == "fail"
    assert "public.quiet" in found["PRF-PAG-01"].actual
    assert found["REB-BAK-01"].verdict == "fail"


def test_tablespaces_made_before_and_after_the_backup_are_there(lost: Lost) -> None:
    assert lost.spaces == "500\npostgres 700\n" * 2


def test_every_interruption_leaves_a_journal_that_the_next_run_goes_on_from(lost: Lost) -> None:
    for mark, marks in zip(("planned", "restored", "promoted"), lost.interrupted, strict=True):
        assert mark in marks
        assert "backed_up" not in marks
    assert lost.done.code == 0, lost.done.out + lost.done.err
    skipped = {step.task for step in lost.done.record.steps if step.result == "skipped"}
    assert "plan | Choose and prove backup, timeline and last segment" in skipped
    assert "promote | Ask the failed server once more, directly before the promotion" in skipped


def test_every_acknowledged_commit_is_there(lost: Lost, root: Root) -> None:
    told = journal(root)
    until = told["facts"]["commits"][-1]["at"].removesuffix("Z")
    covered = {one for one, at in lost.acknowledged.items() if at.removesuffix("+00:00") < until}
    assert len(covered) >= 60
    assert covered <= references(root)
    # What was archived by nobody is there as well: the receiver had it.
    whole, begun = told["facts"]["received"]
    assert begun["file"] == f"{begun['segment']}.partial"
    assert set(lost.acknowledged) <= references(root)
    assert begun["file"] in findings(lost.done)["REB-RPO-01"].actual
    # The whole one is archived now: a restore from the backup before the loss needs it.
    archived = f"find /var/lib/pgbackrest/archive -name '{whole['segment']}-*' | wc -l"
    assert root("backup1", archived) == "1\n"
    assert "xid" in findings(lost.done)["REB-RPO-01"].actual
    assert findings(lost.done)["REB-RPO-01"].verdict == "partial"
    assert told["facts"]["last_segment"] in findings(lost.done)["REB-RPO-01"].actual


def test_nothing_is_invented(lost: Lost, root: Root) -> None:
    known = set(root("standby1", f'{DIALYSIS} -c "{SOON}"').split())
    # A booking that each of four workers had under way when the power went may be in without an answer.
    assert len(known - set(lost.acknowledged)) <= 4


def test_the_new_timeline_is_archived_and_backed_up_at_once(lost: Lost, root: Root) -> None:
    told = json.loads(root("backup1", f"{PGBACKREST} info --output=json"))[0]
    newest = told["backup"][-1]
    assert newest["type"] == "full"
    assert not newest["error"]
    assert newest["archive"]["start"].startswith("00000002")
    assert root("standby1", f'{PSQL} -c "{TIMELINE}"') == "tl2\n"
    assert findings(lost.done)["REB-BAK-01"].actual == newest["label"]
    assert findings(lost.done)["REB-SYS-01"].verdict == "pass"


def test_every_page_and_index_of_the_new_server_was_looked_at(lost: Lost, root: Root) -> None:
    proofs = {name: findings(lost.done)[name] for name in ("PRF-PAG-01", "PRF-AMC-01")}
    assert {one.verdict for one in proofs.values()} == {"pass"}, proofs
    left = "select count(*) from pg_extension where extname = 'amcheck'"
    assert root("standby1", f'{DIALYSIS} -c "{left}"') == "0\n"


def test_the_record_has_the_time_to_service_by_phase(lost: Lost) -> None:
    numbers = {one.name: one.value for one in lost.done.record.metrics["standby1"]}
    phases = ("fenced", "planned", "restored", "replayed", "promoted", "serving")
    total = sum(numbers[f"rebuild_{phase}_seconds"] for phase in phases)
    assert numbers["rebuild_rto_seconds"] == pytest.approx(total, abs=1)
    assert lost.done.record.outcome == "succeeded"


def test_the_new_server_is_what_the_old_one_was(lost: Lost, root: Root) -> None:
    hba = root("standby1", "cat /etc/postgresql/15/main/pg_hba.conf")
    assert "hostssl  dialysis  dialysis_app" in hba
    assert root("standby1", "systemctl is-enabled postgresql.service") == "enabled\n"
    assert root("standby1", "systemctl is-active maintenance-host-copy.timer") == "active\n"
    assert "logrotate" in findings(lost.done)["REB-PAR-01"].actual
    assert findings(lost.done)["REB-PAR-01"].verdict == "partial"


@pytest.fixture(scope="module")
def returned(lost: Lost, lab: Lab, root: Root) -> str:
    """The old machine, switched on again, with all that it had."""
    assert lost.done.code == 0
    builder.boot(lab, "db1")
    # It would demand a receiver that only the failed server had.
    root("db1", "systemctl disable --now maintenance-sync-guard.service")
    root("backup1", "systemctl disable --now maintenance-wal-receiver.service maintenance-wal-prune.timer")
    return "db1"


def test_an_old_primary_that_comes_back_is_kept_out(returned: str, root: Root) -> None:
    assert root(returned, "systemctl is-active postgresql@15-main") == "active\n"
    tried = "timeout 5 bash -c '</dev/tcp/db1/5432' 2>/dev/null && echo open || echo closed"
    for host in ("app1", "gate1", "backup1", "standby1"):
        assert root(host, tried) == "closed\n"
        root(host, "systemctl reload nftables && systemctl restart nftables")
        assert root(host, tried) == "closed\n"


def test_its_archive_pushes_are_refused(returned: str, root: Root) -> None:
    count = "find /var/lib/pgbackrest/archive -name '00000001*-*' | sort"
    before = root("backup1", count)
    segment = root(
        returned,
        f"{PSQL} -c \"select pg_walfile_name(pg_create_restore_point('x'))\" -c 'select pg_switch_wal()'",
    ).split()[0]
    push = f"pgbackrest --stanza=dialysis archive-push /var/lib/postgresql/15/main/pg_wal/{segment}"
    tried = f"cd /; timeout 5 runuser -u postgres -- {push} >/dev/null 2>&1 && echo pushed || echo refused"
    assert root(returned, tried) == "refused\n"
    assert root("backup1", count) == before
    keys = root("backup1", "cat /var/lib/pgbackrest-home/.ssh/authorized_keys")
    assert "dialysis db1" not in keys
    assert "dialysis standby1" in keys


def test_the_application_goes_on_writing_to_the_new_one(
    returned: str, root: Root, lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    writer = Writer(lab, tmp_path_factory.mktemp("after"))
    try:
        writer.wait_for(10)
    finally:
        writer.stop()
    new = set(writer.acknowledged())
    assert new <= references(root)
    assert not new & set(root(returned, f'{DIALYSIS} -c "{REFERENCES}"').split())


def test_another_run_stops_and_masks_it_and_changes_nothing_else(
    returned: str, root: Root, run: Callable[..., Done]
) -> None:
    before = journal(root)
    done = run(*REBUILD)
    assert done.code == 0, done.out + done.err
    assert journal(root) == before
    changed = {step.task for step in done.record.steps if step.result == "changed"}
    assert changed == {"fence_stop | Stop its PostgreSQL, and keep it from starting, where it can be reached"}
    state = "systemctl is-active postgresql@15-main; systemctl is-enabled postgresql@15-main"
    assert root(returned, f"({state}) || true") == "inactive\nmasked\n"
    assert root("standby1", f'{PSQL} -c "{TIMELINE}"') == "tl2\n"
