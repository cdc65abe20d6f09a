"""`unrecorded`: what callback_plugins/unrecorded.py asks for when a playbook was run by hand. Not in the help.

Nobody can be asked anything here, and nobody waits: the entry is appended to a ledger that is there already, and the
hospital's witness gets it with the next entry.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Literal

from pydantic import Field, ValidationError

from maintenance import bookkeeping, ledger, runbook, site
from maintenance.commands.common import Subparsers
from maintenance.errors import CallError
from maintenance.record import Instant, Strict, to_bytes

_LARGEST = 1 << 20  # bytes: thousands of hosts


class Counts(Strict):
    """What Ansible counted for a host."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    unreachable: int = 0
    skipped: int = 0
    rescued: int = 0
    ignored: int = 0


class Told(Strict):
    """What the callback tells: no output, no variable, no argument."""

    site: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")
    playbook: str = Field(max_length=300)
    started: Instant
    finished: Instant
    user: str = Field(max_length=100)
    check: bool
    hosts: dict[str, Counts]


class Facts(Told):
    """unrecorded.json."""

    schema_: Literal["maintenance-unrecorded/1"] = Field(default="maintenance-unrecorded/1", alias="schema")
    meaning: str = (
        "ansible-playbook was run by hand: that it ran is all that is recorded; nobody vouches for it"
    )


def declare(commands: Subparsers) -> None:
    """Its options."""
    command = commands.add_parser("unrecorded")
    command.set_defaults(action=append)


def append(args: Namespace) -> int:  # noqa: ARG001  (the interface's argument)
    """Append what is told on stdin; prints the entry's path, or raises with the reason in one line."""
    try:
        told = Told.model_validate(json.loads(sys.stdin.read(_LARGEST)))
    except ValidationError as error:
        raise CallError(f"not what the callback tells: {runbook.first_problem(error)}") from None
    except ValueError:
        raise CallError("not what the callback tells: no JSON") from None
    of_site = site.load(told.site)
    if not ledger.entries(of_site.ledger):
        raise CallError(f"the site {told.site} has no ledger yet ({of_site.ledger})")
    redactor = bookkeeping.redactor_of(of_site)
    facts = Facts.model_validate(redactor.value(told.model_dump()))
    name = told.started.replace("-", "").replace(":", "")[:15] + "Z"
    made, _ = bookkeeping.add_entry(
        of_site,
        "unrecorded",
        name,
        {"unrecorded.json": to_bytes(facts)},
        offline="appended after the fact; the next entry is delivered with it",
        redactor=redactor,
    )
    print(made.path)
    return 0
