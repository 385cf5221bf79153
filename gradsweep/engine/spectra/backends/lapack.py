"""LAPACK's symmetric routines, called so that threads run them at the same time.

NumPy's `eigvalsh` holds a lock of NumPy's while it runs: two workers take turns, and each waits
twice as long (NumPy 2.4; 7 ms alone, 15 ms side by side at n = 450). SciPy exports LAPACK to
other compiled code (`scipy.linalg.cython_lapack`), and ctypes calls it without any lock.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
from jaxtyping import Complex128, Float64
from scipy.linalg import cython_lapack  # type: ignore[attr-defined]

_INT, _DOUBLES = ctypes.POINTER(ctypes.c_int), ctypes.c_void_p
_TRIDIAGONAL_BLOCK = 64
"""Columns that LAPACK reduces at a time: the size of its workspace, in rows of the matrix."""

_HESSENBERG_BLOCK = 66
"""Rows of workspace for eigenvalues of a matrix that is not symmetric."""

Matrix = Float64[np.ndarray, "n n"]


def _routine(name: str, *arguments: object) -> Callable[..., None]:
    capsule = cython_lapack.__pyx_capi__[name]
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

_dgeev = _routine(
    "dgeev",
    *[ctypes.c_char_p] * 2,
    *[_INT, _DOUBLES, _INT, _DOUBLES, _DOUBLES],
    *[_DOUBLES, _INT] * 2,
    *[_DOUBLES, _INT, _INT],
)

_LOWER = b"U"
"""LAPACK counts by columns: the upper triangle of what it sees is NumPy's lower one."""


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
    work_matrix, n, info = np.array(a, order="C"), ctypes.c_int(len(a)), ctypes.c_int()
    eigenvalues = np.empty(len(a))
    work = np.empty((_TRIDIAGONAL_BLOCK + 2) * len(a))
    size = ctypes.c_int(len(work))
    pointers = [array.ctypes.data for array in (eigenvalues, work)]
    _dsyev(b"N", _LOWER, n, work_matrix.ctypes.data, n, *pointers, size, info)
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


def converged(a: Matrix) -> Float64[np.ndarray, " n"] | None:
    """`eigvalsh`, or None where it does not converge."""
    try:
        return eigvalsh(a)
    except np.linalg.LinAlgError:
        return None


def _check(info: ctypes.c_int, reason: str) -> None:
    if info.value:
        raise np.linalg.LinAlgError(f"{reason} (LAPACK info {info.value})")
