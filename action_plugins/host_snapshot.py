"""host_snapshot in one round trip: the module's own code, packed, goes to the host's Python by standard input.

The module's wrapper costs the host more than the whole snapshot does, and over a VPN every further round trip counts.
Where the connection cannot feed a command's input (pipelining is off), the module itself is run: same code, same
answer."""

from __future__ import annotations

import base64
import gc
import json
import re
import shlex
import zlib
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import Templar, trust_as_template

FOLDER = Path(__file__).resolve().parent.parent / "module_utils"
if str(FOLDER) not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(str(FOLDER))

from ansible.module_utils.snapshot_arguments import ARGUMENTS, problem
from ansible.module_utils.snapshot_bootstrap import MARK

MAXIMUM = 16 << 20
BOOTSTRAP = (FOLDER / "snapshot_bootstrap.py").read_text(encoding="utf-8")


def pack() -> str:
    """The sources of the snapshot, as the bootstrap takes them."""
    sources = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("snapshot_*.py"))}
    return base64.b64encode(zlib.compress(json.dumps(sources).encode())).decode()


# Packed when the plugin is loaded, once: the process of every host is a fork of the one that has it already.
PACKED = pack()
# Likewise the lexer of templates, which the engine makes when it meets the first one, and that is in each process.
Templar().template(trust_as_template("{{ 1 }}"))
# What the collector never visits stays shared with those processes and is not copied into each: a quarter of their cost.
gc.freeze()


class ActionModule(ActionBase):
    """Feeds the packed module to the host's Python."""

    TRANSFERS_FILES = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the snapshot."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _checked, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        wrong = problem(arguments)
        if wrong:
            raise AnsibleActionFail(wrong)
        if not self._connection.is_pipelining_enabled(False):
            return result | self._execute_module("host_snapshot", module_args=arguments, task_vars=task_vars)
        python = self._interpreter(task_vars or {})
        done = self._send(f"{shlex.join(python)} -I -S -B -", script(arguments))
        snapshot = unpack(done, shlex.join(python))
        return result | {
            "changed": False,
            "snapshot": json.dumps(snapshot) if arguments["as_text"] else snapshot,
        }

    def _send(self, command: str, program: bytes) -> dict[str, Any]:
        """Run the command with the program as its input.

        The engine waits for sudo's success before it sends, one round trip. Without a password there is nothing to
        wait for: sudo -n either starts the command, which then reads, or says why not.
        """
        become = self._connection.become
        same = self.get_become_option("become_user") == self._get_remote_user()
        if same or not becomes_silently(become, self._play_context):
            return self._low_level_execute_command(command, in_data=program)
        command = become.build_become_command(command, self._connection._shell)
        return self._low_level_execute_command(command, in_data=program, sudoable=False)

    def _interpreter(self, task_vars: dict[str, Any]) -> list[str]:
        """The host's Python: what the inventory says; to discover one would cost a round trip."""
        wanted = self._templar.template(task_vars.get("ansible_python_interpreter")) or ""
        return shlex.split(wanted) if wanted and not wanted.startswith("auto") else ["/usr/bin/python3"]


def becomes_silently(become: Any, play_context: Any) -> bool:
    """Whether another account is taken by sudo that asks for nothing."""
    if become is None or become.name not in ("sudo", "ansible.builtin.sudo"):
        return False
    flags = shlex.split(become.get_option("become_flags", playcontext=play_context) or "")
    silent = any(flag == "--non-interactive" or re.fullmatch("-[A-Za-z]*n[A-Za-z]*", flag) for flag in flags)
    return silent and not become.get_option("become_pass", playcontext=play_context)


def script(arguments: dict[str, Any]) -> bytes:
    """The Python program that is sent."""
    call = f"answer({PACKED!r}, 'snapshot_collect.collect', {json.dumps(arguments)!r})\n"
    return (BOOTSTRAP + "\n" + call).encode()


def unpack(done: dict[str, Any], python: str) -> dict[str, Any]:
    """The snapshot in a command's output; raises AnsibleActionFail with the reason in one line."""
    output = str(done["stdout"])
    if len(output) > MAXIMUM:
        raise AnsibleActionFail(
            f"the host's answer has {len(output)} characters; more than {MAXIMUM} are refused"
        )
    line = next((line for line in output.splitlines() if line.startswith(MARK)), "")
    kind, _colon, packed = line[len(MARK) :].partition(":")
    if kind == "old":
        raise AnsibleActionFail(
            f"{python} on the host is Python {packed[:20]}; the snapshot needs 3.8 or newer: "
            "set ansible_python_interpreter to a newer one"
        )
    if kind != "ok":
        raise AnsibleActionFail(failure(done, python))
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(packed, validate=True), MAXIMUM)
        if unpacker.unconsumed_tail or not unpacker.eof:
            raise AnsibleActionFail(f"the host's snapshot is cut, or larger than {MAXIMUM} bytes")
        snapshot = json.loads(data)
    except (ValueError, zlib.error) as error:
        raise AnsibleActionFail(f"the host's answer is not a snapshot: {error}") from None
    if not isinstance(snapshot, dict):
        raise AnsibleActionFail("the host's answer is not a snapshot: it is no mapping")
    return snapshot


def failure(done: dict[str, Any], python: str) -> str:
    """Why there is no answer, from what the host said instead."""
    said = [text.strip() for text in f"{done['stdout']}\n{done['stderr']}".splitlines() if text.strip()]
    # A traceback says what is wrong at its end, sudo at its beginning.
    telling = [text for text in said if text.startswith("sudo: ")][:1] or said[-1:] or ["nothing"]
    absent = done["rc"] == 127 or any("not found" in text or "No such file" in text for text in said[-3:])
    if absent and any(python.split()[0] in text for text in said[-3:]):
        return f"the host has no {python}: install python3 there, or set ansible_python_interpreter"
    return f"the host gave no snapshot (exit code {done['rc']}); it said: {telling[0][:300]}"
