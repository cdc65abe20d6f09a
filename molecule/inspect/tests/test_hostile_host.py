"""A host that is out to harm whoever reads it, and one on which things hang or are gone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Done, call, inspect
from docx import Document
from testinfra.host import Host

from lab import builder
from lab.plan import Lab

PWNED = Path("/tmp/pwned")
JINJA = "{{ lookup('pipe', 'touch /tmp/pwned') }}"

# Everything that a host may call itself or its parts, with what a template, a terminal, a path or XML would act upon.
HOSTILE = r"""
jinja="{{ lookup('pipe', 'touch /tmp/pwned') }}{% for x in range(9) %}x{% endfor %}"
name="{{ 'x' * 9 }}"
ansi=$'\e[2J\e]0;pwned\a\e[31m'
test -e /root/chronyc || cp -p /usr/bin/chronyc /root/chronyc
rm /etc/os-release
printf 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="%s %s"\nNAME="$(touch /tmp/pwned)"\n' "$jinja" "$ansi" > /etc/os-release
printf 'PRETTY_HOSTNAME="%s"\n' "$jinja" > /etc/machine-info
printf '[Unit]\nDescription=%s <w:p/> ]]>\n[Service]\nType=oneshot\nExecStart=/bin/false\n' "${jinja//%/%%}" \
  > /etc/systemd/system/hostile.service
systemctl daemon-reload
systemctl start hostile.service || true
printf '0 3 * * * root /opt/%s/run %s\n' "$jinja" "$ansi" > /etc/cron.d/hostile
head -c 4096 /dev/zero > "/var/log/$name.log"
head -c 4096 /dev/zero > "/var/log/${ansi}.log"
head -c 4096 /dev/zero > $'/var/log/\xff\xfe\xc3\x28.log'
head -c 4096 /dev/zero > '/var/log/..%2f..%2f..\..\pwned.log'
mkdir -p /srv/hostile && touch $'/srv/hostile/\xff\xfe' "/srv/hostile/$name" $'/srv/hostile/a\nb'
chmod 0777 /srv/hostile/*
python3 -c 'import socket; socket.sethostname("../../../../tmp/pwned")'
logger -p user.err -t "$jinja" "$ansi $jinja"
# A command that never stops talking: 50 MB, where one line is expected.
printf '#!/bin/sh\nhead -c 52428800 /dev/zero | tr "\\\\0" x\n' > /usr/bin/chronyc
"""
HARMLESS = r"""
rm -f /etc/machine-info /etc/systemd/system/hostile.service /etc/cron.d/hostile
rm -rf /srv/hostile /var/log/*{{* /var/log/$'\e'* /var/log/$'\xff'* /var/log/..%2f*
hostname app1
rm -f /etc/os-release
ln -s ../usr/lib/os-release /etc/os-release
if test -e /root/chronyc; then mv /root/chronyc /usr/bin/chronyc; fi
systemctl daemon-reload
systemctl reset-failed hostile.service 2>/dev/null || true
"""


@pytest.fixture(scope="module")
def hostile(
    site: str, root: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Done]:
    """An inspection of app1 while it is hostile."""
    assert not PWNED.exists()
    try:
        root("app1", HOSTILE)
        yield inspect(site, tmp_path_factory.mktemp("hostile") / "ledger", "--limit", "app1")
    finally:
        root("app1", HARMLESS)


def snapshot_of(done: Done, host: str) -> dict[str, Any]:
    return json.loads((done.entry / f"attachments/{host}.host_snapshot.json").read_text())


def test_the_run_ends_with_a_record_of_what_the_host_said(hostile: Done) -> None:
    assert hostile.code == 0, hostile.err
    assert hostile.record.outcome == "succeeded"
    data = snapshot_of(hostile, "app1")["data"]
    assert data["operating_system"]["name"].startswith(JINJA)
    assert data["identity"]["hostname"] == "../../../../tmp/pwned"
    failed = [item.subject for item in hostile.record.evidence["app1"] if item.id == "HOST-SVC-01"]
    assert "hostile.service" in failed


def test_nothing_of_it_was_executed_here_or_there(hostile: Done, machines: dict[str, Host]) -> None:
    assert not PWNED.exists()
    assert not machines["app1"].file(str(PWNED)).exists
    text = (hostile.entry / "record.json").read_text() + (
        hostile.entry / "attachments/app1.host_snapshot.json"
    ).read_text()
    assert "xxxxxxxxx" not in text  # the loop, had a template been rendered


def test_no_control_character_and_no_wrong_byte_reaches_record_or_terminal(hostile: Done) -> None:
    for path in sorted(hostile.entry.parent.rglob("*.json")):
        text = path.read_bytes().decode("utf-8")
        assert not [char for char in text if ord(char) < 32 and char != "\n"], path
    assert "\x1b" not in hostile.out + hostile.err
    assert "\\x1b[2J" in json.dumps(snapshot_of(hostile, "app1")).replace("\\\\", "\\")


def test_fifty_megabytes_of_one_command_cost_its_answer_only(hostile: Done) -> None:
    snapshot = snapshot_of(hostile, "app1")
    assert "chronyc wrote more than" in json.dumps(snapshot["probes"]["clock"])
    unknown = [name for name, probe in snapshot["probes"].items() if probe["state"] == "unknown"]
    assert set(unknown) <= {"clock", "updates"}
    assert len(json.dumps(snapshot)) < 4 << 20


def test_the_documents_open_and_show_the_words_as_words(hostile: Done) -> None:
    (docx,) = hostile.entry.glob("documents/*.docx")
    document = Document(str(docx))
    cells = {cell.text for table in document.tables for row in table.rows for cell in row.cells}
    assert any("lookup('pipe'" in text for text in cells)
    (pdf,) = hostile.entry.glob("documents/*.pdf")
    done = subprocess.run(["pdftotext", str(pdf), "-"], capture_output=True, text=True, check=True)
    assert "lookup" in done.stdout


def test_no_name_of_the_host_led_out_of_the_ledger(hostile: Done) -> None:
    ledger = hostile.entry.parent
    files = [path for path in ledger.rglob("*") if path.is_file()]
    assert files
    assert all(path.resolve().is_relative_to(ledger.resolve()) for path in files)
    assert not [path for path in files if "pwned" in path.name]


def test_the_ledger_is_sound(hostile: Done) -> None:
    done = call("verify", hostile.entry.parent, "--json")
    assert done.code == 0, done.out


@dataclass
class Troubled:
    """One inspection of all hosts: a command of app1 hangs, backup1 has no power."""

    done: Done
    healthy: Done


@pytest.fixture(scope="module")
def troubled(
    hostile: Done,
    site: str,
    lab: Lab,
    root: Callable[[str, str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Troubled]:
    root(
        "gate1",
        "mv /usr/sbin/nft /usr/sbin/nft.kept; printf '#!/bin/sh\\nexec sleep infinity\\n' > /usr/sbin/nft",
    )
    root("gate1", "chmod 0755 /usr/sbin/nft")
    builder.cut_power(lab, "backup1")
    try:
        yield Troubled(inspect(site, tmp_path_factory.mktemp("troubled") / "ledger"), hostile)
    finally:
        root("gate1", "mv /usr/sbin/nft.kept /usr/sbin/nft")
        builder.boot(lab, "backup1")


def test_a_command_that_hangs_costs_one_unknown(troubled: Troubled) -> None:
    probes = snapshot_of(troubled.done, "gate1")["probes"]
    assert probes["firewall"]["state"] == "unknown"
    assert "nft gave no answer within" in probes["firewall"]["reason"]
    assert {name for name, probe in probes.items() if probe["state"] == "unknown"} <= {"firewall", "updates"}
    verdicts = {item.id: item.verdict for item in troubled.done.record.evidence["gate1"]}
    assert verdicts["HOST-SEC-17"] == "unknown"
    assert verdicts["HOST-SEC-31"] == "pass"


def test_nothing_that_hung_is_left_on_the_host(troubled: Troubled, machines: dict[str, Host]) -> None:
    assert machines["gate1"].process.filter(args="sleep infinity") == []


def test_a_host_without_power_is_recorded_as_unreachable_and_the_others_are_inspected(
    troubled: Troubled,
) -> None:
    assert troubled.done.code == 1, troubled.done.err
    made = troubled.done.record
    assert made.outcome == "unreachable"
    reached = {host.name: host.reached for host in made.hosts}
    assert reached == {"db1": True, "backup1": False, "app1": True, "gate1": True}
    assert {host for host, found in made.evidence.items() if found} == {"db1", "app1", "gate1"}
    assert [step.host for step in made.steps if step.result == "unreachable"] == ["backup1"]
    (pdf,) = troubled.done.entry.glob("documents/*.pdf")
    done = subprocess.run(["pdftotext", str(pdf), "-"], capture_output=True, text=True, check=True)
    assert "backup1" in done.stdout
