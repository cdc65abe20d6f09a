"""An assessment in the order in which it is read: chapters, items, the results of checks. From the record alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property

from maintenance.documents.assessment_words import AssessmentWords
from maintenance.documents.clean import clean
from maintenance.documents.judged import Judged, all_judged
from maintenance.documents.phrases import in_chinese
from maintenance.documents.table import BLUE, GREEN, GREY, NONE, RED, YELLOW
from maintenance.record import Assessment, AssessmentItem, CheckInfo, Record

ITEM_VERDICTS = ("pass", "partial", "fail", "not_applicable", "manual", "unknown")
COLOUR = {
    "pass": GREEN,
    "partial": YELLOW,
    "waived": YELLOW,
    "fail": RED,
    "not_applicable": NONE,
    "manual": BLUE,
    "unknown": GREY,
}
CHAPTERS = tuple(f"8.1.{number}" for number in range(1, 11))
_NOT_WELL = ("fail", "partial", "waived", "unknown")
_NO_CHECK = CheckInfo(id="", unit="", risk="R0", danger="", fixable=False, reboot=False)


class View:
    """A record with its assessment, and what is found in it by name."""

    def __init__(self, record: Record) -> None:
        if record.assessment is None:
            raise ValueError("this record holds no assessment")
        self.record = record
        self.assessment: Assessment = record.assessment
        self.words = AssessmentWords(record.language)
        self.findings = [self._told(one) for one in all_judged(record)]
        self._infos = {info.id: info for info in self.assessment.checks}

    def _told(self, one: Judged) -> Judged:
        finding = one.finding
        told = {"expected": self.told(finding.expected), "actual": self.told(finding.actual)}
        return Judged(one.host, finding.model_copy(update=told))

    def told(self, text: str) -> str:
        """What a check expects or measured, in the language of the report."""
        return in_chinese(text) if self.record.language == "zh" else text

    def info(self, check: str) -> CheckInfo:
        """What the catalogue says of a check; of one that it does not know, nothing."""
        return self._infos.get(check, _NO_CHECK)

    @cached_property
    def not_well(self) -> list[Judged]:
        """Results that are no pass, the gravest first."""
        return sorted(
            (one for one in self.findings if one.finding.verdict in _NOT_WELL), key=lambda one: one.order
        )

    @cached_property
    def by_check(self) -> dict[str, list[Judged]]:
        """Results by the check that gave them."""
        found: dict[str, list[Judged]] = {}
        for one in self.findings:
            found.setdefault(one.finding.id, []).append(one)
        return found

    @cached_property
    def titles(self) -> dict[str, str]:
        """Titles of checks by id."""
        return {check: clean(found[0].finding.title, 80) for check, found in self.by_check.items()}

    def named(self, checks: Iterable[str], limit: int = 6) -> str:
        """Checks by id and title; of many, some and the count."""
        listed = list(checks)
        parts = [" ".join(filter(None, (clean(one, 40), self.titles.get(one)))) for one in listed[:limit]]
        more = f"… ({len(listed)})" if len(listed) > limit else ""
        return self.words("semicolon").join(parts) + more

    def chapters(self) -> list[tuple[str, list[AssessmentItem]]]:
        """Items by chapter, in the standard's order; what belongs to none comes last."""
        found: dict[str, list[AssessmentItem]] = {chapter: [] for chapter in CHAPTERS}
        for item in self.assessment.items:
            found.setdefault(chapter_of(item.clause), []).append(item)
        known = [(chapter, found.pop(chapter)) for chapter in CHAPTERS]
        others = [item for items in found.values() for item in items]
        return [(chapter, items) for chapter, items in [*known, ("other_chapter", others)] if items]

    def counted(self, verdicts: Iterable[str]) -> str:
        """Verdicts with their counts, those that occur."""
        counts = Counter(verdicts)
        named = [*ITEM_VERDICTS, "waived"]
        return self.words("list").join(f"{self.words(one)} {counts[one]}" for one in named if counts[one])

    def reasons(self, item: AssessmentItem) -> str:
        """Why something of an item is not known."""
        found = {
            clean(one.finding.actual, 120)
            for check in item.checks
            for one in self.by_check.get(check, ())
            if one.finding.verdict == "unknown"
        }
        return self.words("semicolon").join(sorted(found)[:3])


def chapter_of(clause: str) -> str:
    """8.1.4 of 8.1.4.1a."""
    return ".".join(clause.split(".")[:3])


def count(items: Sequence[AssessmentItem]) -> dict[str, int]:
    """Items by verdict; every verdict is there."""
    counts: Counter[str] = Counter(item.verdict for item in items)
    return {verdict: counts[verdict] for verdict in ITEM_VERDICTS}


def system_of(view: View) -> str:
    """The system as a title names it."""
    return clean(view.record.site_facts.get("system"), 120) or clean(view.record.site, 60)


def ratio(view: View) -> str:
    """The ratio of compliance as the interval that it is."""
    low, high = view.assessment.ratio_low, view.assessment.ratio_high
    return view.words("ratio", low=f"{low:.1f}", high=f"{high:.1f}")


def score(view: View) -> str:
    """The score of the template of 2021 where it was asked for, or ''."""
    low, high = view.assessment.score_2021_low, view.assessment.score_2021_high
    if low is None or high is None:
        return ""
    return view.words("score", low=f"{low:.2f}", high=f"{high:.2f}")
