"""Points as a person names them: by id, by the beginning of an id, or by filters on the axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from gradsweep.config.typed_paths import typed_place
from gradsweep.jobs.status.points import KnownPoint
from gradsweep.records import full_axes
from gradsweep.store import SweepPaths
from gradsweep.store.choice import chosen, chosen_one
from gradsweep.store.place import is_results_folder
from gradsweep.store.points import settings_of_all
from gradsweep.store.selection import Selection, selection
from gradsweep.store.series import label_frame


def place_and_points(words: Sequence[str], sweep: str | None = None) -> tuple[Selection, list[str]]:
    """`[results or sweep] [POINT …]`, in any order, and the sweep that `--sweep` names.

    Raises:
        ConfigError: more than one place.
        DataError: a sweep or folder that is not there.
    """
    places = [word for word in words if _is_place(word)]
    return selection(places, sweep), [word for word in words if word not in places]


def choose(points: Sequence[KnownPoint], words: Iterable[str]) -> list[KnownPoint]:
    """Find every point that one of the words means (`gradsweep.store.choice`), in their order.

    Raises:
        ConfigError: a word that means no point, or the beginning of several ids.
    """
    meant = set(chosen(_table(points), words, _shared(points)))
    return [point for point in points if point.point_id in meant]


def choose_one(points: Sequence[KnownPoint], word: str) -> KnownPoint:
    """Find the one point that a word means; raises ConfigError when it means none or several."""
    meant = chosen_one(_table(points), word, _shared(points))
    return next(point for point in points if point.point_id == meant)


def _table(points: Sequence[KnownPoint]) -> pl.DataFrame:
    return label_frame(
        {p.point_id: {**full_axes(p.axes), "series": p.series, "seed": p.seed} for p in points}
    )


def _shared(points: Sequence[KnownPoint]) -> frozenset[str]:
    """Settings of all points of the folder that these are of."""
    return settings_of_all(points[0].paths.results) if points else frozenset()


def _is_place(word: str) -> bool:
    """Whether `selection` understands the word; a path that is not there is a misspelt place."""
    if is_results_folder(str(typed_place(word))):
        return True
    named = "/" not in word and SweepPaths(Path("results"), word).manifest.exists()
    return "=" not in word and (named or "/" in word or Path(word).is_dir())
