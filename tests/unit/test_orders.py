"""Work orders: approvals bind exact bytes, and nothing else than what was approved is run."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance import ledger, manifest, ordering, orders, run, runbook, verification
from maintenance.errors import CallError, RefusedError
from maintenance.record import Change
from maintenance.run import Call
from maintenance.signing import Signer, Signers, make_key
from maintenance.site import Settings, Site

HEADER = {
    "title": {"zh": "试验", "en": "Trial"},
    "clauses": ["4.1.3"],
    "changes": "reversible",
    "undo": "trial",
    "approvals": 2,
}
WHEN = "%Y-%m-%dT%H:%M:%SZ"
OPEN = orders.Window.model_validate(
    {
        "from": (datetime.now(UTC) - timedelta(hours=1)).strftime(WHEN),
        "to": (datetime.now(UTC) + timedelta(hours=8)).strftime(WHEN),
    }
)


class Hospital:
    """A site that requires orders, a runbook that writes one file, and the keys of both sides."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.target = folder / "target"
        self.content = folder / "content"
        self.content.write_text("first\n")
        playbooks = folder / "playbooks"
        playbooks.mkdir()
        task = {
            "name": "write the target",
            "ansible.builtin.copy": {"src": str(self.content), "dest": str(self.target), "mode": "0644"},
        }
        play = {
            "name": "Trial",
            "hosts": "all",
            "gather_facts": False,
            "vars": {"runbook": HEADER},
            "tasks": [task],
        }
        (playbooks / "trial.yml").write_text(json.dumps([play]))
        monkeypatch.setattr(runbook, "PLAYBOOKS", playbooks)
        self.keys = {}
        lines = []
        for name, namespace in (
            ("engineer@v", "maintenance-record"),
            ("wang@h", "maintenance-order"),
            ("li@h", "maintenance-order"),
            ("witness@h", "maintenance-receipt"),
            ("both@v", "maintenance-record,maintenance-order"),
        ):
            make_key(folder / name, name)
            self.keys[name] = Signer(name, folder / name)
            lines.append(f'{name} namespaces="{namespace}" {self.keys[name].public_key}\n')
        lines.append(f'wang2@h namespaces="maintenance-order" {self.keys["wang@h"].public_key}\n')
        inventory = folder / "site"
        inventory.mkdir()
        (inventory / "allowed_signers").write_text("".join(lines))
        host = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
        (inventory / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"one": host}}}))
        self.site = Site(
            inventory,
            Settings(
                site="trial",
                principal="engineer@v",
                key=str(folder / "engineer@v"),
                ledger=str(folder / "ledger"),
            ),
        )
        self.signers = Signers(inventory / "allowed_signers")
        self.file = folder / "order.json"

    def call(self, **changed: Any) -> Call:
        """A run of the trial."""
        return Call(**{"runbook": "trial", "site": self.site, "reason": "because", "quiet": True, **changed})

    def order(self, window: orders.Window = OPEN, **changed: Any) -> orders.OrderFile:
        """An order, written as files."""
        made, _ = ordering.make(self.call(**changed), window, "phone, 14:05")
        ordering.write(made, self.file)
        return made

    def approve(self, *names: str) -> None:
        """With the command's own code."""
        for name in names:
            ordering.approve(self.file, self.folder / name, self.signers, ledger.now())

    def run(self, **changed: Any) -> str:
        """The outcome of a run under the order."""
        return ordering.execute(self.call(order=orders.read(self.file), **changed)).record.outcome

    def kinds(self) -> list[str]:
        """What the ledger holds after its genesis."""
        return [entry.kind for entry in ledger.entries(self.site.ledger)[1:]]


@pytest.fixture
def hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hospital:
    return Hospital(tmp_path, monkeypatch)


@pytest.fixture
def ordered(hospital: Hospital) -> Iterator[Hospital]:
    """With an order that two people of the hospital approved."""
    hospital.order()
    hospital.approve("wang@h", "li@h")
    yield hospital
    assert verification.verify(hospital.site.ledger).sound


def test_what_was_approved_is_done_once(ordered: Hospital) -> None:
    assert not ordered.target.exists(), "an order rehearses and changes nothing"
    assert ordered.run() == "succeeded"
    assert ordered.target.read_text() == "first\n"
    *_, opened, closed = ledger.entries(ordered.site.ledger)
    assert sorted(path.name for path in opened.path.glob("order*")) == [
        "order.json",
        "order.json.engineer.sig",
        "order.json.li_h.sig",
        "order.json.wang_h.sig",
    ]
    record = json.loads((closed.path / "record.json").read_bytes())
    assert record["order"]["sha256"] == orders.read(ordered.file).sha256
    assert f"documents/trial_change_{record['run']}.docx" in closed.manifest().files
    ordered.target.unlink()
    with pytest.raises(RefusedError, match="was carried out already: 000007-close"):
        ordered.run()
    assert not ordered.target.exists()


def test_the_order_tells_people_what_would_change(ordered: Hospital) -> None:
    order = orders.read(ordered.file).order
    assert [change.task for change in order.plan.changes] == ["write the target"]
    text = "\n".join(order.summary)
    for part in ("试验", "one", "because", "phone, 14:05", "write the target", "可回退", order.plan.sha256):
        assert part in text


def test_stock_ssh_keygen_approves_too(hospital: Hospital) -> None:
    hospital.order()
    hospital.approve("wang@h")
    command = [
        "ssh-keygen",
        "-Y",
        "sign",
        "-q",
        "-n",
        "maintenance-order",
        "-f",
        str(hospital.folder / "li@h"),
    ]
    subprocess.run([*command, str(hospital.file)], check=True, capture_output=True)
    assert hospital.file.with_name("order.json.sig").is_file()
    assert hospital.run() == "succeeded"


def refused(hospital: Hospital, why: str, **changed: Any) -> None:
    """The run is refused for this reason, signed, and nothing was changed."""
    before = hospital.kinds()
    with pytest.raises(RefusedError, match=why):
        hospital.run(**changed)
    after = hospital.kinds()
    assert after[-1] == "refused"
    assert len(after) > len(before)
    assert not hospital.target.exists()
    assert verification.verify(hospital.site.ledger).sound


def test_without_an_order_it_is_refused(hospital: Hospital) -> None:
    with pytest.raises(RefusedError, match="requires a work order"):
        ordering.execute(hospital.call())
    assert hospital.kinds() == ["refused"]


def test_an_emergency_is_carried_out_and_shows(hospital: Hospital) -> None:
    outcome = ordering.execute(hospital.call(emergency="duty officer, phone, 02:10"))
    assert outcome.record.outcome == "succeeded"
    assert outcome.record.order == {"emergency": "duty officer, phone, 02:10"}


@pytest.mark.parametrize("names", [(), ("wang@h",)])
def test_missing_approvals_refuse(hospital: Hospital, names: tuple[str, ...]) -> None:
    hospital.order()
    hospital.approve(*names)
    refused(hospital, rf"needs 2 approvals of the hospital and has {len(names)}")


@pytest.mark.parametrize(
    ("signer", "why"),
    [
        ("wang@h", "approved already|used the key of wang@h"),
        ("engineer@v", "no approval by a key"),
        ("witness@h", "no approval by a key"),
        ("both@v", "cannot approve its own change"),
    ],
)
def test_a_second_signature_that_does_not_count(hospital: Hospital, signer: str, why: str) -> None:
    """The same person twice, the engineer himself, a key for something else, a key of the vendor."""
    made = hospital.order()
    hospital.approve("wang@h")
    signature = hospital.keys[signer].sign(made.data, orders.NAMESPACE)
    hospital.file.with_name("order.json.second.sig").write_bytes(signature)
    refused(hospital, why)


@pytest.mark.parametrize("name", ["wang@h", "engineer@v", "witness@h", "both@v"])
def test_the_command_does_not_make_such_a_signature(hospital: Hospital, name: str) -> None:
    hospital.order()
    hospital.approve("wang@h")
    before = sorted(hospital.folder.glob("order*"))
    with pytest.raises(RefusedError):
        hospital.approve(name)
    assert sorted(hospital.folder.glob("order*")) == before


def test_an_approval_of_another_order_does_not_count(hospital: Hospital) -> None:
    hospital.order()
    hospital.approve("wang@h", "li@h")
    approvals = {path.name: path.read_bytes() for path in hospital.folder.glob("order.json.*_h.sig")}
    for path in hospital.folder.glob("order.json*"):
        path.unlink()
    hospital.order(reason="something else")
    for name, data in approvals.items():
        (hospital.folder / name).write_bytes(data)
    refused(hospital, "has 0")


def test_a_changed_byte_refuses(ordered: Hospital) -> None:
    ordered.file.write_bytes(ordered.file.read_bytes().replace(b"because", b"becausE"))
    refused(ordered, "the signature of engineer@v does not hold")


@pytest.mark.parametrize(("begin", "end", "why"), [(1, 2, "has not begun"), (-2, -1, "is over")])
def test_the_window_is_kept(hospital: Hospital, begin: int, end: int, why: str) -> None:
    moments = [(datetime.now(UTC) + timedelta(hours=hours)).strftime(WHEN) for hours in (begin, end)]
    made = hospital.order(orders.Window.model_validate({"from": moments[0], "to": moments[1]}))
    for name in ("wang@h", "li@h"):
        signature = hospital.keys[name].sign(made.data, orders.NAMESPACE)
        hospital.file.with_name(f"order.json.{name}.sig").write_bytes(signature)
    refused(hospital, why)


def test_an_expired_key_does_not_approve(ordered: Hospital) -> None:
    path = ordered.site.folder / "allowed_signers"
    text = path.read_text().replace(
        'li@h namespaces="maintenance-order"', 'li@h namespaces="maintenance-order",valid-before="20200101Z"'
    )
    path.write_text(text)
    with pytest.raises(RefusedError, match=r"inventory is not what was approved|has 1"):
        ordered.run()
    with pytest.raises(RefusedError, match="was not approved"):
        ordered.file.with_name("order.json.li_h.sig").unlink()
        ordering.approve(ordered.file, ordered.folder / "li@h", Signers(path), ledger.now())


def test_a_changed_inventory_refuses(ordered: Hospital) -> None:
    with (ordered.site.folder / "hosts.yml").open("a") as file:
        file.write("\n")
    refused(ordered, "the inventory is not what was approved")


def test_a_changed_runbook_refuses(ordered: Hospital) -> None:
    with (runbook.PLAYBOOKS / "trial.yml").open("a") as file:
        file.write("\n")
    refused(ordered, "the runbook is not what was approved")


def test_changed_code_refuses(ordered: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "code_digest", lambda _: "0" * 64)
    refused(ordered, "the code is not what was approved")


def test_another_limit_refuses(ordered: Hospital) -> None:
    refused(ordered, "--limit is not what was approved", limit="one")


def test_another_plan_refuses(ordered: Hospital) -> None:
    ordered.content.write_text("second\n")
    refused(
        ordered,
        f"the plan differs from the approved one: it would also, or differently, change one: {ordered.content}",
    )


def test_a_plan_of_which_a_part_is_gone_refuses_unless_it_was_begun(ordered: Hospital) -> None:
    ordered.target.write_text("first\n")
    ordered.target.chmod(0o644)
    with pytest.raises(RefusedError, match="it would no longer change"):
        ordered.run()


def test_what_was_interrupted_goes_on_under_the_same_order(ordered: Hospital) -> None:
    order = orders.read(ordered.file)
    change = order.order.plan.changes[0]
    assert orders.plan_differs(order.order, [], resumed=True) == ""
    assert orders.plan_differs(order.order, [change], resumed=True) == ""
    other = change.model_copy(update={"after_sha256": "0" * 64})
    assert "differently" in orders.plan_differs(order.order, [other], resumed=True)


def test_an_order_exchanged_in_an_open_is_caught(ordered: Hospital) -> None:
    """By whoever has the engineer's key and signs everything anew: the approvals are the hospital's."""
    ordered.run()
    opened = ledger.entries(ordered.site.ledger)[-2]
    data = (opened.path / "order.json").read_bytes().replace(b"because", b"becausE")
    (opened.path / "order.json").write_bytes(data)
    signature = ordered.keys["engineer@v"].sign(data, "maintenance-record")
    (opened.path / "order.json.engineer.sig").write_bytes(signature)
    stated = (opened.path / "open.json").read_bytes()
    digests = [manifest.sha256_bytes(item).encode() for item in (orders.read(ordered.file).data, data)]
    (opened.path / "open.json").write_bytes(stated.replace(*digests))
    report = verification.verify(ordered.site.ledger)
    (opened.path / "open.json").write_bytes(stated)
    assert any(
        fault.entry == opened.folder and "has 0 of 2 approvals" in fault.what for fault in report.faults
    )
    (opened.path / "order.json").write_bytes(orders.read(ordered.file).data)
    (opened.path / "order.json.engineer.sig").write_bytes(
        ordered.file.with_name("order.json.engineer.sig").read_bytes()
    )


def test_a_secret_does_not_go_into_an_order(hospital: Hospital) -> None:
    with pytest.raises(RefusedError, match="db_password is a secret by its name"):
        hospital.order(extra_vars={"db_password": "hunter22"})


def test_a_rehearsal_that_fails_makes_no_order(hospital: Hospital) -> None:
    hospital.content.unlink()
    with pytest.raises(RefusedError, match="the rehearsal did not succeed"):
        hospital.order()
    assert not hospital.file.exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tonight", "takes FROM/TO"),
        ("2099-01-01 10:00/2099-01-01 09:00", "is not after its beginning"),
        ("2020-01-01 10:00/2020-01-01 12:00", "is over already"),
        ("2099-01-01 10:00/noon", "'noon' is not a time"),
    ],
)
def test_a_window_that_is_none(text: str, why: str) -> None:
    with pytest.raises(CallError, match=why):
        orders.parse_window(text)


def test_a_window_in_local_time() -> None:
    window = orders.parse_window("2099-11-23 22:00/2099-11-23T16:00:00Z")
    assert (window.from_, window.to) == ("2099-11-23T14:00:00Z", "2099-11-23T16:00:00Z")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"schema": "maintenance-order/1"}', b"\xff"])
def test_what_is_no_order(hospital: Hospital, data: bytes) -> None:
    hospital.file.write_bytes(data)
    with pytest.raises(CallError, match=r"order\.json is not an order: "):
        orders.read(hospital.file)


def test_an_order_is_not_overwritten(hospital: Hospital) -> None:
    hospital.file.write_text("mine")
    with pytest.raises(CallError, match="is there already"):
        hospital.order()
    assert hospital.file.read_text() == "mine"


def test_the_digest_of_a_plan_does_not_depend_on_the_order_of_hosts() -> None:
    one, two = (
        Change(host=host, task="t", subject="s", before_sha256=None, after_sha256=None) for host in ("a", "b")
    )
    assert orders.plan_digest([one, two]) == orders.plan_digest([two, one])
    assert orders.plan_digest([one]) != orders.plan_digest([replace_host(one)])


def replace_host(change: Change) -> Change:
    return change.model_copy(update={"host": "c"})


def test_check_mode_takes_no_order(ordered: Hospital) -> None:
    with pytest.raises(CallError, match="needs neither"):
        ordering.execute(replace(ordered.call(check=True), order=orders.read(ordered.file)))


def test_files_behind_a_link_to_a_folder_are_bound(hospital: Hospital) -> None:
    """Ansible follows group_vars -> elsewhere; an approval that does not would be for anything."""
    elsewhere = hospital.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "all.yml").write_text("what: one\n")
    (hospital.site.folder / "group_vars").symlink_to(elsewhere)
    (elsewhere / "above").symlink_to(elsewhere)
    hospital.order()
    hospital.approve("wang@h", "li@h")
    (elsewhere / "all.yml").write_text("what: two\n")
    refused(hospital, "the inventory is not what was approved")


def test_an_order_is_for_the_ledger_of_its_rehearsal(ordered: Hospital) -> None:
    """In another ledger nobody would know that it was carried out already."""
    assert ordered.run() == "succeeded"
    ordered.target.unlink()
    with pytest.raises(RefusedError, match=r"its rehearsal .* is not in the ledger other"):
        ordered.run(ledger=ordered.folder / "other")
    assert not ordered.target.exists()


def test_a_window_that_ends_during_the_rehearsal(ordered: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """The open would lie outside its window, and the ledger would never verify again."""
    execute = run.execute

    def slow(call: Call) -> run.Outcome:
        made = execute(call)
        if call.check:
            end = orders.read(ordered.file).order.window.to
            monkeypatch.setattr(ledger, "now", lambda: end)
        return made

    monkeypatch.setattr(run, "execute", slow)
    refused(ordered, "its window is over")


def test_an_order_is_not_carried_out_twice_at_once(
    ordered: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run under it that began while the first one rehearsed."""
    execute = run.execute
    outcomes = []

    def overtaken(call: Call) -> run.Outcome:
        made = execute(call)
        if call.check and not outcomes:
            outcomes.append("")
            outcomes.append(ordered.run())
            ordered.target.unlink()
        return made

    monkeypatch.setattr(run, "execute", overtaken)
    refused(ordered, "was carried out already")
    assert outcomes[1] == "succeeded"


def test_the_same_change_twice_is_not_the_same_plan(ordered: Hospital) -> None:
    order = orders.read(ordered.file).order
    change = order.plan.changes[0]
    assert "also" in orders.plan_differs(order, [change, change], resumed=True)


def test_a_pipe_or_a_huge_file_is_no_order(hospital: Hospital) -> None:
    os.mkfifo(hospital.file)
    with pytest.raises(CallError, match="cannot be read"):
        orders.read(hospital.file)
    hospital.file.unlink()
    hospital.order()
    with hospital.file.with_name("order.json.huge.sig").open("wb") as file:
        file.truncate(5 * 1024 * 1024)
    with pytest.raises(CallError, match=r"huge\.sig is too large"):
        orders.read(hospital.file)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("2026-13-45T99:99:99Z", "2026-13-46T99:99:99Z"),
        ("2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z"),
    ],
)
def test_a_window_that_no_calendar_has(begin: str, end: str) -> None:
    with pytest.raises(ValueError, match="window"):
        orders.Window.model_validate({"from": begin, "to": end})
    with pytest.raises(CallError, match="is not a time"):
        orders.parse_window("0001-01-01 00:00/9999-12-31 23:59")


def test_certificates_do_not_approve(hospital: Hospital) -> None:
    """One key with two certificates would be two people; one of the vendor's, with a certificate, somebody else."""
    make_key(hospital.folder / "ca", "ca")
    ca = Signer("ca", hospital.folder / "ca").public_key
    with (hospital.site.folder / "allowed_signers").open("a") as file:
        file.write(f'zhao@h,qian@h cert-authority,namespaces="maintenance-order" {ca}\n')
    made = hospital.order()
    hospital.approve("wang@h")
    own = hospital.folder / "engineer@v"
    command = ["ssh-keygen", "-q", "-s", str(hospital.folder / "ca"), "-I", "x", "-n", "zhao@h", f"{own}.pub"]
    subprocess.run(command, check=True, capture_output=True)
    path = hospital.folder / "text"
    path.write_bytes(made.data)
    command = ["ssh-keygen", "-Y", "sign", "-n", "maintenance-order", "-f", f"{own}-cert.pub", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    path.with_name("text.sig").rename(hospital.file.with_name("order.json.zhao.sig"))
    refused(hospital, "needs 2 approvals of the hospital and has 1")


def forged(hospital: Hospital, change: Callable[[dict[str, Any]], None], *, order: bool = True) -> str:
    """What verification says of a second open that the engineer made by hand, from the one of a run that was right."""
    opened = next(entry for entry in reversed(ledger.entries(hospital.site.ledger)) if entry.kind == "open")
    facts = json.loads((opened.path / "open.json").read_bytes())
    facts["opened"] = ledger.now()
    change(facts)
    files: dict[str, bytes | Path] = {"open.json": json.dumps(facts).encode()}
    if order:
        files |= orders.read(hospital.file).files()
    with ledger.locked(hospital.site.ledger, "trial") as book:
        made = book.append("open", "forged", files, signer=hospital.keys["engineer@v"])
    faults = [str(fault) for fault in verification.verify(hospital.site.ledger).faults]
    shutil.rmtree(made.path)
    return "\n".join(faults)


def test_verify_does_not_take_a_forged_open(ordered: Hospital) -> None:
    ordered.target.write_text("")
    with pytest.raises(RefusedError, match="the plan differs"):
        ordered.run()
    ordered.target.unlink()
    assert ordered.run() == "succeeded"

    def other(**facts: Any) -> Callable[[dict[str, Any]], None]:
        return lambda opened: opened.update(facts)

    assert "order.json is not in it" in forged(ordered, other(), order=False)
    assert "another order than the one" in forged(ordered, other(order={"id": "x", "sha256": "0" * 64}))
    assert "another order than the one" in forged(ordered, other(order={"emergency": "x"}))
    assert "another playbook_sha256" in forged(
        ordered, lambda facts: facts["source"].update(playbook_sha256="")
    )
    assert "for other hosts" in forged(ordered, other(hosts=["two"]))
    assert "cannot be read" in forged(ordered, other(hosts=[1, "two"]))
    early = orders.read(ordered.file).order.window.from_
    assert "it says that it was opened at" in forged(ordered, other(opened=early))
    assert "was carried out already" in forged(ordered, other())


def test_an_order_without_its_rehearsal(hospital: Hospital) -> None:
    """The engineer writes the plan himself, and the hospital believes it."""
    made = hospital.order()
    for path in hospital.folder.glob("order.json*"):
        path.unlink()
    facts = json.loads(made.data)
    facts["plan"]["changes"] = []
    facts["plan"]["sha256"] = orders.plan_digest([])
    order = orders.Order.model_validate(facts)
    facts["summary"] = orders.summary_of(order, "zh")
    signed(hospital, facts)
    hospital.approve("wang@h", "li@h")
    refused(hospital, "its plan is not what the rehearsal .* found")


def signed(hospital: Hospital, facts: dict[str, Any]) -> None:
    """An order that no command made, with the engineer's signature."""
    data = json.dumps(facts).encode()
    signature = hospital.keys["engineer@v"].sign(data, "maintenance-record")
    ordering.write(
        orders.parse(data, [orders.Signature(orders.ENGINEER_SIGNATURE, signature)], "here"), hospital.file
    )


def test_a_summary_that_tells_something_else_is_not_approved(hospital: Hospital) -> None:
    facts = json.loads(hospital.order().data)
    for path in hospital.folder.glob("order.json*"):
        path.unlink()
    facts["summary"] = ["nothing is changed"]
    signed(hospital, facts)
    with pytest.raises(RefusedError, match="its summary does not say what it is"):
        hospital.approve("wang@h")


def test_a_summary_does_not_speak_to_the_terminal(hospital: Hospital) -> None:
    order = hospital.order(reason="one\x1b[2J\r\ntwo \u202e").order
    assert all(line.replace("\u3000", "").isprintable() for line in order.summary)


def test_the_users_environment_hides_no_host(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine does not see it: it would reach a host that the order does not name."""
    monkeypatch.setenv("ANSIBLE_INVENTORY_ENABLED", "ini")
    monkeypatch.setenv("ANSIBLE_CONFIG", "/dev/null")
    program = (
        "import pathlib; from maintenance import inventory; "
        f"print(*inventory.read(pathlib.Path({str(hospital.site.folder)!r}), 'all', '').hosts)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "one\n"


def test_no_plugin_of_the_users_home(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would stand in for Ansible's own, and no order names it."""
    plugins = hospital.folder / ".ansible" / "plugins" / "action"
    plugins.mkdir(parents=True)
    (plugins / "copy.py").write_text("raise RuntimeError('mine')\n")
    monkeypatch.setenv("HOME", str(hospital.folder))
    hospital.order()


def test_a_limit_that_stands_in_a_file_makes_no_order(hospital: Hospital) -> None:
    names = hospital.folder / "names"
    names.write_text("one\n")
    with pytest.raises(CallError, match="could change"):
        hospital.order(limit=f"all,&@{names}")


def test_a_broken_signature_is_no_approval(ordered: Hospital) -> None:
    """The reader of signatures stumbled over a key whose type and signature differ."""
    path = ordered.file.with_name("order.json.li_h.sig")
    lines = path.read_bytes().split(b"\n")
    raw = base64.b64decode(b"".join(lines[1:-2]))
    at = raw.rindex(b"ssh-ed25519")
    broken = base64.b64encode(raw[:at] + b"ssh-ed\x0055190"[:11] + raw[at + 11 :])
    path.write_bytes(
        lines[0] + b"\n" + broken[:76] + b"\n" + broken[76:152] + b"\n" + broken[152:228] + b"\n"
    )
    with path.open("ab") as file:
        file.write(b"\n".join(broken[at : at + 76] for at in range(228, len(broken), 76)) + b"\n")
        file.write(lines[-2] + b"\n")
    refused(ordered, "needs 2 approvals of the hospital and has 1")


def test_what_died_after_its_change_goes_on_at_once(ordered: Hospital) -> None:
    """kill -9 after the host was changed: the run after it closes the dead one, and finds less to do."""
    child = os.fork()
    if child == 0:
        run._close = lambda prepared, *_: (  # type: ignore[assignment]
            os._exit(0) if not prepared.call.check else close(prepared, *_)
        )
        close = CLOSE
        ordered.run()
        os._exit(1)
    os.waitpid(child, 0)
    assert ordered.target.exists()
    assert ordered.run() == "succeeded"
    assert "abandoned" in ordered.kinds()


CLOSE = run._close
