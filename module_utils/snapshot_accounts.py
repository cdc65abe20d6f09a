"""Probes of accounts: users, passwords' states (never a hash), groups, logins."""

from __future__ import annotations

import stat
import struct
import time
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from ansible.module_utils.snapshot_host import Host, UnreadError
from ansible.module_utils.snapshot_text import bounded, epoch, instant, integer, present

_MAXIMUM = 2000
_NO_SHELL = ("nologin", "false", "sync", "halt", "shutdown", "true", "git-shell")
_ALGORITHMS = {
    "1": "md5", "2": "bcrypt", "2a": "bcrypt", "2b": "bcrypt", "2y": "bcrypt", "3": "nt", "5": "sha256", "6": "sha512",
    "7": "scrypt", "y": "yescrypt", "gy": "gost-yescrypt", "md5": "sunmd5", "sm3": "sm3",
}  # fmt: skip
_ADMIN_GROUPS = ("sudo", "wheel", "admin", "root")
_DAY = 86400


def accounts(host: Host) -> Dict[str, Any]:
    """Users with the state of their passwords, groups, last logins. What is a hash is never kept."""
    users, foreign = parse_passwd(host.read("/etc/passwd"))
    groups = parse_group(host.read("/etc/group"))
    with host.noting("password"):
        states = parse_shadow(host.read("/etc/shadow"))
        for user in users:
            user["password"] = states.get(user["name"], {"state": "none"})
    with host.noting("last_login"):
        last = _last_logins(host, users)
        for user in users:
            user.update(present(last_login=instant(last.get(user["uid"]))))
    for user in users:
        user["groups"] = sorted(group["name"] for group in groups if _member(user, group))
        user["administrator"] = user["uid"] == 0 or bool(set(user["groups"]) & set(_ADMIN_GROUPS))
        user.update(_home(host, user))
    return {
        **bounded("users", users, _MAXIMUM),
        **bounded("groups", groups, _MAXIMUM),
        "uid_zero": [user["name"] for user in users if user["uid"] == 0],
        "duplicate_names": _repeated(user["name"] for user in users),
        "duplicate_uids": _repeated(str(user["uid"]) for user in users),
        "unshadowed": [user["name"] for user in users if not user["shadowed"]],
        "directory_entries": foreign,
    }


def parse_passwd(text: str) -> Tuple[List[Dict[str, Any]], int]:
    """The users of /etc/passwd, and how many lines only refer to a directory service (+, -)."""
    users, foreign = [], 0
    for line in text.splitlines():
        fields = line.split(":")
        if line.startswith(("+", "-")):
            foreign += 1
            continue
        if len(fields) < 7 or not fields[2].isdecimal() or not fields[3].isdecimal():
            continue
        shell = fields[6].strip()
        users.append(
            {
                "name": fields[0],
                "uid": int(fields[2]),
                "gid": int(fields[3]),
                "home": fields[5],
                "shell": shell,
                "login": shell.rsplit("/", 1)[-1] not in _NO_SHELL,
                "shadowed": fields[1] in ("x", "*", "!", "!!"),
            }
        )
    return users, foreign


def parse_group(text: str) -> List[Dict[str, Any]]:
    """The groups of /etc/group."""
    rows = (line.split(":") for line in text.splitlines())
    return [
        {"name": row[0], "gid": int(row[2]), "members": [name for name in row[3].strip().split(",") if name]}
        for row in rows
        if len(row) >= 4 and row[2].isdecimal()
    ]


def parse_shadow(text: str) -> Dict[str, Dict[str, Any]]:
    """State, algorithm and ages by user. The second field is looked at and dropped."""
    found = {}
    for line in text.splitlines():
        fields = (line.split(":") + [""] * 9)[:9]
        state, algorithm = password_state(fields[1])
        changed, expires = integer(fields[2]), integer(fields[7])
        found[fields[0]] = present(
            state=state,
            algorithm=algorithm,
            changed=instant(changed * _DAY) if changed else None,
            must_change=True if fields[2] == "0" else None,
            minimum_days=integer(fields[3]),
            maximum_days=integer(fields[4]),
            warning_days=integer(fields[5]),
            inactive_days=integer(fields[6]),
            account_expires=instant(expires * _DAY) if expires is not None else None,
        )
    return found


def password_state(field: str) -> Tuple[str, Optional[str]]:
    """(empty | locked | none | set, name of the algorithm): all that may leave this function."""
    if field == "":
        return "empty", None
    body = field.lstrip("!*")
    if not body or body in ("LK", "NP"):
        return ("locked" if field.startswith("!") and field not in ("!", "!!", "!*") else "none"), None
    parts = body.split("$")
    if len(parts) >= 3 and parts[0] == "":
        algorithm = _ALGORITHMS.get(parts[1], "unknown")
    else:
        algorithm = "des" if len(body) == 13 else "unknown"
    return ("locked" if field.startswith(("!", "*")) else "set"), algorithm


def _member(user: Dict[str, Any], group: Dict[str, Any]) -> bool:
    return group["gid"] == user["gid"] or user["name"] in group["members"]


def _repeated(values: Iterator[str]) -> List[str]:
    seen: Set[str] = set()
    twice: Set[str] = set()
    for value in values:
        (twice if value in seen else seen).add(value)
    return sorted(twice)


def _home(host: Host, user: Dict[str, Any]) -> Dict[str, Any]:
    """Mode of a person's home folder, and whether it is theirs."""
    if not user["login"] or not user["home"].startswith("/") or user["home"] == "/":
        return {}
    try:
        status = host.status(user["home"])
    except UnreadError:
        return {}
    return {"home_mode": "%04o" % stat.S_IMODE(status.st_mode), "home_owned": status.st_uid == user["uid"]}


def _last_logins(host: Host, users: List[Dict[str, Any]]) -> Dict[int, float]:
    if host.exists("/var/lib/lastlog/lastlog2.db"):
        return _lastlog2(
            host.root + "/var/lib/lastlog/lastlog2.db", {user["name"]: user["uid"] for user in users}
        )
    size = struct.calcsize("=I32s256s")
    found = {}
    status = host.status("/var/log/lastlog")
    try:
        with open(host.root + "/var/log/lastlog", "rb") as file:
            for user in users:
                if (
                    user["uid"] + 1
                ) * size <= status.st_size:  # the file is sparse: one record is read at its place
                    file.seek(user["uid"] * size)
                    seconds = struct.unpack("=I32s256s", file.read(size))[0]
                    if seconds:
                        found[user["uid"]] = float(seconds)
    except OSError as error:
        raise host.reason(error, "/var/log/lastlog") from None
    return found


def _lastlog2(path: str, uids: Dict[str, int]) -> Dict[int, float]:
    try:
        import sqlite3
    except ImportError:
        raise UnreadError("this Python cannot read lastlog2.db (no sqlite3)") from None
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
        rows = connection.execute("SELECT Name, Time FROM Lastlog2").fetchall()
        connection.close()
    except sqlite3.Error as error:
        raise UnreadError(f"lastlog2.db: {error}") from None
    return {uids[name]: float(when) for name, when in rows if name in uids and when}


def logins(host: Host) -> Dict[str, Any]:
    """Sessions that are open, and failed logins since the given instant (counts; no address leaves here)."""
    since = epoch(host.parameters.get("since") or "") or time.time() - 92 * _DAY
    found: Dict[str, Any] = {"since": instant(since)}
    with host.noting("sessions"):
        records = list(parse_utmp(host.read_bytes("/run/utmp")))
        found["sessions"] = [{"user": user, "since": instant(at)} for kind, user, at in records if kind == 7][
            :200
        ]
    with host.noting("failed"):
        data = host.read_bytes("/var/log/btmp", 1 << 23)
        recent = [user for _kind, user, at in parse_utmp(data) if at >= since]
        names = sorted(set(recent), key=recent.count, reverse=True)[:5] if len(recent) < 5000 else []
        found["failed"] = {
            "count": len(recent),
            "names": len(set(recent)),
            "top": [recent.count(name) for name in names],
        }
    return found


def parse_utmp(data: bytes) -> Iterator[Tuple[int, str, float]]:
    """(kind, user, seconds) of the records of utmp, wtmp or btmp."""
    layout = struct.Struct("=hxxi32s4s32s256shhiii4i20s")
    for start in range(0, len(data) - layout.size + 1, layout.size):
        record = layout.unpack_from(data, start)
        yield record[0], record[4].split(b"\0")[0].decode("utf-8", "replace"), float(record[9] & 0xFFFFFFFF)


PROBES = {"accounts": accounts, "logins": logins}
