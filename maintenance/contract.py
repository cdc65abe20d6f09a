"""The site's maintenance contract as data: what was promised, how often, how soon, and what in the ledger shows it.

The clauses, limits and counts of a contract are in its file (`contract_file:` of site.yml), never in the code.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from maintenance import runbook
from maintenance.errors import CallError
from maintenance.site import Site

Language = Literal["zh", "en"]
Clause = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)+$")]
Response = Literal["phone", "remote", "onsite"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Period(_Strict):
    """The days of the contract, both included, on the hospital's calendar."""

    from_: date = Field(alias="from")
    until: date

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until <= self.from_:
            raise ValueError("until must be after from")
        return self


class Limit(_Strict):
    """Within how many hours one kind of response is owed."""

    clause: Clause
    hours: float = Field(gt=0)


class Owed(_Strict):
    """How a duty is owed.

    each_quarter: `count` in every quarter of the period; in_period: `count` until its end; holidays: every block of
    public holidays is covered; once: `count` at any time; last_month: `count` in the last month; each_change: every run
    that changed something had an order; on_event: whenever there is reason to; sla: judged by the clocks of cases.
    """

    kind: Literal[
        "each_quarter", "in_period", "holidays", "once", "last_month", "each_change", "on_event", "sla"
    ]
    count: int = Field(default=1, ge=1)


class Shown(_Strict):
    """What in the ledger fulfils a duty: runs of these runbooks that succeeded, and log entries that name the clause."""

    runbooks: list[str] = []
    entries: list[str] = Field(
        default=[], description="kinds of log entries; every kind that names it, where nothing is named here"
    )
    packs: bool = Field(default=False, description="an acceptance pack that was made")
    cases: bool = Field(default=False, description="faults that were closed with a test that passed")
    most_person_days: float | None = Field(default=None, description="larger customisations do not count")
    whole: bool = Field(default=False, description="a run that was limited to some hosts does not count")


class Duty(_Strict):
    """One clause of the contract."""

    id: Clause
    title: dict[Language, str]
    owed: Owed
    shown: Shown = Shown()
    also: list[Shown] = Field(default=[], description="what is owed each time beside it")
    before: Shown | None = Field(default=None, description="of a holiday: what is owed in the days before it")
    before_days: int = Field(default=14, ge=1)


class Contract(_Strict):
    """A contract file."""

    number: str = ""
    period: Period
    quarters: Literal["contract", "calendar"] = "contract"
    soon_days: int = Field(
        default=30, ge=1, description="from how many days before its date a duty is due soon"
    )
    sla: dict[Response, Limit] = {}
    duties: list[Duty] = Field(min_length=1)

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        ids = [duty.id for duty in self.duties]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"the clause {twice[0]} stands twice")
        return self


def load(site: Site) -> Contract | None:
    """The site's contract; None where site.yml names none. Raises CallError with file and what to mend."""
    if not site.settings.contract_file:
        return None
    return read((site.folder / Path(site.settings.contract_file).expanduser()).resolve())


def read(path: Path) -> Contract:
    """A contract file; raises CallError."""
    try:
        return Contract.model_validate(runbook.read_yaml(path))
    except ValidationError as error:
        raise CallError(f"{path}: {runbook.first_problem(error)}") from None
