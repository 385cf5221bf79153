"""Which stored points two words of `compare` mean, and which of them make pairs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gradsweep.analysis.conditions import conditions
from gradsweep.analysis.contrast import pair_of
from gradsweep.analysis.pairs import paired_points
from gradsweep.analysis.rows import CORRECT, UNITS_OF_BOTH, in_reading_order
from gradsweep.config.objective import objective_option_names
from gradsweep.errors import ConfigError, DataError
from gradsweep.records import AXES, POINT_LABELS, STUDY_OBJECTIVE, axis_words
from gradsweep.report.training.stored import trained_points
from gradsweep.store.choice import Filters, chosen_one, filtered, is_filter, read_filters
from gradsweep.store.points import point_table, settings_of_all
from gradsweep.store.selection import Selection, is_filter_word
from gradsweep.store.series import series_parts, with_model_labels

SIDE = "a stored point's id or filters axis=value,axis=value"


@dataclass(frozen=True)
class Pairs:
    """What is compared: points of the one side with points of the other."""

    points: pl.DataFrame
    """A line for each pair (`gradsweep.analysis.pairs.paired_points`)."""
    matched: tuple[str, ...]
    """Axes on which the points of a pair agree because the sides do not differ in them."""
    alone: tuple[str, ...]
    """Points of one side without a counterpart, in words."""


def read_sides(words: Sequence[str]) -> tuple[str, str, list[str]]:
    """Read `A B [results]`: what is compared with what, and where.

    A side may be several words: of `training=full cot=none training=full cot=detailed` the first
    filter that names an axis again begins the second side.

    Raises:
        ConfigError: not two sides.
    """
    is_place = len(words) > 2 and not is_filter_word(words[-1])
    sides, places = (words[:-1], words[-1:]) if is_place else (words, [])
    if len(sides) == 2:
        return sides[0], sides[1], list(places)
    named: set[str] = set()
    for place, word in enumerate(sides):
        names = set(read_filters(word)) if is_filter_word(word) else set()
        if names & named:
            return ",".join(sides[:place]), ",".join(sides[place:]), list(places)
        named |= names
    raise ConfigError(f"compare {' '.join(words)}: give twice {SIDE}, and then a results folder")


Load = Callable[[Path, Collection[str]], pl.DataFrame]


@dataclass(frozen=True)
class MeantPairs:
    """What two words mean among the points of a folder; rows are read pair by pair."""

    pairs: Pairs
    results: Path
    points: pl.DataFrame
    """All points that the words are about, with their names."""
    condition: tuple[str, ...]
    """What the points of a condition agree on; empty where the words are ids of points."""

    def with_rows(self, pairs: pl.DataFrame, load: Load) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Read some of the pairs: their lines, and rows of conditions or of the single points.

        Seeds are pooled unless they are named.
        """
        ids = _ids(pairs)
        if not self.condition:
            return self._with_seeds_told(pairs, load(self.results, ids))
        standing = self.points.filter(pl.col("point_id").is_in(ids))
        meant = self.points.join(standing, on=self.condition, how="semi")
        rows = load(self.results, meant["point_id"].to_list())
        if "seed" in self.condition:
            pairs, rows = self._with_seeds_told(pairs, rows)
        rows = conditions(rows)
        return _under_pooled_names(pairs, rows), rows

    def _with_seeds_told(
        self, pairs: pl.DataFrame, rows: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Where points of several seeds are compared, the seed is a part of their series."""
        compared = self.points.filter(pl.col("point_id").is_in(_ids(self.pairs.points)))
        if compared["seed"].n_unique() < 2:
            return pairs, rows
        seeds = self.points.select("point_id", told=pl.format("seed={}", "seed"))
        for side, prefix in (("first", ""), ("second", "second_")):
            told = pairs.join(seeds, left_on=f"{side}_point_id", right_on="point_id", how="left",
                              maintain_order="left")  # fmt: skip
            pairs = told.with_columns(_joined(f"{prefix}series", "told")).drop("told")
        rows = rows.join(seeds, on="point_id", how="left", maintain_order="left")
        return pairs, rows.with_columns(_joined("series", "told")).drop("told")


def meant_pairs(chosen: Selection, first: str, second: str) -> MeantPairs:
    """Find what two words mean: pairs of conditions, or the pair of single points that they name.

    Training points are `training_pairs`' business. Raises as `pairs_of`.
    """
    points = chosen.of(point_table(chosen.results))
    filters = is_filter(first) and is_filter(second)
    points = points.filter(~pl.col("point_id").is_in(trained_points(chosen.results)))
    if not filters:
        pairs = pairs_of(points, first, second)
        return MeantPairs(pairs, chosen.results, points, ())
    by_seed = any("seed" in read_filters(word) for word in (first, second))
    key = (*POINT_LABELS, *(["seed"] if by_seed else []))
    # One point stands for its condition: others of it have another seed, or more measured.
    standing = points.sort("seed", "point_id").unique(key, keep="first").sort("point_id")
    pairs = pairs_of(standing, first, second, settings_of_all(chosen.results))
    return MeantPairs(pairs, chosen.results, points, key)


def _ids(pairs: pl.DataFrame) -> list[str]:
    return sorted({*pairs["first_point_id"], *pairs["second_point_id"]})


def _joined(series: str, told: str) -> pl.Expr:
    return pl.concat_str(series, told, separator=" ").str.strip_chars_start().alias(series)


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


def pairs_of(
    points: pl.DataFrame, first: str, second: str, shared: Set[str] = frozenset()
) -> Pairs:
    """Find the pairs that two words mean.

    Two ids are one pair. Of filters, points pair when they agree on every axis that has no other
    value on the other side: the same model, dataset and correctness for `cot=none` and
    `cot=detailed`. They are of the same series, too, unless other series are named on both sides.

    Of two objectives (`objective=sft` and `objective=dpo`) a pair or a group of responses pairs
    with the correct ones, which it has, unless correctness is named; and where no series has
    both, that of an objective's own options counts for nothing. `shared` is as for `filtered`.

    Raises:
        ConfigError: an id on one side and filters on the other; an unknown id, axis or value;
            several points on one side of a pair.
        DataError: no point of the one side has a counterpart on the other.
    """
    if is_filter(first) != is_filter(second):
        raise ConfigError(f"{first} and {second} are of two kinds: give twice {SIDE}")
    if not is_filter(first):
        one_id, other_id = (chosen_one(points, word) for word in (first, second))
        if one_id == other_id:
            raise ConfigError(f"{first} and {second} are the same point, {one_id}")
        return Pairs(pair_of(points, one_id, other_id), (), ())
    filters = [read_filters(word) for word in (first, second)]
    points, elsewhere, told = _without_parts(points, *filters)
    sides = [filtered(_with_comparable(points), of_side, shared=shared) for of_side in filters]
    same = [elsewhere.get(name, name) for name in _same(filters[0], filters[1], told)]
    if "series" in same and "objective" not in same and not _agree(sides, same):
        same = [_SERIES_ELSEWHERE if name == "series" else name for name in same]
    for word, side in zip((first, second), sides, strict=True):
        _require_one_point_per_key(word, side, same)
    pairs = paired_points(sides[0], sides[1], same)
    pairs = pairs.filter(pl.col("first_point_id") != pl.col("second_point_id"))
    plain = (points["objective"] == STUDY_OBJECTIVE).all()
    agreed = {*same, *(axis for axis, column in elsewhere.items() if column in same)}
    matched = tuple(axis for axis in AXES if axis in agreed and not (plain and axis == "objective"))
    if pairs.is_empty():
        there = " and ".join("; ".join(list(_keys(side, same))[:4]) for side in sides)
        raise DataError(
            f"no point that is {first} has a counterpart that is {second} with the same "
            f"{', '.join(matched)}; there are {there}"
        )
    return Pairs(pairs, matched, tuple(_alone(sides, same)))


def _compared(first: Filters, second: Filters) -> set[str]:
    """Names with other values on the two sides; `training=full` on both compares no trainings."""
    return {name for name in set(first) & set(second) if first[name] != second[name]}


def _without_parts(
    points: pl.DataFrame, first: Filters, second: Filters
) -> tuple[pl.DataFrame, dict[str, str], set[str]]:
    """Set aside what is compared and is a part of an axis's label: `wizardlm_ifd quality=high`.

    Returns:
        Points with what is left of such labels, these columns by axis, and the names of the parts.
    """
    named = _compared(first, second).difference(AXES)
    columns, told = {}, set[str]()
    for axis in AXES:
        labels = [series_parts(label) for label in points[axis]]
        found = named & {part.partition("=")[0] for label in labels for part in label[1:]}
        if found:
            left = [" ".join(_without(label, found)) for label in labels]
            columns[axis] = f"{axis}_elsewhere"
            points = points.with_columns(pl.Series(columns[axis], left, pl.String()))
            told |= found
    return points, columns, told


def _without(parts: Sequence[str], names: Set[str]) -> Iterator[str]:
    """The parts of a label or series (`n_samples=2`) that have none of these names."""
    return (part for part in parts if part.partition("=")[0] not in names)


def _same(first: Filters, second: Filters, told: Set[str]) -> list[str]:
    """What the points of a pair must agree on: `POINT_LABELS` but for those that are compared.

    `told` are names of parts of axes' labels.
    """
    named = _compared(first, second) - told
    labels = [*first.get("model", ()), *second.get("model", ())]
    # A name that is no axis is of a series, and a model's label may say its series.
    if not named <= {*AXES, "seed"} or any(len(series_parts(label)) > 1 for label in labels):
        named.add("series")
    same = [name for name in POINT_LABELS if name not in named]
    if "objective" in named and "correctness" in same:
        same.remove("correctness")
        if "correctness" not in {*first, *second}:
            same.append(_RESPONSES)
    return same


_RESPONSES, _SERIES_ELSEWHERE = "responses", "series_elsewhere"
"""Columns in the place of correctness and series, where objectives are compared."""


def _with_comparable(points: pl.DataFrame) -> pl.DataFrame:
    """Points with what points of several objectives can agree on."""
    has_both = pl.col("correctness").is_in(UNITS_OF_BOTH)
    elsewhere = [_without_options_of_objectives(series) for series in points["series"]]
    return points.with_columns(
        pl.when(has_both).then(pl.lit(CORRECT)).otherwise("correctness").alias(_RESPONSES),
        pl.Series(_SERIES_ELSEWHERE, elsewhere, pl.String()),
    )


def _without_options_of_objectives(series: str) -> str:
    return " ".join(_without(series_parts(series), set(objective_option_names())))


def _agree(sides: Sequence[pl.DataFrame], same: Sequence[str]) -> bool:
    return not paired_points(sides[0], sides[1], same).is_empty()


def _require_one_point_per_key(word: str, side: pl.DataFrame, same: Sequence[str]) -> None:
    if not side.select(pl.struct(*same).is_duplicated().any() if same else pl.len() > 1).item():
        return
    shown = with_model_labels(side, objective=False)
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
    return dict.fromkeys(
        " · ".join(axis_words({name: line[name] for name in same if line[name]}))
        for line in ordered
    )


def _alone(sides: Sequence[pl.DataFrame], same: Sequence[str]) -> Iterator[str]:
    """Points of one side without a counterpart, in words."""
    keys = [_keys(side, same) for side in sides]
    for own, others in (keys, keys[::-1]):
        yield from (key for key in own if key and key not in others)
