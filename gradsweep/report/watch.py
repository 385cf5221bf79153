"""A report's page that follows a sweep while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from gradsweep.errors import ConfigError, DataError
from gradsweep.progress import console
from gradsweep.report.content import Content, content_of_points
from gradsweep.report.findings import findings_markdown
from gradsweep.report.numbers import NumbersReader
from gradsweep.report.page import ReportPoints, prepare_page, report_points
from gradsweep.report.page.curves import ROWS_WHILE_WATCHED
from gradsweep.report.show import report_folder, show_report
from gradsweep.report.stored_rows import NO_POINTS, StoredRows, stored_rows
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
                source, stored = _so_far(selection, loss)
                if seen != (seen := _marks(stored)):
                    study = _study_so_far(selection, metrics, loss)
                    _write(folder, source, stored, metrics, seconds, study)
                if not any(point.state in _PENDING for point in stored.points):
                    break
            except FileNotFoundError:
                # A point was finished, and its parts joined, between two looks at its folder.
                seen = None
            wait(seconds)
    except KeyboardInterrupt:
        console.print("the last page, then the whole report")
    show_report(selection, metrics, loss)


def _so_far(selection: Selection, loss: str) -> tuple[StoredRows | None, ReportPoints]:
    """What is stored; None where the points that `selection` means have no rows yet."""
    try:
        source = stored_rows(selection, loss)
        return source, report_points(selection, source.every)
    except (ConfigError, DataError):
        stored = report_points(selection, NO_POINTS)
        if not any(point.state in _PENDING for point in stored.points):
            raise  # none will come
        return None, stored


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
    source: StoredRows | None,
    stored: ReportPoints,
    metrics: Sequence[str],
    seconds: float,
    study: TrainingStudy | None,
) -> None:
    content = Content()
    if source is not None and not source.points.is_empty():
        reader = NumbersReader(source, source.results)
        numbers = reader.read(metrics, most_rows=ROWS_WHILE_WATCHED)
        stored = replace(stored, cut=numbers.cut)
        content = content_of_points(source, metrics, source.loss, numbers)
    findings = findings_markdown([*content.found, *(study.findings if study else ())])
    page = prepare_page(
        folder, content.named, content.every, stored, refresh=seconds, study=study,
        numbers=content.numbers,
    )  # fmt: skip
    page.write(findings, content.objectives)
