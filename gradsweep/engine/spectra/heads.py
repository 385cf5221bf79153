"""The parts of G = dYᵀX that belong to single attention heads: matrices whose eigenvalues are σ².

A head has d rows of G or, of o, d columns. So of the factors one is cut into heads, B_h (T×d) being
a head's part of it, and the other one C is every head's. Where the whole matrix went by its tokens,
CCᵀ (T×T) is there and σ² are the eigenvalues of B_hᵀ(CCᵀ)B_h; where G was formed, those of G_hG_hᵀ.
Either is d×d, small beside the whole matrix's.

Arrays are NumPy's or torch's, with any number of leading dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

from gradsweep.engine.spectra.backend import Array

CANCELLATION = 1e-8
"""Of Σ_t ‖x_t‖²‖dy_t‖²: where ‖G_h‖²_F is less, tokens cancel so far that a sum over pairs of them
has lost digits."""


class HeadGrams(NamedTuple):
    """Gram matrices of all heads of one projection, `heads` in number."""

    grams: Array
    """(…, heads, d, d)."""
    squares: Array
    """‖G_h‖²_F (…, heads)."""
    token_squares: Array
    """Σ_t ‖x_t‖²‖dy_t‖² (…, heads), as `Spectrum.token_norm` squared."""
    cancelled: Array
    """1 where only the safe path is left (…, heads), else 0."""


def grams_by_tokens(cut: Array, gram: Array, token_squares: Array, heads: int) -> HeadGrams:
    """Return what the heads' spectra take, without G.

    Args:
        cut: the factor that is cut into heads (…, T, heads·d).
        gram: CCᵀ of the other factor (…, T, T).
        token_squares: its diagonal (…, T).
        heads: their number.
    """
    product = gram @ cut
    of_head, product_of_head = (_by_head(a, heads).swapaxes(-3, -2) for a in (cut, product))
    squares = _summed(product * cut, heads)
    of_tokens = _summed(cut * cut * token_squares[..., None], heads)
    cancelled = (squares < CANCELLATION * of_tokens) * 1.0
    return HeadGrams(of_head.mT @ product_of_head, squares, of_tokens, cancelled)


def grams_by_matrix(cut: Array, g: Array, token_squares: Array, heads: int) -> HeadGrams:
    """Return what the heads' spectra take, from G.

    Args:
        cut: the factor that is cut into heads (…, T, heads·d).
        g: G with the features that are cut first (…, heads·d, other features).
        token_squares: ‖c_t‖² of the other factor's tokens (…, T).
        heads: their number.
    """
    part = g.reshape(*g.shape[:-2], heads, -1, g.shape[-1])
    squares = (part * part).sum(-1).sum(-1)
    of_tokens = _summed(cut * cut * token_squares[..., None], heads)
    return HeadGrams(part @ part.mT, squares, of_tokens, (squares < 0) * 1.0)


def _by_head(values: Array, heads: int) -> Array:
    """(…, T, heads·d) as (…, T, heads, d)."""
    return values.reshape(*values.shape[:-1], heads, -1)


def _summed(values: Array, heads: int) -> Array:
    """Sum over tokens and each head's features: (…, heads)."""
    return _by_head(values.sum(-2), heads).sum(-1)
