"""Warns that a run by hand leaves no record. ansible-runner replaces the callback path, so a recorded run is silent."""

from __future__ import annotations

DOCUMENTATION = """
name: unrecorded
type: notification
short_description: Warns that a runbook run by hand leaves no signed record
description:
  - Under C(runner.py) this callback is not loaded, because ansible-runner sets its own callback path.
    Loaded means that C(ansible-playbook) was started by hand.
"""

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """One warning at the start and one at the end, where it is read."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "unrecorded"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._playbook = ""

    def v2_playbook_on_start(self, playbook: object) -> None:
        """Say it before anything is done."""
        self._playbook = str(getattr(playbook, "_file_name", "")).rsplit("/", 1)[-1].removesuffix(".yml")
        self._warn("This run leaves no maintenance record.")

    def v2_playbook_on_stats(self, stats: object) -> None:  # noqa: ARG002  (the interface's argument)
        """And say it again after the output that scrolled it away; Ansible shows the same warning only once."""
        self._warn("This run left no maintenance record.")

    def _warn(self, text: str) -> None:
        self._display.warning(
            f"{text} For a signed record: ./runner.py run {self._playbook or 'RUNBOOK'} --site SITE"
        )
