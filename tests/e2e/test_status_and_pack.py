"""Status and pack as a user calls them, on a site of its own."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, Done

Call = Callable[..., Done]
SITE = "test_status"


@pytest.fixture
def site() -> Iterator[Path]:
    """A site with the example's contract."""
    folder = REPOSITORY / "inventories" / SITE
    folder.mkdir()
    shutil.copy(REPOSITORY / "inventories" / "example_hospital" / "contract.yml", folder)
    (folder / "hosts.yml").write_text("all: {hosts: {localhost: {ansible_connection: local}}}\n")
    (folder / "site.yml").write_text(f"site: {SITE}\nself_issued_key: true\ncontract_file: contract.yml\n")
    yield folder
    shutil.rmtree(folder)
    for key in (REPOSITORY / "var" / "keys").glob(f"{SITE}_ed25519*"):
        key.unlink()


def test_from_a_call_to_a_pack_that_stock_tools_verify(runner: Call, site: Path, tmp_path: Path) -> None:
    options = ("--site", SITE, "--ledger", tmp_path / "ledger")
    training = ("--field", "topic=透析记录录入", "--field", "trainer=张工", "--field", "attendees=12 人")
    assert runner("log", "training", *options, *training, "--at", "2026-03-02 15:00").code == 0
    # As of today, whenever that is: of an earlier day an entry that was made today is not known yet.
    done = runner("status", *options, "--html", tmp_path / "status.html", "--json")
    assert done.code == 0, done.err
    rows = {row["id"]: row for row in done.json["rows"]}
    assert rows["4.2.1"]["state"] == "kept"
    assert rows["3.2.1"]["state"] == "overdue"
    assert "透析记录录入" in (tmp_path / "status.html").read_text()
    before = runner("status", *options, "--at", "2026-11-20", "--json").json["rows"]
    assert {row["id"]: row["state"] for row in before}["4.2.1"] == "due_soon"
    shown = runner("status", *options, "--at", "2026-11-23").out
    assert "逾期" in shown
    assert "人员培训" in shown
    done = runner("pack", *options, "-o", tmp_path / "pack.zip", "--json")
    assert done.code == 0, done.err
    assert Path(done.json["entry"]).name.startswith("000003-entry-pack-")
    with zipfile.ZipFile(tmp_path / "pack.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    verified = subprocess.run(
        ["sh", "verify.sh", "ledger"], cwd=tmp_path / "unpacked", capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stdout.splitlines()[-1]) == (0, "sound: 2 entries")
    again = runner("pack", *options, "-o", tmp_path / "pack.zip")
    assert again.code == 2
    assert "is there already" in again.line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "--site", "self"], "names no contract: set contract_file"),
        (["status", "--site", SITE, "--at", "soon"], "--at takes a day as 2026-11-23"),
        (["status", "--site", SITE, "--html", "/etc/passwd/x.html"], "x.html cannot be written"),
        (["pack", "--site", SITE, "-o", "/etc/passwd/x.zip"], "/etc/passwd is not a folder"),
        (["pack", "--site", SITE, "-o", "x.zip", "--from", "2026-02-30"], "--from takes a day"),
        (
            ["pack", "--site", SITE, "-o", "x.zip", "--from", "2026-03-01", "--to", "2026-02-01"],
            "is after --to",
        ),
        (["pack", "--site", SITE, "-o", "x.zip"], "is not a ledger: it holds no entries"),
        (
            [
                "order",
                "inspect",
                "--site",
                "self",
                "--window",
                "x",
                "--notified",
                "x",
                "--reason",
                "x",
                "-o",
                "o.json",
            ],
            "FROM/TO",
        ),
        (
            ["approve", "/etc/passwd/o", "--key", "/etc/passwd/k"],
            "/etc/passwd/o cannot be read: Not a directory",
        ),
        (
            ["run", "configure_witness", "--site", SITE, "--order", "/etc/passwd"],
            "/etc/passwd is not an order",
        ),
    ],
)
def test_what_is_wrong_is_one_line(
    runner: Call, site: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = runner(*arguments, cwd=tmp_path)
    assert done.code == 2, done.err
    assert said in done.line
    assert list(tmp_path.iterdir()) == []
