"""Weights in 4 bits (NF4, arXiv 2305.14314) by bitsandbytes, and what exact gradients ask of them.

A frozen 4-bit weight is dequantised for every product, forward and backward. So X and dY at its
module are those of a dense model with the dequantised weights, and dYᵀX is the gradient by these.
"""

from __future__ import annotations

import copy
import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedModel
from transformers.utils.import_utils import is_bitsandbytes_available

from gradsweep.config import ModelConfig, Quantization
from gradsweep.errors import ModelError

BLOCK = 64
"""Number of consecutive weights of a row that share a scale."""


def quantization_config(config: ModelConfig) -> BitsAndBytesConfig:
    """Return what asks for NF4 in blocks of 64, float32 scales, and products in the model's dtype.

    Scales are not quantised again ("double quantisation"): that saves 0.4 of 4.5 bits, and moves
    every weight once more.

    Raises:
        ModelError: bitsandbytes is not installed, or too old.
    """
    if not is_bitsandbytes_available():
        raise ModelError(
            f"model={config.name}: model.quantization={config.quantization.name} needs "
            "bitsandbytes, which is not installed here or too old. Install it with: "
            "pip install 'gradsweep[quantization]' (in a checkout: pip install -c constraints.txt "
            "-e '.[quantization]')"
        )
    with _silenced("bitsandbytes"):  # which misses a package of faster kernels for inference
        importlib.import_module("bitsandbytes")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=config.quantization.name,
        bnb_4bit_compute_dtype=getattr(torch, config.dtype.name),
        bnb_4bit_use_double_quant=False,
    )


def check_quantised(model: PreTrainedModel, config: ModelConfig) -> None:
    """Check that the loaded model is quantised as `model.quantization` says and computes rightly.

    Raises:
        ModelError: the source was quantised already, or for inference only; no module could be
            quantised; or the CPU would compute with wrong weights.
    """
    asked = f"model={config.name}: model.quantization={config.quantization.name}"
    is_quantised = config.quantization is not Quantization.none
    _check_trainable(model, config.name)
    if is_quantised and getattr(model.hf_quantizer, "pre_quantized", False):
        kind = model.config.quantization_config.quant_method
        raise ModelError(
            f"{asked}, but the weights in its source are quantised already ({kind}): take them as "
            "they are with model.quantization=none, or give a source of full-precision weights"
        )
    modules = {name: m for name, m in model.named_modules() if is_four_bit(m)}
    if is_quantised and not modules:
        raise ModelError(
            f"{asked}, but none of its modules is one that bitsandbytes can quantise "
            "(torch.nn.Linear, Conv1D); allowed is model.quantization=none"
        )
    for name, module in modules.items():
        # bitsandbytes 0.50's CPU kernel takes the scales of the wrong blocks there.
        if module.weight.device.type == "cpu" and module.in_features % BLOCK:
            raise ModelError(
                f"{asked} on a CPU: {name} has {module.in_features} inputs, and bitsandbytes "
                f"dequantises rows that are not whole blocks of {BLOCK} wrongly there; use a GPU "
                "or model.quantization=none"
            )


def _check_trainable(model: PreTrainedModel, name: str) -> None:
    """Ask the quantizer of the weights whether a backward pass goes through its modules."""
    quantizer = getattr(model, "hf_quantizer", None)
    if quantizer is None or getattr(quantizer.quantization_config, "dequantize", False):
        return
    if not quantizer.is_trainable:
        raise ModelError(
            f"model={name}: its weights are quantised for inference only "
            f"({model.config.quantization_config.quant_method}), and no gradient passes through "
            "them; take its weights in full precision, with model.quantization=nf4 where memory "
            "is short"
        )


def four_bit_modules(model: nn.Module) -> list[Any]:
    """Return the 4-bit modules of a model, whoever loaded it."""
    return [module for module in model.modules() if is_four_bit(module)]


def is_four_bit(module: nn.Module) -> bool:
    """Return whether a module is a `bitsandbytes.nn.Linear4bit`."""
    bitsandbytes = sys.modules.get("bitsandbytes")  # not imported: then there are none
    return bitsandbytes is not None and isinstance(module, bitsandbytes.nn.Linear4bit)


@contextmanager
def no_inference_packing(model: nn.Module) -> Iterator[None]:
    """Keep 4-bit weights in the layout that gradients pass through, inside the `with` block.

    On a CPU with AVX512-BF16, bitsandbytes repacks a weight for inference when an input comes that
    needs no gradient, as in the lowest layer here: scales are rounded to bfloat16, products are
    made in it, and the output has no graph. Gradients would be wrong without a word.

    Raises:
        ModelError: a forward pass for inference has repacked weights already.
    """
    modules = four_bit_modules(model)
    if any(getattr(m.weight.quant_state, "packing_format_for_cpu", False) for m in modules):
        raise ModelError(
            "the model's 4-bit weights were repacked by bitsandbytes in a forward pass for "
            "inference on this CPU, and give no gradients: load the model again"
        )
    packing = [m for m in modules if getattr(m, "support_avx512bf16_for_cpu", False)]
    for module in packing:
        module.support_avx512bf16_for_cpu = False
    try:
        yield
    finally:
        for module in packing:
            module.support_avx512bf16_for_cpu = True


def to_float32(model: nn.Module) -> None:
    """Convert weights, and the products of 4-bit ones, to float32 in place; both are exact."""
    nn.Module.float(model)  # transformers refuses its own `float` to quantised models
    for module in four_bit_modules(model):
        module.compute_dtype = module.weight.quant_state.dtype = torch.float32


def dequantised(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """Return the model, or a copy with frozen dense modules of `dtype` in the place of 4-bit ones.

    The dense weights are those that products in `dtype` are made with.
    """
    if not four_bit_modules(model):
        return model
    dense = copy.deepcopy(model)
    with _silenced("transformers"):
        dense.dequantize(dtype=dtype)
    return dense.requires_grad_(False)


@contextmanager
def _silenced(package: str) -> Iterator[None]:
    """Let only errors through from the package's loggers."""
    logger = logging.getLogger(package)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
