"""Every point that is known of: planned in a manifest, frozen in a submission, or started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from gradsweep.config import CorrectnessKind, cot_reading_key
from gradsweep.config.composition import BUILT_IN, ConfigSource
from gradsweep.errors import DataError
from gradsweep.jobs.frozen import read_frozen
from gradsweep.jobs.queue import Known
from gradsweep.records import AXES, STUDY_OBJECTIVE, full_axes
from gradsweep.store import PointPaths, SweepPaths, point_folders
from gradsweep.store.description import stored_axes
from gradsweep.store.metadata import read_manifest, read_manifests
from gradsweep.store.points import folder_labels
from gradsweep.store.record import read_config
from gradsweep.store.series import model_label


@dataclass(frozen=True)
class KnownPoint:
    """A point, started or not."""

    paths: PointPaths
    axes: dict[str, str]
    """Its value on every axis."""
    n_samples: int | None
    """Asked for; the data may have fewer. None when neither manifest nor config says."""
    sweep: str | None
    """The last sweep that has planned it; None of a single run."""
    overrides: tuple[str, ...] = ()
    """Overrides that its sweep's command line gave it."""
    source: ConfigSource = BUILT_IN
    """Where its sweep's command composed it from."""
    frozen: Path | None = None
    """Its config as the last submission has frozen it."""
    series: str = ""
    """The settings that tell its series apart (`gradsweep.store.series`)."""
    seed: int = 0
    one_seed: bool = True
    """Whether all points it is listed with have its seed, so that nobody needs to be told."""

    @cached_property
    def labels(self) -> dict[str, str]:
        """Its axes as tables show them: the model with the series (`qwen2_1.5b n_samples=2`), and
        with the seed where points differ in it."""
        told = [self.series, "" if self.one_seed else f"seed={self.seed}"]
        axes = full_axes(self.axes)
        return axes | {"model": model_label(axes["model"], " ".join(filter(None, told)))}

    @property
    def point_id(self) -> str:
        return self.paths.point_id


def known_points(results: Path, sweep: str | None, known: Known) -> list[KnownPoint]:
    """The points of a results folder, or of one sweep of it, in reading order.

    Raises:
        DataError: nothing was ever planned or started in `results`, or there is no such sweep.
    """
    frozen = _frozen(known)
    planned = _planned(results, frozen)
    if sweep is not None:
        manifest = read_manifest(SweepPaths(results, sweep))
        ids = [point["point_id"] for point in manifest["points"]]
    else:
        started = [paths.point_id for paths in point_folders(results)]
        ids = list(dict.fromkeys([*planned, *frozen, *started]))
    if not ids:
        raise DataError(
            f"no points in {results}: pass the folder that store.root named, or a sweep"
        )
    points = [planned.get(name) or _started(results, name, frozen.get(name)) for name in ids]
    return sorted(_named(results, points), key=lambda point: _reading_key(point.labels))


def _named(results: Path, points: Sequence[KnownPoint]) -> Iterator[KnownPoint]:
    """Name points as reports do (`folder_labels`)."""
    labels = {line["point_id"]: line for line in folder_labels(results).to_dicts()}
    seeds = {labels[point.point_id]["seed"] for point in points if point.point_id in labels}
    for point in points:
        known = labels.get(point.point_id)
        if known is None:  # frozen by a submission whose manifest is gone
            yield point
            continue
        axes = {axis: known[axis] for axis in AXES}
        yield replace(point, axes=axes, series=known["series"], seed=known["seed"],
                      one_seed=len(seeds) == 1)  # fmt: skip


def _frozen(known: Known) -> dict[str, Path]:
    """Return point_id -> the frozen config of its last submission."""
    return {
        point_id: paths.frozen(point_id)
        for paths, submission in known
        for array in submission.arrays
        for task in array.tasks
        for point_id in task.point_ids
    }


def _planned(results: Path, frozen: Mapping[str, Path]) -> dict[str, KnownPoint]:
    """Read the points of all manifests, without a look at the points themselves."""
    points = {}
    for manifest in read_manifests(results):
        for point in manifest["points"]:
            name = point["point_id"]
            points[name] = KnownPoint(
                PointPaths(results, name),
                full_axes(point["axes"]),
                point.get("n_samples"),
                manifest["name"],
                tuple(point["overrides"]),
                ConfigSource(**manifest.get("source", {})),
                frozen.get(name),
            )
    return points


def _started(results: Path, point_id: str, frozen: Path | None) -> KnownPoint:
    """Describe a point of no manifest from its own config."""
    paths = PointPaths(results, point_id)
    record = _record(paths, frozen)
    science = record.get("science", {})
    # Nobody knows beforehand how many steps responses have.
    samples = None if "by" in science.get("gradients", {}) else science.get("n_samples")
    sweep = record.get("config", {}).get("sweep")
    axes = stored_axes(record) if "axes" in record else {}
    return KnownPoint(paths, axes, samples, sweep, frozen=frozen)


def _record(paths: PointPaths, frozen: Path | None) -> dict[str, Any]:
    """The content of config.yaml, before or after it was started; empty when only planned."""
    if frozen is not None and frozen.exists():
        return read_frozen(frozen)
    return read_config(paths) if paths.config.exists() else {}


def _reading_key(axes: Mapping[str, str]) -> tuple[object, ...]:
    kinds = [kind.name for kind in CorrectnessKind]
    correctness = axes["correctness"]
    rank = kinds.index(correctness) if correctness in kinds else len(kinds)
    objective = axes["objective"]
    return (
        axes["model"],
        objective != STUDY_OBJECTIVE,
        objective,
        axes["dataset"],
        cot_reading_key(axes["cot"]),
        rank,
        correctness,
    )
