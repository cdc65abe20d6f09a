"""`case`: a fault from the call that reports it to the signed record that closes it."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from maintenance import casework, local_time, logbook, runbook
from maintenance.case_events import EVENTS, EventName
from maintenance.cases import Case, Clock, Event, Joined
from maintenance.casework import Given
from maintenance.commands.common import Given as NotEmpty
from maintenance.commands.common import Subparsers, add_common, add_ledger
from maintenance.commands.logging_ import add_writing, facts_of, print_made, where_of
from maintenance.documents.clean import clean
from maintenance.errors import CallError

_LISTS = ("measures", "tests")
_LINE = 600  # characters of an event that are shown; its entry holds them all


def declare(commands: Subparsers) -> None:
    """Its options: one sub-command for each event, from the table of events."""
    case = commands.add_parser("case", help="a fault, its clocks, and the record that closes it")
    actions = case.add_subparsers(dest="event", required=True, metavar="EVENT")
    for kind in EVENTS.values():
        command = actions.add_parser(kind.name, help=f"{kind.en} ({kind.zh})")
        command.set_defaults(action=add_event)
        if kind.name == "open":
            command.add_argument(
                "--case", action=NotEmpty, default="", metavar="ID", help="a number of your own for it"
            )
        else:
            command.add_argument("--case", action=NotEmpty, required=True, metavar="ID")
        for field in kind.fields:
            values = f": {', '.join(field.choices)}" if field.choices else ""
            command.add_argument(
                f"--{field.name.replace('_', '-')}",
                dest=f"field_{field.name}",
                default=None,
                metavar="TEXT",
                help=f"{field.en} {field.zh}{values}{' (required)' if field.required else ''}",
            )
        if kind.name == "close":
            _declare_close(command)
        add_writing(command)
    listed = actions.add_parser("list", help="every case with its clocks")
    listed.set_defaults(action=list_cases)
    shown = actions.add_parser("show", help="one case: what happened, when, and what is due")
    shown.set_defaults(action=show_case)
    shown.add_argument("id", metavar="ID")
    made = actions.add_parser("document", help="《故障处理记录》 of a case as it stands, as Word and PDF")
    made.set_defaults(action=make_document)
    made.add_argument("id", metavar="ID")
    made.add_argument("-o", "--output", action=NotEmpty, required=True, metavar="DIR")
    for command in (listed, shown, made):
        command.add_argument("--site", required=True, help="a folder of inventories/")
        add_ledger(command)
        add_common(command)


def _declare_close(command: ArgumentParser) -> None:
    command.add_argument(
        "--measure",
        action="append",
        default=[],
        metavar="KIND:TEXT",
        help="what was done against it, 'permanent:…' or 'temporary:…'; at least one",
    )
    command.add_argument(
        "--test",
        action="append",
        default=[],
        metavar="'NAME | EXPECTED | ACTUAL | TESTER | passed'",
        help="a test after the repair; at least one, and none that failed",
    )
    command.add_argument(
        "--from",
        dest="file",
        action=NotEmpty,
        default="",
        metavar="FILE",
        help="all of this from a YAML file: the names above, and the lists measures and tests",
    )


def add_event(args: Namespace) -> int:
    """Check, sign, and say what is due next."""
    name: EventName = args.event
    kind = EVENTS[name]
    fields = {
        field.name: value
        for field in kind.fields
        if (value := getattr(args, f"field_{field.name}")) is not None
    }
    given = Given(fields, args.at, "", args.text, args.attach)
    if name == "close":
        given = _closing(args, fields)
    made = casework.add_event(where_of(args), name, args.case, given)
    assert made.case is not None  # noqa: S101  (an event has its case)
    if args.json:
        print(json.dumps({**facts_of(made), "event": name, **facts_of_case(made.case)}, ensure_ascii=False))
        return 0
    print(f"case      {made.case.id}  {made.case.title}: {made.case.state}")
    print_made(f"{kind.en} ({kind.zh})", made)
    _print_clocks(made.case)
    return 0


def _closing(args: Namespace, fields: dict[str, str]) -> Given:
    """What closes a case, from options or from a file, never a thing from both."""
    measures, tests = list(args.measure), list(args.test)
    if args.file:
        stated = _read_file(Path(args.file))
        known = {field.name for field in EVENTS["close"].fields}
        for key, value in stated.items():
            if key in _LISTS:
                listed = value if isinstance(value, list) else [value]
                if key == "measures":
                    measures += [_measure_line(args.file, item) for item in listed]
                else:
                    tests += [_test_line(args.file, item) for item in listed]
            elif key not in known:
                names = ", ".join([*sorted(known), *_LISTS])
                raise CallError(f"{args.file}: there is no '{key}' in what closes a case; there are: {names}")
            elif key in fields:
                raise CallError(f"{args.file}: '{key}' is there and given as an option too; say it once")
            elif not isinstance(value, (str, int, float)):
                raise CallError(f"{args.file}: '{key}' must be a text")
            else:
                fields[key] = str(value)
    return Given(fields, args.at, "", args.text, args.attach, measures, tests)


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CallError(f"--from: {path} is not there, or no file")
    stated = runbook.read_yaml(path)
    if not isinstance(stated, dict):
        raise CallError(f"--from: {path} must hold names and texts, as in 'description: …'")
    return {str(key): value for key, value in stated.items()}


def _measure_line(file: str, item: Any) -> str:
    if isinstance(item, dict) and set(item) == {"kind", "text"}:
        return f"{item['kind']}:{item['text']}"
    if isinstance(item, dict) and len(item) == 1:
        return "".join(f"{kind}:{text}" for kind, text in item.items())
    if isinstance(item, str):
        return item
    raise CallError(f"{file}: a measure is {{kind: permanent, text: …}} or {{kind: temporary, text: …}}")


def _test_line(file: str, item: Any) -> str:
    names = ("name", "expected", "actual", "tester", "passed")
    if isinstance(item, str):
        return item
    if not isinstance(item, dict) or set(item) != set(names):
        raise CallError(f"{file}: a test has exactly {', '.join(names)}")
    if any("|" in str(item[name]) for name in names):
        raise CallError(f"{file}: a test's text cannot hold '|'")
    return " | ".join(str(item[name]) for name in names)


def list_cases(args: Namespace) -> int:
    """A line a case."""
    where = where_of(args)
    listed = casework.listed(where)
    if args.json:
        print(json.dumps({"cases": [facts_of_case(case) for case in listed]}, ensure_ascii=False))
        return 0
    for case in listed:
        states = ", ".join(_clock_line(clock) for clock in case.clocks if clock.started) or "no limits agreed"
        print(f"{case.id}  {case.state:<8}  {local_time.minute(case.opened)}  {clean(case.title)}: {states}")
    if not listed:
        print(f"no case in {where.path}")
    return 0


def show_case(args: Namespace) -> int:
    """One case."""
    where = where_of(args)
    case = casework.find(casework.listed(where), args.id)
    if args.json:
        print(json.dumps(facts_of_case(case), ensure_ascii=False))
        return 0
    print(f"case      {case.id}  {clean(case.title)}: {case.state}")
    print(f"reported  {local_time.minute(case.opened)} by {clean(case.reporter)}, {clean(case.department)}")
    _print_clocks(case)
    for _, line in sorted([*map(_event_line, case.events), *map(_run_line, case.joined)]):
        print(line)
    for name in case.unfinished:
        print(f"run {name} has not ended")
    closed = case.closed
    if closed:
        for path in sorted((where.path / closed.folder / "documents").glob("*")):
            print(f"document  {path}")
    return 0


def _event_line(event: Event) -> tuple[tuple[str, int], str]:
    said = "; ".join([*(f"{name}={value}" for name, value in event.fields.items()), event.text])
    late = f" (recorded {logbook.duration(event.late_seconds)} after)" if event.late_seconds else ""
    line = f"{local_time.minute(event.at)}  {event.name}{late}: {clean(said.strip('; '), _LINE)}  [{event.folder}]"
    return (event.at, event.seq), line


def _run_line(run: Joined) -> tuple[tuple[str, int], str]:
    when = local_time.minute(run.started) if run.started else ""
    return (run.started, run.seq), f"{when}  run {run.run}: {run.outcome}, {run.changed} changes"


def make_document(args: Namespace) -> int:
    """Render it again."""
    where = where_of(args)
    case, documents, why = casework.document(where, args.id, Path(args.output).resolve())
    if why:
        print(f"note: no PDF: {why}", file=sys.stderr)
    if args.json:
        print(
            json.dumps({"case": case.id, "documents": [str(path) for path in documents]}, ensure_ascii=False)
        )
        return 0
    for path in documents:
        print(f"document  {path}")
    return 0


def facts_of_case(case: Case) -> dict[str, object]:
    """A case as --json tells it."""
    return {
        "case": case.id,
        "title": case.title,
        "state": case.state,
        "reporter": case.reporter,
        "department": case.department,
        "opened": case.opened,
        "restored": case.restored,
        "closed": case.closed.at if case.closed else None,
        "talked": case.talked,
        "clocks": [_clock_facts(clock) for clock in case.clocks],
        "runs": list(case.runs),
        "events": [
            {
                "event": event.name,
                "at": event.at,
                "recorded": event.recorded,
                "late_seconds": event.late_seconds,
                "fields": dict(event.fields),
                "text": event.text,
                "entry": event.folder,
                "by": event.by,
            }
            for event in case.events
        ],
    }


def _clock_facts(clock: Clock) -> dict[str, object]:
    names = (
        "kind",
        "clause",
        "limit_hours",
        "started",
        "stopped",
        "paused_seconds",
        "used_seconds",
        "state",
        "paused",
        "late_seconds",
        "due",
    )
    return {name: getattr(clock, name) for name in names}


def _print_clocks(case: Case) -> None:
    for clock in case.clocks:
        if clock.started:
            due = f", due {local_time.minute(clock.due)}" if clock.due else ""
            late = f", recorded {logbook.duration(clock.late_seconds)} after" if clock.late_seconds else ""
            print(f"clock     {_clock_line(clock)} ({clock.clause}){due}{late}")


def _clock_line(clock: Clock) -> str:
    paused = f", paused {logbook.duration(clock.paused_seconds)}" if clock.paused_seconds else ""
    still = ", paused now" if clock.paused else ""
    used = logbook.duration(clock.used_seconds)
    return f"{clock.kind} {clock.state.replace('_', ' ')}, {used} of {clock.limit_hours:g} h{paused}{still}"
