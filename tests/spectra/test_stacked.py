"""Units and layers that are solved together have the spectra that each has alone.

On tensors of the CPU that are treated as a device's: the operations are the same on both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from gradsweep.config import Solver
from gradsweep.engine.batch import Layout
from gradsweep.engine.factors import Factors, split_units
from gradsweep.engine.spectra import CudaBackend, Spectrum, factor_spectra
from gradsweep.engine.spectra.backends.stacked import StartedStacks

BACKEND = CudaBackend(torch.device("cpu"))
LARGE = 2**26
GRAMS = [Solver.auto, Solver.token_gram, Solver.weight_gram]


def layout(*lengths: int, rows_of_unit: Sequence[int] | None = None, left: bool = False) -> Layout:
    longest = max(lengths)
    spans = [(longest - n, longest) if left else (0, n) for n in lengths]
    return Layout(longest, tuple(spans), tuple(rows_of_unit or (1,) * len(lengths)))


def layers(of: Layout, n_layers: int = 3) -> list[list[Factors]]:
    """Of a batch with noise at padding: q, k and v of one input, narrow k and v, o of another."""
    generator = torch.Generator().manual_seed(0)

    def noise(width: int) -> torch.Tensor:
        return torch.randn(len(of.spans), of.length, width, generator=generator)

    return [
        [
            Factors(layer, noise(24), {"q": noise(30), "k": noise(6), "v": noise(6)}),
            Factors(layer, noise(30), {"o": noise(24)}),
        ]
        for layer in reversed(range(n_layers))
    ]


def stacked(
    of: Layout,
    given: list[list[Factors]],
    solver: Solver = Solver.auto,
    units: Sequence[int] | None = None,
    most_elements: int = LARGE,
) -> list[list[dict[str, Spectrum]]]:
    places = list(range(len(of.rows_of_unit))) if units is None else units
    started = StartedStacks(given, of, places, solver, most_elements)
    return started.spectra(BACKEND)


def assert_each_alone(
    found: list[list[dict[str, Spectrum]]],
    of: Layout,
    given: list[list[Factors]],
    units: Sequence[int] | None = None,
) -> None:
    places = list(range(len(of.rows_of_unit))) if units is None else units
    for layer, spectra in zip(given, found, strict=True):
        split = [list(split_units(factors, of)) for factors in layer]
        for place, unit in enumerate(places):
            assert spectra[place].keys() == {"q", "k", "v", "o"}
            for own in (factors[unit] for factors in split):
                for name, alone in factor_spectra(own.x, own.dy, Solver.svd).items():
                    spectrum = spectra[place][name]
                    assert spectrum.holds
                    assert spectrum.frobenius_norm == pytest.approx(alone.frobenius_norm)
                    assert spectrum.token_norm == pytest.approx(alone.token_norm)
                    close = 1e-7 * alone.sigma[0]
                    np.testing.assert_allclose(spectrum.sigma, alone.sigma, atol=close)


LAYOUTS = {
    "one": layout(9),
    "equal": layout(12, 12, 12),
    "similar": layout(20, 19, 18, 20),
    "far apart": layout(40, 3, 7, 38, 1),
    "padded on the left": layout(11, 9, 10, left=True),
    "several rows": layout(5, 8, 6, 7, 2, rows_of_unit=[2, 1, 2]),
}


@pytest.mark.parametrize("solver", GRAMS)
@pytest.mark.parametrize("of", LAYOUTS.values(), ids=LAYOUTS)
def test_each_unit_of_each_layer_has_its_own_spectrum(of: Layout, solver: Solver) -> None:
    given = layers(of)
    assert_each_alone(stacked(of, given, solver), of, given)


@pytest.mark.parametrize("most_elements", [1, 700, 2000])
def test_stacks_that_would_be_too_large_are_cut(most_elements: int) -> None:
    of = LAYOUTS["far apart"]
    given = layers(of)
    assert_each_alone(stacked(of, given, most_elements=most_elements), of, given)


def test_units_that_are_not_wanted_are_left_out() -> None:
    of = LAYOUTS["several rows"]
    given = layers(of)
    assert_each_alone(stacked(of, given, units=[2, 0]), of, given, units=[2, 0])


def test_the_route_is_that_of_the_unit_alone() -> None:
    of = layout(22, 21, 20, 8, 6, 5)
    (found,) = stacked(of, layers(of, 1))
    (layer,) = layers(of, 1)
    for factors in layer:
        for own, spectra in zip(split_units(factors, of), found, strict=True):
            for name, alone in factor_spectra(own.x, own.dy).items():
                assert spectra[name].solver == alone.solver


def test_nan_at_padding_is_nobodys() -> None:
    of = layout(12, 11)
    given = layers(of)
    for factors in (of_input for layer in given for of_input in layer):
        for values in (factors.x, *factors.dy.values()):
            values[1, 11] = torch.nan
    assert_each_alone(stacked(of, given), of, given)


@pytest.mark.parametrize("solver", GRAMS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_gradient_that_is_not_finite_spoils_no_other(solver: Solver, value: float) -> None:
    of = layout(7, 7, 7)
    given = layers(of)
    given[1][0].dy["q"][1, 3, 2] = value
    found = stacked(of, given, solver)
    bad = found[1][1].pop("q")
    assert np.isnan(bad.sigma).all()
    assert bad.solver == "none"
    found[1][1]["q"] = stacked(of, layers(of), solver)[1][1]["q"]
    assert_each_alone(found, of, layers(of))


@pytest.mark.parametrize("solver", GRAMS)
def test_zeros_and_repeated_tokens_are_solved(solver: Solver) -> None:
    """K is singular or zero, so its Cholesky factorisation may break down: `svd` then."""
    of = layout(10, 10)
    given = layers(of, 1)
    x, dy = given[0][0].x, given[0][0].dy
    x[0] = 0
    x[1] = x[1, :1]
    dy["k"][1] = 0
    (found,) = stacked(of, given, solver)
    for name in "qkv":
        assert not found[0][name].sigma.any()
        assert found[0][name].frobenius_norm == 0
    assert (found[1]["q"].sigma > 1e-6 * found[1]["q"].sigma[0]).sum() == 1
    assert not found[1]["k"].sigma.any()
    assert all(spectrum.holds for spectra in found for spectrum in spectra.values())
