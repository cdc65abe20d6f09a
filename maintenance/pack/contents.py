"""What the pack's start page tells, got from the ledger: pure, so that every number can be tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

from maintenance import local_time
from maintenance.register import Item

Language = Literal["zh", "en"]

_OUTCOMES = ("succeeded", "failed", "unreachable", "cancelled", "incomplete", "refused")


@dataclass(frozen=True)
class Line:
    """One entry as the start page lists it."""

    seq: int
    kind: str
    time: str  # on the hospital's clock
    title: str
    clauses: tuple[str, ...]
    outcome: str
    case: str
    folder: str
    included: bool  # its files are in the pack
    documents: tuple[str, ...]  # paths within the ledger
    record: str = ""  # what the entry says, as data: its path within the ledger


@dataclass
class Contents:
    """Everything that the start page shows."""

    site: str
    facts: dict[str, str]
    first: str = ""
    last: str = ""
    lines: list[Line] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    runs: int = 0
    hosts: int = 0
    documents: int = 0
    unclosed: list[str] = field(default_factory=list)
    accepted: int = 0
    by_clause: dict[str, list[Line]] = field(default_factory=dict)


def read(items: Iterable[Item], facts: dict[str, str], language: Language, included: set[str]) -> Contents:
    """Go once through the ledger. included: folders whose files the pack holds; the others are counted, not listed."""
    named = {name: facts.get(name, "") for name in ("hospital", "vendor", "system", "contract")}
    made = Contents(site="", facts=named)
    kinds: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    hosts: set[str] = set()
    opened: dict[str, str] = {}
    for item in items:
        made.site = item.manifest.site
        if item.kind == "open":
            opened[item.manifest.run] = item.entry.folder
        elif item.kind in ("close", "abandoned"):
            opened.pop(item.manifest.run, None)
        if item.entry.folder not in included:
            continue
        kinds[item.kind] += 1
        line = _line(item, language)
        made.lines.append(line)
        made.first = made.first or line.time
        made.last = line.time
        if item.kind == "close":
            outcomes[line.outcome] += 1
            hosts.update(item.facts.get("hosts_processed") or [])
        if item.kind == "receipt" and item.facts.get("verdict", "").startswith("accepted"):
            made.accepted += 1
        for clause in line.clauses:
            made.by_clause.setdefault(clause, []).append(line)
        made.documents += len(line.documents)
    made.kinds = dict(sorted(kinds.items()))
    made.outcomes = {name: outcomes[name] for name in _OUTCOMES if outcomes[name]}
    made.runs = sum(outcomes.values())
    made.hosts = len(hosts)
    made.unclosed = sorted(opened.values())
    made.by_clause = dict(sorted(made.by_clause.items(), key=lambda pair: natural(pair[0])))
    return made


def natural(clause: str) -> tuple[int, ...]:
    """3.2.10 after 3.2.9."""
    return tuple(int(part) if part.isdigit() else 0 for part in clause.split("."))


def counts_as_evidence(line: Line) -> bool:
    """A run that failed, or changed nothing because it only rehearsed, shows work and not that a duty was kept."""
    return line.kind in ("entry", "receipt") or (line.kind == "close" and line.outcome == "succeeded")


_SAYS = (
    "record.json",
    "entry.json",
    "acceptance.json",
    "abandoned.json",
    "refused.json",
    "open.json",
    "site.json",
)


def _says(item: Item) -> str:
    """The file that tells what the entry is about."""
    name = next((name for name in _SAYS if name in item.manifest.files), "")
    return f"{item.entry.folder}/{name}" if name else ""


def _line(item: Item, language: Language) -> Line:
    facts = item.facts if item.kind != "genesis" else {}
    return Line(
        seq=item.seq,
        kind=item.kind,
        time=local_time.minute(item.time),
        title=_title(item, facts, language),
        clauses=tuple(_clauses(item, facts)),
        outcome=_outcome(item, facts),
        case=str(facts.get("case") or ""),
        folder=item.entry.folder,
        included=True,
        record=_says(item),
        documents=tuple(
            str(PurePosixPath(item.entry.folder) / path)
            for path in sorted(item.manifest.files)
            if path.startswith("documents/") or (path.startswith("attachments/") and item.kind == "entry")
        ),
    )


def _title(item: Item, facts: dict[str, Any], language: Language) -> str:
    book = facts.get("runbook")
    if isinstance(book, dict):
        titles = book.get("title") or {}
        return str(titles.get(language) or book.get("name") or item.manifest.run)
    what = " ".join(str(facts[key]) for key in ("what", "event") if facts.get(key))
    text = str(facts.get("text") or facts.get("why") or "")
    return ": ".join(part for part in (what, text[:120]) if part) or item.manifest.run


def _clauses(item: Item, facts: dict[str, Any]) -> list[str]:
    book = facts.get("runbook")
    if item.kind == "close" and isinstance(book, dict) and facts.get("mode") == "apply":
        return [str(clause) for clause in book.get("clauses") or []]
    return [str(clause) for clause in facts.get("clauses") or []] if item.kind == "entry" else []


def _outcome(item: Item, facts: dict[str, Any]) -> str:
    if item.kind == "close":
        return str(facts.get("outcome") or "")
    return str(facts.get("verdict") or "") if item.kind == "receipt" else ""
