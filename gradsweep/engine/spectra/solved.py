"""From the eigenvalues of a Gram matrix to a spectrum that its checksum vouches for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from gradsweep.config import Solver
from gradsweep.engine.spectra.spectrum import Spectrum, spectra_of


def solved_spectrum(
    solver: Solver, rank: int, norms: tuple[float, float], eigenvalues: np.ndarray | None
) -> Spectrum | None:
    """Return the spectrum whose squares a route has found; None where only the safe path is left.

    Args:
        solver: the route.
        rank: min(T, m, n).
        norms: ‖G‖_F and `Spectrum.token_norm`.
        eigenvalues: ascending, `rank` of them and maybe zeros; None where there are none.
    """
    frobenius, token_norm = norms
    if not math.isfinite(frobenius):
        return _unsolved(rank, norms)
    if eigenvalues is None:
        return None
    spectrum = Spectrum(_sigma(eigenvalues, rank), frobenius, solver.name, token_norm)
    return spectrum if spectrum.holds else None


def solved_spectra(
    solver: Solver,
    ranks: Sequence[int],
    norms: Sequence[tuple[float, float]],
    eigenvalues: Sequence[np.ndarray | None],
) -> list[Spectrum | None]:
    """Return `solved_spectrum` of each, those of one rank computed together."""
    found: list[Spectrum | None] = [None] * len(ranks)
    of_rank: dict[int, list[tuple[int, np.ndarray]]] = {}
    for place, (rank, own) in enumerate(zip(ranks, eigenvalues, strict=True)):
        if not math.isfinite(norms[place][0]):
            found[place] = _unsolved(rank, norms[place])
        elif own is not None:
            of_rank.setdefault(rank, []).append((place, own))
    for rank, members in of_rank.items():
        places = [place for place, _ in members]
        sigma = _sigma(np.stack([own for _, own in members]), rank)
        solved = spectra_of(sigma, [norms[place] for place in places], solver.name)
        for place, spectrum in zip(places, solved, strict=True):
            found[place] = spectrum if spectrum.holds else None
    return found


def _unsolved(rank: int, norms: tuple[float, float]) -> Spectrum:
    """Of factors that are not finite, which no other route would change."""
    frobenius, token_norm = norms
    return Spectrum(np.full(rank, math.nan), frobenius, "none", token_norm)


def _sigma(
    eigenvalues: Float64[np.ndarray, "*many k"], rank: int
) -> Float64[np.ndarray, "*many {rank}"]:
    """Descending, and no more than the rank: a wider Gram matrix only adds zeros. Rounding may
    leave a zero eigenvalue slightly negative."""
    return np.asarray(np.sqrt(eigenvalues[..., ::-1][..., :rank].clip(min=0)))
