"""Tables, figures and sentences from rows.

Names are loaded when they are first used: `import gradsweep.report` brings in neither rich nor
matplotlib, and a table does not wait for matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradsweep.report.comparison import Comparison as Comparison
    from gradsweep.report.comparison import comparisons as comparisons
    from gradsweep.report.figures.layer_curves import draw_overview as draw_overview
    from gradsweep.report.figures.layer_curves import layer_curves_figure as layer_curves_figure
    from gradsweep.report.figures.layer_curves import save_figures as save_figures
    from gradsweep.report.figures.mad_bars import draw_mad_bars as draw_mad_bars
    from gradsweep.report.figures.relative_difference import (
        draw_relative_differences as draw_relative_differences,
    )
    from gradsweep.report.files import write_report as write_report
    from gradsweep.report.reading import sentences as sentences
    from gradsweep.report.table import comparison_table as comparison_table

_MODULE_OF = {
    "Comparison": "comparison",
    "comparisons": "comparison",
    "comparison_table": "table",
    "draw_mad_bars": "figures.mad_bars",
    "draw_overview": "figures.layer_curves",
    "draw_relative_differences": "figures.relative_difference",
    "layer_curves_figure": "figures.layer_curves",
    "save_figures": "figures.layer_curves",
    "sentences": "reading",
    "write_report": "files",
}

__all__ = [
    "Comparison",
    "comparison_table",
    "comparisons",
    "draw_mad_bars",
    "draw_overview",
    "draw_relative_differences",
    "layer_curves_figure",
    "save_figures",
    "sentences",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
