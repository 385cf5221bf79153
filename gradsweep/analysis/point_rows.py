"""Rows of many points, read when they are needed: those of thousands do not fit in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import polars as pl

from gradsweep.analysis.complete import SortedRows
from gradsweep.analysis.conditions import conditions
from gradsweep.analysis.point_values import PointCurves, PointValues
from gradsweep.analysis.questions import QuestionValues, arranged, question_values
from gradsweep.analysis.rows import (
    in_reading_order,
    of_units,
    whole_matrices,
    whole_samples,
    with_every_axis,
)
from gradsweep.analysis.sample_metrics import sample_rows
from gradsweep.records import POINT_LABELS, SAMPLE_METRICS
from gradsweep.store.frames import own_metric_columns

SCOPE = ("model", "objective", "series", "dataset")
"""Conditions that are compared with each other agree on these: no number of one scope depends on
what else is stored."""


class PointRows(Protocol):
    """Points with rows of whole samples, and where their rows are."""

    @property
    def points(self) -> pl.DataFrame:
        """A line for each: point_id, `POINT_LABELS`, seed; in reading order."""

    def rows(
        self, point_ids: Collection[str], metrics: Collection[str] | None = None
    ) -> pl.DataFrame:
        """Read the rows of some points, as `load_rows` gives them; of `metrics` at least these.

        Of a condition that has several points of one seed, all metrics: they tell which of the
        points has measured least (`conditions`).
        """

    def samples(self, point_ids: Collection[str]) -> pl.DataFrame | None:
        """Read the samples of the same points; None where nobody gave any."""

    @property
    def has_samples(self) -> bool:
        """Whether there are samples, with their response tokens."""

    @property
    def has_losses(self) -> bool:
        """Whether samples have their loss and the names of their points."""

    def n_rows(self, point_ids: Collection[str]) -> int:
        """Count the rows of some points, without reading them where that can be spared."""

    def own_metrics(self, point_ids: Collection[str]) -> set[str]:
        """Name the metrics of the user's own that any of the points has."""

    def key(self, point_ids: Collection[str]) -> str | None:
        """Name what the points' numbers follow from; None where that may change any moment."""

    def known(self, point_id: str, metric: str) -> PointCurves | None:
        """Give a metric's complete values where they are kept; None where rows are to be read."""


@dataclass(frozen=True)
class FrameRows:
    """Rows and samples that are in memory."""

    frame: pl.DataFrame
    """As `load_rows` gives them; single steps are left out."""
    every_sample: pl.DataFrame | None = None

    @cached_property
    def points(self) -> pl.DataFrame:
        return points_of(self.frame)

    @cached_property
    def _by_point(self) -> dict[str, pl.DataFrame]:
        whole = whole_samples(with_every_axis(self.frame))
        parts = whole.partition_by("point_id", as_dict=True, maintain_order=True)
        return {str(name): rows for (name,), rows in parts.items()}

    def rows(
        self, point_ids: Collection[str], metrics: Collection[str] | None = None
    ) -> pl.DataFrame:
        known = [self._by_point[name] for name in point_ids if name in self._by_point]
        return pl.concat(known) if known else with_every_axis(self.frame).clear()

    def samples(self, point_ids: Collection[str]) -> pl.DataFrame | None:
        if self.every_sample is None:
            return None
        chosen = self.every_sample.filter(pl.col("point_id").is_in(list(point_ids)))
        # Rows may have been filtered.
        return chosen.join(self.rows(point_ids), on=["point_id", "sample_id"], how="semi")

    @property
    def has_samples(self) -> bool:
        return self.every_sample is not None

    @property
    def has_losses(self) -> bool:
        needed = {"loss", *POINT_LABELS} - {"objective"}
        return self.every_sample is not None and needed <= set(self.every_sample.columns)

    def n_rows(self, point_ids: Collection[str]) -> int:
        return len(self.rows(point_ids))

    def own_metrics(self, point_ids: Collection[str]) -> set[str]:
        return set(own_metric_columns(self.frame))

    def key(self, point_ids: Collection[str]) -> str | None:
        return None

    def known(self, point_id: str, metric: str) -> PointCurves | None:
        return None

    @cached_property
    def conditions(self) -> Conditions:
        """Their conditions, found once for all metrics (`conditions_of`)."""
        found = _conditions(self)
        rows = of_units(whole_samples(with_every_axis(self.frame)))
        if "head" in rows.columns and rows["head"].null_count() < len(rows):
            return found  # rows of single heads stand beside no others, or are refused when read
        return FrameConditions(found.source, found.points, found.members, conditions(rows))


@dataclass(frozen=True)
class OtherRows:
    """The points of `source` with other rows than their own."""

    source: PointRows

    @property
    def points(self) -> pl.DataFrame:
        return self.source.points

    def samples(self, point_ids: Collection[str]) -> pl.DataFrame | None:
        return self.source.samples(point_ids)

    @property
    def has_samples(self) -> bool:
        return self.source.has_samples

    @property
    def has_losses(self) -> bool:
        return self.source.has_losses

    def n_rows(self, point_ids: Collection[str]) -> int:
        return self.source.n_rows(point_ids)

    def own_metrics(self, point_ids: Collection[str]) -> set[str]:
        return self.source.own_metrics(point_ids)

    def key(self, point_ids: Collection[str]) -> str | None:
        known = self.source.key(point_ids)
        return known and f"{type(self).__name__} {known}"

    def known(self, point_id: str, metric: str) -> PointCurves | None:
        return None


class OfSamples(OtherRows):
    """What whole samples have, as rows (`sample_rows`)."""

    def rows(
        self, point_ids: Collection[str], metrics: Collection[str] | None = None
    ) -> pl.DataFrame:
        samples = self.source.samples(point_ids)
        assert samples is not None
        return sample_rows(samples)

    def known(self, point_id: str, metric: str) -> PointCurves | None:
        return self.source.known(point_id, metric) if metric in SAMPLE_METRICS else None


@dataclass(frozen=True)
class Conditions:
    """The points of each condition, which `conditions` makes one when its rows are needed."""

    source: PointRows
    points: pl.DataFrame
    """As `PointRows.points`, with a line for each condition."""
    members: Mapping[str, tuple[str, ...]]
    """The point that stands for a condition -> all of its points."""

    def rows(self, point_ids: Collection[str], metric: str) -> pl.DataFrame:
        """Read the rows of some conditions with a metric, of whole matrices.

        Raises:
            DataError: a projection with rows of single heads only.
        """
        members = [member for name in point_ids for member in self.members[name]]
        return whole_matrices(conditions(self.source.rows(members, [metric])))

    def values(self, point_ids: Collection[str], metric: str) -> dict[str, PointValues]:
        """Read the values of some conditions. Raises as `rows`."""
        found = {n: known for n in point_ids if (known := self._known(n, metric)) is not None}
        if left := [name for name in point_ids if name not in found]:
            rows = self.rows(left, metric)
            values, asked = question_values(rows, metric), asked_questions(rows)
            found |= {n: PointValues(values.get(n, {}), asked.get(n, ())) for n in left}
        return found

    def _known(self, point_id: str, metric: str) -> PointValues | None:
        """Values of a condition of one point that are kept."""
        if len(self.members[point_id]) > 1:
            return None
        known = self.source.known(point_id, metric)
        return None if known is None else known.arranged(point_id)

    def key(self, point_id: str) -> str | None:
        return self.source.key(self.members[point_id])


@dataclass(frozen=True)
class FrameConditions(Conditions):
    """Conditions whose rows are in memory: they are sorted once, for all metrics."""

    whole: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False)
    """Rows of whole matrices of all conditions."""
    _arranged: dict[str, dict[str, dict[str, QuestionValues]]] = field(
        default_factory=dict, repr=False
    )
    """Of the metric that was asked for last."""

    def values(self, point_ids: Collection[str], metric: str) -> dict[str, PointValues]:
        if metric not in self._arranged:
            self._arranged.clear()
            self._arranged[metric] = arranged(self._sorted.curves(metric))
        values = self._arranged[metric]
        return {n: PointValues(values.get(n, {}), self._asked.get(n, ())) for n in point_ids}

    @cached_property
    def _sorted(self) -> SortedRows:
        return SortedRows(self.whole)

    @cached_property
    def _asked(self) -> dict[str, tuple[str, ...]]:
        return asked_questions(self.whole)


def asked_questions(rows: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """List the questions that each point has rows of, with values or without."""
    asked = rows.group_by("point_id").agg(pl.col("question_id").unique())
    return {name: tuple(questions) for name, questions in asked.iter_rows()}


def conditions_of(source: PointRows) -> Conditions:
    """Find the conditions of points; the one with the lowest seed stands for the others.

    Where several have one seed, their rows tell which of them has measured least (`conditions`).
    """
    return source.conditions if isinstance(source, FrameRows) else _conditions(source)


def _conditions(source: PointRows) -> Conditions:
    members: dict[str, tuple[str, ...]] = {}
    of_labels = source.points.sort("seed", "point_id").group_by(POINT_LABELS, maintain_order=True)
    # A frame for each of thousands of conditions takes as long as their claims.
    for of_ids, seeds in of_labels.agg("point_id", "seed").select("point_id", "seed").iter_rows():
        ids = tuple(of_ids)
        name = ids[0]
        if len(set(seeds)) < len(seeds):
            name = str(conditions(source.rows(ids))["point_id"][0])
        members[name] = ids
    standing = source.points.filter(pl.col("point_id").is_in(list(members)))
    return Conditions(source, standing, members)


def points_of(rows: pl.DataFrame) -> pl.DataFrame:
    """List the points of rows that are of whole samples: point_id, `POINT_LABELS`, seed."""
    whole = whole_samples(with_every_axis(rows))
    seed = pl.col("seed") if "seed" in whole.columns else pl.lit(0, pl.Int64()).alias("seed")
    return in_reading_order(whole.select("point_id", *POINT_LABELS, seed).unique())


def scopes(points: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Cut `PointRows.points` into scopes, in reading order."""
    yield from in_reading_order(points).partition_by(SCOPE, maintain_order=True)
