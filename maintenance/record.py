"""The maintenance record: the model, and nothing that touches a disk or a network.

The JSON made from it governs; every document is rendered from it. Field meanings: docs/shapes.md and
docs/record.schema.json (made from this model).
"""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = "maintenance-record/1"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Instant = Annotated[
    str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$", description="RFC 3339, UTC")
]
Verdict = Literal["pass", "partial", "fail", "waived", "manual", "not_applicable", "unknown"]
Severity = Literal["critical", "warning", "advice"]
Outcome = Literal["succeeded", "failed", "unreachable", "cancelled", "incomplete", "refused"]
LeftKind = Literal[
    "manual",
    "risk",
    "skipped",
    "unnamed",
    "unset",
    "name",
    "package",
    "access",
    "kernel",
    "host",
    "next_start",
    "still",
]
VERDICTS: tuple[Verdict, ...] = ("pass", "partial", "fail", "waived", "manual", "not_applicable", "unknown")


class Strict(BaseModel):
    """A model that refuses a field it does not know: the allow-list of what may enter a record."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunbookInfo(Strict):
    """The runbook as its header states it."""

    name: str
    title: dict[str, str]
    clauses: list[str]
    changes: Literal["nothing", "reversible", "irreversible"]
    undo: str


class Source(Strict):
    """Which bytes were run, by what."""

    commit: str
    clean: bool
    changed_files: list[str]
    playbook_sha256: Sha256
    inventory_sha256: Sha256
    lock_sha256: Sha256
    ansible_core: str
    ansible_runner: str
    python: str


class Operator(Strict):
    """Who ran it, from where."""

    principal: str
    key_fingerprint: str
    self_issued: bool
    machine: str


class Clock(Strict):
    """The state of the controller's own clock when the run began."""

    source: str
    synchronised: bool | None
    offset_seconds: float | None


class Remote(Strict):
    """How the hosts were reached."""

    via: str
    source_address: str
    opened: Instant
    closed: Instant


class HostResult(Strict):
    """One host and what the run did on it."""

    name: str
    groups: list[str]
    machine_id: str
    os: str
    reached: bool
    ok: int = 0
    changed: int = 0
    failed: int = 0
    unreachable: int = 0
    skipped: int = 0
    rescued: int = 0


class Step(Strict):
    """One task on one host."""

    host: str
    task: str
    at: str = Field(description="file:line in the repository")
    result: Literal["ok", "changed", "failed", "unreachable", "skipped"]
    started: str
    duration_ms: int
    message: str = Field(default="", description="why it failed, redacted; empty otherwise")


class Change(Strict):
    """One thing that a step changed (or would change, in check mode)."""

    host: str
    task: str
    subject: str
    before_sha256: Sha256 | None
    after_sha256: Sha256 | None


class Finding(Strict):
    """One judged fact (docs/shapes.md)."""

    id: str
    clause: str
    area: str
    title: str
    subject: str
    expected: str
    actual: str
    verdict: Verdict
    severity: Severity
    owner: str
    advice: str


class LeftAlone(Strict):
    """What a hardening left as it is on a host, and why."""

    host: str
    check: str = Field(description="id, or '' where it is about the host")
    subject: str
    title: str
    kind: LeftKind
    reason: str = Field(description="in words, in the language of the record")


class Metric(Strict):
    """One number that forecasts are made of."""

    name: str
    subject: str
    value: float
    unit: str
    limit: float | None = None


class Events(Strict):
    """Whether every event that the engine sent arrived."""

    expected: int
    seen: int
    missing: list[int]
    sha256: Sha256


class FileInfo(Strict):
    """A document or attachment of the entry."""

    file: str
    title: str
    media_type: str
    bytes: int
    sha256: Sha256


class Redaction(Strict):
    """Which masking rules there were and how often each hit."""

    policy_sha256: Sha256
    hits: dict[str, int]


class OpenIssue(Strict):
    """A finding that asks for action, followed from inspection to inspection (上季遗留问题闭环)."""

    host: str
    id: str
    subject: str
    title: str
    severity: Severity
    owner: str
    first_seen: Instant
    due: str = Field(description="date, YYYY-MM-DD")
    state: Literal["new", "open", "closed", "unknown"]
    advice: str = ""
    expected: str = Field(default="", description="what was wanted when it was first seen")
    actual: str = Field(default="", description="what was measured when it was first seen")


class Comparison(Strict):
    """This inspection beside the previous one of the same ledger."""

    previous_run: str | None
    previous_finished: Instant | None
    issues: list[OpenIssue]


class Forecast(Strict):
    """Where a capacity will be, from the signed records of the same ledger."""

    host: str
    metric: str
    subject: str
    unit: str
    points: list[tuple[str, float]] = Field(description="(instant, value), oldest first")
    value: float
    limit: float | None
    state: Literal["ok", "too_few_points", "shrinking_or_flat"]
    slope_per_day: float | None = None
    slope_low: float | None = None
    slope_high: float | None = None
    reaches: dict[str, str | None] = Field(
        default_factory=dict, description='{"80": date | null, "90": …, "100": …}'
    )
    add: float | None = Field(default=None, description="how much to add so that 80 % holds a year, in unit")
    add_by: str | None = None
    method: str


class CheckInfo(Strict):
    """What the catalogue says of one check of the baseline."""

    id: str
    unit: str = Field(description="unit of GB/T 28448, as L3-CES1-01")
    risk: Literal["R0", "R1", "R2", "R3"] = Field(description="of its remedy; R3 may cut off access")
    danger: str = Field(description="code of the grave danger that its failure is a candidate of, or ''")
    fixable: bool = Field(description="whether the runbook harden has a remedy")
    reboot: bool = Field(description="whether the remedy takes effect after the next start only")


class LedgerEvidence(Strict):
    """A signed entry of the ledger that shows an item which no program can judge."""

    entry: str = Field(description="name of the entry's folder")
    at: Instant
    what: str = Field(description="in words, in the language of the record")


class AssessmentItem(Strict):
    """One of the 211 items and how it stands, host by host."""

    unit: str
    clause: str = Field(description="of GB/T 22239")
    title: str
    kind: Literal["automatic", "partly", "evidence", "manual", "not_applicable"] = Field(
        description="who judges it: a program whole or in part, an entry of the ledger, a person, nobody"
    )
    verdict: Literal["pass", "partial", "fail", "manual", "not_applicable", "unknown"]
    objects: dict[str, Verdict] = Field(description="by object: a host, or HOST/postgresql")
    checks: list[str] = Field(description="ids of the checks that were judged")
    evidence: list[LedgerEvidence] = []
    wanted: str = Field(default="", description="what a person has to show, or why it does not apply")


class Danger(Strict):
    """A candidate of a grave danger (重大风险隐患): checks that fail, of one code."""

    code: str = Field(description="A-01 … A-32")
    title: str
    hosts: list[str]
    checks: list[str]
    mitigation: str = Field(default="", description="what lowers it, as the site states it")


class Waiver(Strict):
    """A deviation that the hospital has accepted, and whether that still holds."""

    check: str
    subject: str = Field(default="", description="the one object of the check that it is about, or ''")
    hosts: list[str]
    reason: str
    approved_by: str
    until: str
    expired: bool


class Assessment(Strict):
    """An assessment of the site by itself; never a conclusion of an assessor."""

    standard: str
    items: list[AssessmentItem]
    checks: list[CheckInfo]
    dangers: list[Danger]
    waivers: list[Waiver]
    ratio_low: float = Field(description="share of applicable items that pass when what is open fails, 0–100")
    ratio_high: float = Field(description="the same when what is open passes")
    ratio_method: str
    score_2021_low: float | None = Field(
        default=None, description="0–100, by the template of 2021; on request"
    )
    score_2021_high: float | None = None
    previous: dict[str, str] = Field(default_factory=dict, description="verdict by unit, the time before")


class Record(Strict):
    """A signed maintenance record."""

    schema_: Literal["maintenance-record/1"] = Field(alias="schema", default="maintenance-record/1")
    run: str
    site: str
    site_facts: dict[str, str] = Field(
        description="hospital, vendor, system, contract …: as site.yml states them"
    )
    runbook: RunbookInfo
    source: Source
    operator: Operator
    order: dict[str, str] | None = None
    case: str | None = None
    reason: str
    command: str
    mode: Literal["apply", "check"]
    language: Literal["zh", "en"]
    started: Instant
    finished: Instant
    clock: Clock
    remote: Remote
    hosts: list[HostResult]
    steps: list[Step]
    changes: list[Change]
    left: list[LeftAlone] = Field(default=[], description="what a hardening did not change, with the reason")
    evidence: dict[str, list[Finding]]
    metrics: dict[str, list[Metric]]
    comparison: Comparison | None = None
    forecasts: list[Forecast] = []
    assessment: Assessment | None = None
    outcome: Outcome
    outcome_reason: str
    hosts_expected: list[str]
    hosts_processed: list[str]
    events: Events
    documents: list[FileInfo] = []
    attachments: list[FileInfo] = []
    redaction: Redaction

    def verdict_counts(self) -> dict[str, int]:
        """Findings of all hosts by verdict; verdicts that did not occur are left out."""
        counts: dict[str, int] = {}
        for findings in self.evidence.values():
            for finding in findings:
                counts[finding.verdict] = counts.get(finding.verdict, 0) + 1
        return {verdict: counts[verdict] for verdict in VERDICTS if verdict in counts}


@cache
def vocabulary() -> str:
    """Every word that the format itself uses."""
    return json.dumps(Record.model_json_schema())


def to_bytes(value: BaseModel | dict[str, Any]) -> bytes:
    """The bytes that are stored and signed: UTF-8, sorted keys, two spaces, a newline at the end."""
    data = value.model_dump(by_alias=True) if isinstance(value, BaseModel) else value
    return (json.dumps(data, ensure_ascii=False, sort_keys=True, indent=2, allow_nan=False) + "\n").encode(
        "utf-8"
    )


def from_bytes(data: bytes) -> Record:
    """Read a record; raises pydantic.ValidationError where it is not one."""
    return Record.model_validate_json(data)
