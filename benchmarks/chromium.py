"""A headless Chromium with a profile of its own, driven by Selenium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # it opens only pages that were made here; as root there is no other way
    "--disable-gpu",
    "--disable-dev-shm-usage",  # a container's is small
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)


class NoChromium(Exception):
    """No browser can be started; the message tells a user what is missing."""


@contextmanager
def chromium(downloads: Path | None = None) -> Iterator[Any]:
    """Start a Selenium driver with the console and the network in its logs; nothing cached.

    Files that a page saves go to `downloads`.

    Raises:
        NoChromium: selenium, Chromium or chromedriver is missing.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    driver = shutil.which("chromedriver")
    try:
        from selenium import webdriver
    except ImportError:
        raise NoChromium("selenium is not installed: pip install 'gradsweep[browser]'") from None
    if program is None or driver is None:
        raise NoChromium("no Chromium with chromedriver here (Debian: chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # Chromium still writes to its profile while it ends.
    with TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
        try:
            if downloads is not None:
                allowed = {"behavior": "allow", "downloadPath": str(downloads)}
                browser.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
            yield browser
        finally:
            browser.quit()
