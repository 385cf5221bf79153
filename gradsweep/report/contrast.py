"""Two points side by side: table and sentence for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from gradsweep.analysis.contrast import Contrast
from gradsweep.analysis.questions import FEWEST_QUESTIONS
from gradsweep.records import AXES, SAMPLE_METRICS, WHOLE_SAMPLE, axis_words
from gradsweep.report.labels import metric_label, metric_words, projection_label, projection_list
from gradsweep.report.numerals import MISSING, aligned, distinct
from gradsweep.store.series import model_label

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Names:
    """What the two points share, and what each of them is called."""

    shared: str
    first: str
    second: str


def names(contrast: Contrast) -> Names:
    """Name two points by their axes: `qwen2_1.5b · gsm8k · correct`, `none`, `detailed`."""
    return names_of_pair(contrast.tests.row(0, named=True))


def names_of_pair(line: Mapping[str, Any]) -> Names:
    """Name the points of a line of `paired_points`."""
    first = {**line, "model": model_label(line["model"], line["series"])}
    second = {axis: line[f"second_{axis}"] for axis in AXES}
    second |= {"model": model_label(second["model"], line["second_series"])}
    same = [axis for axis in AXES if first[axis] == second[axis]]
    differing = [axis for axis in AXES if axis not in same] or ["model"]
    return Names(
        " · ".join(axis_words({axis: first[axis] for axis in same})),
        " · ".join(first[axis] for axis in differing),
        " · ".join(second[axis] for axis in differing),
    )


def contrast_table(contrast: Contrast) -> Group:
    """Tabulate means, ratio, RD, test, effect size and MAD by projection, for rich."""
    called = names(contrast)
    title = " · ".join(part for part in (called.shared, metric_label(contrast.metric)) if part)
    sides = f"{called.first} → {called.second}"
    over = "samples" if contrast.metric in SAMPLE_METRICS else "layers"
    tested = (
        "p by sign flips · d_z of paired differences"
        if contrast.is_paired
        else "p by permutations of Welch's t · Cohen's d"
    )
    legend = (
        f"{questions_text(contrast)} · mean over {over} · RD |s − s'|/|s| with "
        f"{called.first} as s · {tested}"
    )
    return Group(
        Text(),
        Text(f"{title}\n{sides}", style="bold", overflow="fold"),
        Text(legend, style="dim"),
        _table(contrast, called),
        Text(f"• {sentence(contrast)}"),
    )


def questions_text(contrast: Contrast) -> str:
    """Say how many questions a comparison rests on: `12 paired questions`."""
    if contrast.is_paired:
        return f"{contrast.n_questions} paired questions"
    first, second = (contrast.tests[name].to_list() for name in ("n_first", "n_second"))
    return f"{min(first)} and {min(second)} questions, none in common"


def _table(contrast: Contrast, called: Names) -> Table:
    tests = contrast.tests.to_dicts()
    ids = tests[0]["first_point_id"], tests[0]["second_point_id"]
    projections = [line["projection"] for line in tests]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    for name in projections:
        table.add_column(projection_label(name), justify="right", overflow="fold")
    sides = (called.first, called.second)
    means = [line[key] for key in ("first_mean", "second_mean") for line in tests]
    _add_pair(table, "mean", sides, means)
    table.add_row("ratio", "", *(f"{text}×" for text in distinct(ratios(contrast))))
    rds = [contrast.relative_difference(name) for name in projections]
    table.add_row("RD", "", *aligned(rds))
    table.add_row()
    table.add_row("p", "Holm", *(p_text(line["p_adjusted"]) for line in tests))
    size, short = ("cohen_dz", "d_z") if contrast.is_paired else ("cohen_d", "d")
    table.add_row(short, "effect size", *(_number(line[size]) for line in tests))
    table.add_row("", "95 % interval", *(_interval(line, size) for line in tests))
    if contrast.metric in SAMPLE_METRICS:
        return table
    table.add_row()
    _add_pair(table, "MAD", sides, [contrast.mads.get((i, n), math.nan) for i in ids
                                    for n in projections])  # fmt: skip
    table.add_row()
    layers = [" ".join(map(str, contrast.top_layers(name))) or MISSING for name in projections]
    table.add_row("layers", "largest RD", *layers)
    return table


def _add_pair(table: Table, label: str, sides: tuple[str, str], values: Sequence[float]) -> None:
    """Two lines of numbers with the same decimals."""
    texts = aligned(values)
    half = len(texts) // 2
    table.add_row(label, sides[0], *texts[:half])
    table.add_row("", sides[1], *texts[half:])


def ratios(contrast: Contrast) -> list[float]:
    """Divide second by first mean, by projection; NaN where one of them is not positive."""
    means = contrast.tests.select("first_mean", "second_mean").iter_rows()
    return [second / first if first > 0 and second > 0 else math.nan for first, second in means]


def p_text(p: float) -> str:
    """Write a p-value with three decimals; `<0.001` below."""
    if not math.isfinite(p):
        return MISSING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return MISSING
    return f"{value:+.2f}" if abs(value) < 10 else f"{value:+.0f}"


def _interval(line: dict[str, float], size: str) -> str:
    return f"{_number(line[f'{size}_low'])} … {_number(line[f'{size}_high'])}"


def sentence(contrast: Contrast) -> str:
    """Say in plain words what the numbers say."""
    called = names(contrast)
    words = metric_words(contrast.metric)
    return f"{called.second} has {_size(contrast, words, called.first)}: {_evidence(contrast)}."


def _size(contrast: Contrast, words: str, first: str) -> str:
    known = [ratio for ratio in ratios(contrast) if math.isfinite(ratio)]
    projections = contrast.tests["projection"].to_list()
    if len(known) < len(projections):
        differences = [float(value) for value in contrast.tests["difference"]]
        return f"a mean {words} that differs by {distinct([float(np.mean(differences))])[0]}"
    over = f", averaged over {projection_list(projections)}" if len(projections) > 1 else ""
    ratio = float(np.exp(np.mean(np.log(known))))
    return f"{distinct([ratio])[0]} times the mean {words} of {first}{over}"


def _evidence(contrast: Contrast) -> str:
    if contrast.n_questions < FEWEST_QUESTIONS:
        return f"{contrast.n_questions} questions are too few for a test, take {FEWEST_QUESTIONS}"
    lines = contrast.tests.to_dicts()
    groups = {
        "larger": [n["projection"] for n in lines if _is_clear(n) and n["difference"] > 0],
        "smaller": [n["projection"] for n in lines if _is_clear(n) and n["difference"] < 0],
        "not significantly different": [n["projection"] for n in lines if not _is_clear(n)],
    }
    return ", ".join(_clauses(groups, len(lines)))


def _is_clear(line: dict[str, float]) -> bool:
    return line["p_adjusted"] < SIGNIFICANT


def _clauses(groups: dict[str, list[str]], n: int) -> Iterator[str]:
    for word, members in groups.items():
        if members:
            everywhere = f"all {n} projections" if n > 1 else projection_list(members)
            where = everywhere if len(members) == n else projection_list(members)
            known = "significantly " if word in ("larger", "smaller") else ""
            of_layers = members != [WHOLE_SAMPLE]
            yield f"{known}{word} in {where}" if of_layers else f"{known}{word}"
