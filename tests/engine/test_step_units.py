"""Gradients of steps: weighted by their tokens, they sum to the whole response's."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from helpers.plain_gradients import assert_close, plain_gradients, tokens
from helpers.units import without_tokenizer

from gradsweep.config import GradientsConfig, ModelConfig, ModelSource, Resolution
from gradsweep.engine.causality import check_causal
from gradsweep.engine.objectives import Sft
from gradsweep.engine.run import Run
from gradsweep.errors import ModelError
from gradsweep.records import EncodedSample, EncodedUnit, Sample, SampleResult, Step, Unit

Model = Any
START, BORDERS = 9, (9, 14, 15, 23)
"""First response token; first tokens of three steps, and the length."""


def step_units() -> list[EncodedUnit]:
    ids = tokens(BORDERS[-1]).tolist()
    rows = []
    for index, (start, end) in enumerate(pairwise(BORDERS)):
        step = Step(index, 0, 1)
        sample = Sample(f"step {index}", "question", "Q?", "text", index, step=step)
        rows.append(EncodedSample(sample, ids[:end], start, False))
    return [EncodedUnit(Unit((row.sample,)), (row,)) for row in rows]


def measured(model: Model, monkeypatch: pytest.MonkeyPatch) -> list[SampleResult]:
    """What a run gives of these steps, which need no tokenizer."""
    units = step_units()
    row_of = {unit.rows[0].sample: unit.rows[0] for unit in units}
    monkeypatch.setattr(
        "gradsweep.engine.encoded_unit.encode", lambda sample, *given: row_of[sample]
    )
    config = ModelConfig("tiny", ModelSource(hub_id="me/tiny"))
    gradients = GradientsConfig(by=Resolution.step, workers=1)
    samples = [row.sample for unit in units for row in unit.rows]
    run = Run(without_tokenizer(model), config, gradients, Sft(), samples)
    results = [result for results in run.outcomes() for result in results]
    return sorted(results, key=lambda result: result.index)


@pytest.mark.parametrize("family", ["llama_gqa", "gpt2_conv1d"])
def test_steps_sum_to_the_sample_s_gradient(
    family: str, tiny_model: Callable[[str], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(family)
    results = measured(model, monkeypatch)
    assert [(r.step_index, r.n_prompt_tokens) for r in results] == [(0, 9), (1, 14), (2, 15)]
    of_steps = []
    for unit, result in zip(step_units(), results, strict=True):
        ids = torch.tensor(unit.rows[0].input_ids)
        of_steps.append(plain_gradients(model, ids, unit.rows[0].response_start))
        assert_close(result, of_steps[-1])
    counts = [result.n_response_tokens for result in results]
    whole = plain_gradients(model, tokens(BORDERS[-1]), START)
    assert sum(counts) == BORDERS[-1] - START
    for place, gradient in whole.items():
        summed = sum(n * of[place] for n, of in zip(counts, of_steps, strict=True)) / sum(counts)
        assert float((summed - gradient).norm()) <= 1e-5 * float(gradient.norm())


def test_a_model_that_looks_ahead_is_refused(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    check_causal(without_tokenizer(model), step_units())
    looks_ahead = tiny_model("llama")
    for layer in looks_ahead.model.layers:
        layer.self_attn.is_causal = False
    with pytest.raises(ModelError, match=r"gradients\.by=step: .* attention is not causal"):
        check_causal(without_tokenizer(looks_ahead), step_units())


def test_units_of_one_step_have_nothing_behind_them(tiny_model: Callable[[str], Model]) -> None:
    check_causal(without_tokenizer(tiny_model("llama")), step_units()[:1])
