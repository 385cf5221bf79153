"""Cosines of all pairs of layers: means over samples, by how far the layers lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl
import pytest

from gradsweep.analysis.layer_cosines import cosines_by_distance, layer_cosines


def rows(*samples: Sequence[Sequence[float]], seeds: bool = False) -> pl.DataFrame:
    """Rows of q of samples, each a list by layer of the cosines with the layers above it."""
    lines = [
        {
            **dict.fromkeys(("model", "dataset", "series"), "x"),
            **{"cot": "detailed", "correctness": "correct", "objective": "sft"},
            "point_id": f"p{sample if seeds else ''}",
            "seed": sample if seeds else 0,
            "sample_id": f"s{sample}",
            "question_id": f"q{sample}",
            "layer": layer,
            "projection": "q",
            "nuclear_norm": 1.0,
            "finite": True,
            "layer_cosines": list(cosines),
        }
        for sample, by_layer in enumerate(samples)
        for layer, cosines in enumerate(by_layer)
    ]
    schema = {"layer": pl.Int32, "layer_cosines": pl.List(pl.Float64)}
    return pl.DataFrame(lines, schema_overrides=schema)


@pytest.mark.parametrize("seeds", [False, True], ids=["one point", "two seeds"])
def test_a_pair_of_layers_has_the_mean_over_samples(seeds: bool) -> None:
    found = layer_cosines(
        rows([[0.2, 0.4], [-0.6], []], [[0.4, math.nan], [-0.2], []], seeds=seeds)
    )
    cells = {(a, b): (c, n) for a, b, c, n in found.select(
        "layer", "other_layer", "cosine", "n_samples").iter_rows()}  # fmt: skip
    assert {place: n for place, (_, n) in cells.items()} == {(0, 1): 2, (0, 2): 1, (1, 2): 2}
    assert cells[0, 1][0] == pytest.approx(0.3)
    assert cells[0, 2][0] == pytest.approx(0.4)
    assert cells[1, 2][0] == pytest.approx(-0.4)


def test_pairs_are_averaged_by_how_far_they_lie_apart() -> None:
    by_layer = [[0.1 if other - layer == 1 else -0.5 for other in range(layer + 1, 7)]
                for layer in range(7)]  # fmt: skip
    (line,) = cosines_by_distance(layer_cosines(rows(by_layer))).to_dicts()
    assert line["next"] == pytest.approx(0.1)
    assert line["2 to 4"] == line["5 and more"] == pytest.approx(-0.5)
    assert line["largest"] == pytest.approx(-0.5)


def test_rows_that_failed_their_checksum_and_points_without_cosines_are_left_out() -> None:
    measured = rows([[0.2], []], [[0.8], []])
    distrusted = measured.with_columns(finite=pl.col("sample_id") == "s0")
    assert layer_cosines(distrusted)["cosine"].to_list() == [0.2]
    nothing = measured.with_columns(layer_cosines=pl.lit(None, pl.List(pl.Float64)))
    assert layer_cosines(nothing).is_empty()
    assert layer_cosines(measured.drop("layer_cosines")).is_empty()
