"""Where a point stands in a grid, and which share of it a process measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class Shard:
    """The share of a point's samples that one process measures; the first of one is all of them."""

    index: int = 0
    count: int = 1

    def part(self, index: int, count: int) -> Shard:
        """Return one of `count` shares of this share."""
        return Shard(self.index * count + index, self.count * count)

    @property
    def suffix(self) -> str:
        """ "-2of4" of file names; empty for the whole point."""
        return f"-{self.index + 1}of{self.count}" if self.count > 1 else ""


WHOLE = Shard()

STUDY_OBJECTIVE = "sft"
"""The study's objective; points from when it was the only one name none."""


@dataclass(frozen=True)
class Axes:
    """The choice on every axis of the grid that names a point for a reader."""

    model: str
    dataset: str
    cot: str
    correctness: str
    objective: str = STUDY_OBJECTIVE

    def __str__(self) -> str:
        return " · ".join(axis_words(asdict(self)))


def axis_words(axes: Mapping[str, str]) -> list[str]:
    """Return the values of some axes for a line of text; the study's own objective needs no word.

    Args:
        axes: axis -> value, in the order of `AXES`.
    """
    return [v for axis, v in axes.items() if (axis, v) != ("objective", STUDY_OBJECTIVE)]


AXES = tuple(f.name for f in fields(Axes))


def full_axes(stored: Mapping[str, str]) -> dict[str, str]:
    """Return the value on every axis; one that a record from before it does not name is the
    study's."""
    unnamed = {"objective": STUDY_OBJECTIVE}
    return {axis: str(stored[axis] if axis in stored else unnamed[axis]) for axis in AXES}


POINT_LABELS = (*AXES, "series")
"""Columns that name a condition in a frame: its axes, and its series (`n_samples=2`; empty for the
one that needs no name). Points of a condition differ in seed, or in what more was measured."""
