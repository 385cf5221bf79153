"""Models of a dataset compared: which tells responses apart best, and which is most even."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from markupsafe import Markup

from gradsweep.analysis.rows import CORRECT, values_in_reading_order
from gradsweep.records import STUDY_OBJECTIVE
from gradsweep.report.labels import dataset_title, level_label, level_phrase, model_title
from gradsweep.report.measures import Measures
from gradsweep.report.page.found import with_interval
from gradsweep.report.page.pictures import Scale, mark, scale_of
from gradsweep.store.series import with_model_labels

_MOST_LEVELS = 3
"""More would not fit: then the fastest and the slowest level stand for all."""


@dataclass(frozen=True)
class ComparedCell:
    """A value of a model, with its interval and a picture of both."""

    text: str
    ends: str
    picture: Markup
    best: bool


@dataclass(frozen=True)
class ComparedModels:
    """The models (with their series) of one dataset."""

    dataset: str
    levels: tuple[str, ...]
    lines: tuple[tuple[str, tuple[ComparedCell, ...]], ...]
    """Model, RD at each level, MAD over the mean at each level."""
    sentences: tuple[str, ...]


def compared_models(computed: Sequence[Measures]) -> list[ComparedModels]:
    """Compare the models of each dataset that has several, by the report's first metric.

    Under the study's objective: others have a section of their own (`report.objectives`).
    """
    if not computed:
        return []
    of_study = computed[0].summaries.filter(correctness=CORRECT, objective=STUDY_OBJECTIVE)
    summaries = with_model_labels(of_study)
    found = []
    for (dataset,), of_dataset in summaries.group_by("dataset", maintain_order=True):
        if of_dataset["model"].n_unique() > 1:
            found.append(_of_dataset(str(dataset), of_dataset))
    return found


def _of_dataset(dataset: str, summaries: pl.DataFrame) -> ComparedModels:
    levels = _levels(summaries)
    models = summaries["model"].unique(maintain_order=True).to_list()
    line_of = {(line["model"], line["cot"]): line for line in summaries.to_dicts()}
    columns = [(name, level) for name in ("rd", "relative_mad") for level in levels]
    scales = {name: scale_of(_ends(summaries, name)) for name in ("rd", "relative_mad")}
    best = {(name, level): _best(name, level, models, line_of) for name, level in columns}
    return ComparedModels(
        dataset=dataset_title(dataset),
        levels=tuple(level_label(level) for level in levels),
        lines=tuple(
            (
                model_title(model),
                tuple(
                    _cell(line_of.get((model, level)), name, scales[name],
                          best[name, level] == model)
                    for name, level in columns
                ),
            )
            for model in models
        ),
        sentences=tuple(_sentences(levels[-1], best, line_of)),
    )  # fmt: skip


def _levels(summaries: pl.DataFrame) -> list[str]:
    """Levels of most models, from fast to slow."""
    counted = summaries.group_by("cot").agg(n=pl.col("model").n_unique())
    of_most = counted.filter(pl.col("n") == pl.col("n").max())["cot"].to_list()
    levels = [level for level in values_in_reading_order(summaries, "cot") if level in of_most]
    return levels if len(levels) <= _MOST_LEVELS else [levels[0], levels[-1]]


def _ends(summaries: pl.DataFrame, name: str) -> list[float]:
    return [v for end in ("", "_low", "_high") for v in summaries[name + end].to_list()]


def _best(
    name: str, level: str, models: Sequence[str], line_of: dict[tuple[str, str], dict[str, Any]]
) -> str | None:
    """The model of the largest RD, or of the smallest MAD over the mean; None with fewer than two.

    The first of equals.
    """
    values = {
        model: line[name]
        for model in models
        if (line := line_of.get((model, level))) and math.isfinite(line[name])
    }
    if len(values) < 2:
        return None
    return (max if name == "rd" else min)(values, key=values.__getitem__)


def _cell(line: dict[str, Any] | None, name: str, scale: Scale | None, best: bool) -> ComparedCell:
    text, ends = with_interval(line, name)
    drawn = mark(scale, line, name, 7, "disk") if line and scale else Markup()
    picture = Markup('<svg class="dots one" aria-hidden="true">{}</svg>').format(drawn)
    return ComparedCell(text, ends, picture, best)


def _sentences(
    level: str,
    best: dict[tuple[str, str], str | None],
    line_of: dict[tuple[str, str], dict[str, Any]],
) -> list[str]:
    words = {"rd": "tells correct from irrelevant responses apart best", "relative_mad":
             "has the most even gradients over its layers"}  # fmt: skip
    quantities = {"rd": "RD", "relative_mad": "MAD over the mean"}
    said = []
    for name, does in words.items():
        first = best[name, level]
        if first is None:
            continue
        line = line_of[first, level]
        value, ends = with_interval(line, name)
        interval = f", 95 % interval {ends}" if ends else ""
        clear = _is_clear(name, line, [o for (_, cot), o in line_of.items() if cot == level])
        said.append(
            f"{model_title(first)} {does} {level_phrase(level)}: {quantities[name]} "
            f"{value}{interval}; {clear}."
        )
    return said


def _is_clear(name: str, first: dict[str, Any], lines: Sequence[dict[str, Any]]) -> str:
    others = [line for line in lines if line is not first and math.isfinite(line[name])]
    if any(not math.isfinite(line[f"{name}_low"]) for line in (first, *others)):
        return "without intervals nobody can say how certainly"
    if name == "rd":
        apart = all(line["rd_high"] < first["rd_low"] for line in others)
    else:
        apart = all(line[f"{name}_low"] > first[f"{name}_high"] for line in others)
    return "its interval lies apart from all others" if apart else "intervals overlap"
