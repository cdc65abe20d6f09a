"""A second signature over a MANIFEST by SM2 with SM3 (GB/T 32918, GB/T 32905), made and checked by stock OpenSSL 3.

The key's owner is bound by the identity that GB/T 35276 prescribes, 1234567812345678. Without it OpenSSL takes another
one: what it signs then verifies against itself and nowhere else.
"""

from __future__ import annotations

import base64
import getpass
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from maintenance import agent
from maintenance.errors import CallError, RefusedError
from maintenance.signing import SignatureError

SIGNATURE = "MANIFEST.sm2sig"
LIST = "sm2_signers"  # in an entry: who has which key from this entry on
_HOW = ["-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678"]
_CURVE = bytes.fromhex("06082a811ccf5501822d")  # the object identifier 1.2.156.10197.1.301
_BLOCK = re.compile(
    r"(?P<principal>[A-Za-z0-9@._+-]+)\n"
    r"(?P<pem>-----BEGIN PUBLIC KEY-----\n(?:[A-Za-z0-9+/=]{1,64}\n)+-----END PUBLIC KEY-----\n)"
)

_passphrases: dict[Path, str] = {}  # asked for once a process


@dataclass(frozen=True)
class Key:
    """An SM2 private key in a PEM file."""

    path: Path

    @cached_property
    def public(self) -> str:
        """Its public half, PEM; raises CallError where the file holds no SM2 key."""
        pem = self._openssl("pkey", "-in", str(self.path), "-pubout").decode(errors="replace")
        if not _is_sm2(pem):
            raise CallError(
                f"{self.path} holds no SM2 key; a new one: openssl genpkey -algorithm SM2 -out {self.path}"
            )
        return pem

    def make_ready(self) -> None:
        """Have the passphrase asked for now, if ever, and sign once; raises where that fails, before anything is done."""
        why = why_unavailable()
        if why:
            raise CallError(f"the site asks for an SM2 signature, and {why}; nothing was done")
        if not self.path.is_file():
            raise CallError(
                f"the SM2 key {self.path} is not there; nothing was done: openssl genpkey -algorithm SM2 -out {self.path}"
            )
        agent.require_private(self.path)
        if self._encrypted and self.path not in _passphrases:
            if not agent.on_terminal():
                raise RefusedError(
                    f"the SM2 key {self.path} has a passphrase and there is no terminal to ask on; nothing was done"
                )
            _passphrases[self.path] = getpass.getpass(f"Passphrase of the SM2 key {self.path}: ")
        self.public  # noqa: B018  (its kind, before it is used)
        self.sign(b"maintenance: can this key sign?\n")

    def sign(self, data: bytes) -> bytes:
        """The signature, DER; checked with the public half before it is believed."""
        with tempfile.TemporaryDirectory(prefix="maintenance-sm2-") as folder:
            text = Path(folder) / "text"
            text.write_bytes(data)
            signature = self._openssl("pkeyutl", "-sign", *_HOW, "-inkey", str(self.path), "-in", str(text))
        try:
            verify(self.public, data, signature)
        except SignatureError as error:
            raise RefusedError(
                f"what {self.path} signed does not verify ({error}); nothing was stored"
            ) from None
        return signature

    @cached_property
    def _encrypted(self) -> bool:
        return b"ENCRYPTED" in self.path.read_bytes()

    def _openssl(self, *arguments: str) -> bytes:
        """openssl's answer. The passphrase goes by a pipe: arguments are for everybody to read."""
        command = [_program(), *arguments, "-passin", "stdin"]
        done = subprocess.run(
            command,
            input=(_passphrases.get(self.path, "") + "\n").encode(),
            capture_output=True,
            check=False,
        )
        if done.returncode or not done.stdout:
            raise RefusedError(
                f"the SM2 key {self.path} cannot be used: it is none, or its passphrase is another; nothing was done"
            )
        return done.stdout


def verify(public: str, data: bytes, signature: bytes) -> None:
    """Raises SignatureError unless OpenSSL accepts the signature by this public key (PEM)."""
    if not _is_sm2(public):
        raise SignatureError("its public key is none of SM2")
    with tempfile.TemporaryDirectory(prefix="maintenance-sm2-") as name:
        folder = Path(name)
        (folder / "key").write_text(public)
        (folder / "text").write_bytes(data)
        (folder / "sig").write_bytes(signature)
        done = subprocess.run(
            [
                _program(),
                "pkeyutl",
                "-verify",
                *_HOW,
                "-pubin",
                "-inkey",
                "key",
                "-in",
                "text",
                "-sigfile",
                "sig",
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    if done.returncode:
        raise SignatureError("SM2: the signature is not one of this key over these bytes")


@cache
def why_unavailable() -> str:
    """Why this machine can neither sign nor check by SM2, or ''."""
    program = shutil.which("openssl")
    if not program:
        return "openssl is missing; on Debian: apt-get install openssl"
    done = subprocess.run(
        [program, "list", "-public-key-algorithms"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode or b"SM2" not in done.stdout:
        return f"{program} knows no SM2: OpenSSL 3 is needed"
    return ""


def parse_list(data: bytes) -> dict[str, str]:
    """principal -> public key (PEM) of an sm2_signers file; raises SignatureError where it is none.

    The file holds, for each principal, a line with its name and the PEM block that openssl prints.
    """
    text = data.decode("ascii", errors="replace")
    blocks = list(_BLOCK.finditer(text))
    if "".join(block[0] for block in blocks) != text:
        raise SignatureError(f"{LIST} is malformed: it holds names, each with its public key in PEM")
    found = {block["principal"]: block["pem"] for block in blocks}
    if len(found) != len(blocks):
        raise SignatureError(f"{LIST} names a principal twice")
    return found


def render_list(keys: dict[str, str]) -> bytes:
    """The bytes of an sm2_signers file; empty where nobody has a key any more."""
    return "".join(f"{principal}\n{pem}" for principal, pem in sorted(keys.items())).encode("ascii")


def _is_sm2(pem: str) -> bool:
    body = re.fullmatch(r"-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/=\n]+)-----END PUBLIC KEY-----\n?", pem)
    try:
        return body is not None and _CURVE in base64.b64decode(body[1])
    except ValueError:
        return False


def _program() -> str:
    found = shutil.which("openssl")
    if not found:
        raise CallError("openssl is missing; on Debian: apt-get install openssl")
    return found
