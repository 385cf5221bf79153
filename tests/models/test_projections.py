"""Adapters name the right weights: shown by what the columns do, not by the adapter's own word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
import transformers as hf
from helpers.agreement import assert_same
from helpers.places import DOCS
from helpers.tiny_models import (
    FAMILIES,
    GATED,
    PLAIN,
    SPARSE,
    VOCABULARY,
    projections_of,
    randomised,
)

from gradsweep.engine.passes import gradient_spectra
from gradsweep.errors import ModelError
from gradsweep.models.projections import (
    ADAPTERS,
    WRAPPERS,
    ProjectionSite,
    available_projections,
    coverage,
    find_projections,
)

Model = torch.nn.Module
Roles = dict[str, set[int]]
LENGTH, PLACE = 6, 2
"""Tokens of the probe, and the position at which a column is disturbed."""
ROUNDING = 1e-12
"""Of a change, in float64: what is less is none."""


# --- what a column does


@contextmanager
def disturbed(module: Model, size: float) -> Iterator[None]:
    """In sample b of the batch, output column b of `module` is off by `size` at one position."""

    def add(module: Model, args: object, output: torch.Tensor) -> torch.Tensor:
        noise = torch.zeros(output.shape[-1], LENGTH, output.shape[-1], dtype=output.dtype)
        noise[:, PLACE] = size * torch.eye(output.shape[-1])
        return output + noise.view_as(output)

    handle = module.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


class _Read(Exception):
    """The sink has its input: nothing behind it matters."""


def input_of(sink: Model, model: Model, width: int) -> torch.Tensor:
    """What `sink` reads, (width, LENGTH, features), for `width` copies of the probe."""

    def stop(module: Model, args: tuple[torch.Tensor]) -> None:
        raise _Read(args[0])

    handle = sink.register_forward_pre_hook(stop)
    with torch.no_grad(), pytest.raises(_Read) as read:
        model(input_ids=torch.arange(3, 3 + LENGTH).expand(width, -1), use_cache=False)
    handle.remove()
    return read.value.args[0].reshape(width, LENGTH, -1)


def effects(model: Model, source: Model, sink: Model) -> tuple[torch.Tensor, torch.Tensor]:
    """By column of `source`: change of `sink`'s input, and how far from linear it is (float64)."""
    width = source.out_features if hasattr(source, "out_features") else source.nf
    plain = input_of(sink, model, width)
    with disturbed(source, 1.0):
        once = input_of(sink, model, width) - plain
    with disturbed(source, 2.0):
        twice = input_of(sink, model, width) - plain
    return once, (twice - 2 * once).abs().amax(dim=(1, 2))


def attention_roles(model: Model, source: Model, sink: Model) -> Roles:
    """q changes what its own position reads; v what later ones read, linearly; k not so."""
    change, bend = effects(model, source, sink)
    later = change[:, PLACE + 1 :].abs().amax(dim=(1, 2))
    here = change[:, PLACE].abs().amax(dim=1)
    assert (change[:, :PLACE].abs().amax(dim=(1, 2)) < ROUNDING * here).all()
    assert (here > 1e-6).all()
    q, linear = later < ROUNDING * here, bend < 1e-6 * here
    roles = {"q": q, "v": ~q & linear, "k": ~q & ~linear}
    return {name: set(mask.nonzero().flatten().tolist()) for name, mask in roles.items()}


def gate_roles(model: Model, source: Model, sink: Model) -> Roles:
    """What the down projection reads is linear in up, and not in gate."""
    change, bend = effects(model, source, sink)
    here = change.abs().amax(dim=(1, 2))
    assert (here > 1e-6).all()
    linear = bend < 1e-6 * here
    roles = {"up": linear, "gate": ~linear}
    return {name: set(mask.nonzero().flatten().tolist()) for name, mask in roles.items()}


def first_layer(model: Model, names: str) -> tuple[list[ProjectionSite], Model]:
    """Sites of all but the last of `names` in layer 0, and the module of the last."""
    *sources, sink = names.split()
    at_zero = [site for site in find_projections(model, [*sources, sink]) if site.layer == 0]
    (last,) = [site.module for site in at_zero if sink in site.columns]
    return [site for site in at_zero if sink not in site.columns], last


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_columns_do_what_their_name_says(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    model = tiny_model(family).double()
    sites, output = first_layer(model, "q k v o")
    for site in sites:
        roles = attention_roles(model, site.module, output)
        for name, columns in site.columns.items():
            everything = set().union(*roles.values())
            assert roles[name] == (everything if columns is None else set(columns.tolist()))


@pytest.mark.parametrize("family", GATED)
def test_gate_and_up_do_what_their_name_says(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    model = tiny_model(family).double()
    sites, down = first_layer(model, "gate up down")
    for site in sites:
        roles = gate_roles(model, site.module, down)
        for name, columns in site.columns.items():
            everything = set().union(*roles.values())
            assert roles[name] == (everything if columns is None else set(columns.tolist()))


@pytest.mark.parametrize("family", PLAIN)
def test_fc2_reads_what_fc1_wrote(family: str, tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model(family).double()
    (fc1,), fc2 = first_layer(model, "fc1 fc2")
    change, _ = effects(model, fc1.module, fc2)
    size = change[:, PLACE].abs()
    moved = size > ROUNDING * size.amax()
    # A rectifier that stays shut hides its column; no column may reach another one's place.
    assert moved.any(dim=1).sum() > len(moved) / 4
    assert (moved & ~torch.eye(len(moved), dtype=torch.bool)).sum() == 0


# --- what is known, and what is not


def test_every_adapter_is_tested_and_documented(tiny_model: Callable[[str], Model]) -> None:
    configs = [tiny_model(family).config for family in FAMILIES]
    assert {config.get_text_config().model_type for config in configs} == set(ADAPTERS)  # type: ignore[union-attr,operator]
    assert {config.model_type for config in configs} >= set(WRAPPERS)  # type: ignore[union-attr]
    guide = (DOCS / "models.md").read_text()
    assert [name for name in [*ADAPTERS, *WRAPPERS] if f"`{name}`" not in guide] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_all_that_a_family_has_is_offered(family: str, tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model(family)
    assert available_projections(model) == projections_of(family)
    sites = find_projections(model, projections_of(family))
    assert [site.layer for site in sites] == sorted(site.layer for site in sites)
    assert {site.layer for site in sites} == {0, 1, 2}


@pytest.mark.parametrize("family", SPARSE)
def test_experts_are_refused_by_name(family: str, tiny_model: Callable[[str], Model]) -> None:
    with pytest.raises(ModelError, match=r"gate, up.*experts.*not measured.*there: q, k, v, o"):
        find_projections(tiny_model(family), ["q", "gate", "up"])


@pytest.mark.parametrize(("family", "asked"), [("gpt2_conv1d", "gate"), ("llama", "fc1")])
def test_a_missing_projection_lists_what_there_is(
    family: str, asked: str, tiny_model: Callable[[str], Model]
) -> None:
    there = ", ".join(projections_of(family))
    with pytest.raises(ModelError, match=f"{asked} not found in layer 0; projections .*: {there}"):
        find_projections(tiny_model(family), ["q", asked])


def test_dense_layers_of_a_sparse_family_are_measured_when_all_are() -> None:
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_experts": 4}
    dense = hf.Qwen3MoeForCausalLM(
        hf.Qwen3MoeConfig(**sizes, **heads, head_dim=8, mlp_only_layers=[0, 1])
    )
    assert available_projections(dense) == ("q", "k", "v", "o", "gate", "up", "down")
    mixed = hf.Qwen3MoeForCausalLM(
        hf.Qwen3MoeConfig(**sizes, **heads, head_dim=8, mlp_only_layers=[0])
    )
    assert available_projections(mixed) == ("q", "k", "v", "o")
    with pytest.raises(ModelError, match="layer 1 is a sparse mixture of experts"):
        find_projections(mixed, ["up"])


def test_a_fused_module_of_unexpected_width_is_refused(
    tiny_model: Callable[[str], Model],
) -> None:
    model = tiny_model("phi3_fused")
    model.config.num_key_value_heads = 4  # type: ignore[union-attr]
    with pytest.raises(ModelError, match=r"qkv_proj of layer 0 has 48 outputs.*q 24, k 24, v 24"):
        find_projections(model, "qkv")


def test_encoder_decoders_and_headless_models_are_refused(
    tiny_model: Callable[[str], Model],
) -> None:
    t5 = hf.T5ForConditionalGeneration(
        hf.T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    )
    with pytest.raises(ModelError, match="'t5' is an encoder-decoder"):
        find_projections(t5, "q")
    with pytest.raises(ModelError, match=r"LlamaModel.*no layers at model\.layers, only embed_tok"):
        find_projections(tiny_model("llama").get_submodule("model"), "q")


def test_an_unknown_multimodal_wrapper_is_refused(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llava_multimodal")
    model.config.model_type = "telescope"  # type: ignore[union-attr]
    with pytest.raises(ModelError, match=r"'telescope'.*model\.layers.*gemma3"):
        find_projections(model, "q")


# --- coverage


def matrices(model: Model, ending: str) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if name.endswith(ending))


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_covers_exactly_its_weight_matrices(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    """All q k v o together are whole matrices, fused or not, in every layer."""
    model = tiny_model(family)
    sites = find_projections(model, "qkvo")
    found = coverage(model, sites)
    assert found.measured == sum(site.module.weight.numel() for site in sites)  # type: ignore[misc,operator]
    assert found.total == sum(p.numel() for p in set(model.parameters()))
    assert 0 < found.share < 1
    by_name = [coverage(model, find_projections(model, name)).measured for name in "qkvo"]
    assert sum(by_name) == found.measured


def test_a_slice_of_a_fused_matrix_counts_as_a_slice(tiny_model: Callable[[str], Model]) -> None:
    phi3, gpt2 = tiny_model("phi3_fused"), tiny_model("gpt2_conv1d")
    assert coverage(phi3, find_projections(phi3, "kv")).measured == 3 * (12 + 12) * 24
    assert coverage(phi3, find_projections(phi3, ["up"])).measured == 3 * 40 * 24
    assert coverage(gpt2, find_projections(gpt2, "q")).measured == 3 * 24 * 24
    assert coverage(gpt2, find_projections(gpt2, ["fc2"])).measured == 3 * 24 * 96


def test_tied_weights_count_once(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    separate = coverage(model, find_projections(model, "q"))
    layers = model.get_submodule("model.layers")
    layers[1].self_attn.q_proj.weight = layers[0].self_attn.q_proj.weight  # type: ignore[index]
    tied = coverage(model, find_projections(model, "q"))
    assert tied.measured == separate.measured * 2 / 3
    assert tied.total == separate.total - 24 * 24
    assert tied.layers == 3


def test_coverage_reads_as_a_sentence(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    sites = find_projections(model, ["down", "q", "o", "k"])
    measured = 3 * (3 * 24 * 24 + 24 * 40)
    total = matrices(model, "weight")
    assert str(coverage(model, sites)) == (
        f"measuring q k o down in 3 layers: {measured / 1e3:.1f} k of {total / 1e3:.1f} k "
        f"parameters ({100 * measured / total:.0f} %)"
    )


# --- PEFT


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
