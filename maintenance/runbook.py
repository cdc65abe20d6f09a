"""Runbooks: playbooks whose first play carries a header (../shared/design/architecture.md)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from maintenance.errors import CallError
from maintenance.record import RunbookInfo

REPOSITORY = Path(__file__).resolve().parent.parent
PLAYBOOKS = REPOSITORY / "playbooks"


class Header(BaseModel):
    """`vars: runbook:` of a playbook's first play."""

    model_config = ConfigDict(extra="forbid")

    title: dict[Literal["zh", "en"], str]
    clauses: list[str] = Field(min_length=1)
    changes: Literal["nothing", "reversible", "irreversible"]
    undo: str
    approvals: int = Field(ge=0)


@dataclass(frozen=True)
class Runbook:
    """A playbook that can be run and recorded."""

    name: str
    path: Path
    hosts: str
    header: Header

    def info(self) -> RunbookInfo:
        """The part that enters a record."""
        return RunbookInfo(
            name=self.name,
            title={str(language): text for language, text in self.header.title.items()},
            clauses=self.header.clauses,
            changes=self.header.changes,
            undo=self.header.undo,
        )


def names() -> list[str]:
    """Names of all playbooks."""
    return sorted(path.stem for path in PLAYBOOKS.glob("*.yml"))


def load(name: str) -> Runbook:
    """Read one runbook; raises CallError with what to mend."""
    path = PLAYBOOKS / f"{name}.yml"
    if name not in names():
        raise CallError(f"there is no runbook '{name}'; there are: {', '.join(names())}")
    plays = read_yaml(path)
    first = plays[0] if isinstance(plays, list) and plays and isinstance(plays[0], dict) else {}
    header = (first.get("vars") or {}).get("runbook")
    if header is None:
        raise CallError(
            f"{path} has no header: its first play needs vars: runbook: (title, clauses, changes, undo)"
        )
    # Where no play reaches a host the run must fail, so the hosts of every play count.
    hosts = ":".join(
        str(play.get("hosts", "")) for play in plays if play.get("hosts") not in (None, "localhost")
    )
    try:
        return Runbook(name, path, hosts or "localhost", Header.model_validate(header))
    except ValidationError as error:
        raise CallError(f"{path}, header: {first_problem(error)}") from None


def load_all() -> list[Runbook]:
    """Every runbook, by name."""
    return [load(name) for name in names()]


def read_yaml(path: Path) -> Any:
    """Parse a YAML file; raises CallError with file, line and what is wrong."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CallError(f"{path} cannot be read: {reason}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise CallError(f"{where} is not YAML: {getattr(error, 'problem', None) or error}") from None


def first_problem(error: ValidationError) -> str:
    """The first thing that a model did not accept, in one line."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"]) or "value"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {problem['msg']}{more}"
