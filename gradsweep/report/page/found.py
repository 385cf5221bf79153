"""What was found, for the first screen: a picture and sentences of each model and dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from markupsafe import Markup

from gradsweep.analysis.rows import IRRELEVANT, main_responses, values_in_reading_order
from gradsweep.report.comparison import comparisons_of
from gradsweep.report.figures.colours import level_colours, on_dark
from gradsweep.report.labels import dataset_title, metric_label, model_title
from gradsweep.report.measures import Measures
from gradsweep.report.numerals import MISSING
from gradsweep.report.page.pictures import Scale, dots, scale_of
from gradsweep.report.page.terms import with_terms
from gradsweep.report.reading import sentences, summed_sentence
from gradsweep.store.series import with_model_labels

MOST_STUDIES = 24
"""Models and datasets with a picture and sentences; the tables have them all."""
FIRST = 3
"""Sentences that stand beside the picture, and the other reduction's where there is one."""

Numbers = Mapping[str, Any]
"""A line of `condition_summaries`."""


@dataclass(frozen=True)
class LevelLine:
    """A CoT level in the picture."""

    name: str
    colour: tuple[str, str]
    """On a light page and on a dark one."""
    picture: Markup
    n: str
    """Questions of correct and irrelevant responses."""
    numbers: tuple[tuple[str, str], ...]
    """Mean, MAD over the mean, RD: each with its interval."""
    loss: tuple[str, str]
    """Mean loss with its interval; of correct responses where there are some."""
    loss_picture: Markup


@dataclass(frozen=True)
class Found:
    """A model and dataset on the first screen."""

    title: str
    metric: str
    lines: tuple[LevelLine, ...]
    scale: Scale | None
    loss_scale: Scale | None
    """None where losses are not known, or are the metric itself."""
    first: tuple[Markup, ...]
    more: tuple[Markup, ...]


def found_in(computed: Sequence[Measures]) -> list[Found]:
    """Sum up the first metric of a report, model by model and dataset by dataset.

    Those with most conditions come first: they have most to say. Of many, the first are there.
    """
    if not computed:
        return []
    summaries = with_model_labels(computed[0].summaries)
    shown = []
    losses = next((one for one in computed[1:] if one.metric == "loss"), None)
    of_losses = with_model_labels(losses.summaries) if losses else summaries.clear()
    for comparison in comparisons_of(computed[0], losses, MOST_STUDIES, largest_first=True):
        chosen, loss = (
            frame.filter(model=comparison.model, dataset=comparison.dataset)
            for frame in (summaries, of_losses)
        )
        seen: set[str] = set()
        said = [with_terms(sentence, seen) for sentence in sentences(comparison)]
        first = FIRST + (summed_sentence(comparison) is not None)
        scales = scale_of(_values(chosen)), scale_of(_values(loss))
        shown.append(
            Found(
                title=f"{model_title(comparison.model)} · {dataset_title(comparison.dataset)}",
                metric=metric_label(comparison.metric),
                lines=tuple(_level_lines(chosen, loss, *scales)),
                scale=scales[0],
                loss_scale=scales[1],
                first=tuple(said[:first]),
                more=tuple(said[first:]),
            )
        )
    return shown


def with_interval(line: Numbers | None, name: str) -> tuple[str, str]:
    """Write a value and its interval, `("590", "520 to 660")`; a dash where there is none."""
    if line is None:
        return MISSING, ""
    value, *ends = (two_digits(line[name + end]) for end in ("", "_low", "_high"))
    return value, "" if MISSING in ends else " to ".join(ends)


def two_digits(value: float) -> str:
    """Write two significant digits, whole numbers whole: `1445`, `68`, `0.077`."""
    if not math.isfinite(value):
        return MISSING
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        decimals = 1 - math.floor(math.log10(abs(value))) if value else 0
        return f"{value:,.{max(decimals, 0)}f}"
    return f"{value:.1e}"


def _values(summaries: pl.DataFrame) -> list[float]:
    """Everything that a picture has to have room for."""
    return [v for name in ("mean", "mean_low", "mean_high") for v in summaries[name].to_list()]


def _level_lines(
    summaries: pl.DataFrame, losses: pl.DataFrame, scale: Scale | None, loss_scale: Scale | None
) -> Iterator[LevelLine]:
    levels = values_in_reading_order(summaries, "cot")
    colours = level_colours(levels)
    for level in levels:
        correct, irrelevant = _responses(summaries, level)
        loss = _responses(losses, level)
        counts = [str(line["n_questions"]) for line in (correct, irrelevant) if line]
        yield LevelLine(
            name=level,
            colour=(colours[level], on_dark(colours[level])),
            picture=dots(scale, correct, irrelevant) if scale else Markup(),
            n=" / ".join(dict.fromkeys(counts)),
            numbers=(
                with_interval(correct or irrelevant, "mean"),
                with_interval(correct or irrelevant, "relative_mad"),
                with_interval(correct, "rd"),
            ),
            loss=with_interval(loss[0] or loss[1], "mean"),
            loss_picture=dots(loss_scale, *loss) if loss_scale else Markup(),
        )


def _responses(summaries: pl.DataFrame, level: str) -> tuple[Numbers | None, Numbers | None]:
    """Lines of a level: of its main responses, and of irrelevant ones."""
    of_level = {line["correctness"]: line for line in summaries.filter(cot=level).to_dicts()}
    main = of_level.get(main_responses(of_level)) if of_level else None
    return main, of_level.get(IRRELEVANT)
