"""Proof that a restored PostgreSQL cluster is whole: all pages by their checksums, tables and indexes by pg_amcheck.

Whatever cannot be looked at is unknown, with the reason, and never counts as sound.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ansible.module_utils import page_checksums
from ansible.module_utils.database_query import DatabaseError, one_object, psql

CLAUSE = "3.2.2"
# How the extension that we make for the check is known, by a later run as well.
MARK = "made for a proof by the maintenance runbooks"
_SHOWN = 50
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_DAMAGED = re.compile(r'(?:heap table|btree index|index) "(?P<name>.*)"(?:, block (?P<block>\d+).*)?:\Z')
_ERROR = re.compile(r"ERROR:\s+([0-9A-Z]{5})\b")
_CORRUPTED = ("XX001", "XX002")
_CHECKING = re.compile(r"checking (?:heap table|btree index|index) ")
_EXTENSION = f"""
select json_build_object(
  'there', exists (select from pg_extension where extname = 'amcheck'),
  'ours', coalesce((select obj_description(oid, 'pg_extension') = '{MARK}'
    from pg_extension where extname = 'amcheck'), false),
  'read_only', pg_is_in_recovery())
"""  # noqa: S608
_NAMES = """
select coalesce(json_object_agg(pg_relation_filepath(c.oid), format('%I.%I', n.nspname, c.relname)), '{}')
from pg_class c join pg_namespace n on n.oid = c.relnamespace where pg_relation_filepath(c.oid) is not null
"""
_SERVER = """
select json_build_object('directory', current_setting('data_directory'), 'databases',
  (select json_agg(datname order by datname) from pg_database where datallowconn and not datistemplate))
"""


class Options(NamedTuple):
    """What is proven, and with how much of the machine."""

    directory: str
    port: int = 5432
    account: str = "postgres"
    jobs: int = 2
    seconds: int = 7200


def prove(options: Options) -> Dict[str, Any]:
    """Both proofs."""
    started = time.monotonic()
    server, reason = server_of(options)
    pages = prove_pages(options, server)
    left = options.seconds - (time.monotonic() - started)
    structure = prove_structure(options, server, reason, left)
    return {"pages": pages, "structure": structure}


def server_of(options: Options) -> Tuple[Optional[Dict[str, Any]], str]:
    """What the cluster's server says; None and the reason where it does not run, or another one answers."""
    try:
        server = one_object(options.port, _SERVER, options.account)
    except DatabaseError as error:
        return None, str(error)
    if os.path.realpath(server["directory"]) != os.path.realpath(options.directory):
        return None, f"the server on port {options.port} is that of {server['directory']}"
    return dict(server), ""


def program(directory: str, name: str) -> str:
    """A program of the cluster's own release: that which is found first may be another's."""
    with open(os.path.join(directory, "PG_VERSION"), encoding="ascii") as file:
        own = f"/usr/lib/postgresql/{file.read().strip()}/bin/{name}"
    return own if os.path.exists(own) else name


def controls(directory: str) -> Dict[str, str]:
    """What pg_controldata says of the cluster."""
    done = subprocess.run(
        [program(directory, "pg_controldata"), "-D", directory],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        env={"PATH": _ENVIRONMENT["PATH"], "LC_ALL": "C"},
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise OSError(f"pg_controldata: {' '.join(done.stderr.split())[-200:]}")
    pairs = (line.partition(":") for line in done.stdout.splitlines())
    return {key.strip(): value.strip() for key, _colon, value in pairs}


def prove_pages(options: Options, server: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    """Every page of the cluster, with the names of the relations that have damaged ones."""
    try:
        told = controls(options.directory)
        if told.get("Data page checksum version") != "1":
            return {"state": "unknown", "reason": "data_checksums is off: no page says what it should hold"}
        if told.get("Database block size") != str(page_checksums.PAGE) or told.get(
            "Blocks per segment of large relation"
        ) != str(page_checksums.SEGMENT_PAGES):
            return {"state": "unknown", "reason": "this PostgreSQL was built with pages of another size"}
        # A server that gives us no answer may run all the same.
        running = server is not None or os.path.exists(os.path.join(options.directory, "postmaster.pid"))
        found = page_checksums.check(options.directory, running, options.jobs, options.seconds)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return {"state": "unknown", "reason": str(error) or type(error).__name__}
    if not found["pages"]:
        return {"state": "unknown", "reason": f"{options.directory} holds no page"}
    if found["damaged"] and server:
        name_them(options, server, found["damaged"])
    return {"state": "damaged" if found["damaged_count"] else "ok", "reason": "", **found}


def name_them(options: Options, server: Dict[str, Any], damaged: List[Dict[str, Any]]) -> None:
    """Say which relation each file belongs to, where the server can still tell."""
    names: Dict[str, str] = {}
    for database in server["databases"]:
        try:
            told = one_object(options.port, _NAMES, options.account, database)
        except DatabaseError:
            continue  # the damage may be in the catalogue itself: the file's name remains
        names.update({path: f"{database} {name}" for path, name in told.items()})
    for one in damaged:
        name = names.get(re.sub(r"(?:_(?:fsm|vm|init))?(?:\.\d+)?\Z", "", one["file"]))
        if name:
            one["relation"] = name


def prove_structure(
    options: Options, server: Optional[Dict[str, Any]], reason: str, seconds: float
) -> Dict[str, Any]:
    """pg_amcheck over all databases: each row of a table in its indexes, each index in its order."""
    if server is None:
        return {"state": "unknown", "reason": f"the server cannot be asked: {reason}"}
    started = time.monotonic()
    answer: Dict[str, Any] = {"relations": 0, "damaged": [], "damaged_count": 0, "databases": []}
    unknown: List[str] = []
    for database in server["databases"]:
        try:
            one = check_database(options, database, max(1.0, seconds - (time.monotonic() - started)))
        except (DatabaseError, OSError, subprocess.TimeoutExpired) as error:
            unknown.append(f"{database}: {error}")
            continue
        answer["databases"].append(database)
        answer["relations"] += one["relations"]
        answer["damaged_count"] += len(one["damaged"])
        answer["damaged"] += one["damaged"]
    answer["damaged"] = answer["damaged"][:_SHOWN]
    answer["seconds"] = round(time.monotonic() - started, 2)
    state = (
        "damaged" if answer["damaged_count"] else "unknown" if unknown or not answer["relations"] else "ok"
    )
    return {"state": state, "reason": "; ".join(unknown)[:500], **answer}


def check_database(options: Options, database: str, seconds: float) -> Dict[str, Any]:
    """One database; the extension goes again where it was not there before."""
    extension = one_object(options.port, _EXTENSION, options.account, database)
    ours = extension["ours"] or not extension["there"]
    if not extension["there"]:
        if extension["read_only"]:
            raise DatabaseError("the server is in recovery, and has no extension amcheck")
        alter(
            options,
            database,
            f"begin; create extension amcheck with schema pg_catalog; comment on extension amcheck is '{MARK}'; commit",
        )
    try:
        return amcheck(options, database, seconds)
    finally:
        if ours and not extension["read_only"]:
            alter(options, database, "drop extension amcheck")


def alter(options: Options, database: str, statement: str) -> None:
    """Change the catalogue; a standby that a restored copy still has in its settings is not waited for."""
    psql(options.port, ["set synchronous_commit = local", statement], database, options.account)


def amcheck(options: Options, database: str, seconds: float) -> Dict[str, Any]:
    """What pg_amcheck says of one database. Its exit code alone is no answer."""
    command = [
        program(options.directory, "pg_amcheck"),
        "--heapallindexed",
        "--verbose",
        "--no-password",
        f"--jobs={options.jobs}",
    ]
    done = subprocess.run(
        ["runuser", "-u", options.account, "--", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        # As an argument a database's name would be a pattern.
        env={**_ENVIRONMENT, "PGDATABASE": database, "PGPORT": str(options.port), "PGCONNECT_TIMEOUT": "10"},
        cwd="/",
        timeout=seconds,
        check=False,
    )
    damaged = read_damage(done.stdout)
    relations = sum(1 for line in done.stderr.splitlines() if _CHECKING.search(line))
    if done.returncode not in (0, 2) or (done.returncode == 2 and not damaged) or not relations:
        said = [line for line in done.stderr.splitlines() if not _CHECKING.search(line)]
        raise DatabaseError(f"pg_amcheck: {' '.join(said)[-200:] or 'it checked nothing'}")
    return {"relations": relations, "damaged": damaged}


def read_damage(text: str) -> List[Dict[str, Any]]:
    """The relations of pg_amcheck's answer, each place once, with the first line of what is wrong."""
    found: List[Dict[str, Any]] = []
    for line in text.splitlines():
        matched = _DAMAGED.match(line)
        if matched:
            block = matched.group("block")
            found.append(
                {"relation": matched.group("name"), "block": int(block) if block else None, "why": ""}
            )
        elif found and not found[-1]["why"]:
            found[-1]["why"] = why(line.strip())
    return found


def why(line: str) -> str:
    """What is wrong, in amcheck's own words. Another error may come from an index's expression, and quote a patient."""
    error = _ERROR.match(line)
    return line[:200] if error is None or error.group(1) in _CORRUPTED else f"ERROR: {error.group(1)}"


def findings(told: Dict[str, Any], language: str, clause: str = CLAUSE) -> List[Dict[str, Any]]:
    """Both proofs as the record has them."""
    zh = language == "zh"
    pages, structure = told["pages"], told["structure"]
    places = [f"{one.get('relation', one['file'])} block {one['block']}" for one in pages.get("damaged", [])]
    seen = [
        one["relation"] + (f" block {one['block']}" if one["block"] is not None else "")
        for one in structure.get("damaged", [])
    ]
    none = "损坏 0" if zh else "damaged 0"
    advice = (
        "不要使用这份数据：保留现场与全部旧备份，查存储与内存，从损坏之前的备份恢复"
        if zh
        else "do not use this data: keep it and all older backups, look at the disks, restore from before the damage"
    )
    return [
        _finding(
            "PRF-PAG-01",
            "全部数据页的校验和" if zh else "Checksum of every page",
            none,
            _said(pages, pages.get("pages"), places, ("页", "pages"), zh),
            pages["state"],
            advice,
            clause,
        ),
        _finding(
            "PRF-AMC-01",
            "表与索引的内部一致（pg_amcheck）" if zh else "Tables and indexes agree (pg_amcheck)",
            none,
            _said(structure, structure.get("relations"), seen, ("个表与索引", "tables and indexes"), zh),
            structure["state"],
            advice,
            clause,
        ),
    ]


def _said(
    part: Dict[str, Any], count: Optional[int], places: List[str], unit: Tuple[str, str], zh: bool
) -> str:
    if count is None:
        return str(part["reason"])
    number = part["damaged_count"]
    text = f"{count} {unit[0]}，损坏 {number}" if zh else f"{count} {unit[1]}, damaged {number}"
    return "; ".join([text, *sorted(set(places))[:10], *([part["reason"]] if part["reason"] else [])])[:1500]


def _finding(
    id_: str, title: str, expected: str, actual: str, state: str, advice: str, clause: str
) -> Dict[str, Any]:
    verdict = {"ok": "pass", "damaged": "fail"}.get(state, "unknown")
    return {
        "id": id_,
        "clause": clause,
        "area": "backup",
        "title": title,
        "subject": "",
        "expected": expected,
        "actual": actual,
        "verdict": verdict,
        "severity": "critical",
        "owner": "vendor",
        "advice": advice if verdict == "fail" else "",
    }


def metrics(told: Dict[str, Any], subject: str) -> List[Dict[str, Any]]:
    """How much was read, and how long it took."""
    pages, structure = told["pages"], told["structure"]
    numbers = (
        ("proof_pages", pages.get("pages"), "pages"),
        ("proof_pages_seconds", pages.get("seconds"), "seconds"),
        ("proof_relations", structure.get("relations"), "relations"),
        ("proof_structure_seconds", structure.get("seconds"), "seconds"),
    )
    return [
        {"name": name, "subject": subject, "value": value, "unit": unit, "limit": None}
        for name, value, unit in numbers
        if value is not None
    ]
