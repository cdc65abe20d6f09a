"""The catalogue of MLPS level 3 and the checks that tell of its items, as their data files hold them."""

from __future__ import annotations

import fnmatch
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from maintenance import runbook
from maintenance.errors import MaintenanceError
from maintenance.record import CheckInfo, Strict

FOLDER = runbook.REPOSITORY / "roles" / "baseline" / "vars"
REMEDIES = runbook.REPOSITORY / "roles" / "harden" / "files" / "topics"
Kind = Literal["automatic", "partly", "evidence", "manual", "not_applicable"]
Unit = Annotated[str, Field(pattern=r"^L3-[A-Z]{3}1-\d\d$")]
Days = Annotated[int, Field(ge=1)]


class Text(Strict):
    """A text in both languages."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)

    def in_(self, language: Literal["zh", "en"]) -> str:
        """The text in a language."""
        return self.zh if language == "zh" else self.en


class Wanted(Strict):
    """One thing that the ledger may show, and for how long it counts."""

    run: tuple[str, ...] = ()
    entry: str = ""
    order: bool = False
    accepted: bool = False
    case: bool = False
    pack: bool = False
    logins: bool = False
    days: Days

    @model_validator(mode="after")
    def _is_one(self) -> Wanted:
        if sum(map(bool, (self.run, self.entry, *(getattr(self, name) for name in _PLAIN)))) != 1:
            raise ValueError(f"a piece of evidence is one of run, entry, {', '.join(_PLAIN)}")
        return self

    @property
    def kind(self) -> str:
        """Which of them it is."""
        return next(name for name in ("run", "entry", *_PLAIN) if getattr(self, name))


_PLAIN = ("order", "accepted", "case", "pack", "logins")


class Item(Strict):
    """One of the 211."""

    unit: Unit
    clause: str = Field(pattern=r"^8\.1\.(\d|10)\.\d+[a-k]?$")
    kind: Kind
    title: Text
    wanted: Text
    checks: tuple[str, ...] = ()  # of other units, that tell of this item too; each with its parts (A, B …)
    evidence: tuple[Wanted, ...] = ()

    @property
    def chapter(self) -> int:
        """8.1.N: technical up to 5, management from 6 on."""
        return int(self.clause.split(".")[2])


class Catalogue(Strict):
    """catalogue.yml."""

    schema_: Literal["baseline-catalogue/1"] = Field(alias="schema")
    standard: Text
    dangers: dict[str, Text]
    items: list[Item]


@cache
def load(folder: Path = FOLDER) -> Catalogue:
    """The catalogue; raises MaintenanceError where it is none."""
    path = folder / "catalogue.yml"
    try:
        return Catalogue.model_validate(_yaml(path))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise MaintenanceError(f"{path} cannot be used: {' '.join(str(error).split())[:300]}") from None


@cache
def checks(folder: Path = FOLDER, remedies: Path = REMEDIES) -> tuple[CheckInfo, ...]:
    """What the files of checks say of each check, in their order."""
    fixable = _remedied(remedies)
    return tuple(
        CheckInfo(
            id=rule["id"],
            unit=rule["unit"],
            risk=rule["risk"],
            danger=rule.get("danger", ""),
            fixable=any(fnmatch.fnmatchcase(rule["id"], name) for name in fixable),
            reboot=rule.get("reboot", False),
        )
        for path in sorted(folder.glob("*_checks.yml"))
        for rule in _yaml(path).get("rules") or []
    )


def control_fault(names: list[str]) -> str:
    """Why one of these is no control that can be mended, or ''. * is a wildcard; a topic stands for all its remedies."""
    topics = [str(_yaml(path)["topic"]) for path in sorted(REMEDIES.glob("*.yml"))]
    remedied = _remedied(REMEDIES)
    for name in (str(one).strip() for one in names):
        meant = any(fnmatch.fnmatchcase(one, name) or fnmatch.fnmatchcase(name, one) for one in remedied)
        if name and name not in topics and not meant:
            return f"'{name}' is neither a check with a remedy nor a topic; topics: {', '.join(topics)}"
    return ""


def _remedied(folder: Path) -> list[str]:
    """The checks that the runbook harden has remedies for; * is a wildcard."""
    return [
        str(check)
        for path in sorted(folder.glob("*.yml"))
        for remedy in _yaml(path).get("remedies") or []
        for check in remedy.get("checks") or []
    ]


def _yaml(path: Path) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with path.open("rb") as file:
        loaded = yaml.load(file, Loader=loader)  # noqa: S506  (both are safe)
    return loaded if isinstance(loaded, dict) else {}
