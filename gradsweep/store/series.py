"""Series: the points of a results folder that can be compared, and their names for a reader.

A series has the points that agree on everything but the axes and the seed (`Description`). Seeds
are repetitions of a series. Its points never change because others are stored beside it; only its
name follows from what the folder has, so that it says no more than tells series apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from gradsweep.records import AXES, POINT_LABELS, STUDY_OBJECTIVE
from gradsweep.store.description import Description, says_nothing_of
from gradsweep.store.description import base_name as base_name
from gradsweep.store.description import series_parts as series_parts

DEFAULT_SERIES = "default"
"""How a filter names the series that has no name: `series=default`."""

_OBVIOUS = ("irrelevant", "auto")
_WORDS = {"training.kind": "training", "content": "weights", "data": "data", "_target_": "target"}


def point_labels(points: Mapping[str, Description]) -> dict[str, dict[str, Any]]:
    """Name the points of a folder: point_id -> its axes, `series` and `seed`.

    An axis has its option's name and, where options of the same name are not the same (other
    weights, another prompt, another file), what tells them apart: `mine prompt=chat`. A series
    is named by its settings that not every series has: `n_samples=2`; one of them may be empty.
    Options of an objective are always told, but for those that it has no value for by itself
    (`teacher`, and all of one's own objective): these count among its own points.
    """
    told = {axis: _told_apart(axis, points.values()) for axis in AXES}
    common = {
        (name, value)
        for name, value in _common([set(point.settings.items()) for point in points.values()])
        if not name.startswith("objective.")  # a reader must know what loss numbers are of
    }
    of_objective = _common_by_objective(points.values())
    return {
        point_id: {
            **{axis: _joined(point.axes[axis], _differing(point, axis, told)) for axis in AXES},
            "series": _name(
                dict(
                    sorted(
                        set(point.settings.items()) - common - of_objective[point.axes["objective"]]
                    )
                )
            ),
            "seed": point.seed,
        }
        for point_id, point in points.items()
    }


def shared_settings(points: Iterable[Description]) -> frozenset[str]:
    """List the settings that all points have, which no series is named by: `training=full`."""
    return frozenset(
        _name({name: value}) for name, value in _common([{*p.settings.items()} for p in points])
    )


def model_label(model: str, series: str, objective: str = STUDY_OBJECTIVE) -> str:
    """Join a model, another objective than the study's and a series for a reader:
    `qwen2_1.5b objective=dpo n_samples=2`."""
    told = "" if objective == STUDY_OBJECTIVE else f"objective={objective}"
    return _joined(_joined(model, told), series)


def with_model_labels(frame: pl.DataFrame, *, objective: bool = True) -> pl.DataFrame:
    """Put `model_label` in place of the columns model and series.

    Args:
        frame: with these columns, and maybe objective, which stays.
        objective: whether it is told with the model, where no column or word of its own tells it.
    """
    parts = [pl.col("model")]
    if objective and "objective" in frame.columns:
        told = pl.format("objective={}", "objective")
        parts.append(pl.when(pl.col("objective") != STUDY_OBJECTIVE).then(told))
    parts.append(pl.when(pl.col("series") != "").then(pl.col("series")))
    return frame.with_columns(model=pl.concat_str(parts, separator=" ", ignore_nulls=True)).drop(
        "series"
    )


def label_frame(labels: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    """Make the table of some points: point_id, `POINT_LABELS` and seed, a line for each."""
    columns = (*POINT_LABELS, "seed")
    lines = [[name, *(named[column] for column in columns)] for name, named in labels.items()]
    schema = dict.fromkeys(("point_id", *POINT_LABELS), pl.String()) | {"seed": pl.Int64()}
    return pl.DataFrame(lines, schema=schema, orient="row")


def _told_apart(axis: str, points: Iterable[Description]) -> dict[str, set[str]]:
    """Option -> the parts of its identity that differ between its points."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for point in points:
        if point.identity[axis]:  # a manifest from before series does not tell
            found.setdefault(point.axes[axis], []).append(point.identity[axis])
    return {
        name: {
            part
            for part in {part for identity in identities for part in identity}
            if len({identity.get(part) for identity in identities}) > 1
        }
        for name, identities in found.items()
    }


def _differing(point: Description, axis: str, told: Mapping[str, Mapping[str, set[str]]]) -> str:
    parts = told[axis].get(point.axes[axis], set())
    identity = {n: v for n, v in sorted(point.identity[axis].items()) if n in parts}
    if axis == "correctness":  # `auto` stays what the analysis knows as irrelevant
        identity = {name: value for name, value in identity.items() if value not in _OBVIOUS}
    return _name(identity)


def _common(settings: Sequence[set[tuple[str, str]]]) -> set[tuple[str, str]]:
    return set.intersection(*settings) if settings else set()


def _common_by_objective(points: Iterable[Description]) -> dict[str, set[tuple[str, str]]]:
    """Objective -> options of its own that all of its points share, and that tell it from none."""
    found: dict[str, list[set[tuple[str, str]]]] = {}
    for point in points:
        objective = point.axes["objective"]
        own = {item for item in point.settings.items() if says_nothing_of(objective, item[0])}
        found.setdefault(objective, []).append(own)
    return {objective: _common(settings) for objective, settings in found.items()}


def _name(parts: Mapping[str, str]) -> str:
    return " ".join(f"{_short(name)}={value}" for name, value in parts.items())


def _short(name: str) -> str:
    """The last part of a field's path, which tells a reader enough."""
    last = name.rsplit(".", 1)[-1]
    return _WORDS.get(name, _WORDS.get(last, last))


def _joined(name: str, more: str) -> str:
    return f"{name} {more}" if more else name
