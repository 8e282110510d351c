"""A real browser for the tests: Chromium without a window, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

__all__ = ["CHROMIUM", "HOW", "chromium"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOW = "needs Chromium and Playwright: apt-get install chromium, pip install playwright"

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Without a sandbox it runs as root, as in a container; without the rest it looks for hosts outside."""


def chromium() -> Iterator[object]:
    """Start the browser, or skip the tests that need it and say what is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason=HOW)
    if CHROMIUM is None:
        pytest.skip(HOW)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
