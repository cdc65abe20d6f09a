"""Compiled expressions of rule files, kept between runs: to compile them costs more than to judge a host.

As with Python's own .pyc files, what is kept is only what the source would give again: its name holds a digest of the
rule file, of the sandbox's code and of the versions that made it. It lies in the user's own folder and is not used when
anyone else could have written it. Where nothing can be kept, everything is compiled as before."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import marshal
import os
import sys
from pathlib import Path
from types import TracebackType

import jinja2
from ansible.module_utils.judgement_sandbox import Expression

SANDBOX_SOURCE = Path(__file__).with_name("judgement_sandbox.py")


def folder() -> Path:
    """Where compiled rules are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "dialysis-maintenance"


class Compiled:
    """The compiled expressions of one rule file; used as a context, which keeps what was compiled in it."""

    def __init__(self, name: str, data: bytes) -> None:
        digest = hashlib.sha256(SANDBOX_SOURCE.read_bytes())
        digest.update(f"{sys.version} {jinja2.__version__} {len(data)} ".encode())
        digest.update(data)
        self.name = name
        self.path = folder() / f"{name}-{digest.hexdigest()[:32]}.compiled"
        self._expressions: dict[str, Expression] = {}
        self._kept: set[str] = set()

    def __enter__(self) -> Compiled:
        """Take what an earlier run has kept."""
        with contextlib.suppress(OSError, ValueError, EOFError, TypeError, AttributeError):
            if _own(self.path.parent) and _own(self.path):
                codes = marshal.loads(self.path.read_bytes())  # noqa: S302  (our own, as a .pyc is)
                self._expressions = {source: Expression(source, code) for source, code in codes.items()}
                self._kept = set(codes)
        return self

    def expression(self, source: str) -> Expression:
        """The compiled expression; raises ValueError with what is wrong with it."""
        if source not in self._expressions:  # rules share many
            self._expressions[source] = Expression(source)
        return self._expressions[source]

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        """Keep what is new, in the place of what was made of an older file."""
        if kind is not None or not self.path.is_absolute() or self._expressions.keys() == self._kept:
            return
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _own(self.path.parent):
                return
            temporary = self.path.with_suffix(f".{os.getpid()}")
            temporary.touch(mode=0o600)
            codes = {source: expression.code for source, expression in self._expressions.items()}
            temporary.write_bytes(marshal.dumps(codes))
            for old in self.path.parent.glob(f"{glob.escape(self.name)}-*.compiled"):
                old.unlink(missing_ok=True)
            temporary.replace(self.path)


def _own(path: Path) -> bool:
    """Whether it belongs to this user and nobody else may write it."""
    status = path.stat(follow_symlinks=False)
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022
