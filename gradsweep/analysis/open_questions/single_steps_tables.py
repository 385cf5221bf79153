"""Norms by step, shares by place and detection of wrong steps, as tables."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from gradsweep.analysis.open_questions.material import QuestionMaterial, metric_words
from gradsweep.analysis.open_questions.question import Numbers, with_ends
from gradsweep.analysis.open_questions.signals import words_of
from gradsweep.analysis.steps import Detection, Share, norms_by_step
from gradsweep.records import POINT_LABELS
from gradsweep.store.series import model_label

_KEYS = ("model", "dataset", "cot", "correctness")


def _named(labels: Sequence[str]) -> dict[str, str]:
    """The columns that say whose point a line is of."""
    line = dict(zip(POINT_LABELS, labels, strict=False))
    return {
        "model": model_label(line["model"], line["series"]),
        **{key: line[key] for key in _KEYS[1:]},
    }


def norm_table(values: pl.DataFrame, material: QuestionMaterial) -> Numbers:
    """Tabulate the size of each step's gradient, from the first step on."""
    norms = norms_by_step(values, resamples=material.resamples, seed=material.seed)
    lines = [
        {
            **_named([line[name] for name in POINT_LABELS]),
            "step": str(line["step_index"]),
            "norm": line["mean"],
            "norm low": line["low"],
            "norm high": line["high"],
            "loss": line["loss"],
            "tokens": line["n_tokens"],
            "n": line["n_questions"],
        }
        for line in norms.to_dicts()
    ]
    columns = {
        "norm": metric_words(material.metric),
        "loss": "loss",
        "tokens": "tokens",
        "n": "responses",
    }
    return Numbers(
        name="norms",
        title="by step",
        caption=(
            "Gradients of single steps from the first (0) on, of the mean loss over the step's own "
            "tokens; means over the responses that have the step"
        ),
        keys=(*_KEYS, "step"),
        columns=columns,
        frame=pl.DataFrame(lines, infer_schema_length=None),
    )


def share_table(shared: Sequence[Share], confidence: float) -> Numbers:
    """Tabulate who carries the gradient beside who has the tokens."""
    lines = [
        {
            **_named(one.labels),
            "steps": one.place,
            **with_ends("share", one.share, confidence),
            **with_ends("tokens", one.token_share, confidence),
            "n": one.n_questions,
        }
        for one in shared
    ]
    return Numbers(
        name="shares",
        title="who carries the gradient",
        caption=(
            "Share of the sum of n‖G‖ over the steps of a response, and share of its tokens; of "
            "responses of three steps and more"
        ),
        keys=(*_KEYS, "steps"),
        columns={"share": "share of n‖G‖", "tokens": "share of tokens", "n": "responses"},
        frame=pl.DataFrame(lines, infer_schema_length=None),
    )


def detection_table(found: Sequence[Detection], confidence: float) -> Numbers:
    """Tabulate how well each signal finds the first wrong step, and what the loss leaves of it."""
    lines: dict[tuple[tuple[str, ...], str], dict[str, object]] = {}
    for one in found:
        line = lines.setdefault(
            (one.labels, one.metric),
            {**_named(one.labels), "signal": words_of(one.metric), "n": one.n_responses},
        )
        line |= with_ends("AUC left" if one.controlled else "AUC", one.auc, confidence)
        if not one.controlled and one.metric != "loss":
            line |= with_ends("over the loss", one.above_loss, confidence)
    return Numbers(
        name="wrong_steps",
        title="finding the first wrong step",
        caption=(
            "AUC within responses: how often the first wrong step has the larger signal (the "
            "smaller rank) than another step of its response; over that of the loss; and of what "
            "loss, length and place leave of the signal"
        ),
        keys=(*_KEYS, "signal"),
        columns={
            "AUC": "AUC",
            "over the loss": "AUC − loss's",
            "AUC left": "AUC, loss, n and place out",
            "n": "responses",
        },
        frame=pl.DataFrame(list(lines.values()), infer_schema_length=None),
    )
