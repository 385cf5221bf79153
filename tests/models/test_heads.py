"""Attention heads have the rows and columns of weights that they compute with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from helpers.disturbed_columns import effects, first_layer, in_double
from helpers.tiny_models import COMPRESSED, FAMILIES, OUTPUT_GATE, each

from gradsweep import SpectraOptions, gradient_spectra
from gradsweep.errors import ModelError
from gradsweep.models.projections import Heads, find_projections, with_heads
from gradsweep.models.projections.sites import weight_shape

Model = torch.nn.Module
MakeModel = Callable[[str], Model]
NORMED_OVER_HEADS = ("olmo2", "olmo3", "flex_olmo")
"""One row of a query moves the other heads through the norm, too, which is left out here."""


def heads_of(model: Model, projections: str) -> dict[str, Heads]:
    """By projection, of the first layer that has it."""
    sites = with_heads(model, find_projections(model, projections.split()))
    return {name: heads for site in reversed(sites) for name, heads in site.heads.items()}


@pytest.mark.parametrize("family", each(FAMILIES))
def test_a_row_of_a_head_moves_what_its_columns_of_o_read(
    family: str, tiny_model: MakeModel
) -> None:
    """A query moves its own head, a key or value those of its group, and more than any other."""
    model = in_double(tiny_model(family))
    if family in NORMED_OVER_HEADS:
        for layer in model.model.layers:  # type: ignore[union-attr]
            layer.self_attn.q_norm = layer.self_attn.k_norm = torch.nn.Identity()
    names = "q k v attn_gate" if family in OUTPUT_GATE else "q k v"
    heads = heads_of(model, f"{names} o")
    sites, output = first_layer(model, f"{names} o")
    config = model.config.get_text_config()  # type: ignore[operator, union-attr]
    assert heads["o"] == Heads(config.num_attention_heads, of_inputs=True)
    for site in sites:
        change, _ = effects(model, site.module, output)
        moved = change.abs().amax(dim=1).unflatten(1, (heads["o"].count, -1)).amax(dim=2)
        for name, columns in site.columns.items():
            everything = torch.arange(weight_shape(site.module)[0])
            own = everything if columns is None else columns
            count = heads[name].count
            expected = torch.arange(len(own)) // (len(own) // count)
            found = moved[own].argmax(dim=1) // (heads["o"].count // count)
            assert found.tolist() == expected.tolist(), name


@pytest.mark.parametrize(
    ("family", "counts"),
    [
        ("llama_gqa", (4, 2, 2, 4)),
        ("llama_mqa", (4, 1, 1, 4)),
        ("gemma3", (4, 1, 1, 4)),
        ("qwen3_norms", (4, 2, 2, 4)),
        ("gpt2_conv1d", (4, 4, 4, 4)),
        ("falcon_40b", (4, 2, 2, 4)),
        ("gpt_bigcode_multi_query", (4, 1, 1, 4)),
        ("deepseek_v3", (4, 4, 4, 4)),
    ],
)
def test_heads_are_counted_by_shape(
    family: str, counts: tuple[int, ...], tiny_model: MakeModel
) -> None:
    found = heads_of(tiny_model(family), "q k v o")
    assert tuple(found[name].count for name in "qkvo") == counts
    assert [name for name in "qkvo" if found[name].of_inputs] == ["o"]


@pytest.mark.parametrize("family", COMPRESSED[:1])
def test_what_compresses_has_no_heads(family: str, tiny_model: MakeModel) -> None:
    found = heads_of(tiny_model(family), "q k v o q_a kv_a gate")
    assert set(found) == set("qkvo")


def measured(model: Model, projections: Sequence[str] = "qkvo") -> None:
    ids, options = torch.arange(1, 13)[None], SpectraOptions(heads=True)
    gradient_spectra(model, ids, ids > 5, options=options, projections=projections)


def test_projections_without_heads_are_refused(tiny_model: MakeModel) -> None:
    with pytest.raises(ModelError, match=r"gradients\.heads=true: up, down have no .* q, k, v, o"):
        measured(tiny_model("llama_gqa"), projections=["up", "down"])


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("head_dim", None, r"LlamaAttention has none of qk_head_dim, head_dim, head_size"),
        ("head_dim", 7, r"its 24 features are no multiple of the head's 7"),
        ("head_dim", 3, r"24 features of 3 a head are not the config's 4 heads"),
    ],
)
def test_heads_that_are_not_known_are_refused(
    attribute: str, value: int | None, said: str, tiny_model: MakeModel
) -> None:
    model = tiny_model("llama_gqa")
    setattr(model.model.layers[0].self_attn, attribute, value)  # type: ignore[union-attr]
    with pytest.raises(ModelError, match=rf"of q of layer 0|{said}") as refused:
        measured(model)
    assert "gradients.heads=false" in str(refused.value)
    assert "'llama'" in str(refused.value)
