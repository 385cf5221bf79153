"""The points of a report beyond their rows: states, settings and samples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from gradsweep.analysis.rows import in_reading_order
from gradsweep.records import AXES, POINT_LABELS, axis_words
from gradsweep.report.cut import NOTHING_CUT
from gradsweep.store import (
    PointPaths,
    PointState,
    load_samples_table,
    point_folders,
)
from gradsweep.store.choice import filtered
from gradsweep.store.frames import SAMPLE_SCHEMA
from gradsweep.store.metadata import read_manifests
from gradsweep.store.points import folder_labels, is_training_point, settings_of_all
from gradsweep.store.record import read_config
from gradsweep.store.selection import Selection
from gradsweep.store.series import with_model_labels
from gradsweep.store.state import PointStatus, point_statuses


@dataclass(frozen=True)
class ReportPoint:
    """One point as a report knows it, started or not."""

    point_id: str
    axes: dict[str, str]
    """Its choice on every axis, with the series in the model's label as a reader sees it."""
    state: PointState
    n_stored: int
    """Samples with an outcome on disk."""
    n_bad: int
    """Stored samples that could not be measured."""
    note: str
    """Who is running it, or why it failed."""
    record: dict[str, Any]
    """Its config.yaml; empty for a point that was not started."""
    series: str
    """Name of its series; empty for the one that needs none."""

    @property
    def words(self) -> list[str]:
        """What it is called."""
        return axis_words(self.axes)


@dataclass(frozen=True)
class ReportPoints:
    """The points of a report, in reading order."""

    results: Path
    points: tuple[ReportPoint, ...]
    samples: pl.DataFrame
    """Samples of the points that have some that could not be measured (`load_samples_table`)."""
    cut: pl.DataFrame
    """Points with responses that lost their end (`cut_responses`)."""
    sweeps: tuple[dict[str, Any], ...]
    """Manifests of the sweeps that have any of the points."""


def report_points(
    selection: Selection, rows: pl.DataFrame, cut: pl.DataFrame | None = None
) -> ReportPoints:
    """List every point that `selection` means: those of `rows`, and those without any row yet.

    `rows` may be a line for each point, with its names; `cut` are their `cut_responses`. There are
    no points where nothing was started or planned.

    Raises:
        DataError: there is no such sweep.
    """
    manifests = read_manifests(selection.results)
    planned = _planned(manifests, selection.sweep)
    of_sweep = selection.point_ids
    started = [
        paths
        for paths in point_folders(selection.results)
        if of_sweep is None or paths.point_id in of_sweep
    ]
    records = {paths.point_id: read_config(paths) for paths in started}
    statuses = {
        status.point_id: status
        for status in (point_statuses(selection.results, records) if started else [])
        if status.point_id in records
    }
    named = _named(rows, {*planned, *records}, selection)
    labels = with_model_labels(named.with_columns(series_name="series"), objective=False)
    points = [
        _point(line, statuses.get(line["point_id"]), records.get(line["point_id"], {}))
        for line in labels.iter_rows(named=True)
    ]
    names = {point.point_id for point in points}
    return ReportPoints(
        results=selection.results,
        points=tuple(points),
        samples=_samples(
            selection.results,
            [p.point_id for p in points if p.n_bad and p.state is not PointState.NEW],
        ),
        cut=NOTHING_CUT if cut is None else cut,
        sweeps=tuple(m for m in manifests if names & {p["point_id"] for p in m["points"]}),
    )


def _point(
    line: Mapping[str, Any], status: PointStatus | None, record: dict[str, Any]
) -> ReportPoint:
    """A point by its names, what its files say and its config, as far as it was started."""
    return ReportPoint(
        point_id=line["point_id"],
        axes={axis: line[axis] for axis in AXES},
        state=status.state if status else PointState.NEW,
        n_stored=status.n_stored if status else 0,
        n_bad=status.n_bad if status else 0,
        note=status.note if status else "",
        record=record,
        series=line["series_name"],
    )


def _samples(results: Path, point_ids: Collection[str]) -> pl.DataFrame:
    """Samples of points that are not trained: those of training points go by step."""
    plain = [name for name in point_ids if not is_training_point(PointPaths(results, name))]
    if plain:
        return load_samples_table(results, plain)
    names = dict.fromkeys(("point_id", *POINT_LABELS), pl.String())
    return pl.DataFrame(schema={**names, "seed": pl.Int64(), **SAMPLE_SCHEMA})


def _planned(manifests: Sequence[Mapping[str, Any]], sweep: str | None) -> set[str]:
    """Ids of the points that the sweeps (or this one) name, started or not."""
    return {
        point["point_id"]
        for manifest in manifests
        if sweep in (None, manifest["name"])
        for point in manifest["points"]
    }


def _named(rows: pl.DataFrame, axes: Collection[str], selection: Selection) -> pl.DataFrame:
    """point_id, axes, series and seed of the points that the filters keep, as `rows` have them."""
    with_rows = rows.select("point_id", *POINT_LABELS, "seed").unique()
    others = set(axes) - set(with_rows["point_id"])
    frame = folder_labels(selection.results).filter(pl.col("point_id").is_in(others))
    # Here a value that no point has is no mistake: it may come.
    shared = settings_of_all(selection.results)
    kept = filtered(frame, selection.filters, strict=False, shared=shared)
    return in_reading_order(pl.concat([with_rows, kept]))
