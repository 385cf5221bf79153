"""What a person types for points, read in one place: an id, its beginning, or axis=value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import polars as pl

from gradsweep.errors import ConfigError, did_you_mean
from gradsweep.records import AXES, POINT_LABELS, Axes
from gradsweep.store.series import DEFAULT_SERIES, base_name, model_label, series_parts

Filters = Mapping[str, Sequence[str]]
"""Axis, `series`, `seed`, or a setting that tells series apart -> the values to keep."""

POINT = "point_id"
"""Filters by id: of one point, or the beginning of several."""

_OF_POINTS = (*POINT_LABELS, "seed", POINT)
"""Names that every point can be filtered by, whatever tells series apart."""

_FILTER = re.compile(r"(\w+)=(.*)", re.DOTALL)
_SHOWN = 8
"""Points that a message lists."""


def is_filter(word: str) -> bool:
    """Tell filters (`cot=none`) from ids and places."""
    return _FILTER.fullmatch(word) is not None


def read_filters(word: str) -> dict[str, tuple[str, ...]]:
    """Read `axis=value`, `axis=value,value` and `axis=value,axis=value`.

    Beside the axes, the seed and a setting that tells series apart (`n_samples=2`) can be named;
    whether there is such a setting is known to the points alone (`filtered`).

    Raises:
        ConfigError: a name without a value, or a value without a name.
    """
    filters: dict[str, tuple[str, ...]] = {}
    name = ""
    for part in word.split(","):
        matched = _FILTER.fullmatch(part)
        name, value = matched.groups() if matched else (name, part)
        if not name or not value:
            raise ConfigError(f"{word}: a filter is axis=value or axis=value,value {_names()}")
        filters[name] = (*filters.get(name, ()), value)
    return filters


def filtered(
    points: pl.DataFrame,
    filters: Filters,
    *,
    strict: bool = True,
    shared: Set[str] = frozenset(),
) -> pl.DataFrame:
    """Keep the points that have one of the values of every filter.

    `model=qwen2_1.5b` keeps all series of the model, `n_samples=2` those that have it in their
    name, `series=default` the one without a name, and a label as tables show it
    (`model=qwen2_1.5b n_samples=2`) that series alone.

    Args:
        points: columns point_id, the axes, series and seed, any number of lines per point.
        filters: what to keep.
        strict: whether a value that no point has, or filters that keep nothing, are mistakes.
        shared: settings that all points have, `training=full`, and that no name tells therefore.

    Raises:
        ConfigError: when `strict`; says what there is, and what was probably meant.
    """
    filters = {
        name: values
        for name, values in filters.items()
        if name in _OF_POINTS or shared.isdisjoint(f"{name}={value}" for value in values)
    }
    labels = points.select("point_id", *POINT_LABELS, "seed").unique().to_dicts()
    kept = labels
    for name, values in filters.items():
        for value in values:
            if strict and labels and not any(_has(line, name, value) for line in labels):
                raise _unknown(labels, name, value)
        kept = [line for line in kept if any(_has(line, name, value) for value in values)]
    if strict and labels and not kept:
        words = ",".join(f"{name}={','.join(values)}" for name, values in filters.items())
        raise ConfigError(f"no point is {words}: each of these is there, but not together")
    return points.filter(pl.col("point_id").is_in([line["point_id"] for line in kept]))


def chosen(points: pl.DataFrame, words: Iterable[str], shared: Set[str] = frozenset()) -> list[str]:
    """Find every point that one of the words means, in the order of `points`.

    A word is an id, the beginning of one, or filters (`read_filters`) that hold together.

    Args:
        points: columns point_id, the axes, series and seed, a line for each point.
        words: as they were typed.
        shared: as for `filtered`.

    Returns:
        Ids of points.

    Raises:
        ConfigError: a word that means no point, or the beginning of several ids.
    """
    meant: set[str] = set()
    for word in words:
        if is_filter(word):
            meant |= set(filtered(points, read_filters(word), shared=shared)["point_id"])
        else:
            meant.add(_beginning(points, word))
    return [point_id for point_id in points["point_id"] if point_id in meant]


def chosen_one(points: pl.DataFrame, word: str, shared: Set[str] = frozenset()) -> str:
    """Find the one point that a word means; raises ConfigError, too, when filters mean several."""
    found = chosen(points, [word], shared)
    if len(found) > 1:
        several = points.filter(pl.col("point_id").is_in(found))
        raise ConfigError(f"{word} is {len(found)} points, name one: {_listed(several)}")
    return found[0]


def _beginning(points: pl.DataFrame, word: str) -> str:
    found = points.filter(pl.col("point_id").str.starts_with(word))
    if len(found) > 1:
        raise ConfigError(f"{word} is the beginning of several points: {_listed(found)}")
    if found.is_empty():
        raise ConfigError(
            f"no point {word!r} here; there are {_listed(points)} "
            "(python -m gradsweep status shows what they are)"
        )
    return str(found["point_id"][0])


def _has(labels: Mapping[str, Any], name: str, value: str) -> bool:
    if name == POINT:
        return str(labels[POINT]).startswith(value)
    if name == "seed":
        return str(labels["seed"]) == value
    if name == "series":
        return value == (labels["series"] or DEFAULT_SERIES)
    if name in AXES:
        label = labels[name]
        shown = _model(labels) if name == "model" else label
        return value in (label, shown, base_name(label))
    return f"{name}={value}" in _parts(labels)


def _parts(labels: Mapping[str, Any]) -> set[str]:
    """What tells the point apart beside axes and seed, part by part."""
    of_axes = (part for axis in AXES for part in series_parts(labels[axis])[1:])
    return {*of_axes, *filter(None, series_parts(labels["series"]))}


def _unknown(labels: Sequence[Mapping[str, Any]], name: str, value: str) -> ConfigError:
    """Tell a name that no point can be filtered by from a value that none has."""
    told = [part.partition("=") for part in sorted({p for line in labels for p in _parts(line)})]
    names = [*_OF_POINTS, *(part for part, _, _ in told)]
    if name not in names:
        return ConfigError(
            f"{name}={value}: points are not told apart by {name}{did_you_mean(name, names)}; "
            f"{_there(labels, name)}"
        )
    values = {shown for part, _, shown in told if part == name}
    if name in _OF_POINTS:
        values |= {str(line[name]) for line in labels}
    return ConfigError(
        f"{name}={value} is not among these points{did_you_mean(value, sorted(values))}; "
        f"{_there(labels, name)}"
    )


def _there(labels: Sequence[Mapping[str, Any]], name: str) -> str:
    """What could have been typed instead."""
    parts = sorted({part for line in labels for part in _parts(line)})
    if name == "model":
        models = {_model(line) for line in labels}
        return f"there are: {', '.join(sorted(models))}"
    if name == POINT:
        return f"there are: {', '.join(line[POINT][:8] for line in labels)}"
    if name in (*POINT_LABELS, "seed"):
        values = {str(line[name]) or DEFAULT_SERIES for line in labels}
        return f"there are: {', '.join(sorted(values))}"
    same = [part for part in parts if part.startswith(f"{name}=")]
    return f"there are: {', '.join(same)}" if same else f"a filter is axis=value {_names(parts)}"


def _names(parts: Sequence[str] = ()) -> str:
    axes = f"with one of {', '.join((*AXES, 'seed'))}"
    return f"{axes}, or what tells points apart: {', '.join(parts)}" if parts else axes


def _listed(points: pl.DataFrame) -> str:
    lines = points.head(_SHOWN).iter_rows(named=True)
    names = [f"{line['point_id'][:8]} ({_words(line)})" for line in lines]
    more = len(points) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _words(labels: Mapping[str, Any]) -> str:
    shown = {axis: labels[axis] for axis in AXES} | {
        "model": model_label(labels["model"], labels["series"])
    }
    return f"{Axes(**shown)} · seed {labels['seed']}"


def _model(labels: Mapping[str, Any]) -> str:
    return model_label(labels["model"], labels["series"], labels["objective"])
