"""What a model needs before it can be loaded: memory for its weights, an account for a gated one.

Read from the config and headers of files, so that planning can say it without torch.
"""

from __future__ import annotations

from gradsweep.config import ModelConfig, Quantization, SourceKind
from gradsweep.models.parameters import parameters_of

BITS_PER_WEIGHT = {"float32": 32.0, "bfloat16": 16.0, "float16": 16.0, "4-bit": 4.5}
"""A 4-bit weight has its share of a 32-bit scale per 64 weights (NF4). Embeddings and head stay
unquantised, so that the estimate is a lower bound there."""


def weights_gb(parameters: int, kind: str) -> float:
    """Return the memory of a model's weights in GB (10⁹ bytes); activations come on top.

    Args:
        parameters: the number of weights.
        kind: a name in `BITS_PER_WEIGHT`.
    """
    return parameters * BITS_PER_WEIGHT[kind] / 8 / 1e9


def model_weights_gb(model: ModelConfig) -> float | None:
    """Return the weights' memory in GB as this model is loaded; None when its size is unknown.

    With `model.quantization` it is a lower bound: embeddings and head stay in `model.dtype`.
    """
    parameters = parameters_of(model)
    return weights_gb(parameters, weight_kind(model)) if parameters else None


def amount(gigabytes: float) -> str:
    """Write a size: "6.9 GB", and "0.54 GB" below one."""
    return f"{gigabytes:.1f} GB" if gigabytes >= 1 else f"{gigabytes:.2f} GB"


def needs(model: ModelConfig) -> str:
    """Write one line: parameters, memory of the weights in each format, what a gated model asks."""
    parameters = parameters_of(model)
    parts = [_size(parameters, weight_kind(model)) if parameters else "size unknown"]
    source = model.source
    if source.gated and source.kind is SourceKind.hub:
        parts.append(f"gated: accept the terms of {source.hub_id} on the hub and set HF_TOKEN")
    return "; ".join(parts)


def weight_kind(model: ModelConfig) -> str:
    """Return the format in which the weights are kept: a name in `BITS_PER_WEIGHT`."""
    return model.dtype.name if model.quantization is Quantization.none else "4-bit"


def _size(parameters: int, chosen: str) -> str:
    ways = {"float32": "in float32", "bfloat16": "in 16 bits", "4-bit": "in 4 bits"}
    kept = "bfloat16" if chosen == "float16" else chosen
    sizes = [
        f"{'from ' * (kind == '4-bit')}{amount(weights_gb(parameters, kind))} {words}"
        f"{' (chosen)' * (kind == kept)}"
        for kind, words in ways.items()
    ]
    return f"{parameters / 1e9:.2f} B parameters, weights {', '.join(sizes)}"
