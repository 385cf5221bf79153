"""The study's central result, on the embedded model and data, as `make demo` shows it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from gradsweep import load_rows
from gradsweep.report import comparisons


@pytest.mark.long
def test_fast_thinking_gives_larger_and_more_uneven_gradients(demo_points: Path) -> None:
    rows = load_rows(demo_points)
    (comparison,) = comparisons(rows)
    for statistic in (comparison.means, comparison.mads):
        for projection in "qkvo":
            none, simplified, detailed = (
                statistic[cot, "correct", projection] for cot in ("none", "simplified", "detailed")
            )
            assert none > 1.5 * simplified > 1.5 * 1.5 * detailed, projection
    assert rows["finite"].all()
    assert rows.filter(pl.col("checksum_error") > 1e-6).is_empty()
