"""Back to the old machine while the ward works: nothing lost, one primary; a switch that nobody confirms goes back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import PGBACKREST, PSQL, REBUILD, Lost, Root, Writer

from lab import builder
from lab.calls import Done, environment
from lab.plan import REPOSITORY, Lab
from lab.scenario import kill_tree, wait_until
from maintenance.record import Finding

JOURNAL = "/var/lib/maintenance/failback/journal.json"
# Sessions are held all the time in this ward.
RETURN = ("return_database", "--set", "failback_confirm_seconds=30", "--set", "failback_sessions=none")
OPEN = json.dumps({"port": 5432, "database": "postgres", "query": "select 1"})
TIMELINE = "select 'tl' || substr(pg_walfile_name(pg_current_wal_lsn()), 8, 1)"
SESSIONS = "select client_ref from dialysis.sessions"
REFERENCES = f'{PSQL} -d dialysis -c "{SESSIONS}"'
ACCOUNTS = "select count(*) from pg_roles where rolname like 'failback%'"
UNIT = "postgresql@15-main"
STATE = f"(systemctl is-active {UNIT}; systemctl is-enabled {UNIT}) || true"


def marks(root: Root) -> list[str]:
    text = root("db1", f"cat {JOURNAL} 2>/dev/null || true")
    return list(json.loads(text)["marks"]) if text else []


def serves(root: Root, host: str) -> bool:
    """Whether the application runs, and writes to this host."""
    script = (
        f"systemctl is-active dialysis-web.service; grep -c '^host = {host}$' /etc/dialysis/dialysis.conf"
    )
    return root("app1", f"({script}) || true").split() == ["active", "1"]


def question(query: str) -> tuple[str, str]:
    """The only question of a switch to both servers."""
    asked = json.dumps([{"name": "which", "database": "postgres", "query": query}])
    return "--set", f"failback_questions={asked}"


def kill_controller_when(moment: Callable[[], bool], options: tuple[str, ...]) -> None:
    """Begin a return and kill its controller, with all that it has started here, at a moment."""
    process = subprocess.Popen(
        [str(REPOSITORY / "runner.py"), "run", *RETURN, *options, "--reason", "db1 was mended"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )
    try:
        wait_until("the moment", 240, lambda: moment() or process.poll() is not None)
    finally:
        kill_tree(process.pid)
        process.wait()


@dataclass
class Returned:
    """How the database went back."""

    foreign: Done
    open: Done
    copied: list[str]  # the marks of the journal after it
    refused: Done
    undone: str  # what standby1 and the application were after a comparison that failed
    alone: list[str]  # the marks when the controller died while nobody could write
    brought_back: bool
    followed: list[str]
    done: Done
    again: Done
    before: set[str]
    acknowledged: set[str]


@pytest.fixture(scope="module")
def returned(
    lost: Lost,
    lab: Lab,
    root: Root,
    run: Callable[..., Done],
    options: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Returned:
    """Each fault, one after the other, while sessions are booked; then the return."""
    assert lost.done.code == 0
    if "db1" not in builder.running(lab):
        builder.boot(lab, "db1")
    if "masked" not in root("db1", STATE):
        assert run(*REBUILD).code == 0
    before = set(root("standby1", REFERENCES).split())
    root("db1", "cd /var/lib/postgresql/15 && mv main kept && mkdir main && touch main/somebodys")
    foreign = run(*RETURN)
    root("db1", "cd /var/lib/postgresql/15 && rm -r main && mv kept main")
    writer = Writer(lab, tmp_path_factory.mktemp("returning"))
    try:
        open_ = run(*RETURN, "--set", f"failback_sessions={OPEN}")
        copied = marks(root)
        refused = run(*RETURN, *question("select pg_is_in_recovery()"))
        undone = root("standby1", STATE) + str(serves(root, "standby1"))
        asked = question("select 1 from pg_sleep(case when pg_is_in_recovery() then 60 else 0 end)")
        kill_controller_when(lambda: "inactive" in root("standby1", STATE), (*options, *asked))
        alone = [*marks(root), root("standby1", STATE)]
        wait_until("the service", 150, lambda: serves(root, "standby1"))
        brought_back = root("standby1", STATE).split()[0] == "active"
        count = len(writer.acknowledged())
        writer.wait_for(count + 10)
        kill_controller_when(lambda: "promoted" in marks(root), options)
        wait_until("the service", 150, lambda: serves(root, "db1"))
        followed = [*root("standby1", STATE).split(), root("db1", f'{PSQL} -c "{TIMELINE}"').strip()]
        writer.wait_for(len(writer.acknowledged()) + 10)
        done = run(*RETURN)
        writer.wait_for(len(writer.acknowledged()) + 10)
    finally:
        writer.stop()
    again = run(*RETURN)
    return Returned(
        foreign,
        open_,
        copied,
        refused,
        undone,
        alone,
        brought_back,
        followed,
        done,
        again,
        before,
        set(writer.acknowledged()),
    )


def findings(done: Done) -> dict[str, Finding]:
    return {one.id: one for one in done.record.evidence["db1"]}


def changed(done: Done) -> set[str]:
    return {step.task for step in done.record.steps if step.result == "changed"}


def test_data_of_somebody_else_is_never_put_aside(returned: Returned) -> None:
    assert returned.foreign.code == 1
    assert "data of another system" in returned.foreign.record.outcome_reason
    assert not {task for task in changed(returned.foreign) if not task.startswith("guard")}


def test_everything_is_made_ready_while_sessions_are_open_and_nothing_is_switched(returned: Returned) -> None:
    assert returned.open.code == 1
    assert "1 dialysis sessions are open" in returned.open.record.outcome_reason
    assert returned.copied[-3:] == ["copied", "proven", "streaming"]


def test_servers_that_are_not_alike_are_not_exchanged_and_the_service_comes_back_at_once(
    returned: Returned,
) -> None:
    assert returned.refused.code == 1
    assert "do not give the same answers" in returned.refused.record.outcome_reason
    assert returned.undone == "active\nenabled-runtime\nTrue"


def test_a_controller_that_dies_while_nobody_can_write_is_not_waited_for(returned: Returned) -> None:
    assert "promoted" not in returned.alone
    assert returned.brought_back


def test_a_controller_that_dies_after_the_promotion_leaves_one_primary_and_an_application_that_follows_it(
    returned: Returned,
) -> None:
    assert returned.followed == ["inactive", "masked", "tl3"]


def test_the_next_run_goes_on_and_ends(returned: Returned) -> None:
    assert returned.done.code == 0, returned.done.out + returned.done.err
    assert returned.done.record.outcome == "succeeded"


def test_nothing_acknowledged_is_lost_and_nothing_is_invented(returned: Returned, root: Root) -> None:
    known = set(root("db1", REFERENCES).split())
    assert len(returned.acknowledged) >= 30
    assert returned.acknowledged <= known
    assert returned.before <= known
    rpo = findings(returned.done)["FBK-RPO-01"]
    assert (rpo.verdict, rpo.actual[0]) == ("pass", "0")


def test_the_record_says_what_it_is_and_how_long_nobody_could_write(returned: Returned) -> None:
    found = findings(returned.done)
    assert {name: one.verdict for name, one in found.items() if name.startswith("FBK")} == {
        "FBK-RPO-01": "pass",
        "FBK-SYS-01": "pass",
        "FBK-OUT-01": "pass",
        "FBK-ASK-01": "pass",
        "FBK-BAK-01": "pass",
        "FBK-LEFT-01": "manual",
    }
    assert {found[name].verdict for name in ("PRF-PAG-01", "PRF-AMC-01")} == {"pass"}
    assert "/var/lib/postgresql/15/main.given-up-" in found["FBK-LEFT-01"].actual
    numbers = {one.name: one.value for one in returned.done.record.metrics["db1"]}
    assert numbers["failback_outage_seconds"] > 0


def test_archive_and_backups_are_of_the_old_machine_alone(returned: Returned, root: Root) -> None:
    assert returned.done.code == 0
    newest = json.loads(root("backup1", f"{PGBACKREST} info --output=json"))[0]["backup"][-1]
    assert newest["type"] == "full"
    assert not newest["error"]
    assert newest["archive"]["start"].startswith("00000003")
    keys = root("backup1", "cat /var/lib/pgbackrest-home/.ssh/authorized_keys")
    assert "dialysis db1" in keys
    assert "dialysis standby1" not in keys
    assert "pg1-host=db1" in root("backup1", "cat /etc/pgbackrest/pgbackrest.conf")


def test_nothing_that_was_only_needed_for_the_return_is_left(returned: Returned, root: Root) -> None:
    assert returned.done.code == 0
    assert root("db1", f'{PSQL} -c "{ACCOUNTS}"') == "0\n"
    for host in ("db1", "standby1"):
        assert "failback" not in root(
            host, "cat /var/lib/postgresql/.pgpass /etc/postgresql/15/main/pg_hba.conf || true"
        )
    for host in ("standby1", "app1"):
        timer = "systemctl is-enabled maintenance-failback-guard.timer || true"
        assert root(host, timer).split() in ([], ["disabled"], ["not-found"])
    for host in ("app1", "gate1", "backup1", "standby1"):
        assert "fence" not in root(
            host, "nft list tables; ls /etc/maintenance /etc/systemd/system; cat /etc/nftables.conf"
        )


def test_a_second_run_changes_nothing(returned: Returned) -> None:
    assert returned.again.code == 0, returned.again.out + returned.again.err
    assert not changed(returned.again)


def test_the_former_server_started_by_hand_takes_no_writes(returned: Returned, root: Root) -> None:
    assert returned.done.code == 0
    root("standby1", f"systemctl unmask {UNIT} && systemctl start {UNIT}")
    # It asks the archive first, which does not let it in.
    asked = f'{PSQL} -c "select pg_is_in_recovery()" 2>/dev/null || true'
    wait_until("an answer", 120, lambda: root("standby1", asked) != "")
    assert root("standby1", asked) == "t\n"
    root("standby1", f"systemctl mask --now {UNIT}")


def test_no_password_of_either_machine_is_in_a_record(returned: Returned, ledger: Any) -> None:
    assert returned.done.code == 0
    told = [path.read_text(errors="replace") for path in ledger.rglob("*") if path.is_file()]
    assert told
    assert not [text for text in told if "SCRAM-SHA-256$" in text]
