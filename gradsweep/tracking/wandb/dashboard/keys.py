"""Names of what a run logs (`tracking.wandb_schema`), as panels refer to them."""

from __future__ import annotations

LAYER = "layer"
"""The x axis of layer curves."""
SAMPLE = "sample"
"""The x axis of live curves."""
LIVE_LOSS = "s_loss"
FAILURE = "failure"


def curve(metric: str, projection: str) -> str:
    """A metric's mean over samples, by layer."""
    return f"layer_{metric}_{projection}"


def rd_curve(metric: str, projection: str) -> str:
    """RD of correct and irrelevant curve, by layer; only runs whose partner point was done."""
    return f"layer_rd_{metric}_{projection}"


def mean(metric: str, projection: str) -> str:
    """A summary scalar: the mean over layers of the curve."""
    return f"{metric}_mean_{projection}"


def mad(metric: str, projection: str) -> str:
    """A summary scalar: how uneven the curve is."""
    return f"mad_{metric}_{projection}"


def rd(metric: str, projection: str) -> str:
    """A summary scalar: the mean over layers of RD."""
    return f"rd_{metric}_{projection}"


def live(metric: str, projection: str) -> str:
    """Per sample, while the point runs: the mean over layers."""
    return f"s_{metric}_{projection}"
