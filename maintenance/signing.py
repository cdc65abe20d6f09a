"""SSHSIG signatures: made by ssh-keygen or ssh-agent, checked in process with the answer ssh-keygen would give.

A signature is accepted in process only where every rule of `ssh-keygen -Y verify` is known to be met;
anything else (other key types, certificates, odd armour) is put to ssh-keygen itself, whose word is final.
"""

from __future__ import annotations

import base64
import contextlib
import fnmatch
import hashlib
import io
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sshsig import InvalidSignature, PublicKey, check_signature
from sshsig.allowed_signers import AllowedSigner, load_allowed_signers_file
from sshsig.sshsig import SshsigSignature

from maintenance import agent
from maintenance.errors import CallError, RefusedError

if TYPE_CHECKING:
    from maintenance import sm2

KRL = b"SSHKRL\n\0"  # how a key revocation list of ssh-keygen begins
_ARMOUR = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n(?:[A-Za-z0-9+/]{1,76}\n)*[A-Za-z0-9+/]{1,76}={0,2}\n-----END SSH SIGNATURE-----\n?"
)
_NAMED = re.compile(
    r"""(?i)(?P<principals>"[^"]*"|[^\s#"]\S*)[ \t]+(?:\S*,)?namespaces="(?P<namespaces>[^"]*)\""""
)


class SignatureError(Exception):
    """The signature does not hold; the text says why."""


def _ssh_keygen() -> str:
    program = shutil.which("ssh-keygen")
    if not program:
        raise CallError("ssh-keygen is missing; on Debian: apt-get install openssh-client")
    return program


@dataclass(frozen=True)
class Signer:
    """A principal and the key that signs for it (a private key, or a public one whose private half an agent holds)."""

    principal: str
    key: Path
    sm2: sm2.Key | None = None  # a second signature, where the site asks for it

    @cached_property
    def public_key(self) -> str:
        """`TYPE BASE64` of the public key."""
        public = self.key if self.key.suffix == ".pub" else self.key.with_name(self.key.name + ".pub")
        text = public.read_text(encoding="utf-8", errors="replace") if public.is_file() else self._derived()
        parts = text.split()
        if len(parts) < 2:
            raise CallError(f"{public} is not an SSH public key")
        return f"{parts[0]} {parts[1]}"

    @cached_property
    def fingerprint(self) -> str:
        """`SHA256:…`, as `ssh-keygen -l` prints it."""
        return fingerprint(self.public_key)

    def _derived(self) -> str:
        """The public half without a .pub file beside the key. OpenSSH's own format tells it without a passphrase."""
        with contextlib.suppress(OSError, ValueError, IndexError, UnicodeDecodeError):
            lines = self.key.read_text(encoding="ascii").split("\n")
            if lines[0] == "-----BEGIN OPENSSH PRIVATE KEY-----":
                return _public_of(
                    base64.b64decode("".join(lines[1 : lines.index("-----END OPENSSH PRIVATE KEY-----")]))
                )
        done = subprocess.run(
            [_ssh_keygen(), "-y", "-P", "", "-f", str(self.key)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and "incorrect passphrase" in done.stderr:
            raise CallError(f"{self.key}.pub is not there: ssh-keygen -y -f {self.key} > {self.key}.pub")
        if done.returncode:
            raise CallError(f"{self.key} is not an SSH key that can be used: {_last_line(done.stderr)}")
        return done.stdout

    def make_ready(self) -> None:
        """Have the passphrase asked for now, if ever; raises RefusedError where the key cannot sign."""
        agent.make_ready(self.key, self.public_key)
        if self.sm2:
            self.sm2.make_ready()

    def sign(self, data: bytes, namespace: str) -> bytes:
        """Sign exact bytes. stdin to stdout, because ssh-keygen with an existing .sig and no terminal signs nothing
        and exits 0; and what was signed is checked before it is believed."""
        done = subprocess.run(
            [_ssh_keygen(), "-Y", "sign", "-q", "-n", namespace, "-f", str(self.key)],
            input=data,
            capture_output=True,
            env=agent.environment(self.key),
        )
        if done.returncode or not done.stdout:
            raise RefusedError(
                f"the key {self.key} did not sign ({_last_line(done.stderr.decode(errors='replace'))}); "
                "is its passphrase right, or its agent running (ssh-add -l)?"
            )
        try:
            key = check_signature(data, done.stdout, namespace)
            same = key.openssh_str().split()[:2] == self.public_key.split()[:2]
        except NotImplementedError:
            same = True  # a key type that only ssh-keygen knows: Signers.verify() asks it before anything is stored
        except InvalidSignature:
            same = False
        if not same:
            raise RefusedError(f"what {self.key} signed does not verify; nothing was stored")
        return done.stdout


@dataclass
class Signers:
    """An allowed_signers file (and, where there is one, a revocation list), as ssh-keygen reads them."""

    path: Path
    revoked: Path | None = None
    _revoked_keys: dict[str, bool] = field(default_factory=dict)

    @cached_property
    def lines(self) -> list[AllowedSigner]:
        """The lines of the file; raises CallError with the file's name where it is malformed."""
        try:
            text = self.path.read_text(encoding="utf-8")
            return list(load_allowed_signers_file(io.StringIO(text)))
        except (OSError, ValueError, NotImplementedError) as error:
            raise CallError(f"{self.path} is not a usable allowed_signers file: {error}") from None

    def principals(self, public_key: str, namespace: str) -> list[str]:
        """Principals that the key may sign for in the namespace, whatever the date."""
        wanted = public_key.split()[:2]
        return [
            line.principals
            for line in self.lines
            if [line.key_type, line.base64_key] == wanted and _namespace_fits(line, namespace)
        ]

    def principals_named_for(self, namespace: str) -> list[str]:
        """Principals whose own line names this namespace. ssh-keygen says later whether the line is one."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        named: dict[str, None] = {}
        for line in text.split("\n"):
            match = _NAMED.match(line)
            if match and namespace in match["namespaces"].split(","):
                named |= dict.fromkeys(match["principals"].strip('"').split(","))
        return [name for name in named if name and not name.startswith("!")]

    @cached_property
    def _sure_lines(self) -> list[AllowedSigner]:
        """Lines up to the first that this parser does not understand: from there on ssh-keygen is asked."""
        sure: list[AllowedSigner] = []
        with contextlib.suppress(OSError, ValueError, NotImplementedError, IndexError):
            for line in self.path.read_bytes().decode().split("\n"):
                sure += load_allowed_signers_file(io.StringIO(line))
        return sure

    def verify(self, data: bytes, signature: bytes, principal: str, namespace: str, when: str) -> None:
        """Raises SignatureError unless `ssh-keygen -Y verify` with this file would accept.

        when: RFC 3339 UTC instant at which the key must have been valid.
        """
        key = self._accepted_in_process(data, signature, principal, namespace, when)
        if key and not self._is_revoked(key.openssh_str()):
            return
        self._ask_ssh_keygen(data, signature, principal, namespace, when)

    def _accepted_in_process(
        self, data: bytes, signature: bytes, principal: str, namespace: str, when: str
    ) -> PublicKey | None:
        try:
            if not _ARMOUR.fullmatch(signature):
                return None
            outer = SshsigSignature.from_armored(signature)
            if outer.hash_algo not in (b"sha256", b"sha512"):
                return None
            key = check_signature(data, signature, namespace)
        except (InvalidSignature, NotImplementedError, ValueError, EOFError, AssertionError):
            return None
        wanted = key.openssh_str().split()[:2]
        if wanted[0] != "ssh-ed25519":  # ssh-keygen has rules on RSA sizes and other types: let it judge them
            return None
        for line in self._sure_lines:
            if (
                [line.key_type, line.base64_key] == wanted
                and _principal_fits(line, principal)
                and _namespace_fits(line, namespace)
                and _time_fits(line, when)
                and "cert-authority" not in (line.options or {})
            ):
                return key
        return None

    def is_revoked(self, public_key: str) -> bool:
        """Whether the revocation list names this key (`TYPE BASE64`)."""
        if not self.revoked:
            return False
        data = self.revoked.read_bytes()
        if data.startswith(KRL):
            return self._is_revoked(public_key)
        listed = [line.split()[:2] for line in data.decode(errors="replace").splitlines()]
        return public_key.split()[:2] in listed

    def _is_revoked(self, text: str) -> bool:
        """Ask ssh-keygen once for each key whether the revocation list names it."""
        if not self.revoked:
            return False
        if text not in self._revoked_keys:
            with tempfile.NamedTemporaryFile("w", suffix=".pub") as public:
                public.write(text + "\n")
                public.flush()
                done = subprocess.run(
                    [_ssh_keygen(), "-Q", "-f", str(self.revoked), public.name],
                    capture_output=True,
                    check=False,
                )
            # A plain list of keys is no KRL, and -Q refuses it: then only -Y verify can tell.
            self._revoked_keys[text] = done.returncode != 0
        return self._revoked_keys[text]

    def _ask_ssh_keygen(
        self, data: bytes, signature: bytes, principal: str, namespace: str, when: str
    ) -> None:
        with tempfile.NamedTemporaryFile(suffix=".sig") as sig:
            sig.write(signature)
            sig.flush()
            command = [_ssh_keygen(), "-Y", "verify", "-f", str(self.path), "-I", principal, "-n", namespace]
            command += ["-s", sig.name, f"-Overify-time={_compact(when)}"]
            if self.revoked:
                command += ["-r", str(self.revoked)]
            done = subprocess.run(
                command, input=data, capture_output=True, env={**os.environ, "LC_ALL": "C"}, check=False
            )
        if done.returncode:
            raise SignatureError(_last_line((done.stderr or done.stdout).decode(errors="replace")))


def _public_of(blob: bytes) -> str:
    """`TYPE BASE64` out of a private key of OpenSSH's format: magic, cipher, kdf, options, count, public key, …
    (PROTOCOL.key in OpenSSH's sources). Raises ValueError or IndexError where it is none."""
    magic = b"openssh-key-v1\0"
    if not blob.startswith(magic):
        raise ValueError("no OpenSSH key")
    at = len(magic)
    fields = []
    for number in range(4):
        if number == 3:
            at += 4  # how many keys there are: one
        length = int.from_bytes(blob[at : at + 4], "big")
        fields.append(blob[at + 4 : at + 4 + length])
        at += 4 + length
    public = fields[3]
    kind = public[4 : 4 + int.from_bytes(public[:4], "big")].decode("ascii")
    return f"{kind} {base64.b64encode(public).decode()}"


def key_of(signature: bytes) -> str:
    """`TYPE BASE64` of the key that an armoured SSHSIG names as its own; raises SignatureError where it is none.

    Says nothing of whether the signature holds.
    """
    try:
        blob = SshsigSignature.from_armored(signature).public_key
        length = int.from_bytes(blob[:4], "big")
        kind = blob[4 : 4 + length].decode("ascii")
    except (ValueError, NotImplementedError, EOFError, AssertionError, IndexError) as error:
        raise SignatureError(f"it is no SSH signature: {error}") from None
    return f"{kind} {base64.b64encode(blob).decode()}"


def fingerprint(public_key: str) -> str:
    """SHA256 fingerprint of a public key line, as `ssh-keygen -l` prints it; raises CallError where it is none."""
    try:
        kind, blob = public_key.split()[0], base64.b64decode(public_key.split()[1], validate=True)
    except (ValueError, IndexError):
        raise CallError(f"not an SSH public key: {public_key[:60]}") from None
    if blob[4 : 4 + int.from_bytes(blob[:4], "big")] != kind.encode():  # the key names its own type
        raise CallError(f"not an SSH public key: {public_key[:60]}")
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def make_key(path: Path, comment: str) -> None:
    """A new ed25519 key without a passphrase, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    subprocess.run(
        [_ssh_keygen(), "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )


def _principal_fits(line: AllowedSigner, principal: str) -> bool:
    """A pattern list of ssh_config(5): '*' and '?', comma separated, '!' excludes."""
    return pattern_list(line.principals, principal)


def _namespace_fits(line: AllowedSigner, namespace: str) -> bool:
    wanted = (line.options or {}).get("namespaces")
    return wanted is None or pattern_list(wanted, namespace)


def pattern_list(patterns: str, text: str) -> bool:
    """Whether a pattern list of ssh_config(5) fits."""
    fits = False
    for pattern in patterns.split(","):
        # fnmatch also knows [sets], which OpenSSH's patterns do not: escape them.
        plain = pattern.removeprefix("!").replace("[", "[[]")
        if fnmatch.fnmatchcase(text, plain):
            if pattern.startswith("!"):
                return False
            fits = True
    return fits


def _time_fits(line: AllowedSigner, when: str) -> bool:
    options = line.options or {}
    moment = datetime.fromisoformat(when).timestamp()
    after, before = options.get("valid-after"), options.get("valid-before")
    try:
        return (after is None or moment >= instant(after)) and (before is None or moment < instant(before))
    except ValueError:
        return False  # a form that is not known here: ssh-keygen decides


def instant(text: str) -> float:
    """Seconds since 1970 of YYYYMMDD[HHMM[SS]][Z]; without Z it is local time, as in ssh-keygen(1)."""
    digits = text.removesuffix("Z")
    form = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}.get(len(digits))
    if form is None:
        raise ValueError(text)
    moment = datetime.strptime(digits, form)
    return (moment.replace(tzinfo=UTC) if text.endswith("Z") else moment).timestamp()


def _compact(when: str) -> str:
    return datetime.fromisoformat(when).astimezone(UTC).strftime("%Y%m%d%H%M%SZ")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
