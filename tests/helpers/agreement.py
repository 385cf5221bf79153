"""When two measurements of one gradient are the same: rounding has a size, and this is it.

What is zero in exact arithmetic is noise in float32, of a size that depends on the processor, the
library and the number of threads. All gradients of a layer come through the same products, so a
gradient is known no better than a few eps of the largest of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradsweep.records import SampleResult, SpectrumRow

TOLERANCE = 1e-5
"""Relative: how far apart the norms of two float32 passes of a tiny model may be. A deep one's are
judged by their distances from float64, by `verify`."""
NOISE = 1e-6
"""Eight eps of float32, beside the largest gradient of a layer."""
NORMS = ("nuclear_norm", "sigma_max", "frobenius_norm")
COSINES = ("cosine_next_layer", "cosine_partner")
UNCERTAIN = ("checksum_error", "condition_number", "rank")
"""The last singular value above the rank tolerance is as uncertain as the tolerance says."""


def largest_norms(rows: Iterable[SpectrumRow]) -> dict[int, float]:
    """Layer -> the largest Frobenius norm of its gradients."""
    largest: dict[int, float] = {}
    for row in rows:
        largest[row.layer] = max(largest.get(row.layer, 0.0), row.frobenius_norm)
    return largest


def near(value: float, row: SpectrumRow, largest: Mapping[int, float], rel: float) -> Any:
    """What a value of `row` may be on another machine; exactly that when `rel` is 0."""
    of_norm = value / row.frobenius_norm if row.frobenius_norm else 1.0
    return pytest.approx(value, rel=rel, abs=NOISE * largest[row.layer] * of_norm if rel else 0)


def is_noise(row: SpectrumRow, largest: Mapping[int, float]) -> bool:
    """Whether the gradient may as well be zero: its spectrum is then that of rounding."""
    return row.frobenius_norm <= NOISE * largest[row.layer]


def assert_same(
    a: SampleResult, b: SampleResult, rel: float = TOLERANCE, metrics: Sequence[str] = NORMS
) -> None:
    """The same rows in the same order, with the same loss and metrics.

    `rel=0` asks for the same bits: only where the same operations run on the same numbers.
    """
    assert a.loss == pytest.approx(b.loss, rel=rel, abs=0)
    assert [(x.layer, x.projection) for x in a.rows] == [(y.layer, y.projection) for y in b.rows]
    assert len(a.rows) > 0
    largest = largest_norms(b.rows)
    for x, y in zip(a.rows, b.rows, strict=True):
        for name in metrics if not is_noise(y, largest) else NORMS:
            assert getattr(x, name) == near(getattr(y, name), y, largest, rel), (name, x)


def assert_rows_agree(ours: pl.DataFrame, theirs: pl.DataFrame, rel: float = TOLERANCE) -> None:
    """The same rows of stored points, as `assert_same` takes it; cosines within `rel`."""
    measured = [name for name, dtype in theirs.schema.items() if dtype.is_float()]
    others = [name for name in theirs.columns if name not in (*measured, *UNCERTAIN)]
    if "singular_values" in others:
        others.remove("singular_values")
    assert_frame_equal(ours.select(others), theirs.select(others))
    norm = pl.col("frobenius_norm")
    largest = norm.max().over("point_id", "sample_id", "layer")
    for name in measured:
        if name in UNCERTAIN:
            continue
        value = pl.col(name).abs()
        of_norm = pl.when(norm > 0).then(value / norm).otherwise(1.0)
        allowed = pl.lit(rel) if name in COSINES else rel * value + NOISE * largest * of_norm
        error = (ours[name] - theirs[name]).abs()
        assert (ours[name].is_nan() == theirs[name].is_nan()).all(), name
        wrong = theirs.with_columns(error=error.fill_nan(0)).filter(pl.col("error") > allowed)
        assert wrong.is_empty(), (name, wrong)
