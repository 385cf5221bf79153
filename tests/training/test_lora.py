"""Updates of LoRA adapters: their own matrices, and the gradient by the effective weight."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.training import (
    Gradients,
    adapter_gradients,
    assert_rows_are_of,
    backward,
    batch,
    gradient_norm,
    mean_loss,
    probe_set,
    with_adapters,
)

import gradsweep
from gradsweep.errors import ModelError
from gradsweep.records import SpectrumRow
from gradsweep.training.update import UpdateWatch

pytest.importorskip("peft", reason="PEFT is not installed")

Model = Any


@pytest.fixture
def lora(tiny_llama: Model) -> Model:
    return with_adapters(copy.deepcopy(tiny_llama).train(), "q_proj", "v_proj")


def expected(model: Model, projections: str, *losses: Callable[[Model], torch.Tensor]) -> Gradients:
    """Of the adapters and of W: the gradient by W is that by W + s·BA."""
    twin = copy.deepcopy(model)
    for module in twin.modules():
        module._forward_hooks.clear()  # copies of a watch's, which report to it
    for name, parameter in twin.named_parameters():
        if "base_layer.weight" in name:
            parameter.requires_grad_(True)
    for loss in losses:
        loss(twin).backward()
    return adapter_gradients(twin, projections)


def assert_each_kind(rows: tuple[SpectrumRow, ...], gradients: Gradients) -> None:
    """Gradients of A, of B and of W have sizes of their own."""
    for kind in ("lora_a", "lora_b", ""):
        own = {key: g for key, g in gradients.items() if key[1].partition("_")[2] == kind}
        assert own
        assert_rows_are_of([r for r in rows if (r.layer, r.projection) in own], own)


def update_of(watch: UpdateWatch, model: Model, step: int = 0) -> Any:
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    watch.check_optimizer(optimizer)
    watch.before_step(step)
    optimizer.step()
    return watch.after_step()


def test_rows_of_both_matrices_and_of_the_effective_weight(lora: Model) -> None:
    """Of all passes of an accumulated step, before clipping."""
    gradients = expected(
        lora, "qv", *(lambda m, part=part: mean_loss(m, part) / 2 for part in batch(4).chunk(2))
    )
    with UpdateWatch(lora, "qv") as watch:
        backward(lora, batch(4), parts=2)
        norm = gradient_norm(lora)
        torch.nn.utils.clip_grad_norm_(lora.parameters(), norm / 9)
        update = update_of(watch, lora)
    assert_each_kind(update.rows, gradients)
    names = ["q", "q_lora_a", "q_lora_b", "v", "v_lora_a", "v_lora_b"]
    assert [(r.layer, r.projection) for r in update.rows] == [(i, n) for i in (0, 1) for n in names]
    assert update.gradient_norm == pytest.approx(norm, rel=1e-5)
    for row in update.rows:
        moved = row.own_metrics["update_over_weight"]
        assert math.isnan(moved) if row.projection in "qv" else moved > 0
    assert not any(module._forward_hooks for module in lora.modules())


def test_fused_weights_of_a_transposed_layout(tiny_model: Callable[[str], Model]) -> None:
    model = with_adapters(tiny_model("gpt2_conv1d"), "c_attn").eval()
    gradients = expected(model, "qkv", lambda m: mean_loss(m, batch(4)))
    with UpdateWatch(model, "qkv") as watch:
        backward(model, batch(4))
        update = update_of(watch, model)
    assert_each_kind(update.rows, gradients)


def test_a_first_step_whose_a_has_no_gradient(tiny_llama: Model) -> None:
    """B begins at zero."""
    model = with_adapters(copy.deepcopy(tiny_llama).train(), "q_proj")
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.zero_()
    with UpdateWatch(model, "q") as watch:
        backward(model, batch(4))
        norm = gradient_norm(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), norm / 4)
        update = update_of(watch, model)
    assert update.gradient_norm == pytest.approx(norm, rel=1e-5)
    zero = [row for row in update.rows if row.projection == "q_lora_a"]
    assert [row.nuclear_norm for row in zero] == [0.0, 0.0]


def test_what_is_not_the_steps_own_is_left_out(
    lora: Model, make_tokenizer: Callable[..., Any]
) -> None:
    """Passes without grad, a probe, recomputation, and steps that are not due."""
    lora.gradient_checkpointing_enable({"use_reentrant": False})
    lora.enable_input_require_grads()
    trained = [p for p in lora.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    options: dict[str, Any] = {
        "update_every": 2,
        "layers": 1,
        "projections": "qv",
        "probe": probe_set(),
        "probe_every": 1,
        "tokenizer": make_tokenizer(),
    }
    with gradsweep.watch(lora, optimizer, **options) as watched:
        for step in range(3):
            if step == 2:
                gradients = expected(lora, "qv", lambda m: mean_loss(m, batch(4, seed=2)))
            with torch.no_grad():
                mean_loss(lora, batch(2, seed=9))
            backward(lora, batch(4, seed=step))
            optimizer.step()
            optimizer.zero_grad()
    rows = watched.rows.filter(source="update", step=2)
    for (layer, name), gradient in gradients.items():
        row = rows.filter(layer=layer, projection=name).row(0, named=True)
        nuclear = float(torch.linalg.svdvals(gradient.double()).sum())
        assert row["nuclear_norm"] == pytest.approx(nuclear, rel=1e-5)


def test_autocast_and_a_scaler(lora: Model) -> None:
    def loss(model: Model) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return mean_loss(model, batch(4))

    gradients = expected(lora, "qv", loss)
    scaler = torch.amp.GradScaler("cpu", init_scale=512.0)
    with UpdateWatch(lora, "qv", scaler=scaler) as watch:
        scaler.scale(loss(lora)).backward()
        scaler.unscale_(torch.optim.SGD([p for p in lora.parameters() if p.requires_grad]))
        update = update_of(watch, lora)
    for row in update.rows:
        # autograd rounds its gradient of W to 16 bits, which the rows are not
        norm = float(gradients[row.layer, row.projection].norm())
        assert row.frobenius_norm == pytest.approx(norm, rel=1e-2)


def test_what_has_no_adapter_is_refused(lora: Model) -> None:
    with pytest.raises(ModelError, match=r"k of layer 0.*give projections=\['q', 'v'\]"):
        UpdateWatch(lora)
    compiled = torch.compile(lora)
    with pytest.raises(ModelError, match="compiled"):
        UpdateWatch(compiled, "qv")
