"""Numbers behind which layers, kinds and heads respond: tables and a plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from gradsweep.analysis.effect_sizes import quantiles
from gradsweep.analysis.heads import (
    RATE,
    TOP,
    head_overlaps,
    sensitivity_of_parts,
    shares_by_part,
    top_heads,
)
from gradsweep.analysis.layers import PARTS
from gradsweep.analysis.open_questions.effects import Effects, rows_with_heads
from gradsweep.analysis.open_questions.material import QuestionMaterial, metric_words
from gradsweep.analysis.open_questions.question import (
    PLOT_SCHEMA,
    Numbers,
    Plot,
    Scope,
    with_ends,
)
from gradsweep.analysis.rows import in_reading_order, values_in_reading_order

SHOWN = 10
"""Heads of each model and dataset in the table; the report's heads.csv has all."""


def part_table(whole: Sequence[Effects], material: QuestionMaterial) -> Numbers:
    """Tabulate irrelevant over correct by projection, in early, middle and late layers."""
    lines = []
    for effects in whole:
        weights = material.weights(effects.question_ids)
        for name in values_in_reading_order(effects.cells, "projection"):
            line: dict[str, object] = {
                "model": effects.scope.model_words,
                "dataset": effects.scope.dataset,
                "cot": effects.cot,
                "projection": name,
            }
            for part in PARTS:
                chosen = (effects.cells["projection"] == name) & (effects.cells["part"] == part)
                values = effects.values[:, chosen.to_numpy()]
                line |= with_ends(part, _ratios(values, weights), material.confidence)
            lines.append(line)
    return Numbers(
        name="parts",
        title="by projection and part",
        caption=(
            f"Irrelevant over correct, {metric_words(material.metric)}: geometric mean over layers "
            "and questions"
        ),
        keys=("model", "dataset", "cot", "projection"),
        columns={part: f"{part} layers" for part in PARTS},
        frame=pl.DataFrame(lines),
    )


def _ratios(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Geometric means over cells and questions: (1 + resamples,); NaN without a cell."""
    if not values.shape[1]:
        return np.full(len(weights), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.exp(weights @ values.mean(axis=1) / weights.sum(axis=1))


def layer_plot(whole: Sequence[Effects], material: QuestionMaterial) -> Plot:
    """Draw irrelevant over correct by layer: a row for each model and dataset, a column for each
    projection."""
    tails = ((1 - material.confidence) / 2, (1 + material.confidence) / 2)
    lines = []
    for effects in whole:
        weights = material.weights(effects.question_ids)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = np.exp(weights @ effects.values / weights.sum(axis=1, keepdims=True))
        low, high = quantiles(ratios[1:], tails)
        cells = in_reading_order(effects.cells.with_row_index("place"))
        for place, name, layer in cells.select("place", "projection", "layer").iter_rows():
            lines.append(
                {
                    "panel": f"{effects.scope.model_words} · {effects.scope.dataset}, {name}",
                    "line": f"cot={effects.cot}",
                    "level": None,
                    "joined": True,
                    "x": float(layer),
                    "value": ratios[0, place],
                    "low": low[place],
                    "high": high[place],
                    "n": len(effects.question_ids),
                }
            )
    return Plot(
        "layers",
        f"irrelevant over correct, {metric_words(material.metric)}",
        "layer",
        pl.DataFrame(lines, schema=PLOT_SCHEMA),
    )


def head_tables(found: pl.DataFrame) -> Iterator[Numbers]:
    """Tabulate the heads that respond most, where they lie, and whether they are the same.

    `found` is of `slowest_heads`.
    """
    columns = {"ratio": "ratio", "cohen_dz": "d_z", "p_adjusted": "p (BH)"}
    keys = ("model", "dataset", "cot")
    yield Numbers(
        "heads",
        "heads that respond most",
        f"The {SHOWN} heads of each model and dataset with the largest effect size, irrelevant "
        "against correct; p corrected over all heads of these points",
        (*keys, "projection", "layer", "head"),
        columns,
        top_heads(found, SHOWN).select(*keys, "projection", "layer", "head", *columns),
    )
    parts = {"n_found": "responding", "n_heads": "heads", "share": "share of those responding",
             "expected_share": "share of all heads"}  # fmt: skip
    yield Numbers(
        "heads_by_part",
        "where they lie",
        f"Heads that respond at a false discovery rate of {100 * RATE:g} %",
        (*keys, "part"),
        parts,
        shares_by_part(found).select(*keys, "part", *parts),
    )
    overlaps = head_overlaps(found)
    if not overlaps.is_empty():
        shown = {"shared": "in both", "jaccard": "Jaccard", "expected_jaccard": "by chance",
                 "p_value": "p"}  # fmt: skip
        yield Numbers(
            "heads_overlap",
            "the same heads elsewhere",
            f"Of the {TOP} heads with the largest effect size in each of two data sets or models",
            ("between", "first", "second"),
            shown,
            overlaps.select("between", "first", "second", *shown),
        )


def heads_said(found: pl.DataFrame) -> dict[Scope, list[str]]:
    """Say how many heads respond, and which one most, by model and dataset.

    `found` is of `slowest_heads`.
    """
    said = {}
    for (model, series, dataset), own in found.group_by("model", "series", "dataset"):
        responding = int((own["p_adjusted"] <= RATE).sum())
        words = [f"{responding} of {len(own)} heads respond at a false discovery rate of "
                 f"{100 * RATE:g} %"]  # fmt: skip
        for line in top_heads(own, 1).to_dicts():
            words.append(
                f"the largest effect is that of head {line['head']} of {line['projection']} in "
                f"layer {line['layer']} ({line['ratio']:.2f} times, d_z {line['cohen_dz']:.1f})"
            )
        said[Scope(str(model), str(series), str(dataset))] = words
    return said


def slowest_heads(material: QuestionMaterial) -> pl.DataFrame:
    """Test every head at the slowest level of its model and dataset, the last in reading order."""
    found = sensitivity_of_parts(rows_with_heads(material), material.metric)
    return found.filter(
        pl.col("cot") == pl.col("cot").last().over("model", "dataset", "series", "objective")
    )
