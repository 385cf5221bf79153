"""What a row says of a gradient that is rounding noise, on both sides of the bound."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.plain_gradients import mask, tokens

from gradsweep import SpectraOptions, gradient_spectra
from gradsweep.engine import Factors
from gradsweep.engine.spectra import NOISE, RowMaker, factor_spectra
from gradsweep.records import SpectrumRow

UNDEFINED = ("sigma_ratio", "effective_rank", "stable_rank", "spectral_entropy", "condition_number")


def draw(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rows_of(layer: list[Factors]) -> dict[str, SpectrumRow]:
    spectra = {}
    for factors in layer:
        spectra |= factor_spectra(factors.x, factors.dy)
    rows = RowMaker(SpectraOptions()).layer_rows(spectra, layer)
    return {row.projection: row for row in rows}


def q_beside_o(size: float) -> SpectrumRow:
    """q's gradient, whose norm is `size` times the largest of the layer's."""
    x, dy = draw(1, 20, seed=1), draw(1, 12, seed=2)
    return rows_of([Factors(0, x, {"q": size * dy, "o": dy})])["q"]


def assert_noise(row: SpectrumRow) -> None:
    assert row.rank == 0
    assert all(math.isnan(getattr(row, name)) for name in UNDEFINED)
    assert row.finite, "it is no failure: the norms are what they are"


@pytest.mark.parametrize("size", [0.0, 1e-3 * NOISE, 0.9 * NOISE])
def test_below_the_bound_only_the_norms_are_reported(size: float) -> None:
    row = q_beside_o(size)
    assert_noise(row)
    assert row.nuclear_norm == pytest.approx(row.frobenius_norm)


@pytest.mark.parametrize("size", [1.1 * NOISE, 1e-4, 1.0])
def test_above_the_bound_it_is_measured(size: float) -> None:
    row = q_beside_o(size)
    assert row.rank == 1
    assert row.sigma_ratio == pytest.approx(1)
    assert row.effective_rank == pytest.approx(1)


@pytest.mark.parametrize("tokens", [4, 40])
@pytest.mark.parametrize("cancelled", [0.3, 30.0])
def test_factors_that_cancel_leave_noise(tokens: int, cancelled: float) -> None:
    """G = dYᵀX of pairs of tokens that take each other back, but for some multiple of NOISE."""
    x, dy = draw(tokens, 20, seed=1).double(), draw(tokens, 12, seed=2).double()
    left = cancelled * NOISE * draw(tokens, 12, seed=3).double()
    row = rows_of([Factors(0, torch.cat([x, x]).float(), {"v": torch.cat([dy, left - dy])})])["v"]
    assert row.nuclear_norm > 0
    if cancelled < 1:
        assert_noise(row)
    else:
        assert row.rank > 0


def test_the_scale_of_the_loss_decides_nothing() -> None:
    x, dy = draw(3, 20, seed=1), draw(3, 12, seed=2)
    for scale in (2.0**-60, 1.0, 2.0**60):
        assert rows_of([Factors(0, x, {"q": scale * dy})])["q"].rank == 3


def test_a_gradient_that_is_not_finite_says_nothing_of_its_neighbours() -> None:
    x, dy = draw(3, 20, seed=1), draw(3, 12, seed=2)
    rows = rows_of([Factors(0, x, {"q": dy, "o": dy * math.inf})])
    assert rows["q"].rank == 3
    assert rows["o"].rank == 0
    assert not rows["o"].finite
    assert math.isnan(rows["o"].effective_rank)


def test_attention_without_a_choice_has_no_spectrum_of_q_and_k(tiny_model: object) -> None:
    """One token that predicts: q and k have no gradient, whatever a processor makes of that."""
    model = tiny_model("llama")  # type: ignore[operator]
    (sample,) = gradient_spectra(model, tokens(2)[None], mask(2, 1)[None]).samples
    for row in sample.rows:
        if row.projection in "qk":
            assert_noise(row)
        else:
            assert row.rank == 1
