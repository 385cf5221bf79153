"""What a point looks like in W&B: pure functions from stored samples and rows to logged values.

History of a run, in this order:

- per sample `{sample, s_loss, s_<metric>_<projection>}`: means over layers, x axis `sample`,
  the sample's index in the point (explicit, because W&B's own step restarts with a resumed point);
- per layer, at the end, `{layer, layer_<metric>_<projection>}`: means over samples, x axis `layer`,
  so that an ordinary line plot overlays the layer curves of many runs; and, in the run of the point
  of a pair that is done last, `layer_rd_<metric>_<projection>`.

Summary (columns of the run table): the scalars of the whole point that the caller gives, named
`<metric>_mean_<projection>` and `mad_<metric>_<projection>` by `analysis.mad.summary_scalars`,
and `loss_mean` by `analysis.sample_metrics.sample_scalars`;
`rd_<metric>_<projection>` and `rd_loss` (`pair_difference.difference`); and `failure`, why the last
start of the point stopped early, empty when it is complete.
Table `layer_stats`: mean, quantiles and count over samples by layer, projection and metric.

Metrics and projections are those that the rows have, the user's own metrics among them. Layer
curves and table leave out what every curve of `gradsweep.analysis` leaves out, so both show the
same numbers.
Per-layer keys per sample are avoided: they would pass W&B's limits on metrics per run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import polars as pl

from gradsweep.analysis.complete import complete_values
from gradsweep.analysis.rows import whole_matrices
from gradsweep.records import SampleStatus
from gradsweep.store.frames import metric_columns

LAYER = "layer"
"""The x axis of layer curves."""
SAMPLE = "sample"
"""The x axis of live curves."""
LIVE_LOSS = "s_loss"
FAILURE = "failure"
RD_LOSS = "rd_loss"
"""A summary scalar: RD of the two mean losses."""
TABLE_COLUMNS = ("layer", "projection", "metric", "mean", "p10", "p50", "p90", "count")


def live_name(metric: str, projection: str) -> str:
    """Per sample, while the point runs: the mean over layers."""
    return f"s_{metric}_{projection}"


def curve_name(metric: str, projection: str) -> str:
    """A metric's mean over samples, by layer."""
    return f"layer_{metric}_{projection}"


def rd_curve_name(metric: str, projection: str) -> str:
    """RD of correct and irrelevant curve, by layer; only where the other point was done."""
    return f"layer_rd_{metric}_{projection}"


def mean_name(metric: str, projection: str) -> str:
    """A summary scalar: the mean over layers of the curve."""
    return f"{metric}_mean_{projection}"


def mad_name(metric: str, projection: str) -> str:
    """A summary scalar: how uneven the curve is."""
    return f"mad_{metric}_{projection}"


def rd_name(metric: str, projection: str) -> str:
    """A summary scalar: the mean over layers of RD."""
    return f"rd_{metric}_{projection}"


def sample_values(samples: pl.DataFrame, rows: pl.DataFrame) -> list[dict[str, float]]:
    """Make one history row per sample that has rows, in the order of `samples`.

    A mean is over the layers whose row is trusted and finite.

    Args:
        samples: one line per sample, as the store gives them.
        rows: one line per (sample, layer, projection, head) of at least these samples.
    """
    metrics = metric_columns(rows)
    values = [pl.col(metric).cast(pl.Float64) for metric in metrics]
    trusted = whole_matrices(rows, strict=False).filter("finite")
    of_projection = trusted.group_by("sample_id", "projection", maintain_order=True)
    means = of_projection.agg(value.filter(value.is_finite()).mean() for value in values)
    by_sample: dict[str, dict[str, float]] = {}
    for sample_id, projection, *of_metrics in means.iter_rows():
        named = {
            live_name(metric, projection): mean
            for metric, mean in zip(metrics, of_metrics, strict=True)
            if mean is not None
        }
        by_sample.setdefault(sample_id, {}).update(named)
    shown = samples.filter(status=SampleStatus.OK.value).select("sample_id", "index", "loss")
    return [
        {SAMPLE: index} | ({LIVE_LOSS: loss} if math.isfinite(loss) else {}) | by_sample.get(id, {})
        for id, index, loss in shown.iter_rows()
    ]


def layer_values(
    stats: pl.DataFrame, rd: Mapping[int, Mapping[str, float]]
) -> list[dict[str, float]]:
    """Make one history row per layer, in the order of the layers.

    Args:
        stats: from `layer_stats`.
        rd: layer -> RD by name (`pair_difference.Difference.layers`).
    """
    by_layer: dict[int, dict[str, float]] = {}
    for layer, projection, metric, mean in stats.select(TABLE_COLUMNS[:4]).iter_rows():
        by_layer.setdefault(layer, {LAYER: layer})[curve_name(metric, projection)] = mean
    return [values | dict(rd.get(layer, {})) for layer, values in by_layer.items()]


def layer_stats(rows: pl.DataFrame) -> pl.DataFrame:
    """Compute statistics over samples, one line per (layer, projection, metric) that has a value.

    Args:
        rows: one line per (sample, layer, projection, head), as the store gives them.

    Returns:
        The columns of `TABLE_COLUMNS`, sorted by layer; some 3,000 lines at 80 layers, of the
        10,000 that W&B shows.
    """
    whole = whole_matrices(rows, strict=False)
    trusted = whole.filter("finite").with_columns(point_id=pl.lit(""))
    values = pl.concat(
        complete_values(trusted, metric).with_columns(metric=pl.lit(metric))
        for metric in metric_columns(rows)
    )
    value = pl.col("value")
    stats = values.group_by("layer", "projection", "metric", maintain_order=True).agg(
        value.mean().alias("mean"),
        *(value.quantile(p / 100, "linear").alias(f"p{p}") for p in (10, 50, 90)),
        value.len().alias("count"),
    )
    return stats.select(TABLE_COLUMNS).sort("layer", maintain_order=True)
