"""The page's template, with its styles and scripts inline."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from gradsweep.report.labels import level_label
from gradsweep.report.page.grid import short
from gradsweep.report.page.terms import TERMS, anchor, term_link

_SCRIPTS = (
    "plotly-basic.min.js",
    "theme.js",
    "tiles.js",
    "files.js",
    "choices.js",
    "panels.js",
    "charts.js",
    "tables.js",
    "points.js",
    "training.js",
    "start.js",
)
"""In this order: each uses what those before it define."""


def page_template() -> Template:
    """Read the template; it takes the parts of a `PreparedPage`, findings and objectives."""
    environment = Environment(
        loader=PackageLoader("gradsweep.report.page", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "anchor": anchor,
        "level_label": level_label,
        "short": short,
        "term": term_link,
        "terms": TERMS,
        "style": Markup(_asset("page.css")),
        "scripts": Markup("\n".join(map(_asset, _SCRIPTS))),
    }
    return environment.get_template("page.html")


def _asset(name: str) -> str:
    return (resources.files(__package__) / "assets" / name).read_text(encoding="utf-8")
