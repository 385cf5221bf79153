"""Stored results in front of a person: tables in the terminal, files beside the results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import polars as pl
from rich.console import Console, RenderableType

from gradsweep.analysis.rows import rows_with_values, whole_samples
from gradsweep.analysis.sample_metrics import summed_over_tokens
from gradsweep.errors import ConfigError
from gradsweep.progress import console as progress_console
from gradsweep.progress import output_console, step_bar
from gradsweep.records import POINT_LABELS
from gradsweep.report import save_figures, write_report
from gradsweep.report.comparison import comparisons_of
from gradsweep.report.cut import cut_sentences
from gradsweep.report.many_comparisons import (
    MOST_TABLES,
    comparison_overview,
    comparison_texts,
)
from gradsweep.report.measures import Measures, compute_measures, loss_measures
from gradsweep.report.open_questions.answers import questions_of
from gradsweep.report.open_questions.terminal import open_questions_lines
from gradsweep.report.page import ReportPoints, report_points
from gradsweep.report.steps import step_lines
from gradsweep.report.table import ComparisonView, measures_table
from gradsweep.report.training.stored import (
    chosen_study,
    chosen_training,
    stored_study,
    trained_points,
)
from gradsweep.report.training.terminal import training_table
from gradsweep.store import SweepPaths, load_rows, load_samples_table, point_folders
from gradsweep.store.atomic import write_text
from gradsweep.store.frames import ROW_SCHEMA
from gradsweep.store.selection import Selection

MOST_FIGURES = 24
"""More are drawn only when asked for: each takes most of a second, and the page has the curves."""
_MANY_FILES = 20
"""More tables, or figures, are counted and not listed one by one."""


def show_results(
    results: Path,
    point_ids: Collection[str] | None,
    name: str,
    metric: str = "nuclear_norm",
    *,
    figures: bool = True,
) -> None:
    """Print the comparison of these points (all when None); draw `figures` and say where they are.

    Raises:
        ConfigError: `metric` has no value in these points.
        DataError: nothing is stored there.
        StoreError: the figures cannot be written.
    """
    out = output_console()
    trained = trained_points(results, point_ids)
    if trained and (study := stored_study(results, trained, [metric])):
        out.print(training_table(study))
    asked = {p.point_id for p in point_folders(results)} if point_ids is None else set(point_ids)
    if trained and asked <= set(trained):
        _show_place(out, results, len(trained))
        return
    every = load_rows(results, asked - set(trained) if trained else point_ids)
    rows, samples = whole_samples(every), load_samples_table(results, every["point_id"].unique())
    _show_steps(out, every, samples, metric)
    if rows.is_empty() and len(every):
        _show_place(out, results, every["point_id"].n_unique() + len(trained))
        return
    samples = whole_samples(samples)
    losses = loss_measures(samples, intervals=False)
    measures = compute_measures(rows, metric, intervals=False, samples=samples)
    for line in _comparison(rows, measures, losses):
        out.print(line, soft_wrap=isinstance(line, str))
    _show_cut(out, samples)
    folder = SweepPaths(results, name).report / "figures"
    drawn = save_figures(rows_with_values(rows, metric), folder, metric) if figures else []
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
    rows = report_rows(selection, loss)
    out = output_console()
    folder = report_folder(selection, loss)
    stored = stored_points(selection, rows, loss)
    _show_steps(out, rows, stored.samples, metrics[0])
    computed = _show_points(out, whole_samples(rows), metrics, stored, folder)
    study = None if loss == "sum" else chosen_study(selection, metrics)
    if study is not None:
        out.print(training_table(study))
    tables = study.tables if study else None
    answered = questions_of(rows, stored.samples, loss, tables)
    out.print(open_questions_lines(answered))
    _show_cut(out, stored.samples)
    written = write_report(
        rows, folder, metrics, track=_progress, stored=stored, loss=loss, computed=computed,
        most_figures=None if figures else MOST_FIGURES, study=study, answered=answered,
    )  # fmt: skip
    if not any(path.suffix == ".png" for path in written):
        out.print(f"figures  not drawn, there are more than {MOST_FIGURES}: --figures draws them")
    for line in _listed(written, folder):
        out.print(line, soft_wrap=True)
    n_points = rows["point_id"].n_unique() + len(study.runs if study else ())
    _show_place(out, selection.results, n_points)


def _show_points(
    out: Console, rows: pl.DataFrame, metrics: Sequence[str], stored: ReportPoints, folder: Path
) -> list[Measures]:
    """Print the comparisons of points that are not trained, and give what they are made of."""
    if rows.is_empty():
        return []
    measured = stored.samples.join(rows, on="point_id", how="semi")
    with _progress("numbers", len(metrics)) as advance:
        computed = [_computed(rows, metric, measured, advance) for metric in metrics]
    losses = loss_measures(measured, intervals=False)
    for measures in computed:
        for line in _comparison(rows, measures, losses, folder):
            out.print(line, soft_wrap=isinstance(line, str))
    return computed


def report_rows(selection: Selection, loss: str = "mean") -> pl.DataFrame:
    """Read the stored rows that a report is about; arguments and errors as `show_report`.

    Of the summed loss only points of the study's objective have any: others are left out. There
    are no rows where all of the points are training points, which the summed loss leaves out.
    """
    if not trained_points(selection.results):
        rows = selection.of(load_rows(selection.results, selection.point_ids))
    else:
        _, others = chosen_training(selection)
        rows = load_rows(selection.results, others) if others else empty_rows()
    return _of_summed_loss(selection.results, rows) if loss == "sum" else rows


def empty_rows() -> pl.DataFrame:
    """Make a frame like `load_rows` gives, of no points."""
    names = dict.fromkeys(("point_id", *POINT_LABELS), pl.String())
    return pl.DataFrame(schema={**names, "seed": pl.Int64(), **ROW_SCHEMA})


def stored_points(selection: Selection, rows: pl.DataFrame, loss: str = "mean") -> ReportPoints:
    """What a report says of the points beyond `rows`; the loss of their samples is of `loss`."""
    stored = report_points(selection, rows)
    if loss == "mean":
        return stored
    return replace(stored, samples=_named_summed(summed_over_tokens(stored.samples)))


def report_folder(selection: Selection, loss: str = "mean") -> Path:
    name = selection.name + ("__loss=sum" if loss == "sum" else "")
    return SweepPaths(selection.results, name).report


def _of_summed_loss(results: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """Scale rows as if the loss were the sum over response tokens; their series says so."""
    from gradsweep.analysis.reduction import of_mean_loss, sum_reduced

    rows = whole_samples(rows)
    names = rows.select("objective", "series").unique()
    kept = names.filter([of_mean_loss(*name) for name in names.rows()])
    summed = rows.join(kept, on=["objective", "series"], how="semi", maintain_order="left")
    if summed.is_empty():
        raise ConfigError(
            "--loss sum: a sum over tokens follows from the mean cross-entropy alone, and no point "
            "here is of objective=sft with objective.reduction=mean and not trained; leave --loss "
            "out"
        )
    samples = load_samples_table(results, summed["point_id"].unique())
    return _named_summed(sum_reduced(summed, samples))


def _named_summed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(series=(pl.col("series") + " loss=sum").str.strip_chars_start())


def _computed(
    rows: pl.DataFrame, metric: str, samples: pl.DataFrame, advance: Callable[[], None]
) -> Measures:
    measures = compute_measures(rows, metric, samples=samples)
    advance()
    return measures


def _comparison(
    rows: pl.DataFrame, measures: Measures, losses: Measures | None, folder: Path | None = None
) -> Iterator[RenderableType]:
    """What the terminal shows of one metric; the tables of many comparisons go to a file."""
    flagged = len(rows) - int(rows["finite"].sum())
    found = comparisons_of(measures, losses)
    if len(found) <= MOST_TABLES:
        yield ""
        yield measures_table(measures, losses)
    else:
        yield from comparison_overview(found)
        # One odd point beside a grid hides nothing of what the grid says.
        compared = [one for one in found if len(one.conditions) > 1]
        yield from map(ComparisonView, compared if len(compared) <= MOST_TABLES else [])
        if folder is not None:
            path = folder / "tables" / f"comparisons__{measures.metric}.txt"
            write_text(path, comparison_texts(found))
            yield f"tables   {path}"
    if flagged:
        yield f"{flagged} rows failed their checksum and are left out of these numbers."


def _show_steps(out: Console, rows: pl.DataFrame, samples: pl.DataFrame, metric: str) -> None:
    for line in step_lines(rows, samples, metric):
        out.print(line, soft_wrap=True)


def _show_cut(out: Console, samples: pl.DataFrame) -> None:
    for sentence in cut_sentences(samples):
        out.print(f"note: {sentence}", soft_wrap=True)


def _show_place(out: Console, results: Path, n_points: int) -> None:
    out.print(f"results  {results}/points ({n_points} points)", soft_wrap=True)


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
