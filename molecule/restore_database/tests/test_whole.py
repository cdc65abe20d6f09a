"""A whole database of an earlier moment takes the place of the live one by two renames, and the former one comes back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from moments import asked, next_second, reason

from lab.calls import Done
from lab.scenario import Root
from maintenance.record import Finding

SESSIONS = (
    "select count(*), coalesce(md5(string_agg(t::text, ',' order by t::text)), '') from dialysis.sessions t"
)
NAMES = "select string_agg(datname, ' ' order by datname) from pg_database where datname like 'dialysis%'"
OWNER = "select pg_get_userbyid(datdba), datacl::text from pg_database where datname = current_database()"


@dataclass
class Lost:
    """What there was at the instant, what there is since, and the database that was made beside."""

    given: tuple[str, ...]
    digits: str
    rows: str
    owner: str
    left: str
    made: Done


@pytest.fixture(scope="module")
def lost(root: Root, run: Callable[..., Done]) -> Lost:
    """Every session is deleted by mistake, with all that was measured in it."""
    rows, owner = asked(root, SESSIONS), asked(root, OWNER)
    instant = next_second(root)
    next_second(root)
    asked(root, "truncate dialysis.sessions cascade")
    left = asked(root, SESSIONS)
    assert left != rows
    given = (
        "--set",
        f"target_time={instant}",
        "--set",
        "database=dialysis",
        "--reason",
        "sessions were deleted",
    )
    made = run("restore_database", *given)
    return Lost(given, "".join(one for one in instant if one.isdigit())[:14], rows, owner, left, made)


def findings(done: Done) -> dict[str, Finding]:
    return {one.id: one for host in done.record.evidence.values() for one in host}


def booked(root: Root, before: str) -> bool:
    """Whether the proof of the service, and nothing else, has booked in the database that is live now. It is repeated
    where the application, which has just been started, gave no answer."""
    return 1 <= int(asked(root, SESSIONS).split("|")[0]) - int(before.split("|")[0]) <= 10


def test_it_is_made_and_proven_beside_the_live_one(lost: Lost, root: Root) -> None:
    assert lost.made.code == 0, reason(lost.made)
    assert {findings(lost.made)[name].verdict for name in ("RST-ROW-01", "RST-TGT-01", "DRL-WIP-01")} == {
        "pass"
    }
    # The truncation, and whatever else the service has written.
    missing = findings(lost.made)["RST-LOS-01"]
    assert missing.verdict == "pass"
    assert int(re.findall(r"\d+", missing.actual)[0]) >= 1
    assert asked(root, NAMES) == f"dialysis dialysis_restored_{lost.digits}"
    assert asked(root, SESSIONS, f"dialysis_restored_{lost.digits}") == lost.rows
    assert asked(root, OWNER, f"dialysis_restored_{lost.digits}") == lost.owner
    assert asked(root, SESSIONS) == lost.left


def test_an_exchange_that_the_service_does_not_survive_is_taken_back(
    lost: Lost, run: Callable[..., Done], root: Root
) -> None:
    units = json.dumps(["nobody-has-it.service"])
    done = run(
        "restore_database", *lost.given, "--set", "restore_exchange=true", "--set", f"restore_units={units}"
    )
    assert done.code == 1
    assert "The exchange was taken back" in reason(done)
    assert asked(root, SESSIONS) == lost.left
    assert asked(root, NAMES) == f"dialysis dialysis_restored_{lost.digits}"


def test_a_run_that_exchanges_nothing_takes_nothing_back(
    lost: Lost, run: Callable[..., Done], root: Root
) -> None:
    proofs = json.dumps([["false"]])
    done = run(
        "restore_database", *lost.given, "--set", "restore_back=true", "--set", f"restore_proofs={proofs}"
    )
    assert done.code == 1
    assert "has exchanged nothing" in reason(done)
    assert asked(root, SESSIONS) == lost.left
    assert asked(root, NAMES) == f"dialysis dialysis_restored_{lost.digits}"


def test_the_exchange_gives_users_the_former_rows_and_keeps_the_others(
    lost: Lost, run: Callable[..., Done], root: Root
) -> None:
    done = run("restore_database", *lost.given, "--set", "restore_exchange=true")
    assert done.code == 0, reason(done)
    assert findings(done)["RST-XCH-01"].verdict == "pass"
    assert asked(root, NAMES) == f"dialysis dialysis_before_{lost.digits}"
    assert booked(root, lost.rows)
    refused = root(
        "db1", f"cd /; runuser -u postgres -- psql -XqAt -d dialysis_before_{lost.digits} -c '' 2>&1 || true"
    )
    assert "not currently accepting connections" in refused
    again = run("restore_database", *lost.given, "--set", "restore_exchange=true")
    assert again.code == 0, reason(again)
    assert again.record.changes == []


def test_the_way_back_brings_every_row_of_the_former_one(
    lost: Lost, run: Callable[..., Done], root: Root
) -> None:
    done = run("restore_database", *lost.given, "--set", "restore_back=true")
    assert done.code == 0, reason(done)
    assert asked(root, NAMES) == f"dialysis dialysis_restored_{lost.digits}"
    assert booked(root, lost.left)
