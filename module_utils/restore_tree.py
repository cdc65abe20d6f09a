"""Trees of files: what they are, and how they are written back.

An account may own a folder below /etc, as that of a database. What it puts there meanwhile - a link in the place of a
folder, a pipe, a file without end - must neither lead root elsewhere nor stop the way back: every step goes from one
open folder to the next, and what cannot be read or restored is told and does not keep the rest from it.

Standard library only, Python 3.8 or newer: it lies beside the program that takes a change back (restore_engine).
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import struct
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

# What the system itself rewrites at any time; none of it is configuration.
VOLATILE = frozenset(
    ["/etc/mtab", "/etc/adjtime", "/etc/ld.so.cache", "/etc/.pwd.lock", "/etc/resolv.conf", "/etc/.updated"]
)
LARGEST = 64 << 20  # no configuration is larger: of such a file only size and time are noted
_DEEPEST = 60
_LINKS = 20
_GETFLAGS, _SETFLAGS = 0x80086601, 0x40086602
_KEPT_FLAGS = 0x10 | 0x20  # immutable, append only
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
Manifest = Dict[str, Dict[str, Any]]


class RestoreError(Exception):
    """Why a restore point cannot be taken, confirmed or reverted; one line."""


# The way to a path.


@contextlib.contextmanager
def parent(path: str) -> Iterator[Tuple[int, str]]:
    """The folder that a path is in, open, and its name there.

    A link on the way is followed only where root has put it: any other may have been exchanged a moment ago.
    """
    names = [name for name in reversed(path.split("/")) if name not in ("", ".")]
    last, ahead, links = names[0], names[1:], 0
    folder = os.open("/", _STEP | os.O_DIRECTORY)
    try:
        while ahead:
            place = os.open(ahead.pop(), _STEP, dir_fd=folder)
            status = os.fstat(place)
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink("", dir_fd=place)
                os.close(place)
                links += 1
                if status.st_uid not in (0, os.geteuid()) or links > _LINKS:
                    raise OSError(errno.ELOOP, "a link on the way is not root's", path)
                ahead += [name for name in reversed(target.split("/")) if name not in ("", ".")]
                if not target.startswith("/"):
                    continue
                place = os.open("/", _STEP | os.O_DIRECTORY)
            os.close(folder)
            folder = place
        yield folder, last
    finally:
        os.close(folder)


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """A file or folder for its rights; a link is refused, as an account might put one in the place of its own file."""
    with parent(path) as (folder, name):
        descriptor = os.open(name, _READ, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _status(folder: int, name: str) -> Optional[os.stat_result]:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


# Reading what is.


def capture(paths: Sequence[str], blobs: Optional[str] = None) -> Manifest:
    """Manifest of these paths and all below them; contents go to the folder `blobs`.

    What is there and cannot be read has the type `unread`.
    """
    found: Manifest = {}
    for path in paths:
        try:
            with parent(path) as (folder, name):
                _capture(folder, name, path, found, blobs, 0)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                found[path] = {"type": "unread", "why": error.strerror}
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


def _capture(folder: int, name: str, path: str, found: Manifest, blobs: Optional[str], depth: int) -> None:
    if path in VOLATILE or path in found:
        return
    status = _status(folder, name)
    if status is None:
        return
    try:
        if stat.S_ISLNK(status.st_mode):
            found[path] = _link(folder, name, status)
        elif stat.S_ISDIR(status.st_mode) and depth < _DEEPEST:
            _folder(folder, name, path, found, blobs, depth)
        elif stat.S_ISREG(status.st_mode):
            found[path] = _file(folder, name, blobs)
        else:
            found[path] = _entry(status, {}, type="other")  # a socket or pipe: never restored
    except FileNotFoundError:
        return  # gone meanwhile
    except OSError as error:
        if blobs is not None and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # no copy could be kept
        found[path] = {"type": "unread", "why": error.strerror}


def _entry(status: os.stat_result, attributes: Mapping[str, str], **more: Any) -> Dict[str, Any]:
    owner = {"uid": status.st_uid, "gid": status.st_gid, "xattrs": dict(attributes)}
    return {"mode": stat.S_IMODE(status.st_mode), **owner, **more}


def _link(folder: int, name: str, status: os.stat_result) -> Dict[str, Any]:
    attributes = _xattrs(f"/proc/self/fd/{folder}/{name}")
    entry = _entry(status, attributes, type="link", target=os.readlink(name, dir_fd=folder))
    del entry["mode"]
    return entry


def _folder(folder: int, name: str, path: str, found: Manifest, blobs: Optional[str], depth: int) -> None:
    descriptor = os.open(name, _READ | os.O_DIRECTORY, dir_fd=folder)
    try:
        found[path] = _entry(os.fstat(descriptor), _xattrs(descriptor), type="folder")
        for inner in sorted(os.listdir(descriptor)):
            _capture(descriptor, inner, os.path.join(path, inner), found, blobs, depth + 1)
    finally:
        os.close(descriptor)


def _file(folder: int, name: str, blobs: Optional[str]) -> Dict[str, Any]:
    descriptor = os.open(name, _READ, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        status, attributes = os.fstat(descriptor), _xattrs(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return _entry(status, attributes, type="other")
        content = file.read(LARGEST + 1) if status.st_size <= LARGEST else b""
        if status.st_size > LARGEST or len(content) > LARGEST:
            return _entry(status, attributes, type="large", size=status.st_size, time=status.st_mtime_ns)
        sha256 = hashlib.sha256(content).hexdigest()
        if blobs is not None and not os.path.exists(os.path.join(blobs, sha256)):
            write_file(os.path.join(blobs, sha256), content, 0o600)
        return _entry(status, attributes, flags=_flags(descriptor), type="file", sha256=sha256)


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


def differences(one: Manifest, other: Manifest) -> List[str]:
    """Paths that are not the same in both, sorted."""
    return sorted(path for path in {*one, *other} if kept(one.get(path)) != kept(other.get(path)))


def kept(entry: Optional[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    """An entry without which file it was: a log that was turned keeps its mode and owner."""
    return None if entry is None else {name: value for name, value in entry.items() if name != "file"}


def digest(manifest: Manifest) -> str:
    """One digest of a manifest."""
    whole = {path: kept(entry) for path, entry in manifest.items()}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


# Writing back.


def write_file(path: str, content: bytes, mode: int, uid: int = 0, gid: int = 0) -> None:
    """Write a whole file or nothing, on the disk when this returns."""
    with parent(path) as (folder, name):
        _write(folder, name, content, mode, uid, gid)


def _write(folder: int, name: str, content: bytes, mode: int, uid: int, gid: int) -> None:
    temporary = f"{name}.maintenance-{os.getpid()}"
    # Of a process that died; a link that somebody has put there is never written through.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def restore(wanted: Manifest, paths: Sequence[str], blobs: str) -> List[str]:
    """Make these paths what the manifest says; the problems of those that could not be. May be run again."""
    problems: List[str] = []
    gone = [path for path in paths if path not in wanted and not path.startswith("rights:")]
    for path in sorted(gone, key=len, reverse=True):
        try:
            with parent(path) as (folder, name):
                _remove(folder, name)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                problems.append(f"{path}: {error.strerror}")
    for path in sorted(path for path in paths if path in wanted):
        try:
            _restore(path, wanted[path], blobs)
        except (OSError, RestoreError) as error:
            problems.append(f"{path}: {getattr(error, 'strerror', None) or error}")
    return problems


def _remove(folder: int, name: str) -> None:
    status = _status(folder, name)
    if status is None:
        return
    if stat.S_ISDIR(status.st_mode):
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError as error:  # somebody else's file is in it: it stays, and the folder with it
            if error.errno not in (errno.ENOTEMPTY, errno.EBUSY):
                raise
        return
    if stat.S_ISREG(status.st_mode):
        _set_flags(folder, name, 0)
    os.unlink(name, dir_fd=folder)


_IS_KIND = {"file": stat.S_ISREG, "link": stat.S_ISLNK, "folder": stat.S_ISDIR}


def _restore(path: str, wanted: Mapping[str, Any], blobs: str) -> None:
    kind = wanted["type"]
    if kind == "rights":
        _restore_rights(path[len("rights:") :], wanted)
        return
    if kind not in _IS_KIND:
        return
    with parent(path) as (folder, name):
        there = _status(folder, name)
        if there is not None and not _IS_KIND[kind](there.st_mode):
            _remove(folder, name)
        if kind == "link":
            _restore_link(folder, name, wanted)
            return
        if kind == "folder":
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=folder)
        else:
            _restore_content(folder, name, wanted, blobs)
        descriptor = os.open(name, _READ, dir_fd=folder)
        try:
            _give(descriptor, wanted)
        finally:
            os.close(descriptor)
        if kind == "file":
            _set_flags(folder, name, wanted["flags"])


def _restore_link(folder: int, name: str, wanted: Mapping[str, Any]) -> None:
    there = _status(folder, name)
    if there is None or os.readlink(name, dir_fd=folder) != wanted["target"]:
        temporary = f"{name}.maintenance-{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        os.symlink(wanted["target"], temporary, dir_fd=folder)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.chown(name, wanted["uid"], wanted["gid"], dir_fd=folder, follow_symlinks=False)


def _restore_content(folder: int, name: str, wanted: Mapping[str, Any], blobs: str) -> None:
    _set_flags(folder, name, 0)
    with open(os.path.join(blobs, wanted["sha256"]), "rb") as file:
        content = file.read()
    if hashlib.sha256(content).hexdigest() != wanted["sha256"]:
        raise RestoreError("its kept content is damaged")
    if not _holds(folder, name, content):
        _write(folder, name, content, wanted["mode"], wanted["uid"], wanted["gid"])


def _restore_rights(path: str, wanted: Mapping[str, Any]) -> None:
    """Of the very file that had them: one that was turned away has taken them with it; a link or a socket has none."""
    try:
        with opened(path) as descriptor:
            status = os.fstat(descriptor)
            if wanted["file"] == [status.st_dev, status.st_ino]:
                _give(descriptor, wanted)
    except OSError as error:
        if error.errno not in (*_NOT_THERE, errno.ENXIO):
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


def _holds(folder: int, name: str, content: bytes) -> bool:
    status = _status(folder, name)
    if status is None or status.st_size != len(content):
        return False
    descriptor = os.open(name, _READ, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(len(content) + 1) == content


def _set_flags(folder: int, name: str, flags: int) -> None:
    try:
        descriptor = os.open(name, _READ, dir_fd=folder)
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
