"""Names and numbers of the W&B schema, without a client."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from statistics import fmean
from typing import Any

import polars as pl
import pytest

from gradsweep.analysis.mad import summary_scalars
from gradsweep.records import METRICS, SampleResult
from gradsweep.store.frames import rows_frame, samples_frame
from gradsweep.tracking.wandb import schema as wandb_schema


def sample_values(*results: SampleResult) -> dict[str, float]:
    """The one history row of a sample."""
    (values,) = wandb_schema.sample_values(samples_frame(results), rows_frame(results))
    return values


RowsOf = Callable[[list[SampleResult]], pl.DataFrame]


def test_every_name_is_one_that_wandb_can_plot(
    results: list[SampleResult], rows_of: RowsOf
) -> None:
    stats = wandb_schema.layer_stats(rows_of(results))
    names = [
        *sample_values(results[0]),
        *wandb_schema.layer_values(stats, {})[0],
        *summary_scalars(rows_of(results)),
    ]
    assert len(names) == len(set(names)) == 2 + 1 + 4 * 4 * len(METRICS)
    assert [name for name in names if not re.fullmatch(r"[_a-zA-Z][_a-zA-Z0-9]*", name)] == []


def test_one_history_row_per_layer_whatever_the_depth(
    results: list[SampleResult], rows_of: RowsOf
) -> None:
    first = rows_of(results).filter(layer=0)
    deep = pl.concat(first.with_columns(layer=pl.lit(layer)) for layer in reversed(range(126)))
    stats = wandb_schema.layer_stats(deep)
    assert [line["layer"] for line in wandb_schema.layer_values(stats, {})] == list(range(126))
    assert len(stats) < 10_000  # what W&B shows of a table


def test_layer_curves_are_those_of_the_report(results: list[SampleResult], rows_of: RowsOf) -> None:
    """Also where a sample lacks a value or a trusted row: its whole curve is then left out."""
    partial = _change_row(results[0], 1, "k", sigma_ratio=math.nan)
    untrusted = _change_row(results[1], 2, "o", finite=False, nuclear_norm=1e9)
    rows = rows_of([partial, untrusted, *results[2:]])
    layers = wandb_schema.layer_values(wandb_schema.layer_stats(rows), {})
    for name, reported in summary_scalars(rows).items():
        if name.startswith("mad_"):
            metric, projection = name.removeprefix("mad_").rsplit("_", 1)
            curve = [line[f"layer_{metric}_{projection}"] for line in layers]
            steps = [abs(after - before) for before, after in pairwise(curve)]
            assert fmean(steps) == pytest.approx(reported)
        else:
            metric, projection = name.split("_mean_")
            curve = [line[f"layer_{metric}_{projection}"] for line in layers]
            assert fmean(curve) == pytest.approx(reported)
    assert layers[0]["layer_sigma_ratio_k"] == pytest.approx(
        fmean(_values(result, "sigma_ratio", "k")[0] for result in results[1:])
    )
    assert max(layers[2]["layer_nuclear_norm_o"], layers[0]["layer_nuclear_norm_o"]) < 1e6


def test_values_that_are_not_finite_stay_out_of_a_samples_means(
    results: list[SampleResult],
) -> None:
    result = results[0]
    whole = sample_values(result)
    partial = sample_values(_change_row(result, 1, "k", sigma_ratio=math.nan))
    assert {name for name in whole if whole[name] != partial[name]} == {"s_sigma_ratio_k"}
    given = _values(result, "sigma_ratio", "k")
    assert partial["s_sigma_ratio_k"] == pytest.approx((given[0] + given[2]) / 2)
    for layer in range(3):
        result = _change_row(result, layer, "k", sigma_ratio=math.nan)
    assert set(whole) - set(sample_values(result)) == {"s_sigma_ratio_k"}


def test_stored_samples_give_the_rows_that_live_ones_gave(results: list[SampleResult]) -> None:
    """Bit by bit, in whatever order they were measured."""
    live = [sample_values(result) for result in results]
    mixed = [results[i] for i in (2, 0, 3, 1)]
    stored = wandb_schema.sample_values(samples_frame(results), rows_frame(mixed))
    assert stored == live


def test_a_metric_that_was_not_measured_is_not_shown(
    results: list[SampleResult], rows_of: RowsOf
) -> None:
    unmeasured = [
        replace(r, rows=tuple(replace(row, cosine_partner=math.nan) for row in r.rows))
        for r in results
    ]
    rows = rows_of(unmeasured)
    (first, *_) = wandb_schema.layer_values(wandb_schema.layer_stats(rows), {})
    for names in (sample_values(unmeasured[0]), first, summary_scalars(rows)):
        assert any("nuclear_norm" in name for name in names)
        assert not any("cosine_partner" in name for name in names)


def test_a_row_that_failed_its_checksum_stays_out_of_a_samples_means(
    results: list[SampleResult],
) -> None:
    untrusted = _change_row(results[0], 0, "q", finite=False, nuclear_norm=1e9)
    given = _values(results[0], "nuclear_norm", "q")
    shown = sample_values(untrusted)["s_nuclear_norm_q"]
    assert shown == pytest.approx((given[1] + given[2]) / 2)


def _values(result: SampleResult, metric: str, projection: str) -> list[float]:
    """By layer."""
    return [getattr(row, metric) for row in result.rows if row.projection == projection]


def _change_row(result: SampleResult, layer: int, projection: str, **changes: Any) -> SampleResult:
    rows = tuple(
        replace(row, **changes) if (row.layer, row.projection) == (layer, projection) else row
        for row in result.rows
    )
    return replace(result, rows=rows)
