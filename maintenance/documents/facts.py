"""What the snapshots say, as tables. A value that is not there shows as not obtained, with the reason it gave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from maintenance.documents.clean import clean
from maintenance.documents.table import (
    Missing,
    or_note,
)
from maintenance.documents.words import Words
from maintenance.record import Record

Snapshots = Mapping[str, Mapping[str, Mapping[str, Any]]]
HOST, DATABASE = "host_snapshot", "postgresql_snapshot"


@dataclass(frozen=True)
class Probe:
    """One probe of one host: its data, or why there is none."""

    host: str
    data: Mapping[str, Any]
    unread: Mapping[str, Any]
    words: Words

    def text(self, *paths: str, form: str = "{}") -> str:
        """The first of the named values that is there; what is not shows as not obtained."""
        value = self.value(*paths)
        if value is None:
            reason = next((self.unread[path] for path in paths if path in self.unread), "")
            return self.words.missing(clean(reason, 80)) if reason else self.words("not_obtained_short")
        return form.format(clean(value))

    def value(self, *paths: str) -> Any:
        """The first of the named values that is there, or None."""
        return first(self.data, *paths)

    def items(self, *paths: str) -> list[Mapping[str, Any]]:
        """The first of the named lists that is there."""
        return mappings(self.value(*paths))


def first(data: Mapping[str, Any], *paths: str) -> Any:
    """The first value at one of the dotted paths, or None."""
    for path in paths:
        value: Any = data
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            return value
    return None


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """The mappings of a list; whatever else a snapshot holds there is no row."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, (list, tuple)) else []


@dataclass(frozen=True)
class View:
    """All snapshots of a record."""

    record: Record
    snapshots: Snapshots
    words: Words

    def probes(
        self, module: str, name: str, missing: Missing, hosts: Iterable[str] | None = None
    ) -> Iterator[Probe]:
        """One probe of every host; hosts without it go to `missing`."""
        for host in (
            self.record.hosts if hosts is None else [one for one in self.record.hosts if one.name in hosts]
        ):
            snapshot = self.snapshots.get(host.name, {}).get(module)
            if snapshot is None:
                reached = host.reached or host.name in self.snapshots
                missing.add(host.name, self.words("no_snapshot" if reached else "host_not_reached"))
                continue
            state = first(snapshot, f"probes.{name}") or {}
            data = first(snapshot, f"data.{name}")
            if not isinstance(data, Mapping):
                missing.add(host.name, str(state.get("reason") or "") if isinstance(state, Mapping) else "")
                continue
            unread = state.get("unread") if isinstance(state, Mapping) else None
            yield Probe(host.name, data, unread if isinstance(unread, Mapping) else {}, self.words)

    def database_hosts(self) -> list[str]:
        """Hosts that have a database: by their group, or because a snapshot was taken."""
        return [
            host.name
            for host in self.record.hosts
            if DATABASE in self.snapshots.get(host.name, {})
            or {"database", "databases", "postgresql"} & set(host.groups)
        ]


def tables(record: Record, snapshots: Snapshots, words: Words) -> dict[str, Any]:
    """Every table of the templates that comes from snapshots."""
    view = View(record, snapshots, words)
    names = "inventory system performance upkeep instances settings statements dead filesystems databases tables disks backups jobs ports"
    return {name: or_note([], words, Missing(words), words.missing("")) for name in names.split()} | {
        "capacity": {"uses": [], "sizes": []}
    }
