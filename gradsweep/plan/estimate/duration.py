"""How long a sample of a point takes, as before or by a stated model; how long jobs take together.

The model: one forward pass and the backward pass to the activations, 2·P·T FLOP each (weights are
frozen), a second forward pass with checkpointing, at the rate of `Hardware.flops`, or as long as
weights that are shared out take to come together; and a spectrum for each projection and layer,
whose time grows with min(T, d)³, spread over the cores.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from gradsweep.config import Config
from gradsweep.config.objective import responses_of
from gradsweep.config.options import effects_set
from gradsweep.models.footprint import weight_kind
from gradsweep.models.parameters import parameters_of
from gradsweep.plan.estimate.cost import Cost, work
from gradsweep.plan.estimate.gathering import gathering_seconds, ranks_of
from gradsweep.plan.estimate.hardware import Hardware
from gradsweep.plan.estimate.shape import shape_of

SPECTRUM_SECONDS = 0.0075
"""Of one projection of one sample of `SPECTRUM_TOKENS` on one core (docs/benchmarks.md). The same
is taken on a GPU beside eight cores and more: 0.5 to 0.7 ms each on an H100 at 500 tokens."""
SPECTRUM_TOKENS = 450
SAMPLE_SECONDS = 0.02
"""Of what does not depend on size: launching operations, making rows, storing them."""


class Basis(str, Enum):
    """What an estimate of time rests on, the best first."""

    CONDITION = "measured"
    """Points of this model, dataset and cot."""
    MODEL = "by tokens"
    """Other points of this model, by their time per token."""
    FLOPS = "FLOP model"
    UNKNOWN = "unknown"
    """Neither measured nor is `model.parameters` known."""


@dataclass(frozen=True)
class Duration:
    seconds: float | None
    """Wall time of a sample; None where nothing tells."""
    basis: Basis
    device: str | None = None
    """On which it was measured."""


def seconds_per_sample(
    config: Config, tokens: float, hardware: Hardware, costs: Sequence[Cost]
) -> Duration:
    """Measured where it was measured on comparable hardware, else by the model above.

    Args:
        config: of the point.
        tokens: of a sample, prompt and response.
        hardware: what a job of the point will have.
        costs: of earlier points; those of other models and other hardware are passed over.
    """
    same = _comparable(costs, config, hardware)
    condition = (config.dataset.name, config.cot.label, responses_of(config.objective).name)
    of_condition = [cost for cost in same if (cost.dataset, cost.cot, cost.responses) == condition]
    if of_condition:
        seconds = _seconds(of_condition, hardware) / sum(cost.samples for cost in of_condition)
        return Duration(seconds, Basis.CONDITION, of_condition[0].device)
    if same:
        seconds = _seconds(same, hardware) / sum(cost.tokens for cost in same) * tokens
        return Duration(seconds, Basis.MODEL, same[0].device)
    modelled = modelled_seconds(config, tokens, hardware)
    return Duration(modelled, Basis.UNKNOWN if modelled is None else Basis.FLOPS)


def modelled_seconds(config: Config, tokens: float, hardware: Hardware) -> float | None:
    """Estimate by operations; None where the model's number of parameters is unknown."""
    parameters = parameters_of(config.model)
    if parameters is None:
        return None
    shape, wanted = shape_of(parameters), config.gradients
    effects = [effect for _, _, effect in effects_set(wanted)]
    passes = 2 + sum(effect.passes for effect in effects)
    computing = passes * 2 * parameters * tokens / hardware.flops(config.model.dtype.value)
    gathering = gathering_seconds(config, hardware) / max(1, wanted.batch_tokens // max(1, tokens))
    factor = 1 + sum(effect.spectra for effect in effects)
    spectra = len(wanted.projections) * shape.layers * factor
    of_one = SPECTRUM_SECONDS * (min(tokens, shape.width) / SPECTRUM_TOKENS) ** 3
    solving = spectra * of_one / (hardware.cores or 1)
    return max(computing, gathering) + solving + SAMPLE_SECONDS


def makespan(seconds: Sequence[float], at_once: int) -> float:
    """Seconds from the first start to the last end of jobs that take `seconds` each.

    They start in this order, each as soon as one of `at_once` places is free.
    """
    free = [0.0] * max(1, min(at_once, len(seconds)))
    for duration in seconds:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def _comparable(costs: Sequence[Cost], config: Config, hardware: Hardware) -> list[Cost]:
    """Of the same weights, work, kind of device and number of processes that share out weights; of
    the same device where it is known."""
    name, model = (hardware.name or "").lower(), config.model
    ranks = ranks_of(config, hardware)
    key = (model.name, weight_kind(model), work(config), hardware.kind, ranks)
    return [
        cost
        for cost in costs
        if (cost.model, cost.weights, cost.work, cost.kind, cost.ranks) == key
        and name in cost.device.lower()
    ]


def _seconds(costs: Sequence[Cost], hardware: Hardware) -> float:
    """On a CPU, as if twice the cores took half the time."""
    if hardware.kind != "cpu" or not hardware.cores:
        return sum(cost.seconds for cost in costs)
    return sum(cost.seconds * cost.cores / hardware.cores for cost in costs)
