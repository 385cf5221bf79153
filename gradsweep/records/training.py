"""What a training point measures while its model learns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import nan


class Source(str, Enum):
    """What a training row is a gradient of."""

    update = "update"
    """The optimizer step's own accumulated gradient, before clipping; one unit, `UPDATE`."""
    probe = "probe"
    """Fixed questions that are not trained on, each by itself."""


UPDATE = "update"
"""Sample id and question id of an update's rows: the gradient is of the whole step."""


@dataclass(frozen=True)
class Moment:
    """When in a run, and of what, some rows were measured.

    Everything measured with the same `step` is of the same weights.
    """

    step: int
    """Optimizer steps that the weights have had: 0 for the weights as they were loaded."""
    source: Source
    probe_cot: str | None = None
    """The probe's value on the axis cot; None for updates."""
    probe_correctness: str | None = None
    """The probe's value on the axis correctness; None for updates."""


MOMENT = ("step", "source", "probe_cot", "probe_correctness")
"""Columns that rows of training points have before those of other points (`Moment`)."""


@dataclass(frozen=True)
class TrainingStep:
    """One optimizer step: what every trainer knows of it."""

    step: int
    """Optimizer steps before it: its `update` rows have the same number."""
    loss: float
    """Mean of the step's losses, as it was trained on, in nats."""
    learning_rate: float
    gradient_norm: float = nan
    """‖g‖ over all trained weights before clipping; NaN where it was not taken."""
    clipped_gradient_norm: float = nan
    """The same as the optimizer got it."""
    update_over_weight: float = nan
    """‖ΔW‖/‖W‖ over all watched weights; NaN where it was not taken."""
    held_out_loss: float = nan
    """Mean loss over held-out questions before the step; NaN where it was not taken. The last
    line of a run has it, and no loss."""
    n_samples: int = 0
    """Samples trained on in this step."""
    n_tokens: int = 0
    """Response tokens trained on in this step."""
    epoch: float = 0.0
    """Share of the data that has been trained on after the step; 1.5 is one and a half times."""
    seconds: float = nan
    """Wall time of the step, without probes and held-out losses."""
