"""What the signed entries of a ledger show of the items that no program judges. Reads entries; judges none.

The caller has verified the whole ledger; one that does not hold shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from maintenance import cases
from maintenance.catalogue import Wanted
from maintenance.documents.clean import clean
from maintenance.errors import VerificationError
from maintenance.logbook import KINDS
from maintenance.record import LedgerEvidence
from maintenance.register import Item

Language = Literal["zh", "en"]
_TOPICS = ("topic", "subject", "purpose", "request", "review", "signed_by", "department")
_WORDS = {
    "order": {"zh": "按工单 {id} 执行：{title}", "en": "{title} under the order {id}"},
    "accepted": {"zh": "甲方验收", "en": "accepted by the hospital"},
    "case": {"zh": "故障 {id} 已关闭：{title}", "en": "fault {id} closed: {title}"},
    "pack": {"zh": "材料包", "en": "pack of material"},
    "logins": {
        "zh": "登录与记录比对：{count} 次登录均有依据",
        "en": "logins compared: all {count} explained",
    },
}


@dataclass(frozen=True)
class Shown:
    """Something that an entry shows: what it is, under which name, and when it happened."""

    kind: str  # as in catalogue.Wanted, or `unapproved`: a change that nobody approved
    name: str
    at: str
    entry: str
    what: str


def gather(items: Sequence[Item], language: Language, now: str) -> list[Shown]:
    """Everything that counts, oldest first."""
    found = [shown for item in items for shown in _of_entry(item, language)]
    found += _unapproved_dead(items)
    found += _closed_cases(items, language, now)
    return sorted(found, key=lambda shown: (shown.at, shown.entry))


def find(wanted: Wanted, shown: Sequence[Shown], now: str) -> LedgerEvidence | None:
    """The newest that shows what is wanted and is not too old."""
    begin = datetime.fromisoformat(now).astimezone(UTC) - timedelta(days=wanted.days)
    since = begin.strftime("%Y-%m-%dT%H:%M:%SZ")
    fresh = [one for one in shown if since <= one.at <= now]
    if wanted.kind == "order" and any(one.kind == "unapproved" for one in fresh):
        return None  # one change that was approved says little beside one that was not
    for one in reversed(fresh):
        if one.kind == wanted.kind and _named(wanted, one):
            return LedgerEvidence(entry=one.entry, at=one.at, what=one.what)
    return None


def _named(wanted: Wanted, one: Shown) -> bool:
    if wanted.kind == "run":
        return "*" in wanted.run or one.name in wanted.run
    return wanted.kind != "entry" or one.name == wanted.entry


def _of_entry(item: Item, language: Language) -> Iterator[Shown]:
    try:
        facts = item.facts
    except VerificationError:
        return
    if item.kind == "close":
        yield from _run(item, facts, language)
    elif item.kind == "receipt" and str(facts.get("verdict")).startswith("accepted"):
        yield _shown("accepted", "", item, item.time, _WORDS["accepted"][language])
    elif item.kind == "entry":
        yield from _logged(item, facts, language)


def _run(item: Item, facts: dict[str, Any], language: Language) -> Iterator[Shown]:
    """A run counts where it succeeded, was no rehearsal and reached every host of the site that it is about."""
    book = facts.get("runbook")
    if not isinstance(book, dict) or facts.get("mode") != "apply" or facts.get("outcome") == "refused":
        return
    name = str(book.get("name"))
    title = clean(str((book.get("title") or {}).get(language) or name), 80)
    finished = str(facts.get("finished") or item.time)
    processed = set(facts.get("hosts_processed") or ())
    order = facts.get("order") or {}
    changes = book.get("changes", "nothing") != "nothing" and bool(processed)
    if changes and not order:
        yield _shown("unapproved", name, item, finished, title)
    whole = set(facts.get("hosts_expected") or ()) <= processed and bool(processed)
    if facts.get("outcome") != "succeeded" or not whole:
        return
    if changes and order.get("id"):
        words = _WORDS["order"][language].format(id=clean(str(order["id"]), 40), title=title)
        yield _shown("order", name, item, finished, words)
    if " --limit " not in str(facts.get("command")):
        yield _shown("run", name, item, finished, title)


def _logged(item: Item, facts: dict[str, Any], language: Language) -> Iterator[Shown]:
    what = str(facts.get("what"))
    if what == "pack":
        yield _shown("pack", "", item, str(facts.get("at") or item.time), _WORDS["pack"][language])
    elif what == "comparison":
        compared = facts.get("comparison") or {}
        counts, hosts = compared.get("counts") or {}, compared.get("hosts") or {}
        read = bool(hosts) and all(host.get("read") and not host.get("gap") for host in hosts.values())
        if read and not counts.get("unexplained"):
            words = _WORDS["logins"][language].format(count=counts.get("explained", 0))
            yield _shown("logins", "", item, str(facts.get("until") or item.time), words)
    elif what in KINDS:
        fields = facts.get("fields") or {}
        topic = next((str(fields[name]) for name in _TOPICS if fields.get(name)), "")
        label = KINDS[what].zh if language == "zh" else KINDS[what].en
        colon = "：" if language == "zh" else ": "
        words = f"{label}{colon}{clean(topic, 80)}" if topic else label
        yield _shown("entry", what, item, str(facts.get("at") or item.time), words)


def _unapproved_dead(items: Iterable[Item]) -> Iterator[Shown]:
    """A run that died may have changed something: it needed an order as any other."""
    opened: dict[str, dict[str, Any]] = {}
    for item in items:
        if item.kind == "open":
            opened[item.manifest.run] = item.facts
        elif item.kind == "abandoned":
            facts = opened.get(item.manifest.run, {})
            changes = facts.get("mode") == "apply" and facts.get("changes", "nothing") != "nothing"
            if changes and not facts.get("order"):
                yield _shown("unapproved", str(facts.get("runbook")), item, item.time, "")


def _closed_cases(items: Sequence[Item], language: Language, now: str) -> Iterator[Shown]:
    try:
        told = cases.read(items, {}, now)
    except VerificationError:
        return
    for case in told:
        end = case.closed
        if case.state == "closed" and end:
            words = _WORDS["case"][language].format(id=clean(case.id, 40), title=clean(case.title, 80))
            yield Shown("case", case.id, min(end.at, end.recorded), end.folder, words)


def _shown(kind: str, name: str, item: Item, at: str, what: str) -> Shown:
    """Nothing has happened later than it was signed."""
    return Shown(kind, name, min(at, item.time), item.entry.folder, what)
