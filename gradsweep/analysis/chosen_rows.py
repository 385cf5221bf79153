"""Some of the points of a source, some of their rows, or all of them a few conditions at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from gradsweep.analysis.point_rows import OtherRows, PointRows
from gradsweep.records import POINT_LABELS

_READ_TOGETHER = 200_000
"""Rows of conditions that are looked at together."""


@dataclass(frozen=True)
class ChosenRows(OtherRows):
    """Some of the points."""

    chosen: pl.DataFrame
    """Lines of the source's `points`."""

    @property
    def points(self) -> pl.DataFrame:
        return self.chosen

    def rows(
        self, point_ids: Collection[str], metrics: Collection[str] | None = None
    ) -> pl.DataFrame:
        return self.source.rows(point_ids, metrics)

    def key(self, point_ids: Collection[str]) -> str | None:
        return self.source.key(point_ids)


@dataclass(frozen=True)
class ProjectionRows(OtherRows):
    """The rows of some projections."""

    projections: frozenset[str]

    def rows(
        self, point_ids: Collection[str], metrics: Collection[str] | None = None
    ) -> pl.DataFrame:
        rows = self.source.rows(point_ids, metrics)
        return rows.filter(pl.col("projection").is_in(list(self.projections)))

    def key(self, point_ids: Collection[str]) -> str | None:
        known = super().key(point_ids)
        return known and f"{sorted(self.projections)} {known}"


def read_together(
    source: PointRows, metrics: Collection[str]
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame | None]]:
    """Read the rows and samples of all points, those of a condition together, never many of them.

    Args:
        source: the points.
        metrics: of the rows at least these.
    """
    held: list[pl.DataFrame] = []
    ids: list[str] = []
    for _, points in source.points.group_by(POINT_LABELS, maintain_order=True):
        own = points["point_id"].to_list()
        held.append(source.rows(own, metrics))
        ids += own
        if sum(map(len, held)) >= _READ_TOGETHER:
            yield _joined(held), source.samples(ids)
            held, ids = [], []
    if ids:
        yield _joined(held), source.samples(ids)


def _joined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    # Points have other metrics of the user's own: null where a point lacks one.
    return pl.concat(frames, how="diagonal")
