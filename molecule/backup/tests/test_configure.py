"""A database without a backup gets one: planned, refused where it cannot be, resumed, proven, and nothing done twice."""

from __future__ import annotations

from collections.abc import Callable

from conftest import PGBACKREST, REASON, First, Root, findings

from lab.calls import Done, call


def test_a_plan_changes_nothing(first: First) -> None:
    assert first.planned.code == 0, first.planned.err
    assert first.planned.record.changes != []
    assert first.before == first.after_plan


def test_a_device_that_is_too_small_is_refused_before_anything_is_changed(first: First) -> None:
    assert first.refused.code == 1
    assert "too little room" in first.refused.record.outcome_reason
    assert first.refused.record.changes == []


def test_a_device_that_fills_up_ends_with_the_reason(first: First) -> None:
    assert first.full.code == 1
    assert "unable to write" in first.full.record.outcome_reason
    said = [step.message for step in first.full.record.steps if step.result == "failed"]
    assert "bytes are free where the repository lies" in said[-1]
    # The archive of WAL began all the same, and the next run goes on from there.
    assert any("archive | Send every segment" in change.task for change in first.full.record.changes)


def test_the_next_run_goes_on_and_a_further_one_has_nothing_to_do(first: First) -> None:
    assert first.done.code == 0, first.done.record.outcome_reason
    assert any("Take a full backup" in change.task for change in first.done.record.changes)
    assert first.again.code == 0, first.again.err
    assert [(host.name, host.changed) for host in first.again.record.hosts] == [("backup1", 0), ("db1", 0)]


def test_it_is_healthy_then(first: First, ledger: object) -> None:
    assert findings(first.checked) == {}
    metrics = {metric.name: metric.value for metric in first.checked.record.metrics["backup1"]}
    assert metrics["repository_used_bytes"] > 1000000
    assert metrics["trial_restore_seconds"] > 0
    assert call("verify", ledger).code == 0


def test_the_repository_is_encrypted_and_its_pass_stays_where_it_is(first: First, root: Root) -> None:
    assert first.done.code == 0
    assert "cipher: aes-256-cbc" in root("backup1", f"{PGBACKREST} info")
    secret = "/etc/pgbackrest/conf.d/50-cipher.conf"
    assert root("backup1", f"stat -c '%a %U' {secret}") == "600 pgbackrest\n"
    password = root("backup1", f"cut -d= -f2- {secret}").split()[-1]
    for done in (first.refused, first.full, first.done, first.again, first.checked):
        for path in done.entry.rglob("*"):
            assert not path.is_file() or password.encode() not in path.read_bytes(), path
    assert root("db1", f"grep -rlF '{password}' /etc /var/lib/postgresql /var/lib/maintenance || true") == ""


def test_the_database_can_start_pgbackrest_there_and_nothing_else(first: First, root: Root) -> None:
    assert first.done.code == 0
    assert "status: ok" in root("db1", "cd /; runuser -u postgres -- pgbackrest --stanza=dialysis info")
    said = root("db1", "cd /; runuser -u postgres -- ssh pgbackrest@backup1 'sh -c id' 2>&1 || true")
    assert "uid=" not in said


def test_another_host_key_is_not_believed(first: First, root: Root) -> None:
    assert first.done.code == 0
    known = "/var/lib/postgresql/.ssh/pgbackrest_known_hosts"
    root(
        "db1",
        f"cp {known} {known}.right; sed -i 's/ssh-ed25519 .*/ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFake0/' {known}",
    )
    try:
        said = root("db1", "cd /; runuser -u postgres -- ssh pgbackrest@backup1 x 2>&1 || true")
        assert "Host key verification failed" in said or "No ED25519 host key is known" in said
    finally:
        root("db1", f"mv {known}.right {known}; chown postgres: {known}")


def test_the_timers_wait_and_their_service_works(first: First, root: Root) -> None:
    assert first.done.code == 0
    timers = root("backup1", "systemctl list-timers --all --no-legend 'maintenance-backup-*'")
    assert {line.split()[-1] for line in timers.splitlines()} == {
        f"maintenance-backup@{kind}.service" for kind in ("full", "diff", "incr")
    }
    root("backup1", "systemctl start maintenance-backup@incr.service")
    assert "incr backup" in root("backup1", f"{PGBACKREST} info")


def test_another_database_is_refused_and_nothing_is_forced(
    first: First, run: Callable[..., Done], root: Root
) -> None:
    assert first.done.code == 0
    root(
        "db1",
        "pg_createcluster 15 other -p 5433 -- --data-checksums >/dev/null; pg_ctlcluster 15 other start",
    )
    root(
        "db1",
        'echo "archive_mode = on" >> /etc/postgresql/15/other/postgresql.conf; pg_ctlcluster 15 other restart',
    )
    try:
        done = run("configure_backup", *REASON, "--set", "database_backup_port=5433")
        assert done.code == 1
        assert "holds backups of the database system" in done.record.outcome_reason
        assert done.record.changes == []
        wrong = findings(run("check_backup", "--set", "backup_check_port=5433"))
        assert wrong["BAK-SYS-01 backup1"].verdict == "fail"
    finally:
        root("db1", "pg_dropcluster --stop 15 other")
