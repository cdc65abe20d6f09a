"""Packages of Debian as resources: one transaction of apt, known whole beforehand, whose way back lies on the host.

Nothing is changed unless the file of every version that goes away is kept (restore_packages.STORE): it comes out of
apt's cache, or a repository still has it. What a transaction would do beyond what was asked for refuses it.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import time
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible.module_utils import restore_packages
from ansible.module_utils.resource import Difference, NotPossibleError, then_of
from ansible.module_utils.restore_engine import RestoreError, write_file
from ansible.module_utils.restore_packages import STORE, Packages, file_name, installed, run, said

LISTS = "/var/lib/apt/lists"
LISTS_HOURS = 24  # older lists are asked for anew before something is installed, as an administrator would
_APT_CACHE = "/var/cache/apt/archives"
_APT = (
    *("apt-get", "--yes", "--quiet=2", "--no-install-recommends"),
    *("-o", f"Dir::Cache::archives={STORE}", "-o", "DPkg::Lock::Timeout=60", "-o", "Dpkg::Use-Pty=0"),
    *("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"),
)
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?")
_VERSION = re.compile(r"[A-Za-z0-9.+~:-]+")


class Step(NamedTuple):
    """What apt would do to one package."""

    verb: str  # Inst, Remv or Purg
    name: str
    before: str  # version that is there, or ""
    after: str  # version that will be there, or ""
    architecture: str


def parse_simulation(text: str) -> List[Step]:
    """The lines Inst, Remv and Purg of `apt-get --simulate`."""
    found = []
    for line in text.splitlines():
        match = re.match(
            r"(Inst|Remv|Purg) (\S+)(?: \[([^\]]+)\])?(?: \((\S+) [^)]*?(?:\[([a-z0-9]+)\])?\))?", line
        )
        if match:
            verb, name, before, after, architecture = match.groups()
            found.append(Step(verb, name, before or "", after or "", architecture or ""))
    return found


def wishes(resource: Mapping[str, Any], now: Packages) -> List[str]:
    """What of a resource is not so yet, as arguments of apt-get: `name`, `name=version`, `name-`."""
    state = resource.get("state", "present")
    if state not in ("present", "absent", "purged"):
        raise RestoreError(f"state of a package must be present, absent or purged, not {state}")
    found = []
    for name in names_of(resource):
        there = [status for key, status in now.items() if name in (key, key.split(":")[0])]
        whole = [status for status in there if status[1][1:2] == "i"]
        version = str(resource.get("version", ""))
        if version and not _VERSION.fullmatch(version):
            raise RestoreError(f"'{version}' is no version of a package")
        if state == "present":
            if not whole or (version and all(status[0] != version for status in whole)):
                found.append(f"{name}={version}" if version else name)
        elif whole or (state == "purged" and there):
            found.append(name + "-")
    return found


def names_of(resource: Mapping[str, Any]) -> List[str]:
    """The packages of a resource; names only, as they become arguments of a command."""
    names = [str(name) for name in resource.get("names", [resource.get("name", "")])]
    strange = [name for name in names if not _NAME.fullmatch(name)]
    if strange and _installs(resource):
        raise RestoreError(f"'{strange[0]}' is no name of a package")
    # A list of what is not wanted may have names of other distributions.
    return [name for name in names if name not in strange]


class Transaction:
    """All packages of a plan: what can be had together, and why the rest cannot."""

    def __init__(self, resources: Sequence[Mapping[str, Any]], rehearsal: bool) -> None:
        self.rehearsal = rehearsal
        self.refused: List[Tuple[Mapping[str, Any], str]] = []
        self.accepted: List[Mapping[str, Any]] = []
        self.steps: List[Step] = []
        self.now: Packages = installed() if resources else {}
        wanted = [resource for resource in resources if wishes(resource, self.now)]
        if not wanted:
            return
        reason = _unready()
        if reason:
            self.refused = [(resource, reason) for resource in wanted]
            return
        self.update = _update(rehearsal) if any(_installs(resource) for resource in wanted) else ""
        if not self._try(wanted):
            parts = [part for resource in wanted for part in _parts(resource)]
            self._one_by_one([part for part in parts if wishes(part, self.now)])
            self._try(self.accepted)

    def _one_by_one(self, wanted: List[Mapping[str, Any]]) -> None:
        """One that is not to be had must not keep the others away; one may be possible after another."""
        while wanted:
            self.refused = []
            for part in wanted:
                reason = self._reason([*self.accepted, part])
                if reason:
                    self.refused.append((part, reason))
                else:
                    self.accepted.append(part)
            left = [part for part, _reason in self.refused]
            if len(left) == len(wanted):
                return
            wanted = left

    def _try(self, resources: List[Mapping[str, Any]]) -> bool:
        if not resources or self._reason(resources):
            return False
        self.accepted = resources
        self.steps = self._simulated(resources)
        return True

    def _reason(self, resources: Sequence[Mapping[str, Any]]) -> str:
        """Why these cannot be had together, or ''."""
        try:
            steps = self._simulated(resources)
            too_much(steps, resources)
            self._fetch(steps)
        except NotPossibleError as error:
            return str(error)
        return ""

    def _arguments(self, resources: Sequence[Mapping[str, Any]]) -> List[str]:
        return [wish for resource in resources for wish in wishes(resource, self.now)]

    def _simulated(self, resources: Sequence[Mapping[str, Any]]) -> List[Step]:
        purge = ["--purge"] if any(one.get("state") == "purged" for one in resources) else []
        done = run([*_APT, "--simulate", *purge, "install", *self._arguments(resources)])
        if done.returncode != 0:
            more = f" (apt-get update: {self.update})" if self.update else ""
            raise NotPossibleError(f"apt: {said(done)}{more}")
        return parse_simulation(done.stdout)

    def _fetch(self, steps: Sequence[Step]) -> None:
        """Every version that goes away, for the way back, and every one that comes; a rehearsal only asks."""
        missing: List[str] = []
        for key, version in _files(steps, self.now):
            kept = os.path.join(STORE, file_name(key, version))
            cached = os.path.join(_APT_CACHE, file_name(key, version))
            if os.path.exists(kept):
                continue
            if os.path.exists(cached):
                if not self.rehearsal:
                    shutil.copy(cached, kept)
                continue
            missing.append(f"{key.replace(':all', '')}={version}")
        for package in missing:
            asked = ["--print-uris"] if self.rehearsal else []
            folder = "/" if self.rehearsal else STORE
            done = run([*_APT, "download", *asked, package], folder=folder)
            if done.returncode != 0 or not (asked or _there(package)):
                raise NotPossibleError(
                    f"the file of {package} is neither in apt's cache nor to be had from a repository: {said(done)}"
                )

    def difference(self) -> Optional[Difference]:
        """What will be done, and what the way back needs to know."""
        if not self.steps:
            return None
        purge = ["--purge"] if any(one.get("state") == "purged" for one in self.accepted) else []
        command = [*_APT, *restore_options(), *purge, "install", *self._arguments(self.accepted)]
        touched = [step.name for step in self.steps if step.before]
        fresh = [step.name for step in self.steps if not step.before]
        program = os.path.join(STORE, "restore_packages.py")
        if not self.rehearsal:
            write_file(program, restore_packages.__loader__.get_data(restore_packages.__file__), 0o600)
        more = tuple(path for one in self.accepted for path in one.get("paths", ()))
        return Difference(
            "packages",
            "\n".join(f"{step.name} {step.before or '-'}" for step in self.steps) + "\n",
            "\n".join(f"{step.name} {step.after or '-'}" for step in self.steps) + "\n",
            lambda: change(command, fresh),
            # Which packages somebody asked for, and the policy that keeps services from starting meanwhile.
            paths=("/var/lib/apt/extended_states", restore_packages.POLICY, *more),
            units=tuple(units_of(touched)),
            then=tuple(command for one in self.accepted for command in then_of(one)),
            programs=(program,),
        )


def _parts(resource: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """What comes, comes together; what goes, goes one by one."""
    if _installs(resource):
        return [resource]
    return [{**resource, "names": [name]} for name in names_of(resource)]


def _installs(resource: Mapping[str, Any]) -> bool:
    return bool(resource.get("state", "present") == "present")


def _there(package: str) -> bool:
    name, _, version = package.partition("=")
    return any(
        entry.startswith(name.split(":")[0] + "_" + version.replace(":", "%3a") + "_")
        for entry in os.listdir(STORE)
    )


def _files(steps: Iterable[Step], now: Packages) -> List[Tuple[str, str]]:
    """(name:architecture, version) of every file that the change or its way back needs."""
    found: List[Tuple[str, str]] = []
    for step in steps:
        bare = step.name.split(":")[0]
        keys = [key for key in now if key == step.name or key.split(":")[0] == bare]
        if step.before:
            found += [(key, now[key][0]) for key in keys if now[key][0] == step.before]
        if step.after:
            found.append((f"{bare}:{step.architecture}", step.after))
    return found


def too_much(steps: Iterable[Step], resources: Sequence[Mapping[str, Any]]) -> None:
    """Raise NotPossibleError where the transaction takes away what nobody named."""
    asked = {name for one in resources if not _installs(one) for name in names_of(one)}
    along = [pattern for one in resources for pattern in one.get("along", [])]
    more = sorted(
        step.name
        for step in steps
        if step.verb in ("Remv", "Purg")
        and step.name not in asked
        and not any(fnmatch.fnmatchcase(step.name, pattern) for pattern in along)
    )
    if more:
        raise NotPossibleError(f"it would take away {', '.join(more[:8])} as well: decide on these first")


def _unready() -> str:
    """Why nothing can be done with packages on this host at all, or ''."""
    if not shutil.which("apt-get", path="/usr/sbin:/usr/bin:/sbin:/bin"):
        return "this host has no apt"
    broken = " ".join(run(["dpkg", "--audit"]).stdout.split())[:200]
    return f"dpkg has unfinished work, which has to be mended first: {broken}" if broken else ""


def _update(rehearsal: bool) -> str:
    """Ask for the lists of packages where they are old, or there are none; what went wrong, or ''."""
    if rehearsal or time.time() - lists_time() < LISTS_HOURS * 3600:
        return ""
    done = run([*_APT, "-o", "APT::Update::Error-Mode=any", "update"])
    return said(done) if done.returncode != 0 else ""


def lists_time() -> float:
    """When the lists of packages were last asked for with success; 0 where there are none."""
    try:
        if not [name for name in os.listdir(LISTS) if name.endswith(("Release", "_Packages", ".lz4"))]:
            return 0.0
        return max(os.stat(path).st_mtime for path in (LISTS, LISTS + "/partial"))
    except OSError:
        return 0.0


def restore_options() -> List[str]:
    """Files of /etc that the host has stay as they are."""
    return [part for option in restore_packages.KEEP_FILES for part in ("-o", f"Dpkg::Options::={option}")]


def units_of(names: Sequence[str]) -> List[str]:
    """Units of systemd that these packages have, templates left out."""
    if not names:
        return []
    listed = run(["dpkg", "--listfiles", *names]).stdout
    found = re.findall(r"/systemd/system/([^/\s@]+\.(?:service|socket|timer))$", listed, re.MULTILINE)
    return sorted(set(found))


def change(command: Sequence[str], fresh: Sequence[str]) -> None:
    """Let apt do it, in a unit of its own; what came with it starts, now or with the host, only where it is asked for."""
    environment = [f"--setenv={name}={value}" for name, value in restore_packages.ENVIRONMENT.items()]
    starter = ["systemd-run", "--wait", "--pipe", "--collect", "--quiet", f"--unit={restore_packages.UNIT}"]
    with restore_packages.quiet_services(restore_packages.active_units()):
        done = run([*starter, *environment, *command])
    if done.returncode != 0:
        raise RestoreError(f"apt: {said(done) or done.returncode}")
    run(["systemctl", "daemon-reload"])
    for unit in units_of(fresh):
        if run(["systemctl", "is-enabled", unit]).stdout.strip() == "enabled":
            run(["systemctl", "disable", unit])


def make_store() -> None:
    """The folder of kept files, for root alone; apt wants a folder `partial` in it."""
    os.makedirs(os.path.join(STORE, "partial"), mode=0o700, exist_ok=True)
    os.chmod(STORE, 0o700)


def a_package_change(resource: Dict[str, Any]) -> Optional[Difference]:
    """{name | names, state: present | absent | purged, version, along, then, paths}: all of a plan as one transaction.

    along: patterns of what may go away with what is taken away. What cannot be had is noted in `refused_parts`, what
    will be installed in `coming`.
    """
    resources = resource.get("wanted", [resource])
    if not resource["rehearsal"] and any(wishes(one, installed()) for one in resources):
        make_store()
    transaction = Transaction(resources, resource["rehearsal"])
    resource["refused_parts"] = [
        (part, reason, "package" if _installs(part) else "host") for part, reason in transaction.refused
    ]
    resource["coming"] = [step.name.split(":")[0] for step in transaction.steps if not step.before]
    return transaction.difference()


def is_installed(name: str) -> bool:
    """Whether a package is there whole."""
    done = run(["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}\\n", name])
    return done.returncode == 0 and any(line[1:2] == "i" for line in done.stdout.splitlines())
