"""The remedies of harden: each is for checks that there are, and of a kind that there is; R3 only when it is named."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils import desired_state, judgement_rules
from ansible.plugins.loader import action_loader

ROOT = Path(__file__).parent.parent.parent
action_loader.add_directory(str(ROOT / "action_plugins"))
plan = action_loader.get("harden_plan", class_only=True)
MODULE = __import__(plan.__module__, fromlist=["Choice"])
TOPICS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((ROOT / "roles/harden/files/topics").glob("*.yml"))
}
CHECKS = {
    rule.id: rule
    for name in ("linux_checks", "postgresql_checks")
    for rule in judgement_rules.load(str(ROOT / f"roles/baseline/vars/{name}.yml")).rules
}
REMEDIES = [
    pytest.param(topic, remedy, id=f"{topic}: {' '.join(remedy['checks'])}")
    for topic, data in TOPICS.items()
    for remedy in data["remedies"]
]


def remedied() -> set[str]:
    """Checks that harden can mend."""
    names = [name for data in TOPICS.values() for remedy in data["remedies"] for name in remedy["checks"]]
    return {check for check in CHECKS if any(fnmatch.fnmatchcase(check, name) for name in names)}


@pytest.mark.parametrize(("topic", "remedy"), REMEDIES)
def test_a_remedy_is_for_checks_that_there_are_and_of_a_kind_that_there_is(
    topic: str, remedy: dict[str, Any]
) -> None:
    assert TOPICS[topic]["topic"] == topic
    assert set(remedy) <= {"checks", "risk", "asks", "resources"}
    for name in remedy["checks"]:
        assert fnmatch.filter(CHECKS, name), f"{name} is no check"
    for resource in remedy["resources"]:
        whole = {**TOPICS[topic].get("common", {}), **resource}
        assert whole["kind"] in desired_state.KINDS
        # A value such as `no` or 022 must reach the host as it is written.
        assert not [
            key for key, value in whole.items() if isinstance(value, bool) and key in ("value", "key")
        ]


def test_no_check_has_two_remedies() -> None:
    names = [name for data in TOPICS.values() for remedy in data["remedies"] for name in remedy["checks"]]
    for check in CHECKS:
        assert sum(fnmatch.fnmatchcase(check, name) for name in names) <= 1, check


def test_there_are_remedies_enough() -> None:
    assert len(remedied()) >= 120


REMEDY = {"topic": "sshd", "risk": "R2"}


@pytest.mark.parametrize(
    ("asked", "skip", "risk", "refused"),
    [
        ([], [], "R0", ""),
        ([], [], "R2", ""),
        ([], [], "R3", "risk"),
        (["LNX-AC-12"], [], "R3", ""),
        (["LNX-AC-*"], [], "R3", ""),
        (["sshd"], [], "R3", ""),
        (["LNX-LF-05"], [], "R1", "unnamed"),
        ([], ["LNX-AC-12"], "R1", "skipped"),
        (["LNX-AC-12"], ["sshd"], "R1", "skipped"),
    ],
)
def test_what_may_shut_out_is_only_done_when_it_is_named(
    asked: list[str], skip: list[str], risk: str, refused: str
) -> None:
    choice = MODULE.Choice(asked, skip, "R2")
    assert choice.refuses("LNX-AC-12", {**REMEDY, "risk": risk}) == refused


def test_a_check_without_a_remedy_is_told() -> None:
    assert MODULE.Choice([], [], "R2").refuses("LNX-X", None) == "manual"


@pytest.mark.parametrize("kind", sorted(MODULE.REASONS))
def test_every_reason_is_a_sentence_in_both_languages(kind: str) -> None:
    told = [MODULE.reason(kind, language, variable="harden_x", risk="R3") for language in ("zh", "en")]
    assert {one["kind"] for one in told} == {kind}
    assert len({one["reason"] for one in told}) == 2
    assert not [one for one in told if "{" in one["reason"]]


@pytest.mark.parametrize(
    "subject", ["5432", "5432 app", "5432/dialysis", "5432 report_reader-1", "5432/his public.f"]
)
def test_usual_names_go_into_a_statement(subject: str) -> None:
    assert MODULE.unsayable({"resources": [{"kind": "statement"}]}, subject) == ""


@pytest.mark.parametrize(
    "subject", ["5432 a'; drop role b; --", '5432 x"y', "5432 a b c", "5432 患者", "x", "5432/a\nb"]
)
def test_a_name_that_could_end_a_statement_is_never_put_into_one(subject: str) -> None:
    assert MODULE.unsayable({"resources": [{"kind": "statement"}]}, subject) == "name"
    assert MODULE.unsayable({"resources": [{"kind": "mode"}]}, subject) == ""


def test_what_two_checks_ask_for_alike_is_made_once() -> None:
    resources: list[dict[str, Any]] = []
    for path, check in (("/a", "X-1"), ("/a", "X-2"), ("/b", "X-2"), ("/a", "X-1")):
        MODULE.merge(resources, {"kind": "file", "path": path, "checks": [check]})
    assert [(one["path"], one["checks"]) for one in resources] == [("/a", ["X-1", "X-2"]), ("/b", ["X-2"])]
