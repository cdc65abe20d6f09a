"""What the evidence costs to read: status and pack of a long ledger, and the page that verifies the pack in a browser."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.measure import Line, alternate, command
from lab.plan import REPOSITORY
from maintenance import ledger
from maintenance.pack import build as packing
from maintenance.signing import Signer, make_key

RECORDS = (500, 2_000)  # the smaller one shows whether the cost grows in proportion
_BEGIN = datetime(2025, 12, 1, tzinfo=UTC)
_INSPECTION_BYTES = 290_000  # record.json of five hosts, measured in the lab
_DOCUMENT_BYTES = 60_000
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def evidence() -> Iterator[Line]:
    """status, pack and the page, on ledgers of two sizes."""
    with tempfile.TemporaryDirectory(prefix="bench-evidence-") as name:
        folder = Path(name)
        site = _site(folder)
        try:
            small, large = (_built(count) for count in RECORDS)
            yield from _commands(site.name, small, large, folder)
            yield from _page(small, large, folder)
        finally:
            shutil.rmtree(site)


def _commands(site: str, small: Path, large: Path, folder: Path) -> Iterator[Line]:
    runner = str(REPOSITORY / "runner.py")

    def status(path: Path) -> bytes:
        return command([runner, "status", "--site", site, "--ledger", str(path), "--json"])

    def pack(path: Path) -> bytes:
        target = str(folder / "pack.zip")
        return command(
            [runner, "pack", "--site", site, "--ledger", str(path), "-o", target, "--force", "--json"]
        )

    costs = alternate(
        3,
        status=lambda: status(large),
        status_small=lambda: status(small),
        pack=lambda: pack(large),
        pack_small=lambda: pack(small),
    )
    growth = RECORDS[1] / RECORDS[0]
    for what in ("status", "pack"):
        long, short = costs[what].wall, costs[f"{what}_small"].wall
        yield Line(f"{what} of {RECORDS[1]} records", long, 10.0, "the aim of 10 s", 1)
        yield Line(
            f"{what}: {RECORDS[1]} records", long, short * growth, f"{growth:g} x {RECORDS[0]} records", 1.2
        )


def _page(small: Path, large: Path, folder: Path) -> Iterator[Line]:
    packs = {
        path: packing.write(packing.Wanted(path, {}, "en"), folder / f"{path.name}.zip").path
        for path in (small, large)
    }
    seconds = {path: sorted(_verified(pack, folder) for _ in range(3))[1] for path, pack in packs.items()}
    growth = RECORDS[1] / RECORDS[0]
    yield Line(f"verify.html: {RECORDS[1]} records in Chromium", seconds[large], 5.0, "the aim of 5 s", 1)
    yield Line(
        f"verify.html: {RECORDS[1]} records",
        seconds[large],
        seconds[small] * growth,
        f"{growth:g} x {RECORDS[0]} records",
        1.2,
    )


def _verified(pack: Path, folder: Path) -> float:
    """Seconds from the choice of the file to the page's word."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By

    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for option in (*_OPTIONS, f"--user-data-dir={tempfile.mkdtemp(dir=folder)}"):
        options.add_argument(option)
    driver = webdriver.Chrome(options, Service("/usr/bin/chromedriver"))
    try:
        driver.get(packing.PAGE.as_uri())
        begun = time.monotonic()
        driver.find_element(By.ID, "zip").send_keys(str(pack))
        while (state := driver.execute_script("return document.documentElement.dataset.state")) != "sound":
            if state == "broken" or time.monotonic() - begun > 120:
                raise RuntimeError(f"the page did not find the pack sound: {state}")
            time.sleep(0.02)
        return time.monotonic() - begun
    finally:
        driver.quit()


def _site(folder: Path) -> Path:
    """A site with the example's contract, for the ledgers of this benchmark."""
    site = REPOSITORY / "inventories" / "test_bench_evidence"
    site.mkdir()
    shutil.copy(REPOSITORY / "inventories" / "example_hospital" / "contract.yml", site)
    (site / "hosts.yml").write_text("all: {hosts: {one: {}}}\n")
    key = REPOSITORY / "var" / "bench" / "key"
    if not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        make_key(key, "bench@bench")
    (site / "allowed_signers").write_text(_allowed(Signer("bench@bench", key)))
    (site / "site.yml").write_text(
        f"site: {site.name}\ncontract_file: contract.yml\nprincipal: bench@bench\nkey: {key}\n"
        f"ledger: {folder / 'none'}\n"
    )
    return site


def _allowed(signer: Signer) -> str:
    return f'bench@bench namespaces="maintenance-record" {signer.public_key}\n'


def _built(count: int) -> Path:
    path = REPOSITORY / "var" / "bench" / f"evidence-{count}"
    if not path.is_dir():
        print(f"building a ledger of {count} records in {path} (once)", flush=True)
        _build(path, count)
    return path


def _build(path: Path, count: int) -> None:
    """A year as it is: one inspection in ten, else small runs, calls and trainings."""
    unfinished = path.with_name(path.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    signer = Signer("bench@bench", REPOSITORY / "var" / "bench" / "key")
    with ledger.locked(unfinished, "test_bench_evidence") as book:
        files: dict[str, bytes | Path] = {"allowed_signers": _allowed(signer).encode(), "site.json": b"{}\n"}
        book.append("genesis", "test_bench_evidence", files, signer=signer, when=_at(0, count))
        for number in range(count):
            when = _at(number, count)
            if number % 10 in (0, 5):
                _run(book, signer, number, when, inspection=number % 10 == 0)
            else:
                entry = {"what": "phone", "at": when, "clauses": ["4.1.2"], "text": "x" * 300, "fields": {}}
                book.append(
                    "entry", f"phone-{number}", {"entry.json": _json(entry)}, signer=signer, when=when
                )
    unfinished.rename(path)


def _run(book: ledger.Book, signer: Signer, number: int, when: str, *, inspection: bool) -> None:
    name = f"r{number}"
    book.append("open", name, {"open.json": _json({"run": name, "case": None})}, signer=signer, when=when)
    size = _INSPECTION_BYTES if inspection else _INSPECTION_BYTES // 15
    step = {
        "host": "db1",
        "task": "Look at it",
        "result": "ok",
        "message": "",
        "started": when,
        "duration_ms": 3,
    }
    facts = {
        "runbook": {"name": "inspect", "title": {"zh": "巡检"}, "clauses": ["3.2.1"], "changes": "nothing"},
        "mode": "apply",
        "outcome": "succeeded",
        "hosts_processed": ["db1"],
        "finished": when,
        "steps": [step] * (size // len(_json(step))),
    }
    files: dict[str, bytes | Path] = {"record.json": _json(facts)}
    if inspection:
        files |= {f"documents/report.{kind}": os.urandom(_DOCUMENT_BYTES) for kind in ("docx", "pdf")}
    book.append("close", name, files, signer=signer, when=when)


def _at(number: int, count: int) -> str:
    return (_BEGIN + timedelta(days=350) * number / count).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False) + "\n").encode()
