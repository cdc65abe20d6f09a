"""Who reaches PostgreSQL, and what it takes up with a restart only: proven by sessions, and taken back exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lab.calls import Done
from lab.hardening import state_of
from lab.plan import Lab

HOST = "db1"
ONLY = ("--limit", HOST, "--reason", "database", "--set", "harden_sessions=none")
# First, and by themselves: with a broken line no server starts, so none is restarted on the way back.
RELOADED = ["PG-IA-02D", "PG-RM-01"]
CHECKS = [
    "PG-IA-04A",
    "PG-AC-01",
    "PG-AC-10A",
    "PG-AC-10B",
    "PG-IP-01A",
    "PG-IP-01B",
]
HBA = "/etc/postgresql/15/main/pg_hba.conf"
MESS = rf"""
cp -a {HBA} /var/lib/drill.hba
printf 'host all all 0.0.0.0/0 scram-sha-256\nhost all all 0.0.0.0 0.0.0.0 scram-sha-256\n' >> {HBA}
cd /
runuser -u postgres -- psql -Xq -c 'alter system set ssl = off' -c 'select pg_reload_conf()' > /dev/null
echo 'this is no rule' >> {HBA}
runuser -u postgres -- psql -Xq -v ON_ERROR_STOP=1 dialysis <<'END'
create function drill(a int) returns int language sql security definer as 'select a';
create function drill(a text) returns text language sql security definer as 'select a';
END
"""
CLEAN = rf"""
cp -a /var/lib/drill.hba {HBA}; rm /var/lib/drill.hba
cd /; runuser -u postgres -- psql -Xq dialysis -c 'alter system reset ssl' -c 'drop function drill(int), drill(text)' \
  -c 'select pg_reload_conf()' > /dev/null
"""
FUNCTIONS = """cd /; runuser -u postgres -- psql -XqAt dialysis -c "
select proname, proconfig, has_function_privilege('dialysis_monitor', oid, 'execute')
from pg_proc where proname = 'drill'" """
ASKS = "python3 -c \"import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=10)\""
STARTED = "cd /; runuser -u postgres -- psql -XqAt -c 'select pg_postmaster_start_time()'"


@dataclass
class Round:
    """Hardened, once more, taken back."""

    first: Done
    hardened: Done
    again: Done
    undone: Done
    before: list[str]
    back: list[str]
    hba: str
    functions: str
    started: list[str]


def written(folder: Path, lab: Lab, **values: object) -> Path:
    """A file of variables: the hospital's own network."""
    path = folder / "values.yml"
    own = {"listen": ["localhost", lab.address(HOST)], "networks": [str(lab.subnet)]}
    path.write_text(yaml.safe_dump({"harden_controls": CHECKS, "harden_postgresql": own, **values}))
    return path


def all_of(root: Callable[[str, str], str]) -> list[str]:
    return state_of(root, HOST) + root(HOST, FUNCTIONS).splitlines()


@pytest.fixture(scope="module")
def round_(
    lab: Lab,
    run: Callable[..., Done],
    root: Callable[[str, str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Round]:
    root(HOST, MESS)
    values = written(tmp_path_factory.mktemp("database"), lab)
    before, started = all_of(root), [root(HOST, STARTED)]
    first = run("harden", *ONLY, "--set", f"harden_controls={','.join(RELOADED)}")
    hardened = run("harden", *ONLY, "--vars", values)
    hba, functions = root(HOST, f"cat {HBA}"), root(HOST, FUNCTIONS)
    started.append(root(HOST, STARTED))
    again = run("harden", *ONLY, "--vars", values)
    started.append(root(HOST, STARTED))
    undone = run("undo_hardening", *ONLY)
    started.append(root(HOST, STARTED))
    assert run("undo_hardening", *ONLY).code == 0
    yield Round(first, hardened, again, undone, before, all_of(root), hba, functions, started)
    root(HOST, CLEAN)


@pytest.mark.parametrize("check", CHECKS)
def test_what_was_named_is_mended(round_: Round, check: str) -> None:
    assert round_.hardened.code == 0, round_.hardened.record.outcome_reason
    verdicts = {one.verdict for one in round_.hardened.record.evidence[HOST] if one.id == check}
    assert verdicts <= {"pass", "not_applicable"}, verdicts


@pytest.mark.parametrize("check", RELOADED)
def test_what_a_reload_brings_into_force_is_mended(round_: Round, check: str) -> None:
    assert round_.first.code == 0, round_.first.record.outcome_reason
    assert {one.verdict for one in round_.first.record.evidence[HOST] if one.id == check} == {"pass"}


def test_rules_stay_in_their_order(round_: Round, lab: Lab) -> None:
    lines = [" ".join(line.split()) for line in round_.hba.splitlines()]
    narrowed = f"host all all {lab.subnet} scram-sha-256"
    assert lines.count(narrowed) == 2
    assert lines.index("host all postgres all reject") < lines.index(narrowed)
    assert "# taken out by the maintenance runbook harden: this is no rule" in lines


def test_functions_of_a_superuser_are_not_everybodys(round_: Round) -> None:
    assert round_.functions.count('{"search_path=pg_catalog, public, pg_temp"}') == 2
    # The services that the site has listed keep the right.
    assert round_.functions.count("|t") == 2


def test_it_was_restarted_for_the_change_and_for_the_way_back_alone(round_: Round) -> None:
    first, changed, again, back = round_.started
    assert changed != first
    assert again == changed
    assert back != again


def test_a_second_run_changes_nothing(round_: Round) -> None:
    assert round_.again.code == 0
    assert round_.again.record.changes == []


def test_all_is_taken_back_exactly(round_: Round) -> None:
    assert round_.undone.code == 0, round_.undone.record.outcome_reason
    assert set(round_.back) ^ set(round_.before) == set()


def test_who_has_a_session_is_not_shut_out(
    round_: Round,
    run: Callable[..., Done],
    root: Callable[[str, str], str],
    lab: Lab,
    tmp_path: Path,
) -> None:
    """The application's own sessions come by the server's address, from theirs."""
    assert round_.undone.code == 0
    elsewhere = {"listen": ["localhost"], "networks": ["192.0.2.0/24"]}
    named = {"harden_postgresql": elsewhere, "harden_controls": ["PG-IP-01A", "PG-IP-01B"]}
    sound = "runuser -u postgres -- psql -Xq -c 'alter system reset ssl' -c 'select pg_reload_conf()'"
    root(HOST, f"cd /; sed -i '/this is no rule/d' {HBA}; {sound}")
    root("app1", ASKS)  # so that a session is there: the restart has ended the one before
    before = root(HOST, f"cat {HBA}"), root(HOST, STARTED)
    done = run("harden", *ONLY, "--vars", written(tmp_path, lab, **named))
    assert done.code == 0, done.record.outcome_reason
    assert done.record.changes == []
    assert (root(HOST, f"cat {HBA}"), root(HOST, STARTED)) == before
