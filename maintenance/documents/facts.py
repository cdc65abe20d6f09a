"""What the snapshots say, value by value. What is not there shows as not obtained, with the reason that it gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from maintenance.documents.clean import clean
from maintenance.documents.table import Missing, size
from maintenance.documents.words import Words
from maintenance.local_time import minute
from maintenance.record import HostResult, Record

Snapshots = Mapping[str, Mapping[str, Mapping[str, Any]]]
HOST, DATABASE = "host_snapshot", "postgresql_snapshot"


def first(data: Any, *paths: str) -> Any:
    """The first value at one of the dotted paths that is there, or None."""
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


def number(value: Any) -> float | None:
    """A number, or None for everything else."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


@dataclass(frozen=True)
class Probe:
    """One probe of one host: its data, and why some of it is absent; a reason that is met goes to `missing`."""

    host: str
    data: Mapping[str, Any]
    unread: Mapping[str, Any]
    words: Words
    missing: Missing | None = None

    def value(self, *paths: str) -> Any:
        """The first of the named values that is there, or None."""
        return first(self.data, *paths)

    def text(self, *paths: str) -> str:
        """The first of the named values that is there, or that it was not obtained."""
        value = self.value(*paths)
        if value is not None:
            return clean(value)
        for path in paths:
            if self.missing and path in self.unread:
                self.missing.add(self.host, f"{path}: {clean(self.unread[path], 160)}")
        return self.words("not_obtained_short")

    def percent(self, *paths: str) -> str:
        """A share."""
        value = number(self.value(*paths))
        return f"{value:.1f} %" if value is not None else self.text(*paths)

    def size(self, *paths: str) -> str:
        """Bytes."""
        value = number(self.value(*paths))
        return size(value) if value is not None else self.text(*paths)

    def items(self, *paths: str) -> list[Mapping[str, Any]]:
        """The first of the named lists that is there."""
        return mappings(self.value(*paths))


@dataclass(frozen=True)
class View:
    """All snapshots of a record."""

    record: Record
    snapshots: Snapshots
    words: Words

    def probe(
        self, host: HostResult, name: str, missing: Missing | None = None, module: str = HOST
    ) -> Probe | None:
        """One probe of a host, or None; the reason then goes to `missing`."""
        snapshot = self.snapshots.get(host.name, {}).get(module)
        state, data = first(snapshot, f"probes.{name}"), first(snapshot, f"data.{name}")
        if isinstance(data, Mapping):
            return Probe(host.name, data, first(state, "unread") or {}, self.words, missing)
        if missing is not None:
            missing.add(host.name, self._why(host, snapshot, state))
        return None

    def host(self, name: str) -> HostResult:
        """The host of this name; one that the record does not know has only its name."""
        known = (host for host in self.record.hosts if host.name == name)
        return next(known, None) or HostResult(name=name, groups=[], machine_id="", os="", reached=False)

    def probes(self, name: str, missing: Missing, module: str = HOST) -> Iterator[Probe]:
        """One probe of every host that has it; the others go to `missing`."""
        for host in self.database_hosts() if module == DATABASE else self.record.hosts:
            probe = self.probe(host, name, missing, module)
            if probe:
                yield probe

    def _why(self, host: HostResult, snapshot: Any, state: Any) -> str:
        if snapshot is None:
            return self.words("no_snapshot" if host.reached else "host_not_reached")
        return clean(first(state, "reason"), 200)

    def database_hosts(self) -> list[HostResult]:
        """Hosts that have a database: a snapshot of one was taken, or their group says so."""
        groups = {"database", "databases", "postgresql"}
        return [
            host
            for host in self.record.hosts
            if DATABASE in self.snapshots.get(host.name, {}) or groups & set(host.groups)
        ]


def when(value: Any, words: Words) -> str:
    """An instant on the hospital's clock; what is none is shown as it is."""
    try:
        return minute(str(value)).removesuffix(" (UTC+8)") if value else words("never")
    except ValueError:
        return clean(value, 40)


def duration(seconds: Any, words: Words) -> str:
    """Days, or hours below two days."""
    value = number(seconds)
    if value is None:
        return words("not_obtained_short")
    return (
        words("days", n=int(value // 86400)) if value >= 172800 else words("hours", n=f"{value / 3600:.1f}")
    )
