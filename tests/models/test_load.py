"""Loading: every source gives the same frozen model, and every fault one clear error."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tqdm.auto import tqdm
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from gradsweep import gradient_spectra
from gradsweep.config import Dtype, ModelConfig, ModelSource, Prompt, SourceKind
from gradsweep.errors import ConfigError, ModelError
from gradsweep.models import load_model
from gradsweep.models.placement import resolve_device

WITHOUT_TENSORS = bytes([2, *[0] * 7]) + b"{}"
TEXT = "Tom buys 15 apples"


def folder_config(folder: Path, **fields: Any) -> ModelConfig:
    source = ModelSource(kind=SourceKind.folder, path=str(folder))
    return ModelConfig(**({"name": "tiny", "source": source, "max_length": 64} | fields))


def logits(model: PreTrainedModel, input_ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([input_ids])).logits


# --- a folder


def test_the_text_part_of_a_vision_language_model_is_loaded_and_measured(
    tiny_model: Callable[[str], torch.nn.Module],
    make_tokenizer: Callable[..., PreTrainedTokenizerBase],
    tmp_path: Path,
) -> None:
    """Gemma 3 from 4B on."""
    tiny_model("gemma3_multimodal").save_pretrained(tmp_path)  # type: ignore[operator]
    make_tokenizer().save_pretrained(tmp_path)
    loaded = load_model(folder_config(tmp_path), "cpu")
    mask = torch.tensor([[False] * 4 + [True] * 4])
    rows = gradient_spectra(loaded.model, torch.arange(8)[None] + 1, mask).to_polars()
    assert set(rows["layer"]) == {0, 1, 2}
    assert rows["nuclear_norm"].min() > 0


def test_model_is_frozen_in_eval_mode_and_computes_the_same(
    model_folder: Path, tiny_llama: LlamaForCausalLM
) -> None:
    loaded = load_model(folder_config(model_folder), "cpu")
    assert not loaded.model.training
    assert not loaded.model.config.use_cache
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert (loaded.prompt, loaded.max_length) == (Prompt.plain, 64)
    input_ids = loaded.tokenizer(TEXT)["input_ids"]
    torch.testing.assert_close(logits(loaded.model, input_ids), logits(tiny_llama, input_ids))


@pytest.mark.parametrize("dtype", list(Dtype))
def test_weights_have_the_configured_dtype(model_folder: Path, dtype: Dtype) -> None:
    loaded = load_model(folder_config(model_folder, dtype=dtype), "cpu")
    assert {p.dtype for p in loaded.model.parameters()} == {getattr(torch, dtype.value)}


QUERY = "model.layers.1.self_attn.q_proj.weight"


@pytest.mark.parametrize("replacement", [{}, {QUERY: torch.zeros(3, 3)}])
def test_weights_that_would_be_random_are_refused(
    model_folder: Path, replacement: dict[str, torch.Tensor]
) -> None:
    file = model_folder / "model.safetensors"
    weights = {key: value for key, value in load_file(file).items() if key != QUERY}
    save_file(weights | replacement, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=f"lacks 1 weights.*{QUERY}"):
        load_model(folder_config(model_folder), "cpu")


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("config.json", '{"model_type": "nobody-knows"}', "config"),
        ("tokenizer.json", "{}", "tokenizer"),
    ],
)
def test_damaged_file_is_one_model_error(
    model_folder: Path, name: str, content: str, what: str
) -> None:
    (model_folder / name).write_text(content)
    with pytest.raises(ModelError, match=f"model=tiny: the ({what}) in {model_folder}") as caught:
        load_model(folder_config(model_folder), "cpu")
    assert "\n" not in str(caught.value)


def test_code_that_a_model_brings_along_does_not_run(model_folder: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (model_folder / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()")
    config = json.loads((model_folder / "config.json").read_text())
    remote = {
        "AutoConfig": "evil.C",
        "AutoModelForCausalLM": "evil.M",
        "AutoTokenizer": ["evil.T", None],
    }
    config |= {"model_type": "evil", "auto_map": remote}
    (model_folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        load_model(folder_config(model_folder), "cpu")
    assert not ran.exists()


def test_tokenizer_without_offsets_is_refused(model_folder: Path) -> None:
    (model_folder / "tokenizer.json").rename(model_folder / "vocab.json")
    (model_folder / "tokenizer_config.json").write_text('{"tokenizer_class": "ByT5Tokenizer"}')
    with pytest.raises(ModelError, match="ByT5Tokenizer gives no character offsets"):
        load_model(folder_config(model_folder), "cpu")


def test_chat_without_template_fails_before_the_weights_are_read(model_folder: Path) -> None:
    (model_folder / "model.safetensors").write_bytes(WITHOUT_TENSORS)
    with pytest.raises(ModelError, match=r"model=tiny: .*model\.prompt=plain"):
        load_model(folder_config(model_folder, prompt=Prompt.chat), "cpu")


def test_max_length_beyond_the_models_positions(model_folder: Path) -> None:
    load_model(folder_config(model_folder, max_length=1024), "cpu")
    with pytest.raises(ConfigError, match=r"model\.max_length=1025: .* 2 to 1024"):
        load_model(folder_config(model_folder, max_length=1025), "cpu")


# --- terms, and what is shown


def test_terms_are_shown_once_and_before_loading(
    model_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = folder_config(model_folder)
    config.source.terms = f"Terms of {model_folder}"
    (model_folder / "model.safetensors").write_text("damaged")
    with caplog.at_level(logging.WARNING, "gradsweep"):
        for _ in range(2):
            with pytest.raises(ModelError):
                load_model(config, "cpu")
    assert [record.getMessage() for record in caplog.records].count(
        f"model=tiny: Terms of {model_folder}"
    ) == 1


def test_loading_prints_nothing_and_leaves_progress_bars_working(
    model_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    load_model(folder_config(model_folder), "cpu")
    assert capfd.readouterr() == ("", "")
    assert list(tqdm(range(3), desc="afterwards")) == [0, 1, 2]
    assert "afterwards" in capfd.readouterr().err


# --- device


def test_cpu_and_auto_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    for device in ("cuda", "cuda:0", "tpu", ""):
        with pytest.raises(
            ConfigError, match=rf"gradients\.device={device}: allowed here are auto, cpu \("
        ):
            resolve_device(device)


def test_cuda_devices_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ConfigError, match=r"allowed here are auto, cpu, cuda, cuda:0, cuda:1$"):
        resolve_device("cuda:2")


def test_model_too_large_for_the_device(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: PreTrainedModel, device: torch.device) -> PreTrainedModel:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(PreTrainedModel, "to", full)
    with pytest.raises(
        ModelError, match=r"float32 takes 0\.00 GB, which cpu .*model\.dtype=bfloat16"
    ):
        load_model(folder_config(model_folder), "cpu")
