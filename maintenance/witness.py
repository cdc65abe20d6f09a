"""The client of the hospital's witness: deliver an entry, bring its receipt home, believe only what holds.

The witness is a forced command behind sshd; roles/witness/files/witness.sh states the protocol.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from maintenance.errors import RefusedError
from maintenance.ledger import RECEIPTS, Book
from maintenance.signing import SignatureError, Signers
from maintenance.verification import RECEIPT_NAMESPACE, Receipt, parse_receipt

SECONDS = (
    130  # of one request: the witness waits 60 s for the bytes and 60 s for its lock, then gives up itself
)
_WORD = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"  # no option of ssh, and nothing that ssh expands


class WitnessError(RefusedError):
    """There is no receipt; the text says why and what to do."""


class WitnessUnreachableError(WitnessError):
    """No answer: the line, the host or its sshd. Nothing is known about what the hospital holds."""


class WitnessForkError(WitnessError):
    """The hospital holds another entry at this place: ledger or store is not what it was."""


class WitnessSettings(BaseModel):
    """`witness:` in site.yml. Paths are relative to the site's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(pattern=_WORD)
    user: str = Field(default="maintenance-witness", pattern=_WORD)
    port: int = Field(default=22, ge=1, le=65535)
    identity: str = Field(
        default="", description="the key that opens the connection; ssh's own choice without it"
    )
    known_hosts: str = Field(default="", description="a file; the user's own without it")
    principal: str = Field(pattern=r"^[A-Za-z0-9@._+-]+$", description="whom the receipts are from")
    public_key: str = Field(
        pattern=r"^[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}( [^\n]*)?$",
        description="TYPE BASE64 of the witness's key, as its role printed it",
    )


@dataclass(frozen=True)
class Head:
    """One line of the hospital's list."""

    seq: int
    sha256: str
    time: str


def ssh_command(settings: WitnessSettings, folder: Path) -> list[str]:
    """How the witness is reached. The user's ssh_config counts too (a bastion); what is set here wins."""
    options = {
        "BatchMode": "yes",
        "ClearAllForwardings": "yes",
        "ControlPath": "none",
        "ConnectTimeout": "15",
        "ForwardAgent": "no",
        "RequestTTY": "no",
        "ServerAliveCountMax": "3",
        "ServerAliveInterval": "5",
        "StrictHostKeyChecking": "yes",
    }
    if settings.identity:
        options |= {"IdentitiesOnly": "yes", "IdentityFile": _option(folder, settings.identity)}
    if settings.known_hosts:
        options |= {
            "UserKnownHostsFile": _option(folder, settings.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
        }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-T", *words, "-p", str(settings.port), "-l", settings.user, "--", settings.host]


def send(
    settings: WitnessSettings,
    manifest: bytes,
    signature: bytes,
    *,
    site: str,
    seq: int,
    kind: str,
    run: str,
    transport: Sequence[str],
) -> Receipt:
    """Deliver one entry and return its receipt, checked. Sending it again brings the same receipt again."""
    request = f"put {seq} {kind} {run} {len(manifest)} {len(signature)}\n".encode() + manifest + signature
    answer, content = _ask(settings, request, transport)
    if len(answer) != 3 or answer[0] != "receipt":
        raise WitnessError(f"{_name(settings)} gave an answer that is no receipt: '{' '.join(answer)[:80]}'")
    size = int(answer[1])
    receipt = _check(settings, content[:size], content[size:])
    wanted = (site, seq, hashlib.sha256(manifest).hexdigest())
    if (receipt.site, receipt.seq, receipt.sha256) != wanted:
        raise WitnessError(
            f"{_name(settings)} gave a receipt for entry {receipt.seq} of {receipt.site} "
            f"({receipt.sha256[:12]}…), not for entry {seq} of {site}: it does not count"
        )
    return receipt


def heads(settings: WitnessSettings, *, transport: Sequence[str]) -> list[Head]:
    """Return the hospital's whole list."""
    answer, content = _ask(settings, b"heads\n", transport)
    if len(answer) != 2 or answer[0] != "heads":
        raise WitnessError(f"{_name(settings)} gave an answer that is no list: '{' '.join(answer)[:80]}'")
    lines = [line.split(" ") for line in content.decode("ascii", errors="replace").splitlines()]
    try:
        return [Head(int(seq), sha256, time) for seq, sha256, time in lines]
    except ValueError:
        raise WitnessError(f"{_name(settings)} gave a list that cannot be read") from None


def bring_up_to_date(
    settings: WitnessSettings, folder: Path, book: Book, *, transport: Sequence[str] | None = None
) -> list[Receipt]:
    """Deliver every entry that has no receipt yet, oldest first, and keep the receipts beside the chain.

    Re-sending is harmless, so an entry whose receipt was lost on the way home is simply sent again.
    """
    transport = transport or ssh_command(settings, folder)
    held = {path.stem for pattern in ("", "*/") for path in book.path.glob(f"{pattern}{RECEIPTS}/*.receipt")}
    brought = []
    for entry in book.entries():
        if f"{entry.seq:06d}" in held:
            continue
        receipt = send(
            settings,
            entry.manifest_bytes(),
            entry.signature(),
            site=book.site,
            seq=entry.seq,
            kind=entry.kind,
            run=entry.manifest().run,
            transport=transport,
        )
        book.keep_receipt(receipt.seq, receipt.text, receipt.signature)
        brought.append(receipt)
    return brought


def _ask(settings: WitnessSettings, request: bytes, transport: Sequence[str]) -> tuple[list[str], bytes]:
    """One request, one answer: the words of its first line, and what follows; whole, or an error."""
    try:
        done = subprocess.run(
            list(transport), input=request, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise WitnessUnreachableError(_unreachable(settings, f"no answer within {SECONDS} s")) from None
    except OSError as error:
        raise WitnessUnreachableError(_unreachable(settings, str(error))) from None
    first, _, content = done.stdout.partition(b"\n")
    words = first.decode("ascii", errors="replace").split(" ")
    if words[0] == "error":
        kind = WitnessForkError if words[1:2] == ["4"] else WitnessError
        raise kind(
            f"{_name(settings)} refused: {_printable(' '.join(words[2:]))}{_because(words[1:2], done.stderr)}"
        )
    sizes = [int(word) if re.fullmatch(r"[0-9]{1,9}", word) else -1 for word in words[1:]]
    if done.returncode or min(sizes, default=-1) < 0 or sum(sizes) != len(content):
        raise WitnessUnreachableError(
            _unreachable(settings, _last_line(done.stderr) or "the connection was cut")
        )
    return words, content


def _check(settings: WitnessSettings, text: bytes, signature: bytes) -> Receipt:
    """Read a receipt and check its signature against the key that the site has pinned."""
    key = " ".join(settings.public_key.split()[:2])
    with tempfile.NamedTemporaryFile("w", suffix=".allowed_signers") as file:
        file.write(f'{settings.principal} namespaces="{RECEIPT_NAMESPACE}" {key}\n')
        file.flush()
        try:
            receipt = parse_receipt(text, signature)
            Signers(Path(file.name)).verify(
                text, signature, settings.principal, RECEIPT_NAMESPACE, receipt.time
            )
        except (SignatureError, ValueError) as error:
            raise WitnessError(
                f"{_name(settings)} gave a receipt that does not hold ({error}); "
                "is the public_key in site.yml still the witness's?"
            ) from None
    return receipt


def _option(folder: Path, path: str) -> str:
    """Resolve a path for `-o`: quoted, and without ssh's own percent expansion."""
    resolved = folder / Path(path).expanduser()
    return f'"{str(resolved).replace("%", "%%")}"'


def _name(settings: WitnessSettings) -> str:
    return f"the witness {settings.user}@{settings.host}"


def _unreachable(settings: WitnessSettings, why: str) -> str:
    return f"{_name(settings)} cannot be reached ({why}): check VPN and {settings.host}:{settings.port}"


def _because(code: list[str], stderr: bytes) -> str:
    """For trouble on the witness's own host, what its tools said; other refusals say it themselves."""
    last = _last_line(stderr)
    return f" ({last})" if code in (["1"], ["5"]) and last else ""


def _last_line(stderr: bytes) -> str:
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    return _printable(lines[-1]) if lines else ""


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:300]
