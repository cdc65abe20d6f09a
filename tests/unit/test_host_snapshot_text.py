"""Texts from a host: nothing acts on a terminal or in a document, nothing secret stays."""

from __future__ import annotations

import datetime
import json
import unicodedata

import pytest
from ansible.module_utils import snapshot_text as text
from hypothesis import given
from hypothesis import strategies as st

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.text() | st.text(alphabet=st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF)))
def test_a_visible_text_has_no_control_character_and_can_be_written(value: str) -> None:
    shown = text.visible(value)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    shown.encode()


@pytest.mark.parametrize(
    "value, shown",
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\0", "a\\x0ab\\x09c\\x00"),
        ("safe\u202egnp.exe", "safe\\u202egnp.exe"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), "caf\\xe9"),
        ("{{ lookup('pipe', 'id') }}", "{{ lookup('pipe', 'id') }}"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("血液透析", "血液透析"),
    ],
)
def test_what_could_act_is_shown_and_what_is_data_stays(value: str, shown: str) -> None:
    assert text.visible(value) == shown


def test_a_long_text_is_cut_with_a_mark() -> None:
    assert text.visible("x" * 5000) == "x" * 4095 + "…"


@given(PLAIN)
def test_clean_values_are_plain_json_without_loss_of_shape(value: object) -> None:
    cleaned = text.clean(value)
    assert json.loads(json.dumps(cleaned, allow_nan=False)) == cleaned


def test_nesting_without_end_ends() -> None:
    value: list[object] = []
    value.append(value)
    assert json.dumps(text.clean(value)).count("[") < 20


@pytest.mark.parametrize(
    "line, kept",
    [
        ("root=/dev/sda ro quiet", "root=/dev/sda ro quiet"),
        ("luks.key=abc quiet", "luks.key=*** quiet"),
        ("db_password=planted user=x", "db_password=*** user=x"),
        ('api_key: "planted secret" rest', "api_key: *** rest"),
        ("TOKEN='planted' a", "TOKEN=*** a"),
        ("Failed password for root from 192.0.2.1", "Failed password for root from 192.0.2.1"),
    ],
)
def test_values_of_secrets_are_replaced(line: str, kept: str) -> None:
    assert text.without_secrets(line) == kept


@given(st.datetimes(datetime.datetime(1902, 1, 1), datetime.datetime(2200, 1, 1)))
def test_an_instant_is_read_as_it_was_written(moment: datetime.datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=datetime.UTC)
    assert text.epoch(moment.isoformat()) == moment.timestamp()
    assert text.instant(moment.timestamp()) == moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


@pytest.mark.parametrize(
    "written, seconds",
    [
        ("2026-11-22T13:15:04Z", 1795353304),
        ("Sun 2026-11-22 13:15:04 UTC", 1795353304),
        ("2026-11-22T21:15:04+08:00", 1795353304),
        ("2026-11-22 21:15:04.123456+0800", 1795353304),
        ("2026-11-22", 1795305600),
        ("n/a", None),
        ("", None),
        ("2026-13-40", None),
        ("yesterday", None),
    ],
)
def test_instants_of_every_source_are_understood(written: str, seconds: int | None) -> None:
    assert text.epoch(written) == seconds


def test_bounded_lists_say_when_they_were_cut() -> None:
    assert text.bounded("users", range(3), 3) == {"users": [0, 1, 2]}
    assert text.bounded("users", range(4), 3) == {"users": [0, 1, 2], "users_truncated": True}


def test_versions_sort_as_people_do() -> None:
    versions = ["6.1.0-9-amd64", "6.1.0-40-amd64", "5.10.0-30-amd64", "6.1.0-10-amd64"]
    assert sorted(versions, key=text.version_key)[-1] == "6.1.0-40-amd64"
    assert sorted(versions, key=text.version_key)[0] == "5.10.0-30-amd64"


@given(st.lists(st.text(max_size=12), max_size=6))
def test_any_two_versions_can_be_compared(versions: list[str]) -> None:
    ordered = sorted(versions, key=text.version_key)
    assert sorted(ordered, key=text.version_key) == ordered
