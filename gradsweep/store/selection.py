"""Which stored points a command means: a results folder or a sweep, and filters on the axes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from gradsweep.errors import ConfigError, DataError
from gradsweep.records import AXES
from gradsweep.store import SweepPaths
from gradsweep.store.manifest import read_manifest

_FILTER = re.compile(r"(\w+)=(.*)")


@dataclass(frozen=True)
class Selection:
    """Points of one results folder."""

    results: Path
    sweep: str | None = None
    """Only the points of this sweep; all when None."""
    filters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Axis -> the values to keep."""

    @property
    def name(self) -> str:
        """The folder of its report: `all`, `my-sweep`, `all__dataset=gsm8k,aqua`."""
        chosen = [f"{axis}={','.join(values)}" for axis, values in self.filters.items()]
        return "__".join([self.sweep or "all", *chosen])

    @property
    def point_ids(self) -> list[str] | None:
        """Raises DataError for a sweep that is not there, naming those that are."""
        if self.sweep is None:
            return None
        manifest = read_manifest(SweepPaths(self.results, self.sweep))
        return [point["point_id"] for point in manifest["points"]]

    def of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The lines that the filters keep.

        `model=qwen2_1.5b` also keeps "qwen2_1.5b seed=1". Raises ConfigError for a value that
        no line has, or when the filters together keep nothing.
        """
        kept = frame
        for axis, values in self.filters.items():
            present = frame[axis].unique().sort().to_list()
            names = {name: {name, name.split(" ")[0]} for name in present}
            for value in values:
                if not any(value in spellings for spellings in names.values()):
                    raise ConfigError(
                        f"{axis}={value} is not among these results; "
                        f"there are: {', '.join(present)}"
                    )
            chosen = [name for name in present if names[name] & set(values)]
            kept = kept.filter(pl.col(axis).is_in(chosen))
        if kept.is_empty() and not frame.is_empty():
            raise ConfigError(f"no point of these results is {self.name}")
        return kept


def selection(words: Sequence[str], sweep: str | None = None) -> Selection:
    """What `[results or sweep] [axis=value,value ...]` means.

    A place is a results folder, the folder of a sweep (`results/sweeps/<name>`), or the name of
    a sweep in `results`. Raises ConfigError for more than one place or a filter on something
    that is no axis, DataError for a place that is none of these.
    """
    filters: dict[str, tuple[str, ...]] = {}
    places = []
    for word in words:
        matched = _FILTER.fullmatch(word)
        if matched is None:
            places.append(word)
        elif matched[1] in AXES and matched[2]:
            filters[matched[1]] = tuple(matched[2].split(","))
        else:
            raise ConfigError(
                f"{word}: a filter is axis=value or axis=value,value with one of {', '.join(AXES)}"
            )
    if len(places) > 1:
        raise ConfigError(f"one results folder or sweep at a time, not {' '.join(places)}")
    results, named = _place(places[0]) if places else (Path("results"), None)
    if sweep and named and sweep != named:
        raise ConfigError(f"--sweep {sweep} and the place {places[0]} are different sweeps")
    return Selection(results, sweep or named, filters)


def _place(word: str) -> tuple[Path, str | None]:
    path = Path(word)
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
