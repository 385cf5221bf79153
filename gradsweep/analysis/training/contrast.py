"""Two conditions of training side by side: second minus first by step, over their repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from gradsweep.analysis.bootstrap import bootstrap_interval
from gradsweep.analysis.complete import complete_values
from gradsweep.analysis.rows import require_metric, whole_matrices
from gradsweep.analysis.seeds import student_half_width
from gradsweep.analysis.training.moments import with_moment_ids
from gradsweep.config import cot_reading_key
from gradsweep.records import MOMENT, Source
from gradsweep.store.training import TrainingTables

LOSS, HELD_OUT, GRADIENT_NORM = "loss", "held-out loss", "gradient norm"
UPDATE, PROBE = Source.update.value, Source.probe.value
QUANTITIES = (LOSS, HELD_OUT, GRADIENT_NORM, UPDATE, PROBE)
"""What is compared: the trainer's own numbers, and the metric of updates and of probes."""
_COLUMNS = {LOSS: "loss", HELD_OUT: "held_out_loss", GRADIENT_NORM: "gradient_norm"}
"""Where the table of steps has them."""

_KEY = ("quantity", "probe_cot", "probe_correctness", "step")
_VALUES: dict[str, Any] = {
    **dict.fromkeys(_KEY[:3], pl.String()),
    "step": pl.Int32(),
    "question_id": pl.String(),
    "first": pl.Float64(),
    "second": pl.Float64(),
}
"""Columns of a pair of runs: what both have, question by question where it is of questions."""


def contrast_by_step(
    tables: TrainingTables,
    pairs: Sequence[tuple[str, str]],
    metric: str = "nuclear_norm",
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> pl.DataFrame:
    """Compare two conditions of training at each step that both have measured.

    Gradients are averaged over the layers and projections that both runs of a pair have, as in
    `norms_by_step`; probes over the questions that both have. Of several pairs, numbers are means
    over those that have the step, and the interval is Student's of their differences
    (`between_seeds`); of one, a probe has the percentile bootstrap over its questions, and what is
    no mean over questions has no interval (NaN).

    Args:
        tables: of `gradsweep.load_training`, with all of these runs.
        pairs: ids of a run of the first condition and of one of the second; several are
            repetitions, with other seeds.
        metric: one that the rows have.
        confidence: of the interval.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        quantity (`QUANTITIES`), probe_cot, probe_correctness (of probes), step; first, second,
        difference, low, high (in the metric's unit, or nats); n_pairs; n_questions (of probes, the
        fewest of a pair; else 0). In the order of `QUANTITIES`, then from fast to slow thinking,
        then by step.

    Raises:
        ConfigError: an unknown metric.
        DataError: a projection with rows of single heads only.
    """
    require_metric(tables.rows, metric)
    rows = whole_matrices(tables.rows)
    of_pairs = [
        frame.with_columns(pair=pl.lit(place))
        for place, (first, second) in enumerate(pairs)
        for frame in (_of_steps(tables.steps, first, second), _of_rows(rows, first, second, metric))
    ]
    difference = pl.col("second") - pl.col("first")
    by_pair = pl.concat(of_pairs).group_by("pair", *_KEY, maintain_order=True).agg(
        pl.col("first", "second").mean(),
        n_questions=pl.col("question_id").count(),
        differences=difference,
    )  # fmt: skip
    of_steps = by_pair.group_by(_KEY, maintain_order=True).agg(
        pl.col("first", "second").mean(),
        of_pairs=difference,
        n_questions=pl.col("n_questions").min(),
        of_questions=pl.col("differences").first(),
    )
    settings = {"confidence": confidence, "resamples": resamples, "seed": seed}
    lines = [_line(line, settings) for line in of_steps.iter_rows(named=True)]
    names = ("first", "second", "difference", "low", "high")
    schema: dict[str, Any] = {name: _VALUES[name] for name in _KEY}
    schema |= dict.fromkeys(names, pl.Float64())
    schema |= dict.fromkeys(("n_pairs", "n_questions"), pl.Int64())
    return pl.DataFrame(sorted(lines, key=_place), schema=schema)


def _line(line: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Put the interval to a quantity at a step."""
    of_pairs, of_questions = (np.array(line.pop(n)) for n in ("of_pairs", "of_questions"))
    n, low, high = len(of_pairs), np.nan, np.nan
    if n > 1:
        centre = of_pairs.mean()
        half = student_half_width(of_pairs.std(ddof=1), n, settings["confidence"])
        low, high = centre - half, centre + half
    elif line["quantity"] == PROBE:
        ends = bootstrap_interval(of_questions[:, None], **settings)
        low, high = (float(end[0]) for end in ends)
    return line | {"difference": of_pairs.mean(), "low": low, "high": high, "n_pairs": n}


def _place(line: dict[str, Any]) -> tuple[Any, ...]:
    quantity, level = QUANTITIES.index(line["quantity"]), line["probe_cot"] or ""
    return quantity, cot_reading_key(level), line["probe_correctness"] or "", line["step"]


def _of_steps(steps: pl.DataFrame, first: str, second: str) -> pl.DataFrame:
    """Losses and norms of the steps that both runs have."""
    parts = [pl.DataFrame(schema=_VALUES)]
    for quantity, column in _COLUMNS.items():
        one, other = (
            steps.filter(pl.col("point_id") == name, pl.col(column).is_finite()).select(
                "step", pl.col(column).alias(side)
            )
            for name, side in ((first, "first"), (second, "second"))
        )
        both = one.join(other, on="step", maintain_order="left")
        parts.append(both.with_columns(quantity=pl.lit(quantity)))
    return pl.concat(parts, how="diagonal_relaxed").cast(pl.Schema(_VALUES))


def _of_rows(rows: pl.DataFrame, first: str, second: str, metric: str) -> pl.DataFrame:
    """The metric of updates, and of the probes' questions, that both runs have."""
    matrix = ["source", "projection", "layer"]
    sides = [rows.filter(pl.col("point_id") == name) for name in (first, second)]
    shared = [a.join(b, on=matrix, how="semi") for a, b in (sides, sides[::-1])]
    parts = [pl.DataFrame(schema=_VALUES)]
    for source in (UPDATE, PROBE):
        of_source = [side.filter(pl.col("source") == source) for side in shared]
        if any(side.is_empty() for side in of_source):
            continue
        one, other = (_by_question(side, metric) for side in of_source)
        both = one.rename({"value": "first"}).join(
            other.rename({"value": "second"}), on=[*MOMENT, "question_id"], nulls_equal=True,
            maintain_order="left",
        )  # fmt: skip
        asked = None if source == UPDATE else pl.col("question_id")
        parts.append(both.with_columns(quantity=pl.col("source"), question_id=asked))
    whole = pl.concat(parts, how="diagonal_relaxed").select(*_VALUES)
    return whole.cast(pl.Schema(_VALUES))


def _by_question(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Average over layers, then projections: columns of `MOMENT`, question_id and value.

    Questions without a value in some projection are left out.
    """
    named = with_moment_ids(rows)
    n_projections = named["projection"].n_unique()
    question = ["point_id", "question_id"]
    values = complete_values(named, metric)
    # In a fixed order, so that rounding is the same in every run.
    means = values.group_by(*question, "projection", maintain_order=True).agg(
        pl.col("value").mean()
    )
    whole = means.group_by(question, maintain_order=True).agg(pl.col("value").mean(), n=pl.len())
    moments = named.select("point_id", *MOMENT).unique()
    complete = whole.filter(pl.col("n") == n_projections).join(moments, on="point_id")
    return complete.select(*MOMENT, "question_id", "value").sort(*MOMENT, "question_id")
