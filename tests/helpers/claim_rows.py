"""Rows of whole studies in which a claim holds, fails or has no effect, as planted."""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

import numpy as np
import polars as pl

LEVELS = {"none": 6.0, "simplified": 2.0, "detailed": 1.0}
N_LAYERS = 9


def point(
    level: float,
    *,
    model: str = "tiny",
    dataset: str = "sums",
    cot: str = "none",
    correctness: str = "correct",
    objective: str = "sft",
    series: str = "",
    early: float = 0.0,
    late: float = 0.0,
    n_questions: int = 60,
    noise: float = 0.1,
    projections: str = "qv",
    seed: int = 0,
) -> pl.DataFrame:
    """Curves that fall from 2 to 1 over the layers, times `level`.

    Early layers (three of nine) are larger by the factor 1 + `early`, the others by 1 + `late`.
    Questions have factors of their own, the same in every point that asks them: popular texts
    of all lengths have the same questions.
    """
    name = f"{model}-{dataset}-{cot}-{correctness}{objective.removeprefix('sft')}{series}"
    shape = np.linspace(2, 1, N_LAYERS) * np.where(np.arange(N_LAYERS) < 3, 1 + early, 1 + late)
    asked = "popular" if "_popular" in dataset else dataset
    of_questions = np.random.default_rng(crc32(asked.encode()))
    questions = of_questions.lognormal(sigma=0.2, size=(n_questions, 1, 1))
    own = np.random.default_rng([seed, crc32(name.encode())])
    size = (n_questions, len(projections), N_LAYERS)
    values = level * shape * questions * own.lognormal(sigma=noise, size=size)
    cells = len(projections) * N_LAYERS
    ids = [f"{asked}{index}" for index in range(n_questions)]
    return pl.DataFrame(
        {
            "model": model,
            "dataset": dataset,
            "cot": cot,
            "correctness": correctness,
            "objective": objective,
            "series": series,
            "point_id": name,
            "sample_id": np.repeat([f"{name}-{one}" for one in ids], cells),
            "question_id": np.repeat(ids, cells),
            "projection": np.tile(np.repeat(list(projections), N_LAYERS), n_questions),
            "layer": np.tile(np.arange(N_LAYERS, dtype=np.int32), n_questions * len(projections)),
            "nuclear_norm": values.ravel(),
        }
    )


def reasoning(
    *,
    levels: Mapping[str, float] = LEVELS,
    irrelevant: Mapping[str, tuple[float, float]] | None = None,
    **settings: object,
) -> pl.DataFrame:
    """Correct and irrelevant points at `levels`; the latter larger by (early, late) of a level."""
    shifts = (
        {"detailed": (0.4, 0.2), "simplified": (0.2, 0.1)} if irrelevant is None else irrelevant
    )
    frames = []
    for cot, level in levels.items():
        early, late = shifts.get(cot, (0.0, 0.0))
        frames.append(point(level, cot=cot, **settings))
        frames.append(
            point(level, cot=cot, correctness="irrelevant", early=early, late=late, **settings)
        )
    return pl.concat(frames)


def knowledge(
    *,
    lengths: tuple[float, float, float] = (3.0, 3.0, 3.0),
    unpopular: float = 4.5,
    **settings: object,
) -> pl.DataFrame:
    """Correct and irrelevant popular texts of about 100, 500, 1000 tokens, and unpopular ones."""
    levels = dict(zip(("popular_100", "popular_500", "popular_1000"), lengths, strict=True))
    levels["unpopular"] = unpopular
    settings = {"n_questions": 150} | settings
    return pl.concat(
        point(level, dataset=f"wiki_{name}", correctness=kind, **settings)
        for name, level in levels.items()
        for kind in ("correct", "irrelevant")
    )
