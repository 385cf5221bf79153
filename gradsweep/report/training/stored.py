"""Which of the points that a report means are training points."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from gradsweep.report.training.study import TrainingStudy, training_study
from gradsweep.store import point_folders
from gradsweep.store.paths import started
from gradsweep.store.points import is_training_point, point_table
from gradsweep.store.selection import Selection
from gradsweep.store.training import load_training


def trained_points(results: Path, point_ids: Collection[str] | None = None) -> list[str]:
    """List the training points among some of a folder (all when None), started or done."""
    chosen = point_folders(results) if point_ids is None else started(results, point_ids)
    return [paths.point_id for paths in chosen if is_training_point(paths)]


def chosen_training(selection: Selection) -> tuple[list[str], list[str]]:
    """Split the stored points that `selection` means: training points, and all others.

    Raises:
        ConfigError: a filter that no stored point has, or filters that together keep none.
        DataError: nothing is stored there.
    """
    chosen = selection.of(point_table(selection.results))["point_id"].to_list()
    trained = trained_points(selection.results, chosen)
    of_others = set(chosen) - set(trained)
    return trained, [name for name in chosen if name in of_others]


def chosen_study(selection: Selection, metrics: Sequence[str]) -> TrainingStudy | None:
    """Compute what a report says of training points; None where none has stored anything.

    Raises as `chosen_training`.
    """
    if not trained_points(selection.results):
        return None
    trained, _ = chosen_training(selection)
    return stored_study(selection.results, trained, metrics) if trained else None


def stored_study(
    results: Path, point_ids: Collection[str], metrics: Sequence[str]
) -> TrainingStudy | None:
    """Compute what a report says of these training points; None where they have stored nothing."""
    tables = load_training(results, point_ids)
    if tables.samples.is_empty() and tables.steps.is_empty():
        return None
    return training_study(tables, metrics)
