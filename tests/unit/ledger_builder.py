"""Sound ledgers, made with the real ssh-keygen, for the tests of what verifies and witnesses them.

Written from the description of the format alone, without maintenance/, so that both sides are tested by it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

SITE = "lab"
ENGINEER = "engineer@vendor.example"
WITNESS = "witness@hospital.example"
RECORD = "maintenance-record"
RECEIPT = "maintenance-receipt"
TIME = "%Y-%m-%dT%H:%M:%SZ"


def make_key(folder: Path, name: str) -> Path:
    """Make an ed25519 key pair and return the path of its private half."""
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key], check=True)
    return key


def public(key: Path) -> str:
    """Return type and base64 of the public half, as an allowed_signers line takes them."""
    return " ".join(Path(f"{key}.pub").read_text().split()[:2])


def sign(key: Path, namespace: str, text: bytes) -> bytes:
    """Sign through stdin and stdout: with files ssh-keygen asks before it overwrites, and exits 0."""
    command = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", namespace]
    return subprocess.run(command, input=text, capture_output=True, check=True).stdout


def digest(data: bytes) -> str:
    """Return the SHA-256 as sha256sum prints it."""
    return hashlib.sha256(data).hexdigest()


@dataclass
class Ledger:
    """A ledger under construction; every method that adds leaves it sound."""

    root: Path
    key: Path
    allowed_signers: str
    site: str = SITE
    signer: str = ENGINEER
    now: datetime = datetime(2026, 11, 22, 13, 0, 0, tzinfo=UTC)
    entries: list[Path] = field(default_factory=list)

    @classmethod
    def create(cls, root: Path, key: Path, witness: Path | None = None, **options: object) -> Ledger:
        """Begin a ledger with its genesis, which names the engineer's key and the witness's."""
        lines = [f'{ENGINEER} namespaces="{RECORD}" {public(key)}\n']
        if witness:
            lines.append(f'{WITNESS} namespaces="{RECEIPT}" {public(witness)}\n')
        root.mkdir(parents=True)
        ledger = cls(root, key, "".join(lines), **options)  # type: ignore[arg-type]
        ledger.add("genesis", ledger.site, {"site.json": "{}\n", "allowed_signers": ledger.allowed_signers})
        return ledger

    def copy(self, root: Path) -> Ledger:
        """Return a ledger of its own with the same content."""
        shutil.copytree(self.root, root)
        return replace(self, root=root, entries=[root / entry.name for entry in self.entries])

    def manifest(self, kind: str, run: str, files: dict[str, bytes]) -> bytes:
        """Return the text of the next entry's MANIFEST."""
        seq = len(self.entries) + 1
        head = {"site": self.site, "seq": seq, "kind": kind, "run": run, "signer": self.signer}
        lines = ["# maintenance-record-manifest v1", *(f"# {key} {value}" for key, value in head.items())]
        lines.append(f"# time {self.now.strftime(TIME)}")
        if self.entries:
            before = self.entries[-1]
            lines.append(f"{digest((before / 'MANIFEST').read_bytes())}  ../{before.name}/MANIFEST")
        lines += [f"{digest(data)}  {path}" for path, data in sorted(files.items())]
        return ("\n".join(lines) + "\n").encode()

    def add(self, kind: str, run: str, files: dict[str, str | bytes] | None = None) -> Path:
        """Append one signed entry."""
        content = {"record.json": "{}\n"} if files is None else files
        data = {path: text.encode() if isinstance(text, str) else text for path, text in content.items()}
        manifest = self.manifest(kind, run, data)
        entry = self.root / f"{len(self.entries) + 1:06d}-{kind}-{run}"
        for path, blob in data.items():
            (entry / path).parent.mkdir(parents=True, exist_ok=True)
            (entry / path).write_bytes(blob)
        (entry / "MANIFEST").write_bytes(manifest)
        (entry / "MANIFEST.sig").write_bytes(sign(self.key, RECORD, manifest))
        self.entries.append(entry)
        self.now += timedelta(minutes=1)
        return entry

    def run(self, name: str) -> tuple[Path, Path]:
        """Append a run: its open and its close."""
        opened = self.add("open", name, {"open.json": f'{{"run": "{name}"}}\n'})
        report = b"PK\x03\x04" + name.encode()
        files: dict[str, str | bytes] = {"record.json": f'{{"run": "{name}"}}\n', "documents/a.docx": report}
        return opened, self.add("close", name, files)

    def resign(self, entry: Path, *, namespace: str = RECORD, key: Path | None = None) -> None:
        """Sign an entry's MANIFEST again, as it is now."""
        manifest = (entry / "MANIFEST").read_bytes()
        (entry / "MANIFEST.sig").write_bytes(sign(key or self.key, namespace, manifest))

    def relist(self, entry: Path) -> None:
        """Rewrite an entry's list to fit its files and sign it again: what a forger with a key does."""
        manifest = entry / "MANIFEST"
        fixed = manifest.read_text().splitlines()[: 7 if entry == self.entries[0] else 8]
        own = {manifest, entry / "MANIFEST.sig"}
        paths = sorted(path for path in entry.rglob("*") if path.is_file() and path not in own)
        lines = [*fixed, *(f"{digest(path.read_bytes())}  {path.relative_to(entry)}" for path in paths)]
        manifest.write_text("\n".join(lines) + "\n")
        self.resign(entry)

    def relink(self, index: int) -> None:
        """Sign everything from an index on again, links included: the whole-chain attack."""
        for before, entry in zip(self.entries[index - 1 :], self.entries[index:], strict=False):
            lines = (entry / "MANIFEST").read_text().splitlines()
            lines[7] = f"{digest((before / 'MANIFEST').read_bytes())}  ../{before.name}/MANIFEST"
            (entry / "MANIFEST").write_text("\n".join(lines) + "\n")
            self.resign(entry)

    def at(self, seq: int) -> str:
        """Return when an honest witness would have received an entry: a second after it was made."""
        made = (self.entries[seq - 1] / "MANIFEST").read_text().splitlines()[6].removeprefix("# time ")
        return (datetime.strptime(made, TIME).replace(tzinfo=UTC) + timedelta(seconds=1)).strftime(TIME)

    def heads(self) -> str:
        """Return what an honest witness would have listed by now."""
        pairs = enumerate(self.entries, 1)
        return "".join(
            f"{seq} {digest((path / 'MANIFEST').read_bytes())} {self.at(seq)}\n" for seq, path in pairs
        )

    def receipts(self, witness: Path, upto: int, time: str = "") -> dict[str, str | bytes]:
        """Return the files by which a later entry brings the receipts of the first `upto` entries home."""
        files: dict[str, str | bytes] = {}
        for seq, entry in enumerate(self.entries[:upto], 1):
            text, signature = receipt(
                witness, seq, digest((entry / "MANIFEST").read_bytes()), time or self.at(seq)
            )
            files |= {f"receipts/{seq:06d}.receipt": text, f"receipts/{seq:06d}.receipt.sig": signature}
        return files


def receipt(witness: Path, seq: int, sha256: str, time: str, site: str = SITE) -> tuple[bytes, bytes]:
    """Return the text and signature of a receipt, as the witness makes them."""
    text = f"maintenance-receipt v1\nsite {site}\nseq {seq}\nsha256 {sha256}\ntime {time}\n".encode()
    return text, sign(witness, RECEIPT, text)
