"""Rows of single heads in which some respond to irrelevant responses, as planted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

LAYERS, HEADS, QUESTIONS = 6, 4, 16
Heads = Mapping[tuple[int, int], float]
"""(layer, head) -> its effect."""


def study(
    sensitive: Heads | None = None,
    *,
    everywhere: float = 0.0,
    dataset: str = "sums",
    model: str = "tiny",
    seed: int = 0,
    noise: float = 0.1,
) -> pl.DataFrame:
    """A correct and an irrelevant point; (layer, head) of v respond by so many logarithms."""
    rng = np.random.default_rng(seed)
    shape = (QUESTIONS, LAYERS, HEADS)
    base = rng.lognormal(sigma=0.5, size=shape) * rng.lognormal(sigma=1, size=(1, LAYERS, HEADS))
    effect = np.full((LAYERS, HEADS), everywhere)
    for place, own in (sensitive or {}).items():
        effect[place] = own
    question, layer, head = (axis.ravel() for axis in np.indices(shape))
    frames = []
    for kind in ("correct", "irrelevant"):
        values = base * np.exp(rng.normal(0, noise, shape) + effect * (kind == "irrelevant"))
        name = f"{model}-{dataset}-{kind}"
        frames.append(
            pl.DataFrame(
                {
                    "point_id": name,
                    "model": model,
                    "dataset": dataset,
                    "cot": "detailed",
                    "correctness": kind,
                    "objective": "sft",
                    "series": "",
                    "sample_id": [f"{name}{i}" for i in question],
                    "question_id": [f"question{i}" for i in question],
                    "projection": "v",
                    "layer": layer.astype(np.int32),
                    "head": head.astype(np.int32),
                    "member": pl.Series([None] * values.size, dtype=pl.String),
                    "nuclear_norm": values.ravel(),
                    "finite": True,
                }
            )
        )
    return pl.concat(frames)


def whole_of(heads: pl.DataFrame) -> pl.DataFrame:
    """Rows of the whole matrices that these heads make: their norms are the heads' summed."""
    rest = [name for name in heads.columns if name not in ("head", "nuclear_norm")]
    return (
        heads.group_by(rest, maintain_order=True)
        .agg(pl.col("nuclear_norm").sum(), head=pl.lit(None, pl.Int32()))
        .select(heads.columns)
    )
