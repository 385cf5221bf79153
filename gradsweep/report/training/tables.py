"""Tables of training points: runs in a line each, and how each of them went by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from gradsweep.report.formats import ColumnGroup, TableFile, save_table
from gradsweep.report.labels import dataset_title, file_stem, level_label, metric_words
from gradsweep.report.training.study import (
    GAP,
    HELD_OUT,
    LOSS,
    PROBE,
    UPDATE,
    Run,
    TrainingStudy,
    group_title,
)
from gradsweep.store.atomic import write_text

MOST_STEPS = 12
"""Lines of a run in the table by step; the CSV by step has all."""

_RUN_COLUMNS = {
    "n_steps": "steps",
    "first_loss": "loss, first",
    "last_loss": "loss, last",
    "first_held_out": "held out, first",
    "last_held_out": "held out, last",
    "first_norm": "‖g‖, first",
    "last_norm": "‖g‖, last",
    "n_spikes": "spikes",
    "spread": "spread",
    "step_to_step": "step to step",
    "largest_ratio": "largest/median",
}
"""Columns of `stability`, and what the table calls them."""


def training_tables(study: TrainingStudy) -> Iterator[TableFile]:
    """Make the table of runs, then for each model and dataset that of their steps."""
    if not study.stability.is_empty():
        yield runs_table(study)
    for group, runs in study.groups.items():
        yield steps_table(study, group, runs)


def save_training_tables(study: TrainingStudy, folder: Path) -> list[Path]:
    """Write each table as CSV, LaTeX and Markdown, and every step of every run as one CSV.

    Raises:
        StoreError: a file cannot be written.
    """
    written = [folder / "training_by_step.csv"]
    write_text(written[0], study.by_step.fill_nan(None).write_csv())
    for table in training_tables(study):
        written += save_table(table, folder)
    return written


def runs_table(study: TrainingStudy) -> TableFile:
    """Tabulate `stability`: what a run came to, and how steadily."""
    of_run = {line["point_id"]: line for line in study.stability.to_dicts()}
    lines = [
        {
            "model": run.model,
            "dataset": run.dataset,
            "learns from": run.words,
            **{name: of_run[run.point_id][name] for name in _RUN_COLUMNS},
        }
        for run in study.runs
        if run.point_id in of_run
    ]
    return TableFile(
        name="training__runs",
        caption=(
            "Runs: losses of the first and the last step and of held-out questions, the norm of "
            "the whole gradient before clipping, loss spikes, the standard deviation of the norm's "
            "logarithm over steps and from step to step, the largest norm over the median"
        ),
        keys=("model", "dataset", "learns from"),
        groups=(
            ColumnGroup("run", tuple(_RUN_COLUMNS), tuple(_RUN_COLUMNS.values())),
        ),
        frame=pl.DataFrame(lines, infer_schema_length=None),
        title="runs",
    )  # fmt: skip


def steps_table(study: TrainingStudy, group: tuple[str, str], runs: Sequence[Run]) -> TableFile:
    """Tabulate a model's and dataset's runs by step: norms, gap, losses."""
    columns = _columns(study, runs)
    lines = [
        {"learns from": run.words, "step": str(step), **values}
        for run in runs
        for step, values in _steps(study, run, columns)
    ]
    schema = dict.fromkeys(("learns from", "step"), pl.String())
    words = metric_words(study.metric)
    intervals = [f"{name} {end}" for name in columns for end in ("low", "high")]
    return TableFile(
        name=file_stem(*group, "training", study.metric),
        caption=(
            f"{dataset_title(group[1])}: {words} of the gradients by step, mean over layers and "
            "projections, of the step's update and of probes; the ratio of probes; losses"
        ),
        keys=("learns from", "step"),
        groups=(ColumnGroup(group[0], tuple(columns), tuple(columns)),),
        frame=pl.DataFrame(
            lines, schema={**schema, **dict.fromkeys([*columns, *intervals], pl.Float64())}
        ),
        title=f"{words} by step · {group_title(group)}",
    )  # fmt: skip


def probe_name(cot: str, correctness: str) -> str:
    """Name a probe for a heading: `probe no CoT`, `probe detailed CoT, irrelevant`."""
    kind = "" if correctness == "correct" else f", {correctness}"
    return f"probe {level_label(cot)}{kind}"


def _columns(study: TrainingStudy, runs: Sequence[Run]) -> dict[str, pl.Expr]:
    """Columns that some run has, with what chooses their lines."""
    of_runs = study.by_step.filter(pl.col("point_id").is_in([run.point_id for run in runs]))
    kinds = of_runs.select("quantity", "probe_cot", "probe_correctness").unique(maintain_order=True)
    found: dict[str, pl.Expr] = {}
    for quantity in (UPDATE, PROBE, GAP, LOSS, HELD_OUT):
        for _, cot, kind in kinds.filter(quantity=quantity).iter_rows():
            name = {PROBE: probe_name(cot or "", kind or ""), HELD_OUT: "held out"}.get(
                quantity, quantity
            )
            if quantity == GAP and kind != "correct":
                name = f"{name}, {kind}"
            found[name] = (
                (pl.col("quantity") == quantity)
                & pl.col("probe_cot").eq_missing(cot)
                & pl.col("probe_correctness").eq_missing(kind)
            )
    return found


def _steps(
    study: TrainingStudy, run: Run, columns: dict[str, pl.Expr]
) -> Iterator[tuple[int, dict[str, float]]]:
    """The steps of a run that are shown: those with a probe or a held-out loss, or some of all."""
    of_run = study.by_step.filter(point_id=run.point_id)
    rare = of_run.filter(pl.col("quantity").is_in([PROBE, HELD_OUT]))
    for step in evenly((rare if len(rare) else of_run)["step"].unique().sort().to_list()):
        at_step = of_run.filter(step=step)
        values: dict[str, float] = {}
        for name, chosen in columns.items():
            line = at_step.filter(chosen)
            for end, column in (("", "value"), (" low", "low"), (" high", "high")):
                values[name + end] = line[column][0] if len(line) else np.nan
        yield step, values


def evenly(steps: Sequence[int], most: int = MOST_STEPS) -> list[int]:
    """Choose at most so many of the steps, the first and the last among them."""
    if len(steps) <= most:
        return list(steps)
    places = np.linspace(0, len(steps) - 1, most).round().astype(int)
    return [steps[place] for place in places]
