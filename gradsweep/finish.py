"""The end of a point: its parts joined, DONE written, and the tracker told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl

from gradsweep.analysis.mad import summary_scalars
from gradsweep.analysis.sample_metrics import sample_scalars
from gradsweep.config import Config
from gradsweep.data import LoadedSamples
from gradsweep.errors import DataError
from gradsweep.progress import console
from gradsweep.records import WHOLE, SampleStatus, Shard
from gradsweep.report.reduced_points import keep_reduced
from gradsweep.store.point import PointStore
from gradsweep.tracking import NoTracker, Tracker, followed


def finish(
    store: PointStore, tracker: Tracker, loaded: LoadedSamples, cost: Mapping[str, Any]
) -> None:
    """Join the parts, mark the point DONE and hand the whole to the tracker.

    What reports read of the point is made last: without it, it is made by the first of them.

    Raises:
        DataError: not one sample could be measured.
    """
    samples, rows = store.samples(), store.rows()
    outcomes = Counter(samples["status"])
    bad = samples.filter(pl.col("status") != SampleStatus.OK.value)
    if len(bad) == len(samples):
        raise DataError(
            f"none of the {len(samples)} samples could be measured; the first: {bad['reason'][0]}"
        )
    scalars = summary_scalars(rows) | sample_scalars(samples)
    store.finish(
        {
            "samples": dict(outcomes),
            "reasons": dict(Counter(bad["reason"])),
            "flagged_rows": len(rows) - int(rows["finite"].sum()),
            "messages": loaded.messages,
            "seconds": float(samples["seconds"].fill_nan(0).sum()),
            "cost": cost,
            "metrics": scalars,
        }
    )
    keep_reduced(store.paths)
    if len(bad):
        say([f"{len(bad)} of {len(samples)} samples not measured: {bad['reason'][0]} …"])
    tracker.finish(samples, rows, store.paths.rows, scalars)


@contextmanager
def tracked(config: Config, identity: str, shown: bool, shard: Shard = WHOLE) -> Iterator[Tracker]:
    """Follow a point by its tracker.

    Of a shared point, only whoever finishes it tells the tracker: a run has one writer.
    """
    if shard != WHOLE:
        yield NoTracker()
        return
    with followed(config, identity, shown) as tracker:
        yield tracker


def say(messages: Sequence[str]) -> None:
    """Print notes on a point, a line each."""
    for message in messages:
        console.print(f"note: {message}", soft_wrap=True)
