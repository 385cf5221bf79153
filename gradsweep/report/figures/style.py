"""How every figure looks: colours, panels, legend, and files that are the same every time."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gradsweep.analysis.rows import IRRELEVANT, main_responses
from gradsweep.report.labels import file_stem, level_label
from gradsweep.store.atomic import write_bytes

COLUMN_WIDTH = 3.3
"""Inches: one column of a two-column paper; figures fit without scaling."""

ROW_INCHES = 1.3
LOW_ROW_INCHES = 1.1
"""Height of a row in figures with a row for each dataset."""
_ROOM_FOR_LEGEND = 0.4
"""Of the inch that a figure has beside its rows: a title and entries of a line each."""

INK = "#222222"
IRRELEVANT_DASHES = (0, (3, 1.2))
LINE_POINTS = 1.2
LABEL_POINTS = 8
TICK_POINTS = 7
TITLE_POINTS = 9
_GRID = "#E3E3E3"


def panel_grid(
    n_rows: int, n_columns: int, *, row_inches: float
) -> tuple[Figure, NDArray[np.object_]]:
    """Make empty panels that share x axes, and y axes within a row.

    Four columns are as wide as a page, one as a column of text.
    """
    width = max(COLUMN_WIDTH, 0.74 + 1.54 * n_columns)
    # Room for half a tick label of this row and half of one of the next.
    layout = ConstrainedLayoutEngine(h_pad=0.065)
    figure = Figure(figsize=(width, 1.0 + row_inches * n_rows), layout=layout)
    axes = figure.subplots(n_rows, n_columns, sharex=True, sharey="row", squeeze=False)
    return figure, axes


def dress(panel: Axes) -> None:
    """Give a panel few ticks, a quiet grid and no box."""
    panel.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    panel.grid(axis="y", color=_GRID, linewidth=0.5)
    panel.set_axisbelow(True)
    panel.tick_params(labelsize=TICK_POINTS, width=0.6, length=2.5, color=INK, labelcolor=INK)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set(linewidth=0.6, color=INK)


def layer_axis(panel: Axes, last: int) -> None:
    """Make an x axis of the layers 0 to `last`, with ticks at layers only."""
    margin = max(0.5, 0.03 * last)
    panel.set_xlim(-margin, last + margin)
    ticks = MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=True).tick_values(0, last)
    panel.set_xticks([int(tick) for tick in ticks if tick == int(tick) and 0 <= tick <= last])


def name_columns(panels: Sequence[Axes], names: Sequence[str]) -> None:
    for panel, name in zip(panels, names, strict=True):
        panel.set_title(name, fontsize=TITLE_POINTS, fontweight="bold", color=INK)


def name_row(panel: Axes, name: str, row_inches: float) -> None:
    """Write the name of a row beside its first panel and no longer than the row is high."""
    label = _wrapped(name, row_inches - 0.05)
    panel.set_ylabel(label, fontsize=LABEL_POINTS, color=INK, parse_math=False)


def name_axes(figure: Figure, x: str, y: str) -> None:
    """Name the axes of all panels together; `y` in as many lines as the figure's height takes."""
    y = _wrapped(y, figure.get_figheight())
    figure.supxlabel(x, fontsize=LABEL_POINTS, color=INK)
    figure.supylabel(y, fontsize=LABEL_POINTS, color=INK)


def line_handles(
    conditions: Sequence[tuple[str, str]], colours: dict[str, str]
) -> list[Line2D | Patch]:
    """Make legend entries of (cot, correctness) curves: levels by colour, irrelevant by dashes."""
    main = main_responses([correctness for _, correctness in conditions])
    handles: list[Line2D | Patch] = [
        Line2D(
            [], [], color=colours[cot], linewidth=LINE_POINTS, label=f"{level_label(cot)}, {main}"
        )
        for cot, correctness in dict.fromkeys(conditions)
        if correctness == main
    ]
    with_irrelevant = [cot for cot, correctness in conditions if correctness == IRRELEVANT]
    if with_irrelevant:
        # Dashes have the colour of their level, so the legend shows no level's.
        dashes = Line2D([], [], color=INK, linestyle=IRRELEVANT_DASHES, linewidth=LINE_POINTS)
        dashes.set_label("irrelevant")
        handles.append(dashes)
    return handles


def add_legend(figure: Figure, title: str, handles: Sequence[Line2D | Patch]) -> None:
    """Put one legend above the panels, below the title: the two share a box, so never overlap.

    The figure grows by what they take beyond one line each, so that panels keep their height.
    """
    title = _wrapped(title, figure.get_figwidth())
    columns = max(1, min(len(handles), int(figure.get_figwidth() / _entry_inches(handles))))
    legend = figure.legend(
        handles=handles,
        loc="outside upper center",
        title=title,
        title_fontsize=TITLE_POINTS,
        ncols=columns,
        fontsize=LABEL_POINTS,
        labelcolor=INK,
        frameon=False,
        columnspacing=1.2,
        handlelength=1.8,
    )
    legend.get_title().set(color=INK, multialignment="center", parse_math=False)
    more = _lines_inches(title, TITLE_POINTS) + _rows_inches(handles, columns) - _ROOM_FOR_LEGEND
    figure.set_figheight(figure.get_figheight() + max(0.0, more))


def _rows_inches(handles: Sequence[Line2D | Patch], columns: int) -> float:
    """Height of a legend's entries, which fill one column after the other."""
    heights = [_lines_inches(str(handle.get_label()), LABEL_POINTS) for handle in handles]
    rows = max(1, -(-len(heights) // columns))
    return max((sum(heights[at : at + rows]) for at in range(0, len(heights), rows)), default=0.0)


def _lines_inches(text: str, points: float) -> float:
    """Height of a text with the space below it."""
    return (text.count("\n") + 1) * 1.25 * points / 72 + 0.03


def _entry_inches(handles: Sequence[Line2D | Patch]) -> float:
    """Width of a legend's widest entry: letters of eight points, a handle and space."""
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    return max(1.65, 0.5 + 0.065 * longest)


def _wrapped(title: str, width_inches: float) -> str:
    """`title` in lines that fit: a letter of nine points is about 0.08 inches wide.

    Lines end at a blank or after a sign that joins words in the names of models.
    """
    longest = int(width_inches / 0.08)
    lines = [""]
    for word in re.split(r"(?<=[ _/\n-])", title):
        if lines[-1].endswith("\n") or len(lines[-1] + word.rstrip()) > longest:
            lines.append("")
        lines[-1] += word
    return "\n".join(part for line in lines for part in textwrap.wrap(line, longest))


def save(figure: Figure, folder: Path, *names: str) -> list[Path]:
    """Write a PNG (200 dpi) and a PDF named after `names`, and give their paths.

    An older file of the same name is replaced once the new one is complete; the folder is made
    when it is missing.

    Raises:
        StoreError: a file cannot be written.
    """
    stem = file_stem(*names)
    # Laid out once instead of at every drawing, which would take most of the time. "none" would
    # leave a placeholder, for whose sake Matplotlib draws everything twice.
    figure.draw_without_rendering()
    with matplotlib.rc_context(
        {"figure.autolayout": False, "figure.constrained_layout.use": False}
    ):  # a user's own, which would lay out again
        figure.set_layout_engine(None)
    paths = [folder / f"{stem}.png", folder / f"{stem}.pdf"]
    for path in paths:
        write_bytes(path, _encoded(figure, path.suffix[1:]))
    return paths


def encoded_png(figure: Figure) -> bytes:
    """Draw a figure as the bytes of a PNG (200 dpi)."""
    return _encoded(figure, "png")


def _encoded(figure: Figure, kind: str) -> bytes:
    content = io.BytesIO()
    metadata = {"CreationDate": None} if kind == "pdf" else {}
    # Text stays text in the PDF, and the same figure gives the same bytes.
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(content, format=kind, dpi=200, metadata=metadata)
    return content.getvalue()
