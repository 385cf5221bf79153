"""Which training points two words of `compare` mean, and which runs repeat each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import polars as pl

from gradsweep.analysis.training.names import settings_and_seed
from gradsweep.config import TrainingConfig
from gradsweep.errors import ConfigError, DataError
from gradsweep.records import POINT_LABELS
from gradsweep.report.pairing import pairs_of
from gradsweep.report.training.stored import trained_points
from gradsweep.store.choice import chosen_one, is_filter, read_filters
from gradsweep.store.points import point_table, settings_of_all
from gradsweep.store.selection import Selection

OF_TRAINING = {"training", *(field.name for field in fields(TrainingConfig))} - {"kind", "seed"}
"""Filters that mean training points."""
_SEEDS = {"seed": "seed", "training_seed": "training.seed"}
"""Columns of a run's seeds, and the fields that they are typed as."""


@dataclass(frozen=True)
class RunPair:
    """Two conditions of training, with the runs of each that repeat each other."""

    labels: dict[str, Any]
    """`POINT_LABELS` of the first, and `second_<name>` of the second."""
    runs: tuple[tuple[str, str], ...]
    """Ids of a run of the first and one of the second, with the same seeds."""
    alone: tuple[str, ...]
    """Ids of runs without one of the same seeds on the other side."""


def training_pairs(chosen: Selection, first: str, second: str) -> list[RunPair] | None:
    """Find the pairs of training points that two words mean.

    Ids mean these two runs. Filters pair conditions, as those of other points (`pairs_of`), where
    they name what only training points have (`training=full`), or where the folder has no others.

    Returns:
        None where other points are meant.

    Raises:
        ConfigError, DataError: as `pairs_of`; a training point and another one; conditions whose
            runs have no seed in common.
    """
    points = chosen.of(point_table(chosen.results))
    trained = trained_points(chosen.results, points["point_id"].to_list())
    runs = _with_seeds(points.filter(pl.col("point_id").is_in(trained)))
    if not is_filter(first) and not is_filter(second):
        meant = [chosen_one(points, word) for word in (first, second)]
        if not set(meant) & set(trained):
            return None
        _require_both_train(meant, trained)
        (line,) = pairs_of(runs, first, second).points.to_dicts()
        return [RunPair(_told_apart(line, runs, [*_SEEDS]), ((meant[0], meant[1]),), ())]
    named = {name for word in (first, second) if is_filter(word) for name in read_filters(word)}
    if runs.is_empty() or not (named & OF_TRAINING or len(runs) == len(points)):
        return None
    key = [*POINT_LABELS, *(["seed"] if "seed" in named else [])]
    standing = runs.sort(*_SEEDS, "point_id").unique(key, keep="first", maintain_order=True)
    shared = settings_of_all(chosen.results)
    found = pairs_of(standing.sort("point_id"), first, second, shared).points.to_dicts()
    return [_repeated(line, runs, key) for line in found]


def _with_seeds(runs: pl.DataFrame) -> pl.DataFrame:
    """Take the seed of training out of the series of each run: it is a repetition."""
    apart = [settings_and_seed(series) for series in runs["series"]]
    return runs.with_columns(
        series=pl.Series([settings for settings, _ in apart], dtype=pl.String()),
        training_seed=pl.Series([seed for _, seed in apart], dtype=pl.Int64()),
    )


def _require_both_train(meant: Sequence[str], trained: Sequence[str]) -> None:
    """Raise ConfigError where one of two points is a training point."""
    others = [name for name in meant if name not in trained]
    if others:
        (run,) = set(meant) - set(others)
        raise ConfigError(
            f"{run} is a training point, whose numbers go by step, and {others[0]} has one number; "
            "compare takes two training points, or two others"
        )


def _repeated(line: dict[str, Any], runs: pl.DataFrame, key: Sequence[str]) -> RunPair:
    """Pair the runs of two conditions by their seeds."""
    sides = [
        runs.join(runs.filter(point_id=line[f"{side}_point_id"]), on=key, how="semi")
        .sort("point_id")
        .unique([*_SEEDS], keep="first", maintain_order=True)
        for side in ("first", "second")
    ]
    same = [name for name in _SEEDS if name not in key]
    ids = ("point_id", "point_id_second")
    found = sides[0].join(sides[1], on=same, suffix="_second").sort(*_SEEDS)
    if found.is_empty():
        told = " and ".join(", ".join(_seed_words(side, same)) for side in sides)
        raise DataError(
            f"these runs have no seed in common: {told}; train both with the same seeds, or give "
            "the ids of two runs"
        )
    alone = {*sides[0]["point_id"], *sides[1]["point_id"]} - {*found[ids[0]], *found[ids[1]]}
    labels = _told_apart(line, runs, [name for name in _SEEDS if name in key])
    return RunPair(labels, tuple(found.select(ids).rows()), tuple(sorted(alone)))


def _seed_words(runs: pl.DataFrame, names: Sequence[str]) -> Iterator[str]:
    """Write the seeds of runs as they are typed: `seed=0 training.seed=1`."""
    for line in runs.sort(names).iter_rows(named=True):
        yield " ".join(f"{_SEEDS[name]}={line[name]}" for name in names)


def _told_apart(line: dict[str, Any], runs: pl.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """Labels of a pair with those seeds in which its two runs differ."""
    sides = [
        runs.filter(point_id=line[f"{side}_point_id"]).row(0, named=True)
        for side in ("first", "second")
    ]
    labels = dict(line)
    for name in names:
        if sides[0][name] != sides[1][name]:
            for prefix, side in zip(("", "second_"), sides, strict=True):
                told = f"{labels[f'{prefix}series']} {_SEEDS[name]}={side[name]}"
                labels[f"{prefix}series"] = told.strip()
    return labels
