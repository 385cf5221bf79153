"""Matrices whose eigenvalues are σ² (`routes`), of many gradients in a few operations."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float64, Shaped
from torch import Tensor

from gradsweep.config import Solver
from gradsweep.engine.spectra.backends.stacks import Pair, Side
from gradsweep.engine.spectra.heads import grams_by_matrix, grams_by_tokens
from gradsweep.models.projections import Heads


class Grams(NamedTuple):
    """What a device computes of some problems."""

    grams: Float64[Tensor, "problems k k"]
    """Their eigenvalues are σ²."""
    squares: Float64[Tensor, " problems"]
    """‖G‖²_F."""
    token_squares: Float64[Tensor, " problems"]
    """The square of `Spectrum.token_norm`."""
    failed: Shaped[Tensor, " problems"] | None
    """Not 0 where only the safe path is left; None where that is nowhere so."""


def grams_of(pair: Pair, route: Solver) -> Grams:
    """Return those of whole matrices: projection after projection, each in the order of X."""
    if route is Solver.token_gram:
        return _by_tokens(pair)
    g = pair.g
    flat = g if g.shape[-2] <= g.shape[-1] else g.mT
    # A product with the vector of ‖x_t‖²: one launch where multiplying and adding up are two.
    by_problem = pair.outputs.token_squares.transpose(0, 1)
    token_squares = (by_problem @ pair.inputs.token_squares[..., None]).squeeze(-1).mT
    squares = (g * g).sum((-2, -1))
    return Grams((flat @ flat.mT).flatten(0, 1), squares.flatten(), token_squares.flatten(), None)


def _by_tokens(pair: Pair) -> Grams:
    h = pair.outputs.gram
    squares = pair.inputs.gram * h
    lower, failed = pair.inputs.cholesky
    lower = lower.expand_as(h).flatten(0, 1)
    grams = lower.mT @ h.flatten(0, 1) @ lower
    on_diagonal = squares.diagonal(dim1=-2, dim2=-1).sum(-1)
    all_failed = failed.expand(len(h), -1).flatten()
    return Grams(grams, squares.sum((-2, -1)).flatten(), on_diagonal.flatten(), all_failed)


def grams_of_heads(pair: Pair, heads: Heads, route: Solver) -> Grams:
    """Return those of every head of every problem: problem after problem, head after head."""
    sides: tuple[Side, Side] = pair.outputs, pair.inputs
    cut, other = reversed(sides) if heads.of_inputs else sides
    if route is Solver.token_gram:
        found = grams_by_tokens(cut.values, other.gram, other.token_squares, heads.count)
    else:
        g = pair.g.mT if heads.of_inputs else pair.g
        found = grams_by_matrix(cut.values, g, other.token_squares, heads.count)
    return Grams(
        found.grams.flatten(0, -3),
        found.squares.flatten(),
        found.token_squares.flatten(),
        found.cancelled.flatten(),
    )
