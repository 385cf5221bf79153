"""Samples that another point of the series has measured already: more of them cost only the rest.

The first n questions of a seed are among the first m > n of the same seed, with the same texts, so
their rows are the same too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from gradsweep.errors import DataError
from gradsweep.records import SampleStatus
from gradsweep.store.description import Description, describe
from gradsweep.store.model_commit import keep_commit, kept_commit
from gradsweep.store.paths import PointPaths, point_folders
from gradsweep.store.point import PointStore
from gradsweep.store.points import stored_description
from gradsweep.store.read import stored_table
from gradsweep.store.record import read_config

_COUNT = "n_samples"
_DECIDES_ROWS = ("model", "gradients", "objective")


def take_measured(store: PointStore, record: Mapping[str, Any], units: Mapping[str, int]) -> int:
    """Copy what points that differ in `n_samples` alone have of this point's samples.

    Args:
        store: of the point, which keeps what it has.
        record: of the point (`gradsweep.identity.point_record`).
        units: id of each unit of the point -> its place in the point's order.

    Returns:
        How many samples were copied.

    Raises:
        StoreError: the disk is full.
    """
    copied = 0
    for paths in _siblings(store.paths, record):
        missing = {name: index for name, index in units.items() if name not in store.stored_ids}
        if not missing:
            break
        try:
            samples, rows = stored_table(paths, "samples"), stored_table(paths, "rows")
        except DataError:
            continue
        samples = samples.filter(
            pl.col("status") == SampleStatus.OK.value, pl.col("sample_id").is_in(list(missing))
        )
        if samples.is_empty() or not _same_weights(store.paths, paths):
            continue
        places = pl.col("sample_id").replace_strict(missing, return_dtype=pl.Int32())
        rows = rows.join(samples, on="sample_id", how="semi")
        store.copy(samples.with_columns(index=places), rows)
        copied += len(samples)
    return copied


def _siblings(paths: PointPaths, record: Mapping[str, Any]) -> Iterator[PointPaths]:
    """Points that differ from this one in their number of samples alone."""
    wanted = _uncounted(describe(record))
    for other in point_folders(paths.results):
        try:
            if other == paths or _uncounted(stored_description(other)) != wanted:
                continue
            science = read_config(other)["science"]
        except DataError:
            continue  # damaged: whoever reads that point is told
        if all(science.get(name) == record["science"].get(name) for name in _DECIDES_ROWS):
            yield other


def _uncounted(point: Description) -> Description:
    settings = {name: value for name, value in point.settings.items() if name != _COUNT}
    return replace(point, settings=settings)


def _same_weights(paths: PointPaths, other: PointPaths) -> bool:
    """Whether a hub model's commit is the other point's; a point that has none takes it."""
    commit = kept_commit(other)
    return commit == (kept_commit(paths) if commit is None else keep_commit(paths, commit))
