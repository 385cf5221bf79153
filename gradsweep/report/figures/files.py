"""All figures of a report, one file after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from gradsweep.analysis.members import MEMBER_METRICS
from gradsweep.report.figures.layer_curves import draw_layer_curves, draw_overview
from gradsweep.report.figures.mad_bars import draw_mad_bars
from gradsweep.report.figures.relative_difference import draw_relative_differences
from gradsweep.report.figures.style import save
from gradsweep.report.measures import Measures
from gradsweep.report.processes import new_processes, unless_killed

DATASETS_PER_PAGE = 7
"""Rows of an overview that still fit a page; with more datasets it goes on in a second file."""


@dataclass(frozen=True)
class Drawing:
    """One figure to be: its file name, and the numbers with the function that draws them."""

    names: tuple[str, ...]
    draw: Callable[[pl.DataFrame, str], Figure | None]
    frame: pl.DataFrame
    metric: str

    def save(self, folder: Path) -> list[Path]:
        """Write PNG and PDF; no files where the frame has nothing to show."""
        figure = self.draw(self.frame, self.metric)
        return [] if figure is None else save(figure, folder, *self.names)


def drawings(measures: Sequence[Measures], most: int | None = None) -> list[Drawing]:
    """List the figures of a report; none where there are more than `most`.

    Every metric, model and dataset has layer curves, MAD bars and RD by layer, but layer curves
    alone of what members of a unit are to each other; every model with several datasets an
    overview of its curves and one of its RD.

    They are named model__dataset__metric (and __mad, __rd), or model__overview__metric.
    """
    figures: list[Drawing] = []
    if most is not None and sum(one.n_studies for one in measures) > most:
        return []
    for one in (each.labelled() for each in measures):
        for model in one.curves["model"].unique(maintain_order=True):
            of_model = one.curves.filter(pl.col("model") == model)
            datasets = of_model["dataset"].unique(maintain_order=True).to_list()
            for dataset in datasets:
                figures += _of_dataset(one, model, dataset)
            if len(datasets) > 1:
                figures += _overviews(one, model, datasets)
    if most is not None and len(figures) > most:
        return []
    return figures


def save_all_figures(
    figures: Sequence[Drawing],
    folder: Path,
    processes: int = 1,
    executor: Executor | None = None,
) -> Iterator[list[Path]]:
    """Write PNG and PDF of each drawing, and give their paths in the drawings' order.

    What the points cannot show (RD without irrelevant responses) has no file. More than one
    process takes a main module that can be imported, as the command line's can.

    Args:
        figures: the drawings.
        folder: where files are written.
        processes: that draw them; one is this process, which draws as the paths are asked for.
        executor: draws them in place of one process, and begins at once.

    Raises:
        StoreError: a file cannot be written.
    """
    processes = min(processes, len(figures))
    if processes < 2 and executor is not None:
        return _elsewhere(figures, folder, executor)
    if processes < 2:
        return (figure.save(folder) for figure in figures)
    return _in_processes(figures, folder, processes)


def _elsewhere(
    figures: Sequence[Drawing], folder: Path, executor: Executor
) -> Iterator[list[Path]]:
    """Begin at once; what a process that was killed leaves is drawn here."""
    try:
        begun = [executor.submit(figure.save, folder) for figure in figures]
    except BrokenProcessPool:
        begun = []
    if not begun:
        return (figure.save(folder) for figure in figures)
    return (_drawn(*pair, folder) for pair in zip(begun, figures, strict=True))


def _drawn(begun: Future[list[Path]], figure: Drawing, folder: Path) -> list[Path]:
    written = unless_killed(begun)
    return figure.save(folder) if written is None else written


def _in_processes(figures: Sequence[Drawing], folder: Path, processes: int) -> Iterator[list[Path]]:
    with new_processes(processes) as pool:
        yield from pool.map(Drawing.save, figures, [folder] * len(figures))


def _of_dataset(one: Measures, model: str, dataset: str) -> list[Drawing]:
    chosen = (pl.col("model") == model) & (pl.col("dataset") == dataset)
    names = (model, dataset, one.metric)
    by_layer = Drawing(names, draw_layer_curves, one.curves.filter(chosen), one.metric)
    if one.metric in MEMBER_METRICS:
        return [by_layer]
    differences = one.differences.filter(chosen)
    mads = one.mads.filter(chosen).join(
        one.intervals, on=("point_id", "projection", "part"), how="left", maintain_order="left"
    )
    return [
        by_layer,
        Drawing((*names, "mad"), draw_mad_bars, mads, one.metric),
        Drawing((*names, "rd"), draw_relative_differences, differences, one.metric),
    ]


def _overviews(one: Measures, model: str, datasets: list[str]) -> list[Drawing]:
    figures = []
    pages = range(0, len(datasets), DATASETS_PER_PAGE)
    for page, start in enumerate(pages, start=1):
        shown = datasets[start : start + DATASETS_PER_PAGE]
        chosen = (pl.col("model") == model) & pl.col("dataset").is_in(shown)
        names = (model, "overview", one.metric, *([str(page)] if len(pages) > 1 else []))
        differences = one.differences.filter(chosen)
        figures += [
            Drawing(names, draw_overview, one.curves.filter(chosen), one.metric),
            Drawing((*names, "rd"), draw_relative_differences, differences, one.metric),
        ]
    return figures
