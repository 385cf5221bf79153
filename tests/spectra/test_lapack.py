"""LAPACK called directly: the same numbers as NumPy's functions, and its errors."""

from __future__ import annotations

import numpy as np
import pytest

from gradsweep.engine.spectra.backends import lapack


def random_gram(n: int, seed: int = 0) -> np.ndarray:
    a = np.random.default_rng(seed).standard_normal((n, n + 3))
    return a @ a.T


@pytest.mark.parametrize("n", [1, 2, 7, 64, 65, 200])
def test_routines_agree_with_numpy(n: int) -> None:
    k, h = random_gram(n), random_gram(n, seed=1)
    lower = np.tril(lapack.cholesky(k))
    np.testing.assert_allclose(lower @ lower.T, k, atol=1e-12 * k.max())
    expected = lower.T @ h @ lower
    found = np.tril(lapack.congruence(lower, h))
    np.testing.assert_allclose(found, np.tril(expected), atol=1e-10 * abs(expected).max())
    eigenvalues = np.linalg.eigvalsh(h)
    np.testing.assert_allclose(lapack.eigvalsh(h), eigenvalues, atol=1e-12 * eigenvalues[-1])


def test_arguments_are_left_alone_and_only_the_lower_triangle_counts() -> None:
    k, h = random_gram(20), random_gram(20, seed=1)
    lower = lapack.cholesky(k)
    expected = lapack.eigvalsh(lapack.congruence(lower, h))
    above = np.triu(np.full((20, 20), 1e6), 1)
    given = [np.tril(k) + above, np.tril(lower) + above, np.tril(h) + above]
    kept = [a.copy() for a in given]
    again = np.tril(lapack.cholesky(given[0]))
    np.testing.assert_allclose(again, np.tril(lower), atol=1e-12 * lower.max())
    found = lapack.eigvalsh(lapack.congruence(given[1], given[2]))
    np.testing.assert_allclose(found, expected, atol=1e-12 * expected[-1])
    for before, after in zip(kept, given, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("shape", [(1, 1), (7, 65), (65, 7), (200, 200)])
def test_the_smaller_gram_of_a_matrix_has_its_squared_singular_values(
    shape: tuple[int, int],
) -> None:
    a = np.random.default_rng(2).standard_normal(shape)
    squares = np.linalg.svd(a, compute_uv=False)[::-1] ** 2
    for laid_out in (a, np.asfortranarray(a)):
        found = lapack.gram_eigvalsh(laid_out)
        np.testing.assert_allclose(found, squares, atol=1e-12 * squares[-1])


def test_cholesky_names_a_matrix_that_is_not_positive_definite() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        lapack.cholesky(-np.eye(3))
