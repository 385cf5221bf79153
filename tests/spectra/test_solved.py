"""Spectra that are made together are those that each would be alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradsweep.config import Solver
from gradsweep.engine.spectra.metrics import spectrum_row
from gradsweep.engine.spectra.solved import solved_spectra, solved_spectrum

noise = np.random.default_rng(0)
SOLVED = {
    "full rank": (4, np.array([1e-3, 0.5, 2.0, 9.0])),
    "rounded below zero": (4, np.array([-1e-18, 0.5, 2.0, 9.0])),
    "wider than its rank": (2, np.array([0.0, -1e-17, 3.0, 4.0])),
    "of another width": (7, noise.lognormal(size=7).cumsum()),
    "zero": (4, np.zeros(4)),
    "not converged": (4, None),
}


def norms(eigenvalues: np.ndarray | None) -> tuple[float, float]:
    squares = 1.0 if eigenvalues is None else eigenvalues.sum()
    return math.sqrt(squares), 2 * math.sqrt(squares)


CASES = [
    *((rank, norms(own), own) for rank, own in SOLVED.values()),
    (4, (1.0, 1.0), SOLVED["full rank"][1]),  # whose checksum does not hold
    (4, (math.inf, math.nan), SOLVED["full rank"][1]),
    (4, (math.nan, math.nan), None),
]


def test_together_they_have_the_rows_that_each_has_alone() -> None:
    ranks, given, eigenvalues = zip(*CASES, strict=True)
    together = solved_spectra(Solver.token_gram, ranks, given, eigenvalues)
    for case, found in zip(CASES, together, strict=True):
        alone = solved_spectrum(Solver.token_gram, *case)
        if alone is None or found is None:
            assert alone is found
            continue
        rows = [spectrum_row(one, 0, "q", 1e-7, kept=None) for one in (alone, found)]
        for name in ("nuclear_norm", "spectral_entropy", "effective_rank", "checksum_error"):
            values = [getattr(row, name) for row in rows]
            assert values[0] == pytest.approx(values[1], rel=1e-14, abs=1e-15, nan_ok=True)
        assert rows[0].rank == rows[1].rank
        assert rows[0].solver == rows[1].solver
        np.testing.assert_array_equal(rows[0].singular_values, rows[1].singular_values)
    assert sum(found is None for found in together) == 2


def test_none_are_none() -> None:
    assert solved_spectra(Solver.weight_gram, [], [], []) == []
