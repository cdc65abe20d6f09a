"""A change on a real host, from its order to its record: rehearsed, approved by the hospital, done once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml
from conftest import Done, another_site, call
from test_witness import NO_WITNESS, describe_witness, store_of
from testinfra.host import Host

from maintenance import local_time, signing


@dataclass
class Ordered:
    """The calls, what the host held after each, and the files of the order."""

    name: str
    ledger: Path
    file: Path
    done: dict[str, Done] = field(default_factory=dict)
    held: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def ordered(
    site: str, machines: dict[str, Host], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ordered]:
    """Everything that an engineer and the hospital do, in turn."""
    folder = tmp_path_factory.mktemp("ordered")
    machines["backup1"].check_output(NO_WITNESS)
    with another_site(site, "o") as inventory:
        seen = Ordered(inventory.name, folder / "ledger", folder / "order.json")
        describe_witness(inventory, seen.name)
        settings = yaml.safe_load((inventory / "site.yml").read_text())
        del settings["orders"]  # a new site requires them
        (inventory / "site.yml").write_text(yaml.safe_dump(settings, allow_unicode=True))
        signing.make_key(folder / "hospital", "wang@hospital")
        public = (folder / "hospital.pub").read_text()
        (inventory / "allowed_signers").write_text(f'wang@hospital namespaces="maintenance-order" {public}')

        def step(name: str, *arguments: object) -> None:
            seen.done[name] = call(*arguments, "--ledger", seen.ledger, "--json", "--quiet")
            seen.held[name] = store_of(machines)

        now = datetime.now(local_time.ZONE)
        window = f"{now:%Y-%m-%d %H:%M}/{now + timedelta(hours=2):%Y-%m-%d %H:%M}"
        run = ("run", "configure_witness", "--site", seen.name)
        told = ("--reason", "the hospital wants a witness", "--window", window, "--notified", "电话，信息科")
        seen.held["before"] = store_of(machines)
        step("no order", *run, "--reason", "quick")
        step("order", "order", "configure_witness", "--site", seen.name, *told, "-o", seen.file)
        step("not approved", *run, "--order", seen.file)
        sign = ["ssh-keygen", "-Y", "sign", "-q", "-n", "maintenance-order", "-f", str(folder / "hospital")]
        subprocess.run([*sign, str(seen.file)], check=True, capture_output=True)
        step("approved", *run, "--order", seen.file)
        step("again", *run, "--order", seen.file)
        yield seen
    machines["backup1"].check_output(NO_WITNESS)


def test_without_an_approved_order_nothing_is_changed(ordered: Ordered) -> None:
    for name, why in (("no order", "requires a work order"), ("not approved", "needs 1 approval")):
        assert ordered.done[name].code == 3
        assert why in ordered.done[name].err
        assert ordered.held[name] == ordered.held["before"]


def test_the_order_tells_what_would_change_and_changes_nothing(ordered: Ordered) -> None:
    done = ordered.done["order"]
    assert done.code == 0, done.err
    assert ordered.held["order"] == ordered.held["before"]
    order = json.loads(ordered.file.read_bytes())
    assert order["plan"]["hosts"]["backup1"] > 0
    assert done.told["changes"] == len(order["plan"]["changes"])
    assert "电话，信息科" in "".join(order["summary"])


def test_what_the_hospital_approved_is_done(ordered: Ordered) -> None:
    done = ordered.done["approved"]
    assert done.code == 0, done.err
    assert ordered.held["approved"] != ordered.held["before"]
    order = json.loads(ordered.file.read_bytes())
    assert (done.record.order or {})["id"] == order["id"]
    planned = {(change["host"], change["task"]) for change in order["plan"]["changes"]}
    assert planned <= {(change.host, change.task) for change in done.record.changes}


def test_an_order_is_carried_out_once(ordered: Ordered) -> None:
    assert ordered.done["again"].code == 3
    assert "was carried out already" in ordered.done["again"].err
    assert ordered.held["again"] == ordered.held["approved"]


def test_the_ledger_holds_it_all_and_is_sound(ordered: Ordered) -> None:
    done = call("verify", ordered.ledger, "--json")
    assert done.code == 0, done.out
    kinds = [path.name.split("-")[1] for path in sorted(ordered.ledger.glob("0*"))]
    assert kinds == [
        "genesis",
        "refused",
        "open",
        "close",
        "refused",
        "open",
        "close",
        "open",
        "close",
        "refused",
    ]
