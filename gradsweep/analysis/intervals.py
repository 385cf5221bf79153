"""Intervals of means, MAD and RD: their curves over resampled questions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import question_weights
from gradsweep.analysis.curves import blocks, complete_values
from gradsweep.analysis.layers import PARTS, layer_parts
from gradsweep.analysis.relative_difference import relative_differences

Floats = NDArray[np.float64]

STATISTICS = ("mean", "mad", "relative_mad")
_MOST_HELD = 2**22
"""Numbers of curves that are held (32 MiB)."""
TAIL = 0.025
"""Of a 95 % interval, on each side."""


@dataclass(frozen=True)
class QuestionSums:
    """One metric of one point in one projection, summed over the samples of each question."""

    question_ids: tuple[str, ...]
    layers: NDArray[np.int64]
    sums: Floats
    """(questions, layers)"""
    counts: Floats
    """(questions,): samples of each."""

    def of(self, question_ids: Iterable[str]) -> QuestionSums:
        """Keep these questions alone, in their order."""
        place = {name: index for index, name in enumerate(self.question_ids)}
        rows = [place[name] for name in question_ids]
        ids = tuple(self.question_ids[row] for row in rows)
        return QuestionSums(ids, self.layers, self.sums[rows], self.counts[rows])


@dataclass(frozen=True)
class Paired:
    """RD of two points in one projection."""

    layers: NDArray[np.int64]
    differences: Floats
    """RD by layer, (1 + resamples, layers)."""
    n_questions: int


@dataclass(frozen=True)
class Resampled:
    """The curves of a metric over resampled questions; the first resample is the sample itself."""

    of_point: Mapping[tuple[str, str], QuestionSums]
    """By point and projection."""
    resamples: int = 1000
    seed: int = 0
    _weights: dict[tuple[str, ...], Floats] = field(default_factory=dict, repr=False)
    _statistics: dict[tuple[str, str], dict[tuple[str, str], Floats]] = field(
        default_factory=dict, repr=False
    )
    _curves: OrderedDict[tuple[str, str], Floats] = field(default_factory=OrderedDict, repr=False)
    """Of points' own questions: means, MAD and RD look at the same."""

    def curve(self, sums: QuestionSums) -> Floats:
        """Compute mean curves, (1 + resamples, layers); NaN where no question was drawn."""
        ids = sums.question_ids
        if ids not in self._weights:
            self._weights[ids] = question_weights(ids, self.resamples, self.seed)
        weights = self._weights[ids]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(weights @ sums.sums / (weights @ sums.counts)[:, None])

    def statistics(self, point_id: str, projection: str) -> Mapping[tuple[str, str], Floats]:
        """Compute (part, mean or mad or relative_mad) -> a value per resample, (1 + resamples,)."""
        key = point_id, projection
        if key not in self._statistics:
            self._statistics[key] = _by_part(self._own_curve(key), self.of_point[key].layers)
        return self._statistics[key]

    def _own_curve(self, key: tuple[str, str]) -> Floats:
        if key not in self._curves:
            self._curves[key] = self.curve(self.of_point[key])
            held = sum(curve.size for curve in self._curves.values())
            while held > _MOST_HELD and len(self._curves) > 1:
                held -= self._curves.popitem(last=False)[1].size
        return self._curves[key]

    def paired(self, first: str, second: str, projection: str) -> Paired | None:
        """Compute the curves of two points over their common questions; None without any."""
        one = self.of_point.get((first, projection))
        other = self.of_point.get((second, projection))
        if one is None or other is None:
            return None
        common = sorted(set(one.question_ids) & set(other.question_ids))
        layers, at_one, at_other = np.intersect1d(one.layers, other.layers, return_indices=True)
        if not common or not len(layers):
            return None
        curves = [
            self._own_curve((name, projection))
            if len(common) == len(sums.question_ids)
            else self.curve(sums.of(common))
            for name, sums in ((first, one), (second, other))
        ]
        rd = relative_differences(curves[0][:, at_one], curves[1][:, at_other])
        return Paired(layers, rd, len(common))


def resampled(rows: pl.DataFrame, metric: str, resamples: int = 1000, seed: int = 0) -> Resampled:
    """Prepare the questions of `rows` (of `conditions`), whose samples are complete.

    Raises:
        DataError: as `gradsweep.analysis.curves.complete_values`.
    """
    return resampled_values(complete_values(rows, metric), resamples, seed)


def resampled_values(values: pl.DataFrame, resamples: int = 1000, seed: int = 0) -> Resampled:
    """Prepare the questions of `complete_values`."""
    asked = values["question_id"].to_numpy()
    found, start = {}, 0
    for names, layers, of_curve in blocks(values):
        stop = start + of_curve.size
        found[names] = _sums(layers, of_curve, asked[start : stop : len(layers)])
        start = stop
    return Resampled(found, resamples, seed)


def part_intervals(curves: Resampled) -> pl.DataFrame:
    """Compute 95 % intervals of the mean, of MAD and of MAD over the mean, by part of the layers.

    They are percentiles over resampled questions. MAD takes absolute values, so noise makes it
    larger, and more so in a resample: an interval that lies above its own value says that most of
    it is noise.

    Columns: point_id, projection, part, and `_low` and `_high` of mean, mad and relative_mad. NaN
    with a single question.
    """
    lines = []
    for (point_id, projection), sums in curves.of_point.items():
        found = curves.statistics(point_id, projection)
        low, high = interval(np.stack(list(found.values()), axis=1), len(sums.question_ids))
        ends = {key: pair for key, *pair in zip(found, low, high, strict=True)}
        for part in dict.fromkeys(part for part, _ in found):
            of_part = [end for name in STATISTICS for end in ends[part, name]]
            lines.append((point_id, projection, part, *of_part))
    names = [f"{name}_{end}" for name in STATISTICS for end in ("low", "high")]
    return _frame(("point_id", "projection", "part"), names, lines)


def difference_intervals(curves: Resampled, differences: pl.DataFrame) -> pl.DataFrame:
    """Compute 95 % intervals of RD by layer, and of its mean over layers (where layer is null).

    `differences` is the result of `relative_difference`, of the same rows. RD takes absolute
    values: what `part_intervals` says of MAD holds here.

    Columns: point_id (the correct one's), projection, layer, rd_low, rd_high.
    """
    pairs = differences.select("point_id", "irrelevant_point_id", "projection")
    lines: list[tuple[Any, ...]] = []
    for first, second, projection in pairs.unique(maintain_order=True).iter_rows():
        found = curves.paired(first, second, projection)
        if found is None:
            continue
        low, high = interval(found.differences, found.n_questions)
        for layer, *ends in zip(found.layers.tolist(), low, high, strict=True):
            lines.append((first, projection, layer, *ends))
        over_layers = interval(mean_of_finite(found.differences), found.n_questions)
        lines.append((first, projection, None, *over_layers))
    frame = _frame(("point_id", "projection", "layer"), ("rd_low", "rd_high"), lines)
    return frame.with_columns(pl.col("layer").cast(pl.Int64).cast(differences.schema["layer"]))


def _by_part(curves: Floats, layers: NDArray[np.int64]) -> dict[tuple[str, str], Floats]:
    """Statistics of (resamples, layers) in all layers and each part, (resamples,) each.

    Parts are cut as in `mean_absolute_difference`; one without layers is not there.
    """
    curve = np.full((len(curves), int(layers.max()) + 1), np.nan)
    curve[:, layers] = curves
    steps = np.abs(np.diff(curve, axis=1))
    found: dict[tuple[str, str], Floats] = {}
    ends = np.cumsum((0, *layer_parts(curve.shape[1]))).tolist()
    parts = {"all": (0, curve.shape[1]), **dict(zip(PARTS, pairwise(ends), strict=True))}
    for part, (start, stop) in parts.items():
        if start < stop:
            mean, mad = (
                mean_of_finite(curve[:, start:stop]),
                mean_of_finite(steps[:, start : stop - 1]),
            )
            with np.errstate(invalid="ignore", divide="ignore"):
                found |= {(part, "mean"): mean, (part, "mad"): mad}
                found[part, "relative_mad"] = mad / mean
    return found


def interval(values: Floats, n_questions: int) -> tuple[Any, Any]:
    """Percentiles over resamples, (1 + resamples, …); NaN with fewer than two questions."""
    if n_questions < 2 or len(values) < 2:
        nothing = np.full(values.shape[1:], np.nan)
        return nothing[()], nothing[()]
    low, high = _percentiles(values[1:].reshape(len(values) - 1, -1)).reshape(2, *values.shape[1:])
    return low[()], high[()]


def _percentiles(values: Floats) -> Floats:
    """Both ends for each column, (2, columns); resamples without a value are left out."""
    # Mostly they have none in any column: no question was drawn.
    values = values[np.isfinite(values).any(axis=1)]
    ends = np.full((2, values.shape[1]), np.nan)
    whole = np.isfinite(values).all(axis=0) & (len(values) > 0)
    if whole.any():
        ends[:, whole] = np.quantile(values[:, whole], (TAIL, 1 - TAIL), axis=0)
    for column in np.flatnonzero(~whole):
        kept = values[np.isfinite(values[:, column]), column]
        if len(kept):
            ends[:, column] = np.quantile(kept, (TAIL, 1 - TAIL))
    return ends


def _sums(layers: Sequence[int], values: Floats, asked: NDArray[np.object_]) -> QuestionSums:
    """Sum a curve's values, (samples, layers), over the samples of each question."""
    ids, place = np.unique(asked.astype(str), return_inverse=True)
    sums = np.zeros((len(ids), len(layers)))
    np.add.at(sums, place, values)
    counts = np.bincount(place, minlength=len(ids)).astype(np.float64)
    return QuestionSums(tuple(ids.tolist()), np.asarray(layers, np.int64), sums, counts)


def mean_of_finite(values: Floats) -> Floats:
    """Mean over the last axis of what has a value; NaN when nothing has."""
    there = np.isfinite(values)
    if there.all() and values.shape[-1]:
        return np.asarray(values.mean(axis=-1))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(there, values, 0).sum(axis=-1) / there.sum(axis=-1))


def _frame(
    keys: Sequence[str], numbers: Sequence[str], lines: Sequence[tuple[Any, ...]]
) -> pl.DataFrame:
    schema: dict[str, Any] = {name: pl.String() for name in keys}
    schema |= {"layer": pl.Int64()} if "layer" in keys else {}
    return pl.DataFrame(lines, schema | dict.fromkeys(numbers, pl.Float64()), orient="row")
