"""Checkpointed layers: the same rows from less that is kept, in every kind of model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as hf
from helpers.agreement import NORMS, assert_same
from helpers.tiny_models import VOCABULARY, each, projections_of

from gradsweep.engine import Batch, make_batch
from gradsweep.engine.passes import Engine
from gradsweep.errors import ModelError
from gradsweep.models.projections import find_projections
from gradsweep.records import SampleResult

Model = Any
FAMILIES = [
    "llama",
    "gpt2_conv1d",
    "phi3_fused",
    "gemma3",
    "gemma3_multimodal",
    "gpt_neox_interleaved",
    "bloom_interleaved",
    "falcon_7b",
    "opt",
    "mpt",
    "gpt_neo",
    "mixtral",
    "gpt_oss",
    "dbrx",
]


def two_samples(seed: int = 0) -> Batch:
    torch.manual_seed(seed)
    ids = torch.randint(1, VOCABULARY, (2, 24))
    real = torch.arange(24) < torch.tensor([[24], [17]])
    return make_batch(ids, (torch.arange(24) >= 9).expand(2, -1), real)


def assert_all_same(found: list[SampleResult], expected: list[SampleResult]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert_same(ours, theirs, metrics=(*NORMS, "effective_rank"))


@pytest.mark.parametrize("family", each(FAMILIES))
def test_rows_are_the_same_and_every_layer_ran_again(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    model, batch = tiny_model(family), two_samples()
    sites = find_projections(model, projections_of(family))
    runs: dict[int, int] = {}
    for site in sites:
        site.module.register_forward_pre_hook(
            lambda module, args, layer=site.layer: runs.update({layer: runs.get(layer, 0) + 1})
        )
    with Engine(model, sites, workers=1) as engine:
        plain = engine.measure(batch)
    once = dict(runs)
    runs.clear()
    with Engine(model, sites, workers=1, checkpointing=True) as engine:
        checkpointed = engine.measure(batch)
    assert_all_same(checkpointed, plain)
    assert all(runs[layer] > once[layer] for layer in once)
    assert not any("forward" in vars(module) for module in model.modules())


def test_several_threads_share_the_layers(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama_gqa")
    batches = [two_samples(seed) for seed in range(8)]
    sites = find_projections(model, "qkvo")
    with Engine(model, sites, workers=1) as engine:
        plain = dict(engine.measure_all(batches))
    with Engine(model, sites, workers=3, checkpointing=True) as engine:
        found = dict(engine.measure_all(batches))
    assert found.keys() == plain.keys()
    for place, expected in plain.items():
        assert_all_same(found[place], expected)


def test_what_a_pass_keeps_falls_by_more_than_half() -> None:
    config = hf.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=24,
        intermediate_size=64,
        num_hidden_layers=8,
        num_attention_heads=4,
    )
    model = hf.LlamaForCausalLM(config).eval()
    sites = find_projections(model, "qkvo")

    def kept(checkpointing: bool) -> int:
        storages: dict[int, int] = {}
        weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
        held = []

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            held.append(tensor)  # no storage is used again while we count
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
        with Engine(model, sites, workers=1, checkpointing=checkpointing) as engine, hooks:
            engine.measure(two_samples())
        return sum(storages.values())

    assert 0 < kept(checkpointing=True) < kept(checkpointing=False) / 2


def test_a_wrapper_of_the_users_own_is_put_back(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    layer = model.get_submodule("model.layers.1")
    calls = []
    original = layer.forward

    def mine(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return original(*args, **kwargs)

    layer.forward = mine
    with Engine(model, find_projections(model, "q"), workers=1, checkpointing=True) as engine:
        engine.measure(two_samples())
    assert len(calls) == 2
    assert layer.forward is mine


def test_a_model_without_a_list_of_layers_is_refused(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    sites = find_projections(model, "qkvo")
    layers = model.model.layers
    # The same modules under names, as a model of another making might keep them.
    model.model.layers = torch.nn.ModuleDict({f"layer_{i}": x for i, x in enumerate(layers)})
    engine = Engine(model, sites, workers=1, checkpointing=True)
    with pytest.raises(ModelError, match=r"gradients\.checkpointing.*layer_0.*q_proj.*Llama"):
        engine.__enter__()
    assert not any(module._forward_hooks for module in model.modules())
