"""Adapters name the right weights: shown by what the columns do, not by the adapter's own word."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from helpers.disturbed_columns import (
    PLACE,
    disturbed,
    effects,
    first_layer,
    in_double,
    input_of,
)
from helpers.tiny_models import COMPRESSED, FAMILIES, GATED, NORMED_VALUES, OUTPUT_GATE, PLAIN

from gradsweep.models.projections import ProjectionSite

Model = torch.nn.Module
Roles = dict[str, set[int]]
ROUNDING = 1e-12
"""Of a change, in float64: what is less is none."""


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


def moving_the_first_token(model: Model, source: Model, sink: Model) -> set[int]:
    """Columns of `source` that move the first token's output: a lone key leaves no choice, so that
    neither it nor its query does (but beside an attention sink); its value does."""
    width = source.out_features if hasattr(source, "out_features") else source.nf
    plain = input_of(sink, model, width)
    with disturbed(source, 1.0, place=0):
        change = input_of(sink, model, width) - plain
    moved = change[:, 0].abs().amax(dim=1) > 1e-6
    return set(moved.nonzero().flatten().tolist())


def gate_roles(model: Model, source: Model, sink: Model) -> Roles:
    """What the down projection reads is linear in up, and not in gate."""
    change, bend = effects(model, source, sink)
    here = change.abs().amax(dim=(1, 2))
    assert (here > 1e-6).all()
    linear = bend < 1e-6 * here
    roles = {"up": linear, "gate": ~linear}
    return {name: set(mask.nonzero().flatten().tolist()) for name, mask in roles.items()}


def assert_columns(site: ProjectionSite, roles: Roles) -> None:
    """The columns of each projection are those with its role; None stands for all of them."""
    for name, columns in site.columns.items():
        everything = set().union(*roles.values())
        assert roles[name] == (everything if columns is None else set(columns.tolist()))


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_columns_do_what_their_name_says(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    model = in_double(tiny_model(family))
    sites, output = first_layer(model, "q k v o")
    for site in sites:
        roles = attention_roles(model, site.module, output)
        at_first = moving_the_first_token(model, site.module, output)
        if family in OUTPUT_GATE:
            roles["q"] -= at_first
        if family in NORMED_VALUES:
            roles = {"q": roles["q"], "k": roles["k"] - at_first, "v": roles["k"] & at_first}
        assert_columns(site, roles)


@pytest.mark.parametrize("family", OUTPUT_GATE)
def test_a_gate_of_the_heads_outputs_is_no_query(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    model = in_double(tiny_model(family))
    (site,), output = first_layer(model, "attn_gate o")
    (columns,) = site.columns.values()
    assert columns is not None
    assert set(columns.tolist()) == moving_the_first_token(model, site.module, output)


@pytest.mark.parametrize("family", [*COMPRESSED, "deepseek_v2_lite"])
def test_what_compresses_is_read_by_what_expands(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    """All columns of q_a; those of kv_a but the rotary keys, which go around the expansion."""
    model = in_double(tiny_model(family))
    expected = {"q_a q": (12, 12), "kv_a k": (14, 10)}
    for names in list(expected)[family not in COMPRESSED :]:
        (source,), expands = first_layer(model, names)
        change, _ = effects(model, source.module, expands)
        moved = change[:, PLACE].abs().amax(dim=1) > 1e-6
        assert (len(moved), int(moved.sum())) == expected[names]


@pytest.mark.parametrize("family", GATED)
def test_gate_and_up_do_what_their_name_says(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    model = in_double(tiny_model(family))
    sites, down = first_layer(model, "gate up down")
    for site in sites:
        roles = gate_roles(model, site.module, down)
        assert_columns(site, roles)


@pytest.mark.parametrize("family", PLAIN)
def test_fc2_reads_what_fc1_wrote(family: str, tiny_model: Callable[[str], Model]) -> None:
    model = in_double(tiny_model(family))
    (fc1,), fc2 = first_layer(model, "fc1 fc2")
    change, _ = effects(model, fc1.module, fc2)
    size = change[:, PLACE].abs()
    moved = size > ROUNDING * size.amax()
    # A rectifier that stays shut hides its column; no column may reach another one's place.
    assert moved.any(dim=1).sum() > len(moved) / 4
    assert (moved & ~torch.eye(len(moved), dtype=torch.bool)).sum() == 0
