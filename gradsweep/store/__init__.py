"""Results on disk: the truth of every point. Written atomically, read with Polars."""

from gradsweep.store.paths import PointPaths, SweepPaths, point_folders
from gradsweep.store.point import PointStore
from gradsweep.store.read import load_rows, load_samples_table
from gradsweep.store.state import PointState, failure, point_state

__all__ = [
    "PointPaths",
    "PointState",
    "PointStore",
    "SweepPaths",
    "failure",
    "load_rows",
    "load_samples_table",
    "point_folders",
    "point_state",
]
