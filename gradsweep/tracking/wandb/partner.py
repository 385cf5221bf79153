"""RD for run tables and curves: a point against the one that differs in correctness alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import yaml

from gradsweep.analysis.relative_difference import relative_difference, relative_difference_means
from gradsweep.config import CorrectnessKind
from gradsweep.records import METRICS
from gradsweep.store import PointPaths, load_rows, point_folders
from gradsweep.store.read import read_config
from gradsweep.tracking.wandb.schema import rd_curve_name, rd_name


@dataclass(frozen=True)
class Difference:
    """RD of a pair of points, named as it is logged; empty without a pair."""

    scalars: Mapping[str, float] = field(default_factory=dict)
    """`rd_<metric>_<projection>`: mean over layers."""
    layers: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Layer -> `layer_rd_<metric>_<projection>`."""


def difference(paths: PointPaths) -> Difference:
    """RD of a point and its partner, both DONE.

    Empty while there is no such partner in the same results folder, and where there are several
    (irrelevant responses from different sources). The partner's own run is not touched.
    """
    partner = find_partner(paths)
    if partner is None:
        return Difference()
    rows = load_rows(paths.results, [paths.point_id, partner.point_id])
    scalars: dict[str, float] = {}
    layers: dict[int, dict[str, float]] = {}
    for metric in METRICS:
        if rows.filter(pl.col(metric).cast(pl.Float64).is_finite()).is_empty():
            continue
        differences = relative_difference(rows, metric)
        for projection, mean in _defined(relative_difference_means(differences), "projection"):
            scalars[rd_name(metric, projection)] = mean
        for projection, layer, value in _defined(differences, "projection", "layer"):
            layers.setdefault(layer, {})[rd_curve_name(metric, projection)] = value
    return Difference(scalars, layers)


def _defined(differences: pl.DataFrame, *names: str) -> Iterator[tuple[Any, ...]]:
    defined = differences.filter(pl.col("relative_difference").is_finite())
    yield from defined.select(*names, "relative_difference").iter_rows()


def find_partner(paths: PointPaths) -> PointPaths | None:
    """The one DONE point with the other correctness and otherwise the same science."""
    record = read_config(paths)
    other = next(kind.name for kind in CorrectnessKind if kind.name != _correctness(record))
    # Most configs are another point's: text is compared in a hundredth of the time of parsing.
    axes = yaml.safe_dump(
        {"axes": record["axes"] | {"correctness": other}}, sort_keys=False, allow_unicode=True
    )
    found = [
        point
        for point in point_folders(paths.results)
        if point.done.exists()
        and axes in point.config.read_text(encoding="utf-8")
        and _apart_from_correctness(read_config(point)) == _apart_from_correctness(record)
    ]
    return found[0] if len(found) == 1 else None


def _correctness(record: Mapping[str, Any]) -> str:
    return str(record["axes"]["correctness"])


def _apart_from_correctness(record: Mapping[str, Any]) -> dict[str, Any]:
    """Science without the irrelevant responses: their source, and the file they come from."""
    science = {name: value for name, value in record["science"].items() if name != "correctness"}
    data = {name: value for name, value in science["dataset"].items() if name != "data"}
    return science | {"dataset": data}
