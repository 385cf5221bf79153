"""The points as a map: a block for each model, a line per dataset, a cell for each condition."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from gradsweep.analysis.rows import CORRECT, IRRELEVANT
from gradsweep.config import CorrectnessKind, cot_reading_key
from gradsweep.errors import counted
from gradsweep.records import AXES, SampleStatus, axis_words
from gradsweep.report.cut import cut_sentence
from gradsweep.report.labels import (
    dataset_title,
    level_label,
    metric_label,
    metric_words,
    model_title,
)
from gradsweep.report.measures import Measures
from gradsweep.report.page.points import ReportPoint, ReportPoints
from gradsweep.store import PointState
from gradsweep.store.series import with_model_labels

MOST_REASONS = 3
"""A long text's every word may be another reason: a line names the most frequent ones."""


STEPS = 7
"""Shades of the map, from the smallest value to the largest."""


@dataclass(frozen=True)
class MapCell:
    """A point in the map."""

    point: ReportPoint
    texts: dict[str, str]
    """What is coloured by (norm, RD, state) -> a few letters."""
    steps: dict[str, int]
    """The same -> a shade below `STEPS`; no entry without a value."""
    about: str
    """All of it in words."""


@dataclass(frozen=True)
class MapBlock:
    """A model with its objective and series: a line for each dataset."""

    title: str
    columns: tuple[tuple[str, int], ...]
    """CoT levels, each with its number of columns."""
    kinds: tuple[str, ...]
    """Correctness of each column."""
    lines: tuple[tuple[str, tuple[tuple[MapCell, ...], ...]], ...]
    """Dataset, and the points of each column: one for every seed, or none."""


@dataclass(frozen=True)
class PointGrid:
    """The map of all points, and what needs a look."""

    blocks: tuple[MapBlock, ...]
    shown: tuple[tuple[str, str], ...]
    """What cells can be coloured by: key and words; the first is chosen."""
    states: dict[str, int]
    """State -> number of points."""
    contents: str
    """How many models, series, datasets, objectives and samples there are."""
    kinds: tuple[str, ...]
    """Values of correctness, in reading order."""
    troubles: tuple[tuple[ReportPoint, str], ...]
    """Points that failed, were stopped or have samples without numbers; and what happened."""


def point_grid(stored: ReportPoints, measures: Measures | None = None) -> PointGrid:
    """Lay the points of a report out by model, dataset, CoT level and correctness.

    Args:
        stored: the points.
        measures: of the metric whose values the cells carry; None: they tell states alone.
    """
    points = stored.points
    kinds = {point.axes["correctness"] for point in points}
    values = _values(measures)
    cells = _Cells(values, metric_words(measures.metric) if measures else "")
    by_model: dict[tuple[str, str], list[ReportPoint]] = {}
    for point in points:
        key = point.axes["model"], point.axes["objective"]
        by_model.setdefault(key, []).append(point)
    shown = [("mean", metric_label(measures.metric)), ("rd", "RD")] if measures and values else []
    return PointGrid(
        blocks=tuple(
            _block(
                " · ".join([model_title(model), *axis_words({"objective": objective})]), one, cells
            )
            for (model, objective), one in by_model.items()
        ),
        shown=(*shown, ("state", "state")),
        states=dict(Counter(point.state.value for point in points)),
        contents=_contents(points),
        kinds=tuple(k.name for k in CorrectnessKind if k.name in kinds),
        troubles=tuple(_troubles(stored)),
    )


def _block(title: str, points: Sequence[ReportPoint], cells: _Cells) -> MapBlock:
    columns = list(dict.fromkeys((p.axes["cot"], p.axes["correctness"]) for p in _by_level(points)))
    place: dict[tuple[str, tuple[str, str]], list[MapCell]] = {}
    for point in points:
        condition = point.axes["cot"], point.axes["correctness"]
        place.setdefault((point.axes["dataset"], condition), []).append(cells.of(point))
    levels = Counter(level for level, _ in columns)
    return MapBlock(
        title=title,
        columns=tuple(levels.items()),
        kinds=tuple(kind for _, kind in columns),
        lines=tuple(
            (dataset_title(name), tuple(tuple(place.get((name, one), ())) for one in columns))
            for name in dict.fromkeys(point.axes["dataset"] for point in points)
        ),
    )


@dataclass(frozen=True)
class _Cells:
    """Makes cells; shades follow from the values of all points."""

    values: dict[tuple[str, ...], dict[str, float]]
    """Condition, as a reader sees it -> mean and rd."""
    words: str

    def of(self, point: ReportPoint) -> MapCell:
        values = self.values.get(tuple(point.axes[axis] for axis in AXES), {})
        texts = {name: short(value) for name, value in values.items()}
        texts["state"] = str(point.n_stored) if point.record else "–"
        steps = {name: self._step(name, value) for name, value in values.items()}
        return MapCell(point, texts, steps, self._about(point, texts))

    def _step(self, name: str, value: float) -> int:
        """Shade by the logarithm of a value, as metrics differ by factors."""
        low, high = self._range[name]
        if not value > low > 0:
            return 0
        return min(STEPS - 1, int(STEPS * math.log(value / low) / math.log(high / low)))

    @cached_property
    def _range(self) -> dict[str, tuple[float, float]]:
        names = {name for values in self.values.values() for name in values}
        ranges = {}
        for name in names:
            there = [values[name] for values in self.values.values() if values.get(name, 0) > 0]
            ranges[name] = (min(there), max(there)) if there else (0.0, 0.0)
        return ranges

    def _about(self, point: ReportPoint, texts: Mapping[str, str]) -> str:
        axes = point.axes
        words = " · ".join(axis_words(axes | {"cot": level_label(axes["cot"])}))
        parts = [f"{words}: {point.state.value}"]
        if point.record:
            parts.append(counted(point.n_stored, "sample"))
        if point.n_bad:
            parts.append(f"{point.n_bad} bad")
        parts += [f"{self.words} {texts['mean']}"] if "mean" in texts else []
        parts += [f"RD {texts['rd']}"] if "rd" in texts else []
        return ", ".join(parts)


def _values(measures: Measures | None) -> dict[tuple[str, ...], dict[str, float]]:
    """Condition -> its mean over all seeds and, for both kinds of responses, RD of the level."""
    values: dict[tuple[str, ...], dict[str, float]] = {}
    if measures is None:
        return values
    for line in with_model_labels(measures.summaries, objective=False).to_dicts():
        condition = tuple(line[axis] for axis in AXES)
        if math.isfinite(line["mean"]):
            values.setdefault(condition, {})["mean"] = line["mean"]
        if math.isfinite(line["rd"]):
            for kind in (CORRECT, IRRELEVANT):
                both = tuple((line | {"correctness": kind})[axis] for axis in AXES)
                values.setdefault(both, {})["rd"] = line["rd"]
    return values


def short(value: float) -> str:
    """Write a value in four letters or fewer where it can be: `590`, `12`, `0.31`, `1.7k`."""
    size = abs(value)
    if not size:
        return "0"
    if size >= 9.5e14 or size < 5e-4:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+", "e")
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= 0.9995 * limit:
            return f"{value / limit:.{1 if size < 9.95 * limit else 0}f}{unit}"
    return f"{value:.{3 if size < 0.01 else 2 if size < 1 else 1 if size < 9.95 else 0}f}"


def _contents(points: Sequence[ReportPoint]) -> str:
    labels = {(p.axes["model"], p.series) for p in points}
    models = {label.removesuffix(f" {series}") if series else label for label, series in labels}
    series = {series for _, series in labels}
    objectives = {point.axes["objective"] for point in points}
    numbers = [
        (len(models), "model", "models"),
        *([(len(series), "series", "series")] if len(series) > 1 else []),
        (len({point.axes["dataset"] for point in points}), "dataset", "datasets"),
        *([(len(objectives), "objective", "objectives")] if len(objectives) > 1 else []),
        (sum(point.n_stored for point in points), "stored sample", "stored samples"),
    ]
    return ", ".join(f"{n:,} {one if n == 1 else many}" for n, one, many in numbers)


def _troubles(stored: ReportPoints) -> Iterator[tuple[ReportPoint, str]]:
    reasons = _reasons(stored.samples) if any(point.n_bad for point in stored.points) else {}
    counts = stored.cut.select("point_id", "n_cut", "n_measured")
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
