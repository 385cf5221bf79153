"""Adapters of PEFT: measured is the effective weight."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from helpers.agreement import assert_same
from helpers.tiny_models import VOCABULARY, projections_of, randomised

from gradsweep.engine.passes import gradient_spectra
from gradsweep.errors import ModelError
from gradsweep.models.projections import coverage, find_projections

Model = torch.nn.Module


def with_lora(model: Model, targets: list[str], **options: object) -> Model:
    peft = pytest.importorskip("peft", reason="PEFT is not installed")
    config = peft.LoraConfig(r=3, target_modules=targets, task_type="CAUSAL_LM", **options)
    return randomised(peft.get_peft_model(model, config))


@pytest.mark.parametrize(
    ("family", "targets"),
    [
        ("llama_gqa", ["q_proj", "v_proj", "down_proj"]),
        ("phi3_fused", ["qkv_proj"]),
        ("gpt2_conv1d", ["c_attn", "c_fc"]),
    ],
)
@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False")
def test_lora_measures_the_gradient_of_the_effective_weight(
    family: str, targets: list[str], tiny_model: Callable[[str], Model]
) -> None:
    """The spectra of W + s·BA are those of the model with the adapter merged into its weights."""
    wrapped = with_lora(tiny_model(family), targets, lora_dropout=0.5)
    ids = torch.arange(1, 13)[None] % VOCABULARY
    response, names = torch.arange(12)[None] >= 5, projections_of(family)
    (adapted,) = gradient_spectra(wrapped, ids, response, projections=names).samples
    trained = [name for name, p in wrapped.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora" in name for name in trained)
    merged = wrapped.merge_and_unload()  # type: ignore[operator]
    (expected,) = gradient_spectra(merged, ids, response, projections=names).samples
    assert len(adapted.rows) == 3 * len(names)
    assert_same(adapted, expected)


def test_lora_coverage_counts_the_wrapped_matrix(tiny_model: Callable[[str], Model]) -> None:
    bare = tiny_model("llama")
    before = coverage(bare, find_projections(bare, "qkvo"))
    wrapped = with_lora(bare, ["q_proj"])
    after = coverage(wrapped, find_projections(wrapped, "qkvo"))
    assert after.measured == before.measured
    assert after.total == before.total + 3 * 3 * (24 + 24)


def test_virtual_tokens_are_refused(tiny_model: Callable[[str], Model]) -> None:
    peft = pytest.importorskip("peft", reason="PEFT is not installed")
    prompts = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    with pytest.raises(ModelError, match=r"PROMPT_TUNING.*LoRA"):
        find_projections(peft.get_peft_model(tiny_model("llama"), prompts), "q")
