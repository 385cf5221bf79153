"""The kernel of `two_stage` that bisects, in Triton: importing this imports it."""

from __future__ import annotations

import triton
import triton.language as tl

TINY = tl.constexpr(1e-40)
"""Of the square of what stands beside the diagonal, relative to the largest: with a zero there, a
determinant of zero would stay zero, and tell nothing of the eigenvalues behind it."""

STEPS = tl.constexpr(8)
"""Between two divisions that keep determinants from vanishing."""


@triton.jit(do_not_specialize=["n"])
def bisect(
    diagonals: tl.tensor,
    besides: tl.tensor,
    values: tl.tensor,
    n: int,
    HELD: tl.constexpr,
    ROUNDS: tl.constexpr,
) -> None:
    """Find every eigenvalue of each tridiagonal matrix, a thread each, ascending.

    How many lie below x is how often leading principal minors of T − x change sign.
    """
    program = tl.program_id(0).to(tl.int64)
    diagonals += program * n
    besides += program * n
    k = tl.arange(0, HELD)
    own = tl.abs(tl.load(diagonals + k, mask=k < n, other=0.0))
    own += tl.abs(tl.load(besides + k, mask=k < n - 1, other=0.0))
    own += tl.abs(tl.load(besides + k - 1, mask=(k > 0) & (k < n), other=0.0))
    reach = tl.max(own)  # of Gershgorin's circles
    unit = 1.0 / tl.where(reach > 0.0, reach, 1.0)
    low = tl.zeros([HELD], dtype=tl.float64) - 1.0
    high = tl.zeros([HELD], dtype=tl.float64) + 1.0
    for _ in range(0, ROUNDS):
        middle = 0.5 * (low + high)
        minor = tl.zeros([HELD], dtype=tl.float64) + 1.0
        before = tl.zeros([HELD], dtype=tl.float64)
        smaller = tl.zeros([HELD], dtype=tl.int32)
        for first in range(0, n, STEPS):
            for step in tl.static_range(STEPS):
                m = first + step
                d = tl.load(diagonals + m, mask=m < n, other=0.0) * unit
                d += tl.where(m < n, 0.0, 2.0)  # beyond the last row nothing changes sign
                e = tl.load(besides + m - 1, mask=(m > 0) & (m < n), other=0.0) * unit
                following = (d - middle) * minor - tl.maximum(e * e, TINY) * before
                before = minor
                minor = following
                smaller += ((minor < 0.0) != (before < 0.0)).to(tl.int32)
            scale = 1.0 / tl.maximum(tl.abs(minor), tl.abs(before))
            minor *= scale
            before *= scale
        is_below = smaller > k
        high = tl.where(is_below, middle, high)
        low = tl.where(is_below, low, middle)
    tl.store(values + program * n + k, 0.5 * (low + high) * reach, mask=k < n)
