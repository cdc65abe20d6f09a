"""Probes that hang, die or say too much cost themselves and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.snapshot_lanes import supervise

FOLDER = Path(__file__).parent.parent.parent / "module_utils"


def work(name: str) -> Any:
    """A probe for each way to go wrong."""
    if name == "sleeps":
        time.sleep(60)
    if name == "ignores":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        time.sleep(60)
    if name == "dies":
        os._exit(9)
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "large":
        return "x" * 3_000_000
    return {"name": name}


def test_every_name_is_answered_in_its_lane() -> None:
    answers, silent = supervise([["a", "b"], ["c"], []], work, lambda _name: 5.0, 10.0)
    assert answers == {name: {"name": name} for name in "abc"}
    assert silent == {}


@pytest.mark.parametrize("bad", ["sleeps", "ignores", "dies", "killed"])
def test_one_bad_probe_costs_its_own_answer_only(bad: str) -> None:
    started = time.monotonic()
    answers, silent = supervise([["a", bad, "b"], ["c"]], work, lambda _name: 0.3, 10.0)
    assert sorted(answers) == ["a", "b", "c"]
    assert list(silent) == [bad]
    assert time.monotonic() - started < 2.0


def test_the_reason_says_how_long_was_waited() -> None:
    _answers, silent = supervise([["sleeps"]], work, lambda _name: 0.2, 10.0)
    assert silent == {"sleeps": "no answer within 0.2 s"}


def test_the_whole_ends_in_time_and_names_what_was_not_begun() -> None:
    started = time.monotonic()
    answers, silent = supervise([["a", "sleeps", "b", "c"]], work, lambda _name: 30.0, 0.5)
    assert time.monotonic() - started < 1.5
    assert sorted(answers) == ["a"]
    assert silent["sleeps"] == "no answer when the whole time limit was over"
    assert silent["b"] == silent["c"] == "not begun: the time limit of 0.5 s was over"


def test_answers_larger_than_a_pipe_arrive_whole() -> None:
    answers, _silent = supervise([["large"]], work, lambda _name: 5.0, 10.0)
    assert len(answers["large"]) == 3_000_000


def test_a_lane_may_have_lanes_of_its_own() -> None:
    def outer(_name: str) -> Any:
        answers, silent = supervise([["a", "sleeps", "b"]], work, lambda _name: 0.2, 5.0)
        return [sorted(answers), silent]

    answers, silent = supervise([["outer"]], outer, lambda _name: 5.0, 10.0)
    assert answers["outer"] == [["a", "b"], {"sleeps": "no answer within 0.2 s"}]
    assert silent == {}


def test_no_process_is_left_behind() -> None:
    before = children()
    supervise([["sleeps"], ["ignores"], ["dies"]], work, lambda _name: 0.2, 5.0)
    assert children() <= before


def children() -> set[str]:
    """Processes of this one, the dead that nobody has waited for among them."""
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


def test_a_child_that_cannot_be_killed_does_not_keep_the_callers_output_open() -> None:
    """ssh and Ansible wait until standard output is closed: a hung child must not hold it."""
    program = f"""
import sys, time
sys.path.insert(0, {str(FOLDER)!r})
import signal, snapshot_lanes, os
def work(name):
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(5)
snapshot_lanes._signal = lambda pid, number: None   # as if the kernel held it
print(snapshot_lanes.supervise([["x"]], work, lambda name: 0.2, 1.0)[1]["x"])
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "no answer within 0.2 s"
    assert time.monotonic() - started < 3.0


def test_children_end_by_themselves_when_the_parent_is_killed(tmp_path: Path) -> None:
    program = f"""
import sys, time, os
sys.path.insert(0, {str(FOLDER)!r})
import snapshot_lanes
def work(name):
    open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
    time.sleep(60)
snapshot_lanes.supervise([["x"]], work, lambda name: 30, 1.0)
"""
    parent = subprocess.Popen([sys.executable, "-c", program])
    until = time.monotonic() + 5
    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.1)
    parent.kill()
    parent.wait()
    child = int((tmp_path / "pid").read_text())
    while time.monotonic() < until and _runs(child):
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False
