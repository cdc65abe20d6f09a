"""What sshd writes about logins, read line by line. Pure, standard library only: it runs on a host's Python >= 3.8."""

from __future__ import annotations

import calendar
import re
import time

ACCEPTED = re.compile(
    r"Accepted (?P<method>[a-z0-9/_-]{1,60}) for (?P<user>.{1,128}) from (?P<source>[0-9A-Za-z.:%_-]{1,100}) "
    r"port (?P<port>[0-9]{1,5})(?: ssh2)?(?:: (?P<key>.{1,400}))?$"
)
PARTIAL = re.compile(
    r"Partial publickey for .{1,128} from \S{1,100} port [0-9]{1,5} ssh2: (?P<key>.{1,400})$"
)
# The session's end, by the client's port; and by PAM, which tells the process only.
ENDED = re.compile(
    r"(?:Disconnected from|Received disconnect from|Connection closed by|Timeout, client not responding from)"
    r"(?: user .{1,128}?)? (?P<source>[0-9A-Za-z.:%_-]{1,100}) port (?P<port>[0-9]{1,5})"
)
CLOSED = re.compile(r"pam_unix\(sshd:session\): session closed for user ")
FINGERPRINT = re.compile(r"(?:SHA256:[A-Za-z0-9+/]{43}|MD5:[0-9a-f:]{47}|[0-9a-f]{2}(?::[0-9a-f]{2}){15})")
# `2026-11-22T13:00:01.123456+08:00 db1 sshd[77]: …` as rsyslog writes it now, `Nov 22 13:00:01 db1 sshd[77]: …` before.
_ISO = re.compile(
    r"(?P<y>\d{4})-(?P<mo>\d\d)-(?P<d>\d\d)T(?P<h>\d\d):(?P<mi>\d\d):(?P<s>\d\d)(?:\.\d+)?"
    r"(?P<zone>Z|[+-]\d\d:\d\d) "
)
_OLD = re.compile(r"(?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) (?P<h>\d\d):(?P<mi>\d\d):(?P<s>\d\d) ")
_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_SSHD = re.compile(r"\S+ (?:sshd|sshd-session)\[(?P<pid>\d+)\]: (?P<message>.*)$")
_BEGINNINGS = (
    "Accepted ",
    "Partial publickey for ",
    "Disconnected from ",
    "Received disconnect from ",
    "Connection closed by ",
    "Timeout, client not responding from ",
    "pam_unix(sshd:session): session closed for user ",
)


class Logins:
    """Logins as they are told, oldest first, each with its end where that is known."""

    def __init__(self, maximum):
        self.maximum = maximum
        self.found = []
        self.dropped = 0
        self._by_client = {}
        self._by_process = {}
        self._partial = {}

    def take(self, at, pid, message):
        """One message of sshd: `at` in seconds since 1970, `pid` of the process that wrote it (a text)."""
        accepted = ACCEPTED.match(message)
        if accepted:
            self._begin(at, pid, accepted)
            return
        partial = PARTIAL.match(message)
        if partial:
            self._partial[pid] = partial.group("key")
            return
        ended = ENDED.search(message)
        login = None
        if ended:
            login = self._by_client.pop((ended.group("source"), ended.group("port")), None)
        elif CLOSED.search(message):
            login = self._by_process.pop(pid, None)
        if login is not None and login["ended"] is None:
            login["ended"] = instant(at)

    def _begin(self, at, pid, match):
        login = {
            "time": instant(at),
            "user": match.group("user"),
            "source": match.group("source"),
            "port": int(match.group("port")),
            "method": match.group("method"),
            "ended": None,
        }
        login.update(read_key(match.group("key") or self._partial.pop(pid, "")))
        if len(self.found) >= self.maximum:
            self.dropped += 1
            self.found.pop(0)  # the newest are kept; what is dropped is counted
        self.found.append(login)
        self._by_client[(match.group("source"), match.group("port"))] = login
        self._by_process[pid] = login


def relevant(message):
    """Whether it tells of a login or of its end. Of those who never got in there may be millions."""
    return message.startswith(_BEGINNINGS) and "[preauth]" not in message


def read_key(text):
    """Fingerprint, type, certificate and its authority out of what follows the colon of an `Accepted` line."""
    known = {"key": "", "key_type": "", "certificate": "", "authority": ""}
    words = text.split()
    if not words:
        return known
    known["key_type"] = words[0][:40]
    own, _, authority = text.partition(" CA ")
    plain, _, identity = own.partition(" ID ")
    for name, part in (("key", plain), ("authority", authority)):
        match = FINGERPRINT.search(part)
        known[name] = match.group(0) if match else ""
    known["certificate"] = identity.strip()[:200]
    return known


def instant(at):
    """RFC 3339 UTC of seconds since 1970."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def seconds(text):
    """Seconds since 1970 of RFC 3339 UTC in whole seconds; raises ValueError."""
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def stamp(line, latest):
    """(seconds since 1970, rest of the line) of a line of a log file, or None.

    latest: an instant that the line cannot be later than, which gives the year where the log does not.
    """
    match = _ISO.match(line)
    if match:
        moment = calendar.timegm(tuple(int(match.group(name)) for name in ("y", "mo", "d", "h", "mi", "s")))
        zone = match.group("zone")
        if zone != "Z":
            minutes = int(zone[1:3]) * 60 + int(zone[4:6])
            moment -= (1 if zone[0] == "+" else -1) * minutes * 60
        return moment, line[match.end() :]
    match = _OLD.match(line)
    if not match or match.group("month") not in _MONTHS:
        return None
    year = time.localtime(latest).tm_year
    moment = _local(year, match)
    if moment > latest + 86400:
        moment = _local(year - 1, match)
    return moment, line[match.end() :]


def _local(year, match):
    day = (year, _MONTHS[match.group("month")], int(match.group("day")))
    clock = tuple(int(match.group(name)) for name in ("h", "mi", "s"))
    return int(time.mktime(day + clock + (0, 0, -1)))


def sshd_of(rest):
    """(pid, message) of what follows the time of a line, where sshd wrote it; else None."""
    match = _SSHD.match(rest)
    return (match.group("pid"), match.group("message")) if match else None
