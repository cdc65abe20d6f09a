"""What a hardening left: each with its host, its check and a reason in the language of the record."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
from factories import finding, record

from maintenance.documents import change
from maintenance.left import collect, grouped

PLAN = {
    "planned": [
        {"check": "LNX-IP-16G", "subject": "app1", "title": "/var/tmp"},
        {"check": "LNX-AC-12", "subject": "app1", "title": "root"},
        {"check": "LNX-LF-05", "subject": "app1", "title": "tries"},
    ],
    "left": [
        {
            "check": "LNX-IP-17B",
            "subject": "app1",
            "title": "ssh",
            "kind": "unset",
            "reason": "变量 harden_ssh",
        },
        {"check": "LNX-AC-05", "subject": "app1", "title": "files", "kind": "manual", "reason": "由人处理"},
        {
            "check": "LNX-AC-06",
            "subject": "app1",
            "title": "folders",
            "kind": "unnamed",
            "reason": "没有点名",
        },
    ],
}
HOST = {
    "not_possible": [
        {
            "checks": "LNX-IP-16G",
            "subject": "/var/tmp",
            "reason": "/var/tmp has no file system of its own",
            "kind": "host",
        }
    ],
    "next_start": ["the command line"],
}
TOLD: list[tuple[str, str, dict[str, Any]]] = [("app1", "harden_plan", PLAN), ("app1", "desired_state", HOST)]
AFTER = {
    "app1": [
        finding(id="LNX-AC-12", verdict="fail"),
        finding(id="LNX-LF-05", verdict="pass"),
        finding(id="LNX-IP-16G", verdict="fail"),
    ]
}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_everything_that_was_left_has_its_reason(language: Literal["zh", "en"]) -> None:
    left = collect(TOLD, AFTER, language)
    assert {(one.check, one.kind) for one in left} == {
        ("LNX-IP-17B", "unset"),
        ("LNX-AC-05", "manual"),
        ("LNX-AC-06", "unnamed"),
        ("LNX-IP-16G", "host"),
        ("LNX-AC-12", "still"),
        ("", "next_start"),
    }
    own = [one.reason for one in left if one.kind in ("host", "still", "next_start")]
    assert all(bool(re.search("[一-鿿]", text)) == (language == "zh") for text in own)
    assert next(one for one in left if one.kind == "host").title == "/var/tmp"


def test_a_reason_of_a_host_is_said_in_chinese() -> None:
    reasons = {one.kind: one.reason for one in collect(TOLD, AFTER, "zh")}
    assert reasons["host"] == "本机做不到：/var/tmp 没有单独的文件系统"


def test_what_was_not_asked_for_is_counted_and_not_listed() -> None:
    kinds = [kind for _host, kind, _reason, _checks in grouped(collect(TOLD, AFTER, "zh"))]
    assert sorted(kinds) == ["host", "manual", "next_start", "still", "unset"]


def test_an_undo_says_what_waits_for_a_start() -> None:
    (one,) = collect([("app1", "restore_point", {"next_start": ["it stays"]})], {}, "en")
    assert (one.kind, one.reason.endswith(": it stays")) == ("next_start", True)


def test_a_run_that_hardens_nothing_leaves_nothing() -> None:
    assert collect([], AFTER, "zh") == []


def test_the_change_document_lists_what_was_left() -> None:
    made = record(left=collect(TOLD, AFTER, "zh"))
    table = change.build_context(None, [], made, language="zh")["done"]["left"]
    assert "另有 1 处" in table.sentence
    assert {row["checks"] for row in table.rows} >= {"LNX-IP-17B", "LNX-AC-05", "—"}
