"""The section "While it trains" as Markdown: runs, norms by step, and sentences about them."""

from __future__ import annotations

import math

import polars as pl

from gradsweep.report.interval_table import ends_words, interval_table
from gradsweep.report.labels import metric_words
from gradsweep.report.numerals import MISSING
from gradsweep.report.training.study import GAP, HELD_OUT, PROBE, Run, TrainingStudy, group_title
from gradsweep.report.training.tables import probe_name, runs_table, steps_table

TITLE = "While it trains"

_WHAT = """\
A run is one model that is trained and measured while it learns. *Update* is the gradient that the
optimizer gets, of a whole batch and before clipping; a *probe* is the mean over fixed questions
that are not trained on, each measured by itself, so that probes of several steps and runs can be
compared. The two have different scales: in a batch's gradient, those of its samples partly cancel.
Brackets are 95 % bootstrap intervals over the probe's questions."""

_STEADY = """\
*Spikes* are losses far above those of the steps before. *Spread* is the standard deviation over
steps of the logarithm of the whole gradient's norm ‖g‖; *step to step* is what is left of it
without a steady rise or fall. Claim 6 is about what larger gradients at step 0 foretell, claim 7
about whether the gap between levels of CoT stays."""


def training_markdown(study: TrainingStudy) -> str:
    """Write the section of a report on training points.

    Returns:
        Markdown from a second-level heading on.
    """
    parts = [f"## {TITLE}", _WHAT]
    if not study.stability.is_empty():
        parts += [interval_table(runs_table(study)), _STEADY]
    for group, runs in study.groups.items():
        parts.append(f"### {group_title(group)}")
        if said := [sentence for run in runs if (sentence := _sentence(study, run))]:
            parts.append("\n".join(f"- {sentence}" for sentence in said))
        parts.append(interval_table(steps_table(study, group, runs)))
    return "\n\n".join(parts)


def _sentence(study: TrainingStudy, run: Run) -> str:
    """What probes, their ratio and the held-out loss do over a run; empty where none was twice."""
    parts = []
    by_probe = ["probe_cot", "probe_correctness"]
    for (cot, kind), probe in study.of(run, PROBE).group_by(by_probe, maintain_order=True):
        parts.append(_moved(probe_name(str(cot), str(kind)), probe))
    gap = study.of(run, GAP).filter(probe_correctness="correct")
    parts.append(_moved("the ratio of no CoT to detailed CoT", gap))
    parts.append(_moved("the held-out loss", study.of(run, HELD_OUT)))
    told = "; ".join(filter(None, parts))
    words = metric_words(study.metric)
    return (
        f"**{run.words}**, {words} from the first to the last measurement: {told}." if told else ""
    )


def _moved(name: str, line: pl.DataFrame) -> str:
    """`probe no CoT 4.3 [4, 4.6] → 1 [0.9, 1.1]`; empty without two steps."""
    if len(line) < 2:
        return ""
    first, *_, last = line.sort("step").to_dicts()
    return f"{name} {_number(first)} → {_number(last)}"


def _number(line: dict[str, float]) -> str:
    value = f"{line['value']:.3g}" if math.isfinite(line["value"]) else MISSING
    return value + ends_words(line["low"], line["high"])
