"""The action plugin of judge: which snapshot it takes, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("judge_action", ROOT / "action_plugins/judge.py")
PLUGIN: Any = importlib.util.module_from_spec(SPEC)  # type: ignore[arg-type]
SPEC.loader.exec_module(PLUGIN)  # type: ignore[union-attr]
SNAPSHOT = {"taken": "2026-11-22T13:15:04Z", "probes": {"a": {"state": "ok", "unread": {}}}, "data": {"a": 5}}
RULE = {
    **{
        "id": "A-1",
        "clause": "3.2.1",
        "area": "system",
        "severity": "advice",
        "owner": "vendor",
        "probe": "a",
    },
    **{"title": {"zh": "甲", "en": "A"}, "advice": {"zh": "改", "en": "Mend"}},
    **{"actual": "data.a", "expected": "limits.a", "pass": "data.a <= limits.a"},
}


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "a_rules.yml"
    path.write_text(json.dumps({"schema": "inspection-rules/1", "snapshot": "a_snapshot", "rules": [RULE]}))
    return str(path)


def run(arguments: dict[str, Any], **variables: Any) -> dict[str, Any]:
    task = SimpleNamespace(args=arguments, async_val=0, check_mode=False, diff=False, environment=None)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    templar = SimpleNamespace(template=lambda value: value)
    action = PLUGIN.ActionModule(task, connection, SimpleNamespace(), None, templar, None)
    return action.run(task_vars={"inventory_hostname": "db1", "group_names": ["servers"]} | variables)


@pytest.mark.parametrize("given", ["__a", "__text", {"snapshot": SNAPSHOT}, SNAPSHOT])
@pytest.mark.parametrize("limits", [{"a": 4}, "its_limits"])
def test_a_snapshot_and_thresholds_are_taken_by_name_or_as_they_are(rules, given, limits):
    result = run(
        {"snapshots": {"a_snapshot": given}, "rules": [rules], "limits": limits},
        __a={"snapshot": SNAPSHOT},
        __text={"snapshot": json.dumps(SNAPSHOT)},
        its_limits={"a": 4},
    )
    (finding,) = result["evidence"]
    assert (finding["verdict"], finding["subject"], finding["actual"], finding["expected"]) == (
        "fail",
        "db1",
        "5",
        "4",
    )
    assert (
        result["changed"] is False
        and result["rules"][0]["count"] == 1
        and len(result["rules"][0]["sha256"]) == 64
    )


def test_a_threshold_of_the_site_wins(rules):
    given = {"snapshots": {"a_snapshot": SNAPSHOT}, "rules": [rules], "limits": {"a": 4}}
    assert run(given)["evidence"][0]["verdict"] == "fail"
    assert run(given | {"site_limits": {"a": 6}})["evidence"][0]["verdict"] == "pass"


@pytest.mark.parametrize("registered", [{"skipped": True, "changed": False}, None])
def test_rules_of_a_snapshot_that_was_not_taken_are_not_applied(rules, registered):
    result = run({"snapshots": {"a_snapshot": "__a"}, "rules": [rules]}, __a=registered)
    assert result["evidence"] == [] and result["rules"] == []


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"snapshots": {"a_snapshot": "__absent"}}, "no variable __absent was registered"),
        ({"snapshots": {"a_snapshot": {"failed": True}}}, "has no probes"),
        ({"snapshots": {"a_snapshot": {"probes": [], "data": {}}}}, "has no probes"),
        ({"snapshots": []}, "judge needs snapshots"),
        ({"rules": "a.yml"}, "judge needs snapshots"),
        ({"rules": ["/absent_rules.yml"]}, "/absent_rules.yml: No such file"),
        ({"language": "fr"}, "language must be zh or en"),
        ({"snapshots": {"a_snapshot": {"snapshot": "{"}}}, "is not a snapshot: "),
        ({"limits": "absent"}, "there is no variable absent"),
        ({"limits": []}, "limits and site_limits must be mappings"),
        ({"site_limits": {"b": 1}}, "limits: b is none of limits"),
        ({"waivers": [{"rule": "A-1"}]}, "waiver 1: needs exactly"),
        ({"mitigations": ["A-18"]}, "mitigations must be a mapping"),
        ({"mitigations": {"A-1": "text"}}, "mitigations: A-1: needs a code"),
        ({"mitigations": {"A-18": " "}}, "mitigations: A-18: needs a code"),
        (
            {"not_applicable": {"8.1.3.4b": "no mail"}},
            "not_applicable: 8.1.3.4b: needs a code, as L3-ABS1-15",
        ),
    ],
)
def test_what_cannot_be_judged_fails_in_one_line(rules, change, problem):
    result = run({"snapshots": {"a_snapshot": SNAPSHOT}, "rules": [rules], "limits": {"a": 4}} | change)
    assert result["failed"] is True and problem in result["msg"] and "\n" not in result["msg"]


def test_what_the_site_states_of_its_deviations_is_told_for_the_record(rules):
    given = {"snapshots": {"a_snapshot": SNAPSHOT}, "rules": [rules], "limits": {"a": 4}}
    waiver = {"rule": "A-1", "hosts": ["db1"], "reason": "r", "approved_by": "x", "until": "2026-11-22"}
    stated = {"mitigations": {"A-18": "console\nonly"}, "not_applicable": {"L3-ABS1-15": "no mail"}}
    told = run(given | {"waivers": [waiver], **stated})
    assert told["waivers"] == [waiver]
    assert told["mitigations"] == {"A-18": "console\\nonly"}
    assert told["not_applicable"] == stated["not_applicable"]
    assert told["evidence"][0]["verdict"] == "waived"
    assert not {"waivers", *stated} & run(given).keys()


def test_a_rule_file_of_the_repository_is_named_relative_to_it():
    assert (
        PLUGIN._shown(ROOT / "roles/inspection/vars/host_rules.yml") == "roles/inspection/vars/host_rules.yml"
    )
    assert PLUGIN._shown(Path("/elsewhere/x.yml")) == "/elsewhere/x.yml"
