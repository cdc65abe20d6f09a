"""Text from a host, made harmless and small: what the parsers of every topic share. Pure."""

from __future__ import annotations

import math
import re
import time
from typing import Any, Dict, Iterable, List, Optional, Tuple

MAXIMUM_TEXT = 4096
_DEPTH = 12
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
# Controls, line separators, marks that reorder or hide text, halves of surrogate pairs, what XML cannot hold: each
# stays visible, since it may be the only trace of an attack, and none can act on a terminal or in a document.
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
# An assignment whose name says that its value is a secret; the value ends at a blank.
_SECRET = re.compile(
    r"(?i)([\w.-]*(?:passw|passwd|pwd|secret|token|credential|api_?key|private_?key|pbkdf2|bindpw|luks|auth)[\w.-]*\s*[=:]\s*)"
    r"(\"[^\"]*\"|'[^']*'|\S+)"
)


def visible(text: str) -> str:
    """A text of at most 4 KB in which every control character can be seen."""
    if len(text) > MAXIMUM_TEXT:
        text = text[: MAXIMUM_TEXT - 1] + "…"
    return _HARMFUL.sub(_escape, text)


def _escape(match: Any) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, as os.fsdecode() keeps it
        return "\\x%02x" % (code - 0xDC00)
    return ("\\x%02x" if code < 0x100 else "\\u%04x") % code


def clean(value: Any, depth: int = 0) -> Any:
    """Plain JSON: texts made visible, numbers finite, nothing nested without end."""
    if isinstance(value, str):
        return visible(value)
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if depth >= _DEPTH:
        return "…"
    if isinstance(value, dict):
        return {visible(str(key)): clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    if isinstance(value, (list, tuple)):
        return [clean(item, depth + 1) for item in value]
    return visible(str(value))


def without_secrets(text: str) -> str:
    """The text with the value of every assignment that looks like a secret replaced."""
    return _SECRET.sub(r"\1***", text)


def bounded(name: str, items: Iterable[Any], maximum: int) -> Dict[str, Any]:
    """{name: the first items}, and name_truncated when there were more."""
    found = list(items)
    result: Dict[str, Any] = {name: found[:maximum]}
    if len(found) > maximum:
        result[name + "_truncated"] = True
    return result


def present(**values: Any) -> Dict[str, Any]:
    """The values that are known: what is None is absent."""
    return {name: value for name, value in values.items() if value is not None}


def content_lines(text: str, comment: str = "#") -> List[str]:
    """The lines that say something: stripped, without comments and empty ones."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(comment)]


def assignments(text: str, separator: str = "=") -> Dict[str, str]:
    """KEY=value lines, without quotes around the value; the last one wins."""
    values = {}
    for line in content_lines(text):
        key, found, value = line.partition(separator)
        if found:
            values[key.strip()] = unquoted(value.strip())
    return values


def words(text: str) -> Dict[str, str]:
    """`KEY value` lines, as login.defs has them; the last one wins."""
    pairs = (line.split(None, 1) for line in content_lines(text))
    return {pair[0]: pair[1].split("#")[0].strip() for pair in pairs if len(pair) == 2}


def unquoted(value: str) -> str:
    """The value without the quotes around it."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def integer(text: Any) -> Optional[int]:
    """A whole number, or None."""
    try:
        return int(text)
    except (TypeError, ValueError):
        return None


def decimal(text: Any) -> Optional[float]:
    """A finite number, or None."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def percent(part: float, whole: float) -> Optional[float]:
    """A share of 100, or None where there is no whole."""
    return round(100.0 * part / whole, 2) if whole else None


def instant(seconds: Optional[float]) -> Optional[str]:
    """RFC 3339 in UTC; None for what no calendar holds."""
    if seconds is None:
        return None
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return None


def epoch(text: str) -> Optional[float]:
    """Seconds since 1970 from RFC 3339, or from systemd's `Sat 2026-11-22 13:15:04 UTC`; None if it is neither."""
    pattern = r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?\s*(Z|UTC|[+-]\d\d:?\d\d)?"
    match = re.search(pattern, text or "")
    if not match:
        return None
    fields = [int(part or 0) for part in match.groups()[:6]]
    if not (
        1 <= fields[1] <= 12 and 1 <= fields[2] <= 31 and fields[3] < 24 and fields[4] < 60 and fields[5] < 61
    ):
        return None
    return _utc_seconds(fields) - _offset_seconds(match.group(7))


def _utc_seconds(fields: List[int]) -> float:
    """Days by the civil calendar: the calendar module costs more to load than this does."""
    year, month, day, hour, minute, second = fields
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    days = era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468
    return float(days * 86400 + hour * 3600 + minute * 60 + second)


def _offset_seconds(zone: Optional[str]) -> int:
    if zone in (None, "", "Z", "UTC"):
        return 0
    digits = zone[1:].replace(":", "")
    return (1 if zone[0] == "+" else -1) * (int(digits[:2]) * 3600 + int(digits[2:]) * 60)


def dated(year: str, month: str, day: str, clock: str, zone: str = "Z") -> Optional[float]:
    """Seconds since 1970 of a date whose month is an English short name; None if it is none."""
    if month not in _MONTHS:
        return None
    return epoch(f"{int(year):04d}-{_MONTHS.index(month) + 1:02d}-{int(day):02d}T{clock}{zone}")


def paired(names: Iterable[Any], values: Iterable[Any]) -> Dict[Any, Any]:
    """Values by name, up to the shorter of the two."""
    return dict(zip(names, values))  # noqa: B905  (`strict` needs Python 3.10)


def version_key(text: str) -> Tuple[Any, ...]:
    """A key that sorts versions of one package as a person would: 6.1.0-40 after 6.1.0-9."""
    parts = re.findall(r"[0-9]+|[^0-9.\-_+~]+", text)
    return tuple((1, int(part), "") if part[0] in "0123456789" else (0, 0, part) for part in parts)
