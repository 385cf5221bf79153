"""What was measured of somebody's own training run: in memory, or in a results folder."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import polars as pl

from gradsweep.errors import PointBusyError
from gradsweep.identity import own_run_record
from gradsweep.records import Axes, Moment, SampleResult, TrainingStep
from gradsweep.store import PointPaths
from gradsweep.store.frames import (
    MOMENT_SCHEMA,
    ROW_SCHEMA,
    SAMPLE_SCHEMA,
    STEP_SCHEMA,
    at_moment,
    rows_frame,
    samples_frame,
    steps_frame,
)
from gradsweep.store.parquet import read_table
from gradsweep.store.training import TrainingStore, in_order_of_steps, open_training_point

STEPS_AT_A_TIME = 50
"""Optimizer steps that are stored together: each part of a point is a file."""

_open: dict[Path, weakref.ref[FolderResults]] = {}
"""Folders of points that runs of this process write, or have left without a word: no trainer tells
a callback that another one has failed."""


class MemoryResults:
    """Keeps what is measured in this process, for as long as it lives."""

    def __init__(self) -> None:
        self._rows: dict[Moment, pl.DataFrame] = {}
        self._samples: dict[Moment, pl.DataFrame] = {}
        self._steps: dict[int, TrainingStep] = {}

    def has(self, moment: Moment) -> bool:
        """Whether what was measured then is there."""
        return moment in self._samples

    def add(self, moment: Moment, results: Sequence[SampleResult]) -> None:
        """Keep all that was measured at a moment, unless it is there."""
        if not self.has(moment):
            self._rows[moment] = at_moment(rows_frame(results), moment)
            self._samples[moment] = at_moment(samples_frame(results), moment)

    def add_step(self, step: TrainingStep) -> None:
        """Keep an optimizer step; one of the same number is replaced."""
        self._steps[step.step] = step

    def flush(self) -> None:
        """Nothing waits here."""

    def finish(self) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """Nothing is held."""

    @property
    def rows(self) -> pl.DataFrame:
        """Rows as `TrainingStore.rows` gives them."""
        return in_order_of_steps(_joined(MOMENT_SCHEMA | ROW_SCHEMA, self._rows.values()))

    @property
    def samples(self) -> pl.DataFrame:
        """Samples as `TrainingStore.samples` gives them."""
        return in_order_of_steps(_joined(MOMENT_SCHEMA | SAMPLE_SCHEMA, self._samples.values()))

    @property
    def steps(self) -> pl.DataFrame:
        """Steps as `TrainingStore.steps` gives them."""
        steps = steps_frame(list(self._steps.values()))
        return pl.concat([pl.DataFrame(schema=STEP_SCHEMA), steps]).sort("step")


class FolderResults:
    """Keeps what is measured as a training point of a results folder.

    Its id is a hash of names, options and what is known of the loop; a run that is no resumption
    of a stored one gets a number of its own (`training.run`). What waits is stored when nobody
    holds this any more, too, or the process ends.
    """

    def __init__(
        self, folder: Path, axes: Axes, science: Mapping[str, Any], first_step: int = 0
    ) -> None:
        """Open the point.

        Args:
            folder: the results folder (`store.root`).
            axes: names of what is trained, and on what.
            science: what decides the numbers, as far as it is known; with a mapping `training`.
            first_step: optimizer steps of the checkpoint that the run goes on from, as its point
                does: what is stored of later ones is of a way that it has left. 0 for a new run.

        Raises:
            StoreError: the folder cannot be written.
        """
        record = _record(folder, axes, science, resumed=first_step > 0)
        self.paths = PointPaths(folder, str(record["point_id"]))
        self.give_up: Callable[[], None] = self.close
        """Called when another run of this process goes on in the point: this one has ended."""
        place = self.paths.folder.resolve()
        if earlier := _open.get(place, _no_run)():
            with suppress(PointBusyError):  # another process may have gone on in the meantime
                earlier.give_up()
        stack = ExitStack()
        self._store = stack.enter_context(open_training_point(self.paths, record))
        self._waiting: list[TrainingStep] = []
        self._close = weakref.finalize(
            self, _left, self.paths, self._store, self._waiting, stack, os.getpid()
        )
        _open[place] = weakref.ref(self)
        if first_step:
            self._begin_at(first_step)

    def _begin_at(self, first_step: int) -> None:
        try:
            self._store.go_back_to(first_step)
        except BaseException:
            self.close()
            raise

    def has(self, moment: Moment) -> bool:
        """Whether what was measured then is stored."""
        return self._store.has(moment)

    def add(self, moment: Moment, results: Sequence[SampleResult]) -> None:
        """Store all that was measured at a moment, unless it is stored."""
        self._store.append_moment(moment, results)

    def add_step(self, step: TrainingStep) -> None:
        """Store an optimizer step, with some others."""
        self._waiting.append(step)
        if len(self._waiting) >= STEPS_AT_A_TIME:
            self.flush()

    def flush(self) -> None:
        """Store the steps that wait."""
        if self._waiting:
            self._store.append_steps(self._waiting)
            self._waiting.clear()

    def finish(self) -> None:
        """Join what is stored and mark the point DONE."""
        self.flush()
        self._store.finish(self._store.summary())

    def close(self) -> None:
        """Store what waits and give the point up, finished or not."""
        self._close()

    @property
    def rows(self) -> pl.DataFrame:
        """Rows as `TrainingStore.rows` gives them."""
        return self._table("rows")

    @property
    def samples(self) -> pl.DataFrame:
        """Samples as `TrainingStore.samples` gives them."""
        return self._table("samples")

    @property
    def steps(self) -> pl.DataFrame:
        """Steps as `TrainingStore.steps` gives them."""
        self.flush()
        return self._table("steps")

    def _table(self, kind: str) -> pl.DataFrame:
        if self.paths.done.exists():
            return read_table(getattr(self.paths, kind))
        table: pl.DataFrame = getattr(self._store, kind)()
        return table


Results = MemoryResults | FolderResults


def _no_run() -> None:
    return None


def _left(
    paths: PointPaths,
    store: TrainingStore,
    waiting: list[TrainingStep],
    lease: ExitStack,
    writer: int,
) -> None:
    """Store what waits and give the point up; not in a fork of the process that writes."""
    if os.getpid() != writer:
        return
    try:
        if waiting and not paths.done.exists():
            store.append_steps(waiting)
            waiting.clear()
    finally:
        lease.close()


def _joined(schema: Mapping[str, Any], frames: Any) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=schema), *frames], how="diagonal")


def _record(folder: Path, axes: Axes, science: Mapping[str, Any], resumed: bool) -> dict[str, Any]:
    """The record of the first run of this kind that is not stored; if resumed, of the last that is
    stored and not DONE.
    """
    stored: list[dict[str, Any]] = []
    run = 1
    while True:
        training = dict(science["training"]) | {"run": run}
        record = own_run_record(axes, {**science, "training": training})
        paths = PointPaths(folder, str(record["point_id"]))
        if not paths.config.exists():
            break
        stored += [record] if not paths.done.exists() else []
        run += 1
    return stored[-1] if resumed and stored else record
