"""A report's page that follows a sweep while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from gradsweep.analysis import evaluate_claims
from gradsweep.analysis.rows import whole_samples
from gradsweep.analysis.sample_metrics import rows_of_metric
from gradsweep.errors import ConfigError, DataError
from gradsweep.progress import console
from gradsweep.report.findings import findings_markdown
from gradsweep.report.measures import compute_measures, loss_measures
from gradsweep.report.objectives import objectives_markdown
from gradsweep.report.page import ReportPoints, write_page
from gradsweep.report.show import (
    empty_rows,
    report_folder,
    report_rows,
    show_report,
    stored_points,
)
from gradsweep.report.training import TrainingStudy
from gradsweep.report.training.stored import chosen_study
from gradsweep.store import PointPaths, PointState
from gradsweep.store.selection import Selection

_PENDING = (PointState.NEW, PointState.STOPPED, PointState.RUNNING)


def watch_report(
    selection: Selection,
    metrics: Sequence[str],
    loss: str = "mean",
    seconds: float = 10.0,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Write the page again whenever results have come, until no point is left to run.

    Every `seconds` the files are looked at, and the page loads itself. At the end, or when
    interrupted, the whole report is written as by `show_report`, and its page stays as it is.
    Raises as `show_report`; results that have not come yet are no error.
    """
    folder = report_folder(selection, loss)
    console.print(f"page     {folder / 'index.html'} (Ctrl-C ends)", soft_wrap=True)
    seen: object = None
    try:
        while True:
            try:
                rows, stored = _so_far(selection, loss)
                if seen != (seen := _marks(stored)):
                    study = _study_so_far(selection, metrics, loss)
                    _write(folder, rows, stored, metrics, loss, seconds, study)
                if not any(point.state in _PENDING for point in stored.points):
                    break
            except FileNotFoundError:
                # A point was finished, and its parts joined, between two looks at its folder.
                seen = None
            wait(seconds)
    except KeyboardInterrupt:
        console.print("the last page, then the whole report")
    show_report(selection, metrics, loss)


def _so_far(selection: Selection, loss: str) -> tuple[pl.DataFrame, ReportPoints]:
    """What is stored, with no rows where the points that `selection` means have none yet."""
    try:
        rows = report_rows(selection, loss)
        return rows, stored_points(selection, rows, loss)
    except (ConfigError, DataError):
        rows = empty_rows()
        stored = stored_points(selection, rows, loss)
        if not any(point.state in _PENDING for point in stored.points):
            raise  # none will come
        return rows, stored


def _study_so_far(selection: Selection, metrics: Sequence[str], loss: str) -> TrainingStudy | None:
    try:
        return None if loss == "sum" else chosen_study(selection, metrics)
    except (ConfigError, DataError):
        return None  # its points have not come yet


def _marks(stored: ReportPoints) -> object:
    """What changes when there is something new to show."""
    return [
        (point.point_id, point.state, point.n_stored, _n_parts(stored.results, point.point_id))
        for point in stored.points
    ]


def _n_parts(results: Path, point_id: str) -> int:
    return len(list(PointPaths(results, point_id).parts.glob("samples-*.parquet")))


def _write(
    folder: Path,
    rows: pl.DataFrame,
    stored: ReportPoints,
    metrics: Sequence[str],
    loss: str,
    seconds: float,
    study: TrainingStudy | None,
) -> None:
    computed, found, objectives = [], [], ""
    rows, samples = whole_samples(rows), whole_samples(stored.samples)
    if not rows.is_empty():
        computed = [compute_measures(rows, metric, samples=samples) for metric in metrics]
        if "loss" not in metrics and (of_loss := loss_measures(samples)):
            computed.append(of_loss)
        of_metric = rows_of_metric(metrics[0], rows, samples)
        found = evaluate_claims(of_metric, metrics[0], samples=samples, loss=loss)
        objectives = objectives_markdown(rows, computed[0], found)
    findings = findings_markdown([*found, *(study.findings if study else ())])
    write_page(
        folder, rows, computed, findings, stored, refresh=seconds, objectives=objectives,
        study=study,
    )  # fmt: skip
