"""Real logins on the hosts against a real ledger, and that ledger against what a real witness holds."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Done, another_site, call, inspect
from test_witness import NO_WITNESS, describe_witness, name_witness, sign_anew, truncate
from testinfra.host import Host

from lab import remote
from lab.plan import Lab


@dataclass
class Compared:
    """A site with a witness, its ledger, and its first comparison."""

    name: str
    folder: Path
    ledger: Path
    first: Done

    def again(self, *options: object) -> Done:
        """Compare once more."""
        return call("compare", "--site", self.name, "--ledger", self.ledger, "--json", "--quiet", *options)


@pytest.fixture(scope="module")
def compared(
    site: str, lab: Lab, machines: dict[str, Host], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Compared]:
    """Install the witness, inspect, compare. Clocks are the same here, so that a second after a run is after it."""
    ledger = tmp_path_factory.mktemp("compared") / "ledger"
    machines["backup1"].check_output(NO_WITNESS)
    with another_site(site, "c") as folder:
        name = folder.name
        describe_witness(folder, name)
        reason = ("--reason", "the hospital wants a witness", "--json", "--quiet")
        done = call("run", "configure_witness", "--site", name, "--ledger", ledger, *reason)
        assert done.code == 0, done.err
        # Read on this computer: looking by ssh would be a login.
        key = (lab.root("backup1") / "etc/maintenance-witness/witness_key.pub").read_text()
        name_witness(folder, name, lab, " ".join(key.split()[:2]))
        settings = yaml.safe_load((folder / "site.yml").read_text())
        settings["logins"] = {"keys": {"engineer": f"{lab.private_key}.pub"}, "tolerance_seconds": 0}
        (folder / "site.yml").write_text(yaml.safe_dump(settings, allow_unicode=True))
        assert inspect(name, ledger, "--limit", "app1").code == 0
        made = Compared(name, folder, ledger, Done(-1, "", ""))
        made.first = made.again()
        yield made
    machines["backup1"].check_output(NO_WITNESS)


def test_logins_of_runs_and_of_deliveries_are_explained_and_the_lists_agree(compared: Compared) -> None:
    assert compared.first.code == 0, compared.first.out + compared.first.err
    told = compared.first.told
    assert told["counts"]["unexplained"] == 0
    assert {row["what"] for row in told["explained"]} == {"run", "witness"}
    assert (told["heads"]["state"], told["heads"]["source"]) == ("agrees", "witness")
    assert told["heads"]["count"] >= 5
    assert not [host for host, row in told["hosts"].items() if row["gap"]]


def test_both_sides_get_a_document_and_the_ledger_an_entry(compared: Compared) -> None:
    entry = Path(compared.first.told["entry"])
    assert {Path(path).suffix for path in compared.first.told["documents"]} == {".docx", ".pdf"}
    facts = json.loads((entry / "entry.json").read_text())
    assert facts["what"] == "comparison"
    assert facts["comparison"]["counts"] == compared.first.told["counts"]
    assert call("verify", compared.ledger).code == 0


def let_the_second_end() -> None:
    """Logs and windows of runs have whole seconds: a login in the second in which a run ends or begins is that run's."""
    second = int(time.time())
    while int(time.time()) == second:
        time.sleep(0.01)


def test_a_login_outside_every_run_is_named(compared: Compared, lab: Lab) -> None:
    let_the_second_end()
    remote.as_root(lab, "app1", "true")
    let_the_second_end()
    done = compared.again()
    assert done.code == 1, done.err
    (row,) = done.told["unexplained"]
    assert (row["host"], row["user"], row["source"]) == ("app1", "engineer", lab.gateway)
    assert (row["engineer"], row["method"]) == ("engineer", "publickey")


def test_a_host_that_does_not_answer_is_unknown_and_is_read_from_where_it_was_left(
    compared: Compared,
) -> None:
    hosts = compared.folder / "hosts.yml"
    before = hosts.read_text()
    described = yaml.safe_load(before)
    described["all"]["children"]["application"]["hosts"]["app1"]["ansible_port"] = 1
    try:
        hosts.write_text(yaml.safe_dump(described))
        done = compared.again()
    finally:
        hosts.write_text(before)
    assert done.code == 1
    assert done.told["unexplained"] == [], "what one comparison has named, the next does not name again"
    row = done.told["hosts"]["app1"]
    assert not row["read"]
    assert row["problem"]
    after = compared.again()
    assert after.code == 0, after.out
    assert after.told["hosts"]["app1"]["since"] == row["since"] < after.told["hosts"]["db1"]["since"]


def logins_of_app1(lab: Lab) -> list[str]:
    """Read on this computer, without logging in."""
    lines = (lab.root("app1") / "var/log/auth.log").read_text(errors="replace").splitlines()
    return [line for line in lines if "Accepted publickey" in line]


@pytest.mark.parametrize("attack", [truncate, sign_anew])
def test_what_the_vendors_own_key_can_forge_is_named_and_no_host_is_asked(
    compared: Compared, lab: Lab, tmp_path: Path, attack: Callable[[Path, str], str]
) -> None:
    forged = tmp_path / "forged"
    shutil.copytree(compared.ledger, forged)
    named = attack(forged, compared.name)
    entries, before = sorted(forged.glob("0*")), logins_of_app1(lab)
    done: Any = call("compare", "--site", compared.name, "--ledger", forged, "--json", "--quiet")
    assert done.code == 4, done.out + done.err
    assert [fault for fault in done.told["faults"] if fault["entry"].startswith(named)], done.told
    assert (sorted(forged.glob("0*")), logins_of_app1(lab)) == (entries, before)
