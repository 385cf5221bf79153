"""Cosines of gradients with planted factors, against the gradients themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from gradsweep.config import SpectraOptions
from gradsweep.engine import Factors
from gradsweep.engine.spectra import UnitCosines, factor_spectra, similarity, spectrum_row
from gradsweep.records import SpectrumRow

TOKENS, WIDTH, KV_WIDTH = 6, 20, 8


def draw(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer_factors(layer: int, tokens: int = TOKENS, heads: int = WIDTH) -> list[Factors]:
    """q, k and v read one input, o another; q and o have one shape when `heads` is the width."""
    seed = 100 * layer
    shared = {name: draw(tokens, KV_WIDTH, seed=seed + i) for i, name in enumerate("kv")}
    shared["q"] = draw(tokens, heads, seed=seed + 2)
    return [
        Factors(layer, draw(tokens, WIDTH, seed=seed + 3), shared),
        Factors(layer, draw(tokens, heads, seed=seed + 4), {"o": draw(tokens, WIDTH, seed=seed)}),
    ]


def measured(factors: Sequence[Factors]) -> list[SpectrumRow]:
    return [
        spectrum_row(spectrum, of_input.layer, name, 1e-6)
        for of_input in factors
        for name, spectrum in factor_spectra(of_input.x, of_input.dy).items()
    ]


def completed(
    layers: Sequence[Sequence[Factors]], options: SpectraOptions | None = None
) -> dict[tuple[int, str], SpectrumRow]:
    """Rows of all layers, given as the backward pass does: the last first."""
    cosines = UnitCosines(options)
    rows = [row for layer in layers for row in cosines.complete(measured(layer), layer)]
    return {(row.layer, row.projection): row for row in rows}


def gradients(layers: Sequence[Sequence[Factors]]) -> dict[tuple[int, str], torch.Tensor]:
    return {
        (of_input.layer, name): (dy.double().T @ of_input.x.double()).flatten()
        for layer in layers
        for of_input in layer
        for name, dy in of_input.dy.items()
    }


def cos(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


@pytest.mark.parametrize("tokens", [1, 3, 6, 30], ids=lambda n: f"{n}_tokens")
def test_cosines_are_those_of_the_gradients(tokens: int) -> None:
    layers = [layer_factors(layer, tokens) for layer in (2, 1, 0)]
    rows, g = completed(layers), gradients(layers)
    for (layer, name), row in rows.items():
        partner = {"q": "o", "o": "q", "k": "v", "v": "k"}[name]
        assert row.cosine_partner == pytest.approx(
            cos(g[layer, name], g[layer, partner]), abs=1e-10
        )
        if layer < 2:
            expected = cos(g[layer, name], g[layer + 1, name])
            assert row.cosine_next_layer == pytest.approx(expected, abs=1e-10)
        else:
            assert math.isnan(row.cosine_next_layer)


@pytest.mark.parametrize("tokens", [2, 12, 60])
def test_both_routes_agree(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [layer_factors(layer, tokens) for layer in (1, 0)]
    found = []
    for formed in (False, True):
        monkeypatch.setattr(similarity, "forming_is_cheaper", lambda *sizes, say=formed: say)
        found.append(completed(layers))
    for place, row in found[0].items():
        other = found[1][place]
        assert row.cosine_partner == pytest.approx(other.cosine_partner, abs=1e-10)
        assert row.cosine_next_layer == pytest.approx(
            other.cosine_next_layer, abs=1e-10, nan_ok=True
        )


def test_gradients_are_formed_only_where_that_is_cheaper() -> None:
    assert not similarity.forming_is_cheaper(100, 4096, 4096)
    assert similarity.forming_is_cheaper(1000, 576, 576)


@pytest.mark.parametrize("tokens", [4, 40])
@pytest.mark.parametrize(("factor", "expected"), [(3.0, 1.0), (-0.5, -1.0)])
def test_identical_and_opposite_gradients(tokens: int, factor: float, expected: float) -> None:
    """The same gradient twice up to a factor, in the next layer and in the partner."""
    (shared, _) = layer_factors(0, tokens)
    both = {"k": shared.dy["k"], "v": factor * shared.dy["k"]}
    layers = [[Factors(1, -factor * shared.x, both)], [Factors(0, shared.x, both)]]
    rows = completed(layers)
    assert rows[0, "k"].cosine_partner == pytest.approx(expected, abs=1e-12)
    assert rows[0, "v"].cosine_partner == pytest.approx(expected, abs=1e-12)
    assert rows[0, "k"].cosine_next_layer == pytest.approx(-expected, abs=1e-12)


def test_orthogonal_gradients() -> None:
    x = torch.eye(TOKENS, WIDTH)
    dy = {"k": torch.eye(TOKENS, KV_WIDTH), "v": torch.eye(TOKENS, KV_WIDTH).flip(1)}
    row = completed([[Factors(0, x, dy)]])[0, "k"]
    assert row.cosine_partner == pytest.approx(0, abs=1e-15)


def test_scaling_the_loss_changes_no_cosine() -> None:
    def scaled(by: float) -> list[list[Factors]]:
        return [
            [
                Factors(layer, f.x, {name: by * dy for name, dy in f.dy.items()})
                for f in layer_factors(layer)
            ]
            for layer in (1, 0)
        ]

    one, tiny = completed(scaled(1.0)), completed(scaled(2.0**-100))
    for place, row in one.items():
        assert tiny[place].cosine_partner == pytest.approx(row.cosine_partner, rel=1e-12)


def test_where_shapes_differ_there_is_no_cosine() -> None:
    """Heads wider than the model: q is 24×20 and o 20×24, the next layer's heads are narrower."""
    rows = completed([layer_factors(1), layer_factors(0, heads=24)])
    for name in "qo":
        assert math.isnan(rows[0, name].cosine_partner)
        assert math.isnan(rows[0, name].cosine_next_layer)
    for name in "kv":
        assert math.isfinite(rows[0, name].cosine_partner)
        assert math.isfinite(rows[0, name].cosine_next_layer)


def test_where_the_other_was_not_measured_there_is_no_cosine() -> None:
    """Layer 1 is missing and layer 2 is not the next one; gate has no partner."""
    gate = Factors(0, draw(TOKENS, WIDTH, seed=7), {"gate": draw(TOKENS, 30, seed=8)})
    rows = completed([layer_factors(2), [layer_factors(0)[0], gate]])
    for name in ("q", "k", "gate"):
        assert math.isnan(rows[0, name].cosine_next_layer)
    assert math.isnan(rows[0, "q"].cosine_partner)
    assert math.isnan(rows[0, "gate"].cosine_partner)
    assert math.isfinite(rows[0, "k"].cosine_partner)


def test_a_zero_or_broken_gradient_has_no_cosine() -> None:
    (shared, _) = layer_factors(0)
    for broken in (0.0, math.nan):
        dy = shared.dy | {"v": shared.dy["v"] * broken}
        row = completed([[Factors(0, shared.x, dy)]])[0, "k"]
        assert math.isnan(row.cosine_partner)


def test_cancelling_factors_keep_their_digits() -> None:
    """A huge common part of X that dY sums away: sums over tokens lose digits, G does not."""
    (shared, _) = layer_factors(0, tokens=3)
    dy = {name: shared.dy[name].double() for name in "kv"}
    dy = {name: values - values.mean(0) for name, values in dy.items()}
    layer = [Factors(0, (shared.x.double() + 1e7).float().double(), dy)]
    assert not similarity.forming_is_cheaper(3, KV_WIDTH, WIDTH)
    g = gradients([layer])
    row = completed([layer])[0, "k"]
    assert row.cosine_partner == pytest.approx(cos(g[0, "k"], g[0, "v"]), abs=1e-8)


@pytest.mark.parametrize("tokens", [4, 40], ids=["factors", "gradients"])
def test_cosines_with_all_later_layers_begin_with_the_next_one(tokens: int) -> None:
    """Layer 1 has other heads: its q has no cosine, and leaves its place in the list."""
    between = layer_factors(1, tokens, heads=24)
    layers = [layer_factors(2, tokens), between, layer_factors(0, tokens)]
    options = SpectraOptions(similarities=True, layer_cosines=True)
    rows, g = completed(layers, options), gradients(layers)
    neighbours = completed(layers)
    assert rows[2, "q"].layer_cosines == []
    both = cos(g[0, "q"], g[2, "q"])
    assert rows[0, "q"].layer_cosines == pytest.approx([math.nan, both], abs=1e-10, nan_ok=True)
    for place, row in rows.items():
        next_layer = neighbours[place].cosine_next_layer
        assert row.cosine_next_layer == pytest.approx(next_layer, abs=1e-10, nan_ok=True)


def test_where_a_layer_was_not_measured_its_place_is_kept() -> None:
    rows = completed([layer_factors(2), layer_factors(0)], SpectraOptions(layer_cosines=True))
    (missing, known) = rows[0, "q"].layer_cosines or []
    assert math.isnan(missing)
    assert math.isfinite(known)
