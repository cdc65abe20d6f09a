"""The engine itself, with small playbooks: what disturbs it, what it may not lose, and what it leaves behind."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maintenance import execution
from maintenance.ledger import Journal
from maintenance.redaction import Redactor
from maintenance.runbook import Header, Runbook

HEADER = Header(
    title={"zh": "试验", "en": "Trial"}, clauses=["4.1.5"], changes="nothing", undo="none needed", approvals=0
)


@pytest.fixture
def play(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[execution.Result, list[dict[str, Any]]]]:
    """Run tasks on this machine; the result, and what the journal holds."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    inventory = tmp_path / "hosts.yml"
    hosts = {"one": {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}}
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))

    def run(
        *tasks: dict[str, Any], on_event: Callable[[dict[str, Any]], None] = lambda event: None
    ) -> tuple[execution.Result, list[dict[str, Any]]]:
        playbook = tmp_path / "playbook.yml"
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": list(tasks)}]))
        request = execution.Request(
            Runbook("trial", playbook, "all", HEADER),
            inventory,
            check=False,
            limit="",
            forks=0,
            extra_vars={},
        )
        journal = Journal(tmp_path, "trial")
        try:
            result = execution.run(request, journal, Redactor(["geheim-4711"]), threading.Event(), on_event)
            assert list(temporary.iterdir()) == [], "the private folder is gone, whatever happened"
            return result, [json.loads(line) for line in journal.read().splitlines()]
        finally:
            journal.close()

    return run


def test_a_line_on_the_terminal_that_is_no_event_disturbs_nothing(
    play: Callable[..., tuple[execution.Result, list[dict[str, Any]]]], tmp_path: Path
) -> None:
    """Whatever shares the engine's terminal may write such lines past Ansible, at any moment."""
    engine = f"$(pgrep -o -f 'ansible-playbook .*{tmp_path}/playbook.yml')"
    write = f"echo 'stray secret' > /proc/{engine}/fd/1"
    stray = {"ansible.builtin.command": {"argv": ["sh", "-c", write]}}
    result, events = play(stray, {"ansible.builtin.debug": {"msg": "after it"}})
    assert (result.problem, result.rc) == ("", 0)
    assert [step.result for step in result.steps] == ["changed", "ok"]
    assert [event["n"] for event in events] == list(range(1, len(events) + 1))
    assert any(event["event"] == "verbose" for event in events)
    assert "stray" not in json.dumps(events), "what was said past Ansible is nobody's to keep"


def test_an_event_without_its_data_ends_the_run_as_a_problem(
    play: Callable[..., tuple[execution.Result, list[dict[str, Any]]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: the engine tells of an event whose data it could not write."""
    from ansible_runner import runner

    opened = runner.codecs.open

    def disk_full(name: str, *arguments: Any, **options: Any) -> Any:
        if name.endswith("-partial.json"):
            raise OSError(28, "No space left on device")
        return opened(name, *arguments, **options)

    monkeypatch.setattr(runner.codecs, "open", disk_full)
    result, _ = play({"ansible.builtin.debug": {"msg": "never told"}})
    assert "the data of event" in result.problem


def test_an_event_that_was_written_and_never_told_is_a_problem(
    play: Callable[..., tuple[execution.Result, list[dict[str, Any]]]],
) -> None:
    folders: list[Path] = []

    def plant(_event: dict[str, Any]) -> None:
        for folder in Path(tempfile.gettempdir()).glob("*/artifacts/*/job_events"):
            (folder / "lost-partial.json").touch()
            folders.append(folder)

    result, _ = play({"ansible.builtin.debug": {"msg": "told"}}, on_event=plant)
    assert folders
    assert result.problem == "1 events were written by the engine and never told"


def test_a_secret_that_the_length_of_a_message_would_cut_is_masked_whole(
    play: Callable[..., tuple[execution.Result, list[dict[str, Any]]]],
) -> None:
    name = "x" * (500 - len("geheim")) + "geheim-4711"
    result, events = play({"name": name, "ansible.builtin.debug": {"msg": "told"}})
    assert result.steps
    assert "geheim" not in json.dumps([events, [step.model_dump() for step in result.steps]])


def test_every_item_of_a_loop_tells_its_change(
    play: Callable[..., tuple[execution.Result, list[dict[str, Any]]]], tmp_path: Path
) -> None:
    wanted = [str(tmp_path / name) for name in ("a", "b-geheim-4711")]
    result, _ = play(
        {
            "ansible.builtin.copy": {"dest": "{{ item }}", "content": "{{ item }}", "mode": "0600"},
            "loop": [*wanted, wanted[0]],
            "diff": True,
        }
    )
    assert [change.subject for change in result.changes] == [
        wanted[0],
        wanted[1].replace("geheim-4711", "[masked:known_value]"),
    ]
    assert all(change.after_sha256 for change in result.changes)


def test_what_the_judge_was_told_of_deviations_is_kept_once_and_masked(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "trial")
    collector = execution.Collector(journal, Redactor(["geheim-4711"]), lambda event: None)
    waiver = {
        "rule": "A-1",
        "hosts": ["*"],
        "reason": "geheim-4711",
        "approved_by": "x",
        "until": "2027-01-01",
    }
    told = {"A-18": "console only", "A-20": "geheim-4711"}
    for number, (host, action, mitigations) in enumerate(
        [("a", "judge", told), ("b", "judge", told | {"A-18": "bastion"}), ("c", "other", {"A-23": "no"})], 1
    ):
        res = {"waivers": [waiver], "mitigations": mitigations, "not_applicable": {"L3-ABS1-15": "no mail"}}
        data = {"host": host, "task": "t", "task_action": action, "res": res}
        collector({"counter": number, "event": "runner_on_ok", "event_data": data})
    journal.close()
    (kept,) = collector.result.waivers
    assert kept["rule"] == "A-1"
    assert "geheim" not in json.dumps([kept, collector.result.mitigations])
    assert collector.result.mitigations["A-18"] == "console only; bastion"
    assert set(collector.result.mitigations) == {"A-18", "A-20"}
    assert collector.result.not_applicable == {"L3-ABS1-15": "no mail"}
