"""Adapters on the measured projections (LoRA, arXiv 2106.09685), by PEFT."""

from __future__ import annotations

from typing import Any

from torch import nn

from gradsweep.config import Config
from gradsweep.errors import ConfigError
from gradsweep.models.projections import find_projections
from gradsweep.training.layers import require_layers


def with_adapters(model: nn.Module, config: Config) -> Any:
    """Wrap a model so that adapters of its measured projections are all that is trained.

    The adapters lie inside the model that is given; PEFT's wrapper is only around it.

    Raises:
        ConfigError: PEFT is not installed, or a layer of `training.trained_layers` has none of the
            projections.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ConfigError(
            "training=lora takes PEFT, which is not installed: pip install 'gradsweep[lora]'"
        ) from error
    sites = find_projections(model, config.gradients.projections, config.model.named_projections)
    names = {module: name for name, module in model.named_modules()}
    training = config.training
    if training.trained_layers:
        require_layers(training.trained_layers, [site.layer for site in sites])
        sites = [site for site in sites if site.layer in training.trained_layers]
    return get_peft_model(
        model,
        LoraConfig(
            r=training.rank,
            lora_alpha=training.alpha,  # type: ignore[arg-type]  # PEFT only divides it
            lora_dropout=training.dropout,
            target_modules=sorted({names[site.module] for site in sites}),
        ),
    )
