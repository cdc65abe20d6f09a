"""From findings to an assessment of the 211 items of MLPS level 3. Pure; never a conclusion of an assessor.

Nothing is rounded in the site's favour: what was not looked at is unknown, what a person must judge is manual, a
deviation that was waived is partial at best, and the ratio is an interval between the worst and the best that is left.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from maintenance import assessment_evidence
from maintenance.assessment_evidence import Shown
from maintenance.catalogue import Catalogue, Item
from maintenance.record import (
    Assessment,
    AssessmentItem,
    CheckInfo,
    Danger,
    Finding,
    LedgerEvidence,
    Verdict,
    Waiver,
)

Language = Literal["zh", "en"]
ItemVerdict = Literal["pass", "partial", "fail", "manual", "not_applicable", "unknown"]
_DEVIATIONS = frozenset(["fail", "partial", "waived"])
_SOFTWARE = {"PG": "postgresql", "MY": "mariadb"}  # whose checks are about an object of their own on the host
_TECHNICAL = 5  # the last chapter of the technical part
_ATTENTION = 0.5  # y of the template of 2021: the weight of the technical part
_HEAVIEST = 3  # f(ω) of a key item; an ordinary one has 1
_WORDS = {
    "part": {
        "zh": "程序判断的 {judged} 项检查中 {passed} 项通过；",
        "en": "automatic part passed {passed}/{judged}; ",
    },
    "site": {"zh": "站点说明不适用：{reason}", "en": "the site states that it does not apply: {reason}"},
    "method": {
        "zh": "自评估，非测评结论。符合率 = 符合项 ÷ 适用项（适用 {applicable} 项，共 {total} 项）。"
        "下限：需人工、未知的项均按不符合计；上限：均按符合计。部分符合不计为符合；"
        "若按每项 0.5 计，则为 {half_low}%–{half_high}%。只计本次运行所及的对象。",
        "en": "Self-assessment, no conclusion of an assessor. Ratio = items that pass / items that apply "
        "({applicable} of {total}). Low: what a person has to judge or was not obtained fails; high: it passes. "
        "A partial item does not count as passing; at 0.5 each the interval is {half_low}–{half_high} %. "
        "Only objects of this run are counted.",
    },
}


@dataclass(frozen=True)
class Case:
    """What is assessed."""

    evidence: Mapping[str, Sequence[Finding]]  # by host
    hosts: Sequence[str]  # all that the run had to look at
    at: str  # RFC 3339, UTC: when the run ended
    language: Language = "zh"
    shown: Sequence[Shown] = ()  # of entries that verified
    waivers: Sequence[Mapping[str, Any]] = ()  # as the judge took them
    mitigations: Mapping[str, str] = field(default_factory=dict)  # by code of a danger
    not_applicable: Mapping[str, str] = field(default_factory=dict)  # by unit, the site's reason
    score_2021: bool = False
    previous: Mapping[str, str] = field(default_factory=dict)


def assess(catalogue: Catalogue, checks: Sequence[CheckInfo], case: Case) -> Assessment:
    """The whole assessment."""
    units = {check.id: check.unit for check in checks}
    items = [_item(item, units, case) for item in catalogue.items]
    judged = {finding.id for findings in case.evidence.values() for finding in findings}
    low, high = ratio([item.verdict for item in items])
    scores = score_2021(zip((item.chapter for item in catalogue.items), items, strict=True))
    return Assessment(
        standard=catalogue.standard.in_(case.language),
        items=items,
        checks=[check for check in checks if check.id in judged],
        dangers=_dangers(catalogue, checks, case),
        waivers=waivers_of(case.waivers, case.at),
        ratio_low=low,
        ratio_high=high,
        ratio_method=_method([item.verdict for item in items], case.language),
        score_2021_low=scores[0] if case.score_2021 else None,
        score_2021_high=scores[1] if case.score_2021 else None,
        previous=dict(case.previous),
    )


def fold(verdicts: Iterable[str]) -> ItemVerdict:
    """Many verdicts as one. A known deviation is told even beside what is unknown: it cannot become a pass any more."""
    told = {verdict for verdict in verdicts if verdict != "not_applicable"}
    if not told:
        return "not_applicable"
    if told & _DEVIATIONS:
        return "fail" if told & {*_DEVIATIONS, "pass"} == {"fail"} else "partial"
    for verdict in ("unknown", "manual"):
        if verdict in told:
            return cast(ItemVerdict, verdict)
    return "pass"


def _item(item: Item, units: Mapping[str, str], case: Case) -> AssessmentItem:
    found = _findings(item, units, case)
    objects = {name: fold(finding.verdict for finding in findings) for name, findings in found.items()}
    reason = "" if fold(objects.values()) != "not_applicable" else case.not_applicable.get(item.unit, "")
    if item.kind in ("automatic", "partly") and not reason:  # a host not looked at is unknown, not absent
        objects |= {host: "unknown" for host in case.hosts if not case.evidence.get(host)}
    evidence = [assessment_evidence.find(wanted, case.shown, case.at) for wanted in item.evidence]
    judged = fold(objects.values()) if objects else None
    if judged == "fail" and not any(
        units.get(one.id) == item.unit for told in found.values() for one in told
    ):
        judged = "partial"  # checks of other units tell of a part of it only
    verdict = _verdict(item, judged, evidence)
    by_check = _by_check(finding for findings in found.values() for finding in findings)
    wanted = _passed(verdict, item, by_check, case.language) + _wanted(verdict, item, case.language)
    if reason:  # what a program sees is not argued away; for that there are waivers
        verdict, wanted = "not_applicable", _WORDS["site"][case.language].format(reason=reason)
    return AssessmentItem(
        unit=item.unit,
        clause=item.clause,
        title=item.title.in_(case.language),
        kind=item.kind,
        verdict=verdict,
        objects=dict(sorted(cast("dict[str, Verdict]", objects).items())),
        checks=sorted(by_check),
        evidence=_distinct(evidence),
        wanted=wanted,
    )


def _verdict(
    item: Item, judged: ItemVerdict | None, evidence: Sequence[LedgerEvidence | None]
) -> ItemVerdict:
    if judged in ("fail", "partial", "unknown"):
        return judged
    if item.kind == "automatic":
        return judged or "unknown"  # no check told anything
    if item.kind == "evidence" and judged != "manual":
        return "pass" if evidence and all(evidence) else "manual"
    return "not_applicable" if item.kind == "not_applicable" else "manual"


def _findings(item: Item, units: Mapping[str, str], case: Case) -> dict[str, list[Finding]]:
    """By object: those of the item's own checks, and of others that tell of it too."""
    borrowed = re.compile("|".join(f"{re.escape(check)}[A-Z]?" for check in item.checks) or "(?!)")
    found: dict[str, list[Finding]] = {}
    for host, findings in case.evidence.items():
        for finding in findings:
            if units.get(finding.id) == item.unit or borrowed.fullmatch(finding.id):
                found.setdefault(object_of(host, finding.id), []).append(finding)
    return found


def object_of(host: str, check: str) -> str:
    """What a check is about: the host, or a database on it."""
    software = _SOFTWARE.get(check.split("-")[0])
    return f"{host}/{software}" if software else host


def _by_check(findings: Iterable[Finding]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for finding in findings:
        found.setdefault(finding.id, set()).add(finding.verdict)
    return found


def _passed(verdict: str, item: Item, by_check: Mapping[str, set[str]], language: Language) -> str:
    """What the program found, where a person has to judge the rest."""
    judged = [verdicts for verdicts in by_check.values() if verdicts != {"not_applicable"}]
    if item.kind != "partly" or verdict != "manual" or not judged:
        return ""
    passed = sum(verdicts <= {"pass", "not_applicable"} for verdicts in judged)
    return _WORDS["part"][language].format(passed=passed, judged=len(judged))


def _wanted(verdict: str, item: Item, language: Language) -> str:
    """Nothing more is wanted where the ledger shows it all."""
    return "" if item.kind == "evidence" and verdict == "pass" else item.wanted.in_(language)


def _distinct(evidence: Iterable[LedgerEvidence | None]) -> list[LedgerEvidence]:
    return list({one.entry: one for one in evidence if one}.values())


def _dangers(catalogue: Catalogue, checks: Sequence[CheckInfo], case: Case) -> list[Danger]:
    """By code, the checks that fail. A waiver accepts a danger; it does not remove it."""
    codes = {check.id: check.danger for check in checks if check.danger}
    found: dict[str, tuple[set[str], set[str]]] = {}
    for host, findings in case.evidence.items():
        for finding in findings:
            if finding.id in codes and finding.verdict in ("fail", "waived"):
                hosts, failing = found.setdefault(codes[finding.id], (set(), set()))
                hosts.add(host)
                failing.add(finding.id)
    return [
        Danger(
            code=code,
            title=catalogue.dangers[code].in_(case.language) if code in catalogue.dangers else code,
            hosts=sorted(hosts),
            checks=sorted(failing),
            mitigation=case.mitigations.get(code, ""),
        )
        for code, (hosts, failing) in sorted(found.items())
    ]


def waivers_of(given: Iterable[Mapping[str, Any]], at: str) -> list[Waiver]:
    """Every waiver that the site states, once; the judge counts it until the end of its last day (UTC)."""
    found = {
        (waiver.check, waiver.subject, tuple(waiver.hosts), waiver.until): waiver
        for waiver in (
            Waiver(
                check=str(one["rule"]),
                subject=str(one.get("subject", "")),
                hosts=[str(host) for host in one["hosts"]],
                reason=str(one["reason"]),
                approved_by=str(one["approved_by"]),
                until=str(one["until"])[:10],
                expired=str(one["until"])[:10] < at[:10],
            )
            for one in given
        )
    }
    return [found[key] for key in sorted(found)]


def ratio(verdicts: Sequence[str], partial: float = 0.0) -> tuple[float, float]:
    """Share of applicable items that pass, 0–100: when what is open fails, and when it passes.

    partial: what a partial item counts as. The interval is rounded outwards, to a tenth.
    """
    applicable = [verdict for verdict in verdicts if verdict != "not_applicable"]
    if not applicable:
        return 0.0, 0.0
    sure = applicable.count("pass") + partial * applicable.count("partial")
    best = sure + applicable.count("manual") + applicable.count("unknown")
    return (
        math.floor(1000 * sure / len(applicable)) / 10,
        math.ceil(1000 * best / len(applicable)) / 10,
    )


def _method(verdicts: Sequence[str], language: Language) -> str:
    half = ratio(verdicts, partial=0.5)
    return _WORDS["method"][language].format(
        applicable=len(verdicts) - verdicts.count("not_applicable"),
        total=len(verdicts),
        half_low=half[0],
        half_high=half[1],
    )


def score_2021(items: Iterable[tuple[int, AssessmentItem]]) -> tuple[float, float]:
    """The score of the template of 2021 (deduction of defects) as the interval that is sure without its list of weights.

    Low: every item weighs as a key item and what is open fails; high: as an ordinary one, and what is open passes.
    """
    told = [(chapter, item.verdict) for chapter, item in items if item.verdict != "not_applicable"]
    return _score(told, weight=_HEAVIEST, open_=1.0), _score(told, weight=1, open_=0.0)


def _score(told: Sequence[tuple[int, str]], *, weight: int, open_: float) -> float:
    """chapter and verdict of each item; open_: the defect that an open item counts as."""
    if not told:
        return 0.0
    defects = {"pass": 0.0, "partial": 0.5, "fail": 1.0, "manual": open_, "unknown": open_}
    mark = 100 / len(told)
    total = 0.0
    for technical, share in ((True, _ATTENTION), (False, 1 - _ATTENTION)):
        inside = [defects[verdict] for chapter, verdict in told if (chapter <= _TECHNICAL) is technical]
        total += max(0.0, 100 * share - weight * mark * sum(inside))
    return round(total, 2)
