"""The kernels of the first stage of `two_stage`, in Triton: importing this imports it.

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


@triton.jit
def _own(program, n, row, matrices, old_v, w, y, new_v, new_t, WIDTH: tl.constexpr):
    """What a program's matrix and its panels begin at."""
    panels = program * WIDTH * row
    matrices += program * n * row
    new_t += program * WIDTH * WIDTH
    return matrices, old_v + panels, w + panels, y + panels, new_v + panels, new_t


@triton.jit
def _finish_w(
    old_v, w, y, parts, vy, n, row, begin, places, there,
    WIDTH: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """W = Y − ½VS, S the sum of its parts."""
    k = tl.arange(0, WIDTH)
    square = k[:, None] * WIDTH + k[None, :]
    s = tl.zeros([WIDTH, WIDTH], dtype=tl.float64)
    for at in range(begin, n, ROWS):
        s += tl.load(parts + (at - begin) // ROWS * WIDTH * WIDTH + square)
    tl.store(vy + square, s)
    tl.debug_barrier()
    tile_places = k[:, None] * row + places[None, :]
    tile = tl.load(y + tile_places, mask=there, other=0.0)
    for q in range(0, WIDTH):
        v_q = tl.load(old_v + q * row + places, mask=places < n, other=0.0)
        s_q = tl.load(vy + q * WIDTH + k)
        tile -= 0.5 * s_q[:, None] * v_q[None, :]
    tl.store(w + tile_places, tile, mask=there)
    tl.debug_barrier()


@triton.jit
def _columns(matrices, old_v, w, n, row, begin, places, wanted, WIDTH: tl.constexpr):
    """A − VWᵀ − WVᵀ in the panel's columns."""
    k = tl.arange(0, WIDTH)
    # A's columns are its rows, whose elements lie side by side.
    first = begin.to(tl.int64) * row
    own = matrices + first + (k[:, None] * row + places[None, :])
    tile = tl.load(own, mask=wanted, other=0.0)
    of_panel = begin + k < n
    for q in range(0, WIDTH):
        v_q = tl.load(old_v + q * row + places, mask=places < n, other=0.0)
        w_q = tl.load(w + q * row + places, mask=places < n, other=0.0)
        v_k = tl.load(old_v + q * row + begin + k, mask=of_panel, other=0.0)
        w_k = tl.load(w + q * row + begin + k, mask=of_panel, other=0.0)
        tile -= w_k[:, None] * v_q[None, :] + v_k[:, None] * w_q[None, :]
    return tile


@triton.jit
def _reflect(tile, band, n, begin, HELD: tl.constexpr, WIDTH: tl.constexpr):
    """Put Householder's v in the place of each of a panel's columns, and R into the band; return V
    and T."""
    own, k = tl.arange(0, HELD), tl.arange(0, WIDTH)
    inside = begin + own < n
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
    return tile, t


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
    matrices, old_v, w, y, new_v, new_t = _own(
        program, n, row, matrices, old_v, w, y, new_v, new_t, WIDTH
    )
    parts += program * ((row + ROWS - 1) // ROWS) * WIDTH * WIDTH
    vy += program * WIDTH * WIDTH
    band += program * row * 2 * WIDTH
    own, k = tl.arange(0, HELD), tl.arange(0, WIDTH)
    places = begin + own
    there = (places < n)[None, :] & (k >= 0)[:, None]
    _finish_w(old_v, w, y, parts, vy, n, row, begin, places, there, WIDTH, ROWS)

    wanted = there & (begin + k < n)[:, None]
    tile = _columns(matrices, old_v, w, n, row, begin, places, wanted, WIDTH)
    in_band = (begin + k)[:, None] * 2 * WIDTH + (own[None, :] - k[:, None])
    in_corner = (own[None, :] >= k[:, None]) & (own < WIDTH)[None, :] & wanted
    tl.store(band + in_band, tile, mask=in_corner)

    # What stands above column q's v is R.
    tile = tl.where((own >= WIDTH)[None, :], tile, 0.0)
    tile, t = _reflect(tile, band, n, begin, HELD, WIDTH)
    tl.store(new_v + (k[:, None] * row + places[None, :]), tile, mask=there)
    tl.store(new_t + (k[:, None] * WIDTH + k[None, :]), t)


@triton.jit
def _on_v(
    matrices, old_v, w, new_v, n, row, begin, rows, own, of_rows,
    WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Bring some rows up to date, and return their product with the new V."""
    k = tl.arange(0, WIDTH)
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
    return z


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
    matrices, old_v, w, y, new_v, new_t = _own(
        program, n, row, matrices, old_v, w, y, new_v, new_t, WIDTH
    )
    parts += (program * ((row + ROWS - 1) // ROWS) + block) * WIDTH * WIDTH
    k = tl.arange(0, WIDTH)
    rows = begin + block * ROWS + tl.arange(0, ROWS)
    own = (rows < n)[:, None] & (k >= 0)[None, :]
    of_rows = rows[:, None] + k[None, :] * row
    z = _on_v(matrices, old_v, w, new_v, n, row, begin, rows, own, of_rows, WIDTH, ROWS, COLUMNS)
    square = k[:, None] * WIDTH + k[None, :]
    z = tl.dot(z, tl.load(new_t + square), out_dtype=tl.float64)
    tl.store(y + of_rows, z, mask=own)
    vt = tl.load(new_v + rows[None, :] + k[:, None] * row, mask=tl.trans(own), other=0.0)
    s = tl.dot(vt, z, out_dtype=tl.float64)
    tt = tl.load(new_t + k[None, :] * WIDTH + k[:, None])
    tl.store(parts + square, tl.dot(tt, s, out_dtype=tl.float64))
