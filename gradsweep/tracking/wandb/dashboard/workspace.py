"""The saved workspace: one run set, grouped by condition, and a section for each question."""

from __future__ import annotations

from collections.abc import Sequence

import wandb_workspaces.reports.v2.interface as wr
import wandb_workspaces.workspaces.interface as ws
from wandb_workspaces import expr

from gradsweep.report.labels import metric_label
from gradsweep.tracking.wandb.dashboard import panels, runsets, words
from gradsweep.tracking.wandb.dashboard.contents import Contents, Place


def workspace(shown: Contents, place: Place) -> ws.Workspace:
    """Sections in reading order; those of models and datasets where there are several."""
    view = ws.Workspace(
        entity=place.entity,
        project=place.project,
        name=place.name,
        sections=[
            _overview(shown),
            *_questions(shown),
            *_training(shown),
            *_axes(shown),
            *_running(shown),
        ],
        settings=ws.WorkspaceSettings(x_axis="layer", smoothing_type="none", max_runs=panels.MANY),
        runset_settings=_run_table(shown),
    )
    view._internal_runset_id = panels.settled("workspace", "runs")
    return view


def _run_table(shown: Contents) -> ws.RunsetSettings:
    colours = runsets.condition_colours(shown)
    # The table shows a level above its conditions.
    paths: dict[object, object] = {path[0]: colour for path, colour in reversed(colours.items())}
    paths |= {ws.GroupPath(*path): colour for path, colour in colours.items()}
    return ws.RunsetSettings(
        filters=runsets.run_filter(shown),
        groupby=[expr.Config(axis) for axis in shown.condition],
        order=[expr.Ordering(expr.Config(axis)) for axis in ("model", "dataset")],
        group_colors=paths,
        pinned_columns=runsets.pinned_columns(shown) + runsets.result_columns(shown),
    )


def _overview(shown: Contents) -> ws.Section:
    note = words.averaged(shown, "model", "dataset")
    if note:
        note += "\nTo see one of them, add a filter on `config.model` or `config.dataset`, or\n"
        note += "make a workspace of its own: `gradsweep dashboard model=…`.\n"
    told = [words.QUESTION, words.counted(shown), words.HOW_TO_READ, note]
    text = wr.MarkdownPanel(markdown="\n".join(told))
    return _section("Overview", [text, panels.parallel_coordinates(shown)], 2, is_open=True)


def _questions(shown: Contents) -> list[ws.Section]:
    first, *others = shown.metrics
    sections = [
        _section(
            f"How large? {metric_label(first)} by layer",
            [*panels.layer_curves(shown, first), *panels.mean_bars(shown, first)],
            is_open=True,
        ),
        _section(
            "How even over layers? MAD",
            [panel for metric in shown.metrics for panel in panels.mad_bars(shown, metric)],
            is_open=True,
        ),
    ]
    if shown.has_pairs:
        sections.append(
            _section(
                "Right from wrong? RD of correct and irrelevant",
                [*panels.rd_curves(shown, first), *panels.rd_bars(shown, first)],
                is_open=True,
            )
        )
    for metric in others:
        shape = [*panels.layer_curves(shown, metric), *panels.mean_bars(shown, metric)]
        sections.append(_section(f"Of which shape? {metric_label(metric)}", shape))
    return sections


def _training(shown: Contents) -> list[ws.Section]:
    return [_section("While it trains", panels.training_curves(shown))] if shown.trains else []


def _axes(shown: Contents) -> list[ws.Section]:
    metric = shown.metrics[0]
    return [
        _section(
            title,
            [
                *panels.layer_curves(shown, metric, by=axis),
                *panels.mean_bars(shown, metric, by=axis),
                *panels.mad_bars(shown, metric, by=axis),
            ],
        )
        for axis, title in (
            ("model", "Models, each averaged over its conditions"),
            ("dataset", "Datasets, each averaged over its conditions"),
            ("objective", "Objectives, each averaged over its conditions"),
        )
        if len(getattr(shown, axis)) > 1
    ]


def _running(shown: Contents) -> list[ws.Section]:
    return [
        _section("Live: every sample as it is measured", panels.live_curves(shown)),
        _section("What the runs' settings differ in", [panels.settings_table()], 1),
    ]


def _section(
    title: str, content: Sequence[panels.Panel], columns: int = panels.WIDEST, is_open: bool = False
) -> ws.Section:
    panels.settle_panels(content, "workspace", title)
    rows = min(3, -(-len(content) // columns))
    layout = ws.SectionLayoutSettings(columns=columns, rows=rows)
    return ws.Section(name=title, panels=list(content), is_open=is_open, layout_settings=layout)
