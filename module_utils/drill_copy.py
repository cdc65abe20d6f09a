"""The copy that a restore drill makes: its own folder, its own server with no way out, and its proven end.

One drill at a time on a host: the lease says whose it is. What a drill puts on the disk has a name of its own in the
folder, and only such names are ever removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import time
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from ansible.module_utils.database_proof import controls
from ansible.module_utils.detached import FOLDER as JOBS
from ansible.module_utils.detached import Job

LEASE = "/var/lib/maintenance/drill.json"
NAMES = (
    "data",
    "tablespaces",
    "wal",
    "locks",
    "spool",
    "log",
    "server.conf",
    "hba.conf",
    "ident.conf",
    "files",
)
WORK = ("drill-restore", "drill-wal", "drill-server")
SOCKETS = "/var/run/postgresql"
_PATH = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9_.-]*){2,}\Z")
_STOP_SECONDS = 60
# What a server in recovery needs at least as much of as the one that wrote the WAL.
_LIMITS = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}


class DrillError(Exception):
    """Why there is no drill; one line."""


class Wanted(NamedTuple):
    """Where the copy goes, and what it needs."""

    folder: str
    port: int
    account: str
    controller: str = ""
    bytes: int = 0
    preload: str = ""


def read() -> Dict[str, Any]:
    """Whose drill is here; empty where there is none."""
    try:
        with open(LEASE, encoding="utf-8") as file:
            told = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DrillError(f"{LEASE} cannot be read: {error}") from None
    if not isinstance(told, dict) or not _PATH.match(str(told.get("folder"))):
        raise DrillError(f"{LEASE} names no folder of a drill")
    return told


def check_place(wanted: Wanted, production: str) -> None:
    """Refuse a folder that anybody else uses, and a port that somebody answers on."""
    if not _PATH.match(wanted.folder):
        raise DrillError(
            f"drill_folder: '{wanted.folder}' is no absolute path of plain letters below a folder"
        )
    real = os.path.realpath(wanted.folder)
    for other in filter(None, (production, JOBS, "/var/lib/postgresql")):
        if (real + "/").startswith(os.path.realpath(other) + "/") or (
            os.path.realpath(other) + "/"
        ).startswith(real + "/"):
            raise DrillError(f"drill_folder: {wanted.folder} and {other} would be one place")
    strange = [name for name in listed(wanted.folder) if name not in NAMES and name != "lost+found"]
    if strange:
        raise DrillError(
            f"drill_folder: {wanted.folder} holds what no drill has made: {', '.join(strange[:3])}"
        )
    if os.path.exists(socket_of(wanted.port)):
        raise DrillError(f"drill_port: a PostgreSQL of this host already uses {wanted.port}")


def check_room(wanted: Wanted) -> None:
    """Refuse before anything is written where it would not fit."""
    free = room(wanted.folder)
    if free < wanted.bytes:
        raise DrillError(
            f"too little room in {wanted.folder}: {free} bytes are free, backup and WAL take {wanted.bytes} with the"
            " reserve (drill_room). Name another place: --set drill_folder=/…"
        )


def room(folder: str) -> int:
    """Free bytes where the folder is, or would be."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize


def begin(wanted: Wanted, production: str) -> None:
    """Take the lease, and make the folders. Two drills at once: the second finds the first one's lease."""
    check_place(wanted, production)
    os.makedirs(os.path.dirname(LEASE), exist_ok=True)
    told = {
        "controller": wanted.controller,
        "folder": wanted.folder,
        "port": wanted.port,
        "begun": time.time(),
    }
    try:
        descriptor = os.open(LEASE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise DrillError(
            "another drill has begun on this host at this moment: wait until it has ended"
        ) from None
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(told, file)
        file.flush()
        os.fsync(file.fileno())
    os.makedirs(wanted.folder, 0o711, exist_ok=True)
    os.chmod(wanted.folder, 0o711)  # noqa: S103  (two accounts pass through it)


def make_folders(wanted: Wanted, files: Sequence[str]) -> None:
    """Room for pgBackRest, and the names of the WAL that it shall bring."""
    for name in ("data", "tablespaces", "wal", "locks", "spool", "log"):
        path = os.path.join(wanted.folder, name)
        os.makedirs(path, 0o700, exist_ok=True)
        shutil.chown(path, wanted.account, wanted.account)
    with open(os.path.join(wanted.folder, "files"), "w", encoding="ascii") as file:
        file.write("".join(f"{name}\n" for name in files))
    os.chmod(os.path.join(wanted.folder, "files"), 0o644)


def configuration(wanted: Wanted, told: Mapping[str, str], target: Sequence[str]) -> str:
    """The server's whole configuration: nothing of production's, no way to the archive, no way from outside."""
    folder = wanted.folder
    lines = [
        f"hba_file = '{folder}/hba.conf'",
        f"ident_file = '{folder}/ident.conf'",
        f"port = {wanted.port}",
        "listen_addresses = ''",
        f"unix_socket_directories = '{SOCKETS}'",
        "unix_socket_permissions = 0700",
        "ssl = off",
        "cluster_name = 'restore drill'",
        "archive_mode = off",
        "archive_command = '/bin/false'",
        f"restore_command = 'cp {folder}/wal/%f \"%p\"'",
        "hot_standby = on",
        "synchronous_standby_names = ''",
        "primary_conninfo = ''",
        f"shared_preload_libraries = '{wanted.preload}'",
        "max_logical_replication_workers = 0",
        # A vacuum would commit transactions that production knows nothing of.
        "autovacuum = off",
        "dynamic_shared_memory_type = mmap",
        "logging_collector = on",
        f"log_directory = '{folder}/log'",
        "log_filename = 'server.log'",
        "lc_messages = 'C'",
        "timezone = 'UTC'",
        *target,
    ]
    for name, key in _LIMITS.items():
        if told.get(key, "").isdecimal():
            lines.append(f"{name} = {max(2 * int(told[key]), 10)}")
    return "\n".join(lines) + "\n"


def target_lines(name: str, at: str, timeline: int) -> List[str]:
    """Where recovery ends: explicitly, or not at all."""
    if bool(name) == bool(at):
        raise DrillError("a recovery ends at a restore point or at an instant")
    for text in (name, at):
        if not re.fullmatch(r"[A-Za-z0-9:.+ -]*", text):
            raise DrillError(f"'{text}' is no target")
    where = f"recovery_target_name = '{name}'" if name else f"recovery_target_time = '{at}'"
    return [where, f"recovery_target_timeline = '{timeline}'", "recovery_target_action = 'pause'"]


def configure(wanted: Wanted, name: str, at: str, timeline: int) -> None:
    """Make the restored files a copy that can only look: production's own settings are taken out of it."""
    data = os.path.join(wanted.folder, "data")
    text = configuration(wanted, controls(data), target_lines(name, at, timeline))
    for path, lines in (
        ("server.conf", text),
        ("hba.conf", f"local all {wanted.account} peer\n"),
        ("ident.conf", ""),
        ("data/postgresql.auto.conf", ""),
        ("data/recovery.signal", ""),
    ):
        with open(os.path.join(wanted.folder, path), "w", encoding="utf-8") as file:
            file.write(lines)
        os.chmod(os.path.join(wanted.folder, path), 0o644)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(data, "standby.signal"))
    for one in ("data", "tablespaces", "wal", "log"):
        for parent, _folders, names in os.walk(os.path.join(wanted.folder, one)):
            for path in [parent, *(os.path.join(parent, name) for name in names)]:
                if not os.path.islink(path):
                    shutil.chown(path, wanted.account, wanted.account)
    os.chmod(data, 0o700)


def wipe(lease: Mapping[str, Any]) -> Dict[str, Any]:
    """End the server and the work, remove the files, give the lease back; then say what is left, from a new look."""
    started = time.monotonic()
    folder = str(lease["folder"])
    stop_server(os.path.join(folder, "data"))
    for name in WORK:
        Job(name).remove()
    sizes = list(sizes_of(folder))
    for name in NAMES:
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
    with contextlib.suppress(OSError):  # a file system of its own stays, empty
        os.rmdir(folder)
    for path in (socket_of(int(lease["port"])), socket_of(int(lease["port"])) + ".lock"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    left = left_of(folder)
    if not left:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(LEASE)
    return {
        "folder": folder,
        "files": len(sizes),
        "bytes": sum(sizes),
        "left": left,
        "seconds": round(time.monotonic() - started, 2),
        "at": time.time(),
    }


def left_of(folder: str) -> List[str]:
    """What is still there of a drill: files, open or not, processes, units."""
    left = [os.path.join(folder, name) for name in listed(folder) if name in NAMES]
    left += [f"process {pid} ({path})" for pid, path in users_of(folder)]
    left += [f"maintenance-{name}.service" for name in WORK if Job(name).read()["state"] != "absent"]
    return left[:20]


def users_of(folder: str) -> Iterator[Tuple[int, str]]:
    """Processes that have something of the folder open, even if it is deleted."""
    inside = os.path.realpath(folder) + "/"
    for text in filter(str.isdecimal, os.listdir("/proc")):
        links = [f"/proc/{text}/cwd"]
        with contextlib.suppress(OSError):
            links += [f"/proc/{text}/fd/{name}" for name in os.listdir(f"/proc/{text}/fd")]
        for link in links:
            with contextlib.suppress(OSError):
                path = os.readlink(link)
                if path.startswith(inside):
                    yield int(text), path
                    break


def stop_server(data: str) -> None:
    """End the copy's server at once: it leaves no shared memory behind, and has nothing to keep."""
    try:
        with open(os.path.join(data, "postmaster.pid"), encoding="ascii", errors="replace") as file:
            pid = int(file.readline())
        # Of a machine that was restarted the number may be anybody's.
        if os.path.realpath(f"/proc/{pid}/cwd") != os.path.realpath(data):
            return
        os.kill(pid, signal.SIGQUIT)
    except (OSError, ValueError):
        return
    end = time.monotonic() + _STOP_SECONDS
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
        time.sleep(0.1)


def sizes_of(folder: str) -> Iterator[int]:
    """The size of every file of a drill."""
    for name in NAMES:
        top = os.path.join(folder, name)
        if os.path.isfile(top):
            yield os.path.getsize(top)
        for parent, _folders, names in os.walk(top):
            for one in names:
                with contextlib.suppress(OSError):
                    yield os.lstat(os.path.join(parent, one)).st_size


def listed(folder: str) -> List[str]:
    """The names in a folder that may not be there."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def socket_of(port: int) -> str:
    """Where a server of this port listens for its own host."""
    return os.path.join(SOCKETS, f".s.PGSQL.{port}")
