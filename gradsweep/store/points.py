"""The points of a results folder: their names, and which of them can be compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from gradsweep.config.objective import MEMBERS
from gradsweep.store.choice import chosen_one
from gradsweep.store.description import Description, describe, read_description
from gradsweep.store.kept import save_kept
from gradsweep.store.metadata import no_results, read_manifests
from gradsweep.store.paths import PointPaths, point_folders
from gradsweep.store.record import RecordError, read_config
from gradsweep.store.series import label_frame, point_labels, shared_settings


def folder_labels(
    results: Path,
    record: Mapping[str, Any] | None = None,
    without: frozenset[str] = frozenset(),
) -> pl.DataFrame:
    """Name every point of a folder, by id: point_id, axes, `series` and `seed`.

    The one place where points get their names: those that are stored and those that a sweep's
    manifest plans, all together, so that a point has one name wherever it is read. With them the
    point of `record` (`gradsweep.identity.point_record`), which may be neither.

    Raises:
        RecordError: a point's config.yaml cannot be read, and its id is not in `without`.
    """
    marks = _marks(results, without)
    known = _known(results, marks, without)
    if record is not None and str(record["point_id"]) not in known:
        known = known | {str(record["point_id"]): describe(record)}
        return label_frame(point_labels(known))
    return _labelled(results, marks, without)


_Marks = tuple[tuple[str, int, int], ...]
"""Files that say what the points of a folder are, with time of change and size."""


def _marks(results: Path, without: frozenset[str]) -> _Marks:
    files = [str(path) for path in (results / "sweeps").glob("*/manifest.json")]
    files += [f"{paths.folder}/config.yaml" for paths in _readable(results, without)]
    return tuple((file, *_version(file)) for file in files)


def _readable(results: Path, without: frozenset[str]) -> list[PointPaths]:
    return [paths for paths in point_folders(results) if paths.point_id not in without]


def _version(file: str | Path) -> tuple[int, int]:
    """Time of change and size; nothing of a file that is gone, which its reader will say."""
    try:
        stat = os.stat(file)
    except FileNotFoundError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


def settings_of_all(results: Path, without: frozenset[str] = frozenset()) -> frozenset[str]:
    """List the settings that every point of a folder has (`shared_settings`), as filters do."""
    return shared_settings(_known(results, _marks(results, without), without).values())


@lru_cache(maxsize=4)
def _known(results: Path, marks: _Marks, without: frozenset[str]) -> dict[str, Description]:
    """Every point that is planned or stored; read again when one of the files has changed."""
    planned = {
        str(point["point_id"]): read_description(point)
        for manifest in read_manifests(results)
        for point in manifest["points"]
        if "axes" in point
    }
    stored = {paths.point_id: stored_description(paths) for paths in _readable(results, without)}
    save_kept(results)
    return planned | stored


@lru_cache(maxsize=4)
def _labelled(results: Path, marks: _Marks, without: frozenset[str]) -> pl.DataFrame:
    return label_frame(point_labels(_known(results, marks, without)))


def point_table(results: Path, without: frozenset[str] = frozenset()) -> pl.DataFrame:
    """Name every stored point, by id (`folder_labels`), but those of the ids in `without`.

    Raises:
        DataError: nothing is stored in `results`.
        RecordError: as `folder_labels`.
    """
    if not point_folders(results):
        raise no_results(results)
    stored = [paths.point_id for paths in _readable(results, without)]
    labels = folder_labels(results, without=without)
    return labels.filter(pl.col("point_id").is_in(stored)).sort("point_id")


def stored_description(paths: PointPaths) -> Description:
    """Describe a stored point; its config.yaml is read once while it stays the same.

    Raises:
        RecordError: config.yaml cannot be read (`read_config`).
    """
    return _described(paths, *_version(paths.config))


def unreadable_points(results: Path) -> dict[str, RecordError]:
    """Find the points of a folder whose record cannot be read, by id."""
    found = {}
    for paths in point_folders(results):
        try:
            stored_description(paths)
        except RecordError as error:
            found[paths.point_id] = error
    return found


def is_training_point(paths: PointPaths) -> bool:
    """Whether a stored point's model is trained while it is measured: its rows have a `step`."""
    return stored_description(paths).trains


@lru_cache(maxsize=100_000)
def _described(paths: PointPaths, changed: int, size: int) -> Description:
    return describe(read_config(paths))


def find_point(results: Path, word: str, without: frozenset[str] = frozenset()) -> PointPaths:
    """Find the one stored point that `word` means: an id, its beginning, or filters.

    Raises:
        DataError: nothing is stored in `results`.
        ConfigError: no point, or several, are meant; lists them.
    """
    shared = settings_of_all(results, without)
    return PointPaths(results, chosen_one(point_table(results, without), word, shared))


def other_conditions(
    results: Path,
    record: Mapping[str, Any],
    *,
    only_done: bool = False,
    labels: pl.DataFrame | None = None,
) -> dict[tuple[str, str], str]:
    """Find the stored points of a point's other conditions: (cot, correctness) -> id.

    They have the same model, dataset, objective, series and seed.

    The point itself is among them when it is stored. Of several points at a condition, which
    differ in what more was measured, the one counts that measured least, then the first by id.

    Args:
        results: the results folder (`store.root`).
        record: of the point (`gradsweep.identity.point_record`), which need not be stored.
        only_done: leave out points that are not complete.
        labels: of the folder with this point (`folder_labels`), where they are at hand.
    """
    point_id = str(record["point_id"])
    labels = folder_labels(results, record) if labels is None else labels
    itself = labels.filter(pl.col("point_id") == point_id)
    same = ["model", "dataset", "objective", "series", "seed"]
    candidates = labels.join(itself.select(same), on=same, how="semi")
    places = [PointPaths(results, name) for name in candidates["point_id"]]
    stored = {
        paths.point_id: paths
        for paths in places
        if (paths.done if only_done else paths.config).exists()
    }
    candidates = candidates.filter(pl.col("point_id").is_in(list(stored)))
    found: dict[tuple[str, str], str] = {}
    for line in sorted(candidates.to_dicts(), key=lambda line: _least(stored[line["point_id"]])):
        found.setdefault((line["cot"], line["correctness"]), line["point_id"])
    if point_id in stored:
        found[itself["cot"][0], itself["correctness"][0]] = point_id
    return found


def _least(paths: PointPaths) -> tuple[int, str]:
    """Sorts points of a condition by how much was measured of each sample."""
    science = read_config(paths)["science"]
    measured = science.get("gradients", {})
    members = int(bool(science.get("objective", {}).get(MEMBERS)))
    return len(measured) + len(measured.get("projections", ())) + members, paths.point_id
