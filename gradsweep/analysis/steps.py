"""Which step of a response carries its gradient, and whether a wrong step shows.

Rows are of points that measure each step by itself (`gradients.by=step`): G_k is the gradient of
the mean loss of step k's n_k tokens, and Σ_k n_k·G_k is n·G of the whole response. Norms do not add
up so, but by how much each n_k·G_k could move the sum is what n_k·‖G_k‖ says.

Intervals are percentiles over resampled responses (`question_weights`), a response's steps together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import question_weights
from gradsweep.analysis.intervals import interval
from gradsweep.analysis.rows import require_metric, whole_matrices, with_every_axis
from gradsweep.records import POINT_LABELS, SAMPLE_METRICS, SampleStatus, StepLabel

Floats = NDArray[np.float64]

RESAMPLES = 1000
PLACES = ("first", "middle", "final")
"""Of a response's steps; the final one has its answer, and all between are middle."""
CONTROLS = ("loss", "n_tokens", "place")
"""What may make a wrong step stand out without being wrong: its loss, its length, and how far down
the response it is."""

_RESPONSE = (*POINT_LABELS, "point_id", "question_id")
_POINT = (*POINT_LABELS, "point_id")


def step_values(rows: pl.DataFrame, samples: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Take a metric's mean over the layers and projections of each measured step.

    Steps with a value that is missing, not finite or failed its checksum in some layer are left out.

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
    n_steps = pl.col("step_index").max().over("point_id", "question_id") + 1
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
    trusted = pl.col("finite") & value.is_finite() if "finite" in rows.columns else value.is_finite()
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
    for labels, steps in values.group_by(_POINT, maintain_order=True):
        weights, place_of = _weights(steps, resamples, seed)
        for index, of_step in steps.group_by("step_index", maintain_order=True):
            mine = weights[:, [place_of[name] for name in of_step["question_id"]]]
            means = _mean(mine, of_step["value"].to_numpy())
            low, high = interval(means, len(of_step))
            loss, n_tokens = of_step["loss"].mean(), of_step["n_tokens"].mean()
            lines.append((*labels, *index, means[0], low, high, loss, n_tokens, len(of_step)))
    numbers = dict.fromkeys(("mean", "low", "high", "loss", "n_tokens"), pl.Float64())
    schema = {"step_index": pl.Int64(), **numbers, "n_questions": pl.Int64()}
    return _frame(lines, schema).sort(*_POINT, "step_index")


def shares_by_place(
    values: pl.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0
) -> pl.DataFrame:
    """Share out Σ_k n_k·‖G_k‖ among the first step, the last one and those between.

    Of responses of three steps and more, all of which were measured. Arguments as `norms_by_step`.

    Returns:
        `POINT_LABELS`, point_id, place (`PLACES`), share, low, high (95 %), token_share (n_k/n: what
        the place would have if every token moved the weights as far), n_questions.
    """
    size = pl.col("n_tokens") * pl.col("value")
    place = (
        pl.when(pl.col("step_index") == 0).then(pl.lit(PLACES[0]))
        .when(pl.col("step_index") == pl.col("n_steps") - 1).then(pl.lit(PLACES[2]))
        .otherwise(pl.lit(PLACES[1]))
    )  # fmt: skip
    whole = values.filter(
        pl.col("n_steps") >= len(PLACES), pl.len().over("point_id", "question_id") == pl.col("n_steps")
    )
    of_response = ["point_id", "question_id"]
    shares = whole.with_columns(
        share=size / size.sum().over(of_response),
        token_share=pl.col("n_tokens") / pl.col("n_tokens").sum().over(of_response),
        step=place,
    )
    summed = shares.group_by(*_RESPONSE, "step", maintain_order=True).agg(
        pl.col("share", "token_share").sum()
    )
    lines = []
    for labels, of_point in summed.group_by(_POINT, maintain_order=True):
        weights, place_of = _weights(of_point, resamples, seed)
        for name in PLACES:
            mine = of_point.filter(step=name)
            drawn = weights[:, [place_of[question] for question in mine["question_id"]]]
            means = _mean(drawn, mine["share"].to_numpy())
            ends = interval(means, len(mine))
            lines.append((*labels, name, means[0], *ends, mine["token_share"].mean(), len(mine)))
    numbers = dict.fromkeys(("share", "low", "high", "token_share"), pl.Float64())
    return _frame(lines, {"place": pl.String(), **numbers, "n_questions": pl.Int64()})


def wrong_step_detection(
    rows: pl.DataFrame,
    samples: pl.DataFrame,
    metrics: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pl.DataFrame:
    """Ask whether the first wrong step is the one of its response in which a metric is largest.

    The AUC of a response is the share of its other steps that have a smaller value than the wrong
    one, ties counting half; 0.5 is chance, and below it the wrong step has the smaller value. Ranks
    within a response: how large its gradients are as a whole plays no part.

    A metric is taken by itself, and without what `CONTROLS` predict of its logarithm: the residuals
    of least squares over all steps, each response around its own mean, one fit for all resamples.

    Args:
        rows: as `load_rows` gives them.
        samples: of the same points.
        metrics: of the rows; the loss of the steps stands beside them.
        resamples: of the intervals.
        seed: of the resamples.

    Returns:
        `POINT_LABELS`, point_id, metric, controlled (whether the controls are taken out), auc, low,
        high (95 %), above_loss (auc less that of the loss), above_loss_low, above_loss_high,
        n_responses (with a first wrong step, another step, and values in all of them). No lines of
        points without labels.
    """
    lines = []
    losses = _with_wrong_step(step_values(rows, samples, "loss"))
    for metric in ("loss", *(name for name in metrics if name != "loss")):
        values = losses if metric == "loss" else _with_wrong_step(step_values(rows, samples, metric))
        for labels, steps in values.group_by(_POINT, maintain_order=True):
            beside = losses.join(steps, on=[*_RESPONSE, "step_index"], how="semi")
            of_loss = _aucs(beside, beside["value"].to_numpy())
            for name, signal in _signals(steps, metric):
                found = _detection(_aucs(steps, signal), of_loss, resamples, seed)
                lines.append((*labels, metric, name, *found))
    numbers = ("auc", "low", "high", "above_loss", "above_loss_low", "above_loss_high")
    schema = {"metric": pl.String(), "controlled": pl.Boolean()}
    schema |= dict.fromkeys(numbers, pl.Float64())
    return _frame(lines, {**schema, "n_responses": pl.Int64()})


def _with_wrong_step(values: pl.DataFrame) -> pl.DataFrame:
    """The responses in which the first wrong step can be looked for: all of their steps are known."""
    wrong = (pl.col("step_label") == StepLabel.WRONG.value).sum().over("point_id", "question_id")
    n_known = pl.len().over("point_id", "question_id")
    return values.filter(wrong == 1, n_known == pl.col("n_steps"), n_known > 1)


def _signals(steps: pl.DataFrame, metric: str) -> Iterator[tuple[bool, Floats]]:
    """A metric by itself, and without what the controls predict; the loss is a control."""
    yield False, steps["value"].to_numpy()
    if metric != "loss":
        yield True, _residuals(steps)


def _residuals(steps: pl.DataFrame) -> Floats:
    """What is left of the logarithm of the values, each response around its own mean."""
    positive = pl.col("value", "loss").clip(np.finfo(np.float64).tiny).log()
    names = ["value", *CONTROLS]
    known = steps.with_columns(positive, pl.col("n_tokens").cast(pl.Float64).log())
    centred = known.select((pl.col(names) - pl.col(names).mean().over("question_id")))
    value, controls = centred["value"].to_numpy(), centred.select(CONTROLS).to_numpy()
    weights, *_ = np.linalg.lstsq(controls, value, rcond=None)
    return np.asarray(value - controls @ weights)


def _aucs(steps: pl.DataFrame, signal: Floats) -> dict[str, float]:
    """Question -> share of the other steps of its response below the wrong one."""
    scored = steps.with_columns(signal=signal)
    wrong = (pl.col("step_label") == StepLabel.WRONG.value).fill_null(False)
    of_wrong = pl.col("signal").filter(wrong).first()
    below = (pl.col("signal") < of_wrong).sum() + ((pl.col("signal") == of_wrong).sum() - 1) / 2
    found = scored.group_by("question_id", maintain_order=True).agg(auc=below / (pl.len() - 1))
    return dict(found.iter_rows())


def _detection(
    aucs: Mapping[str, float], of_loss: Mapping[str, float], resamples: int, seed: int
) -> tuple[Any, ...]:
    """Mean AUC and how far it lies above the loss's, each with its interval; responses."""
    names = sorted(aucs)
    weights = question_weights(names, resamples, seed)
    own = np.array([aucs[name] for name in names])
    means = _mean(weights, own)
    above = _mean(weights, own - np.array([of_loss[name] for name in names]))
    ends = interval(means, len(names)), interval(above, len(names))
    return means[0], *ends[0], above[0], *ends[1], len(names)


def _weights(steps: pl.DataFrame, resamples: int, seed: int) -> tuple[Floats, dict[str, int]]:
    """How often each question counts, (1 + resamples, questions), and each one's column."""
    names = steps["question_id"].unique().sort().to_list()
    return question_weights(names, resamples, seed), {name: i for i, name in enumerate(names)}


def _mean(weights: Floats, values: Floats) -> Floats:
    """Weighted means of (n,) values: (1 + resamples,); NaN where no question was drawn."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(weights @ values / weights.sum(axis=1))


def _frame(lines: Sequence[tuple[Any, ...]], columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    schema = {**dict.fromkeys(_POINT, pl.String()), **columns}
    return pl.DataFrame(lines, schema=schema, orient="row")
