"""Tables as the templates take them: rows of ready text, and a note that says what is missing and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from maintenance.documents.clean import clean
from maintenance.documents.words import Words

Row = dict[str, object]
ROWS = 60  # of one table; more would be read by nobody, and the record holds them

RED, YELLOW, BLUE, GREEN, GREY, NONE = "F8CBAD", "FFE699", "DDEBF7", "E2F0D9", "E7E6E6", "auto"
SEVERITY_COLOUR = {"critical": RED, "warning": YELLOW, "advice": BLUE}
VERDICT_COLOUR = {"pass": NONE, "fail": RED, "partial": YELLOW, "unknown": GREY}


@dataclass
class Table:
    """What a template's `rows_or_note` shows."""

    rows: Sequence[Row] = ()
    note: str = ""
    sentence: str = ""


@dataclass
class Missing:
    """Hosts whose values could not be read, by reason."""

    words: Words
    reasons: dict[str, list[str]] = field(default_factory=dict)

    def add(self, host: str, reason: str) -> None:
        """One host and why."""
        hosts = self.reasons.setdefault(clean(reason, 200) or self.words("no_reason"), [])
        if host not in hosts:
            hosts.append(host)

    def note(self) -> str:
        """All of them in one paragraph."""
        parts = [
            f"{host_list(hosts, self.words)}{self.words('colon')}{self.words.missing(reason)}"
            for reason, hosts in self.reasons.items()
        ]
        return self.words("semicolon").join(parts)


def host_list(hosts: Sequence[str], words: Words, shown: int = 8) -> str:
    """Hosts by name, or some names and the count."""
    listed = ", ".join(clean(host, 80) for host in hosts[:shown])
    if len(hosts) <= shown:
        return listed
    return words("hosts_more", hosts=listed, n=len(hosts))


def cut(rows: Sequence[Row], words: Words, note: str = "", limit: int = ROWS) -> Table:
    """A table of at most `limit` rows that says how many it leaves out."""
    notes = [words("more_rows", n=len(rows) - limit)] if len(rows) > limit else []
    return Table(rows[:limit], "".join([*notes, note]))


def or_note(rows: Sequence[Row], words: Words, missing: Missing, nothing: str, *, limit: int = ROWS) -> Table:
    """Rows with what is missing; where there is neither, the sentence that says that there is nothing."""
    note = missing.note()
    if not rows and not note:
        note = nothing
    return cut(rows, words, note, limit)


def merged(rows: Iterable[Row], words: Words) -> list[Row]:
    """Rows that differ in nothing but their host become one."""
    hosts: dict[tuple[tuple[str, object], ...], list[str]] = {}
    for row in rows:
        rest = tuple((name, value) for name, value in row.items() if name != "host")
        hosts.setdefault(rest, []).append(str(row["host"]))
    return [
        {**dict(rest), "host": host_list(list(dict.fromkeys(named)), words, 5)}
        for rest, named in hosts.items()
    ]


def natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts app9 before app10."""
    return [
        (int(part), "") if part.isdigit() else (0, part) for part in re.findall(r"[0-9]{1,18}|[^0-9]+", text)
    ]


def number_rows(rows: Iterable[Row]) -> list[Row]:
    """The rows with their number in front."""
    return [{"number": number, **row} for number, row in enumerate(rows, 1)]


def size(value: object, words: Words | None = None) -> str:
    """Bytes as people read them: binary units, three digits."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return words("not_obtained_short") if words else ""
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(amount) < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" or abs(amount) >= 100 else f"{amount:.3g} {unit}"
