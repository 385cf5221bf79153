"""Reading results: what the analysis, the reports and notebooks start from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from gradsweep.errors import DataError
from gradsweep.records import METRICS, POINT_LABELS
from gradsweep.store.checksums import read_finished, require_whole
from gradsweep.store.frames import (
    ROW_SCHEMA,
    SAMPLE_SCHEMA,
    own_metric_columns,
    require_known_keys,
)
from gradsweep.store.kept import save_kept
from gradsweep.store.metadata import no_results
from gradsweep.store.parquet import scan, table_schema
from gradsweep.store.paths import PointPaths, point_folders, started
from gradsweep.store.point import read_parts
from gradsweep.store.points import folder_labels, is_training_point


def load_rows(
    results: str | Path,
    point_ids: Collection[str] | None = None,
    *,
    labels: pl.DataFrame | None = None,
    metrics: Collection[str] | None = None,
) -> pl.DataFrame:
    """Read one line per (point, sample, layer, projection, head).

    Points that still run or were stopped give what they have stored so far. Training points, whose
    rows have a step, are read by `load_training`.

    Columns: point_id; the axes; series, the settings that tell points of this folder apart
    beside the axes (`n_samples=2`; empty for the one that needs no name); seed; those of
    `SpectrumRow`, where null means that the file is from before the column was there; the user's
    own metrics, null in points that do not have them.

    Args:
        results: the results folder (`store.root`).
        point_ids: only these points; all of them when None.
        labels: names of the folder's points (`gradsweep.store.points.folder_labels`), for callers
            that read point by point; looked up when None.
        metrics: only these, null where a point lacks one; everything that is stored when None.

    Raises:
        DataError: there is no such folder, it holds no results, or rows differ in a column that
            this version does not know.
    """
    return _load(Path(results), point_ids, "rows", labels, metrics)


def load_samples_table(
    results: str | Path,
    point_ids: Collection[str] | None = None,
    *,
    labels: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Read one line per (point, sample): status, reason, loss, token counts.

    Columns: point_id, axes, series and seed as in `load_rows`, then those of `SampleResult`.
    Arguments and errors as of `load_rows`.
    """
    return _load(Path(results), point_ids, "samples", labels)


_BESIDE_METRICS = tuple(
    name for name in ROW_SCHEMA if name not in (*METRICS, "singular_values", "solver")
)
"""Columns that tell rows apart, and whether they can be trusted."""


def stored_metrics(results: Path, point_ids: Collection[str]) -> set[str]:
    """Name the metrics of the user's own that these points store; reads headers, no rows."""
    points = [PointPaths(results, point_id) for point_id in point_ids]
    for paths in points:
        if paths.done.exists():
            require_whole(paths, paths.rows)
    files = [path for paths in points for path in _row_files(paths)[:1]]
    # Thousands of points have a few schemas.
    schemas = {tuple(table_schema(path).items()) for path in files}
    return {n for schema in schemas for n in own_metric_columns(pl.DataFrame(schema=dict(schema)))}


def count_rows(results: Path, point_ids: Collection[str]) -> int:
    """Count the rows that these points store; reads the ends of files, no rows."""
    files = [path for name in point_ids for path in _row_files(PointPaths(results, name))]
    return sum(scan(path).select(pl.len()).collect().item() for path in files)


def _row_files(paths: PointPaths) -> list[Path]:
    return [paths.rows] if paths.done.exists() else sorted(paths.parts.glob("rows-*.parquet"))


def _load(
    results: Path,
    point_ids: Collection[str] | None,
    kind: str,
    labels: pl.DataFrame | None,
    metrics: Collection[str] | None = None,
) -> pl.DataFrame:
    asked = point_folders(results) if point_ids is None else started(results, point_ids)
    if not asked:
        raise no_results(results)
    points = [paths for paths in asked if not is_training_point(paths)]
    if not points:
        raise DataError(
            f"all of these {len(asked)} points of {results} are training points, whose rows have a "
            "step: gradsweep.load_training(results) reads them"
        )
    labels = folder_labels(results) if labels is None else labels
    of_asked = labels.filter(pl.col("point_id").is_in([paths.point_id for paths in points]))
    named = {line["point_id"]: line for line in of_asked.to_dicts()}
    frames = [_point_frame(paths, named[paths.point_id], kind, metrics) for paths in points]
    save_kept(results)
    # Points have other metrics of the user's own: null where a point lacks one.
    return pl.concat(frames, how="diagonal")


def stored_table(
    paths: PointPaths, kind: str, columns: Collection[str] | None = None
) -> pl.DataFrame:
    """Read what a point has stored of `kind` ("rows" or "samples"), finished or not.

    With `columns`, those of them that it has, and whatever this version does not know.

    Raises:
        DataError: a file is damaged.
    """
    if not paths.done.exists():
        return read_parts(paths, kind)
    known = {*ROW_SCHEMA, *SAMPLE_SCHEMA}
    wanted = None if columns is None else lambda name: name in columns or name not in known
    return read_finished(paths, getattr(paths, kind), wanted)


def _point_frame(
    paths: PointPaths,
    labels: Mapping[str, Any],
    kind: str,
    metrics: Collection[str] | None,
) -> pl.DataFrame:
    schema = ROW_SCHEMA if kind == "rows" else SAMPLE_SCHEMA
    if metrics is not None:
        asked = {name: schema.get(name, pl.Float64()) for name in metrics}
        schema = {name: schema[name] for name in _BESIDE_METRICS} | asked
    frame = stored_table(paths, kind, None if metrics is None else schema)
    named = [pl.lit(paths.point_id).alias("point_id")]
    named += [pl.lit(labels[name]).alias(name) for name in POINT_LABELS]
    named.append(pl.lit(labels["seed"], pl.Int64()).alias("seed"))
    # A file from before a column was there has none: it reads as null.
    frame = pl.concat([pl.DataFrame(schema=schema), frame], how="diagonal")
    own = []
    if kind == "rows":
        require_known_keys(frame)
        own = own_metric_columns(frame) if metrics is None else []
    return frame.select(*named, *schema, *own)
