"""Two points side by side, on the questions and layers that both have; or, of two datasets that ask
other questions, as two independent samples."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from gradsweep.analysis.complete import complete_values
from gradsweep.analysis.curves import curves
from gradsweep.analysis.independent import independent_tests
from gradsweep.analysis.mad import mean_absolute_difference
from gradsweep.analysis.paired import paired_tests
from gradsweep.analysis.pairs import paired_points
from gradsweep.analysis.relative_difference import relative_differences
from gradsweep.analysis.rows import whole_matrices

TOP_LAYERS = 5


@dataclass(frozen=True)
class Contrast:
    """One metric of a first and a second point; every frame has a line per projection at least."""

    metric: str
    is_paired: bool
    """Whether questions pair; else the points are of two datasets, and have none in common."""
    tests: pl.DataFrame
    """Second minus first by projection (`paired_tests`, `independent_tests`), Holm-corrected over
    projections."""
    curves: pl.DataFrame
    """Curves of both points (`gradsweep.analysis.curves`); of pairs over the common questions."""
    mads: dict[tuple[str, str], float]
    """MAD over all layers, by (point_id, projection)."""
    differences: pl.DataFrame
    """projection, layer, first, second, relative_difference |s − s'|/|s| with the first point's
    curve s as the unit (paper section 3)."""

    @property
    def n_questions(self) -> int:
        """The fewest of any projection, of the smaller sample where questions do not pair; 0 when
        points of one dataset have no question in common."""
        counts = self.tests["n_questions"].to_list()
        return min(counts, default=0)

    def relative_difference(self, projection: str) -> float:
        """Average RD over the layers where it is defined; NaN when there are none."""
        defined = self._defined(projection)["relative_difference"].to_numpy()
        return float(defined.mean()) if len(defined) else float("nan")

    def top_layers(self, projection: str) -> list[int]:
        """Find at most five layers where RD is largest, the largest first."""
        largest = self._defined(projection).sort(
            "relative_difference", descending=True, maintain_order=True
        )
        return largest["layer"].head(TOP_LAYERS).to_list()

    def _defined(self, projection: str) -> pl.DataFrame:
        of_projection = self.differences.filter(pl.col("projection") == projection)
        return of_projection.filter(pl.col("relative_difference").is_finite())


def contrast(rows: pl.DataFrame, pair: pl.DataFrame, metric: str = "nuclear_norm") -> Contrast:
    """Compare the two points of `pair`, one line as `condition_pairs` gives them.

    Only questions with a finite value in every layer of both points count, so that curves, MAD,
    RD and tests rest on the same questions. Points of two datasets that have no question in common
    are compared as independent samples; of one dataset they are not, since other samples of it are
    what seeds are for.

    Raises:
        ConfigError: an unknown metric.
        DataError: a projection with rows of single heads only.
    """
    first_id, second_id = pair.row(0, named=True)["first_point_id"], pair["second_point_id"][0]
    rows = whole_matrices(rows.filter(pl.col("point_id").is_in([first_id, second_id])))
    counted = _common(rows, first_id, second_id, metric)
    is_paired = not counted.is_empty() or pair["dataset"][0] == pair["second_dataset"][0]
    if is_paired:
        tests = paired_tests(rows, pair, metric)
    else:
        tests = independent_tests(rows, pair, metric)
        counted = complete_values(rows, metric).select("projection", "question_id").unique()
    shared = rows.join(counted, on=("projection", "question_id"), how="semi")
    layers = [set(_of(shared, name).select("projection", "layer").rows()) for name in
              (first_id, second_id)]  # fmt: skip
    both = pl.DataFrame(
        sorted(layers[0] & layers[1]),
        schema={name: rows.schema[name] for name in ("projection", "layer")},
        orient="row",
    )
    by_layer = curves(shared.join(both, on=("projection", "layer"), how="semi"), metric)
    mads = mean_absolute_difference(by_layer).filter(pl.col("part") == "all")
    return Contrast(
        metric=metric,
        is_paired=is_paired,
        tests=tests,
        curves=by_layer,
        mads={(p, name): mad for p, name, mad in mads["point_id", "projection", "mad"].rows()},
        differences=_differences(by_layer, first_id, second_id),
    )


def pair_of(points: pl.DataFrame, first_id: str, second_id: str) -> pl.DataFrame:
    """Set any two points against each other: a line like those of `condition_pairs`.

    `points` has point_id, the axes and series, a line for each point.
    """
    return paired_points(_of(points, first_id), _of(points, second_id), same=())


def _of(rows: pl.DataFrame, point_id: str) -> pl.DataFrame:
    return rows.filter(pl.col("point_id") == point_id)


def _common(rows: pl.DataFrame, first_id: str, second_id: str, metric: str) -> pl.DataFrame:
    """(projection, question_id) with complete values in both points."""
    values = complete_values(rows, metric)
    asked = [_of(values, name).select("projection", "question_id").unique() for name in
             (first_id, second_id)]  # fmt: skip
    return asked[0].join(asked[1], on=("projection", "question_id"))


def _differences(by_layer: pl.DataFrame, first_id: str, second_id: str) -> pl.DataFrame:
    first, second = (
        _of(by_layer, point_id).select("projection", "layer", pl.col("mean").alias(name))
        for point_id, name in ((first_id, "first"), (second_id, "second"))
    )
    both = first.join(second, on=("projection", "layer"), maintain_order="left")
    rd = relative_differences(both["first"].to_numpy(), both["second"].to_numpy())
    return both.with_columns(relative_difference=rd)
