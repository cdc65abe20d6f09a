"""One browser for all tests of this folder: its start costs more than any of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chromium import OPTIONS, Page
from selenium import webdriver
from selenium.webdriver.chrome.service import Service


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for option in [*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"]:
        options.add_argument(option)
    driver = webdriver.Chrome(options, Service("/usr/bin/chromedriver"))
    yield Page(driver)
    driver.quit()
