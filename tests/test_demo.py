"""The study's central result, on the embedded model and data, as `make demo` shows it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from gradsweep import compose, extract, load_rows
from gradsweep.report import comparisons


@pytest.mark.slow
@pytest.mark.usefixtures("embedded_model", "one_load")
def test_fast_thinking_gives_larger_and_more_uneven_gradients(tmp_path: Path) -> None:
    for cot in ("none", "simplified", "detailed"):
        overrides = (f"cot={cot}", "n_samples=3", "tracking=none", f"store.root={tmp_path}")
        extract(compose(*overrides), show_progress=False)
    (comparison,) = comparisons(load_rows(tmp_path))
    for statistic in (comparison.means, comparison.mads):
        for projection in "qkvo":
            none, simplified, detailed = (
                statistic[cot, "correct", projection] for cot in ("none", "simplified", "detailed")
            )
            assert none > 1.5 * simplified > 1.5 * 1.5 * detailed, projection
    rows = load_rows(tmp_path)
    assert rows["finite"].all()
    assert rows.filter(pl.col("checksum_error") > 1e-6).is_empty()
