"""What recording costs: the run, verification of a long ledger, the documents."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.hosts import HOSTS, playbook
from bench.measure import Line, alternate, command
from lab.plan import REPOSITORY, Lab
from lab.site import describe, folder
from maintenance import ledger
from maintenance.signing import Signer, make_key

ENTRIES = 10_000
BUILT = REPOSITORY / "var" / "bench" / f"ledger-{ENTRIES}"
RENDER = """
import json, sys, tempfile
from pathlib import Path
from maintenance import record
from maintenance.documents import inspection, pdf
entry = Path(sys.argv[1])
snapshots = {}
for path in sorted((entry / "attachments").glob("*.json")):
    host, module, _ = path.name.rsplit(".", 2)
    snapshots.setdefault(host, {})[module] = json.loads(path.read_bytes())
made = record.from_bytes((entry / "record.json").read_bytes())
facts = inspection.EntryFacts(seq=3, record_sha256="0" * 64, previous_manifest_sha256="0" * 64)
with tempfile.TemporaryDirectory() as folder:
    (document,) = inspection.render_inspection(made, snapshots, Path(folder), entry=facts)
    if sys.argv[2:] == ["pdf"]:
        assert pdf.convert(document, Path(folder))[0], "LibreOffice is not installed: make setup-pdf"
"""


def recording(lab: Lab) -> Iterator[Line]:
    """runner.py against bare ansible-playbook on the same hosts, with and without the documents."""
    site = describe(lab, list(HOSTS))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "ledger"
        call = [
            str(REPOSITORY / "runner.py"),
            "run",
            "inspect",
            "--site",
            site.name,
            "--ledger",
            str(path),
            "--json",
            "--quiet",
        ]
        entry = json.loads(command(call))["entry"]
        costs = alternate(
            5,
            bare=lambda: playbook(folder(lab)),
            recorded=lambda: command(call),
            documents=lambda: render(entry, "pdf"),
        )
        bare, whole, documents = (costs[name].wall for name in ("bare", "recorded", "documents"))
        yield Line(
            "recorded run of 4 hosts, documents taken off", whole - documents, bare, "ansible-playbook", 1.05
        )
        yield Line("recorded run of 4 hosts, with docx and pdf", whole, bare, "ansible-playbook", None)
        yield Line("docx and pdf of that run, a process of its own", documents, 5.0, "the aim of 5 s", 1)


def render(entry: str, *form: str) -> None:
    """Render one entry's documents again in a process of their own."""
    command([sys.executable, "-c", RENDER, entry, *form], cwd=REPOSITORY)


def verification() -> Iterator[Line]:
    """`runner.py verify` of a ledger of 10,000 entries, built once."""
    if not BUILT.is_dir():
        print(f"building a ledger of {ENTRIES} entries in {BUILT} (once)", flush=True)
        build(BUILT)
    seconds = alternate(3, verify=lambda: command([str(REPOSITORY / "runner.py"), "verify", str(BUILT)]))[
        "verify"
    ].wall
    yield Line(f"verify {ENTRIES} entries", seconds, 10.0, "the aim of 10 s", 1)


def build(path: Path) -> None:
    """Runs as they are: an open and a close with a record, a snapshot and a document."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    key = unfinished.with_name("key")
    if not key.exists():
        make_key(key, "bench@bench")
    signer = Signer("bench@bench", key)
    allowed = f'bench@bench namespaces="maintenance-record" {signer.public_key}\n'.encode()
    with ledger.locked(unfinished, "bench") as book:
        if not book.entries():
            book.append("genesis", "bench", {"allowed_signers": allowed}, signer=signer)
        while book.next_seq <= ENTRIES:
            run = f"r{book.next_seq}"
            book.append("open", run, {"open.json": b"{}\n"}, signer=signer)
            files: dict[str, bytes | Path] = {
                "record.json": os.urandom(20_000),
                "documents/report.docx": os.urandom(10_000),
            }
            book.append("close", run, files, signer=signer)
    unfinished.rename(path)
