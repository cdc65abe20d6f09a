"""The table of ratios says what it compares and whether the aim is met."""

from __future__ import annotations

import pytest

from bench.measure import Cost, Line, alternate, command, median


@pytest.mark.parametrize(
    ("ours", "other", "aim", "says"), [(1, 4, 0.5, "met"), (3, 4, 0.5, "MISSED"), (1, 2, 0.5, "met")]
)
def test_a_line_says_whether_its_aim_is_met(ours: float, other: float, aim: float, says: str) -> None:
    text = Line("inspection", ours, other, "the floor", aim).text()
    assert text.endswith(says)
    assert "the floor" in text


def test_a_line_without_an_aim_claims_nothing() -> None:
    assert Line("x", 1, 2, "y", None).text().endswith("no aim")


def test_medians_are_taken_of_wall_and_cpu_apart() -> None:
    assert median([Cost(1, 9), Cost(2, 1), Cost(9, 2)]) == Cost(2, 2)


def test_works_take_turns() -> None:
    done: list[str] = []
    alternate(2, a=lambda: done.append("a"), b=lambda: done.append("b"))
    assert done == ["a", "b", "a", "b"]


def test_a_command_that_fails_stops_the_benchmark() -> None:
    assert command(["echo", "x"]) == b"x\n"
    with pytest.raises(RuntimeError, match="ended with 1"):
        command(["false"])
