"""Restore points of a host: what was, kept on the host itself, and the way back to it.

Standard library only, Python 3.8 or newer: the same file is the module's code and, copied beside a restore point, the
program that systemd starts when nobody confirms a change. It needs no network, no Ansible and no login to work.

A restore point is a folder below FOLDER, for root alone:
  meta.json     id, state (armed, confirmed, reverted, failed), plan, instants
  before.json   manifest of /etc and of the plan's other paths: type, mode, owner, xattrs, flags, digest
  after.json    the same at the confirmation; what differs between the two is what the change did
  files/SHA256  contents
  revert.py     this file
  other .py     programs of the plan, which keep and bring back what stands in no file of ours, as packages
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import time
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Union

FOLDER = "/var/lib/maintenance/restore_points"
UNITS = "/usr/local/lib/systemd/system"  # searched by systemd, survives a reboot, and is no part of /etc
UNIT = "maintenance-revert"
# What the system itself rewrites at any time; none of it is configuration.
VOLATILE = frozenset(
    ["/etc/mtab", "/etc/adjtime", "/etc/ld.so.cache", "/etc/.pwd.lock", "/etc/resolv.conf", "/etc/.updated"]
)
_WANTED = {"sysinit.target": f"{UNIT}-boot.service", "multi-user.target": f"{UNIT}-late.service"}
RESERVE_BYTES = 8 << 20  # kept free for the way back: a full disk must not stop it
_GETFLAGS, _SETFLAGS = 0x80086601, 0x40086602
_KEPT_FLAGS = 0x10 | 0x20  # immutable, append only
_COMMAND_SECONDS = 60
_PROGRAM_SECONDS = 1800
Manifest = Dict[str, Dict[str, Any]]


class RestoreError(Exception):
    """Why a restore point cannot be taken, confirmed or reverted; one line."""


# Reading what is.


def capture(paths: Sequence[str], blobs: Optional[str] = None) -> Manifest:
    """Manifest of these paths and all below them; contents go to the folder `blobs`."""
    found: Manifest = {}
    for path in paths:
        _capture(path, found, blobs)
    return found


def rights(paths: Sequence[str]) -> Manifest:
    """Manifest of mode, owner and attributes alone: of a folder of logs or of a database nothing else is kept.

    `file` is which file it was: a log that was turned, or a link in its place, is another one.
    """
    found: Manifest = {}
    for path in paths:
        try:
            with opened(path) as descriptor:
                status = os.fstat(descriptor)
                attributes = _xattrs(descriptor)
        except OSError:
            continue
        found["rights:" + path] = {
            "type": "rights",
            "mode": stat.S_IMODE(status.st_mode),
            "uid": status.st_uid,
            "gid": status.st_gid,
            "xattrs": attributes,
            "file": [status.st_dev, status.st_ino],
        }
    return found


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """A file or folder for its rights; a link is refused, as an account might put one in the place of its own file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _capture(path: str, found: Manifest, blobs: Optional[str]) -> None:
    if path in VOLATILE or path in found:
        return
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    entry: Dict[str, Any] = {
        "mode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "xattrs": _xattrs(path),
    }
    if stat.S_ISLNK(status.st_mode):
        entry.update(type="link", target=os.readlink(path))
        entry.pop("mode")
    elif stat.S_ISDIR(status.st_mode):
        entry.update(type="folder")
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            content = file.read()
            entry["flags"] = _flags(file.fileno())
        entry.update(type="file", sha256=hashlib.sha256(content).hexdigest())
        if blobs is not None:
            _keep(os.path.join(blobs, entry["sha256"]), content)
    else:
        entry.update(type="other")  # a socket or pipe: never restored
    found[path] = entry
    if entry["type"] == "folder":
        for name in sorted(os.listdir(path)):
            _capture(os.path.join(path, name), found, blobs)


def _xattrs(place: Union[str, int]) -> Dict[str, str]:
    """ACLs and other attributes of a path or an open file."""
    follow = isinstance(place, int)  # an open file cannot be told not to
    try:
        names = os.listxattr(place, follow_symlinks=follow)
        return {
            name: base64.b64encode(os.getxattr(place, name, follow_symlinks=follow)).decode()
            for name in names
        }
    except OSError:
        return {}


def _flags(descriptor: int) -> int:
    try:
        return struct.unpack("i", fcntl.ioctl(descriptor, _GETFLAGS, struct.pack("i", 0)))[0] & _KEPT_FLAGS
    except OSError:
        return 0


def _keep(path: str, content: bytes) -> None:
    if not os.path.exists(path):
        write_file(path, content, 0o600)


def write_file(path: str, content: bytes, mode: int, uid: int = 0, gid: int = 0) -> None:
    """Write a whole file or nothing, on the disk when this returns."""
    temporary = f"{path}.maintenance-{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(
            temporary
        )  # of a process that died; a link that somebody has put there is never written through
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def differences(one: Manifest, other: Manifest) -> List[str]:
    """Paths that are not the same in both, sorted."""
    return sorted(path for path in {*one, *other} if kept(one.get(path)) != kept(other.get(path)))


def kept(entry: Optional[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    """An entry without which file it was: a log that was turned keeps its mode and owner."""
    return None if entry is None else {name: value for name, value in entry.items() if name != "file"}


def digest(manifest: Manifest) -> str:
    """One digest of a manifest."""
    return _digest({path: kept(entry) for path, entry in manifest.items()})


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


# Writing back.


def restore(wanted: Manifest, paths: Sequence[str], blobs: str) -> None:
    """Make these paths what the manifest says. May be run again after it was interrupted."""
    gone = [path for path in paths if path not in wanted and not path.startswith("rights:")]
    for path in sorted(gone, key=len, reverse=True):
        _remove(path)
    for path in sorted(path for path in paths if path in wanted):
        _restore(path, wanted[path], blobs)


def _remove(path: str) -> None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(status.st_mode):
        try:
            os.rmdir(path)
        except OSError as error:  # somebody else's file is in it: it stays, and the folder with it
            if error.errno not in (errno.ENOTEMPTY, errno.EBUSY):
                raise
        return
    _set_flags(path, 0)
    os.unlink(path)


def _restore(path: str, wanted: Dict[str, Any], blobs: str) -> None:
    kind = wanted["type"]
    if kind == "rights":
        _restore_rights(path[len("rights:") :], wanted)
        return
    if kind == "other":
        return
    if os.path.lexists(path):
        there = os.lstat(path)
        same_kind = {"file": stat.S_ISREG, "link": stat.S_ISLNK, "folder": stat.S_ISDIR}[kind](there.st_mode)
        if not same_kind:
            _remove(path)
    if kind == "link":
        if not os.path.islink(path) or os.readlink(path) != wanted["target"]:
            temporary = f"{path}.maintenance-{os.getpid()}"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            os.symlink(wanted["target"], temporary)
            os.replace(temporary, path)
        os.lchown(path, wanted["uid"], wanted["gid"])
        return
    if kind == "folder":
        os.makedirs(path, exist_ok=True)
    else:
        _set_flags(path, 0)
        with open(os.path.join(blobs, wanted["sha256"]), "rb") as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != wanted["sha256"]:
            raise RestoreError(f"the kept content of {path} is damaged")
        if not _holds(path, content):
            write_file(path, content, wanted["mode"], wanted["uid"], wanted["gid"])
    with opened(path) as descriptor:
        _give(descriptor, wanted)
    if kind == "file":
        _set_flags(path, wanted["flags"])


def _restore_rights(path: str, wanted: Mapping[str, Any]) -> None:
    """Of the very file that had them: one that was turned away has taken them with it, and a link is nobody's file."""
    try:
        with opened(path) as descriptor:
            status = os.fstat(descriptor)
            if wanted["file"] == [status.st_dev, status.st_ino]:
                _give(descriptor, wanted)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            raise


def _give(descriptor: int, wanted: Mapping[str, Any]) -> None:
    """Owner, mode and attributes of an open file."""
    os.fchown(descriptor, wanted["uid"], wanted["gid"])
    os.fchmod(descriptor, wanted["mode"])
    there = _xattrs(descriptor)
    for name in set(there) - set(wanted["xattrs"]):
        os.removexattr(descriptor, name)
    for name, value in wanted["xattrs"].items():
        if there.get(name) != value:
            os.setxattr(descriptor, name, base64.b64decode(value))


def _holds(path: str, content: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read() == content
    except FileNotFoundError:
        return False


def _set_flags(path: str, flags: int) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        held = struct.unpack("i", fcntl.ioctl(descriptor, _GETFLAGS, struct.pack("i", 0)))[0]
        if held & _KEPT_FLAGS != flags:
            fcntl.ioctl(descriptor, _SETFLAGS, struct.pack("i", held & ~_KEPT_FLAGS | flags))
    except OSError:
        return
    finally:
        os.close(descriptor)


# Restore points.


@contextlib.contextmanager
def locked(folder: str = FOLDER) -> Iterator[None]:
    """One at a time: a confirmation and the way back never cross."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor = os.open(os.path.join(folder, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Point:
    """One restore point on the disk."""

    def __init__(self, name: str, folder: str = FOLDER) -> None:
        if not name or name != os.path.basename(name) or name.startswith("."):
            raise RestoreError(f"'{name}' is no name of a restore point")
        self.name = name
        self.folder = folder
        self.path = os.path.join(folder, name)
        self.blobs = os.path.join(self.path, "files")

    @property
    def exists(self) -> bool:
        """Whether it was taken whole."""
        return os.path.exists(os.path.join(self.path, "meta.json"))

    def read(self, name: str) -> Any:
        """One of its JSON files."""
        try:
            with open(os.path.join(self.path, name), encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            raise RestoreError(f"there is no restore point {self.name} on this host") from None

    def write(self, name: str, value: Any) -> None:
        """Replace one of its JSON files."""
        write_file(os.path.join(self.path, name), json.dumps(value, sort_keys=True).encode(), 0o600)

    @property
    def meta(self) -> Dict[str, Any]:
        """Its state and plan."""
        meta: Dict[str, Any] = self.read("meta.json")
        return meta

    def note(self, **values: Any) -> None:
        """Change what its meta.json says."""
        self.write("meta.json", {**self.meta, **values})

    def capture(self, keep: bool = False) -> Manifest:
        """What it covers, as it is now; contents are kept where that is asked."""
        return covered(self.meta["plan"], self.blobs if keep else None)


def covered(plan: Mapping[str, Any], blobs: Optional[str] = None) -> Manifest:
    """/etc and the plan's other paths whole, and the rights of what the plan only opens or closes."""
    return {**capture(["/etc", *plan.get("paths", [])], blobs), **rights(plan.get("rights", []))}


def armed_point(folder: str = FOLDER) -> Optional[Point]:
    """The restore point that waits for its confirmation, if any."""
    try:
        with open(os.path.join(folder, "armed"), encoding="utf-8") as file:
            return Point(file.read().strip(), folder)
    except FileNotFoundError:
        return None


def take(name: str, plan: Mapping[str, Any], folder: str = FOLDER) -> Point:
    """Keep everything that the way back needs; nothing is changed or armed yet.

    plan: {"paths": other paths than /etc, "rights": paths whose mode and owner alone change, "units": units whose state
    changes, "sysctls": keys, "mounts": paths whose options change, "firewall": bool, "next_start": sentences
    about what only a start of the host brings into force, "commands": argument lists that bring restored files into
    force, "undo" and "redo": what takes back, and makes again, what stands in no file, as the roles of a database:
    {"run": argument list, "unless": argument list that says `t` where there is nothing to do, or none}, "programs":
    paths of programs that are copied beside the restore point and asked to keep, and to bring back, a part of the host}.
    """
    waiting = armed_point(folder)
    if waiting is not None and not waiting.exists:
        disarm(folder)  # nothing was kept, so nothing was changed
        waiting = None
    if waiting is not None and not _ticks():
        revert(waiting)  # its process died before the timer ran: nobody will confirm it
        waiting = None
    if waiting is not None:
        raise RestoreError(
            f"restore point {waiting.name} still waits for its confirmation on this host; "
            "it reverts by itself when its time is over"
        )
    point = Point(name, folder)
    if point.exists:
        raise RestoreError(f"there is a restore point {name} already")
    shutil.rmtree(point.path, ignore_errors=True)
    os.makedirs(point.blobs, mode=0o700)
    _need_room(folder)
    point.write("before.json", covered(plan, point.blobs))
    point.write("running.json", running(plan))
    # This file's own source, which Ansible brings in a zip archive.
    write_file(os.path.join(point.path, "revert.py"), __loader__.get_data(__file__), 0o600)
    for program in plan.get("programs", []):
        with open(program, "rb") as file:
            write_file(os.path.join(point.path, os.path.basename(program)), file.read(), 0o600)
    ask_programs(point, plan, "keep")
    write_file(os.path.join(point.path, "reserve"), b"\0" * RESERVE_BYTES, 0o600)
    point.write("meta.json", {"name": name, "state": "taken", "plan": dict(plan), "taken": time.time()})
    os.sync()
    return point


def ask_programs(point: Point, plan: Mapping[str, Any], verb: str) -> List[str]:
    """What the programs of a plan answer to a verb: keep, after, state, revert or undo."""
    answers = []
    for program in plan.get("programs", []):
        own = os.path.join(point.path, os.path.basename(program))
        done = _run(["/usr/bin/python3", "-I", "-S", own, verb, point.path], seconds=_PROGRAM_SECONDS)
        if done.returncode != 0:
            raise RestoreError(_said(done) or f"{os.path.basename(program)} {verb}: {done.returncode}")
        answers.append(done.stdout)
    return answers


def programs_state(point: Point) -> List[Dict[str, Any]]:
    """What the programs say of before and now: `changed`, `later` (by others), digests `before` and `now`."""
    return [json.loads(answer) for answer in ask_programs(point, point.meta["plan"], "state")]


def _need_room(folder: str) -> None:
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < 4 * RESERVE_BYTES:
        raise RestoreError(
            f"{folder} has less than {4 * RESERVE_BYTES >> 20} MB free: no way back could be kept"
        )


def _ticks() -> bool:
    """Whether the deadline of an armed restore point is on its way, or its way back is being gone."""
    asked = _run(["systemctl", "is-active", f"{UNIT}.timer", f"{UNIT}.service"]).stdout.split()
    return bool({"active", "activating"} & set(asked))


def running(plan: Mapping[str, Any]) -> Dict[str, Any]:
    """What is in force and stands in no file: states of units, kernel parameters, rules of the firewall."""
    return {
        "units": {
            unit: _run(["systemctl", "is-active", unit]).stdout.strip() for unit in plan.get("units", [])
        },
        "sysctls": {key: read_sysctl(key) for key in plan.get("sysctls", [])},
        "firewall": _run(["nft", "list", "ruleset"]).stdout if plan.get("firewall") else None,
        # Only where it is asked for: the digest of a restore point that knows of no mounts stays what it was.
        **({"mounts": {path: mount_options(path) for path in plan["mounts"]}} if plan.get("mounts") else {}),
    }


def mount_options(path: str) -> Optional[List[str]]:
    """The options of the mount itself, as it is; None where nothing is mounted."""
    found = None
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split()
            if fields[4] == path:  # the last one is on top
                found = fields[5].split(",")
    return found


def remount(path: str, options: Sequence[str]) -> None:
    """Give a mount exactly these options, whatever /etc/fstab says; of the file system below nothing changes."""
    allowed = [name[2:] for name in ("nosuid", "nodev", "noexec") if name not in options]
    _must(
        [
            "mount",
            "--options-source",
            "disable",
            "-o",
            ",".join(["remount", "bind", *options, *allowed]),
            path,
        ]
    )


def sysctl_path(key: str) -> str:
    """The file of a parameter: a.b.c, or a/b/c where a part has a dot of its own, as the interface eth0.100."""
    return "/proc/sys/" + (key if "/" in key else key.replace(".", "/"))


def read_sysctl(key: str) -> Optional[str]:
    """A kernel parameter as it is; None where there is none."""
    try:
        with open(sysctl_path(key), encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return None


def write_sysctl(key: str, value: str) -> None:
    """Set a kernel parameter; raises OSError."""
    with open(sysctl_path(key), "w", encoding="utf-8") as file:
        file.write(value)


def arm(point: Point, seconds: int) -> None:
    """From now on the host goes back by itself: after so many seconds, or at its next start."""
    program = f"/usr/bin/python3 -I -S {point.path}/revert.py"
    # What a start needs first; a revert before them finds every service with its old files.
    early = "DefaultDependencies=no\nAfter=local-fs.target\nBefore=sysinit.target shutdown.target\n"
    early += "Conflicts=shutdown.target\n"
    late = f"After=postgresql.service multi-user.target\nConditionPathExists={point.folder}/armed\n"
    units = {
        f"{UNIT}.timer": f"[Unit]\nDescription=Take an unconfirmed change back\n[Timer]\nOnActiveSec={seconds}s\n"
        f"AccuracySec=1s\nUnit={UNIT}.service\n",
        f"{UNIT}.service": "[Unit]\nDescription=Take an unconfirmed change back\n[Service]\nType=oneshot\n"
        f"Restart=on-failure\nRestartSec=30\nExecStart={program} revert\n",
        # What needs running services, as a database, follows when they run.
        f"{UNIT}-late.service": f"[Unit]\nDescription=Take the rest of an unconfirmed change back\n{late}"
        f"[Service]\nType=oneshot\nExecStart={program} revert\n",
        f"{UNIT}-boot.service": f"[Unit]\nDescription=Take an unconfirmed change back at the start\n{early}"
        f"ConditionPathExists={point.folder}/armed\n[Service]\nType=oneshot\nExecStart={program} boot\n",
    }
    for target, name in _WANTED.items():
        os.makedirs(os.path.join(UNITS, f"{target}.wants"), exist_ok=True)
        link = os.path.join(UNITS, f"{target}.wants", name)
        if not os.path.islink(link):
            os.symlink(f"../{name}", link)
    for name, text in units.items():
        write_file(os.path.join(UNITS, name), text.encode(), 0o644)
    point.note(state="armed", armed=time.time(), seconds=seconds)
    write_file(os.path.join(point.folder, "armed"), point.name.encode(), 0o600)
    os.sync()
    _must(["systemctl", "daemon-reload"])
    _must(["systemctl", "restart", f"{UNIT}.timer"])


def disarm(folder: str = FOLDER) -> None:
    """Nothing goes back by itself any more."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, "armed"))
    wanted = [f"{target}.wants/{name}" for target, name in _WANTED.items()]
    for name in (*wanted, *_WANTED.values(), f"{UNIT}.timer", f"{UNIT}.service"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(UNITS, name))
    os.sync()


def confirm(point: Point, proofs: Sequence[Sequence[str]] = ()) -> Dict[str, Any]:
    """The change stays, when every proof (a command) succeeds. Refused where the host has gone back already."""
    meta = point.meta
    if meta["state"] == "confirmed":
        return meta
    waiting = armed_point(point.folder)
    if meta["state"] != "armed" or waiting is None or waiting.name != point.name:
        raise RestoreError(
            f"restore point {point.name} is {meta['state']}: its change was taken back, nothing is confirmed"
        )
    for proof in proofs:
        done = _run(proof)
        if done.returncode != 0:
            raise RestoreError(f"proof failed: {' '.join(proof)}: {_said(done) or done.returncode}")
    ask_programs(point, meta["plan"], "after")
    point.write("after.json", point.capture(keep=True))
    point.write("running_after.json", running(meta["plan"]))
    point.note(state="confirmed", confirmed=time.time())
    disarm(point.folder)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(point.path, "reserve"))
    _run(["systemctl", "stop", f"{UNIT}.timer"])
    _run(["systemctl", "daemon-reload"])
    return point.meta


def revert(point: Point, booting: bool = False) -> Dict[str, Any]:
    """Take an unconfirmed change back, whole: everything that differs from before. May be run again."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(point.path, "reserve"))
    before, plan = point.read("before.json"), point.meta["plan"]
    problem = "" if booting else _brought_back(point, plan)
    paths = differences(before, point.capture())
    go_back(point, before, point.read("running.json"), paths, booting)
    if booting and (plan.get("undo") or plan.get("programs")):
        return point.meta  # armed still: the late unit does it all again, with the services running
    now = point.capture()
    left = [path for path in differences(before, now) if not another(path, before, now)]
    point.note(
        state="failed" if left else "reverted", reverted=time.time(), restored=len(paths), left=left[:50]
    )
    if problem:
        point.note(state="failed", problem=problem)
        raise RestoreError(problem)
    if left:
        raise RestoreError(f"restored, but not the same as before: {', '.join(left[:5])}")
    if point.meta["plan"].get("undoes"):  # an undo that nobody confirmed: its change stands again
        Point(point.meta["plan"]["undoes"], point.folder).note(undone=None)
    disarm(point.folder)
    if not booting:
        _run(["systemctl", "daemon-reload"])
    return point.meta


def _brought_back(point: Point, plan: Mapping[str, Any]) -> str:
    """What the programs bring back comes first, as it writes files of /etc too; the reason where that fails."""
    try:
        ask_programs(point, plan, "revert")
    except RestoreError as error:
        return str(error)  # the files go back all the same, and systemd tries it all again
    return ""


def another(path: str, before: Manifest, now: Manifest) -> bool:
    """Whether only rights were kept of it, and it is another file by now, or gone."""
    then, there = before.get(path, {}), now.get(path, {})
    return path.startswith("rights:") and then.get("file") != there.get("file")


def go_back(point: Point, before: Manifest, was: Dict[str, Any], paths: Sequence[str], booting: bool) -> None:
    """Restore these paths, bring them into force, and take back what stands in no file."""
    restore(before, paths, point.blobs)
    os.sync()
    plan = point.meta["plan"]
    _run(["systemctl", "daemon-reload"])
    for key, value in was["sysctls"].items():
        if value is not None and read_sysctl(key) != value:
            with contextlib.suppress(OSError):
                write_sysctl(key, value)
    for path, kept in was.get("mounts", {}).items():
        now = mount_options(path)
        if kept is not None and now is not None and now != kept:
            with contextlib.suppress(RestoreError):  # what is left of it the digest tells
                remount(path, kept)
    if was["firewall"] is not None and _run(["nft", "list", "ruleset"]).stdout != was["firewall"]:
        _run(["nft", "-f", "-"], "flush ruleset\n" + was["firewall"])
    # At the start of a host its services come up with the old files anyway; those that were kept from it are asked for.
    for command in [] if booting else plan.get("commands", []):
        _run(command)
    # A server that did not start with the new files has to run before it can be asked.
    for step in [] if booting else plan.get("undo", []):
        if step["unless"] and _run(step["unless"]).stdout.strip() == "t":
            continue
        _must(step["run"])
    for unit, state in was["units"].items():
        verb = "start" if state in ("active", "activating", "reloading") else "stop"
        if (_run(["systemctl", "is-active", unit]).stdout.strip() == "active") != (verb == "start"):
            _run(["systemctl", *(["--no-block"] if booting else []), verb, unit])


def state_digest(point: Point) -> Dict[str, str]:
    """Digests of what a restore point covers: as it was before, and as it is now."""
    plan = point.meta["plan"]
    before = {"files": digest(point.read("before.json")), "running": _digest(point.read("running.json"))}
    now = {"files": digest(point.capture()), "running": _digest(running(plan))}
    for number, state in enumerate(programs_state(point)):
        before[f"program {number}"], now[f"program {number}"] = state["before"], state["now"]
    return {"before": _digest(before), "now": _digest(now)}


def _run(
    command: Sequence[str], text: str = "", seconds: int = _COMMAND_SECONDS
) -> "subprocess.CompletedProcess[str]":
    """A command whose failure must not keep the rest from being restored."""
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C",
        "SYSTEMD_PAGER": "",
        "HOME": "/root",
    }
    try:
        return subprocess.run(
            list(command),
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=seconds,
            env=environment,
            cwd="/",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(list(command), 127, str(error), "")


def _said(done: "subprocess.CompletedProcess[str]") -> str:
    return " ".join(f"{done.stdout} {done.stderr}".split())[-300:]


def _must(command: Sequence[str]) -> None:
    done = _run(command)
    if done.returncode != 0:
        raise RestoreError(f"{' '.join(command)}: {_said(done)}")


def main(arguments: Sequence[str]) -> int:
    """What systemd starts: `revert.py revert` when the time is over, `revert.py boot` at the host's start."""
    # The program lies in the folder of its restore point.
    own = os.path.dirname(os.path.abspath(__file__))
    folder = os.path.dirname(own)
    with locked(folder):
        point = armed_point(folder)
        if point is None or point.name != os.path.basename(own):
            return 0  # confirmed in the meantime
        try:
            revert(point, booting=list(arguments) == ["boot"])
        except Exception as error:
            sys.stderr.write(f"{error}\n")
            point.note(state="failed", problem=str(error)[:500])
            return 1
    sys.stderr.write(f"nobody confirmed the change of {point.name}: all is as it was\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
