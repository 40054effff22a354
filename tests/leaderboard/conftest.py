"""A browser for tests of pages."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import require


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Return a running Chromium, driven by Playwright."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    require("chromium", found is not None, "install Debian's package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
