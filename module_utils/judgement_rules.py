"""Rule files: read, checked and compiled once a process (docs/shapes.md says what they hold)."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.judgement_cache import Compiled
from ansible.module_utils.judgement_sandbox import Expression

Compiler = Callable[[str], Expression]
SCHEMA = "inspection-rules/1"
CHECKS_SCHEMA = "baseline-checks/1"  # the same, each rule one check of a unit of GB/T 28448
RISKS = frozenset(
    ["R0", "R1", "R2", "R3"]
)  # of its remedy: none, new sessions, a restart, may cut off access
AREAS = frozenset(
    ["system", "storage", "network", "services", "jobs", "security", "database", "backup", "time"]
)
SEVERITIES = frozenset(["critical", "warning", "advice"])
OWNERS = frozenset(["vendor", "hospital"])
_TEXTS = ("title", "advice")
_EXPRESSIONS = ("applies", "each", "where", "subject", "actual", "expected")
_REQUIRED = (
    "id",
    "clause",
    "area",
    "title",
    "severity",
    "owner",
    "probe",
    "actual",
    "expected",
    "pass",
    "advice",
)
_CHECK_REQUIRED = ("unit", "risk")
_CHECK_OPTIONAL = ("danger", "reboot")
_METRIC_EXPRESSIONS = ("each", "where", "subject", "value", "limit")


class RuleError(Exception):
    """A rule file that cannot be used: file, rule and what is wrong, in one line."""


@dataclass(frozen=True)
class Rule:
    """One rule; `expressions` holds those that the file gives."""

    id: str
    clause: str
    area: str
    title: dict[str, str]
    severity: str
    owner: str
    probe: str
    advice: dict[str, str]
    expressions: dict[str, Expression]
    passes: Expression
    partial: Expression | None = None
    otherwise: dict[str, str] = field(default_factory=dict)  # why it does not apply, where `applies` is false
    risk: str = ""  # of a check: what its remedy may do, one of RISKS
    danger: str = (
        ""  # of a check: the code of the grave danger that its failure is a candidate of, A-01 … A-32
    )
    reboot: bool = False  # of a check: its remedy takes effect after the next start only


@dataclass(frozen=True)
class MetricRule:
    """One number to take from a snapshot."""

    name: str
    unit: str
    probe: str
    expressions: dict[str, Expression]


@dataclass(frozen=True)
class RuleSet:
    """A rule file."""

    path: str
    sha256: str
    snapshot: str
    rules: list[Rule] = field(default_factory=list)
    metrics: list[MetricRule] = field(default_factory=list)


def load(path: str) -> RuleSet:
    """Read a rule file; raises RuleError. A file that has not changed is compiled once a process."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise RuleError(f"{path}: {error.strerror}") from None
    return _load(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=64)
def _load(path: str, _modified: int, _size: int) -> RuleSet:
    try:
        with open(path, "rb") as file:
            data = file.read()
        document = yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  (both are safe)
    except OSError as error:
        raise RuleError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise RuleError(f"{path}{line}: not YAML: {getattr(error, 'problem', None) or error}") from None
    try:
        with Compiled(Path(path).stem, data) as compiled:
            return parse(document, path, hashlib.sha256(data).hexdigest(), compiled.expression)
    except ValueError as error:
        raise RuleError(f"{path}: {error}") from None


def parse(document: Any, path: str = "", sha256: str = "", compiled: Compiler = Expression) -> RuleSet:
    """Check and compile a document; raises ValueError with the rule and what is wrong."""
    schemas = (SCHEMA, CHECKS_SCHEMA)
    if not isinstance(document, dict) or document.get("schema") not in schemas:
        raise ValueError(f"schema must be {' or '.join(schemas)}")
    _known(document, ("schema", "snapshot", "rules", "metrics"), "the file")
    if not isinstance(document.get("snapshot"), str):
        raise ValueError("snapshot must name the module whose snapshot the rules read")
    read = _rule if document["schema"] == SCHEMA else _check
    rules = [read(item, number, compiled) for number, item in enumerate(_list(document, "rules"), 1)]
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise ValueError(f"{rule.id}: the id is used twice")
        seen.add(rule.id)
    metrics = [_metric(item, number, compiled) for number, item in enumerate(_list(document, "metrics"), 1)]
    return RuleSet(path, sha256, document["snapshot"], rules, metrics)


def _rule(item: Any, number: int, compiled: Compiler, areas: frozenset[str] = AREAS) -> Rule:
    name = str(item.get("id", f"rule {number}")) if isinstance(item, dict) else f"rule {number}"
    if not isinstance(item, dict):
        raise ValueError(f"{name}: must be a mapping")
    _known(item, (*_REQUIRED, "applies", "each", "where", "subject", "otherwise"), name)
    for key in _REQUIRED:
        if key not in item:
            raise ValueError(f"{name}: {key} is missing")
    if not re.fullmatch(r"[A-Z][A-Z0-9-]+", name):
        raise ValueError(f"{name}: an id is made of capitals, digits and hyphens")
    for key in ("clause", "probe"):
        if not isinstance(item[key], str):
            raise ValueError(f"{name}: {key} must be a text")
    for key, allowed in (("area", areas), ("severity", SEVERITIES), ("owner", OWNERS)):
        if item[key] not in allowed:
            raise ValueError(f"{name}: {key} must be one of {', '.join(sorted(allowed))}")
    for key in _TEXTS:
        _translated(item[key], name, key)
    if "otherwise" in item:
        if "applies" not in item:
            raise ValueError(f"{name}: otherwise says why applies is false, which is missing")
        _translated(item["otherwise"], name, "otherwise")
    _needs_each(item, name)
    passes, partial = item["pass"], None
    if isinstance(passes, dict):
        _known(passes, ("pass", "partial"), f"{name}: pass")
        partial = _compile(passes.get("partial"), name, "pass.partial", compiled)
        passes = passes.get("pass")
    return Rule(
        **{
            key: item[key]
            for key in ("id", "clause", "area", "title", "severity", "owner", "probe", "advice")
        },
        expressions={key: _compile(item[key], name, key, compiled) for key in _EXPRESSIONS if key in item},
        passes=_compile(passes, name, "pass", compiled),
        partial=partial,
        otherwise=item.get("otherwise", {}),
    )


def _check(item: Any, number: int, compiled: Compiler) -> Rule:
    """A check of the baseline: its area is its unit, and it says what its remedy may do."""
    name = str(item.get("id", f"check {number}")) if isinstance(item, dict) else f"check {number}"
    if not isinstance(item, dict):
        raise ValueError(f"{name}: must be a mapping")
    for key in _CHECK_REQUIRED:
        if key not in item:
            raise ValueError(f"{name}: {key} is missing")
    if not re.fullmatch(r"L3-[A-Z]{3}1-\d\d", str(item["unit"])):
        raise ValueError(f"{name}: unit must be one of GB/T 28448, as L3-CES1-01")
    if item["risk"] not in RISKS:
        raise ValueError(f"{name}: risk must be one of {', '.join(sorted(RISKS))}")
    danger, reboot = item.get("danger", ""), item.get("reboot", False)
    if danger and not re.fullmatch(r"A-\d\d", str(danger)):
        raise ValueError(f"{name}: danger must be a code, as A-18")
    if not isinstance(reboot, bool):
        raise ValueError(f"{name}: reboot must be true or false")
    own = (*_CHECK_REQUIRED, *_CHECK_OPTIONAL)
    rule = {key: value for key, value in item.items() if key not in own} | {"area": item["unit"]}
    return replace(
        _rule(rule, number, compiled, areas=frozenset([item["unit"]])),
        risk=item["risk"],
        danger=danger,
        reboot=reboot,
    )


def _metric(item: Any, number: int, compiled: Compiler) -> MetricRule:
    name = str(item.get("name", f"metric {number}")) if isinstance(item, dict) else f"metric {number}"
    if not isinstance(item, dict):
        raise ValueError(f"{name}: must be a mapping")
    _known(item, ("name", "unit", "probe", *_METRIC_EXPRESSIONS), name)
    for key in ("name", "unit", "probe", "value"):
        if not isinstance(item.get(key), str):
            raise ValueError(f"{name}: {key} must be a text")
    _needs_each(item, name)
    expressions = {
        key: _compile(item[key], name, key, compiled) for key in _METRIC_EXPRESSIONS if key in item
    }
    return MetricRule(item["name"], item["unit"], item["probe"], expressions)


def _compile(source: Any, name: str, key: str, compiled: Compiler) -> Expression:
    if not isinstance(source, str):
        raise ValueError(f"{name}: {key} must be an expression, in quotes")
    try:
        return compiled(source)
    except ValueError as error:
        raise ValueError(f"{name}: {key}: {error}") from None


def _needs_each(item: dict[str, Any], name: str) -> None:
    if "where" in item and "each" not in item:
        raise ValueError(f"{name}: where chooses among the elements of each, which is missing")


def _translated(value: Any, name: str, key: str) -> None:
    if (
        not isinstance(value, dict)
        or set(value) != {"zh", "en"}
        or not all(isinstance(v, str) for v in value.values())
    ):
        raise ValueError(f"{name}: {key} must have the two texts zh and en")


def _known(item: dict[Any, Any], allowed: tuple[str, ...], name: str) -> None:
    for key in item:
        if key not in allowed:
            raise ValueError(f"{name}: unknown key '{key}'")


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f"{key} must be a list")
    return value
