"""What is stored of the points of a report beyond their rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from gradsweep.analysis.conditions import in_reading_order
from gradsweep.records import AXES
from gradsweep.store import (
    PointPaths,
    PointState,
    SweepPaths,
    load_samples_table,
    point_folders,
)
from gradsweep.store.frames import SAMPLE_SCHEMA
from gradsweep.store.manifest import read_manifest
from gradsweep.store.read import read_config
from gradsweep.store.selection import Selection
from gradsweep.store.status import point_statuses
from gradsweep.store.variants import with_variants


@dataclass(frozen=True)
class StoredPoint:
    point_id: str
    axes: dict[str, str]
    """As in the rows, where the point has any."""
    state: PointState
    n_stored: int
    """Samples with an outcome on disk."""
    n_bad: int
    """Of these, the ones that could not be measured."""
    note: str
    """Who is running it, or why it failed."""
    record: dict[str, Any]
    """Its config.yaml; empty for a point that was not started."""


@dataclass(frozen=True)
class StoredPoints:
    """The points of a report, in reading order."""

    results: Path
    points: tuple[StoredPoint, ...]
    samples: pl.DataFrame
    """As `load_samples_table` gives them."""
    sweeps: tuple[dict[str, Any], ...]
    """Manifests of the sweeps that have any of the points."""


def stored_points(selection: Selection, rows: pl.DataFrame) -> StoredPoints:
    """Every point that `selection` means: those of `rows`, and those without any row yet.

    No points where nothing was started or planned. Raises `DataError` for a sweep that is not
    there.
    """
    manifests = [read_manifest(paths) for paths in _sweeps(selection.results)]
    planned = _planned(manifests, selection.sweep)
    wanted = selection.point_ids
    started = bool(point_folders(selection.results))
    statuses = {
        status.point_id: status
        for status in (point_statuses(selection.results) if started else [])
        if wanted is None or status.point_id in wanted
    }
    records = {name: read_config(PointPaths(selection.results, name)) for name in statuses}
    axes = {name: point["axes"] for name, point in planned.items()}
    axes |= {name: record["axes"] for name, record in records.items()}
    points = []
    for line in _named(axes, records, rows, selection).iter_rows(named=True):
        name = line["point_id"]
        status = statuses.get(name)
        points.append(
            StoredPoint(
                point_id=name,
                axes={axis: line[axis] for axis in AXES},
                state=status.state if status else PointState.NEW,
                n_stored=status.n_stored if status else 0,
                n_bad=status.n_bad if status else 0,
                note=status.note if status else "",
                record=records.get(name, {}),
            )
        )
    names = {point.point_id for point in points}
    return StoredPoints(
        results=selection.results,
        points=tuple(points),
        samples=_samples(selection.results, names & set(statuses)),
        sweeps=tuple(one for one in manifests if names & {p["point_id"] for p in one["points"]}),
    )


def _samples(results: Path, point_ids: Collection[str]) -> pl.DataFrame:
    if point_ids:
        return load_samples_table(results, point_ids)
    names = dict.fromkeys(("point_id", *AXES), pl.String())
    return pl.DataFrame(schema={**names, **SAMPLE_SCHEMA})


def _sweeps(results: Path) -> Iterator[SweepPaths]:
    for path in sorted((results / "sweeps").glob("*/manifest.json")):
        yield SweepPaths(results, path.parent.name)


def _planned(manifests: Sequence[Mapping[str, Any]], sweep: str | None) -> dict[str, Any]:
    """Points by id that the sweeps (or this one) name, started or not."""
    return {
        point["point_id"]: point
        for manifest in manifests
        if sweep in (None, manifest["name"])
        for point in manifest["points"]
    }


def _named(
    axes: Mapping[str, Mapping[str, str]],
    records: Mapping[str, Mapping[str, Any]],
    rows: pl.DataFrame,
    selection: Selection,
) -> pl.DataFrame:
    """point_id and axes of the points that the filters keep, named as in `rows`."""
    with_rows = rows.select("point_id", *AXES).unique()
    others = [
        {"point_id": name, **chosen}
        for name, chosen in axes.items()
        if name not in set(with_rows["point_id"])
    ]
    schema = {name: pl.String() for name in ("point_id", *AXES)}
    science = {name: record["science"] for name, record in records.items()}
    frame = with_variants(pl.DataFrame(others, schema=schema), science | _none_yet(axes, science))
    kept = _kept(frame, selection)
    return in_reading_order(pl.concat([with_rows, kept]))


def _none_yet(axes: Mapping[str, Any], science: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: {} for name in axes if name not in science}


def _kept(frame: pl.DataFrame, selection: Selection) -> pl.DataFrame:
    """What the filters keep; here a value that no point has is no mistake."""
    for axis, values in selection.filters.items():
        frame = frame.filter(pl.col(axis).str.split(" ").list.first().is_in(values))
    return frame
