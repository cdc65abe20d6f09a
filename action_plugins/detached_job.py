"""Waits for a detached job by short calls that may each be lost (library/detached_job.py is its documentation)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

REPOSITORY = Path(__file__).resolve().parent.parent
# Only modules find ansible.cfg's module_utils by themselves; so controller and hosts share one copy.
if str(REPOSITORY / "module_utils") not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(str(REPOSITORY / "module_utils"))

from ansible.module_utils.detached_progress import Sample, line

# maintenance/progress.py shows lines of a run that begin so.
MARK = "progress: "
_RETRY_SECONDS = 2.0
_ENDED = ("succeeded", "failed", "interrupted")


class ActionModule(ActionBase):
    """Start, ask until it has ended, say how far it is, and tell the host that its result was heard."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result; a job that failed or was interrupted fails the task."""
        result = super().run(tmp, task_vars)
        self._parent = os.getppid()
        arguments = dict(self._task.args)
        if arguments.get("state", "finished") != "finished" or self._task.check_mode:
            return result | self._once(arguments, task_vars)
        try:
            answer = self._until_ended(arguments, task_vars or {})
        except AnsibleConnectionFailure as error:
            return result | {"unreachable": True, "msg": self._goes_on(error)}
        if not answer.get("failed"):
            answer |= verdict(str(arguments.get("name")), answer)
        return result | answer

    def _until_ended(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Ask until it has ended. To start it again by a repeated call is safe: the host finds the one that runs."""
        answer = self._patiently(arguments, task_vars)
        changed = bool(answer.get("changed"))
        samples: list[Sample] = []
        while answer.get("job_state") == "running":
            self._tell(arguments, answer, samples, task_vars)
            answer = self._patiently(arguments | {"state": "read"}, task_vars)
        if answer.get("job_state") in _ENDED:
            # Work that another call began, and whose result this one brings home, is a change as well.
            changed = True
            self._patiently(arguments | {"state": "collected"}, task_vars)
        return answer | {"changed": changed}

    def _patiently(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """One call, repeated while the host is out of reach; raises AnsibleConnectionFailure at the end of patience."""
        end = time.monotonic() + int(arguments.get("patience", 900))
        told = False
        while True:
            if os.getppid() != self._parent:
                # The engine was killed and this worker of it was not: nobody would hear of what is collected here.
                raise AnsibleActionFail("the engine has ended")
            try:
                answer = self._once(arguments, task_vars)
            except AnsibleConnectionFailure:
                if time.monotonic() >= end:
                    raise
                answer = {"lost": True}
            # The answer of a command whose link was cut is no answer.
            if not answer.get("lost") and "job_state" not in answer and not answer.get("msg"):
                answer = {"lost": True}
            if not answer.get("lost"):
                return answer
            if time.monotonic() >= end:
                raise AnsibleConnectionFailure("no answer of the host could be read")
            if not told:
                self._say(
                    f"{arguments.get('name')}: the link is cut; the work goes on there, asking again",
                    task_vars,
                )
                told = True
            self._connection.reset()
            time.sleep(_RETRY_SECONDS)

    def _once(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            "detached_job", module_args=arguments, task_vars=task_vars
        )
        if "job_state" not in answer and answer.get("rc") == 255:
            return {"lost": True}  # ssh ended, not the module
        return answer

    def _tell(
        self,
        arguments: dict[str, Any],
        answer: dict[str, Any],
        samples: list[Sample],
        task_vars: dict[str, Any],
    ) -> None:
        told = answer.get("progress")
        if told:
            samples.append(Sample(**{name: told[name] for name in Sample._fields}))
        text = line(str(arguments.get("name")), float(answer.get("elapsed_seconds") or 0), samples)
        self._say(text, task_vars)

    def _say(self, text: str, task_vars: dict[str, Any]) -> None:
        self._display.display(f"{MARK}{task_vars.get('inventory_hostname', '')} {text}")

    def _goes_on(self, error: Exception) -> str:
        name = self._task.args.get("name")
        return (
            f"the host is out of reach ({error}); {name} goes on there: run the same runbook again to wait for it "
            "or to collect its result"
        )


def verdict(name: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Whether the task failed, and why in one line."""
    state = answer.get("job_state")
    said = [text.strip() for text in str(answer.get("output", "")).splitlines() if text.strip()]
    # The reason of a failure is rarely what a program says last.
    errors = [text for text in said if "ERROR" in text]
    last = (errors or said)[-1][:300] if said else "it printed nothing"
    if state == "failed":
        return {"failed": True, "msg": f"{name} ended with code {answer.get('rc')}: {last}"}
    if state == "interrupted":
        return {
            "failed": True,
            "msg": f"{name} was interrupted ({answer.get('reason')}); its last words: {last}",
        }
    return {}
