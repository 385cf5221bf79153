"""Live views of a running point. The Parquet results are the record; a tracker is a projection."""

from gradsweep.tracking.tracker import NoTracker, Tracker, make_tracker, uploads_left

__all__ = ["NoTracker", "Tracker", "make_tracker", "uploads_left"]
