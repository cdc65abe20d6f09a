"""A control group of its own for each host.

Two containers in one control group would see each other's services. Where systemd runs, it gives the
group (a scope); elsewhere (an image without systemd, a CI container) the folders are made here.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

PARENTS = ("name=systemd", "", "pids", "memory", "cpu")

# Runs in the child: enter every group that was made, then become the command.
ENTER = 'n=$1; shift; for _ in $(seq "$n"); do echo $$ > "$1/cgroup.procs"; shift; done; exec "$@"'


def inside(scope: str, argv: list[str]) -> list[str]:
    """The command that runs another one in the control group of that name."""
    if Path("/run/systemd/system").is_dir():
        start = ["systemd-run", "--quiet", "--collect", "--scope", "--property=Delegate=yes"]
        return [*start, f"--unit={scope}", *argv]
    groups = [parent / scope for parent in parents()]
    for group in groups:
        group.mkdir(exist_ok=True)
    return ["sh", "-c", ENTER, "enter", str(len(groups)), *map(str, groups), *argv]


def parents() -> list[Path]:
    """The folders of our own control groups, one a hierarchy."""
    mounted = hierarchies(Path("/proc/self/mounts").read_text())
    own = memberships(Path("/proc/self/cgroup").read_text())
    return [mounted[name] / own[name] for name in PARENTS if name in mounted and name in own]


def hierarchies(mounts: str) -> dict[str, Path]:
    """Where each hierarchy is mounted, from /proc/self/mounts; the unified one has no name."""
    found: dict[str, Path] = {}
    for line in mounts.splitlines():
        _, point, kind, options, *_ = line.split(" ")
        if kind == "cgroup2":
            found[""] = Path(point)
        elif kind == "cgroup":
            found.update({option: Path(point) for option in options.split(",") if option in PARENTS})
    return found


def memberships(own: str) -> dict[str, str]:
    """Our folder in each hierarchy, from /proc/self/cgroup."""
    found: dict[str, str] = {}
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        found.update({name: path.lstrip("/") for name in controllers.split(",")})
    return found


def members(scope: str) -> list[int]:
    """The processes of a control group and its children."""
    pattern = re.compile(rf":[^\n]*/{re.escape(scope)}(/|$)", re.MULTILINE)
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            groups = (entry / "cgroup").read_text()
        except OSError:
            continue
        if pattern.search(groups):
            found.append(int(entry.name))
    return found


def remove(scope: str) -> None:
    """Remove the empty folders of a control group; systemd removes its own."""
    for point in hierarchies(Path("/proc/self/mounts").read_text()).values():
        # os.walk forgives folders that vanish under it: hosts come and go at the same time.
        for folder, _, _ in os.walk(point, topdown=False):
            if scope in Path(folder).parts:
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
