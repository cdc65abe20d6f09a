"""How a run is judged: nothing processed, nothing lost and nothing unreachable ever counts as a success."""

from __future__ import annotations

import pytest

from maintenance.build import _reached, judge_outcome
from maintenance.execution import Result
from maintenance.record import Events, Step

FINE = {"ok": 3, "changed": 0, "failed": 0, "unreachable": 0, "skipped": 0, "rescued": 0}


def result(**changes: object) -> Result:
    events = Events(expected=9, seen=9, missing=[], sha256="0" * 64)
    return Result(**{"rc": 0, "stats": {"a": dict(FINE), "b": dict(FINE)}, "events": events, **changes})  # type: ignore[arg-type]


def step(host: str, kind: str, message: str) -> Step:
    return Step(host=host, task="t", at="x:1", result=kind, started="", duration_ms=1, message=message)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "expected", "outcome", "why"),
    [
        (result(), ["a", "b"], "succeeded", "2 of 2"),
        (result(), ["a", "b", "c"], "incomplete", "nothing was done on c"),
        (result(stats={}), ["a"], "incomplete", "nothing was done on a"),
        (result(stats={}), [], "failed", "no host was processed"),
        (result(cancelled=True), ["a", "b"], "cancelled", "cancelled"),
        (result(problem="engine died"), ["a", "b"], "incomplete", "engine died"),
        (result(rc=2), ["a", "b"], "failed", "code 2"),
        (
            result(
                rc=2,
                stats={"a": FINE | {"failed": 1}, "b": dict(FINE)},
                steps=[step("a", "failed", "no space")],
            ),
            ["a", "b"],
            "failed",
            "failed on a: no space",
        ),
        (
            result(
                rc=4,
                stats={"a": FINE | {"ok": 0, "unreachable": 1}, "b": dict(FINE)},
                steps=[step("a", "unreachable", "timed out")],
            ),
            ["a", "b"],
            "unreachable",
            "not reached: a: timed out",
        ),
        (
            result(events=Events(expected=9, seen=8, missing=[5], sha256="0" * 64)),
            ["a", "b"],
            "incomplete",
            "1 events were lost: 5",
        ),
    ],
)
def test_the_outcome_follows_from_what_the_run_told(
    told: Result, expected: list[str], outcome: str, why: str
) -> None:
    assert judge_outcome(told, expected)[0] == outcome
    assert why in judge_outcome(told, expected)[1]


def test_a_refusal_comes_before_everything() -> None:
    assert judge_outcome(result(), ["a"], "no receipt") == ("refused", "no receipt")


def test_a_host_is_not_reached_by_what_was_only_checked_here() -> None:
    """The arguments of a role are validated on this machine; that is `ok` for a host without power, too."""
    stats = {"dead": FINE | {"ok": 2, "unreachable": 1}, "cut": FINE | {"unreachable": 1}, "well": dict(FINE)}
    told = result(stats=stats, answered={"cut", "well"})
    assert _reached(told) == ["cut", "well"]
