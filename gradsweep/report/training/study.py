"""Everything that a report needs of training points, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from gradsweep.analysis.claims import Finding, evaluate_training_claims
from gradsweep.analysis.training import (
    gap_by_step,
    gaps,
    layers_by_step,
    norms_by_step,
    stability,
)
from gradsweep.analysis.training.moments import RUN
from gradsweep.analysis.training.names import RunName, run_names
from gradsweep.records import MOMENT, Source
from gradsweep.report.labels import dataset_title, level_label, model_title
from gradsweep.store.frames import metric_columns
from gradsweep.store.series import model_label
from gradsweep.store.training import TrainingTables

DEFAULT_METRIC = "nuclear_norm"

UPDATE, PROBE = Source.update.value, Source.probe.value
LOSS, HELD_OUT, GAP = "loss", "held-out loss", "none / detailed"
QUANTITIES = (UPDATE, PROBE, GAP, LOSS, HELD_OUT)
"""What `TrainingStudy.by_step` has lines of; the first two are of the study's metric."""


@dataclass(frozen=True)
class Run:
    """One training point, named for a reader."""

    point_id: str
    model: str
    """With objective and settings where they tell runs apart, without seeds."""
    dataset: str
    cot: str
    correctness: str
    seeds: str
    """`seed=1`, where runs differ in it alone; else empty."""

    @property
    def group(self) -> tuple[str, str]:
        """Runs of a model and dataset are shown together."""
        return self.model, self.dataset

    @property
    def condition(self) -> str:
        """What it learns from: `no CoT`, `detailed CoT, irrelevant`."""
        irrelevant = "" if self.correctness == "correct" else f", {self.correctness}"
        return level_label(self.cot) + irrelevant

    @property
    def words(self) -> str:
        """The same with its seed, where that tells it apart."""
        return ", ".join(filter(None, (self.condition, self.seeds.replace("=", " "))))


@dataclass(frozen=True)
class TrainingStudy:
    """Training points in numbers, for one metric."""

    metric: str
    tables: TrainingTables = field(repr=False)
    runs: tuple[Run, ...]
    """In reading order."""
    by_step: pl.DataFrame
    """A line per run, quantity and step: point_id, quantity (`QUANTITIES`), probe_cot,
    probe_correctness, step, value, low, high (NaN without an interval), n (questions)."""
    layers: pl.DataFrame
    """Of `layers_by_step`."""
    stability: pl.DataFrame
    """Of `gradsweep.analysis.training.stability`: runs that have optimizer steps."""
    findings: tuple[Finding, ...]
    """Of the claims about training."""

    @property
    def groups(self) -> dict[tuple[str, str], list[Run]]:
        """Model and dataset -> their runs."""
        found: dict[tuple[str, str], list[Run]] = {}
        for run in self.runs:
            found.setdefault(run.group, []).append(run)
        return found

    def of(self, run: Run, quantity: str) -> pl.DataFrame:
        """Take the lines of one run and quantity, in order."""
        return self.by_step.filter(point_id=run.point_id, quantity=quantity)


def group_title(group: tuple[str, str]) -> str:
    """Name a model and dataset: `Qwen2 1.5B, learning_rate=1e-4 · GSM8K`."""
    return f"{model_title(group[0])} · {dataset_title(group[1])}"


def training_study(
    tables: TrainingTables, metrics: Sequence[str] = (DEFAULT_METRIC,)
) -> TrainingStudy:
    """Compute what a report says of training points.

    Args:
        tables: of `gradsweep.load_training`.
        metrics: of the report; the first that gradients' rows have is shown, else the nuclear norm.
    """
    known = metric_columns(tables.rows)
    metric = next((name for name in metrics if name in known), DEFAULT_METRIC)
    labels = pl.concat([frame.select(RUN) for frame in (tables.samples, tables.steps)]).unique()
    named = run_names(labels)
    norms = norms_by_step(tables.rows, metric)
    return TrainingStudy(
        metric=metric,
        tables=tables,
        runs=tuple(map(_run, named.values())),
        by_step=_by_step(tables, norms, metric),
        layers=layers_by_step(tables.rows, metric),
        stability=stability(tables),
        findings=tuple(evaluate_training_claims(tables, metric)),
    )


def _run(name: RunName) -> Run:
    run = name.run
    return Run(
        point_id=run["point_id"],
        model=model_label(run["model"], name.settings, run["objective"]),
        dataset=run["dataset"],
        cot=run["cot"],
        correctness=run["correctness"],
        seeds=name.seeds,
    )


_SCHEMA: dict[str, Any] = {
    "point_id": pl.String(),
    "quantity": pl.String(),
    "probe_cot": pl.String(),
    "probe_correctness": pl.String(),
    "step": pl.Int32(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n": pl.Int64(),
}


def _by_step(tables: TrainingTables, norms: pl.DataFrame, metric: str) -> pl.DataFrame:
    of_norms = norms.select(
        "point_id",
        pl.col("source").alias("quantity"),
        *(name for name in MOMENT if name not in ("step", "source")),
        "step",
        pl.col("mean").alias("value"),
        pl.col("mean_low").alias("low"),
        pl.col("mean_high").alias("high"),
        pl.col("n_questions").alias("n"),
    )
    found = gap_by_step(gaps(tables.rows, metric))
    of_gaps = found.select(
        "point_id",
        pl.lit(GAP).alias("quantity"),
        "probe_correctness",
        "step",
        pl.col("ratio").alias("value"),
        "low",
        "high",
        pl.col("n_questions").alias("n"),
    )
    of_steps = [
        tables.steps.filter(pl.col(column).is_finite()).select(
            "point_id", pl.lit(quantity).alias("quantity"), "step", pl.col(column).alias("value")
        )
        for quantity, column in ((LOSS, "loss"), (HELD_OUT, "held_out_loss"))
    ]
    parts = [pl.DataFrame(schema=_SCHEMA), of_norms, of_gaps, *of_steps]
    whole = pl.concat(parts, how="diagonal_relaxed").cast(pl.Schema(_SCHEMA))
    return whole.with_columns(pl.col("value", "low", "high").fill_null(float("nan")))
