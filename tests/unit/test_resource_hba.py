"""pg_hba.conf: all edits at once, from the last line to the first; whoever has a session comes in still."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.resource_hba import edited
from ansible.module_utils.resource_postgresql import elements, with_element

LINES = [
    "local all postgres peer",
    "nonsense",
    "host all all 0.0.0.0/0 md5",
    "hostssl his app 0.0.0.0 0.0.0.0 scram-sha-256 clientcert=verify-ca",
    "host replication all 10.0.0.0/8 md5",
]
CLIENTS = [("app", "10.0.0.5", "f"), ("postgres", "127.0.0.1", "f")]
OFF = "# taken out by the maintenance runbook harden: "


def after(*edits: dict[str, Any], clients: list[tuple[str, ...]] = CLIENTS) -> tuple[list[str], list[str]]:
    lines, refused = edited(
        LINES, [{"file": "pg_hba.conf", **edit} for edit in edits], "pg_hba.conf", clients
    )
    return lines, [reason for reason, _kind in refused]


def test_several_lines_change_in_one_go() -> None:
    lines, refused = after(
        {"line": 2, "broken": True}, {"line": 3, "method": "scram-sha-256"}, {"line": "3", "type": "hostssl"}
    )
    assert lines == [LINES[0], OFF + "nonsense", "hostssl all all 0.0.0.0/0 scram-sha-256", *LINES[3:]]
    assert refused == []


def test_a_rule_for_every_address_becomes_one_for_each_network() -> None:
    networks = ["10.0.0.0/24", "10.9.0.0/24", "2001:db8::/64"]
    lines, _ = after({"line": 3, "networks": networks}, {"line": 4, "networks": networks})
    assert lines[2:6] == [
        "host all all 10.0.0.0/24 md5",
        "host all all 10.9.0.0/24 md5",
        "hostssl his app 10.0.0.0/24 scram-sha-256 clientcert=verify-ca",
        "hostssl his app 10.9.0.0/24 scram-sha-256 clientcert=verify-ca",
    ]
    assert lines[6] == LINES[4]


def test_a_session_from_elsewhere_refuses_it_and_the_rest_is_done() -> None:
    lines, refused = after({"line": 3, "networks": ["10.9.0.0/24"]}, {"line": 2, "broken": True})
    assert lines[1:3] == [OFF + "nonsense", LINES[2]]
    assert "10.0.0.5" in refused[0]


def test_a_role_is_refused_once_before_the_first_line_and_apart_for_replication() -> None:
    lines, _ = after(*({"line": number, "rejects": "postgres"} for number in (3, 4, 5)))
    assert lines == [
        *LINES[:2],
        "host all postgres all reject",
        *LINES[2:4],
        "host replication postgres all reject",
        LINES[4],
    ]


def test_a_role_that_is_there_from_afar_is_not_refused() -> None:
    lines, refused = after({"line": 3, "rejects": "app"})
    assert lines == LINES
    assert "app has sessions from 10.0.0.5" in refused[0]


def test_narrowing_and_refusing_the_same_line_do_both() -> None:
    lines, _ = after({"line": 3, "rejects": "postgres"}, {"line": 3, "networks": ["10.0.0.0/8"]})
    assert lines[2:4] == ["host all postgres all reject", "host all all 10.0.0.0/8 md5"]


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        ({"line": 99, "method": "md5"}, "no line 99"),
        ({"line": 3, "method": "md5", "file": "more.conf"}, "which pg_hba.conf includes"),
        ({"line": 3, "networks": ["10.0.0.0/33"]}, "10.0.0.0/33"),
    ],
)
def test_what_cannot_be_done_is_named(edit: dict[str, Any], why: str) -> None:
    lines, refused = after(edit)
    assert lines == LINES
    assert why in refused[0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", "a"), ("a", "a"), ('b, "c d"', "b, c d, a"), ("b,a", "b,a")],
)
def test_a_list_gets_an_element_once(value: str, expected: str) -> None:
    assert with_element(value, "a") == expected
    assert with_element(expected, "a") == expected
    assert "a" in elements(expected)
