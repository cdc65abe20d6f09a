"""Logs reach the log server: proven by a line that nobody could guess, and by a queue that outlives its absence."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.calls import Done
from lab.hardening import state_of
from lab.scenario import wait_until
from maintenance.record import Record

HOST = "app1"
ONLY = ("--limit", HOST, "--reason", "logs", "--set", "harden_sessions=none")
FORWARDS = "/etc/rsyslog.d/90-forward.conf"


def verdict(record: Record, host: str, check: str) -> list[str]:
    return [finding.verdict for finding in record.evidence[host] if finding.id == check]


@pytest.fixture(scope="module")
def hardened(
    run: Callable[..., Done], root: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Done, Done]]:
    """A host whose queue lives in memory alone, assessed, and hardened; taken back afterwards."""
    values = tmp_path_factory.mktemp("logging") / "values.yml"
    values.write_text('harden_controls: ["LNX-AU-21*"]\n')
    before = state_of(root, HOST)
    assessed = run("check_baseline", "--limit", f"{HOST},backup1")
    done = run("harden", *ONLY, "--vars", values)
    assert done.code == 0, done.err + done.out
    yield assessed, done
    assert run("undo_hardening", *ONLY).code == 0
    assert set(state_of(root, HOST)) ^ set(before) == set()


def test_an_assessment_finds_its_own_line_on_the_log_server(
    hardened: tuple[Done, Done], root: Callable[[str, str], str]
) -> None:
    record = hardened[0].record
    assert verdict(record, HOST, "LNX-AU-21E") == ["pass"]
    assert verdict(record, "backup1", "LNX-AU-21E") == []
    assert verdict(record, "backup1", "LNX-AU-21D") == ["pass"]
    sent = root("backup1", f"grep -c 'reach the log server? proof-' /var/log/hosts/{HOST}/syslog.log")
    assert int(sent) >= 1


def test_hardening_gives_the_forwarding_a_queue_on_the_disk(hardened: tuple[Done, Done]) -> None:
    assessed, done = hardened
    assert verdict(assessed.record, HOST, "LNX-AU-21C") == ["fail"]
    for check in ("LNX-AU-21A", "LNX-AU-21B", "LNX-AU-21C"):
        assert verdict(done.record, HOST, check) == ["pass"]


def test_what_is_logged_while_the_log_server_is_away_arrives_later(
    hardened: tuple[Done, Done], root: Callable[[str, str], str], run: Callable[..., Done], tmp_path: Path
) -> None:
    assert hardened[1].code == 0
    received = f"/var/log/hosts/{HOST}/syslog.log"
    tag = f"drill-{secrets.token_hex(4)}"
    count = f"grep -c ' {tag}: waits-' {received} || true"
    root("backup1", "systemctl stop syslog.socket rsyslog.service")
    try:
        root(
            HOST, f"for i in $(seq 20); do logger -t {tag} waits-$i; done; systemctl restart rsyslog.service"
        )
        few = tmp_path / "values.yml"
        few.write_text(
            "baseline_log_server: {host: backup1, seconds: 1, forward_file: /etc/rsyslog.d/90-forward.conf}\n"
        )
        missed = run("check_baseline", "--limit", f"{HOST},backup1", "--vars", few)
        assert verdict(missed.record, HOST, "LNX-AU-21E") == ["fail"]
        assert root("backup1", count) == "0\n"
    finally:
        root("backup1", "systemctl start syslog.socket rsyslog.service")

    def arrived() -> bool:
        return int(root("backup1", count)) == 20

    wait_until("the lines that waited", 60, arrived)


def test_a_log_server_that_cannot_be_asked_is_unknown_with_the_reason(
    hardened: tuple[Done, Done], run: Callable[..., Done], tmp_path: Path
) -> None:
    assert hardened[1].code == 0
    values = tmp_path / "values.yml"
    values.write_text("baseline_log_server: {host: backup1, seconds: 900}\n")
    done: Any = run("check_baseline", "--limit", f"{HOST},backup1", "--vars", values)
    (finding,) = [one for one in done.record.evidence[HOST] if one.id == "LNX-AU-21E"]
    assert finding.verdict == "unknown"
    assert "seconds must be" in finding.actual


def test_a_log_server_that_does_not_receive_is_made_one(
    hardened: tuple[Done, Done], run: Callable[..., Done], root: Callable[[str, str], str]
) -> None:
    assert hardened[1].code == 0
    root("backup1", "mv /etc/rsyslog.d/10-receive.conf /root/ && systemctl restart rsyslog.service")
    only = ("--limit", "backup1", "--set", "harden_sessions=none", "--set", "harden_controls=LNX-AU-21D")
    try:
        done = run("harden", "--reason", "logs", *only)
        assert done.code == 0, done.err + done.out
        assert verdict(done.record, "backup1", "LNX-AU-21D") == ["pass"]
        tag = f"drill-{secrets.token_hex(4)}"
        root(HOST, f"logger -t {tag} received")
        found = f"grep -c ' {tag}: received' /var/log/hosts/{HOST}/syslog.log || true"
        wait_until("the line", 60, lambda: root("backup1", found) == "1\n")
        assert run("undo_hardening", "--limit", "backup1", "--reason", "logs", *only[2:4]).code == 0
    finally:
        root("backup1", "mv /root/10-receive.conf /etc/rsyslog.d/ && systemctl restart rsyslog.service")
