"""`python -m benchmarks.page`: how long a large report's page takes to write and to open.

Points with invented spectra are stored as a run stores them, their page is written, and a
headless Chromium opens it, each time newly started and with an empty profile. The time is from
the start of the navigation to the first frame after the curves are there.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.chromium import NoChromium, chromium
from gradsweep.analysis import evaluate_claims
from gradsweep.records import Axes, SampleResult, SampleStatus, SpectrumRow
from gradsweep.report.findings import findings_markdown
from gradsweep.report.measures import compute_measures
from gradsweep.report.page import prepare_page, report_points
from gradsweep.store import PointPaths, load_rows
from gradsweep.store.point import open_point
from gradsweep.store.selection import Selection

DATASETS = (
    "aqua",
    "gsm8k",
    "math_algebra",
    "math_counting",
    "math_geometry",
    "creak",
    "ecqa",
    "sensemaking",
    "strategyqa",
    "wiki_popular_100",
)
CONDITIONS = tuple(product(DATASETS, ("none", "detailed"), ("correct", "irrelevant")))

LONGEST_WAIT = 60.0

DRAWN = """
const curve = "#chart .scatterlayer .js-line[d]";
const look = () => {
  if (!document.querySelector(curve)) return requestAnimationFrame(look);
  requestAnimationFrame(() => setTimeout(() => { window.drawnAfter = performance.now(); }));
};
requestAnimationFrame(look);
"""
"""`drawnAfter`: milliseconds since the navigation began, once a frame with curves was shown."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status; 0 with a message where there is no Chromium."""
    given = _arguments(argv)
    try:
        with chromium() as browser:
            version = browser.capabilities["browserVersion"]
    except NoChromium as missing:
        print(f"skipped: {missing}")
        return 0
    with TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        plant(results, given.models, given.layers, given.samples)
        page, seconds = write(results)
        times = [opened(page) for _ in range(given.rounds)]
        print(
            f"points      {len(CONDITIONS) * given.models} × {given.layers} layers × 4 projections"
        )
        print(f"page        {page.stat().st_size / 1e6:.1f} MB, written in {seconds:.1f} s")
    print(
        f"opened in   {median(times):.2f} s (median of {len(times)} newly started browsers; "
        f"{min(times):.2f} to {max(times):.2f})"
    )
    print(
        f"Chromium    {version}, {os.cpu_count()} cores, {platform.machine()}, "
        f"load average {os.getloadavg()[0]:.1f}"
    )
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.page", description=__doc__)
    parser.add_argument("--models", type=int, default=5, help="of 40 points each (default: 5)")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--samples", type=int, default=3, help="of each point (default: 3)")
    parser.add_argument("--rounds", type=int, default=7, help="newly started browsers (default: 7)")
    return parser.parse_args(argv)


def plant(results: Path, n_models: int, n_layers: int, n_samples: int) -> None:
    """Store points with invented numbers under `results`."""
    noise = np.random.default_rng(0)
    for number, (model, condition) in enumerate(product(range(n_models), CONDITIONS)):
        axes = Axes(f"model_{model}", *condition)
        named = {axis: value for axis, value in vars(axes).items() if axis != "objective"}
        science = {**named, "model": {"kind": "folder"}, "dataset": {"name": axes.dataset}}
        config = {"seed": 0, "n_samples": n_samples, "cot": {"level": axes.cot}, "sweep": None}
        record = {"axes": vars(axes), "science": science, "config": config, "versions": {}}
        paths = PointPaths(results, f"{number:016x}")
        with open_point(paths, {"point_id": paths.point_id} | record) as store:
            store.append([_sample(index, n_layers, noise) for index in range(n_samples)])
            store.finish({})


def _sample(index: int, n_layers: int, noise: np.random.Generator) -> SampleResult:
    rows = tuple(
        _row(layer, projection, float(noise.lognormal(1, 0.5)))
        for layer, projection in product(range(n_layers), "qkvo")
    )
    name = f"question{index}"
    return SampleResult(name, name, index, SampleStatus.OK, n_response_tokens=5, rows=rows)


def _row(layer: int, projection: str, norm: float) -> SpectrumRow:
    return SpectrumRow(
        layer=layer,
        projection=projection,
        nuclear_norm=norm,
        sigma_max=norm / 2,
        sigma_ratio=0.5 + 0.01 * norm,
        frobenius_norm=norm / 1.5,
        effective_rank=3 + norm,
        stable_rank=2 + norm,
        spectral_entropy=1 + norm,
        condition_number=9 + norm,
        rank=4,
        checksum_error=1e-15,
        finite=True,
        solver="token_gram",
    )


def write(results: Path) -> tuple[Path, float]:
    """Write the page as `report` does; return its path and the seconds it took, numbers too."""
    start = time.perf_counter()
    rows = load_rows(results)
    computed = [compute_measures(rows, metric) for metric in ("nuclear_norm", "sigma_ratio")]
    findings = findings_markdown(evaluate_claims(rows, "nuclear_norm"))
    stored = report_points(Selection(results), rows)
    page = prepare_page(results / "reports" / "all", rows, computed, stored).write(findings)
    return page, time.perf_counter() - start


def opened(page: Path) -> float:
    """Open the page; return the seconds from the start of the navigation to a frame with curves."""
    with chromium() as browser:
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": DRAWN})
        browser.get(page.as_uri())
        end = time.monotonic() + LONGEST_WAIT
        while (milliseconds := browser.execute_script("return window.drawnAfter")) is None:
            if time.monotonic() > end:
                raise TimeoutError(f"no curves after {LONGEST_WAIT:g} s")
            time.sleep(0.05)
    return float(milliseconds) / 1000


if __name__ == "__main__":
    raise SystemExit(main())
