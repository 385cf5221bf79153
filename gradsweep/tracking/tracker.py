"""The tracker protocol and the tracker that tracks nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gradsweep.records import SampleResult

if TYPE_CHECKING:
    import polars as pl


THREAD_PREFIX = "tracking-"
"""Beginning of the names of threads that upload what extraction has finished with."""


class Tracker(Protocol):
    """Follows one point. No method raises, or waits, because a tracking service is broken."""

    @property
    def description(self) -> str:
        """Where the points of these results can be followed, and why there; one line to print."""
        ...

    def resume(self, samples: pl.DataFrame, rows: pl.DataFrame) -> None:
        """Show what earlier starts of the point stored, as far as it is not shown yet."""
        ...

    def log_sample(self, result: SampleResult) -> None:
        """Show a sample. Call it after the sample is stored, once per newly computed sample."""
        ...

    def finish(
        self,
        samples: pl.DataFrame,
        rows: pl.DataFrame,
        rows_file: Path,
        summary: Mapping[str, float],
    ) -> None:
        """End a point that is complete; samples that are not shown yet are shown.

        Args:
            samples: every sample of the point, of earlier starts too, as the store gives them.
            rows: the same of its rows.
            rows_file: the same rows as one Parquet file that will not change any more.
            summary: scalars of the whole point by name, `[_a-zA-Z][_a-zA-Z0-9]*`.
        """
        ...

    def log_steps(self, steps: pl.DataFrame) -> None:
        """Show optimizer steps of a training point, as far as they are not shown yet."""
        ...

    def finish_training(
        self,
        steps: pl.DataFrame,
        rows: pl.DataFrame,
        rows_file: Path,
        summary: Mapping[str, float],
    ) -> None:
        """End a training point that is complete: its steps, rows of all steps, and as `finish`."""
        ...

    def fail(self, reason: str) -> None:
        """End a point that stopped early; it may be resumed later under the same id."""
        ...


class NoTracker:
    """Tracks nothing."""

    description = "not tracked (tracking=none)"

    def resume(self, samples: pl.DataFrame, rows: pl.DataFrame) -> None:
        pass

    def log_sample(self, result: SampleResult) -> None:
        pass

    def finish(
        self,
        samples: pl.DataFrame,
        rows: pl.DataFrame,
        rows_file: Path,
        summary: Mapping[str, float],
    ) -> None:
        pass

    def log_steps(self, steps: pl.DataFrame) -> None:
        pass

    def finish_training(
        self,
        steps: pl.DataFrame,
        rows: pl.DataFrame,
        rows_file: Path,
        summary: Mapping[str, float],
    ) -> None:
        pass

    def fail(self, reason: str) -> None:
        pass


def uploads_left(seconds: float) -> int:
    """Count points still uploaded after so long; the end of the process waits for them."""
    deadline = time.monotonic() + seconds
    threads = [t for t in threading.enumerate() if t.name.startswith(THREAD_PREFIX)]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return sum(thread.is_alive() for thread in threads)
