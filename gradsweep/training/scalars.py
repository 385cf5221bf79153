"""A handful of numbers of a moment, for the logger of whoever trains."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from gradsweep.records import Moment, SampleResult, SpectrumRow
from gradsweep.training.update import COSINE_PREVIOUS_UPDATE, Update

UPDATES = "spectra_update"
PROBES = "spectra_probe"


def update_scalars(update: Update, metrics: Sequence[str]) -> dict[str, float]:
    """Return means over layers by projection, and what is known of the step as a whole."""
    found = _means(UPDATES, [update.rows], (*metrics, COSINE_PREVIOUS_UPDATE))
    for name in ("gradient_norm", "clipped_gradient_norm", "update_over_weight"):
        found[f"{UPDATES}/{name}"] = getattr(update, name)
    return _finite(found)


def probe_scalars(
    moment: Moment, results: Sequence[SampleResult], metrics: Sequence[str]
) -> dict[str, float]:
    """Return means over samples and layers by projection, and the mean loss of the samples."""
    prefix = f"{PROBES}/{moment.probe_cot}/{moment.probe_correctness}"
    measured = [result for result in results if result.rows]
    found = _means(prefix, [result.rows for result in measured], metrics)
    found[f"{prefix}/loss"] = _mean([result.loss for result in measured])
    return _finite(found)


def _means(
    prefix: str, of_units: Iterable[Sequence[SpectrumRow]], metrics: Sequence[str]
) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for rows in of_units:
        for row in (row for row in rows if row.head is None):
            for metric in metrics:
                value = row.own_metrics.get(metric, getattr(row, metric, math.nan))
                values.setdefault(f"{prefix}/{row.projection}/{metric}", []).append(value)
    return {name: _mean(of_name) for name, of_name in values.items()}


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _finite(scalars: dict[str, float]) -> dict[str, float]:
    """What is not finite has no place on a curve."""
    return {name: value for name, value in scalars.items() if math.isfinite(value)}
