"""Two folders of results, measured in different ways, that hold the same."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from gradsweep import load_rows
from gradsweep.store import load_samples_table


def assert_same_results(ours: Path, theirs: Path) -> None:
    """Every row and sample of `theirs` exactly once, nothing else, and the same numbers."""
    for our_table, their_table in zip(_tables(ours), _tables(theirs), strict=True):
        assert_frame_equal(our_table, their_table, rel_tol=1e-6)


def _tables(results: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows and samples, sorted, without what differs between two runs of one point."""
    # condition_number and rank hang on singular values at the edge of what float64 resolves.
    rows = load_rows(results).drop("checksum_error", "condition_number", "rank")
    samples = load_samples_table(results).drop("seconds")
    return (
        rows.sort("point_id", "sample_id", "layer", "projection"),
        samples.sort("point_id", "sample_id"),
    )
