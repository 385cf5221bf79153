"""The W&B report: the same panels with text, and a section for every model and dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import wandb_workspaces.reports.v2.interface as wr

from gradsweep.tracking.wandb.dashboard import panels, runsets, words
from gradsweep.tracking.wandb.dashboard.contents import Contents, Place

WIDTH = 24
"""Columns of a report's grid."""
HEIGHT = 7
"""Rows of a panel: about 4 to 3."""


def report(shown: Contents, place: Place) -> wr.Report:
    """Each panel grid has a run set of its own, so a section shows only its model or dataset.

    Run sets name no project: W&B takes the report's own, and `save` fills it in.
    """
    return wr.Report(
        project=place.project,
        entity=place.entity,
        title=place.name,
        description="Layer-wise gradient spectra of fast and slow thinking",
        width="fluid",
        blocks=[
            wr.MarkdownBlock(text=words.QUESTION),
            wr.TableOfContents(),
            *_overview(shown),
            *_sections(shown, "model"),
            *(_sections(shown, "dataset") if len(shown.dataset) > 1 else []),
            *(_sections(shown, "objective") if len(shown.objective) > 1 else []),
            *_training(shown),
            *_running(shown),
        ],
    )


def _overview(shown: Contents) -> list[wr.BlockTypes]:
    metric = shown.metrics[0]
    grid = _grid(
        shown,
        "all runs",
        [
            [panels.parallel_coordinates(shown)],
            panels.mean_bars(shown, metric),
            panels.mad_bars(shown, metric),
        ],
    )
    note = words.averaged(shown, "model", "dataset")
    return [
        wr.H1("Overview"),
        wr.MarkdownBlock(text=f"{words.counted(shown)}\n{note}"),
        grid,
        wr.H1("How to read the panels"),
        wr.MarkdownBlock(text=words.HOW_TO_READ),
    ]


def _sections(shown: Contents, axis: str) -> list[wr.BlockTypes]:
    """One section for each value of `axis`."""
    other = "dataset" if axis == "model" else "model"
    blocks: list[wr.BlockTypes] = [wr.H1(f"{axis.capitalize()}s")]
    if note := words.averaged(shown, other):
        blocks.append(wr.MarkdownBlock(text=note))
    for value in getattr(shown, axis):
        grid = _grid(shown, f"{axis} {value}", _rows(shown, other), {axis: value})
        blocks += [wr.H2(value), grid]
    return blocks


def _rows(shown: Contents, other: str) -> list[Sequence[panels.Panel]]:
    """Rows of panels; where a line is a mean over the `other` axis, one that tells it apart."""
    first, *others = shown.metrics
    rows: list[Sequence[panels.Panel]] = [panels.layer_curves(shown, first)]
    rows.append(panels.mad_bars(shown, first))
    if len(getattr(shown, other)) > 1:
        rows.append(panels.mean_bars(shown, first, by=other))
    if shown.has_pairs:
        rows += [panels.rd_curves(shown, first), panels.rd_bars(shown, first)]
    return rows + [panels.layer_curves(shown, metric) for metric in others]


def _training(shown: Contents) -> list[wr.BlockTypes]:
    if not shown.trains:
        return []
    return [
        wr.H1("While it trains"),
        wr.MarkdownBlock(
            text="Training points: step s is of the weights after s optimizer steps; gradients are "
            "those of the whole step, before clipping."
        ),
        _grid(shown, "training", [panels.training_curves(shown)]),
    ]


def _running(shown: Contents) -> list[wr.BlockTypes]:
    live = [panels.live_curves(shown)]
    settings = [[panels.settings_table()]]
    return [
        wr.H1("Live"),
        wr.MarkdownBlock(text="Points that run now: every sample as it is measured."),
        _grid(shown, "running", live, state="running", grouped=False),
        wr.H1("Settings"),
        wr.MarkdownBlock(text="What the runs differ in: prompt, dtype, seed, package versions."),
        _grid(shown, "settings", settings, grouped=False),
    ]


def _grid(
    shown: Contents,
    name: str,
    rows: Sequence[Sequence[panels.Panel]],
    only: Mapping[str, str] | None = None,
    state: str | None = None,
    grouped: bool = True,
) -> wr.PanelGrid:
    filters = [runsets.run_filter(shown, only), f"Metric('State') == {state!r}" if state else ""]
    run_set = wr.Runset(
        name=name,
        filters=" and ".join(part for part in filters if part),
        groupby=[f"config.{axis}" for axis in shown.condition] if grouped else [],
        order=[wr.OrderBy(wr.Config(axis), ascending=True) for axis in ("model", "dataset")],
        pinned_columns=runsets.pinned_columns(shown),
        visible_columns=runsets.result_columns(shown),
    )
    run_set._id = panels.settled("report", name, "runs")
    content = _laid_out(rows)
    panels.settle_panels(content, "report", name)
    colours = _group_colours(shown, name) if grouped else {}
    return wr.PanelGrid(runsets=[run_set], panels=[*content], custom_run_colors=colours)


def _laid_out(rows: Sequence[Sequence[panels.Panel]]) -> list[panels.Panel]:
    """The panels with their places: a row as wide as the grid, continued after `panels.WIDEST`."""
    content, top = [], 0
    for row in rows:
        across = min(panels.WIDEST, len(row))
        for number, panel in enumerate(row):
            x, y = number % across * (WIDTH // across), top + number // across * HEIGHT
            panel.layout = wr.Layout(x=x, y=y, w=WIDTH // across, h=HEIGHT)
            content.append(panel)
        top += -(-len(row) // across) * HEIGHT
    return content


def _group_colours(
    shown: Contents, run_set: str
) -> dict[str | wr.RunsetGroup, str | dict[Any, Any]]:
    def group(path: tuple[str, ...]) -> wr.RunsetGroup:
        keys = tuple(
            wr.RunsetGroupKey(wr.Config(axis), value)
            for axis, value in zip(shown.condition, path, strict=True)
        )
        return wr.RunsetGroup(run_set, keys)

    return {group(path): colour for path, colour in runsets.condition_colours(shown).items()}
