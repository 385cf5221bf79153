"""Rows of a step's own gradient, whatever trainers do to it before the optimizer gets it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.plain_gradients import weight_gradients
from helpers.tiny_models import projections_of
from helpers.training import assert_rows_are_of, backward, batch, gradient_norm, mean_loss

from gradsweep import SpectraOptions
from gradsweep.errors import ModelError
from gradsweep.training.update import Update, UpdateWatch

Model = Any
Make = Callable[[str], Model]


@pytest.fixture
def llama(tiny_model: Make) -> Model:
    return tiny_model("llama_gqa").train()


def sgd(model: Model) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


def stepped(watch: UpdateWatch, model: Model, step: int = 0) -> Update:
    watch.before_step(step)
    sgd(model).step()
    return watch.after_step()


@pytest.mark.parametrize("family", ["llama_gqa", "phi3_fused", "gpt2_conv1d"])
def test_rows_are_those_of_an_svd_of_the_gradients(family: str, tiny_model: Make) -> None:
    """Fused weights are cut into projections, and Conv1D's are transposed."""
    model, names = tiny_model(family), projections_of(family)
    with UpdateWatch(model, names) as watch:
        backward(model, batch())
        expected, norm = weight_gradients(model, names), gradient_norm(model)
        update = stepped(watch, model)
    assert_rows_are_of(update.rows, expected)
    assert update.gradient_norm == update.clipped_gradient_norm == pytest.approx(norm, rel=1e-6)
    in_order = [(layer, name) for layer in range(3) for name in names]
    assert [(row.layer, row.projection) for row in update.rows] == in_order


def test_accumulation_in_parts_is_one_batch(llama: Model) -> None:
    with UpdateWatch(llama) as watch:
        backward(llama, batch(8))
        expected = weight_gradients(llama)
        llama.zero_grad()
        backward(llama, batch(8), parts=8)
        update = stepped(watch, llama)
    assert_rows_are_of(update.rows, expected)


def test_clipping_changes_no_row(llama: Model) -> None:
    with UpdateWatch(llama) as watch:
        backward(llama, batch(), parts=2)
        expected, norm = weight_gradients(llama), gradient_norm(llama)
        torch.nn.utils.clip_grad_norm_(llama.parameters(), norm / 7)
        update = stepped(watch, llama)
    assert_rows_are_of(update.rows, expected)
    assert update.gradient_norm == pytest.approx(norm, rel=1e-5)
    assert update.clipped_gradient_norm == pytest.approx(norm / 7, rel=1e-5)


def test_autocast_in_16_bits(llama: Model) -> None:
    with UpdateWatch(llama) as watch:
        with torch.autocast("cpu", torch.bfloat16):
            loss = mean_loss(llama, batch())
        loss.backward()
        expected = weight_gradients(llama)
        update = stepped(watch, llama)
    assert_rows_are_of(update.rows, expected)


def test_a_model_in_16_bits(llama: Model) -> None:
    llama = llama.to(torch.bfloat16)
    with UpdateWatch(llama) as watch:
        backward(llama, batch())
        expected = weight_gradients(llama)
        torch.nn.utils.clip_grad_norm_(llama.parameters(), gradient_norm(llama) / 4)
        update = stepped(watch, llama)
    assert_rows_are_of(update.rows, expected, rel=1e-2)  # clipping rounds to 16 bits


@pytest.mark.parametrize("unscaled", [True, False], ids=["unscaled", "fused"])
def test_the_scale_of_a_scaler_is_taken_out(unscaled: bool, llama: Model) -> None:
    """A fused optimizer gets scaled gradients, and unscales by itself."""
    scaler, optimizer = torch.amp.GradScaler("cpu", init_scale=1024.0), sgd(llama)
    backward(llama, batch())
    expected, norm = weight_gradients(llama), gradient_norm(llama)
    optimizer.zero_grad()
    with UpdateWatch(llama, scaler=scaler) as watch:
        scaler.scale(mean_loss(llama, batch())).backward()
        clipped = norm
        if unscaled:
            scaler.unscale_(optimizer)
            clipped = norm / 2
            torch.nn.utils.clip_grad_norm_(llama.parameters(), clipped)
        update = stepped(watch, llama)
    assert_rows_are_of(update.rows, expected)
    assert update.gradient_norm == pytest.approx(norm, rel=1e-5)
    assert update.clipped_gradient_norm == pytest.approx(clipped, rel=1e-5)


def test_what_a_step_does_to_the_weights(llama: Model) -> None:
    """Of plain SGD, ΔW is the learning rate times the gradient."""
    with UpdateWatch(llama, "qv") as watch:
        backward(llama, batch())
        gradients = weight_gradients(llama, "qv")
        weights = {
            (layer, name): llama.model.layers[layer].self_attn.get_submodule(f"{name}_proj").weight
            for layer, name in gradients
        }
        sizes = {key: weight.detach().norm().item() for key, weight in weights.items()}
        update = stepped(watch, llama)
    for row in update.rows:
        change = 0.1 * gradients[row.layer, row.projection].norm().item()
        expected = change / sizes[row.layer, row.projection]
        assert row.own_metrics["update_over_weight"] == pytest.approx(expected, rel=1e-3)
    squares = sum(float(g.norm()) ** 2 for g in gradients.values())
    expected = 0.1 * math.sqrt(squares / sum(size**2 for size in sizes.values()))
    assert update.update_over_weight == pytest.approx(expected, rel=1e-3)


def test_cosine_with_the_gradient_of_the_step_before(llama: Model) -> None:
    """Also where that step itself is not measured."""
    updates, gradients = {}, {}
    with UpdateWatch(llama, every=2) as watch:
        for step in range(4):
            llama.zero_grad()
            backward(llama, batch(seed=step))
            gradients[step] = weight_gradients(llama)
            watch.before_step(step)
            sgd(llama).step()
            if watch.due(step):
                updates[step] = watch.after_step()
    assert sorted(updates) == [0, 2]
    assert all(math.isnan(r.own_metrics["cosine_previous_update"]) for r in updates[0].rows)
    for row in updates[2].rows:
        one, other = (gradients[s][row.layer, row.projection].double().flatten() for s in (1, 2))
        cosine = float(one @ other / (one.norm() * other.norm()))
        assert row.own_metrics["cosine_previous_update"] == pytest.approx(cosine, abs=1e-9)


def test_layers_and_options(llama: Model) -> None:
    own = {"_target_": "helpers.training.largest"}
    options = SpectraOptions(top_k=2, own_metrics={"largest": own})
    with UpdateWatch(llama, "q", layers=2, options=options) as watch:
        backward(llama, batch())
        update = stepped(watch, llama)
    assert [row.layer for row in update.rows] == [0, 2]
    for row in update.rows:
        assert row.singular_values is not None
        assert row.singular_values[0] == row.sigma_max == row.own_metrics["largest"]


def test_rows_are_of_whole_matrices_also_where_heads_are_asked_for(llama: Model) -> None:
    with UpdateWatch(llama, options=SpectraOptions(heads=True)) as watch:
        backward(llama, batch())
        rows = stepped(watch, llama).rows
    assert [row.head for row in rows] == [None] * 12


def test_a_tied_embedding_counts_once_and_frozen_parts_do_not(tiny_model: Make) -> None:
    model = tiny_model("gemma3").train()
    model.get_input_embeddings().weight.requires_grad_(False)
    with UpdateWatch(model) as watch:
        backward(model, batch())
        norm = gradient_norm(model)
        update = stepped(watch, model)
    assert update.gradient_norm == pytest.approx(norm, rel=1e-6)


def test_training_is_the_same_to_the_last_bit(tiny_model: Make) -> None:
    def trained(watched: bool) -> dict[str, torch.Tensor]:
        model = tiny_model("llama_gqa").train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        with UpdateWatch(model) as watch:
            for step in range(4):
                backward(model, batch(seed=step), parts=2)
                torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
                if watched:
                    watch.before_step(step)
                optimizer.step()
                if watched:
                    watch.after_step()
                optimizer.zero_grad()
        assert not any(getattr(p, "_post_accumulate_grad_hooks", None) for p in model.parameters())
        return model.state_dict()

    plain, watched = trained(False), trained(True)
    assert all(torch.equal(plain[name], watched[name]) for name in plain)


def test_a_gradient_that_is_not_finite_is_a_row_that_is_not(llama: Model) -> None:
    with UpdateWatch(llama) as watch:
        (mean_loss(llama, batch()) * math.nan).backward()
        update = stepped(watch, llama)
    assert not any(row.finite for row in update.rows)


def test_clipping_an_infinite_norm_leaves_nothing_to_measure(llama: Model) -> None:
    with UpdateWatch(llama) as watch:
        backward(llama, batch())
        llama.lm_head.weight.grad[0, 0] = math.inf
        torch.nn.utils.clip_grad_norm_(llama.parameters(), 1.0)
        update = stepped(watch, llama)
    assert not any(row.finite for row in update.rows)
    assert math.isnan(update.gradient_norm)


def test_what_does_not_train_is_refused(llama: Model) -> None:
    for layer in llama.model.layers:
        layer.self_attn.q_proj.requires_grad_(False)
    with pytest.raises(ModelError, match=r"q of layer 0 \(3 of 6.*projections=\['k'\]"):
        UpdateWatch(llama, "qk")
    watch = UpdateWatch(llama, "k")
    optimizer = torch.optim.SGD(llama.model.layers[0].parameters(), lr=0.1)
    with pytest.raises(ModelError, match=r"optimizer does not have k of layer 1 \(2 of 3"):
        watch.check_optimizer(optimizer)


def test_frozen_layers_are_left_out_and_named(
    llama: Model, caplog: pytest.LogCaptureFixture
) -> None:
    llama.model.layers[0].requires_grad_(False)
    llama.model.layers[1].self_attn.q_proj.requires_grad_(False)
    with caplog.at_level("WARNING", "gradsweep"), UpdateWatch(llama, "qv") as watch:
        backward(llama, batch())
        rows = stepped(watch, llama).rows
    assert [(row.layer, row.projection) for row in rows] == [(1, "v"), (2, "q"), (2, "v")]
    assert "q of 0, 1; v of 0" in caplog.text
    with caplog.at_level("WARNING", "gradsweep"):
        UpdateWatch(llama, "qv", layers=[2, 9])
    assert "of layers 9: none of the projections is there" in caplog.text
    with pytest.raises(ModelError, match=r"of layers 1, 2: give layers=\[1, 2\]"):
        UpdateWatch(llama, "qv", layers=3)
    llama.requires_grad_(False)
    with pytest.raises(ModelError, match="none of the watched projections trains"):
        UpdateWatch(llama, "qv")


def test_gradients_that_are_gone_or_bent_are_refused(llama: Model) -> None:
    with UpdateWatch(llama) as watch:
        with pytest.raises(ModelError, match="q of layer 0 has no gradient"):
            watch.before_step(0)
        backward(llama, batch())
        torch.nn.utils.clip_grad_value_(llama.parameters(), 1e-4)
        with pytest.raises(ModelError, match="clip by norm"):
            watch.before_step(0)
        with pytest.raises(RuntimeError, match="after_step follows before_step"):
            watch.after_step()
    watch = UpdateWatch(llama)
    backward(llama, batch())
    with watch, pytest.raises(ModelError, match=r"first backward pass.*FSDP1"):
        watch.before_step(0)


class FullyShardedDataParallel(torch.nn.Module):
    """FSDP1's name, in whose wrapped layers gradients pass by."""


class DeepSpeedOptimizerWrapper(torch.optim.SGD):
    """The name of accelerate's."""


def test_sharding_that_takes_gradients_away_is_refused(llama: Model) -> None:
    deepspeed = DeepSpeedOptimizerWrapper(llama.parameters(), lr=0.1)
    with pytest.raises(ModelError, match="DeepSpeed takes its steps inside the backward pass"):
        UpdateWatch(llama).check_optimizer(deepspeed)
    next(llama.parameters()).ds_id = 3
    with pytest.raises(ModelError, match="DeepSpeed"):
        UpdateWatch(llama)
    del next(llama.parameters()).ds_id
    llama.model.extra = FullyShardedDataParallel()
    with pytest.raises(ModelError, match=r"FSDP1.*fully_shard"):
        UpdateWatch(llama)


@pytest.mark.long
def test_a_compiled_model_gives_the_same_rows(llama: Model) -> None:
    """Its gradients arrive as ever: nothing of a watch is inside of it."""
    compiled = torch.compile(llama, backend="aot_eager")
    with UpdateWatch(compiled) as watch:
        backward(compiled, batch(), parts=2)
        expected = weight_gradients(llama)
        torch.nn.utils.clip_grad_norm_(llama.parameters(), gradient_norm(llama) / 3)
        update = stepped(watch, llama)
    assert_rows_are_of(update.rows, expected)
