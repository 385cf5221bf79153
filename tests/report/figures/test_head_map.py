"""A map of layers by heads: cells are the numbers, dots the heads that respond."""

import numpy as np
import polars as pl
import pytest

from gradsweep.report.figures.head_map import draw_head_map


def responses(n_layers: int = 30, heads: dict[str, int] | None = None) -> pl.DataFrame:
    """d_z is the layer minus the head; head 1 of layer 2 of each projection responds."""
    heads = heads or {"q": 9, "k": 3, "v": 3, "o": 9}
    places = [(name, layer, head) for name, count in heads.items()
              for layer in range(n_layers) for head in range(count)]  # fmt: skip
    frame = pl.DataFrame(places, schema=["projection", "layer", "head"], orient="row")
    responds = (pl.col("layer") == 2) & (pl.col("head") == 1)
    return frame.with_columns(
        model=pl.lit("smollm2_135m_instruct"),
        dataset=pl.lit("gsm8k"),
        cot=pl.lit("detailed"),
        cohen_dz=(pl.col("layer") - pl.col("head")).cast(pl.Float64),
        p_adjusted=pl.when(responds).then(0.01).otherwise(0.5),
    )


def test_cells_are_effect_sizes_and_dots_those_that_respond():
    figure = draw_head_map(responses(5, {"q": 4, "v": 2}), "nuclear_norm")
    assert figure is not None
    for panel, count in zip(figure.axes[:2], (4, 2), strict=True):
        (mesh,) = panel.collections
        values = np.asarray(mesh.get_array()).reshape(5, count)
        assert values.tolist() == np.subtract.outer(np.arange(5), np.arange(count)).tolist()
        assert mesh.norm.vmin == -mesh.norm.vmax == -4
        (dots,) = panel.lines
        assert (dots.get_xdata().tolist(), dots.get_ydata().tolist()) == ([1.5], [2.5])
    assert [panel.get_title() for panel in figure.axes[:2]] == ["Q", "V"]


@pytest.mark.parametrize(
    ("n_layers", "heads"),
    [(30, None), (80, {"q": 64, "k": 8, "v": 8, "o": 64}), (2, {"q": 1})],
    ids=["small", "large", "one head"],
)
def test_a_map_is_readable(n_layers, heads, readable):
    readable(draw_head_map(responses(n_layers, heads), "effective_rank"))


def test_without_values_there_is_none():
    assert draw_head_map(responses(2).with_columns(cohen_dz=np.nan), "nuclear_norm") is None
