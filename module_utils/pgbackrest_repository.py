"""One reading of a pgBackRest repository on its own host: what it holds, whether it is whole, what it could restore.

Nothing is taken from an exit code or a status of pgBackRest alone: it says `ok` of an archive with a hole, and 0 of a
flipped byte. Its commands are asked for what only it can say (`info`) or decrypt (`repo-get`).
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from ansible.module_utils import pgbackrest_files as files
from ansible.module_utils import wal_chain as wal
from ansible.module_utils.pgbackrest_files import Manifest, RepositoryError
from ansible.module_utils.pgbackrest_reading import Archive, Options, Reading, instant, timeline_of, walk

SHOWN = 50  # faults that are named one by one; all are counted
_TRIAL_SECONDS = 4 * 3600


def collect(options: Options) -> Dict[str, Any]:
    """The snapshot."""
    started = time.time()
    reading = Reading(options)
    reading.probe("repository", lambda: read_repository(reading))
    reading.probe("backups", lambda: read_backups(reading))
    reading.probe("files", lambda: read_files(reading))
    reading.probe("wal", lambda: read_wal(reading))
    reading.probe("database", lambda: read_database(reading))
    reading.probe("recovery", lambda: read_recovery(reading))
    if options.trial_folder:
        reading.probe("trial", lambda: try_restore(reading))
    else:
        reading.probes["trial"] = {
            "state": "unknown",
            "ms": 0,
            "reason": "no restore was tried",
            "unread": {},
        }
    return {
        "schema": "pgbackrest-repository/1",
        "taken": instant(started),
        "duration_ms": round((time.time() - started) * 1000),
        "probes": reading.probes,
        "commands": ["pgbackrest info --output=json", "pgbackrest repo-get", "pgbackrest restore"],
        "data": reading.data,
    }


def read_repository(reading: Reading) -> Dict[str, Any]:
    """What pgBackRest says of its repository, and the room that it has."""
    told = json.loads(reading.pgbackrest(["info", "--output=json"]))
    mine = next((one for one in told if one.get("name") == reading.options.stanza), None)
    if mine is None:
        raise RepositoryError(f"the repository has no stanza {reading.options.stanza}")
    reading.info = mine
    space = os.statvfs(reading.path)
    used = sum(size for _path, size, _time in walk(reading.path))
    current = mine["db"][-1] if mine.get("db") else {}
    mode = stat.S_IMODE(os.stat(reading.path).st_mode)
    return {
        "stanza": reading.options.stanza,
        "path": reading.path,
        "mode": f"{mode:04o}",
        "encryption": str(mine.get("cipher", "none")),
        "status_code": int(mine["status"]["code"]),
        "status_message": str(mine["status"]["message"])[:200],
        "system_id": str(current.get("system-id", "")),
        "database_version": str(current.get("version", "")),
        "former_system_ids": [str(one["system-id"]) for one in mine.get("db", [])[:-1]],
        "used_bytes": used,
        "size_bytes": space.f_blocks * space.f_frsize,
        "free_bytes": space.f_bavail * space.f_frsize,
        "retention_full": reading.settings.get("repo1-retention-full", ""),
        "retention_full_type": reading.settings.get("repo1-retention-full-type", "count"),
    }


def read_backups(reading: Reading) -> Dict[str, Any]:
    """Each backup: what the info file, its own manifest and its folder say. They must say the same."""
    rows = []
    listed = {str(one["label"]): one for one in reading.info["backup"]}
    for label, told in listed.items():
        row: Dict[str, Any] = {
            "label": label,
            "type": str(told["type"]),
            "started": instant(told["timestamp"]["start"]),
            "finished": instant(told["timestamp"]["stop"]),
            "finished_seconds": int(told["timestamp"]["stop"]),
            "prior": told.get("prior") or "",
            "size_bytes": int(told["info"]["size"]),
            "repository_bytes": int((told["info"].get("repository") or {}).get("delta") or 0),
            "page_errors": bool(told.get("error")),
        }
        try:
            found = read_manifest(reading, label)
            row.update(system_id=found.system_id, files=len(found.files), manifest="ok")
            row["page_errors"] = row["page_errors"] or any(file.page_errors for file in found.files)
            row["damaged_pages_in"] = [file.name for file in found.files if file.page_errors][:SHOWN]
            reading.manifests[label] = found
        except (RepositoryError, OSError) as error:
            reading.broken[label] = str(error)
            row["manifest"] = str(error)[:300]
        rows.append(row)
    present = {
        name
        for name in os.listdir(reading.backups)
        if name[:1].isdigit() and os.path.isdir(os.path.join(reading.backups, name))
    }
    return {
        "rows": rows,
        # Left by an attempt that was interrupted: the next backup goes on from it.
        "unfinished": sorted(present - set(listed))[:SHOWN],
        "newest": max(listed, key=lambda label: listed[label]["timestamp"]["stop"], default=""),
        "newest_full": max((label for label in listed if listed[label]["type"] == "full"), default=""),
        "full_backups": sum(1 for one in listed.values() if one["type"] == "full"),
    }


def read_manifest(reading: Reading, label: str) -> Manifest:
    """A backup's manifest, of which pgBackRest keeps two copies."""
    path = os.path.join(reading.backups, label, "backup.manifest")
    text = reading.contents(path).decode("utf-8", errors="surrogateescape")
    found = files.manifest(text, f"the manifest of {label}")
    if found.label != label:
        raise RepositoryError(f"the manifest of {label} is that of {found.label}")
    copy = reading.contents(path + ".copy").decode("utf-8", errors="surrogateescape")
    if copy != text:
        raise RepositoryError(f"the manifest of {label} and its copy differ")
    return found


def read_files(reading: Reading) -> Dict[str, Any]:
    """Every file of every backup, each once, by its checksum."""
    if not reading.options.checksums:
        raise RepositoryError("checksums were not asked for (backup_check_checksums)")
    started = time.monotonic()
    wanted: Dict[Tuple[str, str], Tuple[files.File, str, List[str]]] = {}
    for label, told in reading.manifests.items():
        for file in told.files:
            users = wanted.setdefault((file.backup, file.name), (file, compress_of(reading, file, told), []))
            users[2].append(label)

    def one(item: Tuple[files.File, str, List[str]]) -> str:
        return files.fault_of(item[0], reading.backups, item[1])

    with ThreadPoolExecutor(reading.options.processes) as pool:
        faults = list(pool.map(one, wanted.values(), chunksize=64))
    rows: Dict[str, Dict[str, Any]] = {
        label: {"label": label, "damaged": 0, "missing": 0, "examples": []} for label in reading.manifests
    }
    for (file, _compress, users), fault in zip(wanted.values(), faults):  # noqa: B905  (Python 3.8)
        for label in users if fault else ():
            rows[label]["missing" if fault == "missing" else "damaged"] += 1
            if len(rows[label]["examples"]) < 5:
                rows[label]["examples"].append(f"{file.backup}/{file.name}: {fault}")
    for label, why in reading.broken.items():
        rows[label] = {"label": label, "damaged": 1, "missing": 0, "examples": [why[:300]]}
    return {
        "rows": [rows[label] for label in sorted(rows)],
        "checked": len(faults),
        "checked_bytes": sum(item[0].repository_size or 0 for item in wanted.values()),
        "seconds": round(time.monotonic() - started, 1),
    }


def compress_of(reading: Reading, file: files.File, told: Manifest) -> str:
    """How a file was compressed: as the backup that holds it, which may not be the one that names it."""
    holder = reading.manifests.get(file.backup)
    return (holder or told).compress


def read_archive(reading: Reading) -> Archive:
    """What the archive of the present database holds, by the names of its files."""
    name = str(reading.info["archive"][-1]["id"]) if reading.info.get("archive") else ""
    if not name:
        raise RepositoryError("the repository has no archive of WAL")
    folder = os.path.join(reading.archive, name)
    found = Archive(name, {}, {}, {})
    for path, _size, time_ in walk(folder):
        base = os.path.basename(path)
        segment = files.archived(base)
        if segment:
            found.segments.setdefault(segment.name, []).append((segment, path, time_))
        elif base.endswith(".history") and len(base) == 16:
            timeline = int(base[:8], 16)
            found.histories[timeline] = wal.parse_history(reading.contents(path).decode(errors="replace"))
            found.history_times[timeline] = time_
    return found


def read_wal(reading: Reading) -> Dict[str, Any]:
    """Every archived segment: its contents, its place, and whether it is the only one of its name."""
    archive = read_archive(reading)
    every = [one for same in archive.segments.values() for one in same]
    size = wal.SEGMENT_BYTES
    damaged: List[str] = []
    foreign: List[str] = []
    if reading.options.checksums:
        with ThreadPoolExecutor(reading.options.processes) as pool:
            answers = list(pool.map(lambda one: look_at(reading, one), every))
        sizes = {header.segment_bytes for _fault, header in answers if header}
        size = min(sizes, default=size)
        own = str(reading.info["db"][-1]["system-id"])
        for (segment, _path, _time), (fault, header) in zip(every, answers):  # noqa: B905  (Python 3.8)
            if not fault and header and header.system_id != own:
                foreign.append(f"{segment.name}: of the system {header.system_id}")
            elif wrong := fault or misplaced(segment.name, header, size):
                damaged.append(f"{segment.name}: {wrong}")
    have: Dict[int, Set[int]] = {}
    for name in archive.segments:
        one = wal.parse_name(name, size)
        have.setdefault(one.timeline, set()).add(one.number)
    reading.chain = (archive, have, size)
    timed = [(wal.parse_name(name, size), same[0][2]) for name, same in archive.segments.items()]
    newest = max(timed, key=lambda one: (one[0].timeline, one[0].number), default=None)
    return {
        "archive": archive.name,
        "segment_bytes": size,
        "segments": len(archive.segments),
        "checked": len(every) if reading.options.checksums else 0,
        "damaged": damaged[:SHOWN],
        "damaged_count": len(damaged),
        "foreign": foreign[:SHOWN],
        "doubled": sorted(name for name, same in archive.segments.items() if len(same) > 1)[:SHOWN],
        "timelines": [
            {
                "timeline": timeline,
                "segments": len(numbers),
                "first": wal.name_of(wal.Segment(timeline, min(numbers)), size),
                "last": wal.name_of(wal.Segment(timeline, max(numbers)), size),
            }
            for timeline, numbers in sorted(have.items())
        ],
        "newest": wal.name_of(newest[0], size) if newest else "",
        "newest_archived": instant(newest[1]) if newest else "",
        "production_timeline": timeline_of(reading.options) or 0,
        "strangers": [
            f"{one['kind']}: timeline {one['timeline']}, {one['count']} segments"
            for one in wal.strangers(
                timed, archive.histories, archive.history_times, timeline_of(reading.options), size
            )
        ],
    }


def look_at(
    reading: Reading,
    one: Tuple[files.Archived, str, float],
    see: Optional[Callable[[bytes], None]] = None,
) -> Tuple[str, Optional[files.Header]]:
    """One archived segment; what is sound is also shown to `see`, so that nobody has to decrypt it again."""
    segment, path, _time = one
    try:
        contents = reading.contents(path)
        fault, header = files.segment_fault(contents, segment)
        if see and not fault:
            see(b"".join(files.expand(contents, segment.compress)))
        return fault, header
    except FileNotFoundError:
        return "missing", None
    except (OSError, RepositoryError) as error:
        return str(error)[:200], None


def misplaced(name: str, header: Optional[files.Header], size: int) -> str:
    """Whether a segment holds what another name stands for; '' where it does not.

    Not so its timeline: the segment that begins a new one keeps the old one in its first page.
    """
    own = header is None or header.position // size == wal.parse_name(name, size).number
    return "" if own else "it holds another segment"


def read_database(reading: Reading) -> Dict[str, Any]:
    """What the database itself said, next to which the repository is judged."""
    if not reading.options.database:
        raise RepositoryError("the database gave no answer")
    kept = (
        "system_id",
        "timeline",
        "lsn",
        "archive_mode",
        "archive_timeout_seconds",
        "last_archived",
        "last_failed",
        "synchronous",
    )
    return {name: reading.options.database[name] for name in kept}


def read_recovery(reading: Reading) -> Dict[str, Any]:
    """What could be restored: for each backup, from when to when, and what is missing on the way."""
    if reading.chain is None or "files" not in reading.data:
        raise RepositoryError("without all files and the WAL nobody can tell what could be restored")
    archive, have, size = reading.chain
    production = timeline_of(reading.options) or max(have, default=1)
    way = wal.way_to(production, archive.histories, size)
    whole = {row["label"]: not row["damaged"] and not row["missing"] for row in reading.data["files"]["rows"]}
    holes = {fault.split(":")[0] for fault in reading.data["wal"]["damaged"]}
    sound = {
        timeline: {
            number for number in numbers if wal.name_of(wal.Segment(timeline, number), size) not in holes
        }
        for timeline, numbers in have.items()
    }
    rows = []
    for label, told in sorted(reading.manifests.items()):
        row: Dict[str, Any] = {"label": label, "from": instant(told.stopped), "from_seconds": told.stopped}
        start = wal.parse_name(told.start_segment, size)
        stop = wal.parse_name(told.stop_segment or told.start_segment, size)
        row["gaps"] = []
        try:
            far = wal.reach(start, sound, way)
            row["gaps"] = [described(gap, size) for gap in far.gaps][:SHOWN]
            consistent = far.last is not None and far.last.number >= stop.number
            row["why"] = "" if consistent else "the WAL of the backup itself is not complete"
        except wal.WalError as error:
            far, consistent = wal.Reach(None, []), False
            row["why"] = str(error)
        row["missing_segments"] = sum(gap.last - gap.first + 1 for gap in far.gaps)
        row["usable"] = consistent and whole.get(label, False) and label not in reading.broken
        until = archive.segments.get(wal.name_of(far.last, size)) if far.last else None
        row["last_segment"] = wal.name_of(far.last, size) if far.last else ""
        row["until_seconds"] = round(until[0][2]) if until and row["usable"] else 0
        row["until"] = instant(until[0][2]) if until and row["usable"] else ""
        rows.append(row)
    usable = [row for row in rows if row["usable"]]
    best = max(usable, key=lambda row: (row["until_seconds"], row["from_seconds"]), default=None)
    return {
        "rows": rows,
        "timeline": production,
        "earliest": min((row["from"] for row in usable), default=""),
        "earliest_seconds": min((row["from_seconds"] for row in usable), default=0),
        # Everything committed before this instant is in the archive; what came later may be.
        "latest": best["until"] if best else "",
        "latest_seconds": best["until_seconds"] if best else 0,
        "last_segment": best["last_segment"] if best else "",
        "best_backup": best["label"] if best else "",
        **what_would_be_lost(reading, best, size),
    }


def what_would_be_lost(reading: Reading, best: Optional[Dict[str, Any]], size: int) -> Dict[str, Any]:
    """How long ago the newest restorable instant is, and how much WAL the database has written since."""
    lost: Dict[str, Any] = {
        "archive_age_seconds": round(time.time()) - best["until_seconds"] if best else None
    }
    told = reading.options.database
    lost["unarchived_bytes"] = None
    if best and told and told["timeline"] == wal.parse_name(best["last_segment"], size).timeline:
        end = (wal.parse_name(best["last_segment"], size).number + 1) * size
        lost["unarchived_bytes"] = max(0, wal.parse_lsn(told["lsn"]) - end)
    return lost


def described(gap: wal.Gap, size: int) -> str:
    """A gap by the names of its files."""
    first = wal.name_of(wal.Segment(gap.timeline, gap.first), size)
    last = wal.name_of(wal.Segment(gap.timeline, gap.last), size)
    return first if first == last else f"{first} - {last} ({gap.last - gap.first + 1})"


def try_restore(reading: Reading) -> Dict[str, Any]:
    """Restore the smallest database of the newest backup beside everything, and compare each file's contents."""
    label = reading.data["backups"]["newest"]
    if label not in reading.manifests:
        raise RepositoryError("there is no backup to try")
    told = reading.manifests[label]
    sizes = database_sizes(told)
    chosen = min(sizes, key=lambda name: sizes[name], default="")
    needed = sum(sizes.values()) + sum(f.size for f in told.files if not f.name.startswith("pg_data/base/"))
    parent = reading.options.trial_folder
    os.makedirs(parent, 0o755, exist_ok=True)
    space = os.statvfs(parent)
    if space.f_bavail * space.f_frsize < needed + reading.options.trial_reserve:
        raise RepositoryError(f"{parent} has no room for a trial ({needed} bytes and a reserve)")
    folder = tempfile.mkdtemp(prefix="trial-", dir=parent)
    try:
        return restore_into(reading, told, chosen, folder)
    finally:
        shutil.rmtree(folder)


def database_sizes(told: Manifest) -> Dict[str, int]:
    """Bytes of each database that users made."""
    own = {name: number for name, number in told.databases.items() if number >= 16384}
    return {
        name: sum(file.size for file in told.files if file.name.startswith(f"pg_data/base/{number}/"))
        for name, number in own.items()
    }


def restore_into(reading: Reading, told: Manifest, database: str, folder: str) -> Dict[str, Any]:
    """The trial itself. pgBackRest leaves the files of other databases empty."""
    data, locks, spool = (os.path.join(folder, name) for name in ("data", "locks", "spool"))
    for path in (folder, data, locks, spool):
        os.makedirs(path, 0o700, exist_ok=True)
        shutil.chown(path, reading.account)
    arguments = ["restore", f"--set={told.label}", f"--pg1-path={data}", f"--lock-path={locks}"]
    arguments.append(f"--spool-path={spool}")
    arguments += ["--type=none", "--archive-mode=off"]
    arguments += ["--reset-pg1-host"] if reading.settings.get("pg1-host") else []
    arguments += [
        f"--tablespace-map-all={folder}/tablespaces",
        *([f"--db-include={database}"] if database else []),
    ]
    started = time.monotonic()
    reading.pgbackrest(arguments, _TRIAL_SECONDS)
    seconds = round(time.monotonic() - started, 1)
    kept = {number for name, number in told.databases.items() if name == database or number < 16384}
    wrong: List[str] = []
    compared = size = 0
    for file in told.files:
        parts = file.name.split("/")
        if parts[0] != "pg_data" or not file.checksum or parts[-1] == "postgresql.auto.conf":
            continue
        if len(parts) > 2 and parts[1] == "base" and int(parts[2]) not in kept:
            continue
        compared += 1
        size += file.size
        try:
            with open(os.path.join(data, *parts[1:]), "rb") as handle:
                if files.sha1_of(handle, file.size + 1) != file.checksum:
                    wrong.append(file.name)
        except OSError as error:
            wrong.append(f"{file.name}: {error.strerror}")
    return {
        "backup": told.label,
        "database": database,
        "files": compared,
        "bytes": size,
        "seconds": seconds,
        "wrong": wrong[:SHOWN],
        "wrong_count": len(wrong),
    }
