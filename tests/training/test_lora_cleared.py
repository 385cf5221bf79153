"""LoRA's effective weights where gradients were cleared without a step, or were not cleared."""

from __future__ import annotations

import copy
import math
from typing import Any

import polars as pl
import pytest
import torch
from helpers.training import Gradients, adapter_gradients, batch, mean_loss, with_adapters

import gradsweep
from gradsweep.errors import ModelError

pytest.importorskip("peft", reason="PEFT is not installed")

Model = Any
OPTIONS: dict[str, Any] = {"update_every": 1, "layers": 1, "projections": "qv"}


@pytest.fixture
def lora(tiny_llama: Model) -> Model:
    return with_adapters(copy.deepcopy(tiny_llama).train(), "q_proj", "v_proj")


def expected(model: Model, *seeds: int) -> Gradients:
    """Of the effective weights, of batches with these seeds together."""
    twin = copy.deepcopy(model)
    for name, parameter in twin.named_parameters():
        parameter.requires_grad_("base_layer.weight" in name or "lora" in name)
    for seed in seeds:
        mean_loss(twin, batch(4, seed=seed)).backward()
    gradients = adapter_gradients(twin, "qv")
    return {key: gradient for key, gradient in gradients.items() if key[1] in "qv"}


def standing(model: Model) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.0)


def assert_last_step_is_of(rows: pl.DataFrame, gradients: Gradients) -> None:
    last = rows.filter(step=rows["step"].max())
    for (layer, name), gradient in gradients.items():
        row = last.filter(layer=layer, projection=name).row(0, named=True)
        nuclear = float(torch.linalg.svdvals(gradient.double()).sum())
        assert row["finite"]
        assert row["nuclear_norm"] == pytest.approx(nuclear, rel=1e-5)


@pytest.mark.parametrize("to_none", [True, False], ids=["none", "zero"])
@pytest.mark.parametrize("reentrant", [None, False, True], ids=["plain", "again", "reentrant"])
def test_a_batch_that_the_loop_drops_is_in_no_row(
    reentrant: bool | None, to_none: bool, lora: Model
) -> None:
    """Between the parts of a step, too, and whatever checkpointing computes again."""
    gradients = expected(lora, 2, 3)
    if reentrant is not None:
        lora.gradient_checkpointing_enable({"use_reentrant": reentrant})
        lora.enable_input_require_grads()
    optimizer = standing(lora)
    with gradsweep.watch(lora, optimizer, **OPTIONS) as watched:
        for seed in range(4):
            (mean_loss(lora, batch(4, seed=seed)) * (1.0 if seed > 1 else 1000.0)).backward()
            if seed in (0, 3):
                optimizer.step()
            if seed < 2:
                optimizer.zero_grad(set_to_none=to_none)
    assert_last_step_is_of(watched.rows, gradients)


def test_a_step_that_a_scaler_leaves_out_is_in_no_row(lora: Model) -> None:
    gradients, optimizer = expected(lora, 1), standing(lora)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    with gradsweep.watch(lora, optimizer, scaler=scaler, **OPTIONS) as watched:
        for seed, size in ((0, math.inf), (1, 1.0)):
            scaler.scale(mean_loss(lora, batch(4, seed=seed)) * size).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    assert watched.rows["step"].unique().to_list() == [0]
    assert_last_step_is_of(watched.rows, gradients)


def test_two_passes_forward_and_one_backward_are_both_in(lora: Model) -> None:
    """As of a loss of pairs: nothing was cleared between them."""
    gradients, optimizer = expected(lora, 0, 1), standing(lora)
    with gradsweep.watch(lora, optimizer, **OPTIONS) as watched:
        losses = [mean_loss(lora, batch(4, seed=seed)) for seed in (0, 1)]
        (losses[0] + losses[1]).backward()
        optimizer.step()
    assert_last_step_is_of(watched.rows, gradients)


def test_a_pass_cut_short_leaves_nothing_in_the_next_ones_rows(lora: Model) -> None:
    """As by a lack of memory in the lower layer, after which a loop goes on."""
    gradients, optimizer = expected(lora, 1), standing(lora)

    def full(*_: Any) -> None:
        raise MemoryError

    with gradsweep.watch(lora, optimizer, **OPTIONS) as watched:
        lower = lora.get_base_model().model.layers[0].self_attn.v_proj
        handle = lower.lora_A["default"].weight.register_hook(full)
        with pytest.raises(MemoryError):
            mean_loss(lora, batch(4)).backward()
        handle.remove()
        optimizer.zero_grad()
        mean_loss(lora, batch(4, seed=1)).backward()
        optimizer.step()
    assert_last_step_is_of(watched.rows, gradients)


def test_gradients_that_are_never_cleared_are_refused(lora: Model) -> None:
    """A's and B's rows would be of all steps' passes, and the effective weight's of the last."""
    optimizer = standing(lora)
    with gradsweep.watch(lora, optimizer, **OPTIONS):
        mean_loss(lora, batch(4)).backward()
        optimizer.step()
        mean_loss(lora, batch(4, seed=1)).backward()
        with pytest.raises(ModelError, match=r"adapters of layer 0 had a gradient.*zero_grad\(\)"):
            optimizer.step()
