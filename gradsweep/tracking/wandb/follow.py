"""Points that run offline, live on a server: one process uploads what all of them store."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress

from gradsweep.store import (
    PointPaths,
    PointState,
    load_rows,
    load_samples_table,
    point_state,
)
from gradsweep.store.points import is_training_point
from gradsweep.store.training import load_training
from gradsweep.tracking.wandb.run import PointRun
from gradsweep.tracking.wandb.run_log import segments
from gradsweep.tracking.wandb.sync import Outcome, Uploader, outcome

LOOK_SECONDS = 10.0


def follow(
    uploader: Uploader,
    point_ids: Collection[str] | None,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[Outcome]:
    """Upload samples as they are stored, and complete the runs of points that end.

    Goes on with points that start later, until it is interrupted; then ends the runs that are
    open. A failed upload is tried again at the next look. Yields what is new.
    """
    live: dict[str, PointRun] = {}
    seen: set[Outcome] = set()
    try:
        while True:
            for paths in uploader.tracked(point_ids):
                news = _look(uploader, paths, live)
                if news and news not in seen:
                    seen.add(news)
                    yield news
            wait(LOOK_SECONDS)
    finally:
        for run in live.values():
            with suppress(Exception):  # nothing is lost: the next sync goes on
                run.fail("still running when sync --live was stopped")


def _look(uploader: Uploader, paths: PointPaths, live: dict[str, PointRun]) -> Outcome | None:
    try:
        if point_state(paths) is not PointState.RUNNING:
            run = live.pop(paths.point_id, None)
            return (
                uploader.complete(paths, uploader.run_id(paths), run)
                if run
                else _new(uploader, paths)
            )
        if not segments(uploader.root, paths.point_id)[-1].offline:
            return None  # it uploads itself
        return _log_new(uploader, paths, live)
    except FileNotFoundError:
        return None  # a point was finished, and its parts joined, in the middle of a look
    except Exception as error:  # the client's classes share no other base
        live.pop(paths.point_id, None)
        return outcome(paths, "failed", f"{error}; tried again")


def _new(uploader: Uploader, paths: PointPaths) -> Outcome | None:
    uploaded = uploader.upload(paths)
    return uploaded if uploaded.done == "uploaded" else None


def _log_new(uploader: Uploader, paths: PointPaths, live: dict[str, PointRun]) -> Outcome | None:
    """The samples of a running point that its run does not have."""
    first = paths.point_id not in live
    if first:
        live[paths.point_id] = uploader.open(paths, uploader.run_id(paths))
    run = live[paths.point_id]
    if is_training_point(paths):
        run.log_steps(load_training(uploader.root, [paths.point_id]).steps)
    else:
        samples = load_samples_table(uploader.root, [paths.point_id])
        run.log_samples(samples, load_rows(uploader.root, [paths.point_id]))
    return outcome(paths, "following", f"→ {run.place}") if first else None
