"""What a job is told, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

Table = tuple[str, pl.DataFrame]
"""A name for the output and one line per row, told apart by `case` and the row's own key."""

CHECKOUT = Path(__file__).resolve().parents[2]
"""The checkout that the jobs themselves belong to."""

REASONINGS = ("none", "simplified", "detailed")
RESPONSES = ("correct", "irrelevant")
"""The demo's grid."""


class Skipped(Exception):
    """A part that cannot be measured on this machine; the message says what is missing."""


@dataclass(frozen=True)
class Job:
    """One part, to be measured on one side."""

    part: str
    side: Path
    """The checkout whose gradsweep is measured."""
    out: Path
    """Folder of the tables; its parent is the same for both sides."""
    label: str
    """Beginning of the tables' file names."""
    samples: int | None = None
    """Samples per point of the demo; None is the demo's own number."""
    workers: int | None = None
    """Workers of the engine and torch threads; None is what a user gets."""
    families: Sequence[str] | None = None
    """Tiny models by name; None is all of them."""

    def limit_threads(self) -> None:
        """Give torch as many threads as there are workers; its own number without `workers`."""
        import torch

        if self.workers:
            torch.set_num_threads(self.workers)
