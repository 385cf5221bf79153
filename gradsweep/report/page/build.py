"""Put a page together: numbers as JSON, texts as HTML."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from gradsweep.analysis.layer_cosines import layer_cosines, measured
from gradsweep.analysis.open_questions import Answered
from gradsweep.analysis.rows import values_in_reading_order
from gradsweep.records import AXES, POINT_LABELS
from gradsweep.report.figures.colours import PALETTE, level_colours, on_both
from gradsweep.report.formats import TableFile
from gradsweep.report.labels import dataset_title, level_label, model_title, projection_label
from gradsweep.report.layer_cosines import layer_cosines_markdown
from gradsweep.report.measures import Measures
from gradsweep.report.numbers import Numbers
from gradsweep.report.open_questions.section import open_questions_markdown
from gradsweep.report.outliers import told_outliers
from gradsweep.report.page.curves import (
    ROWS_FOR_EVERY_METRIC,
    ROWS_WHILE_WATCHED,
    curve_numbers,
    difference_numbers,
    metric_names,
    with_other_metrics,
)
from gradsweep.report.page.findings import findings_html, section_html
from gradsweep.report.page.found import found_in
from gradsweep.report.page.grid import point_grid
from gradsweep.report.page.layer_maps import layer_maps
from gradsweep.report.page.models import compared_models
from gradsweep.report.page.open_questions import question_groups
from gradsweep.report.page.points import ReportPoints
from gradsweep.report.page.samples import samples_by_point
from gradsweep.report.page.settings import (
    command_of_each,
    commands_of,
    flat_settings,
    settings_csv,
    settings_of,
    versions_of,
)
from gradsweep.report.page.tables import table_texts
from gradsweep.report.page.template import page_template
from gradsweep.report.page.tiles import as_json, in_tiles
from gradsweep.report.page.training import training_charts
from gradsweep.report.tables import tables as tables_of
from gradsweep.report.training import TrainingStudy
from gradsweep.report.training.section import training_markdown
from gradsweep.store.atomic import write_text
from gradsweep.store.series import with_model_labels


@dataclass(frozen=True)
class PreparedPage:
    """A page but for its findings, which may still be computed meanwhile."""

    folder: Path
    parts: Mapping[str, Any]
    """What the template takes."""

    def write(self, findings: str, objectives: str = "") -> Path:
        """Write `folder/index.html`, whole or not at all, and give its path.

        Args:
            findings: Markdown of `findings_markdown`.
            objectives: Markdown of `objectives_markdown`, for a section of its own.

        Raises:
            StoreError: the file cannot be written.
        """
        text = page_template().render(
            **self.parts,
            written=time.strftime("%Y-%m-%d %H:%M:%S %z"),
            findings=Markup(findings_html(findings)),
            objectives=Markup(section_html(objectives)),
        )
        path = self.folder / "index.html"
        write_text(path, text)
        return path


def prepare_page(
    folder: Path,
    rows: pl.DataFrame,
    computed: Sequence[Measures],
    stored: ReportPoints,
    refresh: float | None = None,
    study: TrainingStudy | None = None,
    answered: Sequence[Answered] = (),
    numbers: Numbers | None = None,
    tables: Sequence[TableFile] | None = None,
) -> PreparedPage:
    """Put together all of a page but its findings; files beside a large one are written.

    Args:
        folder: of the report; its name is the title.
        rows: of the points, as `load_rows` gives them, or a line for each point and projection
            where there are `numbers`. May be empty.
        computed: the metrics of the report; with few rows the charts have all others too.
        stored: states, settings and samples of the points.
        refresh: seconds after which the page loads itself again; None: never.
        study: of training points, for a section of its own.
        answered: open questions, for a section of their own.
        numbers: of the points; computed from `rows` and `stored.samples` when None.
        tables: of `computed`; made when None.

    Raises:
        StoreError: a file cannot be written.
    """
    tables = [table for one in computed for table in tables_of(one)] if tables is None else tables
    flat = flat_settings(stored.points)
    groups = question_groups(answered)
    data = _data(rows, computed, stored, refresh, numbers, tables, flat)
    data |= {"training": training_charts(study), "questions": [one["charts"] for one in groups]}
    data = in_tiles(data, folder, refresh)
    if "tiles" in data:
        write_text(folder / "settings.csv", settings_csv(stored.points, flat))
    cosines = numbers.layer_cosines if numbers else measured(layer_cosines(rows))
    parts = {
        "title": "All points" if folder.name == "all" else folder.name,
        **_overview_parts(stored, computed),
        "questions": groups,
        "questions_text": Markup(section_html(open_questions_markdown(answered))),
        "layer_maps": layer_maps(cosines),
        "cosines_text": Markup(section_html(layer_cosines_markdown(cosines))),
        "training": Markup(section_html(training_markdown(study))) if study else "",
        **_data_parts(data),
    }
    return PreparedPage(folder, parts)


def _overview_parts(stored: ReportPoints, computed: Sequence[Measures]) -> dict[str, Any]:
    """What the template says of the points and where they come from."""
    return {
        "stored": stored,
        "results": str(stored.results),
        "grid": point_grid(stored, computed[0] if computed else None),
        "found": found_in(computed),
        "n_studies": computed[0].n_studies if computed else 0,
        "compared": compared_models(computed),
        "versions": versions_of(stored.points),
        "commands": commands_of(stored),
    }


def _data_parts(data: dict[str, Any]) -> dict[str, Any]:
    """The scripts' data, and what the template says of it."""
    return {
        "data": _json(data),
        "has_curves": bool(data["metrics"]),
        "data_tables": bool(data["tables"]),
        "training_groups": data["training"],
        "settings": data["settings"],
        "refresh": data["refresh"],
        "tiles": "tiles" in data,
    }


def _data(
    rows: pl.DataFrame,
    computed: Sequence[Measures],
    stored: ReportPoints,
    refresh: float | None,
    numbers: Numbers | None,
    tables: Sequence[TableFile],
    flat: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """What the scripts read. Numbers of the charts have five digits, the tables' CSV has all."""
    drawn = _drawn(rows, computed, refresh, numbers)
    shared, own = settings_of(flat)
    return {
        **_names(rows),
        "metrics": metric_names(drawn),
        "palette": [on_both(colour) for colour in PALETTE],
        "curves": {one.metric: curve_numbers(one) for one in drawn},
        "differences": {one.metric: difference_numbers(one) for one in drawn},
        "tables": table_texts(tables) if drawn else [],
        "points": _points(rows, computed, stored, own, numbers),
        "settings": shared,
        "sampleMetric": computed[0].metric if computed else "",
        "refresh": refresh,
    }


def _names(rows: pl.DataFrame) -> dict[str, Any]:
    """Values of the axes and of the projection in reading order, with their names and colours."""
    levels = values_in_reading_order(rows, "cot")
    labels = with_model_labels(rows.select(POINT_LABELS), objective=False)
    return {
        "projections": {
            name: projection_label(name) for name in values_in_reading_order(rows, "projection")
        },
        "axes": {axis: values_in_reading_order(labels, axis) for axis in AXES},
        "titles": {
            "model": {name: model_title(name) for name in labels["model"].unique().sort()},
            "dataset": {name: dataset_title(name) for name in labels["dataset"].unique().sort()},
        },
        "levels": {level: level_label(level) for level in levels},
        "levelColours": {level: on_both(level_colours(levels)[level]) for level in levels},
    }


def _points(
    rows: pl.DataFrame,
    computed: Sequence[Measures],
    stored: ReportPoints,
    own: Mapping[str, Mapping[str, Any]],
    numbers: Numbers | None,
) -> list[dict[str, Any]]:
    """State, command, settings and samples of every point; `own` are settings by id."""
    commands = command_of_each(stored)
    samples = {}
    if not rows.is_empty():
        outliers = (
            told_outliers(rows, stored.samples, computed[0].metric)
            if numbers is None
            else numbers.outliers
        )
        samples = samples_by_point(stored, outliers)
    return [
        {
            "id": point.point_id,
            "axes": point.axes,
            "state": point.state.value,
            "stored": point.n_stored,
            "bad": point.n_bad,
            "note": point.note,
            "command": commands.get(point.point_id, ""),
            "started": bool(point.record),
            "settings": own.get(point.point_id, {}),
            **samples.get(point.point_id, {}),
        }
        for point in stored.points
    ]


def _drawn(
    rows: pl.DataFrame,
    computed: Sequence[Measures],
    refresh: float | None,
    numbers: Numbers | None,
) -> list[Measures]:
    """Those of `computed` that have curves, then the other metrics that charts can show."""
    if numbers is not None:
        names = {one.metric for one in computed}
        others = [one for one in numbers.measures.values() if one.metric not in names]
        return [one for one in (*computed, *others) if not one.per_sample]
    most_rows = ROWS_WHILE_WATCHED if refresh else ROWS_FOR_EVERY_METRIC
    return [] if rows.is_empty() else with_other_metrics(rows, computed, most_rows)


def _json(data: dict[str, Any]) -> Markup:
    """JSON that cannot end the script element it stands in, whatever the texts are."""
    return Markup(as_json(data).replace("<", "\\u003c"))
