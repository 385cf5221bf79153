"""Which attention heads respond to irrelevant responses, and whether they are the same elsewhere.

Every head is compared with itself, question by question, so its size does not count; every head is
tested, so the p-values are corrected over all of them. With n questions no p-value is below 2/2ⁿ:
among m heads, one alone can only be found where m·2/2ⁿ is at most the rate that is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.conditions import conditions
from gradsweep.analysis.effect_sizes import cohen_dz
from gradsweep.analysis.layers import PARTS, part_of_each_layer
from gradsweep.analysis.multiplicity import adjusted_p_values
from gradsweep.analysis.relative_difference import PAIRED_ON, response_pairs
from gradsweep.analysis.rows import (
    in_reading_order,
    require_metric,
    single_heads,
    whole_matrices,
    with_every_axis,
)
from gradsweep.analysis.signed_ranks import signed_rank_p_values
from gradsweep.errors import ConfigError, DataError

Floats = NDArray[np.float64]

RATE = 0.05
"""False discovery rate at which a head counts as one that responds."""
TOP = 20
"""Heads that are compared between data sets and models."""

PAIR = (*PAIRED_ON, "point_id", "irrelevant_point_id")
"""What a pair of points is named by."""
HEAD = ("projection", "layer", "head")
"""What a head of a model is named by."""
_NUMBERS = ("ratio", "cohen_dz", "p_value", "p_adjusted")


def head_sensitivity(
    rows: pl.DataFrame,
    metric: str = "nuclear_norm",
    *,
    beyond_average: bool = False,
    heads: bool = True,
    correction: str = "benjamini_hochberg",
) -> pl.DataFrame:
    """Test how each head's `metric` differs between irrelevant and correct responses.

    What is compared is the logarithm of the metric, over the questions that both points have: the
    effect is log(irrelevant/correct), tested by Wilcoxon's signed ranks (exact up to 50 questions),
    corrected over all heads of all points of `rows` together. Seeds are pooled by question.

    Args:
        rows: as `load_rows` gives them.
        metric: one above zero; questions in which it is not are left out of that head.
        beyond_average: take the mean effect over all heads out of each question's, so that what is
            left is how much more, or less, a head responds than the others.
        heads: single heads; false does the same for whole matrices, where head is null.
        correction: as for `adjusted_p_values`.

    Columns: model, dataset, cot, objective, series, point_id (correct), irrelevant_point_id,
    projection, layer, head, part (early, middle, late), ratio (geometric mean of irrelevant over
    correct, over that of all heads with `beyond_average`), cohen_dz, p_value, p_adjusted,
    n_questions. NaN with fewer than two questions.

    Raises:
        ConfigError: an unknown metric or correction.
        DataError: there are no rows of heads.
    """
    settings = {"beyond_average": beyond_average, "heads": heads}
    return sensitivity_of_parts([rows], metric, correction=correction, **settings)


def sensitivity_of_parts(
    parts: Iterable[pl.DataFrame],
    metric: str,
    *,
    beyond_average: bool = False,
    heads: bool = True,
    correction: str = "benjamini_hochberg",
) -> pl.DataFrame:
    """Do what `head_sensitivity` does, of rows that come in parts, each with whole pairs of points.

    Raises as `head_sensitivity`.
    """
    found: list[dict[str, object]] = []
    depth: dict[str, int] = {}
    for rows in parts:
        for pair, effects in response_effects(rows, metric, heads=heads):
            named = dict(zip(PAIR, pair, strict=True))
            found += [{**named, **line} for line in _lines(effects, beyond_average)]
        for model, n_layers in rows.group_by("model").agg(pl.col("layer").max() + 1).iter_rows():
            depth[model] = max(n_layers, depth.get(model, 0))
    schema: dict[str, pl.DataType] = {
        **dict.fromkeys((*PAIR, "projection"), pl.String()),
        **dict.fromkeys(("layer", "head"), pl.Int32()),
        **dict.fromkeys(_NUMBERS, pl.Float64()),
        "n_questions": pl.Int64(),
    }
    frame = pl.DataFrame(found, schema=schema)
    p_adjusted = adjusted_p_values(frame["p_value"].to_numpy(), correction)
    parts = [
        part_of_each_layer(depth[model])[layer]
        for model, layer in frame.select("model", "layer").iter_rows()
    ]
    frame = frame.with_columns(
        p_adjusted=pl.Series(p_adjusted, dtype=pl.Float64),
        part=pl.Series(parts, dtype=pl.String),
    )
    columns = (*PAIR, *HEAD, "part", *_NUMBERS, "n_questions")
    return in_reading_order(frame).select(columns)


def top_heads(found: pl.DataFrame, top: int = TOP) -> pl.DataFrame:
    """Keep of every pair of points the `top` heads with the largest |d_z|, the largest first.

    Args:
        found: of `head_sensitivity`.
        top: how many.
    """
    size = pl.col("cohen_dz").abs()
    return (
        found.filter(pl.col("cohen_dz").is_finite())
        .sort(size, descending=True, maintain_order=True)
        .group_by(PAIR, maintain_order=True)
        .head(top)
    )


def shares_by_part(found: pl.DataFrame, rate: float = RATE) -> pl.DataFrame:
    """Count the heads that respond in early, middle and late layers.

    Args:
        found: of `head_sensitivity`.
        rate: p_adjusted up to which a head counts.

    Columns: the pair of points, part, n_heads (tested), n_found, share (of all that were found;
    NaN where none was), expected_share (what heads that respond anywhere alike would have).
    """
    tested = found.filter(pl.col("p_adjusted").is_finite())
    counted = tested.group_by(*PAIR, "part").agg(
        n_heads=pl.len().cast(pl.Int64),
        n_found=(pl.col("p_adjusted") <= rate).sum().cast(pl.Int64),
    )
    of_pair = [pl.col(name).sum().over(PAIR) for name in ("n_found", "n_heads")]
    return in_reading_order(
        counted.with_columns(
            share=pl.col("n_found") / of_pair[0], expected_share=pl.col("n_heads") / of_pair[1]
        ).filter(pl.col("part").is_in(PARTS))
    )


def head_overlaps(found: pl.DataFrame, top: int = TOP) -> pl.DataFrame:
    """Compare the top heads of every two data sets, and of every two models of one shape.

    Args:
        found: of `head_sensitivity`.
        top: how many heads of each are compared.

    Columns: between (dataset or model), first, second (what differs), the rest of the axes that
    both share, n_heads (that both have), top, shared (how many are among the top of both), jaccard
    (shared over those in either), expected_jaccard (of two random choices), p_value (of as many
    shared by chance: hypergeometric).

    Raises:
        ConfigError: less than one head.
    """
    if top < 1:
        raise ConfigError(f"top must be at least 1, got {top}")
    valued = found.filter(pl.col("cohen_dz").is_finite())
    groups = dict(valued.group_by(PAIRED_ON, maintain_order=True))
    lines = []
    for (one, first), (other, second) in combinations(groups.items(), 2):
        differing = [n for n, a, b in zip(PAIRED_ON, one, other, strict=True) if a != b]
        if differing not in (["dataset"], ["model"]):
            continue
        place = PAIRED_ON.index(differing[0])
        shared = {n: v for n, v in zip(PAIRED_ON, one, strict=True) if n not in differing}
        overlap = _overlap(first, second, top)
        if overlap:
            named = {"between": differing[0], "first": one[place], "second": other[place]}
            lines.append(named | {name: shared.get(name) for name in PAIRED_ON} | overlap)
    schema: dict[str, pl.DataType] = {
        **dict.fromkeys(("between", "first", "second", *PAIRED_ON), pl.String()),
        **dict.fromkeys(("n_heads", "top", "shared"), pl.Int64()),
        **dict.fromkeys(("jaccard", "expected_jaccard", "p_value"), pl.Float64()),
    }
    return pl.DataFrame(lines, schema=schema)


def response_effects(
    rows: pl.DataFrame, metric: str, *, heads: bool = True
) -> Iterator[tuple[tuple[str, ...], pl.DataFrame]]:
    """Yield each pair of a correct and an irrelevant point (`PAIR`) with its effects.

    Args:
        rows: as `load_rows` gives them.
        metric: one above zero.
        heads: of single heads; false is of whole matrices, whose head is null.

    Columns of the effects: `HEAD`, question_id, effect (log(irrelevant/correct)); sorted so.

    Raises:
        ConfigError: an unknown metric.
        DataError: there are no rows of heads.
    """
    require_metric(rows, metric)
    rows = with_every_axis(rows)
    rows = conditions(single_heads(rows) if heads else _with_head(whole_matrices(rows)))
    if heads and rows.is_empty():
        raise DataError(
            "rows: none is of a single attention head (column head); measure them with "
            "gradients.heads=true"
        )
    trusted = rows.filter("finite") if "finite" in rows.columns else rows
    value = pl.col(metric).cast(pl.Float64)
    logs = (
        trusted.filter(value.is_finite() & (value > 0))
        .group_by("point_id", *HEAD, "question_id")
        .agg(log=value.log().mean())
    )
    for pair in response_pairs(rows).select(PAIR).iter_rows():
        correct, irrelevant = (logs.filter(pl.col("point_id") == name) for name in pair[-2:])
        both = correct.join(
            irrelevant, on=[*HEAD, "question_id"], suffix="_irrelevant", nulls_equal=True
        )
        effect = (pl.col("log_irrelevant") - pl.col("log")).alias("effect")
        yield pair, both.select(*HEAD, "question_id", effect).sort(*HEAD, "question_id")


def _with_head(rows: pl.DataFrame) -> pl.DataFrame:
    return rows if "head" in rows.columns else rows.with_columns(head=pl.lit(None, pl.Int32()))


def _lines(effects: pl.DataFrame, beyond_average: bool) -> Iterator[dict[str, object]]:
    """A line for each head; heads with the same questions are tested together."""
    if beyond_average:
        mean = pl.col("effect").mean().over("question_id")
        effects = effects.with_columns(effect=pl.col("effect") - mean)
    of_head = effects.group_by(HEAD, maintain_order=True).agg("question_id", "effect")
    for (asked,), alike in of_head.group_by("question_id", maintain_order=True):
        n_questions = len(asked)
        columns = np.array(alike["effect"].to_list()).T.reshape(n_questions, len(alike))
        enough = n_questions > 1
        nothing = np.full(len(alike), np.nan)
        dz = cohen_dz(columns, np.ones((1, n_questions)))[0] if enough else nothing
        p_values = signed_rank_p_values(columns) if enough else nothing
        ratios = np.exp(columns.mean(axis=0))
        for place, head in enumerate(alike.select(HEAD).iter_rows()):
            yield {
                **dict(zip(HEAD, head, strict=True)),
                "ratio": float(ratios[place]),
                "cohen_dz": float(dz[place]),
                "p_value": float(p_values[place]),
                "n_questions": n_questions,
            }


def _overlap(first: pl.DataFrame, second: pl.DataFrame, top: int) -> dict[str, float] | None:
    """Numbers of two sets of top heads; None where the two have not the same heads."""
    heads = [set(frame.select(HEAD).iter_rows()) for frame in (first, second)]
    if heads[0] != heads[1] or len(heads[0]) <= top:
        return None
    tops = [set(top_heads(frame, top).select(HEAD).iter_rows()) for frame in (first, second)]
    shared, n_heads = len(tops[0] & tops[1]), len(heads[0])
    chances = _chances(n_heads, top)
    return {
        "n_heads": n_heads,
        "top": top,
        "shared": shared,
        "jaccard": shared / (2 * top - shared),
        "expected_jaccard": sum(p * i / (2 * top - i) for i, p in enumerate(chances)),
        "p_value": min(1.0, sum(chances[shared:])),
    }


def _chances(n_heads: int, top: int) -> Sequence[float]:
    """P(i shared) of two random choices of `top` out of `n_heads`, for i = 0 … top."""
    ways = [math.comb(top, i) * math.comb(n_heads - top, top - i) for i in range(top + 1)]
    return [way / math.comb(n_heads, top) for way in ways]
