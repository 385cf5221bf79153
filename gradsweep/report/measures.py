"""What tables and figures draw from: computed once for each metric, for all points together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import polars as pl

from gradsweep.analysis import (
    between_seeds,
    condition_summaries,
    difference_intervals,
    mean_absolute_difference,
    part_intervals,
    part_means,
    relative_difference_means,
)
from gradsweep.analysis.complete import CurveValues
from gradsweep.analysis.curves import curves_of_values
from gradsweep.analysis.reduction import summed_means
from gradsweep.analysis.relative_difference import differences_of_pairs
from gradsweep.analysis.resampling import Resampled, resampled_values
from gradsweep.analysis.rows import CORRECT, rows_with_values
from gradsweep.analysis.sample_metrics import sample_rows
from gradsweep.records import SAMPLE_METRICS
from gradsweep.report.together import Together
from gradsweep.store.series import with_model_labels


@dataclass(frozen=True)
class Measures:
    """One metric's curves and what follows from them; every frame is in reading order."""

    metric: str
    curves: pl.DataFrame
    """By layer (`gradsweep.analysis.curves`), with bootstrap intervals unless left out."""
    means: pl.DataFrame
    """By part (`part_means`)."""
    mads: pl.DataFrame
    """By part (`mean_absolute_difference`)."""
    differences: pl.DataFrame
    """RD by layer (`relative_difference`), with rd_low and rd_high (`difference_intervals`)."""
    differences_over_layers: pl.DataFrame
    """RD averaged, with the five layers where it is largest (`relative_difference_means`), and
    rd_low and rd_high."""
    differences_by_part: pl.DataFrame
    """RD averaged over early, middle and late layers: columns of `part_means`."""
    intervals: pl.DataFrame
    """Of means and MADs by part (`part_intervals`)."""
    summaries: pl.DataFrame
    """Of conditions, over all layers and projections (`condition_summaries`)."""
    seeds: pl.DataFrame
    """Of conditions with several seeds (`between_seeds`)."""
    samples: pl.DataFrame
    """point_id, projection, n_samples: how many samples of a point have rows."""
    summed: pl.DataFrame
    """Means over layers of correct responses as if the loss were the sum over tokens
    (`summed_means`); no lines where that does not follow from what is stored."""

    @property
    def per_sample(self) -> bool:
        """Whether it is a metric of whole samples: a value per point and no curve."""
        return self.metric in SAMPLE_METRICS

    def labelled(self) -> Measures:
        """Name models for a reader in every frame: `qwen2_1.5b n_samples=2`, without a series."""
        frames: dict[str, Any] = {
            f.name: with_model_labels(frame)
            for f in fields(self)
            if isinstance(frame := getattr(self, f.name), pl.DataFrame)
            and "series" in frame.columns
        }
        return replace(self, **frames)

    @property
    def n_studies(self) -> int:
        """How many models and datasets there are, each series of a model by itself."""
        return self.curves.select("model", "objective", "series", "dataset").n_unique()

    def studies(self, *, largest_first: bool = False) -> list[tuple[str, str]]:
        """List models and datasets, in reading order, or those with most conditions first."""
        of_study = self.curves.group_by("model", "dataset", maintain_order=True)
        counted = of_study.agg(n=pl.col("point_id").n_unique())
        if largest_first:
            counted = counted.sort("n", descending=True, maintain_order=True)
        return counted.select("model", "dataset").rows()

    def by_study(
        self, chosen: Sequence[tuple[str, str]] | None = None
    ) -> dict[tuple[str, str], Measures]:
        """Cut `labelled` into models and datasets, in reading order, or into those chosen.

        Frames without these columns stay whole: their lines are told apart by point.
        """
        shown = self.labelled()
        there = shown.studies()
        frames: dict[str, Any] = {
            f.name: frame
            for f in fields(self)
            if isinstance(frame := getattr(shown, f.name), pl.DataFrame)
            and {"model", "dataset"} <= set(frame.columns)
        }
        if chosen is not None and len(chosen) < len(there):
            # Of thousands, a few are sooner found than all cut out.
            frames = {name: _of_studies(frame, chosen) for name, frame in frames.items()}
        parts = {name: _by_study(frame) for name, frame in frames.items()}
        nothing = {name: frame.clear() for name, frame in frames.items()}
        return {
            study: replace(shown, **{n: of.get(study, nothing[n]) for n, of in parts.items()})
            for study in (there if chosen is None else chosen)
            if study in parts["curves"]
        }


def compute_measures(
    rows: pl.DataFrame,
    metric: str,
    *,
    intervals: bool = True,
    summary: bool = True,
    samples: pl.DataFrame | None = None,
) -> Measures:
    """Compute one metric's curves, means, MAD and RD of all conditions together (`conditions`).

    Args:
        rows: as `load_rows` gives them.
        metric: one that the rows have, or that samples have (`SAMPLE_METRICS`).
        intervals: whether numbers have bootstrap intervals, which take most of the time.
        summary: whether there are `Measures.intervals` and `Measures.summaries`, which curves do
            without; otherwise they have no lines.
        samples: as `load_samples_table` gives them, for metrics of samples and for the loss summed
            over tokens.

    Raises:
        ConfigError: an unknown metric, or one without any value in `rows`.
        DataError: a projection with rows of single heads only.
    """
    return measures_of(Together(rows, samples), metric, intervals=intervals, summary=summary)


@dataclass(frozen=True)
class PointMeasures:
    """What a metric's measures have of each point by itself; pairs of points add the rest."""

    metric: str
    curves: pl.DataFrame
    intervals: pl.DataFrame
    seeds: pl.DataFrame
    samples: pl.DataFrame
    summed: pl.DataFrame
    values: Sequence[CurveValues]
    """In the order of point_id and projection."""
    questions: Resampled


def measures_of(
    together: Together, metric: str, *, intervals: bool = True, summary: bool = True
) -> Measures:
    """Do what `compute_measures` does, of rows that other metrics are computed of, too."""
    together = together.of(metric)
    whole = together
    rows = rows_with_values(together.conditions, metric)
    if len(rows) < len(together.conditions):
        together = Together(rows)
    of_points = _of_points(whole, together, metric, intervals, summary)
    return with_pairs(of_points, together.pairs, summary=summary)


def point_measures(together: Together, metric: str) -> PointMeasures:
    """Compute what `with_pairs` starts from, of rows in which every point has the metric."""
    return _of_points(together.of(metric), together.of(metric), metric, True, True)


def _of_points(
    whole: Together, together: Together, metric: str, intervals: bool, summary: bool
) -> PointMeasures:
    values = together.sorted.curves(metric)
    settings = {"confidence": 0.95, "resamples": 1000 if intervals else 0, "seed": 0}
    questions = resampled_values(values, 1000 if intervals else 0)
    return PointMeasures(
        metric=metric,
        curves=curves_of_values(together.places, values, settings),
        intervals=part_intervals(questions if summary else Resampled({})),
        seeds=between_seeds(rows_with_values(whole.rows, metric), metric),
        samples=together.n_samples,
        summed=summed_means(whole.rows, whole.samples, metric),
        values=values,
        questions=questions,
    )


def with_pairs(of_points: PointMeasures, pairs: pl.DataFrame, *, summary: bool = True) -> Measures:
    """Add RD and what follows from it.

    Args:
        of_points: of all points together.
        pairs: of `layers_of_pairs`.
        summary: as in `compute_measures`.
    """
    by_layer, questions = of_points.curves, of_points.questions
    differences = differences_of_pairs(pairs, of_points.values)
    # A sample has no early and late layers.
    parts = pl.col("part") == "all" if of_points.metric in SAMPLE_METRICS else pl.lit(True)
    ends = difference_intervals(questions, differences)
    return Measures(
        metric=of_points.metric,
        curves=by_layer,
        means=part_means(by_layer).filter(parts),
        mads=mean_absolute_difference(by_layer).filter(parts),
        differences=_with_ends(differences, ends, ["layer"]),
        differences_over_layers=_with_ends(
            relative_difference_means(differences), ends.filter(pl.col("layer").is_null()), []
        ),
        differences_by_part=_by_part(differences),
        intervals=of_points.intervals,
        summaries=condition_summaries(
            by_layer if summary else by_layer.clear(), differences, questions
        ),
        seeds=of_points.seeds,
        samples=of_points.samples,
        summed=of_points.summed,
    )


def _by_study(frame: pl.DataFrame) -> dict[Any, pl.DataFrame]:
    return frame.partition_by("model", "dataset", as_dict=True, maintain_order=True)


def _of_studies(frame: pl.DataFrame, chosen: Sequence[tuple[str, str]]) -> pl.DataFrame:
    key = ("model", "dataset")
    names = pl.DataFrame(chosen, dict.fromkeys(key, pl.String()), orient="row")
    return frame.join(names, on=key, how="semi", maintain_order="left")


def _by_part(differences: pl.DataFrame) -> pl.DataFrame:
    as_curves = differences.with_columns(
        correctness=pl.lit(CORRECT), mean="relative_difference", n_samples="n_questions"
    )
    return part_means(as_curves).filter(pl.col("part") != "all")


def joined(parts: Sequence[Measures]) -> Measures:
    """Put parts of one metric together again (`Measures.by_study`), in their order."""
    first = parts[0]
    frames: dict[str, Any] = {
        f.name: pl.concat([getattr(one, f.name) for one in parts])
        for f in fields(first)
        if isinstance(frame := getattr(first, f.name), pl.DataFrame)
        and {"model", "dataset"} <= set(frame.columns)
    }
    return replace(first, **frames)


def loss_measures(samples: pl.DataFrame | None, *, intervals: bool = True) -> Measures | None:
    """Compute the loss of all conditions; None without samples, or where none has a loss."""
    if samples is None:
        return None
    rows = sample_rows(samples)
    if rows.filter(pl.col("loss").is_finite()).is_empty():
        return None
    return compute_measures(rows, "loss", intervals=intervals)


def _with_ends(differences: pl.DataFrame, ends: pl.DataFrame, also: list[str]) -> pl.DataFrame:
    """Add rd_low and rd_high, NaN where there are none."""
    keys = ["point_id", "projection", *also]
    joined = differences.join(
        ends.select(*keys, "rd_low", "rd_high"), on=keys, how="left", maintain_order="left"
    )
    return joined.with_columns(pl.col("rd_low", "rd_high").fill_null(np.nan))
