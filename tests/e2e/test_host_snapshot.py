"""host_snapshot as a task: by the action plugin, by the module itself, and where there is no Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import REPOSITORY

TASKS: dict[str, dict[str, Any]] = {
    "piped": {"host_snapshot": {"scan_paths": ["/etc/ssh"]}, "check_mode": True},
    "module": {"host_snapshot": {"scan_paths": ["/etc/ssh"]}, "vars": {"ansible_pipelining": False}},
    "no_python": {"host_snapshot": {}, "vars": {"ansible_python_interpreter": "/nowhere/python3"}},
    "no_sense": {"host_snapshot": {"since": "last week"}},
    "no_such_option": {"host_snapshot": {"sins": "x"}},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each task returned."""
    folder = tmp_path_factory.mktemp("play")
    tasks = [{**task, "register": name, "ignore_errors": True} for name, task in TASKS.items()]
    content = "{{ {" + ", ".join(f"'{name}': {name}" for name in TASKS) + "} | to_json }}"
    tasks.append({"ansible.builtin.copy": {"dest": str(folder / "results.json"), "content": content}})
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    play["vars"] = {"ansible_python_interpreter": "/usr/bin/python3"}
    (folder / "play.yml").write_text(json.dumps([play]))
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "-i",
            "localhost,",
            str(folder / "play.yml"),
        ],
        cwd=REPOSITORY,
        env={**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads((folder / "results.json").read_text()))


def test_both_ways_give_the_same_shape_and_change_nothing(results: dict[str, Any]) -> None:
    piped, module = results["piped"], results["module"]
    for result in (piped, module):
        assert result["changed"] is False
        assert result["snapshot"]["schema"] == "host-snapshot/1"
        assert result["snapshot"]["data"]["file_scan"]["roots"] == ["/etc/ssh"]
    states = [
        {name: probe["state"] for name, probe in result["snapshot"]["probes"].items()}
        for result in (piped, module)
    ]
    assert states[0] == states[1]


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            "no_python",
            "the host has no /nowhere/python3: install python3 there, or set ansible_python_interpreter",
        ),
        ("no_sense", "since: 'last week' is no instant; write it as 2026-11-22T13:15:04Z"),
        ("no_such_option", "sins"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(results: dict[str, Any], task: str, words: str) -> None:
    assert results[task]["failed"] is True
    assert words in results[task]["msg"]
    assert "\n" not in results[task]["msg"]
