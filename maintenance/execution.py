"""Runs one playbook with ansible-runner in a private folder that is always deleted, and collects from its events
only what may enter a record.

Facts about ansible-runner that this file answers: an OSError in the event handler is swallowed, a handler that
does not return True drops events, its folder holds variables in clear, it switches host key checking off.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maintenance import runbook
from maintenance.ledger import Journal
from maintenance.private_folder import private_folder
from maintenance.record import Change, Events, Finding, Metric, Step
from maintenance.redaction import Redactor

# What of a module's result may enter a record, by the module's own name (never its arguments or its output).
SNAPSHOT_MODULES = ("host_snapshot", "postgresql_snapshot", "login_history", "pgbackrest_repository")
_RESULTS = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
}
_KEPT_ENVIRONMENT = [
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "PATH",
    "SHELL",
    "SSH_AUTH_SOCK",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_RUNTIME_DIR",
]
# What a hardening says of what it did not do.
_LEAVING = {
    "harden_plan": ("planned", "left"),
    "desired_state": ("not_possible", "next_start"),
    "restore_point": ("next_start",),
}
# Actions that end without the host: their success says nothing about whether it answers.
_CONTROLLER_SIDE = frozenset(
    [
        "add_host",
        "assert",
        "debug",
        "fail",
        "group_by",
        "include_role",
        "include_tasks",
        "include_vars",
        "judge",
        "set_fact",
        "validate_argument_spec",
    ]
)
_MESSAGE_LENGTH = 500
_TEMPORARY = re.compile(
    r".*/ansible-local-[^/]+/[^/]+/"
)  # where the engine renders a template, another place each time
_FINDING_TEXTS = ("title", "subject", "expected", "actual", "advice")


class EventLostError(Exception):
    """An event could not be kept. Not an OSError, because ansible-runner swallows those."""


@dataclass
class Request:
    """What to run."""

    book: runbook.Runbook
    inventory: Path
    check: bool
    limit: str
    forks: int
    extra_vars: dict[str, Any]
    vault_password_file: str = ""

    def command(self) -> str:
        """The ansible-playbook line that does the same; extra variables by name only."""
        parts = ["ansible-playbook", "-i", _relative(self.inventory), _relative(self.book.path)]
        parts += ["--check"] if self.check else []
        parts += ["--limit", self.limit] if self.limit else []
        parts += ["--forks", str(self.forks)] if self.forks else []
        parts += [f"-e {name}=…" for name in sorted(self.extra_vars)]
        return " ".join(parts)


@dataclass
class Result:
    """What the events of a run told."""

    rc: int | None = None
    cancelled: bool = False
    problem: str = ""
    steps: list[Step] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    evidence: dict[str, list[Finding]] = field(default_factory=dict)
    metrics: dict[str, list[Metric]] = field(default_factory=dict)
    snapshots: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    waivers: list[dict[str, Any]] = field(default_factory=list)  # that the judge was given for some host
    mitigations: dict[str, str] = field(default_factory=dict)  # by code of a danger, as the site states them
    not_applicable: dict[str, str] = field(default_factory=dict)  # by unit, as the site states it
    left: list[tuple[str, str, dict[str, Any]]] = field(
        default_factory=list
    )  # host, module and why it left what
    stats: dict[str, dict[str, int]] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)  # hosts on which something was really done
    events: Events = field(default_factory=lambda: Events(expected=0, seen=0, missing=[], sha256="0" * 64))


class Collector:
    """ansible-runner's event handler: journals each event as it arrives and keeps what the record needs."""

    def __init__(
        self, journal: Journal, redactor: Redactor, on_event: Callable[[dict[str, Any]], None]
    ) -> None:
        self.result = Result()
        self._journal = journal
        self._redactor = redactor
        self._on_event = on_event
        self._digest = hashlib.sha256()
        self._counters: set[int] = set()
        self._highest = 0
        self._stats_seen = False

    def __call__(self, event: dict[str, Any]) -> bool:
        """Take one event. Returns True (ansible-runner drops events otherwise); raises EventLostError.

        ansible-runner's own check (check_job_event_data) would end the run at any line that is no event, such as a
        warning of ssh; an event without its data is known by having no name.
        """
        if not event.get("event"):
            raise EventLostError(f"the data of event {event.get('counter')} is missing")
        try:
            line = self._take(event)
            self._journal.append(line, durable=event.get("event") in (*_RESULTS, "playbook_on_stats"))
        except OSError as error:
            raise EventLostError(
                f"event {event.get('counter')} could not be kept: {error.strerror}"
            ) from error
        self._digest.update(line)
        self._counters.add(int(event["counter"]))
        self._highest = max(self._highest, int(event["counter"]))
        with contextlib.suppress(OSError):  # the terminal may be gone; the run and its record are not
            self._on_event(event)
        return True

    def finish(self) -> Result:
        """The result with the account of its events."""
        missing = sorted(set(range(1, self._highest + 1)) - self._counters)
        self.result.events = Events(
            expected=self._highest, seen=len(self._counters), missing=missing, sha256=self._digest.hexdigest()
        )
        if not self._stats_seen and not self.result.problem:
            self.result.problem = "the engine ended without its final statistics"
        return self.result

    def _take(self, event: dict[str, Any]) -> bytes:
        data = event.get("event_data") or {}
        name = event.get("event", "")
        slim: dict[str, Any] = {"n": event["counter"], "event": name, "at": event.get("created", "")}
        for key in ("play", "task", "host"):
            if data.get(key):
                slim[key] = self._redactor.text(str(data[key]))[:_MESSAGE_LENGTH]
        if name in _RESULTS:
            slim |= self._step(name, data)
        elif name == "playbook_on_stats":
            self._stats(data)
            slim["stats"] = self.result.stats
        return (json.dumps(slim, ensure_ascii=False, sort_keys=True) + "\n").encode("utf-8", errors="replace")

    def _stats(self, data: dict[str, Any]) -> None:
        self._stats_seen = True
        names = {"ok": "ok", "changed": "changed", "failures": "failed", "dark": "unreachable"}
        names |= {"skipped": "skipped", "rescued": "rescued"}
        for key, name in names.items():
            for host, count in (data.get(key) or {}).items():
                self.result.stats.setdefault(host, dict.fromkeys(names.values(), 0))[name] = int(count)

    def _step(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        res: dict[str, Any] = data["res"] if isinstance(data.get("res"), dict) else {}
        result = _RESULTS[name]
        if result == "ok" and res.get("changed"):
            result = "changed"
        failed = result in ("failed", "unreachable")
        step = Step(
            host=str(data.get("host", "")),
            task=self._redactor.text(str(data.get("task", "")))[:_MESSAGE_LENGTH],
            at=self._redactor.text(_relative(str(data.get("task_path", "")))),
            result=result,
            started=str(data.get("start") or ""),
            duration_ms=round(float(data.get("duration") or 0) * 1000),
            message=self._message(res) if failed else "",
        )
        self.result.steps.append(step)
        action = str(data.get("resolved_action") or data.get("task_action") or "")
        if result in ("ok", "changed", "failed") and action.rsplit(".", 1)[-1] not in _CONTROLLER_SIDE:
            self.result.answered.add(step.host)
        slim = step.model_dump(exclude={"host", "task"})
        if not res.get("censored"):
            slim |= self._kept(step, action, res)
        return slim

    def _message(self, res: dict[str, Any]) -> str:
        text = "(hidden: no_log)" if res.get("censored") else str(res.get("msg") or "no reason given")
        return self._redactor.text(text)[:_MESSAGE_LENGTH]

    def _kept(self, step: Step, action: str, res: dict[str, Any]) -> dict[str, Any]:
        """The allow-list: evidence, metrics and snapshots of our own modules, digests of differences."""
        slim: dict[str, Any] = {}
        module = action.rsplit(".", 1)[-1]
        snapshot = _snapshot(res.get("snapshot")) if module in SNAPSHOT_MODULES else None
        if snapshot is not None:
            self.result.snapshots.setdefault(step.host, {})[module] = self._redactor.value(snapshot)
        if isinstance(res.get("evidence"), list):
            found = [self._finding(item) for item in res["evidence"]]
            self.result.evidence.setdefault(step.host, []).extend(found)
            slim["evidence"] = [item.model_dump() for item in found if item.verdict != "pass"]
        if isinstance(res.get("metrics"), list):
            numbers = [
                Metric.model_validate(item | {"subject": self._redactor.text(str(item["subject"]))})
                for item in res["metrics"]
            ]
            self.result.metrics.setdefault(step.host, []).extend(numbers)
        if module == "judge":
            self._statements(res)
        if module in _LEAVING:
            reasons = {name: res[name] for name in _LEAVING[module] if res.get(name)}
            self.result.left.append((step.host, module, self._redactor.value(reasons)))
        if step.result == "changed":
            self.result.changes += self._changes(step, res)
        return slim

    def _statements(self, res: dict[str, Any]) -> None:
        """What the site itself states of its deviations; the judge has checked their form."""
        for waiver in self._redactor.value(res.get("waivers") or []):
            if waiver not in self.result.waivers:
                self.result.waivers.append(waiver)
        for name, kept in (
            ("mitigations", self.result.mitigations),
            ("not_applicable", self.result.not_applicable),
        ):
            for code, text in self._redactor.value(res.get(name) or {}).items():
                said = kept.get(code, "")
                if text not in said.split("; "):  # hosts may state different things
                    kept[code] = f"{said}; {text}" if said else text

    def _changes(self, step: Step, res: dict[str, Any]) -> list[Change]:
        """What a step changed, and of a loop what each of its items did."""
        results = res.get("results")
        items = [item for item in results if isinstance(item, dict)] if isinstance(results, list) else []
        changed = [item for item in items if item.get("changed")] or [res]
        found = [change for item in changed for change in _changes(step, item)]
        return [
            change.model_copy(update={"subject": self._redactor.text(change.subject)[:_MESSAGE_LENGTH]})
            for change in found
        ]

    def _finding(self, item: dict[str, Any]) -> Finding:
        """A finding with its free texts masked; its words of choice (verdict, severity) are ours."""
        texts = {key: self._redactor.text(str(item.get(key, ""))) for key in _FINDING_TEXTS}
        return Finding.model_validate(item | texts)


def _snapshot(given: Any) -> dict[str, Any] | None:
    """A snapshot as it came: a mapping, or the text of one."""
    if isinstance(given, str):
        with contextlib.suppress(ValueError):
            given = json.loads(given)
    return given if isinstance(given, dict) else None


def _changes(step: Step, res: dict[str, Any]) -> list[Change]:
    """What a step changed: digests only, because a difference may hold a secret."""
    diffs = res.get("diff") or []
    diffs = diffs if isinstance(diffs, list) else [diffs]
    found = []
    for diff in diffs:
        if not isinstance(diff, dict) or not ("before" in diff or "after" in diff):
            continue
        # The place on the host first; of a file that is not there yet Ansible only tells where its content comes from.
        place = res.get("path") or res.get("dest") or diff.get("before_header")
        subject = str(place or _relative(_TEMPORARY.sub("", str(diff.get("after_header") or ""))))
        found.append(
            Change(
                host=step.host,
                task=step.task,
                subject=subject,
                before_sha256=_digest(diff.get("before")),
                after_sha256=_digest(diff.get("after")),
            )
        )
    subject = str(res.get("path") or res.get("dest") or res.get("name") or "")
    return found or [
        Change(host=step.host, task=step.task, subject=subject, before_sha256=None, after_sha256=None)
    ]


def _digest(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()


def run(
    request: Request,
    journal: Journal,
    redactor: Redactor,
    cancel: threading.Event,
    on_event: Callable[[dict[str, Any]], None],
) -> Result:
    """Run it. Whatever happens a Result comes back: what was seen until then, and the problem in words."""
    collector = Collector(journal, redactor, on_event)
    with private_folder() as folder:
        # Inside, so that the engine has ended before its folder is deleted.
        _run_engine(request, folder, collector, cancel, redactor)
    return collector.finish()


def _run_engine(
    request: Request, folder: Path, collector: Collector, cancel: threading.Event, redactor: Redactor
) -> None:
    try:
        with _clean_environment():
            import ansible_runner  # slow to import, and nothing but a run needs it

            runner = ansible_runner.run(
                private_data_dir=str(folder),
                project_dir=str(runbook.REPOSITORY),
                playbook=str(request.book.path),
                inventory=[str(request.inventory)],
                extravars=request.extra_vars,
                limit=request.limit or None,
                forks=request.forks or None,
                cmdline=_options(request) or None,
                settings={"pexpect_timeout": 1, "suppress_output_file": True},
                event_handler=collector,
                cancel_callback=cancel.is_set,
                quiet=True,
            )
        collector.result.rc = runner.rc
        # The engine deletes the data of each event that it has told of.
        lost = len(list(folder.glob("artifacts/*/job_events/*-partial.json")))
        if lost and not cancel.is_set():
            collector.result.problem = f"{lost} events were written by the engine and never told"
    except Exception as error:  # the engine's own failure is a result too, and must be recorded
        collector.result.problem = redactor.text(f"{type(error).__name__}: {error}")[:_MESSAGE_LENGTH]
    collector.result.cancelled = cancel.is_set()


def _options(request: Request) -> str:
    options = ["--check"] if request.check else []
    if request.book.header.changes != "nothing":
        options.append("--diff")  # for the digests of before and after; the text itself goes no further
    if request.vault_password_file:
        options.append(f"--vault-password-file {shlex.quote(request.vault_password_file)}")
    return " ".join(options)


@contextlib.contextmanager
def _clean_environment() -> Iterator[None]:
    """Children see only what they need; host keys are checked (ansible-runner would switch that off)."""
    saved = dict(os.environ)
    kept = {name: value for name, value in saved.items() if name in _KEPT_ENVIRONMENT}
    kept |= {
        "ANSIBLE_CONFIG": str(runbook.REPOSITORY / "ansible.cfg"),
        "ANSIBLE_HOME": os.devnull,  # no plugins or collections of the user's: they replace Ansible's own
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_FORCE_COLOR": "0",
        "PYTHONUTF8": "1",
    }
    kept.setdefault("LANG", "C.UTF-8")
    # ansible-playbook lies beside the interpreter that runs this, on PATH or not.
    kept["PATH"] = f"{Path(sys.executable).parent}:{kept.get('PATH', '/usr/bin:/bin')}"
    os.environ.clear()
    os.environ.update(kept)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


@contextlib.contextmanager
def cancellable() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM ask the run to end; a lost terminal (SIGHUP) does not, so that its record is still made."""
    asked = threading.Event()

    def ask(_signal: int, _frame: object) -> None:
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _relative(path: Path | str) -> str:
    """The path as seen from the repository, so that a record does not depend on where it was cloned."""
    return str(path).removeprefix(f"{runbook.REPOSITORY}/")
