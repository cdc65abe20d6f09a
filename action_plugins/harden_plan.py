"""From a judged host to the resources that mend it (library/harden_plan.py is its documentation)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.loader import action_loader

# Loading the judge puts the project's module_utils on the path.
Judge: Any = action_loader.get("judge", class_only=True)
from ansible.module_utils import judgement_rules

REPOSITORY = Path(__file__).resolve().parent.parent
TOPICS = REPOSITORY / "roles" / "harden" / "files" / "topics"
RISKS = ("R0", "R1", "R2", "R3")
REASONS = {
    "manual": {
        "zh": "没有可自动执行的措施，由人处理：见评估报告的建议",
        "en": "no program can mend it: see the advice of the assessment",
    },
    "risk": {
        "zh": "{risk} 可能切断登录或业务，须在 harden_controls 里点名",
        "en": "{risk} may cut off access or the service: name it in harden_controls",
    },
    "skipped": {"zh": "harden_skip 指明不改", "en": "harden_skip names it"},
    "unnamed": {"zh": "harden_controls 没有点名", "en": "harden_controls does not name it"},
    "unset": {
        "zh": "站点变量未设置：{variable}",
        "en": "a variable of the site is not set: {variable}",
    },
    "name": {
        "zh": "名称含特殊字符，不能写进语句，由人处理",
        "en": "its name has characters that are not put into a statement: mend it by hand",
    },
}


class ActionModule(Judge):  # type: ignore[misc]
    """Judges as the baseline does, and looks up the remedies of what fails."""

    _VALID_ARGS = Judge._VALID_ARGS | {"controls", "skip", "highest_risk"}

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """`resources` for desired_state; `planned` and `left`: what is mended, and what is not and why."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        evidence = result.pop("evidence", [])
        result.pop("metrics", None)
        if result.get("failed"):
            return result
        arguments = self._task.args
        asked, skip = names(arguments.get("controls")), names(arguments.get("skip"))
        highest = str(arguments.get("highest_risk", "R2"))
        if highest not in RISKS:
            raise AnsibleActionFail(f"highest_risk must be one of {', '.join(RISKS)}, not {highest}")
        remedies, risks = self._remedies(), self._risks(arguments["rules"])
        self._check_names(asked + skip, remedies)
        wanted = Choice(asked, skip, highest)
        language = str(arguments.get("language", "zh"))
        planned, left, resources = [], [], []
        for finding in evidence:
            if finding["verdict"] not in ("fail", "partial"):
                continue
            remedy = next((one for name, one in remedies if fnmatch.fnmatchcase(finding["id"], name)), None)
            if remedy is not None:
                remedy = {"risk": risks[finding["id"]], **remedy}
            line = {"check": finding["id"], "subject": finding["subject"], "title": finding["title"]}
            why = wanted.refuses(finding["id"], remedy) or unsayable(remedy, finding["subject"])
            unset = "" if why or remedy is None else self._unset(remedy, task_vars or {})
            if why or unset or remedy is None:
                left.append(line | reason(why or "unset", language, variable=unset, **(remedy or {})))
                continue
            planned.append(line | {"risk": remedy["risk"], "topic": remedy["topic"]})
            for resource in self._resources(remedy, finding, task_vars or {}):
                merge(resources, resource)
        return result | {
            "changed": False,
            "planned": planned,
            "left": left,
            "resources": resources,
            "highest_risk": max((one["risk"] for one in planned), default="R0"),
        }

    def _risks(self, files: list[str]) -> dict[str, str]:
        """The risk of each check's remedy, as its rule states it."""
        sets = [judgement_rules.load(str(REPOSITORY / file)) for file in files]
        return {rule.id: rule.risk for rules in sets for rule in rules.rules}

    def _remedies(self) -> list[tuple[str, dict[str, Any]]]:
        """Remedies with the checks that they are for (* is a wildcard), in the order of the topics' files."""
        found: list[tuple[str, dict[str, Any]]] = []
        for path in sorted(TOPICS.glob("*.yml")):
            topic = self._loader.load_from_file(str(path), trusted_as_template=True)
            for remedy in topic["remedies"]:
                # What the resources of a topic have in common, as the file that its settings stand in.
                resources = [{**topic.get("common", {}), **resource} for resource in remedy["resources"]]
                whole = {**remedy, "topic": topic["topic"], "resources": resources}
                found += [(str(check), whole) for check in remedy["checks"]]
        return found

    def _check_names(self, names: list[str], remedies: list[tuple[str, dict[str, Any]]]) -> None:
        """A slip in the name of a control must not look like a control that had nothing to mend."""
        topics = {remedy["topic"] for _check, remedy in remedies}
        for name in names:
            known = any(
                fnmatch.fnmatchcase(check, name) or fnmatch.fnmatchcase(name, check)
                for check, _remedy in remedies
            )
            if name not in topics and not known:
                raise AnsibleActionFail(
                    f"harden_controls or harden_skip: '{name}' is neither a check with a remedy nor a topic; "
                    f"topics: {', '.join(sorted(topics))}"
                )

    def _unset(self, remedy: Mapping[str, Any], task_vars: dict[str, Any]) -> str:
        """The site's variables of which a remedy needs one, where none of them says anything; or ''."""
        asked = [str(name) for name in remedy.get("asks", [])]
        templar = self._templar.copy_with_new_env(available_variables=task_vars)
        for name in asked:
            root, _dot, part = name.partition(".")
            value = templar.template(task_vars.get(root))
            if value.get(part) if part and isinstance(value, dict) else value:
                return ""
        return ", ".join(asked)

    def _resources(
        self, remedy: Mapping[str, Any], finding: Mapping[str, str], task_vars: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        known = {**task_vars, "subject": finding["subject"]}
        limits = {
            **self._templar.template(task_vars.get("baseline_limits", {})),
            **self._templar.template(task_vars.get("baseline_site_limits", {})),
        }
        templar = self._templar.copy_with_new_env(available_variables={**known, "limits": limits})
        for resource in remedy["resources"]:
            own = dict(templar.template(resource))
            if own.pop("when", True):
                yield {**own, "checks": [finding["id"]]}


def merge(resources: list[dict[str, Any]], resource: dict[str, Any]) -> None:
    """What two checks ask for alike is one resource, for both: it is made once."""
    for one in resources:
        if {**one, "checks": []} == {**resource, "checks": []}:
            one["checks"] += [check for check in resource["checks"] if check not in one["checks"]]
            return
    resources.append(resource)


def names(given: Any) -> list[str]:
    """A list, or a text with commas, as --set gives it."""
    parts = given.split(",") if isinstance(given, str) else given or []
    return [str(part).strip() for part in parts if str(part).strip()]


def unsayable(remedy: Mapping[str, Any] | None, subject: str) -> str:
    """Whether a subject cannot stand in a statement. A role or database may be called anything."""
    statements = remedy is not None and any(one["kind"] == "statement" for one in remedy["resources"])
    return "name" if statements and not re.fullmatch(r"\d+([ /][A-Za-z0-9_.$-]+){0,2}", subject) else ""


def reason(kind: str, language: str, **about: Any) -> dict[str, str]:
    """Why something is left as it is: the kind for a program, the sentence for a person."""
    return {"kind": kind, "reason": REASONS[kind][language].format_map({"risk": "", **about})}


class Choice:
    """Which checks a run mends."""

    def __init__(self, asked: list[str], skip: list[str], highest: str) -> None:
        self.asked = asked
        self.skip = skip
        self.highest = highest

    def refuses(self, check: str, remedy: Mapping[str, Any] | None) -> str:
        """Why a failing check is left as it is, as a key of REASONS, or ''."""
        if remedy is None:
            return "manual"
        if self._named(self.skip, check, remedy):
            return "skipped"
        if self.asked:
            return "" if self._named(self.asked, check, remedy) else "unnamed"
        return "risk" if remedy["risk"] > self.highest else ""

    @staticmethod
    def _named(names: list[str], check: str, remedy: Mapping[str, Any]) -> bool:
        return any(name == remedy["topic"] or fnmatch.fnmatchcase(check, name) for name in names)
