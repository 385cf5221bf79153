"""float16: close to float32 where nothing is lost, and right where plain float16 loses it all."""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.rounding_noise import ROUNDED_OTHERWISE
from helpers.tiny_models import VOCABULARY

from gradsweep.engine import Batch, make_batch
from gradsweep.engine import scaling as module
from gradsweep.engine.passes import measure_batch
from gradsweep.models.projections import find_projections
from gradsweep.records import SampleResult

Build = Callable[[str], Any]
EPS = torch.finfo(torch.float16).eps
MEDIAN = 5 * EPS * (2 if ROUNDED_OTHERWISE else 1)
"""Where every product is off by one more eps, float16 is off by twice as much."""
START = "gradsweep.engine.scaling.START"
FAMILIES = ["llama_gqa", "gpt2_conv1d", "phi3_fused", "gemma3", "gpt_neox_interleaved", "mixtral"]


def samples(n: int = 2) -> Batch:
    torch.manual_seed(0)
    ids = torch.randint(1, VOCABULARY, (n, 20))
    return make_batch(ids, torch.arange(20) >= torch.tensor([[19], [11], [5]][:n]), None)


def measured(model: Any, batch: Batch) -> list[SampleResult]:
    return measure_batch(model, find_projections(model, "qkvo"), batch)


def in_float16(model: Any) -> Any:
    return copy.deepcopy(model).half()


def errors(found: list[SampleResult], expected: list[SampleResult], metric: str) -> list[float]:
    return [
        abs(getattr(row, metric) - getattr(other, metric)) / getattr(other, metric)
        for a, b in zip(found, expected, strict=True)
        for row, other in zip(a.rows, b.rows, strict=True)
    ]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("start", [module.START, 2.0**24], ids=["usual", "overflowing"])
def test_float16_is_close_to_float32(
    family: str, start: float, tiny_model: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scale that is far too large is lowered until nothing overflows."""
    monkeypatch.setattr(START, start)
    model = tiny_model(family)
    expected, found = measured(model, samples(3)), measured(in_float16(model), samples(3))
    for metric in ("nuclear_norm", "sigma_max", "frobenius_norm", "effective_rank"):
        assert statistics.median(errors(found, expected, metric)) < MEDIAN
    assert all(row.finite for sample in found for row in sample.rows)
    for a, b in zip(found, expected, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=10 * EPS)


def faint(model: Any) -> Any:
    """Its gradients are a million times smaller: they pass a small head and a small last norm."""
    with torch.no_grad():
        model.lm_head.weight.mul_(2.0**-10)
        model.model.norm.weight.mul_(2.0**-10)
    return model


def test_gradients_too_small_for_float16_are_right(
    tiny_model: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = faint(tiny_model("llama"))
    expected = measured(model, samples(3))
    found = measured(in_float16(model), samples(3))
    assert statistics.median(errors(found, expected, "nuclear_norm")) < 10 * EPS
    monkeypatch.setattr("gradsweep.engine.passes.needs_scaling", lambda model: False)
    lost = measured(in_float16(model), samples(3))
    assert statistics.median(errors(lost, expected, "nuclear_norm")) > 0.5
    # Exactly: float16 has no numbers that small.
    assert any(row.nuclear_norm == 0 for sample in lost for row in sample.rows)


def test_scales_cancel_to_the_last_bit_where_nothing_is_rounded_away(
    tiny_model: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32 a power of two changes no digit of any gradient: the same operations run."""
    model = tiny_model("llama")
    plain = measured(model, samples())
    monkeypatch.setattr("gradsweep.engine.passes.needs_scaling", lambda model: True)
    scaled = measured(model, samples())
    assert [sample.rows for sample in scaled] == [sample.rows for sample in plain]


def test_a_sample_that_overflows_does_not_change_the_others(
    tiny_model: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A response of one token has the largest gradients: it overflows first."""
    model = in_float16(tiny_model("llama"))
    scales: list[tuple[int, float]] = []
    make = module.LossScale.__init__

    def noted(self: module.LossScale, batch: Batch, per_token: float) -> None:
        scales.append((len(batch.input_ids), per_token))
        make(self, batch, per_token)

    monkeypatch.setattr(module.LossScale, "__init__", noted)
    for start in (2.0**i for i in range(10, 24)):
        monkeypatch.setattr(START, start)
        scales.clear()
        together = measured(model, samples(3))
        if len(scales) > 1:
            break
    assert scales[0] == (3, start)
    assert scales[1][0] < 3, "only what overflowed runs again"
    assert scales[1][1] < start
    alone = [measured(model, samples(3).part([i]))[0] for i in range(3)]
    # A batch of another size may round otherwise; a scale that is not taken back is 64 at least.
    assert max(errors(together, alone, "nuclear_norm")) < 50 * EPS
    assert all(row.finite for sample in together for row in sample.rows)


def test_gradients_that_overflow_at_every_scale_are_flagged(tiny_model: Build) -> None:
    model = in_float16(tiny_model("llama"))

    def break_gradients(module: Any, args: Any, output: torch.Tensor) -> None:
        output.register_hook(lambda gradient: gradient * math.inf)

    model.model.layers[1].mlp.register_forward_hook(break_gradients)
    (found,) = measured(model, samples(1))
    assert math.isfinite(found.loss)
    assert len(found.rows) == 12
    assert [row.finite for row in found.rows] == [False] * 8 + [True] * 4


def test_a_loss_that_is_not_finite_is_no_reason_to_try_again(tiny_model: Build) -> None:
    model = in_float16(tiny_model("llama"))
    batch = samples(2)
    batch.input_ids[batch.input_ids == 5] = 6
    batch.input_ids[0, 3] = 5
    with torch.no_grad():
        model.get_input_embeddings().weight[5] = float("inf")
    passes = []
    model.get_input_embeddings().register_forward_pre_hook(lambda *args: passes.append(1))
    broken, good = measured(model, batch)
    assert broken.rows == ()
    assert len(good.rows) == 12
    assert all(row.finite for row in good.rows)
    assert len(passes) == 1
