"""Rows and samples of single steps with planted norms, losses and labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

N_STEPS = 5
Tables = tuple[pl.DataFrame, pl.DataFrame]
Size = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]
"""(noise, place of each step, whether it is the wrong one), (responses, steps) each, -> values."""


def planted(size: Size, *, n: int = 60, n_tokens: int = 10, seed: int = 0) -> Tables:
    """Rows and samples of `n` responses of five steps, one of which is the first wrong one.

    `size` gives log nuclear norms; the loss is lognormal.
    """
    noise = np.random.default_rng(seed)
    wrong = noise.integers(0, N_STEPS, n)
    place = np.tile(np.arange(N_STEPS), (n, 1))
    is_wrong = place == wrong[:, None]
    loss = noise.lognormal(sigma=0.5, size=(n, N_STEPS))
    values = np.exp(size(noise, np.log(loss), is_wrong))
    labels = np.where(is_wrong, "wrong", np.where(place < wrong[:, None], "right", "after_wrong"))
    ids = [f"q{i}" for i in range(n) for _ in range(N_STEPS)]
    common = {
        **dict.fromkeys(("model", "dataset", "cot", "correctness", "series"), "x"),
        "objective": "sft",
        "point_id": "p",
        "sample_id": [f"{name}-{k % N_STEPS}" for k, name in enumerate(ids)],
        "question_id": ids,
        "step_index": place.ravel(),
    }
    samples = pl.DataFrame(
        common
        | {
            "status": "ok",
            "truncated": False,
            "loss": loss.ravel(),
            "n_response_tokens": n_tokens + place.ravel(),
            "step_label": labels.ravel(),
        }
    )
    layers = [
        pl.DataFrame(
            common
            | {"layer": layer, "projection": "q", "finite": True, "nuclear_norm": values.ravel()}
        )
        for layer in (0, 1)
    ]
    return pl.concat(layers), samples


def no_effect(noise: np.random.Generator, loss: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    return noise.normal(size=wrong.shape)
