"""How a pgBackRest repository is read on its own host: where it lies, its files, its commands as its own account."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ansible.module_utils import pgbackrest_files as files
from ansible.module_utils import wal_chain as wal
from ansible.module_utils.pgbackrest_files import Manifest, RepositoryError

CONFIGURATIONS = ("/etc/pgbackrest/pgbackrest.conf", "/etc/pgbackrest.conf")
_SECONDS = 120


class Options(NamedTuple):
    """What is asked."""

    stanza: str
    configuration: str = ""
    account: str = ""  # whom the repository belongs to; '' is the owner of its folder
    processes: int = 2
    checksums: bool = True
    trial_folder: str = ""  # where one database is restored as a trial; '' tries none
    trial_reserve: int = 1 << 30
    production_timeline: Optional[int] = None
    database: Mapping[
        str, Any
    ] = {}  # what module database_point read of the database; empty where it gave no answer


class Archive(NamedTuple):
    """The files of one archive of the stanza (a database's version and system)."""

    name: str
    segments: Dict[str, List[Tuple[files.Archived, str, float]]]  # by segment's name
    histories: Dict[int, List[Tuple[int, int]]]
    history_times: Dict[int, float]


class Reading:
    """The probes of a snapshot as they come."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.probes: Dict[str, Dict[str, Any]] = {}
        self.data: Dict[str, Any] = {}
        self.commands: List[str] = []
        path = options.configuration or next((one for one in CONFIGURATIONS if os.path.isfile(one)), "")
        if not path:
            raise RepositoryError("pgBackRest is not configured on this host (/etc/pgbackrest.conf)")
        self.configuration = path
        with open(path, encoding="utf-8", errors="replace") as file:
            told = files.configuration(file.read())
        self.settings = {**told.get("global", {}), **told.get(options.stanza, {})}
        if self.settings.get("repo1-host"):
            host = self.settings["repo1-host"]
            raise RepositoryError(f"the repository is on {host}: it is checked where it lies")
        if self.settings.get("repo1-type", "posix") not in ("posix", "cifs"):
            raise RepositoryError(
                f"a repository of type {self.settings['repo1-type']} has no files on this host"
            )
        self.path = self.settings.get("repo1-path", "/var/lib/pgbackrest")
        self.encrypted = self.settings.get("repo1-cipher-type", "none") != "none"
        self.account = options.account or pwd.getpwuid(os.stat(self.path).st_uid).pw_name
        self.backups = os.path.join(self.path, "backup", options.stanza)
        self.archive = os.path.join(self.path, "archive", options.stanza)
        self.manifests: Dict[str, Manifest] = {}
        self.broken: Dict[str, str] = {}  # backups whose manifest cannot be used
        self.info: Dict[str, Any] = {}
        self.chain: Optional[Tuple[Archive, Dict[int, Set[int]], int]] = None

    def probe(self, name: str, read: Callable[[], Dict[str, Any]]) -> None:
        """Read one; what cannot be read is unknown, with its reason."""
        started = time.monotonic()
        try:
            self.data[name] = read()
            state: Dict[str, Any] = {"state": "ok"}
        except (RepositoryError, wal.WalError, OSError, ValueError, KeyError, TypeError) as error:
            reason = (
                str(error) if isinstance(error, (RepositoryError, wal.WalError, OSError)) else repr(error)
            )
            state = {"state": "unknown", "reason": reason[:500]}
        self.probes[name] = {**state, "ms": round((time.monotonic() - started) * 1000), "unread": {}}

    def pgbackrest(self, arguments: Sequence[str], seconds: int = _SECONDS) -> bytes:
        """What pgBackRest prints as the repository's own account."""
        own = ["pgbackrest", f"--stanza={self.options.stanza}"]
        # Where it is that of the system, pgBackRest also reads its conf.d, as for the pass of the encryption.
        own += [f"--config={self.configuration}"] if self.options.configuration else []
        command = ["runuser", "-u", self.account, "--", *own, "--log-level-file=off", *arguments]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=seconds,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
                cwd="/",
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RepositoryError(f"pgbackrest {arguments[0]}: {error}") from None
        if done.returncode != 0:
            said = " ".join((done.stderr or done.stdout).decode(errors="replace").split())
            raise RepositoryError(f"pgbackrest {arguments[0]}: {said[-300:] or done.returncode}")
        return done.stdout

    def contents(self, path: str) -> bytes:
        """A file of the repository, decrypted; it stays compressed as it is."""
        if self.encrypted:
            return self.pgbackrest(["repo-get", os.path.relpath(path, self.path)])
        with open(path, "rb") as file:
            return file.read()


def timeline_of(options: Options) -> Optional[int]:
    """The timeline that production is on, where that is known."""
    return options.production_timeline or options.database.get("timeline")


def instant(seconds: float) -> str:
    """RFC 3339 UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def walk(folder: str) -> List[Tuple[str, int, float]]:
    """Every file below a folder: path, size, time. Links are not followed."""
    found = []
    for parent, _folders, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            try:
                status = os.lstat(path)
            except OSError:
                continue  # an expiry at the same time
            if stat.S_ISREG(status.st_mode):
                found.append((path, status.st_size, status.st_mtime))
    return found
