"""What surrounds a PostgreSQL server on its host: modes of its files, where its log goes and how far back it reaches, and
passwords that lie about. Read as the account that runs the module; what it may not see is named, never guessed."""

from __future__ import annotations

import contextlib
import fnmatch
import grp
import os
import pwd
import re
import stat
import time
import zlib
from typing import Any, Callable, Dict, List, Optional

from ansible.module_utils.snapshot_logs import line_time, parse_logrotate

Note = Callable[[str, str], None]  # the name of a value, and why it could not be read
Settings = Dict[str, str]
_FILES = {
    "hba": "hba_file",
    "ident": "ident_file",
    "configuration": "config_file",
    "key": "ssl_key_file",
    "data": "data_directory",
}
_UNITS = ("/etc/systemd/system", "/lib/systemd/system", "/etc/cron.d", "/etc/default")
_FILE_LIMIT = 1 << 20
_FILES_LISTED = 2000
_OPEN_LISTED = 100


def files(settings: Settings, note: Note) -> List[Dict[str, Any]]:
    """Mode and owner of the server's own files; a key only where there is one."""
    rows = []
    for use, name in _FILES.items():
        path = settings.get(name, "")
        if not path:
            note(use, f"the setting {name} was not read")
            continue
        path = os.path.join(settings.get("data_directory", ""), path)
        if use == "key" and settings.get("ssl") != "on":
            continue
        try:
            rows.append(dict(_mode(path), use=use))
        except OSError as error:
            note(use, f"{path}: {error.strerror}")
            rows.append({"use": use})
    return rows


def _mode(path: str) -> Dict[str, Any]:
    status = os.stat(path)
    return {
        "path": path,
        "mode": "%04o" % stat.S_IMODE(status.st_mode),
        "owner": _name(pwd.getpwuid, status.st_uid),
        "group": _name(grp.getgrgid, status.st_gid),
    }


def _name(lookup: Callable[[int], Any], number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def log(settings: Settings, note: Note, root: str = "") -> Dict[str, Any]:
    """Where the log goes in truth, its files, the oldest instant that is still held, and how long rotation keeps it."""
    destination = settings.get("log_destination", "")
    found: Dict[str, Any] = {"destination": destination, "syslog": "syslog" in destination}
    directory, pattern = "", ""
    if settings.get("logging_collector") == "on":
        found["kind"] = "collector"
        directory = os.path.join(settings.get("data_directory", ""), settings.get("log_directory", ""))
        pattern = re.sub(r"%.", "*", settings.get("log_filename", ""))
        found["retention_days"] = _collector_days(settings)
    elif destination == "syslog":
        found["kind"] = "syslog"
        return found
    else:
        path = _standard_error(settings, note)
        if path is None:
            return found
        found["kind"] = "file" if path.startswith("/") and path != "/dev/null" else _stream(path)
        if found["kind"] != "file":
            return found
        found["path"] = path
        directory, pattern = os.path.split(path)
        pattern += "*"
        days = _rotation_days(path, note, root)
        if days is not None:
            found["retention_days"] = days
    try:
        found["directory"] = _mode(directory)
        parts = _parts(directory, pattern)
    except OSError as error:
        note("directory", f"{directory}: {error.strerror}")
        return found
    found["parts"] = len(parts)
    found["open"] = [  # to others, or to be written by the group
        {"path": path, "mode": "%04o" % stat.S_IMODE(status.st_mode)}
        for status, path in parts
        if status.st_mode & 0o037
    ][:_OPEN_LISTED]
    if parts:
        status, path = min(parts, key=lambda part: part[0].st_mtime)
        moment = _first_moment(path, status.st_mtime, note)
        if moment is not None:
            found["oldest"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
    return found


def _stream(target: str) -> str:
    """What standard error is when it is no file: the journal's socket or pipe keeps it, /dev/null loses it."""
    if target.startswith("socket:"):
        return "journal"
    return "lost" if target == "/dev/null" else "unknown"


def _standard_error(settings: Settings, note: Note) -> Optional[str]:
    """What the server's standard error is connected to."""
    try:
        with open(
            os.path.join(settings.get("data_directory", ""), "postmaster.pid"), encoding="ascii"
        ) as file:
            number = int(file.readline())
        return os.readlink(f"/proc/{number}/fd/2")
    except (OSError, ValueError) as error:
        note(
            "kind", f"the server's standard error cannot be seen: {getattr(error, 'strerror', None) or error}"
        )
        return None


def _collector_days(settings: Settings) -> float:
    """Days until the collector overwrites a file of its own; a name that never comes again is never overwritten."""
    name = settings.get("log_filename", "")
    if re.search(r"%[YyGgCsc]|%F|%D", name):
        return 36500.0
    if settings.get("log_truncate_on_rotation") != "on":
        return 36500.0  # appended to, until somebody takes it away
    for mark, days in (
        ("%j", 365.0),
        ("%m", 365.0),
        ("%d", 28.0),
        ("%e", 28.0),
        ("%a", 7.0),
        ("%u", 7.0),
        ("%w", 7.0),
    ):
        if mark in name:
            return days
    return 1.0


def _rotation_days(path: str, note: Note, root: str) -> Optional[float]:
    """Days that logrotate keeps a file; None when no configuration names it, which keeps it for ever."""
    folder = root + "/etc/logrotate.d"
    general = None
    kept = None
    try:
        names = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    except OSError as error:
        note("retention_days", f"{folder}: {error.strerror}")
        return None
    for name in filter(os.path.exists, [root + "/etc/logrotate.conf", *names]):
        try:
            with open(name, encoding="utf-8", errors="replace") as file:
                blocks = parse_logrotate(file.read(_FILE_LIMIT), general)
        except (OSError, KeyError) as error:
            note("retention_days", f"{name}: {getattr(error, 'strerror', None) or error}")
            continue
        general = general or blocks[0]
        for block in blocks[1:]:
            if any(fnmatch.fnmatchcase(path, each) for each in block["files"]):
                kept = float(block["retention_days"])
    return 36500.0 if kept is None else kept


def _parts(directory: str, pattern: str) -> List[Any]:
    names = [name for name in os.listdir(directory) if fnmatch.fnmatchcase(name, pattern)]
    paths = [os.path.join(directory, name) for name in sorted(names)[:_FILES_LISTED]]
    return [(os.stat(path), path) for path in paths]


def _first_moment(path: str, modified: float, note: Note) -> Optional[float]:
    """When the first line of a file was written; of its line only the instant is looked at."""
    try:
        with open(path, "rb") as file:
            data = file.read(65536)
        if path.endswith(".gz"):
            data = zlib.decompressobj(31).decompress(data, 4096)
    except (OSError, zlib.error) as error:
        note("oldest", f"{path}: {getattr(error, 'strerror', None) or error}")
        return None
    moment = line_time(data.split(b"\n")[0][:400].decode("utf-8", "replace"), modified)
    if moment is None:
        note("oldest", f"{path}: its first line has no instant")
    return moment


def passwords(root: str = "", home: Optional[str] = None) -> List[Dict[str, Any]]:
    """Where a password of the database lies: units, cron files and this account's processes that give PGPASSWORD, and
    this account's .pgpass with its mode. Only that they do, never what they say."""
    rows: List[Dict[str, Any]] = []
    for path in [path for folder in _UNITS for path in _below(root + folder)]:
        with contextlib.suppress(OSError):  # what only root may read is no leak
            if _holds(path, b"PGPASSWORD="):
                rows.append({"path": path[len(root) :], "kind": "file"})
    for entry in sorted(os.listdir("/proc")):
        with contextlib.suppress(OSError):  # another account's process, or one that has ended
            if entry.isdigit() and _holds(f"/proc/{entry}/environ", b"\0PGPASSWORD=", b"\0"):
                rows.append({"path": f"process {entry}", "kind": "process"})
    path = os.path.join(home or os.path.expanduser("~"), ".pgpass")
    if os.path.exists(path):
        rows.append(dict(_mode(path), kind="pgpass"))
    return rows[:100]


def _below(folder: str) -> List[str]:
    """Files of a folder and of the *.d folders in it."""
    paths = []
    for path in _folder(folder):
        if not os.path.isdir(path):
            paths.append(path)
        elif path.endswith(".d"):
            paths += _folder(path)
    return [path for path in paths if os.path.isfile(path)]


def _folder(path: str) -> List[str]:
    try:
        return [os.path.join(path, name) for name in sorted(os.listdir(path))[:_FILES_LISTED]]
    except OSError:
        return []


def _holds(path: str, mark: bytes, before: bytes = b"") -> bool:
    """Whether a file holds a mark outside of its comment lines."""
    with open(path, "rb") as file:
        data = before + file.read(_FILE_LIMIT)
    return any(mark in line and not line.lstrip().startswith(b"#") for line in data.split(b"\n"))
