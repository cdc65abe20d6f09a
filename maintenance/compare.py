"""Logins on the hosts against the ledger: which of them a run, an entry or an agreed automation explains.

Pure: what the hosts told and what the ledger says go in, a judgement of every login comes out. A log that does not
reach back far enough is a gap that is stated; it never counts as a time without logins.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from maintenance.errors import VerificationError
from maintenance.login_settings import Automation, LoginSettings
from maintenance.register import Item

_VISITS = ("remote", "onsite")  # entries of the logbook that tell when somebody worked
_BARE_VISIT = timedelta(minutes=15)  # around the time of such an entry that states no end
_DELIVERY = timedelta(minutes=5)  # after an entry, within which the witness is told of it
_KEPT_OPEN = timedelta(
    seconds=120
)  # by which ssh's own ControlPersist lets a connection outlive what it was made for
_ROWS = 1000  # of one list of the entry; counts are of all


@dataclass(frozen=True)
class Login:
    """One accepted login as the host's own log tells it; times by the ledger's clock."""

    host: str
    time: datetime
    ended: datetime | None
    user: str
    source: str
    method: str
    key: str
    authority: str
    certificate: str


@dataclass
class HostLog:
    """What a host told of its logins, or why it told nothing."""

    host: str
    since: str  # from when its logins were wanted
    until: str = ""  # its own clock when it was read
    read: bool = False
    problem: str = ""
    sources: tuple[str, ...] = ()
    reaches_back_to: str = ""
    offset_seconds: int = 0  # of its clock against the ledger's, where that is more than the tolerance
    logins: list[Login] = field(default_factory=list)

    @property
    def gap(self) -> bool:
        """Whether part of the time that was asked about is not known."""
        return (
            not self.read
            or bool(self.problem)
            or not self.reaches_back_to
            or self.reaches_back_to > self.since
        )


@dataclass(frozen=True)
class Window:
    """A time that the ledger tells of."""

    begin: datetime
    end: datetime
    hosts: frozenset[str] | None  # None: any
    user: str  # '' : any
    what: Literal["run", "by_hand", "visit", "witness"]
    ref: str  # the entry that says so
    text: str = ""


@dataclass(frozen=True)
class Judged:
    """A login and what is to be said of it."""

    login: Login
    engineer: str  # whose key it is; '?' where an account of the engineers was entered without a key
    verdict: Literal["explained", "unexplained", "other"]
    what: str = ""
    ref: str = ""
    text: str = ""


@dataclass
class Result:
    """The comparison of all hosts."""

    hosts: list[HostLog]
    logins: list[Judged]

    def of(self, verdict: str) -> list[Judged]:
        """The logins with this verdict, oldest first."""
        return [judged for judged in self.logins if judged.verdict == verdict]

    @property
    def all_explained(self) -> bool:
        """Whether every host was read back to the beginning, and the ledger explains every engineer's login."""
        return not self.of("unexplained") and not any(log.gap for log in self.hosts)


# -- keys


def fingerprints(public_key: str) -> tuple[str, str]:
    """SHA256 and MD5 fingerprint of `TYPE BASE64`, as sshd logs them; raises ValueError where it is no key."""
    parts = public_key.split()
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (IndexError, binascii.Error) as error:
        raise ValueError(f"not an SSH public key: {public_key[:60]!a}") from error
    sha256 = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    md5 = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return f"SHA256:{sha256}", "MD5:" + ":".join(md5[index : index + 2] for index in range(0, 32, 2))


def known_keys(listed: Iterable[tuple[str, str]], settings: LoginSettings, folder: Path) -> dict[str, str]:
    """Fingerprint -> whose it is: keys that sign records, and those that the site names; raises ValueError."""
    known: dict[str, str] = {}
    for name, key in listed:
        known |= dict.fromkeys(fingerprints(key), name)
    for name, given in settings.keys.items():
        if given.startswith(("SHA256:", "MD5:")):
            known[given] = name
            continue
        try:
            text = given if " " in given.strip() else (folder / Path(given).expanduser()).read_text("utf-8")
        except OSError as error:
            raise ValueError(f"logins: keys: {name}: {given} cannot be read: {error.strerror}") from None
        known |= dict.fromkeys(fingerprints(text), name)
    return known


# -- what hosts tell


def read_host(
    host: str, snapshot: Mapping[str, Any], since: str, run: tuple[str, str], tolerance: int
) -> HostLog:
    """A host's log out of the snapshot of `login_history`; run: when the reading began and ended, by our clock."""
    now = str(snapshot.get("now") or "")
    offset = _offset(now, run, tolerance)
    log = HostLog(
        host,
        since,
        until=now,
        read=True,
        problem="; ".join(map(str, snapshot.get("problems") or [])),
        sources=tuple(map(str, snapshot.get("sources") or [])),
        reaches_back_to=str(snapshot.get("reaches_back_to") or ""),
        offset_seconds=offset,
    )
    for item in snapshot.get("logins") or []:
        if since <= item["time"] <= now:
            log.logins.append(_login(host, item, timedelta(seconds=offset)))
    return log


def _offset(now: str, run: tuple[str, str], tolerance: int) -> int:
    """Seconds that the host's clock is ahead, where that is more than the tolerance."""
    if not now:
        return 0
    began, ended, told = moment(run[0]), moment(run[1]), moment(now)
    ahead = (told - ended).total_seconds() if told > ended else min(0.0, (told - began).total_seconds())
    return round(ahead) if abs(ahead) > tolerance else 0


def _login(host: str, item: Mapping[str, Any], offset: timedelta) -> Login:
    return Login(
        host=host,
        time=moment(item["time"]) - offset,
        ended=moment(item["ended"]) - offset if item.get("ended") else None,
        **{
            name: str(item.get(name) or "")
            for name in ("user", "source", "method", "key", "authority", "certificate")
        },
    )


# -- what the ledger tells


def windows(items: Iterable[Item], since: str, now: str, witness_user: str = "") -> list[Window]:
    """Every time that the ledger explains logins of, from `since` on."""
    opened: dict[str, Item] = {}
    found = []
    for item in items:
        recent = item.time >= since
        if item.kind == "open":
            opened[item.manifest.run] = item
        elif item.kind in ("close", "abandoned"):
            begun = opened.pop(item.manifest.run, None)
            if begun and recent:
                found += _run(begun, item)
        elif item.kind == "unrecorded" and recent:
            found.append(_by_hand(item))
        elif item.kind == "entry" and recent:
            found += _entry(item, witness_user)
        if witness_user and recent:
            signed = moment(item.time)
            found.append(Window(signed, signed + _DELIVERY, None, witness_user, "witness", item.entry.folder))
    found += [_window(item, moment(now)) for item in opened.values()]  # those that are under way
    return found


def _run(begun: Item, ended: Item) -> list[Window]:
    if ended.kind == "close":
        if ended.facts.get("outcome") == "refused":
            return []  # no host was touched
        return [_window(begun, moment(ended.time))]
    return [_window(begun, _last_event(ended))]


def _window(begun: Item, end: datetime) -> Window:
    facts = begun.facts
    began = moment(str(facts.get("opened") or begun.time))
    hosts = frozenset(map(str, facts.get("hosts") or []))
    return Window(began, end, hosts, "", "run", begun.entry.folder, str(facts.get("runbook") or ""))


def _last_event(item: Item) -> datetime:
    """When a run that died was last heard of: after that its open explains nothing."""
    begun = moment(str(item.facts.get("found") or item.time))
    last = ""
    for name, open_ in (("events.jsonl", open), ("events.jsonl.gz", gzip.open)):
        path = item.entry.path / name
        if not path.is_file():
            continue
        with open_(path, "rb") as file:
            for line in file:
                last = line.decode("utf-8", "replace") if line.strip() else last
    try:
        told = datetime.fromisoformat(str(json.loads(last)["at"]))
        return min(begun, told if told.tzinfo else told.replace(tzinfo=UTC))
    except (ValueError, KeyError, TypeError):
        return datetime.min.replace(tzinfo=UTC)  # nothing was ever heard of it


def _by_hand(item: Item) -> Window:
    facts = item.facts
    return Window(
        moment(str(facts.get("started") or item.time)),
        moment(str(facts.get("finished") or item.time)),
        frozenset(map(str, facts.get("hosts") or {})),
        "",
        "by_hand",
        item.entry.folder,
        str(facts.get("playbook") or ""),
    )


def _entry(item: Item, witness_user: str) -> list[Window]:
    facts = item.facts
    asked = ((facts.get("comparison") or {}).get("heads") or {}).get("asked")
    if asked and witness_user:
        return [asked_witness(asked, witness_user, item.entry.folder)]
    if facts.get("what") not in _VISITS or not facts.get("at"):
        return []
    begin = moment(facts["at"])
    if facts.get("until"):
        end = moment(facts["until"])
    else:
        begin, end = begin - _BARE_VISIT, begin + _BARE_VISIT
    fields = facts.get("fields") or {}
    text = str(fields.get("purpose") or fields.get("result") or facts.get("text") or "")
    return [Window(begin, end, None, "", "visit", item.entry.folder, text[:200])]


def asked_witness(at: str, user: str, ref: str) -> Window:
    """The login by which a comparison asks the witness for its list."""
    return Window(moment(at), moment(at) + _DELIVERY, None, user, "witness", ref)


def since_of(items: Iterable[Item], hosts: Iterable[str]) -> dict[str, str]:
    """From when each host is to be compared: where the last comparison that read it ended, else the genesis; and hosts
    of the last comparison that are no longer there, which nobody would miss otherwise."""
    began = ""
    ended: dict[str, str] = {}
    last: dict[str, dict[str, Any]] = {}
    for item in items:
        began = began or item.time
        if item.kind == "entry" and item.facts.get("what") == "comparison":
            last = (item.facts.get("comparison") or {}).get("hosts") or {}
            ended |= {
                host: row["until"] for host, row in last.items() if row.get("read") and row.get("until")
            }
    gone = [host for host, row in last.items() if row.get("read")]
    return {host: ended.get(host, began) for host in [*hosts, *gone]}


# -- the judgement


def judge(
    hosts: Sequence[HostLog],
    known: Mapping[str, str],
    told: Sequence[Window],
    settings: LoginSettings,
) -> Result:
    """Say of every login whether the ledger explains it."""
    logins = sorted(
        (login for log in hosts for login in log.logins), key=lambda login: (login.time, login.host)
    )
    accounts = {*settings.accounts, *(login.user for login in logins if _owner(login, known))}
    ordered = sorted(told, key=lambda window: ("run", "visit", "witness", "by_hand").index(window.what))
    tolerance = timedelta(seconds=settings.tolerance_seconds)
    return Result(
        list(hosts),
        [_judge(login, known, accounts, ordered, settings.automation, tolerance) for login in logins],
    )


def _owner(login: Login, known: Mapping[str, str]) -> str:
    if login.key in known:
        return known[login.key]
    if login.authority in known:
        return f"{known[login.authority]} ({login.certificate})"
    return ""


def _judge(
    login: Login,
    known: Mapping[str, str],
    accounts: set[str],
    told: Sequence[Window],
    automation: Sequence[Automation],
    tolerance: timedelta,
) -> Judged:
    agreed = next((item for item in automation if _fits(item, login)), None)
    owner = _owner(login, known) or ("?" if not login.key and login.user in accounts else "")
    if agreed:
        return Judged(login, owner, "explained", "automation", agreed.name, agreed.reason)
    if not owner:
        return Judged(login, "", "other")
    stayed = False
    for window in told:
        if not _fits_window(window, login, tolerance):
            continue
        if window.what in ("run", "by_hand") and _outlives(login, window, told, tolerance):
            stayed = True  # somebody went on after the run: the ledger does not tell of that
            continue
        return Judged(login, owner, "explained", window.what, window.ref, window.text)
    return Judged(login, owner, "unexplained", text="stayed" if stayed else "")


def _fits_window(window: Window, login: Login, tolerance: timedelta) -> bool:
    return (
        window.begin - tolerance <= login.time <= window.end + tolerance
        and (window.hosts is None or login.host in window.hosts)
        and window.user in ("", login.user)
    )


def _outlives(login: Login, window: Window, told: Sequence[Window], tolerance: timedelta) -> bool:
    """Whether the session ended long after the run, and after those that could go on with its connection."""
    if login.ended is None:
        return False
    slack, end = tolerance + _KEPT_OPEN, window.end
    following = sorted(
        (item for item in told if not item.user and (item.hosts is None or login.host in item.hosts)),
        key=lambda item: item.begin,
    )
    for item in following:
        if item.begin <= end + slack:
            end = max(end, item.end)
    return login.ended > end + slack


def _fits(agreed: Automation, login: Login) -> bool:
    """Whether an automation is this login: everything that it names must fit, and it must name something."""
    pairs = (
        (agreed.keys, login.key),
        (agreed.users, login.user),
        (agreed.sources, login.source),
        (agreed.hosts, login.host),
    )
    return any(wanted for wanted, _ in pairs) and all(
        not wanted or value in wanted for wanted, value in pairs
    )


# -- what is signed


def facts(
    result: Result, known: Mapping[str, str], heads: Mapping[str, Any], tolerance: int
) -> dict[str, Any]:
    """What the entry says of the comparison."""
    counted: Counter[tuple[str, str]] = Counter(
        (judged.login.host, judged.verdict) for judged in result.logins
    )
    unexplained, other = result.of("unexplained"), grouped(result.of("other"))
    return {
        "heads": dict(heads),
        "tolerance_seconds": tolerance,
        "hosts": {log.host: _host_facts(log, counted) for log in result.hosts},
        "counts": {
            verdict: sum(judged.verdict == verdict for judged in result.logins)
            for verdict in ("explained", "unexplained", "other")
        },
        "explained": explained(result)[:_ROWS],
        "unexplained": [_row(judged) for judged in unexplained[:_ROWS]],
        "other": other[:_ROWS],
        "keys": dict(sorted((key, name) for key, name in known.items() if key.startswith("SHA256:"))),
    }


def _host_facts(log: HostLog, counted: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    return {
        "read": log.read,
        "problem": log.problem,
        "gap": log.gap,
        "since": log.since,
        "until": log.until,
        "reaches_back_to": log.reaches_back_to,
        "sources": list(log.sources),
        "offset_seconds": log.offset_seconds,
        **{name: counted.get((log.host, name), 0) for name in ("explained", "unexplained", "other")},
    }


def _row(judged: Judged) -> dict[str, Any]:
    login = judged.login
    return {
        "host": login.host,
        "time": text_of(login.time),
        "ended": text_of(login.ended) if login.ended else None,
        "user": login.user,
        "source": login.source,
        "method": login.method,
        "fingerprint": login.key,
        "engineer": judged.engineer,
        "stayed": judged.text == "stayed",
    }


def explained(result: Result) -> list[dict[str, Any]]:
    """What explains logins, with how many on which hosts; more than a run needs are worth a look."""
    groups: dict[tuple[str, str, str], list[Judged]] = {}
    for judged in result.of("explained"):
        groups.setdefault((judged.what, judged.ref, judged.text), []).append(judged)
    return [
        {
            "what": what,
            "by": ref,
            "text": text,
            "logins": len(found),
            "hosts": sorted({judged.login.host for judged in found}),
            "first": text_of(found[0].login.time),
            "last": text_of(found[-1].login.time),
        }
        for (what, ref, text), found in groups.items()
    ]


def grouped(judged: Iterable[Judged]) -> list[dict[str, Any]]:
    """Logins with keys that are no engineer's: whose they are, the hospital knows."""
    groups: dict[tuple[str, ...], list[Login]] = {}
    for item in judged:
        login = item.login
        groups.setdefault((login.host, login.user, login.source, login.method, login.key), []).append(login)
    return [
        {
            **dict(zip(("host", "user", "source", "method", "fingerprint"), key, strict=True)),
            "logins": len(found),
            "first": text_of(found[0].time),
            "last": text_of(found[-1].time),
        }
        for key, found in groups.items()
    ]


def moment(text: str) -> datetime:
    """An instant of the ledger; raises VerificationError where it is none."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise VerificationError(f"'{text[:40]}' in the ledger is no instant: ./runner.py verify") from None


def text_of(at: datetime) -> str:
    """RFC 3339 UTC in whole seconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
