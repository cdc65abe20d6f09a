"""Judges snapshots by rules, on the controller (library/judge.py is its documentation)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.plugins.action import ActionBase

REPOSITORY = Path(__file__).resolve().parent.parent
# Only modules find ansible.cfg's module_utils by themselves; so controller and hosts share one copy.
if str(REPOSITORY / "module_utils") not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(str(REPOSITORY / "module_utils"))

from ansible.module_utils import judgement

# The engine imports this file in its own process and then forks a worker for each host: rules that are
# compiled here are compiled once a run. A file that cannot be used is reported by the task that asks for it.
for _path in sorted(
    [*REPOSITORY.glob("roles/*/vars/*_rules.yml"), *REPOSITORY.glob("roles/*/vars/*_checks.yml")]
):
    try:
        judgement.load(str(_path))
    except judgement.RuleError:
        continue


class ActionModule(ActionBase):
    """One call a host; touches neither the host nor the network."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(
        ("snapshots", "rules", "limits", "site_limits", "language", "waivers", *judgement.STATEMENTS)
    )

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result: evidence, metrics and the rule files that were used."""
        result = super().run(tmp, task_vars)
        arguments, task_vars = self._task.args, task_vars or {}
        try:
            return result | self._judge(arguments, task_vars)
        except judgement.RuleError as error:
            return result | {"failed": True, "msg": str(error)}

    def _judge(self, arguments: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        snapshots = arguments.get("snapshots")
        paths = arguments.get("rules")
        if not isinstance(snapshots, Mapping) or not isinstance(paths, list):
            raise judgement.RuleError("judge needs snapshots (a mapping) and rules (a list of files)")
        limits = self._named(arguments.get("limits", {}), task_vars)
        own = self._named(arguments.get("site_limits", {}), task_vars)
        if not isinstance(limits, Mapping) or not isinstance(own, Mapping):
            raise judgement.RuleError("limits and site_limits must be mappings")
        unknown = sorted(own.keys() - limits.keys())
        if unknown:
            named = [arguments.get(key) for key in ("site_limits", "limits")]
            own_name, name = (given if isinstance(given, str) else "limits" for given in named)
            raise judgement.RuleError(f"{own_name}: {unknown[0]} is none of {name}")
        limits = {**limits, **own}
        language = arguments.get("language", "zh")
        if language not in ("zh", "en"):
            raise judgement.RuleError(f"language must be zh or en, not {language}")
        waivers = judgement.check_waivers(self._named(arguments.get("waivers", []), task_vars))
        stated = {
            name: judgement.check_statements(self._named(arguments.get(name, {}), task_vars), name)
            for name in judgement.STATEMENTS
        }
        host = {
            "name": task_vars.get("inventory_hostname", ""),
            "groups": list(task_vars.get("group_names", [])),
        }
        answer: dict[str, Any] = {"changed": False, "evidence": [], "metrics": [], "rules": []}
        if waivers:
            answer["waivers"] = [waiver | {"until": waiver["until"].isoformat()} for waiver in waivers]
        answer |= {name: texts for name, texts in stated.items() if texts}
        for path in paths:
            path = REPOSITORY / path
            rules = judgement.load(str(path))
            snapshot = _snapshot(snapshots.get(rules.snapshot), task_vars)
            if snapshot is None:
                continue
            findings, metrics = judgement.judge(snapshot, rules, limits, host, language, waivers)
            answer["evidence"] += findings
            answer["metrics"] += metrics
            answer["rules"].append({"path": _shown(path), "sha256": rules.sha256, "count": len(rules.rules)})
        return answer

    def _named(self, given: Any, task_vars: dict[str, Any]) -> Any:
        """What the variable of that name holds, or what was given.

        Whatever stands in a task's arguments goes through the queue of results and to every callback, with the origin
        of each value: for some hundred thresholds that costs more than the judgement.
        """
        if not isinstance(given, str):
            return given
        if given not in task_vars:
            raise judgement.RuleError(f"there is no variable {given}")
        return self._templar.template(task_vars[given])


def _snapshot(given: Any, task_vars: dict[str, Any]) -> dict[str, Any] | None:
    """The snapshot of a registered variable's name, or as given; None where its task was skipped.

    By name is 150 KB that are not templated, and the host's texts never meet the engine's own templating.
    """
    if isinstance(given, str):
        if given not in task_vars:
            raise judgement.RuleError(f"no variable {given} was registered")
        given = task_vars[given]
    if given is None or (isinstance(given, Mapping) and given.get("skipped")):
        return None
    if isinstance(given, Mapping) and isinstance(given.get("snapshot"), (Mapping, str)):
        given = given["snapshot"]
    if isinstance(given, str):
        given = _parsed(given)
    if not isinstance(given, Mapping) or not isinstance(given.get("probes"), Mapping):
        raise judgement.RuleError("what was registered is not a snapshot: it has no probes")
    return dict(given)


def _parsed(text: str) -> Any:
    """A snapshot that came as one text."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise judgement.RuleError(f"what was registered is not a snapshot: {error}") from None


def _shown(path: Path) -> str:
    """A path of the repository as the record prints it on every machine."""
    resolved = path.resolve()
    return str(resolved.relative_to(REPOSITORY)) if resolved.is_relative_to(REPOSITORY) else str(resolved)
