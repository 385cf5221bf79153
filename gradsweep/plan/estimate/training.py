"""What a training point takes beside measuring: passes, gradients, optimizer states."""

from __future__ import annotations

from gradsweep.config import Config, Optimizer, TrainingKind
from gradsweep.models.footprint import weight_kind, weights_gb
from gradsweep.models.parameters import parameters_of
from gradsweep.plan.estimate.steps import samples_of, steps_of

_STATES = {Optimizer.adamw: 2, Optimizer.sgd: 0, Optimizer.muon: 1}
"""Copies of the weights that an optimizer keeps: moments; of Muon, for nearly all weights, one."""
_ATTENTION = 1 / 3
"""Share of a model's weights in the projections that are watched by default, at most."""


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

    0 for points that do not train, where adapters alone are trained, and where the model's number
    of parameters is unknown.
    """
    training, parameters = config.training, parameters_of(config.model)
    if training.kind is not TrainingKind.full or parameters is None:
        return 0.0
    copies = 1.0 + _STATES[training.optimizer]
    if training.update_every:  # the weights before the step, and the last step's gradients
        copies += 2 * _ATTENTION / training.update_layers
    return copies * weights_gb(parameters, weight_kind(config.model))
