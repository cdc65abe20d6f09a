"""A site: one folder of inventories/, described by its site.yml."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from maintenance import keys, runbook, signing, sm2
from maintenance.errors import CallError
from maintenance.login_settings import LoginSettings
from maintenance.manifest import NAMESPACE
from maintenance.signing import Signer
from maintenance.witness import WitnessSettings

INVENTORIES = runbook.REPOSITORY / "inventories"
KEYS = runbook.REPOSITORY / "var" / "keys"


class Facts(BaseModel):
    """What the cover and the signature page of a document say."""

    model_config = ConfigDict(extra="forbid")

    hospital: str = ""
    system: str = ""
    vendor: str = ""
    contract: str = ""
    department: str = ""
    engineer: str = ""
    reviewer: str = ""
    manager: str = ""


class Settings(BaseModel):
    """site.yml."""

    model_config = ConfigDict(extra="forbid")

    site: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")
    facts: Facts = Facts()
    language: Literal["zh", "en"] = "zh"
    # Whether a run makes a PDF beside its Word file. LibreOffice takes some seconds of a slow computer for it.
    pdf: bool = True
    ledger: str = ""
    principal: str = Field(default="", pattern=r"^[A-Za-z0-9@._+-]*$")
    key: str = ""
    # An SM2 private key (PEM) for a second signature by OpenSSL, where the hospital asks for one (docs/keys.md).
    sm2_key: str = ""
    self_issued_key: bool = False
    allowed_signers: str = "allowed_signers"
    revoked: str = "revoked"
    # When the keys of the revocation list were lost, RFC 3339 UTC: what the hospital had received before still counts.
    revoked_since: str = Field(default="", pattern=r"^$|^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    witness: WitnessSettings | None = None
    remote: str = "directly"
    contract_file: str = ""  # what was promised, as data (docs/contract.zh.md)
    # Whether a runbook that changes something needs a work order that the hospital approved (docs/orders.zh.md).
    orders: Literal["required", "optional"] = "required"
    # Whether `verify` names the days that have no checkpoint (docs/compare.zh.md).
    checkpoints: Literal["daily", ""] = ""
    logins: LoginSettings = (
        LoginSettings()
    )  # whose logins `compare` takes for engineers' (docs/compare.zh.md)
    due_days: dict[Literal["critical", "warning", "advice"], int] = {
        "critical": 7,
        "warning": 30,
        "advice": 90,
    }
    vault_password_file: str = ""


class Site:
    """A site's settings with its paths resolved."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.name = settings.site

    @property
    def ledger(self) -> Path:
        """Where its records are."""
        if self.settings.ledger:
            return (self.folder / Path(self.settings.ledger).expanduser()).resolve()
        return runbook.REPOSITORY / "var" / "records" / self.name

    @property
    def revoked(self) -> Path | None:
        """The revocation list, where there is one; raises CallError where the one that is named is none."""
        path = self.folder / Path(self.settings.revoked).expanduser()
        if not path.exists() and "revoked" not in self.settings.model_fields_set:
            return None
        return keys.revocation_list(path)

    @property
    def vault_password_file(self) -> str:
        """Where the vault's password is: what site.yml names, beside it; or what the user's environment does."""
        if self.settings.vault_password_file:
            return str((self.folder / Path(self.settings.vault_password_file).expanduser()).resolve())
        named = os.environ.get("ANSIBLE_VAULT_PASSWORD_FILE", "")
        return str(Path(named).expanduser().resolve()) if named else ""

    def signer(self) -> tuple[Signer, bool]:
        """The engineer's key, and whether it was issued by this command itself; raises CallError where there is none."""
        if self.settings.self_issued_key and not self.settings.key:
            key = KEYS / f"{self.name}_ed25519"
            principal = (
                self.settings.principal or f"{_user()}@{socket.gethostname().split('.')[0] or 'localhost'}"
            )
            if not key.exists():
                signing.make_key(key, principal)
                print(f"made a key of its own for this site (self-issued): {key}", file=sys.stderr)
            return Signer(principal, key, self._sm2()), True
        if not self.settings.key or not self.settings.principal:
            raise CallError(f"{self.folder}/site.yml names no key: set 'principal' and 'key' (docs/keys.md)")
        key = (self.folder / Path(self.settings.key).expanduser()).resolve()
        if not key.is_file():
            raise CallError(
                f"the key {key} of {self.folder}/site.yml is not there: ssh-keygen -t ed25519 -f {key}"
            )
        return Signer(self.settings.principal, key, self._sm2()), False

    def _sm2(self) -> sm2.Key | None:
        named = self.settings.sm2_key
        return sm2.Key((self.folder / Path(named).expanduser()).resolve()) if named else None

    def allowed_signers(self) -> bytes:
        """The site's allowed_signers; for a self-issued key the one line it needs, with receipts allowed too."""
        path = self.folder / self.settings.allowed_signers
        own = path.read_bytes() if path.is_file() else b""
        if self.settings.self_issued_key and not self.settings.key:
            signer, _ = self.signer()
            own += f'{signer.principal} namespaces="{NAMESPACE}" {signer.public_key} self-issued\n'.encode()
        if self.settings.witness:
            witness = self.settings.witness
            line = f'{witness.principal} namespaces="maintenance-receipt" {witness.public_key}\n'.encode()
            own += b"" if line in own else line
        if not own:
            raise CallError(f"{path} is not there: it lists whose signatures the site accepts (docs/keys.md)")
        return own


def names() -> list[str]:
    """Sites that there are."""
    return sorted(path.parent.name for path in INVENTORIES.glob("*/site.yml"))


def load(name: str) -> Site:
    """Read a site by name; raises CallError with what to mend."""
    folder = INVENTORIES / name
    if name not in names():
        raise CallError(f"there is no site '{name}'; there are: {', '.join(names())}")
    try:
        stated = runbook.read_yaml(folder / "site.yml")
        pinned = (
            folder / "witness.yml"
        )  # what configure_witness printed, for a site that is made by a program
        if isinstance(stated, dict) and "witness" not in stated and pinned.is_file():
            stated["witness"] = runbook.read_yaml(pinned)
        settings = Settings.model_validate(stated)
    except ValidationError as error:
        raise CallError(f"{folder}/site.yml: {runbook.first_problem(error)}") from None
    if settings.site != name:
        raise CallError(f"{folder}/site.yml is about the site '{settings.site}', its folder is '{name}'")
    return Site(folder, settings)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
