"""A run by hand leaves no record: this says so, and has the ledger told that it happened.

ansible-runner replaces the callback path, so a recorded run is silent here.
"""

from __future__ import annotations

DOCUMENTATION = """
name: unrecorded
type: notification
short_description: Warns that a runbook run by hand leaves no signed record, and appends that it ran
description:
  - Under C(runner.py) this callback is not loaded, because ansible-runner sets its own callback path.
    Loaded means that C(ansible-playbook) was started by hand.
  - Where the inventory is that of a site with a ledger, and its key can sign without a question, an entry of the kind
    C(unrecorded) is appended at the end with times, playbook, user and the counts of each host. What the tasks did is
    not in it. Whatever goes wrong with that is said in one line and never fails the playbook.
"""

import getpass
import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import yaml
from ansible import context
from ansible.plugins.callback import CallbackBase

REPOSITORY = Path(__file__).resolve().parent.parent
SECONDS = 60  # another run may hold the ledger; a playbook does not wait longer than this for it
_ASKING = ("SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "DISPLAY", "WAYLAND_DISPLAY")
_COUNTS = {"ok": "ok", "changed": "changed", "failures": "failed", "unreachable": "unreachable"}
_COUNTS.update(skipped="skipped", rescued="rescued", ignored="ignored")


class CallbackModule(CallbackBase):
    """One warning at the start and one at the end, where it is read."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "unrecorded"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._playbook = ""
        self._started = ""

    def v2_playbook_on_start(self, playbook: object) -> None:
        """Say it before anything is done."""
        self._playbook = str(getattr(playbook, "_file_name", ""))
        self._started = now()
        self._warn("This run leaves no maintenance record.")

    def v2_playbook_on_stats(self, stats: object) -> None:
        """And say it again after the output that scrolled it away; Ansible shows the same warning only once."""
        try:
            said = self._append(stats)
        except Exception as error:  # whatever it is, a playbook does not fail because of its ledger
            said = f"The ledger could not be told: {type(error).__name__}: {error}."
        self._warn(f"This run left no maintenance record. {said}")

    def _append(self, stats: object) -> str:
        """Have runner.py append that this ran; returns what to say of it."""
        site = site_of(context.CLIARGS.get("inventory"))
        if not site:
            return "It belongs to no site with a ledger, so nothing tells that it ran."
        if not has_ledger(site):
            return f"The site {site} has no ledger yet, so nothing tells that it ran."
        processed = sorted(getattr(stats, "processed", {}))
        told = {
            "site": site,
            "playbook": relative(self._playbook),
            "started": self._started or now(),
            "finished": now(),
            "user": user(),
            "check": bool(context.CLIARGS.get("check")),
            "hosts": {host: counts(stats, host) for host in processed},
        }
        environment = {name: value for name, value in os.environ.items() if name not in _ASKING}
        # A session of its own has no terminal, so no key can ask for its passphrase and wait for ever.
        done = subprocess.run(
            [sys.executable, str(REPOSITORY / "runner.py"), "unrecorded"],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**environment, "SSH_ASKPASS_REQUIRE": "never"},
            start_new_session=True,
            check=False,
        )
        if done.returncode == 0:
            return f"That it ran is in the ledger: {last_line(done.stdout)}."
        return f"The ledger could not be told that it ran: {last_line(done.stderr)}."

    def _warn(self, text: str) -> None:
        name = Path(self._playbook).stem or "RUNBOOK"
        self._display.warning(f"{text} For a signed record: ./runner.py run {name} --site SITE")


def now() -> str:
    """The instant, RFC 3339 UTC."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: UP017  (any Python of Ansible's)


def user() -> str:
    """Who ran it, as the system knows him."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def site_of(inventories: object) -> str:
    """The site that an inventory on the command line belongs to: a folder of inventories/ with a site.yml."""
    for given in inventories if isinstance(inventories, (list, tuple)) else []:
        path = Path(str(given)).resolve()
        for folder in (path, path.parent):
            if folder.parent == REPOSITORY / "inventories" and (folder / "site.yml").is_file():
                return folder.name
    return ""


def has_ledger(site: str) -> bool:
    """Whether the site's ledger has begun: looked at here, so that a site without one costs no process."""
    folder = REPOSITORY / "inventories" / site
    try:
        stated = yaml.safe_load((folder / "site.yml").read_text(encoding="utf-8"))
        named = str(stated.get("ledger") or "")
    except (OSError, AttributeError, yaml.YAMLError):
        return False
    path = folder / Path(named).expanduser() if named else REPOSITORY / "var" / "records" / site
    return any(path.glob("000001-genesis-*"))


def counts(stats: object, host: str) -> dict[str, int]:
    """What Ansible counted for a host."""
    found = stats.summarize(host)  # type: ignore[attr-defined]
    return {name: int(found.get(key, 0)) for key, name in _COUNTS.items()}


def relative(path: str) -> str:
    """As seen from the repository, so that an entry does not depend on where it was cloned."""
    resolved = str(Path(path).resolve()) if path else ""
    return resolved.replace(f"{REPOSITORY}/", "", 1)[:300]


def last_line(text: str) -> str:
    """What was said last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("runner.py: ").rstrip(".") if lines else "no reason given"
