"""A point of the tiny saved model, as a user would ask for it."""

from __future__ import annotations

from pathlib import Path


def tiny_point(model: Path, results: Path, *more: str) -> list[str]:
    """The overrides of it, with short rationales as responses."""
    return [
        *("model=folder", f"model.source.path={model}", "model.name=tiny"),
        *("cot=simplified", f"store.root={results}", *more),
    ]
