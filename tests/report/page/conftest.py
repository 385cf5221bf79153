"""A page of planted rows, and a browser to open it in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from helpers.planted_page import stored_of

from benchmarks.chromium import NoChromium
from benchmarks.chromium import chromium as started_chromium
from gradsweep.analysis import evaluate_claims as claims_of
from gradsweep.report.findings import findings_markdown
from gradsweep.report.measures import Measures, compute_measures
from gradsweep.report.page import prepare_page


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def page_of() -> Callable[..., Path]:
    """Writes the page of rows; metrics are the nuclear norm's unless others are asked for."""

    def write(
        rows: pl.DataFrame,
        folder: Path,
        metrics: Sequence[str] = ("nuclear_norm",),
        refresh: float | None = None,
        **changes: Any,
    ) -> Path:
        computed: list[Measures] = [compute_measures(rows, metric) for metric in metrics]
        findings = findings_markdown(claims_of(rows, metrics[0], resamples=100))
        stored = stored_of(rows, **changes)
        return prepare_page(folder, rows, computed, stored, refresh=refresh).write(findings)

    return write


@pytest.fixture(scope="session")
def rows(plant: Callable[..., pl.DataFrame]) -> pl.DataFrame:
    """Two models, six conditions each, in Q and K."""
    wide = [plant(projections="qk", n_layers=9, model=model) for model in ("tiny", "tiny_instruct")]
    return pl.concat(wide)


@pytest.fixture(scope="session")
def page(
    page_of: Callable[..., Path], rows: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return page_of(rows, tmp_path_factory.mktemp("report") / "two models")


@pytest.fixture(scope="session")
def data_of() -> Callable[[Path], dict[str, Any]]:
    """What the scripts of a page read."""

    def read(path: Path) -> dict[str, Any]:
        text = path.read_text(encoding="utf-8")
        found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
        assert found is not None
        content = json.loads(found[1])
        assert isinstance(content, dict)
        return content

    return read


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium, driven by Selenium; its downloads are in `downloads`."""
    downloads = tmp_path_factory.mktemp("downloads")
    try:
        with started_chromium(downloads) as browser:
            browser.downloads = downloads
            yield browser
    except NoChromium as missing:
        pytest.skip(str(missing))
