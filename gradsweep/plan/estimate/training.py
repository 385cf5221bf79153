"""What a training point takes beside measuring: passes, gradients, optimizer states."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradsweep.config import Config, Dtype, Optimizer, TrainingConfig, TrainingKind
from gradsweep.models.footprint import weight_kind, weights_gb
from gradsweep.models.parameters import parameters_of
from gradsweep.plan.estimate.shape import QUERIES_OF_A_KEY, Shape, shape_of
from gradsweep.plan.estimate.steps import most_responses, samples_of, steps_of

_LEARNING = (TrainingKind.full, TrainingKind.lora)
"""Kinds that step weights; a series reads those that somebody has trained."""
_STATES = {Optimizer.adamw: 2, Optimizer.sgd: 0, Optimizer.muon: 1}
"""Copies of the weights that an optimizer keeps: moments; of Muon, for nearly all weights, one."""
_ATTENTION = 1 / 3
"""Share of a model's weights in the projections that are watched by default, at most."""
_OF_KEYS = 1 + 1 / QUERIES_OF_A_KEY
_WIDTHS = {"q": 2.0, "k": _OF_KEYS, "v": _OF_KEYS, "o": 2.0}
"""Inputs and outputs of a projection, in hidden sizes."""
_FEED_FORWARD_WIDTHS = 4.5
"""The same of a gate, up or down projection, as in Llama 3."""


def passes(config: Config) -> list[tuple[Config, int]]:
    """List the conditions of the samples that pass through the model, with how many of each do.

    They are trained on, or probed; a point that does not train has its own alone. A trained sample
    takes a pass more than a measured one, and no spectra: about as long.
    """
    training = config.training
    if not training.trains:
        return [(config, steps_of(config) or samples_of(config))]
    series = training.kind is TrainingKind.series
    moments = len(training.checkpoints) if series else _moments(config)
    trained = 0 if series else training.steps * training.samples_per_step
    probed = moments * training.probe_questions
    return [(config, trained), *((at, probed) for at in config.probe_conditions() if probed)]


def samples_passed(config: Config) -> int:
    """Count the samples that pass through the model (`passes`)."""
    return sum(count for _, count in passes(config))


def _moments(config: Config) -> int:
    """Probes of a run: before the first step, every so many, and after the last."""
    training = config.training
    if not training.probe_every:
        return 0
    return 1 + training.steps // training.probe_every + bool(training.steps % training.probe_every)


def training_gb(config: Config) -> float:
    """Return the memory of gradients, optimizer states and what updates are compared with, in GB.

    It is of what trains: every weight, those of `training.trained_layers`, or adapters, whose own
    weights come on top. 0 for points that do not train, and where the model's number of parameters
    is unknown.
    """
    training, parameters = config.training, parameters_of(config.model)
    if training.kind not in _LEARNING or parameters is None:
        return 0.0
    shape = shape_of(parameters)
    layers = len(training.trained_layers) or shape.layers
    copies = 1.0 + _STATES[training.optimizer]
    if training.kind is TrainingKind.lora:
        # Each update is compared with the adapters before it, and with the last gradients.
        copies += 1 + 2 * _watched(training)
        return copies * weights_gb(round(layers * _adapters_of_layer(config, shape)), "float32")
    share = min(1.0, layers / shape.layers)
    copies += 2 * _ATTENTION * _watched(training)
    return copies * weights_gb(round(share * parameters), weight_kind(config.model))


def tokens_of_pass(config: Config, tokens: int) -> int:
    """Return the tokens of a training pass over samples of `tokens` each; 0 where nothing trains.

    A pair or group is a sample, of at most `model.max_length` for each of its responses.
    """
    if config.training.kind not in _LEARNING:
        return 0
    longest = most_responses(config) * config.model.max_length
    return config.training.batch_size * min(tokens, longest)


def kept_factors_gb(config: Config, tokens: int) -> float:
    """Return the memory of X and dY that LoRA's updates keep until the optimizer steps, in GB.

    They are those of all passes of a step, of every watched layer: more than they are, since
    projections that share their X count it once each. 0 where there are no such updates, and where
    the model's number of parameters is unknown.
    """
    training, parameters = config.training, parameters_of(config.model)
    if training.kind is not TrainingKind.lora or parameters is None:
        return 0.0
    shape = shape_of(parameters)
    layers = (len(training.trained_layers) or shape.layers) * _watched(training)
    of_token = layers * _projection_widths(config) * shape.width
    of_step = tokens_of_pass(config, tokens) * training.accumulation
    return of_step * of_token * (4 if config.model.dtype is Dtype.float32 else 2) / 1e9


def _watched(training: TrainingConfig) -> float:
    """Return the share of the trained layers that have update rows."""
    if not training.update_every:
        return 0.0
    numbers = training.trained_layers
    if not numbers:
        return 1 / training.update_layers
    return sum(number % training.update_layers == 0 for number in numbers) / len(numbers)


def _adapters_of_layer(config: Config, shape: Shape) -> float:
    """Return the weights of a layer's adapters: rank × (inputs + outputs) of each projection."""
    return config.training.rank * _projection_widths(config) * shape.width


def _projection_widths(config: Config) -> float:
    """Return inputs and outputs of the measured projections of a layer, in hidden sizes."""
    return sum(_WIDTHS.get(name, _FEED_FORWARD_WIDTHS) for name in config.gradients.projections)


@dataclass(frozen=True)
class RunLength:
    """How long a training point goes."""

    steps: int
    """Optimizer steps, or checkpoints of a series."""
    epochs: float | None
    """How many times through the data it trains on; None of a series."""


def run_length(config: Config) -> RunLength | None:
    """Return how long a training point goes; None of other points.

    Epochs are of as many samples as the point asks for; the data may have fewer.
    """
    training = config.training
    if not training.trains:
        return None
    if training.kind is TrainingKind.series:
        return RunLength(len(training.checkpoints), None)
    samples = config.requested_samples
    n_train = samples - math.ceil(training.held_out * samples)
    passed = training.steps * training.samples_per_step
    return RunLength(training.steps, passed / n_train if n_train else None)
