"""The kernel of `gram_products`, in Triton: importing this imports it."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["rows"])
def gram(
    values: tl.tensor,
    products: tl.tensor,
    rows: int,
    columns: int,
    TILE: tl.constexpr,
    STEP: tl.constexpr,
) -> None:
    """AAᵀ of each A (`rows`×`columns`). A program has a tile on or below the diagonal, and writes
    what is above it, too."""
    down, across = tl.program_id(0), tl.program_id(1)
    if across <= down:
        problem = tl.program_id(2).to(tl.int64)
        values += problem * rows * columns
        products += problem * rows * rows
        high = down * TILE + tl.arange(0, TILE)
        wide = across * TILE + tl.arange(0, TILE)
        step = tl.arange(0, STEP)
        product = tl.zeros([TILE, TILE], dtype=tl.float64)
        for at in range(0, columns, STEP):
            k = at + step
            left = tl.load(
                values + high[:, None] * columns + k[None, :],
                mask=(high < rows)[:, None] & (k < columns)[None, :],
                other=0.0,
            )
            right = tl.load(
                values + wide[None, :] * columns + k[:, None],
                mask=(wide < rows)[None, :] & (k < columns)[:, None],
                other=0.0,
            )
            product = tl.dot(left, right, product, out_dtype=tl.float64)
        inside = (high < rows)[:, None] & (wide < rows)[None, :]
        tl.store(products + high[:, None] * rows + wide[None, :], product, mask=inside)
        tl.store(products + wide[None, :] * rows + high[:, None], product, mask=inside)
