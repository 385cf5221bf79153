"""RD for run tables and curves: a point against the one that differs in correctness alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from gradsweep.analysis.relative_difference import relative_difference, relative_difference_means
from gradsweep.analysis.rows import CORRECT, IRRELEVANT, whole_matrices
from gradsweep.analysis.sample_metrics import sample_rows
from gradsweep.store import PointPaths, load_rows, load_samples_table
from gradsweep.store.frames import metric_columns
from gradsweep.store.points import other_conditions
from gradsweep.store.record import read_config
from gradsweep.tracking.wandb.schema import RD_LOSS, rd_curve_name, rd_name


@dataclass(frozen=True)
class Difference:
    """RD of a pair of points, named as it is logged; empty without a pair."""

    scalars: Mapping[str, float] = field(default_factory=dict)
    """`rd_<metric>_<projection>`: mean over layers; and `rd_loss`."""
    layers: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Layer -> `layer_rd_<metric>_<projection>`."""


def difference(paths: PointPaths) -> Difference:
    """Compute RD of a point and its counterpart of the other correctness, both DONE.

    It is empty while there is no such counterpart in the same results folder, and where there are
    several (irrelevant responses from different sources). The counterpart's run is not touched.
    """
    counterpart = _counterpart(paths)
    if counterpart is None:
        return Difference()
    rows = whole_matrices(load_rows(paths.results, [paths.point_id, counterpart]), strict=False)
    scalars: dict[str, float] = {}
    layers: dict[int, dict[str, float]] = {}
    for metric in metric_columns(rows):
        if rows.filter(pl.col(metric).cast(pl.Float64).is_finite()).is_empty():
            continue
        differences = relative_difference(rows, metric)
        for projection, mean in _defined(relative_difference_means(differences), "projection"):
            scalars[rd_name(metric, projection)] = mean
        for projection, layer, value in _defined(differences, "projection", "layer"):
            layers.setdefault(layer, {})[rd_curve_name(metric, projection)] = value
    return Difference(scalars | _of_loss(paths, counterpart), layers)


def _of_loss(paths: PointPaths, counterpart: str) -> dict[str, float]:
    """RD of the two mean losses; empty where it is not defined."""
    rows = sample_rows(load_samples_table(paths.results, [paths.point_id, counterpart]))
    if rows.filter(pl.col("loss").is_finite()).is_empty():
        return {}
    means = relative_difference_means(relative_difference(rows, "loss"))
    defined = [mean for _, mean in _defined(means, "projection")]
    return {RD_LOSS: defined[0]} if defined else {}


def _defined(differences: pl.DataFrame, *names: str) -> Iterator[tuple[Any, ...]]:
    defined = differences.filter(pl.col("relative_difference").is_finite())
    yield from defined.select(*names, "relative_difference").iter_rows()


def _counterpart(paths: PointPaths) -> str | None:
    """The DONE point of the same model, dataset, level, series and seed, the other correctness."""
    record = read_config(paths)
    points = other_conditions(paths.results, record, only_done=True)
    axes = record["axes"]
    others = {CORRECT: IRRELEVANT, IRRELEVANT: CORRECT}
    # A unit of both responses has no counterpart.
    return points.get((axes["cot"], others.get(axes["correctness"], "")))
