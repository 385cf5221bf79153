"""Vision-language models are measured on text, by the layers of their text part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.agreement import assert_same
from helpers.plain_gradients import assert_close, mask, plain_gradients, tokens
from helpers.tiny_multimodal import MULTIMODAL
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from gradsweep.config import ModelConfig, ModelSource, SourceKind
from gradsweep.engine.passes import gradient_spectra
from gradsweep.models.load import load_model
from gradsweep.models.projections import find_projections

FEW = {"qwen3_5", "qwen2_5_vl", "llama4"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in FEW else pytest.mark.wide) for n in MULTIMODAL],
)
def test_spectra_are_those_of_the_text_models_weight_gradients(name: str) -> None:
    torch.manual_seed(0)
    model, ids = MULTIMODAL[name](), tokens(12)
    names = {module: path for path, module in model.named_modules()}
    paths = [names[site.module] for site in find_projections(model, "qkvo")]
    assert not [path for path in paths if "vision" in path or "visual" in path]
    reference = plain_gradients(model, ids, 5)
    (alone,) = gradient_spectra(model, ids[None], mask(12, 5)[None]).samples
    assert_close(alone, reference)
    longer = tokens(20, seed=1)
    padded = [F.pad(ids, (0, 8)), longer]
    response = [F.pad(mask(12, 5), (0, 8)), mask(20, 3)]
    ones = torch.ones(20, dtype=torch.long)
    real = [F.pad(ones[:12], (0, 8)), ones]
    together = gradient_spectra(
        model, torch.stack(padded), torch.stack(response), attention_mask=torch.stack(real)
    )
    assert_same(together.samples[0], alone)


@pytest.mark.parametrize("name", ["mistral3_ministral3", "llama4", "qwen3_5"])
def test_a_folder_is_loaded_whole_and_gives_the_same_gradients(
    name: str, tmp_path: Path, make_tokenizer: Callable[..., PreTrainedTokenizerBase]
) -> None:
    model = MULTIMODAL[name]()
    model.save_pretrained(tmp_path)  # type: ignore[operator]
    make_tokenizer().save_pretrained(tmp_path)
    source = ModelSource(kind=SourceKind.folder, path=str(tmp_path))
    loaded = load_model(ModelConfig(name="seeing", source=source, max_length=64), device="cpu")
    assert sum(p.numel() for p in loaded.model.parameters()) == sum(
        p.numel() for p in model.parameters()
    )
    ids, response = tokens(12)[None], mask(12, 5)[None]
    (ours,) = gradient_spectra(loaded.model, ids, response).samples
    (expected,) = gradient_spectra(model, ids, response).samples
    assert_same(ours, expected)
