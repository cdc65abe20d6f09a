"""A real Chromium without a screen, and the page that verifies a pack in it."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
]
FINAL = ("sound", "partial", "broken")
SECONDS = 60  # to wait at most; what is waited for is a state of the page


@dataclass
class Page:
    """The page, opened; and what it says."""

    driver: webdriver.Chrome

    def open(self, path: Path) -> Page:
        self.driver.get(f"{path.as_uri()}?lang=en")
        beside = path.with_name("chain.html").is_file()  # then the page has something to say by itself
        return self._wait(FINAL if beside else ("none",))

    def give(self, field: str, path: Path) -> Page:
        """Choose a file, as a reader does, and wait until the page has said its word."""
        self.driver.execute_script("document.documentElement.dataset.state = 'given'")
        self.driver.find_element(By.ID, field).send_keys(str(path))
        return self._wait(FINAL)

    def lost(self, time: str) -> Page:
        """Say when the revoked keys were lost."""
        self.driver.execute_script("document.documentElement.dataset.state = 'given'")
        self.driver.find_element(By.ID, "since").send_keys(f"{time}\t")
        return self._wait(FINAL)

    def _wait(self, states: tuple[str, ...]) -> Page:
        WebDriverWait(self.driver, SECONDS, poll_frequency=0.05).until(lambda _: self.state in states)
        return self

    @property
    def state(self) -> str | None:
        return self.driver.execute_script("return document.documentElement.dataset.state")  # type: ignore[no-any-return]

    def text(self, identity: str) -> str:
        return self.driver.find_element(By.ID, identity).text

    @property
    def faults(self) -> list[str]:
        """`entry what. meaning`, as shown."""
        return [item.text for item in self.driver.find_elements(By.CSS_SELECTOR, "#faults li")]


def zipped(folder: Path, target: Path) -> Path:
    """A pack whose ledger was tampered with: only what the page reads."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"ledger/{path.relative_to(folder)}")
    return target
