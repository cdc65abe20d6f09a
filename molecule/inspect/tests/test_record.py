"""What the inspections of the lab leave, judged by tools that know nothing of this project."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from conftest import HOSTS, Inspected, call
from docx import Document


def tool(*command: object, **options: object) -> str:
    """A stock tool's output; the test fails where it fails."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def test_sha256sum_and_ssh_keygen_alone_accept_every_entry(healthy: Inspected, ledger: Path) -> None:
    entries = sorted(ledger.glob("0*"))
    assert len(entries) >= 3
    signers = entries[0] / "allowed_signers"
    for entry in entries:
        tool("sha256sum", "-c", "--strict", "--quiet", "MANIFEST", cwd=entry)
        text = (entry / "MANIFEST").read_text()
        signer = next(line.split()[-1] for line in text.splitlines() if line.startswith("# signer "))
        command = ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", signer, "-n", "maintenance-record"]
        tool(*command, "-s", entry / "MANIFEST.sig", input=text)


def test_the_hospitals_script_finds_the_ledger_sound(healthy: Inspected, ledger: Path) -> None:
    script = next(ledger.glob("000001-genesis-*/verify.sh"))
    assert tool("sh", script, ledger).splitlines()[-1].startswith("sound: ")


def test_runner_verify_agrees_and_says_what_it_cannot_see_without_a_witness(
    healthy: Inspected, ledger: Path
) -> None:
    done = call("verify", ledger, "--json")
    assert done.code == 0, done.out
    assert done.told["faults"] == []
    assert done.told["blind_spots"]


@pytest.mark.parametrize("host", HOSTS)
def test_the_whole_snapshot_of_every_host_is_attached(healthy: Inspected, host: str) -> None:
    snapshot = json.loads((healthy.done.entry / f"attachments/{host}.host_snapshot.json").read_text())
    assert snapshot["schema"] == "host-snapshot/1"
    assert snapshot["data"]["identity"]["hostname"] == host


def test_the_word_report_opens_and_names_every_host(healthy: Inspected) -> None:
    (path,) = healthy.done.entry.glob("documents/*.docx")
    document = Document(str(path))
    cells = {cell.text for table in document.tables for row in table.rows for cell in row.cells}
    text = "\n".join([*cells, *(paragraph.text for paragraph in document.paragraphs)])
    assert [host for host in HOSTS if host not in text] == []
    assert "演练医院" in text


def test_the_pdf_is_readable_and_has_simplified_glyphs_only(healthy: Inspected) -> None:
    (path,) = healthy.done.entry.glob("documents/*.pdf")
    text = tool("pdftotext", "-layout", path, "-")
    assert "演练医院" in text
    assert [host for host in HOSTS if host not in text] == []
    fonts = [line.split()[0] for line in tool("pdffonts", path).splitlines()[2:]]
    chinese = [font for font in fonts if "CJK" in font or "Noto" in font]
    assert chinese
    assert [font for font in fonts if "jp" in font.lower() or "kr" in font.lower()] == []
    assert any("SC" in font or "sc" in font for font in chinese), fonts
