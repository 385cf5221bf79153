"""A whole report as files: tables, figures, findings, and a page with all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path

import polars as pl

from gradsweep.analysis.open_questions import Answered
from gradsweep.analysis.point_rows import FrameRows, PointRows
from gradsweep.analysis.rows import whole_samples
from gradsweep.cores import usable_cores
from gradsweep.report.beside import Beside
from gradsweep.report.content import Content, Test, content_of_points
from gradsweep.report.cut import cut_sentences
from gradsweep.report.figures.files import Drawing, drawings, save_all_figures
from gradsweep.report.figures.open_questions import question_drawings
from gradsweep.report.figures.training import training_drawings
from gradsweep.report.findings import findings_markdown
from gradsweep.report.heads import HeadStudy, head_drawings, head_study, save_head_tables
from gradsweep.report.layer_cosines import layer_cosine_drawings, save_layer_cosines
from gradsweep.report.markdown import MOST_LINES
from gradsweep.report.numbers import Numbers, NumbersReader
from gradsweep.report.open_questions.answers import questions_of
from gradsweep.report.open_questions.tables import save_question_tables
from gradsweep.report.page import ReportPoints, prepare_page
from gradsweep.report.page.curves import ROWS_FOR_EVERY_METRIC
from gradsweep.report.tables import save_tables
from gradsweep.report.training import TrainingStudy
from gradsweep.report.training.section import training_markdown
from gradsweep.report.training.tables import save_training_tables
from gradsweep.report.unfinished import unfinished_of_report
from gradsweep.store.atomic import write_text

Track = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""A step's words and size -> a context with the function to call after each part of it."""

_FEW_FIGURES = 12
"""Drawn sooner here than other processes start."""
_MOST_PROCESSES = 8


def write_report(
    rows: pl.DataFrame | PointRows,
    folder: Path,
    metrics: Sequence[str] = ("nuclear_norm",),
    *,
    track: Track | None = None,
    processes: int | None = None,
    most_figures: int | None = None,
    stored: ReportPoints | None = None,
    samples: pl.DataFrame | None = None,
    loss: str = "mean",
    numbers: Numbers | None = None,
    study: TrainingStudy | None = None,
    answered: Sequence[Answered] | None = None,
    test: Test | None = None,
    other: Beside | None = None,
) -> list[Path]:
    """Write `findings.md`, `tables/` and `figures/` into `folder`, and give their paths.

    With `stored`, what the files say of these points beyond their rows, also `index.html`. Figures
    are of `metrics` and of what units' members are to each other, where that was measured, tables
    of these, σ₁/Σσ and the loss, findings of the first one. `rows` are those of points, as
    `load_rows` gives them, or what reads them when they are needed. `samples`
    (`load_samples_table`) are what the loss comes from, as a metric and in the findings' controls,
    where `rows` are a frame. `loss` is what the rows are of, the mean over response tokens or the
    sum. `numbers` spares computing them. Older files of the same names are replaced, others stay.
    Where there are more than `most_figures`, none is drawn. They are drawn in `processes`, by
    default one for each core when there are many; more than one takes a main module that can be
    imported. `study` is of training points, which have a section, claims, tables and figures of
    their own; there may be no `rows` beside it. `answered` spares answering the open questions
    again; one of them is about points of single steps, which are in nothing else. `test` is another
    way to the claims than testing them here, taken when all that is made without them is there.
    `other` is a process that draws while tables and page are written.

    Raises:
        ConfigError: a metric that the rows do not have, or two points with the same axes and
            series.
        StoreError: a file cannot be written.
    """
    only_steps = not isinstance(rows, pl.DataFrame) and rows.points.is_empty()
    if isinstance(rows, pl.DataFrame):
        tables = study.tables if study else None
        answered = questions_of(rows, samples, loss, tables) if answered is None else answered
        only_steps = len(rows) > 0 and whole_samples(rows).is_empty()
        rows = FrameRows(rows, None if samples is None else whole_samples(samples))
    track = track or (lambda words, size: nullcontext(lambda: None))
    training = training_markdown(study) if study else ""
    content = Content(training=training, questions=answered or ())
    if not rows.points.is_empty() or (study is None and not only_steps):
        numbers = numbers or _numbers(rows, metrics, track)
        content = content_of_points(rows, metrics, loss, numbers, content, test)
    heads = _heads(rows, content.numbers, metrics[0])
    figures = _figures(content, study, heads, most_figures)
    drawn = save_all_figures(
        figures,
        folder / "figures",
        processes or _processes(len(figures)),
        other.executor if other else None,
    )
    with track("tables", len(content.every)) as advance:
        written = _save_tables(content, study, heads, folder / "tables", advance)
    written = [*_write_texts(folder, content, stored, study, track), *written]
    with track("figures", len(figures)) as advance:
        for paths in drawn:
            written += paths
            advance()
    return written


def _write_texts(
    folder: Path,
    content: Content,
    stored: ReportPoints | None,
    study: TrainingStudy | None,
    track: Track,
) -> list[Path]:
    """Write `findings.md` and, with `stored`, the page: all but its findings before these."""
    page = None
    if stored is not None:
        with track("page", 1) as advance:
            page = prepare_page(
                folder, content.named, content.every, stored, study=study,
                answered=content.questions, numbers=content.numbers,
                tables=[*chain(*content.tables)],
            )  # fmt: skip
            advance()
    with track("claims", 1) as advance:
        found = [*content.found, *(study.findings if study else ())]
        advance()
    caveats = [] if stored is None else [*unfinished_of_report(stored), *cut_sentences(stored.cut)]
    written = [folder / "findings.md"]
    write_text(written[0], findings_markdown(found, caveats, content.sections))
    if page is not None:
        shown = findings_markdown(found, caveats, most_lines=MOST_LINES)
        written.append(page.write(shown, content.objectives))
    return written


def _numbers(rows: PointRows, metrics: Sequence[str], track: Track) -> Numbers:
    reader = NumbersReader(rows)
    with track("numbers", reader.n_scopes) as advance:
        return reader.read(metrics, advance, most_rows=ROWS_FOR_EVERY_METRIC)


def _heads(rows: PointRows, numbers: Numbers | None, metric: str) -> HeadStudy | None:
    """The study of single heads, where some points have rows of them."""
    if numbers is None or not numbers.with_heads:
        return None
    return head_study(rows.rows(numbers.with_heads), metric)


def _save_tables(
    content: Content,
    study: TrainingStudy | None,
    heads: HeadStudy | None,
    folder: Path,
    advance: Callable[[], None],
) -> list[Path]:
    """Write all tables; `advance` is called after each metric's."""
    written = save_tables(content.every, folder, advance, content.tables) if content.every else []
    written += save_question_tables(content.questions, folder)
    written += save_training_tables(study, folder) if study else []
    written += save_head_tables(heads, folder) if heads else []
    cosines = content.layer_cosines
    return [*written, *([] if cosines is None else save_layer_cosines(cosines, folder))]


def _figures(
    content: Content, study: TrainingStudy | None, heads: HeadStudy | None, most: int | None
) -> list[Drawing]:
    """Choose what is drawn; of each kind nothing where it would be more than `most`."""
    curved = [one for one in content.every[: content.n_drawn] if not one.per_sample]
    figures = drawings(curved, most)
    figures += _few(question_drawings(content.questions), most)
    figures += _few(training_drawings(study) if study else [], most)
    figures += _few(head_drawings(heads) if heads else [], most)
    cosines = content.layer_cosines
    return figures + _few([] if cosines is None else layer_cosine_drawings(cosines), most)


def _few(figures: list[Drawing], most: int | None) -> list[Drawing]:
    return [] if most is not None and len(figures) > most else figures


def _processes(n_figures: int) -> int:
    if n_figures <= _FEW_FIGURES:
        return 1
    return min(usable_cores(), _MOST_PROCESSES)
