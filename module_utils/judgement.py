"""The judge: rules over a snapshot give findings and metrics (docs/shapes.md).

Pure: it knows no host and no file, so a snapshot that was signed years ago can be judged again. What
cannot be judged is `unknown`, never a pass."""

from __future__ import annotations

import datetime
import fnmatch
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.judgement_rules import MetricRule, Rule, RuleError, RuleSet, load
from ansible.module_utils.judgement_sandbox import Expression, instant, number
from jinja2 import UndefinedError

__all__ = ["STATEMENTS", "RuleError", "check_statements", "check_waivers", "judge", "load", "visible"]

MAXIMUM_TEXT = 500
MAXIMUM_ITEMS = 1000  # of one `each`; what lies beyond is one `unknown`
# What a site states beside its findings, by code; it changes no verdict of the judge.
STATEMENTS = {"mitigations": (r"A-\d\d", "A-18"), "not_applicable": (r"L3-[A-Z]{3}1-\d\d", "L3-ABS1-15")}
_SHOWN = 5  # passing items whose values are shown in their one finding
# Controls, line separators, and the marks that reorder or hide text.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_LIST = re.compile(r"data((?:\.\w+)+)")
_WAIVER_KEYS = {"rule", "hosts", "reason", "approved_by", "until"}
_WORDS = {
    "zh": {
        "items": "{} 项",
        "none": "无",
        "absent": "快照中没有 {}",
        "no_probe": "快照中没有探测项 {}",
        "cut": "列表已截断，其余未判断",
        "not_boolean": "规则结果不是真或假",
        "not_list": "规则的对象不是列表",
        "not_applicable": "不适用",
        "waived": "已豁免至 {until}：{reason}（批准人：{approved_by}）",
        "expired": "豁免已于 {until} 到期（{reason}，批准人：{approved_by}）。",
    },
    "en": {
        "items": "{} items",
        "none": "none",
        "absent": "the snapshot has no {}",
        "no_probe": "the snapshot has no probe {}",
        "cut": "the list was cut; the rest was not judged",
        "not_boolean": "the rule gave neither true nor false",
        "not_list": "what the rule goes through is not a list",
        "not_applicable": "not applicable",
        "waived": "waived until {until}: {reason} (approved by {approved_by})",
        "expired": "The waiver ended on {until} ({reason}, approved by {approved_by}). ",
    },
}
Finding = dict[str, str]


@dataclass(frozen=True)
class Case:
    """What all rules of one judgement share."""

    snapshot: dict[str, Any]
    variables: dict[str, Any]
    language: str
    host: dict[str, Any]
    waivers: list[dict[str, Any]]

    def word(self, key: str, *values: Any, **named: Any) -> str:
        """A text of the judge's own, in the run's language."""
        return _WORDS[self.language][key].format(*values, **named)


def judge(
    snapshot: dict[str, Any],
    rules: RuleSet,
    limits: dict[str, Any],
    host: dict[str, Any],
    language: str = "zh",
    waivers: list[dict[str, Any]] | None = None,
) -> tuple[list[Finding], list[dict[str, Any]]]:
    """Findings of every rule and every metric that could be taken."""
    probes, data = snapshot.get("probes", {}), snapshot.get("data", {})
    variables = {
        "data": data,
        "probes": probes,
        "limits": limits,
        "host": host,
        "now": snapshot.get("taken", ""),
    }
    case = Case(snapshot, variables, language, host, waivers or [])
    findings = [_waive(finding, case) for rule in rules.rules for finding in _judge_rule(rule, case)]
    metrics = [metric for rule in rules.metrics for metric in _measure(rule, case)]
    return findings, metrics


def _judge_rule(rule: Rule, case: Case) -> list[Finding]:
    reason = _unread_probe(rule.probe, case)
    if reason is not None:
        return [_finding(rule, case, "unknown", "", reason)]
    try:
        if "applies" in rule.expressions and not _boolean(rule.expressions["applies"](case.variables)):
            reason = rule.otherwise.get(case.language) or case.word("not_applicable")
            return [_finding(rule, case, "not_applicable", "", reason)]
        items, cut = _items(rule.expressions.get("each"), case)
    except Exception as error:  # whatever a value does to an expression is a verdict and not a crash
        return [_finding(rule, case, "unknown", "", _reason(error, rule.probe, case, case.variables))]
    if items is None:
        return [_judge_item(rule, case, case.variables)]
    findings = [
        _judge_item(rule, case, case.variables | {"item": item}, position)
        for position, item in enumerate(items, 1)
    ]
    return _fold(rule, case, [finding for finding in findings if finding["verdict"]], cut)


def _judge_item(rule: Rule, case: Case, variables: dict[str, Any], position: int = 0) -> Finding:
    """The finding of one item; its verdict is empty where the rule is not about it."""
    subject = f"#{position}" if position else ""
    try:
        if "subject" in rule.expressions:
            subject = _text(rule.expressions["subject"](variables))
        if position and "where" in rule.expressions and not _boolean(rule.expressions["where"](variables)):
            return _finding(rule, case, "", subject, "")
        if _boolean(rule.passes(variables)):
            verdict = "pass"
        else:
            verdict = "partial" if rule.partial and _boolean(rule.partial(variables)) else "fail"
        actual = _text(rule.expressions["actual"](variables))
        expected = _text(rule.expressions["expected"](variables))
    except Exception as error:
        return _finding(rule, case, "unknown", subject, _reason(error, rule.probe, case, variables))
    return _finding(rule, case, verdict, subject, actual, expected)


def _fold(rule: Rule, case: Case, findings: list[Finding], cut: bool) -> list[Finding]:
    """One finding for all that passes, before those that do not; nothing to judge is a pass of 0 items."""
    passed = [finding for finding in findings if finding["verdict"] == "pass"]
    others = [finding for finding in findings if finding["verdict"] != "pass"]
    if cut:
        others.append(
            _finding(rule, case, "unknown", case.word("items", f"> {len(findings)}"), case.word("cut"))
        )
    if not passed:
        if others:
            return others
        nothing = case.word("none")
        return [_finding(rule, case, "pass", case.word("items", 0), nothing)]
    shown = "; ".join(f"{finding['subject']}: {finding['actual']}" for finding in passed[:_SHOWN])
    shown += "; …" if len(passed) > _SHOWN else ""
    expected = "; ".join(dict.fromkeys(finding["expected"] for finding in passed))
    return [_finding(rule, case, "pass", case.word("items", len(passed)), shown, expected), *others]


def _finding(rule: Rule, case: Case, verdict: str, subject: str, actual: str, expected: str = "") -> Finding:
    return {
        "id": rule.id,
        "clause": rule.clause,
        "area": rule.area,
        "title": rule.title[case.language],
        "subject": subject or visible(str(case.host.get("name", ""))),
        "expected": visible(expected),
        "actual": visible(actual),
        "verdict": verdict,
        "severity": rule.severity,
        "owner": rule.owner,
        "advice": "" if verdict in ("pass", "not_applicable", "") else rule.advice[case.language],
    }


def _measure(rule: MetricRule, case: Case) -> Iterator[dict[str, Any]]:
    """The numbers of one metric; a number that was not read is left out."""
    if _unread_probe(rule.probe, case) is not None:
        return
    try:
        items, _cut = _items(rule.expressions.get("each"), case)
    except Exception:
        return
    for variables in (
        [case.variables] if items is None else [case.variables | {"item": item} for item in items]
    ):
        try:
            if "where" in rule.expressions and not _boolean(rule.expressions["where"](variables)):
                continue
            subject = rule.expressions["subject"](variables) if "subject" in rule.expressions else ""
            value = number(rule.expressions["value"](variables))
        except Exception:  # noqa: S112  (the rule on the same value says that it is unknown, and why)
            continue
        yield {
            "name": rule.name,
            "subject": _text(subject),
            "value": value,
            "unit": rule.unit,
            "limit": _limit(rule, variables),
        }


def _limit(rule: MetricRule, variables: dict[str, Any]) -> float | None:
    try:
        return number(rule.expressions["limit"](variables))
    except Exception:  # no limit was given, or the host has none
        return None


def _items(each: Expression | None, case: Case) -> tuple[list[Any] | None, bool]:
    """The elements that a rule goes through, and whether there are more than could be judged."""
    if each is None:
        return None, False
    value = each(case.variables)
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
        raise TypeError(case.word("not_list"))
    items = list(itertools.islice(value, MAXIMUM_ITEMS + 1))
    return items[:MAXIMUM_ITEMS], len(items) > MAXIMUM_ITEMS or _truncated(
        each.source, case.variables["data"]
    )


def _truncated(source: str, data: Any) -> bool:
    """Whether the snapshot says that it cut the list which the expression starts from."""
    start = _LIST.match(source)
    names = start.group(1).split(".")[1:] if start else []
    for name in names:
        if not isinstance(data, Mapping):
            return False
        if data.get(f"{name}_truncated") is True:
            return True
        data = data.get(name)
    return False


def _unread_probe(name: str, case: Case) -> str | None:
    """Why a probe has no data; None when it has."""
    probe = case.variables["probes"].get(name)
    if not isinstance(probe, Mapping):
        return case.word("no_probe", name)
    if probe.get("state") != "ok":
        return str(probe.get("reason") or probe.get("state"))
    return None


def _reason(error: Exception, probe: str, case: Case, variables: dict[str, Any]) -> str:
    """Why a value could not be judged: the snapshot's own reason for its absence where there is one."""
    if isinstance(error, UndefinedError):
        name = str(error.message)
        unread = case.variables["probes"][probe].get("unread")
        for key, reason in unread.items() if isinstance(unread, Mapping) else ():
            if name in re.split(r"[.\[\]/]", str(key)) or str(key) in _names(variables.get("item")):
                return f"{key}: {reason}"
        return case.word("absent", name)
    if isinstance(error, NotBooleanError):
        return case.word("not_boolean")
    return f"{type(error).__name__}: {error}"


def _names(item: Any) -> set[str]:
    """What an element that was not read may be called in `unread`: by one of its texts, or by all of them."""
    texts = [value for value in item.values() if isinstance(value, str)] if isinstance(item, Mapping) else []
    return {*texts[:8], "/".join(texts[:8])}


class NotBooleanError(TypeError):
    """`pass` gave a text or a number: the word "no" must not pass for being a non-empty text."""


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise NotBooleanError
    return value


def _text(value: Any) -> str:
    """A value as a person reads it, cut and with every control character visible."""
    if isinstance(value, (list, tuple)) or hasattr(value, "__next__"):
        return visible(", ".join(_text(item) for item in itertools.islice(value, 50)))
    return visible(str(value)[: MAXIMUM_TEXT + 1])


def visible(text: str) -> str:
    """At most MAXIMUM_TEXT characters, none of which hides or reorders others."""
    shown = _INVISIBLE.sub(lambda match: ascii(match.group())[1:-1], text[: MAXIMUM_TEXT + 1])
    return shown if len(shown) <= MAXIMUM_TEXT else shown[: MAXIMUM_TEXT - 1] + "…"


def check_waivers(waivers: Any) -> list[dict[str, Any]]:
    """Waivers as the judge takes them; raises RuleError."""
    if not isinstance(waivers, list):
        raise RuleError("waivers must be a list")
    checked = []
    for position, waiver in enumerate(waivers, 1):
        if not isinstance(waiver, Mapping) or not set(waiver) - {"subject"} == _WAIVER_KEYS:
            raise RuleError(
                f"waiver {position}: needs exactly {', '.join(sorted(_WAIVER_KEYS))} (and may name a subject)"
            )
        if not isinstance(waiver["hosts"], list):
            raise RuleError(f"waiver {position} ({waiver['rule']}): hosts must be a list")
        try:
            until = instant(waiver["until"]).date()
        except (TypeError, ValueError):
            raise RuleError(f"waiver {position} ({waiver['rule']}): until must be a date") from None
        checked.append(dict(waiver) | {"until": until})
    return checked


def check_statements(given: Any, name: str) -> dict[str, str]:
    """Texts of the site for the record, by the codes that STATEMENTS has for this argument; raises RuleError."""
    if not isinstance(given, Mapping):
        raise RuleError(f"{name} must be a mapping of codes to texts")
    pattern, example = STATEMENTS[name]
    for code, text in given.items():
        if not re.fullmatch(pattern, str(code)) or not isinstance(text, str) or not text.strip():
            raise RuleError(f"{name}: {code}: needs a code, as {example}, and a text")
    return {str(code): visible(str(text)) for code, text in given.items()}


def _waive(finding: Finding, case: Case) -> Finding:
    """A finding as the site's waivers make it. What is unknown cannot be waived: nobody knows what it is."""
    if finding["verdict"] not in ("fail", "partial"):
        return finding
    for waiver in case.waivers:
        if not _concerns(waiver, finding, case.host):
            continue
        words = {key: visible(str(waiver[key])) for key in ("until", "reason", "approved_by")}
        if waiver["until"] >= _today(case):
            return finding | {"verdict": "waived", "advice": case.word("waived", **words)}
        finding = finding | {"advice": case.word("expired", **words) + finding["advice"]}
    return finding


def _concerns(waiver: dict[str, Any], finding: Finding, host: dict[str, Any]) -> bool:
    names = [str(host.get("name", "")), *map(str, host.get("groups", []))]
    return (
        waiver["rule"] == finding["id"]
        and any(fnmatch.fnmatchcase(name, str(pattern)) for name in names for pattern in waiver["hosts"])
        and fnmatch.fnmatchcase(finding["subject"], str(waiver.get("subject", "*")))
    )


def _today(case: Case) -> datetime.date:
    try:
        return instant(case.variables["now"]).date()
    except (TypeError, ValueError):
        return datetime.date.max  # a snapshot without an instant: no waiver can be shown to be in force
