"""Curves over resampled questions: those of many points at once, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.alike import together
from gradsweep.analysis.bootstrap import quantiles_over_resamples, question_weights
from gradsweep.analysis.complete import CurveValues, SortedRows
from gradsweep.analysis.layers import PARTS, layer_parts
from gradsweep.analysis.relative_difference import relative_differences

Floats = NDArray[np.float64]

STATISTICS = ("mean", "mad", "relative_mad")
_MOST_HELD = 2**22
"""Numbers of curves that are held (32 MiB)."""
TAIL = 0.025
"""Of a 95 % interval, on each side."""

Name = tuple[str, str]
"""Point and projection."""
Pair = tuple[str, str, str]
"""Two points and a projection."""


@dataclass(frozen=True)
class QuestionSums:
    """One metric of one point in one projection, summed over the samples of each question."""

    question_ids: tuple[str, ...]
    layers: tuple[int, ...]
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
class Alike:
    """Statistics of curves with the same questions and layers."""

    names: list[Name]
    n_questions: int
    statistics: Mapping[tuple[str, str], Floats]
    """(part, mean or mad or relative_mad) -> (curves, 1 + resamples)."""


@dataclass(frozen=True)
class Paired:
    """RD of two points in one projection."""

    layers: tuple[int, ...]
    ends: Floats
    """Of its interval by layer, (2, layers)."""
    over_layers: Floats
    """Its mean over layers, (1 + resamples,)."""
    n_questions: int


@dataclass(frozen=True)
class Resampled:
    """The curves of a metric over resampled questions; the first resample is the sample itself.

    Curves with the same questions and layers are computed as one array: no number of a curve
    depends on what else is in it, bit for bit.
    """

    of_point: Mapping[Name, QuestionSums]
    resamples: int = 1000
    seed: int = 0
    _weights: dict[tuple[str, ...], Floats] = field(default_factory=dict, repr=False)
    _held: dict[Name, Floats] = field(default_factory=dict, repr=False)
    """Curves of points' own questions: means, MAD and RD look at the same."""
    _pairs: dict[Pair, Paired] = field(default_factory=dict, repr=False)
    known_over_layers: Mapping[Name, Mapping[str, Floats]] | None = field(default=None, repr=False)
    """`over_layers` of the same curves, where they have been computed before."""

    def curve(self, sums: QuestionSums) -> Floats:
        """Compute mean curves, (1 + resamples, layers); NaN where no question was drawn."""
        return self._curves([sums])[0]

    def _curves(self, alike: Sequence[QuestionSums]) -> Floats:
        """Curves of the same questions, (curves, 1 + resamples, layers)."""
        ids = alike[0].question_ids
        if ids not in self._weights:
            self._weights[ids] = question_weights(ids, self.resamples, self.seed)
        weights = self._weights[ids]
        totals = weights @ np.stack([one.counts for one in alike], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            sums = weights @ np.stack([one.sums for one in alike])
            return np.asarray(sums / totals.T[..., None])

    def _own_curves(self, names: Sequence[Name]) -> Floats:
        if all(name in self._held for name in names):
            return np.stack([self._held[name] for name in names])
        found = self._curves([self.of_point[name] for name in names])
        if sum(curve.size for curve in self._held.values()) + found.size <= _MOST_HELD:
            self._held.update(zip(names, found, strict=True))
        return found

    @cached_property
    def alike(self) -> list[Alike]:
        """Statistics of all curves."""
        kinds = {name: (one.question_ids, one.layers) for name, one in self.of_point.items()}
        return [
            Alike(names, len(ids), _by_part(self._own_curves(names), layers))
            for (ids, layers), names in together(kinds, self._numbers)
        ]

    @cached_property
    def over_layers(self) -> Mapping[Name, Mapping[str, Floats]]:
        """Mean, mad and relative_mad of all layers, (1 + resamples,), by point and projection."""
        if self.known_over_layers is not None:
            return self.known_over_layers
        return {
            name: {kind: group.statistics["all", kind][place] for kind in STATISTICS}
            for group in self.alike
            for place, name in enumerate(group.names)
        }

    def paired(self, pairs: Iterable[Pair]) -> dict[Pair, Paired]:
        """Compute RD over common questions and layers; a pair without any is left out."""
        pairs = list(pairs)
        kinds = {}
        for first, second, projection in pairs:
            both = [self.of_point.get((name, projection)) for name in (first, second)]
            if (first, second, projection) not in self._pairs and None not in both:
                kinds[first, second, projection] = tuple(
                    (one.question_ids, one.layers) for one in both if one is not None
                )
        for _, alike in together(kinds, self._numbers):
            self._pairs.update(self._pair_up(alike))
        return {pair: self._pairs[pair] for pair in pairs if pair in self._pairs}

    def _pair_up(self, pairs: list[Pair]) -> dict[Pair, Paired]:
        """Compute RD of pairs that have the same questions and layers on each side."""
        sides = [[(pair[side], pair[2]) for pair in pairs] for side in (0, 1)]
        one, other = (self.of_point[names[0]] for names in sides)
        common = sorted(set(one.question_ids) & set(other.question_ids))
        layers, at_one, at_other = np.intersect1d(one.layers, other.layers, return_indices=True)
        if not common or not len(layers):
            return {}
        curves = [
            self._own_curves(names)
            if len(common) == len(sums.question_ids)
            else self._curves([self.of_point[name].of(common) for name in names])
            for names, sums in zip(sides, (one, other), strict=True)
        ]
        rd = relative_differences(curves[0][..., at_one], curves[1][..., at_other])
        ends, over_layers = ends_of(rd, len(common)), mean_of_finite(rd)
        return {
            pair: Paired(tuple(layers.tolist()), ends[:, place], over_layers[place], len(common))
            for place, pair in enumerate(pairs)
        }

    @property
    def _numbers(self) -> int:
        """Of the resamples of the longest curve."""
        longest = max((len(one.layers) for one in self.of_point.values()), default=1)
        return (1 + self.resamples) * longest


def resampled(rows: pl.DataFrame, metric: str, resamples: int = 1000, seed: int = 0) -> Resampled:
    """Prepare the questions of `rows` (of `conditions`), whose samples are complete.

    Raises:
        DataError: as `gradsweep.analysis.complete.complete_values`.
    """
    return resampled_values(SortedRows(rows).curves(metric), resamples, seed)


def resampled_values(
    values: Sequence[CurveValues],
    resamples: int = 1000,
    seed: int = 0,
    known: Mapping[Name, Mapping[str, Floats]] | None = None,
) -> Resampled:
    """Prepare the questions of complete curves; `known` are their `over_layers` of before."""
    sums = {one.names: _sums(one) for one in values}
    return Resampled(sums, resamples, seed, known_over_layers=known)


def _sums(curve: CurveValues) -> QuestionSums:
    """Sum a curve's values over the samples of each question."""
    asked = curve.asked
    sums = np.zeros((len(asked.question_ids), len(curve.layers)))
    if asked.once:
        sums[asked.place] = curve.values
    else:
        np.add.at(sums, asked.place, curve.values)
    counts = np.bincount(asked.place, minlength=len(sums)).astype(np.float64)
    return QuestionSums(asked.question_ids, curve.layers, sums, counts)


def _by_part(curves: Floats, layers: Sequence[int]) -> dict[tuple[str, str], Floats]:
    """Statistics of (…, layers) in all layers and each part, (…,) each.

    Parts are cut as in `mean_absolute_difference`; one without layers is not there.
    """
    curve = np.full((*curves.shape[:-1], max(layers) + 1), np.nan)
    curve[..., list(layers)] = curves
    steps = np.abs(np.diff(curve, axis=-1))
    found: dict[tuple[str, str], Floats] = {}
    ends = np.cumsum((0, *layer_parts(curve.shape[-1]))).tolist()
    parts = {"all": (0, curve.shape[-1]), **dict(zip(PARTS, pairwise(ends), strict=True))}
    for part, (start, stop) in parts.items():
        if start < stop:
            mean, mad = (
                mean_of_finite(curve[..., start:stop]),
                mean_of_finite(steps[..., start : stop - 1]),
            )
            with np.errstate(invalid="ignore", divide="ignore"):
                found |= {(part, "mean"): mean, (part, "mad"): mad}
                found[part, "relative_mad"] = mad / mean
    return found


def interval(values: Floats, n_questions: int) -> tuple[float, float]:
    """Percentiles over resamples, of (1 + resamples,); NaN with fewer than two questions."""
    low, high = ends_of(values[None, :, None], n_questions).ravel().tolist()
    return low, high


def ends_of(values: Floats, n_questions: int) -> Floats:
    """Percentiles over resamples of many curves: (curves, 1 + resamples, columns) gives
    (2, curves, columns); NaN with fewer than two questions."""
    n_curves, n_resamples, n_columns = values.shape
    if n_questions < 2 or n_resamples < 2:
        return np.full((2, n_curves, n_columns), np.nan)
    if np.isfinite(values[:, 1:]).all():
        return quantiles_over_resamples(values[:, 1:], (TAIL, 1 - TAIL))
    return np.stack([_percentiles(of_curve[1:]) for of_curve in values], axis=1)


def _percentiles(values: Floats) -> Floats:
    """Both ends for each column, (2, columns); resamples without a value are left out."""
    # Mostly they have none in any column: no question was drawn.
    values = values[np.isfinite(values).any(axis=1)]
    ends = np.full((2, values.shape[1]), np.nan)
    for column in range(values.shape[1]):
        kept = values[np.isfinite(values[:, column]), column]
        if len(kept):
            ends[:, column] = quantiles_over_resamples(kept[:, None], (TAIL, 1 - TAIL))[:, 0]
    return ends


def mean_of_finite(values: Floats) -> Floats:
    """Mean over the last axis of what has a value; NaN when nothing has."""
    there = np.isfinite(values)
    if there.all() and values.shape[-1]:
        return np.asarray(values.mean(axis=-1))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(there, values, 0).sum(axis=-1) / there.sum(axis=-1))
