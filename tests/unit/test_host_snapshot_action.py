"""The action plugin's handling of what a host answers."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import zlib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

REPOSITORY = Path(__file__).parent.parent.parent
PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    """action_plugins/host_snapshot.py."""
    spec = importlib.util.spec_from_file_location(
        "action", REPOSITORY / "action_plugins" / "host_snapshot.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def said(stdout: str = "", stderr: str = "", rc: int = 0) -> dict[str, Any]:
    """What _low_level_execute_command returns."""
    return {"stdout": stdout, "stderr": stderr, "rc": rc}


def packed(data: bytes) -> str:
    """An answer as the bootstrap prints it."""
    return "snapshot-answer:ok:" + base64.b64encode(zlib.compress(data)).decode()


def test_an_answer_among_other_words_is_found(plugin: ModuleType) -> None:
    output = "Welcome to db1!\n" + packed(json.dumps({"schema": "x"}).encode()) + "\nlogout\n"
    assert plugin.unpack(said(output), PYTHON) == {"schema": "x"}


@pytest.mark.parametrize(
    "done, words",
    [
        (said(stderr="/bin/sh: 1: /usr/bin/python3: not found", rc=127), "install python3 there"),
        (said(stderr="sudo: /usr/bin/python3: command not found", rc=1), "install python3 there"),
        (said("snapshot-answer:old:3.6.8"), "is Python 3.6.8; the snapshot needs 3.8 or newer"),
        (said(stderr="Traceback\nMemoryError", rc=1), "exit code 1); it said: MemoryError"),
        (said(stderr="cat: /etc/x: No such file or directory", rc=1), "it said: cat: /etc/x"),
        (said(stderr="sudo: a password is required", rc=1), "it said: sudo: a password is required"),
        (
            said(stderr="sudo: unknown user x\nsudo: error initializing", rc=1),
            "it said: sudo: unknown user x",
        ),
        (said("hello", rc=0), "it said: hello"),
        (said("", rc=0), "it said: nothing"),
        (said("snapshot-answer:ok:!!!"), "is not a snapshot"),
        (said("snapshot-answer:ok:" + base64.b64encode(b"no zlib").decode()), "is not a snapshot"),
        (said(packed(b"not json")), "is not a snapshot"),
        (said(packed(b"[1]")), "is not a snapshot"),
        (said(packed(json.dumps({"a": 1}).encode())[:-8]), "cut, or larger|not a snapshot"),
        (said(packed(b" " * ((16 << 20) + 1))), "larger than"),
        (said("x" * ((16 << 20) + 1)), "are refused"),
    ],
)
def test_what_is_no_snapshot_is_said_in_one_line(
    plugin: ModuleType, done: dict[str, Any], words: str
) -> None:
    with pytest.raises(AnsibleActionFail) as caught:
        plugin.unpack(done, PYTHON)
    message = str(caught.value.message)
    assert any(part in message for part in words.split("|"))
    assert "\n" not in message and len(message) < 600


@pytest.mark.parametrize(
    "name, flags, password, silent",
    [
        ("sudo", "-H -S -n", None, True),
        ("sudo", "-HSn", "", True),
        ("sudo", "--non-interactive", None, True),
        ("sudo", "-H -S -n", "secret", False),
        ("sudo", "-H -S", None, False),
        ("sudo", "--login", None, False),
        ("su", "-n", None, False),
    ],
)
def test_only_a_sudo_that_asks_for_nothing_is_not_waited_for(
    plugin: ModuleType, name: str, flags: str, password: str | None, silent: bool
) -> None:
    options = {"become_flags": flags, "become_pass": password}
    become = SimpleNamespace(name=name, get_option=lambda option, playcontext: options[option])
    assert plugin.becomes_silently(become, None) is silent


def test_without_another_account_nothing_is_left_out(plugin: ModuleType) -> None:
    assert plugin.becomes_silently(None, None) is False


def test_all_sources_are_packed_and_the_program_is_python(plugin: ModuleType) -> None:
    sources = json.loads(zlib.decompress(base64.b64decode(plugin.PACKED)))
    assert {path.stem for path in (REPOSITORY / "module_utils").glob("snapshot_*.py")} == set(sources)
    program = plugin.script({"expected_units": ["it's"], "since": None})
    compile(program, "sent", "exec")
    assert len(program) < 200_000


def test_every_source_is_imported_by_the_module_as_well() -> None:
    """AnsiballZ takes what is imported: a source that only the action plugin had would be missing there."""
    sources = {path.stem: path.read_text() for path in (REPOSITORY / "module_utils").glob("snapshot_*.py")}
    reached: set[str] = set()
    waiting = set(
        re.findall(r"snapshot_\w+", (REPOSITORY / "library" / "host_snapshot.py").read_text())
    ) & set(sources)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= (set(re.findall(r"\bsnapshot_\w+", sources[name])) & set(sources)) - reached
    assert set(sources) - reached == {"snapshot_bootstrap"}
