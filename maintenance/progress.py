"""Live progress of a run: a moving line on a terminal, plain lines elsewhere. Always on stderr; stdout is for results."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status

_PLAIN_EVERY_SECONDS = 5.0
_LONG_WORK = "progress: "  # how far a detached job is (action_plugins/detached_job.py)
_DONE = ("runner_on_ok", "runner_on_failed", "runner_on_unreachable", "runner_on_skipped")


class Progress:
    """Shows hosts done, the current step and failures; knows nothing of records."""

    def __init__(self, hosts: int, *, quiet: bool = False, mask: Callable[[str], str] = str) -> None:
        """mask: takes secrets out of what is shown; names of tasks and messages of hosts may hold some."""
        self._mask = mask
        self._hosts = hosts
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False)
        self._status: Status | None = None
        self._task = ""
        self._done: set[str] = set()
        self._failed: set[str] = set()
        self._last_line = 0.0

    def __enter__(self) -> Progress:
        if not self._quiet and self._console.is_terminal:
            self._status = self._console.status("starting the engine")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            if self._status:
                self._status.stop()

    def say(self, text: str) -> None:
        """A phase that is worth a line of its own, or the moving line's new text."""
        if self._quiet:
            return
        # The terminal may be gone (a VPN that dropped); the run and its record go on without it.
        with contextlib.suppress(OSError):
            if self._status:
                self._status.update(escape(text))
            else:
                print(text, file=sys.stderr, flush=True)

    def event(self, event: dict[str, Any]) -> None:
        """Take one job event."""
        data = event.get("event_data") or {}
        kind = event.get("event")
        if kind == "playbook_on_task_start":
            self._task = self._mask(str(data.get("task", "")))[:100]
            self._done.clear()
            self._line(force=False)
        elif kind == "verbose":
            self._long_work(str(event.get("stdout", "")))
        elif kind in _DONE:
            host = str(data.get("host", ""))
            self._done.add(host)
            if kind in ("runner_on_failed", "runner_on_unreachable") and not data.get("ignore_errors"):
                self._failed.add(host)
                message = (
                    self._mask(str((data.get("res") or {}).get("msg", "")))[:200]
                    if kind == "runner_on_unreachable"
                    else ""
                )
                self._note(f"{host}: {kind.removeprefix('runner_on_')} in '{self._task}' {message}".rstrip())
            self._line(force=len(self._done) == self._hosts)

    def _line(self, *, force: bool) -> None:
        failed = f", {len(self._failed)} failed" if self._failed else ""
        text = f"{self._task}: {len(self._done)}/{self._hosts} hosts{failed}"
        if self._status:
            self._status.update(escape(text))
        elif not self._quiet and (force or time.monotonic() - self._last_line > _PLAIN_EVERY_SECONDS):
            self._last_line = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    def _long_work(self, text: str) -> None:
        """How far long work on a host is; everything else that the engine prints by the way is not for the engineer."""
        if _LONG_WORK not in text or self._quiet:
            return
        shown = self._mask(text.split(_LONG_WORK, 1)[1].splitlines()[0])[:150]
        if self._status:
            self._status.update(escape(f"{self._task}: {shown}"))
        elif time.monotonic() - self._last_line > _PLAIN_EVERY_SECONDS:
            self._last_line = time.monotonic()
            print(shown, file=sys.stderr, flush=True)

    def _note(self, text: str) -> None:
        if not self._quiet:
            self._console.print(escape(text), soft_wrap=True)
