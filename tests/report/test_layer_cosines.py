"""A report of points with cosines between all layers: a table, a map, a section and a picture."""

import polars as pl
from helpers.stored_points import store_point

from gradsweep.analysis.layer_cosines import layer_cosines, measured
from gradsweep.records import Axes
from gradsweep.report.layer_cosines import (
    layer_cosines_markdown,
    save_layer_cosines,
)
from gradsweep.report.page.layer_maps import layer_maps
from gradsweep.store import load_rows


def test_cosines_are_told_where_they_were_measured(tmp_path):
    store_point(tmp_path, "point", Axes("tiny", "sums", "detailed", "correct"), 1.0)
    rows = load_rows(tmp_path)
    assert measured(layer_cosines(rows)) is None
    assert layer_maps(None) == []
    last = int(rows["layer"].to_numpy().max())
    listed = pl.Series([[0.25] * (last - layer) for layer in rows["layer"]])
    found = measured(layer_cosines(rows.with_columns(layer_cosines=listed)))
    assert found is not None
    assert len(found) == 4 * last * (last + 1) / 2
    (path,) = save_layer_cosines(found, tmp_path / "tables")
    assert pl.read_csv(path)["cosine"].to_list() == [0.25] * len(found)
    assert "| sums | detailed | correct | q | 0.25 |" in layer_cosines_markdown(found)
    (drawn,) = layer_maps(found)
    assert drawn["title"] == "tiny · sums"
    assert drawn["picture"].startswith("data:image/png;base64,")
