"""Steps of tiny models as trainers take them, and the plain definition of their gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from gradsweep import ProbeSample, ProbeSet
from gradsweep.models.projections import find_projections
from gradsweep.records import SampleResult, SpectrumRow
from helpers.agreement import TOLERANCE
from helpers.plain_gradients import Gradients, assert_close
from helpers.tiny_models import VOCABULARY

LENGTH = 12


def batch(rows: int = 8, seed: int = 0) -> torch.Tensor:
    """Token ids."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, VOCABULARY, (rows, LENGTH), generator=generator)


def mean_loss(model: Any, ids: torch.Tensor) -> torch.Tensor:
    logits = model(input_ids=ids).logits
    return F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten())


def backward(model: Any, ids: torch.Tensor, parts: int = 1, scale: float = 1.0) -> None:
    """Accumulate the gradient of the mean loss, as trainers do over several parts of a batch."""
    for part in ids.chunk(parts):
        (scale * mean_loss(model, part) / parts).backward()


def gradient_norm(model: Any) -> float:
    """Over all parameters."""
    return float(
        torch.cat([p.grad.flatten().double() for p in model.parameters() if p.grad is not None])
        .norm()
        .item()
    )


def assert_rows_are_of(
    rows: Sequence[SpectrumRow], gradients: Gradients, rel: float = TOLERANCE
) -> None:
    """Norms of every row are those of a float64 SVD of its gradient."""
    assert_close(SampleResult(rows=tuple(rows), loss=0.0), gradients, rel)


def largest(spectrum: Any) -> float:
    """A metric of the user's own."""
    return float(spectrum.sigma[0])


def probe_set(**options: Any) -> ProbeSet:
    """Two questions, fast and slow."""
    samples = [
        ProbeSample(question, response, cot)
        for question in ("How many apples has Tom?", "Tom eats 3. How many?")
        for cot, response in [("none", "12"), ("detailed", "Tom has 15 and eats 3. So 12.")]
    ]
    return ProbeSet(samples, **options)


def same_weights(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """Whether they are the same to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def with_adapters(model: Any, *targets: str, dropout: float = 0.0) -> Any:
    """Wrap a model by PEFT, with adapters that have been trained a little: B is not zero."""
    peft = pytest.importorskip("peft", reason="PEFT is not installed")
    config = peft.LoraConfig(
        r=3, lora_alpha=6, lora_dropout=dropout, target_modules=list(targets), task_type="CAUSAL_LM"
    )
    wrapped = peft.get_peft_model(model, config)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return wrapped


def adapter_gradients(model: Any, projections: Sequence[str]) -> Gradients:
    """`.grad` of adapters' matrices, and of the frozen weights around which they are."""
    found = {}
    for site in find_projections(model, projections):
        module = site.module
        names = list(site.columns)
        found[site.layer, f"{names[0]}_lora_a"] = module.lora_A["default"].weight.grad.clone()
        base = module.base_layer.weight.grad
        if base is not None:
            base = base.T if type(module.base_layer).__name__ == "Conv1D" else base
        for name, columns in site.columns.items():
            rows = slice(None) if columns is None else columns
            found[site.layer, f"{name}_lora_b"] = module.lora_B["default"].weight.grad[rows].clone()
            if base is not None:
                found[site.layer, name] = base[rows].clone()
    return found


def with_dropout(model: Any) -> Any:
    """Train mode, with dropout of the attention, so that training draws random numbers."""
    model.config._attn_implementation = "eager"
    for module in model.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.3
    return model.train()
