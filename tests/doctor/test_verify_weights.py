"""`verify` on weights that are fused, transposed or quantised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from gradsweep.cli import main

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("wide_terminal")


LAYOUTS: dict[str, Callable[[], hf.PreTrainedModel]] = {
    "gpt2_conv1d": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(vocab_size=330, n_embd=24, n_layer=2, n_head=4)
    ),
    "phi3_fused": lambda: hf.Phi3ForCausalLM(
        hf.Phi3Config(
            vocab_size=330,
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            pad_token_id=None,
        )
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fused_and_transposed_weights_are_cut_up(
    layout: str,
    tmp_path: Path,
    capsys: Captured,
    make_tokenizer: Callable[..., hf.PreTrainedTokenizerBase],
) -> None:
    torch.manual_seed(0)
    LAYOUTS[layout]().save_pretrained(tmp_path / "model")
    make_tokenizer().save_pretrained(tmp_path / "model")
    path = f"model.source.path={tmp_path / 'model'}"
    assert main(["verify", "model=folder", path]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_in_4_bits_is_compared_with_its_dequantised_weights(
    dtype: str,
    tmp_path: Path,
    capsys: Captured,
    make_tokenizer: Callable[..., hf.PreTrainedTokenizerBase],
) -> None:
    pytest.importorskip("bitsandbytes", reason="the extra `quantization`")
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
    config = hf.LlamaConfig(vocab_size=330, num_hidden_layers=2, num_key_value_heads=2, **sizes)
    hf.LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    make_tokenizer().save_pretrained(tmp_path / "model")
    four = [f"model.source.path={tmp_path / 'model'}", "model.quantization=nf4"]
    assert main(["verify", "model=folder", *four, f"model.dtype={dtype}"]) == 0
    shown = capsys.readouterr()
    assert "verify: 2 samples, within tolerance" in shown.out
    assert "dequantized" not in shown.err, "transformers reports what a user did not ask for"


def test_quantised_weights_have_nothing_to_compare_with(
    saved_model: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gradsweep.models.load import LoadedModel, load_model

    def quantised(*args: Any) -> LoadedModel:
        loaded = load_model(*args)
        module = loaded.model.get_submodule("model.layers.1.self_attn.v_proj")
        weight = torch.zeros(8, 16, dtype=torch.int8)
        module.weight = torch.nn.Parameter(weight, requires_grad=False)
        return loaded

    monkeypatch.setattr("gradsweep.doctor.verify.load_model", quantised)
    assert main(["verify", "model=folder", f"model.source.path={saved_model}"]) == 1
    message = capsys.readouterr().err
    assert "v of layer 1" in message
    assert "Traceback" not in message
