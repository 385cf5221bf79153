"""Probes before the first step, which every run on the same weights has: measured once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import polars as pl

from gradsweep.errors import DataError
from gradsweep.records import Moment, SampleStatus
from gradsweep.store.frames import of_moment
from gradsweep.store.paths import PointPaths, point_folders
from gradsweep.store.points import is_training_point
from gradsweep.store.read import stored_table
from gradsweep.store.record import read_config
from gradsweep.store.training import TrainingStore

_DECIDES = ("model", "gradients", "objective")
"""Parts of a point's science that decide what a probe before the first step gives."""


def take_first_probe(store: TrainingStore, moment: Moment, sample_ids: Collection[str]) -> bool:
    """Take a probe of step 0 from another training point of the folder that has measured it.

    Args:
        store: of the point that lacks it.
        moment: of step 0.
        sample_ids: what it measures; the other point must have just these, all well.

    Returns:
        Whether there was such a point.
    """
    assert moment.step == 0
    record = read_config(store.paths)
    for paths in point_folders(store.paths.results):
        if paths.point_id == store.paths.point_id or not _is_alike(paths, record):
            continue
        samples = _of_moment(paths, "samples", moment)
        whole = set(samples["sample_id"]) == set(sample_ids)
        if whole and (samples["status"] == SampleStatus.OK.value).all():
            store.copy_moment(moment, samples, _of_moment(paths, "rows", moment))
            return True
    return False


def _is_alike(paths: PointPaths, record: Mapping[str, Any]) -> bool:
    """Whether a point is trained from the same weights as that of the record."""
    try:
        return is_training_point(paths) and _same_weights(record, read_config(paths))
    except DataError:
        return False  # damaged: whoever reads that point is told


def _same_weights(record: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    ours, theirs = record["science"], other["science"]
    same = all(ours.get(part) == theirs.get(part) for part in _DECIDES)
    kinds = [science["training"].get("kind") for science in (ours, theirs)]
    versions = record.get("versions") == other.get("versions")
    return same and kinds[0] == kinds[1] and versions


def _of_moment(paths: PointPaths, kind: str, moment: Moment) -> pl.DataFrame:
    return of_moment(stored_table(paths, kind), moment)
