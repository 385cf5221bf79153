"""The stored points that a report is about, whose rows are read when they are needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import polars as pl

from gradsweep.analysis.point_values import PointCurves
from gradsweep.analysis.reduction import of_mean_loss, sum_reduced
from gradsweep.analysis.rows import in_reading_order
from gradsweep.analysis.sample_metrics import summed_over_tokens
from gradsweep.cores import usable_cores
from gradsweep.errors import ConfigError
from gradsweep.records import POINT_LABELS
from gradsweep.report.reduced_points import REDUCED_METRICS, ReducedPoint, read_point
from gradsweep.report.training.stored import chosen_training, trained_points
from gradsweep.store import PointPaths, load_rows, load_samples_table
from gradsweep.store.checksums import finished_checksums, is_to_be_read, require_whole
from gradsweep.store.frames import ROW_SCHEMA
from gradsweep.store.kept import save_kept
from gradsweep.store.kept_tables import key_of
from gradsweep.store.metadata import no_results
from gradsweep.store.paths import point_folders, started
from gradsweep.store.point import read_parts
from gradsweep.store.points import folder_labels, stored_description
from gradsweep.store.read import count_rows, stored_metrics
from gradsweep.store.selection import Selection

ROWS_OF_REDUCED = 1_500
"""Of which a point takes as much memory that is reduced."""
_FEW_POINTS = 16
"""Looked at sooner than threads begin."""
NO_POINTS = pl.DataFrame(
    schema={**dict.fromkeys(("point_id", *POINT_LABELS), pl.String()), "seed": pl.Int64()}
)
"""`StoredRows.points` of a folder without any."""


@dataclass(frozen=True)
class StoredRows:
    """Points of a results folder that are not trained (`gradsweep.analysis.point_rows`)."""

    results: Path
    points: pl.DataFrame
    """Of whole samples, in reading order."""
    steps: pl.DataFrame
    """Of single steps, likewise: they are no conditions."""
    labels: pl.DataFrame = field(repr=False)
    """Of all points of the folder (`folder_labels`)."""
    loss: str = "mean"
    """What rows and losses are of: the mean over response tokens, or the sum."""
    has_samples: bool = True
    has_losses: bool = True
    _sums: dict[str, tuple[str, ...] | None] = field(default_factory=dict, repr=False)
    """Point -> checksums of its rows and samples; None where they may change."""
    _keys: dict[str, str] = field(default_factory=dict, repr=False)
    """Of single points, which are asked for again and again."""

    @property
    def every(self) -> pl.DataFrame:
        """All points, of steps too."""
        return pl.concat([self.points, self.steps])

    def rows(
        self, point_ids: Collection[str], metrics: Collection[str] | None = None
    ) -> pl.DataFrame:
        if not point_ids:
            return pl.DataFrame(schema={**NO_POINTS.schema, **ROW_SCHEMA})
        # Which of several points of a seed has measured least, all of their metrics tell.
        read = None if self._of_one_seed & set(point_ids) else metrics
        rows = load_rows(self.results, point_ids, labels=self.labels, metrics=read)
        if self.loss == "mean":
            return rows
        return named_summed(sum_reduced(rows, self._samples(point_ids)))

    def samples(self, point_ids: Collection[str]) -> pl.DataFrame:
        samples = self._samples(point_ids)
        return samples if self.loss == "mean" else named_summed(summed_over_tokens(samples))

    def n_rows(self, point_ids: Collection[str]) -> int:
        return count_rows(self.results, point_ids)

    def n_to_read(self, point_ids: Collection[str]) -> int:
        """Count as many rows as are read in the time that points take: reduced ones take less."""
        paths = [PointPaths(self.results, name) for name in point_ids]
        large = [one.point_id for one in paths if not one.reduced.exists()]
        n_rows = self.n_rows(large) if large else 0
        return n_rows + ROWS_OF_REDUCED * (len(paths) - len(large))

    def own_metrics(self, point_ids: Collection[str]) -> set[str]:
        return stored_metrics(self.results, point_ids)

    def key(self, point_ids: Collection[str]) -> str | None:
        """Name the files by their checksums in DONE, after a look whether they still have them.

        Raises:
            DataError: a file is not as the finished point wrote it.
        """
        if len(point_ids) == 1 and (known := self._keys.get(next(iter(point_ids)))):
            return known
        self._look_at([name for name in point_ids if name not in self._sums])
        if any(self._sums[name] is None for name in point_ids):
            return None
        ids = sorted(point_ids)
        found = key_of(self.loss, [(*self._names[name], self._sums[name]) for name in ids])
        if len(ids) == 1:
            self._keys[ids[0]] = found
        return found

    def known(self, point_id: str, metric: str) -> PointCurves | None:
        wanted = (f"values-{metric}",)
        read = self.reduced(point_id, wanted) if metric in REDUCED_METRICS else None
        return None if read is None else read.curves(metric)

    def reduced(self, point_id: str, wanted: Collection[str] | None = None) -> ReducedPoint | None:
        """Read what is kept of a point that is done, those tables and arrays that are wanted by
        name, or all; raises as `key`."""
        if self.loss != "mean" or self.key([point_id]) is None:
            return None
        chosen = (lambda name: True) if wanted is None else wanted.__contains__
        return read_point(PointPaths(self.results, point_id), chosen)

    def _look_at(self, point_ids: Sequence[str]) -> None:
        """Checksums take a second for a gigabyte: as many files at a time as there are cores."""
        paths = [PointPaths(self.results, name) for name in point_ids]
        # Threads would only wait for each other where a file has nothing to be read for.
        unread = [p for p in paths if any(is_to_be_read(p, f) for f in (p.rows, p.samples))]
        if len(unread) >= _FEW_POINTS:
            with ThreadPoolExecutor(usable_cores()) as pool:
                deque(pool.map(_checksums, unread), maxlen=0)
        self._sums.update(zip(point_ids, map(_checksums, paths), strict=True))
        if point_ids:
            save_kept(self.results)

    @cached_property
    def _of_one_seed(self) -> frozenset[str]:
        """Points whose condition and seed another has, too (`gradsweep.analysis.conditions`)."""
        shared = self.points.select(*POINT_LABELS, "seed").is_duplicated()
        return frozenset(self.points.filter(shared)["point_id"])

    @cached_property
    def _names(self) -> dict[str, tuple[object, ...]]:
        return {str(line[0]): line for line in self.every.iter_rows()}

    def _samples(self, point_ids: Collection[str]) -> pl.DataFrame:
        return load_samples_table(self.results, point_ids, labels=self.labels)


def stored_rows(selection: Selection, loss: str = "mean") -> StoredRows:
    """Find the points of `selection` that have rows.

    Of the summed loss only points of the study's objective have any: others are left out. There
    are no points where all are training points, which the summed loss leaves out.

    Raises:
        ConfigError: a filter that nothing has; the summed loss of points that have none.
        DataError: nothing is stored there.
    """
    results = selection.results
    if trained_points(results):
        _, others = chosen_training(selection)
        labels = folder_labels(results)
        chosen = _with_rows(labels.filter(pl.col("point_id").is_in(others)), results)
    else:
        ids = selection.point_ids
        there = point_folders(results) if ids is None else started(results, ids)
        if not there:
            raise no_results(results)
        labels = folder_labels(results)
        of_there = labels.filter(pl.col("point_id").is_in([paths.point_id for paths in there]))
        chosen = selection.of(_with_rows(of_there, results))
    save_kept(results)
    if loss == "sum":
        chosen = _of_summed_loss(chosen)
    chosen = in_reading_order(chosen.select("point_id", *POINT_LABELS, "seed"))
    by_step = pl.col("point_id").is_in(_of_steps(results, chosen["point_id"].to_list()))
    if loss == "sum":
        return StoredRows(results, chosen.filter(~by_step), chosen.clear(), labels, loss)
    return StoredRows(results, chosen.filter(~by_step), chosen.filter(by_step), labels, loss)


def _checksums(paths: PointPaths) -> tuple[str, ...] | None:
    """Of rows and samples, which are looked at; None of a point that is not done, or whose DONE has
    none."""
    if not paths.done.exists():
        return None
    files = (paths.rows, paths.samples)
    require_whole(paths, *files)
    known = finished_checksums(paths)
    return tuple(known[f.name] for f in files) if all(f.name in known for f in files) else None


def named_summed(frame: pl.DataFrame) -> pl.DataFrame:
    """Say in the series that the loss is summed over tokens."""
    return frame.with_columns(series=(pl.col("series") + " loss=sum").str.strip_chars_start())


def _with_rows(points: pl.DataFrame, results: Path) -> pl.DataFrame:
    """Points that have stored a row; those that are done always have."""
    unfinished = [
        paths
        for paths in (PointPaths(results, name) for name in points["point_id"])
        if not paths.done.exists()
    ]
    nothing = [paths.point_id for paths in unfinished if read_parts(paths, "rows").is_empty()]
    return points.filter(~pl.col("point_id").is_in(nothing))


def _of_steps(results: Path, point_ids: Collection[str]) -> list[str]:
    """Points whose samples are single steps of a response (`gradients.by=step`)."""
    described = {name: stored_description(PointPaths(results, name)) for name in point_ids}
    return [name for name, point in described.items() if "gradients.by" in point.settings]


def _of_summed_loss(points: pl.DataFrame) -> pl.DataFrame:
    """Points whose summed loss follows from the mean; their series says that it is summed."""
    names = points.select("objective", "series").unique()
    kept = names.filter([of_mean_loss(*name) for name in names.rows()])
    summed = points.join(kept, on=["objective", "series"], how="semi", maintain_order="left")
    if summed.is_empty():
        raise ConfigError(
            "--loss sum: a sum over tokens follows from the mean cross-entropy alone, and no point "
            "here is of objective=sft with objective.reduction=mean and not trained; leave --loss "
            "out"
        )
    return named_summed(summed)
