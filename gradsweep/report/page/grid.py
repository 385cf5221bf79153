"""The grid as a table: a line per model and dataset, a column per CoT level and correctness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from gradsweep.config import cot_reading_key
from gradsweep.records import SampleStatus
from gradsweep.report.cut import cut_responses, cut_sentence
from gradsweep.report.labels import level_label
from gradsweep.report.page.points import ReportPoint, ReportPoints
from gradsweep.store import PointState

MOST_REASONS = 3
"""A long text's every word may be another reason: a line names the most frequent ones."""


@dataclass(frozen=True)
class PointGrid:
    """States of all points, and what needs a look."""

    columns: tuple[tuple[str, str], ...]
    """CoT level as a reader sees it, and correctness."""
    lines: tuple[tuple[str, str, tuple[tuple[ReportPoint, ...], ...]], ...]
    """Model, dataset, and the points of each column: one, or none."""
    states: dict[str, int]
    """State -> number of points."""
    contents: str
    """How many models, datasets and samples there are."""
    troubles: tuple[tuple[ReportPoint, str], ...]
    """Points that failed, were stopped or have samples without numbers; and what happened."""


def point_grid(stored: ReportPoints) -> PointGrid:
    """Lay the points of a report out by model and dataset, CoT level and correctness."""
    points = stored.points
    columns = list(dict.fromkeys((p.axes["cot"], p.axes["correctness"]) for p in _by_level(points)))
    places: dict[tuple[str, str], dict[tuple[str, str], list[ReportPoint]]] = {}
    for point in points:
        axes = point.axes
        line = places.setdefault((axes["model"], axes["dataset"]), {})
        line.setdefault((axes["cot"], axes["correctness"]), []).append(point)
    return PointGrid(
        columns=tuple((level_label(cot), correctness) for cot, correctness in columns),
        lines=tuple(
            (*names, tuple(tuple(line.get(column, ())) for column in columns))
            for names, line in places.items()
        ),
        states=dict(Counter(point.state.value for point in points)),
        contents=_contents(points),
        troubles=tuple(_troubles(stored)),
    )


def _contents(points: Sequence[ReportPoint]) -> str:
    numbers = {
        "model": len({point.axes["model"] for point in points}),
        "dataset": len({point.axes["dataset"] for point in points}),
        "stored sample": sum(point.n_stored for point in points),
    }
    return ", ".join(f"{n:,} {word}{'' if n == 1 else 's'}" for word, n in numbers.items())


def _troubles(stored: ReportPoints) -> Iterator[tuple[ReportPoint, str]]:
    reasons = _reasons(stored.samples) if any(point.n_bad for point in stored.points) else {}
    counts = cut_responses(stored.samples).select("point_id", "n_cut", "n_measured")
    cut = {point_id: numbers for point_id, *numbers in counts.iter_rows()}
    for point in stored.points:
        if point.state is PointState.FAILED:
            yield point, point.note
        elif point.state is PointState.STOPPED:
            yield point, "nobody is working on it: the same command again goes on"
        if point.n_bad:
            of_point = "; ".join(reasons.get(point.point_id, []))
            yield point, f"{point.n_bad} of {point.n_stored} samples not measured: {of_point}"
        if point.point_id in cut:
            yield point, cut_sentence(*cut[point.point_id])


def _reasons(samples: pl.DataFrame) -> dict[str, list[str]]:
    """Point -> "3 × empty_response (nothing to read)", the most frequent first."""
    counted = (
        samples.filter(pl.col("status") != SampleStatus.OK.value)
        .group_by("point_id", "status", "reason", maintain_order=True)
        .len()
        .sort("len", descending=True, maintain_order=True)
    )
    reasons: dict[str, list[str]] = {}
    for line in counted.iter_rows(named=True):
        text = f"{line['len']} × {line['status']}" + (
            f" ({line['reason']})" if line["reason"] else ""
        )
        reasons.setdefault(line["point_id"], []).append(text)
    return {name: _first(texts) for name, texts in reasons.items()}


def _first(texts: list[str]) -> list[str]:
    more = len(texts) - MOST_REASONS
    return [*texts[:MOST_REASONS], *([f"and {more} more"] if more > 0 else [])]


def _by_level(points: Sequence[ReportPoint]) -> list[ReportPoint]:
    """Levels from fast to slow over all models, whichever model has which."""
    levels = levels_of(points)
    rank = {level: place for place, level in enumerate(levels)}
    return sorted(points, key=lambda p: (rank[p.axes["cot"]], p.axes["correctness"]))


def levels_of(points: Sequence[ReportPoint]) -> list[str]:
    """List CoT levels in reading order."""
    return sorted({point.axes["cot"] for point in points}, key=cot_reading_key)
