"""A line that was sent is found where it is, in time, and never in what was only asked for it."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SPEC = importlib.util.spec_from_file_location("log_delivery", ROOT / "library/log_delivery.py")
assert SPEC is not None and SPEC.loader is not None
delivery: Any = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(delivery)
NONCE = "proof-0123456789abcdef01234567"
LINE = f"Nov 23 10:00:00 db1 maintenance: {delivery._SENTENCE}{NONCE}\n"


def test_the_line_is_found_in_the_file_that_holds_it(tmp_path: Path) -> None:
    for name, text in (("db1", LINE), ("app1", "Nov 23 10:00:00 app1 other: line\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "syslog.log").write_text(text)
    assert delivery.wait_for(NONCE, [f"{tmp_path}/*/*.log"], 0) == f"{tmp_path}/db1/syslog.log"


@pytest.mark.parametrize(
    "text",
    [
        "",
        LINE.replace("0123", "9123"),
        f"python3: ansible-log_delivery Invoked with state=found nonce={NONCE}\n",
    ],
)
def test_what_is_not_the_line_is_not_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.log").write_text(text)
    assert delivery.wait_for(NONCE, [f"{tmp_path}/*.log", f"{tmp_path}/none"], 0) == ""


def test_only_the_end_of_what_was_written_just_now_is_read(tmp_path: Path) -> None:
    old, long = tmp_path / "old.log", tmp_path / "long.log"
    old.write_text(LINE)
    os.utime(old, (1, 1))
    long.write_text(LINE + "x" * (delivery._TAIL + 1))
    assert delivery.wait_for(NONCE, [f"{tmp_path}/*.log"], 0) == ""
    long.write_text("x" * (delivery._TAIL + 1) + LINE)
    assert delivery.wait_for(NONCE, [f"{tmp_path}/*.log"], 0) == str(long)


def test_it_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.log"
    monkeypatch.setattr(delivery.time, "sleep", lambda _seconds: path.write_text(LINE))
    assert delivery.wait_for(NONCE, [str(path)], 60) == str(path)
