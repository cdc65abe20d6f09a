"""Packages of a Debian host as a restore point keeps them: which there were, what brings them back, the way back.

Standard library only, Python 3.8 or newer: a module imports it, and a copy beside the restore point is a program that
the way back runs, without network and without apt: dpkg and the files in STORE are enough. Its verbs:

  keep POINT         write down which packages there are, before a change
  after POINT        the same, at its confirmation
  state POINT        print what differs from before, what somebody changed since, and digests of both
  revert POINT       bring back the whole set of before
  undo POINT         bring back what the change made different
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

STORE = "/var/lib/maintenance/packages"  # the files of every version that a way back may need
UNIT = (
    "maintenance-packages.service"  # apt runs in it, so that a way back can end it with all that it started
)
POLICY = "/usr/sbin/policy-rc.d"
_DPKG = "/var/lib/dpkg"
_LOCK_SECONDS = 120
_RUN_SECONDS = 900
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
    "NEEDRESTART_SUSPEND": "1",
    "APT_LISTCHANGES_FRONTEND": "none",
}
# A configuration file that the host has stays as it is; /etc is kept whole by the restore point.
KEEP_FILES = ("--force-confdef", "--force-confold")
# name:architecture -> [version, status as dpkg abbreviates it: `ii`, `hi`, `rc` …]
Packages = Dict[str, List[str]]


class PackagesError(Exception):
    """Why packages cannot be read or brought back; one line."""


def run(
    command: Sequence[str], text: str = "", folder: str = "/", **more: str
) -> "subprocess.CompletedProcess[str]":
    """A command that asks nobody anything."""
    try:
        return subprocess.run(
            list(command),
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            errors="replace",
            timeout=_RUN_SECONDS,
            env={**ENVIRONMENT, **more},
            cwd=folder,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(list(command), 127, str(error), "")


def said(done: "subprocess.CompletedProcess[str]") -> str:
    """What a command complained of, else the end of what it said, in one line."""
    lines = done.stdout.splitlines()
    errors = [line for line in lines if line.startswith(("E:", "dpkg: error", "dpkg:"))]
    return " ".join(" ".join(errors or lines[-6:]).split())[:400]


def installed() -> Packages:
    """What dpkg knows of on this host."""
    form = "${Package}:${Architecture}\t${Version}\t${db:Status-Abbrev}\n"
    done = run(["dpkg-query", "--show", "--showformat", form])
    if done.returncode != 0:
        raise PackagesError(f"dpkg-query: {said(done)}")
    return parse_installed(done.stdout)


def parse_installed(text: str) -> Packages:
    """Lines of dpkg-query; what is only known by name, as a wish, is no package of the host."""
    found: Packages = {}
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) == 3 and fields[2][1:2] not in ("", "n"):
            found[fields[0]] = [fields[1], fields[2].rstrip()]
    return found


def differing(one: Packages, other: Packages) -> List[str]:
    """Packages that are not the same in both, sorted."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def file_name(name: str, version: str) -> str:
    """The file of a package as apt names it: `name_1%3a2.0_amd64.deb`."""
    package, _, architecture = name.partition(":")
    return f"{package}_{version.replace(':', '%3a')}_{architecture}.deb"


def way_back(wanted: Packages, now: Packages, names: Sequence[str]) -> Dict[str, List[str]]:
    """What dpkg is to do for each of these packages, in this order: purge, install, remove, and then select."""
    steps: Dict[str, List[str]] = {"purge": [], "install": [], "remove": [], "select": []}
    for name in names:
        before, there = wanted.get(name), now.get(name)
        if before is None:
            if there is not None:
                steps["purge"].append(name)
            continue
        if there == before:
            continue
        had_files, has_files = before[1][1] == "i", there is not None and there[1][1:] == "i"
        same = has_files and there is not None and there[0] == before[0]
        if had_files and not same:
            steps["install"].append(name)
        elif not had_files:
            # Only its configuration was left: without it, it has to be there once to leave it.
            if there is None or there[1][1:] not in ("i", "c"):
                steps["install"].append(name)
            if there is None or there[1][1:] != "c":
                steps["remove"].append(name)
        steps["select"].append(name)
    return steps


def bring_back(wanted: Packages, names: Optional[Sequence[str]], starts: Sequence[str]) -> None:
    """Make these packages (none: all) what they were. May be run again after it was interrupted."""
    run(["systemctl", "stop", UNIT])
    with lock(), quiet_services(starts):
        problem = ""
        for _attempt in range(3):
            now = installed()
            left = (
                differing(wanted, now) if names is None else [n for n in names if wanted.get(n) != now.get(n)]
            )
            if not left and not _unfinished():
                return
            problem = _bring_back_once(wanted, now, left) or problem
        left = [name for name in differing(wanted, installed()) if names is None or name in names]
        if left or _unfinished():
            raise PackagesError(
                f"packages are not as before: {', '.join(left[:5]) or _unfinished()}; {problem}"
            )


def _unfinished() -> str:
    """What dpkg --audit complains of; nothing where every package is whole."""
    return " ".join(run(["dpkg", "--audit"]).stdout.split())[:200]


def _bring_back_once(wanted: Packages, now: Packages, names: Sequence[str]) -> str:
    steps = way_back(wanted, now, names)
    files = [os.path.join(STORE, file_name(name, wanted[name][0])) for name in steps["install"]]
    missing = [path for path in files if not os.path.exists(path)]
    if missing:
        raise PackagesError(f"the kept file is gone: {missing[0]}")
    problems: List[str] = []

    def dpkg(*arguments: str) -> None:
        done = run(["dpkg", *KEEP_FILES, *arguments], DPKG_FRONTEND_LOCKED="1")
        if done.returncode != 0:
            problems.append(said(done))

    # What depends on what does not matter on the way: the set that was before was whole.
    if steps["purge"]:
        dpkg("--force-depends", "--force-remove-reinstreq", "--purge", *steps["purge"])
    if files:
        dpkg("--force-depends", "--force-breaks", "--install", *files)
    if steps["remove"]:
        dpkg("--force-depends", "--remove", *steps["remove"])
    dpkg("--configure", "--pending")
    wishes = {"i": "install", "h": "hold", "r": "deinstall", "p": "purge"}
    lines = [f"{name} {wishes.get(wanted[name][1][0], 'install')}\n" for name in steps["select"]]
    if lines:
        run(["dpkg", "--set-selections"], "".join(lines))
    return "; ".join(problems)


@contextlib.contextmanager
def lock(seconds: float = _LOCK_SECONDS) -> Iterator[None]:
    """Packages are ours alone; waits so long for another who has them, and no longer."""
    descriptor = os.open(_DPKG + "/lock-frontend", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        end = time.monotonic() + seconds
        while True:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > end:
                    raise PackagesError(f"another program has held dpkg's lock for {seconds:g} s") from None
                time.sleep(0.5)
        yield
    finally:
        os.close(descriptor)


def policy(starts: Sequence[str]) -> str:
    """The policy that maintainer scripts ask: whatever did not run before the change is not started by it."""
    bare = [name[: -len(".service")] for name in starts if name.endswith(".service")]
    names = " ".join([*starts, *bare])
    return (
        "#!/bin/sh\n# Kept by a maintenance runbook while it changes packages.\n"
        'for word; do case "$word" in --*) ;; stop|"(stop)"|force-stop) exit 0 ;;\n'
        f'*) case " {names} " in *" $word "*) exit 0 ;; esac ;; esac; done\nexit 101\n'
    )


@contextlib.contextmanager
def quiet_services(starts: Sequence[str]) -> Iterator[None]:
    """No service is started by an installation unless it ran before; a policy that the host has stays away meanwhile."""
    away = f"{STORE}/policy-rc.d"
    os.makedirs(STORE, mode=0o700, exist_ok=True)
    ours = "maintenance runbook"
    if os.path.exists(POLICY) and ours not in _text(POLICY) and not os.path.exists(away):
        shutil.move(POLICY, away)
    with open(POLICY, "w", encoding="utf-8") as file:
        file.write(policy(starts) + f"# of process {os.getpid()}\n")
        os.fchmod(file.fileno(), 0o755)
    try:
        yield
    finally:
        # A way back that has ended this change has a policy of its own by now.
        if os.path.exists(POLICY) and f"# of process {os.getpid()}\n" in _text(POLICY):
            os.unlink(POLICY)
            if os.path.exists(away):
                shutil.move(away, POLICY)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def active_units() -> List[str]:
    """Services, sockets and timers that run now."""
    kinds = "--type=service,socket,timer"
    done = run(["systemctl", "list-units", kinds, "--state=active", "--plain", "--no-legend", "--no-pager"])
    return sorted(line.split()[0] for line in done.stdout.splitlines() if line.strip())


# The program beside a restore point.


def _read(folder: str, name: str) -> Any:
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return json.load(file)


def _write(folder: str, name: str, value: Any) -> None:
    path = os.path.join(folder, name)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(value, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def keep(folder: str) -> None:
    """Before a change."""
    _write(folder, "packages.json", {"packages": installed(), "active": active_units()})


def after(folder: str) -> None:
    """At its confirmation."""
    _write(folder, "packages_after.json", {"packages": installed()})


def changed_by(folder: str) -> Tuple[Packages, Packages, List[str]]:
    """Before, at the confirmation, and what a confirmed change made different; all of it before there is one."""
    before = _read(folder, "packages.json")["packages"]
    if not os.path.exists(os.path.join(folder, "packages_after.json")):
        return before, before, differing(before, installed())
    confirmed = _read(folder, "packages_after.json")["packages"]
    return before, confirmed, differing(before, confirmed)


def state(folder: str) -> Dict[str, Any]:
    """What an undo would change, what stands in its way, and digests for the record."""
    before, confirmed, names = changed_by(folder)
    now = installed()
    mine = {name: before[name] for name in names if name in before}
    there = {name: now[name] for name in names if name in now}
    return {
        "changed": [name for name in names if now.get(name) != before.get(name)],
        "later": [n for n in names if now.get(n) not in (before.get(n), confirmed.get(n))],
        "before": digest(mine),
        "now": digest(there),
    }


def digest(packages: Mapping[str, Any]) -> str:
    """One digest of a set of packages."""
    return hashlib.sha256(json.dumps(packages, sort_keys=True).encode()).hexdigest()


def revert(folder: str) -> None:
    """The whole set of before."""
    kept = _read(folder, "packages.json")
    bring_back(kept["packages"], None, kept["active"])


def undo(folder: str) -> None:
    """What the change made different, and nothing that others have done."""
    before, _confirmed, names = changed_by(folder)
    bring_back(before, names, active_units())


def main(arguments: Sequence[str]) -> int:
    """One verb, one restore point."""
    verbs = {"keep": keep, "after": after, "revert": revert, "undo": undo}
    try:
        verb, folder = arguments
        if verb == "state":
            print(json.dumps(state(folder)))
        else:
            verbs[verb](folder)
    except (PackagesError, OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
