"""The hospital's witness on backup1: installed by its runbook, asked before any host is touched, missed when away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Done, another_site, call, inspect
from testinfra.host import Host

from lab.plan import Lab
from lab.shell import wait_until
from maintenance import manifest
from maintenance import site as sites

STORE = "/var/lib/maintenance-witness"
# No runbook forgets what a witness has received; a lab does, so that the test can be run again.
NO_WITNESS = f"""
if id maintenance-witness >/dev/null 2>&1; then userdel maintenance-witness; fi
rm -rf {STORE} /etc/maintenance-witness /usr/local/lib/maintenance-witness
"""


@dataclass
class Witnessed:
    """A site with a witness, its ledger, and the runs that installed the witness."""

    name: str
    ledger: Path
    runs: dict[str, Done]
    seen: dict[str, Any]

    def heads(self, machines: dict[str, Host], folder: Path) -> Path:
        """The hospital's list, brought by the hospital."""
        file = folder / "heads"
        file.write_text(machines["backup1"].file(f"{STORE}/{self.name}/heads").content_string)
        return file


def describe_witness(folder: Path, site: str) -> None:
    """What the hospital writes down before the witness is installed."""
    signer, _ = sites.load(site).signer()
    hosts = yaml.safe_load((folder / "hosts.yml").read_text())
    hosts["all"]["children"]["witness"] = {"hosts": {"backup1": {}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    variables = {
        "witness_site": site,
        "witness_authorized_keys": [{"principal": signer.principal, "key": signer.public_key}],
        "witness_allowed_signers": [
            f'{signer.principal} namespaces="maintenance-record" {signer.public_key}'
        ],
        "witness_prove_identity": str(signer.key),
    }
    (folder / "group_vars" / "witness.yml").write_text(yaml.safe_dump(variables))


def name_witness(folder: Path, site: str, lab: Lab, public_key: str) -> None:
    """What site.yml says once it is there."""
    settings = yaml.safe_load((folder / "site.yml").read_text())
    signer, _ = sites.load(site).signer()
    settings["witness"] = {
        "host": lab.address("backup1"),
        "identity": str(signer.key),
        "known_hosts": str(lab.known_hosts),
        "principal": f"witness@{site}",
        "public_key": public_key,
    }
    (folder / "site.yml").write_text(yaml.safe_dump(settings, allow_unicode=True))


def store_of(machines: dict[str, Host]) -> list[str]:
    """Everything that the runbook may write on backup1."""
    command = f"find {STORE} /etc/maintenance-witness /usr/local/lib/maintenance-witness /etc/passwd -type f"
    done = machines["backup1"].run(f"{command} -exec sha256sum {{}} + 2>/dev/null | sort")
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def witnessed(
    site: str, lab: Lab, machines: dict[str, Host], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Witnessed]:
    """Check, install, install again; then an inspection with the witness."""
    ledger = tmp_path_factory.mktemp("witnessed") / "ledger"
    machines["backup1"].check_output(NO_WITNESS)
    with another_site(site, "w") as folder:
        name = folder.name
        describe_witness(folder, name)
        install = ("run", "configure_witness", "--site", name, "--ledger", ledger, "--json", "--quiet")
        seen: dict[str, Any] = {"before": store_of(machines)}
        runs = {"check": call(*install, "--check")}
        seen["checked"] = store_of(machines)
        runs["install"] = call(*install, "--reason", "the hospital wants a witness")
        seen["installed"] = store_of(machines)
        runs["again"] = call(*install, "--reason", "is it still as it should be?")
        seen["again"] = store_of(machines)
        key = machines["backup1"].file("/etc/maintenance-witness/witness_key.pub").content_string
        name_witness(folder, name, lab, " ".join(key.split()[:2]))
        runs["inspect"] = inspect(name, ledger, "--limit", "gate1")
        yield Witnessed(name, ledger, runs, seen)
    machines["backup1"].check_output(NO_WITNESS)


def touched(lab: Lab) -> dict[str, list[str]]:
    """What the hosts' own logs say of the engineer's log-ins; read on this computer, without logging in."""
    files = {host: lab.root(host) / "var/log/auth.log" for host in ("db1", "app1", "gate1")}
    lines = {host: file.read_text(errors="replace").splitlines() for host, file in files.items()}
    return {host: [line for line in found if "engineer" in line] for host, found in lines.items()}


def test_a_check_changes_nothing_and_says_what_would_change(witnessed: Witnessed) -> None:
    assert witnessed.runs["check"].code == 0, witnessed.runs["check"].err
    assert witnessed.seen["checked"] == witnessed.seen["before"]
    assert witnessed.runs["check"].record.mode == "check"
    assert witnessed.runs["check"].record.changes


def test_the_runbook_installs_the_witness_and_a_second_run_changes_nothing(witnessed: Witnessed) -> None:
    assert witnessed.runs["install"].code == 0, witnessed.runs["install"].err
    assert witnessed.runs["install"].record.changes
    assert witnessed.runs["again"].code == 0, witnessed.runs["again"].err
    assert witnessed.runs["again"].record.changes == []
    assert [host.changed for host in witnessed.runs["again"].record.hosts] == [0]
    assert witnessed.seen["again"] == witnessed.seen["installed"]


def test_the_open_was_receipted_before_any_host_was_touched(witnessed: Witnessed) -> None:
    done = witnessed.runs["inspect"]
    assert done.code == 0, done.err
    (opened,) = witnessed.ledger.glob(f"*-open-{done.record.run}")
    receipts = {path.name: path for path in witnessed.ledger.rglob("*.receipt")}
    seq = opened.name[:6]
    fields = dict(line.split(" ", 1) for line in receipts[f"{seq}.receipt"].read_text().splitlines())
    assert fields["sha256"] == manifest.sha256_bytes((opened / "MANIFEST").read_bytes())
    first = min(step.started for step in done.record.steps)
    assert datetime.fromisoformat(fields["time"]) <= datetime.fromisoformat(first).astimezone()
    closed = done.entry.name[:6]
    assert f"{closed}.receipt" in receipts, "the close has its receipt too"


def test_the_ledger_with_receipts_is_sound_against_the_hospitals_heads(
    witnessed: Witnessed, machines: dict[str, Host], tmp_path: Path
) -> None:
    heads = witnessed.heads(machines, tmp_path)
    done = call("verify", witnessed.ledger, "--heads", heads, "--json")
    assert done.code == 0, done.out
    assert done.told["receipts"] > 0
    assert done.told["blind_spots"] == []


@pytest.fixture
def nobody_answers(machines: dict[str, Host]) -> Iterator[None]:
    """The hospital has taken the engineers' way to the witness away."""
    keys = f"{STORE}/.ssh/authorized_keys"
    machines["backup1"].check_output(f"mv {keys} {keys}.away")
    try:
        yield
    finally:
        machines["backup1"].check_output(f"mv {keys}.away {keys}")


@pytest.mark.usefixtures("nobody_answers")
def test_without_a_receipt_the_run_is_refused_and_no_host_is_touched(witnessed: Witnessed, lab: Lab) -> None:
    before = touched(lab)
    done = inspect(witnessed.name, witnessed.ledger, "--limit", "gate1")
    assert done.code == 3, done.err
    assert done.record.outcome == "refused"
    assert "no receipt of the hospital's witness" in done.record.outcome_reason
    assert (done.record.steps, done.record.hosts_processed) == ([], [])
    assert touched(lab) == before


@pytest.mark.usefixtures("nobody_answers")
def test_offline_goes_on_and_the_record_says_so_and_later_the_witness_catches_up(
    witnessed: Witnessed, lab: Lab, machines: dict[str, Host], tmp_path: Path
) -> None:
    before = touched(lab)
    done = inspect(
        witnessed.name, witnessed.ledger, "--limit", "gate1", "--offline", "the line of the hospital is cut"
    )
    assert done.code == 0, done.err
    assert "the hospital's witness has not seen this run yet" in done.err
    (opened,) = witnessed.ledger.glob(f"*-open-{done.record.run}")
    facts = json.loads((opened / "open.json").read_text())
    assert facts["offline_reason"] == "the line of the hospital is cut"
    assert facts["witness"] == "none"
    # The log of a host that was touched shows it: what the refused run did not leave is left now.
    assert wait_until(lambda: touched(lab)["gate1"] != before["gate1"], 20)
    heads = witnessed.heads(machines, tmp_path).read_text().splitlines()
    assert int(heads[-1].split()[0]) < int(done.entry.name[:6])


def test_back_online_the_witness_gets_everything_that_it_missed(
    witnessed: Witnessed, machines: dict[str, Host], tmp_path: Path
) -> None:
    done = inspect(witnessed.name, witnessed.ledger, "--limit", "gate1")
    assert done.code == 0, done.err
    heads = witnessed.heads(machines, tmp_path)
    assert [int(line.split()[0]) for line in heads.read_text().splitlines()] == list(
        range(1, int(done.entry.name[:6]) + 1)
    )
    assert call("verify", witnessed.ledger, "--heads", heads).code == 0


def last_entries(ledger: Path) -> list[Path]:
    return sorted(ledger.glob("0*"))


def truncate(ledger: Path, site: str) -> str:
    """Drop the last run, with all that came with it."""
    gone = last_entries(ledger)[-2:]
    for entry in gone:
        shutil.rmtree(entry)
    for receipt in (ledger / "receipts").glob("*"):
        receipt.unlink()
    return gone[0].name[:6]


def sign_anew(ledger: Path, site: str) -> str:
    """Alter a record of the middle and sign everything from there on again, without the receipts that would tell."""
    signer, _ = sites.load(site).signer()
    entries = last_entries(ledger)
    number = next(
        index for index, entry in enumerate(entries) if "-close-" in entry.name and "inspect" in entry.name
    )
    record = entries[number] / "record.json"
    record.write_text(record.read_text().replace('"verdict": "fail"', '"verdict": "pass"'))
    shutil.rmtree(ledger / "receipts", ignore_errors=True)
    for entry, before in zip(entries[number:], entries[number - 1 :], strict=False):
        shutil.rmtree(entry / "receipts", ignore_errors=True)
        head = [line for line in (entry / "MANIFEST").read_text().splitlines() if line.startswith("#")]
        link = f"{manifest.sha256_bytes((before / 'MANIFEST').read_bytes())}  ../{before.name}/MANIFEST"
        files = [path for path in entry.rglob("*") if path.is_file() and not path.name.startswith("MANIFEST")]
        lines = [f"{manifest.sha256_bytes(path.read_bytes())}  {path.relative_to(entry)}" for path in files]
        text = "\n".join([*head, link, *sorted(lines, key=lambda line: line.split("  ")[1])]) + "\n"
        (entry / "MANIFEST").write_text(text)
        (entry / "MANIFEST.sig").write_bytes(signer.sign(text.encode(), manifest.NAMESPACE))
    return entries[number].name


@pytest.mark.parametrize("attack", [truncate, sign_anew])
def test_what_the_vendors_own_key_can_forge_is_caught_by_the_hospitals_heads(
    witnessed: Witnessed,
    machines: dict[str, Host],
    tmp_path: Path,
    attack: Callable[[Path, str], str],
) -> None:
    heads = witnessed.heads(machines, tmp_path)
    forged = tmp_path / "forged"
    shutil.copytree(witnessed.ledger, forged)
    named = attack(forged, witnessed.name)
    blind = call("verify", forged, "--json")
    assert blind.code == 0, blind.out
    assert blind.told["blind_spots"]
    seeing = call("verify", forged, "--heads", heads, "--json")
    assert seeing.code == 4
    assert [fault for fault in seeing.told["faults"] if fault["entry"].startswith(named)], seeing.told
