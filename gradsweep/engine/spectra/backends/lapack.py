"""LAPACK's symmetric routines, called so that threads run them at the same time.

NumPy's `eigvalsh` holds a lock of NumPy's while it runs: two workers take turns, and each waits
twice as long (NumPy 2.4; 7 ms alone, 15 ms side by side at n = 450). SciPy exports LAPACK to
other compiled code (`scipy.linalg.cython_lapack`), and ctypes calls it without any lock.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64
from scipy.linalg import cython_blas, cython_lapack  # type: ignore[attr-defined]

_INT, _DOUBLES = ctypes.POINTER(ctypes.c_int), ctypes.c_void_p
_SCALAR = ctypes.POINTER(ctypes.c_double)
_TRIDIAGONAL_BLOCK = 64
"""Columns that LAPACK reduces at a time: the size of its workspace, in rows of the matrix."""

_HESSENBERG_BLOCK = 66
"""Rows of workspace for eigenvalues of a matrix that is not symmetric."""

Matrix = Float64[np.ndarray, "n n"]


def _routine(name: str, *arguments: object, library: Any = cython_lapack) -> Callable[..., None]:
    capsule = library.__pyx_capi__[name]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    address = api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    return ctypes.CFUNCTYPE(None, *arguments)(address)  # type: ignore[arg-type]


_dpotrf = _routine("dpotrf", ctypes.c_char_p, _INT, _DOUBLES, _INT, _INT)
_dsygst = _routine("dsygst", _INT, ctypes.c_char_p, _INT, _DOUBLES, _INT, _DOUBLES, _INT, _INT)
_dsyev = _routine(
    "dsyev", *[ctypes.c_char_p] * 2, _INT, _DOUBLES, _INT, *[_DOUBLES] * 2, _INT, _INT
)
_dsyrk = _routine(
    "dsyrk",
    *[ctypes.c_char_p] * 2,
    *[_INT, _INT, _SCALAR, _DOUBLES, _INT],
    *[_SCALAR, _DOUBLES, _INT],
    library=cython_blas,
)

_dgeev = _routine(
    "dgeev",
    *[ctypes.c_char_p] * 2,
    *[_INT, _DOUBLES, _INT, _DOUBLES, _DOUBLES],
    *[_DOUBLES, _INT] * 2,
    *[_DOUBLES, _INT, _INT],
)

_LOWER = b"U"
"""LAPACK counts by columns: the upper triangle of what it sees is NumPy's lower one."""

_FASTER = b"L"
"""NumPy's upper triangle."""


def cholesky(a: Matrix) -> Matrix:
    """The lower triangle holds L with LLᵀ = a; above it stays what `a` has there.

    Raises:
        numpy.linalg.LinAlgError: `a` is not positive definite.
    """
    factor, n, info = np.array(a, order="C"), ctypes.c_int(len(a)), ctypes.c_int()
    _dpotrf(_LOWER, n, factor.ctypes.data, n, info)
    _check(info, "the matrix is not positive definite")
    return factor


def congruence(lower: Matrix, h: Matrix) -> Matrix:
    """The lower triangle holds LᵀHL for symmetric H, at half the flops of two products.

    `lower` has L in its lower triangle, as `cholesky` leaves it.
    """
    result, n, info = np.array(h, order="C"), ctypes.c_int(len(h)), ctypes.c_int()
    kind = ctypes.c_int(2)  # UHUᵀ for an upper triangular U, which by rows is LᵀHL
    _dsygst(kind, _LOWER, n, result.ctypes.data, n, lower.ctypes.data, n, info)
    _check(info, "an argument is wrong")
    return result


def eigvalsh(a: Matrix) -> Float64[np.ndarray, " n"]:
    """Eigenvalues of a symmetric matrix, ascending; only its lower triangle is read.

    Raises:
        numpy.linalg.LinAlgError: no convergence.
    """
    return _eigvalsh_in_place(np.array(a, order="C"), _LOWER)


def gram_eigvalsh(a: Float64[np.ndarray, "m n"]) -> Float64[np.ndarray, " k"]:
    """Eigenvalues of the smaller of AAᵀ and AᵀA, k = min(m, n) of them, ascending.

    One triangle of it is computed, and overwritten, and it is the one that is solved in less time
    (OpenBLAS on AMD: a tenth of 17 ms at k = 576).

    Raises:
        numpy.linalg.LinAlgError: no convergence.
    """
    rows = np.ascontiguousarray(a)
    m, n = rows.shape
    gram = np.empty((min(m, n), min(m, n)))
    k, depth, width = (ctypes.c_int(size) for size in (len(gram), max(m, n), n))
    one, zero = ctypes.c_double(1), ctypes.c_double(0)
    product = b"T" if m <= n else b"N"  # BLAS sees Aᵀ
    given, found = rows.ctypes.data, gram.ctypes.data
    _dsyrk(_FASTER, product, k, depth, one, given, width, zero, found, k)
    return _eigvalsh_in_place(gram, _FASTER)


def _eigvalsh_in_place(work_matrix: Matrix, triangle: bytes) -> Float64[np.ndarray, " n"]:
    a, n, info = work_matrix, ctypes.c_int(len(work_matrix)), ctypes.c_int()
    eigenvalues = np.empty(len(a))
    work = np.empty((_TRIDIAGONAL_BLOCK + 2) * len(a))
    size = ctypes.c_int(len(work))
    pointers = [array.ctypes.data for array in (eigenvalues, work)]
    _dsyev(b"N", triangle, n, a.ctypes.data, n, *pointers, size, info)
    _check(info, "the eigenvalues do not converge")
    return eigenvalues


def eigvals(a: Matrix) -> Complex128[np.ndarray, " n"] | None:
    """Eigenvalues of any square matrix, in no order; None where it is not finite or LAPACK does not
    converge.
    """
    if not np.isfinite(a).all():
        return None
    work_matrix, n, info = np.array(a, order="C"), ctypes.c_int(len(a)), ctypes.c_int()
    real, imaginary = np.empty(len(a)), np.empty(len(a))
    work = np.empty(_HESSENBERG_BLOCK * len(a))
    pointers = [array.ctypes.data for array in (real, imaginary)]
    none = [None, ctypes.c_int(1)] * 2  # of the eigenvectors, on either side
    last = [work.ctypes.data, ctypes.c_int(len(work)), info]
    _dgeev(b"N", b"N", n, work_matrix.ctypes.data, n, *pointers, *none, *last)
    return None if info.value else real + 1j * imaginary


def converged(
    a: np.ndarray, solve: Callable[[np.ndarray], np.ndarray] = eigvalsh
) -> Float64[np.ndarray, " n"] | None:
    """`eigvalsh` or `gram_eigvalsh`, or None where it does not converge."""
    try:
        return solve(a)
    except np.linalg.LinAlgError:
        return None


def _check(info: ctypes.c_int, reason: str) -> None:
    if info.value:
        raise np.linalg.LinAlgError(f"{reason} (LAPACK info {info.value})")
