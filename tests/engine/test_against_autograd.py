"""Modules that a user names are compared with autograd before a point is measured with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.agreement import assert_same
from helpers.plain_gradients import mask, tokens
from torch import Tensor, nn

from gradsweep.config import ModelConfig, ModelSource, Prompt
from gradsweep.engine.against_autograd import check_named_projections
from gradsweep.engine.batch import make_batch
from gradsweep.engine.passes import gradient_spectra, measure_batch
from gradsweep.errors import ModelError
from gradsweep.models.load import LoadedModel
from gradsweep.models.projections import available_projections, find_projections
from gradsweep.records import EncodedSample, EncodedUnit, Sample, Unit

MakeModel = Callable[[str], Any]
LLAMA = {"layers": "model.layers"} | {f"{name}": f"self_attn.{name}_proj" for name in "qkvo"}


def of_own_family(model: Any) -> Any:
    """The same model by a name that no adapter has."""
    model.config.model_type = "of_my_own"
    return model


def unit(length: int) -> EncodedUnit:
    sample = Sample("s", "q", "", "", 0)
    row = EncodedSample(sample, tokens(length).tolist(), 5, False)
    return EncodedUnit(Unit((sample,)), (row,))


def check(model: Any, named: dict[str, str]) -> None:
    config = ModelConfig(name="mine", source=ModelSource(hub_id="a/b"), projections=dict(named))
    names = [name for name in named if name != "layers"]
    loaded = LoadedModel(model, None, Prompt.plain, 512)  # type: ignore[arg-type]
    sites = find_projections(model, names, config.named_projections)
    check_named_projections(loaded, config, sites, [unit(12), unit(30)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_linear_modules_agree(dtype: torch.dtype, tiny_model: MakeModel) -> None:
    model = of_own_family(tiny_model("llama_gqa")).to(dtype)
    with pytest.raises(ModelError, match=r"model_type='of_my_own'.*model\.projections\.layers="):
        find_projections(model, "q")
    check(model, LLAMA)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("family", "layers", "module", "cuts"),
    [
        ("phi3_fused", "model.layers", "self_attn.qkv_proj", {"q": (0, 24), "k": (24, 36)}),
        ("gpt2_conv1d", "transformer.h", "attn.c_attn", {"q": (0, 24), "v": (48, 72)}),
    ],
)
def test_named_columns_are_those_of_the_family(
    family: str, layers: str, module: str, cuts: dict[str, tuple[int, int]], tiny_model: MakeModel
) -> None:
    model, ids = tiny_model(family), tokens(12)
    batch = make_batch(ids[None], mask(12, 5)[None], None)
    (known,) = gradient_spectra(model, ids[None], mask(12, 5)[None], projections=list(cuts)).samples
    named = {name: f"{module}[{start}:{stop}]" for name, (start, stop) in cuts.items()}
    named["layers"] = layers
    check(model, named)
    assert_same(measure_batch(model, find_projections(model, list(cuts), named), batch)[0], known)


class Scaled(nn.Linear):
    """Not y = xWᵀ: its weight acts twice as much as it says."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, 2 * self.weight)


class Normed(nn.Linear):
    """Its input is normalised inside."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x / x.norm(dim=-1, keepdim=True), self.weight)


@pytest.mark.parametrize("kind", [Scaled, Normed])
def test_a_module_that_is_no_plain_product_is_refused(
    kind: type[nn.Linear], tiny_model: MakeModel
) -> None:
    model = of_own_family(tiny_model("llama_gqa"))
    old = model.model.layers[1].self_attn.k_proj
    odd = kind(old.in_features, old.out_features, bias=False)
    odd.weight = old.weight
    model.model.layers[1].self_attn.k_proj = odd
    with pytest.raises(ModelError, match=r"model\.projections\.k=self_attn\.k_proj: in layer 1"):
        check(model, LLAMA)


def test_a_module_that_the_forward_pass_leaves_out_is_refused(tiny_model: MakeModel) -> None:
    model = of_own_family(tiny_model("llama_gqa"))
    for layer in model.model.layers:
        layer.spare = nn.Linear(24, 24)
    with pytest.raises(ModelError, match=r"no gradient reached \['q'\]"):
        check(model, LLAMA | {"q": "spare"})


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"q": "self_attn.nothing"}, r"projections\.q=self_attn\.nothing: .*not found in layer 0"),
        ({"q": "a.a", "v": "a.b", "k": "a.c", "o": "a.d"}, r"q=a\.a .*v=a\.b: .*of the 3 layers"),
        ({"q": "input_layernorm"}, "input_layernorm of layer 0 is a LlamaRMSNorm.* not linear"),
        ({"q": "self_attn.q_proj[8:99]"}, "has 24 outputs, and columns 8 to 98.* 0 to 23"),
        ({"layers": "model.blocks"}, r"projections\.layers=model\.blocks: .*no layers at"),
        ({"layers": "model.norm"}, r"projections\.layers=model\.norm: .*no layers at"),
    ],
)
def test_what_is_not_there_is_named(
    named: dict[str, str], said: str, tiny_model: MakeModel
) -> None:
    with pytest.raises(ModelError, match=said):
        find_projections(of_own_family(tiny_model("llama_gqa")), "qv", LLAMA | named)


def test_a_layer_without_named_modules_has_no_rows(tiny_model: MakeModel) -> None:
    model = tiny_model("lfm2")
    named = LLAMA | {"o": "self_attn.out_proj", "down": "feed_forward.w2"}
    assert available_projections(model, named) == ("q", "k", "v", "o", "down")
    sites = find_projections(model, ["q", "down"], named)
    assert [site.layer for site in sites if "q" in site.columns] == [1, 2]
    assert [site.layer for site in sites if "down" in site.columns] == [0, 1, 2]


def test_a_point_of_a_known_family_is_not_tried_again(tiny_model: MakeModel) -> None:
    model = tiny_model("llama_gqa")
    model.forward = None  # no pass is made
    loaded = LoadedModel(model, None, Prompt.plain, 512)  # type: ignore[arg-type]
    config = ModelConfig(name="known", source=ModelSource(hub_id="a/b"))
    check_named_projections(loaded, config, find_projections(model, "q"), [unit(12)])
