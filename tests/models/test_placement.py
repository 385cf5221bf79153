"""Over the GPUs of a node: layers stay whole, and what does not fit is refused beforehand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_models import FAMILIES
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from gradsweep import compose, extract
from gradsweep.config import DeviceMap, Dtype, ModelConfig, ModelSource, Quantization, SourceKind
from gradsweep.errors import ConfigError, ModelError
from gradsweep.models import load_model
from gradsweep.models.placement import WEIGHTS_SHARE, spread

GB = 10**9


def auto_config(path: str = "/m", **fields: Any) -> ModelConfig:
    source = ModelSource(kind=SourceKind.folder, path=path)
    given = {"name": "big", "source": source, "device_map": DeviceMap.auto, "max_length": 64}
    return ModelConfig(**(given | fields))


@pytest.fixture(scope="module")
def llama_8b() -> PreTrainedModel:
    """Llama 3.1 8B without weights, as it would be loaded in bfloat16: 16.1 GB."""
    config = LlamaConfig(
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        vocab_size=128_256,
        dtype=torch.bfloat16,
    )
    with torch.device("meta"):
        return LlamaForCausalLM(config).to(torch.bfloat16)


def weights_on(model: PreTrainedModel, device_map: dict[str, Any]) -> dict[Any, int]:
    """Bytes by device."""
    sizes = dict.fromkeys(device_map.values(), 0)
    for name, parameter in model.named_parameters():
        place = max((n for n in device_map if f"{name}.".startswith(f"{n}.")), key=len)
        sizes[device_map[place]] += parameter.numel() * parameter.element_size()
    return sizes


def test_a_model_is_spread_in_about_equal_parts_that_fit(llama_8b: PreTrainedModel) -> None:
    config = auto_config(dtype=Dtype.bfloat16)
    for n_gpus in (2, 3, 4):
        device_map = spread(llama_8b, config, dict.fromkeys(range(n_gpus), 24 * GB))
        sizes = weights_on(llama_8b, device_map)
        assert set(sizes) == set(range(n_gpus))
        assert sum(sizes.values()) == 16_060_522_496
        assert max(sizes.values()) < 1.5 * sum(sizes.values()) / n_gpus
    alone = spread(llama_8b, config, {0: 24 * GB})
    assert set(alone.values()) == {0}


def test_no_gpu_gets_more_than_its_share(llama_8b: PreTrainedModel) -> None:
    free = {0: 6 * GB, 1: 16 * GB}
    sizes = weights_on(llama_8b, spread(llama_8b, auto_config(dtype=Dtype.bfloat16), free))
    for gpu, size in sizes.items():
        assert size <= WEIGHTS_SHARE[Quantization.none] * free[gpu]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_layer_is_never_divided(
    family: str, tiny_model: Callable[[str], PreTrainedModel]
) -> None:
    """Its residual sums would mix devices."""
    with torch.device("meta"):
        model = tiny_model(family)
    tensors = [*model.parameters(), *model.buffers()]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    lists = {n for n, m in model.named_modules() if isinstance(m, torch.nn.ModuleList)}
    for n_gpus in range(2, 9):
        device_map = spread(model, auto_config(), dict.fromkeys(range(n_gpus), 3 * size))
        for name in device_map:
            parents = {name.rsplit(".", i)[0] for i in range(2, name.count(".") + 1)}
            assert not parents & lists, name


@pytest.mark.parametrize("n_gpus", [1, 2])
def test_what_does_not_fit_says_its_size_and_what_takes_less(
    llama_8b: PreTrainedModel, n_gpus: int
) -> None:
    free = dict.fromkeys(range(n_gpus), 14 * GB // n_gpus)
    with pytest.raises(ModelError) as caught:
        spread(llama_8b, auto_config(dtype=Dtype.bfloat16), free)
    message = str(caught.value)
    for text in ("model=big in bfloat16 takes 16.1 GB", "auto has", "model.quantization=nf4"):
        assert text in message
    assert f"{14 / n_gpus:.1f} GB" in message
    assert "model.dtype=bfloat16" not in message, "it is in bfloat16"
    quantised = auto_config(dtype=Dtype.bfloat16, quantization=Quantization.nf4)
    assert set(spread(llama_8b, quantised, free).values()) == set(free)


def test_a_model_too_large_is_refused_before_its_weights_are_read(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model_folder / "model.safetensors").write_bytes(bytes([2, *[0] * 7]) + b"{}")
    monkeypatch.setattr("gradsweep.models.load.resolve_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr("gradsweep.models.load.free_gpu_memory", lambda: {0: 9000, 1: 9000})
    with pytest.raises(ModelError, match=r"float32 takes 0\.00 GB.*2 GPUs.*model\.dtype=bfloat16"):
        load_model(auto_config(str(model_folder)))


# --- without a GPU


def test_auto_on_a_cpu_is_the_same_point_with_the_same_rows(
    saved_model: Path, tmp_path: Path
) -> None:
    def result(root: str, *overrides: str) -> Any:
        fixed = ["model=folder", f"model.source.path={saved_model}", "tracking=none", "n_samples=2"]
        config = compose(*fixed, f"store.root={tmp_path / root}", *overrides)
        return extract(config, show_progress=False)

    plain, auto = result("plain"), result("auto", "model.device_map=auto")
    assert plain.paths.point_id == auto.paths.point_id
    assert plain.rows().equals(auto.rows())


def test_auto_leaves_no_choice_of_a_device() -> None:
    both = ["model.device_map=auto", "gradients.device=cpu"]
    with pytest.raises(ConfigError, match=r"gradients\.device=cpu.*model\.device_map=null"):
        compose(*both)
    assert compose("gradients.device=cpu").model.device_map is None
