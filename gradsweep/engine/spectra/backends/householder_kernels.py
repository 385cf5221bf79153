"""The kernels of `householder`, in Triton: importing this imports it.

Each program has one matrix (n×n, float64). What many threads write and others read is parted by
barriers; columns that are masked out cost nothing but their instructions.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _add_two(a, b, c, d):
    return a + c, b + d


@triton.jit
def _add_three(a, b, c, d, e, f):
    return a + d, b + e, c + f


@triton.jit(do_not_specialize=["n", "tall", "place", "last"])
def tridiagonalise(
    matrices: tl.tensor,
    v_panels: tl.tensor,
    w_panels: tl.tensor,
    row_sums: tl.tensor,
    diagonals: tl.tensor,
    besides: tl.tensor,
    n: int,
    tall: int,
    place: int,
    last: int,
    HELD: tl.constexpr,
    ROWS: tl.constexpr,
    REFLECTIONS: tl.constexpr,
    TOGETHER: tl.constexpr,
    WARPS: tl.constexpr,
    ALIGNED: tl.constexpr,
) -> None:
    """Bring columns `ALIGNED·place` to `last` of each matrix to tridiagonal form.

    A ← A − vwᵀ − wvᵀ for every reflection v. A itself is only written after each `REFLECTIONS` of
    them; until then v and w are kept and taken into account (as LAPACK's dlatrd does), so that a
    reflection costs one pass through A. A pass makes no thread wait for those of another warp.

    Args:
        matrices: lower triangles with zeros above and half of the diagonal, so that each element
            that is loaded stands for two, with rows of `ALIGNED·tall`; overwritten.
        v_panels: memory for `REFLECTIONS`×HELD of each matrix, as `w_panels`.
        row_sums: memory for `WARPS`×HELD of each matrix.
        diagonals: n of each matrix, as `besides`: the elements of the tridiagonal matrix.
    """
    program = tl.program_id(0).to(tl.int64)
    row = tall * ALIGNED
    begin = place * ALIGNED
    matrices += program * n * row
    v_panels += program * REFLECTIONS * HELD
    w_panels += program * REFLECTIONS * HELD
    row_sums += program * WARPS * HELD
    diagonals += program * n
    besides += program * n
    own = tl.arange(0, HELD)
    columns = begin + own
    kept = tl.arange(0, REFLECTIONS)
    warps = tl.arange(0, WARPS)
    panel = kept[:, None] * HELD + own[None, :]
    for j in range(begin, last):
        i = (j - begin) % REFLECTIONS
        # Column j, as the reflections since the last writing leave it.
        earlier = (kept < i)[:, None] & (own >= 0)[None, :]
        vs = tl.load(v_panels + panel, mask=earlier, other=0.0)
        ws = tl.load(w_panels + panel, mask=earlier, other=0.0)
        at_j = kept[:, None] * HELD + (j - begin)
        v_of_j = tl.load(v_panels + at_j, mask=(kept < i)[:, None], other=0.0)
        w_of_j = tl.load(w_panels + at_j, mask=(kept < i)[:, None], other=0.0)
        here = (columns >= j) & (columns < n)
        a = tl.load(matrices + columns * row + j, mask=here, other=0.0)
        a = tl.where(columns == j, 2.0 * a, a)
        a -= tl.sum(vs * w_of_j + ws * v_of_j, axis=0)

        # The reflection that leaves nothing of it below the element beside the diagonal.
        below = (columns > j) & (columns < n)
        on_diagonal, first, rest = tl.reduce(
            (
                tl.where(columns == j, a, 0.0),
                tl.where(below & (columns == j + 1), a, 0.0),
                tl.where(below & (columns > j + 1), a * a, 0.0),
            ),
            0,
            _add_three,
        )
        is_done = rest == 0.0
        length = tl.sqrt(first * first + rest)
        beside = tl.where(is_done, first, tl.where(first > 0.0, -length, length))
        tau = tl.where(is_done, 0.0, (beside - first) / tl.where(is_done, 1.0, beside))
        v = a * (1.0 / tl.where(is_done, 1.0, first - beside))
        v = tl.where(below, tl.where(columns == j + 1, 1.0, v), 0.0)
        v = tl.where(is_done, 0.0, v)
        tl.store(diagonals + j, on_diagonal)
        tl.store(besides + j, beside)
        tl.store(v_panels + i * HELD + own, v)
        tl.debug_barrier()

        # Av. Whole blocks of columns, so that loads are wide: v is zero where they are too many.
        ahead = (j + 1 - begin) // ROWS * ROWS
        v_of_columns = tl.load(v_panels + i * HELD + own[None, :])
        product = tl.zeros([HELD], dtype=tl.float64)
        for at in range(begin + ahead, n, ROWS):
            rows = (at + tl.arange(0, ROWS))[:, None]
            wanted = ((own >= ahead) & (columns < at + ROWS))[None, :] & (rows < n)
            tile = tl.load(matrices + rows * row + columns[None, :], mask=wanted, other=0.0)
            product += tl.sum(tile * tl.load(v_panels + i * HELD + (rows - begin)), axis=0)
            of_warps = tl.reshape(tile * v_of_columns, [ROWS, WARPS, HELD // WARPS])
            places = row_sums + warps[None, :] * HELD + (rows - begin)
            tl.store(places, tl.sum(of_warps, axis=2))
        vs = tl.load(v_panels + panel, mask=earlier, other=0.0)  # again: registers are few
        ws = tl.load(w_panels + panel, mask=earlier, other=0.0)
        w_on_v, v_on_v = tl.reduce((ws * v_of_columns, vs * v_of_columns), 1, _add_two)
        tl.debug_barrier()
        whole = below[None, :] & (warps >= 0)[:, None]
        sums = tl.load(row_sums + warps[:, None] * HELD + own[None, :], mask=whole, other=0.0)
        product += tl.sum(sums, axis=0)
        product -= tl.sum(vs * w_on_v[:, None] + ws * v_on_v[:, None], axis=0)
        w = tau * tl.where(below, product, 0.0)
        w -= 0.5 * tau * tl.sum(w * v) * v
        tl.store(w_panels + i * HELD + own, w)
        tl.debug_barrier()

        if (i == REFLECTIONS - 1) | (j == last - 1):
            for at in range(begin + ahead, n, ROWS):
                rows = (at + tl.arange(0, ROWS))[:, None]
                wanted = ((own >= ahead) & (columns < at + ROWS))[None, :] & (rows < n)
                places = matrices + rows * row + columns[None, :]
                tile = tl.load(places, mask=wanted, other=0.0)
                change = tl.zeros([ROWS, HELD], dtype=tl.float64)
                for some in range(0, i + 1, TOGETHER):
                    for more in tl.static_range(TOGETHER):
                        q = some + more
                        of_rows, of_columns = q * HELD + (rows - begin), q * HELD + own[None, :]
                        these = tl.full([ROWS, 1], q - i, tl.int32) <= 0
                        all_of_it = tl.full([1, HELD], q - i, tl.int32) <= 0
                        v_of_rows = tl.load(v_panels + of_rows, mask=these, other=0.0)
                        w_of_rows = tl.load(w_panels + of_rows, mask=these, other=0.0)
                        old_v = tl.load(v_panels + of_columns, mask=all_of_it, other=0.0)
                        old_w = tl.load(w_panels + of_columns, mask=all_of_it, other=0.0)
                        change += v_of_rows * old_w + w_of_rows * old_v
                change = tl.where(columns[None, :] == rows, 0.5 * change, change)
                tl.store(places, tile - change, mask=wanted & (columns[None, :] <= rows))
            tl.debug_barrier()


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
