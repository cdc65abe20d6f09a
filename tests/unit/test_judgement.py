"""The judge: what a rule says of a snapshot, and what a hostile snapshot cannot make it do."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils import judgement, judgement_rules
from ansible.module_utils.judgement_sandbox import Expression
from hypothesis import given
from hypothesis import strategies as st

RULE: dict[str, Any] = {
    "id": "HOST-FS-01",
    "clause": "3.2.1",
    "area": "storage",
    "title": {"zh": "文件系统使用率", "en": "File system usage"},
    "severity": "warning",
    "owner": "vendor",
    "probe": "filesystems",
    "each": "data.filesystems.mounts",
    "subject": "item.mount",
    "actual": 'item.used_percent ~ " %"',
    "expected": '"<= " ~ limits.used_percent ~ " %"',
    "pass": "item.used_percent <= limits.used_percent",
    "advice": {"zh": "清理", "en": "Clean up"},
}
HOST = {"name": "db1", "groups": ["database", "servers"]}
NOW = "2026-11-22T13:15:04Z"


def rule_set(*rules: dict[str, Any], metrics: Any = ()) -> judgement_rules.RuleSet:
    document = {"schema": "inspection-rules/1", "snapshot": "host_snapshot", "rules": list(rules)}
    return judgement_rules.parse(document | {"metrics": list(metrics)})


def snapshot(data: dict[str, Any], unread: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "taken": NOW,
        "probes": {name: {"state": "ok", "unread": unread or {}} for name in data},
        "data": data,
    }


def mounts(*shares: Any) -> dict[str, Any]:
    return {
        "filesystems": {
            "mounts": [{"mount": f"/{n}", "used_percent": share} for n, share in enumerate(shares)]
        }
    }


def judged(rule: dict[str, Any], shot: dict[str, Any], **more: Any) -> list[dict[str, str]]:
    arguments = {"limits": {"used_percent": 80}, "host": HOST, "language": "en"} | more
    return judgement.judge(shot, rule_set(rule), **arguments)[0]


def value(source: str, **variables: Any) -> Any:
    return Expression(source)({"now": NOW} | variables)


def test_passing_items_are_folded_and_others_never():
    findings = judged(RULE, snapshot(mounts(10, 90, 20, 95)))
    assert [(f["verdict"], f["subject"], f["actual"]) for f in findings] == [
        ("pass", "2 items", "/0: 10 %; /2: 20 %"),
        ("fail", "/1", "90 %"),
        ("fail", "/3", "95 %"),
    ]
    assert findings[0]["advice"] == "" and findings[1]["advice"] == "Clean up"
    assert findings[1]["expected"] == "<= 80 %"


def test_an_empty_list_is_one_pass():
    (finding,) = judged(RULE, snapshot(mounts()))
    assert (finding["verdict"], finding["subject"]) == ("pass", "0 items")


def test_every_field_of_a_finding_is_a_text_and_in_the_language():
    findings = judged(RULE, snapshot(mounts(10, 90)), language="zh")
    assert all(isinstance(text, str) for finding in findings for text in finding.values())
    assert findings[1]["title"] == "文件系统使用率" and findings[0]["subject"] == "1 项"


def test_an_unknown_probe_is_one_unknown_with_its_reason():
    shot = {"taken": NOW, "probes": {"filesystems": {"state": "unknown", "reason": "df hangs"}}, "data": {}}
    (finding,) = judged(RULE, shot)
    assert (finding["verdict"], finding["actual"], finding["subject"]) == ("unknown", "df hangs", "db1")


def test_a_probe_that_is_not_in_the_snapshot_is_unknown():
    (finding,) = judged(RULE, {"taken": NOW, "probes": {}, "data": {}})
    assert finding["verdict"] == "unknown" and "filesystems" in finding["actual"]


@pytest.mark.parametrize("key", ["used_percent", "sda.used_percent", "mounts[0].used_percent"])
def test_an_absent_value_takes_its_reason_from_unread(key):
    shot = snapshot({"filesystems": {"mounts": [{"mount": "/"}]}}, {key: "needs root"})
    (finding,) = judged(RULE, shot)
    assert (finding["verdict"], finding["actual"]) == ("unknown", f"{key}: needs root")


@pytest.mark.parametrize(
    "item, key", [({"mount": "/srv"}, "/srv"), ({"host": "a", "mount": "/srv"}, "a//srv")]
)
def test_an_element_that_was_not_read_keeps_its_place_and_its_reason(item, key):
    shot = snapshot(
        {"filesystems": {"mounts": [item, {"mount": "/", "used_percent": 5}]}}, {key: "stale handle"}
    )
    findings = judged(RULE, shot)
    assert [(f["verdict"], f["subject"]) for f in findings] == [("pass", "1 items"), ("unknown", "/srv")]
    assert findings[1]["actual"] == f"{key}: stale handle"


def test_an_absent_value_without_a_reason_is_named():
    (finding,) = judged(RULE, snapshot({"filesystems": {"mounts": [{"mount": "/"}]}}))
    assert (finding["verdict"], finding["actual"]) == ("unknown", "the snapshot has no used_percent")


def test_a_list_that_was_cut_leaves_an_unknown():
    data = mounts(10)
    data["filesystems"]["mounts_truncated"] = True
    assert [f["verdict"] for f in judged(RULE, snapshot(data))] == ["pass", "unknown"]


@pytest.mark.parametrize("share", ["no", 1, [1], None, ""])
def test_only_true_passes(share):
    (finding,) = judged(RULE | {"pass": "item.used_percent"}, snapshot(mounts(share)))
    assert finding["verdict"] == "unknown"


def test_partial_and_applies_and_where():
    partial = RULE | {"pass": {"pass": "item.used_percent < 50", "partial": "item.used_percent < 80"}}
    assert [f["verdict"] for f in judged(partial, snapshot(mounts(10, 60, 90)))] == [
        "pass",
        "partial",
        "fail",
    ]
    skipped = judged(RULE | {"applies": '"witness" in host.groups'}, snapshot(mounts(99)))
    assert [f["verdict"] for f in skipped] == ["not_applicable"]
    assert [
        f["verdict"] for f in judged(RULE | {"where": "item.mount != '/1'"}, snapshot(mounts(10, 99)))
    ] == ["pass"]


WAIVER = {
    "rule": "HOST-FS-01",
    "hosts": ["data*"],
    "reason": "old disk",
    "approved_by": "Li",
    "until": "2026-12-31",
}


def waived(**changes: Any) -> dict[str, str]:
    waivers = judgement.check_waivers([WAIVER | changes])
    return judged(RULE, snapshot(mounts(90)), waivers=waivers)[0]


def test_a_waiver_in_force_waives_and_says_who_and_why():
    finding = waived()
    assert finding["verdict"] == "waived"
    assert "old disk" in finding["advice"] and "Li" in finding["advice"]


def test_a_waiver_holds_on_its_last_day_and_not_after_it():
    assert waived(until="2026-11-22")["verdict"] == "waived"
    ended = waived(until="2026-11-21")
    assert ended["verdict"] == "fail" and "2026-11-21" in ended["advice"] and "Clean up" in ended["advice"]


@pytest.mark.parametrize("changes", [{"hosts": ["app1"]}, {"rule": "HOST-FS-02"}, {"subject": "/srv"}])
def test_a_waiver_of_something_else_does_not_waive(changes):
    assert waived(**changes)["verdict"] == "fail"


def test_what_is_unknown_cannot_be_waived():
    waivers = judgement.check_waivers([WAIVER])
    assert judged(RULE, snapshot(mounts("x")), waivers=waivers)[0]["verdict"] == "unknown"


@pytest.mark.parametrize(
    "waivers, problem",
    [
        ({}, "must be a list"),
        ([{"rule": "A"}], "waiver 1"),
        ([WAIVER | {"until": "soon"}], "until must be a date"),
    ],
)
def test_a_bad_waiver_is_refused_in_one_line(waivers, problem):
    with pytest.raises(judgement.RuleError, match=problem):
        judgement.check_waivers(waivers)


def test_metrics_leave_out_what_was_not_read():
    data = {
        "filesystems": {"mounts": [{"m": "/", "used": 5, "size": 10}, {"m": "/a"}, {"m": "/b", "used": "x"}]}
    }
    metric = {
        "name": "used_bytes",
        "unit": "bytes",
        "probe": "filesystems",
        "each": "data.filesystems.mounts",
    }
    metric |= {"subject": "item.m", "value": "item.used", "limit": "item.size"}
    _, metrics = judgement.judge(snapshot(data), rule_set(metrics=[metric]), {}, HOST)
    assert metrics == [{"name": "used_bytes", "subject": "/", "value": 5.0, "unit": "bytes", "limit": 10.0}]


# What a hostile host could send.


def test_a_template_in_a_value_is_never_evaluated(tmp_path):
    trap = tmp_path / "touched"
    evil = "{{ lookup('pipe', 'touch " + str(trap) + "') }}{% raw %}{{ 7 * 7 }}"
    data = {"filesystems": {"mounts": [{"mount": evil, "used_percent": 90}]}}
    (finding,) = judged(RULE, snapshot(data))
    assert finding["subject"] == evil and not trap.exists()


@pytest.mark.parametrize(
    "source",
    [
        "x.__class__",
        "x['__class__']",
        "x.format(1)",
        "x.format_map({})",
        "x | attr('format')",
        "x | format(1)",
        "x % 3",
        "x * 1000000000",
        "[1] * 1000000000",
        "9 ** 9",
        "range(1000000000)",
        "y.__init__",
        "y.pop('a')",
        "y.clear()",
        "x.zfill(1000000000)",
        "x.center(1000000000)",
        "x | int",
        "x | float",
        "lipsum()",
        "cycler",
    ],
)
def test_nothing_grows_and_nothing_is_reached(source):
    with pytest.raises(Exception):  # noqa: B017  (each fails in its own way; what matters is that none has a value)
        value(source, x="%999999999d {0.__class__}", y={"a": 1})


@pytest.mark.parametrize("key", ["items", "keys", "values", "get", "pop", "update", "__class__"])
def test_a_key_named_like_a_method_is_a_key(key):
    assert value(f"x.{key}", x={key: 5}) == 5
    assert value(f"x['{key}']", x={key: 5}) == 5


@pytest.mark.parametrize("key", ["items", "keys", "values", "pop"])
def test_a_method_of_a_mapping_is_not_reachable(key):
    assert value(f"x.{key} is not defined", x={"a": 1}) is True


def test_results_are_bounded():
    rule = RULE | {"actual": "item.used_percent", "subject": "item.mount", "pass": "false"}
    data = {"filesystems": {"mounts": [{"mount": "m" * 10**6, "used_percent": ["x" * 10**5] * 1000}] * 5000}}
    started = time.monotonic()
    findings = judged(rule, snapshot(data))
    assert len(findings) == judgement.MAXIMUM_ITEMS + 1 and findings[-1]["verdict"] == "unknown"
    assert max(len(text) for finding in findings for text in finding.values()) <= judgement.MAXIMUM_TEXT
    assert time.monotonic() - started < 20


def test_control_characters_are_visible():
    assert judgement.visible("a\x1b[2Jb\nc\u202ed\ud800") == "a\\x1b[2Jb\\nc\\u202ed\\ud800"
    assert judgement.visible("温度 37.5 ℃") == "温度 37.5 ℃"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, JSON, JSON)
def test_whatever_a_host_sends_there_is_a_verdict_and_no_pass_without_a_number(share, mount, limit):
    data = {"filesystems": {"mounts": [{"mount": mount, "used_percent": share}]}}
    (finding,) = judged(RULE, snapshot(data), limits={"used_percent": 80, "other": limit})
    numeric = isinstance(share, (int, float))
    assert finding["verdict"] == ("unknown" if not numeric else "pass" if share <= 80 else "fail")
    json.dumps(finding, ensure_ascii=False).encode()


@given(JSON)
def test_whatever_data_is_the_judge_does_not_crash(data):
    shot = {"taken": NOW, "probes": {"filesystems": {"state": "ok", "unread": {}}}, "data": data}
    assert judged(RULE, shot)[0]["verdict"] == "unknown"


@given(JSON, JSON)
def test_whatever_a_probe_says_of_itself_the_judge_does_not_crash(probe, unread):
    for told in (probe, {"state": "ok", "unread": unread}):
        (finding,) = judged(RULE, {"taken": NOW, "probes": {"filesystems": told}, "data": {}})
        assert finding["verdict"] == "unknown"


# Dates, sizes, patterns.


@pytest.mark.parametrize(
    "source, expected",
    [
        ("'2026-11-23T13:15:04Z' | days_until", 1.0),
        ("'2026-11-20T13:15:04Z' | age_days", 2.0),
        ("'2026-11-22T21:15:04+08:00' | age_days", 0.0),
        ("'2026-11-22' | seconds_between('2026-11-22T00:01:00Z')", 60.0),
        ("1610612736 | bytes", "1.5 GiB"),
        ("12 | bytes", "12 B"),
        ("'8.4p1' is matches('^8')", True),
        (r"'a.b' is matches('a\.b')", True),
        (r"'axb' is matches('a\.b')", False),
        ("'12' | int + 1", 13),
        ("x | selectattr('a', 'gt', 1) | list | length", 1),
        ("x | map(attribute='a') | sum", 3),
        ("y | default(7)", 7),
    ],
)
def test_filters(source, expected):
    assert value(source, x=[{"a": 1}, {"a": 2}]) == expected


# Rule files.


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"pass": "item.used_percent <="}, "HOST-FS-01: pass: "),
        ({"pass": "true }} {{ 1"}, "HOST-FS-01: pass: "),
        ({"pass": "x | pprint"}, "HOST-FS-01: pass: No filter named 'pprint'"),
        ({"severity": "high"}, "HOST-FS-01: severity must be one of"),
        ({"area": "kitchen"}, "HOST-FS-01: area must be one of"),
        ({"title": {"zh": "x"}}, "HOST-FS-01: title must have the two texts"),
        ({"clause": 3.2}, "HOST-FS-01: clause must be a text"),
        ({"extra": 1}, "HOST-FS-01: unknown key 'extra'"),
        ({"actual": 5}, "HOST-FS-01: actual must be an expression"),
        ({"id": "fs 1"}, "fs 1: an id is made of"),
    ],
)
def test_a_bad_rule_is_named_in_one_line(tmp_path, change, problem):
    path = tmp_path / "rules.yml"
    path.write_text(
        yaml.safe_dump(
            {"schema": "inspection-rules/1", "snapshot": "host_snapshot", "rules": [RULE | change]}
        ),
        encoding="utf-8",
    )
    with pytest.raises(judgement.RuleError) as caught:
        judgement.load(str(path))
    assert str(caught.value).startswith(f"{path}: {problem}") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "document, problem",
    [
        ([], "schema must be"),
        ({"schema": "inspection-rules/1", "snapshot": "s", "rules": {}}, "rules must be a list"),
        ({"schema": "inspection-rules/1", "snapshot": "s", "rules": [RULE, RULE]}, "used twice"),
        ({"schema": "inspection-rules/1", "rules": []}, "snapshot must name"),
    ],
)
def test_a_bad_file_is_refused(document, problem):
    with pytest.raises(ValueError, match=problem):
        judgement_rules.parse(document)


def test_where_needs_each():
    rule = {key: item for key, item in RULE.items() if key != "each"} | {"where": "true"}
    with pytest.raises(ValueError, match="each, which is missing"):
        judgement_rules.parse({"schema": "inspection-rules/1", "snapshot": "s", "rules": [rule]})


def test_a_file_that_is_missing_or_no_yaml_is_an_error_of_one_line(tmp_path):
    broken = tmp_path / "broken.yml"
    broken.write_text("a: [1,\n", encoding="utf-8")
    for path, problem in ((tmp_path / "absent.yml", "No such file"), (broken, ":2: not YAML")):
        with pytest.raises(judgement.RuleError, match=problem) as caught:
            judgement.load(str(path))
        assert "\n" not in str(caught.value)


def test_a_file_is_compiled_once_and_again_when_it_changes(tmp_path):
    path = tmp_path / "rules.yml"
    document = {"schema": "inspection-rules/1", "snapshot": "host_snapshot", "rules": [RULE]}
    path.write_text(json.dumps(document), encoding="utf-8")
    first = judgement.load(str(path))
    assert judgement.load(str(path)) is first
    path.write_text(json.dumps(document | {"rules": []}), encoding="utf-8")
    assert judgement.load(str(path)).rules == [] and first.rules


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[2].glob("roles/*/vars/*_rules.yml")), ids=lambda p: p.name
)
def test_the_rule_files_of_the_roles_are_sound(path):
    rules = judgement.load(str(path))
    assert rules.rules and rules.path == str(path)
