"""What commands share: their common options, and how a run's outcome is shown."""

from __future__ import annotations

import argparse
from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace
from collections import Counter
from pathlib import Path
from typing import Any, TypeAlias

from maintenance import ledger, left, manifest, site
from maintenance.ledger import Entry
from maintenance.record import Finding, Record

Subparsers: TypeAlias = "argparse._SubParsersAction[ArgumentParser]"

_LEFT_NAMED = 6  # checks in a line of what a hardening left
_SEVERITIES = ("critical", "warning", "advice")
SHOWN_FINDINGS = 12


class Given(Action):
    """An empty text is a shell variable that was not set: going on as if the option were absent would be wrong."""

    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: Any, option_string: str | None = None
    ) -> None:
        if not str(values).strip():
            parser.error(f"argument {option_string}: must not be empty")
        setattr(namespace, self.dest, values)


def positive(text: str) -> int:
    """A number of an option, 1 to 500."""
    if not text.isdecimal() or not 1 <= int(text) <= 500:
        raise ArgumentTypeError(f"takes a number from 1 to 500, not '{text[:40]}'")
    return int(text)


def add_common(command: ArgumentParser) -> None:
    """Options that every command takes."""
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")
    command.add_argument(
        "--lang", choices=["zh", "en"], default=None, help="language of what the hospital reads"
    )


def add_ledger(command: ArgumentParser) -> None:
    """Where the records are, if not where the site says."""
    command.add_argument(
        "--ledger", action=Given, default="", metavar="DIR", help="instead of the site's own"
    )


def print_outcome(made: Record, entry: Path, documents: list[Path], shown: int = SHOWN_FINDINGS) -> None:
    """A run in a few lines: outcome, the worst findings, and every file that was made."""
    print(f"{made.runbook.name} on {made.site}: {made.outcome} ({made.outcome_reason})")
    counts = made.verdict_counts()
    if counts:
        print("findings  " + ", ".join(f"{verdict} {count}" for verdict, count in counts.items()))
    bad = [
        (host, item)
        for host, found in made.evidence.items()
        for item in found
        if item.verdict in ("fail", "partial")
    ]
    bad.sort(key=lambda pair: _SEVERITIES.index(pair[1].severity))
    for host, item in bad[:shown]:
        print("  " + _finding_line(host, item))
    if len(bad) > shown:
        print(f"  … and {len(bad) - shown} more: ./runner.py show {entry}")
    for line in change_lines(made, whole=made.mode == "check" or shown > SHOWN_FINDINGS):
        print(line)
    for host, _kind, reason, checks in left.grouped(made.left):
        print(_left_line(host, reason, checks))
    print(f"record    {entry / 'record.json'}")
    for path in documents:
        print(f"document  {path}")


def change_lines(made: Record, *, whole: bool) -> list[str]:
    """What was changed, or would be: a line for each thing where that is asked, else their number on each host."""
    word = "planned" if made.mode == "check" else "changed"
    named = [(change.host, change.subject) for change in made.changes if change.subject]
    if whole:
        return [" ".join(f"{word:<8}  {host}  {subject}".split("\n"))[:200] for host, subject in named]
    counts = Counter(host for host, _subject in named)
    return [f"{word:<8}  {host}  {count}" for host, count in counts.items()]


def _left_line(host: str, reason: str, checks: list[str]) -> str:
    """What a hardening left as it is on a host: the reason, how many checks, and the first of them."""
    named = " ".join(checks[:_LEFT_NAMED]) + (" …" if len(checks) > _LEFT_NAMED else "")
    about = f" ({len(checks)}: {named})" if checks else ""
    return " ".join(f"left      {host}  {reason}{about}".split("\n"))[:300]


def _finding_line(host: str, item: Finding) -> str:
    line = f"{item.severity:<8}  {host}  {item.title} [{item.subject}]: {item.actual} ({item.expected})"
    return " ".join(line.split("\n"))[:200]


def entry_named(args: Namespace) -> Entry:
    """The entry that the user named; a bare number or run id is looked up in the site's ledger."""
    given = Path(args.entry)
    if given.is_file():
        given = given.parent
    if given.is_dir() and manifest.FOLDER.fullmatch(given.resolve().name):
        path = given.resolve().parent
        return ledger.find_entry(path, given.resolve().name)
    path = Path(args.ledger).resolve() if args.ledger else site.load(args.site).ledger
    return ledger.find_entry(path, args.entry)
