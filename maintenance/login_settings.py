"""What a site says of logins (`logins:` in site.yml): whose keys are engineers', and what logs in by itself."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Automation(BaseModel):
    """Something that logs in without a person, agreed with the hospital. What is left out fits everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=120)
    reason: str = Field(min_length=1, max_length=300)
    keys: tuple[str, ...] = ()  # fingerprints
    users: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()  # addresses
    hosts: tuple[str, ...] = ()


class LoginSettings(BaseModel):
    """Beside the keys of allowed_signers, which are engineers' as well."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Name -> SHA256:…, `TYPE BASE64`, or a .pub file relative to the site: keys that engineers log in with.
    keys: dict[str, str] = {}
    accounts: tuple[str, ...] = ()  # that only engineers use: a login by password is then one of theirs
    automation: tuple[Automation, ...] = ()
    tolerance_seconds: int = Field(default=30, ge=0, le=3600)  # by which clocks may differ
