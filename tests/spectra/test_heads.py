"""Spectra of heads from factors alone: where tokens cancel, where there are none, of any width."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gradsweep.config import Solver
from gradsweep.engine.batch import Layout
from gradsweep.engine.factors import Factors
from gradsweep.engine.spectra import CpuBackend, CudaBackend, Spectrum, many_spectra
from gradsweep.engine.spectra.backends.stacked import StartedStacks
from gradsweep.models.projections import Heads

ON_DEVICE = CudaBackend(torch.device("cpu"))
ROUTES = [Solver.token_gram, Solver.weight_gram]
HEADS = {"q": Heads(3), "o": Heads(3, of_inputs=True)}
"""Three heads of eight features in every case."""


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def on_device(
    layers: list[list[Factors]], layout: Layout, units: list[int], solver: Solver, most: int
) -> list[list[dict[str, Spectrum]]]:
    started = StartedStacks(layers, layout, units, solver, most)
    return started.spectra(ON_DEVICE)


def solved(name: str, x: Tensor, dy: Tensor, solver: Solver, backend: str) -> tuple[Spectrum, ...]:
    heads = {name: HEADS[name]}
    if backend == "cpu":
        (found,) = many_spectra([(x, {name: dy})], CpuBackend(), solver, heads)
    else:
        layers = [[Factors(0, x[None], {name: dy[None]}, heads=heads)]]
        layout = Layout(len(x), ((0, len(x)),), (1,))
        ((found,),) = on_device(layers, layout, [0], solver, 2**26)
    return found[name].heads


def assert_exact(found: tuple[Spectrum, ...], name: str, x: Tensor, dy: Tensor) -> None:
    g = dy.double().T @ x.double()
    for spectrum, part in zip(found, g.chunk(3, dim=int(name == "o")), strict=True):
        sigma = torch.linalg.svdvals(part).numpy()
        assert len(spectrum.sigma) == min(len(x), *part.shape)
        close = 1e-7 * max(sigma[0], 1e-300)
        np.testing.assert_allclose(spectrum.sigma, sigma[: len(spectrum.sigma)], atol=close)
        assert spectrum.holds


@pytest.mark.parametrize("backend", ["cpu", "device"])
@pytest.mark.parametrize("solver", ROUTES)
@pytest.mark.parametrize("tokens", [1, 5, 40])
@pytest.mark.parametrize("name", ["q", "o"])
def test_heads_of_any_number_of_tokens(
    name: str, tokens: int, solver: Solver, backend: str
) -> None:
    m, n = (24, 10) if name == "q" else (10, 24)
    x, dy = noise(tokens, n), noise(tokens, m, seed=1)
    found = solved(name, x, dy, solver, backend)
    assert_exact(found, name, x, dy)
    assert {spectrum.solver for spectrum in found} == {solver.name}
    cut, other = (x, dy) if name == "o" else (dy, x)
    for spectrum, own in zip(found, cut.chunk(3, dim=1), strict=True):
        token_norm = float((own.norm(dim=1) * other.norm(dim=1)).norm())
        assert spectrum.token_norm == pytest.approx(token_norm, rel=1e-5)


@pytest.mark.parametrize("backend", ["cpu", "device"])
@pytest.mark.parametrize("solver", ROUTES)
def test_a_head_whose_tokens_cancel_is_formed(solver: Solver, backend: str) -> None:
    """Its gradient is a ten-millionth of what its tokens have: sums over pairs lose it."""
    x, dy = noise(20, 16), noise(20, 24, seed=1)
    both = torch.cat([dy, -dy])
    both[:20, 8:] *= 2
    both[:20, :8] += 1e-7 * noise(20, 8, seed=2)
    x = torch.cat([x, x])
    found = solved("q", x, both, solver, backend)
    assert found[0].frobenius_norm < 1e-6 * found[0].token_norm
    assert_exact(found, "q", x, both)
    assert found[0].solver == ("svd" if solver is Solver.token_gram else solver.name)


@pytest.mark.parametrize("backend", ["cpu", "device"])
@pytest.mark.parametrize("solver", ROUTES)
def test_heads_without_a_gradient_are_zero_and_those_that_overflow_say_so(
    solver: Solver, backend: str
) -> None:
    x, dy = noise(9, 16), noise(9, 24, seed=1)
    dy[:, 8:16] = 0
    found = solved("q", x, dy, solver, backend)
    assert not found[1].sigma.any()
    assert_exact(found, "q", x, dy)
    dy[0, 0] = torch.inf
    bad, zero, good = solved("q", x, dy, solver, backend)
    assert not bad.holds
    assert not zero.sigma.any()
    assert good.holds
    np.testing.assert_allclose(good.sigma, found[2].sigma)


@pytest.mark.parametrize("solver", ROUTES)
def test_units_and_layers_that_are_solved_together_keep_theirs(solver: Solver) -> None:
    """Padded on the right, of unlike lengths, in stacks that are cut."""
    layout = Layout(12, ((0, 12), (0, 11), (0, 4)), (1, 1, 1))
    heads = {"q": HEADS["q"]}
    layers = [
        [Factors(n, noise(3, 12, 16, seed=n), {"q": noise(3, 12, 24, seed=9 + n)}, heads=heads)]
        for n in range(2)
    ]
    for most in (2**26, 600):
        found = on_device(layers, layout, [2, 0, 1], solver, most)
        for (of_input,), of_layer in zip(layers, found, strict=True):
            for unit, spectra in zip([2, 0, 1], of_layer, strict=True):
                own = slice(*layout.spans[unit])
                assert_exact(
                    spectra["q"].heads, "q", of_input.x[unit, own], of_input.dy["q"][unit, own]
                )
