"""The kernels of `two_stage`, in Triton: importing this imports it.

What many threads write and others read is parted by barriers. Whole tiles are masked, not
branched around: a column that is masked out costs nothing but its instructions.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["n"])
def mirror(
    matrices: tl.tensor,
    scale: tl.tensor,
    copies: tl.tensor,
    n: int,
    row: int,
    TILE: tl.constexpr,
) -> None:
    """Write both triangles of each matrix from its lower one (n×n), `scale` times, with rows of
    `row`. A program has `TILE` rows and columns."""
    program = tl.program_id(2).to(tl.int64)
    rows = tl.program_id(0) * TILE + tl.arange(0, TILE)[:, None]
    columns = tl.program_id(1) * TILE + tl.arange(0, TILE)[None, :]
    if tl.program_id(1) <= tl.program_id(0):
        is_lower = (rows < n) & (columns <= rows)
        lower = tl.load(matrices + program * n * n + rows * n + columns, mask=is_lower, other=0.0)
        lower *= tl.load(scale + program)
        copies += program * n * row
        tl.store(copies + rows * row + columns, lower, mask=is_lower)
        tl.store(copies + columns * row + rows, lower, mask=is_lower & (columns < rows))


@triton.jit
def _add_two(a, b, c, d):
    return a + c, b + d


@triton.jit
def _reflection(first, rest):
    """Of what leaves nothing of a column but `first`: its tau, what v's rest is multiplied by, and
    what becomes of `first`. `rest` is the sum of the others' squares."""
    is_done = rest == 0.0
    length = tl.sqrt(first * first + rest)
    beside = tl.where(is_done, first, tl.where(first > 0.0, -length, length))
    tau = tl.where(is_done, 0.0, (beside - first) / tl.where(is_done, 1.0, beside))
    scale = tl.where(is_done, 0.0, 1.0 / tl.where(is_done, 1.0, first - beside))
    return tau, scale, beside


@triton.jit(do_not_specialize=["n", "begin"])
def reduce_panel(
    matrices: tl.tensor,
    old_v: tl.tensor,
    w: tl.tensor,
    y: tl.tensor,
    parts: tl.tensor,
    vy: tl.tensor,
    new_v: tl.tensor,
    new_t: tl.tensor,
    band: tl.tensor,
    n: int,
    row: int,
    begin: int,
    HELD: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    """Bring columns `begin` to `begin + WIDTH` of each matrix to band form: QᵀA of what is below
    the band, Q = I − VTVᵀ, by Householder's reflections.

    Before, it brings them up to date by the panel before this one, whose A ← A − VWᵀ − WVᵀ is
    still to come (`update_rest`), and finishes W = Y − ½VS for that.

    Args:
        matrices: n×`row`, symmetric, both triangles; what lies beyond n is not read.
        old_v, w, y, new_v: `WIDTH`×`row` of each matrix.
        parts: of S, of every `ROWS` rows of what is left, `WIDTH`×`WIDTH` each.
        vy: memory for S.
        new_t: `WIDTH`×`WIDTH`.
        band: A_ij of the band, i ≥ j, at 2·`WIDTH`·j + i − j.
    """
    program = tl.program_id(0).to(tl.int64)
    many = (row + ROWS - 1) // ROWS
    matrices += program * n * row
    panels = program * WIDTH * row
    old_v += panels
    w += panels
    y += panels
    new_v += panels
    parts += program * many * WIDTH * WIDTH
    vy += program * WIDTH * WIDTH
    new_t += program * WIDTH * WIDTH
    band += program * row * 2 * WIDTH
    own = tl.arange(0, HELD)
    places = begin + own
    inside = places < n
    k = tl.arange(0, WIDTH)
    square = k[:, None] * WIDTH + k[None, :]

    s = tl.zeros([WIDTH, WIDTH], dtype=tl.float64)
    for at in range(begin, n, ROWS):
        s += tl.load(parts + (at - begin) // ROWS * WIDTH * WIDTH + square)
    tl.store(vy + square, s)
    tl.debug_barrier()

    there = inside[None, :] & (k >= 0)[:, None]
    tile_places = k[:, None] * row + places[None, :]
    tile = tl.load(y + tile_places, mask=there, other=0.0)
    for q in range(0, WIDTH):
        v_q = tl.load(old_v + q * row + places, mask=inside, other=0.0)
        s_q = tl.load(vy + q * WIDTH + k)
        tile -= 0.5 * s_q[:, None] * v_q[None, :]
    tl.store(w + tile_places, tile, mask=there)
    tl.debug_barrier()

    # A's columns are its rows, whose elements lie side by side.
    wanted = there & (begin + k < n)[:, None]
    tile = tl.load(matrices + begin.to(tl.int64) * row + tile_places, mask=wanted, other=0.0)
    of_panel = begin + k < n
    for q in range(0, WIDTH):
        v_q = tl.load(old_v + q * row + places, mask=inside, other=0.0)
        w_q = tl.load(w + q * row + places, mask=inside, other=0.0)
        v_k = tl.load(old_v + q * row + begin + k, mask=of_panel, other=0.0)
        w_k = tl.load(w + q * row + begin + k, mask=of_panel, other=0.0)
        tile -= w_k[:, None] * v_q[None, :] + v_k[:, None] * w_q[None, :]
    in_band = (begin + k)[:, None] * 2 * WIDTH + (own[None, :] - k[:, None])
    in_corner = (own[None, :] >= k[:, None]) & (own < WIDTH)[None, :] & wanted
    tl.store(band + in_band, tile, mask=in_corner)

    # Column q of the panel becomes v; what stands above in it is R.
    tile = tl.where((own >= WIDTH)[None, :], tile, 0.0)
    t = tl.zeros([WIDTH, WIDTH], dtype=tl.float64)
    for q in range(0, WIDTH):
        top = WIDTH + q
        a = tl.sum(tl.where((k == q)[:, None], tile, 0.0), axis=0)
        first, rest = tl.reduce(
            (tl.where(own == top, a, 0.0), tl.where(own > top, a * a, 0.0)), 0, _add_two
        )
        tau, scale, beside = _reflection(first, rest)
        r = tl.where(own == top, beside, a)
        is_r = (own >= WIDTH) & (own <= top) & inside
        tl.store(band + (begin + q) * 2 * WIDTH + (own - q), r, mask=is_r)
        v = tl.where(own > top, a * scale, tl.where(own == top, 1.0, 0.0))
        v = tl.where(inside, v, 0.0)
        on_v = tl.sum(tile * v[None, :], axis=1)
        before = tl.sum(t * tl.where(k < q, on_v, 0.0)[None, :], axis=1)
        of_t = tl.where(k < q, -tau * before, tl.where(k == q, tau, 0.0))
        t = tl.where((k == q)[None, :], of_t[:, None], t)
        change = tl.where(k > q, tau * on_v, 0.0)
        tile -= change[:, None] * v[None, :]
        tile = tl.where((k == q)[:, None], v[None, :], tile)
    tl.store(new_v + tile_places, tile, mask=there)
    tl.store(new_t + square, t)


@triton.jit(do_not_specialize=["n", "begin"])
def update_rest(
    matrices: tl.tensor,
    old_v: tl.tensor,
    w: tl.tensor,
    new_v: tl.tensor,
    new_t: tl.tensor,
    y: tl.tensor,
    parts: tl.tensor,
    n: int,
    row: int,
    begin: int,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """A ← A − VWᵀ − WVᵀ from row and column `begin` on, and of the next panel Y = AVT and
    S = TᵀVᵀY: A is read and written once for each panel. A program has `ROWS` rows of a matrix.
    """
    block = tl.program_id(0)
    program = tl.program_id(1).to(tl.int64)
    many = (row + ROWS - 1) // ROWS
    matrices += program * n * row
    panels = program * WIDTH * row
    old_v += panels
    w += panels
    new_v += panels
    y += panels
    new_t += program * WIDTH * WIDTH
    parts += (program * many + block) * WIDTH * WIDTH
    k = tl.arange(0, WIDTH)
    square = k[:, None] * WIDTH + k[None, :]
    rows = begin + block * ROWS + tl.arange(0, ROWS)
    own = (rows < n)[:, None] & (k >= 0)[None, :]
    of_rows = rows[:, None] + k[None, :] * row
    v_of_rows = tl.load(old_v + of_rows, mask=own, other=0.0)
    w_of_rows = tl.load(w + of_rows, mask=own, other=0.0)
    z = tl.zeros([ROWS, WIDTH], dtype=tl.float64)
    for at in range(begin, n, COLUMNS):
        columns = at + tl.arange(0, COLUMNS)
        of_columns = k[:, None] * row + columns[None, :]
        there = (columns < n)[None, :] & (k >= 0)[:, None]
        v_of_columns = tl.load(old_v + of_columns, mask=there, other=0.0)
        w_of_columns = tl.load(w + of_columns, mask=there, other=0.0)
        places = matrices + rows[:, None] * row + columns[None, :]
        both = (rows < n)[:, None] & (columns < n)[None, :]
        a = tl.load(places, mask=both, other=0.0)
        change = tl.dot(v_of_rows, w_of_columns, out_dtype=tl.float64)
        change = tl.dot(w_of_rows, v_of_columns, change, out_dtype=tl.float64)
        a -= change
        tl.store(places, a, mask=both)
        v = tl.load(
            new_v + columns[:, None] + k[None, :] * row,
            mask=(columns < n)[:, None] & (k >= 0)[None, :],
            other=0.0,
        )
        z = tl.dot(a, v, z, out_dtype=tl.float64)
    t = tl.load(new_t + square)
    z = tl.dot(z, t, out_dtype=tl.float64)
    tl.store(y + of_rows, z, mask=own)
    vt = tl.load(new_v + rows[None, :] + k[:, None] * row, mask=tl.trans(own), other=0.0)
    s = tl.dot(vt, z, out_dtype=tl.float64)
    tt = tl.load(new_t + k[None, :] * WIDTH + k[:, None])
    tl.store(parts + square, tl.dot(tt, s, out_dtype=tl.float64))


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
