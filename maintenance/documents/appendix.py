"""The appendix: what was run on the hosts, and the fingerprints by which everything can be checked."""

from __future__ import annotations

from typing import Any

from maintenance.documents.clean import clean
from maintenance.documents.facts import Snapshots
from maintenance.documents.table import Row, Table, cut, host_list
from maintenance.documents.words import Words
from maintenance.record import Record

_LINES = 400
_FILES = 120


def commands(snapshots: Snapshots, words: Words) -> dict[str, Any]:
    """Every external command, once for all hosts on which exactly the same were run."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for host in sorted(snapshots):
        for module, snapshot in sorted(snapshots[host].items()):
            lines = snapshot.get("commands") or ()
            run = tuple(clean(line, 400) for line in lines) if isinstance(lines, (list, tuple)) else ()
            groups.setdefault((module, run), []).append(host)
    shown, left = [], _LINES
    for (module, run), hosts in groups.items():
        title = f"{clean(module, 60)}{words('colon')}{host_list(hosts, words, 20)}"
        lines = list(run[:left]) if run else [words("no_command")]
        if lines:
            shown.append({"hosts": title, "lines": lines})
            left -= len(lines)
    total = sum(len(run) for _, run in groups)
    note = words("commands_more", n=total - _LINES) if total > _LINES else ""
    sentence = words("commands")
    if not shown:
        sentence = words.missing(words("no_snapshots"))
    return {"sentence": sentence, "groups": shown, "note": note}


def fingerprints(record: Record, digests: tuple[str, str], words: Words) -> Table:
    """Digests of everything that the report was made from."""
    source = record.source
    rows: list[Row] = [
        _row("record.json", "", digests[0]),
        _row(words("manifest_before"), "", digests[1] or words("none")),
        *(_row(clean(one.file, 160), f"{one.bytes:,}", one.sha256) for one in record.attachments[:_FILES]),
        _row(
            words("events", seen=record.events.seen, expected=record.events.expected),
            "",
            record.events.sha256,
        ),
        _row(words("playbook"), "", source.playbook_sha256),
        _row(words("inventory"), "", source.inventory_sha256),
        _row(words("lock"), "", source.lock_sha256),
        _row(words("policy"), "", record.redaction.policy_sha256),
    ]
    note = ""
    if len(record.attachments) > _FILES:
        note = words("more_rows", n=len(record.attachments) - _FILES)
    return cut(rows, words, note, limit=len(rows))


def verification(words: Words) -> str:
    """How to check it without trusting the vendor."""
    return words("verification")


def _row(name: str, count: str, digest: str) -> Row:
    return {"name": name, "bytes": count, "sha256": digest}
