"""Restore points of a host: what was, kept on the host itself, and the way back to it.

Standard library only, Python 3.8 or newer: the same file is the module's code and, copied beside a restore point, the
program that systemd starts when nobody confirms a change. It needs no network, no Ansible and no login to work.

A restore point is a folder below FOLDER, for root alone:
  meta.json     id, state (armed, confirmed, reverted, failed), plan, instants
  before.json   manifest of /etc and of the plan's other paths: type, mode, owner, xattrs, flags, digest
  after.json    the same at the confirmation; what differs between the two is what the change did
  files/SHA256  contents
  revert.py     this file, and restore_tree.py beside it
  other .py     programs of the plan, which keep and bring back what stands in no file of ours, as packages
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence

try:
    from ansible.module_utils import restore_tree as tree
except ImportError:  # beside a restore point: no Ansible, and no path but this
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import restore_tree as tree  # type: ignore[import-not-found,no-redef]

capture, digest, differences, kept = tree.capture, tree.digest, tree.differences, tree.kept
opened, restore, rights, write_file = tree.opened, tree.restore, tree.rights, tree.write_file
Manifest, RestoreError = tree.Manifest, tree.RestoreError

FOLDER = "/var/lib/maintenance/restore_points"
UNITS = "/usr/local/lib/systemd/system"  # searched by systemd, survives a reboot, and is no part of /etc
UNIT = "maintenance-revert"
PYTHON = "/usr/bin/python3"
_WANTED = {"sysinit.target": f"{UNIT}-boot.service", "multi-user.target": f"{UNIT}-late.service"}
RESERVE_BYTES = 8 << 20  # kept free for the way back: a full disk must not stop it
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_COMMAND_SECONDS = 60
_AUDIT_SECONDS = 300  # loading rules one by one, on a slow machine
_PROGRAM_SECONDS = 1800
_TRIES = 3  # after which a path that somebody else writes all the time is left to them


# Restore points.


@contextlib.contextmanager
def locked(folder: str = FOLDER) -> Iterator[None]:
    """One at a time: a confirmation and the way back never cross."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    status = os.stat(folder)
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
        raise RestoreError(
            f"{folder} can be written by others than root: nothing is kept or taken back there"
        )
    path = os.path.join(folder, ".lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.ENOSPC, errno.EDQUOT):
            raise
        descriptor = os.open(
            path, os.O_RDONLY | os.O_CLOEXEC
        )  # a disk that went bad must not stop the way back
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def in_time(seconds: int) -> Iterator[None]:
    """A change that is not done when its time is over ends itself, with the command that it waits for."""

    def over(_signal: int, _frame: object) -> None:
        raise RestoreError(f"it was not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def step(point: Point) -> Iterator[None]:
    """One step of a change: the way back waits for its end, and once that has begun no other step does."""
    with locked(point.folder):
        waiting = armed_point(point.folder)
        if waiting is None or waiting.name != point.name:
            raise RestoreError("its time was over: the host has taken the change back by itself")
        yield


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
        except ValueError:
            raise RestoreError(f"{os.path.join(self.path, name)} is damaged") from None

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
    try:
        _keep(point, plan)
    except BaseException:
        shutil.rmtree(point.path, ignore_errors=True)  # nobody will ever need a part of it
        raise
    os.sync()
    return point


def _keep(point: Point, plan: Mapping[str, Any]) -> None:
    os.makedirs(point.blobs, mode=0o700)
    _need_room(point.folder)
    before = covered(plan, point.blobs)
    unread = [f"{path} ({entry['why']})" for path, entry in before.items() if entry["type"] == "unread"]
    if unread:
        raise RestoreError(f"no way back could be kept: {', '.join(unread[:5])} cannot be read")
    point.write("before.json", before)
    point.write("running.json", running(plan))
    # These files' own sources, which Ansible brings in a zip archive.
    for name, loader, file in (
        ("revert.py", __loader__, __file__),
        ("restore_tree.py", tree.__loader__, tree.__file__),
    ):
        write_file(os.path.join(point.path, name), loader.get_data(file), 0o600)
    for program in plan.get("programs", []):
        with open(program, "rb") as file:
            write_file(os.path.join(point.path, os.path.basename(program)), file.read(), 0o600)
    ask_programs(point, plan, "keep")
    write_file(os.path.join(point.path, "reserve"), b"\0" * RESERVE_BYTES, 0o600)
    point.write("meta.json", {"name": point.name, "state": "taken", "plan": dict(plan), "taken": time.time()})


def ask_programs(point: Point, plan: Mapping[str, Any], verb: str) -> List[str]:
    """What the programs of a plan answer to a verb: keep, after, state, revert or undo."""
    answers = []
    for program in plan.get("programs", []):
        own = os.path.join(point.path, os.path.basename(program))
        done = _run([PYTHON, "-I", "-S", own, verb, point.path], seconds=_PROGRAM_SECONDS)
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
        "firewall": _rules() if plan.get("firewall") else None,
        # Only where it is asked for: the digest of a restore point that knows of no mounts stays what it was.
        **({"mounts": {path: mount_options(path) for path in plan["mounts"]}} if plan.get("mounts") else {}),
        **({"audit": audit_rules()} if plan.get("audit") else {}),
    }


def audit_rules() -> List[str]:
    """The kernel's audit rules in force: what loads them may fail or be too slow, and no file says so."""
    return sorted(_must(["auditctl", "-l"]).splitlines())


def audit_is_fixed() -> bool:
    """Whether nothing but a start of the host can change them any more (-e 2); the change has said so."""
    return "enabled 2" in _must(["auditctl", "-s"]).splitlines()


def _rules() -> str:
    """The firewall's rules in force, without what they have counted; none where the host has no nftables."""
    if shutil.which("nft", path=_PATH) is None:
        return ""
    return _must(["nft", "--stateless", "list", "ruleset"])


def in_force(plan: Mapping[str, Any]) -> List[str]:
    """Of what stands in no file, as the roles of a database: what the change made and is still so.

    What cannot be asked is taken for being so: an undo must not claim that it is gone.
    """
    found = []
    for made in plan.get("redo", []):
        asked = _run(made["unless"]) if made["unless"] else None
        if asked is not None and (asked.returncode != 0 or asked.stdout.strip() == "t"):
            found.append(str(made["run"][-1]))
    return found


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
    program = f"{PYTHON} -I -S {point.path}/revert.py"
    _must([*program.split(), "check"])  # a way back that cannot run is none
    for target, name in _WANTED.items():
        os.makedirs(os.path.join(UNITS, f"{target}.wants"), exist_ok=True)
        link = os.path.join(UNITS, f"{target}.wants", name)
        if not os.path.islink(link):
            os.symlink(f"../{name}", link)
    for name, text in _units(point, program, seconds).items():
        write_file(os.path.join(UNITS, name), text.encode(), 0o644)
    os.sync()
    try:
        _must(["systemctl", "daemon-reload"])
        _must(["systemctl", "restart", f"{UNIT}.timer"])
        # The deadline runs before anything can wait for it: what dies here leaves nothing armed for another day.
        point.note(state="armed", armed=time.time(), seconds=seconds)
        write_file(os.path.join(point.folder, "armed"), point.name.encode(), 0o600)
        os.sync()
        if not _ticks():
            raise RestoreError(f"{UNIT}.timer was over before the host was armed: give it more time")
    except BaseException:
        disarm(point.folder)
        with contextlib.suppress(OSError):
            point.note(state="reverted", problem="it could not be armed: nothing was changed")
        _run(["systemctl", "stop", f"{UNIT}.timer"])
        _run(["systemctl", "daemon-reload"])
        raise


def _units(point: Point, program: str, seconds: int) -> Dict[str, str]:
    """What systemd starts at the deadline, and at a start of the host."""
    # What a start needs first; a revert before them finds every service with its old files.
    early = "DefaultDependencies=no\nAfter=local-fs.target\nBefore=sysinit.target shutdown.target\n"
    early += "Conflicts=shutdown.target\n"
    late = f"After=postgresql.service multi-user.target\nConditionPathExists={point.folder}/armed\n"
    return {
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


def disarm(folder: str = FOLDER) -> None:
    """Nothing goes back by itself any more."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, "armed"))
    wanted = [f"{target}.wants/{name}" for target, name in _WANTED.items()]
    for name in (*wanted, *_WANTED.values(), f"{UNIT}.timer", f"{UNIT}.service"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(UNITS, name))
    os.sync()


def prove(proofs: Sequence[Sequence[str]]) -> None:
    """Every proof (a command) succeeds; raises with the first that does not."""
    for proof in proofs:
        done = _run(proof)
        if done.returncode != 0:
            raise RestoreError(f"proof failed: {' '.join(proof)}: {_said(done) or done.returncode}")


def confirm(point: Point) -> Dict[str, Any]:
    """The change stays. Refused where the host has gone back already, or is about to."""
    meta = point.meta
    waiting = armed_point(point.folder)
    waits = waiting is not None and waiting.name == point.name
    if meta["state"] == "confirmed" and not waits:
        return meta
    if not waits:
        raise RestoreError(
            f"restore point {point.name} is {meta['state']}: its change was taken back, nothing is confirmed"
        )
    # The deadline's program waits for the lock that this one holds.
    if _run(["systemctl", "is-active", f"{UNIT}.service"]).stdout.strip() in ("activating", "active"):
        raise RestoreError("its time is over: the host is taking the change back, nothing is confirmed")
    ask_programs(point, meta["plan"], "after")
    point.write("after.json", point.capture(keep=True))
    point.write("running_after.json", running(meta["plan"]))
    point.note(state="confirmed", confirmed=time.time())
    disarm(point.folder)
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(point.path, "reserve"))
    _run(["systemctl", "stop", f"{UNIT}.timer"])
    _run(["systemctl", "daemon-reload"])
    return point.meta


def revert(point: Point, booting: bool = False) -> Dict[str, Any]:
    """Take an unconfirmed change back, whole: everything that differs from before. May be run again.

    What cannot be restored does not keep the rest from it: the problem is told at the end.
    """
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(point.path, "reserve"))
    before, was, meta = point.read("before.json"), point.read("running.json"), point.meta
    paths = differences(before, point.capture())
    problems = go_back(point, before, was, paths, booting)
    if booting and (meta["plan"].get("undo") or meta["plan"].get("programs")):
        return meta  # armed still: the late unit does it all again, with the services running
    if meta["plan"].get("programs"):
        # Packages take their time, so what lets people in came first; and they write files of /etc, so it comes again.
        problems = _told(lambda verb: ask_programs(point, meta["plan"], verb), "revert")
        problems += go_back(point, before, was, differences(before, point.capture()), booting)
    now = point.capture()
    left = [path for path in differences(before, now) if not another(path, before, now)]
    tries = meta.get("tries", 0) + 1
    # What was put back and is another already is somebody's who writes it all the time: no reason to go on for ever.
    failed = bool(problems) or (bool(left) and tries < _TRIES)
    point.note(
        state="failed" if failed else "reverted",
        reverted=time.time(),
        restored=len(paths),
        left=left[:50],
        problem="; ".join(problems)[:500],
        tries=tries,
    )
    if problems:
        raise RestoreError(f"not wholly restored: {'; '.join(problems[:5])}")
    if failed:
        raise RestoreError(f"restored, but not the same as before: {', '.join(left[:5])}")
    if meta["plan"].get("undoes"):  # an undo that nobody confirmed: its change stands again
        Point(meta["plan"]["undoes"], point.folder).note(undone=None)
    disarm(point.folder)
    if not booting:
        _run(["systemctl", "daemon-reload"])
    return point.meta


def plain(state: Any) -> Any:
    """A unit that runs or does not; how far it is on its way makes no difference."""
    words = {"activating": "active", "reloading": "active", "deactivating": "inactive", "failed": "inactive"}
    return words.get(state, state) if isinstance(state, str) else state


def another(path: str, before: Manifest, now: Manifest) -> bool:
    """Whether only rights were kept of it, and it is another file by now, or gone."""
    then, there = before.get(path, {}), now.get(path, {})
    return path.startswith("rights:") and then.get("file") != there.get("file")


def go_back(
    point: Point, before: Manifest, was: Dict[str, Any], paths: Sequence[str], booting: bool
) -> List[str]:
    """All of it, each part whatever becomes of the others; the problems."""
    problems = restore(before, paths, point.blobs)
    os.sync()
    plan = point.meta["plan"]
    _run(["systemctl", "daemon-reload"])
    for key, value in was["sysctls"].items():
        if value is not None and read_sysctl(key) != value:
            try:
                write_sysctl(key, value)
            except OSError as error:
                problems.append(f"{key}: {error.strerror}")
    for path, options in was.get("mounts", {}).items():
        there = mount_options(path)
        if options is not None and there is not None and there != options:
            problems += _told(lambda given: remount(*given), (path, options))
    if was["firewall"] is not None:
        problems += _told(_rules_back, was["firewall"])
    # At the start of a host its services come up with the old files anyway; those that were kept from it are asked for.
    for command in [] if booting else plan.get("commands", []):
        _run(command)
    # A server that did not start with the new files has to run before it can be asked, and one that is down must not
    # keep sshd from its old ones.
    for made in [] if booting else plan.get("undo", []):
        if made["unless"] and _run(made["unless"]).stdout.strip() == "t":
            continue
        problems += _told(_must, made["run"])
    if "audit" in was and not booting:
        problems += _told(_audit_back, was["audit"])
    for unit, state in was["units"].items():
        verb = "start" if plain(state) == "active" else "stop"
        if (_run(["systemctl", "is-active", unit]).stdout.strip() == "active") != (verb == "start"):
            _run(["systemctl", *(["--no-block"] if booting else []), verb, unit])
    return problems


def _rules_back(rules: str) -> None:
    if shutil.which("nft", path=_PATH) and _rules() != rules:
        done = _run(["nft", "-f", "-"], "flush ruleset\n" + rules)
        if done.returncode != 0:
            raise RestoreError(f"nft: {_said(done)}")


def _audit_back(rules: List[str]) -> None:
    if audit_rules() == rules or audit_is_fixed():
        return
    done = _run(["augenrules", "--load"], seconds=_AUDIT_SECONDS)
    if audit_rules() != rules:
        raise RestoreError(
            f"the audit rules in force are not those from before; augenrules --load: {_said(done)}"
        )


def _told(act: Callable[[Any], object], given: Any) -> List[str]:
    """The problem of an act, if it has one."""
    try:
        act(given)
    except RestoreError as error:
        return [str(error)]
    return []


def state_digest(point: Point, files: Optional[Manifest] = None) -> Dict[str, str]:
    """Digests of what a restore point covers: as it was before, and as it is now.

    files: what `capture` has just found, for whoever needs it as well: it reads all of /etc.
    """
    plan = point.meta["plan"]
    was, there = point.read("running.json"), running(plan)
    if "audit" in there and audit_is_fixed():
        there["audit"] = was.get("audit")
    before = {"files": digest(point.read("before.json")), "running": _digest(was)}
    now = {"files": digest(files or point.capture()), "running": _digest(there)}
    for number, state in enumerate(programs_state(point)):
        before[f"program {number}"], now[f"program {number}"] = state["before"], state["now"]
    return {"before": _digest({**before, "made": []}), "now": _digest({**now, "made": in_force(plan)})}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _run(
    command: Sequence[str], text: str = "", seconds: int = _COMMAND_SECONDS
) -> "subprocess.CompletedProcess[str]":
    """A command whose failure must not keep the rest from being restored."""
    environment = {
        "PATH": _PATH,
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
        return subprocess.CompletedProcess(list(command), 127, "", str(error))


def _said(done: "subprocess.CompletedProcess[str]") -> str:
    return " ".join(f"{done.stdout} {done.stderr}".split())[-300:]


def _must(command: Sequence[str]) -> str:
    done = _run(command)
    if done.returncode != 0:
        raise RestoreError(f"{' '.join(command)}: {_said(done)}")
    return done.stdout


def main(arguments: Sequence[str]) -> int:
    """What systemd starts: `revert` when the time is over, `boot` at the host's start; `check` tells that it can run."""
    # The program lies in the folder of its restore point.
    own = os.path.dirname(os.path.abspath(__file__))
    folder = os.path.dirname(own)
    if list(arguments) == ["check"]:
        own_point = Point(os.path.basename(own), folder)
        return 0 if own_point.read("before.json") and own_point.read("running.json") and own_point.meta else 1
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
