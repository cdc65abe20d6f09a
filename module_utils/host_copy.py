"""What a database server is beside its data, kept inside the data directory, so that every backup of it has both.

Run by a timer of the host as `python3 host_copy.py TARGET`, and by module host_copy, which compares a host with a
copy. A backup without it restores rows on a machine that nobody can log into: pg_hba.conf lies in /etc. The repository
encrypts and proves this file with all others, and it goes back in time with them.

Only files that the account of PostgreSQL may read anyway are kept with their contents; of others the name.
"""

from __future__ import annotations

import base64
import contextlib
import glob
import grp
import json
import os
import pwd
import re
import subprocess
import sys
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

NAME = "maintenance_host.json"
SCHEMA = "host-copy/1"
ACCOUNT = "postgres"
# What a rebuild puts in place: it belongs to the database and to nothing of the machine itself.
CARRIED = (
    "/etc/postgresql/**",
    "/etc/sysctl.d/*.conf",
    "/etc/security/limits.d/*.conf",
    "/var/spool/cron/crontabs/postgres",
)
# What is kept and compared, and a person decides on: it may belong to that machine, or be why it failed.
SHOWN = (
    "/etc/cron.d/*",
    "/etc/cron.daily/*",
    "/etc/logrotate.d/postgresql-common",
    "/etc/systemd/system/postgresql*.d/*.conf",
    "/etc/systemd/system/*.service",
    "/etc/systemd/system/*.timer",
    "/etc/nftables.conf",
    "/etc/nftables.d/*",
    "/etc/hosts",
    "/etc/fstab",
    "/var/spool/cron/crontabs/*",
)
# The rebuild itself sets them up on the new server, after the comparison.
_OWN = (
    "/etc/systemd/system/maintenance-host-copy.service",
    "/etc/systemd/system/maintenance-host-copy.timer",
)
_MAXIMUM_BYTES = 256 << 10
# The copy lies where PostgreSQL's account can write, and is put in place by root. So nothing of it may run as root: no
# units, no rotation scripts, and of the kernel's settings only those of memory, shared memory, files and network.
_SYSCTL = re.compile(
    r"(?:[#;].*|-?(?:vm|net)[./][\w./-]+\s*=.*|-?(?:kernel[./](?:shm\w+|sem)|fs[./](?:file-max|aio-max-nr))\s*=.*|)\Z"
)
_OWNERS = (ACCOUNT, "root")
_GROUPS = (ACCOUNT, "root", "crontab")
_SECONDS = 60
_TLS = re.compile(r"(?m)^\s*(ssl_(?:cert|key|ca|crl)_file)\s*=?\s*'([^']+)'")


class CopyError(Exception):
    """Why there is no copy; one line."""


class Kept(NamedTuple):
    """One file."""

    mode: int
    owner: str
    group: str
    contents: Optional[bytes]  # None where only its name may be kept


def files_of(patterns: Sequence[str], root: str = "/") -> List[str]:
    """Regular files below the root that fit, without links, as absolute paths."""
    found = set()
    for pattern in patterns:
        for path in glob.glob(os.path.join(root, pattern.lstrip("/")), recursive=True):
            if os.path.isfile(path) and not os.path.islink(path):
                found.add("/" + os.path.relpath(path, root))
    return sorted(found)


def readable(status: os.stat_result, account: pwd.struct_passwd) -> bool:
    """Whether the account may read a file by itself."""
    if status.st_uid == account.pw_uid:
        return bool(status.st_mode & 0o400)
    if status.st_gid == account.pw_gid:
        return bool(status.st_mode & 0o040)
    return bool(status.st_mode & 0o004)


def take(root: str = "/", account: str = ACCOUNT) -> Dict[str, Any]:
    """The copy of this host."""
    owner = pwd.getpwnam(account)
    files: Dict[str, Any] = {}
    for path in files_of([*CARRIED, *SHOWN], root):
        real = os.path.join(root, path.lstrip("/"))
        status = os.stat(real)
        entry: Dict[str, Any] = {
            "mode": status.st_mode & 0o7777,
            "owner": name_of_user(status.st_uid),
            "group": name_of_group(status.st_gid),
        }
        if readable(status, owner) and status.st_size <= _MAXIMUM_BYTES:
            with open(real, "rb") as file:
                entry["base64"] = base64.b64encode(file.read()).decode()
        files[path] = entry
    return {
        "schema": SCHEMA,
        "host": os.uname().nodename,
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "files": files,
        "packages": packages(),
        "locales": lines(["locale", "-a"]),
        "glibc": os.confstr("CS_GNU_LIBC_VERSION") or "",
        "timers": timers(),
    }


def name_of_user(number: int) -> str:
    """An account's name."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def name_of_group(number: int) -> str:
    """A group's name."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def lines(command: Sequence[str]) -> List[str]:
    """What a command prints; nothing where it does not run."""
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            universal_newlines=True,
            timeout=_SECONDS,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.rstrip() for line in done.stdout.splitlines() if line.strip()]


def packages() -> Dict[str, str]:
    """Installed packages with their versions."""
    told = lines(["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}\t${Package}\t${Version}\n"])
    parts = [line.split("\t") for line in told]
    return {part[1]: part[2] for part in parts if len(part) == 3 and part[0].startswith("ii")}


def timers() -> List[str]:
    """Units that are timers and enabled."""
    told = lines(
        ["systemctl", "list-unit-files", "--type=timer", "--state=enabled", "--no-legend", "--no-pager"]
    )
    return sorted(line.split()[0] for line in told)


def keep(folder: str, account: str = ACCOUNT) -> None:
    """Write the copy into a data directory, whole or not at all, for the account alone."""
    if not os.path.isfile(os.path.join(folder, "PG_VERSION")):
        raise CopyError(f"{folder} is no data directory")
    text = json.dumps(take(account=account), sort_keys=True)
    path = os.path.join(folder, NAME)
    owner = pwd.getpwnam(account)
    # The folder belongs to another account: nothing that it has put there under this name is written through.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path + ".new")
    descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchown(file.fileno(), owner.pw_uid, owner.pw_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def read(folder: str) -> Dict[str, Any]:
    """The copy in a data directory."""
    path = os.path.join(folder, NAME)
    try:
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
    except (OSError, ValueError) as error:
        raise CopyError(f"there is no copy of the failed server's configuration: {path}: {error}") from None
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        raise CopyError(f"{path} is no copy of a host")
    return told


def kept(entry: Mapping[str, Any]) -> Kept:
    """A file of a copy."""
    contents = base64.b64decode(entry["base64"]) if "base64" in entry else None
    return Kept(int(entry["mode"]), str(entry["owner"]), str(entry["group"]), contents)


def same(path: str, wanted: Kept) -> bool:
    """Whether the host has this file already."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            return (
                file.read() == wanted.contents
                and status.st_mode & 0o7777 == wanted.mode
                and name_of_user(status.st_uid) == wanted.owner
                and name_of_group(status.st_gid) == wanted.group
            )
    except OSError:
        return False


def may_be_put(path: str, wanted: Kept) -> bool:
    """Whether root may put this file in place, whoever wrote the copy."""
    if wanted.contents is None or os.path.normpath(path) != path:
        return False
    if wanted.owner not in _OWNERS or wanted.group not in _GROUPS or wanted.mode & ~0o755:
        return False
    if path.startswith("/etc/sysctl.d/"):
        text = wanted.contents.decode("utf-8", errors="replace")
        return all(_SYSCTL.match(line.strip()) for line in text.splitlines())
    return True


def to_put(told: Mapping[str, Any]) -> Dict[str, Kept]:
    """The files of a copy that a rebuild puts in place."""
    found = {path: kept(told["files"][path]) for path in files_of_copy(told, CARRIED)}
    return {path: wanted for path, wanted in found.items() if may_be_put(path, wanted)}


def missing(told: Mapping[str, Any], here: Mapping[str, Any], root: str = "/") -> List[str]:
    """What the failed server had and this host has not, for a person: packages, locales, timers, files."""
    left = []
    for package, version in sorted(told["packages"].items()):
        mine = here["packages"].get(package)
        if mine is None:
            left.append(f"package {package} {version} is not installed")
        elif mine != version and ("postgresql" in package or package in ("libc6", "pgbackrest")):
            left.append(f"package {package} is {mine} instead of {version}")
    left += [f"locale {name} is missing" for name in told["locales"] if name not in here["locales"]]
    if told["glibc"] != here["glibc"]:
        left.append(f"{here['glibc']} instead of {told['glibc']}: sorting may differ")
    own = [os.path.basename(path) for path in _OWN]
    left += [f"timer {name} is not enabled" for name in told["timers"] if name not in [*here["timers"], *own]]
    carried = to_put(told)
    for path, entry in sorted(told["files"].items()):
        wanted = kept(entry)
        real = os.path.join(root, path.lstrip("/"))
        if path in _OWN:
            continue
        if wanted.contents is None:
            left.append(f"{path} was readable by root alone, and is not in the backup")
            continue
        if path in carried:
            text = wanted.contents.decode("utf-8", errors="replace")
            for setting, file in _TLS.findall(text) if path.startswith("/etc/postgresql/") else ():
                if file.startswith("/") and not os.path.exists(os.path.join(root, file.lstrip("/"))):
                    left.append(f"{file} ({setting}) is missing: certificates and keys are not in the backup")
        elif not os.path.exists(real):
            left.append(f"{path} is not here")
        elif not same(real, wanted):
            left.append(f"{path} differs")
    return left


def files_of_copy(told: Mapping[str, Any], patterns: Sequence[str]) -> List[str]:
    """Paths of a copy that fit; ** is any depth, and * does not cross a folder."""
    rules = [re.compile(expression(pattern) + r"\Z") for pattern in patterns]
    return [path for path in sorted(told["files"]) if any(rule.match(path) for rule in rules)]


def expression(pattern: str) -> str:
    """A pattern of this file as a regular expression."""
    parts = re.split(r"(\*\*|\*)", pattern)
    return "".join({"**": ".+", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)


if __name__ == "__main__":
    keep(sys.argv[1])
