"""Open questions on the page: their sentences, and what their charts are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from markupsafe import Markup

from gradsweep.analysis.open_questions import Answered, Plot
from gradsweep.report.figures.colours import PALETTE, on_both
from gradsweep.report.open_questions.section import deciding, sentences, verdict_words
from gradsweep.report.page.curves import four_digits
from gradsweep.report.page.findings import section_html

MOST_PANELS = 12
"""Of one chart; the tables have all."""


def question_groups(answered: Sequence[Answered]) -> list[dict[str, Any]]:
    """List, for each question, title, verdicts, sentences as HTML, what to run, and its charts.

    A chart has what a chart of training points has (`training_charts`), and `x`: what the axis
    shows, whether it is logarithmic, and its ticks.
    """
    return [
        {
            "title": one.question.title,
            "verdicts": verdict_words(one) if deciding(one) else "",
            "said": Markup(section_html(f"\n{sentences(one)}")) if one.said else "",
            "run": _to_answer(one) if one.run and not one.answers else "",
            "charts": [_chart(plot) for plot in one.plots],
        }
        for one in answered
    ]


def _to_answer(one: Answered) -> Markup:
    """What to run, with its commands as code."""
    return Markup(section_html(f"\nTo answer it: {one.run}."))


def _chart(plot: Plot) -> dict[str, Any]:
    names = plot.lines["line"].unique(maintain_order=True).to_list()
    colours = {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(names)}
    panels = plot.lines["panel"].unique(maintain_order=True).to_list()[:MOST_PANELS]
    return {
        "title": plot.title,
        "legend": [{"name": name, "colour": on_both(colours[name])} for name in names],
        "x": {
            "title": plot.x,
            "log": plot.x_by_factors,
            "places": [four_digits(place) for place, _ in plot.ticks],
            "words": [words for _, words in plot.ticks],
        },
        "log": plot.y_by_factors,
        "panels": [
            {
                "title": panel,
                "quantity": panel.rpartition(", ")[2],
                "lines": _lines(plot.lines.filter(panel=panel), colours),
            }
            for panel in panels
        ],
    }


def _lines(lines: pl.DataFrame, colours: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": str(name),
            "colour": on_both(colours[str(name)]),
            "plain": False,
            "dashed": False,
            "dots": not line["joined"].all(),
            "step": [*map(four_digits, line["x"])],
            **{end: [*map(four_digits, line[end])] for end in ("value", "low", "high")},
            "n": line["n"].to_list(),
        }
        for (name,), line in lines.sort("x").group_by("line", maintain_order=True)
    ]
