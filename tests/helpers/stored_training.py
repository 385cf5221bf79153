"""Training points on disk with planted norms and losses, as a run would have stored them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradsweep.records import (
    UPDATE,
    Axes,
    Moment,
    SampleResult,
    SampleStatus,
    Source,
    SpectrumRow,
    TrainingStep,
)
from gradsweep.store import PointPaths
from gradsweep.store.training import open_training_point
from helpers.stored_points import spectrum_row

N_LAYERS = 4
TOKENS = {"none": 3, "detailed": 90}
"""Response tokens at each level."""


def store_run(
    results: Path,
    point_id: str,
    axes: Axes,
    *,
    update: Sequence[float] = (),
    probes: Mapping[str, Mapping[int, float]] | None = None,
    losses: Sequence[float] = (),
    norms: Sequence[float] | None = None,
    held_out: Mapping[int, float] | None = None,
    learning_rate: float = 1e-4,
    tokens_per_step: int = 100,
    n_questions: int = 12,
    noise: float = 0.05,
    unevenness: float = 0.0,
    seed: int = 0,
    projections: str = "qv",
    finish: bool = True,
) -> PointPaths:
    """Store a run of `len(losses)` steps.

    Args:
        results: the results folder.
        point_id: its id.
        axes: what it learns from.
        update: mean norm of the update rows at each step.
        probes: level of CoT -> step -> mean norm of its probe, of correct responses.
        losses: of each step.
        norms: gradient norms of each step; not taken when None.
        held_out: step -> held-out loss before it; the last may be one step beyond the losses.
        learning_rate: of every step.
        tokens_per_step: response tokens that each step trains on, of four samples.
        n_questions: probed.
        noise: relative, of each question at each moment; a question has a factor of its own, too.
        unevenness: neighbouring layers are larger and smaller by this share.
        seed: of the run.
        projections: measured ones.
        finish: whether it is done.
    """
    paths = PointPaths(results, point_id)
    record = _record(point_id, axes, seed, learning_rate)
    shape = 1 + unevenness * np.where(np.arange(N_LAYERS) % 2, -1, 1)
    chance = np.random.default_rng([seed, *point_id.encode()])
    questions = np.random.default_rng(7).lognormal(sigma=0.2, size=n_questions)
    with open_training_point(paths, record) as store:
        for step, norm in enumerate(update):
            rows = _rows(norm * shape, projections)
            one = SampleResult(UPDATE, UPDATE, 0, SampleStatus.OK, loss=1.0, rows=rows)
            store.append_moment(Moment(step, Source.update), [one])
        for cot, by_step in (probes or {}).items():
            for step, norm in by_step.items():
                factors = questions * chance.lognormal(sigma=noise, size=n_questions)
                probed = [
                    _probed(cot, index, _rows(norm * factor * shape, projections), norm)
                    for index, factor in enumerate(factors)
                ]
                store.append_moment(Moment(step, Source.probe, cot, "correct"), probed)
        store.append_steps(
            list(_steps(losses, norms, held_out or {}, learning_rate, tokens_per_step))
        )
        if finish:
            store.finish({})
    return paths


def _rows(by_layer: np.ndarray, projections: str) -> tuple[SpectrumRow, ...]:
    return tuple(
        spectrum_row(layer, name, float(value), own_metrics={"update_over_weight": 1e-4})
        for layer, value in enumerate(by_layer)
        for name in projections
    )


def _probed(cot: str, index: int, rows: tuple[SpectrumRow, ...], norm: float) -> SampleResult:
    question = f"question{index}"
    return SampleResult(
        f"{cot}-{question}", question, index, SampleStatus.OK, loss=math.log1p(norm),
        n_prompt_tokens=9, n_response_tokens=TOKENS.get(cot, 30), rows=rows,
    )  # fmt: skip


def _steps(
    losses: Sequence[float],
    norms: Sequence[float] | None,
    held_out: Mapping[int, float],
    learning_rate: float,
    tokens: int,
) -> Any:
    for step, loss in enumerate(losses):
        norm = math.nan if norms is None else norms[step]
        yield TrainingStep(
            step, loss, learning_rate, norm, min(norm, 1.0), 1e-4,
            held_out.get(step, math.nan), 4, tokens, step / 10, 1.0,
        )  # fmt: skip
    if len(losses) in held_out:
        yield TrainingStep(len(losses), math.nan, 0.0, held_out_loss=held_out[len(losses)])


def _record(point_id: str, axes: Axes, seed: int, learning_rate: float) -> dict[str, Any]:
    """What config.yaml holds of a run that nobody will train."""
    science = {
        "model": {"kind": "folder", "path": axes.model, "max_length": 1024},
        "dataset": {"name": axes.dataset, "data": "0" * 16},
        "cot": axes.cot,
        "correctness": axes.correctness,
        "n_samples": 100,
        "seed": seed,
        "gradients": {"projections": ["q", "v"]},
        "training": {"kind": "full", "steps": 20, "learning_rate": learning_rate},
    }
    return {"point_id": point_id, "axes": vars(axes), "science": science, "config": {}}
