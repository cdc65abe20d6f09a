"""RPO 0: every acknowledged commit is on the backup host, and its absence does not stop the hospital."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from conftest import PSQL, YOUNG, First, Root, findings

from lab.calls import Done
from lab.scenario import wait_until

COMMIT = f"{PSQL} -c \"select pg_logical_emit_message(true, 'test', 'x')\" postgres"
DEMANDED = f"{PSQL} -c 'show synchronous_standby_names' postgres"
FLUSHED = (
    "select flush_lsn >= pg_current_wal_flush_lsn() from pg_stat_replication "
    "where application_name = 'backup_receiver' and sync_state = 'sync'"
)
RECEIVED = f'{PSQL} -c "{FLUSHED}" postgres'
AWAY = "systemctl is-failed maintenance-sync-away.service || true"


@pytest.fixture(scope="module")
def zero(first: First, root: Root) -> Iterator[tuple[Done, Done]]:
    """As it was set up, twice; taken away again, as the guide says, for the tests that follow."""
    assert first.done.code == 0, first.done.record.outcome_reason
    yield first.done, first.again
    root("db1", "systemctl disable --now maintenance-sync-guard.service")
    root(
        "db1",
        f"{PSQL} -c 'alter system reset synchronous_standby_names' -c 'select pg_reload_conf()' postgres",
    )
    root("backup1", "systemctl disable --now maintenance-wal-receiver.service maintenance-wal-prune.timer")
    drop = "select pg_drop_replication_slot('backup_receiver')"
    wait_until(
        "the slot is free", 30, lambda: root("db1", f'{PSQL} -c "{drop}" postgres || echo no') != "no\n"
    )


def test_it_is_set_up_and_its_price_is_in_the_record(zero: tuple[Done, Done]) -> None:
    done, again = zero
    assert done.code == 0, done.record.outcome_reason
    measured = {(one.name, one.subject) for one in done.record.metrics["db1"]}
    assert {("commit_median_ms", "before"), ("commit_median_ms", "synchronous")} <= measured
    assert again.record.changes == []


def test_an_acknowledged_commit_is_on_the_backup_host(zero: tuple[Done, Done], root: Root) -> None:
    assert zero[0].code == 0
    for _ in range(3):
        root("db1", COMMIT)
        assert root("db1", RECEIVED) == "t\n"


def test_the_password_is_nowhere_but_in_its_file(zero: tuple[Done, Done], root: Root) -> None:
    path = "/var/lib/pgbackrest-home/.pgpass"
    assert root("backup1", f"stat -c '%a %U' {path}") == "600 pgbackrest\n"
    password = root("backup1", f"cat {path}").strip().rsplit(":", 1)[1]
    for done in zero:
        for file in done.entry.rglob("*"):
            assert not file.is_file() or password.encode() not in file.read_bytes(), file
    assert password not in root("backup1", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' || true")


def test_a_receiver_that_is_away_stops_nobody_and_is_told(
    zero: tuple[Done, Done], run: Callable[..., Done], root: Root
) -> None:
    assert zero[0].code == 0
    root("backup1", "systemctl stop maintenance-wal-receiver.service")
    root("db1", COMMIT)  # it waits, until the rule takes the demand back
    wait_until("commits go on alone", 30, lambda: root("db1", DEMANDED).strip() == "")
    assert root("db1", AWAY).strip() == "failed"
    found = findings(run("check_backup", *YOUNG, "--set", "backup_rpo=zero"))
    assert found["BAK-RPO-02 backup1"].verdict == "fail"
    root("backup1", "systemctl start maintenance-wal-receiver.service")
    wait_until("commits wait again", 60, lambda: root("db1", DEMANDED).strip() == "backup_receiver")
    assert root("db1", AWAY).strip() != "failed"
    root("db1", COMMIT)
    assert root("db1", RECEIVED) == "t\n"


def test_segments_that_the_archive_has_are_removed_and_no_others(zero: tuple[Done, Done], root: Root) -> None:
    assert zero[0].code == 0
    folder = "/var/lib/pgbackrest-home/received"
    switch = f"{PSQL} -c \"select pg_create_restore_point('prune')\" -c 'select pg_switch_wal()' postgres"
    root("db1", f"{switch} >/dev/null; {switch}")
    root("backup1", f"install -o pgbackrest -g pgbackrest -m 600 /dev/null {folder}/0000000100000000000000EE")
    wait_until(
        "archived segments are removed",
        60,
        lambda: (
            root(
                "backup1",
                f"systemctl start maintenance-wal-prune.service; ls {folder} | grep -cE '^[0-9A-F]{{24}}$' || true",
            )
            == "1\n"
        ),
    )
    assert "0000000100000000000000EE" in root("backup1", f"ls {folder}")
