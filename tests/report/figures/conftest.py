"""What every figure must be: readable, with nothing over anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text


def check_readable(figure: Figure) -> None:
    """All texts lie on the page, are at least 7 points high, and none lies over another."""
    figure.draw_without_rendering()
    texts = [text for text in _drawn(figure) if text.get_visible() and text.get_text().strip()]
    assert len(texts) > len(figure.axes)
    boxes = [text.get_window_extent() for text in texts]
    page = figure.bbox.padded(1)
    for text, box in zip(texts, boxes, strict=True):
        assert text.get_fontsize() >= 7
        assert page.containsx(box.x0), text.get_text()
        assert page.containsx(box.x1), text.get_text()
        assert page.containsy(box.y0), text.get_text()
        assert page.containsy(box.y1), text.get_text()
    for (one, box), (other, other_box) in combinations(zip(texts, boxes, strict=True), 2):
        # The boxes of lines of one text's height have a margin of their own.
        assert not box.padded(-0.5).overlaps(other_box), (one.get_text(), other.get_text())
    (legend,) = figure.legends
    for panel in figure.axes:
        frame = panel.get_window_extent()
        assert frame.height >= 0.4 * figure.dpi
        assert not frame.overlaps(legend.get_window_extent())
        # A number beside the neighbour's panel is read as the neighbour's.
        names = [text.get_window_extent() for text in _tick_labels(panel)]
        others = [other.get_window_extent() for other in figure.axes if other is not panel]
        assert not any(name.overlaps(other) for name in names for other in others)


def _drawn(figure: Figure) -> Iterator[Text]:
    """Texts that become ink: ticks beyond the limits of an axis are there, but not drawn."""
    yield from figure.texts
    for legend in figure.legends:
        yield legend.get_title()
        yield from legend.get_texts()
    for panel in figure.axes:
        yield from (panel.title, panel.xaxis.label, panel.yaxis.label)
        yield from _tick_labels(panel)


def _tick_labels(panel: Axes) -> Iterator[Text]:
    for axis in (panel.xaxis, panel.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if low <= tick.get_loc() <= high and tick.label1.get_visible():
                yield tick.label1


@pytest.fixture(scope="session")
def readable() -> Callable[[Figure], None]:
    return check_readable
