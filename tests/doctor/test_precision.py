"""A model in float64: nothing of a pass in fewer bits, and afterwards nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.tiny_models import FAMILIES, each
from torch import Tensor, nn
from torch.nn import functional as F

from gradsweep.doctor.precision import in_dtype
from gradsweep.models.projections import available_projections, find_projections

IDS = torch.arange(1, 21)[None]


def loss_gradient(model: Any, weight: Tensor) -> Tensor:
    """By autograd, from logits that are converted to float32 as objectives do."""
    weight.requires_grad_(True)
    logits = model(input_ids=IDS).logits[0]
    F.cross_entropy(logits[:-1].float(), IDS[0, 1:]).backward()
    gradient, weight.grad = weight.grad, None
    weight.requires_grad_(False)
    assert gradient is not None
    return gradient


def loss(model: Any) -> float:
    with torch.no_grad():
        logits = model(input_ids=IDS).logits[0]
        return F.cross_entropy(logits[:-1].float(), IDS[0, 1:]).item()


@pytest.mark.parametrize("family", each(FAMILIES))
def test_gradients_are_those_of_the_loss_to_the_precision_of_float64(
    family: str, tiny_model: Callable[[str], Any]
) -> None:
    """By the slope along the gradient, which a norm in float32 alone would move by 1e-4."""
    model = tiny_model(family).eval().requires_grad_(False)
    lowest = find_projections(model, available_projections(model)[:1])[0]
    weight = lowest.module.weight
    with in_dtype(model, torch.float64):
        gradient = loss_gradient(model, weight)
        assert gradient.dtype is torch.float64
        step = 1e-5 * gradient / gradient.norm()
        weight.add_(step)
        ahead = loss(model)
        weight.sub_(2 * step)
        behind = loss(model)
        weight.add_(step)
    slope = (ahead - behind) / 2e-5
    assert slope == pytest.approx(float(gradient.norm()), rel=1e-6)


class Converting(nn.Module):
    """Computes in float32, whatever comes in, as norms and softmaxes of models do."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(8, 8))
        self.register_buffer("scale", torch.rand(8))

    def forward(self, x: Tensor) -> Tensor:
        angles = torch.arange(8, dtype=torch.float32) * self.scale.float()
        y = torch.softmax(x.to(torch.float32) @ self.weight.float(), -1, dtype=torch.float32)
        return (y * angles.cos() + torch.ones(8)).to(x.dtype)


class Model(nn.Module):
    """What `in_dtype` asks of a model, with one weight in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Converting(), Converting()
        self.second.weight = self.first.weight

    def get_experts_implementation(self) -> dict[str, str]:
        return {}

    def set_experts_implementation(self, kind: str | dict[str, str]) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def by_hand(model: Model, x: Tensor) -> Tensor:
    for part in (model.first, model.second):
        y = torch.softmax(x @ part.weight.double(), -1)
        x = y * (torch.arange(8).double() * part.scale.double()).cos() + 1
    return x


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_conversions_to_fewer_bits_do_not_happen(dtype: torch.dtype) -> None:
    model: Any = Model().to(dtype)
    x = torch.rand(3, 8, dtype=torch.float64)
    with in_dtype(model, torch.float64):
        found = model(x)
    torch.testing.assert_close(found, by_hand(model, x), rtol=1e-14, atol=0)


def test_the_model_is_what_it_was_even_after_a_failure() -> None:
    model: Any = Model()
    model.second.scale = model.second.scale.bfloat16()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    with pytest.raises(RuntimeError), in_dtype(model, torch.float64):
        assert model.first.weight is model.second.weight
        assert model.second.scale.dtype is torch.float64
        model(torch.rand(3, 7))
    for name, tensor in model.state_dict().items():
        assert tensor.dtype is before[name].dtype, name
        assert torch.equal(tensor, before[name]), name
    assert model.first.weight is model.second.weight
    assert torch.get_default_dtype() is torch.float32
