"""Accuracy and AUC of every signal at every level, as a table and a plot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from gradsweep.analysis.bootstrap import weighted_mean
from gradsweep.analysis.open_questions.detectors import (
    area_under_curve,
    right,
    share,
)
from gradsweep.analysis.open_questions.question import PLOT_SCHEMA, Numbers, Plot, with_ends
from gradsweep.analysis.open_questions.signals import FEW, LOSS, Level, words_of
from gradsweep.config import cot_reading_key

COLUMNS = {
    "accuracy": "accuracy",
    "AUC": "AUC",
    "over the loss": "accuracy - loss's",
    "accuracy left": "accuracy, loss and T out",
    "AUC left": "AUC, loss and T out",
}


def signals_table(levels: Sequence[Level], confidence: float) -> Numbers:
    """Tabulate every signal of every level; the models of a dataset stand under each other."""
    lines = [
        {
            "dataset": level.scope.dataset,
            "level": level.cot,
            "signal": words_of(signal),
            "model": level.scope.model_words,
            **_numbers(level, signal, confidence),
            "n": level.n_questions,
        }
        for of_models in _by_dataset_and_level(levels)
        for signal in dict.fromkeys(name for level in of_models for name in level.signals)
        for level in of_models
        if signal in level.signals
    ]
    return Numbers(
        name="signals",
        title="what tells irrelevant from correct",
        caption=(
            "Share of questions in which the irrelevant response has the larger signal (accuracy) "
            "and share of all pairs of responses (AUC); the accuracy less that of the loss, "
            "paired; and both for what loss and length leave of a signal, leaving one question out"
        ),
        keys=("dataset", "level", "signal", "model"),
        columns={**COLUMNS, "n": "questions"},
        frame=pl.DataFrame(lines, infer_schema_length=None),
    )


def _by_dataset_and_level(levels: Sequence[Level]) -> list[list[Level]]:
    """The models of each dataset and level, from fast to slow thinking."""
    found: dict[tuple[str, str], list[Level]] = {}
    for level in levels:
        found.setdefault((level.scope.dataset, level.cot), []).append(level)
    return [found[key] for key in sorted(found, key=lambda key: (key[0], cot_reading_key(key[1])))]


def _numbers(level: Level, signal: str, confidence: float) -> dict[str, float]:
    scores = level.scores(signal)
    resamples = len(level.weights) - 1
    columns = {
        "accuracy": share(scores, resamples),
        "AUC": area_under_curve(*level.signals[signal], level.weights),
    }
    if signal != LOSS:
        columns["over the loss"] = weighted_mean(level.weights, scores - level.scores(LOSS))
    if (left := level.left_of(signal)) is not None:
        columns["accuracy left"] = share(right(*left), resamples)
        columns["AUC left"] = area_under_curve(*left, level.weights)
    nothing = np.full(1 + resamples, np.nan)
    return {
        key: value
        for name in COLUMNS
        for key, value in with_ends(name, columns.get(name, nothing), confidence).items()
    }


def accuracy_plot(table: Numbers) -> Plot:
    """Draw accuracy by level, from fast to slow thinking, of the signals that differ most."""
    words = {words_of(signal): signal for signal in FEW}
    shown = table.frame.filter(pl.col("signal").is_in(list(words)))
    levels = sorted(shown["level"].unique(), key=cot_reading_key)
    place = {level: float(index) for index, level in enumerate(levels)}
    return Plot(
        name="accuracy",
        title="share of questions that are told right",
        x="CoT level",
        lines=shown.select(
            pl.format("{} · {}, accuracy", "model", "dataset").alias("panel"),
            pl.col("signal").alias("line"),
            pl.lit(None, pl.String()).alias("level"),
            pl.lit(True).alias("joined"),
            pl.col("level").replace_strict(place, return_dtype=pl.Float64()).alias("x"),
            pl.col("accuracy").alias("value"),
            pl.col("accuracy low").alias("low"),
            pl.col("accuracy high").alias("high"),
            pl.col("n").cast(pl.Int64()),
        ).cast(pl.Schema(PLOT_SCHEMA)),
        ticks=tuple((index, level) for level, index in place.items()),
    )
