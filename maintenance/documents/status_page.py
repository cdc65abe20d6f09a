"""The cover of a contract as one page of HTML that holds all it needs: no script, no network, nothing beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from maintenance.contract import Language
from maintenance.cover import STATES, Cover, Part, Row
from maintenance.documents import cover_words

_TEMPLATES = Path(__file__).parent / "templates"
_WIDTH = 1000  # units of the timeline


@dataclass(frozen=True)
class Mark:
    """Something on the timeline."""

    x: float
    width: float
    state: str
    title: str


@dataclass(frozen=True)
class Lane:
    """A clause on the timeline."""

    row: Row
    spans: tuple[Mark, ...]
    dots: tuple[Mark, ...]


def render(cover: Cover, language: Language) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = cover_words.WORDS[language]
    return environment.get_template("status.html.j2").render(
        cover=cover,
        language=language,
        w=words,
        counts=cover.counts(),
        states=STATES,
        todo=cover.todo(),
        lanes=lanes(cover),
        months=months(cover),
        today=position(cover.at, cover),
        owed=lambda row: cover_words.owed(row, words),
        shown=lambda row: cover_words.shown(row, words),
        response=lambda told: cover_words.response(told, words),
        left=lambda due: cover_words.left(due, cover, words),
        label=lambda part: cover_words.label(part, words),
        missing=lambda row: cover_words.missing(row, words),
        left_hours=lambda hours: cover_words.left_hours(hours, words),
    )


def position(day: str, cover: Cover) -> float:
    """Where a day lies on the timeline, within its ends."""
    first, last = date.fromisoformat(cover.from_), date.fromisoformat(cover.until)
    share = (date.fromisoformat(day) - first).days / ((last - first).days + 1)
    return round(_WIDTH * min(1.0, max(0.0, share)), 1)


def months(cover: Cover) -> list[tuple[float, str]]:
    """The first of each month, and its name."""
    first, last = date.fromisoformat(cover.from_), date.fromisoformat(cover.until)
    found, day = [], first.replace(day=1)
    while day <= last:
        if day >= first:
            found.append((position(day.isoformat(), cover), f"{day:%Y-%m}"))
        day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return found


def lanes(cover: Cover) -> list[Lane]:
    """Clauses that are owed by days, with what is owed and what was done."""
    return [
        _lane(row, cover)
        for row in cover.rows
        if row.kind in ("each_quarter", "in_period", "holidays", "last_month")
    ]


def _lane(row: Row, cover: Cover) -> Lane:
    dots = tuple(
        Mark(position(one.day, cover), 0, "kept", f"{one.day} {one.title} #{one.seq}") for one in row.shown
    )
    return Lane(row, tuple(_span(row, part, cover) for part in row.parts), dots)


def _span(row: Row, part: Part, cover: Cover) -> Mark:
    """A quarter or a holiday from its first day to its last; what has only an end is a mark at it."""
    days = [word for word in part.label.replace("–", " ").split() if len(word) == 10 and word[4] == "-"]
    begin = days[0] if len(days) == 2 else part.due
    x = position(begin, cover)
    end = position(part.due, cover) + _WIDTH / 365
    return Mark(x, max(end - x - 1.5, 4), part.state, f"{row.id} {part.label}")
