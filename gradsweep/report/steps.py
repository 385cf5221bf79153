"""What is said of points that measure single steps (`gradients.by=step`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import polars as pl

from gradsweep.analysis.steps import (
    norms_by_step,
    shares_by_place,
    step_values,
    wrong_step_detection,
)
from gradsweep.records import POINT_LABELS
from gradsweep.report.findings import markdown_table
from gradsweep.report.labels import metric_words
from gradsweep.report.numerals import MISSING
from gradsweep.store.series import model_label

TITLE = "By step"

_WHAT = """\
Each step of a response measured by itself (`gradients.by=step`): the gradient of the mean loss of its own tokens, given all
that stands before it. Weighted by their tokens, the gradients of a response's steps sum to the response's own. Points of
whole responses and points of steps are never compared: a step has fewer tokens, and its norm is larger for that alone."""

_SHARES = """\
Share: of Σₖ nₖ·‖Gₖ‖ over the steps of a response, n tokens each; tokens: of its tokens. A place that has more of the first
than of the second moves the weights further than its length tells."""

_WRONG = """\
AUC: how often the first wrong step has the larger value, against each other step of its response; 0.5 is chance. `beside loss,
length, place`: of what these three leave of it. Where that interval holds 0.5, a wrong step does not show beyond its loss."""


def steps_markdown(rows: pl.DataFrame, samples: pl.DataFrame | None, metrics: Sequence[str]) -> str:
    """Write the section on points of steps; empty where there are none.

    Args:
        rows: as `load_rows` gives them, of whole samples too.
        samples: of the same points (`load_samples_table`).
        metrics: of the detection; norms and shares are of the first one.
    """
    values = values_of_steps(rows, samples, metrics[0])
    if values is None or samples is None:
        return ""
    parts = [f"## {TITLE}", _WHAT, _norms(values, metrics[0])]
    shares = shares_by_place(values)
    if not shares.is_empty():
        parts += [_shares(shares), _SHARES]
    found = wrong_step_detection(rows, samples, metrics)
    if not found.is_empty():
        parts += [_detection(found), _WRONG]
    return "\n\n".join(parts)


def values_of_steps(
    rows: pl.DataFrame, samples: pl.DataFrame | None, metric: str
) -> pl.DataFrame | None:
    """Return `step_values`; None where no step was measured."""
    has_steps = samples is not None and "step_index" in rows.columns
    if samples is None or not has_steps or rows["step_index"].null_count() == len(rows):
        return None
    values = step_values(rows, samples, metric)
    return None if values.is_empty() else values


def step_lines(rows: pl.DataFrame, samples: pl.DataFrame | None, metric: str) -> Iterator[str]:
    """Yield a line for the terminal for each point of steps."""
    values = values_of_steps(rows, samples, metric)
    if values is None:
        return
    norms = norms_by_step(values, resamples=0)
    for name, of_point in norms.group_by([*POINT_LABELS, "point_id"], maintain_order=True):
        means = ", ".join(f"{mean:.3g}" for mean in of_point["mean"].head(_MOST_STEPS))
        more = ", …" if len(of_point) > _MOST_STEPS else ""
        labels = dict(zip((*POINT_LABELS, "point_id"), map(str, name), strict=True))
        n_questions = int(of_point["n_questions"][0])
        yield (
            f"{' · '.join(_labels(labels))} · {metric_words(metric)} from the first step on, of "
            f"{n_questions} responses: {means}{more}"
        )


_MOST_STEPS = 8


def _norms(values: pl.DataFrame, metric: str) -> str:
    lines = [
        [
            *_labels(line),
            str(line["step_index"]),
            _with_ends(line["mean"], line["low"], line["high"]),
            f"{line['loss']:.3g}",
            f"{line['n_tokens']:.3g}",
            str(line["n_questions"]),
        ]
        for line in norms_by_step(values).to_dicts()
    ]
    return markdown_table([*_KEYS, "step", metric_words(metric), "loss", "tokens", "n"], lines)


def _shares(shares: pl.DataFrame) -> str:
    lines = [
        [
            *_labels(line),
            line["place"],
            _with_ends(line["share"], line["low"], line["high"]),
            f"{line['token_share']:.3g}",
            str(line["n_questions"]),
        ]
        for line in shares.to_dicts()
    ]
    return markdown_table([*_KEYS, "steps", "share", "tokens", "n"], lines)


def _detection(found: pl.DataFrame) -> str:
    lines = [
        [
            *_labels(line),
            metric_words(line["metric"]) + (", beside loss, length, place" * line["controlled"]),
            _with_ends(line["auc"], line["low"], line["high"]),
            _with_ends(line["above_loss"], line["above_loss_low"], line["above_loss_high"]),
            str(line["n_responses"]),
        ]
        for line in found.to_dicts()
    ]
    return markdown_table([*_KEYS, "signal", "AUC", "above the loss's", "n"], lines)


_KEYS = ("model", "dataset", "cot", "correctness")


def _labels(line: dict[str, str]) -> list[str]:
    model = model_label(line["model"], line["series"], line["objective"])
    return [model, line["dataset"], line["cot"], line["correctness"]]


def _with_ends(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return MISSING
    ends = f" [{low:.3g}, {high:.3g}]" if math.isfinite(low) and math.isfinite(high) else ""
    return f"{value:.3g}{ends}"
