"""What a point's files take on disk when it is done."""

from __future__ import annotations

from collections.abc import Sequence

from gradsweep.config import Config
from gradsweep.plan.estimate.cost import Cost, work
from gradsweep.plan.estimate.shape import shape_of

ROW_BYTES = 80
"""Of one row in Parquet (720 rows took 56 kB), without singular values."""
SAMPLE_BYTES = 640
POINT_BYTES = 8_000
"""config.yaml, summary.json, DONE."""


def point_bytes(config: Config, tokens: float, costs: Sequence[Cost]) -> float | None:
    """By what earlier points of this model took per sample, else rows times bytes of a row.

    None where the model's number of parameters, hence of layers, is unknown.
    """
    samples, wanted = config.requested_samples, config.gradients
    key = (config.model.name, work(wanted))
    same = [cost for cost in costs if (cost.model, cost.work) == key and cost.stored_samples]
    if same:
        stored = sum(cost.stored_samples for cost in same)
        return POINT_BYTES + samples * sum(cost.stored_bytes for cost in same) / stored
    if config.model.parameters is None:
        return None
    shape = shape_of(config.model.parameters)
    values = min(tokens, shape.width) if wanted.save_spectra else wanted.top_k or 0
    rows = len(wanted.projections) * shape.layers
    return POINT_BYTES + samples * (SAMPLE_BYTES + rows * (ROW_BYTES + 8 * values))
