"""The points of a comparison on the same questions, and their resampled curves."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import question_weights
from gradsweep.analysis.point_rows import Conditions, PointRows, conditions_of
from gradsweep.analysis.point_values import PointValues
from gradsweep.analysis.reduction import of_mean_loss
from gradsweep.analysis.rows import main_responses
from gradsweep.records import AXES, STUDY_OBJECTIVE, Axes
from gradsweep.store.kept_tables import key_of

Floats = NDArray[np.float64]
_Member = TypeVar("_Member", int, str)


@dataclass(frozen=True)
class Matched:
    """Conditions under their names in a statement, e.g. `none` and `detailed`.

    Everything is a list over the projections that all conditions have. The first resample is
    the observed sample itself.
    """

    layers: list[tuple[int, ...]]
    """Layer indices that all conditions of a group have."""
    values: Mapping[str, list[Floats]]
    """(questions, layers) by condition; conditions of a group have the same questions."""
    weights: Mapping[str, Floats]
    """(1 + resamples, questions): how often each question counts."""
    n_questions: int
    n_left_out: int
    whole: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Conditions with all of their point's questions and layers: the point and the projections."""
    held: OrderedDict[tuple[str, ...], list[Floats]] = field(
        default_factory=OrderedDict, repr=False
    )
    """Curves of such conditions, of other groups too."""
    squared: list[Floats] = field(default_factory=list, repr=False)
    """Weights that were looked at last, by any group, and what follows from them."""
    _curves: dict[str, list[Floats]] = field(default_factory=dict, repr=False)
    _squares: dict[tuple[str, str], list[Floats]] = field(default_factory=dict, repr=False)

    def curves(self, name: str) -> list[Floats]:
        """Compute the mean curves of a condition: (1 + resamples, layers) for every projection."""
        if name not in self._curves:
            self._curves[name] = self._held(name) if name in self.whole else self._computed(name)
        return self._curves[name]

    def _held(self, name: str) -> list[Floats]:
        key = self.whole[name]
        if key not in self.held:
            self.held[key] = self._computed(name)
            if len(self.held) > _MOST_CURVES:
                self.held.popitem(last=False)
        self.held.move_to_end(key)
        return self.held[key]

    def _computed(self, name: str) -> list[Floats]:
        weights = self.weights[name]
        totals = weights.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            return [weights @ values / totals for values in self.values[name]]

    def squared_differences(self, first: str, second: str) -> list[Floats]:
        """Compute the squared relative difference of two conditions of a group, without what noise
        alone would give (`gradsweep.analysis.claims.statistics.separation`): (1 + resamples,
        layers) for every projection."""
        if (first, second) not in self._squares:
            weights = self.weights[first]
            totals = weights.sum(axis=1, keepdims=True)
            squared_weights, pairs = self._pairs_of(weights)
            each = zip(
                *(self.values[first], self.values[second]),
                *(self.curves(first), self.curves(second)),
                strict=True,
            )
            with np.errstate(invalid="ignore", divide="ignore"):
                self._squares[first, second] = [
                    ((totals * (to - curve)) ** 2 - squared_weights @ (other - one) ** 2)
                    / pairs[:, None]
                    / curve**2
                    for one, other, curve, to in each
                ]
        return self._squares[first, second]

    def _pairs_of(self, weights: Floats) -> tuple[Floats, Floats]:
        """Squared weights, and how often two different questions are drawn together."""
        if not self.squared or self.squared[0] is not weights:
            squared = weights**2
            pairs = weights.sum(axis=1) ** 2 - squared.sum(axis=1)
            self.squared[:] = [weights, squared, pairs]
        return self.squared[1], self.squared[2]


_MOST_CURVES = 24
"""Points whose resampled curves a study holds (1 MB each of 30 layers and four projections): trials
of a model and dataset, and of its partner, look at the same."""
_READ_TOGETHER = 2**16
"""Numbers of points that are read together."""
_MOST_VALUES = 2**22
"""Numbers of points that a study holds (32 MiB): what more it looks at, it reads again."""


def studies_of(source: PointRows, metric: str, resamples: int, seed: int) -> list[Study]:
    """Make a study of each objective and series of points, the study's own objective first.

    Rows are read when they are needed.
    """
    return studies_in(conditions_of(source), metric, resamples, seed)


def studies_in(found: Conditions, metric: str, resamples: int, seed: int) -> list[Study]:
    """Make a study of each objective and series of conditions, as `studies_of` does."""
    parts = found.points.partition_by("objective", "series", as_dict=True).items()
    return [
        Study(found, of_one, metric, resamples, seed)
        for _, of_one in sorted(parts, key=lambda part: (part[0][0] != STUDY_OBJECTIVE, part[0]))
    ]


class Study:
    """The points of one objective and series, and the resampling that all claims share.

    Points of different ones are never compared with each other: each series of an objective is a
    study of its own (`studies_of`). Its seeds are pooled (`conditions`).

    A question counts Poisson(1) times in a resample (the Poisson bootstrap; Hanley &
    MacGibbon, 2006), drawn from its own id: every condition, projection, layer and model draws
    the same questions together, and a scope's numbers do not depend on what else is stored.
    """

    def __init__(
        self,
        found: Conditions,
        points: pl.DataFrame,
        metric: str,
        resamples: int,
        seed: int,
    ) -> None:
        """Take those of the conditions that are `points`, of one objective and series."""
        self.series, self.objective = str(points["series"][0]), str(points["objective"][0])
        self._found, self._metric, self._resamples, self._seed = found, metric, resamples, seed
        self._held: OrderedDict[str, PointValues] = OrderedDict()
        self._curves: OrderedDict[tuple[str, ...], list[Floats]] = OrderedDict()
        self._squared: list[Floats] = []
        lines = points.select(*AXES, "point_id").sort(*AXES).iter_rows()
        self.points: dict[Axes, str] = {Axes(*axes): name for *axes, name in lines}

    @property
    def name(self) -> tuple[str, str]:
        """Objective and series."""
        return self.objective, self.series

    @property
    def of_mean_loss(self) -> bool:
        """Whether its loss is the mean cross-entropy over a response's tokens."""
        return of_mean_loss(self.objective, self.series)

    @property
    def responses(self) -> str:
        """The value of correctness that its correct responses have: `pair` and `group`, where a
        unit has both kinds."""
        return main_responses({axes.correctness for axes in self.points})

    @cached_property
    def models(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(axes.model for axes in self.points))

    def datasets(self, model: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(axes.dataset for axes in self.points if axes.model == model))

    def matched(self, groups: Sequence[Mapping[str, Axes]]) -> Matched:
        """Match the conditions of `groups`; those of one group are paired question by question."""
        names = [name for group in groups for name in group]
        point_ids = {name: self.points[axes] for group in groups for name, axes in group.items()}
        points = self._of(list(dict.fromkeys(point_ids.values())))
        of_condition = {name: points[point_ids[name]].values for name in names}
        projections = [
            p for p in of_condition[names[0]] if all(p in of_condition[name] for name in names)
        ]
        values: dict[str, list[Floats]] = {}
        weights: dict[str, Floats] = {}
        whole: dict[str, tuple[str, ...]] = {}
        counts, left_out = [], 0
        layers = [_common(of_condition[name][p].layers for name in names) for p in projections]
        for group in groups:
            questions = _common(
                of_condition[name][p].question_ids for name in group for p in projections
            )
            asked = _common(points[point_ids[name]].asked for name in group)
            counts.append(len(questions))
            left_out += len(asked) - len(questions)
            drawn = question_weights(questions, self._resamples, self._seed)
            for name in group:
                weights[name] = drawn
                values[name] = [
                    of_condition[name][p].at(questions, of_layers)
                    for p, of_layers in zip(projections, layers, strict=True)
                ]
                own = (of_condition[name][p].values for p in projections)
                if all(one is of_point for one, of_point in zip(values[name], own, strict=True)):
                    whole[name] = (point_ids[name], *projections)
        return Matched(
            layers, values, weights, min(counts), left_out, whole, self._curves, self._squared
        )

    def key(self, groups: Sequence[Mapping[str, Axes]]) -> str | None:
        """Name what a statistic of these conditions follows from; None where it may change."""
        keys = [
            {name: self._found.key(self.points[axes]) for name, axes in group.items()}
            for group in groups
        ]
        if any(key is None for group in keys for key in group.values()):
            return None
        return key_of(self._metric, self._resamples, self._seed, keys)

    def _of(self, point_ids: Collection[str]) -> dict[str, PointValues]:
        """The values of points; those of points that were not asked for lately are forgotten."""
        new = [name for name in point_ids if name not in self._held]
        if new:
            self._held |= self._found.values([*new, *self._ahead(new)], self._metric)
        found = {name: self._held[name] for name in point_ids}
        for name in found:
            self._held.move_to_end(name)
        while len(self._held) > 1 and sum(p.size for p in self._held.values()) > _MOST_VALUES:
            self._held.popitem(last=False)
        return found

    def _ahead(self, new: Sequence[str]) -> list[str]:
        """Other points of the same dataset, which come next: one frame of many small points takes
        little longer than one of a few."""
        if not self._held:
            return []
        largest = max(point.size for point in self._held.values())
        room = _READ_TOGETHER // max(1, largest) - len(new)
        datasets = {axes.dataset for axes, name in self.points.items() if name in new}
        others = [
            name
            for axes, name in self.points.items()
            if axes.dataset in datasets and name not in self._held and name not in new
        ]
        return others[: max(0, room)]


def _common(collections: Iterable[Iterable[_Member]]) -> tuple[_Member, ...]:
    """Members that all collections have, sorted."""
    sets = [set(collection) for collection in collections]
    return tuple(sorted(set.intersection(*sets))) if sets else ()
