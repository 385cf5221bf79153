"""Stored results in front of a person: tables in the terminal, files beside the results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import polars as pl
from rich.console import Console, RenderableType

from gradsweep.analysis.claims import Finding
from gradsweep.analysis.open_questions import Answered
from gradsweep.analysis.rows import rows_with_values, whole_samples
from gradsweep.errors import counted
from gradsweep.progress import console as progress_console
from gradsweep.progress import output_console, step_bar
from gradsweep.report import save_figures, write_report
from gradsweep.report.beside import MOST_ROWS_ASKED, Beside, beside
from gradsweep.report.comparison import Comparison, comparisons_of
from gradsweep.report.content import claims_of
from gradsweep.report.cut import cut_responses, cut_sentences
from gradsweep.report.many_comparisons import (
    MOST_LINES,
    MOST_TABLES,
    comparison_overview,
    fits_a_screen,
    levels_overview,
    write_comparisons,
)
from gradsweep.report.measures import Measures, compute_measures, loss_measures
from gradsweep.report.numbers import Numbers, NumbersReader
from gradsweep.report.open_questions.answers import questions_of_stored
from gradsweep.report.open_questions.terminal import open_questions_lines
from gradsweep.report.page import report_points
from gradsweep.report.page.curves import ROWS_FOR_EVERY_METRIC
from gradsweep.report.steps import step_lines
from gradsweep.report.stored_rows import StoredRows, stored_rows
from gradsweep.report.table import ComparisonView, measures_table
from gradsweep.report.tables import are_too_many
from gradsweep.report.training.stored import (
    chosen_study,
    stored_study,
    trained_points,
)
from gradsweep.report.training.study import TrainingStudy
from gradsweep.report.training.terminal import training_table
from gradsweep.report.unfinished import unfinished_of_report
from gradsweep.store import SweepPaths, load_rows, load_samples_table, point_folders
from gradsweep.store.selection import Selection

MOST_FIGURES = 24
"""More are drawn only when asked for: each takes most of a second, and the page has the curves."""
_METRIC = "nuclear_norm"
"""Of what is shown at the end of a run."""
_MANY_FILES = 20
"""More tables, or figures, are counted and not listed one by one."""


def show_results(
    results: Path,
    point_ids: Collection[str] | None,
    name: str,
    *,
    figures: bool = True,
) -> None:
    """Print the comparison of these points (all when None); draw `figures` and say where they are.

    Raises:
        DataError: nothing is stored there.
        StoreError: the figures cannot be written.
    """
    out = output_console()
    trained = trained_points(results, point_ids)
    if trained and (study := stored_study(results, trained, [_METRIC])):
        out.print(training_table(study))
    asked = {p.point_id for p in point_folders(results)} if point_ids is None else set(point_ids)
    if trained and asked <= set(trained):
        _show_place(out, results, len(trained))
        return
    every = load_rows(results, asked - set(trained) if trained else point_ids)
    rows, samples = whole_samples(every), load_samples_table(results, every["point_id"].unique())
    _show_steps(out, every, samples, _METRIC)
    if rows.is_empty() and len(every):
        _show_place(out, results, every["point_id"].n_unique() + len(trained))
        return
    samples = whole_samples(samples)
    losses = loss_measures(samples, intervals=False)
    measures = compute_measures(rows, _METRIC, intervals=False, samples=samples)
    flagged = len(rows) - int(rows["finite"].sum())
    for line in _comparison(flagged, measures, losses):
        out.print(line, soft_wrap=isinstance(line, str))
    _show_notes(out, cut_sentences(cut_responses(samples)))
    folder = SweepPaths(results, name).report / "figures"
    drawn = save_figures(rows_with_values(rows, _METRIC), folder, _METRIC) if figures else []
    for path in drawn:
        out.print(f"figure   {path}", soft_wrap=True)
    _show_place(out, results, every["point_id"].n_unique() + len(trained))


def show_report(
    selection: Selection, metrics: Sequence[str], loss: str = "mean", *, figures: bool = False
) -> None:
    """Print the comparisons of these points, write their report, and list its files.

    Args:
        selection: which points.
        metrics: of the comparisons and figures; tables have the σ₁ ratio too.
        loss: mean, as measured, or sum over the response tokens, which follows from it.
        figures: draw those of every model and dataset, however many there are.

    Raises:
        ConfigError: a metric without a value in these points, or a filter that keeps nothing.
        DataError: nothing is stored there.
        StoreError: the report cannot be written.
    """
    source = stored_rows(selection, loss)
    with beside(source, metrics[0]) as other:
        _show_report(selection, source, metrics, other, figures=figures)


def _show_report(
    selection: Selection,
    source: StoredRows,
    metrics: Sequence[str],
    other: Beside | None,
    *,
    figures: bool,
) -> None:
    loss = source.loss
    out = output_console()
    folder = report_folder(selection, loss)
    if ids := source.steps["point_id"].to_list():
        _show_steps(out, source.rows(ids), source.samples(ids), metrics[0])
    numbers = _show_points(out, source, metrics, folder, other)
    stored = report_points(selection, source.every, None if numbers is None else numbers.cut)
    study = None if loss == "sum" else chosen_study(selection, metrics)
    if study is not None:
        out.print(training_table(study))
    answered = _questions(out, source, numbers, study, other)
    _show_notes(out, [*unfinished_of_report(stored), *cut_sentences(stored.cut)])
    written = write_report(
        source, folder, metrics, track=_progress, stored=stored, loss=loss, numbers=numbers,
        most_figures=None if figures else MOST_FIGURES, study=study, answered=answered,
        test=None if other is None else partial(_claims, source, metrics[0], other), other=other,
    )  # fmt: skip
    if not any(path.suffix == ".png" for path in written):
        out.print(f"figures  not drawn, there are more than {MOST_FIGURES}: --figures draws them")
    for line in _listed(written, folder):
        out.print(line, soft_wrap=True)
    n_points = len(source.every) + len(study.runs if study else ())
    _show_place(out, selection.results, n_points)


def _show_points(
    out: Console, source: StoredRows, metrics: Sequence[str], folder: Path, other: Beside | None
) -> Numbers | None:
    """Print the comparisons of points that are not trained, and give what they are made of."""
    if source.points.is_empty():
        return None
    reader = NumbersReader(source, source.results)
    with _progress("numbers", reader.n_scopes) as advance:
        numbers = reader.read(metrics, advance, most_rows=ROWS_FOR_EVERY_METRIC, helper=other)
    losses = numbers.measures.get("loss")
    for measures in numbers.of(metrics):
        for line in _comparison(numbers.n_flagged, measures, losses, folder, other):
            out.print(line, soft_wrap=isinstance(line, str))
    return numbers


def _claims(source: StoredRows, metric: str, other: Beside) -> list[Finding]:
    """Take what another process has found, or test the claims here."""
    found = other.tested()
    return claims_of(source, metric, source.loss) if found is None else found


def _questions(
    out: Console,
    source: StoredRows,
    numbers: Numbers | None,
    study: TrainingStudy | None,
    other: Beside | None,
) -> list[Answered]:
    """Answer the open questions and print that, unless there are too many rows for it."""
    if numbers is not None and numbers.n_rows > MOST_ROWS_ASKED:
        out.print(
            f"open questions are not answered of more than {MOST_ROWS_ASKED:,} rows: name a model "
            "or a dataset (report model=…), and they are",
            soft_wrap=True,
        )
        return []
    if source.every.is_empty() or source.loss != "mean":
        return []
    answered = None if other is None else other.answered()
    if answered is None:
        answered = questions_of_stored(source, study.tables if study else None)
    out.print(open_questions_lines(answered))
    return answered


def report_folder(selection: Selection, loss: str = "mean") -> Path:
    name = selection.name + ("__loss=sum" if loss == "sum" else "")
    return SweepPaths(selection.results, name).report


def _comparison(
    flagged: int,
    measures: Measures,
    losses: Measures | None,
    folder: Path | None = None,
    other: Beside | None = None,
) -> Iterator[RenderableType]:
    """What the terminal shows of one metric; the tables of many comparisons go to a file."""
    found = comparisons_of(measures, losses, MOST_LINES if are_too_many(measures) else None)
    if fits_a_screen(found):
        yield ""
        yield measures_table(measures, losses)
    else:
        if len(found) > MOST_TABLES:
            yield from comparison_overview(found, measures.n_studies)
        # One odd point beside a grid hides nothing of what the grid says.
        compared = [one for one in found if len(one.conditions) > 1]
        for one in compared if len(compared) <= MOST_TABLES else []:
            yield ComparisonView(one) if fits_a_screen([one]) else levels_overview(one)
        if folder is not None:
            yield f"tables   {_whole_tables(found, measures, folder, other)}"
    if flagged:
        yield f"{flagged} rows failed their checksum and are left out of these numbers."


def _whole_tables(
    found: Sequence[Comparison], measures: Measures, folder: Path, other: Beside | None
) -> str:
    """Write whole tables into a file and say where; of too many, where their numbers are."""
    if are_too_many(measures):
        return (
            f"{folder / 'tables' / 'statistics.csv'} has all numbers; name a model or dataset "
            "(report model=…) for whole tables"
        )
    path = folder / "tables" / f"comparisons__{measures.metric}.txt"
    if other is None:
        write_comparisons(path, found)
    else:
        other.write(write_comparisons, path, found)
    return str(path)


def _show_steps(out: Console, rows: pl.DataFrame, samples: pl.DataFrame, metric: str) -> None:
    for line in step_lines(rows, samples, metric):
        out.print(line, soft_wrap=True)


def _show_notes(out: Console, sentences: Sequence[str]) -> None:
    for sentence in sentences:
        out.print(f"note: {sentence}", soft_wrap=True)


def _show_place(out: Console, results: Path, n_points: int) -> None:
    out.print(f"results  {results}/points ({counted(n_points, 'point')})", soft_wrap=True)


def _listed(written: Sequence[Path], folder: Path) -> Iterator[str]:
    """A line for the page, each table and each figure; one for a folder when there are many."""
    yield from (f"page     {path}" for path in written if path.suffix == ".html")
    for kind, inside in (("findings", ""), ("tables", "tables"), ("figures", "figures")):
        formats: dict[Path, list[str]] = {}
        for path in written:
            if path.parent == folder / inside and path.suffix != ".html":
                formats.setdefault(path.with_suffix(""), []).append(path.suffix[1:])
        if len(formats) > _MANY_FILES:
            yield f"{kind:<9}{folder / inside} ({sum(map(len, formats.values()))} files)"
            continue
        for name, suffixes in formats.items():
            several = f"{{{','.join(suffixes)}}}" if len(suffixes) > 1 else suffixes[0]
            yield f"{kind:<9}{name}.{several}"


@contextmanager
def _progress(words: str, size: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr while a step runs, gone when it is over; nothing in a log."""
    bar = step_bar(transient=True, disable=not progress_console.is_terminal)
    with bar as progress:
        task = progress.add_task(words, total=size)
        yield lambda: progress.advance(task)
