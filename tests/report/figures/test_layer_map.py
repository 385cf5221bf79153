"""A map of layers by layers: cells are the cosines, on either side of the diagonal."""

import numpy as np
import polars as pl
import pytest

from gradsweep.report.figures.layer_map import draw_layer_map


def cosines(n_layers: int = 30, kinds=("correct",), levels=("detailed",)) -> pl.DataFrame:
    """A cosine is the layers' sum over 100, of irrelevant responses negative."""
    lines = [
        {"cot": cot, "correctness": kind, "projection": name, "layer": low, "other_layer": high,
         "cosine": (low + high) / 100 * (1 if kind == "correct" else -1)}
        for cot in levels for kind in kinds for name in "qv"
        for low in range(n_layers) for high in range(low + 1, n_layers)
    ]  # fmt: skip
    model = {"model": pl.lit("smollm2_135m_instruct"), "dataset": pl.lit("gsm8k")}
    return pl.DataFrame(lines).with_columns(**model)


@pytest.mark.parametrize("kinds", [("correct",), ("correct", "irrelevant")])
def test_irrelevant_responses_are_below_the_diagonal_where_there_are_any(kinds):
    figure = draw_layer_map(cosines(4, kinds), "layer_cosines")
    (mesh,) = figure.axes[0].collections
    values = np.ma.filled(mesh.get_array(), np.nan).reshape(4, 4)
    assert np.isnan(np.diag(values)).all()
    assert values[3, 1] == pytest.approx(0.04)
    assert values[1, 3] == pytest.approx(-0.04 if "irrelevant" in kinds else 0.04)


@pytest.mark.parametrize(("n_layers", "levels"), [(30, ["none", "detailed"]), (80, ["none"])])
def test_a_map_is_readable(n_layers, levels, readable):
    readable(draw_layer_map(cosines(n_layers, levels=levels), "layer_cosines"))


def test_without_cosines_there_is_none():
    assert draw_layer_map(cosines(2).clear(), "layer_cosines") is None
