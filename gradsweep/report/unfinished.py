"""Points that are not done: what a report or comparison says of them is of a part of their samples.

A part need not be like the whole: samples of similar length are measured together.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gradsweep.store import PointPaths, PointState, point_state
from gradsweep.store.state import sample_counts

if TYPE_CHECKING:
    from gradsweep.report.page.points import ReportPoints

MOST_NAMED = 5
"""More unfinished points than these are counted, and `status` names them."""
_TOLD = {
    PointState.RUNNING: "is running",
    PointState.STOPPED: "was stopped",
    PointState.FAILED: "has failed",
}


def unfinished_of_report(stored: ReportPoints) -> list[str]:
    """Return a sentence for each point of a report that was started and is not done."""
    return _sentences(
        _sentence(
            f"{' · '.join(point.words)} ({point.point_id[:8]})",
            point.state,
            point.n_stored - point.n_bad,
        )
        for point in stored.points
        if point.state in _TOLD
    )


def unfinished_points(results: Path, point_ids: Iterable[str]) -> list[str]:
    """Return a sentence for each of these points that has numbers and is not done.

    Raises:
        DataError: a file of such a point is damaged.
    """
    points = [PointPaths(results, name) for name in point_ids]
    return _sentences(_of_point(paths) for paths in points if not paths.done.exists())


def _of_point(paths: PointPaths) -> str:
    n_stored, n_bad = sample_counts(paths)
    return _sentence(paths.point_id[:8], point_state(paths), n_stored - n_bad)


def _sentence(name: str, state: PointState, n_measured: int) -> str:
    again = "" if state is PointState.RUNNING else ": the same command again goes on"
    has = f"its numbers are of the {n_measured} samples that are measured so far"
    if not n_measured:
        has = "it has no measured sample yet"
    return f"{name} {_TOLD.get(state, state.value)}, and {has}{again}"


def _sentences(each: Iterable[str]) -> list[str]:
    sentences = list(each)
    if len(sentences) <= MOST_NAMED:
        return sentences
    return [
        f"{len(sentences)} points are not finished, and their numbers are of the samples that are "
        "measured so far, if any: python -m gradsweep status names them"
    ]
