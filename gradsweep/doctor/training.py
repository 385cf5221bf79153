"""Known failure signatures of a training point, from what it has stored by step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from gradsweep.analysis.training.stability import count_spikes
from gradsweep.doctor.check import Check, CheckState, share
from gradsweep.doctor.gradients import LOSS, SPECTRA
from gradsweep.errors import counted
from gradsweep.store import PointPaths
from gradsweep.store.training import TrainingTables, load_training

STEPS, RISES = "steps", "learning"


def check_training(paths: PointPaths) -> list[Check]:
    """Check that a run's losses and gradients are numbers, and that it learns.

    There are no checks of a training point that has stored nothing.
    """
    tables = load_training(paths.results, [paths.point_id])
    if tables.samples.is_empty() and tables.steps.is_empty():
        return []
    return list(_checks(tables))


def _checks(tables: TrainingTables) -> Iterator[Check]:
    trained = tables.steps.filter(pl.col("n_samples") > 0)
    measured = tables.samples.select("step", "source").unique().group_by("source").len()
    moments = ", ".join(f"{n} of {source}" for source, n in sorted(measured.iter_rows()))
    found = f"{len(trained)} optimizer steps; measured at steps: {moments or 'none'}"
    yield Check(STEPS, CheckState.OK, found)
    if len(trained):
        yield _loss(trained)
        if trained["loss"].is_finite().all():
            yield _learning(trained)
    if len(tables.rows):
        yield _finite(tables.rows)


def _loss(trained: pl.DataFrame) -> Check:
    losses = trained["loss"].to_numpy()
    bad = trained.filter(~pl.col("loss").is_finite())["step"]
    if len(bad):
        known = losses[np.isfinite(losses)]
        last = f"; the last one that is: {known[-1]:.3g}" if len(known) else ""
        finding = f"no number from step {bad[0]} on{last}"
        return Check(LOSS, CheckState.PROBLEM, finding, "a smaller training.learning_rate, or bf16")
    spikes = count_spikes(losses)
    finding = f"{losses[0]:.3g} at first, {losses[-1]:.3g} at last"
    if spikes:
        told = f"{finding}; {counted(spikes, 'spike')}"
        return Check(LOSS, CheckState.WARNING, told, "report shows where; see docs/findings.md")
    return Check(LOSS, CheckState.OK, f"{finding}, no spikes")


def _learning(trained: pl.DataFrame) -> Check:
    """Whether the loss falls: of the first and the last quarter of the steps."""
    losses = trained["loss"].to_numpy()
    quarter = max(1, len(losses) // 4)
    first, last = np.median(losses[:quarter]), np.median(losses[-quarter:])
    words = f"median loss of the first quarter of the steps {first:.3g}, of the last {last:.3g}"
    if last > first:
        remedy = "a smaller training.learning_rate, or more steps: so far it has not learnt"
        return Check(RISES, CheckState.WARNING, words, remedy)
    return Check(RISES, CheckState.OK, words)


def _finite(rows: pl.DataFrame) -> Check:
    bad = rows.filter(~pl.col("finite"))
    if len(bad):
        first = bad["step"].to_numpy().min()
        finding = f"{share(len(bad), len(rows))} rows are not finite, the first at step {first}"
        return Check(SPECTRA, CheckState.PROBLEM, finding, "see loss; those rows count nowhere")
    return Check(SPECTRA, CheckState.OK, f"all {len(rows):,} rows are finite")
