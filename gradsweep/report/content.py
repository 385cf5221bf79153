"""What a report of points that are not trained is written from: numbers, claims, objectives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import polars as pl

from gradsweep.analysis import Finding, evaluate_rated_claims
from gradsweep.analysis.claims.controls import Material
from gradsweep.analysis.claims.evaluate import RESAMPLES, point_claims
from gradsweep.analysis.claims.kept import KeptEstimates
from gradsweep.analysis.held_rows import HeldRows
from gradsweep.analysis.members import MEMBER_METRICS
from gradsweep.analysis.open_questions import Answered
from gradsweep.analysis.point_rows import OfSamples, PointRows
from gradsweep.analysis.rated import is_rated
from gradsweep.records import POINT_LABELS, SAMPLE_METRICS
from gradsweep.report.formats import TableFile
from gradsweep.report.layer_cosines import layer_cosines_markdown
from gradsweep.report.measures import Measures
from gradsweep.report.numbers import TABLE_METRIC, Numbers
from gradsweep.report.objectives import SHAPE, objectives_section
from gradsweep.report.open_questions.section import open_questions_markdown
from gradsweep.report.stored_rows import StoredRows
from gradsweep.report.tables import tables

Test = Callable[[], Sequence[Finding]]
"""Tests the claims, or waits for a process that does."""


@dataclass(frozen=True)
class Content:
    """What a report is written from."""

    training: str = ""
    """The section on training points."""
    every: Sequence[Measures] = ()
    """Of all metrics of tables, those that are drawn first."""
    n_drawn: int = 0
    test: Test = tuple
    """Called when claims are first asked for: all that is made without them is made before."""
    rated: Sequence[Finding] = ()
    """Claims on rated data."""
    shape: Sequence[Measures] = ()
    """Of the section on other objectives, beside the first of `every`."""
    questions: Sequence[Answered] = ()
    numbers: Numbers | None = None
    named: pl.DataFrame = field(default_factory=lambda: _named(()))
    """A line for each point and projection, with the point's names."""

    @cached_property
    def _tested(self) -> Sequence[Finding]:
        return self.test()

    @property
    def found(self) -> list[Finding]:
        """Claims on points that are not trained."""
        return [*self._tested, *self.rated]

    @cached_property
    def objectives(self) -> str:
        """The section on other objectives."""
        if self.numbers is None:
            return ""
        shown = [self.every[0], *self.shape]
        return objectives_section(shown, self.numbers.members, self._tested)

    @cached_property
    def tables(self) -> list[list[TableFile]]:
        """The tables of each metric: files and page have the same."""
        return [list(tables(one)) for one in self.every]

    @property
    def sections(self) -> tuple[str, ...]:
        """Sections of the findings beside those of claims; empty where there is nothing to say."""
        questions = open_questions_markdown(self.questions)
        return self.objectives, questions, layer_cosines_markdown(self.layer_cosines), self.training

    @property
    def layer_cosines(self) -> pl.DataFrame | None:
        """Cosines between all layers; None where they were not measured."""
        return self.numbers.layer_cosines if self.numbers else None


def content_of_points(
    rows: PointRows,
    metrics: Sequence[str],
    loss: str,
    numbers: Numbers,
    content: Content | None = None,
    test: Test | None = None,
) -> Content:
    """Add to `content` what is said of points that are not trained.

    `test` is another way to the claims than testing them here.
    """
    drawn = tuple(dict.fromkeys((*metrics, *MEMBER_METRICS)))
    return replace(
        content or Content(),
        every=numbers.of(tuple(dict.fromkeys((*drawn, TABLE_METRIC, "loss")))),
        n_drawn=len(numbers.of(drawn)),
        test=test or partial(claims_of, rows, metrics[0], loss),
        rated=_rated_claims(rows) if loss == "mean" else (),
        shape=numbers.of([name for name in (SHAPE, *MEMBER_METRICS) if name != metrics[0]]),
        numbers=numbers,
        named=_named([one for one in numbers.measures.values() if not one.per_sample]),
    )


def claims_of(rows: PointRows, metric: str, loss: str) -> list[Finding]:
    """Test the claims; estimates in stored points are kept for the next report."""
    source: PointRows = OfSamples(rows) if metric in SAMPLE_METRICS and rows.has_samples else rows
    kept = None
    if isinstance(rows, StoredRows):
        kept, source = KeptEstimates(rows.results), HeldRows(source, (metric,))
    try:
        return point_claims(Material(source, metric, loss, RESAMPLES, seed=0, kept=kept))
    finally:
        if kept is not None:
            kept.save()


def _rated_claims(rows: PointRows) -> list[Finding]:
    """Test the claims on rated data, where there are any."""
    rated = rows.points.filter([is_rated(name) for name in rows.points["dataset"]])
    ids = rated["point_id"].to_list()
    return evaluate_rated_claims(rows.rows(ids), rows.samples(ids)) if ids else []


def _named(measures: Sequence[Measures]) -> pl.DataFrame:
    """The names of all points, once for each projection."""
    columns = (*POINT_LABELS, "point_id", "projection")
    nothing = pl.DataFrame(schema=dict.fromkeys(columns, pl.String()))
    return pl.concat([nothing, *(one.curves.select(columns) for one in measures)]).unique()
