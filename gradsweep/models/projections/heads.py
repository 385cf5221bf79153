"""Which part of a weight belongs to which attention head.

A head's part of q, k, v and of the gate of its output are rows of W (outputs of the module), of o
they are columns (inputs). Grouped keys and values have fewer heads than queries. How wide a head is
says the attention module that the projection lies in; the number of heads follows from the shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from gradsweep.errors import ModelError
from gradsweep.models.projections.sites import Heads, ProjectionSite, projection_shapes
from gradsweep.models.unwrapped import unwrapped
from gradsweep.records import HEAD_PROJECTIONS

_USUAL = ("head_dim", "head_size")
_WIDTHS = {
    "q": ("qk_head_dim", *_USUAL),
    "k": ("qk_nope_head_dim", *_USUAL),
    "v": ("v_head_dim", *_USUAL),
    "o": ("v_head_dim", *_USUAL),
    "attn_gate": _USUAL,
}
"""Projection -> attributes of an attention module that may say how wide a head is. The first ones
are those of latent attention, whose keys lie here without their rotary part (`latent_kv`)."""


def with_heads(model: nn.Module, sites: Sequence[ProjectionSite]) -> list[ProjectionSite]:
    """Return the sites with how each projection of an attention is cut into heads.

    Projections without heads (of an MLP, q_a and kv_a of latent attention) stay as they are.

    Args:
        model: the model that the sites are of.
        sites: what `find_projections` found in it.

    Raises:
        ModelError: no site has heads, or an attention module does not say how wide its heads are,
            or says something that its weights contradict.
    """
    inside = parents_of(model)
    config = _text_config(model)
    found = []
    for site in sites:
        attention = inside.get(id(site.module))
        heads = {
            name: _heads(name, shape, attention, config, site.layer)
            for name, shape in projection_shapes(site).items()
            if name in HEAD_PROJECTIONS
        }
        found.append(replace(site, heads=heads))
    if not any(site.heads for site in found):
        names = dict.fromkeys(name for site in sites for name in site.columns)
        raise ModelError(
            f"gradients.heads=true: {', '.join(names)} {'have' if len(names) > 1 else 'has'} no "
            f"attention heads; allowed are {', '.join(HEAD_PROJECTIONS)}: add one of them to "
            "gradients.projections, or leave gradients.heads out"
        )
    return found


def parents_of(model: nn.Module) -> dict[int, nn.Module]:
    """Map each module's id() to the module that it lies in: a projection's is its attention."""
    return {id(child): parent for parent in model.modules() for child in parent.children()}


def _text_config(model: nn.Module) -> Any:
    bare: Any = unwrapped(model)
    return bare.config.get_text_config()


def _heads(
    name: str, shape: tuple[int, int], attention: nn.Module | None, config: Any, layer: int
) -> Heads:
    """Return how a weight (m×n) of one layer is cut; raises ModelError as `with_heads`."""
    of_inputs = name == "o"
    features = shape[1] if of_inputs else shape[0]
    width = _width(name, attention)
    heads = getattr(config, "num_attention_heads", None)
    if width is None:
        problem = f"{type(attention).__name__} has none of {', '.join(_WIDTHS[name])}"
    elif features % width:
        problem = f"its {features} features are no multiple of the head's {width}"
    elif heads and name not in ("k", "v") and features // width != heads:
        problem = f"{features} features of {width} a head are not the config's {heads} heads"
    elif heads and heads % (features // width):
        problem = f"{heads} heads of queries cannot share {features // width} of keys and values"
    else:
        return Heads(features // width, of_inputs)
    raise ModelError(
        f"gradients.heads=true: how {name} of layer {layer} of a "
        f"{getattr(config, 'model_type', 'model of no known type')!r} is cut into attention heads "
        f"is not known: {problem}. Leave gradients.heads out (gradients.heads=false), or leave "
        f"{name} out of gradients.projections"
    )


def _width(name: str, attention: nn.Module | None) -> int | None:
    values = (getattr(attention, attribute, None) for attribute in _WIDTHS[name])
    return next((value for value in values if isinstance(value, int) and value > 0), None)
