"""Whether the first wrong step of a response shows in a metric of its gradient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from gradsweep.analysis.bootstrap import question_weights, weighted_mean
from gradsweep.analysis.resampling import interval
from gradsweep.analysis.steps.values import (
    OF_POINT,
    OF_RESPONSE,
    RESAMPLES,
    Floats,
    labelled_frame,
    step_values,
)
from gradsweep.records import StepLabel

CONTROLS = ("loss", "n_tokens", "place")
"""What may make a wrong step stand out without being wrong: its loss, its length, and how far down
the response it is."""


@dataclass(frozen=True)
class Detection:
    """How well a metric finds the first wrong step among the steps of its response."""

    labels: tuple[str, ...]
    """`POINT_LABELS` and point_id."""
    metric: str
    controlled: bool
    """Whether what `CONTROLS` predict is taken out."""
    auc: Floats
    """(1 + resamples,); the first is the sample itself."""
    above_loss: Floats
    """That of the metric less that of the loss, (1 + resamples,)."""
    n_responses: int
    """With a first wrong step, another step, and values in all of them."""


def detections(
    rows: pl.DataFrame,
    samples: pl.DataFrame,
    metrics: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Detection]:
    """Ask whether the first wrong step is the one of its response in which a metric is largest.

    The AUC of a response is the share of its other steps that have a smaller value than the wrong
    one, ties counting half; 0.5 is chance, and below it the wrong step has the smaller value. Ranks
    within a response: how large its gradients are as a whole plays no part.

    A metric is taken by itself, and without what `CONTROLS` predict of its logarithm: the residuals
    of least squares over all steps, each response around its own mean, one fit for all resamples.

    Args:
        rows: as `load_rows` gives them.
        samples: of the same points.
        metrics: of the rows; the loss of the steps stands before them.
        resamples: of the intervals.
        seed: of the resamples.

    Returns:
        Of each metric, by point; nothing of points without labels.
    """
    found = []
    losses = _with_wrong_step(step_values(rows, samples, "loss"))
    for metric in ("loss", *(name for name in metrics if name != "loss")):
        values = (
            losses if metric == "loss" else _with_wrong_step(step_values(rows, samples, metric))
        )
        for labels, steps in values.group_by(OF_POINT, maintain_order=True):
            beside = losses.join(steps, on=["point_id", "question_id", "step_index"], how="semi")
            of_loss = _aucs(beside, beside["value"].to_numpy())
            for controlled, signal in _signals(steps, metric):
                names = (tuple(map(str, labels)), metric, controlled)
                found.append(
                    Detection(*names, *_resampled(_aucs(steps, signal), of_loss, resamples, seed))
                )
    return found


def wrong_step_detection(
    rows: pl.DataFrame,
    samples: pl.DataFrame,
    metrics: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pl.DataFrame:
    """Make a table of `detections`, whose arguments these are.

    Columns: `POINT_LABELS`, point_id, metric, controlled, auc, low, high (95 %), above_loss,
    above_loss_low, above_loss_high, n_responses.
    """
    lines = [
        (*one.labels, one.metric, one.controlled, one.auc[0], *interval(one.auc, one.n_responses),
         one.above_loss[0], *interval(one.above_loss, one.n_responses), one.n_responses)
        for one in detections(rows, samples, metrics, resamples=resamples, seed=seed)
    ]  # fmt: skip
    numbers = ("auc", "low", "high", "above_loss", "above_loss_low", "above_loss_high")
    schema = {"metric": pl.String(), "controlled": pl.Boolean()}
    schema |= dict.fromkeys(numbers, pl.Float64())
    return labelled_frame(lines, {**schema, "n_responses": pl.Int64()})


def _with_wrong_step(values: pl.DataFrame) -> pl.DataFrame:
    """The responses with a first wrong step, of which all steps are known."""
    wrong = (pl.col("step_label") == StepLabel.WRONG.value).sum().over(OF_RESPONSE)
    n_known = pl.len().over(OF_RESPONSE)
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
    centred = known.select(pl.col(names) - pl.col(names).mean().over("question_id"))
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


def _resampled(
    aucs: Mapping[str, float], of_loss: Mapping[str, float], resamples: int, seed: int
) -> tuple[Floats, Floats, int]:
    """Mean AUC, and how far it lies above the loss's, (1 + resamples,) each; responses."""
    names = sorted(aucs)
    weights = question_weights(names, resamples, seed)
    own = np.array([aucs[name] for name in names])
    above = own - np.array([of_loss[name] for name in names])
    return weighted_mean(weights, own), weighted_mean(weights, above), len(names)
