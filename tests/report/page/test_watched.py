"""A page that loads itself while results come."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.page_reader import addresses, choose, drawn, element, show, until
from helpers.patience import PATIENCE_SECONDS

LOADED = "return window.chart?.data && !window.before"


@contextmanager
def command(*words: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m gradsweep` with these words, here."""
    with subprocess.Popen(
        [sys.executable, "-m", "gradsweep", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_it_keeps_the_choices_folds_and_the_keyboard(chromium, rows, page_of, tmp_path):
    show(chromium, page_of(rows.filter(model="tiny"), tmp_path, refresh=1))
    choose(chromium, "metric", "effective_rank")
    element(chromium, "curve-values").find_element("css selector", "summary").click()
    chromium.execute_script("window.before = true; document.getElementById('metric').focus()")
    until(lambda: chromium.execute_script(LOADED))
    assert element(chromium, "metric").get_attribute("value") == "effective_rank"
    assert chromium.execute_script("return document.activeElement.id") == "metric"
    folded = element(chromium, "curve-values")
    assert until(lambda: folded.find_elements("css selector", "tbody tr"))


def test_a_reader_who_points_at_something_is_not_disturbed(chromium, rows, page_of, tmp_path):
    show(chromium, page_of(rows.filter(model="tiny"), tmp_path, refresh=1))
    chromium.execute_script("""
        window.before = true;
        window.pointing = setInterval(() => dispatchEvent(new Event("pointermove")), 100);
    """)
    late = "setTimeout(arguments[0], 2500)"
    chromium.execute_async_script(late)
    assert chromium.execute_script("return window.before")
    chromium.execute_script("clearInterval(pointing)")
    until(lambda: chromium.execute_script(LOADED))


@pytest.mark.long
@pytest.mark.usefixtures("wide_terminal")
def test_it_follows_a_real_sweep_to_its_end(chromium: Any, saved_model: Path) -> None:
    model = ["model=folder", f"model.source.path={saved_model}", "model.name=tiny"]
    few = ["n_samples=2", "gradients.projections=[q]", "tracking=none"]
    page = Path("results/reports/all/index.html")
    grid = ["cot=none,detailed", "correctness=correct"]
    with command("-m", *grid, *model, *few) as sweep:
        until(lambda: list(Path("results").glob("sweeps/*/manifest.json")))
        with command("report", "--watch", "1") as watch:
            until(page.exists)
            show(chromium, page.resolve())
            until(lambda: drawn_so_far(chromium))
            choose(chromium, "metric", "effective_rank")
            until(lambda: len(drawn_so_far(chromium)) == 2)
            assert sweep.wait(PATIENCE_SECONDS) == 0, sweep.stdout.read()
            assert watch.wait(PATIENCE_SECONDS) == 0, watch.stdout.read()
    until(lambda: not chromium.find_elements("id", "pause"))
    assert "2 done" in element(chromium, "states").text
    assert element(chromium, "metric").get_attribute("value") == "effective_rank"
    assert addresses(chromium) == {page.resolve().as_uri()}
    assert [line for line in chromium.get_log("browser") if line["level"] == "SEVERE"] == []


def drawn_so_far(browser: Any) -> list[list[float | None]]:
    """Curves in the page as it is now, which may be none yet."""
    there = "return Boolean(window.chart?.data)"
    return drawn(browser) if browser.execute_script(there) else []
