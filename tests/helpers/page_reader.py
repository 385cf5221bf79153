"""What a reader does with a page: opens it, chooses, presses, waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.patience import wait_until


def until(condition: Callable[[], Any]) -> Any:
    return wait_until(condition, "what the reader waits for")


def addresses(browser: Any) -> set[str]:
    """What was asked for since the last call; the browser's own pages aside."""
    asked = set()
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.add(message["params"]["request"]["url"])
    return {url for url in asked if not url.startswith(("chrome", "data:", "blob:"))}


def show(browser: Any, page: Path, width: int = 1280, scheme: str = "light") -> None:
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.get(page.as_uri())
    browser.execute_script("sessionStorage.clear()")
    browser.get_log("browser")
    addresses(browser)
    browser.refresh()


def element(browser: Any, name: str) -> Any:
    """The element with this id, in the middle of the window."""
    found = browser.find_element("id", name)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
    return found


def choose(browser: Any, name: str, value: str) -> None:
    element(browser, name).find_element("css selector", f"option[value='{value}']").click()


def press(browser: Any, preset: str) -> None:
    """Press the button of a chart: curves, pairs, differences, models, datasets."""
    element(browser, "presets").find_element("css selector", f"[data-preset='{preset}']").click()


def tick(browser: Any, value: str) -> None:
    """Press the check box of a projection, model, level or correctness."""
    element(browser, "filters").find_element("css selector", f"input[value='{value}']").click()


def drawn(browser: Any) -> list[list[float | None]]:
    """y values of every curve in the chart, bands and dots aside."""
    code = "return chart.data.filter((t) => t.hoverinfo !== 'skip').map((t) => [...t.y])"
    found = browser.execute_script(code)
    assert isinstance(found, list)
    return found


def downloaded(browser: Any, name: str, button: str) -> Path:
    path = Path(browser.downloads) / name
    path.unlink(missing_ok=True)
    element(browser, button).click()
    until(lambda: is_whole(path))
    return path


def is_whole(path: Path) -> bool:
    """Chromium first reserves the name with an empty file, then renames what it has written."""
    written = path.is_file() and path.stat().st_size > 0
    return written and not list(path.parent.glob("*.crdownload"))
