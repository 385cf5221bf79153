"""Which layers of a model are trained (`training.trained_layers`); the others stand still."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import nn

from gradsweep.config import Config
from gradsweep.errors import ConfigError
from gradsweep.models.projections.layers import text_layers


def let_layers_train(model: nn.Module, config: Config) -> None:
    """Let every weight require a gradient, or those of the asked layers alone.

    Raises:
        ConfigError: the model has no such layer.
    """
    numbers = config.training.trained_layers
    model.requires_grad_(not numbers)
    if numbers:
        layers = text_layers(model, config.model.named_projections).layers
        require_layers(numbers, range(len(layers)))
        for number in numbers:
            layers[number].requires_grad_(True)


def require_layers(numbers: Sequence[int], there: Collection[int]) -> None:
    """Raise ConfigError where one of `training.trained_layers` is not there."""
    if missing := [number for number in numbers if number not in there]:
        raise ConfigError(
            f"training.trained_layers: the model has no layer {missing[0]} to train; its layers "
            f"are {min(there)} to {max(there)}"
        )


def updated_layers(config: Config) -> int | list[int]:
    """Choose the layers that have update rows: every so-manieth, of those that are trained.

    Raises:
        ConfigError: none of the trained ones is.
    """
    training = config.training
    if not training.trained_layers:
        return training.update_layers
    watched = [n for n in sorted(training.trained_layers) if n % training.update_layers == 0]
    if not watched:
        raise ConfigError(
            f"training.update_layers={training.update_layers} measures updates of none of "
            f"training.trained_layers={training.trained_layers}; type training.update_layers=1, or "
            "training.update_every=0"
        )
    return watched
