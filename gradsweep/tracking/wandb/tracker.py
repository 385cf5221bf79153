"""A point followed in W&B, online or offline, by a thread that extraction never waits for.

Files: `<store.root>/wandb/`, one folder per start of a point. The rows artifact is logged by
reference to the point's own file, so upload before results are moved.

A resumed point starts again under the same id: online W&B continues the run, offline a further
folder appears, and `python -m gradsweep sync` joins them. What was stored but not logged before a
kill is logged by the next start, or when the point is complete (`wandb.run`).

W&B never stops or holds up extraction: a fault is reported once as a warning and the tracker
turns itself off. The thread of a finished point uploads while the next points are measured; only
the end of the process waits for those that are left, at most `INIT_SECONDS`, `FINISH_SECONDS` and
some 20 s of the client's own retries for artifacts.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from gradsweep.config import Config, WandbMode
from gradsweep.records import SampleResult
from gradsweep.store import PointPaths
from gradsweep.store.frames import rows_frame, samples_frame
from gradsweep.tracking.tracker import THREAD_PREFIX
from gradsweep.tracking.wandb import mode as wandb_mode
from gradsweep.tracking.wandb.description import RunDescription
from gradsweep.tracking.wandb.pair_difference import difference
from gradsweep.tracking.wandb.run import PointRun

ABANDONED_SECONDS = 1.0
"""How soon a thread sees that the process ends without having ended its point."""

_said: set[str] = set()
"""Faults of settings, which every point of a sweep would meet."""
_LOG = logging.getLogger(__name__)
_Step = tuple[str, Callable[[PointRun], object]]


class WandbTracker:
    """Tracks one point in W&B, in the mode that `wandb_mode.choose_mode` finds."""

    def __init__(
        self, config: Config, point_id: str, sweep: str | None, versions: Mapping[str, str]
    ) -> None:
        self._root = config.results.resolve()
        self._paths = PointPaths(self._root, point_id)
        self._steps: queue.SimpleQueue[_Step | None] = queue.SimpleQueue()
        self._run: PointRun | None = None
        self._thread: threading.Thread | None = None
        description = RunDescription.of_config(config, point_id, sweep, versions)
        mode = self._choose_mode(config.tracking.mode)
        self.description = _described(mode, description, config.results)
        if mode.name != "disabled":
            # No daemon: the process must not end before what it has was handed over.
            self._thread = threading.Thread(
                target=self._work, args=(mode, description), name=f"{THREAD_PREFIX}{point_id}"
            )
            self._thread.start()

    def resume(self, samples: pl.DataFrame, rows: pl.DataFrame) -> None:
        """Log what earlier starts stored and the run does not have."""
        self._do("resuming", lambda run: run.log_samples(samples, rows))

    def log_sample(self, result: SampleResult) -> None:
        """Add a sample to the live curves; one without rows (bad input) is not shown."""
        self._do(
            "logging a sample",
            lambda run: run.log_samples(samples_frame([result]), rows_frame([result])),
        )

    def finish(
        self,
        samples: pl.DataFrame,
        rows: pl.DataFrame,
        rows_file: Path,
        summary: Mapping[str, float],
    ) -> None:
        """Log missing samples, layer curves, summary, table and rows, and upload them."""

        def complete(run: PointRun) -> None:
            run.finish(samples, rows, rows_file, summary, difference(self._paths))

        self._end("finishing", complete)

    def log_steps(self, steps: pl.DataFrame) -> None:
        """Add optimizer steps to the live curves of a training point."""
        self._do("logging a step", lambda run: run.log_steps(steps))

    def finish_training(
        self,
        steps: pl.DataFrame,
        rows: pl.DataFrame,
        rows_file: Path,
        summary: Mapping[str, float],
    ) -> None:
        """Log missing steps, spectra by step, summary and rows, and upload them."""
        self._end("finishing", lambda run: run.finish_training(steps, rows, rows_file, summary))

    def fail(self, reason: str) -> None:
        """Mark the run as failed, with the reason in its summary."""
        self._end("closing the run", lambda run: run.fail(reason))

    def wait(self, seconds: float | None = None) -> None:
        """Wait until a finished point's thread has ended, or so many seconds."""
        if self._thread:
            self._thread.join(seconds)

    def _do(self, action: str, step: Callable[[PointRun], object]) -> None:
        if self._thread:
            self._steps.put((action, step))

    def _end(self, action: str, step: Callable[[PointRun], object]) -> None:
        self._do(action, step)
        self._steps.put(None)

    def _work(self, mode: wandb_mode.Mode, description: RunDescription) -> None:
        """What the thread does: one step after the other; none once something has failed."""
        assert mode.name != "disabled"
        with self._reported(f"starting {mode.name}"):
            self._run = PointRun(description, self._root, mode.name)
        while step := self._next_step():
            if self._run is not None:
                with self._reported(step[0]):
                    step[1](self._run)

    def _next_step(self) -> _Step | None:
        while threading.main_thread().is_alive():
            try:
                return self._steps.get(timeout=ABANDONED_SECONDS)
            except queue.Empty:
                continue
        try:
            return self._steps.get_nowait()
        except queue.Empty:
            return "closing the run", lambda run: self._abandon(run)

    def _abandon(self, run: PointRun) -> None:
        self._steps.put(None)
        run.fail("the process ended")

    def _choose_mode(self, configured: WandbMode) -> wandb_mode.Mode:
        mode = wandb_mode.Mode("disabled", "its settings cannot be used")
        with self._reported("reading its settings", of_every_point=True):
            mode = wandb_mode.choose_mode(configured)
        return mode

    @contextmanager
    def _reported(self, action: str, of_every_point: bool = False) -> Iterator[None]:
        """Turn a fault in the block into one warning and a tracker that is off.

        What every point of a sweep meets is said of the first one; no run has been begun then.

        The client raises `wandb.Error`, `OSError` when its helper process is gone, `TimeoutError`,
        pydantic's `ValidationError`, and private classes whose only base is `Exception`.
        """
        try:
            yield
        except Exception as error:
            self._run = None
            fault = f"{action} ({type(error).__name__}: {' '.join(str(error).split())})"
            if of_every_point and fault in _said:
                return
            _said.add(fault)
            later = f"{self._root} --rebuild" if of_every_point else self._root
            _LOG.warning(
                "W&B failed while %s and is off for point %s from here on; "
                "`python -m gradsweep sync %s` uploads what is missing. "
                "Nothing is lost: all results are kept in %s.",
                *(fault, self._paths.point_id, later, self._root),
            )


def start_tracker(
    config: Config, point_id: str, sweep: str | None, versions: Mapping[str, str]
) -> WandbTracker:
    """Start following a point; what `tracking.make_tracker` calls for `tracking.kind=wandb`."""
    return WandbTracker(config, point_id, sweep, versions)


def _described(mode: wandb_mode.Mode, description: RunDescription, results: Path) -> str:
    """One line for a reader; the same for every point of a sweep."""
    if mode.name == "disabled":
        return f"W&B is off ({mode.reason})"
    project = "/".join(name for name in (description.entity, description.project) if name)
    if mode.name == "online":
        return f"W&B is online ({mode.reason}); project {project}"
    return f"W&B is offline ({mode.reason}); `python -m gradsweep sync {results}` uploads it"
