"""Live views of a running point. The Parquet results are the record; a tracker is a projection.

A tracker is a folder of this one: `<name>/tracker.py` with `start_tracker`, which takes what
`make_tracker` takes and returns a `Tracker`; and its option, conf/tracking/<name>.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

from gradsweep.config import NO_TRACKER, Config
from gradsweep.progress import say_once
from gradsweep.tracking.tracker import NoTracker, Tracker, uploads_left
from gradsweep.versions import versions as installed_versions

__all__ = ["NoTracker", "Tracker", "followed", "make_tracker", "uploads_left"]


def make_tracker(
    config: Config, point_id: str, sweep: str | None, versions: Mapping[str, str]
) -> Tracker:
    """Start tracking a point as `config.tracking` says.

    Args:
        config: the point's resolved configuration.
        point_id: names the run, so that a resumed point continues it.
        sweep: groups the runs of one sweep; None leaves the run ungrouped.
        versions: of the packages that decide the numbers, by package name.
    """
    kind = config.tracking.kind
    if kind == NO_TRACKER:
        return NoTracker()
    # A client takes half a second to import and is not needed by a run that does not use it.
    tracker = import_module(f"{__name__}.{kind}.tracker")
    started: Tracker = tracker.start_tracker(config, point_id, sweep, versions)
    return started


@contextmanager
def followed(config: Config, point_id: str, shown: bool) -> Iterator[Tracker]:
    """Follow a point inside the block, which ends it; what is raised there ends it as failed.

    Args:
        config: the point.
        point_id: its id.
        shown: say once where it can be followed.
    """
    tracker = make_tracker(config, point_id, config.sweep, installed_versions())
    if shown:
        say_once(tracker.description)
    try:
        yield tracker
    except BaseException as error:
        tracker.fail(f"{type(error).__name__}: {error}")
        raise
