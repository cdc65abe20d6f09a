"""`status`: what the contract promised beside what the ledger shows."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

from maintenance import cases, contract, cover, ledger, local_time, register, site
from maintenance.commands.common import Given, Subparsers, add_common, add_ledger
from maintenance.errors import CallError

_COLOURS = {
    "overdue": "bold red",
    "due_soon": "yellow",
    "unknown": "magenta",
    "open": "cyan",
    "kept": "green",
}


def declare(commands: Subparsers) -> None:
    """Its options."""
    command = commands.add_parser(
        "status", help="contract cover and SLA: what is kept, missing, and due when"
    )
    command.set_defaults(action=status)
    command.add_argument("--site", required=True, help="a folder of inventories/")
    command.add_argument(
        "--at", action=Given, default="", metavar="DATE", help="as of the end of this day; the default is now"
    )
    command.add_argument(
        "--html", action=Given, default="", metavar="FILE", help="also as one page that holds everything"
    )
    add_ledger(command)
    add_common(command)


def status(args: Namespace) -> int:
    """A report: exit 0 also where something is missing."""
    of_site = site.load(args.site)
    agreed = contract.load(of_site)
    if agreed is None:
        raise CallError(
            f"{of_site.folder}/site.yml names no contract: set contract_file (docs/contract.zh.md; an example is "
            "inventories/example_hospital/contract.yml)"
        )
    path = (Path(args.ledger) if args.ledger else of_site.ledger).resolve()
    if args.ledger and not ledger.entries(path):
        raise CallError(f"{path} is not a ledger: it holds no entries")
    now = _instant(args.at) if args.at else ledger.now()
    language = args.lang or of_site.settings.language
    told = of(path, agreed, now, of_site.name, language)
    page = _page(args.html, told, language) if args.html else None
    if args.json:
        facts = told.as_json() | ({"html": str(page)} if page else {})
        print(json.dumps(facts, ensure_ascii=False))
        return 0
    _print(told, language)
    if page:
        print(f"page      {page}")
    return 0


def of(
    path: Path, agreed: contract.Contract, now: str, name: str, language: contract.Language
) -> cover.Cover:
    """The cover of a ledger as of an instant."""
    items = [item for item in register.read(path) if local_time.day(item.time) <= local_time.day(now)]
    limits: cases.Limits = {str(kind): limit for kind, limit in agreed.sla.items()}
    return cover.build(agreed, items, cases.read(items, limits, now), now, site=name, language=language)


def _instant(day: str) -> str:
    try:
        return local_time.read(f"{day} 23:59:59")
    except ValueError:
        raise CallError(f"--at takes a day as 2026-11-23, not '{day[:40]}'") from None


def _page(name: str, told: cover.Cover, language: contract.Language) -> Path:
    from maintenance.documents import status_page

    target = Path(name).expanduser().resolve()
    try:
        target.write_text(status_page.render(told, language), encoding="utf-8")
    except OSError as error:
        raise CallError(f"{target} cannot be written: {error.strerror}") from None
    return target


def _print(told: cover.Cover, language: contract.Language) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from maintenance.documents import cover_words

    words = cover_words.WORDS[language]
    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    console.print(
        f"{words['contract']} {escape(told.number or told.site)}  {told.from_} – {told.until}  {words['at']} {told.at}"
    )
    for case in told.open_cases:
        clocks = "; ".join(
            words["used"].format(kind=words[kind], used=used, limit=limit)
            for kind, used, limit, _ in case.clocks
        )
        left = "" if case.left is None else cover_words.left_hours(case.left, words)
        console.print(
            f"[yellow]{words['open_cases']}[/] {escape(case.id)} {escape(case.title)} {case.opened} "
            f"[bold]{left}[/] {clocks}"
        )
    for row, part in told.todo():
        console.print(
            f"[{_COLOURS[part.state]}]{words[part.state]}[/]  {row.id}  {escape(row.title.get(language, row.id))}  "
            f"{escape(cover_words.label(part, words))}  {part.due} {cover_words.left(part.due, told, words)}"
        )
    lists = {"without": told.without_order, "emergencies": told.emergencies, "unrecorded": told.unrecorded}
    for name, listed in lists.items():
        for one in listed:
            console.print(f"[yellow]{words[name]}[/]  {one.seq:06d}  {one.day}  {escape(one.title)}")
    table = Table(box=None, pad_edge=False)
    for column in ("clause", "duty", "owed", "shown", "newest", "due", "state"):
        table.add_column(
            words[column], overflow="fold", no_wrap=column in ("clause", "newest", "due", "state")
        )
    for row in told.rows:
        newest = cover_words.newest(row)
        colour = _COLOURS.get(row.state, "dim")
        table.add_row(
            row.id,
            escape(row.title.get(language, row.id)),
            cover_words.owed(row, words),
            cover_words.shown(row, words),
            f"{newest.day} #{newest.seq}" if newest else "",
            row.due,
            f"[{colour}]{words[row.state]}[/]",
        )
    console.print(table)
    for response in told.responses:
        shown = cover_words.response(response, words)
        console.print(f"{words[response.kind]} {response.clause} ({response.hours:g} h): {shown}")
