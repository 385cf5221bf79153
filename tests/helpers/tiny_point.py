"""A point of the tiny saved model, as a user would ask for it."""

from __future__ import annotations

from pathlib import Path

SHORT_RUN = (
    "training=full",
    "training.steps=4",
    "training.batch_size=2",
    "training.learning_rate=0.01",
    "training.probe_every=2",
    "training.probe_questions=2",
    "n_samples=12",
    "model.max_length=400",
    "tracking=none",
)
"""Overrides of a training point of four steps, with probes at 0, 2 and 4."""


def tiny_point(model: Path, results: Path, *more: str) -> list[str]:
    """The overrides of it, with short rationales as responses."""
    return [
        *("model=folder", f"model.source.path={model}", "model.name=tiny"),
        *("cot=simplified", f"store.root={results}", *more),
    ]
