"""The passive probe: the gradients that a training step makes, and nothing of it changed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from helpers.agreement import assert_same
from helpers.plain_gradients import assert_close, mask, plain_gradients, tokens, weight_gradients
from helpers.tiny_models import VOCABULARY, projections_of
from torch.nn import functional as F

from gradsweep import Probe, gradient_spectra
from gradsweep.errors import ModelError
from gradsweep.records import SampleResult, SpectrumRow

Model = Any
BATCH, LENGTH, START = 3, 16, 5


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids, and labels as trainers have them: -100 where there is no loss."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, VOCABULARY, (BATCH, LENGTH), generator=generator)
    labels = torch.where(torch.arange(LENGTH) >= START, ids, -100)
    return ids, labels


def summed_loss(model: Model, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The sum over rows of each row's mean loss: its rows have the gradients of `sft`."""
    logits = model(input_ids=ids).logits
    losses = F.cross_entropy(logits[:, :-1].mT, labels[:, 1:], reduction="none")
    return (losses.sum(dim=1) / (labels[:, 1:] >= 0).sum(dim=1)).sum()


def result(rows: tuple[SpectrumRow, ...]) -> SampleResult:
    return SampleResult(rows=rows, loss=0.0)


@pytest.mark.parametrize("family", ["llama_gqa", "phi3_fused", "gemma3"])
def test_rows_of_a_training_step_are_those_of_the_engine(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    model, (ids, labels) = tiny_model(family), batch()
    with Probe(model) as probe, probe.collect() as gradients:
        summed_loss(model, ids, labels).backward()
    expected = gradient_spectra(model, ids, labels >= 0).samples
    assert len(gradients.rows) == BATCH
    for rows, sample in zip(gradients.rows, expected, strict=True):
        assert_same(result(rows), SampleResult(rows=sample.rows, loss=0.0))


def test_rows_of_one_unit_add_up_to_the_gradient_of_the_weights(
    tiny_model: Callable[[str], Model],
) -> None:
    model, (ids, labels) = tiny_model("llama"), batch()
    with Probe(model) as probe, probe.collect(units=[BATCH]) as gradients:
        summed_loss(model, ids, labels).backward()
    (rows,) = gradients.rows
    assert_close(result(rows), weight_gradients(model))


def train(model: Model, probe: Probe | None = None) -> torch.Tensor:
    """Three steps of AdamW; returns the random state afterwards."""
    torch.manual_seed(7)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(3):
        with probe.collect() if probe else nullcontext():
            summed_loss(model, *batch(step)).backward()
        optimizer.step()
        optimizer.zero_grad()
    return torch.get_rng_state()


def test_training_is_the_same_to_the_last_bit(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama").train()
    model.config._attn_implementation = "eager"  # its dropout draws random numbers
    for module in model.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.3
    twin, flags = copy.deepcopy(model), [p.requires_grad for p in model.parameters()]
    with Probe(model) as probe:
        state = train(model, probe)
    expected_state, expected = train(twin), twin.state_dict()
    assert all(torch.equal(model.state_dict()[name], expected[name]) for name in expected)
    assert torch.equal(state, expected_state)
    assert [p.requires_grad for p in model.parameters()] == flags
    assert model.training
    assert not any(m._forward_hooks for m in model.modules())


def test_passes_without_grad_and_outside_of_blocks_are_ignored(
    tiny_model: Callable[[str], Model],
) -> None:
    model, (ids, labels) = tiny_model("llama"), batch()
    with Probe(model) as probe:
        summed_loss(model, ids, labels).backward()
        with probe.collect() as gradients:
            with torch.no_grad():
                model(input_ids=ids)
                model.generate(ids[:1], max_new_tokens=2, do_sample=False, pad_token_id=0)
            summed_loss(model, ids, labels).backward()
        with probe.collect() as none:
            pass
    assert [len(rows) for rows in gradients.rows] == [12] * BATCH
    assert none.rows == []


def test_several_backward_passes_follow_each_other(tiny_model: Callable[[str], Model]) -> None:
    """As gradient accumulation does it."""
    model = tiny_model("llama")
    with Probe(model) as probe:
        with probe.collect() as first:
            summed_loss(model, *batch(0)).backward()
        with probe.collect() as both:
            for seed in (0, 1):
                summed_loss(model, *batch(seed)).backward()
    assert [len(rows) for rows in both.rows] == [24] * BATCH
    for rows, once in zip(both.rows, first.rows, strict=True):
        assert rows[::2] == once


def test_gradient_checkpointing_computes_again_and_counts_once(
    tiny_model: Callable[[str], Model],
) -> None:
    model, (ids, labels) = tiny_model("llama").train(), batch()
    with Probe(model) as probe:
        with probe.collect() as plain:
            summed_loss(model, ids, labels).backward()
        model.gradient_checkpointing_enable({"use_reentrant": False})
        with probe.collect() as checkpointed:
            summed_loss(model, ids, labels).backward()
    assert checkpointed.rows == plain.rows


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_backward_pass_may_run_in_another_thread(
    reentrant: bool, tiny_model: Callable[[str], Model]
) -> None:
    """As on a GPU, where autograd has threads of its own; there checkpoints are computed again."""
    model, (ids, labels) = tiny_model("llama").train(), batch()
    with Probe(model) as probe, ThreadPoolExecutor(1) as device:
        with probe.collect() as plain:
            summed_loss(model, ids, labels).backward()
        model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        with probe.collect() as checkpointed:
            device.submit(summed_loss(model, ids, labels).backward).result()
    for ours, theirs in zip(checkpointed.rows, plain.rows, strict=True):
        norms = [[row.nuclear_norm for row in rows] for rows in (ours, theirs)]
        assert norms[0] == pytest.approx(norms[1], rel=1e-4), "it rounds as it likes there"


def test_reentrant_passes_of_several_threads_are_refused(
    tiny_model: Callable[[str], Model],
) -> None:
    model, (ids, labels) = tiny_model("llama").train(), batch()
    model.gradient_checkpointing_enable({"use_reentrant": True})
    threads = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
    with Probe(model) as probe, threads[0] as somebody, threads[1] as device:
        other = probe.collect()
        somebody.submit(other.__enter__).result()
        with probe.collect():
            loss = summed_loss(model, ids, labels)
            with pytest.raises(ModelError, match="use_reentrant=False"):
                device.submit(loss.backward).result()
        somebody.submit(other.__exit__, None, None, None).result()


def test_padding_may_be_left_out(tiny_model: Callable[[str], Model]) -> None:
    model, (ids, labels) = tiny_model("llama"), batch()
    attention = torch.ones_like(ids)
    attention[1, -4:] = 0
    labels[1, -4:] = -100
    with Probe(model) as probe:
        with probe.collect() as every_token:
            summed_loss(model, ids, labels).backward()
        with probe.collect(attention_mask=attention) as real_tokens:
            summed_loss(model, ids, labels).backward()
    for rows, others in zip(real_tokens.rows, every_token.rows, strict=True):
        assert_same(result(rows), result(others))


def test_frozen_weights_below_a_trainable_part(tiny_model: Callable[[str], Model]) -> None:
    """Only what the trainer's own graph reaches has a gradient, and the probe adds no graph."""
    model, (ids, labels) = tiny_model("llama"), batch()
    model.requires_grad_(False)
    with Probe(model) as probe, probe.collect() as gradients:
        assert not summed_loss(model, ids, labels).requires_grad
    assert gradients.rows == []


def test_what_cannot_be_watched_is_refused(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    model.get_submodule("model.layers.1").compile()
    with pytest.raises(ModelError, match=r"compiled.*before torch\.compile"):
        Probe(model)
    other = tiny_model("llama")
    next(other.parameters()).ds_id = 3
    with pytest.raises(ModelError, match="ZeRO-3"):
        Probe(other)
    outside = Probe(tiny_model("llama"))
    with pytest.raises(RuntimeError, match="inside `with probe:`"), outside.collect():
        pass


def test_what_trains_need_not_be_what_is_watched(tiny_model: Callable[[str], Model]) -> None:
    """k of the lowest layer has nothing below it that trains, as with LoRA on q and v."""
    model = tiny_model("llama")
    expected = gradient_spectra(model, *_one()).samples[0]
    model.requires_grad_(False)
    for layer in model.model.layers:
        layer.self_attn.q_proj.requires_grad_(True)
    ids, response = _one()
    with Probe(model) as probe, probe.collect() as gradients:
        summed_loss(model, ids, torch.where(response, ids, -100)).backward()
    assert_same(result(gradients.rows[0]), SampleResult(rows=expected.rows, loss=0.0))


def test_a_model_that_trains_nothing_gets_no_graph(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama").requires_grad_(False)
    with Probe(model) as probe, probe.collect() as gradients:
        assert not model(input_ids=_one()[0]).logits.requires_grad
    assert gradients.rows == []


def test_lora_weights_train_while_their_effective_weight_is_measured(
    tiny_model: Callable[[str], Model],
) -> None:
    peft = pytest.importorskip("peft")
    model = tiny_model("llama")
    expected = gradient_spectra(model, *_one()).samples[0]
    config = peft.LoraConfig(target_modules=["q_proj", "v_proj"], r=2)
    wrapped = peft.get_peft_model(model, config)
    ids, response = _one()
    labels = torch.where(response, ids, -100)
    with Probe(wrapped) as probe, probe.collect() as gradients:
        summed_loss(wrapped, ids, labels).backward()
    assert_same(result(gradients.rows[0]), SampleResult(rows=expected.rows, loss=0.0))


def _one() -> tuple[torch.Tensor, torch.Tensor]:
    return tokens(LENGTH)[None], mask(LENGTH, START)[None]


def test_the_plain_gradient_is_what_rows_are_of(tiny_model: Callable[[str], Model]) -> None:
    model, ids = tiny_model("llama"), tokens(LENGTH)
    labels = torch.where(mask(LENGTH, START), ids, -100)
    with Probe(model, projections_of("llama")[:4]) as probe, probe.collect() as gradients:
        summed_loss(model, ids[None], labels[None]).backward()
    model.zero_grad()
    assert_close(result(gradients.rows[0]), plain_gradients(model, ids, START))
