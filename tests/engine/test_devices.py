"""A model over several devices gives the numbers of the same model on one.

`TwoDevices` refuses every operation across devices; the hooks that move tensors between layers
are accelerate's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import dispatch_model
from helpers.agreement import COSINES, NORMS, TOLERANCE, assert_same
from helpers.tiny_models import each
from helpers.two_devices import TwoDevices, dispatched
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from gradsweep import compose
from gradsweep.config import DeviceMap, ModelConfig, ModelSource, SourceKind, SpectraOptions
from gradsweep.doctor.verify import verify
from gradsweep.engine import Batch, make_batch
from gradsweep.engine.passes import Engine
from gradsweep.models.load import LoadedModel, load_model
from gradsweep.models.placement import spread
from gradsweep.models.projections import find_projections
from gradsweep.records import PROJECTIONS, SampleResult

LENGTH, RESPONSE = 14, 6
LAYOUTS = (
    *("llama_gqa", "qwen3_norms", "olmo2", "cohere", "phi"),
    *("phi3_fused", "glm4_fused_gate_up", "gpt2_conv1d", "codegen"),
    *("gpt_neox_interleaved", "bloom_interleaved", "mpt"),
    *("gemma2", "gemma3_multimodal"),
)
"""Separate, fused and interleaved projections; transposed weights, parallel layers, tied
embeddings, a softcap behind the head, a text model inside another."""


def halves(model: PreTrainedModel) -> dict[str, Any]:
    """The device map of two GPUs."""
    with torch.device("meta"):
        skeleton = type(model)(model.config)
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    source = ModelSource(kind=SourceKind.folder, path="/m")
    config = ModelConfig(name="m", source=source, device_map=DeviceMap.auto)
    return spread(skeleton, config, {0: 2 * size, 1: 2 * size})


def batch(model: PreTrainedModel, device: str = "cpu") -> Batch:
    """Two samples, the second one shorter."""
    torch.manual_seed(1)
    ids = torch.randint(1, model.config.get_text_config().vocab_size, (2, LENGTH))
    attention = torch.ones_like(ids)
    attention[1, -3:] = 0
    mask = (torch.arange(LENGTH) >= RESPONSE).expand(2, -1)
    return make_batch(ids.to(device), mask.to(device), attention.to(device))


def measured(
    model: PreTrainedModel,
    device: str = "cpu",
    checkpointing: bool = False,
) -> list[SampleResult]:
    options = SpectraOptions(similarities=True)
    sites = find_projections(model, PROJECTIONS)
    with Engine(model, sites, options, checkpointing=checkpointing) as engine:
        return engine.measure(batch(model, device))


def assert_all_same(
    found: list[SampleResult], expected: list[SampleResult], tol: float = TOLERANCE
) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert_same(ours, theirs, tol, (*NORMS, "effective_rank"))
        for row, other in zip(ours.rows, theirs.rows, strict=True):
            for name in COSINES:
                one, two = getattr(row, name), getattr(other, name)
                assert one == pytest.approx(two, abs=tol, nan_ok=True), (name, row.layer)


@pytest.mark.parametrize("family", each(LAYOUTS))
def test_layers_on_two_devices_give_the_same_rows(
    family: str, tiny_model: Callable[[str], PreTrainedModel]
) -> None:
    model = tiny_model(family)
    expected = measured(model)
    found = halves(model)
    assert set(found.values()) == {0, 1}
    with TwoDevices():
        dispatched(model, found)
        assert {str(p.device) for p in model.parameters()} == {"lazy:0", "lazy:1"}
        assert_all_same(measured(model, "lazy:0"), expected)


@pytest.mark.parametrize("family", ["llama_gqa", "gpt2_conv1d", "gemma2", "phi3_fused"])
def test_so_they_do_with_checkpointing(
    family: str, tiny_model: Callable[[str], PreTrainedModel]
) -> None:
    model = tiny_model(family)
    expected = measured(model)
    with TwoDevices():
        dispatched(model, halves(model))
        assert_all_same(measured(model, "lazy:0", checkpointing=True), expected)


def test_cosines_across_the_border_are_there(
    tiny_model: Callable[[str], PreTrainedModel],
) -> None:
    model = tiny_model("llama_gqa")
    with TwoDevices():
        dispatched(model, halves(model))
        rows = measured(model, "lazy:0")[0].rows
    last = max(row.layer for row in rows)
    assert all(math.isfinite(row.cosine_next_layer) for row in rows if row.layer < last)


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 1e-5), (torch.float16, 5e-2)], ids=str)
def test_logits_may_stay_where_the_head_is(
    dtype: torch.dtype,
    tol: float,
    tiny_model: Callable[[str], PreTrainedModel],
) -> None:
    """accelerate's outermost hook brings them back to the batch; other ways to dispatch do not.
    In float16 the losses are scaled, by 64 at a time, and every number is off by eps = 1e-3."""
    model = tiny_model("llama_gqa").to(dtype)
    expected = measured(model)
    with TwoDevices():
        dispatched(model, halves(model))
        model._hf_hook.io_same_device = False
        assert_all_same(measured(model, "lazy:0"), expected, tol)


def test_verify_compares_a_model_on_two_devices(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_tokenizer: Callable[..., PreTrainedTokenizerBase],
) -> None:
    def spread_out(config: ModelConfig, device: str) -> LoadedModel:
        loaded = load_model(config, device)
        dispatched(loaded.model, halves(loaded.model))
        loaded.model._hf_hook.io_same_device = False
        return loaded

    sizes = {"hidden_size": 32, "intermediate_size": 96, "num_attention_heads": 4}
    llama = LlamaConfig(vocab_size=330, num_hidden_layers=3, num_key_value_heads=2, **sizes)
    LlamaForCausalLM(llama).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    monkeypatch.setattr("gradsweep.doctor.verify.load_model", spread_out)
    config = compose("model=folder", f"model.source.path={tmp_path}", "n_samples=1")
    with TwoDevices():
        found = verify(config, lambda description, total: lambda: None)
    assert found.holds
    (agreement,) = found.agreements
    assert agreement.truth == "float64", agreement.weaker
    assert {distance.layer for distance in agreement.distances} == {-1, *range(3)}


# --- accelerate's hooks alone, everything on the CPU


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
def test_hooks_leave_taps_and_checkpointing_alone(
    checkpointing: bool, tiny_model: Callable[[str], PreTrainedModel]
) -> None:
    """To the last bit, since the same operations run: the hooks move nothing here, and must not cut
    or repeat anything either."""
    model = tiny_model("llama_gqa")
    expected = measured(model, checkpointing=checkpointing)
    dispatch_model(model, dict.fromkeys(halves(model), "cpu"), force_hooks=True)
    assert model.model.layers[0]._hf_hook is not None
    forwards = [layer.forward for layer in model.model.layers]
    found = measured(model, checkpointing=checkpointing)
    assert [replace(m, seconds=0.0) for m in found] == [replace(m, seconds=0.0) for m in expected]
    assert [layer.forward for layer in model.model.layers] == forwards
