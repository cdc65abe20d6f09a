"""An assessment's inputs from where they lie: the run's result, the site's ledger, the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maintenance import assessment, assessment_evidence, catalogue, register, verification
from maintenance.assessment import Language
from maintenance.execution import Result
from maintenance.record import Assessment, Record
from maintenance.site import Site


def of_run(
    result: Result,
    *,
    site: Site,
    ledger: Path,
    hosts: Mapping[str, object],
    extra_vars: Mapping[str, Any],
    previous: Record | None,
    finished: str,
    language: Language,
) -> tuple[Assessment, list[str]]:
    """The assessment, and what the user should know of it."""
    shown, notes = _shown(site, ledger, finished, language)
    before = previous.assessment.items if previous and previous.assessment else []
    case = assessment.Case(
        evidence=result.evidence,
        hosts=sorted(hosts),
        at=finished,
        language=language,
        shown=shown,
        waivers=result.waivers,
        mitigations=result.mitigations,
        not_applicable=result.not_applicable,
        score_2021=extra_vars.get("baseline_score_2021") is True,
        previous={item.unit: item.verdict for item in before},
    )
    items = catalogue.load()
    unknown = sorted(result.not_applicable.keys() - {item.unit for item in items.items})
    notes += [f"baseline_not_applicable: no item has the unit {unit}" for unit in unknown]
    return assessment.assess(items, catalogue.checks(), case), notes


def _shown(
    site: Site, ledger: Path, now: str, language: Language
) -> tuple[list[assessment_evidence.Shown], list[str]]:
    """What the ledger shows. A chain that does not hold as a whole shows nothing."""
    report = verification.verify(ledger, revoked=site.revoked, revoked_since=site.settings.revoked_since)
    if report.faults:
        why = f"the ledger does not verify ({report.faults[0].entry}); no entry of it counts as evidence"
        return [], [why]
    return assessment_evidence.gather(list(register.read(ledger)), language, now), []
