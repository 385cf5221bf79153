"""A model some part of which has no backward, or a wrong one, is refused before it is measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.plain_gradients import mask, tokens
from helpers.tiny_models import FAMILIES, each
from helpers.units import Around, unit_of_tokens, without_tokenizer
from torch import Tensor, nn

from gradsweep import gradient_spectra
from gradsweep.engine.paths import check_paths
from gradsweep.errors import ModelError
from gradsweep.models.projections import find_projections

MakeModel = Callable[[str], Any]


def check(model: Any, projections: str = "qkvo") -> None:
    units = [unit_of_tokens(12, 6), unit_of_tokens(30, 15)]
    check_paths(without_tokenizer(model), find_projections(model, projections), units)


@pytest.mark.parametrize("family", each(FAMILIES))
def test_every_family_is_its_own_derivative(family: str, tiny_model: MakeModel) -> None:
    check(tiny_model(family))


@pytest.mark.parametrize("projections", ["v", "ko", ["gate", "down"], ["q", "up"]])
def test_whatever_is_watched(projections: Any, tiny_model: MakeModel) -> None:
    check(tiny_model("llama_gqa"), projections)


class WithoutGraph(Around):
    """As kernels for inference run."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.inner(x)


class OfRoundedInput(Around):
    """8-bit activations: the output follows the input, in steps that have no slope."""

    def forward(self, x: Tensor) -> Tensor:
        scale = x.detach().abs().max() / 127
        return self.inner((x / scale).round().detach() * scale)


class Detached(Around):
    """Half of what goes in goes on without a graph, so that the output still has one."""

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x / 2 + x.detach() / 2)


class Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0] / 2


class WrongBackward(Around):
    def forward(self, x: Tensor) -> Tensor:
        return Halved.apply(self.inner(x))


class Twice(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.inner(x))


class OnlyForward(Around):
    """As flex attention on a CPU, which says so in its forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise NotImplementedError("it does not support backward here")
        return self.inner(x)


def test_an_operation_that_torch_cannot_differentiate_is_an_error_with_its_reason(
    tiny_model: MakeModel,
) -> None:
    model = tiny_model("llama_gqa")
    model.model.layers[1].mlp = OnlyForward(model.model.layers[1].mlp)
    message = "no backward pass on this device: it does not support backward here; load it with"
    with pytest.raises(ModelError, match=message):
        check(model)
    with pytest.raises(ModelError, match=message):
        gradient_spectra(model, tokens(12)[None], mask(12, 6)[None])


class TakesOnlyTheDtype(Around):
    """As a rotary embedding takes hidden states."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ones(x.shape[-1], dtype=x.dtype)


def with_mlp(model: Any, kind: type[Around], layer: int = 1) -> Any:
    model.model.layers[layer].mlp = kind(model.model.layers[layer].mlp)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", [WithoutGraph, OfRoundedInput])
def test_a_part_without_a_backward_is_named(
    kind: type[Around], dtype: torch.dtype, tiny_model: MakeModel
) -> None:
    with pytest.raises(ModelError, match=r"no gradient passes through model\.layers\.1\.mlp:"):
        check(with_mlp(tiny_model("llama_gqa"), kind).to(dtype))


def test_tensors_of_ones_own_are_refused_too_and_a_model_is_tried_once(
    tiny_model: MakeModel,
) -> None:
    ids, response = torch.stack([tokens(12), tokens(12)]), torch.stack([mask(12, 6), mask(12, 3)])
    with pytest.raises(ModelError, match=r"no gradient passes through model\.layers\.1\.mlp:"):
        gradient_spectra(with_mlp(tiny_model("llama_gqa"), WithoutGraph), ids, response)
    model = tiny_model("llama_gqa")
    passes: list[int] = []
    model.model.register_forward_pre_hook(lambda module, args: passes.append(1))
    counted = []
    for projections in ("qkvo", "qkvo", "qk"):
        passes.clear()
        gradient_spectra(model, ids, response, projections=tuple(projections))
        counted.append(len(passes))
    assert counted[0] > counted[1] == 1
    assert counted[2] > 1, "other projections are other paths"


@pytest.mark.parametrize("kind", [Detached, WrongBackward])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_gradient_that_is_not_the_derivative_is_refused(
    kind: type[Around], layer: int, tiny_model: MakeModel
) -> None:
    with pytest.raises(ModelError, match="gradient of layer 0 is not the derivative of the loss"):
        check(with_mlp(tiny_model("llama_gqa"), kind, layer))


def test_a_module_that_runs_twice_is_refused(tiny_model: MakeModel) -> None:
    model = tiny_model("llama_gqa")
    layer = model.model.layers[1]
    layer.self_attn.o_proj = Shared(layer.self_attn.o_proj)
    with pytest.raises(ModelError, match=r"layers\.1\.self_attn\.o_proj runs 2 times"):
        check(model)


class Shared(nn.Linear):
    """A linear module that calls itself once more, as looped layers do."""

    def __init__(self, like: nn.Linear) -> None:
        super().__init__(like.in_features, like.out_features, bias=False)
        self.weight = like.weight
        self.is_second = False

    def forward(self, x: Tensor) -> Tensor:
        self.is_second = not self.is_second
        return self(super().forward(x)) if self.is_second else super().forward(x)


def test_what_takes_only_the_dtype_of_hidden_states_is_no_path(tiny_model: MakeModel) -> None:
    model = tiny_model("llama_gqa")
    scale = TakesOnlyTheDtype(nn.Identity())

    def scaled(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output * module.scale(args[0])

    mlp = model.model.layers[1].mlp
    mlp.scale = scale
    mlp.register_forward_hook(scaled)
    check(model)


def test_the_model_is_left_as_it_was(tiny_model: MakeModel) -> None:
    model = tiny_model("llama_gqa").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    check(model)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(state, torch.get_rng_state())
