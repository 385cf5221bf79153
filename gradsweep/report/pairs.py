"""`python -m gradsweep compare`: which stored points are paired, and what their pairs show."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.text import Text

from gradsweep.analysis.conditions import conditions
from gradsweep.analysis.contrast import Contrast, contrast, pair_of
from gradsweep.analysis.pairs import paired_points
from gradsweep.analysis.rows import in_reading_order, rows_with_values
from gradsweep.analysis.sample_metrics import sample_rows
from gradsweep.errors import ConfigError, DataError
from gradsweep.progress import output_console
from gradsweep.records import AXES, METRICS, POINT_LABELS, SAMPLE_METRICS
from gradsweep.report.contrast import Names, contrast_table, names, sentence
from gradsweep.report.labels import file_stem
from gradsweep.store import (
    PointPaths,
    PointState,
    SweepPaths,
    failure,
    load_rows,
    load_samples_table,
    point_state,
)
from gradsweep.store.choice import Filters, chosen_one, filtered, is_filter, read_filters
from gradsweep.store.points import point_table
from gradsweep.store.selection import Selection, selection
from gradsweep.store.series import series_parts, with_model_labels

_SIDE = "a stored point's id or filters axis=value,axis=value"


@dataclass(frozen=True)
class Pairs:
    """What is compared: points of the one side with points of the other."""

    points: pl.DataFrame
    """A line for each pair (`gradsweep.analysis.pairs.paired_points`)."""
    matched: tuple[str, ...]
    """Axes on which the points of a pair agree because nothing was said of them."""
    alone: tuple[str, ...]
    """Points of one side without a counterpart, in words."""


def compare(args: Sequence[str], description: str) -> int:
    """Print the comparison of two points, or of every matched pair, and write its figures.

    Raises:
        ConfigError: an unknown id, axis, value or metric; an axis that has to be fixed.
        DataError: nothing is stored there, nothing matches, or no question is common.
    """
    given = _parser(description).parse_args(args)
    chosen = selection([given.results] if given.results else [], given.sweep)
    results = chosen.results
    of_samples = given.metric in SAMPLE_METRICS
    load = _load_sample_rows if of_samples else load_rows
    pairs, rows = _pairs_and_rows(chosen, given.first, given.second, load)
    rows = rows_with_values(rows, given.metric)
    lines = pairs.points.partition_by("first_point_id", "second_point_id", maintain_order=True)
    lines, unmeasured = _with_rows(lines, set(rows["point_id"]))
    if not lines:
        told = "; ".join(_told(PointPaths(results, name)) for name in unmeasured)
        raise DataError(f"there is nothing to compare yet: {told}")
    contrasts = [contrast(rows, line, given.metric) for line in lines]
    common = [each for each in contrasts if each.n_questions]
    if not common:
        raise DataError(
            f"{given.first} and {given.second} have no question in common: points pair by the "
            "questions that they measured, so take the same dataset, seed and enough samples"
        )
    out = output_console()
    left_out = [_told(PointPaths(results, name)) for name in unmeasured]
    for line in [*_matching(pairs, len(contrasts) - len(common)), *left_out]:
        out.print(Text(line, style="dim", overflow="fold"))
    losses = {} if of_samples else _losses(chosen, given.first, given.second)
    _show(out, common, losses)
    if of_samples:  # no curves to draw
        return 0
    name = file_stem("compare", given.first, given.second)
    for path in _figures(common, SweepPaths(results, name).report):
        out.print(f"figure   {path}.{{png,pdf}}", soft_wrap=True)
    return 0


_Load = Callable[[Path, Collection[str]], pl.DataFrame]


def _load_sample_rows(results: Path, point_ids: Collection[str]) -> pl.DataFrame:
    return sample_rows(load_samples_table(results, point_ids))


def _losses(chosen: Selection, first: str, second: str) -> dict[Names, Contrast]:
    """The losses of the pairs that have questions in common, by the names of the pair."""
    pairs, rows = _pairs_and_rows(chosen, first, second, _load_sample_rows)
    known = set(rows.filter(pl.col("loss").is_finite())["point_id"])
    lines = pairs.points.partition_by("first_point_id", "second_point_id", maintain_order=True)
    contrasts = [contrast(rows, line, "loss") for line in _with_rows(lines, known)[0]]
    return {names(each): each for each in contrasts if each.n_questions}


def _pairs_and_rows(
    chosen: Selection, first: str, second: str, load: _Load
) -> tuple[Pairs, pl.DataFrame]:
    """What two words mean, and the rows of it: of conditions, or of the single points they name."""
    results = chosen.results
    points = chosen.of(point_table(results))
    if not _names_points(first) and not _names_points(second):
        condition = points.sort("seed", "point_id").unique(POINT_LABELS, keep="first")
        pairs = pairs_of(condition.sort("point_id"), first, second)
        labels = [pairs.points.select(pl.col(f"{p}{n}").alias(n) for n in POINT_LABELS)
                  for p in ("", "second_")]  # fmt: skip
        meant = points.join(pl.concat(labels), on=POINT_LABELS, how="semi")
        rows = conditions(load(results, meant["point_id"].to_list()))
        return replace(pairs, points=_under_pooled_names(pairs.points, rows)), rows
    pairs = pairs_of(points, first, second)
    ids = {*pairs.points["first_point_id"], *pairs.points["second_point_id"]}
    if points.filter(pl.col("point_id").is_in(ids))["seed"].n_unique() > 1:
        told = pl.concat_str("series", pl.format("seed={}", "seed"), separator=" ")
        points = points.with_columns(series=told.str.strip_chars_start())
        pairs = pairs_of(points, first, second)
    rows = load(results, ids).drop(*POINT_LABELS, "seed")
    return pairs, rows.join(points, on="point_id")


def _names_points(word: str) -> bool:
    """Whether a word means single points: by id, or by their seed."""
    return not is_filter(word) or "seed" in read_filters(word)


def _under_pooled_names(pairs: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The pairs with the ids that `conditions` gave their points, where these have rows."""
    ids = rows.select(*POINT_LABELS, "point_id").unique()
    for side, prefix in (("first", ""), ("second", "second_")):
        own = ids.select(pl.col(n).alias(f"{prefix}{n}") for n in POINT_LABELS).with_columns(
            pooled=ids["point_id"]
        )
        named = [f"{prefix}{name}" for name in POINT_LABELS]
        pairs = pairs.join(own, on=named, how="left", maintain_order="left")
        known = pl.coalesce("pooled", f"{side}_point_id").alias(f"{side}_point_id")
        pairs = pairs.with_columns(known).drop("pooled")
    return pairs


def _with_rows(
    pairs: Sequence[pl.DataFrame], measured: Collection[str]
) -> tuple[list[pl.DataFrame], list[str]]:
    """The pairs whose points both have rows, and the points that have none."""
    sides = [(pair, pair.row(0, named=True)) for pair in pairs]
    ids = [(side["first_point_id"], side["second_point_id"]) for _, side in sides]
    unmeasured = dict.fromkeys(name for both in ids for name in both if name not in measured)
    kept = [pair for (pair, _), both in zip(sides, ids, strict=True) if set(both) <= set(measured)]
    return kept, list(unmeasured)


def _told(paths: PointPaths) -> str:
    """Why a point has no rows, in words."""
    state, failed = point_state(paths), failure(paths)
    if state is PointState.RUNNING:
        return f"{paths.point_id} is running and has stored no sample yet"
    why = f"failed ({failed['message']})" if failed else f"is {state.value}"
    return f"{paths.point_id} {why} and has no measured sample: run the same command again"


def pairs_of(points: pl.DataFrame, first: str, second: str) -> Pairs:
    """Find the pairs that two words mean.

    Two ids are one pair. Of filters, points pair when they agree on every axis that is not
    named on both sides: the same model, dataset and correctness for `cot=none` and
    `cot=detailed`. They are of the same series, too, unless series are named on both sides.

    Raises:
        ConfigError: an id on one side and filters on the other; an unknown id, axis or value;
            several points on one side of a pair.
        DataError: no point of the one side has a counterpart on the other.
    """
    if is_filter(first) != is_filter(second):
        raise ConfigError(f"{first} and {second} are of two kinds: give twice {_SIDE}")
    if not is_filter(first):
        one_id, other_id = (chosen_one(points, word) for word in (first, second))
        if one_id == other_id:
            raise ConfigError(f"{first} and {second} are the same point, {one_id}")
        return Pairs(pair_of(points, one_id, other_id), (), ())
    filters = [read_filters(word) for word in (first, second)]
    sides = [filtered(points, of_side) for of_side in filters]
    same = _same(*filters)
    for word, side in zip((first, second), sides, strict=True):
        _require_one_point_per_key(word, side, same)
    pairs = paired_points(sides[0], sides[1], same)
    pairs = pairs.filter(pl.col("first_point_id") != pl.col("second_point_id"))
    matched = tuple(axis for axis in AXES if axis in same)
    if pairs.is_empty():
        there = " and ".join("; ".join(list(_keys(side, same))[:4]) for side in sides)
        raise DataError(
            f"no point that is {first} has a counterpart that is {second} with the same "
            f"{', '.join(matched)}; there are {there}"
        )
    return Pairs(pairs, matched, tuple(_alone(sides, same)))


def _same(first: Filters, second: Filters) -> list[str]:
    """What the points of a pair must agree on: `POINT_LABELS` not named on both sides."""
    named = set(first) & set(second)
    labels = [*first.get("model", ()), *second.get("model", ())]
    # A name that is no axis is of a series, and a model's label may say its series.
    if not named <= set(AXES) or any(len(series_parts(label)) > 1 for label in labels):
        named.add("series")
    return [name for name in POINT_LABELS if name not in named]


def _require_one_point_per_key(word: str, side: pl.DataFrame, same: Sequence[str]) -> None:
    if not side.select(pl.struct(*same).is_duplicated().any() if same else pl.len() > 1).item():
        return
    shown = with_model_labels(side)
    open_names = [n for n in (*AXES, "seed") if n not in same and shown[n].n_unique() > 1]
    values = "; ".join(
        f"{name}: {', '.join(map(str, shown[name].unique().sort()))}" for name in open_names
    )
    raise ConfigError(
        f"{word} is several points of a pair; name one of {values}, or give point ids"
    )


def _keys(side: pl.DataFrame, same: Sequence[str]) -> dict[str, None]:
    """What the points of a side must have in common with their counterparts, in words."""
    ordered = in_reading_order(side).iter_rows(named=True)
    return dict.fromkeys(" · ".join(line[name] for name in same if line[name]) for line in ordered)


def _alone(sides: Sequence[pl.DataFrame], same: Sequence[str]) -> Iterator[str]:
    """Points of one side without a counterpart, in words."""
    keys = [_keys(side, same) for side in sides]
    for own, others in (keys, keys[::-1]):
        yield from (key for key in own if key and key not in others)


def _matching(pairs: Pairs, without_questions: int) -> Iterator[str]:
    if pairs.matched and len(pairs.points) > 1:
        yield f"{len(pairs.points)} pairs, each with the same {', '.join(pairs.matched)}"
    if pairs.alone:
        yield f"without a counterpart: {'; '.join(pairs.alone)}"
    if without_questions:
        yield f"{without_questions} pairs have no question in common and are left out"


def _show(out: Console, contrasts: Sequence[Contrast], losses: Mapping[Names, Contrast]) -> None:
    """Print every pair with what its losses are, by its names."""
    for each in contrasts:
        out.print(contrast_table(each))
        if of_loss := losses.get(names(each)):
            out.print(Text(f"• {sentence(of_loss)}", overflow="fold"))
    if len(contrasts) > 1:
        out.print(Text("\nall pairs", style="bold"))
        for each in contrasts:
            out.print(Text(f"• {names(each).shared}: {sentence(each)}", overflow="fold"))


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
    parser.add_argument("first", metavar="A", help=_SIDE)
    parser.add_argument("second", metavar="B", help="the same of what it is compared with")
    parser.add_argument(
        "results", nargs="?", metavar="results|sweep", help="default: results, all of its points"
    )
    parser.add_argument("--sweep", help="only the points of this sweep (default: all points)")
    parser.add_argument(
        "--metric",
        default="nuclear_norm",
        metavar="METRIC",
        help=f"{', '.join((*METRICS, *SAMPLE_METRICS))}, or a metric of your own that is stored",
    )
    return parser
