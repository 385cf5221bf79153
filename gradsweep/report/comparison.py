"""The conditions of a model and dataset side by side: what the terminal's table shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from gradsweep.analysis.rows import (
    in_reading_order,
    main_responses,
    values_in_reading_order,
)
from gradsweep.config import is_reasoning_level
from gradsweep.records import SAMPLE_METRICS
from gradsweep.report.measures import Measures, compute_measures, loss_measures


@dataclass(frozen=True)
class Condition:
    """One column of the table: the point of a CoT level and correctness."""

    cot: str
    correctness: str
    point_id: str
    n_samples: int
    """Samples that have rows."""
    n_seeds: int
    """Seeds that are pooled (`gradsweep.analysis.conditions`)."""
    n_complete: int
    """Less those that a curve does without, in the projection that lacks most of them."""


@dataclass(frozen=True)
class Pair:
    """Correct against irrelevant responses of a CoT level, in one projection."""

    correct: float
    """Mean over layers of the correct curve over the common questions."""
    irrelevant: float
    relative_difference: float
    """Mean over layers of RD_i."""
    top_layers: tuple[int, ...]
    """Where RD is largest, the largest first."""
    parts: dict[str, float]
    """RD averaged over early, middle and late layers, as far as the model has them."""
    n_layers: int
    n_questions: int


@dataclass(frozen=True)
class Comparison:
    """What the table, and the sentences under it, say about one model and dataset."""

    model: str
    """As a reader sees it, with its objective and series."""
    dataset: str
    metric: str
    projections: tuple[str, ...]
    conditions: tuple[Condition, ...]
    means: dict[tuple[str, str, str], float]
    """Mean of the curve over layers, by (cot, correctness, projection)."""
    mads: dict[tuple[str, str, str], float]
    """MAD over all layers, by (cot, correctness, projection)."""
    relative_mads: dict[tuple[str, str, str], float]
    """MAD over the mean of the curve, by (cot, correctness, projection)."""
    between_seeds: dict[tuple[str, str, str], float]
    """Half the 95 % interval of the mean between seeds, by (cot, correctness, projection); of
    conditions with several."""
    summed: dict[tuple[str, str, str], float]
    """`means` of correct responses with the loss summed over tokens; empty where that is not known,
    or is no other number."""
    pairs: dict[tuple[str, str], Pair]
    """By (cot, projection), for the levels that have both points."""
    losses: dict[tuple[str, str], float]
    """Mean loss by (cot, correctness); empty where it is not known, or is the metric itself."""

    @property
    def per_sample(self) -> bool:
        """Whether the metric is of whole samples: nothing is said of layers then."""
        return self.metric in SAMPLE_METRICS

    @property
    def levels(self) -> tuple[str, ...]:
        """CoT levels that have a point, from fast to slow thinking."""
        return tuple(dict.fromkeys(condition.cot for condition in self.conditions))

    @property
    def responses(self) -> str:
        """The value of correctness that levels are compared at: `correct`, `pair` or `group`."""
        return main_responses({condition.correctness for condition in self.conditions})

    @property
    def main_levels(self) -> tuple[str, ...]:
        """Levels with these responses; no controls of length and no levels of the user's."""
        levels = (c.cot for c in self.conditions if c.correctness == self.responses)
        return tuple(level for level in levels if is_reasoning_level(level))

    @property
    def common_projections(self) -> tuple[str, ...]:
        """Projections that were measured in every condition."""
        return tuple(
            name
            for name in self.projections
            if all((c.cot, c.correctness, name) in self.means for c in self.conditions)
        )

    @property
    def paired_levels(self) -> tuple[str, ...]:
        """CoT levels whose correct and irrelevant points have questions in common."""
        paired = {cot for (cot, _), pair in self.pairs.items() if pair.n_questions}
        return tuple(level for level in self.levels if level in paired)

    @property
    def paired_main_levels(self) -> tuple[str, ...]:
        """Those of them between fast and slow thinking; all where none is."""
        main = tuple(level for level in self.paired_levels if is_reasoning_level(level))
        return main or self.paired_levels

    @property
    def unpaired_levels(self) -> tuple[str, ...]:
        """CoT levels that have both points, but no question in common."""
        both = {cot for cot, _ in self.pairs}.difference(self.paired_levels)
        return tuple(level for level in self.levels if level in both)


def comparisons(
    rows: pl.DataFrame, metric: str = "nuclear_norm", samples: pl.DataFrame | None = None
) -> list[Comparison]:
    """Set the conditions of each model and dataset side by side, in alphabetical order.

    With `samples` (`load_samples_table`) they have the loss, and the metric may be `loss`.

    Raises:
        ConfigError: an unknown metric, or one without a value.
    """
    if rows.is_empty():
        return []
    measures = compute_measures(rows, metric, intervals=False, samples=samples)
    return comparisons_of(measures, loss_measures(samples, intervals=False))


def comparisons_of(
    measures: Measures,
    losses: Measures | None = None,
    most: int | None = None,
    *,
    largest_first: bool = False,
) -> list[Comparison]:
    """Make the `comparisons` from what is computed already.

    Args:
        measures: of the metric that is compared.
        losses: of the metric loss.
        most: so many models and datasets, the first; all when None.
        largest_first: those with most conditions come first.
    """
    shown = measures.labelled()
    chosen = shown.studies(largest_first=largest_first)[:most]
    of_loss = losses.by_study(chosen) if losses and not measures.per_sample else None
    return [
        _comparison(study, None if of_loss is None else of_loss.get(name), *name)
        for name, study in shown.by_study(chosen).items()
    ]


def _comparison(shown: Measures, losses: Measures | None, model: str, dataset: str) -> Comparison:
    by_layer, differences = shown.curves, shown.differences_over_layers
    whole = pl.col("part") == "all"
    parts: dict[tuple[str, str], dict[str, float]] = {}
    for line in shown.differences_by_part.iter_rows(named=True):
        parts.setdefault((line["cot"], line["projection"]), {})[line["part"]] = line["mean"]
    return Comparison(
        model=model,
        dataset=dataset,
        metric=shown.metric,
        projections=tuple(values_in_reading_order(by_layer, "projection")),
        conditions=_conditions(shown.samples, by_layer, shown.seeds),
        means=_cells(shown.means.filter(whole), "mean"),
        mads=_cells(shown.mads.filter(whole), "mad"),
        relative_mads=_cells(shown.mads.filter(whole), "relative_mad"),
        summed=_cells(shown.summed, "mean"),
        between_seeds=_cells(
            shown.seeds.with_columns(half=(pl.col("seed_high") - pl.col("seed_low")) / 2), "half"
        ),
        pairs={
            (line["cot"], line["projection"]): _pair(line, parts[line["cot"], line["projection"]])
            for line in differences.to_dicts()
        },
        losses={} if losses is None else _losses(losses.means),
    )


def _conditions(
    samples: pl.DataFrame, by_layer: pl.DataFrame, seeds: pl.DataFrame
) -> tuple[Condition, ...]:
    condition = ["cot", "correctness", "point_id"]
    # A layer without any value has n_samples 0 while the rest of its curve stands: the maximum
    # over layers is what the curve rests on.
    complete = by_layer.group_by(*condition, "projection").agg(pl.col("n_samples").max())
    # Seeds, or points of a condition, may have other projections: each has samples of its own.
    asked = samples.rename({"n_samples": "asked"})
    lost = complete.join(asked, on=["point_id", "projection"]).group_by(condition).agg(
        n_samples=pl.col("asked").max(), lost=(pl.col("asked") - pl.col("n_samples")).max()
    )  # fmt: skip
    ordered = in_reading_order(lost.with_columns(n_complete=pl.col("n_samples") - pl.col("lost")))
    counted = seeds.group_by("cot", "correctness").agg(pl.col("n_seeds").max())
    ordered = ordered.join(counted, on=condition[:2], how="left", maintain_order="left")
    numbers = ("n_samples", pl.col("n_seeds").fill_null(1), "n_complete")
    lines = ordered.select(*condition, *numbers).to_dicts()
    return tuple(Condition(**line) for line in lines)


def _cells(frame: pl.DataFrame, value: str) -> dict[tuple[str, str, str], float]:
    lines = frame.select("cot", "correctness", "projection", value).iter_rows()
    return {
        (cot, correctness, projection): number for cot, correctness, projection, number in lines
    }


def _losses(means: pl.DataFrame) -> dict[tuple[str, str], float]:
    return {(cot, kind): mean for (cot, kind, _), mean in _cells(means, "mean").items()}


def _pair(line: dict[str, Any], parts: dict[str, float]) -> Pair:
    return Pair(
        correct=line["correct"],
        irrelevant=line["irrelevant"],
        relative_difference=line["relative_difference"],
        top_layers=tuple(line["top_layers"]),
        parts=parts,
        n_layers=line["n_layers"],
        n_questions=line["n_questions"],
    )
