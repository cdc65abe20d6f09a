"""The SCRAM verifier of a password, so that the password itself never travels to the database server."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

ITERATIONS = 4096


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """What PostgreSQL keeps in pg_authid (RFC 5803 form of RFC 7677).

    The salt comes from the password, so that the same password gives the same text and a second run
    changes nothing. That is sound for the long random passwords of a lab, and for those alone.
    """
    salt = salt or hashlib.sha256(b"dialysis lab salt " + password.encode()).digest()[:16]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${ITERATIONS}:{encoded(salt)}${encoded(stored)}:{encoded(server)}"


def encoded(data: bytes) -> str:
    """Base64 as text."""
    return base64.b64encode(data).decode()


class FilterModule:
    """The filter for Ansible."""

    def filters(self) -> dict[str, Callable[[str], str]]:
        """Its name."""
        return {"scram_verifier": scram_verifier}
