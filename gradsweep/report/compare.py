"""`python -m gradsweep compare`: which stored points are set against which."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.text import Text

from gradsweep.analysis.conditions import in_reading_order, rows_with_values
from gradsweep.analysis.contrast import Contrast, contrast, pair_of
from gradsweep.errors import ConfigError, DataError
from gradsweep.records import AXES, METRICS
from gradsweep.report.file_names import file_stem
from gradsweep.store import SweepPaths, load_rows
from gradsweep.store.lookup import find_point, stored_points

_SIDE = "a stored point's id or filters axis=value,axis=value"


@dataclass(frozen=True)
class Pairs:
    """What is compared: points of the one side with points of the other."""

    ids: tuple[tuple[str, str], ...]
    matched: tuple[str, ...]
    """Axes on which the points of a pair agree because nothing was said of them."""
    alone: tuple[str, ...]
    """Points of one side without a counterpart, in words."""


def compare(args: Sequence[str], description: str) -> int:
    """Print the comparison of two points, or of every matched pair, and write its figures.

    Raises:
        ConfigError: an unknown id, axis or value; an axis that has to be fixed.
        DataError: nothing is stored there, nothing matches, or no question is common.
    """
    given = _parser(description).parse_args(args)
    points = stored_points(given.results)
    pairs = pairs_of(points, given.first, given.second, given.results)
    wanted = {name for pair in pairs.ids for name in pair}
    rows = rows_with_values(load_rows(given.results, wanted), given.metric)
    lines = [pair_of(points, *pair) for pair in pairs.ids]
    # Of subsets that share all four axes, `rows` would name the models otherwise than `points`.
    rows = rows.drop(*AXES).join(points, on="point_id")
    found = [contrast(rows, line, given.metric) for line in lines]
    common = [one for one in found if one.n_questions]
    if not common:
        raise DataError(
            f"{given.first} and {given.second} have no question in common: points pair by the "
            "questions that they measured, so take the same dataset, seed and enough samples"
        )
    out = Console(highlight=False, markup=False)
    for line in _matching(pairs, len(found) - len(common)):
        out.print(Text(line, style="dim", overflow="fold"))
    _show(out, common)
    name = file_stem("compare", given.first, given.second)
    for path in _figures(common, SweepPaths(given.results, name).report):
        out.print(f"figure   {path}.{{png,pdf}}", soft_wrap=True)
    return 0


def pairs_of(points: pl.DataFrame, first: str, second: str, results: Path) -> Pairs:
    """The pairs that two words mean.

    Two ids are one pair. Of filters, points pair when they agree on every axis that is not
    named on both sides: the same model, dataset and correctness for `cot=none` and
    `cot=detailed`.

    Raises:
        ConfigError: an id on one side and filters on the other; an unknown id, axis or value;
            several points on one side of a pair.
        DataError: no point of the one side has a counterpart on the other.
    """
    if ("=" in first) != ("=" in second):
        raise ConfigError(f"{first} and {second} are of two kinds: give twice {_SIDE}")
    if "=" not in first:
        one_id, other_id = (find_point(results, word).point_id for word in (first, second))
        if one_id == other_id:
            raise ConfigError(f"{first} and {second} are the same point, {one_id}")
        return Pairs(((one_id, other_id),), (), ())
    one, other = (_filters(word) for word in (first, second))
    matched = tuple(axis for axis in AXES if axis not in one or axis not in other)
    sides = [_keyed(points, word, filters, matched) for word, filters in
             ((first, one), (second, other))]  # fmt: skip
    ids = tuple(
        (sides[0][key], sides[1][key])
        for key in sides[0]
        if key in sides[1] and sides[0][key] != sides[1][key]
    )
    alone = tuple(
        " · ".join(key) for a, b in (sides, sides[::-1]) for key in a if key not in b and key
    )
    if not ids:
        raise DataError(
            f"no point that is {first} has a counterpart that is {second} with the same "
            f"{', '.join(matched)}; there are {_listed(sides[0])} and {_listed(sides[1])}"
        )
    return Pairs(ids, matched, alone)


def _listed(side: dict[tuple[str, ...], str]) -> str:
    return "; ".join(" · ".join(key) for key in list(side)[:4])


def _filters(word: str) -> dict[str, str]:
    filters = {}
    for part in word.split(","):
        axis, _, value = part.partition("=")
        if axis not in AXES or not value:
            raise ConfigError(
                f"{part!r} of {word!r}: a filter is axis=value with one of {', '.join(AXES)}"
            )
        filters[axis] = value
    return filters


def _keyed(
    points: pl.DataFrame, word: str, filters: dict[str, str], matched: Sequence[str]
) -> dict[tuple[str, ...], str]:
    """The points of a side, by what they must have in common with their counterpart."""
    kept = points
    for axis, value in filters.items():
        # "qwen2_1.5b" also means "qwen2_1.5b seed=1".
        is_value = (pl.col(axis) == value) | (pl.col(axis).str.split(" ").list.first() == value)
        if points.filter(is_value).is_empty():
            there = ", ".join(points[axis].unique().sort())
            raise ConfigError(f"{axis}={value} is not among these results; there are: {there}")
        kept = kept.filter(is_value)
    if kept.is_empty():
        raise DataError(f"no stored point is {word}")
    found: dict[tuple[str, ...], str] = {}
    for line in in_reading_order(kept).to_dicts():
        key = tuple(line[axis] for axis in matched)
        if key in found:
            raise ConfigError(_ambiguous(word, kept, matched))
        found[key] = line["point_id"]
    return found


def _ambiguous(word: str, kept: pl.DataFrame, matched: Sequence[str]) -> str:
    open_axes = [axis for axis in AXES if axis not in matched and kept[axis].n_unique() > 1]
    values = "; ".join(f"{axis}: {', '.join(kept[axis].unique().sort())}" for axis in open_axes)
    return f"{word} is several points of a pair; name one of {values}, or give point ids"


def _matching(pairs: Pairs, without_questions: int) -> Iterator[str]:
    if pairs.matched and len(pairs.ids) > 1:
        yield f"{len(pairs.ids)} pairs, each with the same {', '.join(pairs.matched)}"
    if pairs.alone:
        yield f"without a counterpart: {'; '.join(pairs.alone)}"
    if without_questions:
        yield f"{without_questions} pairs have no question in common and are left out"


def _show(out: Console, found: Sequence[Contrast]) -> None:
    from gradsweep.report.contrast import contrast_table, names, sentence

    for one in found:
        out.print(contrast_table(one))
    if len(found) > 1:
        out.print(Text("\nall pairs", style="bold"))
        for one in found:
            out.print(Text(f"• {names(one).shared}: {sentence(one)}", overflow="fold"))


def _figures(found: Sequence[Contrast], folder: Path) -> Iterator[Path]:
    """Written one by one; their paths without the two suffixes."""
    from gradsweep.report.contrast import names
    from gradsweep.report.figures import style
    from gradsweep.report.figures.contrast import draw_contrast

    for one in found:
        called = names(one)
        shared = [part for part in (called.shared.replace(" · ", "__"),) if part]
        sides = f"{called.first}-vs-{called.second}".replace(" · ", "-")
        png, _ = style.save(draw_contrast(one), folder, *shared, sides, one.metric)
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
        "results", nargs="?", type=Path, default=Path("results"), help="default: results"
    )
    parser.add_argument("--metric", choices=METRICS, default="nuclear_norm", metavar="METRIC",
                        help=f"one of {', '.join(METRICS)}")  # fmt: skip
    return parser
