"""What a comparison shows, in sentences. Every word of a verdict follows from the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from gradsweep.analysis.complete import ROUNDING
from gradsweep.analysis.layers import PARTS
from gradsweep.records import WHOLE_SAMPLE
from gradsweep.report.comparison import Comparison
from gradsweep.report.labels import (
    level_phrase,
    metric_words,
    projection_label,
    projection_list,
    responses_words,
)
from gradsweep.report.numerals import aligned, distinct


def sentences(comparison: Comparison) -> list[str]:
    """Write a sentence for each thing the comparison has the conditions to show, then caveats."""
    projections = comparison.common_projections
    shown = _findings(comparison) if projections else []
    if not shown:
        shown = [_NOTHING_TO_COMPARE]
    elif len(projections) > 1:
        shown.append(f"These sentences average over {projection_list(projections)}.")
    return shown + caveats(comparison)


_NOTHING_TO_COMPARE = (
    "Nothing to compare yet: that takes correct responses at two CoT levels, "
    "or correct and irrelevant responses at one, in the same projections."
)


def _findings(comparison: Comparison) -> list[str]:
    shown = [
        level_sentence(comparison, f"mean {metric_words(comparison.metric)}", comparison.means),
        summed_sentence(comparison),
        *(_uneven(comparison) if not comparison.per_sample else ()),
        relative_difference_sentence(comparison),
        direction_sentence(comparison),
        top_layers_sentence(comparison),
        largest_part_sentence(comparison),
    ]
    return [sentence for sentence in shown if sentence]


def _uneven(comparison: Comparison) -> list[str | None]:
    return [
        level_sentence(comparison, "MAD over layers", comparison.mads),
        relative_unevenness_sentence(comparison),
    ]


def level_sentence(
    comparison: Comparison, quantity: str, values: Mapping[tuple[str, str, str], float]
) -> str | None:
    """Say whether `values` fall or rise from fast to slow thinking, and in which projections.

    Looks at correct responses only, or at the pairs or groups that an objective takes; None with
    fewer than two levels of them.
    """
    levels = comparison.main_levels
    if len(levels) < 2:
        return None
    start = "Fast vs slow thinking" if levels[0] == "none" else "CoT levels"
    clause = _level_clause(comparison, _by_projection(comparison, values))
    return f"{start}, {responses_words(comparison.responses)}: {quantity} {clause}."


def summed_sentence(comparison: Comparison) -> str | None:
    """Say how the levels' means go with the loss summed over tokens: the verdict depends on it.

    None where that is not known, or with fewer than two levels of correct responses.
    """
    keys = [
        (level, comparison.responses, name)
        for level in comparison.main_levels
        for name in comparison.common_projections
    ]
    if len(comparison.main_levels) < 2 or not set(keys) <= comparison.summed.keys():
        return None
    averaged, summed = (
        _by_projection(comparison, values) for values in (comparison.means, comparison.summed)
    )
    opposite = {"falls": "rises", "rises": "falls"}
    reversed_ = all(
        opposite.get(_trend(averaged[name])) == _trend(values) for name, values in summed.items()
    )
    words = "; the order is reversed" if reversed_ else ""
    clause = _level_clause(comparison, summed)
    return f"Loss summed over tokens, not averaged: the mean {clause}{words}."


def _by_projection(
    comparison: Comparison, values: Mapping[tuple[str, str, str], float]
) -> dict[str, list[float]]:
    """Values of the main responses, by projection and level."""
    return {
        name: [values[level, comparison.responses, name] for level in comparison.main_levels]
        for name in comparison.common_projections
    }


def _level_clause(comparison: Comparison, by_projection: Mapping[str, Sequence[float]]) -> str:
    """`falls in all 4 projections: none 6.5 > detailed 0.72`."""
    averages = [_average(column) for column in zip(*by_projection.values(), strict=True)]
    trends = {name: _trend(column) for name, column in by_projection.items()}
    kinds = set(trends.values())
    sign = {"falls": " > ", "rises": " < "}.get(kinds.pop() if len(kinds) == 1 else "", ", ")
    numbers = sign.join(
        f"{level} {text}"
        for level, text in zip(comparison.main_levels, distinct(averages), strict=True)
    )
    return f"{_where(trends)}: {numbers}"


def relative_unevenness_sentence(comparison: Comparison) -> str | None:
    """Say whether MAD over the mean goes with the level as MAD itself does, which follows size.

    None with fewer than two levels of correct responses, or where no curve has a positive mean.
    """
    if len(comparison.main_levels) < 2:
        return None
    relative, absolute = (
        _by_projection(comparison, values) for values in (comparison.relative_mads, comparison.mads)
    )
    if not any(math.isfinite(value) for values in relative.values() for value in values):
        return None
    otherwise = [n for n in relative if _trend(relative[n]) != _trend(absolute[n])]
    where = _in_projections(otherwise, list(relative))
    but = f"; MAD itself goes another way {where}" if otherwise else ""
    return f"Relative to size: MAD over the mean {_level_clause(comparison, relative)}{but}."


def relative_difference_sentence(comparison: Comparison) -> str | None:
    """Say RD by CoT level, and whether the slowest thinking tells responses apart better.

    None when no level has both correct and irrelevant responses.
    """
    levels = comparison.paired_main_levels
    if not levels:
        return None
    by_level = [
        [
            comparison.pairs[level, name].relative_difference
            for name in comparison.common_projections
        ]
        for level in levels
    ]
    numbers = _by_level(levels, distinct([_average(column) for column in by_level]))
    sentence = f"Correct vs irrelevant: RD {numbers}"
    if len(levels) == 1:
        return f"{sentence}."
    larger = [
        name
        for name, first, last in zip(
            comparison.common_projections, by_level[0], by_level[-1], strict=True
        )
        if last > first
    ]
    where = _in_projections(larger, comparison.common_projections)
    word = "larger" if larger or not comparison.per_sample else "no larger"
    sides = f"{level_phrase(levels[-1])} than {level_phrase(levels[0])} {where}"
    return f"{sentence}; {word} {sides.rstrip()}."


def direction_sentence(comparison: Comparison) -> str | None:
    """Say whether irrelevant responses give larger values than correct ones, by level."""
    ratios: dict[str, float] = {}
    for level in comparison.paired_main_levels:
        pairs = [comparison.pairs[level, name] for name in comparison.common_projections]
        correct = _average([pair.correct for pair in pairs])
        irrelevant = _average([pair.irrelevant for pair in pairs])
        # For negative values (cosines) "so many times as large" says nothing.
        ratios[level] = irrelevant / correct if correct > 0 and irrelevant >= 0 else math.nan
    if not any(math.isfinite(ratio) for ratio in ratios.values()):
        return None
    times = [f"{text}×" for text in distinct(list(ratios.values()))]
    words = metric_words(comparison.metric)
    return f"Irrelevant over correct: mean {words} {_by_level(list(ratios), times)}."


def top_layers_sentence(comparison: Comparison) -> str | None:
    """Name the layers with the largest RD at the slowest thinking that has both kinds of responses.

    None when there is no such level, or when the model has no more layers than would be named.
    """
    if not comparison.paired_main_levels:
        return None
    level = comparison.paired_main_levels[-1]
    pairs = {name: comparison.pairs[level, name] for name in comparison.common_projections}
    if any(pair.n_layers <= len(pair.top_layers) for pair in pairs.values()):
        return None
    layers = "; ".join(
        f"{projection_label(name)} {','.join(map(str, pair.top_layers))}"
        for name, pair in pairs.items()
    )
    return f"RD {level_phrase(level)} is largest in layers {layers}."


def largest_part_sentence(comparison: Comparison) -> str | None:
    """Name the part of the layers with the largest RD at the slowest thinking (claim 5 is of it).

    None when no level has both kinds of responses, or the model has too few layers for parts.
    """
    if not comparison.paired_main_levels:
        return None
    level = comparison.paired_main_levels[-1]
    pairs = [comparison.pairs[level, name] for name in comparison.common_projections]
    averages = {
        part: _average([pair.parts.get(part, math.nan) for pair in pairs]) for part in PARTS
    }
    if not all(math.isfinite(average) for average in averages.values()):
        return None
    largest = max(averages, key=lambda part: averages[part])
    numbers = ", ".join(
        f"{part} {text}" for part, text in zip(averages, aligned([*averages.values()]), strict=True)
    )
    return f"By part, RD {level_phrase(level)} is largest in {largest} layers ({numbers})."


def caveats(comparison: Comparison) -> list[str]:
    """Say what a reader must know before trusting the numbers: left out, unpaired."""
    words = metric_words(comparison.metric)
    left = [
        f"{condition.cot} {condition.correctness}: {left_out} of {condition.n_samples} samples "
        f"left out, {words} not finite or not trusted in some layer."
        for condition in comparison.conditions
        if (left_out := condition.n_samples - condition.n_complete)
    ]
    left += [
        f"{level}: no RD, correct and irrelevant responses have no question in common."
        for level in comparison.unpaired_levels
    ]
    return left


def _trend(values: Sequence[float]) -> str:
    if not all(math.isfinite(value) for value in values):
        return "has no value"
    # What differs by rounding alone is the same.
    steps = [(after - before) / (ROUNDING * abs(before) or 1) for before, after in pairwise(values)]
    if all(step < -1 for step in steps):
        return "falls"
    if all(step > 1 for step in steps):
        return "rises"
    return "goes neither way"


def _where(trends: Mapping[str, str]) -> str:
    """`falls in Q K, rises in V`: every projection is named under its own trend."""
    clauses = []
    for trend in ("falls", "rises", "goes neither way", "has no value"):
        names = [name for name in trends if trends[name] == trend]
        if names:
            clauses.append(f"{trend} {_in_projections(names, list(trends))}".rstrip())
    return ", ".join(clauses)


def _in_projections(names: Sequence[str], measured: Sequence[str]) -> str:
    if list(measured) == [WHOLE_SAMPLE]:
        return ""
    if not names:
        return "in no projection" if len(measured) > 1 else f"not in {projection_list(measured)}"
    if len(names) == len(measured) > 1:
        return f"in all {len(measured)} projections"
    return f"in {projection_list(names)}"


def _by_level(levels: Sequence[str], texts: Sequence[str]) -> str:
    return ", ".join(
        f"{text} {level_phrase(level)}" for level, text in zip(levels, texts, strict=True)
    )


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values)
