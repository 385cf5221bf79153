"""Which stored points a command means: a results folder or a sweep, and filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from gradsweep.config.typed_paths import typed_place
from gradsweep.errors import ConfigError, DataError
from gradsweep.store.choice import filtered, is_filter, read_filters
from gradsweep.store.metadata import read_manifest
from gradsweep.store.paths import SweepPaths
from gradsweep.store.place import is_results_folder
from gradsweep.store.points import settings_of_all


@dataclass(frozen=True)
class Selection:
    """Points of one results folder."""

    results: Path
    sweep: str | None = None
    """Only the points of this sweep; all when None."""
    filters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Axis, `series`, `seed`, `point_id`, or a setting that tells series apart -> the values."""

    @property
    def name(self) -> str:
        """Name of its report's folder: `all`, `my-sweep`, `all__dataset=gsm8k,aqua`."""
        return "__".join([self.sweep or "all", *self._typed])

    @property
    def filter_words(self) -> list[str]:
        """The filters as one word, which `gradsweep.store.choice.chosen` reads; none without."""
        return [",".join(self._typed)] if self.filters else []

    @property
    def _typed(self) -> list[str]:
        return [f"{axis}={','.join(values)}" for axis, values in self.filters.items()]

    @property
    def point_ids(self) -> list[str] | None:
        """Ids of the sweep's points; None when no sweep is named.

        Raises:
            DataError: there is no such sweep; names those there are.
        """
        if self.sweep is None:
            return None
        manifest = read_manifest(SweepPaths(self.results, self.sweep))
        return [point["point_id"] for point in manifest["points"]]

    def of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Keep the lines of points that are of the sweep and that the filters keep (`filtered`).

        Raises:
            ConfigError: a value that no line has, or filters that together keep nothing.
        """
        ids = self.point_ids
        of_sweep = frame if ids is None else frame.filter(pl.col("point_id").is_in(ids))
        shared = settings_of_all(self.results) if self.filters else frozenset()
        return filtered(of_sweep, self.filters, shared=shared)


def selection(words: Sequence[str], sweep: str | None = None) -> Selection:
    """Read `[results or sweep] [axis=value,value ...]`.

    A place is a results folder, the folder of a sweep (`results/sweeps/<name>`), or the name of
    a sweep in `results`.

    Raises:
        ConfigError: more than one place, or a filter without a value.
        DataError: a place that is none of these.
    """
    filters: dict[str, tuple[str, ...]] = {}
    for word in filter(is_filter_word, words):
        for name, values in read_filters(word).items():
            filters[name] = (*filters.get(name, ()), *values)
    places = [word for word in words if not is_filter_word(word)]
    if len(places) > 1:
        raise ConfigError(f"one results folder or sweep at a time, not {' '.join(places)}")
    results, named = _place(places[0]) if places else (Path("results"), None)
    if sweep and named and sweep != named:
        raise ConfigError(f"--sweep {sweep} and the place {places[0]} are different sweeps")
    return Selection(results, sweep or named, filters)


def is_filter_word(word: str) -> bool:
    """Tell filters from places: `lr=1` is one, unless there is a results folder of this name."""
    return is_filter(word) and not is_results_folder(word)


def _place(word: str) -> tuple[Path, str | None]:
    path = typed_place(word)
    if (path / "manifest.json").exists():
        folder = path if len(path.parts) > 2 else path.resolve()
        return folder.parent.parent, folder.name
    if path.is_dir():
        return path, None
    if SweepPaths(Path("results"), word).manifest.exists():
        return Path("results"), word
    there = sorted(p.parent.name for p in Path("results/sweeps").glob("*/manifest.json"))
    raise DataError(
        f"no results in {word}: it is neither a results folder nor a sweep of ./results; "
        f"sweeps there: {', '.join(there) or 'none'}"
    )
