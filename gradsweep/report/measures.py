"""What tables and figures draw from: computed once for each metric, for all points together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from gradsweep.analysis import (
    between_seeds,
    condition_summaries,
    conditions,
    difference_intervals,
    mean_absolute_difference,
    part_intervals,
    part_means,
    relative_difference_means,
)
from gradsweep.analysis.complete import SortedRows
from gradsweep.analysis.curves import curves_of_values, places_of_curves
from gradsweep.analysis.reduction import summed_means
from gradsweep.analysis.relative_difference import differences_of_pairs, layers_of_pairs
from gradsweep.analysis.resampling import Resampled, resampled_values
from gradsweep.analysis.rows import CORRECT, rows_with_values, with_every_axis
from gradsweep.analysis.sample_metrics import rows_of_metric, sample_rows
from gradsweep.records import SAMPLE_METRICS
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

    def by_study(self) -> dict[tuple[str, str], Measures]:
        """Cut `labelled` into models and datasets, in reading order.

        Frames without these columns stay whole: their lines are told apart by point.
        """
        shown = self.labelled()
        studies = shown.curves.select("model", "dataset").unique(maintain_order=True).rows()
        parts = {
            f.name: _by_study(frame)
            for f in fields(self)
            if isinstance(frame := getattr(shown, f.name), pl.DataFrame)
            and {"model", "dataset"} <= set(frame.columns)
        }
        nothing = {name: getattr(shown, name).clear() for name in parts}
        return {
            study: replace(shown, **{n: of.get(study, nothing[n]) for n, of in parts.items()})
            for study in studies
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
class Together:
    """Rows of which several metrics are computed: what all of them take is made once."""

    rows: pl.DataFrame
    samples: pl.DataFrame | None = None

    def of(self, metric: str) -> Together:
        """Take the rows that have a metric: these, or the samples' (`sample_rows`)."""
        of_samples = metric in SAMPLE_METRICS and self.samples is not None
        return Together(rows_of_metric(metric, self.rows, self.samples)) if of_samples else self

    @cached_property
    def conditions(self) -> pl.DataFrame:
        return conditions(with_every_axis(self.rows))

    @cached_property
    def sorted(self) -> SortedRows:
        return SortedRows(self.conditions)

    @cached_property
    def places(self) -> pl.DataFrame:
        return places_of_curves(self.sorted.rows)

    @cached_property
    def pairs(self) -> pl.DataFrame:
        return layers_of_pairs(self.sorted.rows)

    @cached_property
    def n_samples(self) -> pl.DataFrame:
        of_curve = self.conditions.group_by("point_id", "projection", maintain_order=True)
        return of_curve.agg(n_samples=pl.col("sample_id").n_unique())


def measures_of(
    together: Together, metric: str, *, intervals: bool = True, summary: bool = True
) -> Measures:
    """Do what `compute_measures` does, of rows that other metrics are computed of, too."""
    together = together.of(metric)
    summed = summed_means(together.rows, together.samples, metric)
    seeds = between_seeds(rows_with_values(together.rows, metric), metric)
    rows = rows_with_values(together.conditions, metric)
    if len(rows) < len(together.conditions):
        together = Together(rows)
    values = together.sorted.curves(metric)
    differences = differences_of_pairs(together.pairs, values)
    settings = {"confidence": 0.95, "resamples": 1000 if intervals else 0, "seed": 0}
    by_layer = curves_of_values(together.places, values, settings)
    # A sample has no early and late layers.
    parts = pl.col("part") == "all" if metric in SAMPLE_METRICS else pl.lit(True)
    questions = resampled_values(values, 1000 if intervals else 0)
    summed_up = questions if summary else Resampled({})
    ends = difference_intervals(questions, differences)
    return Measures(
        metric=metric,
        curves=by_layer,
        means=part_means(by_layer).filter(parts),
        mads=mean_absolute_difference(by_layer).filter(parts),
        differences=_with_ends(differences, ends, ["layer"]),
        differences_over_layers=_with_ends(
            relative_difference_means(differences), ends.filter(pl.col("layer").is_null()), []
        ),
        differences_by_part=_by_part(differences),
        intervals=part_intervals(summed_up),
        summaries=condition_summaries(
            by_layer if summary else by_layer.clear(), differences, questions
        ),
        seeds=seeds,
        samples=together.n_samples,
        summed=summed,
    )


def _by_study(frame: pl.DataFrame) -> dict[Any, pl.DataFrame]:
    return frame.partition_by("model", "dataset", as_dict=True, maintain_order=True)


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
