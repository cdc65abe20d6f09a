"""Tables of file systems and disks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maintenance.documents.clean import clean
from maintenance.documents.facts import View, first, number
from maintenance.documents.table import NONE, RED, ROWS, YELLOW, Missing, Row, Table, merged, or_note, size
from maintenance.documents.words import Words

# Memory, images and layers: their space is that of something else, or of nobody.
_NO_SPACE = ("tmpfs", "ramfs", "overlay", "squashfs", "iso9660", "devtmpfs", "fuse.snapfuse", "efivarfs")


def tables(view: View) -> dict[str, Any]:
    """Every table of the templates that is about storage."""
    return {"filesystems": filesystems(view), "disks": disks(view)}


def filesystems(view: View) -> Table:
    """File systems with space of their own; with very many, the fullest."""
    words, missing = view.words, Missing(view.words)
    rows: list[Row] = []
    for host, mount in mounts(view, missing):
        use = number(mount.get("used_percent"))
        rows.append(
            {
                "host": clean(host, 80),
                "mount": clean(mount.get("mount"), 200),
                "type": clean(mount.get("type"), 40),
                "size": size(mount.get("size_bytes"), words),
                "used": size(mount.get("used_bytes"), words),
                "percent": f"{use:.1f} %" if use is not None else words("not_obtained_short"),
                "inodes": _percent(mount.get("inodes_used_percent")),
                "colour": RED if use and use >= 90 else YELLOW if use and use >= 80 else NONE,
                "use": use or 0.0,
            }
        )
    if len(rows) > ROWS:
        rows.sort(key=lambda row: -float(str(row["use"])))
    return or_note(rows, words, missing, words("no_filesystems"))


def _percent(value: Any) -> str:
    share = number(value)
    return "—" if share is None else f"{share:.1f} %"


def mounts(view: View, missing: Missing) -> list[tuple[str, Mapping[str, Any]]]:
    """The file systems of all hosts that have space of their own."""
    return [
        (probe.host, mount)
        for probe in view.probes("filesystems", missing)
        for mount in probe.items("mounts")
        if mount.get("type") not in _NO_SPACE
        or mount.get("mount") == "/"  # a layered root is still the host's own
    ]


def disks(view: View) -> Table:
    """Whole disks with what they say of their own health."""
    words, missing = view.words, Missing(view.words)
    rows: list[Row] = []
    for probe in view.probes("disks", missing):
        host = view.host(probe.host)
        why = Missing(words)
        smart = view.probe(host, "smart", why)
        health = {str(one.get("name")): one for one in smart.items("disks")} if smart else {}
        for disk in probe.items("disks"):
            told = health.get(str(disk.get("name")))
            if told is not None:
                state = _health(told, words)
            elif disk.get("physical") is False:
                state = words("virtual_disk")
            else:
                state = next((words.missing(reason) for reason in why.reasons), words("not_obtained_short"))
            model = " ".join(clean(disk.get(name), 60) for name in ("vendor", "model") if disk.get(name))
            serial = clean(first(told, "serial"), 60)
            rows.append(
                {
                    "host": clean(probe.host, 80),
                    "device": clean(disk.get("name"), 60),
                    "model": f"{model or '—'}{' / ' + serial if serial else ''}",
                    "size": size(disk.get("size_bytes"), words),
                    "health": state,
                }
            )
    return or_note(merged(rows, words), words, missing, words("no_disks"))


def _health(told: Mapping[str, Any], words: Words) -> str:
    passed = told.get("passed")
    parts = [words({True: "smart_passed", False: "smart_failed"}.get(passed, "not_obtained_short"))]  # type: ignore[arg-type]
    for name in ("power_on_hours", "reallocated_sectors", "pending_sectors", "wear_percent"):
        if number(told.get(name)) is not None:
            parts.append(words(name, n=clean(told.get(name), 20)))
    return words("comma").join(parts)
