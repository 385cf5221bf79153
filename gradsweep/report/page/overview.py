"""The grid as a table: a line per model and dataset, a column per CoT level and correctness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gradsweep.config import cot_reading_key
from gradsweep.report.labels import level_label
from gradsweep.report.page.points import StoredPoint


@dataclass(frozen=True)
class Overview:
    columns: tuple[tuple[str, str], ...]
    """CoT level as a reader sees it, and correctness."""
    lines: tuple[tuple[str, str, tuple[tuple[StoredPoint, ...], ...]], ...]
    """Model, dataset, and the points of each column: one, or none."""
    states: dict[str, int]
    """State -> number of points."""


def overview(points: Sequence[StoredPoint]) -> Overview:
    """`points` in reading order, as `stored_points` gives them."""
    columns = list(dict.fromkeys((p.axes["cot"], p.axes["correctness"]) for p in _by_level(points)))
    places: dict[tuple[str, str], dict[tuple[str, str], list[StoredPoint]]] = {}
    for point in points:
        axes = point.axes
        line = places.setdefault((axes["model"], axes["dataset"]), {})
        line.setdefault((axes["cot"], axes["correctness"]), []).append(point)
    return Overview(
        columns=tuple((level_label(cot), correctness) for cot, correctness in columns),
        lines=tuple(
            (*names, tuple(tuple(line.get(column, ())) for column in columns))
            for names, line in places.items()
        ),
        states=dict(Counter(point.state.value for point in points)),
    )


def _by_level(points: Sequence[StoredPoint]) -> list[StoredPoint]:
    """Levels from fast to slow over all models, whichever model has which."""
    levels = levels_of(points)
    rank = {level: place for place, level in enumerate(levels)}
    return sorted(points, key=lambda p: (rank[p.axes["cot"]], p.axes["correctness"]))


def levels_of(points: Sequence[StoredPoint]) -> list[str]:
    """CoT levels in reading order."""
    return sorted({point.axes["cot"] for point in points}, key=cot_reading_key)
