"""Values of steps, and which of them carry the gradient of their response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import question_weights, weighted_mean
from gradsweep.analysis.resampling import interval
from gradsweep.analysis.rows import require_metric, whole_matrices, with_every_axis
from gradsweep.records import POINT_LABELS, SAMPLE_METRICS, SampleStatus

Floats = NDArray[np.float64]

RESAMPLES = 1000
PLACES = ("first", "middle", "final")
"""Of a response's steps; the final one has its answer, and all between are middle."""
OF_POINT = (*POINT_LABELS, "point_id")
OF_RESPONSE = ("point_id", "question_id")
_RESPONSE = (*POINT_LABELS, *OF_RESPONSE)


def step_values(rows: pl.DataFrame, samples: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Take a metric's mean over the layers and projections of each measured step.

    Steps with a value that is missing, not finite or failed its checksum somewhere are left out.

    Args:
        rows: as `load_rows` gives them; those of whole samples are left out.
        samples: of the same points (`load_samples_table`).
        metric: one that the rows have, or `loss`.

    Returns:
        `POINT_LABELS`, point_id, question_id, step_index, value (in the metric's unit), loss (mean
        over the step's tokens, in nats), n_tokens (of the step), n_steps (of the response, measured
        or not), place (step_index over n_steps − 1), step_label; sorted.

    Raises:
        ConfigError: an unknown metric.
        DataError: a projection with rows of single heads only.
    """
    of_steps = with_every_axis(samples).filter(pl.col("step_index").is_not_null())
    n_steps = pl.col("step_index").max().over(OF_RESPONSE) + 1
    steps = of_steps.with_columns(n_steps=n_steps).filter(
        pl.col("status") == SampleStatus.OK.value, ~pl.col("truncated")
    )
    values = _values(rows, steps, metric)
    joined = steps.join(values, on=["point_id", "sample_id"], how="inner")
    return joined.select(
        *_RESPONSE,
        "step_index",
        "value",
        "loss",
        pl.col("n_response_tokens").alias("n_tokens"),
        "n_steps",
        (pl.col("step_index") / (pl.col("n_steps") - 1).clip(1)).alias("place"),
        "step_label",
    ).sort(*_RESPONSE, "step_index")


def _values(rows: pl.DataFrame, steps: pl.DataFrame, metric: str) -> pl.DataFrame:
    """point_id, sample_id and value of the steps that have one in every row."""
    sample = ["point_id", "sample_id"]
    if metric in SAMPLE_METRICS:
        return steps.select(*sample, pl.col(metric).alias("value"))
    require_metric(rows, metric)
    whole = whole_matrices(rows.filter(pl.col("step_index").is_not_null()))
    value = pl.col(metric).cast(pl.Float64)
    trusted = (
        pl.col("finite") & value.is_finite() if "finite" in rows.columns else value.is_finite()
    )
    means = whole.group_by(sample).agg(value.mean().alias("value"), trusted.all().alias("trusted"))
    return means.filter("trusted").select(*sample, "value")


def norms_by_step(
    values: pl.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0
) -> pl.DataFrame:
    """Average the value of each step over the responses that have it.

    Args:
        values: of `step_values`.
        resamples: of the interval.
        seed: of the resamples.

    Returns:
        `POINT_LABELS`, point_id, step_index, mean, low, high (95 %; NaN with one response), loss
        and n_tokens (means), n_questions.
    """
    lines = []
    for labels, steps in values.group_by(OF_POINT, maintain_order=True):
        weights, column = drawn_weights(steps, resamples, seed)
        for index, of_step in steps.group_by("step_index", maintain_order=True):
            mine = weights[:, [column[name] for name in of_step["question_id"]]]
            means = weighted_mean(mine, of_step["value"].to_numpy())
            low, high = interval(means, len(of_step))
            loss, n_tokens = of_step["loss"].mean(), of_step["n_tokens"].mean()
            lines.append((*labels, *index, means[0], low, high, loss, n_tokens, len(of_step)))
    numbers = dict.fromkeys(("mean", "low", "high", "loss", "n_tokens"), pl.Float64())
    schema = {"step_index": pl.Int64(), **numbers, "n_questions": pl.Int64()}
    return labelled_frame(lines, schema).sort(*OF_POINT, "step_index")


@dataclass(frozen=True)
class Share:
    """How much of a response's gradient one place of its steps has."""

    labels: tuple[str, ...]
    """`POINT_LABELS` and point_id."""
    place: str
    """Of `PLACES`."""
    share: Floats
    """Of Σ_k n_k·‖G_k‖, (1 + resamples,); the first is the sample itself."""
    token_share: Floats
    """Of the response's tokens, (1 + resamples,)."""
    n_questions: int


def shares(values: pl.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Share]:
    """Share out Σ_k n_k·‖G_k‖ among the first step, the last one and those between.

    Of responses of three steps and more, all of which were measured. Arguments as `norms_by_step`.
    """
    size = pl.col("n_tokens") * pl.col("value")
    n_known = pl.len().over(OF_RESPONSE)
    whole = values.filter(pl.col("n_steps") >= len(PLACES), n_known == pl.col("n_steps"))
    place = (
        pl.when(pl.col("step_index") == 0).then(pl.lit(PLACES[0]))
        .when(pl.col("step_index") == pl.col("n_steps") - 1).then(pl.lit(PLACES[2]))
        .otherwise(pl.lit(PLACES[1]))
    )  # fmt: skip
    summed = whole.group_by(*_RESPONSE, place.alias("part"), maintain_order=True).agg(
        size.sum().alias("share"), pl.col("n_tokens").sum().alias("token_share")
    ).with_columns(pl.col(name) / pl.col(name).sum().over(OF_RESPONSE)
                   for name in ("share", "token_share"))  # fmt: skip
    found = []
    for labels, of_point in summed.group_by(OF_POINT, maintain_order=True):
        weights, column = drawn_weights(of_point, resamples, seed)
        for name in PLACES:
            mine = of_point.filter(part=name)
            drawn = weights[:, [column[question] for question in mine["question_id"]]]
            share, of_tokens = (
                weighted_mean(drawn, mine[part].to_numpy()) for part in ("share", "token_share")
            )
            found.append(Share(tuple(map(str, labels)), name, share, of_tokens, len(mine)))
    return found


def shares_by_place(
    values: pl.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0
) -> pl.DataFrame:
    """Make a table of `shares`.

    Columns: `POINT_LABELS`, point_id, place, share, low, high (95 %), token_share (what the place
    would have if every token moved the weights as far), n_questions.
    """
    lines = [
        (*one.labels, one.place, one.share[0], *interval(one.share, one.n_questions),
         one.token_share[0], one.n_questions)
        for one in shares(values, resamples=resamples, seed=seed)
    ]  # fmt: skip
    numbers = dict.fromkeys(("share", "low", "high", "token_share"), pl.Float64())
    return labelled_frame(lines, {"place": pl.String(), **numbers, "n_questions": pl.Int64()})


def drawn_weights(steps: pl.DataFrame, resamples: int, seed: int) -> tuple[Floats, dict[str, int]]:
    """Draw how often each question counts, (1 + resamples, questions); give each one's column."""
    names = steps["question_id"].unique().sort().to_list()
    return question_weights(names, resamples, seed), {name: i for i, name in enumerate(names)}


def labelled_frame(
    lines: Sequence[tuple[Any, ...]], columns: Mapping[str, pl.DataType]
) -> pl.DataFrame:
    """Make a frame of lines that begin with `POINT_LABELS` and point_id."""
    schema = {**dict.fromkeys(OF_POINT, pl.String()), **columns}
    return pl.DataFrame(lines, schema=schema, orient="row")
