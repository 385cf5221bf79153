"""Fixed samples measured beside a training run, which does not see it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.agreement import assert_same
from helpers.training import backward, batch, probe_set

from gradsweep import ProbeSample, ProbeSet, SpectraOptions, compose, gradient_spectra
from gradsweep.errors import ConfigError, DataError, ModelError
from gradsweep.records import SampleResult, Source
from gradsweep.training.scalars import probe_scalars

Model = Any


def test_every_sample_is_measured_as_if_it_were_alone(llama: Model, tokenizer: Any) -> None:
    measured = dict(probe_set().measure(llama, tokenizer, step=7, projections="qv"))
    assert [(m.step, m.source, m.probe_cot, m.probe_correctness) for m in measured] == [
        (7, Source.probe, "none", "correct"),
        (7, Source.probe, "detailed", "correct"),
    ]
    (fast, _), _ = measured.values()
    text = "How many apples has Tom?\n12"
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    mask = torch.arange(ids.shape[1])[None] >= ids.shape[1] - fast.n_response_tokens
    (expected,) = gradient_spectra(llama, ids, mask, projections="qv").samples
    assert_same(fast, SampleResult(loss=expected.loss, rows=expected.rows))


def test_probes_have_rows_of_heads_where_they_are_asked_for(llama: Model, tokenizer: Any) -> None:
    options = SpectraOptions(heads=True)
    measured = dict(probe_set().measure(llama, tokenizer, 0, options=options))
    rows = [row for results in measured.values() for result in results for row in result.rows]
    assert {(row.projection, row.head) for row in rows} == {
        *((name, head) for name in "qo" for head in (None, *range(4))),
        *((name, head) for name in "kv" for head in (None, 0, 1)),
    }
    (moment, results), *_ = measured.items()
    whole = [replace(r, rows=tuple(x for x in r.rows if x.head is None)) for r in results]
    metrics = ("nuclear_norm", "effective_rank")
    assert probe_scalars(moment, results, metrics) == probe_scalars(moment, whole, metrics)


def test_questions_pair_up_over_conditions(llama: Model, tokenizer: Any) -> None:
    fast, slow = (results for _, results in probe_set().measure(llama, tokenizer, 0))
    assert [r.question_id for r in fast] == [r.question_id for r in slow]
    assert len({r.question_id for r in fast}) == 2


def test_nothing_of_a_training_run_is_changed(llama: Model, tokenizer: Any) -> None:
    llama.model.layers[0].eval()
    llama.model.layers[1].self_attn.q_proj.requires_grad_(False)
    backward(llama, batch(2))
    gradients = [None if p.grad is None else p.grad.clone() for p in llama.parameters()]
    flags = [p.requires_grad for p in llama.parameters()]
    modes = [module.training for module in llama.modules()]
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    post = str(tokenizer.backend_tokenizer.post_processor)
    list(probe_set().measure(llama, tokenizer, 0))
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])
    assert [p.requires_grad for p in llama.parameters()] == flags
    assert [module.training for module in llama.modules()] == modes
    assert not any(module._forward_hooks for module in llama.modules())
    assert str(tokenizer.backend_tokenizer.post_processor) == post
    for parameter, before in zip(llama.parameters(), gradients, strict=True):
        same = parameter.grad is before or torch.equal(parameter.grad, before)
        assert same


def test_autocast_around_forward_is_left_out(llama: Model, tokenizer: Any) -> None:
    """As accelerate puts it there for bf16=True."""
    expected = [results for _, results in probe_set().measure(llama, tokenizer, 0)]
    forward = llama.forward
    llama._original_forward = forward
    llama.forward = wrapped = torch.autocast("cpu", torch.bfloat16)(forward)
    found = [results for _, results in probe_set().measure(llama, tokenizer, 0)]
    assert llama.forward is wrapped
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)


def test_a_sample_that_cannot_run_says_why(llama: Model, tokenizer: Any) -> None:
    probes = ProbeSet([ProbeSample("How many?", ""), ProbeSample("How many?", "12")])
    ((_, (empty, good)),) = probes.measure(llama, tokenizer, 0)
    assert empty.status.value == "empty_response"
    assert good.rows


def test_samples_of_the_grid() -> None:
    probes = ProbeSet.of(*(compose(f"cot={cot}", "n_samples=2") for cot in ("none", "detailed")))
    assert len(probes.prompts) == 2
    with pytest.raises(DataError, match=r"gradsweep\.compose"):
        ProbeSet.of()


def test_what_cannot_be_probed_is_refused(llama: Model, tokenizer: Any) -> None:
    one = ProbeSample("How many?", "12")
    with pytest.raises(DataError, match=r"'How many\?' is there twice.*cot=none"):
        ProbeSet([one, one])
    with pytest.raises(DataError, match="at least one ProbeSample"):
        ProbeSet([])
    with pytest.raises(ConfigError, match="prompt='chatty': allowed are plain, chat"):
        ProbeSet([one], prompt="chatty")
    llama.model.layers[0].compile()
    with pytest.raises(ModelError, match="compiled"):
        list(ProbeSet([one]).measure(llama, tokenizer, 0))
