"""`python -m gradsweep compare`: which stored points are paired, and what their pairs show."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.text import Text

from gradsweep.analysis.contrast import Contrast, contrast
from gradsweep.analysis.rows import rows_with_values
from gradsweep.analysis.sample_metrics import sample_rows
from gradsweep.errors import ConfigError, DataError
from gradsweep.progress import output_console, step_bar
from gradsweep.records import METRICS, SAMPLE_METRICS
from gradsweep.report.contrast import Names, contrast_table, names, sentence
from gradsweep.report.labels import file_stem
from gradsweep.report.many_pairs import MOST_TABLES, show_many, show_sentences
from gradsweep.report.pairing import SIDE, MeantPairs, Pairs, meant_pairs, read_sides
from gradsweep.report.training.contrast import run_contrasts, show_run_contrasts
from gradsweep.report.training.pairing import training_pairs
from gradsweep.report.training.stored import trained_points
from gradsweep.report.unfinished import unfinished_points
from gradsweep.store import (
    PointPaths,
    PointState,
    SweepPaths,
    failure,
    load_rows,
    load_samples_table,
    point_state,
)
from gradsweep.store.choice import is_filter
from gradsweep.store.points import folder_labels
from gradsweep.store.selection import Selection, selection
from gradsweep.store.sweep_flag import add_sweep

MOST_FIGURES = 12
"""More figures are drawn only when asked for: each takes half a second."""


def compare(args: Sequence[str], description: str) -> int:
    """Print the comparison of two points, or of every matched pair, and write its figures.

    Raises:
        ConfigError: an unknown id, axis, value or metric; an axis that has to be fixed.
        DataError: nothing is stored there, nothing matches, or no question is common.
    """
    given = _parser(description).parse_intermixed_args(args)
    first, second, places = read_sides(given.words)
    chosen = selection(places, given.sweep)
    folder = SweepPaths(chosen.results, file_stem("compare", first, second)).report
    if runs := training_pairs(chosen, first, second):
        show_run_contrasts(
            output_console(), run_contrasts(chosen.results, runs, given.metric), folder
        )
        return 0
    _compare_points(chosen, first, second, folder, given)
    return 0


def _compare_points(
    chosen: Selection, first: str, second: str, folder: Path, given: argparse.Namespace
) -> None:
    """Compare points that are not trained; raises as `compare`."""
    of_samples = given.metric in SAMPLE_METRICS
    meant = meant_pairs(chosen, first, second)
    found = list(_each(meant, _load_sample_rows if of_samples else load_rows, given.metric))
    contrasts = [one for one, _ in found if one is not None]
    unmeasured = dict.fromkeys(name for _, names in found for name in names)
    left_out = [_told(PointPaths(chosen.results, name)) for name in unmeasured]
    if not contrasts:
        raise DataError(f"there is nothing to compare yet: {'; '.join(left_out)}")
    common = [each for each in contrasts if each.n_questions]
    if not common:
        raise DataError(
            f"{first} and {second} have no question in common: points of a dataset pair by the "
            "questions that they measured, so take the same seed and enough samples"
        )
    out = output_console()
    runs = _untold(chosen) if is_filter(first) else []
    told = [*_matching(meant.pairs, len(contrasts) - len(common)), *left_out, *runs]
    for line in [*told, *_unfinished(chosen.results, common)]:
        out.print(Text(line, style="dim", overflow="fold"))
    if len(common) > MOST_TABLES:
        show_many(out, common, folder)
    else:
        _show(out, common, {} if of_samples else _losses(chosen, first, second))
        for line in dict.fromkeys(_lengths(chosen.results, common)):
            out.print(Text(line, style="dim", overflow="fold"))
    if not of_samples:  # which have no curves
        _draw(out, common, folder, however_many=given.figures)


def _untold(chosen: Selection) -> list[str]:
    """Say that training points are compared otherwise, where there are some."""
    n_runs = len(trained_points(chosen.results, chosen.point_ids))
    if not n_runs:
        return []
    return [f"{n_runs} training points are compared by step: name training=… on both sides"]


def _draw(out: Console, contrasts: Sequence[Contrast], folder: Path, *, however_many: bool) -> None:
    """Write the figures of pairs, and say where they are."""
    if len(contrasts) > MOST_FIGURES and not however_many:
        out.print(f"figures  none of {len(contrasts)} pairs are drawn: --figures draws them")
        return
    for path in _figures(contrasts, folder):
        out.print(f"figure   {path}.{{png,pdf}}", soft_wrap=True)


def _load_sample_rows(
    results: Path, point_ids: Collection[str], labels: pl.DataFrame | None = None
) -> pl.DataFrame:
    return sample_rows(load_samples_table(results, point_ids, labels=labels))


def _losses(chosen: Selection, first: str, second: str) -> dict[Names, Contrast]:
    """The losses of the pairs that have questions in common, by the names of the pair."""
    meant = meant_pairs(chosen, first, second)
    found: dict[Names, Contrast] = {}
    for pair in _lines(meant):
        # Losses of two objectives are two quantities.
        if (pair["objective"] == pair["second_objective"]).all():
            named, rows = meant.with_rows(pair, _load_sample_rows)
            if not _without_rows(named, rows.filter(pl.col("loss").is_finite())):
                each = contrast(rows, named, "loss")
                found |= {names(each): each} if each.n_questions else {}
    return found


def _lengths(results: Path, contrasts: Sequence[Contrast]) -> Iterator[str]:
    """Say how long responses are where other questions are compared: nothing takes that out."""
    for each in contrasts:
        if each.is_paired:
            continue
        line = each.tests.row(0, named=True)
        ids = [line["first_point_id"], line["second_point_id"]]
        samples = load_samples_table(results, ids)
        means = dict(samples.group_by("point_id").agg(pl.col("n_response_tokens").mean()).rows())
        if all(means.get(name) for name in ids):
            called = names(each)
            yield (
                f"response tokens: {called.first} {means[ids[0]]:.0f}, {called.second} "
                f"{means[ids[1]]:.0f} on average; the loss is a mean over them, so that longer "
                "responses have smaller gradients by that alone (see report --loss sum)"
            )


def _lines(meant: MeantPairs) -> list[pl.DataFrame]:
    """Each pair by itself."""
    ids = ("first_point_id", "second_point_id")
    return meant.pairs.points.partition_by(*ids, maintain_order=True)


def _without_rows(pair: pl.DataFrame, rows: pl.DataFrame) -> list[str]:
    """The points of a pair that have no rows."""
    measured = set(rows["point_id"])
    ids = (pair["first_point_id"][0], pair["second_point_id"][0])
    return [name for name in ids if name not in measured]


def _told(paths: PointPaths) -> str:
    """Why a point has no rows, in words."""
    state, failed = point_state(paths), failure(paths)
    if state is PointState.RUNNING:
        return f"{paths.point_id} is running and has stored no sample yet"
    why = f"failed ({failed['message']})" if failed else f"is {state.value}"
    return f"{paths.point_id} {why} and has no measured sample: run the same command again"


def _unfinished(results: Path, contrasts: Sequence[Contrast]) -> list[str]:
    """What there is to say of points that are compared before they are done.

    They are those that the curves are of: several points may stand for one side of a pair.
    """
    ids = dict.fromkeys(name for each in contrasts for name in each.curves["point_id"])
    return unfinished_points(results, ids)


def _matching(pairs: Pairs, without_questions: int) -> Iterator[str]:
    if pairs.matched and len(pairs.points) > 1:
        yield f"{len(pairs.points)} pairs, each with the same {', '.join(pairs.matched)}"
    if pairs.alone:
        yield f"without a counterpart: {'; '.join(pairs.alone)}"
    if without_questions:
        yield f"{without_questions} pairs have no question in common and are left out"


def _each(
    meant: MeantPairs, load: Callable[..., pl.DataFrame], metric: str
) -> Iterator[tuple[Contrast | None, Sequence[str]]]:
    """Compare pair by pair, behind a bar where there are many, or say which points lack rows.

    Raises:
        ConfigError: a metric that no pair has.
    """
    pairs, labels = _lines(meant), folder_labels(meant.results)
    refused, n_compared = None, 0
    with step_bar(transient=True, disable=len(pairs) <= MOST_TABLES) as bar:
        for pair in bar.track(pairs, description="pairs"):
            named, rows = meant.with_rows(pair, partial(load, labels=labels))
            if lacking := _without_rows(named, rows):
                yield None, lacking
                continue
            try:
                valued = rows_with_values(rows, metric)
            except ConfigError as error:  # an option that these points did not have
                refused, valued = error, rows.clear()
            if lacking := _without_rows(named, valued):
                yield None, lacking
                continue
            n_compared += 1
            yield contrast(valued, named, metric), ()
    if refused is not None and not n_compared:
        raise refused


def _show(out: Console, contrasts: Sequence[Contrast], losses: Mapping[Names, Contrast]) -> None:
    """Print every pair with what its losses are, by its names."""
    for each in contrasts:
        out.print(contrast_table(each))
        if of_loss := losses.get(names(each)):
            out.print(Text(f"• {sentence(of_loss)}", overflow="fold"))
    show_sentences(out, contrasts)


def _figures(contrasts: Sequence[Contrast], folder: Path) -> Iterator[Path]:
    """Write figures one by one, and give their paths without the two suffixes."""
    from gradsweep.report.figures import style
    from gradsweep.report.figures.contrast import draw_contrast

    for each in contrasts:
        called = names(each)
        shared = [part for part in (called.shared.replace(" · ", "__"),) if part]
        sides = f"{called.first}-vs-{called.second}".replace(" · ", "-")
        png, _ = style.save(draw_contrast(each), folder, *shared, sides, each.metric)
        yield png.with_suffix("")


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m gradsweep compare",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        nargs="+",
        metavar="A|B|results",
        help=f"A and B, each {SIDE}; and a results folder or sweep (default: results)",
    )
    add_sweep(parser)
    parser.add_argument("--figures", action="store_true", help="however many pairs there are")
    parser.add_argument(
        "--metric",
        default="nuclear_norm",
        metavar="METRIC",
        help=f"{', '.join((*METRICS, *SAMPLE_METRICS))}, or a metric of your own that is stored",
    )
    return parser
