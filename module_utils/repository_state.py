"""A pgBackRest repository before and after: whether anything that was there has changed, and whose the new files are.

Names, sizes and times of all files are kept on the repository's own host. Production may archive and back up meanwhile;
nobody else may, and nothing that was there may become another.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Dict, List, Mapping

from ansible.module_utils.pgbackrest_files import archived
from ansible.module_utils.pgbackrest_reading import Reading, walk

PATH = "/var/lib/maintenance/repository-state.json"
# Written anew with each backup or segment's history, and each has its copy.
_RUNNING = ("archive.info", "archive.info.copy", "backup.info", "backup.info.copy")
_SHOWN = 20


def taken(reading: Reading) -> Dict[str, Any]:
    """What there is now."""
    found: Dict[str, List[int]] = {}
    for folder in (reading.archive, reading.backups):
        for path, size, changed in walk(folder):
            found[os.path.relpath(path, reading.path)] = [size, int(changed * 1000)]
    return {"at": time.time(), "stanza": reading.options.stanza, "files": found}


def keep(state: Mapping[str, Any], path: str = PATH) -> None:
    """Keep it for root alone."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = path + ".new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def kept(stanza: str, path: str = PATH) -> Dict[str, Any]:
    """What was kept; raises OSError where there is nothing of this stanza."""
    with open(path, encoding="utf-8") as file:
        told: Dict[str, Any] = json.load(file)
    if told.get("stanza") != stanza:
        raise OSError(f"{path} is of another stanza")
    return told


def compare(before: Mapping[str, Any], after: Mapping[str, Any], timeline: int) -> Dict[str, Any]:
    """What became of the files, and new ones that are not of production's own work on this timeline."""
    old, new = before["files"], after["files"]
    added = sorted(set(new) - set(old))
    gone = sorted(set(old) - set(new))
    labels = {label_of(path) for path in [*added, *gone]} - {""}
    changed = [
        path
        for path in sorted(set(old) & set(new))
        if old[path] != new[path] and not (os.path.basename(path) in _RUNNING and labels)
    ]
    folders = {archive_of(path) for path in old} - {""}
    strange = [path for path in added if stranger(path, timeline, folders)]
    return {
        "files": len(old),
        "added": len(added),
        "removed": gone[:_SHOWN],
        "removed_count": len(gone),
        "changed": changed[:_SHOWN],
        "strange": strange[:_SHOWN],
        # What expiry takes goes with whole backups and the WAL before them; without a backup nothing may go.
        "whole": not changed and not strange and (not gone or bool(labels)),
        "backup_meanwhile": bool(labels),
    }


def label_of(path: str) -> str:
    """The backup that a file is of; '' for others."""
    parts = path.split("/")
    return parts[2] if len(parts) > 3 and parts[0] == "backup" and parts[2][:1].isdigit() else ""


def archive_of(path: str) -> str:
    """The archive (version and system) that a file is in; '' for others."""
    parts = path.split("/")
    return parts[2] if len(parts) > 3 and parts[0] == "archive" else ""


def stranger(path: str, timeline: int, folders: "set[str]") -> bool:
    """Whether a new file is of another timeline or system than production's."""
    if not path.startswith("archive/"):
        return False
    name = os.path.basename(path)
    if archive_of(path) not in folders:
        return True
    if name.endswith(".history"):
        return True
    segment = archived(name)
    return segment is not None and int(segment.name[:8], 16) != timeline
