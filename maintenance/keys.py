"""Who may sign what for a site, until when, and whether a key would be refused now: allowed_signers and the revocation
list, read as ssh-keygen reads them. Nothing is signed or written here."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from maintenance import signing
from maintenance.errors import CallError
from maintenance.signing import Signer, Signers

ENDS_SOON_DAYS = 30
_PUBLIC_KEY = re.compile(rb"(ssh|ecdsa|sk)-[\w@.-]+ AAAA")


@dataclass(frozen=True)
class Line:
    """One line of allowed_signers. Instants are RFC 3339 UTC, None where the line sets no bound."""

    principals: str
    namespaces: str | None  # None: any
    key_type: str
    fingerprint: str
    authority: bool  # certificates of this key count, not the key itself
    valid_after: str | None
    valid_before: str | None
    state: Literal["valid", "ended", "not yet", "revoked"]
    days_left: int | None  # of a valid line that has an end
    public_key: str

    def facts(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


def table(signers: Signers, when: str) -> list[Line]:
    """Every line with its state at an instant; raises CallError where the list is malformed."""
    return [_line(signers, line, when) for line in signers.lines]


def _line(signers: Signers, line: Any, when: str) -> Line:
    options = line.options or {}
    key = f"{line.key_type} {line.base64_key}"
    try:
        after, before = (
            signing.instant(options[name]) if name in options else None
            for name in ("valid-after", "valid-before")
        )
    except ValueError:
        raise CallError(
            f"{signers.path}: the line of {line.principals} has a time that is not YYYYMMDD[HHMM[SS]][Z]"
        ) from None
    now = datetime.fromisoformat(when).timestamp()
    state: Literal["valid", "ended", "not yet", "revoked"] = "valid"
    if signers.is_revoked(key):
        state = "revoked"
    elif before is not None and now >= before:
        state = "ended"
    elif after is not None and now < after:
        state = "not yet"
    return Line(
        principals=line.principals,
        namespaces=options.get("namespaces"),
        key_type=line.key_type,
        fingerprint=signing.fingerprint(key),
        authority="cert-authority" in options,
        valid_after=_text(after),
        valid_before=_text(before),
        state=state,
        days_left=int((before - now) // 86400) if state == "valid" and before is not None else None,
        public_key=key,
    )


def why_refused(signers: Signers, signer: Signer, namespace: str, when: str) -> str:
    """Why what this signer signs at this instant would not hold, in words; '' where it would."""
    if signers.is_revoked(signer.public_key):
        return f"the key {signer.fingerprint} of {signer.principal} is revoked ({signers.revoked})"
    if "-cert-" in signer.public_key.split()[0]:
        return _why_certificate(signers, signer, namespace, when)
    named = [
        line
        for line in table(signers, when)
        if line.public_key == signer.public_key
        and not line.authority
        and signing.pattern_list(line.principals, signer.principal)
        and (line.namespaces is None or signing.pattern_list(line.namespaces, namespace))
    ]
    if any(line.state == "valid" for line in named):
        return ""
    if not named:
        return f"it does not allow the key {signer.fingerprint} for {signer.principal}"
    last = named[-1]
    if last.state == "ended":
        return f"the key {signer.fingerprint} of {signer.principal} ended at {last.valid_before}"
    return f"the key {signer.fingerprint} of {signer.principal} is not valid before {last.valid_after}"


def _why_certificate(signers: Signers, signer: Signer, namespace: str, when: str) -> str:
    """Only ssh-keygen knows all rules of certificates: it is asked about a text that is signed for that."""
    text = b"maintenance: may this certificate sign?\n"
    try:
        signers.verify(text, signer.sign(text, namespace), signer.principal, namespace, when)
    except signing.SignatureError as error:
        return f"it does not allow the certificate {signer.key} for {signer.principal} ({error})"
    return ""


def ends_soon(signers: Signers, signer: Signer, namespace: str, when: str, days: float) -> str:
    """When the signer's last valid line ends, if that is within so many days; '' otherwise."""
    until = [
        line.valid_before or "9999"
        for line in table(signers, when)
        if line.public_key == signer.public_key
        and line.state == "valid"
        and signing.pattern_list(line.principals, signer.principal)
        and (line.namespaces is None or signing.pattern_list(line.namespaces, namespace))
    ]
    limit = datetime.fromisoformat(when).timestamp() + days * 86400
    last = max(until, default="9999")
    return last if last != "9999" and datetime.fromisoformat(last).timestamp() <= limit else ""


def revocation_list(path: Path) -> Path:
    """The file, if it is one: with any other ssh-keygen would call every signature bad. Raises CallError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CallError(f"the revocation list {path} cannot be read: {error.strerror}") from None
    lines = [line.strip() for line in data.splitlines()]
    keys = [line for line in lines if line and not line.startswith(b"#")]
    if not data.startswith(signing.KRL) and not (keys and all(map(_PUBLIC_KEY.match, keys))):
        raise CallError(
            f"{path} is not a revocation list: neither of ssh-keygen -k, nor public keys, one a line"
        )
    return path


def _text(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
