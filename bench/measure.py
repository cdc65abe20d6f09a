"""Timing of commands, and the table of ratios. Pure but for `seconds` and `Cost`."""

from __future__ import annotations

import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One comparison: ours beside something named, both as medians of the same run."""

    what: str
    ours: float
    other: float
    against: str
    aim: float | None  # the ratio that is wanted at most
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """Ours divided by the other."""
        return self.ours / self.other

    def text(self) -> str:
        """The line as it is printed."""
        aim = (
            "no aim"
            if self.aim is None
            else f"aim {self.aim:g}, {'met' if self.ratio <= self.aim else 'MISSED'}"
        )
        return (
            f"{self.what:<52} {self.ours:>8.3f} {self.unit}  {self.ratio:>7.3f} x "
            f"{self.against} ({self.other:.3f} {self.unit})  {aim}"
        )


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds of a piece of work and its child processes on this machine."""

    wall: float
    cpu: float


def cost(work: Callable[[], object]) -> Cost:
    """Do the work once."""
    before, started = _cpu(), time.monotonic()
    work()
    return Cost(time.monotonic() - started, _cpu() - before)


def alternate(rounds: int, **works: Callable[[], object]) -> dict[str, Cost]:
    """Do each work in turn, several times, so that a slow moment of the machine hits all of them; medians."""
    seen: dict[str, list[Cost]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seen[name].append(cost(work))
    return {name: median(costs) for name, costs in seen.items()}


def median(costs: Sequence[Cost]) -> Cost:
    """Median wall and median CPU."""
    return Cost(statistics.median(one.wall for one in costs), statistics.median(one.cpu for one in costs))


def command(
    arguments: Sequence[str], *, data: bytes | None = None, codes: Sequence[int] = (0,), **options: object
) -> bytes:
    """Run a command for its cost; a code that is not expected stops the benchmark."""
    done = subprocess.run(list(arguments), input=data, capture_output=True, **options)  # type: ignore[call-overload]
    if done.returncode not in codes:
        raise RuntimeError(
            f"{' '.join(arguments)[:200]} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]!r}"
        )
    return bytes(done.stdout)


def _cpu() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
