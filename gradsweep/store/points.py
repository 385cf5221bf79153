"""The points of a results folder: their names, and which of them can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from gradsweep.records import POINT_LABELS
from gradsweep.store.choice import chosen_one
from gradsweep.store.paths import PointPaths, point_folders
from gradsweep.store.read import no_results, read_config
from gradsweep.store.variants import variant_names

_OF_A_CONDITION = ("cot", "correctness", "n_samples")
"""Science in which points of one comparison may differ: questions pair whatever their number."""


def point_table(results: Path) -> pl.DataFrame:
    """List every stored point, by id: point_id, its axes and variant, as `load_rows` has them.

    Raises:
        DataError: nothing is stored in `results`.
    """
    records = {paths.point_id: read_config(paths) for paths in point_folders(results)}
    if not records:
        raise no_results(results)
    axes = {point_id: record["axes"] for point_id, record in records.items()}
    variants = variant_names(axes, {name: record["science"] for name, record in records.items()})
    return label_frame({name: axes[name] | {"variant": variants[name]} for name in records})


def label_frame(labels: Mapping[str, Mapping[str, str]]) -> pl.DataFrame:
    """Make the table of some points: point_id and `POINT_LABELS`, a line for each."""
    lines = [
        [name, *(chosen[column] for column in POINT_LABELS)] for name, chosen in labels.items()
    ]
    schema = dict.fromkeys(("point_id", *POINT_LABELS), pl.String())
    return pl.DataFrame(lines, schema=schema, orient="row")


def find_point(results: Path, word: str) -> PointPaths:
    """Find the one stored point that `word` means: an id, its beginning, or filters.

    Raises:
        DataError: nothing is stored in `results`.
        ConfigError: no point, or several, are meant; lists them.
    """
    return PointPaths(results, chosen_one(point_table(results), word))


def comparable_points(
    results: Path, science: Mapping[str, Any], *, only_done: bool = False
) -> dict[tuple[str, str], str]:
    """Find the points that differ from `science` in their condition alone.

    Their model, data, seed and measured gradients are the same; CoT level, correctness and number
    of samples may differ. The hash of the data may too: it follows from these. The point itself
    is among them when it is stored.

    Args:
        results: the results folder (`store.root`).
        science: what decides the numbers of a point (`gradsweep.identity.science`).
        only_done: leave out points that are not complete.

    Returns:
        (cot, correctness) -> point_id. Of several points at the same condition the one with as
        many samples as `science` counts; a condition that is still several points (irrelevant
        responses of several sources) is left out, unless one of them is the point itself.
    """
    found: dict[tuple[str, str], list[tuple[str, Mapping[str, Any]]]] = {}
    shared = _shared(science)
    lines = _lines_of_model(science)
    for paths in point_folders(results):
        if only_done and not paths.done.exists():
            continue
        # Most configs are another model's: text is compared in a hundredth of the time of parsing.
        text = paths.config.read_text(encoding="utf-8")
        if not all(line in text for line in lines):
            continue
        record = read_config(paths)
        if _shared(record["science"]) == shared:
            condition = (record["axes"]["cot"], record["axes"]["correctness"])
            found.setdefault(condition, []).append((paths.point_id, record["science"]))
    return {
        condition: point_id
        for condition, points in found.items()
        if (point_id := _the_one(points, science)) is not None
    }


def _the_one(points: list[tuple[str, Mapping[str, Any]]], science: Mapping[str, Any]) -> str | None:
    for narrower in (
        [name for name, own in points if own == science],
        [name for name, own in points if own["n_samples"] == science["n_samples"]],
        [name for name, _ in points],
    ):
        if narrower:
            return narrower[0] if len(narrower) == 1 else None
    return None


def _shared(science: Mapping[str, Any]) -> dict[str, Any]:
    dataset = {name: value for name, value in science["dataset"].items() if name != "data"}
    rest = {name: value for name, value in science.items() if name not in _OF_A_CONDITION}
    return rest | {"dataset": dataset}


def _lines_of_model(science: Mapping[str, Any]) -> list[str]:
    """The lines of a config.yaml that say which model it is, in whatever order they stand."""
    text = yaml.safe_dump({"science": {"model": science["model"]}}, allow_unicode=True)
    return text.splitlines()[2:]
