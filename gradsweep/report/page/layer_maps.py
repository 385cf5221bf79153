"""Maps of cosines between layers on the page: pictures inside of it, as the figures have them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

import polars as pl

from gradsweep.report.figures.style import encoded_png
from gradsweep.report.layer_cosines import layer_cosine_drawings

MOST_MAPS = 6
"""Of a page, each most of a second and some fifty kilobytes; figures/ has all."""


def layer_maps(cosines: pl.DataFrame | None) -> list[dict[str, str]]:
    """Draw the maps of the first models and datasets: title, and the picture as a data URI.

    Args:
        cosines: of `layer_cosines`; None gives no map.
    """
    return [] if cosines is None else list(_drawn(cosines))


def _drawn(cosines: pl.DataFrame) -> Iterator[dict[str, str]]:
    for drawing in layer_cosine_drawings(cosines)[:MOST_MAPS]:
        figure = drawing.draw(drawing.frame, drawing.metric)
        if figure is not None:
            picture = b64encode(encoded_png(figure)).decode()
            title = " · ".join(drawing.names[:-1])
            yield {"title": title, "picture": f"data:image/png;base64,{picture}"}
