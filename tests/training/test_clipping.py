"""What trainers do to gradients between the backward pass and the step: one factor, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.plain_gradients import weight_gradients
from helpers.training import assert_rows_are_of, backward, batch, gradient_norm
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.utils._python_dispatch import TorchDispatchMode

from gradsweep.errors import ModelError
from gradsweep.training.update import Update, UpdateWatch

Model = Any


@pytest.fixture
def llama(tiny_model: Callable[[str], Model]) -> Model:
    """Its lowest layer has the largest gradients, as in many models."""
    model = tiny_model("llama_gqa").train()
    with torch.no_grad():
        for name in ("v_proj", "o_proj"):
            model.model.layers[0].self_attn.get_submodule(name).weight.mul_(20)
    return model


def stepped(watch: UpdateWatch, model: Model, step: int = 0) -> Update | None:
    watch.before_step(step)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    return watch.after_step() if watch.due(step) else None


def by_value(model: Model) -> None:
    """At a threshold that leaves the last watched weight as it is."""
    last = model.model.layers[-1].self_attn.o_proj.weight.grad
    clip_grad_value_(model.parameters(), 1.01 * float(last.abs().max()))


def by_parameter(model: Model) -> None:
    for parameter in model.parameters():
        clip_grad_norm_([parameter], 0.02)


def by_layer(model: Model) -> None:
    for layer in model.model.layers:
        clip_grad_norm_(layer.parameters(), 0.02)


def scaled_by_layer(model: Model) -> None:
    for number, layer in enumerate(model.model.layers):
        for parameter in layer.parameters():
            parameter.grad.mul_(0.5 ** (2 - number))


def one_is_zeroed(model: Model) -> None:
    model.model.layers[0].self_attn.k_proj.weight.grad.zero_()


def small_entries_dropped(model: Model) -> None:
    gradient = model.model.layers[1].self_attn.v_proj.weight.grad
    gradient[gradient.abs() < gradient.abs().median()] = 0.0


@pytest.mark.parametrize(
    "change",
    [by_value, by_parameter, by_layer, scaled_by_layer, one_is_zeroed, small_entries_dropped],
)
def test_what_is_more_than_one_factor_is_refused(
    change: Callable[[Model], None], llama: Model
) -> None:
    with UpdateWatch(llama) as watch:
        backward(llama, batch())
        change(llama)
        with pytest.raises(ModelError, match=r"seen at \w of layer \d.*clip by norm"):
            watch.before_step(0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("share", [0.3, 1e-6])
def test_one_factor_is_not(share: float, dtype: torch.dtype, llama: Model) -> None:
    llama.to(dtype)
    with UpdateWatch(llama) as watch:
        backward(llama, batch(), parts=2)
        expected = weight_gradients(llama)
        clip_grad_norm_(llama.parameters(), share * gradient_norm(llama))
        update = stepped(watch, llama)
    assert update is not None
    assert_rows_are_of(update.rows, expected, rel=1e-5 if dtype is torch.float32 else 2e-2)


@pytest.mark.parametrize("size", [0.0, 1e-22, 1e-30])
def test_a_gradient_of_next_to_nothing_tells_no_factor(size: float, llama: Model) -> None:
    """Its squares are too small for float32; also that of the last watched weight, as of a part
    of the model that hardly takes part."""
    last = llama.model.layers[-1].self_attn.o_proj
    last.weight.register_hook(lambda gradient: size * gradient)
    with UpdateWatch(llama) as watch:
        backward(llama, batch())
        expected, norm = weight_gradients(llama), gradient_norm(llama)
        clip_grad_norm_(llama.parameters(), norm / 100)
        update = stepped(watch, llama)
    assert update is not None
    assert update.gradient_norm == pytest.approx(norm, rel=1e-5)
    told = {key: gradient for key, gradient in expected.items() if key != (2, "o")}
    assert_rows_are_of([r for r in update.rows if (r.layer, r.projection) in told], told)


def test_steps_that_are_not_due_cost_nothing(llama: Model) -> None:
    """Counted in operations of torch, which clocks do not see."""

    def operations(step: int) -> int:
        with _Counter() as counter:
            backward(llama, batch())
        stepped(watch, llama, step)
        return counter.operations

    with UpdateWatch(llama, every=3) as watch:
        counts = [operations(step) for step in range(7)]
    with UpdateWatch(llama, every=0) as watch:
        stepped(watch, llama)
        plain = operations(1)
    assert counts[1] == counts[2] == counts[4] == counts[5] == plain
    assert counts[3] == counts[6] > plain


class _Counter(TorchDispatchMode):
    operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        return func(*args, **(kwargs or {}))
