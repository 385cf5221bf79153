"""A whole report as files: tables, figures, findings, and a page with all of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from gradsweep.analysis import Finding, evaluate_claims, evaluate_rated_claims
from gradsweep.analysis.members import member_metrics
from gradsweep.analysis.open_questions import Answered
from gradsweep.analysis.rows import whole_samples
from gradsweep.analysis.sample_metrics import rows_of_metric
from gradsweep.report.cut import cut_sentences
from gradsweep.report.figures.files import Drawing, drawings, save_all_figures
from gradsweep.report.figures.open_questions import question_drawings
from gradsweep.report.figures.training import training_drawings
from gradsweep.report.findings import findings_markdown
from gradsweep.report.heads import head_drawings, head_study, save_head_tables
from gradsweep.report.layer_cosines import (
    layer_cosine_drawings,
    layer_cosine_study,
    layer_cosines_markdown,
    save_layer_cosines,
)
from gradsweep.report.measures import Measures, compute_measures, loss_measures
from gradsweep.report.objectives import objectives_markdown
from gradsweep.report.open_questions.answers import questions_of
from gradsweep.report.open_questions.section import open_questions_markdown
from gradsweep.report.open_questions.tables import save_question_tables
from gradsweep.report.page import ReportPoints, write_page
from gradsweep.report.tables import save_tables
from gradsweep.report.training import TrainingStudy
from gradsweep.report.training.section import training_markdown
from gradsweep.report.training.tables import save_training_tables
from gradsweep.store.atomic import write_text

Track = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""A step's words and size -> a context with the function to call after each part of it."""

TABLE_METRIC = "sigma_ratio"
"""The paper's tables have it beside the nuclear norm."""

_FEW_FIGURES = 12
"""Drawn sooner here than other processes start."""
_MOST_PROCESSES = 8


def write_report(
    rows: pl.DataFrame,
    folder: Path,
    metrics: Sequence[str] = ("nuclear_norm",),
    *,
    track: Track | None = None,
    processes: int | None = None,
    most_figures: int | None = None,
    stored: ReportPoints | None = None,
    samples: pl.DataFrame | None = None,
    loss: str = "mean",
    computed: Sequence[Measures] = (),
    study: TrainingStudy | None = None,
    answered: Sequence[Answered] | None = None,
) -> list[Path]:
    """Write `findings.md`, `tables/` and `figures/` into `folder`, and give their paths.

    With `stored`, what the files say of these points beyond their rows, also `index.html`. Figures
    are of `metrics` and of what units' members are to each other, where that was measured, tables
    of these, σ₁/Σσ and the loss, findings of the first one. `samples`
    (`load_samples_table`), by default those of `stored`, are what the loss comes from, as a metric
    and in the findings' controls. `loss` is what the rows are of, the mean over response tokens or
    the sum. `computed` spares computing the measures of its metrics again. Older files of the same
    names are replaced, others stay. Where there are more than `most_figures`, none is drawn. They
    are drawn in `processes`, by default one for each core when there are many; more than one takes
    a main module that can be imported. `study` is of training points, which have a section, claims,
    tables and figures of their own; there may be no `rows` beside it. `answered` spares answering
    the open questions again; one of them is about points of single steps, which are in nothing
    else.

    Raises:
        ConfigError: a metric that the rows do not have, or two points with the same axes and
            series.
        StoreError: a file cannot be written.
    """
    samples = stored.samples if samples is None and stored else samples
    tables = study.tables if study else None
    answers = questions_of(rows, samples, loss, tables) if answered is None else answered
    only_steps = len(rows) > 0 and whole_samples(rows).is_empty()
    rows, samples = whole_samples(rows), None if samples is None else whole_samples(samples)
    track = track or (lambda words, size: nullcontext(lambda: None))
    training = training_markdown(study) if study else ""
    content = _Content(training=training, questions=answers)
    if not rows.is_empty() or (study is None and not only_steps):
        content = _of_points(content, rows, metrics, track, samples, loss, computed)
    found = [*content.found, *(study.findings if study else ())]
    caveats = [] if stored is None else cut_sentences(stored.samples)
    written = [folder / "findings.md"]
    questions = open_questions_markdown(content.questions)
    cosines = layer_cosine_study(rows)
    of_cosines = layer_cosines_markdown(cosines)
    sections = (content.objectives, questions, of_cosines, content.training)
    write_text(written[0], findings_markdown(found, caveats, sections))
    with track("tables", len(content.every)) as advance:
        if content.every:
            written += save_tables(content.every, folder / "tables", advance)
        written += save_question_tables(content.questions, folder / "tables")
        written += save_training_tables(study, folder / "tables") if study else []
        heads = head_study(rows, metrics[0])
        written += save_head_tables(heads, folder / "tables") if heads else []
        written += [] if cosines is None else save_layer_cosines(cosines, folder / "tables")
    if stored is not None:
        with track("page", 1) as advance:
            page = write_page(
                folder, rows, content.every, findings_markdown(found, caveats), stored,
                objectives=content.objectives, study=study, answered=content.questions,
                cosines=cosines,
            )  # fmt: skip
            written.append(page)
            advance()
    curved = [one for one in content.every[: content.n_drawn] if not one.per_sample]
    figures = drawings(curved, most_figures)
    figures += _few(question_drawings(content.questions), most_figures)
    figures += _few(training_drawings(study) if study else [], most_figures)
    figures += _few(head_drawings(heads) if heads else [], most_figures)
    figures += _few([] if cosines is None else layer_cosine_drawings(cosines), most_figures)
    processes = processes or _processes(len(figures))
    with track("figures", len(figures)) as advance:
        written += save_all_figures(figures, folder / "figures", advance, processes)
    return written


@dataclass(frozen=True)
class _Content:
    """What a report is written from."""

    training: str = ""
    """The section on training points."""
    every: Sequence[Measures] = ()
    """Of all metrics of tables, those that are drawn first."""
    n_drawn: int = 0
    found: Sequence[Finding] = ()
    objectives: str = ""
    """The section on other objectives."""
    questions: Sequence[Answered] = ()


def _of_points(
    content: _Content,
    rows: pl.DataFrame,
    metrics: Sequence[str],
    track: Track,
    samples: pl.DataFrame | None,
    loss: str,
    computed: Sequence[Measures],
) -> _Content:
    """Compute what is said of points that are not trained."""
    drawn = [*metrics, *(name for name in member_metrics(rows) if name not in metrics)]
    in_tables = [*drawn, *({TABLE_METRIC} & set(rows.columns) - set(drawn))]
    ready = {measures.metric: measures for measures in computed}
    every = []
    with track("numbers", len(in_tables) + 1) as advance:
        for metric in in_tables:
            every.append(ready.get(metric) or compute_measures(rows, metric, samples=samples))
            advance()
        if "loss" not in metrics and (of_loss := loss_measures(samples)):
            every.append(of_loss)
        found = evaluate_claims(
            rows_of_metric(metrics[0], rows, samples), metrics[0], samples=samples, loss=loss
        )
        first = next(one for one in every if one.metric == metrics[0])
        objectives = objectives_markdown(rows, first, found)
        if loss == "mean":
            found = [*found, *evaluate_rated_claims(rows, samples)]
        advance()
    return replace(content, every=every, n_drawn=len(drawn), found=found, objectives=objectives)


def _few(figures: list[Drawing], most: int | None) -> list[Drawing]:
    return [] if most is not None and len(figures) > most else figures


def _processes(n_figures: int) -> int:
    if n_figures <= _FEW_FIGURES:
        return 1
    # A job on a cluster may have fewer cores than its machine; macOS does not say.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, _MOST_PROCESSES)
