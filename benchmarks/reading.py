"""`python -m benchmarks.reading`: how long verbs take that read a results folder, and in how much.

Points with invented numbers are planted (benchmarks/planted.py); then every verb runs in a process
of its own, as a person would type it. `report` comes three times: with nothing kept from before
and one point missing, again at once, and after that point has been added.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.environment import environment, load_average
from benchmarks.planted import GRIDS, Grid, plant
from gradsweep.store import PointPaths
from gradsweep.store.paths import cache_folder

VERBS = ("plan", "status", "retry", "report", "compare", "doctor")


@dataclass(frozen=True)
class Run:
    """One verb, once."""

    what: str
    seconds: float
    cpu_seconds: float
    peak_mb: float
    status: int
    note: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; the exit status is 1 when a verb has failed."""
    given = _arguments(argv)
    grid = GRIDS[given.points]
    grid = replace(grid, samples=given.samples or grid.samples, layers=given.layers or grid.layers)
    before, runs = load_average(), []
    with TemporaryDirectory(dir=given.folder) as folder:
        results = Path(folder) / "results"
        start = time.perf_counter()
        points = plant(results, grid)
        print(
            f"planted {len(points)} points in {time.perf_counter() - start:.0f} s", file=sys.stderr
        )
        for run in _runs(results, points, grid, given.verbs):
            print(f"{run.what}: {run.seconds:.1f} s, {run.peak_mb:,.0f} MB", file=sys.stderr)
            runs.append(run)
    print(table(runs, len(points), grid))
    about = environment() | {"load average": f"{before} before, {load_average()} after (1 minute)"}
    print("\n" + "\n".join(f"- {name}: {value}" for name, value in about.items()))
    # 1 of doctor says that a check has failed, which invented numbers may well.
    return int(any(run.status not in ((0, 1) if run.what == "doctor" else (0,)) for run in runs))


def table(runs: Sequence[Run], n_points: int, grid: Grid) -> str:
    """Write Markdown: a line for each run."""
    lines = [
        f"{n_points:,} points × {grid.samples} samples × {grid.layers} layers × 4 projections",
        "",
        "| verb | seconds | of processors | peak memory | |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {run.what} | {run.seconds:.1f} | {run.cpu_seconds:.1f} | {run.peak_mb:,.0f} MB | "
        f"{run.note or ('' if not run.status else f'exit status {run.status}')} |"
        for run in runs
    ]
    return "\n".join(lines)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.reading",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--points", type=int, choices=GRIDS, default=192, help="default: 192")
    parser.add_argument("--samples", type=int, help="of each point (default: by the number)")
    parser.add_argument("--layers", type=int, help="of each point (default: by the number)")
    parser.add_argument(
        "--verbs",
        type=lambda text: text.split(","),
        default=VERBS,
        help=f"comma-separated, of {', '.join(VERBS)} (default: all)",
    )
    parser.add_argument("--folder", type=Path, help="where to plant (default: a temporary folder)")
    given = parser.parse_args(argv)
    if unknown := set(given.verbs) - set(VERBS):
        parser.error(f"--verbs: {', '.join(sorted(unknown))} unknown; there are {', '.join(VERBS)}")
    return given


def _runs(
    results: Path, points: Sequence[PointPaths], grid: Grid, verbs: Sequence[str]
) -> Iterator[Run]:
    place = str(results)
    if "plan" in verbs:
        yield _run("plan", "plan", "-m", *grid.overrides, f"store.root={place}")
    for verb in ("status", "retry"):
        if verb in verbs:
            yield _run(f"{verb}, first", verb, place)
            yield _run(f"{verb}, again", verb, place)
    if "report" in verbs:
        yield from _reports(results, points[-1])
    if "compare" in verbs:
        yield _run("compare", "compare", "cot=none", "cot=detailed", place)
    if "doctor" in verbs:
        yield _run("doctor", "doctor", place)


def _reports(results: Path, last: PointPaths) -> Iterator[Run]:
    aside = results / "aside"
    last.folder.rename(aside)
    shutil.rmtree(cache_folder(results), ignore_errors=True)
    for what in ("report, first", "report, again", "report, one more point"):
        if what.endswith("point"):
            aside.rename(last.folder)
        run = _run(what, "report", str(results))
        yield replace(run, note=_page(results))


def _page(results: Path) -> str:
    folder = results / "reports" / "all"
    page = folder / "index.html"
    if not page.exists():
        return "no page"
    files = [path for path in folder.rglob("*") if path.is_file()]
    beside = sum(path.stat().st_size for path in folder.glob("data/*")) / 1e6
    told = f", {beside:.0f} MB of data beside it" if beside else ""
    return f"page {page.stat().st_size / 1e6:.1f} MB{told}, {len(files)} files"


def _run(what: str, *words: str) -> Run:
    """Run a verb in a process of its own; what it prints on an error is shown."""
    start = time.perf_counter()
    with TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        with out.open("wb") as file:
            command = [sys.executable, "-m", "gradsweep", *words]
            child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
            _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        code = os.waitstatus_to_exitcode(status)
        if code:
            print(out.read_text(encoding="utf-8")[-3000:], file=sys.stderr)
    per_mb = 1e6 if sys.platform == "darwin" else 1e3
    return Run(what, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / per_mb, code)


if __name__ == "__main__":
    raise SystemExit(main())
