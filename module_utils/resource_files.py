"""Resources that are files: whole ones, settings in them, rights of them."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import stat
from typing import Any, Mapping, Optional, Sequence, Tuple

from ansible.module_utils.resource import HEADER, Difference, NotPossibleError, outside, read_text, then_of
from ansible.module_utils.restore_engine import opened, write_file


def a_file(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{path, content | absent, mode, owner, group, then, check}: a whole file."""
    path = resource["path"]
    there = read_text(path)
    if resource.get("absent"):
        if there is None and not os.path.lexists(path):
            return None
        return Difference(
            path, "there", "absent", lambda: os.unlink(path), outside(path), then=then_of(resource)
        )
    content = resource["content"]
    mode = int(resource.get("mode", "0644"), 8)
    uid, gid = _owner(resource.get("owner", "root")), _group(resource.get("group", "root"))
    if there == content and _has(path, mode, uid, gid):
        return None

    def apply() -> None:
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            os.makedirs(folder, 0o755)
        write_file(path, content.encode("utf-8", "surrogateescape"), mode, uid, gid)

    return Difference(
        path,
        there if there is not None else "",
        content,
        apply,
        outside(path),
        then=then_of(resource),
        check=tuple(resource.get("check", ())),
    )


def _has(path: str, mode: int, uid: int, gid: int) -> bool:
    status = os.stat(path)
    return (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (mode, uid, gid)


def _owner(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise NotPossibleError(f"there is no account {name}") from None


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise NotPossibleError(f"there is no group {name}") from None


def a_setting(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{path, key, value, style, mode, then, check}: lines of a configuration file, all others untouched.

    style: `space` (KEY VALUE), `equals` (KEY=VALUE), `spaced` (KEY = VALUE), `word` (KEY alone). A new file gets
    a header.
    """
    path = resource["path"]
    before = read_text(path)
    after = with_settings(before, resource["settings"], resource.get("header", HEADER))
    if before == after:
        return None
    mode, uid, gid = int(resource.get("mode", "0644"), 8), 0, 0
    if before is not None:
        status = os.stat(path)
        mode, uid, gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    whole = {
        "path": path,
        "content": after,
        "mode": "%04o" % mode,
        "then": resource["then"],
        "check": resource.get("check", ()),
    }
    difference = a_file(whole)
    if difference is None:
        return None

    def apply() -> None:
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            os.makedirs(folder, 0o755)
        write_file(path, after.encode("utf-8", "surrogateescape"), mode, uid, gid)

    return difference._replace(apply=apply)


_STYLES = {"space": "{} {}", "equals": "{}={}", "spaced": "{} = {}", "word": "{}"}


def with_settings(text: Optional[str], settings: Sequence[Tuple[str, str, str]], header: str = HEADER) -> str:
    """The text with these settings: the last line of a key takes the value, others of it go, a new key comes last."""
    lines = (header if text is None else text).splitlines()
    for key, value, style in settings:
        wanted = _STYLES[style].format(key, value)
        spelled = r"\s+".join(map(re.escape, key.split()))
        mine = re.compile(rf"\s*{spelled}\s*([\s=:]|$)", re.IGNORECASE if style == "space" else 0)
        places = [number for number, line in enumerate(lines) if mine.match(line)]
        if places and lines[places[-1]].split("#")[0].split() == wanted.split() and len(places) == 1:
            continue
        for number in reversed(places[:-1]):
            del lines[number]
        if places:
            lines[places[-1] - len(places) + 1] = wanted
        else:
            lines.append(wanted)
    return "\n".join(lines) + "\n"


def a_mode(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{path, mode, owner, group}: no more rights than these; rights that are already narrower stay."""
    path = resource["path"]
    try:
        with opened(path) as descriptor:
            status = os.fstat(descriptor)
    except OSError:
        return None  # gone, or a link
    uid = _owner(resource["owner"]) if "owner" in resource else status.st_uid
    gid = _group(resource["group"]) if "group" in resource else status.st_gid
    now, mode = stat.S_IMODE(status.st_mode), _narrowed(status, resource)
    if (now, status.st_uid, status.st_gid) == (mode, uid, gid):
        return None

    def apply() -> None:
        # Of the file that is open, and from its own mode: an account may exchange what it owns at any moment. What it has
        # taken away is left: nobody shall be able to stop a whole change with a file of his own.
        with contextlib.ExitStack() as stack:
            try:
                descriptor = stack.enter_context(opened(path))
            except OSError:
                return
            there = os.fstat(descriptor)
            if (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino):
                os.fchown(descriptor, uid, gid)
                os.fchmod(descriptor, _narrowed(there, resource))

    return Difference(
        path,
        "%04o %d:%d" % (now, status.st_uid, status.st_gid),
        "%04o %d:%d" % (mode, uid, gid),
        apply,
        rights=outside(path),
    )


def _narrowed(status: os.stat_result, resource: Mapping[str, Any]) -> int:
    mode = stat.S_IMODE(status.st_mode)
    mode = mode & int(resource["mode"], 8) if "mode" in resource else mode
    return mode | int(resource.get("set", "0"), 8)  # a bit that must be there, as the sticky one


def a_home(resource: Mapping[str, Any]) -> Optional[Difference]:
    """{name, mode}: the home folder of an account, with no more rights than these and its own owner."""
    try:
        entry = pwd.getpwnam(resource["name"])
    except KeyError:
        return None
    return a_mode({"path": entry.pw_dir, "mode": resource["mode"], "owner": entry.pw_name})
