"""What a dashboard can show: the axes, projections and metrics of the stored points."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from gradsweep.analysis.rows import CORRECT, IRRELEVANT, values_in_reading_order
from gradsweep.errors import ConfigError, DataError
from gradsweep.records import ALL_PROJECTIONS, AXES, METRICS, OPTIONAL_METRICS, STUDY_OBJECTIVE
from gradsweep.store.description import stored_axes
from gradsweep.store.paths import PointPaths
from gradsweep.store.points import point_table
from gradsweep.store.read import stored_metrics
from gradsweep.store.record import read_config
from gradsweep.store.selection import Selection

_NAME = re.compile(r"[\w .,:-]{1,128}")
"""W&B refuses symbols in the names of workspaces, `=` among them."""


@dataclass(frozen=True)
class Place:
    """Where a dashboard is saved."""

    project: str
    entity: str
    """User or team; empty is the key's own default, known only to the server."""
    name: str
    """The name of the saved view and of the report."""


@dataclass(frozen=True)
class Contents:
    """Values of every axis in reading order, as the configs of the W&B runs have them."""

    model: tuple[str, ...]
    dataset: tuple[str, ...]
    cot: tuple[str, ...]
    correctness: tuple[str, ...]
    projections: tuple[str, ...]
    metrics: tuple[str, ...]
    """The first is the one that overviews show."""
    chosen: tuple[str, ...] = ()
    """Axes that the selection narrows; the others show whatever the project has."""
    run_ids: tuple[str, ...] = ()
    """The runs of a sweep or of some series; empty is every run of the project."""
    objective: tuple[str, ...] = (STUDY_OBJECTIVE,)
    trains: bool = False
    """Whether there are training points among them."""

    @property
    def axes(self) -> list[str]:
        """The axes that a reader has to be told: the study's objective alone needs no word."""
        plain = self.objective == (STUDY_OBJECTIVE,)
        return [axis for axis in AXES if not (plain and axis == "objective")]

    @property
    def condition(self) -> tuple[str, ...]:
        """Axes whose values make the lines of a panel; further axes are averaged over."""
        return ("cot", "correctness", *(["objective"] if len(self.objective) > 1 else []))

    @property
    def has_pairs(self) -> bool:
        """Whether correct and irrelevant responses can be compared."""
        return {CORRECT, IRRELEVANT} <= set(self.correctness)


def contents(selection: Selection, metrics: Sequence[str]) -> Contents:
    """Read the points' config files; of rows only the names of their columns are needed.

    Raises:
        DataError: nothing is stored, or there is no such sweep.
        ConfigError: a filter keeps nothing, or a metric was not measured.
    """
    records = _records(selection)
    _require_measured(metrics, selection, records)
    measured = {n for record in records for n in record["science"]["gradients"]["projections"]}
    # As in the runs' configs, which know no series.
    axes = pl.DataFrame([stored_axes(record) for record in records])
    values = {axis: tuple(values_in_reading_order(axes, axis)) for axis in AXES}
    return Contents(
        **values,
        projections=tuple(name for name in ALL_PROJECTIONS if name in measured),
        metrics=tuple(metrics),
        chosen=tuple(name for name in selection.filters if name in AXES),
        run_ids=tuple(_run_ids(selection, records)),
        trains=any(record["science"].get("training") for record in records),
    )


def _run_ids(selection: Selection, records: Sequence[dict[str, Any]]) -> Sequence[str]:
    """Runs that no filter on axes tells apart: those of a sweep, or of a series."""
    if set(selection.filters) <= set(AXES):
        return selection.point_ids or ()
    return [record["point_id"] for record in records]


def place_of(
    selection: Selection, project: str | None, entity: str | None, name: str | None
) -> Place:
    """Find where a dashboard of these points belongs; what is None is as the points were tracked.

    Raises ConfigError when the points were tracked in several projects or by several entities,
    or for a name that W&B does not take; DataError as `contents`.
    """
    settings = [record["config"].get("tracking", {}) for record in _records(selection)]
    place = Place(
        project=project or _agreed("project", [s.get("project", "gradsweep") for s in settings]),
        entity=entity or _agreed("entity", [s.get("entity") or "" for s in settings]),
        name=name or _default_name(selection),
    )
    if not _NAME.fullmatch(place.name):
        raise ConfigError(
            f"--name: {place.name!r} must be 1 to 128 letters, digits, blanks or any of _ - . , :"
        )
    return place


def _agreed(field: str, values: Sequence[str]) -> str:
    different = sorted(set(values))
    if len(different) > 1:
        raise ConfigError(
            f"--{field}: these points were tracked with several ({', '.join(different)}); name one"
        )
    return different[0]


def _default_name(selection: Selection) -> str:
    filters = [f"{axis}:{','.join(values)}" for axis, values in selection.filters.items()]
    return " ".join(["gradsweep", *([selection.sweep] if selection.sweep else []), *filters])


def _records(selection: Selection) -> list[dict[str, Any]]:
    """The config.yaml of every point that the selection keeps; raises as `contents`."""
    points = point_table(selection.results)
    if (chosen := selection.point_ids) is not None:
        points = points.filter(pl.col("point_id").is_in(chosen))
        if points.is_empty():
            raise DataError(
                f"no point of sweep {selection.sweep} is stored yet: come back when its first "
                "point has started"
            )
    kept = selection.of(points)["point_id"]
    return [read_config(PointPaths(selection.results, name)) for name in kept]


def _require_measured(
    metrics: Sequence[str], selection: Selection, records: Sequence[dict[str, Any]]
) -> None:
    """Refuse metrics without a value: of an option that was not set, or that are not stored."""
    own: set[str] = set()
    if not set(metrics) <= set(METRICS):
        own = stored_metrics(selection.results, [record["point_id"] for record in records])
    for metric in metrics:
        option = OPTIONAL_METRICS.get(metric, "")
        if option and not any(_is_set(option, record["science"]) for record in records):
            raise ConfigError(
                f"metric={metric} has no value in these results: it is measured with {option}"
            )
        if metric not in METRICS and metric not in own:
            there = ", ".join([*METRICS, *sorted(own)])
            raise ConfigError(f"metric={metric} is not in these results; allowed are {there}")


def _is_set(option: str, science: Mapping[str, Any]) -> bool:
    """Tell whether a point was measured with `gradients.similarities=true`."""
    name, _, value = option.partition("=")
    found: Any = science
    for part in name.split("."):
        found = found.get(part, "") if isinstance(found, Mapping) else ""
    return str(found).lower() == value
