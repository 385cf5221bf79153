"""GGUF files: dequantised to the very model they were written from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from gradsweep.config import ModelConfig, ModelSource, SourceKind
from gradsweep.errors import ModelError
from gradsweep.models import load_model


def logits(model: PreTrainedModel, input_ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([input_ids])).logits


def gguf_config(file: Path, **fields: Any) -> ModelConfig:
    source = ModelSource(kind=SourceKind.gguf, path=str(file))
    return ModelConfig(**({"name": "tiny", "source": source, "max_length": 64} | fields))


@pytest.fixture
def gguf_file(tmp_path: Path, model_folder: Path, tiny_llama: LlamaForCausalLM) -> Path:
    """`tiny_llama` and its tokenizer as llama.cpp stores them."""
    file = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    _write_metadata(writer, tiny_llama)
    _write_tokenizer(writer, json.loads((model_folder / "tokenizer.json").read_text())["model"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, tiny_llama.config.num_hidden_layers)
    heads = {"q_proj": tiny_llama.config.num_attention_heads}
    heads |= {"k_proj": tiny_llama.config.num_key_value_heads}
    for key, weight in tiny_llama.state_dict().items():
        if key != "lm_head.weight":  # tied to the embedding
            count = heads.get(key.split(".")[-2])
            stored = _interleaved(weight, count) if count else weight
            writer.add_tensor(
                f"{names.get_name(key.removesuffix('.weight'))}.weight", stored.numpy()
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _write_metadata(writer: gguf.GGUFWriter, model: LlamaForCausalLM) -> None:
    config = model.config
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)


def _write_tokenizer(writer: gguf.GGUFWriter, bpe: dict[str, Any]) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(bpe["vocab"], key=bpe["vocab"].__getitem__))
    writer.add_token_merges([" ".join(pair) for pair in bpe["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)


def _interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """llama.cpp pairs rotary dimensions as neighbours, transformers as halves of a head."""
    rows = weight.shape[0] // heads
    return weight.reshape(heads, 2, rows // 2, -1).swapaxes(1, 2).reshape(weight.shape).contiguous()


def test_gguf_is_dequantised_to_the_same_dense_model(
    gguf_file: Path,
    tiny_llama: LlamaForCausalLM,
    make_tokenizer: Callable[..., PreTrainedTokenizerBase],
) -> None:
    loaded = load_model(gguf_config(gguf_file), "cpu")
    assert type(loaded.model.model.layers[0].self_attn.q_proj) is nn.Linear
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    input_ids = loaded.tokenizer("Tom buys 15 apples", add_special_tokens=False)["input_ids"]
    assert input_ids == make_tokenizer()("Tom buys 15 apples")["input_ids"]
    torch.testing.assert_close(logits(loaded.model, input_ids), logits(tiny_llama, input_ids))


def test_sharing_one_parse_changes_no_weight(gguf_file: Path) -> None:
    plain = AutoModelForCausalLM.from_pretrained(
        gguf_file.parent, gguf_file=gguf_file.name, dtype=torch.float32
    )
    shared = load_model(gguf_config(gguf_file), "cpu").model
    expected, actual = plain.state_dict(), shared.state_dict()
    assert expected.keys() == actual.keys()
    assert all(torch.equal(expected[key], actual[key]) for key in expected)


def test_second_gguf_of_one_name_is_read_anew(gguf_file: Path) -> None:
    first = load_model(gguf_config(gguf_file), "cpu").model
    content = bytearray(gguf_file.read_bytes())
    content[-4:] = b"\0\0\0\0"
    gguf_file.write_bytes(content)
    second = load_model(gguf_config(gguf_file), "cpu").model
    assert not all(map(torch.equal, first.parameters(), second.parameters()))


@pytest.mark.parametrize("kept", [4, 3000, -1000])
def test_truncated_gguf_is_one_model_error(gguf_file: Path, kept: int) -> None:
    gguf_file.write_bytes(gguf_file.read_bytes()[:kept])
    with pytest.raises(ModelError, match=rf"in {gguf_file} cannot be loaded"):
        load_model(gguf_config(gguf_file), "cpu")


def test_loading_prints_nothing(gguf_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_model(gguf_config(gguf_file), "cpu")
    assert capfd.readouterr() == ("", "")
