"""Finding stored points by what a person types: an id, its beginning, or the axes."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gradsweep.errors import ConfigError, DataError
from gradsweep.records import AXES
from gradsweep.store.paths import PointPaths, point_folders
from gradsweep.store.read import read_config
from gradsweep.store.variants import with_variants

_SHOWN = 8


def find_point(results: Path, word: str) -> PointPaths:
    """The one stored point whose id begins with `word`.

    Raises:
        DataError: nothing is stored in `results`.
        ConfigError: no point, or several, begin so; lists ids.
    """
    points = _stored(results)
    found = [point for point in points if point.point_id.startswith(word)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"{word} is the beginning of several points: {_listed(found)}")
    raise ConfigError(
        f"no point {word!r} in {results}; there are {_listed(points)} "
        "(python -m gradsweep status shows what they are)"
    )


def stored_points(results: Path) -> pl.DataFrame:
    """One line per stored point, by id: point_id and its axes, named as `load_rows` names them.

    Raises:
        DataError: nothing is stored in `results`.
    """
    configs = {paths.point_id: read_config(paths) for paths in _stored(results)}
    lines = [[name, *(config["axes"][axis] for axis in AXES)] for name, config in configs.items()]
    schema = dict.fromkeys(("point_id", *AXES), pl.String())
    points = pl.DataFrame(lines, schema=schema, orient="row")
    return with_variants(points, {name: config["science"] for name, config in configs.items()})


def _stored(results: Path) -> list[PointPaths]:
    points = point_folders(results)
    if not points:
        raise DataError(f"no results in {results}: run gradsweep first, or pass the right folder")
    return points


def _listed(points: list[PointPaths]) -> str:
    names = [point.point_id for point in points[:_SHOWN]]
    more = len(points) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
