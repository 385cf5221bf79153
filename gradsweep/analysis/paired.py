"""Paired comparisons over questions: difference, test and effect size of two conditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import bootstrap_interval
from gradsweep.analysis.effect_sizes import effect_sizes
from gradsweep.analysis.multiplicity import adjusted_p_values
from gradsweep.analysis.pairs import model_pairs
from gradsweep.analysis.questions import PointQuestions, QuestionValues, point_questions
from gradsweep.analysis.rows import in_reading_order, require_metric, whole_matrices
from gradsweep.analysis.sign_flip import sign_flip_p_values
from gradsweep.errors import ConfigError
from gradsweep.records import POINT_LABELS

Floats = NDArray[np.float64]

_UNITS = ("projection", "layer")
_NUMBERS = (
    "first_mean", "second_mean", "difference", "ci_low", "ci_high", "p_value", "p_adjusted",
    "cohen_dz", "cohen_dz_low", "cohen_dz_high", "hedges_g",
    "rank_biserial", "rank_biserial_low", "rank_biserial_high",
)  # fmt: skip
_NOTHING = QuestionValues((), (), np.empty((0, 0)))


def paired_tests(
    rows: pl.DataFrame,
    pairs: pl.DataFrame,
    metric: str = "nuclear_norm",
    *,
    by: str = "projection",
    **settings: Any,
) -> pl.DataFrame:
    """Test second minus first condition of every pair, over the questions that both have.

    Questions pair by `question_id`. With `by="projection"` a question's value is its mean over
    the layers that both points have, with `by="layer"` every layer is tested. Only questions
    with a finite value in every layer of both points count; n_left_out says how many do not.

    `pairs` is the result of `condition_pairs` or `model_pairs`; `settings` are those of
    `pair_lines` (correction, confidence, resamples, flips, seed). Columns: those of `pairs`;
    projection (and layer); first_mean, second_mean, difference and its bootstrap interval
    ci_low, ci_high (in the metric's unit); p_value of the sign-flip test
    (`sign_flip_p_values`), p_adjusted over the projections (or layers × projections) of the
    pair by `correction` (holm, benjamini_hochberg, none); effect sizes and their intervals
    (`EffectSizes`); n_questions, n_left_out. All NaN and n_questions 0 without a common
    question.

    Raises:
        ConfigError: an unknown metric, `by` or correction.
        DataError: a projection with rows of single heads only.
    """
    require_metric(rows, metric)
    rows = whole_matrices(rows)
    if by not in _UNITS:
        raise ConfigError(f"by={by} is unknown; allowed are {', '.join(_UNITS)}")
    used = {*pairs["first_point_id"], *pairs["second_point_id"]}
    points = {
        str(name): point_questions(frame, metric)
        for (name,), frame in rows.group_by("point_id")
        if name in used
    }
    lines = [
        pair | line
        for pair in pairs.to_dicts()
        for line in pair_lines(
            points[pair["first_point_id"]], points[pair["second_point_id"]], by=by, **settings
        )
    ]
    return in_reading_order(pl.DataFrame(lines, schema=_schema(pairs, rows, by)))


def pair_lines(
    first: PointQuestions,
    second: PointQuestions,
    *,
    by: str = "projection",
    correction: str = "holm",
    confidence: float = 0.95,
    resamples: int = 1000,
    flips: int = 9999,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Test two points: lines of `paired_tests` without the pair's own columns, in no order.

    Raises:
        ConfigError: an unknown correction.
    """
    settings = {"confidence": confidence, "resamples": resamples, "seed": seed}
    lines = [
        line
        for projection, one, other, left_out in _projections(first, second)
        for line in _lines(one, other, by, flips, settings, projection, left_out)
    ]
    p_values = np.array([line["p_value"] for line in lines])
    adjusted = adjusted_p_values(p_values, correction).tolist()
    return [line | {"p_adjusted": p} for line, p in zip(lines, adjusted, strict=True)]


def base_and_instruct(
    rows: pl.DataFrame,
    metric: str = "nuclear_norm",
    *,
    named: Mapping[str, str] | None = None,
    **settings: Any,
) -> pl.DataFrame:
    """Compare instruct models with their base models, in every condition that both have.

    Models pair by name, or as `named` says (`model_pairs`); `settings` are those of
    `paired_tests`. Columns: base and instruct (model names), dataset, cot, correctness, series,
    base_point_id, instruct_point_id, projection (and layer), base_mean, instruct_mean, ratio
    (instruct over base), then those of `paired_tests` from difference on, which is instruct
    minus base. The two usually differ in their prompt format too (plain and chat).
    """
    tests = paired_tests(rows, model_pairs(rows, named), metric, **settings)
    names = {"model": "base", "second_model": "instruct"}
    names |= {"first_point_id": "base_point_id", "second_point_id": "instruct_point_id"}
    names |= {"first_mean": "base_mean", "second_mean": "instruct_mean"}
    labels = [name for name in POINT_LABELS if name != "model"]
    renamed = tests.drop(f"second_{name}" for name in labels).rename(names)
    ratio = pl.col("instruct_mean") / pl.col("base_mean")
    ratio = pl.when(pl.col("base_mean") != 0).then(ratio).otherwise(np.nan).alias("ratio")
    columns = renamed.columns
    front = ["base", "instruct", *labels]
    rest = [name for name in columns if name not in front]
    after = rest.index("instruct_mean") + 1
    return renamed.select(*front, *rest[:after], ratio, *rest[after:])


def _projections(
    first: PointQuestions, second: PointQuestions
) -> Iterator[tuple[str, QuestionValues, QuestionValues, int]]:
    """Projections of both points, with the values of their common questions and layers."""
    for projection in first.asked:
        if projection not in second.asked:
            continue
        one, other = (found.values.get(projection, _NOTHING) for found in (first, second))
        questions = sorted(set(one.question_ids) & set(other.question_ids))
        layers = sorted(set(one.layers) & set(other.layers))
        both = [
            QuestionValues(tuple(questions), tuple(layers), found.at(questions, layers))
            for found in (one, other)
        ]
        asked = first.asked[projection] & second.asked[projection]
        yield projection, both[0], both[1], len(asked) - len(questions)


def _lines(
    first: QuestionValues,
    second: QuestionValues,
    by: str,
    flips: int,
    settings: dict[str, Any],
    projection: str,
    left_out: int,
) -> Iterator[dict[str, Any]]:
    """One line for the projection, or one for each of its layers."""
    keys: list[dict[str, Any]] = [{"projection": projection}]
    one, other = first.values, second.values
    if by == "layer":
        keys = [{"projection": projection, "layer": layer} for layer in first.layers]
    elif one.size:
        one, other = one.mean(axis=1, keepdims=True), other.mean(axis=1, keepdims=True)
    else:
        one = other = np.empty((0, 1))
    columns = _statistics(one, other, flips, settings)
    counts = {"n_questions": len(one), "n_left_out": left_out}
    for index, key in enumerate(keys):
        yield key | {name: float(column[index]) for name, column in columns.items()} | counts


def _statistics(
    first: Floats, second: Floats, flips: int, settings: dict[str, Any]
) -> dict[str, Floats]:
    differences = second - first
    low, high = bootstrap_interval(differences, **settings)
    missing = np.full(differences.shape[1], np.nan)
    means = [x.mean(axis=0) if len(x) else missing for x in (first, second, differences)]
    return {
        **dict(zip(("first_mean", "second_mean", "difference"), means, strict=True)),
        **{"ci_low": low, "ci_high": high},
        "p_value": sign_flip_p_values(differences, flips=flips, seed=settings["seed"]),
        **asdict(effect_sizes(differences, **settings)),
    }


def _schema(pairs: pl.DataFrame, rows: pl.DataFrame, by: str) -> dict[str, pl.DataType]:
    units = _UNITS[: _UNITS.index(by) + 1]
    schema = dict(pairs.schema) | {name: rows.schema[name] for name in units}
    schema |= {name: pl.Float64() for name in _NUMBERS}
    return schema | {"n_questions": pl.Int64(), "n_left_out": pl.Int64()}
