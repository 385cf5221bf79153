"""The panels of workspace and report: one question each, titled in words, without smoothing.

Unless a panel says otherwise its lines and bars are the groups of its run set (`runsets`).

Ids of panels and run sets, which wandb-workspaces draws at random, depend on their place alone:
the same contents give the same JSON, and what W&B remembers of a panel outlives an update.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import wandb_workspaces.reports.v2.interface as wr

from gradsweep.records import METRICS, OPTIONAL_METRICS, STUDY_OBJECTIVE
from gradsweep.report.labels import metric_label, metric_words, projection_label
from gradsweep.tracking.wandb import schema, training_schema
from gradsweep.tracking.wandb.dashboard.contents import Contents

MANY = 100
"""Runs, groups or bars in a panel; W&B shows 10 unless told."""
WIDEST = 4
"""Panels side by side: the projections of an attention layer."""

Panel = wr.LinePlot | wr.BarPlot | wr.ParallelCoordinatesPlot | wr.MarkdownPanel | wr.RunComparer


def layer_curves(shown: Contents, metric: str, by: str | None = None) -> list[Panel]:
    """A panel for each projection: the metric by layer. `by` groups by that axis alone."""
    return [
        _lines(
            f"{projection_label(projection)} · {metric_label(metric)} by layer{_by(by)}",
            [schema.curve_name(metric, projection)],
            y=metric_label(metric),
            by=by,
        )
        for projection in shown.projections
    ]


def rd_curves(shown: Contents, metric: str) -> list[Panel]:
    """RD by layer, a line for each CoT level: a pair of points has one, whichever ended last."""
    return [
        _lines(
            f"{projection_label(projection)} · RD of {metric_words(metric)} by layer",
            [schema.rd_curve_name(metric, projection)],
            y="RD |s − s′|/s",
            by="cot",
        )
        for projection in shown.projections
    ]


def mean_bars(shown: Contents, metric: str, by: str | None = None) -> list[Panel]:
    """The metric's mean over layers."""
    return _bars(shown, metric, schema.mean_name, f"mean {metric_label(metric)}", by)


def mad_bars(shown: Contents, metric: str, by: str | None = None) -> list[Panel]:
    """Show how uneven the metric's curve is over layers."""
    return _bars(shown, metric, schema.mad_name, f"MAD of {metric_label(metric)}", by)


def rd_bars(shown: Contents, metric: str) -> list[Panel]:
    """RD averaged over layers, a bar for each CoT level."""
    return _bars(shown, metric, schema.rd_name, f"mean RD of {metric_words(metric)}", "cot")


def parallel_coordinates(shown: Contents) -> Panel:
    """Axes, then mean and MAD of the first metric: which choice makes gradients large, uneven."""
    metric = shown.metrics[0]
    # A cosine may be negative, and so may a metric of the user's own.
    log = True if metric in METRICS and metric not in OPTIONAL_METRICS else None
    columns = [wr.ParallelCoordinatesPlotColumn(wr.Config(axis), axis) for axis in shown.axes]
    for words, name in (("mean", schema.mean_name), ("MAD", schema.mad_name)):
        columns += [
            wr.ParallelCoordinatesPlotColumn(
                wr.SummaryMetric(name(metric, projection)),
                f"{words} {projection_label(projection)}",
                log=log,
            )
            for projection in shown.projections
        ]
    title = f"Every point: axes, mean and MAD of {metric_label(metric)}"
    return wr.ParallelCoordinatesPlot(title=title, columns=columns)


def live_curves(shown: Contents) -> list[Panel]:
    """Per sample, while points run: loss, and the first metric's mean over layers."""
    metric = shown.metrics[0]
    cross_entropy = shown.objective == (STUDY_OBJECTIVE,)
    unit = "nats per token" if cross_entropy else "of its objective"
    loss = _lines("Loss of each sample", [schema.LIVE_LOSS], y=unit, x=schema.SAMPLE)
    return [
        loss,
        *(
            _lines(
                f"{projection_label(projection)} · {metric_label(metric)} of each sample",
                [schema.live_name(metric, projection)],
                y=f"{metric_label(metric)}, mean over layers",
                x=schema.SAMPLE,
            )
            for projection in shown.projections
        ),
    ]


def training_curves(shown: Contents) -> list[Panel]:
    """Show training points by step: losses, the gradient's norm, and spectra of the updates."""
    titles = {
        "loss": "Loss by step",
        "held_out_loss": "Held-out loss by step",
        "gradient_norm": "Gradient norm before clipping, by step",
        "update_over_weight": "Update over weight, by step",
    }
    metric = training_schema.METRICS[0]
    return [
        *(
            _lines(title, [f"train_{name}"], y=title.split(" by ")[0], x=training_schema.STEP)
            for name, title in titles.items()
        ),
        *(
            _lines(
                f"{projection_label(projection)} · {metric_label(metric)} of the update by step",
                [training_schema.update_name(metric, projection)],
                y=metric_label(metric),
                x=training_schema.MEASURED,
            )
            for projection in shown.projections
        ),
    ]


def settings_table() -> Panel:
    """Show what the configs of runs differ in: prompt, dtype, seed, package versions."""
    return wr.RunComparer(diff_only="split")


def _bars(
    shown: Contents, metric: str, name: Callable[[str, str], str], title: str, by: str | None
) -> list[Panel]:
    return [
        wr.BarPlot(
            title=f"{projection_label(projection)} · {title}{_by(by)}",
            metrics=[name(metric, projection)],
            orientation="v",
            groupby=wr.Config(by) if by else None,
            groupby_aggfunc="mean",
            groupby_rangefunc="minmax",
            max_runs_to_show=MANY,
            max_bars_to_show=MANY,
        )
        for projection in shown.projections
    ]


def _lines(
    title: str, names: list[str], *, y: str, x: str = schema.LAYER, by: str | None = None
) -> wr.LinePlot:
    return wr.LinePlot(
        title=title,
        x=x,
        y=list(names),
        title_x=x,
        title_y=y,
        groupby=wr.Config(by) if by else None,
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        smoothing_type="none",
        smoothing_factor=0,
        max_runs_to_show=MANY,
    )


def _by(axis: str | None) -> str:
    return f", by {axis}" if axis else ""


def settled(*names: str) -> str:
    """An id of 12 characters, as W&B's own have, from the names of a place."""
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:12]


def settle_panels(panels: Iterable[wr.Panel], *names: str) -> None:
    """Give each panel the id of its place: `names`, and its number among `panels`."""
    for number, panel in enumerate(panels):
        panel._id = settled(*names, "panel", str(number))
