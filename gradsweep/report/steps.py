"""Lines for the terminal on points that measure single steps (`gradients.by=step`).

What they say of gradients and of wrong steps is an open question of the report.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from gradsweep.analysis.rows import whole_samples
from gradsweep.analysis.steps import norms_by_step, step_values
from gradsweep.records import POINT_LABELS
from gradsweep.report.labels import metric_words
from gradsweep.store.series import model_label

_MOST_STEPS = 8


def step_lines(rows: pl.DataFrame, samples: pl.DataFrame, metric: str) -> Iterator[str]:
    """Yield a line for each point of steps: the metric's mean, step by step.

    Args:
        rows: as `load_rows` gives them, of whole samples too.
        samples: of the same points (`load_samples_table`).
        metric: that the rows have, or `loss`.
    """
    if len(whole_samples(rows)) == len(rows):
        return
    norms = norms_by_step(step_values(rows, samples, metric), resamples=0)
    for name, of_point in norms.group_by([*POINT_LABELS, "point_id"], maintain_order=True):
        line = dict(zip(POINT_LABELS, map(str, name), strict=False))
        model = model_label(line["model"], line["series"], line["objective"])
        means = ", ".join(f"{mean:.3g}" for mean in of_point["mean"].head(_MOST_STEPS))
        yield (
            f"{model} · {line['dataset']} · {line['cot']} · {line['correctness']} · "
            f"{metric_words(metric)} from the first step on, of {of_point['n_questions'][0]} "
            f"responses: {means}{', …' * (len(of_point) > _MOST_STEPS)}"
        )
