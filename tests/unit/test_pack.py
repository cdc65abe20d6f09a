"""The acceptance pack as a file: what is in it, what its start page says, and that its instructions work as written."""

from __future__ import annotations

import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from ledger_builder import Ledger, make_key

from maintenance import contract, cover, register
from maintenance.errors import CallError, VerificationError
from maintenance.pack import build

EXAMPLE = Path(__file__).parents[2] / "inventories" / "example_hospital" / "contract.yml"
HOSTILE = "<script>alert(1)</script>"
FACTS = {"hospital": HOSTILE, "vendor": "维保方", "system": "透析", "contract": "2026-001"}
RECORD = """{"runbook": {"name": "inspect", "title": {"zh": "巡检"}, "clauses": ["3.2.1"], "changes": "nothing"},
 "mode": "apply", "outcome": "%s", "hosts_processed": ["db1"], "finished": "2026-11-22T13:00:00Z"}"""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Two inspections, of which one failed, and a training."""
    made = Ledger.create(tmp_path / "ledger", make_key(tmp_path, "engineer"), make_key(tmp_path, "witness"))
    for number, outcome in enumerate(("succeeded", "failed")):
        name = f"20261122T13000{number}Z-inspect"
        made.add("open", name, {"open.json": "{}\n"})
        files: dict[str, str | bytes] = {"record.json": RECORD % outcome, "documents/report.pdf": b"%PDF"}
        made.add("close", name, files)
    entry = f'{{"what": "training", "clauses": ["4.2.1"], "text": "{HOSTILE}"}}\n'
    made.add("entry", "training-1", {"entry.json": entry, "attachments/list.pdf": b"%PDF"})
    return made


def write(ledger: Ledger, target: Path, **wanted: object) -> build.Pack:
    """A pack of the ledger."""
    return build.write(build.Wanted(ledger.root, FACTS, "zh", **wanted), target)  # type: ignore[arg-type]


def texts(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_it_holds_the_ledger_byte_for_byte_and_what_is_needed_to_check_it(
    ledger: Ledger, tmp_path: Path
) -> None:
    made = write(ledger, tmp_path / "pack.zip")
    files = texts(made.path)
    for path in ledger.root.rglob("*"):
        if path.is_file():
            assert files[f"ledger/{path.relative_to(ledger.root)}"] == path.read_bytes()
    beside = {name for name in files if not name.startswith("ledger/")}
    assert beside == {"index.html", "verify.html", "chain.html", "VERIFY.txt", "verify.sh", "allowed_signers"}
    assert (made.entries, made.included, made.documents) == (6, 6, 3)


def test_the_lists_by_which_it_was_verified_travel_with_it(ledger: Ledger, tmp_path: Path) -> None:
    revoked = make_key(tmp_path, "lost").with_suffix(".pub")
    heads = _heads(ledger, tmp_path)
    files = texts(write(ledger, tmp_path / "pack.zip", revoked=revoked, heads=heads).path)
    assert files["revoked"] == revoked.read_bytes()
    assert files["heads"] == heads.read_bytes()


def test_the_same_ledger_gives_the_same_bytes(ledger: Ledger, tmp_path: Path) -> None:
    assert write(ledger, tmp_path / "one.zip").sha256 == write(ledger, tmp_path / "two.zip").sha256


def test_the_start_page_counts_and_links_and_takes_nothing_for_markup(ledger: Ledger, tmp_path: Path) -> None:
    page = texts(write(ledger, tmp_path / "pack.zip").path)["index.html"].decode()
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert page.count("<script") == 0
    assert not re.search(r"https?://", page)
    for link in re.findall(r'href="(ledger/[^"]+)"', page):
        assert (ledger.root.parent / link).is_file()
    evidence, other = re.search(r">3\.2\.1</td>\s*<td>(.*?)</td>\s*<td>(.*?)</td>", page, re.S).groups()  # type: ignore[union-attr]
    assert "000003" in evidence
    assert "000005" in other


def test_with_a_contract_every_clause_is_listed_and_the_status_page_is_there(
    ledger: Ledger, tmp_path: Path
) -> None:
    agreed = contract.read(EXAMPLE)
    told = cover.build(
        agreed, register.read(ledger.root), [], "2026-11-22T15:00:00Z", site="lab", language="zh"
    )
    files = texts(write(ledger, tmp_path / "pack.zip", cover=told).path)
    page = files["index.html"].decode()
    for duty in agreed.duties:
        assert f">{duty.id}</td>" in page
    assert "status.html" in files


def test_a_part_of_the_ledger_keeps_every_signature(ledger: Ledger, tmp_path: Path) -> None:
    ledger.now = ledger.now.replace(month=12)
    later = ledger.add("entry", "training-2", {"entry.json": "{}\n"})
    made = write(ledger, tmp_path / "pack.zip", from_day="2026-12-01")
    files = texts(made.path)
    assert made.included == 1
    assert sum(name.endswith("/MANIFEST.sig") for name in files) == 7
    assert f"ledger/{later.name}/entry.json" in files
    assert not any(name.endswith(("record.json", "report.pdf")) for name in files)
    assert b"\xe5\x85\xb6\xe4\xbd\x99" in files["index.html"]  # 其余


def test_a_period_without_entries_makes_no_pack(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(CallError, match="no entry of"):
        write(ledger, tmp_path / "pack.zip", from_day="2030-01-01")
    assert list(tmp_path.glob("*.zip*")) == []


def test_a_broken_ledger_makes_no_pack(ledger: Ledger, tmp_path: Path) -> None:
    (ledger.entries[2] / "record.json").write_text("{}")
    with pytest.raises(VerificationError, match=r"no pack was made: 000003-close.*record\.json"):
        write(ledger, tmp_path / "pack.zip")
    assert list(tmp_path.glob("*.zip*")) == []


def test_the_instructions_work_as_they_are_written(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(
        write(ledger, tmp_path / "pack.zip", heads=_heads(ledger, tmp_path)).path
    ) as archive:
        archive.extractall(folder)
    text = (folder / "VERIFY.txt").read_text()
    commands = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    assert len(commands) == 6
    script = "set -eu\n" + "\n".join(commands)
    done = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'Good "maintenance-record" signature' in done.stdout
    assert done.stdout.count("sound: 6 entries") == 2
    (folder / "ledger" / ledger.entries[2].name / "record.json").write_text("{}")
    done = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode != 0


def _heads(ledger: Ledger, folder: Path) -> Path:
    path = folder / "hospital-heads"
    path.write_text(ledger.heads())
    return path
