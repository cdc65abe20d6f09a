"""Taking a confirmed change back: only what it changed, and nothing that somebody has changed since.

The files of accounts are taken back line by line: a hospital adds people between a hardening and its undo, and whoever
was added stays. A line that was changed by both is nobody's to decide here.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible.module_utils.restore_engine import (
    Manifest,
    Point,
    RestoreError,
    another,
    ask_programs,
    differences,
    go_back,
    kept,
    plain,
    programs_state,
    running,
    write_file,
)

BY_LINE = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow")
# What the tools keep of the file before their last change: it belongs to whoever made that one.
_COPIES = tuple(path + "-" for path in BY_LINE)
_GID = 3  # the field of a passwd line


def undo(point: Point, force: bool = False) -> List[str]:
    """Take a confirmed change back; returns the paths. Refused where what it changed was changed since."""
    state = point.meta["state"]
    if state != "confirmed":
        raise RestoreError(f"restore point {point.name} is {state}: only a confirmed change can be undone")
    before, after = point.read("before.json"), point.read("after.json")
    now = point.capture()
    changed = differences(before, after)
    later = [
        path
        for path in changed
        if kept(now.get(path)) not in (kept(after.get(path)), kept(before.get(path)))
        and not another(path, after, now)
    ]
    merged: Dict[str, bytes] = {}
    # What programs keep, as packages, is theirs to compare.
    refused: List[str] = [name for one in programs_state(point) for name in one["later"] if not force]
    for path in later if not force else []:
        if path in _COPIES:
            changed.remove(path)
        elif path in BY_LINE and _same_rights(before, after, now, path):
            made = _merged(point, before, after, path)
            merged[path] = made.content
            refused += [f"{path} ({name})" for name in made.conflicts]
        else:
            refused.append(path)
    was = point.read("running.json")
    if not force:
        refused += _moved(was, point.read("running_after.json"), running(point.meta["plan"]))
    if refused:
        raise RestoreError(
            f"changed by somebody since: {', '.join(refused[:5])}{' …' if len(refused) > 5 else ''}; look at them, "
            "then undo with harden_force=true"
        )
    if ask_programs(point, point.meta["plan"], "undo"):  # it writes files of /etc as well
        now = point.capture()
        merged = {path: _merged(point, before, after, path).content for path in merged}
    paths = [path for path in changed if kept(now.get(path)) != kept(before.get(path))]
    for path, content in merged.items():
        write_file(path, content, before[path]["mode"], before[path]["uid"], before[path]["gid"])
    problems = go_back(point, before, was, [path for path in paths if path not in merged], False)
    if problems:
        raise RestoreError(f"not wholly restored: {'; '.join(problems[:5])}")
    return paths


def _moved(was: Mapping[str, Any], then: Mapping[str, Any], now: Mapping[str, Any]) -> List[str]:
    """What stands in no file and is neither as before nor as after the change: somebody's work."""
    found = [
        f"{what[:-1]} {name}"
        for what in ("sysctls", "units", "mounts")
        for name, value in now.get(what, {}).items()
        if plain(value) not in (plain(was[what].get(name)), plain(then[what].get(name)))
    ]
    if now["firewall"] not in (was["firewall"], then["firewall"]):
        found.append("the firewall's rules in force")
    if "audit" in now and now["audit"] not in (was.get("audit"), then.get("audit")):
        found.append("the audit rules in force")
    return found


def _merged(point: Point, before: Manifest, after: Manifest, path: str) -> Merged:
    """A file of accounts as it is, without the lines of the change."""
    kept_lines = (_lines(point, one.get(path)) for one in (before, after))
    return merge(*kept_lines, _now(path), _used_groups(path))


def _same_rights(before: Manifest, after: Manifest, now: Manifest, path: str) -> bool:
    """Whether all three are files, and nobody has changed the rights since: those alone come back with the lines."""
    entries = [one.get(path, {}) for one in (before, after, now)]
    if any(entry.get("type") != "file" or entry.get("flags") or entry.get("xattrs") for entry in entries):
        return False
    rights = [(entry["mode"], entry["uid"], entry["gid"]) for entry in entries]
    return rights[2] in rights[:2]


def _lines(point: Point, entry: Optional[Mapping[str, Any]]) -> List[str]:
    with open(
        os.path.join(point.blobs, (entry or {})["sha256"]), encoding="utf-8", errors="surrogateescape"
    ) as file:
        return file.read().splitlines()


def _now(path: str) -> List[str]:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read().splitlines()


def _used_groups(path: str) -> Sequence[str]:
    """The numbers of groups that accounts belong to: such a group is not taken away."""
    if path != "/etc/group":
        return ()
    return [
        fields[_GID] for fields in (line.split(":") for line in _now("/etc/passwd")) if len(fields) > _GID
    ]


class Merged(NamedTuple):
    """A file with the change taken out of it, and the names whose lines were changed since."""

    content: bytes
    conflicts: List[str]


def merge(
    before: Sequence[str], after: Sequence[str], now: Sequence[str], used_groups: Sequence[str] = ()
) -> Merged:
    """The lines of now, of which those that the change touched are what they were before it."""
    was, made, there = (_by_name(lines) for lines in (before, after, now))
    if was is None or made is None or there is None:
        return Merged(b"", ["a name that stands there twice"])
    touched = [name for name in {**was, **made} if was.get(name) != made.get(name)]
    conflicts = [name for name in touched if there.get(name) not in (made.get(name), was.get(name))]
    for name in touched:  # a group that the change has made and that is somebody's own by now
        fields = there.get(name, "").split(":")
        if name not in was and len(fields) > 2 and fields[2] in used_groups:
            conflicts.append(name)
    result = [
        was.get(name, "") if name in touched else line
        for name, line in _named(now)
        if name not in touched or name in was
    ]
    result += [was[name] for name in touched if name in was and name not in there]
    text = "".join(line + "\n" for line in result)
    return Merged(text.encode("utf-8", "surrogateescape"), sorted(set(conflicts)))


def _named(lines: Sequence[str]) -> List[Any]:
    return [(line.split(":")[0], line) for line in lines]


def _by_name(lines: Sequence[str]) -> Optional[Dict[str, str]]:
    """The lines by the name in their first field; none where a name stands there twice."""
    named = _named(lines)
    found = dict(named)
    return found if len(found) == len(named) else None
