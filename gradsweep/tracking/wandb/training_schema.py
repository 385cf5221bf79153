"""What a training point looks like in W&B: pure functions from stored steps to logged values.

History: per optimizer step `{training_step, train_loss, train_learning_rate, …}`, live, named as
the fields of `TrainingStep`; at the end, per step that was measured
`{measured_step, train_update_<metric>_<projection>,
train_probe_<cot>_<correctness>_<metric>_<projection>}`: means over layers and samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import polars as pl

from gradsweep.analysis.rows import whole_matrices
from gradsweep.records import Source
from gradsweep.store.frames import STEP_SCHEMA

STEP = "training_step"
"""The x axis of what trainers know."""
MEASURED = "measured_step"
"""The x axis of spectra."""
METRICS = ("nuclear_norm", "sigma_max", "effective_rank")
"""Metrics of spectra by step; the rows, which are an artifact, have all."""


def step_values(steps: pl.DataFrame) -> list[dict[str, float]]:
    """Make one history row per step, of what is known of it.

    Args:
        steps: as `TrainingTables.steps`, or as `steps_frame` makes it.
    """
    names = [name for name in STEP_SCHEMA if name != "step"]
    return [
        {STEP: line["step"]}
        | {f"train_{name}": line[name] for name in names if math.isfinite(line[name])}
        for line in steps.iter_rows(named=True)
    ]


def measured_values(rows: pl.DataFrame) -> list[dict[str, float]]:
    """Make one history row per step that was measured.

    Args:
        rows: as `TrainingTables.rows`.
    """
    trusted = whole_matrices(rows, strict=False).filter("finite")
    by = ["step", "source", "probe_cot", "probe_correctness", "projection"]
    means = trusted.group_by(by, maintain_order=True).agg(pl.col(METRICS).mean())
    lines: dict[int, dict[str, float]] = {}
    for line in means.iter_rows(named=True):
        named = {
            curve_name(line, metric): line[metric]
            for metric in METRICS
            if math.isfinite(line[metric])
        }
        lines.setdefault(line["step"], {MEASURED: line["step"]}).update(named)
    return [lines[step] for step in sorted(lines)]


def curve_name(line: Mapping[str, str], metric: str) -> str:
    """Name a metric's mean by step, of a source and projection."""
    if line["source"] == Source.update.value:
        return update_name(metric, line["projection"])
    probe = ["train", "probe", line["probe_cot"], line["probe_correctness"]]
    return "_".join([*probe, metric, line["projection"]])


def update_name(metric: str, projection: str) -> str:
    """Name a metric of updates by step: the mean over layers."""
    return f"train_update_{metric}_{projection}"
